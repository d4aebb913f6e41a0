"""Figs. 5 to 10: images with their meaning destroyed, and what the networks make of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from .. import features
from . import style
from .lines import arm_lines

_XLABELS = {
    "translated": "shift of red, as a share of the side",
    "centre": "scrambled share of the area",
    "tiles": "tiles, across × down",
}


def destroyed_images(images: Float[Tensor, "rows levels 3 h w"], kind: str, ax: np.ndarray | None = None) -> np.ndarray:
    """Figs. 5, 7 and 9: a row per image, the original first; `images` from `features.examples`."""
    destruction = features.DESTRUCTIONS[kind]
    titles = [features.level_label(kind, level) for level in (destruction.intact, *destruction.levels)]
    if ax is None:
        ax = style.panels(*images.shape[:2], size=(1.2, 1.2))[1]
    return style.show_images(ax, list(images.flatten(0, 1).permute(0, 2, 3, 1).cpu().numpy()), titles)


def destroyed_accuracy(table: pd.DataFrame, kind: str, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """Figs. 6, 8, 10: accuracy and retention over the degree of destruction, the intact image first.

    Up to four arms share two panels side by side. More would hide each other, so each pair that differs by the
    constraint alone has a column, with accuracy above and retention below, and the means of all others behind it in
    grey. Given `ax`, two panels hold all arms.
    """
    arms = style.arm_order(table)
    if ax is None and len(arms) > 4:
        return _by_family(table, kind, style.families(arms))
    if ax is None:
        ax = style.panels(1, 2, size=(3.4, 2.7))[1]
    left, right = np.ravel(ax)
    for panel, measure in ((left, "accuracy"), (right, "retention")):
        rows = table[table["measure"] == measure]
        arm_lines(panel, rows, _positions(table))
        _axes(panel, kind, sorted(_positions(table)))
        panel.set(title=measure.capitalize(), xlabel=_XLABELS[kind])
    for panel, guessing, label in ((left, table["chance"].iloc[0], "chance"), (right, 0.0, "no better than chance")):
        _floor(panel, guessing, label)
    style.legend_above(left.figure, left)
    style.key_below(left.figure, style.bands_key(table))
    return ax


def _positions(table: pd.DataFrame) -> dict[float, int]:
    return {level: place for place, level in enumerate(sorted(set(table["level"])))}


def _axes(panel: Axes, kind: str, levels: Sequence[float]) -> None:
    labels = [features.level_label(kind, level) for level in levels]
    panel.set_xticks(range(len(levels)), labels)
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def _by_family(table: pd.DataFrame, kind: str, families: Sequence[Sequence[str]]) -> np.ndarray:
    """A column per family of arms, the others behind it."""
    fig, axes = style.panels(2, len(families), size=(1.95, 1.85), sharex=True, sharey="row")
    positions, levels = _positions(table), sorted(_positions(table))
    floors = {"accuracy": (table["chance"].iloc[0], "chance"), "retention": (0.0, "no better than chance")}
    for row, (measure, (guessing, label)) in zip(axes, floors.items(), strict=True):
        rows = table[table["measure"] == measure]
        means = rows.groupby(["arm", "level"])["value"].mean().unstack()[levels]
        for panel, arms in zip(row, families, strict=True):
            for values in means.drop(index=list(arms)).to_numpy():
                panel.plot(range(len(levels)), values, color="#d8d8d8", linewidth=0.9, zorder=1)
            arm_lines(panel, rows[rows["arm"].isin(arms)], positions)
        row[0].set_ylabel(measure)
        _axes(row[0], kind, levels)
        for panel in row:
            _floor(panel, guessing, label if panel is row[0] else "", room=0.14)
    for column in axes.T:
        column[0].legend(
            loc="lower left", bbox_to_anchor=(-0.03, 1), ncols=1, handlelength=2.4, borderaxespad=0.2, labelspacing=0.3
        )
        column[1].tick_params(axis="x", labelsize=7)
    axes[1, len(families) // 2].set_xlabel(_XLABELS[kind])
    behind = style.entry("the other arms", marker="", linestyle="-", color="#c8c8c8", linewidth=0.9)
    style.key_below(fig, [*style.bands_key(table), behind])
    return axes


def _floor(ax: Axes, guessing: float, label: str, room: float = 0.09) -> None:
    """The line of guessing, labelled from below, where no curve runs; `room` for it is a share of the axis."""
    ax.axhline(guessing, color=style.MUTED, linewidth=1, linestyle=":", zorder=1)
    ax.annotate(
        label, (1, guessing), xycoords=("axes fraction", "data"), xytext=(0, -2.5), textcoords="offset points",
        ha="right", va="top", fontsize=7.5, color=style.MUTED,
    )  # fmt: skip
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, guessing - room * (high - low)), high)
