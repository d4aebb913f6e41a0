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
    """Figs. 6, 8, 10: accuracy (left) and retention (right) over the degree of destruction, the intact image first."""
    if ax is None:
        ax = style.panels(1, 2, size=(3.4, 2.7))[1]
    levels = sorted(set(table["level"]))
    positions = {level: place for place, level in enumerate(levels)}
    left, right = np.ravel(ax)
    for panel, measure in ((left, "accuracy"), (right, "retention")):
        arm_lines(panel, table[table["measure"] == measure], positions)
        labels = [features.level_label(kind, level) for level in levels]
        panel.set(title=measure.capitalize(), xlabel=_XLABELS[kind], xticks=range(len(levels)), xticklabels=labels)
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    for panel, guessing, label in ((left, table["chance"].iloc[0], "chance"), (right, 0.0, "no better than chance")):
        _floor(panel, guessing, label)
    style.legend_above(left.figure, left)
    return ax


def _floor(ax: Axes, guessing: float, label: str) -> None:
    """The line of guessing, labelled from below, where no curve runs."""
    ax.axhline(guessing, color=style.MUTED, linewidth=1, linestyle=":", zorder=1)
    ax.annotate(
        label, (1, guessing), xycoords=("axes fraction", "data"), xytext=(0, -2.5), textcoords="offset points",
        ha="right", va="top", fontsize=7.5, color=style.MUTED,
    )  # fmt: skip
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, guessing - 0.09 * (high - low)), high)
