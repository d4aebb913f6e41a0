"""Figures of section 4.7."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.ticker import MaxNLocator

from . import style

_GROUNDS = {"red": "#c8322d", "blue": "#2456c4"}
_STEPS = 241  # colours of the strip


def colour_samples(train: np.ndarray, test: np.ndarray, ax: np.ndarray | None = None) -> np.ndarray:
    """Fig. 14: images (n, h, w, 3) of the training split above, of the test split below."""
    if ax is None:
        ax = style.panels(2, len(train), size=(0.8, 0.86))[1]
    return style.show_images(ax, [*train, *test], row_labels=["training", "test"])


def hue_reach(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The red ground turned through the colour circle, and how far each level of P turns it; from `fairness.reach`."""
    ax = style.axes_or_new(ax, (5.6, 2.1))
    turns = np.linspace(-0.5, 0.5, _STEPS)
    strip = hsv_to_rgb(np.stack([turns % 1, np.ones(_STEPS), np.ones(_STEPS)], axis=1))
    ax.imshow(strip[None], extent=(-0.5, 0.5, 0, 1), aspect="auto", interpolation="nearest")
    for name, where in (("ground in training", 0.0), ("ground in the test", -1 / 3)):
        ax.plot([where], [0.5], marker="o", color="white", markersize=7, markeredgecolor="#222222", zorder=3)
        above = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center", "fontsize": 8.5}
        ax.annotate(name, (where, 1), **above)
    ax.axvline(-1 / 3, ymax=0.6, color="#222222", linewidth=0.9, linestyle=":", zorder=1)
    for row in table.to_dict("records"):
        y, own = -0.35 * row["level"], row["trained"]
        colour, width = (style.ARM_COLOURS["c"], 2.2) if own else (style.MUTED, 1.3)
        ax.plot([-row["turns"], row["turns"]], [y, y], marker="|", markersize=7, linewidth=width, color=colour)
        name = f"level {row['level']}" + (", as C is trained" if own else "")
        ax.text(0.51, y, name, va="center", fontsize=8.5, color=colour)
    ticks = np.arange(-5, 6) / 10
    ax.set_xticks(ticks, [f"{tick:+.1f}".replace("-", "−") if tick else "0" for tick in ticks])
    ax.set(xlim=(-0.5, 0.5), ylim=(-0.35 * len(table) - 0.25, 1), yticks=[], xlabel="turn of the hue")
    ax.grid(False)
    ax.spines[["left"]].set_visible(False)
    return ax


def colour_grounds(table: pd.DataFrame, gaps: pd.DataFrame, ax: np.ndarray | None = None) -> np.ndarray:
    """Table 4 as a picture: per network the same test digits on red and on blue, and beside them the gap.

    `table` is what `fairness.by_ground` returns, `gaps` what `fairness.gap` does. One network has its interval over the
    test images; of several the mean is drawn, and a dot for each.
    """
    twins, scaled = table[table["view"] == "twins"], gaps.assign(**gaps[["gap", "low", "high"]] * 100)
    rows = dict(list(twins.groupby(["arm", "variant", "ground"], sort=False)))
    own = dict(list(scaled.groupby(["arm", "variant"], sort=False)))
    networks = list(own)
    if ax is None:
        ax = style.panels(1, 2, size=(3.4, 1.1 + 0.36 * len(networks)), sharey=True)[1]
    left, right = np.ravel(ax)
    for y, network in enumerate(networks):
        for ground, shift in (("red", -0.12), ("blue", 0.12)):
            look = {"color": _GROUNDS[ground], "marker": "s" if ground == "red" else "o"}
            style.seeds_and_mean(left, rows[(*network, ground)], y + shift, "accuracy", **look)
        arm = network[0]
        look = {"color": style.ARM_COLOURS[arm], "marker": style.ARM_MARKERS[arm]}
        style.seeds_and_mean(right, own[network], y, "gap", **look)
    right.axvline(0, color=style.MUTED, linewidth=1, linestyle=":", zorder=1)
    left.set_yticks(range(len(networks)), [_label(*network) for network in networks])
    left.set(title="Accuracy", xlabel=f"accuracy (chance: {table['chance'].iloc[0] * 100:.0f} %)")
    left.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    left.xaxis.set_major_formatter(lambda value, _: f"{round(value * 100, 1):g} %")
    right.set(title="Gap", xlabel="red less blue, percentage points", ylim=(len(networks) - 0.5, -0.5))
    for panel in (left, right):
        panel.grid(False, axis="y")
        panel.tick_params(axis="y", length=0)
    marks = [
        style.entry(f"on {ground}, {part} in training", marker, color=_GROUNDS[ground])
        for ground, marker, part in (("red", "s", "common"), ("blue", "o", "rare"))
    ]
    left.figure.legend(handles=marks, loc="outside upper center", ncols=2)
    style.key_below(left.figure, style.seeds_key(table))
    return ax


def _label(arm: str, variant: str) -> str:
    return style.ARM_LABELS[arm] + (f", {variant}" if variant else "")
