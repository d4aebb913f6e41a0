"""The ledger as pictures: the paper's differences between arms beside ours."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from ..claims import DECIDED, primary
from ..verdicts import compact
from . import style

PAPER, OURS = "#d55e00", "#0072b2"
PRESETS = (OURS, "#009e73", "#cc79a7", "#56b4e9", "#5b5b5b", "#e69f00")
"""Colours of the presets in the order in which they come; Okabe and Ito's."""
CLAIM, GROUP, CASE = 0.155, 0.08, 0.047
"""Inches between two claims, within one between the paper's marks and ours or two presets', and between two cases."""
_WIDTH = 8.0  # inches
LINEAR = 2  # percentage points on either side of 0 within which the axis is linear


def claims_forest(
    table: pd.DataFrame,
    tests: pd.DataFrame | None = None,
    verdicts: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Differences of accuracies and shares, the paper's and ours, a claim a row; right of 0 is the paper's side.

    `table` is what `claims.comparisons` returns, `tests` and `verdicts` the second and the first of `claims.judge`. A
    full dot with a bar is a mean over seeds with its t interval, a faint dot a seed, a hollow dot a single run with its
    95 % interval over test images or glyphs; cases lie below each other. Given verdicts, rows that decide nothing are
    pale, and primary claims have a bold name. The axis is linear within two points and logarithmic beyond.
    """
    shown = table[table["unit"] == "percent"]
    marks = _placed(shown, [_paper(shown), _ours(shown, tests, "percent")], verdicts)
    ax = style.axes_or_new(ax, (_WIDTH, _height(marks)))
    _rows(ax, marks, verdicts)
    _draw(ax, marks[marks["group"] == "ours"], OURS)
    _seeds(ax, shown, marks, shown["difference"] * shown["sign"])
    _diamonds(ax, marks)
    ax.legend(handles=_key(marks, verdicts), loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
    return _points_axis(ax, marks)


def claims_presets(
    tests: pd.DataFrame,
    paper: pd.DataFrame,
    presets: Sequence[str] | None = None,
    verdicts: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The same differences under each published preset, a lane each within a claim's row, and the paper's above them.

    `tests` is what `sidebyside.tests` returns, `paper` what `claims.comparisons` does, `presets` an order, `verdicts`
    what `sidebyside.verdicts` returns. Marks are those of `claims_forest`.
    """
    shown = tests[(tests["unit"] == "percent") & tests["alpha"].ne("tuned")]
    theirs = paper[paper["id"].isin(set(shown["id"])) & (paper["unit"] == "percent")]
    names = [name for name in presets or dict.fromkeys(shown["preset"]) if name in set(shown["preset"])]
    lanes = [_turned(shown[shown["preset"] == name]).assign(group=name) for name in names]
    marks = _placed(shown, [_paper(theirs), *lanes], verdicts)
    ax = style.axes_or_new(ax, (_WIDTH, _height(marks)))
    _rows(ax, marks, None if verdicts is None else verdicts.drop(columns="verdict"))
    handles = [_entry("paper", "D", PAPER)]
    for name, colour in zip(names, _colours(len(names)), strict=True):
        mine = marks[marks["group"] == name]
        _draw(ax, mine, colour)
        hollow = mine["seeds"].median() < 2
        seeds = compact.seeds(int(mine["seeds"].min()), int(mine["seeds"].max()))
        handles.append(_entry(f"{name}, {seeds}", "o", colour, full=not hollow, linestyle="-"))
    _diamonds(ax, marks)
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    style.key_below(ax.figure, _key(marks[marks["group"] != "paper"], verdicts, style.MUTED))
    return _points_axis(ax, marks)


def claims_ratios(
    table: pd.DataFrame, tests: pd.DataFrame | None = None, verdicts: pd.DataFrame | None = None
) -> np.ndarray:
    """Ratios of distances, gradients and the like between two arms, ours alone: the paper shows these in pictures.

    Arguments and marks as in `claims_forest`. Each ratio is turned so that right of one is the paper's direction. A
    panel per section, each with an axis of its own: some turn on hundredths and some on factors of a hundred.
    """
    shown = table[(table["unit"] != "percent") & (table["source"] == "ours") & table["ratio"].notna()]
    marks = _placed(shown, [_ours(shown, tests, "ratio")], verdicts)
    parts = [part.assign(y=part["y"] - part["y"].min() + CLAIM) for _, part in marks.groupby("section", sort=False)]
    parts = parts or [marks]
    heights = [_height(part) - 0.75 for part in parts]
    settings = {"figsize": (_WIDTH, sum(heights) + 0.75), "height_ratios": heights, "squeeze": False}
    figure, axes = plt.subplots(len(parts), 1, **settings)
    for ax, part in zip(axes[:, 0], parts, strict=True):
        _rows(ax, part, verdicts)
        _draw(ax, part, OURS)
        _seeds(ax, shown, part, shown["ratio"].pow(shown["sign"]))
        ax.axvline(1, color="#444444", linewidth=1, zorder=1)
        _ratio_axis(ax)
    ax.set_xlabel("← opposite to the paper      ratio between the two arms      as the paper says →\n"
                  "(logarithmic, each section on its own scale)")  # fmt: skip
    if len(marks):
        figure.legend(handles=_key(marks, verdicts), loc="outside upper right", ncols=2)
    else:
        ax.set_title("no ratio between two arms was measured", fontsize=8, color=style.MUTED)
    return axes


def claims_primary(table: pd.DataFrame, tests: pd.DataFrame, verdicts: pd.DataFrame) -> np.ndarray:
    """The primary claims alone: above, those about accuracies as in `claims_forest`; below, ratios as in
    `claims_ratios`, on one axis, where there are any.
    """
    primary = table[table["id"].isin(_primary(verdicts))]
    points = primary[primary["unit"] == "percent"]
    ratios = primary[(primary["unit"] != "percent") & (primary["source"] == "ours") & primary["ratio"].notna()]
    above = _placed(points, [_paper(points), _ours(points, tests, "percent")], verdicts)
    below = _placed(ratios, [_ours(ratios, tests, "ratio")], verdicts)
    parts = [(above, points, points["difference"] * points["sign"])]
    parts += [(below, ratios, ratios["ratio"].pow(ratios["sign"]))] if len(below) else []
    heights = [_height(marks) - 0.75 for marks, _, _ in parts]
    settings = {"figsize": (_WIDTH, sum(heights) + 1.5), "height_ratios": heights, "squeeze": False}
    figure, axes = plt.subplots(len(parts), 1, **settings)
    for ax, (marks, shown, value) in zip(axes[:, 0], parts, strict=True):
        _rows(ax, marks, verdicts)
        for label in ax.get_yticklabels():
            label.set(fontweight="normal")  # all are primary
        _draw(ax, marks[marks["group"] == "ours"], OURS)
        _seeds(ax, shown, marks, value)
        _diamonds(ax, marks)
    _points_axis(axes[0, 0], above)
    for ax in axes[1:, 0]:
        ax.axvline(1, color="#444444", linewidth=1, zorder=1)
        _ratio_axis(ax)
        ax.set_xlabel("← opposite to the paper      ratio between the two arms      as the paper says →")
    key = [entry for entry in _key(pd.concat([above, below]), verdicts) if "primary" not in entry.get_label()]
    figure.legend(handles=key, loc="outside upper right", ncols=2)
    return axes


# --- which marks there are, and where ---------------------------------------------------------------------------------


def _turned(tests: pd.DataFrame) -> pd.DataFrame:
    """Estimates with their ends, turned so that the paper's side is on the right."""
    ends = tests[["estimate", "low", "high"]]
    turned = ends.pow(tests["sign"], axis=0).where(tests["unit"].eq("ratio"), ends.mul(tests["sign"], axis=0))
    return tests[["id", "section", "case", "seeds"]].join(turned).assign(group="ours")


def _ours(shown: pd.DataFrame, tests: pd.DataFrame | None, unit: str) -> pd.DataFrame:
    """Our marks of the claims shown: the tests' or, without them, those of one network per arm."""
    if tests is None:
        names = ["difference", "low", "high"] if unit == "percent" else ["ratio", "ratio_low", "ratio_high"]
        own = shown[shown["source"] == "ours"]
        ends = own[names].set_axis(["estimate", "low", "high"], axis=1)
        return _turned(own[["id", "section", "case", "sign"]].join(ends).assign(unit=unit, seeds=1))
    return _turned(tests[(tests["unit"] == unit) & tests["alpha"].ne("tuned") & tests["id"].isin(set(shown["id"]))])


def _paper(table: pd.DataFrame) -> pd.DataFrame:
    """The paper's marks, all data sets of a claim in one lane."""
    theirs = table[table["source"] == "paper"]
    known = theirs.reindex(columns=["id", "section"]).assign(group="paper", case="", seeds=0)
    return known.assign(estimate=theirs["difference"] * theirs["sign"])


def _placed(shown: pd.DataFrame, parts: list[pd.DataFrame], verdicts: pd.DataFrame | None) -> pd.DataFrame:
    """All marks in the order of the claims shown, with y (inches from the top) and whether their verdict decides."""
    order = {name: place for place, name in enumerate(dict.fromkeys(shown["id"]))}
    marks = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    marks = marks.sort_values("id", key=lambda ids: ids.map(order), kind="stable", ignore_index=True)
    marks["case"] = marks["case"].astype(object).fillna("")
    marks["section"] = marks["id"].map(shown.drop_duplicates("id").set_index("id")["section"])
    other = [marks[name].ne(marks[name].shift()) for name in ("id", "group", "case")]
    marks["y"] = np.select(other, [CLAIM, GROUP, CASE if len(parts) < 3 else 0.75 * CASE]).cumsum()
    marks["decides"] = True
    if verdicts is not None:
        own = verdicts[verdicts["alpha"].ne("tuned")] if "alpha" in verdicts else verdicts
        keys = ["id", "preset"] if "preset" in own else ["id"]
        told = own.set_index(keys)["verdict"].str.startswith(DECIDED)
        asked = pd.MultiIndex.from_frame(marks[["id", "group"]]) if len(keys) > 1 else marks["id"]
        marks["decides"] = told.reindex(asked).eq(True).to_numpy()
    return marks


def _height(marks: pd.DataFrame) -> float:
    """Of the figure, in inches, with room for the axis and the key."""
    return marks["y"].max() + CLAIM + 1.05 if len(marks) else 1.5


# --- how they are drawn -----------------------------------------------------------------------------------------------


def _rows(ax: Axes, marks: pd.DataFrame, verdicts: pd.DataFrame | None) -> None:
    """A row per claim, every other on a faint ground: its name, bold where it is primary; sections and verdicts."""
    spans = marks.groupby("id", sort=False).agg(top=("y", "min"), end=("y", "max"), section=("section", "first"))
    ax.set_yticks((spans["top"] + spans["end"]) / 2, spans.index, fontsize=7.5)
    ax.set_ylim(marks["y"].max() + 0.8 * CLAIM if len(marks) else 1, 0.2 * CLAIM)
    ax.tick_params(axis="y", length=0)
    ax.grid(True, axis="x")
    ax.grid(False, axis="y")
    for span in spans.iloc[::2].itertuples():
        ax.axhspan(span.top - CLAIM / 2, span.end + CLAIM / 2, color="#f5f5f5", linewidth=0, zorder=0)
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    for span in spans[spans["section"].ne(spans["section"].shift())].itertuples():
        ax.axhline(span.top - CLAIM / 2, color="#bbbbbb", linewidth=0.7, zorder=0.5)
        ax.annotate(f"§ {span.section}", (1, span.top), xytext=(5, 0), fontsize=8, color=style.MUTED, **where)
    _words(ax, spans, {} if verdicts is None else _told(verdicts), where)


def _told(verdicts: pd.DataFrame) -> Mapping[str, tuple[str, bool]]:
    """Per claim its verdict in short, where the table has one, and whether it is primary."""
    own = verdicts[verdicts["alpha"].ne("tuned")] if "alpha" in verdicts else verdicts
    texts = own["verdict"].str.split(",").str[0] if "verdict" in own else pd.Series("", index=own.index)
    primary = _primary(own)
    return {name: (text, name in primary) for name, text in zip(own["id"], texts, strict=True)}


def _primary(verdicts: pd.DataFrame) -> set[str]:
    """The primary claims: the ledger's, whose verdict on a single run does not say so, and those that say so."""
    told = verdicts["scope"].fillna("").str.endswith("primary")
    return {*primary(), *verdicts["id"][told]}


def _words(ax: Axes, spans: pd.DataFrame, told: Mapping[str, tuple[str, bool]], where: Mapping[str, object]) -> None:
    """The names of primary claims bold, those of claims not decided grey, and each verdict at the right end."""
    for label, span in zip(ax.get_yticklabels(), spans.itertuples(), strict=True):
        verdict, primary = told.get(span.Index, ("", False))
        colour = style.MUTED if verdict and not verdict.startswith(DECIDED) else "black"
        label.set(fontweight="bold" if primary else "normal", color=colour)
        at = (1, (span.top + span.end) / 2)
        ax.annotate(verdict, at, xytext=(34, 0), fontsize=7, color=colour, **where)


def _draw(ax: Axes, marks: pd.DataFrame, colour: str) -> None:
    """Marks with their intervals: full over seeds, hollow for a single run, pale where nothing is decided."""
    cases = marks.groupby(["id", "group"])["case"].transform("nunique")
    sizes = cases.map(lambda count: 16 if count == 1 else 10 if count < 6 else 7)
    for (single, decides), part in marks.groupby([marks["seeds"].lt(2), "decides"]):
        tint = colour if decides else _pale(colour)
        ax.hlines(part["y"], part["low"], part["high"], color=tint, linewidth=0.9 if single else 1.4, zorder=2.5)
        look = {"edgecolor": tint, "facecolor": "white" if single else tint, "linewidth": 1, "zorder": 3}
        ax.scatter(part["estimate"], part["y"], s=sizes[part.index], marker="o", **look)


def _seeds(ax: Axes, shown: pd.DataFrame, marks: pd.DataFrame, values: pd.Series) -> None:
    """A faint dot per seed, in the lane of its case, where there are several."""
    several = marks[(marks["group"] == "ours") & marks["seeds"].gt(1)].drop_duplicates(["id", "case"])
    ours = shown.assign(value=values, case=shown["case"].astype(object).fillna(""))[shown["source"] == "ours"]
    found = ours[["id", "case", "value"]].merge(several[["id", "case", "y", "decides"]])
    tints = np.where(found["decides"], OURS, _pale(OURS))
    ax.scatter(found["value"], found["y"], c=list(tints), s=5, alpha=0.6, linewidths=0, zorder=2)


def _diamonds(ax: Axes, marks: pd.DataFrame) -> None:
    theirs = marks[marks["group"] == "paper"]
    look = {"edgecolor": PAPER, "facecolor": "white", "marker": "D", "s": 15, "linewidth": 1.1, "zorder": 4}
    ax.scatter(theirs["estimate"], theirs["y"], **look)


def _entry(label: str, marker: str, colour: str, *, full: bool = False, **look) -> Line2D:
    """A legend's entry: hollow unless it is `full`."""
    face = colour if full else "white"
    return style.entry(label, marker, color=colour, markerfacecolor=face, markersize=4.5, linewidth=1.2, **look)


def _key(marks: pd.DataFrame, verdicts: pd.DataFrame | None, colour: str = OURS) -> list[Line2D]:
    """What the marks mean, of those that there are."""
    over, single, pale = marks["seeds"].gt(1), marks["seeds"].eq(1), ~marks["decides"]
    primary = verdicts is not None and any(_told(verdicts)[name][1] for name in set(marks["id"]) & set(verdicts["id"]))
    bar = {"linestyle": "-"}
    key = [
        ("paper" in set(marks["group"]), _entry("paper", "D", PAPER)),
        ((over & ~pale).any(), _entry("mean over seeds, interval", "o", colour, full=True, **bar)),
        ((over & pale).any(), _entry("mean over seeds, undecided", "o", _pale(colour), full=True, **bar)),
        (over.any() and colour == OURS, style.entry("a seed", "o", color=colour, markersize=2.4, alpha=0.6)),
        (single.any(), _entry("single run, interval over test images", "o",
                              _pale(colour) if (single & pale).any() else colour, **bar)),
        (primary, style.entry(r"$\bf{bold\ name}$: primary claim", "")),
    ]  # fmt: skip
    return [handle for there, handle in key if there]


def _pale(colour: str) -> str:
    """A colour mixed with white."""
    return to_hex([0.5 * part + 0.5 for part in to_rgb(colour)])


def _colours(count: int) -> list[str]:
    return [PRESETS[k % len(PRESETS)] for k in range(count)]


# --- the axes ---------------------------------------------------------------------------------------------------------


def _points_axis(ax: Axes, marks: pd.DataFrame) -> Axes:
    """The axis of differences in percentage points, as wide as the marks need."""
    ax.axvline(0, color="#444444", linewidth=1, zorder=1)
    ax.set_xscale("symlog", linthresh=LINEAR, linscale=0.8)
    ax.margins(x=0.03)
    low, high = ax.get_xlim()
    ticks = [tick for tick in (-50, -15, -5, -2, -1, 0, 1, 2, 5, 15, 50) if low <= tick <= high]
    ax.set_xticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
    ax.set_xlim(low, high)
    ax.minorticks_off()
    ax.set_xlabel("← opposite to the paper      difference in percentage points      as the paper says →\n"
                  f"(linear up to {LINEAR} points, logarithmic beyond)")  # fmt: skip
    return ax


def _ratio_axis(ax: Axes) -> None:
    """A logarithmic axis whose ticks are written out, the more of them the less it spans."""
    ax.set_xscale("log")
    ax.margins(x=0.03)
    low, high = ax.get_xlim()
    span = high / low
    fine = (1, 1.2, 1.5, 2, 3, 4, 5, 6, 7, 8) if span < 4 else (1, 1.5, 2, 3, 5, 7)
    ax.xaxis.set_major_locator(LogLocator(subs=fine if span < 10 else (1, 2, 5) if span < 100 else (1,)))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
