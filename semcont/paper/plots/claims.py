"""The ledger as pictures: the paper's differences between arms beside ours."""

import pandas as pd
from matplotlib.axes import Axes

from . import style

PAPER, OURS = "#d55e00", "#0072b2"


def claims_forest(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Differences of accuracies and shares, the paper's and ours, a claim a line; right of 0 is the paper's side.

    `table` is what `claims.comparisons` returns. A bar is a 95 % interval over test images or glyphs for one network
    per arm; a line with several of our points has several cases. The axis is linear within two points and logarithmic
    beyond.
    """
    shown = table[table["unit"] == "percent"]
    ax = _lines(shown, ax)
    ends = shown[["difference", "low", "high"]].mul(shown["sign"], axis=0)
    _points(ax, shown, ends)
    ax.axvline(0, color="#444444", linewidth=1, zorder=1)
    ax.set_xscale("symlog", linthresh=2, linscale=1)
    ticks = [-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50]
    ax.set_xticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("← opposite to the paper      difference in percentage points      as the paper says →")
    return ax


def claims_ratios(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Ratios of distances, gradients and the like between two arms, ours alone: the paper shows these in pictures.

    `table` is what `claims.comparisons` returns. Each is turned so that right of one is the paper's direction.
    """
    shown = table[(table["unit"] != "percent") & (table["source"] == "ours") & table["ratio"].notna()]
    ax = _lines(shown, ax)
    _points(ax, shown, shown[["ratio", "ratio_low", "ratio_high"]].pow(shown["sign"], axis=0))
    ax.axvline(1, color="#444444", linewidth=1, zorder=1)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlabel("← opposite to the paper      ratio between the two arms      as the paper says →")
    return ax


def _lines(shown: pd.DataFrame, ax: Axes | None) -> Axes:
    """Axes with one line per claim, from the top in the ledger's order, and the sections told apart."""
    ids = list(dict.fromkeys(shown["id"]))
    ax = style.axes_or_new(ax, (7.4, 0.9 + 0.2 * len(ids)))
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


def _points(ax: Axes, shown: pd.DataFrame, ends: pd.DataFrame) -> None:
    """The marks: the paper's as hollow diamonds above the line's middle, ours as dots with intervals below it.

    `ends` has three columns: the middle of each mark and the two ends of its interval.
    """
    line = {name: number for number, name in enumerate(dict.fromkeys(shown["id"]))}
    for source, colour, marker, face, shift in (("paper", PAPER, "D", "white", -0.17), ("ours", OURS, "o", OURS, 0.17)):
        part = shown[shown["source"] == source]
        if part.empty:
            continue
        y = part["id"].map(line) + (shift if shown["source"].nunique() > 1 else 0)
        middle, *bounds = (ends.loc[part.index, column] for column in ends)
        ax.hlines(y, *bounds, color=colour, linewidth=1.1, alpha=0.55)
        look = {"edgecolor": colour, "facecolor": face, "marker": marker, "s": 18, "linewidth": 1.1, "zorder": 3}
        ax.scatter(middle, y, label=source, **look)
    if shown["source"].nunique() > 1:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1)
