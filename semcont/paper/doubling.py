"""Was a training long enough? Its accuracy beside that of one for twice as long, each with a schedule of its own.

For the trainings beside the arms': those of sections 4.6 and 4.7. The arms are followed over many lengths
(`training_length`).
"""

from collections.abc import Mapping, Sequence

import pandas as pd


def levelled(table: pd.DataFrame, tolerance: float, names: Sequence[str]) -> pd.DataFrame:
    """Whether twice as long changes the accuracy by less than `tolerance` points, as a mean over seeds.

    `table` has the columns `names`, seed, epochs (two lengths for each of `names`) and accuracy. One row per value of
    `names`; further columns epochs (the shorter length), seeds, change (points), one_seed (that of the seed which moves
    most), levelled.
    """
    rows = []
    for place, part in table.groupby(list(names), sort=False) if len(table) else ():
        wide = part.pivot(index="seed", columns="epochs", values="accuracy")
        usual, twice = sorted(wide)
        by_seed = 100 * (wide[twice] - wide[usual])
        change = float(by_seed.mean())
        about = dict(zip(names, place, strict=True)) | {"epochs": usual, "seeds": len(wide), "change": change}
        rows.append(about | {"one_seed": largest(by_seed), "levelled": bool(abs(change) < tolerance)})
    return pd.DataFrame(rows, columns=[*names, "epochs", "seeds", "change", "one_seed", "levelled"])


def reading(levels: pd.DataFrame) -> pd.DataFrame:
    """`levelled` as it is read."""
    signed = {name: levels[name].map("{:+.1f}".format) for name in ("change", "one_seed")}
    shown = levels.assign(**signed, levelled=levels["levelled"].map({True: "yes", False: "no"}))
    return shown.rename(
        columns={"change": "mean change", "one_seed": "the seed that moves most", "levelled": "levelled off"}
    )


def largest(changes: pd.Series) -> float:
    """The change that is furthest from zero, with its sign."""
    return float(changes.iloc[changes.abs().argmax()])


def told(levels: pd.DataFrame, tolerance: float, by: str, titles: Mapping[str, str]) -> str:
    """In Markdown, a line for each value of the column `by`: what of it had levelled off; then the largest change.

    `levels` as `levelled` gives it, with a column `label` that names what was trained; `titles` names the values.
    """
    lines = []
    for value, part in levels.groupby(by, sort=False):
        growing = ", ".join(f"`{row.label}` ({row.change:+.1f} points)" for row in part[~part["levelled"]].itertuples())
        state = f"**not levelled off**: {growing}" if growing else f"**levelled off**, all {len(part)}"
        lines.append(f"- {titles[value]}: {state}.")
    most, one = (levels[column].abs().max() for column in ("change", "one_seed"))
    said = (
        f"As a mean over seeds, twice as long moves an accuracy by {most:.1f} points at most, and from {tolerance:g} "
        f"on it counts; a single seed's moves by up to {one:.1f}."
    )
    return "\n".join([*lines, "", said])
