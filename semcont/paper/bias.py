"""Section 4.7 where there is a bias to cure: digits whose colour predicts the label, in the test wrongly.

The data are IRM's (`semcont.datasets.biased`). All arms are trained as they are, pooled over the two environments
(empirical risk minimisation); the grey oracle is `base` on the same images without their colour.
"""

from typing import Any

import numpy as np
import pandas as pd
import torch

from ..datasets import biased
from . import directions, fairness, statistics
from .evidence import absent, evidence
from .measurements import measurement
from .presets import Preset
from .runs import Run, predict

ORACLE = "grey oracle"
CEILING = 1 - biased.NOISE / 100
"""Accuracy of who knows every digit and never looks at the colour, in training and in the test: labels are noisy."""
COLOUR_ALONE = biased.AGREES["test"][0] / 100
"""Accuracy in the test of who looks at nothing but the colour."""

FOLLOWS = "follows the colour"
WORST = "worst group"


def changes(preset: Preset, *, grey: bool = False) -> dict[str, Any]:
    """What these networks change of the preset's training."""
    own = preset.fairness
    sizes = {"train": own.biased_train, "val": 500, "test": own.biased_test}
    name = f"{own.biased}_grey" if grey else own.biased
    return {"data": name, "rho": None, **sizes, "epochs": own.biased_epochs, "monitor": 0, **fairness.as_drawn(preset)}


def conditions(preset: Preset) -> list[tuple[str, str, int, dict[str, Any]]]:
    """Every network of this part: (variant, arm, how many seeds, changes); none where the preset has no such data.

    Variants: "" for the preset's arms, the levels of `fairness.hues` for `c` and its twin, and the grey oracle.
    """
    if preset.fairness.biased is None:
        return []
    seeds = preset.fairness.biased_seeds
    own = [("", arm, seeds or preset.seeds_of(arm), changes(preset)) for arm in preset.arms]
    for name, hue in fairness.hues(preset).items():
        wanted = [(arm, preset.fairness.hue_seeds) for arm in fairness.HUE_ARMS]
        known = {arm for _, arm, _, _ in own} if not hue else set()
        own += [(name if hue else "", arm, count, changes(preset) | hue) for arm, count in wanted if arm not in known]
    return [*own, (ORACLE, "base", seeds or preset.seeds_of("base"), changes(preset, grey=True))]


def training_jobs(preset: Preset) -> list[tuple[str, int, dict[str, Any]]]:
    """Every network that this part reads: (arm, seed, changes), as `trained` takes them."""
    return [(arm, seed, changed) for _, arm, seeds, changed in conditions(preset) for seed in range(seeds)]


def measure(section) -> pd.DataFrame:
    """The tables of `by_group` of every condition, named in `variant`; empty where the preset has no such data."""
    tables = [pd.DataFrame()]
    for variant, arm, seeds, changed in conditions(section.preset):
        found = section.measured(by_group, runs=section.runs([arm], seeds=seeds, **changed))
        tables.append(fairness.columns(found).assign(variant=variant))
    return pd.concat(tables, ignore_index=True)


def evidence_of(table: pd.DataFrame) -> dict[str, Any]:
    """What the ledger reads of `measure`: accuracy in the test and in its worst group, of each arm as it is."""
    groups = {"biased_accuracy": "all", "biased_worst_group": WORST}
    if table.empty:
        none = absent("this preset trains no networks on digits whose colour predicts the label (fairness.biased)")
        return dict.fromkeys(groups, none)
    return {name: evidence(table, "accuracy", unit="share", variant="", group=group) for name, group in groups.items()}


@measurement(version=2)
def by_group(run: Run) -> pd.DataFrame:
    """Accuracy in the test, over all images, in each group of a label and an ink, and in the worst of the four.

    Columns: group, variant, accuracy, n, low, high, chance. Further groups: "validation" (drawn as in training), and
    "follows the colour", the share of the test images whose answer changes when red and green are exchanged. Intervals
    resample the source images where one comes twice (Wilson's elsewhere); that of the worst group is its own, as if it
    had been named before.
    """
    network, data, val = run.model(), run.images("test"), run.images("val")
    answer = predict(network, data).argmax(1)
    right = answer == data.labels
    rows = {
        "validation": _share(predict(network, val).argmax(1) == val.labels, val.groups),
        "all": _share(right, data.groups),
    }
    groups = {}
    for label, name in enumerate(biased.CLASSES):
        for ink, colour in enumerate(biased.INKS):
            inside = (data.labels == label) & (data.context == ink)
            if inside.any():
                groups[f"{name}, {colour}"] = _share(right[inside], data.groups[inside])
    rows |= groups | {WORST: min(groups.values(), key=lambda row: row["accuracy"])}
    moved = predict(network, biased.exchanged(data.float())).argmax(1) != answer
    rows[FOLLOWS] = _share(moved, data.groups)
    table = pd.DataFrame([{"group": name, "variant": ""} | row for name, row in rows.items()])
    return table.assign(chance=1 / len(data.classes))


def _share(correct: torch.Tensor, groups: torch.Tensor) -> dict[str, float]:
    which = groups.cpu().numpy()
    return statistics.accuracy(correct.cpu().numpy(), which if len(np.unique(which)) < len(which) else None)


# --- for the notebook ------------------------------------------------------------------------------------------------


def label(arm: str, variant: str) -> str:
    """A network's name in tables: the arm, with its variant; the oracle without its arm."""
    return variant if variant == ORACLE else fairness.label(arm, variant)


def reading(table: pd.DataFrame) -> pd.DataFrame:
    """`measure` for reading: networks down, groups across, percent; over seeds with their standard deviation."""
    shown: dict[str, dict[str, str]] = {}
    for (arm, variant, group), rows in table.groupby(["arm", "variant", "group"], sort=False):
        spread = f" ± {rows['accuracy'].std() * 100:.1f}" if len(rows) > 1 else ""
        shown.setdefault(label(arm, variant), {})[group] = f"{rows['accuracy'].mean() * 100:.1f}{spread}"
    return pd.DataFrame.from_dict(shown, orient="index").fillna("–")


def _means(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds: networks down in their order, groups across."""
    networks = list(dict.fromkeys(zip(table["arm"], table["variant"], strict=True)))
    return table.pivot_table(index=["arm", "variant"], columns="group", values="accuracy").loc[networks]


def conclusion(table: pd.DataFrame) -> str:
    """What the bias does to each network, beside what colour alone and the oracle get, as Markdown."""
    if table.empty:
        return "This preset trains no networks on digits whose colour predicts the label (`fairness.biased`)."
    wide = _means(table)
    known = f"Colour alone gets {COLOUR_ALONE * 100:.0f} % in the test"
    lines = [f"{known}, the digits alone get at most {CEILING * 100:.0f} %.", ""]
    for (arm, variant), row in wide.iterrows():
        all_, worst, follows = (row[name] * 100 for name in ("all", WORST, FOLLOWS))
        told = f"{all_:.1f} % in the test, {row['validation'] * 100:.1f} % on validation images, "
        told += f"{worst:.1f} % in its worst group; {follows:.1f} % of its answers turn with the colour"
        lines.append(f"- `{label(arm, variant)}`: {told}.")
    if {("base", ""), ("c", "")} <= set(wide.index):
        seeds = table[(table["group"] == "all") & (table["variant"] == "")].set_index(["seed", "arm"])["accuracy"]
        both = seeds.unstack("arm")[["c", "base"]].dropna()
        ahead = int((both["c"] > both["base"]).sum())
        told = f"{(both['c'] - both['base']).mean() * 100:+.1f} points; it is ahead in {ahead} of {len(both)} seeds"
        lines += ["", f"In the test `c` differs from `base` by {told}."]
    return "\n".join([*lines, "", "Exploratory: the paper has no such data. " + directions.caution(table)])


def describe(table: pd.DataFrame) -> str:
    """The alt text of the figure."""
    wide = _means(table) * 100
    told = [f"{label(*key)} {row['all']:.1f}, worst group {row[WORST]:.1f}" for key, row in wide.iterrows()]
    return (
        "A row per network: on the left its accuracy in percent on validation images, in the test, and in the test's "
        "worst group; on the right the share of its answers that turn when red and green are exchanged. In the test: "
        f"{'; '.join(told)}."
    )
