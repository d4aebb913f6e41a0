"""Whether the networks of section 4.7 were trained for long enough: the same for twice as long, on validation images.

They are not the arms as `lengths` trains them: other images, fewer of them, another number of epochs.
"""

from typing import Any

import numpy as np
import pandas as pd

from . import bias, fairness, statistics
from .arrays import groups_of
from .measurements import measurement
from .presets import Preset
from .runs import Run, predict
from .verdicts.turning import GROUNDS, LABELS

COMPARED = ("base", "c", "aug")
"""The arms that the ledger's claims on these data compare."""

SHOWN = {GROUNDS: "digits on coloured grounds", LABELS: "digits whose colour predicts the label"}


def networks(preset: Preset) -> list[tuple[str, str, dict[str, Any]]]:
    """(data, arm, changes) at the section's length and at twice that; none where the preset has no seeds for them."""
    own = preset.fairness
    sets = {GROUNDS: fairness.changes(preset)} | ({LABELS: bias.changes(preset)} if own.biased else {})
    arms = [arm for arm in COMPARED if arm in preset.arms] if own.doubled_seeds else []
    return [
        (data, arm, changes | {"epochs": length})
        for data, changes in sets.items()
        for arm in arms
        for length in (changes["epochs"], 2 * changes["epochs"])
    ]


def training_jobs(preset: Preset) -> list[tuple[str, int, dict[str, Any]]]:
    """Every network that `measure` reads: (arm, seed, changes), as `trained` takes them."""
    seeds = range(preset.fairness.doubled_seeds)
    return [(arm, seed, changes) for _, arm, changes in networks(preset) for seed in seeds]


@measurement()
def on_validation(run: Run) -> pd.DataFrame:
    """Accuracy on the validation images, drawn as the training's: one row, columns accuracy, n, low, high."""
    data = run.images("val")
    right = (predict(run.model(), data).argmax(1) == data.labels).cpu().numpy()
    return pd.DataFrame([statistics.accuracy(right, groups_of(data))])


def measure(section) -> pd.DataFrame:
    """`on_validation` of all `networks`: columns data, arm, seed, epochs, accuracy, n, low, high; empty without any."""
    seeds, tables = section.preset.fairness.doubled_seeds, [pd.DataFrame()]
    for data, arm, changes in networks(section.preset):
        found = section.measured(on_validation, runs=section.runs([arm], seeds=seeds, **changes))
        kept = found[["arm", "seed", "accuracy", "n", "low", "high"]]
        tables.append(kept.assign(data=data, epochs=changes["epochs"]))
    return pd.concat(tables, ignore_index=True)


def levelled(table: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Whether twice as long changes the accuracy by less than `tolerance` points, as a mean over seeds.

    One row per data and arm: columns data, arm, epochs (the section's length), seeds, change (points), levelled.
    """
    rows = []
    for (data, arm), part in table.groupby(["data", "arm"], sort=False) if len(table) else ():
        wide = part.pivot(index="seed", columns="epochs", values="accuracy")
        usual, twice = sorted(wide)
        change = float(100 * (wide[twice] - wide[usual]).mean())
        about = {"data": data, "arm": arm, "epochs": usual, "seeds": len(wide), "change": change}
        rows.append(about | {"levelled": bool(abs(change) < tolerance)})
    return pd.DataFrame(rows, columns=["data", "arm", "epochs", "seeds", "change", "levelled"])


def conclusion(levels: pd.DataFrame, tolerance: float) -> str:
    """In Markdown: which arms had levelled off on which data."""
    if levels.empty:
        return (
            "This preset trains none of these networks for longer (`fairness.doubled_seeds`), so nothing is said here."
        )
    lines = []
    for data, part in levels.groupby("data", sort=False):
        growing = part[~part["levelled"]]
        told = ", ".join(f"`{row.arm}` ({row.change:+.1f} points)" for row in growing.itertuples())
        what = (
            f"**not levelled off**: {told}" if told else "**levelled off**: " + ", ".join(f"`{a}`" for a in part["arm"])
        )
        lines.append(f"- {SHOWN[data].capitalize()}: {what}.")
    most = np.abs(levels["change"]).max()
    return "\n".join(
        [*lines, "", f"Twice as long moves an accuracy by {most:.1f} points at most; {tolerance:g} count."]
    )
