"""Costs: closed forms for a tiny network, the real update counted beside them, and the page that shows them."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from semcont import losses, models, training
from semcont.paper import paths, runs, store
from semcont.paper.execution import cost, graph
from semcont.paper.presets import load_preset

SIZE, CHANNELS, CLASSES = 8, 5, 3
CONVOLUTION = 2 * SIZE**2 * CHANNELS * 3 * 9  # 3x3, padded: one product per output, input channel and tap
LINEAR = 2 * CHANNELS * SIZE**2 * CLASSES


@pytest.fixture
def tiny():
    return nn.Sequential(
        nn.Conv2d(3, CHANNELS, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(CHANNELS * SIZE**2, CLASSES)
    )


def test_a_convolution_and_a_linear_layer_cost_their_closed_forms(tiny):
    found = cost.per_image(tiny, SIZE)
    assert found.forward == CONVOLUTION + LINEAR
    # weights: each layer's once more, and the linear layer's input, which leads to the convolution
    assert found.update == found.forward + CONVOLUTION + 2 * LINEAR
    assert found.step == 2 * found.forward  # the image alone: each layer's input once
    assert all(w.requires_grad and w.grad is None and w.device.type == "cpu" for w in tiny.parameters())


def test_width_enters_squared_and_the_side_of_an_image_squared():
    of = lambda width, size: cost.per_image(models.build("resnet18", classes=10, width=width), size).forward  # noqa: E731
    assert 3.8 < of(16, 32) / of(8, 32) < 4  # but for the stem, whose input stays at three channels
    assert of(8, 64) / of(8, 32) == pytest.approx(4, rel=0.001)  # but for the head


class Counter(TorchDispatchMode):
    """Counts operations of attacks, too: PyTorch's own counter hooks the modules, which autograd.grad does not bear."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


@pytest.mark.parametrize("arm", losses.ARMS)
def test_an_arms_cost_is_that_of_its_real_update(arm):
    preset = load_preset("smoke")
    preset = replace(preset, attack=replace(preset.attack, steps=3))
    network = models.build("resnet18-slim3", classes=10, width=4, stem="cifar-stride2")
    expected = cost.of_arm(preset, arm, cost.per_image(network, 16))
    x, y = torch.rand(6, 3, 16, 16), torch.arange(6)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    with Counter() as counter:
        training.train_step(network, runs.objective_of(preset, arm), optimizer, x, y, generator)
    assert counter.total / len(x) == pytest.approx(expected, rel=1e-12)


def test_a_presets_cost_is_the_sum_over_its_networks():
    preset = load_preset("smoke")
    found = cost.of_preset(preset)
    jobs = graph.training_jobs(preset)
    one = cost.per_image(models.build("resnet18-slim3", classes=10, width=8, stem="cifar-stride2"), 32)
    assert found.networks == len(jobs) and found.forward == one.forward
    base = preset.data.train * preset.training.epochs * one.update
    assert found.longest > 2 * base and found.total > found.longest
    longer = cost.of_preset(replace(preset, training=replace(preset.training, epochs=2)))
    arms = [job for job in jobs if dict(job.changes).get("epochs") is None]
    assert 0 < len(arms) < len(jobs) and found.total < longer.total < 2 * found.total


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "–"), (999, "999 FLOP"), (1.234e6, "1.23 MFLOP"), (8.178e9, "8.18 GFLOP"), (2e17, "200 PFLOP")],
)
def test_operations_are_told_in_three_digits(count, said):
    assert cost.operations(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "–"), (0.2, "1 s"), (59, "59 s"), (600, "10 min"), (5400, "1.5 h"), (864000, "10 days"), (1e8, "1,200 days")],
)
def test_estimates_are_told_roughly(seconds, said):
    assert cost.duration(seconds) == said


def test_what_was_measured_comes_from_the_records(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCONT_CHECKPOINTS", str(tmp_path))
    assert cost.measured("quick") == "–"
    for name, seconds in (("a", 3600), ("b", 7200)):
        store.write_json(tmp_path / "quick" / name / "record.json", {"seconds": seconds, "hardware": "a machine"})
    assert cost.measured("quick") == "3 h for 2 networks (a machine)"
    assert "3 h for 2 networks" in cost.table([load_preset("quick")])


def test_a_rate_is_measured_by_training(monkeypatch):
    preset = load_preset("smoke")
    assert 1e6 < cost.rate_here(preset, "cpu", steps=1) < 1e14


def test_the_page_is_in_step_with_the_presets():
    text = cost.page().read_text(encoding="utf-8")
    assert text == cost.generated(text), "docs/scaling.md is not in step: run `semcont cost --write`"
    assert all(f"| `{preset.name}` |" in text for preset in cost.every_preset())
    with pytest.raises(paths.UserError, match="docs/scaling.md has no block"):
        cost.generated("no markers")
