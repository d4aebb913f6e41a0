"""What a preset costs: floating-point operations counted on its own network, and the hours that these take.

A multiplication with its addition counts as two operations. Convolutions and matrix products are counted, which is
nearly all; what is measured after training is not.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .. import losses, models
from . import graph, paths, store
from .presets import Preset, changed, load_preset
from .readme import replace_block

RATES = {"one core": 40e9, "one GPU": 30e12, "eight GPUs": 8 * 30e12}
"""Operations per second that training is taken to sustain: the stated rates of the estimates.

For a core, about what `semcont cost --here` finds for the slim networks on a server's processor. For a GPU, a tenth of
the 312e12 that an A100's data sheet gives for dense bfloat16, as convolutions on small images, an attack of many short
steps and the loading leave it. Eight GPUs at eight times one: the best case.
"""

_PHOTOGRAPHS = {"imagenette": (224, 10), "imagenet": (224, 1000)}
_SHAPES = {"cifar100": (32, 100)} | _PHOTOGRAPHS  # pixels per side, classes; of all others (32, 10)


_BUILT_WITH = ("classes", "width", "stem", "norm")


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
    """Operations of `network` for one image of size x size pixels, each counted by PyTorch while it is done.

    The network may lie on the meta device, where nothing is computed. It is left in training mode.
    """
    device = next(network.parameters()).device
    x = torch.zeros(2, 3, size, size, device=device)  # two, because BatchNorm refuses a single position

    def counted(call: Callable[[], Any]) -> float:
        with FlopCounterMode(display=False) as counter:
            call()
        return counter.get_total_flops() / len(x)

    network.train()
    with torch.no_grad():
        forward = counted(lambda: network(x))
    update = counted(lambda: network(x).sum().backward())
    network.zero_grad(set_to_none=True)
    weights = [weight.requires_grad_(False) for weight in network.parameters() if weight.requires_grad]
    attacked = x.requires_grad_()
    step = counted(lambda: network(attacked).sum().backward())
    for weight in weights:
        weight.requires_grad_(True)
    return PerImage(forward, update, step)


def of_arm(preset: Preset, arm: str, one: PerImage) -> float:
    """Operations for one image in one epoch: the attack's steps, and an update on as many copies as the arm needs."""
    copies, steps = graph.copies_and_steps(preset, arm)
    clean = one.forward if steps and losses.ARMS[arm].attack_loss == "kl" else 0.0  # what the attack moves away from
    return copies * one.update + steps * one.step + clean


def of_preset(preset: Preset) -> Cost:
    """The cost of every network that a preset's notebooks read."""
    known: dict[Any, PerImage] = {}

    def of(own: Preset) -> PerImage:
        size, classes = _SHAPES.get(own.data.name, (32, 10))
        model = own.model
        settings = (model.name, classes, model.width, model.stem, model.norm)
        if (settings, size) not in known:
            with torch.device("meta"):
                network = models.build(model.name, **dict(zip(_BUILT_WITH, settings[1:], strict=True)))
            known[settings, size] = per_image(network, size)
        return known[settings, size]

    costs = []
    for job in graph.training_jobs(preset):
        own = changed(preset, dict(job.changes))
        costs.append(graph.images(own) * own.training.epochs * of_arm(own, job.arm, of(own)))
    trained = [cost for cost in costs if cost]
    return Cost(preset, of(preset).forward, len(trained), max(trained, default=0.0), sum(trained))


# --- the table --------------------------------------------------------------------------------------------------------


def table(presets: Iterable[Preset]) -> str:
    """A Markdown table: what each preset trains, operations, estimated hours, and what was measured, cheapest first."""
    head = ["preset", "network, pixels", "networks", "a forward pass", "the longest training", "all trainings"]
    head += [f"on {name}" for name in RATES] + ["measured"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for cost in sorted(map(of_preset, presets), key=lambda cost: (cost.total, cost.forward)):
        size, _ = _SHAPES.get(cost.preset.data.name, (32, 10))
        cells = [f"`{cost.preset.name}`", f"{cost.preset.model.name}, {size} x {size}", str(cost.networks or "none")]
        cells += [operations(cost.forward), operations(cost.longest), operations(cost.total)]
        cells += [duration(cost.total / rate) for rate in RATES.values()]
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
            return f"{seconds / (86400 if unit == 'days' else scale):.2g} {unit}"
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
