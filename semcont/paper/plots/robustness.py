"""Figures of section 4.4."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from . import style


def eps_curve(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Accuracy under attack over the radius, a line per arm with its interval as a band (over seeds: their means).

    `table` is what `robustness.by_eps` returns. Radii are set at equal distances, 0 among them.
    """
    ax = style.axes_or_new(ax, (5.4, 3.3))
    radii = sorted(table["eps"].unique())
    for arm in style.arm_order(table):
        rows = table[table["arm"] == arm].groupby("eps")[["accuracy", "low", "high"]].mean().loc[radii]
        ax.plot(range(len(radii)), rows["accuracy"], **style.arm_line(arm), clip_on=False, zorder=3)
        style.band(ax, range(len(radii)), rows["low"], rows["high"], arm)
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
    return ax


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
        rows = table[table["arm"] == arm]
        mean = rows.groupby("attack")["accuracy"].mean().loc[names]
        at = [k + apart * (place - (len(arms) - 1) / 2) for k in range(len(names))]  # side by side, not one on another
        ax.plot(at, mean, **style.arm_line(arm), clip_on=False, zorder=3)
        if rows["seed"].nunique() > 1:
            where = rows["attack"].map(dict(zip(names, at, strict=True)))
            ax.scatter(where, rows["accuracy"], s=6, color=style.ARM_COLOURS[arm], alpha=0.5, linewidths=0, zorder=2)
        else:
            bounds = rows.set_index("attack").loc[names, ["low", "high"]]
            ax.vlines(at, bounds["low"], bounds["high"], color=style.ARM_COLOURS[arm], alpha=0.5, linewidth=1)
    ax.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    ax.set(ylabel="accuracy", ylim=(0, 1), xlim=(-0.5, len(names) - 0.5))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
    beside = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    ax.legend(**(beside if many else {"loc": "upper right"}), handlelength=2.6)
    return ax


def eps_spaces(table: pd.DataFrame) -> np.ndarray:
    """Accuracy over the radius in pixels and on normalised images, beside the paper's numbers (dotted, right ends).

    `table` is that of `audit.grid.nearest` for one training; a ring marks the cell nearest to the paper's number.
    """
    spaces = list(dict.fromkeys(table["space"]))
    fig, axes = style.panels(1, len(spaces), size=(3.9, 3.3), sharey=True)
    for ax, space in zip(axes[0], spaces, strict=True):
        inside = table[table["space"] == space]
        radii = sorted(inside["eps"].unique())
        for arm in style.arm_order(table):
            rows = (
                inside[inside["arm"] == arm]
                .groupby("eps")
                .agg({"accuracy": "mean", "paper": "first", "nearest": "any"})
            )
            rows = rows.loc[radii]
            ax.plot(range(len(radii)), rows["accuracy"], **style.arm_line(arm), clip_on=False, zorder=3)
            near = [k for k, marked in enumerate(rows["nearest"]) if marked]
            ring = {"s": 110, "facecolors": "none", "edgecolors": style.ARM_COLOURS[arm], "linewidths": 1.4}
            ax.scatter(near, rows["accuracy"].iloc[near], **ring, zorder=4)
            if rows["paper"].notna().any():
                ax.axhline(rows["paper"].iloc[0] / 100, color=style.ARM_COLOURS[arm], linewidth=1, linestyle=":")
        ax.set_xticks(range(len(radii)), [f"{eps:g}" for eps in radii])
        unit = "pixels" if space == "pixels" else "normalised images"
        ax.set(xlabel=f"radius in 1/255 of {unit}", title=unit, ylim=(0, 1))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f} %")
    axes[0, 0].set_ylabel("accuracy")
    style.legend_above(fig, axes[0, 0])
    return axes
