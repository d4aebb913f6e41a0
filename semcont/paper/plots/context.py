"""What networks take from the photograph behind the digit."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from . import style

_PANELS = {
    ("standard", "accuracy"): "As in training",
    ("no cue", "accuracy"): "No cue",
    ("conflict", "accuracy"): "Conflict",
    ("conflict", "follows"): "Follows photograph",
    ("background", "accuracy"): "Background alone",
}
_GUESSING = 0.1  # ten digits


def context_tests(
    table: pd.DataFrame, strength: pd.DataFrame | None = None, ax: Sequence[Axes] | None = None
) -> np.ndarray:
    """A panel per test set, a row per arm; `table` is what `features.cues` returns.

    An arm's seeds are dots around its row with their mean, a single run has its interval. Dotted: the accuracy of
    guessing, in the panels that come near it. Dashed, on the background alone: networks trained on nothing else, from
    `context.strength`. The first three panels share one axis.
    """
    arms = style.arm_order(table)
    if ax is None:
        ax = style.panels(1, len(_PANELS), size=(1.95, 0.9 + 0.26 * len(arms)), sharey=True)[1]
    panels = list(np.ravel(ax))
    for panel, ((test, measure), title) in zip(panels, _PANELS.items(), strict=True):
        rows = table[(table["test"] == test) & (table["measure"] == measure)]
        for y, arm in enumerate(arms):
            look = {"color": style.ARM_COLOURS[arm], "marker": style.ARM_MARKERS[arm]}
            style.seeds_and_mean(panel, rows[rows["arm"] == arm], y, "value", room=0.6, **look)
        panel.set(title=title, ylim=(len(arms) - 0.5, -0.5))
        panel.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        panel.grid(axis="y", visible=False)
    low, high = zip(*(panel.get_xlim() for panel in panels[:3]), strict=True)
    for panel in panels[:3]:
        panel.set_xlim(min(low), max(high))
    for panel in panels:
        if panel.get_xlim()[0] < 1.5 * _GUESSING:
            panel.axvline(_GUESSING, color=style.MUTED, linewidth=1, linestyle=":", zorder=1)
    key = [*style.seeds_key(table), style.entry("guessing", marker="", linestyle=":", linewidth=1)]
    if strength is not None and len(strength):
        line = {"color": "#444444", "linewidth": 1, "linestyle": (0, (4, 2))}
        panels[-1].axvline(strength["value"].mean(), **line, zorder=1)
        key.append(style.entry("trained on the photographs alone", marker="", **line))
    panels[0].set_yticks(range(len(arms)), [style.ARM_LABELS[arm] for arm in arms])
    style.key_below(panels[0].figure, key)
    return ax
