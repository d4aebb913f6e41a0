"""Accuracy over the length of training."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from .. import training_length
from . import style
from .lines import arm_lines


def training_lengths(
    table: pd.DataFrame, own: Mapping[str, int] | None = None, ax: Sequence[Axes] | None = None
) -> np.ndarray:
    """Test accuracy over the updates of a whole training, a panel per measure, a line per arm; band: the seeds' range.

    `table` is what `training_length.measures` returns. Every point is a training of its own, not an epoch of a longer.
    `own` has the updates of each arm in the rest of the study: a ring marks that point of its line.
    """
    test = training_length.curves(table)
    measures = [name for name in training_length.MEASURES if name in set(test["measure"])]
    if ax is None:
        ax = style.panels(1, len(measures), size=(3.1, 2.7), sharex=True)[1]
    for panel, measure in zip(np.ravel(ax), measures, strict=True):
        part = test[test["measure"] == measure]
        arm_lines(panel, part, {updates: updates for updates in part["updates"]}, by="updates")
        means = part.groupby(["arm", "updates"])["value"].mean()
        for arm in style.arm_order(part):
            if (arm, (own or {}).get(arm)) in means.index:
                ring = {"s": 95, "facecolors": "none", "edgecolors": style.ARM_COLOURS[arm], "linewidths": 1.4}
                panel.scatter(own[arm], means[arm, own[arm]], **ring, zorder=4)
        ticks = sorted(set(part["updates"]))
        panel.set(title=training_length.MEASURES[measure][0], xlabel="updates")
        style.doubling(panel, ticks, [_short(tick) for tick in ticks], fontsize=8)
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    first = np.ravel(ax)[0]
    style.legend_above(first.figure, first)
    ring = [style.entry("the study's length", markersize=9, markerfacecolor="none")] if own else []
    style.key_below(first.figure, [*style.bands_key(test), *ring])
    return ax


def _short(updates: int) -> str:
    """As long as seven of them can stand side by side: thousands to two digits, which the table gives in full."""
    if updates < 1000:
        return f"{updates}"
    return f"{updates / 1000:.2g}k" if updates < 99_500 else f"{updates / 1000:.0f}k"
