"""Several processes train what one would, with the same draws: tested with two processes over gloo on this machine."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from two_processes import ARMS, bars, fitted, network

import semcont
from semcont import distributed
from semcont.training import Recipe, TrainingError

TOLERANCE = 1e-5
"""Of a loss or a weight: two processes add the same float32 numbers in another order; they differ by some 1e-7."""


def started(*command: str, timeout: float = 240) -> None:
    """Run a program as two processes, with the environment that `torchrun` gives them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    about = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, *command], env=os.environ | about | {"RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]
    try:
        assert [process.wait(timeout) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> dict:
    """What two processes found."""
    path = tmp_path_factory.mktemp("two") / "found.pt"
    started(str(Path(__file__).with_name("two_processes.py")), str(path))
    return torch.load(path, weights_only=False)


def same(one: dict, other: dict, tolerance: float = TOLERANCE) -> None:
    assert len(one["history"]) == len(other["history"])
    for row, again in zip(one["history"], other["history"], strict=True):
        assert row == pytest.approx(again, rel=tolerance, abs=tolerance)
    for name, value in one["weights"].items():
        torch.testing.assert_close(value, other["weights"][name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("arm", ARMS)
def test_with_group_norm_two_processes_train_what_one_does(two, arm):
    same(two[arm, "group"], fitted(arm, "group"))


@pytest.mark.parametrize("arm", ARMS)
def test_with_batch_norm_two_processes_are_one_that_takes_the_batch_in_two_pieces(two, arm):
    same(two[arm, "batch"], fitted(arm, "batch", accumulate=2))
    whole = fitted(arm, "batch")["history"][-1]["loss"]
    assert abs(two[arm, "batch"]["history"][-1]["loss"] - whole) > 1e-3, "the pieces are normalised by themselves"


def test_two_processes_with_two_pieces_each_are_one_with_four(two):
    same(two["pieces"], fitted("adv+c", "batch", accumulate=4, batch_size=16))


def test_two_processes_resume_bit_for_bit(two):
    whole, resumed = two["adv+c", "batch"], two["resumed"]
    assert resumed["history"] == whole["history"]
    assert all(torch.equal(value, resumed["weights"][name]) for name, value in whole["weights"].items())


def test_a_run_goes_on_with_as_many_processes_as_it_began_with(two):
    state = two["adv+c", "batch"]["states"][0]
    assert state["processes"] == 2
    with pytest.raises(TrainingError, match="begun with 2 processes and cannot go on with 1 .*--nproc_per_node=2"):
        fitted("adv+c", "batch", resume=state)


def test_the_attack_runs_on_the_network_within(two):
    """Four batches: one shared pass for each, and two steps of the attack that the other process need not wait for.

    One more, before training, looks at the number of logits."""
    assert two["calls"] == {"wrapped": 4, "network": 1 + 4 * (1 + 2)}


def test_the_processes_know_one_another(two):
    assert two["world"] == (2, 3.0) and two["agreed"] == "process 0"


def test_synchronised_batch_norm_is_refused_on_cpus(two):
    assert "sync_batch_norm needs GPUs" in two["sync"]


def test_one_process_alone():
    world = distributed.world()
    assert (world.rank, world.size, world.first) == (0, 1, True)
    values = torch.tensor([1.0])
    assert world.total(values) is values and world.agree(lambda: 3) == 3 and world.share(5) == slice(0, 5)
    with distributed.joined("cuda") as again:
        assert again == world
    model = network("batch")
    with distributed.spread(model, sync_batch_norm=True) as same_model:
        assert same_model is model


@pytest.mark.parametrize("n", [0, 1, 5, 8, 23])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_shares_hold_every_image_once(n, size):
    shares = [range(n)[distributed.World(rank, size).share(n)] for rank in range(size)]
    assert [image for share in shares for image in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(ValueError, match="process 2 of this machine has no GPU; it has 1: --nproc_per_node=1"),
        distributed.joined("cuda"),
    ):
        pass


# --- pieces, in closed form -------------------------------------------------------------------------------------------


def test_running_statistics_are_the_mean_over_the_pieces():
    """r + m (sum_j w_j s_j - r), whatever the order: with momentum 1/2, start 0, means 1 and 3 of 6 and 2 images."""
    layer = torch.nn.BatchNorm1d(1, momentum=0.5).train()
    pieces = [torch.full((6, 1), 1.0), torch.full((2, 1), 3.0)]
    for order in (pieces, pieces[::-1]):
        layer.reset_running_stats()
        statistics = distributed.RunningStatistics(layer)
        for piece in order:
            layer(piece)
            statistics.add(len(piece) / 8)
        statistics.end(distributed.World())
        assert layer.running_mean.item() == pytest.approx(0.5 * (6 * 1 + 2 * 3) / 8)
        assert layer.running_var.item() == pytest.approx(0.5) and layer.num_batches_tracked == 1


# --- on GPUs ----------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_trains_what_a_cpu_does(precision):
    losses = []
    for device in ("cpu", "cuda"):
        model = network("batch").to(device)
        recipe = Recipe(lr=0.05, epochs=2, batch_size=8, augment="crop-flip", precision=precision)
        history = semcont.fit(model, bars(), semcont.Objective("c"), recipe, seed=0)
        losses.append([row["loss"] for row in history])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3 if precision == "float32" else 0.1)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_synchronised_batch_norm_normalises_the_whole_batch(tmp_path):
    code = """
import sys, torch, semcont
from semcont import distributed
from two_processes import bars, network
from semcont.training import Recipe
with distributed.joined("cuda") as world:
    model = network("batch").to("cuda")
    recipe = Recipe(lr=0.05, epochs=2, batch_size=8, sync_batch_norm=True)
    history = semcont.fit(model, bars(), semcont.Objective("c"), recipe, seed=0)
    assert not any(isinstance(module, torch.nn.SyncBatchNorm) for module in model.modules())
    if world.first:
        torch.save([row["loss"] for row in history], sys.argv[1])
"""
    program = tmp_path / "program.py"
    program.write_text(f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{code}", encoding="utf-8")
    started(str(program), str(tmp_path / "losses.pt"))
    model = network("batch").to("cuda")
    whole = semcont.fit(model, bars(), semcont.Objective("c"), Recipe(lr=0.05, epochs=2, batch_size=8), seed=0)
    assert torch.load(tmp_path / "losses.pt") == pytest.approx([row["loss"] for row in whole], rel=1e-3)
