"""Figs. 3 and 4, and Table 1 as pictures."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from ...perturbations import LEVELS
from . import style
from .lines import arm_lines, over_seeds

_AXIS = {"score": "DS (log scale)", "relative_score": "DS / DS between classes (log scale)"}
_STRENGTHS = {"brightness": "+{:g}/255", "contrast": "× {:g}", "saturation": "× {:g}", "hue": "{:g} turn"}


def continuity_levels(table: pd.DataFrame, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """Fig. 3: score or relative score over the levels, a panel per perturbation; `table` from `continuity.only`."""
    value = next(name for name in _AXIS if name in table)
    perturbations = list(dict.fromkeys(table["perturbation"]))
    if ax is None:
        ax = style.panels(2, 2, size=(3.2, 2.35), sharex=True, sharey=True)[1]
    for panel, perturbation in zip(np.ravel(ax), perturbations, strict=True):
        arm_lines(panel, table[table["perturbation"] == perturbation], {n: n for n in range(1, 5)}, value=value)
        panel.set(title=perturbation.capitalize(), yscale="log", xticks=range(1, 5))
    for panel in np.atleast_2d(ax)[-1]:
        panel.set_xlabel("level of Table 1")
    first = np.ravel(ax)[0]
    first.figure.supylabel(_AXIS[value], fontsize=9)
    style.legend_above(first.figure, first)
    style.key_below(first.figure, style.bands_key(table))
    return ax


def alpha_trade_off(table: pd.DataFrame, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """Fig. 4: accuracy (left) and the summed DS at level 1 (right) over alpha; `table` from `continuity.trade_off`.

    Alpha is on a logarithmic axis, with 0 one step left of the smallest, behind a break.
    """
    if ax is None:
        ax = style.panels(1, 2, size=(3.4, 2.6))[1]
    alphas = sorted(set(table["alpha"]))
    for panel, measure in zip(np.ravel(ax), ("accuracy", "score"), strict=True):
        rows = over_seeds(table[table["measure"] == measure].sort_values("alpha"), ["alpha"])
        x = [_place(alpha, alphas) for alpha in rows["alpha"]]
        error = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        line = style.arm_line("c", rows["seeds"].min())
        panel.errorbar(x, rows["value"], error, capsize=2.5, elinewidth=1, **line)
        panel.set(xlabel="α, weight of the constraint", xticks=x, xticklabels=[f"{alpha:g}" for alpha in rows["alpha"]])
        if alphas[0] == 0 and len(alphas) > 1:
            _break(panel, (x[0] + x[1]) / 2)
        if 1.0 in alphas:
            panel.axvline(_place(1.0, alphas), color=style.MUTED, linewidth=0.8, linestyle=":", zorder=0)
    left, right = np.ravel(ax)
    if 1.0 in alphas:
        left.annotate(
            "the paper's α", (_place(1.0, alphas), 0.45), xycoords=("data", "axes fraction"), xytext=(-3, 0),
            textcoords="offset points", ha="right", fontsize=7.5, color=style.MUTED,
        )  # fmt: skip
    style.chance_line(left, table["chance"].iloc[0])
    left.set(title="Accuracy", ylabel="accuracy, test images")
    left.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    right.set(title="Distance score at level 1", ylabel="DS, sum of four (log scale)", yscale="log")
    style.key_below(left.figure, style.bands_key(table, bars=True))
    return ax


def _place(alpha: float, alphas: Sequence[float]) -> float:
    """The position of alpha on the axis: its logarithm; 0 lies one below the smallest."""
    return float(np.log10(alpha if alpha > 0 else min(a for a in alphas if a > 0) / 10))


def _break(ax: Axes, x: float) -> None:
    """Two strokes through the horizontal axis: between 0 and the next value it is not logarithmic."""
    for shift in (-0.06, 0.06):
        ax.plot(
            [x + shift - 0.05, x + shift + 0.05], [-0.025, 0.025],
            transform=ax.get_xaxis_transform(), color="#444444", linewidth=0.9, clip_on=False,
        )  # fmt: skip


def perturbed_images(images: Float[Tensor, "4 5 3 h w"], ax: np.ndarray | None = None) -> np.ndarray:
    """Table 1 as pictures: a row per perturbation, the original and four levels; `images` from `continuity.sixteen`."""
    if ax is None:
        ax = style.panels(4, 5, size=(1.2, 1.22))[1]
    style.show_images(ax, list(images.flatten(0, 1).permute(0, 2, 3, 1).cpu().numpy()))
    for row, (name, strengths) in zip(ax, LEVELS.items(), strict=True):
        row[0].set_ylabel(name, fontsize=8.5)
        for panel, strength in zip(row, ["original", *strengths], strict=True):
            text = strength if strength == "original" else _STRENGTHS[name].format(strength)
            panel.set_title(text, fontsize=8, fontweight="normal", loc="center", pad=2.5)
    return ax
