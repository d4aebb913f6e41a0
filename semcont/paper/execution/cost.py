"""What a preset costs: floating-point operations counted on its own network, and the hours that these take.

A multiplication with its addition counts as two operations. Convolutions and matrix products are counted, which is
nearly all; what is measured after training is not.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ... import datasets, losses, models, training
from .. import devices, paths, runs, store
from ..presets import Model, Preset, load_preset
from ..publishing.readme import replace_block
from . import graph

RATES = {"one core": 40e9, "one GPU": 30e12, "eight GPUs": 8 * 30e12}
"""Operations per second that training is taken to sustain: the stated rates of the estimates.

A core: about what the slim networks reach on one core of a server. A GPU: about a tenth of what an A100's data sheet
gives for dense bfloat16 (312e12), because small images, short attack steps and loading leave it idle. Eight GPUs: eight
times one, the best case. `semcont cost --here` measures in place of stating.
"""

SMALL = 100e6
"""Operations of a forward pass below which a GPU waits for its orders, so that its rate says nothing."""

_PHOTOGRAPHS = {"imagenette": (224, 10), "imagenet": (224, 1000)}
_SHAPES = {"cifar100": (32, 100)} | _PHOTOGRAPHS  # pixels per side, classes; of all others (32, 10)


class PerImage(NamedTuple):
    """Operations for one image."""

    forward: float  # logits
    update: float  # logits, and the gradient with respect to the weights
    step: float  # logits, and the gradient with respect to the image: a step of an attack


class Cost(NamedTuple):
    """A preset's training: one forward pass of one image, how many networks, the dearest of them, all of them."""

    preset: Preset
    forward: float
    networks: int
    longest: float
    total: float


def per_image(network: nn.Module, size: int) -> PerImage:
    """Operations of `network` in training for one image of size x size pixels, as PyTorch counts them.

    Counted on a copy on the meta device, where nothing is computed; the network itself is left alone.
    """
    network = deepcopy(network).to("meta").train()
    x = torch.zeros(2, 3, size, size, device="meta")  # two, because BatchNorm refuses a single position

    def counted(call: Callable[[], Any]) -> float:
        with FlopCounterMode(display=False) as counter:
            call()
        return counter.get_total_flops() / len(x)

    with torch.no_grad():
        forward = counted(lambda: network(x))
    update = counted(lambda: network(x).sum().backward())
    network.requires_grad_(False)
    x.requires_grad_()
    step = counted(lambda: network(x).sum().backward())
    return PerImage(forward, update, step)


def of_arm(preset: Preset, arm: str, one: PerImage) -> float:
    """Operations for one image in one epoch: the attack's steps, and an update on as many copies as the arm needs."""
    copies, steps = graph.copies_and_steps(preset, arm)
    clean = one.forward if steps and losses.ARMS[arm].attack_loss == "kl" else 0.0  # what the attack moves away from
    return copies * one.update + steps * one.step + clean


def of_preset(preset: Preset) -> Cost:
    """The cost of every network that a preset's notebooks read."""
    costs = []
    for job in graph.training_jobs(preset):
        own = job.preset(preset)
        one = of_arm(own, job.arm, _counted(own.model, shape(own)))
        costs.append(graph.images(own) * own.epochs_of(job.arm) * one)
    trained = [cost for cost in costs if cost]
    forward = _counted(preset.model, shape(preset)).forward
    return Cost(preset, forward, len(trained), max(trained, default=0.0), sum(trained))


def shape(preset: Preset) -> tuple[int, int]:
    """The pixels per side and the classes of a preset's images."""
    size, classes = _SHAPES.get(preset.data.name, (32, 10))
    return size, 1000 if preset.data.labels == "imagenet" else classes


@lru_cache
def _counted(model: Model, shape: tuple[int, int]) -> PerImage:
    return per_image(_network(model, shape[1], "meta"), shape[0])


def _network(model: Model, classes: int, device: str) -> nn.Module:
    with torch.device(device):
        return models.build(model.name, classes=classes, width=model.width, stem=model.stem, norm=model.norm)


def rate_here(preset: Preset, device: str = "auto", steps: int = 4) -> float:
    """Operations per second that this machine sustains as it trains the dearest arm of a preset, on random images."""
    device = devices.resolve(device)
    size, classes = shape(preset)
    n = steps * preset.training.batch_size
    images = torch.randint(256, (n, 3, size, size), dtype=torch.uint8)
    data = datasets.ImageSet("random", images, torch.arange(n) % classes, tuple(map(str, range(classes))))
    one = _counted(preset.model, (size, classes))
    arm = max(preset.arms, key=lambda arm: of_arm(preset, arm, one))
    recipe = replace(preset.training, epochs=1)
    with devices.threads(preset.threads):
        for attempt in range(2):  # the first one warms up
            network = _network(preset.model, classes, device)
            began = perf_counter()
            objective = runs.objective_of(preset, arm, network)
            training.fit(network, data, objective, recipe, seed=attempt)  # ends in a look at the loss
            seconds = perf_counter() - began
    return n * of_arm(preset, arm, one) / seconds


def said_here(preset: Preset) -> str:
    """A line on how long this machine would train a preset's networks, one after the other."""
    device = devices.resolve("auto")
    total, rate = of_preset(preset).total, rate_here(preset, device)
    where = f"{store.hardware(device)}, {preset.threads} threads" if device == "cpu" else store.hardware(device)
    return f"{preset.name} here ({where}): {rate / 1e9:.3g} GFLOP/s, so {duration(total / rate)} for all trainings"


# --- the table --------------------------------------------------------------------------------------------------------


def table(presets: Iterable[Preset]) -> str:
    """A Markdown table: what each preset trains, operations, estimated hours, and what was measured, cheapest first."""
    head = ["preset", "network, pixels", "networks", "a forward pass", "the longest training", "all trainings"]
    head += [f"{name} at {operations(rate)}/s" for name, rate in RATES.items()] + ["measured"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for cost in sorted(map(of_preset, presets), key=lambda cost: (cost.total, cost.forward)):
        size, _ = shape(cost.preset)
        cells = [f"`{cost.preset.name}`", f"{cost.preset.model.name}, {size} x {size}", str(cost.networks or "none")]
        cells += [operations(cost.forward), operations(cost.longest), operations(cost.total)]
        sensible = {name: "GPU" not in name or cost.forward >= SMALL for name in RATES}
        cells += [duration(cost.total / rate) if sensible[name] else "–" for name, rate in RATES.items()]
        lines.append(f"| {' | '.join([*cells, measured(cost.preset.name)])} |")
    return "\n".join(lines)


def operations(count: float) -> str:
    """ "1.2 GFLOP": three digits at most, with the unit that leaves one to three before the point."""
    if not count:
        return "–"
    for unit, scale in (("EFLOP", 1e18), ("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9), ("MFLOP", 1e6)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} FLOP"


def duration(seconds: float) -> str:
    """ "40 s", "12 min", "3.5 h", "12 days": about, as an estimate is."""
    if not seconds:
        return "–"
    for unit, scale in (("days", 48 * 3600), ("h", 3600), ("min", 60)):
        if seconds >= scale:
            value = float(f"{seconds / (86400 if unit == 'days' else scale):.2g}")
            return f"{value:,g} {unit}"
    return f"{max(seconds, 1):.0f} s"


def measured(preset: str) -> str:
    """What the records of a preset's published networks say of their training."""
    files = sorted(paths.checkpoints().glob(f"{preset}/*/record.json"))
    if not files:
        return "–"
    records = [store.read_json(file, "restore it from the repository") for file in files]
    hardware = ", ".join(sorted({record["hardware"] for record in records}))
    return f"{duration(sum(record['seconds'] for record in records))} for {len(records)} networks ({hardware})"


def every_preset() -> list[Preset]:
    """The presets that come with the project."""
    return [load_preset(file.stem) for file in sorted(paths.resource("presets/quick.yaml").parent.glob("*.yaml"))]


def page() -> Path:
    """docs/scaling.md, which holds the table."""
    return paths.root() / "docs" / "scaling.md"


def generated(text: str) -> str:
    """The page's text with its table made anew. Raises `UserError` where the block's markers are missing."""
    return replace_block(text, "cost", table(every_preset()), "docs/scaling.md")


def update() -> bool:
    """Bring docs/scaling.md in step with the presets and the published networks; whether that changed it."""
    before = page().read_text(encoding="utf-8")
    after = generated(before)
    if after != before:
        store.write_text(page(), after)
    return after != before
