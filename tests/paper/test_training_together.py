"""Training as the study does it: under `torchrun`, on train and val together, where memory or a GPU is missing."""

import os
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch

from semcont import TrainingError, attacks, datasets, distributed, losses
from semcont.paper import devices, monitoring, paths, runs
from semcont.paper.images import source_of
from semcont.paper.presets import load_preset
from semcont.paper.runs import trained
from semcont.paper.strict import SettingsError

SMOKE = load_preset("smoke")
PRESET = """
name: together
description: for these tests
arms: [adv+c]
seeds: 1
threads: 1
data: {name: photodigits, train: 60, val: 21, test: 20}
model: {name: resnet18-slim3, width: 8, stem: cifar-stride2, norm: group}
training: {epochs: 2, batch_size: 30, monitor: 11, lr: 0.02, augment: crop-flip}
constraint: {alpha: 1.0}
attack: {eps: 8, step_size: 5, steps: 1}
"""


@pytest.fixture
def empty_store(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def test_torchrun_trains_the_run_that_one_process_would(empty_store, tmp_path, monkeypatch):
    """Two processes, one run in the store, one message; the history is that of one process, and it is found again."""
    preset = tmp_path / "together.yaml"
    preset.write_text(PRESET, encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    train = ["-m", "semcont.paper", "train", "--arm", "adv+c", "--preset", str(preset), "--device", "cpu"]
    done = subprocess.run([*torchrun, *train], capture_output=True, text=True, timeout=300, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("trained  adv+c") == 1
    (folder,) = [path for path in empty_store.iterdir() if path.name != "locks"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["weights.safetensors", "history.csv", "settings.json", "record.json"]
    )
    together = trained(load_preset(preset), "adv+c", 0)
    assert together.folder == folder and together.record["world_size"] == 2
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path / "alone"))
    alone = trained(load_preset(preset), "adv+c", 0, device="cpu")
    assert alone.key == together.key and alone.record["world_size"] == 1
    pd.testing.assert_frame_equal(alone.history, together.history, rtol=1e-5)
    for name, value in alone.model("cpu").state_dict().items():
        torch.testing.assert_close(value, together.model("cpu").state_dict()[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 40])
def test_processes_share_the_images_of_the_monitor(monkeypatch, size):
    """The shares of all processes hold each image once, attacked by its own noise."""
    images = source_of(SMOKE, "val").select(slice(13))
    network = runs.weights.network_of(SMOKE, 10, torch.Generator().manual_seed(0)).eval()
    attack = SMOKE.evaluation.in_pixels()
    sums = []
    monkeypatch.setattr(distributed.World, "total", lambda world, values: sums.append(values.clone()) or values)
    for rank in range(size):
        monitoring.monitor(images, 7, attack, distributed.World(rank, size))(network)
    right = network(images.float()).argmax(1) == images.labels
    survive = attacks.survivors(network, images.float(slice(7)), images.labels[:7], **attack)
    assert sum(sums[::2]).tolist() == [right.sum(), 13] and sum(sums[1::2]).tolist() == [survive.sum(), 7]


@pytest.fixture
def toy(monkeypatch) -> str:
    """PhotoDigits' training images with a split `full`."""

    def make(split, *, seed=0, n=None, rho=0.5):
        return datasets.load("photodigits", "train" if split == "full" else split, seed=seed, n=n, rho=rho)

    monkeypatch.setitem(datasets._SETS, "toy", (make, {"train": 40, "val": 20, "test": 20, "full": 60}))
    return "toy"


def test_a_refit_trains_on_train_and_val_and_has_no_validation(empty_store, toy):
    chosen, refit = trained(SMOKE, "base", 0, data=toy), trained(SMOKE, "base", 0, data=toy, refit=True)
    assert chosen.key != refit.key
    full = datasets.load("photodigits", "train", n=SMOKE.data.train + SMOKE.data.val)
    assert refit.record["settings"]["fingerprint"] == full.fingerprint
    assert "val_accuracy" in chosen.history and not [c for c in refit.history if c.startswith("val")]


def test_a_refit_needs_a_split_of_both(empty_store):
    with pytest.raises(SettingsError, match="training.refit: photodigits has no split 'full'"):
        trained(SMOKE, "base", 0, refit=True)


def test_how_it_is_computed_is_not_in_the_name(empty_store):
    name = lambda **changes: runs.folder_of(SMOKE, "adv", 0, **changes)  # noqa: E731
    assert name() == name(compile=True) == name(workers=3) == name(monitor=0)
    others = [name(augment="crop-flip"), name(precision="bfloat16"), name(accumulate=2), name(sync_batch_norm=True)]
    assert len({name(), *others}) == 5


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
def test_a_preset_that_asks_for_a_gpu_where_there_is_none(empty_store):
    preset = replace(SMOKE, device="cuda")
    with pytest.raises(paths.UserError, match="preset 'smoke': device 'cuda' is not available here") as raised:
        trained(preset, "base", 0)
    said = str(raised.value)
    assert "--device cpu" in said and "auto" not in said and "\n" not in said
    assert devices.of(preset, "cpu") == "cpu" and devices.of(SMOKE) == devices.of(SMOKE, "auto") == "cpu"
    assert not empty_store.exists() or not list(empty_store.glob("base*"))


def test_no_memory_is_one_line_and_finished_epochs_are_kept(empty_store, monkeypatch):
    calls, once = [], losses.Objective.__call__

    def hungry(self, *arguments):
        calls.append(1)
        if len(calls) == 6:  # four steps an epoch
            torch.empty(2**60, dtype=torch.uint8)
        return once(self, *arguments)

    monkeypatch.setattr(losses.Objective, "__call__", hungry)
    with pytest.raises(TrainingError, match="no memory left on cpu .* epoch 2, step 2.* accumulate=2"):
        trained(SMOKE, "base", 0, epochs=2)
    (folder,) = empty_store.glob("base*")
    assert (folder / "checkpoint-0001.pt").is_file()
    monkeypatch.setattr(losses.Objective, "__call__", once)
    resumed = trained(SMOKE, "base", 0, epochs=2)
    monkeypatch.setenv("SEMCONT_RUNS", str(empty_store / "whole"))
    whole = trained(SMOKE, "base", 0, epochs=2)
    states = [run.model("cpu").state_dict() for run in (resumed, whole)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
