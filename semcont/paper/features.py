"""Section 4.3: what networks still recognise once meaning is destroyed (Figs. 5 to 10), and what PhotoDigits adds.

Three destructions keep an image's pixels and take its meaning: channels shifted apart, the centre scrambled, tiles
shuffled. Accuracy alone cannot say who "uses semantic features", because a network that is worse everywhere is worse
here too; retention, (accuracy - chance) / (clean accuracy - chance), takes that out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from ..datasets import ImageSet
from ..perturbations import shuffle_center, shuffle_tiles, translate_rgb
from . import statistics, store
from .arrays import groups_of, numpy_of
from .continuity import direction, pairs, seeds
from .measurements import measurement
from .runs import Run, predict


@dataclass(frozen=True)
class Destruction:
    """One destruction: how it is done, its `intact` level and the paper's levels, what a level is, and its noun."""

    apply: Callable[[Tensor, float, Generator], Tensor]
    intact: float
    levels: tuple[float, ...]
    label: Callable[[float], str]
    noun: str


def _translate(x: Tensor, level: float, generator: Generator) -> Tensor:
    return translate_rgb(x, round(x.shape[3] * level))


DESTRUCTIONS = {
    "translated": Destruction(
        _translate, 0, (1 / 32, 1 / 16, 1 / 8, 1 / 4), lambda level: f"1/{1 / level:g}", "shifted channels"
    ),
    "centre": Destruction(
        shuffle_center, 0, (0.25, 0.5, 0.75, 1.0), lambda level: f"{100 * level:g} %", "scrambled centres"
    ),
    "tiles": Destruction(
        lambda x, level, generator: shuffle_tiles(x, int(level), generator),
        1,
        (2, 4, 8),
        lambda level: f"{level:g} × {level:g}",
        "shuffled tiles",
    ),
}
"""Sections 4.3.1 to 4.3.3: levels are N as a share of the side, the share of the area, and tiles a side."""


def level_label(kind: str, level: float) -> str:
    """A level as the paper writes it: 1/32, 25 %, 4 × 4; "original" for the intact image."""
    destruction = DESTRUCTIONS[kind]
    return "original" if level == destruction.intact else destruction.label(level)


def destroyed(images: ImageSet, kind: str, level: float) -> Float[Tensor, "n 3 h w"]:
    """The images of a set with their meaning destroyed.

    What is random is drawn from a generator that the images, the kind and the level seed, so that every arm and every
    seed of training is measured on the very same pictures, and the examples shown are among them.
    """
    seed = int(store.digest([images.fingerprint, kind, level], 15), 16)
    destruction, x = DESTRUCTIONS[kind], images.float()
    return x if level == destruction.intact else destruction.apply(x, level, Generator().manual_seed(seed))


def examples(images: ImageSet, kind: str, rows: int = 4) -> Float[Tensor, "rows levels 3 h w"]:
    """Figs. 5, 7, 9: the first image of each of the first `rows` classes, intact and then at each level."""
    chosen = [int((images.labels == label).nonzero()[0]) for label in images.labels.unique()[:rows]]
    destruction = DESTRUCTIONS[kind]
    return torch.stack(
        [destroyed(images, kind, level)[chosen] for level in (destruction.intact, *destruction.levels)], 1
    )


# --- what is measured -------------------------------------------------------------------------------------------------


@measurement()
def on_destroyed(run: Run, *, kind: str, images: int | None = None) -> pd.DataFrame:
    """Figs. 6, 8, 10: accuracy and retention on the test images, intact and destroyed at the paper's levels.

    `kind` is "translated", "centre" or "tiles"; `images` takes the first so many. Columns level, measure ("accuracy" or
    "retention"), value, n, low, high, chance; intervals by bootstrap over glyphs.
    """
    data = run.images("test").select(slice(images))
    network, labels, groups = run.model(), data.labels, groups_of(data)
    destruction, chance = DESTRUCTIONS[kind], 1 / len(data.classes)
    clean, rows = None, []
    for level in (destruction.intact, *destruction.levels):
        correct = numpy_of(predict(network, destroyed(data, kind, level)).argmax(1) == labels)
        clean = correct if clean is None else clean
        accuracy = statistics.accuracy(correct, groups)
        measures = {
            "accuracy": {"value": accuracy.pop("accuracy"), **accuracy},
            "retention": retention(correct, clean, chance, groups),
        }
        rows += [{"level": float(level), "measure": name, **row, "chance": chance} for name, row in measures.items()]
    return pd.DataFrame(rows)


def retention(
    correct: np.ndarray, clean: np.ndarray, chance: float, groups: np.ndarray | None = None
) -> dict[str, float]:
    """{"value", "n", "low", "high"} of (accuracy - chance) / (clean accuracy - chance); 1 keeps all, 0 is guessing.

    `correct` and `clean` (n,) are the right answers on the destroyed and the intact images, resampled together. NaN
    where the network is no better than chance on intact images, so that it has nothing to retain; the bounds are NaN
    where some resample is.
    """

    def ratio(weights: np.ndarray, right: np.ndarray) -> np.ndarray:
        mass = weights.sum(axis=1)
        above = weights @ clean / mass - chance
        return np.where(above > 0, weights @ right / mass - chance, np.nan) / np.where(above > 0, above, 1.0)

    correct, clean = np.asarray(correct, dtype=np.float64), np.asarray(clean, dtype=np.float64)
    value = float(ratio(np.ones((1, len(correct))), correct)[0])
    low, high = statistics.bootstrap(correct, groups, statistic=ratio)
    return {"value": value, "n": len(correct), "low": low, "high": high}


CUES = {
    "standard": {},
    "no cue": {"rho": 0.0},
    "conflict": {"variant": "conflict"},
    "background": {"variant": "background"},
}
"""Test sets of PhotoDigits: photographs as in training, drawn at random, of another class, and without the digit."""


@measurement()
def cues(run: Run, *, images: int | None = None) -> pd.DataFrame:
    """How much a network goes by the photograph behind the digit: PhotoDigits' test sets with that cue changed.

    Columns test (`CUES`), measure, value, n, low, high, cue. Measure "accuracy" is the share of answers that name the
    digit; on "conflict" there are two more: "follows", the share that name the class whose photograph it is, and
    "loss", the accuracy on "standard" less that on "conflict", which show the same digits. `cue` is the share of images
    whose photograph is the one of the digit's class: what a network would reach that saw nothing else. Empty for
    another data set.
    """
    rows, standard = [], np.empty(0)
    for test, options in CUES.items() if run.preset.data.name == "photodigits" else ():
        data = run.images("test", **options).select(slice(images))
        labels, context, groups = numpy_of(data.labels), numpy_of(data.context), groups_of(data)
        answers = numpy_of(predict(run.model(), data).argmax(1))
        right = (answers == labels).astype(np.float64)
        standard = right if test == "standard" else standard
        found = {"accuracy": right}
        if test == "conflict":
            found |= {"follows": (answers == context).astype(np.float64), "loss": standard - right}
        for name, values in found.items():
            summary = (statistics.mean if name == "loss" else statistics.share)(values, groups)
            row = {"test": test, "measure": name, "value": summary.pop("mean"), **summary}
            rows.append(row | {"cue": float((context == labels).mean())})
    return pd.DataFrame(rows, columns=["test", "measure", "value", "n", "low", "high", "cue"])


# --- reading the tables -----------------------------------------------------------------------------------------------


def measures(**tables: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What the ledger reads of each table of `on_destroyed`, given by its kind: accuracy and retention when destroyed.

    A measure is left out where it is not defined: the retention of networks that are no better than chance.
    """
    found = {}
    for kind, table in tables.items():
        for measure in ("accuracy", "retention"):
            rows = _of(table, kind, measure)
            if not rows.empty:
                found[f"{kind}_{measure}"] = rows
    return found


def _of(table: pd.DataFrame, kind: str, measure: str) -> pd.DataFrame:
    if table.empty:
        return table
    rows = table[(table["measure"] == measure) & (table["level"] != DESTRUCTIONS[kind].intact)]
    return rows.dropna(subset="value")


def conclusion(table: pd.DataFrame, kind: str) -> str:
    """In Markdown: are the images still recognised, and does the constraint lower accuracy and retention?"""
    destruction = DESTRUCTIONS[kind]
    accuracy = _of(table, kind, "accuracy")
    plain = accuracy[accuracy["arm"] == "base"]
    lines = []
    if len(plain):
        above = int((plain["low"] > plain["chance"]).sum())
        lines.append(f"- **Above chance**: `base` on {destruction.noun} in {above} of {len(plain)}, interval and all.")
    for name in ("accuracy", "retention"):
        rows = pairs(_of(table, kind, name), "value", ["level"])
        parts = [
            f"`{constrained}` against `{unconstrained}` {direction(pair)}"
            for (constrained, unconstrained), pair in rows.groupby(["constrained", "plain"], sort=False)
        ]
        lines.append(f"- **{name.capitalize()}**: {'; '.join(parts) or 'no pair of arms to compare'}.")
    return "\n".join([*lines, "", seeds(table)])


def describe(table: pd.DataFrame, kind: str) -> str:
    """Alt text of Figs. 6, 8 and 10."""
    intact, last = DESTRUCTIONS[kind].intact, DESTRUCTIONS[kind].levels[-1]

    def values(measure: str, level: float) -> str:
        rows = table[(table["measure"] == measure) & (table["level"] == level)]
        means = rows.groupby("arm", sort=False)["value"].mean()
        parts = (f"{arm} {'undefined' if pd.isna(mean) else f'{100 * mean:.0f} %'}" for arm, mean in means.items())
        return f"{measure} at {level_label(kind, level)}: {', '.join(parts)}"

    return (
        f"Accuracy and retention over the degree of destruction, {DESTRUCTIONS[kind].noun}, a line per arm, chance at "
        f"{100 * table['chance'].iloc[0]:.0f} %. {values('accuracy', intact)}; {values('accuracy', last)}; "
        f"{values('retention', last)}."
    )


def describe_examples(kind: str) -> str:
    """Alt text of Figs. 5, 7 and 9."""
    destruction = DESTRUCTIONS[kind]
    levels = ", ".join(level_label(kind, level) for level in destruction.levels)
    return f"Rows of test images with {destruction.noun}: the original first, then {levels}."


_MEASURE_NAMES = {"accuracy": "", "follows": ": follows the photograph", "loss": ": loss against standard"}


def cues_as_read(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `cues` for reading: one row per test set, percent with intervals, and the photograph's own share."""
    several = table.groupby("arm")["seed"].nunique().max() > 1 if len(table) else False
    rows = []
    for (test, measure), part in table.groupby(["test", "measure"], sort=False):
        name = f"{test}{_MEASURE_NAMES[measure]}"
        row = {"test set": name, "photograph names the class": f"{100 * part['cue'].mean():.0f} %"}
        for arm, own in part.groupby("arm", sort=False):
            value, low, high = (100 * own[column].mean() for column in ("value", "low", "high"))
            row[arm] = f"{value:.1f} %" if several else f"{value:.1f} % [{low:.1f}, {high:.1f}]"
        rows.append(row)
    return pd.DataFrame(rows)


def conclusion_cues(table: pd.DataFrame) -> str:
    """In Markdown: does the constraint make a network go less by the photograph, by each of three signs?"""
    if table.empty:
        return "These images do not say what is object and what is context, so nothing is measured here."
    signs = {
        "follows the photograph where it contradicts the digit": table[table["measure"] == "follows"],
        "is right on the background alone": table[(table["test"] == "background") & (table["measure"] == "accuracy")],
        "loses accuracy from the standard set to the conflict": table[table["measure"] == "loss"],
    }
    lines = []
    for sign, rows in signs.items():
        for (constrained, plain), pair in pairs(rows, "value", []).groupby(["constrained", "plain"], sort=False):
            first, second, of = pair["first"].mean(), pair["second"].mean(), len(pair)
            word = "**less** than" if first < second else "**more** than" if first > second else "**as** much as"
            less = f"less in {(pair['first'] < pair['second']).sum()} of {of} seeds; " if of > 1 else ""
            lines.append(
                f"- `{constrained}` {sign} {word} `{plain}`: {100 * first:.1f} % against {100 * second:.1f} % "
                f"({less}intervals {'apart' if pair['apart'].all() else 'overlap'})."
            )
    return "\n".join([*lines, "", seeds(table)])
