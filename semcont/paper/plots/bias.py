"""Figures of section 4.7's biased version."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .. import bias
from . import style

_GROUPS = {
    "validation": ("D", "drawn as in training"),
    "all": ("o", "test"),
    "worst group": ("v", "worst group of the test"),
}


def bias_groups(table: pd.DataFrame, ax: np.ndarray | None = None) -> np.ndarray:
    """Each network in validation, in the test and in its worst group; and how often its answer turns with the colour.

    `table` is what `bias.measure` returns: a dot per seed and the mean over seeds as a larger mark.
    """
    networks = list(dict.fromkeys(zip(table["arm"], table["variant"], strict=True)))
    if ax is None:
        ax = style.panels(1, 2, size=(3.7, 1.3 + 0.34 * len(networks)), sharey=True)[1]
    left, right = np.ravel(ax)
    for y, (arm, variant) in enumerate(networks):
        own = table[(table["arm"] == arm) & (table["variant"] == variant)]
        colour = style.MUTED if variant == bias.ORACLE else style.ARM_COLOURS[arm]
        for group, (marker, name) in _GROUPS.items():
            _dots(left, y, own[own["group"] == group]["accuracy"], colour, marker, hollow=group == "validation")
            if y == 0:
                left.plot([], [], marker=marker, linestyle="", color="#444444", label=name,
                          markerfacecolor="none" if group == "validation" else None)  # fmt: skip
        _dots(right, y, own[own["group"] == bias.FOLLOWS]["accuracy"], colour, "o")
    for value, name in ((bias.COLOUR_ALONE, "colour alone"), (bias.CEILING, "digits alone")):
        left.axvline(value, color=style.MUTED, linewidth=1, linestyle=":", zorder=1)
        above = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "fontsize": 7.5, "color": style.MUTED}
        left.annotate(name, (value, 1), xycoords=("data", "axes fraction"), **above)
    names = [
        style.ARM_LABELS[a] + f", {v}" if v and v != bias.ORACLE else v or style.ARM_LABELS[a] for a, v in networks
    ]
    left.set_yticks(range(len(networks)), names)
    left.set(xlabel="accuracy", ylim=(len(networks) - 0.5, -0.5), xlim=(-0.03, 1.03))
    right.set(xlabel="answers that turn with the colour", xlim=(-0.03, 1.03))
    for panel in (left, right):
        panel.xaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
        panel.grid(False, axis="y")
        panel.tick_params(axis="y", length=0)
    style.legend_above(left.figure, left)
    return ax


def _dots(ax: Axes, y: int, values: pd.Series, colour: str, marker: str, *, hollow: bool = False) -> None:
    """Seeds as small dots, their mean as a mark."""
    if len(values) > 1:
        ax.plot(values, [y] * len(values), ".", color=colour, markersize=3.5, alpha=0.6, zorder=2)
    face = "white" if hollow else colour
    ax.plot(values.mean(), y, marker=marker, markersize=6, color=colour, markerfacecolor=face, zorder=3)
