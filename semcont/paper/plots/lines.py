"""Lines of several arms over a level, with bands: what Figs. 3, 4, 6, 8 and 10 have in common."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from . import style


def over_seeds(table: pd.DataFrame, by: Sequence[str], value: str = "value") -> pd.DataFrame:
    """Per setting of `by` the mean over seeds, as columns `value`, low, high, seeds.

    From one seed low and high are its own interval, which knows the test images; from several they are the smallest and
    the largest of the seeds' values.
    """
    grouped = table.groupby(list(by), sort=False)
    found = grouped.agg(
        value=(value, "mean"), smallest=(value, "min"), largest=(value, "max"), seeds=("seed", "nunique")
    )
    own = grouped[["low", "high"]].first()
    several = found["seeds"] > 1
    found["low"] = own["low"].where(~several, found["smallest"])
    found["high"] = own["high"].where(~several, found["largest"])
    return found.reset_index()[[*by, "value", "low", "high", "seeds"]]


def arm_lines(
    ax: Axes, table: pd.DataFrame, positions: dict[float, float], *, by: str = "level", value: str = "value"
) -> None:
    """One line and band per arm over `by`, drawn at `positions`; of a single run the marks are hollow."""
    for arm in style.arm_order(table):
        rows = over_seeds(table[table["arm"] == arm].sort_values(by), [by], value)
        x = rows[by].map(positions)
        style.band(ax, x, rows["low"], rows["high"], arm)
        ax.plot(x, rows["value"], **style.arm_line(arm, rows["seeds"].max()))
