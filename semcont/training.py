"""One training loop for every arm and any number of devices. Files are the caller's: callbacks save and resume."""

from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy

import torch
from torch import Generator, Tensor, nn

from . import distributed
from .datasets import ImageSet, Stream
from .feed import Feed, Piece, generator_for
from .losses import Objective, Terms
from .recipe import Recipe, optimizer_of, option, schedule_of

__all__ = ["RECIPE", "Recipe", "TrainingError", "fit", "generator_for", "option", "train_step"]

RECIPE = 1
"""Raised whenever the same settings give other weights: it is part of every run's key."""

_ALONE = distributed.World()
_LOOK = 32  # steps between looks at the loss: on an accelerator each look is a synchronisation


class TrainingError(RuntimeError):
    """Training cannot go on; the message names arm, epoch and step."""


def train_step(
    model: nn.Module, objective: Objective, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, generator: Generator
) -> Terms:
    """One update on one batch; returns the objective's terms before the update, detached."""
    return _update(model, objective, optimizer, [Piece(x, y, generator)])[0]


def fit(
    model: nn.Module,
    data: ImageSet | Stream,
    objective: Objective,
    recipe: Recipe,
    *,
    seed: int,
    resume: dict | None = None,
    on_epoch: Callable[[dict], None] | None = None,
    monitor: Callable[[nn.Module], dict[str, float]] | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place on `data` and return a row per epoch: loss, its terms, accuracy, lr, what `monitor` gives.

    An `ImageSet` stays on the model's device as uint8; a `Stream` comes batch by batch. Within `distributed.joined` all
    processes call `fit` alike, and each takes its share of every batch: without BatchNorm the weights are those of one
    process up to rounding, with BatchNorm those of one process with as many pieces (`Recipe.accumulate`).

    `on_epoch` is handed a copy of the state after each epoch: {"epoch", "model", "optimizer", "schedule", "history",
    "processes"}; the same dict as `resume` continues after that epoch, to the same weights, bit for bit, as without
    the break. `monitor` is called in eval mode after each epoch. Raises `TrainingError` at a non-finite loss, where
    memory runs out, and for a state that another number of processes made; `ValueError` where the labels exceed the
    network's logits, or batches are too small for their pieces.
    """
    device = next(model.parameters()).device
    data = data.to(device)
    _check_classes(model, data, device)
    feed = Feed(data, recipe, seed, distributed.world())
    optimizer = optimizer_of(recipe, model)
    schedule = schedule_of(recipe, optimizer, feed.steps)
    history: list[dict[str, float]] = []
    start = 0
    if resume is not None:
        _check_processes(resume, feed.world)
        model.load_state_dict(resume["model"])
        optimizer.load_state_dict(deepcopy(resume["optimizer"]))  # which would go on to change the caller's tensors
        schedule.load_state_dict(resume["schedule"])
        history, start = list(resume["history"]), resume["epoch"]
    options = {"sync_batch_norm": recipe.sync_batch_norm, "compiled": recipe.compile}
    with distributed.spread(model, **options) as network:
        for epoch in range(start, recipe.epochs):
            row = _epoch(network, feed, objective, optimizer, schedule, epoch)
            if monitor is not None:
                model.eval()
                row |= monitor(model)
            history.append({"epoch": epoch + 1} | row)
            if on_epoch is not None:
                state = {"epoch": epoch + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
                state |= {"schedule": schedule.state_dict(), "history": history, "processes": feed.world.size}
                on_epoch(deepcopy(state))
    model.eval()
    return history


@torch.no_grad()
def _check_classes(model: nn.Module, data: ImageSet | Stream, device: torch.device) -> None:
    blank = torch.zeros(1, *data.shape, device=device)  # no picture: the first file of a stream may be corrupt
    classes = model.eval()(blank).shape[1]
    if int(data.labels.max()) >= classes:
        raise ValueError(f"labels must lie in 0..{classes - 1}; the largest is {int(data.labels.max())}")


def _check_processes(state: dict, world: distributed.World) -> None:
    begun = state.get("processes", 1)
    if begun != world.size:
        raise TrainingError(
            f"this run was begun with {begun} processes and cannot go on with {world.size} to the same "
            f"weights: use torchrun --nproc_per_node={begun}, or delete its folder to begin anew"
        )


# --- an epoch ---------------------------------------------------------------------------------------------------------


def _epoch(network, feed: Feed, objective, optimizer, schedule, epoch: int) -> dict[str, float]:
    stream = "attack" if objective.arm.perturbation == "pgd" else "perturbation"
    seen = _Seen(feed.world)
    lr = schedule.get_last_lr()[0]
    for step, pieces in enumerate(feed.epoch(epoch, stream)):
        try:
            terms = _update(network, objective, optimizer, pieces, feed.world, feed.recipe.precision)
        except (RuntimeError, MemoryError) as error:
            if not _no_memory(error):
                raise
            raise TrainingError(
                f"no memory left on {feed.data.device} for arm {objective.name!r} at epoch {epoch + 1}, "
                f"step {step + 1}, with {len(pieces[0].x)} images at a time; accumulate={2 * feed.recipe.accumulate} "
                "takes the same batch in pieces of half the size"
            ) from None
        schedule.step()
        seen.add(pieces, terms)
        if step % _LOOK == _LOOK - 1 or step == feed.steps - 1:
            _check_finite(seen.pool(), objective, epoch)
    return seen.means() | {"lr": lr}


def _update(network, objective, optimizer, pieces: list[Piece], world=_ALONE, precision="float32") -> list[Terms]:
    """One update on the batch that all processes' pieces make up; the terms of each piece before it, detached."""
    network.train()
    optimizer.zero_grad(set_to_none=True)
    statistics = distributed.RunningStatistics(network) if world.size * len(pieces) > 1 else None
    found = []
    for piece in pieces:
        half = torch.autocast(piece.x.device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()
        with nullcontext() if piece is pieces[-1] else distributed.withheld(network):
            with half:
                terms = objective(network, piece.x, piece.y, piece.source)
            # gradients add up over the pieces and are then averaged over the processes
            (terms.loss * (piece.weight * world.size)).backward()
        found.append(Terms(*(None if value is None else value.detach() for value in terms)))
        if statistics is not None:
            statistics.add(piece.weight)
    if statistics is not None:
        statistics.end(world)
    optimizer.step()
    return found


class _Seen:
    """The terms of each step of an epoch, over the whole batch."""

    def __init__(self, world: distributed.World) -> None:
        self.world = world
        self.recent: dict[str, list[Tensor]] = {}
        self.pooled: dict[str, list[Tensor]] = {}

    def add(self, pieces: list[Piece], terms: list[Terms]) -> None:
        for name in ("loss", "ce", "ce_prime", "distance"):
            if getattr(terms[0], name) is not None:
                self._note(name, [getattr(t, name) for t in terms], pieces)
        if terms[0].logits is not None:
            right = [(t.logits.argmax(1) == piece.y).float().mean() for t, piece in zip(terms, pieces, strict=True)]
            self._note("accuracy", right, pieces)

    def _note(self, name: str, values: list[Tensor], pieces: list[Piece]) -> None:
        batch = sum(value * piece.weight for value, piece in zip(values, pieces, strict=True))
        self.recent.setdefault(name, []).append(batch)

    def pool(self) -> Tensor:
        """Add up what the processes saw since the last time; the losses (steps,) of the epoch so far."""
        for name, values in self.recent.items():
            self.pooled.setdefault(name, []).append(self.world.total(torch.stack(values)))
        self.recent = {}
        return torch.cat(self.pooled["loss"])

    def means(self) -> dict[str, float]:
        return {name: torch.cat(values).mean().item() for name, values in self.pooled.items()}


def _check_finite(losses: Tensor, objective: Objective, epoch: int) -> None:
    finite = losses.isfinite()
    if not bool(finite.all()):
        step = int((~finite).nonzero()[0]) + 1
        raise TrainingError(
            f"the loss of arm {objective.name!r} is not finite at epoch {epoch + 1}, step {step}; "
            "try a lower lr or a smaller weight of the constraint"
        )


def _no_memory(error: Exception) -> bool:
    said = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "out of memory" in said or "allocate memory" in said or "not enough memory" in said  # torch on CPUs
    )
