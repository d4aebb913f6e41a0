"""Figure of section 4.6."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..budgets import TARGETS
from . import style

_METHODS = {"finetune": ("full fine-tune", -0.17, "o"), "probe": ("linear probe", 0.17, "D")}


def transfer_targets(table: pd.DataFrame, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """Table 3 as a picture: a panel per target, a row per arm and one without a source, a mark per method.

    `table` is what `transfer.table3` returns. Seeds are dots with their mean; a single run has its interval.
    """
    targets = [name for name in TARGETS if name in set(table["target"])]
    rows = [*style.arm_order(table), "scratch"]
    if ax is None:
        ax = style.panels(1, len(targets), size=(2.55, max(2.5, 0.8 + 0.28 * len(rows))), sharey=True)[1]
    for panel, target in zip(np.ravel(ax), targets, strict=True):
        mine = table[table["target"] == target]
        for method, (_, shift, marker) in _METHODS.items():
            own = mine[mine["method"] == method]
            for place, arm in enumerate(rows):
                look = {"color": style.ARM_COLOURS.get(arm, style.MUTED), "marker": marker}
                style.seeds_and_mean(panel, own[own["arm"] == arm], place + shift, "accuracy", room=0.24, **look)
        panel.axhspan(len(rows) - 1.5, len(rows) - 0.5, color="#f3f3f3", linewidth=0, zorder=0)
        chance = f"{mine['chance'].iloc[0] * 100:.0f} %"
        panel.set(
            title=TARGETS[target][0].upper() + TARGETS[target][1:],
            xlabel=f"accuracy (chance: {chance})",
            ylim=(len(rows) - 0.5, -0.5),
        )
        panel.xaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
        panel.xaxis.set_major_locator(_ticks())
        panel.grid(False, axis="y")
        panel.tick_params(axis="y", length=0)
    first = np.ravel(ax)[0]
    first.set_yticks(range(len(rows)), [style.ARM_LABELS.get(arm, "no source") for arm in rows])
    first.figure.legend(
        handles=[style.entry(label, marker) for label, _, marker in _METHODS.values()],
        loc="outside upper center",
        ncols=2,
    )
    style.key_below(first.figure, style.seeds_key(table))
    return ax


def _ticks():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4, steps=[1, 2, 2.5, 5, 10])
