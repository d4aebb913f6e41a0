"""Values, intervals and p values as the ledger prints them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from .findings import Found
from .ledger import Claim

FEW = 4
"""So many cases are listed one by one; of more the range is told."""


def number(value: float, unit: str) -> str:
    """A value for a reader: shares in percent, differences of shares in points, others to three digits."""
    if unit == "share":
        return f"{value * 100:z.1f} %"
    if unit == "points":
        return f"{value * 100:+.1f}"
    return f"{value:.3g}"


def value_text(row: Mapping[str, Any], unit: str) -> str:
    """A value with its case and interval."""
    text = f"{row['case']}: " if row["case"] else ""
    text += number(row["value"], unit)
    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return text
    return f"{text} [{number(row['low'], unit).removesuffix(' %')}, {number(row['high'], unit).removesuffix(' %')}]"


def arms_text(claim: Claim, found: Found, table: pd.DataFrame) -> str:
    """The two arms' values, or the margin: with intervals over test images for one seed and case, as means over
    several."""
    if claim.kind == "margin":
        return _margin(claim, found, table)
    if len(table) == 1:
        rows = [found.of(label).reset_index().iloc[0].to_dict() | {"case": ""} for label in claim.arms]
        return ", ".join(f"{label} {value_text(row, found.unit)}" for label, row in zip(claim.arms, rows, strict=True))
    means = [number(table[side].mean(), found.unit) for side in ("first", "second")]
    text = ", ".join(f"{label} {mean}" for label, mean in zip(claim.arms, means, strict=True))
    cases, seeds = table["case"].nunique(), table["seed"].nunique()
    over = " and ".join(f"{count} {name}" for count, name in ((cases, "cases"), (seeds, "seeds")) if count > 1)
    if seeds > 1 or len(table) <= FEW:  # the differences, case by case, are the interval's column
        return f"{text} (means over {over})"
    return f"{text} (means over {over}); {claim.arms[0]} lower in {table['difference'].lt(0).sum()} of {len(table)}"


def _margin(claim: Claim, found: Found, table: pd.DataFrame) -> str:
    """A margin case by case, over how many seeds it is a mean at the end."""
    means = table.groupby("case", sort=False)["difference"].mean()
    values = ", ".join(f"{case} {number(value, found.unit)}".strip() for case, value in means.items())
    seeds = table["seed"].nunique()
    over = f" (means over {seeds} seeds)" if seeds > 1 else ""
    return f"{claim.arms[0]} {values}{over}"


def paper_text(claim: Claim) -> str:
    """The paper's values and where they stand, or how else the claim comes to be in the ledger."""
    if claim.paper is None:
        return "in words" if claim.reading == "paper" else "our stricter reading"
    settings = []
    for setting, arms in claim.paper.values.items():
        values = ", ".join(
            f"{arm} {value:.0f}" if value == round(value) else f"{arm} {value:.2f}" for arm, value in arms.items()
        )
        settings.append(f"{setting}: {values}{' %' if claim.paper.unit == 'percent' else ''}")
    return f"{'; '.join(settings)} ({claim.paper.where})" if settings else claim.paper.where


# --- what a test found ------------------------------------------------------------------------------------------------


def interval_text(cases: pd.DataFrame) -> str:
    """The effects of `judging.CASES` with their intervals: few cases one by one; of many the range of their values and
    what holds all of their intervals.
    """
    rows = cases.to_dict("records")
    if len(rows) <= FEW:
        return "; ".join(f"{row['case']} {effect_text(row)}".strip() for row in rows)
    unit = rows[0]["unit"]
    ends = (_effect(cases["estimate"].min(), unit), _effect(cases["estimate"].max(), unit))
    told = f"{len(rows)} cases, {ends[0]} to {ends[1]}"
    if cases[["low", "high"]].isna().any(axis=None):
        return told
    low, high = (_effect(value, unit).removeprefix("×") for value in (cases["low"].min(), cases["high"].max()))
    return f"{told}, all within [{low}, {high}]"


def effect_text(row: Mapping[str, Any]) -> str:
    """`+2.7 [-2.4, +7.8]` points, or `x0.031 [0.028, 0.034]` for a ratio."""
    text = _effect(row["estimate"], row["unit"])
    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return text
    low, high = (_effect(row[end], row["unit"]).removeprefix("×") for end in ("low", "high"))
    return f"{text} [{low}, {high}]"


def _effect(value: float, unit: str) -> str:
    """A difference with its sign, in percentage points for shares; a ratio with a multiplication sign."""
    if unit == "ratio":
        return f"×{value:.3g}"
    return f"{value:+.1f}" if unit == "percent" else f"{value:+.3g}"


def counted(results: Sequence[str]) -> str:
    """How many cases came out how, by their own intervals."""
    order = ("same", "opposite", "negligible", "undecided")
    return f"of {len(results)} cases, each by itself, " + ", ".join(
        f"{results.count(r)} {r}" for r in order if r in results
    )


def margin_text(claim: Claim, unit: str) -> str:
    """The margin of a claim: points for shares, per cent of the second arm's value for ratios."""
    size = f"{claim.margin * 100:g}"
    return f"{size} %" if unit != "percent" else f"{size} point" if size == "1" else f"{size} points"


def p_text(p: float, corrected: bool) -> str:
    """A p value, and whether Holm's correction is in it."""
    size = "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"
    return f"{size} after Holm" if corrected else size


def power_text(cases: pd.DataFrame) -> str:
    """The smallest effect that so many seeds would have shown, in the case where it is largest."""
    row = cases.loc[cases["detectable"].idxmax()]
    size = f"a factor of {row['detectable']:.3g}" if row["unit"] == "ratio" else f"{row['detectable']:.2g}"
    if row["unit"] == "percent":
        size = f"{size} points" if row["detectable"] < 100 else "no difference of accuracies at all"
    return f"{row['seeds']} seeds would have shown {size} (power 80 %)"
