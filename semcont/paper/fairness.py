"""Section 4.7, fairness: Table 4 on ColorDigits, white digits on red grounds in training and on blue ones in the test.

The colour says nothing of the digit: the test shift is one of covariates, not a bias of the labels. A red ground is a
blue one with the first and the last channel exchanged, exactly, so every test image has a twin on the other ground.
"""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .. import perturbations
from . import directions, statistics
from . import variants as beside
from .cells import in_percent
from .directions import Direction
from .evidence import absent, evidence
from .measurements import measurement
from .presets import Preset
from .runs import Run, predict

GROUNDS = ("red", "blue")
"""The entries of ColorDigits' `context`; the first is common in training, the second in the test."""

RED_TO_BLUE = 1 / 3
"""Turns of the colour circle from the one ground to the other, by the shorter way."""

VARIANTS: dict[str, dict[str, Any]] = {
    "level 4": {"level": 4},
    "level 4, no hue": {"level": 4, "use_hue": False},
}
"""Exploratory: `c` with a P that reaches the other ground's colour, and with one as strong that turns no hue."""

HUE_ARMS = ("c", "aug")
"""The constraint, and its twin: the same images as plain augmentation."""

PAPER = (Direction("accuracy on the test split", "c", "base", "higher"),)
PAPER_GAP = (Direction("gap between the grounds", "c", "base", "lower"),)


def changes(preset: Preset) -> dict[str, Any]:
    """What the networks of this section change of the preset's training."""
    own = preset.fairness
    sizes = {"train": own.train, "val": 500, "test": own.test}
    return {"data": own.data, "rho": None, **sizes, "epochs": own.epochs, "monitor": 0, **as_drawn(preset)}


def as_drawn(preset: Preset) -> dict[str, Any]:
    """What turns off a preset's refit and augmentation: sizes are the section's own, a mirrored digit is another."""
    off = {"refit": False, "augment": "none"}
    return {name: value for name, value in off.items() if getattr(preset.training, name) != value}


def training_jobs(preset: Preset) -> list[tuple[str, int, dict[str, Any]]]:
    """Every network that the section reads: (arm, seed, changes), as `trained` takes them."""
    common, own = changes(preset), preset.fairness.seeds
    jobs = [(arm, seed, common) for arm in preset.arms for seed in range(own or preset.seeds_of(arm))]
    seeds = range(preset.seeds_of("c"))
    jobs += [("c", seed, common | variant) for variant in ({}, *VARIANTS.values()) for seed in seeds]
    seeds = range(preset.fairness.hue_seeds)
    jobs += [(arm, k, common | hue) for hue in hues(preset).values() for arm in HUE_ARMS for k in seeds]
    jobs += [(v.arm, seed, common | v.changes) for v in beside.tuned(preset) for seed in range(v.seeds)]
    return [job for k, job in enumerate(jobs) if job not in jobs[:k]]


def variants(section) -> list[Run]:
    """The runs of `c` and of its variants."""
    common = changes(section.preset)
    return [run for changed in ({}, *VARIANTS.values()) for run in section.runs(["c"], **common, **changed)]


def tuned_tables(section) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`by_ground` and `gap` of Table 4's networks at the alphas of `tuning.chosen`; empty where none is trained."""
    common, wanted = changes(section.preset), beside.tuned(section.preset)
    runs = [run for v in wanted for run in section.runs([v.arm], seeds=v.seeds, **common, **v.changes)]
    if not runs:
        return pd.DataFrame(), pd.DataFrame()
    return tuple(columns(section.measured(function, runs=runs)) for function in (by_ground, gap))


def hues(preset: Preset) -> dict[str, dict[str, Any]]:
    """What each level of `preset.fairness.hues` changes of P, by name; P's other three stay at the preset's level."""
    found = {}
    for level in preset.fairness.hues:
        as_it_is = level == (preset.constraint.hue_level or preset.constraint.level) and preset.constraint.use_hue
        name = f"hue level {level}" if level else "no hue"
        found[name] = {} if as_it_is else {"hue_level": level} if level else {"use_hue": False}
    return found


def by_hue(section) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`by_ground` and `gap` of `c` and of its twin at each level of the hue, named in `variant`; empty for no level."""
    accuracies, gaps = [pd.DataFrame()], [pd.DataFrame()]
    for name, hue in hues(section.preset).items():
        runs = section.runs(HUE_ARMS, seeds=section.preset.fairness.hue_seeds, **changes(section.preset), **hue)
        for tables, function in ((accuracies, by_ground), (gaps, gap)):
            tables.append(columns(section.measured(function, runs=runs)).assign(variant=name))
    return pd.concat(accuracies, ignore_index=True), pd.concat(gaps, ignore_index=True)


def hue_evidence(table: pd.DataFrame, gaps: pd.DataFrame) -> dict[str, Any]:
    """What the ledger reads of `by_hue`: accuracy on the test split, and the gap, of `c` and its twin at each level."""
    if table.empty:
        none = absent("this preset trains no networks at other levels of the hue (fairness.hues)")
        return {"hue_accuracy": none, "hue_gap": none}
    as_drawn = {"view": "as drawn", "ground": "all"}
    return {
        "hue_accuracy": evidence(table, "accuracy", unit="share", case="variant", **as_drawn),
        "hue_gap": evidence(gaps, "gap", unit="share", case="variant"),
    }


# --- measurements -----------------------------------------------------------------------------------------------------


@measurement(version=1)
def by_ground(run: Run) -> pd.DataFrame:
    """Accuracy on the test split: as drawn (95 % blue), and with every digit on the one ground and on the other.

    Columns: view ("as drawn", "twins"), ground ("all", "red", "blue"), variant, accuracy, n, low, high, chance.
    Intervals resample the glyphs (Wilson's where none comes twice).
    """
    data = run.images("test")
    groups, context = data.groups.cpu().numpy(), data.context.cpu().numpy()
    right = _right(run)
    drawn = right[np.arange(len(data)), context]
    rows = [("as drawn", "all", drawn, groups)]
    rows += [("as drawn", name, drawn[context == k], groups[context == k]) for k, name in enumerate(GROUNDS)]
    rows += [("twins", name, right[:, k], groups) for k, name in enumerate(GROUNDS)]
    return pd.DataFrame(
        {"view": view, "ground": ground, "variant": variant_of(run)}
        | statistics.accuracy(correct, which if len(np.unique(which)) < len(which) else None)
        for view, ground, correct, which in rows
        if len(correct)
    ).assign(chance=1 / len(data.classes))


@measurement(version=1)
def gap(run: Run) -> pd.DataFrame:
    """Accuracy on red less accuracy on blue, each over the same digits of the test split: one row.

    Above 0: worse on the ground that was rare in training. The pairs leave only the colour between the two; as drawn,
    one test image in twenty is red. Columns: variant, gap, n, low, high; the interval resamples the glyphs.
    """
    right = _right(run).astype(np.float64)
    found = statistics.mean(right[:, 0] - right[:, 1], run.images("test").groups.cpu().numpy())
    return pd.DataFrame([{"variant": variant_of(run), "gap": found.pop("mean")} | found])


def _right(run: Run) -> np.ndarray:
    """(n, 2): whether each test digit is classified correctly on a red and on a blue ground."""
    data, network = run.images("test"), run.model()
    grounds = recoloured(data.float(), data.context)
    answers = [predict(network, x).argmax(1) == data.labels for x in grounds]
    return torch.stack(answers, 1).cpu().numpy()


def recoloured(x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    """Images (n, 3, h, w) of ColorDigits, all on red and all on blue: first and last channel exchanged where needed."""
    other, drawn = x.flip(1), context.view(-1, 1, 1, 1)
    return torch.where(drawn == 0, x, other), torch.where(drawn == 1, x, other)


def variant_of(run: Run) -> str:
    """The name of a variant by the run's changes; "" for the arm itself."""
    mine = {name: value for name, value in run.changes.items() if name in ("level", "use_hue")}
    return next((name for name, changed in VARIANTS.items() if changed == mine), "")


# --- for the notebook -------------------------------------------------------------------------------------------------


def columns(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the columns in which all its networks were changed alike."""
    return table.drop(columns=[name for name in ("data", *_SAME) if name in table])


_SAME = ("train", "val", "test", "epochs", "monitor", "refit", "augment", "level", "use_hue", "hue_level", "alpha")


def samples(data, count: int = 8) -> tuple[np.ndarray, list[int]]:
    """Fig. 14: first images of a split and, last, one on its rarer ground, (count, h, w, 3); and their grounds."""
    rare = int(data.context.bincount(minlength=2).argmin())
    common = (data.context != rare).nonzero().flatten()[: count - 1]
    chosen = torch.cat([common, (data.context == rare).nonzero().flatten()[:1]])
    return data.select(chosen).float().permute(0, 2, 3, 1).cpu().numpy(), data.context[chosen].tolist()


def reach(preset: Preset) -> pd.DataFrame:
    """How far P turns the hue at each level of Table 1, and whether that takes red as far as blue.

    Columns: level, turns (to either side), reaches, trained (whether it is the preset's own level).
    """
    turns = perturbations.LEVELS["hue"]
    rows = [{"level": k, "turns": t, "reaches": t >= RED_TO_BLUE} for k, t in enumerate(turns, 1)]
    return pd.DataFrame(rows).assign(trained=lambda table: table["level"] == preset.constraint.level)


def describe_reach(table: pd.DataFrame) -> str:
    """The alt text of the colour strip."""
    far = ", ".join(f"level {row['level']} by {row['turns']:g}" for _, row in table.iterrows())
    there = table[table["reaches"]]["level"].tolist()
    return (
        "The red ground turned through the colour circle by up to half a turn either way; blue lies a third of a turn "
        f"away. A bracket for each level of P shows how far it turns the hue: {far}. "
        f"Blue is within reach at {'level ' + ', '.join(map(str, there)) if there else 'no level'}."
    )


def reach_conclusion(table: pd.DataFrame) -> str:
    """In words: whether the P that `c` was trained with can make the test's ground out of the training's."""
    own = table[table["trained"]].iloc[0]
    word = "**reaches**" if own["reaches"] else "**does not reach**"
    others = [str(level) for level in table[table["reaches"] & ~table["trained"]]["level"]]
    more = f" Level {', '.join(others)} would." if others and not own["reaches"] else ""
    turned = f"which turns the hue by up to {own['turns']:g} either way"
    return f"`c` is trained at level {own['level']}, {turned}: it {word} blue.{more}"


def beside_paper(table: pd.DataFrame, gaps: pd.DataFrame, printed: pd.DataFrame | None = None) -> pd.DataFrame:
    """Table 4 for reading: arms down; accuracies in percent, the gap in points, across; the paper's own where given."""
    shown: dict[str, dict[str, str]] = {}
    names = {("as drawn", "all"): "test split", ("twins", "red"): "all on red", ("twins", "blue"): "all on blue"}
    for key, rows in table.groupby(["arm", "variant", "view", "ground"], sort=False):
        if key[2:] in names:
            shown.setdefault(label(*key[:2]), {})[names[key[2:]]] = in_percent(rows)
    for key, rows in gaps.groupby(["arm", "variant"], sort=False):
        shown[label(*key)]["gap, points"] = in_percent(rows, "gap", "{:+.1f}")
    for _, row in () if printed is None else printed.iterrows():
        if row["arm"] in shown:
            shown[row["arm"]]["paper, test split"] = f"{row['accuracy']:.2f}"
    return pd.DataFrame.from_dict(shown, orient="index").fillna("–")


def label(arm: str, variant: str) -> str:
    """A network's name in tables: the arm, with its variant where it has one."""
    return f"{arm}, {variant}" if variant else arm


def conclusion(table: pd.DataFrame, gaps: pd.DataFrame) -> str:
    """Table 4 against the paper's direction, and whether the plain network is worse on the rare ground, as Markdown."""
    overall = table[(table["view"] == "as drawn") & (table["ground"] == "all")]
    parts = [
        directions.describe(overall, "accuracy", PAPER, percent=True),
        directions.describe(gaps, "gap", PAPER_GAP, percent=True),
        "",
    ]
    parts += [_learnt(label(*key), rows) for key, rows in gaps.groupby(["arm", "variant"], sort=False)]
    return "\n".join([*parts, "", directions.caution(table)])


def _learnt(name: str, rows: pd.DataFrame) -> str:
    """Whether one arm's networks are worse on the ground that was rare in training, by the intervals of their gaps."""
    if len(rows) > 1:
        return f"- `{name}`: {_spread(rows)}."
    row = rows.iloc[0]
    if row["low"] > 0:
        told = "it is worse on the ground that was rare in training, beyond the noise of the test images"
    elif row["high"] < 0:
        told = "it is better on the ground that was rare in training, beyond the noise of the test images"
    else:
        told = "the test images do not tell which ground it is better on"
    gap, low, high = (f"{row[which] * 100:+.1f}" for which in ("gap", "low", "high"))
    return f"- `{name}` (seed {row['seed']}): gap {gap} points [{low}, {high}]; {told}."


def _spread(rows: pd.DataFrame) -> str:
    """Mean, standard deviation and range of the gaps of several networks: one that collapses can make the mean."""
    gaps, beyond = rows["gap"] * 100, (rows["low"] > 0) | (rows["high"] < 0)
    mean = f"gap {gaps.mean():+.1f} ± {gaps.std():.1f} points, from {gaps.min():+.1f} to {gaps.max():+.1f}"
    return f"{mean}; in {beyond.sum()} of {len(rows)} networks beyond the noise of the test images"


def variants_conclusion(gaps: pd.DataFrame) -> str:
    """What reaching the other ground's colour does, as Markdown."""
    lines = [_learnt(label(*key), rows) for key, rows in gaps.groupby(["arm", "variant"], sort=False)]
    return "\n".join([*lines, "", "Exploratory: no claim of the paper is judged by it. " + directions.caution(gaps)])


def hue_conclusion(gaps: pd.DataFrame) -> str:
    """What each level of the hue does to the gap of the constraint and of plain augmentation, as Markdown."""
    if gaps.empty:
        return "This preset trains no networks at other levels of the hue (`fairness.hues`)."
    lines = [_learnt(label(arm, name), rows) for (name, arm), rows in gaps.groupby(["variant", "arm"], sort=False)]
    return "\n".join([*lines, "", "Exploratory: a stricter reading of ours. " + directions.caution(gaps)])


def describe(table: pd.DataFrame, gaps: pd.DataFrame) -> str:
    """The alt text of the figure of Table 4."""
    own, told = gaps.groupby(["arm", "variant"])["gap"].mean() * 100, []
    for (arm, variant), rows in table[table["view"] == "twins"].groupby(["arm", "variant"], sort=False):
        means = rows.groupby("ground")["accuracy"].mean() * 100
        both = f"{means['red']:.1f} on red, {means['blue']:.1f} on blue"
        told.append(f"{label(arm, variant)}: {both}, gap {own[arm, variant]:+.1f}")
    return (
        "Accuracy in percent of each network on the test digits, all of them on a red and all of them on a blue "
        "ground, a row per arm, a red and a blue mark (one network: with its 95 percent interval; several: their mean, "
        "and a dot for each); beside them the gap in points. "
        f"{'; '.join(told)}."
    )


def describe_samples(train: list[int], test: list[int]) -> str:
    """The alt text of Fig. 14 from the grounds shown."""
    shown = {"training": train, "test": test}
    rows = "; ".join(f"{name}: {', '.join(GROUNDS[k] for k in grounds)}" for name, grounds in shown.items())
    return f"White handwritten digits on coloured grounds, a row per split. {rows.capitalize()}."
