"""Differences between two arms within each seed, with a t interval over seeds: what a control leaves of an effect.

Every such table of the notebooks is exploratory: its intervals are 95 % each, without a correction for their number.
The ledger's primary claims are corrected, and judged elsewhere.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from . import statistics


class Contrast(NamedTuple):
    """One comparison: the question that it answers, the arm, and the control that it is held against."""

    question: str
    first: str
    second: str


def differences(
    table: pd.DataFrame, contrasts: Sequence[Contrast], *, by: Sequence[str] = ("measure",), value: str = "value"
) -> pd.DataFrame:
    """First less second of each contrast, for every seed that both arms have; columns question, first, second, `by`,
    seed, difference, and over the seeds n, mean, low, high (NaN for one seed).

    `table` has columns arm, seed, `by` and `value`; values of one arm, seed and `by` are averaged.
    """
    columns = ["question", "first", "second", *by, "seed", "difference", "n", "mean", "low", "high"]
    if table.empty:
        return pd.DataFrame(columns=columns)
    cells = table.groupby([*by, "arm", "seed"], sort=False)[value].mean()
    places = table[list(by)].drop_duplicates().itertuples(index=False)
    rows = []
    for place in [tuple(place) for place in places]:
        of = cells.xs(place, level=tuple(range(len(by)))) if by else cells
        for contrast in contrasts:
            one, two = (of[of.index.get_level_values("arm") == arm].droplevel("arm") for arm in contrast[1:])
            apart = (one - two).dropna()
            about = contrast._asdict() | dict(zip(by, place, strict=True)) | over_seeds(apart)
            rows += [about | {"seed": seed, "difference": value} for seed, value in apart.items()]
    return pd.DataFrame(rows, columns=columns)


def over_seeds(values: pd.Series | np.ndarray) -> dict[str, float]:
    """{"n", "mean", "low", "high"}: the mean over seeds and its 95 % t interval, which one seed does not have."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return {
            "n": len(values),
            "mean": float(values.mean()) if len(values) else np.nan,
            "low": np.nan,
            "high": np.nan,
        }
    found = statistics.paired(values)
    return {"n": found.n, "mean": found.mean, "low": found.low, "high": found.high}


def intervals(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `differences` without its seeds: one row per contrast and measure."""
    return table.drop(columns=["seed", "difference"]).drop_duplicates(ignore_index=True)


def reading(table: pd.DataFrame, measures: dict[str, tuple[str, float]]) -> pd.DataFrame:
    """`differences` as they are read: a row per contrast, a column per measure, mean and interval.

    `measures` gives each measure's title and the factor that it is multiplied with, 100 for points.
    """
    rows, counts = {}, {}
    for row in intervals(table).itertuples():
        title, factor = measures[row.measure]
        key = (row.question, f"{row.first} − {row.second}")
        counts[key] = max(row.n, counts.get(key, 0))
        bounds = "" if np.isnan(row.low) else f" [{_signed(factor * row.low)}, {_signed(factor * row.high)}]"
        rows.setdefault(key, {})[title] = f"{_signed(factor * row.mean)}{bounds}"
    keys = pd.DataFrame(list(rows), columns=["question", "arms"]).assign(seeds=[counts[key] for key in rows])
    cells = pd.DataFrame(list(rows.values()))
    return pd.concat([keys, cells[[title for title, _ in measures.values() if title in cells]]], axis=1)


def _signed(value: float) -> str:
    return f"{round(value, 9) + 0.0:+.3g}"  # + 0.0: no "-0"


def verdict(row, better: str) -> str:
    """In favour of the first arm ("for"), "against" it, or "open", by its interval; "single run" for one seed.

    `better` is "higher" or "lower".
    """
    if np.isnan(row.low):
        return "single run"
    if row.low <= 0 <= row.high:
        return "open"
    return "for" if (row.mean > 0) == (better == "higher") else "against"


def conclusion(table: pd.DataFrame, measures: dict[str, tuple[str, float]], better: dict[str, str]) -> str:
    """In Markdown, for each contrast: the measures in which the interval speaks for the first arm, and against it."""
    lines = []
    for (question, first, second), part in intervals(table).groupby(["question", "first", "second"], sort=False):
        told: dict[str, list[str]] = {}
        for row in part.itertuples():
            told.setdefault(verdict(row, better[row.measure]), []).append(measures[row.measure][0])
        if "single run" in told:
            signs = [f"{measures[r.measure][0]} {measures[r.measure][1] * r.mean:+.3g}" for r in part.itertuples()]
            lines.append(f"- **{question}**, `{first}` less `{second}`: {', '.join(signs)}, from one seed each.")
            continue
        parts = [f"{word}: {', '.join(told[key])}" for key, word in _WORDS.items() if key in told]
        lines.append(f"- **{question}**, `{first}` less `{second}`, {part['n'].max()} seeds: {'; '.join(parts)}.")
    return "\n".join(lines) or "No two of the arms that would be compared were trained here."


_WORDS = {"for": "better", "against": "worse", "open": "not told apart"}


def describe(table: pd.DataFrame, measures: dict[str, tuple[str, float]]) -> str:
    """Alt text of `plots.paired_differences`."""
    parts = []
    for measure, rows in intervals(table).groupby("measure", sort=False):
        title, factor = measures[measure]
        values = ", ".join(f"{r.first} less {r.second} {factor * r.mean:+.3g}" for r in rows.itertuples())
        parts.append(f"{title}: {values}")
    return f"A panel per measure, a row per comparison, a dot per seed, the mean with its interval. {'; '.join(parts)}."
