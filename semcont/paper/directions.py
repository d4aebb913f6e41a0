"""What a table says of the directions that the paper reports, in plain words. It names one seed a single run."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from .cells import in_range


@dataclass(frozen=True)
class Direction:
    """The paper's: `what` of arm `first` is "higher", "lower" or "as high" as (not lower than) that of arm `second`."""

    what: str
    first: str
    second: str
    paper: str
    margin: float = 0.0  # "as high" allows for a loss of this size


def describe(table: pd.DataFrame, value: str, directions: Sequence[Direction], *, percent: bool = False) -> str:
    """A Markdown list: for each direction both arms' numbers, and whether they lie as the paper says.

    `table` holds one row per arm and seed with `value` and, where known, `low` and `high`. Directions whose arms are
    not there are left out. From one seed the sentence says so; from several, in how many of them the direction is the
    paper's.
    """
    rows = table.set_index(["arm", "seed"])
    lines = []
    for direction in directions:
        seeds = [
            seed
            for seed in table["seed"].unique()
            if {(direction.first, seed), (direction.second, seed)} <= set(rows.index)
        ]
        if seeds:
            lines.append(_line(rows, value, direction, seeds, percent))
    return "\n".join(lines)


def caution(table: pd.DataFrame) -> str:
    """What may be concluded from as many seeds as the table has."""
    seeds = table["seed"].nunique()
    if seeds == 1:
        return (
            "Each arm is a single run. Intervals speak of the choice of test images alone: another seed may give "
            "another order, and nothing here is settled by one."
        )
    several = per_arm(table)
    return f"Each arm was trained with {several} seeds; the intervals shown are of single runs, over test images."


def per_arm(table: pd.DataFrame) -> str:
    """How many seeds the arms have: a number, or a range where some have fewer."""
    counts = table.groupby("arm")["seed"].nunique()
    return in_range(counts.min(), counts.max())


def over_cases(rows: pd.DataFrame) -> str:
    """How often the first of two arms is lower, as the paper has it, over many cases: levels, perturbations, seeds.

    `rows` has `first`, `second` and `apart`, whether their intervals do not touch. A tie is neither lower nor higher.
    """
    lower, higher, of = (rows["first"] < rows["second"]).sum(), (rows["first"] > rows["second"]).sum(), len(rows)
    way = "the paper's direction" if lower == of else "the opposite direction" if higher == of else "mixed"
    ties = f", equal in {of - lower - higher}" if lower + higher < of else ""
    return f"lower in {lower} of {of}{ties}: {way} (intervals apart in {rows['apart'].sum()})"


def sentence(direction: Direction, sides: str, agree: Sequence[bool], doubt: str = "", *, equal: int = 0) -> str:
    """One direction as a line of the list: the two `sides` in words, whether each seed agrees, a doubt.

    `equal` counts the seeds on which the two are exactly the same, which is not the paper's direction nor the opposite.
    """
    told = {"higher": "higher", "lower": "lower", "as high": "no lower"}[direction.paper]
    if len(agree) > 1:
        verdict = f"so it is in {sum(agree)} of {len(agree)} seeds"
        verdict += f", and {equal} {'has' if equal == 1 else 'have'} no difference" if equal else ""
    elif equal and not agree[0]:
        verdict = "this single run has **no difference**"
    else:
        verdict = "this single run has the **same** direction" if agree[0] else "this single run has it **otherwise**"
        verdict += f", {doubt}" if doubt else ""
    arms = f"`{direction.first}` and `{direction.second}`"
    return f"- *{direction.what}*, {arms}: {sides}. The paper has the first {told}; {verdict}."


def agrees(difference: float, direction: Direction) -> bool:
    """Whether first less second lies as the paper says."""
    if direction.paper == "as high":
        return bool(difference >= -direction.margin)
    return bool(difference > 0 if direction.paper == "higher" else difference < 0)


def _line(rows: pd.DataFrame, value: str, direction: Direction, seeds: list[int], percent: bool) -> str:
    pairs = [(rows.loc[(direction.first, seed)], rows.loc[(direction.second, seed)]) for seed in seeds]
    agree = [agrees(first[value] - second[value], direction) for first, second in pairs]
    ties = [bool(first[value] == second[value]) for first, second in pairs]
    equal = sum(tie and not same for tie, same in zip(ties, agree, strict=True))
    first, second = pairs[0]
    if len(seeds) == 1:
        sides = f"{_with_interval(first, value, percent)} against {_with_interval(second, value, percent)}"
        doubt = "with overlapping intervals" if _overlap(first, second) else ""
        return sentence(direction, sides, agree, doubt, equal=equal)
    means = [sum(pair[k][value] for pair in pairs) / len(pairs) for k in (0, 1)]
    sides = " against ".join(_number(mean, percent) for mean in means) + " on average"
    return sentence(direction, sides, agree, equal=equal)


def _overlap(first: pd.Series, second: pd.Series) -> bool:
    if not {"low", "high"} <= set(first.index):
        return False
    return bool(first["low"] <= second["high"] and second["low"] <= first["high"])


def _number(value: float, percent: bool) -> str:
    return f"{value * 100:.1f} %" if percent else f"{value:.2f}"


def _with_interval(row: pd.Series, value: str, percent: bool) -> str:
    text = _number(row[value], percent)
    if not {"low", "high"} <= set(row.index):
        return text
    low, high = (_number(row[bound], percent).removesuffix(" %") for bound in ("low", "high"))
    return f"{text} [{low}, {high}]"
