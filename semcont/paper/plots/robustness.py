"""Figures of section 4.4."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from . import style


def eps_curve(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Accuracy under attack over the radius, a line per arm: its seeds as dots and their mean, or one's interval.

    `table` is what `robustness.by_eps` returns. Radii are set at equal distances, 0 among them.
    """
    ax = style.axes_or_new(ax, (5.4, 3.3))
    radii = sorted(table["eps"].unique())
    for arm in style.arm_order(table):
        _seeds_and_line(ax, table[table["arm"] == arm].set_index("eps"), radii, range(len(radii)), arm)
    chance = table["chance"].iloc[0]
    style.chance_line(ax, chance, "")
    ax.annotate("chance", (-0.1, chance), xytext=(0, 2), textcoords="offset points", fontsize=7.5, color=style.MUTED)
    ax.set_xticks(range(len(radii)), [f"{eps:g}" for eps in radii])
    ax.set(xlabel="radius of the attack in 1/255, in pixels", ylabel="accuracy")
    ax.set(xlim=(-0.15, len(radii) - 0.85), ylim=(0, 1))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
    beside = len(style.arm_order(table)) > 4  # inside, a long legend would hide the lines
    place = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)} if beside else {"loc": "lower left"}
    ax.legend(**({"bbox_to_anchor": (0.01, 0.15)} | place), handlelength=2.6)
    style.key_below(ax.figure, style.seeds_key(table))
    return ax


def _seeds_and_line(ax: Axes, rows: pd.DataFrame, levels: Sequence, at: Sequence[float], arm: str) -> None:
    """An arm's means over `levels`, the index of `rows`, drawn at `at`; a dot per seed, or a single run's interval."""
    colour, seeds = style.ARM_COLOURS[arm], rows["seed"].nunique()
    mean = rows.groupby(level=0)["accuracy"].mean().loc[levels]
    ax.plot(at, mean, **style.arm_line(arm, seeds), clip_on=False, zorder=3)
    if seeds > 1:
        where = rows.index.map(dict(zip(levels, at, strict=True)))
        ax.scatter(where, rows["accuracy"], color=colour, **style.SEED, clip_on=False, zorder=2)
    else:
        ax.vlines(at, rows.loc[levels, "low"], rows.loc[levels, "high"], color=colour, alpha=0.6, linewidth=1.2)


def worst_case(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Accuracy under one attack after the other, the worst case last: a line per arm over the seeds' means.

    `table` is what `audit_shown.ladder` returns; a dot is a seed, and with one seed its interval is drawn.
    """
    names = list(dict.fromkeys(table["attack"]))
    arms = style.arm_order(table)
    many = len(arms) > 4  # then a legend inside would hide lines, and the marks of an attack need room
    ax = style.axes_or_new(ax, (1.6 + (1.0 if many else 0.75) * len(names), 3.3))
    apart = min(0.08, 0.6 / len(arms))
    for place, arm in enumerate(arms):
        at = [k + apart * (place - (len(arms) - 1) / 2) for k in range(len(names))]  # side by side, not one on another
        _seeds_and_line(ax, table[table["arm"] == arm].set_index("attack"), names, at, arm)
    ax.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    ax.set(ylabel="accuracy", ylim=(0, 1), xlim=(-0.5, len(names) - 0.5))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
    beside = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    ax.legend(**(beside if many else {"loc": "upper right"}), handlelength=2.6)
    style.key_below(ax.figure, style.seeds_key(table))
    return ax


def eps_spaces(table: pd.DataFrame, printed: str = "CIFAR-100") -> np.ndarray:
    """Accuracy over the radius in pixels and on normalised images, means over seeds, beside the paper's numbers.

    `table` is that of `audit.grid.nearest`: a column of panels per unit, a row per training, the arms' first, whose
    lines on the same seeds stand pale in the rows below. Where it has numbers of the paper, on the data `printed`, an
    arm's is a dotted line in its colour, and a ring marks the cell nearest to it.
    """
    spaces, trainings = (list(dict.fromkeys(table[name])) for name in ("space", "training"))
    several = len(trainings) > 1
    tall = 2.4 if several else 3.3
    fig, axes = style.panels(len(trainings), len(spaces), size=(3.9, tall), sharex=True, sharey=True)
    for training, row in zip(trainings, axes, strict=True):
        for space, ax in zip(spaces, row, strict=True):
            inside = table[table["space"] == space]
            _one_space(ax, inside[inside["training"] == training], inside[inside["training"] == trainings[0]])
            unit = "pixels" if space == "pixels" else "normalised images"
            ax.set(xlabel=f"radius in 1/255 of {unit}", title="" if several else unit, ylim=(0, 1))
            ax.label_outer()
            ax.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
        row[0].set(ylabel="accuracy")
        if several:
            row[0].set(title=f"training: {training}")
    style.legend_above(fig, axes[0, 0])
    key = style.seeds_key(table.assign(arm=table["training"] + table["arm"]))
    if several:
        words = f"trained as {trainings[0]}, the same seeds"
        key.append(style.entry(words, marker="", linestyle="-", linewidth=1.2, alpha=0.4))
    if table["paper"].notna().any():
        words = f"the paper's number for the arm, on {printed}"
        key.append(style.entry(words, marker="", linestyle=":", linewidth=1.2))
        key.append(style.entry("the radius nearest to that number", markersize=9, markerfacecolor="none"))
    style.key_below(fig, key)
    return axes


def _one_space(ax: Axes, table: pd.DataFrame, arms: pd.DataFrame) -> None:
    """One training in one unit, a line per arm; `arms` as they are, pale, where that is another training."""
    radii = sorted(table["eps"].unique())
    for arm in style.arm_order(table):
        rows = table[table["arm"] == arm].set_index("eps")
        _seeds_and_line(ax, rows, radii, range(len(radii)), arm)
        _nearest(ax, rows, radii, arm)
        if (arms["training"] != table["training"].iloc[0]).any():
            same = arms[(arms["arm"] == arm) & arms["seed"].isin(rows["seed"])].groupby("eps")["accuracy"].mean()
            ax.plot(range(len(radii)), same.reindex(radii), color=style.ARM_COLOURS[arm], linewidth=1.2, alpha=0.4)
    ax.set_xticks(range(len(radii)), [f"{eps:g}" for eps in radii])


def _nearest(ax: Axes, rows: pd.DataFrame, radii: Sequence[float], arm: str) -> None:
    """The paper's number for an arm as a dotted line, and a ring around our mean at each radius marked as nearest."""
    colour, found = style.ARM_COLOURS[arm], rows.groupby(level=0).agg({"accuracy": "mean", "nearest": "any"})
    near = found[found["nearest"]]["accuracy"]
    ring = {"s": 110, "facecolors": "none", "edgecolors": colour, "linewidths": 1.4, "zorder": 4}
    ax.scatter([radii.index(eps) for eps in near.index], near, **ring)
    if rows["paper"].notna().any():
        ax.axhline(rows["paper"].iloc[0] / 100, color=colour, linewidth=1, linestyle=":")
