"""Section 3's figures, none of which the paper has: Eq. 6's remainder, training curves, gradients and single pixels."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from ...losses import ARMS
from . import style
from .lines import over_seeds

_EXPANSIONS = {  # label, colour, marker
    "first": ("linear term only", "#5b5b5b", "o"),
    "printed": ("Eq. 6 as printed", "#d55e00", "s"),
    "half": ("Eq. 6 with ½", "#0072b2", "D"),
}
_SHIFT = {"first": -9, "printed": 4, "half": -3}  # points: the first two lines lie on each other
_CURVES = {
    "loss": "Loss of the arm (Eq. 5)",
    "ce": "Cross-entropy on x",
    "distance": "DS of training pairs",
    "accuracy": "Training accuracy",
    "val_accuracy": "Validation accuracy",
    "val_attacked": "Validation, under attack",
}
_PANELS = {
    "gradient_norm": ("Norm of dF/dx", "over the distance\nbetween classes"),
    "curvature": ("Curvature", "over the distance\nbetween classes"),
    "pixel_norm": ("Strongest pixel: norm", "over the distance\nbetween classes"),
    "pixel_share": ("Strongest pixel: share", "of the squared norm\nof dF/dx"),
}


def remainders(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """||R|| over ||dx||, geometric mean over images, each line with its slope; `table` from `expansion.taylor`."""
    ax = style.axes_or_new(ax, (5.2, 3.3))
    for name, (label, colour, marker) in _EXPANSIONS.items():
        part = table[table["expansion"] == name].assign(log=lambda rows: np.log(rows["remainder"]))
        mean = np.exp(part.groupby("length")["log"].mean())
        slope = np.polyfit(np.log(part["length"]), part["log"], 1)[0]
        hollow = {"markerfacecolor": "white", "zorder": 3} if name == "first" else {}
        ax.plot(mean.index, mean, color=colour, marker=marker, label=label, **hollow)
        ax.annotate(
            f"{label}: slope {slope:.2f}", (mean.index[-1], mean.iloc[-1]), xytext=(8, _SHIFT[name]),
            textcoords="offset points", color=colour, fontsize=8.5, annotation_clip=False,
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="length of the step, ‖Δx‖", ylabel="norm of the remainder, ‖R‖")
    return ax


def training_curves(table: pd.DataFrame, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """The history of every arm, a panel per measure; `table` from `gradients.curves`.

    Over several seeds the mean, and a band from the smallest to the largest.
    """
    measures = [name for name in _CURVES if name in set(table["measure"])]
    if ax is None:
        ax = style.panels(2, 3, size=(2.75, 2.15), sharex=True)[1]
    table = table.assign(low=table["value"], high=table["value"])
    for panel, measure in zip(np.ravel(ax), measures, strict=False):
        part = table[table["measure"] == measure]
        if measure == "distance":  # of arms whose third term is another, it is another distance
            part = part[[ARMS[arm].distance == "squared_l2" for arm in part["arm"]]]
        for arm in style.arm_order(part):
            rows = over_seeds(part[part["arm"] == arm], ["epoch"])
            style.band(panel, rows["epoch"], rows["low"], rows["high"], arm)
            line = style.arm_line(arm) | {"marker": style.arm_line(arm)["marker"] if len(rows) == 1 else None}
            panel.plot(rows["epoch"], rows["value"], **line)
        panel.set_title(_CURVES[measure])
        if measure in ("accuracy", "val_accuracy", "val_attacked"):
            panel.set_ylim(-0.02, 1.02)
            panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        else:
            panel.set_yscale("log")
            narrow = part["value"].max() < 20 * part["value"].min()
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            panel.yaxis.set_minor_formatter(NullFormatter())
    for panel in np.atleast_2d(ax)[-1]:
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for panel in np.ravel(ax)[len(measures) :]:
        panel.set_axis_off()
    first = np.ravel(ax)[0]
    style.legend_above(first.figure, first)
    if (table.groupby("arm")["seed"].nunique() > 1).any():  # a single run has a line and no band
        style.key_below(first.figure, [style.bands_key(table)[0]])
    return ax


def smoothness(table: pd.DataFrame, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """A point with its interval per arm and seed, a panel per measure; `table` from `gradients.smoothness`."""
    arms = style.arm_order(table)
    if ax is None:
        ax = style.panels(1, 4, size=(2.05, max(2.2, 0.8 + 0.35 * len(arms))), sharey=True)[1]
    seeds = table["seed"].nunique()
    for panel, (measure, (title, unit)) in zip(np.ravel(ax), _PANELS.items(), strict=True):
        scale = "raw" if measure == "pixel_share" else "relative"
        part = table[(table["measure"] == measure) & (table["scale"] == scale)]
        for row, y in zip(part.itertuples(), style.stands(part, arms, min(0.8, 0.25 * seeds)), strict=True):
            look = {"fmt": style.ARM_MARKERS[row.arm], "color": style.ARM_COLOURS[row.arm]}
            look |= {"markersize": 3, "alpha": 0.7} if seeds > 3 else {}
            look["markerfacecolor"] = style.face(look["color"], (part["arm"] == row.arm).sum())
            error = [[row.value - row.low], [row.high - row.value]]
            panel.errorbar(row.value, y, xerr=error, elinewidth=1.3, capsize=2, **look)
        panel.set(title=title, xlabel=unit, xlim=(0, 1.1 * part["high"].max()), ylim=(len(arms) - 0.5, -0.5))
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.grid(axis="y", visible=False)
        if measure == "pixel_share":
            panel.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    first = np.ravel(ax)[0]
    first.set_yticks(range(len(arms)), [style.ARM_LABELS[arm] for arm in arms])
    style.key_below(first.figure, style.networks_key(table))
    return ax


def pixel_maps(table: pd.DataFrame, images: Float[np.ndarray, "n h w 3"], ax: np.ndarray | None = None) -> np.ndarray:
    """Each image and, per arm, each pixel's share of ||dF/dx||^2, the strongest ringed.

    `table` is from `gradients.pixel_maps`, one seed; `images` from `gradients.pictures`. All maps share one scale,
    square-rooted so that the weaker pixels can be seen.
    """
    arms = style.arm_order(table)
    if ax is None:
        width = min(1.25, 12 / (1 + len(arms)))  # inches
        ax = style.panels(len(images), 1 + len(arms), size=(width, width + 0.02))[1]
    maps = []
    for k, image in enumerate(images):
        maps.append(image)
        for arm in arms:
            part = table[(table["arm"] == arm) & (table["image"] == k)]
            maps.append(part.pivot(index="row", columns="column", values="share").to_numpy())
    limit = max(values.max() for values in maps if values.ndim == 2)
    style.show_images(ax, [values if values.ndim == 3 else np.sqrt(values / limit) for values in maps])
    for panel, values in zip(np.ravel(ax), maps, strict=True):
        if values.ndim == 2:
            panel.images[0].set_cmap("magma")
            row, column = np.unravel_index(values.argmax(), values.shape)
            panel.plot(
                column, row, "o", markersize=9, markerfacecolor="none", markeredgecolor="#56b4e9", markeredgewidth=1.3
            )
            panel.set_xlabel(f"{values.max():.1%}", fontsize=8, labelpad=2)
    for panel, title in zip(np.atleast_2d(ax)[0], ["image", *(style.ARM_LABELS[arm] for arm in arms)], strict=True):
        panel.set_title(title, fontsize=9, fontweight="normal", loc="center", pad=3)
    return ax
