"""One training loop for every arm. Files are the caller's: saving and resuming are callbacks."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ._checks import check_choice
from .datasets import ImageSet
from .losses import Objective, Terms

RECIPE = 1
"""Raised whenever the same settings give other weights: it is part of every run's key."""

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "step", "one-cycle")
_STREAMS = {"weights": 0, "order": 1, "perturbation": 2, "attack": 3}


def option(default):
    """A setting that is off at its default: a run is named by it only where it is on, so that a new option leaves the
    names of the runs before it alone."""
    return field(default=default, metadata={"option": True})


class TrainingError(RuntimeError):
    """Training cannot go on; the message names arm, epoch and step."""


@dataclass(frozen=True)
class Recipe:
    """How to optimise. `lr` is the peak of the schedule; `epochs` 0 leaves the network as it is.

    Schedules: "constant"; "cosine" to 0; "step" divides by 10 after 1/2 and 3/4 of the epochs; "one-cycle" rises
    linearly over `warmup` (share of all steps) and falls along a cosine. Raises `ValueError` for values out of range.
    """

    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "one-cycle"
    warmup: float = 0.25
    epochs: int = 20
    batch_size: int = 64

    def __post_init__(self) -> None:
        check_choice(self.optimizer, OPTIMIZERS, "optimizer")
        check_choice(self.schedule, SCHEDULES, "schedule")
        for name, good in (
            ("lr", self.lr > 0),
            ("momentum", 0 <= self.momentum < 1),
            ("weight_decay", self.weight_decay >= 0),
            ("warmup", 0 < self.warmup < 1),
            ("epochs", self.epochs >= 0),
            ("batch_size", self.batch_size >= 2),
        ):
            if not good:
                raise ValueError(f"{name} is out of range: {getattr(self, name)!r}")


def generator_for(seed: int, stream: str, epoch: int = 0) -> Generator:
    """The generator of one stream ("weights", "order", "perturbation", "attack") in one epoch.

    Streams are separate, so none moves another, and begin anew each epoch, so a resumed run needs no saved state.
    """
    state = np.random.SeedSequence([seed, _STREAMS[stream], epoch]).generate_state(1, np.uint64)[0]
    return Generator().manual_seed(int(state >> np.uint64(1)))


def train_step(
    model: nn.Module, objective: Objective, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, generator: Generator
) -> Terms:
    """One update on one batch; returns the objective's terms before the update, detached."""
    model.train()
    terms = objective(model, x, y, generator)
    optimizer.zero_grad(set_to_none=True)
    terms.loss.backward()
    optimizer.step()
    return Terms(*(None if value is None else value.detach() for value in terms))


def fit(
    model: nn.Module,
    data: ImageSet,
    objective: Objective,
    recipe: Recipe,
    *,
    seed: int,
    resume: dict | None = None,
    on_epoch: Callable[[dict], None] | None = None,
    monitor: Callable[[nn.Module], dict[str, float]] | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place on `data` and return a row per epoch: loss, its terms, accuracy, lr, what `monitor` gives.

    The data stay on the model's device as uint8. `on_epoch` is handed a copy of the state after each epoch: {"epoch",
    "model", "optimizer", "schedule", "history"}; the same dict as `resume` continues after that epoch, to the same
    weights, bit for bit, as without the break. `monitor` is called in eval mode after each epoch. Raises
    `TrainingError` at a non-finite loss, and `ValueError` where the labels exceed the network's logits.
    """
    device = next(model.parameters()).device
    data = data.to(device)
    _check_classes(model, data)
    steps = math.ceil(len(data) / recipe.batch_size)
    optimizer = _optimizer(model, recipe)
    schedule = _schedule(optimizer, recipe, steps)
    history: list[dict[str, float]] = []
    start = 0
    if resume is not None:
        model.load_state_dict(resume["model"])
        optimizer.load_state_dict(deepcopy(resume["optimizer"]))  # which would go on to change the caller's tensors
        schedule.load_state_dict(resume["schedule"])
        history, start = list(resume["history"]), resume["epoch"]
    for epoch in range(start, recipe.epochs):
        row = _epoch(model, data, objective, optimizer, schedule, steps, seed, epoch)
        if monitor is not None:
            model.eval()
            row |= monitor(model)
        history.append({"epoch": epoch + 1} | row)
        if on_epoch is not None:
            state = {"epoch": epoch + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
            on_epoch(deepcopy(state | {"schedule": schedule.state_dict(), "history": history}))
    model.eval()
    return history


@torch.no_grad()
def _check_classes(model: nn.Module, data: ImageSet) -> None:
    classes = model.eval()(data.float([0])).shape[1]
    if int(data.labels.max()) >= classes:
        raise ValueError(f"labels must lie in 0..{classes - 1}; the largest is {int(data.labels.max())}")


def _epoch(model, data, objective, optimizer, schedule, steps, seed, epoch) -> dict[str, float]:
    order = torch.randperm(len(data), generator=generator_for(seed, "order", epoch)).to(data.images.device)
    stream = "attack" if objective.arm.perturbation == "pgd" else "perturbation"
    generator = generator_for(seed, stream, epoch)
    seen: dict[str, list[Tensor]] = {}
    lr = schedule.get_last_lr()[0]
    for step, rows in enumerate(order.tensor_split(steps)):  # near-equal batches: no tiny last one for BatchNorm
        x = data.float(rows).contiguous(memory_format=torch.channels_last)
        y = data.labels[rows]
        terms = train_step(model, objective, optimizer, x, y, generator)
        schedule.step()
        for name in ("loss", "ce", "ce_prime", "distance"):
            value = getattr(terms, name)
            if value is not None:
                seen.setdefault(name, []).append(value)
        if terms.logits is not None:
            seen.setdefault("accuracy", []).append((terms.logits.argmax(1) == y).float().mean())
        if step % 32 == 31 or step == steps - 1:  # rarely: on an accelerator each look is a synchronisation
            _check_finite(seen["loss"], objective, epoch)
    return {name: torch.stack(values).mean().item() for name, values in seen.items()} | {"lr": lr}


def _check_finite(losses: list[Tensor], objective: Objective, epoch: int) -> None:
    finite = torch.stack(losses).isfinite()
    if not bool(finite.all()):
        step = int((~finite).nonzero()[0]) + 1
        raise TrainingError(
            f"the loss of arm {objective.name!r} is not finite at epoch {epoch + 1}, step {step}; "
            "try a lower lr or a smaller weight of the constraint"
        )


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    settings = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    parameters = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, nesterov=recipe.momentum > 0, **settings)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, **settings)


def _schedule(optimizer, recipe: Recipe, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
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
