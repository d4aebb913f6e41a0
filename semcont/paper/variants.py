"""Networks beside the preset's arms: an arm with named changes, on seeds of its own. A preset switches each kind on.

What the notebooks measure and what the graph trains beforehand come from the same lists.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from .. import losses
from .budgets_beyond import ABLATIONS
from .measurements import Measurement
from .presets import Preset, changed
from .runs import Run, plan
from .strict import SettingsError


class Variant(NamedTuple):
    """An arm with changes to its training, on `seeds` seeds; `name` is what tables call it."""

    name: str
    arm: str
    changes: dict[str, Any]
    seeds: int
    first: int | None = None  # of the seeds; None: the study's first

    @property
    def weight(self) -> float:
        """The changed weight of the arm's third term; 0 where none is changed."""
        return self.changes.get(losses.ARMS[self.arm].weight, 0.0)


def ablations(preset: Preset) -> list[Variant]:
    """The arms of `preset.controls` with one thing changed, less what would not change their training.

    The term at zero is left out where the cross-entropy sees x' anyway: that network is the plain arm.
    """
    own, found = preset.controls, []
    for arm in own.ablated if own.seeds else ():
        for name in own.ablations:
            same = plan(changed(preset, ABLATIONS[name]), arm, 0) == plan(preset, arm, 0)
            if not same and not (name == TERM_ZERO and losses.ARMS[arm].b > 0):
                found.append(Variant(f"{arm}, {name}", arm, ABLATIONS[name], own.seeds))
    return found


TERM_ZERO = "term zero"
"""The ablation that is the control for what x' does to BatchNorm."""


def lengths(preset: Preset) -> list[Variant]:
    """The arms of `preset.lengths` at each length in epochs, each with its schedule; `doubled` and `halved` at two. Of
    `few_arms` no more seeds than the preset has of them.
    """
    own = preset.lengths
    trained_so = [(arm, n) for arm in own.arms for n in own.epochs]
    trained_so += [(arm, k * preset.epochs_of(arm)) for arm in own.doubled for k in (1, 2)]
    trained_so += [(arm, preset.epochs_of(arm) // k) for arm in own.halved for k in (2, 1)]
    each = dict.fromkeys(trained_so) if own.seeds else ()
    most = {arm: min(own.seeds, preset.seeds_of(arm)) for arm in preset.few_arms}
    return [Variant(f"{arm}, {n} epochs", arm, {"epochs": n}, most.get(arm, own.seeds)) for arm, n in each]


def contexts(preset: Preset) -> list[Variant]:
    """`base` trained on PhotoDigits' backgrounds alone; none for other data."""
    seeds = preset.features.context_seeds if preset.data.name == "photodigits" else 0
    return [Variant("background alone", "base", {"variant": "background"}, seeds)] if seeds else []


def frontier(preset: Preset) -> list[Variant]:
    """The networks of the plane of `preset.frontier`: adv+c over alpha, trades over beta, adv over eps, further arms.

    The step of adv's attack grows with its radius, so that it reaches as far.
    """
    own, attack = preset.frontier, preset.attack
    if not own.seeds:
        return []
    points = [("adv+c", _alpha(value), {"alpha": value}) for value in own.alphas]
    points += [("trades", f"beta {value:g}", {"beta": value}) for value in own.betas]
    steps = {value: attack.step_size * value / attack.eps for value in own.eps}
    points += [("adv", f"eps {value:g}", {"eps": value, "step_size": step}) for value, step in steps.items()]
    points += [(arm, "", {}) for arm in own.arms]
    return [Variant(f"{arm}, {text}" if text else arm, arm, changes, own.seeds) for arm, text, changes in points]


def stems(preset: Preset) -> list[Variant]:
    """The arms of `preset.stems` behind the preset's own stem and each of the others, as many seeds of all."""
    own = preset.stems
    names = dict.fromkeys((preset.model.stem, *own.names)) if own.names and own.seeds else ()
    return [Variant(f"{arm}, {name}", arm, {"stem": name}, own.seeds) for name in names for arm in own.arms]


def spaces(preset: Preset) -> list[Variant]:
    """The adversarial arms with their radius meant on normalised images, as `preset.robustness.audit` asks: as long as
    the arms, and for each of `spaces_epochs`.
    """
    own = preset.robustness.audit
    adversarial = [arm for arm in ("adv", "adv+c") if arm in preset.arms] if own.variant_seeds else []
    trained: dict[str, dict[str, Any]] = {}
    for space in own.spaces:
        name = f"radius in {space.replace('-', ', ')} space"
        trained[name] = {"space": space}
        trained |= {f"{name}, {n} epochs": {"space": space, "epochs": n} for n in own.spaces_epochs}
    return [Variant(name, arm, trained[name], own.variant_seeds) for name in trained for arm in adversarial]


def finetuned(preset: Preset) -> list[Variant]:
    """c and adv from `base` by the optimiser that the paper prints, as `preset.robustness.audit` asks."""
    own = preset.robustness.audit
    if not (own.finetune_epochs and own.variant_seeds):
        return []
    changes = {"start": "base", "optimizer": "adam", "lr": own.finetune_lr, "schedule": "constant"}
    changes |= {"weight_decay": 0.0, "epochs": own.finetune_epochs}
    name = f"from base, Adam {own.finetune_lr:g}"
    return [Variant(name, arm, changes, own.variant_seeds) for arm in ("c", "adv") if arm in preset.arms]


def candidates(preset: Preset) -> list[Variant]:
    """The weights that `preset.tuning` tries, each on its data and seed, and `base`, which is alpha 0; none: not tried.

    Raises `SettingsError` where these networks could be reported, or `squeeze` has no `c` to be matched with.
    """
    own = preset.tuning
    if not own.seeds or not (own.alphas or own.lambdas):
        return []
    if own.data_seed == preset.data.seed or own.seed < preset.seeds:
        raise SettingsError("tuning.data_seed and tuning.seed must be none that the study reports")
    if own.lambdas and preset.constraint.alpha not in own.alphas:
        raise SettingsError(f"tuning.alphas must hold constraint.alpha, {preset.constraint.alpha:g}, for squeeze")
    weights = [("base", {})]
    weights += [(arm, {"alpha": value}) for arm in own.chosen.by_arm() for value in own.alphas]
    weights += [("squeeze", {"squeeze": value}) for value in own.lambdas]
    same = {"data_seed": own.data_seed, "epochs": own.epochs or preset.training.epochs}
    named = [(arm, ", ".join([arm, *(f"{k} {v:g}" for k, v in weight.items())]), weight) for arm, weight in weights]
    return [Variant(name, arm, same | weight, 1, own.seed) for arm, name, weight in named]


def tuned(preset: Preset) -> list[Variant]:
    """The arms at the alphas of `preset.tuning.chosen`, otherwise trained as they are; not where the choice is open or
    is the preset's own alpha.
    """
    chosen = {arm: alpha for arm, alpha in preset.tuning.chosen.by_arm().items() if alpha is not None}
    other = {arm: alpha for arm, alpha in chosen.items() if alpha != preset.constraint.alpha}
    seeds = preset.tuning.seeds
    return [Variant(f"{arm}, alpha {a:g}", arm, {"alpha": a}, seeds) for arm, a in other.items() if seeds]


def _alpha(value: float) -> str:
    return f"alpha {value:g}"


def at_alpha(arm: str, value: float) -> str:
    """What `frontier` calls an arm at a weight of the constraint."""
    return f"{arm}, {_alpha(value)}"


def networks(section, variants: Sequence[Variant]) -> Iterator[tuple[Variant, list[Run]]]:
    """Each variant with its trained networks."""
    for v in variants:
        first = {} if v.first is None else {"first": v.first}
        yield v, section.runs([v.arm], seeds=v.seeds, **first, **v.changes)


def measured(section, variants: Sequence[Variant], function: Measurement, **settings: Any) -> pd.DataFrame:
    """The tables of `function` over all networks of the variants, named in a column `variant`; empty for none."""
    tables = [
        section.measured(function, runs, **settings).assign(variant=v.name) for v, runs in networks(section, variants)
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
