"""Section 4.5's measures, an arm a row and a measure a column, one panel per method."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from ..explaining import explanation_tables, explanations
from . import style

_SHORT = {
    "randomised head": "random\nhead",
    "randomised all": "all\nrandom",
    "mosaic energy": "mosaic\nenergy",
    "mosaic pointing": "mosaic\npointing",
    "zero": "empty\nmaps",
    "sensitivity": "sensi-\ntivity",
    "infidelity": "infi-\ndelity",
}


_BETTER = {"higher": " ↑", "lower": " ↓", "near 0": " → 0", "": ""}
_NEITHER = "#ececec"
_PALE = 1.6  # the colours' ends, in units of the largest difference: text stays legible


def explanation_measures(table: pd.DataFrame, axes: np.ndarray | None = None) -> np.ndarray:
    """Each method's measures, means over seeds; blue where an arm is better than `base` on the same images, red worse.

    `table` is what `explanation_tables.table` returns. What is better, the arrow in a measure's heading says
    (`explanations.MEASURES`); a measure for which nothing is better stays grey. The depth of a colour is relative to
    the column's largest difference over arms and methods; bold where the difference is beyond the noise of the test
    images in every seed.
    """
    found = explanation_tables.certain(table)
    methods = [name for name in explanations.NAMES if name in set(found["method"])]
    measures = [name for name in explanations.MEASURES if name in set(found["measure"])]
    arms = style.arm_order(found)
    found = found[found["measure"].isin(measures)]  # the steps of the cascade between are in the table
    found = found.assign(gain=[_gain(row) for row in found.itertuples()])
    reach = found.groupby("measure")["gain"].agg(lambda values: values.abs().max())
    if axes is None:
        size = (1.1 + 0.62 * len(measures), 0.62 + 0.21 * len(arms))
        _, axes = style.panels(len(methods), 1, size=size, sharex=True)
    for ax, method in zip(np.ravel(axes), methods, strict=True):
        rows = found[found["method"] == method].set_index(["arm", "measure"])
        _panel(ax, rows, arms, measures, reach)
        name = explanations.NAMES[method]
        ax.set_title(name[0].upper() + name[1:])
    top = np.ravel(axes)[0]
    top.xaxis.set_ticks_position("top")
    heads = [_SHORT.get(name, name) + _BETTER[explanations.MEASURES[name]] for name in measures]
    top.set_xticks(range(len(measures)), heads, fontsize=7.5)
    top.tick_params(axis="x", length=0, labeltop=True, labelbottom=False)
    if len(arms) > 1:  # `base` alone is compared with nothing
        style.key_below(top.figure, _key())
    return axes


def _gain(row) -> float:
    """By how much an arm is better than `base` in one measure; NaN where nothing is better."""
    better = explanations.MEASURES[row.measure]
    if better == "near 0":
        return abs(row.value - row.difference) - abs(row.value)  # `base` on the same images, less the arm
    return {"higher": row.difference, "lower": -row.difference}.get(better, np.nan)


def _key() -> list[Patch]:
    blue, red = (mpl.colormaps["RdBu"](0.5 + side * 0.5 / _PALE) for side in (0.8, -0.8))
    words = {blue: "better than base", red: "worse than base", _NEITHER: "says neither"}
    bold = style.entry(r"$\bf{bold}$: beyond the noise of the test images in every seed", "")
    return [*(Patch(color=colour, linewidth=0, label=label) for colour, label in words.items()), bold]


def _panel(ax: Axes, rows: pd.DataFrame, arms: list[str], measures: list[str], reach: pd.Series) -> None:
    shown, neither = np.full((len(arms), len(measures)), np.nan), np.full((len(arms), len(measures)), np.nan)
    for (arm, measure), row in rows.iterrows():
        place = arms.index(arm), measures.index(measure)
        shown[place] = row["gain"] / (reach[measure] or 1)
        neither[place] = np.nan if np.isfinite(row["gain"]) else 1
    look = {"aspect": "auto", "interpolation": "nearest"}
    ax.imshow(neither, cmap=ListedColormap([_NEITHER]), **look)
    ax.imshow(shown, cmap="RdBu", vmin=-_PALE, vmax=_PALE, **look)
    for (arm, measure), row in rows.iterrows():
        weight = "bold" if row["beyond"] else "normal"
        text = f"{row['value']:.0f}" if measure == "zero" else f"{row['value']:.2f}"
        ax.text(measures.index(measure), arms.index(arm), text, ha="center", va="center", fontsize=7, fontweight=weight)
    ax.set_yticks(range(len(arms)), [style.ARM_LABELS[arm] for arm in arms], fontsize=7.5)
    ax.tick_params(length=0, labelbottom=False)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
