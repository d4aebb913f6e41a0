"""What continuity adds beyond its controls, and whether the constraint needs the form that the paper gives it.

The paper compares the constrained network with one trained on other images, other BatchNorm statistics and larger
logits. Each of the three has a control here, and the difference to it is taken within a seed.
"""

from collections.abc import Sequence

import pandas as pd

from . import audit, continuity, paired, robustness, tempered, variants
from .paired import Contrast
from .runs import Run

BEYOND = (
    Contrast("in all", "c", "base"),
    Contrast("beyond augmentation", "aug+c", "aug"),
    Contrast("beyond adversarial training", "adv+c", "adv"),
    Contrast("beyond adversarial training on x' alone", "madry+c", "madry"),
    Contrast("beyond a penalty on the logits", "c", "squeeze"),
    Contrast("beyond dividing the logits", "c", "base/T"),
    Contrast("beyond what x' does to BatchNorm", "c", f"c, {variants.TERM_ZERO}"),
)
"""The questions of the table; one whose arms are not there is left out."""

MEASURES = {
    "clean": ("clean accuracy", 100.0),
    "attacked": ("accuracy under PGD", 100.0),
    "worst": ("worst-case accuracy", 100.0),
    "relative_score": ("relative DS", 1.0),
    "flip": ("flip rate", 100.0),
}
"""Title, and the factor that makes points of shares."""
BETTER = {"clean": "higher", "attacked": "higher", "worst": "higher", "relative_score": "lower", "flip": "lower"}
SHOWN = MEASURES | {"score": ("DS", 1.0)}


def measures(section) -> pd.DataFrame:
    """Every arm of the preset, `base/T`, and the ablations, by `MEASURES` and DS: columns arm, seed, measure, value.

    Relative DS, DS and flip rate are means over Table 1's sixteen settings; accuracies are Table 2's, the worst case
    is the audit's. Empty where the preset leaves this out.
    """
    own = section.preset.controls
    if not own.beyond:
        return pd.DataFrame()
    runs = section.runs()
    levels = section.measured(continuity.by_level, runs, images=section.preset.continuity.images)
    tables = [_of(section, [*runs, *tempered.matching(runs, levels)])]
    for variant in variants.ablations(section.preset):
        changed = section.runs([variant.arm], seeds=variant.seeds, **variant.changes)
        tables.append(_of(section, changed).assign(arm=variant.name))
    return pd.concat(tables, ignore_index=True)


def _of(section, runs: Sequence[Run]) -> pd.DataFrame:
    preset = section.preset
    attacks = robustness.table2(preset)
    accuracy = section.measured(robustness.by_attack, runs, attacks=attacks, images=preset.robustness.images)
    moved = section.measured(continuity.by_level, runs, images=preset.continuity.images)
    named = dict(zip(attacks, ("clean", "attacked"), strict=True))
    parts = [accuracy.assign(measure=accuracy["attack"].map(named), value=accuracy["accuracy"])]
    worst = audit.of_networks(section, list(runs))
    parts.append(worst.assign(measure="worst", value=worst["accuracy"]))
    parts.append(moved[(moved["sign"] == "+") & moved["measure"].isin(SHOWN)])
    return pd.concat(parts).groupby(["arm", "seed", "measure"], sort=False)["value"].mean().reset_index()


def beyond(table: pd.DataFrame) -> pd.DataFrame:
    """`paired.differences` of the contrasts in `BEYOND`."""
    return paired.differences(_compared(table), BEYOND)


def ablated(table: pd.DataFrame) -> pd.DataFrame:
    """`paired.differences` of each ablation to the arm that it changes."""
    rows = _compared(table)
    names = [name for name in dict.fromkeys(rows["arm"]) if ", " in name]
    contrasts = [Contrast(name.split(", ")[1], name, name.split(", ")[0]) for name in names]
    return paired.differences(rows, contrasts)


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    known = table if len(table) else pd.DataFrame(columns=["arm", "seed", "measure", "value"])
    return known[known["measure"].isin(MEASURES)]


def reading(table: pd.DataFrame) -> pd.DataFrame:
    """`measures` as they are read: a row per arm, means over seeds, in percent where they are shares."""
    means = table.groupby(["arm", "measure"], sort=False)["value"].mean().unstack("measure")
    counts = table.groupby("arm", sort=False)["seed"].nunique()
    shown = {title: factor * means[name] for name, (title, factor) in SHOWN.items()}
    wide = pd.DataFrame({"seeds": counts} | shown).loc[list(dict.fromkeys(table["arm"]))]
    percent = {title: f"{title}, %" for title, factor in SHOWN.values() if factor == 100}
    return wide.rename(columns=percent).rename_axis(None).reset_index(names="arm").round(3)


OFF = "This preset trains no controls beside its arms (`controls`), so nothing is said here."


def conclusion(table: pd.DataFrame) -> str:
    """What the constraint adds beyond each control, in Markdown; a table of `beyond` or of `ablated`."""
    if table.empty:
        return OFF
    return (
        f"{paired.conclusion(table, MEASURES, BETTER)}\n\nExploratory: each interval is 95 % by itself, none is "
        "corrected for their number. Better and worse are said where an interval leaves out zero."
    )


def parts(beyond: pd.DataFrame, ablated: pd.DataFrame) -> list[tuple[str, pd.DataFrame, str]]:
    """The tables of differences that are not empty, each with its name in the report and its caption."""
    found = [
        ("s03_beyond", beyond, "What the constraint adds beyond each control: first less second, 95 % t intervals"),
        ("s03_ablations", ablated, "The constraint with one thing changed, less the constraint as it is"),
    ]
    return [part for part in found if len(part[1])]
