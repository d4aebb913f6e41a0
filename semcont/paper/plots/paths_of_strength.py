"""DS along paths of strengths."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .. import paths_of_strength
from . import style


def strength_paths(table: pd.DataFrame, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """Relative DS over the path, a panel per perturbation, with a tick at levels 2 and 4 and at the image itself.

    `table` is what `paths_of_strength.course` returns; the band is its low to high.
    """
    if ax is None:
        ax = style.panels(2, 2, size=(3.4, 2.35), sharey=True)[1]
    for panel, name in zip(np.ravel(ax), dict.fromkeys(table["perturbation"]), strict=True):
        part = table[(table["perturbation"] == name) & (table["t"] != 0)]  # at 0 DS is 0 and has no logarithm
        for arm in style.arm_order(part):
            for side in (-1, 1):
                rows = part[(part["arm"] == arm) & (part["t"] * side > 0)].sort_values("t")
                label = {"label": style.ARM_LABELS[arm] if side > 0 else None, "marker": None}
                panel.plot(rows["t"], rows["value"], **(style.arm_line(arm) | label))
                if len(style.arm_order(table)) <= 6:  # more bands hide each other
                    style.band(panel, rows["t"], rows["low"], rows["high"], arm)
        _ticks(panel, name)
    first = np.ravel(ax)[0]
    first.set_ylim(bottom=0.8 * table[table["t"].abs() > 0.12]["value"].min())
    first.figure.supylabel("DS / DS between classes (log scale)", fontsize=9)
    style.legend_above(first.figure, first)
    return ax


def _ticks(ax: Axes, name: str) -> None:
    """The strengths of level 2 and 4 in both directions, and the image itself in the middle."""
    places = [paths_of_strength.place(name, level) for level in (2, 4)]
    at = [-places[1], -places[0], 0, *places]
    words = {"brightness": "{:+g}", "hue": "{:+g}"}.get(name, "× {:.2g}")
    labels = ["image" if t == 0 else words.format(paths_of_strength.strength(name, t)) for t in at]
    unit = {"brightness": " in 1/255", "hue": " in turns"}.get(name, "")
    ax.set(title=f"{name.capitalize()}{unit}", yscale="log", xticks=at, xticklabels=labels)
