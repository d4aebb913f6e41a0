"""The look that all figures share: colours and labels of the arms, type sizes, small helpers.

An arm has a colour, a marker and a line: solid where it holds the constraint, dashed where it does not, so that the
figures can be read in grey, too. Colours are Okabe and Ito's, which colour-blind readers can tell apart.
"""

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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


def arm_line(arm: str) -> dict[str, object]:
    """Keyword arguments of `Axes.plot` for one arm: colour, marker, line, label."""
    solid = arm.endswith("c") or arm in ("trades", "squeeze")
    return {
        "color": ARM_COLOURS[arm],
        "marker": ARM_MARKERS[arm],
        "linestyle": "-" if solid else (0, (4, 2)),
        "label": ARM_LABELS[arm],
    }


def panels(rows: int, columns: int, *, size: tuple[float, float] = (2.6, 2.2), **settings) -> tuple[Figure, np.ndarray]:
    """A figure of rows x columns axes, each `size` inches; the axes always as a two-dimensional array."""
    return plt.subplots(rows, columns, figsize=(size[0] * columns, size[1] * rows), squeeze=False, **settings)


def axes_or_new(ax: Axes | None, size: tuple[float, float] = (4.2, 3.0)) -> Axes:
    """`ax`, or the axes of a new figure of `size` inches."""
    return plt.subplots(figsize=size)[1] if ax is None else ax


def stands(table: pd.DataFrame, arms: Sequence[str], room: float) -> pd.Series:
    """Where the dot of each row stands: an arm's seeds beside each other around its place in `arms`, within `room`."""
    seeds = table.groupby("arm")["seed"]
    return table["arm"].map(list(arms).index) + room * ((seeds.rank("dense") - 0.5) / seeds.transform("nunique") - 0.5)


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


def legend_above(fig: Figure, ax: Axes, columns: int | None = None) -> None:
    """One legend for all panels, above them; many arms take several rows, of about an inch a column."""
    handles, labels = ax.get_legend_handles_labels()
    rows = -(-len(labels) // max(4, int(fig.get_size_inches()[0])))
    fig.legend(handles, labels, loc="outside upper center", ncols=columns or -(-len(labels) // rows))


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
