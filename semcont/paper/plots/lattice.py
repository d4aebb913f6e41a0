"""Accuracy against how much a network leans on one pixel in four."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from .. import lattice
from . import style
from .lines import arm_lines

AGAINST = {"clean": "clean accuracy", "attacked": "accuracy under PGD"}
SHARE = "share of one pixel in four"


def lattice_share(table: pd.DataFrame, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """A mark per network: clean and attacked accuracy over the share of the squared gradient; its even value is dotted.

    `table` is what `lattice.measures` returns. Where it has lengths, a third panel follows the share over them.
    """
    arms, lengths = (table[table["part"] == part] for part in ("arms", "lengths"))
    if ax is None:
        ax = style.panels(1, 2 + (len(lengths) > 0), size=(3.2, 3.0))[1]
    panels = np.ravel(ax)
    for panel, (name, label) in zip(panels, AGAINST.items(), strict=False):
        for arm in style.arm_order(arms):
            rows = arms[arms["arm"] == arm]
            look = style.arm_line(arm, len(rows)) | {"linestyle": "", "markersize": 5}
            panel.plot(rows["share"], rows[name], **look)
        panel.axvline(lattice.EVEN, color=style.MUTED, linewidth=1, linestyle=":", zorder=1)
        panel.set(xlabel=SHARE, ylabel=label)
        for axis in (panel.xaxis, panel.yaxis):
            style.in_percent(axis)
    if len(lengths):
        _over_lengths(panels[2], lengths)
    style.legend_above(panels[0].figure, panels[0])
    even = style.entry("all pixels read alike", marker="", linestyle=":")
    seeds = arms.groupby("arm")["seed"].nunique()
    several = [style.entry("a network")] if seeds.max() > 1 else []
    single = [style.entry("single run", markerfacecolor="white")] if seeds.min() < 2 else []
    style.key_below(panels[0].figure, [*several, *single, even])
    return ax


def _over_lengths(ax: Axes, rows: pd.DataFrame) -> None:
    """The share over epochs, a line per arm and its seeds' range."""
    ends = rows.assign(low=rows["share"], high=rows["share"])
    ticks = sorted(set(ends["epochs"]))
    arm_lines(ax, ends, {epochs: epochs for epochs in ticks}, by="epochs", value="share")
    ax.axhline(lattice.EVEN, color=style.MUTED, linewidth=1, linestyle=":", zorder=1)
    ax.set(xlabel="epochs of training", ylabel=SHARE)
    style.doubling(ax, ticks, [f"{tick:g}" for tick in ticks])
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
