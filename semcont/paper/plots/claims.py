"""The ledger as pictures: the paper's differences between arms beside ours."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..verdicts import compact
from . import style

PAPER, OURS = "#d55e00", "#0072b2"
PRESETS = (OURS, "#009e73", "#cc79a7", "#56b4e9", "#5b5b5b", "#e69f00")
"""Colours of the presets in the order in which they come; Okabe and Ito's."""


def claims_forest(table: pd.DataFrame, tests: pd.DataFrame | None = None, ax: Axes | None = None) -> Axes:
    """Differences of accuracies and shares, the paper's and ours, a claim a line; right of 0 is the paper's side.

    `table` is what `claims.comparisons` returns, `tests` the second of `claims.judge`. With one seed a bar is a 95 %
    interval over test images or glyphs. With several, a faint dot is a seed, and the dot with a bar their mean with its
    t interval. A line with several of our points has several cases. The axis is linear within two points and
    logarithmic beyond.
    """
    shown = table[table["unit"] == "percent"]
    ax = _lines(shown, ax)
    if tests is None or shown["seed"].nunique() < 2:
        _points(ax, shown, shown[["difference", "low", "high"]].mul(shown["sign"], axis=0))
    else:
        _points(ax, shown, shown[["difference"]].mul(shown["sign"], axis=0), faint=True)
        means = tests[(tests["unit"] == "percent") & tests["alpha"].ne("tuned") & tests["id"].isin(set(shown["id"]))]
        line = {name: number for number, name in enumerate(dict.fromkeys(shown["id"]))}
        _means(ax, means, means["id"].map(line) + 0.17, OURS)
    return _points_axis(ax)


def claims_presets(
    tests: pd.DataFrame, paper: pd.DataFrame, presets: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """The same differences under each published preset, a lane each within a claim's line, and the paper's above them.

    `tests` is what `sidebyside.tests` returns, `paper` what `claims.comparisons` does, `presets` an order. A hollow
    dot is a single run with its interval over test images; a full dot the mean over seeds with its t interval.
    """
    shown = tests[(tests["unit"] == "percent") & tests["alpha"].ne("tuned")]
    theirs = paper[(paper["source"] == "paper") & (paper["unit"] == "percent") & paper["id"].isin(set(shown["id"]))]
    names = [name for name in presets or dict.fromkeys(shown["preset"]) if name in set(shown["preset"])]
    ax = _lines(shown, ax, lanes=len(names))
    line = {name: number for number, name in enumerate(dict.fromkeys(shown["id"]))}
    step = 0.8 / (len(names) + 1)
    handles = [Line2D([], [], marker="D", color=PAPER, markerfacecolor="white", linestyle="", label="paper")]
    look = {"edgecolor": PAPER, "facecolor": "white", "marker": "D", "s": 16, "linewidth": 1.1, "zorder": 3}
    ax.scatter(theirs["difference"] * theirs["sign"], theirs["id"].map(line) - 0.4 + step / 2, **look)
    for lane, (name, colour) in enumerate(zip(names, _colours(len(names)), strict=True), 1):
        mine = shown[shown["preset"] == name]
        _means(ax, mine, mine["id"].map(line) - 0.4 + (lane + 0.5) * step, colour, size=16)
        hollow = mine["seeds"].median() < 2
        seeds = compact.seeds(int(mine["seeds"].min()), int(mine["seeds"].max()))
        face = {"markerfacecolor": "white" if hollow else colour}
        handles.append(Line2D([], [], marker="o", color=colour, **face, label=f"{name}, {seeds}"))
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1)
    return _points_axis(ax)


def _colours(count: int) -> list[str]:
    return [PRESETS[k % len(PRESETS)] for k in range(count)]


def _points_axis(ax: Axes) -> Axes:
    """The axis of differences in percentage points, turned so that the paper's direction is on the right."""
    ax.axvline(0, color="#444444", linewidth=1, zorder=1)
    ax.set_xscale("symlog", linthresh=2, linscale=1)
    ticks = [-50, -10, -5, -2, -1, 0, 1, 2, 5, 10, 50]
    ax.set_xticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("← opposite to the paper      difference in percentage points      as the paper says →")
    return ax


def claims_ratios(table: pd.DataFrame, tests: pd.DataFrame | None = None, ax: Axes | None = None) -> Axes:
    """Ratios of distances, gradients and the like between two arms, ours alone: the paper shows these in pictures.

    `table` and `tests` as in `claims_forest`. Each is turned so that right of one is the paper's direction.
    """
    shown = table[(table["unit"] != "percent") & (table["source"] == "ours") & table["ratio"].notna()]
    ax = _lines(shown, ax)
    if tests is None or shown["seed"].nunique() < 2:
        _points(ax, shown, shown[["ratio", "ratio_low", "ratio_high"]].pow(shown["sign"], axis=0))
    else:
        _points(ax, shown, shown[["ratio"]].pow(shown["sign"], axis=0), faint=True)
        means = tests[(tests["unit"] == "ratio") & tests["alpha"].ne("tuned") & tests["id"].isin(set(shown["id"]))]
        line = {name: number for number, name in enumerate(dict.fromkeys(shown["id"]))}
        _means(ax, means, means["id"].map(line).astype(float), OURS)
    ax.axvline(1, color="#444444", linewidth=1, zorder=1)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlabel("← opposite to the paper      ratio between the two arms      as the paper says →")
    return ax


def _lines(shown: pd.DataFrame, ax: Axes | None, lanes: int = 1) -> Axes:
    """Axes with one line per claim, from the top in the ledger's order, and the sections told apart."""
    ids = list(dict.fromkeys(shown["id"]))
    ax = style.axes_or_new(ax, (7.4, 0.9 + (0.13 + 0.07 * lanes) * len(ids)))
    ax.set_yticks(range(len(ids)), ids, fontsize=7.5)
    ax.set_ylim(len(ids) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(True, axis="x")
    ax.grid(False, axis="y")
    ax.hlines(range(len(ids)), 0, 1, transform=ax.get_yaxis_transform(), color="#f2f2f2", linewidth=0.6, zorder=0)
    sections = shown.drop_duplicates("id")["section"].tolist()
    for line, section in enumerate(sections):
        if line == 0 or section != sections[line - 1]:
            ax.axhline(line - 0.5, color="#cccccc", linewidth=0.7, zorder=0)
            where = {"xycoords": ("axes fraction", "data"), "xytext": (4, 0), "textcoords": "offset points"}
            ax.annotate(f"§ {section}", (1, line), va="center", fontsize=8, color=style.MUTED, **where)
    return ax


def _points(ax: Axes, shown: pd.DataFrame, ends: pd.DataFrame, *, faint: bool = False) -> None:
    """The marks: the paper's as hollow diamonds above the line's middle, ours as dots with intervals below it.

    `ends` has the middle of each mark and, where intervals are drawn, their two ends. `faint` is for single seeds.
    """
    line = {name: number for number, name in enumerate(dict.fromkeys(shown["id"]))}
    for source, colour, marker, face, shift in (("paper", PAPER, "D", "white", -0.17), ("ours", OURS, "o", OURS, 0.17)):
        part = shown[shown["source"] == source]
        if part.empty:
            continue
        y = part["id"].map(line) + (shift if shown["source"].nunique() > 1 else 0)
        middle, *bounds = (ends.loc[part.index, column] for column in ends)
        if bounds:
            ax.hlines(y, *bounds, color=colour, linewidth=1.1, alpha=0.55)
        seeds = faint and source == "ours"
        look = {"s": 9, "alpha": 0.35, "linewidth": 0} if seeds else {"s": 18, "linewidth": 1.1}
        ax.scatter(
            middle,
            y,
            label=f"{source}, a seed" if seeds else source,
            edgecolor=colour,
            facecolor=face,
            marker=marker,
            zorder=3,
            **look,
        )
    if shown["source"].nunique() > 1:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1)


def _means(ax: Axes, tests: pd.DataFrame, y: pd.Series, colour: str, *, size: float = 24) -> None:
    """Means with their intervals: full and heavy over seeds, hollow and thin for a single run."""
    ends = tests[["estimate", "low", "high"]]
    turned = ends.pow(tests["sign"], axis=0).where(tests["unit"].eq("ratio"), ends.mul(tests["sign"], axis=0))
    for single in (True, False):
        part = tests.index[tests["seeds"].lt(2) == single]
        width, face = (0.9, "white") if single else (1.6, colour)
        ax.hlines(y[part], turned.loc[part, "low"], turned.loc[part, "high"], color=colour, linewidth=width, alpha=0.6)
        look = {"edgecolor": colour, "facecolor": face, "marker": "o", "s": size, "linewidth": 1.1, "zorder": 4}
        ax.scatter(turned.loc[part, "estimate"], y[part], **look)
