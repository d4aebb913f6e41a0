"""Figures of section 4.4."""

import pandas as pd
from matplotlib.axes import Axes

from . import style


def eps_curve(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Accuracy under attack over the radius, a line per arm with its interval as a band (over seeds: their means).

    `table` is what `robustness.by_eps` returns. Radii are set at equal distances, 0 among them.
    """
    ax = style.axes_or_new(ax, (5.4, 3.3))
    radii = sorted(table["eps"].unique())
    for arm in style.arm_order(table):
        rows = table[table["arm"] == arm].groupby("eps")[["accuracy", "low", "high"]].mean().loc[radii]
        ax.plot(range(len(radii)), rows["accuracy"], **style.arm_line(arm), clip_on=False, zorder=3)
        style.band(ax, range(len(radii)), rows["low"], rows["high"], arm)
    chance = table["chance"].iloc[0]
    style.chance_line(ax, chance, "")
    ax.annotate("chance", (-0.1, chance), xytext=(0, 2), textcoords="offset points", fontsize=7.5, color=style.MUTED)
    ax.set_xticks(range(len(radii)), [f"{eps:g}" for eps in radii])
    ax.set(xlabel="radius of the attack in 1/255, in pixels", ylabel="accuracy")
    ax.set(xlim=(-0.15, len(radii) - 0.85), ylim=(0, 1))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
    beside = len(style.arm_order(table)) > 6  # inside, a long legend would hide the lines
    place = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)} if beside else {"loc": "lower left"}
    ax.legend(**({"bbox_to_anchor": (0.01, 0.15)} | place), handlelength=2.6)
    return ax
