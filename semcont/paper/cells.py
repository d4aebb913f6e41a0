"""Cells of the tables for reading, as several sections print them."""

from collections.abc import Sequence

import pandas as pd


def in_percent(rows: pd.DataFrame, value: str = "accuracy", number: str = "{:.1f}") -> str:
    """A share of one network with its interval (columns low, high), or of several seeds with their standard deviation.

    `rows` holds one row per seed; `number` formats the mean and the bounds.
    """
    middle = number.format(rows[value].mean() * 100)
    if len(rows) > 1:
        return f"{middle} ± {rows[value].std() * 100:.1f}"
    low, high = (number.format(rows.iloc[0][bound] * 100) for bound in ("low", "high"))
    return f"{middle} [{low}, {high}]"


def shares(table: pd.DataFrame, value: str, by: Sequence[str]) -> pd.DataFrame:
    """A row for each value of the columns `by`, with the share `value` as `in_percent` has it, over the seeds."""
    groups = table.groupby(list(by), sort=False)
    rows = [dict(zip(by, key, strict=True)) | {"percent": in_percent(part, value)} for key, part in groups]
    return pd.DataFrame(rows, columns=[*by, "percent"])


def means(table: pd.DataFrame, values: Sequence[str], by: Sequence[str], number: str = "{:.3g}") -> pd.DataFrame:
    """A row for each value of the columns `by`: of one seed the `values` as they are, of several the mean with the
    standard deviation; a dash where there is none.
    """
    rows = []
    for key, part in table.groupby(list(by), sort=False):
        rows.append(dict(zip(by, key, strict=True)) | {name: _mean(part[name].dropna(), number) for name in values})
    return pd.DataFrame(rows, columns=[*by, *values])


def _mean(values: pd.Series, number: str) -> str:
    if values.empty:
        return "–"
    spread = f" ± {number.replace('+', '').format(values.std())}" if len(values) > 1 else ""
    return number.format(values.mean()) + spread


def in_range(least: object, most: object) -> str:
    """ "3", "1 to 10"."""
    return f"{least}" if least == most else f"{least} to {most}"


def in_epochs(count: int) -> str:
    """ "1 epoch", "8 epochs"."""
    return f"{count} epoch" if count == 1 else f"{count} epochs"
