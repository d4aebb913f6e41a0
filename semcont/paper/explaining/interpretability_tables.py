"""What the maps of section 4.5 say (`interpretability`): summary over images, evidence for the ledger, and words."""

from typing import Any

import numpy as np
import pandas as pd

from .. import directions, statistics
from ..directions import Direction
from ..evidence import absent, evidence

NAMES = {"ig": "Integrated Gradients", "gradcam": "GradCAM", "lime": "LIME"}

PAPER = {
    ("ig", "energy"): (
        Direction("energy on the object", "c", "base", "higher"),
        Direction("energy on the object", "adv+c", "adv", "higher"),
        Direction("energy on the object", "adv+c", "c", "higher"),
    ),
    ("ig", "roughness"): (
        Direction("roughness", "c", "base", "lower"),
        Direction("roughness", "adv+c", "adv", "lower"),
    ),
    ("gradcam", "energy"): (
        Direction("energy on the object", "c", "base", "higher"),
        Direction("energy on the object", "adv+c", "adv", "higher"),
        Direction("energy on the object", "adv", "base", "lower"),
    ),
    ("lime", "energy"): (
        Direction("energy on the object", "c", "base", "higher"),
        Direction("energy on the object", "adv+c", "adv", "higher"),
    ),
}
"""What section 4.5 says of the maps, as directions of the two measures."""

_CHECKS = {
    "ig": ("ig from the mean", "started at the mean colour"),
    "gradcam": ("gradcam placed", "placed by receptive fields"),
    "lime": ("lime in black", "hiding in black"),
}


def summary(*tables: pd.DataFrame) -> pd.DataFrame:
    """Tables of `per_image` over their images: one row per arm, seed, weights, explanation and measure.

    Columns: value, n, low, high. "energy" and "roughness" are means with a bootstrap interval over glyphs (images
    elsewhere), "zero" counts maps, "delta" is a median.
    """
    rows = []
    keys = ["arm", "seed", "weights", "explanation", "measure"]
    for key, part in pd.concat(tables).groupby(keys, sort=False):
        measure = key[-1]
        if measure in ("energy", "roughness"):
            found = statistics.mean(part["value"], part["group"].to_numpy())
            found = {"value": found.pop("mean")} | found
        else:
            value = part["value"].sum() if measure == "zero" else part["value"].median()
            found = {"value": value, "n": len(part), "low": np.nan, "high": np.nan}
        rows.append(dict(zip(keys, key, strict=True)) | found)
    return pd.DataFrame(rows)


def measures(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What the ledger reads of a `summary`: each measure of `PAPER`. Without masks there is no energy."""
    known = set(zip(table["explanation"], table["measure"], strict=True))
    return {
        f"{explanation}_{measure}": evidence(
            table, "value", explanation=explanation, measure=measure, weights="trained"
        )
        if (explanation, measure) in known
        else absent("the images have no masks of their objects")
        for explanation, measure in PAPER
    }


def contrasts(values: pd.DataFrame) -> pd.DataFrame:
    """Differences between two arms image by image, for each direction of `PAPER`: the images are the same, so pair.

    Columns: explanation, measure, first, second, seed, difference, n, low, high (bootstrap over glyphs).
    """
    trained = values[values["weights"] == "trained"]
    rows = []
    for (explanation, measure), wanted in PAPER.items():
        part = trained[(trained["explanation"] == explanation) & (trained["measure"] == measure)]
        for seed, own in part.groupby("seed"):
            wide = own.pivot(index=["image", "group"], columns="arm", values="value")
            for direction in wanted:
                if {direction.first, direction.second} <= set(wide):
                    found = statistics.mean(
                        wide[direction.first] - wide[direction.second], wide.index.get_level_values("group")
                    )
                    about = {"explanation": explanation, "measure": measure, "seed": seed}
                    about |= {"first": direction.first, "second": direction.second, "difference": found.pop("mean")}
                    rows.append(about | found)
    return pd.DataFrame(
        rows, columns=["explanation", "measure", "first", "second", "seed", "difference", "n", "low", "high"]
    )


def conclusion(values: pd.DataFrame, explanation: str) -> str:
    """What section 4.5 says of one method's maps, against the differences between arms image by image, as Markdown."""
    table = contrasts(values)
    lines = []
    for (name, measure), wanted in PAPER.items():
        for direction in wanted if name == explanation else ():
            rows = table[(table["explanation"] == name) & (table["measure"] == measure)]
            rows = rows[(rows["first"] == direction.first) & (rows["second"] == direction.second)]
            if len(rows):
                lines.append(_line(rows, direction))
    if not lines:
        return "Nothing is compared here: that takes two of the paper's arms and, for energy, masks of the objects."
    return "\n".join([*lines, "", directions.caution(values)])


def _line(rows: pd.DataFrame, direction: Direction) -> str:
    agree = [directions.agrees(difference, direction) for difference in rows["difference"]]
    row = rows.iloc[0]
    if len(rows) > 1:
        return directions.sentence(direction, f"difference {rows['difference'].mean():+.2f} on average", agree)
    sides = f"difference {row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}], image by image"
    doubt = "with an interval that holds zero" if row["low"] <= 0 <= row["high"] else ""
    return directions.sentence(direction, sides, agree, doubt)


def reading(table: pd.DataFrame) -> pd.DataFrame:
    """`summary` for reading: explanations and measures down, arms and the untrained network across; seeds averaged.

    Roughness is shown for Integrated Gradients alone: of the two coarse methods it says more about the grid.
    """
    table = table[(table["measure"] != "roughness") | table["explanation"].str.startswith("ig")]
    table = table.assign(network=table["arm"].where(table["weights"] == "trained", "random weights"))
    mean = table.groupby(["explanation", "measure", "network"], sort=False)["value"].mean().unstack("network")
    rows = list(dict.fromkeys(zip(table["explanation"], table["measure"], strict=True)))
    shown = mean.loc[rows, list(dict.fromkeys(table["network"]))]
    digits = {"energy": 2, "roughness": 2, "zero": 0, "delta": 3}
    return shown.apply(lambda row: row.map(f"{{:.{digits[row.name[1]]}f}}".format), axis=1)


def checks(table: pd.DataFrame) -> str:
    """The methods' pitfalls in a line each, from `summary`: empty maps, the convergence delta, a second way of each."""
    trained = table[table["weights"] == "trained"]
    empty = trained[(trained["measure"] == "zero") & (trained["value"] > 0)]
    told = [f"{r['explanation']} of `{r['arm']}`, {r['value']:.0f} of {r['n']}" for _, r in empty.iterrows()]
    delta = trained[trained["measure"] == "delta"]["value"].max()
    energy = trained[trained["measure"] == "energy"].groupby(["explanation", "arm"], sort=False)["value"].mean()
    lines = [
        f"- Maps that are zero everywhere, counted as energy 1: {'; '.join(told) or 'none'}.",
        "- What Integrated Gradients fail to add up to, relative to the difference in the logit: at most "
        f"{delta * 100:.1f} % in the median over images, over the arms.",
    ]
    known = set(energy.index.get_level_values("explanation"))
    for name, (other, how) in _CHECKS.items():
        if {name, other} <= known:
            usual, checked = (
                " > ".join(f"`{arm}`" for arm in energy[key].sort_values(ascending=False).index)
                for key in (name, other)
            )
            found = (
                f"**the same** order of arms by energy, {usual}"
                if usual == checked
                else f"{checked} by energy, **not** {usual}"
            )
            lines.append(f"- {NAMES[name]}, {how}: {found}.")
    return "\n".join(lines)


def describe_maps(table: pd.DataFrame, explanation: str) -> str:
    """The alt text of Figs. 11 to 13."""
    told = f"{NAMES[explanation]} of {table['image'].nunique()} test images, one a row: "
    told += "the image with the object outlined, then one map per arm."
    if "energy" in table:
        energy = table.groupby("arm", sort=False)["energy"].mean()
        told += (
            " Mean energy on the object over its share of the area: "
            + ", ".join(f"{a} {v:.1f}" for a, v in energy.items())
            + "."
        )
    return told


def describe_focus(table: pd.DataFrame) -> str:
    """The alt text of the summary of all maps."""
    trained = table[(table["weights"] == "trained") & table["measure"].isin(["energy", "roughness"])]
    parts = []
    for explanation, name in NAMES.items():
        rows = trained[(trained["explanation"] == explanation) & (trained["measure"] == "energy")]
        mean = rows.groupby("arm", sort=False)["value"].mean()
        parts.append(f"{name}: " + ", ".join(f"{arm} {value:.2f}" for arm, value in mean.items()))
    rough = (
        trained[(trained["explanation"] == "ig") & (trained["measure"] == "roughness")]
        .groupby("arm", sort=False)["value"]
        .mean()
    )
    return (
        "Energy on the object over its share of the area, per arm with intervals, 1 being uniform. "
        + "; ".join(parts)
        + ". Roughness of Integrated Gradients: "
        + ", ".join(f"{arm} {value:.2f}" for arm, value in rough.items())
        + "."
    )
