"""How to optimise, as data: every setting of training that is not the objective's."""

import math
from dataclasses import dataclass, field

import torch
from torch import nn

from ._checks import check_choice

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "step", "one-cycle")
AUGMENTATIONS = ("none", "crop-flip")
PRECISIONS = ("float32", "bfloat16")


def option(default):
    """A setting that is off at its default: a run is named by it only where it is on, so that a new option leaves the
    names of the runs before it alone."""
    return field(default=default, metadata={"option": True})


@dataclass(frozen=True)
class Recipe:
    """How to optimise. `lr` is the peak of the schedule, `batch_size` counts the images of all processes together.

    Schedules: "constant"; "cosine" to 0; "step" divides by 10 after 1/2 and 3/4 of the epochs; "one-cycle" rises
    linearly over `warmup` (share of all steps) and falls along a cosine. `epochs` 0 leaves the network as it is.

    `augment` "crop-flip" trains on `semcont.augmentation.crop_flip` of each image, anew in each epoch (on streamed sets
    the stream's own random resized crop and mirror image); P and the attack start from the augmented x.

    `precision` "bfloat16" runs the network under autocast in training, its attack included; weights, optimiser and
    everything that is evaluated stay float32. `compile` compiles the network (`torch.compile`).

    `accumulate` takes each process's images of a batch in that many near-equal pieces, one after the other, for one
    update. The draws of P, the attack and the augmentation are those of the whole batch, and the gradient is the whole
    batch's mean. So without BatchNorm the update is the same up to rounding. BatchNorm normalises each piece (x and x'
    of its images) by itself; its running statistics after a batch are the mean over the pieces. Several processes are
    pieces in the same way, unless `sync_batch_norm` normalises the pieces that they handle at the same time together.

    Raises `ValueError` for values out of range.
    """

    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "one-cycle"
    warmup: float = 0.25
    epochs: int = 20
    batch_size: int = 64
    augment: str = option("none")
    precision: str = option("float32")
    accumulate: int = option(1)  # pieces of a process's share of a batch
    sync_batch_norm: bool = option(False)  # on several GPUs
    compile: bool = option(False)

    def __post_init__(self) -> None:
        check_choice(self.optimizer, OPTIMIZERS, "optimizer")
        check_choice(self.schedule, SCHEDULES, "schedule")
        check_choice(self.augment, AUGMENTATIONS, "augment")
        check_choice(self.precision, PRECISIONS, "precision")
        for name, good in (
            ("lr", self.lr > 0),
            ("momentum", 0 <= self.momentum < 1),
            ("weight_decay", self.weight_decay >= 0),
            ("warmup", 0 < self.warmup < 1),
            ("epochs", self.epochs >= 0),
            ("batch_size", self.batch_size >= 2),
            ("accumulate", self.accumulate >= 1),
        ):
            if not good:
                raise ValueError(f"{name} is out of range: {getattr(self, name)!r}")


def optimizer_of(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser for every parameter that needs a gradient."""
    settings = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    parameters = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, nesterov=recipe.momentum > 0, **settings)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, **settings)


def schedule_of(recipe: Recipe, optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """The recipe's learning rate after each update; `steps` updates are an epoch."""
    schedulers = torch.optim.lr_scheduler
    total = recipe.epochs * steps
    if recipe.schedule == "one-cycle":

        def one_cycle(step: int) -> float:
            rise = max(1, round(recipe.warmup * total))
            if step < rise:
                return (step + 1) / rise
            return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))

        return schedulers.LambdaLR(optimizer, one_cycle)
    if recipe.schedule == "cosine":
        return schedulers.CosineAnnealingLR(optimizer, total)
    if recipe.schedule == "step":
        return schedulers.MultiStepLR(optimizer, [total // 2, 3 * total // 4], gamma=0.1)
    return schedulers.LambdaLR(optimizer, lambda _: 1.0)
