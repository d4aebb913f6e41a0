"""Section 4.5's measures, an arm a row and a measure a column, one panel per method."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

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


def explanation_measures(table: pd.DataFrame, axes: np.ndarray | None = None) -> np.ndarray:
    """Each method's measures, means over seeds; coloured by the difference from `base` on the same images.

    `table` is what `explanation_tables.table` returns. The colour is relative to the column's largest difference over
    arms and methods, blue for more and red for less than `base`; bold where the difference is beyond the noise of the
    test images in every seed.
    """
    found = explanation_tables.certain(table)
    methods = [name for name in explanations.NAMES if name in set(found["method"])]
    measures = [name for name in explanations.MEASURES if name in set(found["measure"])]
    arms = style.arm_order(found)
    found = found[found["measure"].isin(measures)]  # the steps of the cascade between are in the table
    reach = found.groupby("measure")["difference"].agg(lambda values: values.abs().max())
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
    top.set_xticks(range(len(measures)), [_SHORT.get(name, name) for name in measures], fontsize=7.5)
    top.tick_params(axis="x", length=0, labeltop=True, labelbottom=False)
    return axes


def _panel(ax: Axes, rows: pd.DataFrame, arms: list[str], measures: list[str], reach: pd.Series) -> None:
    shown = np.full((len(arms), len(measures)), np.nan)
    for (arm, measure), row in rows.iterrows():
        shown[arms.index(arm), measures.index(measure)] = row["difference"] / (reach[measure] or 1)
    ax.imshow(
        shown, cmap="RdBu", vmin=-1.6, vmax=1.6, aspect="auto", interpolation="nearest"
    )  # pale: text stays legible
    for (arm, measure), row in rows.iterrows():
        weight = "bold" if row["beyond"] else "normal"
        text = f"{row['value']:.0f}" if measure == "zero" else f"{row['value']:.2f}"
        ax.text(measures.index(measure), arms.index(arm), text, ha="center", va="center", fontsize=7, fontweight=weight)
    ax.set_yticks(range(len(arms)), [style.ARM_LABELS[arm] for arm in arms], fontsize=7.5)
    ax.tick_params(length=0, labelbottom=False)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
