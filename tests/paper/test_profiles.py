"""What the workflow asks of a machine: GPUs, memory and time on a cluster, one process per GPU."""

import json
import os
import subprocess
import sys

import pytest

from semcont.paper import paths
from semcont.paper.execution import cost, pipeline

PROFILE = paths.root() / "workflow" / "profiles" / "slurm" / "config.yaml"


def _asked(monkeypatch, preset: str) -> dict[str, dict[str, str]]:
    """What the profile asks for, for trainings and for notebooks, as Snakemake reads it."""
    from snakemake.profiles import ProfileConfigFileParser

    monkeypatch.setenv("SEMCONT_PRESET", preset)
    with PROFILE.open() as file:
        read = ProfileConfigFileParser().parse(file)
    assert read["executor"] == "slurm" and int(read["retries"]) >= 1 and read["slurm-requeue"] == "True"
    trainings = [text.removeprefix("train:") for text in read["set-resources"]]
    return {
        kind: dict(text.split("=", 1) for text in texts)
        for kind, texts in (("train", trainings), ("notebook", read["default-resources"]))
    }


def _minutes(text: str, attempt: int) -> float:
    return eval(text, {"attempt": attempt})  # as Snakemake does


def test_every_preset_gets_time_for_its_longest_training(monkeypatch):
    for preset in cost.every_preset():
        asked = _asked(monkeypatch, preset.name)["train"]
        gpus = int(asked["gpu"])
        needed = cost.of_preset(preset).longest / (cost.RATES["one GPU"] * gpus if gpus else cost.RATES["one core"])
        assert 60 * _minutes(asked["runtime"], 1) >= 2 * needed, preset.name
        assert _minutes(asked["runtime"], 2) > _minutes(asked["runtime"], 1)
        assert _minutes(asked["mem_mb"], 2) > _minutes(asked["mem_mb"], 1)


@pytest.mark.parametrize(("preset", "gpus"), [("quick", 0), ("cifar100", 1), ("imagenet", 8), ("a preset of mine", 0)])
def test_gpus_follow_the_preset(monkeypatch, preset, gpus):
    asked = _asked(monkeypatch, preset)
    assert (int(asked["train"]["gpu"]), int(asked["notebook"]["gpu"])) == (gpus, min(gpus, 1))
    cores = int(asked["notebook"]["cpus_per_task"])
    assert int(asked["train"]["cpus_per_task"]) == cores * max(gpus, 1)
    assert asked["notebook"]["nodes"] == "1"  # processes that train together find each other on one machine


@pytest.mark.parametrize(
    ("plugin", "programs", "said"),
    [(None, ("sbatch", "which"), "pip install"), ("there", ("which",), "sbatch not found")],
)
def test_a_cluster_that_cannot_be_reached_is_told_in_a_line(monkeypatch, plugin, programs, said):
    monkeypatch.setattr(pipeline.importlib.util, "find_spec", lambda name: plugin)
    monkeypatch.setattr(pipeline.shutil, "which", lambda name: name if name in programs else None)
    for words in (["--workflow-profile", "workflow/profiles/slurm"], ["--workflow-profile=workflow/profiles/slurm/"]):
        with pytest.raises(paths.UserError, match=said):
            pipeline.run("quick", 1, words)
    pipeline._check_cluster(["--workflow-profile", "workflow/profiles/mine", "--dry-run"])  # not ours to judge


@pytest.mark.slow
def test_as_many_processes_train_together_as_there_are_gpus(checkout):
    checkout.section("01_a", "fig01_a")
    stamp = checkout.reports / "stamps" / "train" / "base-s0-plain.json"
    words = ["--preset", "tiny", "--cores", "1", str(stamp.relative_to(checkout.root))]
    words += ["--set-resources", "train:gpu=2"]  # which takes all words that follow
    command = [sys.executable, "-m", "semcont.paper", "paper", *words]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment)
    log = checkout.reports / "logs" / "train" / "base-s0-plain.log"
    assert done.returncode == 0, done.stdout + done.stderr + (log.read_text() if log.is_file() else "")
    record = paths.runs() / json.loads(stamp.read_text())["folder"] / "record.json"
    assert json.loads(record.read_text())["world_size"] == 2
