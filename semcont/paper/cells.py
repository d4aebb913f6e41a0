"""Cells of the tables for reading, as several sections print them."""

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


def in_range(least: object, most: object) -> str:
    """ "3", "1 to 10"."""
    return f"{least}" if least == most else f"{least} to {most}"


def in_epochs(count: int) -> str:
    """ "1 epoch", "8 epochs"."""
    return f"{count} epoch" if count == 1 else f"{count} epochs"
