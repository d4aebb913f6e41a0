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


def context_tests(
    table: pd.DataFrame, strength: pd.DataFrame | None = None, ax: Sequence[Axes] | None = None
) -> np.ndarray:
    """A panel per test set, a row per arm, a dot with its interval per seed; `table` is what `features.cues` returns.

    Dotted: the accuracy of guessing. Dashed, on the background alone: networks trained on nothing else, from
    `context.strength`.
    """
    arms = style.arm_order(table)
    if ax is None:
        ax = style.panels(1, len(_PANELS), size=(1.95, 0.8 + 0.26 * len(arms)), sharey=True)[1]
    for panel, ((test, measure), title) in zip(np.ravel(ax), _PANELS.items(), strict=True):
        rows = table[(table["test"] == test) & (table["measure"] == measure)]
        for row, y in zip(rows.itertuples(), style.stands(rows, arms, 0.6), strict=True):
            look = {"fmt": style.ARM_MARKERS[row.arm], "color": style.ARM_COLOURS[row.arm], "markersize": 4}
            panel.errorbar(row.value, y, xerr=[[row.value - row.low], [row.high - row.value]], elinewidth=1, **look)
        panel.axvline(0.1, color=style.MUTED, linewidth=1, linestyle=":", zorder=1)
        panel.set(title=title, ylim=(len(arms) - 0.5, -0.5))
        panel.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.grid(axis="y", visible=False)
    if strength is not None and len(strength):
        np.ravel(ax)[-1].axvline(
            strength["value"].mean(), color="#444444", linewidth=1, linestyle=(0, (4, 2)), zorder=1
        )
    np.ravel(ax)[0].set_yticks(range(len(arms)), [style.ARM_LABELS[arm] for arm in arms])
    return ax
