"""Lines of several arms over a level, with bands: what Figs. 3, 4, 6, 8 and 10 have in common."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from . import style


def over_seeds(table: pd.DataFrame, by: Sequence[str], value: str = "value") -> pd.DataFrame:
    """Per setting of `by` the mean over seeds, as columns `value`, low, high.

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
    return found.reset_index()[[*by, "value", "low", "high"]]


def arm_lines(ax: Axes, table: pd.DataFrame, positions: dict[float, float], *, value: str = "value") -> None:
    """One line and band per arm over `level`, drawn at `positions[level]`."""
    for arm in style.arm_order(table):
        rows = over_seeds(table[table["arm"] == arm], ["level"], value)
        x = rows["level"].map(positions)
        style.band(ax, x, rows["low"], rows["high"], arm)
        ax.plot(x, rows["value"], **style.arm_line(arm))
