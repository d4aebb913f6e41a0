"""Whether the networks of section 4.7 were trained for long enough: the same for twice as long, on validation images.

They are not the arms as `lengths` trains them: other images, fewer of them, another number of epochs.
"""

from typing import Any

import pandas as pd

from . import bias, doubling, fairness, statistics
from .arrays import groups_of
from .measurements import measurement
from .presets import Preset
from .runs import Run, predict
from .verdicts.turning import GROUNDS, HUES, LABELS

COMPARED = ("base", "c", "aug")
"""The arms that the ledger's claims on these data compare."""

SHOWN = {
    GROUNDS: "Digits on coloured grounds",
    HUES: "The same, P's hue at other levels",
    LABELS: "Digits whose colour predicts the label",
}


def networks(preset: Preset) -> list[tuple[str, str, str, dict[str, Any]]]:
    """(data, variant, arm, changes) at the section's length and at twice that; none where the preset has no seeds."""
    own, common = preset.fairness, fairness.changes(preset)
    if not own.doubled_seeds:
        return []
    compared = [arm for arm in COMPARED if arm in preset.arms]
    wanted = [(GROUNDS, "", compared, common)]
    wanted += [(HUES, name, fairness.HUE_ARMS, common | hue) for name, hue in fairness.hues(preset).items()]
    wanted += [(LABELS, "", compared, bias.changes(preset))] if own.biased else []
    return [
        (data, variant, arm, changes | {"epochs": length})
        for data, variant, arms, changes in wanted
        for arm in arms
        for length in (changes["epochs"], 2 * changes["epochs"])
    ]


def training_jobs(preset: Preset) -> list[tuple[str, int, dict[str, Any]]]:
    """Every network that `measure` reads: (arm, seed, changes), as `trained` takes them."""
    seeds = range(preset.fairness.doubled_seeds)
    return [(arm, seed, changes) for _, _, arm, changes in networks(preset) for seed in seeds]


@measurement()
def on_validation(run: Run) -> pd.DataFrame:
    """Accuracy on the validation images, drawn as the training's: one row, columns accuracy, n, low, high."""
    data = run.images("val")
    right = (predict(run.model(), data).argmax(1) == data.labels).cpu().numpy()
    return pd.DataFrame([statistics.accuracy(right, groups_of(data))])


def measure(section) -> pd.DataFrame:
    """`on_validation` of all `networks`: columns data, variant, arm, seed, epochs, accuracy, n, low, high."""
    seeds, tables = section.preset.fairness.doubled_seeds, [pd.DataFrame()]
    for data, variant, arm, changes in networks(section.preset):
        found = section.measured(on_validation, runs=section.runs([arm], seeds=seeds, **changes))
        kept = found[["arm", "seed", "accuracy", "n", "low", "high"]]
        tables.append(kept.assign(data=data, variant=variant, epochs=changes["epochs"]))
    return pd.concat(tables, ignore_index=True)


def levelled(table: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """`doubling.levelled` of `measure`: one row per data, variant and arm, change in points."""
    return doubling.levelled(table, tolerance, ("data", "variant", "arm"))


def conclusion(levels: pd.DataFrame, tolerance: float) -> str:
    """In Markdown: which arms had levelled off on which data."""
    if levels.empty:
        return (
            "This preset trains none of these networks for longer (`fairness.doubled_seeds`), so nothing is said here."
        )
    label = levels["arm"].where(levels["variant"] == "", levels["arm"] + ", " + levels["variant"])
    return doubling.told(levels.assign(label=label), tolerance, "data", SHOWN)
