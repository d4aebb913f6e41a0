"""The look that all figures share: colours and labels of the arms, type sizes, small helpers.

An arm has a colour, a marker and a line: solid where it holds the constraint, dashed where it does not, so that the
figures can be read in grey, too. Colours are Okabe and Ito's, which colour-blind readers can tell apart. A full mark is
a mean over seeds, a small faint dot one of them; a hollow mark is a single run, with its interval over test images.
"""

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator, PercentFormatter

ARM_COLOURS = {
    "base": "#5b5b5b",
    "c": "#0072b2",
    "adv": "#d55e00",
    "adv+c": "#009e73",
    "aug": "#e69f00",
    "aug+c": "#56b4e9",
    "madry": "#cc79a7",
    "madry+c": "#7a4b9e",
    "noise+c": "#8c6d1f",
    "trades": "#a3243b",
    "squeeze": "#9aa02c",
    "base/T": "#a9a9a9",  # no training: `base` with smaller logits
}
ARM_LABELS = {name: name.upper() if name in ("c", "adv", "adv+c") else name for name in ARM_COLOURS}
ARM_MARKERS = dict(zip(ARM_COLOURS, "oosDv^<>Pphd", strict=True))
MUTED = "#767676"  # chance lines, references
SEED = {"s": 7, "alpha": 0.5, "linewidths": 0}
"""Keyword arguments of `Axes.scatter` for a single seed beside its arm's mean."""
MEAN, SINGLE, RANGE = "mean over seeds", "single run, 95 % interval over test images", "range over seeds"
RC = {
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same glyphs on every machine
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "figure.constrained_layout.use": True,
}


def use() -> None:
    """Make this look matplotlib's and seaborn's default."""
    import seaborn

    seaborn.set_theme(style="ticks", rc=RC)


def arm_order(table: pd.DataFrame) -> list[str]:
    """The arms of a table, in the order of the study."""
    present = set(table["arm"])
    return [arm for arm in ARM_COLOURS if arm in present]


def families(arms: Sequence[str]) -> list[list[str]]:
    """The arms in pairs that differ by the constraint alone, without it first; those without a partner last, together.

    >>> families(["base", "c", "adv", "aug", "aug+c"])
    [['base', 'c'], ['aug', 'aug+c'], ['adv']]
    """
    pairs = [[plain, held] for plain in arms if (held := "c" if plain == "base" else f"{plain}+c") in arms]
    rest = [arm for arm in arms if not any(arm in pair for pair in pairs)]
    return [*pairs, rest] if rest else pairs


def arm_line(arm: str, seeds: int = 2) -> dict[str, object]:
    """Keyword arguments of `Axes.plot` for one arm: colour, marker (hollow for one seed), line, label."""
    solid = arm.endswith("c") or arm in ("trades", "squeeze")
    return {
        "color": ARM_COLOURS[arm],
        "marker": ARM_MARKERS[arm],
        "markerfacecolor": face(ARM_COLOURS[arm], seeds),
        "linestyle": "-" if solid else (0, (4, 2)),
        "label": ARM_LABELS[arm],
    }


def face(colour: str, seeds: int) -> str:
    """What a mark is filled with: its colour, or white for a single run."""
    return colour if seeds > 1 else "white"


def panels(rows: int, columns: int, *, size: tuple[float, float] = (2.6, 2.2), **settings) -> tuple[Figure, np.ndarray]:
    """A figure of rows x columns axes, each `size` inches; the axes always as a two-dimensional array."""
    return plt.subplots(rows, columns, figsize=(size[0] * columns, size[1] * rows), squeeze=False, **settings)


def axes_or_new(ax: Axes | None, size: tuple[float, float] = (4.2, 3.0)) -> Axes:
    """`ax`, or the axes of a new figure of `size` inches."""
    return plt.subplots(figsize=size)[1] if ax is None else ax


def stands(table: pd.DataFrame, arms: Sequence[str], room: float) -> pd.Series:
    """Where the dot of each row stands: an arm's seeds beside each other around its place in `arms`, within `room`."""
    seeds = table.groupby("arm")["seed"]
    return table["arm"].map(list(arms).index) + _beside(seeds.rank("dense") - 1, seeds.transform("nunique"), room)


def _beside(rank, count, room: float):
    """How far from the middle the seed of that rank, from 0, of so many stands."""
    return room * ((rank + 0.5) / count - 0.5)


def chance_line(ax: Axes, chance: float, label: str = "chance") -> None:
    """A dotted horizontal line at the accuracy of guessing, labelled at its right end."""
    ax.axhline(chance, color=MUTED, linewidth=1, linestyle=":", zorder=1)
    ax.annotate(
        label, (1, chance), xycoords=("axes fraction", "data"), xytext=(0, 2), textcoords="offset points",
        ha="right", va="bottom", fontsize=7.5, color=MUTED,
    )  # fmt: skip


def band(ax: Axes, x: Iterable[float], low: Iterable[float], high: Iterable[float], arm: str) -> None:
    """An arm's interval as a faint band."""
    ax.fill_between(list(x), list(low), list(high), color=ARM_COLOURS[arm], alpha=0.14, linewidth=0)


def seeds_and_mean(ax: Axes, rows: pd.DataFrame, y: float, value: str, *, room: float = 0.0, **look) -> None:
    """Across, at height `y`: several seeds as dots, beside each other within `room`, and their mean as a mark.

    One seed is a hollow mark with its interval, from `low` to `high`. `look` is colour and marker.
    """
    seeds = len(rows)
    if seeds > 1:
        ax.scatter(rows[value], y + _beside(np.arange(seeds), seeds, room), color=look["color"], **SEED)
    else:
        ax.hlines(y, rows["low"], rows["high"], color=look["color"], linewidth=1.2, zorder=2)
    filled = {"markerfacecolor": face(look["color"], seeds), "markeredgewidth": 1.2, "markersize": 5}
    ax.plot(rows[value].mean(), y, linestyle="", zorder=3, **filled, **look)


def entry(label: str, marker: str = "o", **look) -> Line2D:
    """A legend's entry for marks: grey, without a line, or as `look` says."""
    return Line2D([], [], **({"marker": marker, "linestyle": "", "color": MUTED} | look), label=label)


def seeds_key(table: pd.DataFrame, mean: str = MEAN, marker: str = "o") -> list[Line2D]:
    """Entries for the marks of `seeds_and_mean`: those that the arms of a table have."""
    seeds = table.groupby("arm")["seed"].nunique()
    several = [entry(mean, marker), entry("a seed", markersize=3, markeredgewidth=0, alpha=0.6)]
    return [*(several if seeds.max() > 1 else []), *([_single(marker)] if seeds.min() < 2 else [])]


def bands_key(table: pd.DataFrame, *, bars: bool = False) -> list:
    """Entries for the bands (or bars) of `lines.over_seeds`: over seeds, and of single runs, whose marks are hollow."""
    seeds = table.groupby("arm")["seed"].nunique()
    over, own = (Patch(color=MUTED, alpha=0.25, linewidth=0, label=label) for label in (RANGE, SINGLE))
    if bars:
        over, own = entry(f"{MEAN}, and their range", linestyle="-", linewidth=1), _single("o")
    else:
        own = (own, _single("o"))
    return [*([over] if seeds.max() > 1 else []), *([own] if seeds.min() < 2 else [])]


def networks_key(table: pd.DataFrame) -> list[Line2D]:
    """Entries where every mark is one network with its interval; that of a single run is hollow."""
    seeds = table.groupby("arm")["seed"].nunique()
    each = entry("a seed, 95 % interval over test images", linestyle="-", linewidth=1)
    return [*([each] if seeds.max() > 1 else []), *([_single("o")] if seeds.min() < 2 else [])]


def _single(marker: str) -> Line2D:
    return entry(SINGLE, marker, markerfacecolor="white", markeredgewidth=1.2, linestyle="-", linewidth=1)


def in_percent(axis: Axis) -> None:
    """Whole percents of a share, at ticks where they are exact."""
    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def doubling(ax: Axes, ticks: Sequence[int], labels: Sequence[str], **look) -> None:
    """A logarithmic axis across, with these ticks alone."""
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(ticks, labels, **look)


def legend_above(fig: Figure, ax: Axes, columns: int | None = None) -> None:
    """One legend for all panels, above them; many arms take several rows, of about an inch a column."""
    handles, labels = ax.get_legend_handles_labels()
    rows = -(-len(labels) // max(4, int(fig.get_size_inches()[0])))
    fig.legend(handles, labels, loc="outside upper center", ncols=columns or -(-len(labels) // rows))


def key_below(fig: Figure, handles: Sequence) -> None:
    """What marks, bands and lines of reference mean, under the panels; a handle may be several, drawn as one.

    The figure grows by the rows that this takes, so that the panels keep their size.
    """
    if not handles:
        return
    labels = [handle[0].get_label() if isinstance(handle, tuple) else handle.get_label() for handle in handles]
    wide = sum(0.055 * len(label) + 0.55 for label in labels)  # inches
    rows = -int(-wide // fig.get_figwidth())
    fig.set_figheight(fig.get_figheight() + 0.22 * rows)
    fig.legend(handles, labels, loc="outside lower center", ncols=-(-len(labels) // rows), fontsize=8, labelcolor=MUTED)


def bare(ax: Axes) -> None:
    """Axes for a picture: no ticks, grid or frame."""
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def show_images(
    axes: np.ndarray,
    images: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
) -> np.ndarray:
    """Images (h, w, 3) in [0, 1] or uint8, one per axes in reading order, no ticks; `titles` over the first row."""
    axes = np.atleast_2d(axes)
    for k, ax in enumerate(axes.flat):
        bare(ax)
        if k < len(images):
            ax.imshow(np.asarray(images[k]), interpolation="nearest", vmin=0, vmax=1)
        row, column = divmod(k, axes.shape[1])
        if titles is not None and row == 0 and column < len(titles):
            ax.set_title(titles[column], fontsize=8.5, fontweight="normal", loc="center")
        if row_labels is not None and column == 0 and row < len(row_labels):
            ax.set_ylabel(row_labels[row], fontsize=8.5)
    return axes
