"""Attacks of ours: PGD over steps, restarts and losses, noise of the same norm, and images carried from arm to arm."""

from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor

from ... import attacks
from .. import statistics
from ..arrays import groups_of
from ..measurements import measurement
from ..presets import Preset
from ..runs import Run, predict, trained
from ..strict import SettingsError

NOISES = ("uniform", "gaussian")
COLUMNS = ["arm", "seed", "attack", "family", "loss", "steps", "restarts", "eps", "accuracy", "n", "low", "high"]
"""Of the published table, in which a row is an arm, a seed and an attack; eps in 1/255."""


def tested(run, images: int | None) -> tuple[Tensor, Tensor, np.ndarray | None]:
    """The first `images` test images (n, 3, h, w), their labels, and what a bootstrap resamples."""
    data = run.images("test").select(slice(images))
    return data.float().contiguous(memory_format=torch.channels_last), data.labels, groups_of(data)


def row(about: dict[str, Any], alive: Tensor, groups: np.ndarray | None, seconds: float) -> dict[str, Any]:
    """One attack on one network: its accuracy with an interval, and each image's fate."""
    alive = alive.cpu().numpy()
    return about | statistics.accuracy(alive, groups) | {"seconds": seconds, "alive": alive.tolist()}


# --- PGD --------------------------------------------------------------------------------------------------------------


@measurement(version=2)
def by_pgd(
    run,
    *,
    loss: str,
    steps: int,
    restarts: list[int],
    eps: float,
    step_size: float,
    images: int,
    criterion: str = "any",
    name: str = "",
) -> pd.DataFrame:
    """Accuracy under PGD within eps, in 1/255 as step_size is: a row for each number of `restarts`, from one run.

    An image that a restart breaks leaves the batch, so the rows with fewer restarts cost nothing more; `seconds` is the
    time of all. `name` replaces the attack's own, e.g. `ce-50x10`.
    """
    x, y, groups = tested(run, images)
    settings = {"eps": eps / 255, "step_size": step_size / 255, "steps": steps, "loss": loss, "criterion": criterion}
    began = perf_counter()
    withstood = attacks.withstood(run.model(), x, y, restarts=max(restarts), seed=run.seed, **settings)
    seconds = perf_counter() - began
    about = {"family": "pgd", "loss": loss, "steps": steps, "eps": eps}
    rows = [
        row({"attack": name or f"{loss}-{steps}x{r}", "restarts": r} | about, withstood >= r, groups, seconds)
        for r in restarts
    ]
    return pd.DataFrame(rows)


def planned(preset: Preset, classes: int, full: bool) -> list[dict[str, Any]]:
    """The settings of `by_pgd` that a network gets; `full` on the seeds that get the grid.

    First no attack, Table 2's, and Table 2's at the far radius, then Table 2's with every step judged and the long
    ones, which are compared with it, then the grid. The longer an attack, the shorter its steps, so that its path keeps
    the length of Table 2's: 2.5 radii where the paper's numbers hold. DLR needs three classes. What is also in the grid
    is run once, on its own images.
    """
    own, pgd = preset.robustness.audit, preset.evaluation
    path = pgd.step_size * pgd.steps
    if not own.images and not (full and own.grid_images):
        return []

    def settings(loss: str, steps: int, restarts: list[int], images: int) -> dict[str, Any]:
        return {"loss": loss, "steps": steps, "restarts": restarts, "eps": pgd.eps, "step_size": path / steps} | {
            "images": images
        }

    most = max(own.images, own.grid_images if full else 0)
    table2 = settings("ce", pgd.steps, [1], most) | {"criterion": "final", "name": f"pgd-{pgd.steps}"}
    clean = {"loss": "ce", "steps": 0, "restarts": [1], "eps": 0.0, "step_size": 0.0, "images": most, "name": "none"}
    far = {"eps": own.far, "step_size": own.far / 4, "name": f"pgd-{pgd.steps} at {own.far:g}/255"}
    found = [clean, table2, table2 | far]
    if own.images:
        long = [(loss, own.steps, own.restarts) for loss in ("ce", "margin")]
        shapes = dict.fromkeys([("ce", pgd.steps, 1), *long])  # once, where they are as long as Table 2's
        found += [settings(loss, steps, [restarts], own.images) for loss, steps, restarts in shapes]
    if full and own.grid_images:
        losses = [loss for loss in own.grid_losses if loss != "dlr" or classes >= 3]
        known = {(s["loss"], s["steps"], r) for s in found[3:] for r in s["restarts"]}
        for steps, loss in product(own.grid_steps, losses):
            restarts = [r for r in own.grid_restarts if (loss, steps, r) not in known]
            found += [settings(loss, steps, restarts, own.grid_images)] if restarts else []
    return found


# --- noise ------------------------------------------------------------------------------------------------------------


@measurement(version=2)
def by_noise(run, *, kind: str, eps: float, draws: int, images: int) -> pd.DataFrame:
    """Accuracy where an image has to be right in each of `draws` noisy copies, of norm eps in 1/255: one row.

    Uniform noise fills the ball, Gaussian noise is rescaled image by image, so that its largest value is eps.
    """
    x, y, groups = tested(run, images)
    network, generator = run.model(), run.generator(f"noise, {kind}")
    began, alive = perf_counter(), torch.ones(len(x), dtype=torch.bool, device=x.device)
    for _ in range(draws):
        alive &= predict(network, noisy(x, kind, eps / 255, generator)).argmax(1) == y
    about = {"attack": kind, "family": "noise", "loss": "none", "steps": 0, "restarts": draws, "eps": eps}
    return pd.DataFrame([row(about, alive, groups, perf_counter() - began)])


def noisy(x: Tensor, kind: str, eps: float, generator: Generator) -> Tensor:
    """x (n, 3, h, w) plus noise of L-inf norm eps, within [0, 1]; see `by_noise`."""
    if kind not in NOISES:
        raise SettingsError(f"there is no noise {kind!r}, only {' and '.join(NOISES)}")
    if kind == "uniform":
        noise = 2 * torch.rand(x.shape, generator=generator) - 1
    else:
        noise = torch.randn(x.shape, generator=generator)
        noise /= noise.flatten(1).abs().amax(1).view(-1, 1, 1, 1)
    return (x + eps * noise.to(x)).clamp(0, 1)


# --- from arm to arm --------------------------------------------------------------------------------------------------


@measurement(version=2)
def carried(
    run, *, targets: dict[str, str], eps: float, step_size: float, steps: int, images: int, loss: str = "margin"
) -> pd.DataFrame:
    """Accuracy of other networks on images that PGD made against this one: a row for each of `targets`, arm: key.

    Columns besides: source, this run's arm; arm is the target's. The targets have this run's preset and seed. A key
    names the very network, so that another one is measured anew; raises `SettingsError` where the store holds another.
    """
    x, y, groups = tested(run, images)
    network, generator = run.model(), run.generator("carried")
    settings = {"eps": eps / 255, "step_size": step_size / 255, "steps": steps, "loss": loss, "generator": generator}
    began = perf_counter()
    adv = torch.cat([attacks.pgd(network, a, b, **settings) for a, b in zip(x.split(256), y.split(256), strict=True)])
    seconds, rows = perf_counter() - began, []
    for arm, key in targets.items():
        target = trained(run.preset, arm, run.seed, device=run.device)
        if target.key != key:
            raise SettingsError(f"{arm} under {run.preset.name}, seed {run.seed} is {target.key}, not {key}")
        alive = predict(target.model(), adv).argmax(1) == y
        about = {"arm": arm, "source": run.arm, "attack": f"from {run.arm}", "family": "transfer", "eps": eps}
        rows.append(row(about, alive, groups, seconds))
    return pd.DataFrame(rows)


def targets_of(run: Run, runs: list[Run]) -> dict[str, str]:
    """The networks of the same seed as `carried` takes them, this one left out."""
    return {other.arm: other.key for other in runs if other.seed == run.seed and other.arm != run.arm}
