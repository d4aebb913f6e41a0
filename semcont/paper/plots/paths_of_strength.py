"""DS along paths of strengths."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .. import paths_of_strength
from . import style
from .lines import over_seeds


def strength_paths(table: pd.DataFrame, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """Relative DS over the path, a panel per perturbation, ticks at Table 1's levels, which factors crowd to the right.

    `table` is what `paths_of_strength.by_path` returns; the band is the interval, over seeds the range.
    """
    if ax is None:
        ax = style.panels(2, 2, size=(3.4, 2.35), sharey=True)[1]
    course = paths_of_strength.only(table, "course")
    course = course[course["t"] != 0]  # the image itself: DS 0 has no logarithm
    for panel, name in zip(np.ravel(ax), dict.fromkeys(table["perturbation"]), strict=True):
        part = course[course["perturbation"] == name]
        for arm in style.arm_order(part):
            for side in (-1, 1):
                rows = over_seeds(part[(part["arm"] == arm) & (part["t"] * side > 0)], ["t"])
                line = style.arm_line(arm) | {"marker": None, "label": style.ARM_LABELS[arm] if side > 0 else None}
                panel.plot(rows["t"], rows["value"], **line)
                style.band(panel, rows["t"], rows["low"], rows["high"], arm)
        _ticks(panel, name)
    first = np.ravel(ax)[0]
    first.figure.supylabel("DS / DS between classes (log scale)", fontsize=9)
    style.legend_above(first.figure, first)
    return ax


def _ticks(ax: Axes, name: str) -> None:
    """The strengths of level 2 and 4 in both directions, and the image itself in the middle."""
    places = [paths_of_strength.place(name, level) for level in (2, 4)]
    at = [-places[1], -places[0], 0, *places]
    words = {"brightness": "{:+g}", "hue": "{:+g}"}.get(name, "× {:.2g}")
    labels = ["0" if t == 0 else words.format(paths_of_strength.strength(name, t)) for t in at]
    unit = {"brightness": " in 1/255", "hue": " in turns"}.get(name, "")
    ax.set(title=f"{name.capitalize()}{unit}", yscale="log", xticks=at, xticklabels=labels)
