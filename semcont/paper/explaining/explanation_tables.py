"""What the measures of attribution maps say (`explanations`): one long table, its words, and what the ledger reads."""

from typing import Any

import numpy as np
import pandas as pd

from .. import directions, statistics
from ..evidence import absent, evidence
from ..presets import Preset
from .explanations import MEASURES, NAMES

LEDGER = {
    "energy": "",
    "pointing": "share",
    "insertion": "",
    "deletion": "",
    "infidelity": "share",
    "sensitivity": "",
    "mosaic energy": "",
}
"""The measures that reach the ledger, with their units."""
LEDGER_METHODS = ("ig", "gradcam", "lime")
"""The cases of each: the paper's three methods. The plain gradient and a second baseline are checks of ours."""
LEDGER_PAIRS = (("c", "base"), ("adv+c", "adv"), ("adv", "base"), ("adv+c", "c"), ("aug+c", "aug"), ("c", "aug"))


def table(values: pd.DataFrame, paired: pd.DataFrame) -> pd.DataFrame:
    """`measure` as one long table: a row per arm, seed, method and measure.

    Columns: arm, seed, method, measure, value, n, low, high; and the same images of `base` (base), the difference from
    it image by image (difference, difference_low, difference_high). Values are means with a bootstrap over groups
    (glyphs on PhotoDigits); "delta" is a median; "zero" counts maps and has no interval.
    """
    keys = ["seed", "image", "method", "measure"]
    of_arm = values.merge(paired[["seed", "arm", "image"]], on=["seed", "arm", "image"])
    mosaic = values[values["measure"].str.startswith("mosaic")]
    of_arm = pd.concat([of_arm[~of_arm["measure"].str.startswith("mosaic")], mosaic])
    base = values[values["arm"] == "base"].set_index(keys)["value"].rename("base")
    both = of_arm.join(base, on=keys)
    rows = []
    for key, part in both.groupby(["arm", "seed", "method", "measure"], sort=False):
        rows.append(dict(zip(["arm", "seed", "method", "measure"], key, strict=True)) | _summary(part, key[-1]))
    found = pd.DataFrame(rows)
    known = [*MEASURES, *sorted(set(found["measure"]) - set(MEASURES))]
    orders = {"arm": list(dict.fromkeys(values["arm"])), "method": list(NAMES), "measure": known}
    places = found.assign(**{name: found[name].map(order.index) for name, order in orders.items()})
    return found.loc[places.sort_values(["arm", "seed", "method", "measure"]).index].reset_index(drop=True)


def _summary(part: pd.DataFrame, measure: str) -> dict[str, float]:
    value, base, groups = (part[name].to_numpy() for name in ("value", "base", "group"))
    empty = {"n": len(part), "low": np.nan, "high": np.nan}
    unpaired = {"difference_low": np.nan, "difference_high": np.nan}
    if measure == "zero":
        return {"value": value.sum()} | empty | {"base": base.sum(), "difference": (value - base).sum()} | unpaired
    if measure == "delta":
        low, high = statistics.bootstrap(value, groups, statistic=_medians)
        middle = {"value": np.median(value), "n": len(part), "low": low, "high": high, "base": np.median(base)}
        return middle | {"difference": middle["value"] - middle["base"]} | unpaired
    own, difference = _mean(value, groups, measure), statistics.mean(value - base, groups)
    return (
        {"value": own.pop("mean")}
        | own
        | {"base": base.mean(), "difference": difference["mean"]}
        | {"difference_low": difference["low"], "difference_high": difference["high"]}
    )


def _mean(value: np.ndarray, groups: np.ndarray, measure: str) -> dict[str, float]:
    """Mean and interval; of the pointing game, where every image may be a hit, as of a share."""
    return (statistics.share if "pointing" in measure else statistics.mean)(value, groups)


def _medians(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The weighted median of the values for each row of weights."""
    order = np.argsort(values)
    below = np.cumsum(weights[:, order], axis=1)
    return values[order][(below >= below[:, -1:] / 2).argmax(axis=1)]


def certain(table: pd.DataFrame) -> pd.DataFrame:
    """Per arm, method and measure over the seeds: value, difference from `base`, and whether it is beyond test noise.

    `beyond` is True where in every seed the interval of the difference lies on the same side of zero.
    """
    side = np.sign(table["difference_low"]) + np.sign(table["difference_high"])
    sides = table.assign(side=side).groupby(["arm", "method", "measure"], sort=False)
    found = sides.agg(
        value=("value", "mean"), difference=("difference", "mean"), least=("side", "min"), most=("side", "max")
    )
    found["beyond"] = (found["least"] == 2) | (found["most"] == -2)
    return found.drop(columns=["least", "most"]).reset_index()


def reading(table: pd.DataFrame) -> pd.DataFrame:
    """`table` for reading: methods and measures down, arms across; * marks a difference beyond test noise."""
    found = certain(table)
    cells = found["value"].map("{:.3g}".format) + found["beyond"].map({True: "*", False: ""})
    wide = found.assign(cell=cells).pivot(index=["method", "measure"], columns="arm", values="cell")
    rows = list(dict.fromkeys(zip(found["method"], found["measure"], strict=True)))
    return wide.loc[rows, list(dict.fromkeys(found["arm"]))].fillna("–")


def conclusion(table: pd.DataFrame) -> str:
    """What the measures say in a few lines: the check by random weights, empty maps, where arms differ from `base`."""
    found, lines = certain(table), []
    random = found[found["measure"] == "randomised all"].groupby("method", sort=False)["value"].mean()
    told = "; ".join(f"{NAMES[name]} {value:+.2f}" for name, value in random.items())
    lines.append(f"- Rank correlation of a map with the map after all weights were drawn anew, mean over arms: {told}.")
    empty = table[(table["measure"] == "zero") & (table["value"] > 0)]
    told = "; ".join(
        f"{NAMES[name]} of `{arm}`, {rows['value'].sum():.0f} of {rows['n'].sum()}"
        for (name, arm), rows in empty.groupby(["method", "arm"], sort=False)
    )
    lines.append(f"- Maps that are zero everywhere: {told or 'none'}.")
    for measure, better in MEASURES.items():
        rows = found[(found["measure"] == measure) & (found["arm"] != "base") & found["beyond"]]
        if better in ("higher", "lower") and len(rows):
            good = rows[(rows["difference"] > 0) == (better == "higher")]
            bad = rows.drop(good.index)
            lines.append(f"- *{measure}* ({better} is better): better than `base`: {_list(good)}; worse: {_list(bad)}.")
    return "\n".join([*lines, "", directions.caution(table)])


def _list(rows: pd.DataFrame) -> str:
    own = rows.groupby("arm", sort=False)["method"].apply(lambda names: ", ".join(NAMES[name] for name in names))
    return "; ".join(f"`{arm}` by {names}" for arm, names in own.items()) or "none"


# --- for the ledger ---------------------------------------------------------------------------------------------------


def side_by_side(values: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Both arms of a pair on the test images that both were measured on: per arm, seed, method and measure a mean.

    Columns: arm, seed, method, measure, value, n, low, high, as in `table`. Every image is one that the two arms, and
    `base`, classify correctly (`explanations.pairs`). Empty where no seed has such images.
    """
    keys = ["seed", "method", "measure", "image"]
    both = values[values["arm"].isin([first, second])]
    both = both[both.groupby(keys)["arm"].transform("nunique") == 2]
    rows = []
    for (arm, seed, method, measure), part in both.groupby(["arm", "seed", "method", "measure"], sort=False):
        found = _mean(part["value"].to_numpy(), part["group"].to_numpy(), measure)
        about = {"arm": arm, "seed": seed, "method": method, "measure": measure, "value": found.pop("mean")}
        rows.append(about | found)
    return pd.DataFrame(rows)


def evidence_of(values: pd.DataFrame, preset: Preset) -> dict[str, Any]:
    """What the ledger reads of `explanations.measure`: each of `LEDGER` for each of `LEDGER_PAIRS` that was trained.

    A measure of its own per pair, `pointing_c_base`, because an arm's value depends on the images that it is compared
    on: an arm that stands in several pairs has a value in each.
    """
    found = {}
    for first, second in LEDGER_PAIRS:
        if {first, second} <= set(preset.arms):
            table = side_by_side(values, first, second) if len(values) else values
            for measure, unit in LEDGER.items():
                name = f"{measure.replace(' ', '_')}_{first}_{second}"
                rows = _case_rows(table, measure)
                why = _why_absent(values, preset, measure)
                found[name] = evidence(rows, "value", unit=unit, case="method") if len(rows) else absent(why)
    rows = _ig_over_gradient(values)
    found["ig_over_gradient"] = evidence(rows, "value") if len(rows) else absent(_why_absent(values, preset, "energy"))
    return found


def _ig_over_gradient(values: pd.DataFrame) -> pd.DataFrame:
    """Of each `base`, the mean energy of Integrated Gradients over that of the gradient: columns arm, seed, value."""
    if values.empty:
        return values
    own = values[(values["arm"] == "base") & (values["measure"] == "energy")]
    means = own.groupby(["arm", "seed", "method"])["value"].mean().unstack("method")
    if not {"ig", "gradient"} <= set(means):
        return pd.DataFrame()
    return (means["ig"] / means["gradient"]).rename("value").reset_index()


def _case_rows(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    if table.empty:
        return table
    return table[(table["measure"] == measure) & table["method"].isin(LEDGER_METHODS)]


def _why_absent(values: pd.DataFrame, preset: Preset, measure: str) -> str:
    """Why there is no such measure, for the claims that would read it."""
    if not preset.interpretability.paired_images:
        return "this preset makes no further measures of maps (interpretability.paired_images)"
    if measure.startswith("mosaic") and not preset.interpretability.mosaics:
        return "this preset makes no mosaics (interpretability.mosaics)"
    if len(values) and measure not in set(values["measure"]):
        return {
            "energy": "the images have no masks of their objects",
            "pointing": "the images have no masks of their objects",
            "mosaic energy": "too few classes that all networks get right to make mosaics of",
        }.get(measure, "it was not measured")
    return "there is no test image that both arms and base classify correctly"


def describe(table: pd.DataFrame) -> str:
    """The alt text of the figure."""
    found = certain(table)
    parts = []
    for method in dict.fromkeys(found["method"]):
        rows = found[(found["method"] == method) & found["measure"].isin(["deletion", "infidelity", "sensitivity"])]
        told = ", ".join(f"{r.measure} of {r.arm} {r.value:.2f}" for r in rows.itertuples())
        parts.append(f"{NAMES[method]}: {told}")
    return (
        "One table per attribution method, arms down and measures across, each cell blue where it is better and red "
        f"where worse than base on the same images, bold where that is beyond the noise of the test images. "
        f"{'. '.join(parts)}."
    )
