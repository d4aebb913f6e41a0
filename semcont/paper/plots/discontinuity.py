"""Figs. 1 and 2, and the rates and ranks behind them."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, PercentFormatter

from ...perturbations import LEVELS
from . import style
from .lines import over_seeds

_COLOURS = dict(zip(LEVELS, ("#e69f00", "#0072b2", "#009e73", "#cc79a7"), strict=True))
_MARKERS = dict(zip(LEVELS, "os^D", strict=True))
_TITLES = {
    "beyond_nearest": "Further than the nearest",
    "beyond_median": "Further than the median",
    "flip_rate": "Another class is predicted",
}
_EMBEDDINGS = {"logits": "logits", "pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


def pairs(table: pd.DataFrame, images: Float[np.ndarray, "rows 3 h w 3"], classes: Sequence[str]) -> np.ndarray:
    """Fig. 1: x_A, x_A', x_B in each row, with DS(x_A, x_A') and DS(x_A, x_B), the larger in bold.

    `table` is from `discontinuity.examples`, `images` from `discontinuity.pictures`, `classes` are the network's. One
    block of four rows per quantile of the table, side by side.
    """
    quantiles = list(dict.fromkeys(table["quantile"]))
    rows = len(table) // len(quantiles)
    ratios = [width for _ in quantiles for width in (1, 1, 1, 0.3)][:-1]
    settings = {"width_ratios": ratios, "hspace": 0.02, "wspace": 0.02}
    axes = style.panels(rows, len(ratios), size=(0.95, 1.36), layout="compressed", gridspec_kw=settings)[1]
    for ax in axes[:, 3::4].flat:
        ax.set_axis_off()
    for k, row in enumerate(table.itertuples()):
        block, line = divmod(k, rows)
        _triple(axes[line, 4 * block : 4 * block + 3], row, images[k], classes)
        if block == 0:
            axes[line, 0].set_ylabel(row.perturbation, fontsize=9)
    for ax, name in zip(axes[0], ("$x_A$", "$x_{A'}$", "$x_B$", "") * len(quantiles), strict=False):
        ax.set_title(name, fontsize=9.5, fontweight="normal", loc="center", pad=4)
    fig = axes[0, 0].figure
    fig.draw_without_rendering()  # places the axes; a heading inside one would push its neighbours away
    for block, quantile in enumerate(quantiles):
        box = axes[0, 4 * block + 1].get_position()
        y = box.y1 + 0.27 / fig.get_size_inches()[1]
        fig.text((box.x0 + box.x1) / 2, y, _quantile(quantile), ha="center", fontsize=9.5, fontweight="bold")
    return axes


def _quantile(quantile: float) -> str:
    return {1.0: "the largest excess", 0.5: "the excess in the middle", 0.0: "the smallest excess"}.get(
        quantile, f"excess at quantile {quantile:g}"
    )


def _triple(axes: Sequence[Axes], row, images: Float[np.ndarray, "3 h w 3"], classes: Sequence[str]) -> None:
    style.show_images(np.asarray(axes), images)
    further = row.score > row.nearest
    texts = (
        _seen(classes[row.predicted]),
        f"DS {_short(row.score)}\n{_seen(classes[row.predicted_prime])}",
        f"DS {_short(row.nearest)}",
    )
    for ax, text, bold in zip(axes, texts, (False, further, not further), strict=True):
        ax.set_xlabel(text, fontsize=8, labelpad=2.5, fontweight="bold" if bold and "DS" in text else "normal")


def _seen(name: str) -> str:
    """ "seen as 7", or a long name on lines of its own, that a picture's width holds."""
    return f"seen as {name}" if len(name) < 3 else "seen as\n" + "\n".join(textwrap.wrap(name, 15))


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def discontinuity_rates(table: pd.DataFrame, ax: Sequence[Axes] | None = None, others: int | None = None) -> np.ndarray:
    """The rates of `discontinuity.rates` over the level, a panel per measure, a line per perturbation; one arm.

    `others` is how many images of the class there are to be the nearest: the dotted lines are then the rates that x'
    would have if it were just one more image of the class.
    """
    if ax is None:
        ax = style.panels(1, 3, size=(2.75, 2.6), sharey=True)[1]
    for panel, (measure, title) in zip(np.ravel(ax), _TITLES.items(), strict=True):
        for name in LEVELS:
            rows = over_seeds(table[(table["perturbation"] == name) & (table["measure"] == measure)], ["level"], "rate")
            colour = _COLOURS[name]
            panel.fill_between(rows["level"], rows["low"], rows["high"], color=colour, alpha=0.16, linewidth=0)
            look = {
                "color": colour,
                "marker": _MARKERS[name],
                "markerfacecolor": style.face(colour, rows["seeds"].max()),
            }
            panel.plot(rows["level"], rows["value"], **look, label=name)
        panel.set(title=title, xticks=range(1, 5), xlabel="level of Table 1")
    left, middle, _ = np.ravel(ax)
    if others:
        style.chance_line(left, others / (others + 1), "any image of the class")
        style.chance_line(middle, 0.5, "any image of the class")
    left.set(ylabel="share of test images", ylim=(-0.02, 1.06))
    left.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    style.legend_above(left.figure, left)
    style.key_below(left.figure, style.bands_key(table))
    return ax


def class_maps(table: pd.DataFrame, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """Fig. 2: a class in two dimensions, an original and its versions marked; `table` from `embeddings.maps`."""
    embeddings = list(dict.fromkeys(table["embedding"]))
    if ax is None:
        ax = style.panels(1, len(embeddings), size=(2.75, 2.75))[1]
    for panel, embedding in zip(np.ravel(ax), embeddings, strict=True):
        points = table[table["embedding"] == embedding].set_index("point")
        rest = points.loc[["reference"]]
        panel.scatter(rest["x"], rest["y"], s=17, color="#c3c3c3", linewidths=0, label="other images of the class")
        for name in LEVELS:
            x, y = points.loc[name, ["x", "y"]]
            look = {"marker": _MARKERS[name], "color": _COLOURS[name], "label": name}
            panel.scatter(x, y, s=26, edgecolors="white", linewidths=0.5, zorder=4, **look)
        x, y = points.loc["original", ["x", "y"]]
        look = {"marker": "*", "color": "black", "label": "original"}
        panel.scatter(x, y, s=110, edgecolors="white", linewidths=0.6, zorder=3, **look)
        ranks = ", ".join(f"{points.loc[name, 'rank']:g}" for name in LEVELS)
        panel.set_title(f"{_EMBEDDINGS[embedding]}  ", loc="left")
        panel.set_title(f"ranks of the four: {ranks}", fontsize=8, fontweight="normal", loc="right")
        panel.set(xticks=[], yticks=[], aspect="equal")
        panel.set_adjustable("datalim")
        for spine in panel.spines.values():
            spine.set_visible(True)
    first = np.ravel(ax)[0]
    style.legend_above(first.figure, first)
    return ax


def neighbour_ranks(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Mean rank of each version among its original's neighbours, per space; `table` from `embeddings.mean_ranks`."""
    ax = style.axes_or_new(ax, (6.2, 2.7))
    embeddings = [name for name in _EMBEDDINGS if name in set(table["embedding"])]
    for place, name in enumerate(LEVELS):
        rows = over_seeds(table[table["perturbation"] == name], ["embedding"], "rank")
        rows = rows.set_index("embedding").loc[embeddings]
        y = np.arange(len(rows)) + 0.17 * (place - 1.5)
        error = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        filled = {"markerfacecolor": style.face(_COLOURS[name], rows["seeds"].max())}
        look = {"fmt": _MARKERS[name], "color": _COLOURS[name], "elinewidth": 1.2, "label": name} | filled
        ax.errorbar(rows["value"], y, xerr=error, **look)
    chance = table["chance"].mean()
    for x, text in ((2.5, "mean of the\nfour nearest"), (chance, "random\norder")):
        ax.axvline(x, color=style.MUTED, linewidth=1, linestyle=":", zorder=1)
        ax.annotate(
            text, (x, 1), xycoords=("data", "axes fraction"), xytext=(3, -1), textcoords="offset points",
            va="top", fontsize=7.5, color=style.MUTED,
        )  # fmt: skip
    ax.set(xscale="log", xlim=(0.9, chance * 1.5), yticks=range(len(embeddings)), ylim=(len(embeddings) - 0.4, -0.85))
    ax.set_yticklabels([_EMBEDDINGS[name] for name in embeddings])
    ticks = [tick for tick in (1, 2, 3, 5, 10, 20, 50) if tick < chance * 1.5]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("mean rank among the original's neighbours (1 = nearest; log scale)")
    ax.grid(axis="y", visible=False)
    style.legend_above(ax.figure, ax)
    style.key_below(ax.figure, style.bands_key(table, bars=True))
    return ax
