"""The audit of a section: every measurement that the preset asks for, and the tables that come of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from .. import robustness, variants
from ..arrays import groups_of
from ..claims import numbers
from ..measurements import measurement
from ..presets import Preset
from ..runs import Run, measured, predict, split_of
from . import attacks, autoattack, flags, grid
from .attacks import tested

NOISE_DRAWS = 10


@dataclass(frozen=True)
class Audited:
    """What an audit found. A table whose part the preset leaves out is empty.

    `ours`, `autoattack` and `transfer` hold a row per arm, seed and attack; `worst` what survives all of them; `checks`
    the flags; `spaces` the accuracy over the radius in two units, of the arms and of the variants of their training.
    """

    ours: pd.DataFrame
    autoattack: pd.DataFrame
    transfer: pd.DataFrame
    worst: pd.DataFrame
    checks: pd.DataFrame
    spaces: pd.DataFrame

    @property
    def everything(self) -> pd.DataFrame:
        """All attacks on all networks."""
        return joined([self.ours, self.autoattack, self.transfer])


def conduct(section) -> Audited:
    """Attack the section's networks as `preset.robustness.audit` asks; what was measured before is not measured again.

    Radius and step are the evaluation's; `section` gives the runs, as in a notebook.
    """
    runs, own = section.runs(), section.preset.robustness.audit
    full = set(section.seeds[: own.full_seeds])
    ours = joined(_ours(section, runs, full))
    parts = joined(_autoattack(section, runs, full))
    carried = joined(_carried(section, runs, full))
    found = Audited(ours, parts, carried, *[pd.DataFrame()] * 2, _spaces(section, runs))
    if found.everything.empty:
        return found
    radius = section.preset.evaluation.eps
    groups = {(run.arm, run.seed): groups_of(run.images("test")) for run in runs}
    worst = flags.worst_case(found.everything, radius, groups, own.images)
    most = max(own.images, own.grid_images, own.transfer_images)
    zero = section.measured(robustness.gradients, runs, images=most)
    random = section.measured(flags.randomness, runs, images=most)
    checks = flags.flags(found.everything, zero, random, radius, 1 / len(runs[0].record["classes"]))
    return Audited(ours, parts, carried, worst, checks, found.spaces)


def joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The tables one under the other, empty ones left out."""
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _ours(section, runs: list[Run], full: set[int]) -> Iterator[pd.DataFrame]:
    own, radius = section.preset.robustness.audit, section.preset.evaluation.eps
    for run in runs:
        for settings in attacks.planned(section.preset, len(run.record["classes"]), run.seed in full):
            yield section.measured(attacks.by_pgd, [run], **settings)
        for kind in attacks.NOISES if own.images else ():
            yield section.measured(attacks.by_noise, [run], kind=kind, eps=radius, draws=NOISE_DRAWS, images=own.images)


def _autoattack(section, runs: list[Run], full: set[int]) -> Iterator[pd.DataFrame]:
    settings = {"eps": section.preset.evaluation.eps, "effort": section.preset.robustness.audit.effort}
    for run in runs:
        for chain in autoattack.chains(section.preset, len(run.record["classes"]), run.seed in full):
            yield section.measured(autoattack.by_part, [run], chain=chain, **settings)


def _carried(section, runs: list[Run], full: set[int]) -> Iterator[pd.DataFrame]:
    own, pgd = section.preset.robustness.audit, section.preset.evaluation
    long = {"eps": pgd.eps, "step_size": pgd.step_size * pgd.steps / own.steps, "steps": own.steps}
    for run in runs if own.transfer_images else ():
        targets = attacks.targets_of(run, runs)
        if run.seed in full and targets:
            yield section.measured(attacks.carried, [run], targets=targets, images=own.transfer_images, **long)


def _spaces(section, runs: list[Run]) -> pd.DataFrame:
    """The arms, and the variants of their training, over the radius in both units, with the paper's numbers."""
    own, pgd = section.preset.robustness, section.preset.evaluation
    settings = {"eps": list(own.eps), "steps": pgd.steps, "relative_step": pgd.step_size / pgd.eps}
    if not own.audit.eps_images:
        return pd.DataFrame()
    tables = []
    for training, mine in [(grid.AS_ARMS, runs), *grid.otherwise_trained(section).items()]:
        for space in grid.SPACES if mine else ():
            found = section.measured(grid.by_space, mine, space=space, images=own.audit.eps_images, **settings)
            tables.append(found.assign(space=space, training=training))
    return grid.nearest(joined(tables), numbers(2), section.preset.data.name)


# --- one network ------------------------------------------------------------------------------------------------------


@measurement(version=3)
def worst(run, *, pgd: list[dict], chain: list[list], eps: float, effort: float) -> pd.DataFrame:
    """Accuracy of one network in the worst case over the attacks that every network gets: one row, as `shared` asks.

    Columns: attacks (their number), clean (accuracy without an attack), accuracy, n, low, high, chance.
    """
    alive = survived(run, pgd=pgd, chain=chain, eps=eps, effort=effort)
    x, y, groups = tested(run, len(alive))
    clean = predict(run.model(), x).argmax(1) == y
    about = {"attacks": len(pgd) + len(chain), "clean": clean.double().mean().item()}
    found = attacks.row(about, torch.from_numpy(alive), groups, 0.0)
    kept = {name: value for name, value in found.items() if name not in ("alive", "seconds")}
    return pd.DataFrame([kept | {"chance": 1 / len(run.record["classes"])}])


def survived(run: Run, *, pgd: list[dict], chain: list[list], eps: float, effort: float) -> np.ndarray:
    """Which of the audit's first test images survive all the attacks of `shared`, bool (images,)."""
    tables = [measured(run, attacks.by_pgd, **settings) for settings in pgd]
    if chain:
        tables.append(measured(run, autoattack.by_part, chain=chain, eps=eps, effort=effort))
    return flags.left(joined(tables))


def shared(preset: Preset, images: int | None = None) -> dict[str, Any]:
    """The settings of `worst` under a preset, on its audit's images or on so many of them.

    Raises `ValueError` where the audit attacks no images.
    """
    own, classes = preset.robustness.audit, len(split_of(preset, "test").classes)
    if not own.images:
        raise ValueError(f"the preset {preset.name} has no worst case: set robustness.audit.images above 0")
    most = images or own.images
    within = [
        s | {"images": most} for s in attacks.planned(preset, classes, False) if 0 < s["eps"] <= preset.evaluation.eps
    ]
    chain = [[part, most] for part, _ in autoattack.chains(preset, classes, False)[-1]]
    return {"pgd": within, "chain": chain, "eps": preset.evaluation.eps, "effort": own.effort}


# --- networks beside the arms -----------------------------------------------------------------------------------------


def of_networks(section, runs: list[Run], images: int | None = None) -> pd.DataFrame:
    """The worst case of further networks, a row each: columns arm, seed, clean, accuracy, n, low, high, chance.

    Over the attacks that the full audit makes on every network, on its images or so many of them; under a preset
    without one, over the short audit's on `robustness.audit_images`.
    """
    preset, own = section.preset, section.preset.robustness
    if own.audit.images:
        return section.measured(worst, runs, **shared(preset, images))
    short = {"attacks": robustness.audit(preset), "images": own.audit_images, "within": preset.evaluation.eps}
    table = section.measured(robustness.by_attack, runs, **short)
    clean = table[table["attack"] == "none"].set_index(["arm", "seed"])["accuracy"].rename("clean")
    return table[table["attack"] == "all"].join(clean, on=["arm", "seed"])


def of_variants(section, wanted: list[variants.Variant]) -> pd.DataFrame:
    """`of_networks` on `robustness.audit_images` test images, with a column `variant`."""
    images = section.preset.robustness.audit_images
    return pd.concat(
        [of_networks(section, runs, images).assign(variant=v.name) for v, runs in variants.networks(section, wanted)]
    )
