"""The plane of clean against attacked accuracy."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .. import frontier
from . import style


def frontier_plane(table: pd.DataFrame, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """Every network a small dot, the mean over seeds a large mark, the settings of one arm joined in their order.

    `table` is what `frontier.points` returns; a panel per measure. Further up and to the right is better.
    """
    measures = list(dict.fromkeys(table["measure"]))
    if ax is None:
        ax = style.panels(1, len(measures), size=(4.3, 3.5))[1]
    for panel, measure in zip(np.ravel(ax), measures, strict=True):
        rows = table[table["measure"] == measure]
        for arm in style.arm_order(rows):
            _family(panel, rows[rows["arm"] == arm], arm)
        panel.set(xlabel="clean accuracy", ylabel=frontier.MEASURES[measure])
        panel.margins(0.12)
        for axis in (panel.xaxis, panel.yaxis):
            style.in_percent(axis)
    first = np.ravel(ax)[0]
    style.legend_above(first.figure, first)
    seeds = table.groupby("arm")["seed"].nunique()
    key = [style.entry(style.MEAN), style.entry("a seed", markersize=3, alpha=0.5)] if seeds.max() > 1 else []
    single = [style.entry("single run", markerfacecolor="white")] if seeds.min() < 2 else []
    style.key_below(first.figure, [*key, *single])
    return ax


def _family(ax: Axes, rows: pd.DataFrame, arm: str) -> None:
    """One arm's settings: dots, means, and at each mean the setting in words."""
    means = rows.groupby("variant", sort=False)[["clean", "robust"]].mean()
    means = means.loc[sorted(means.index, key=_setting)]
    line = style.arm_line(arm, rows.groupby("variant")["seed"].nunique().max())
    ax.plot(rows["clean"], rows["robust"], ".", color=line["color"], alpha=0.4, markersize=4)
    ax.plot(means["clean"], means["robust"], **(line | {"markersize": 6}), zorder=3)
    ends = means.iloc[-1] - means.iloc[0]
    beside = (5, -10) if ends.prod() > 0 else (4, 4)  # below a line that rises, above one that falls
    for variant, mean in means.iterrows():
        _, _, text = variant.partition(", ")
        ax.annotate(
            text.replace("alpha", "α").replace("beta", "β").replace("eps", "ε"),
            (mean["clean"], mean["robust"]), xytext=beside, textcoords="offset points", fontsize=7, color=line["color"],
        )  # fmt: skip


def _setting(variant: str) -> float:
    """The number at the end of a variant's name; 0 where it has none."""
    last = variant.rpartition(" ")[2]
    return float(last) if last.replace(".", "", 1).isdigit() else 0.0
