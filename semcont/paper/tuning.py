"""Weights tuned on validation images: what candidates score, which of them the rule picks, whether the preset obeys.

The claims are judged at the paper's alpha = 1. Another weight may suit these data better, so one is chosen by a rule
that stands in the preset, on images and a seed that are never reported, and is a second row of evidence. A preset has
to name its choice (`tuning.chosen`), because the graph trains the chosen networks beforehand; here that choice is held
against the rule.
"""

import numpy as np
import pandas as pd

from ..losses import distance_score
from ..perturbations import LEVELS, perturb
from . import audit, statistics, training_length, variants
from .measurements import Measurement, measurement
from .presets import Preset
from .runs import Run, predict

MEASURES = {
    "clean": ("clean accuracy, %", 100.0, 1),
    "attacked": ("accuracy under PGD, %", 100.0, 1),
    "score": ("DS", 1.0, 3),
}
"""What is measured of each candidate on validation images: the column's title, a factor, and digits that are shown."""


@measurement()
def score_on_validation(run: Run) -> pd.DataFrame:
    """Mean DS over Table 1's sixteen settings on the validation images: one row, columns value, n, low, high."""
    data, network = run.images("val"), run.model()
    x, groups = data.float(), None if data.groups is None else data.groups.cpu().numpy()
    logits = predict(network, x)
    settings = [(name, level) for name in LEVELS for level in range(1, 5)]
    moved = sum(distance_score(logits, predict(network, perturb(x, name, level))) for name, level in settings)
    found = statistics.mean((moved / len(settings)).cpu().numpy(), groups)
    return pd.DataFrame([{"value": found.pop("mean"), **found}])


def measures(section) -> pd.DataFrame:
    """Every candidate of `preset.tuning` by `MEASURES`, and `base` as weight 0; empty where there are none.

    Columns arm, weight, seed, measure, value, n, low, high.
    """
    wanted = variants.candidates(section.preset)
    if not wanted:
        return pd.DataFrame()
    accuracy = variants.measured(section, wanted, training_length.on_validation).rename(columns={"accuracy": "value"})
    moved = variants.measured(section, wanted, score_on_validation).assign(measure="score")
    table = pd.concat([accuracy, moved], ignore_index=True)
    table["weight"] = table["variant"].map({v.name: v.weight for v in wanted})
    return table[["arm", "weight", "seed", "measure", "value", "n", "low", "high"]]


def measured(section, function: Measurement, **settings) -> pd.DataFrame:
    """The tables of `function` over the networks at the chosen weights; empty where none is trained."""
    return variants.measured(section, variants.tuned(section.preset), function, **settings)


def runs(section) -> list[Run]:
    """The networks at the chosen weights; none where none is trained."""
    return [run for _, trained in variants.networks(section, variants.tuned(section.preset)) for run in trained]


def worst(section) -> pd.DataFrame:
    """Their worst case over the attacks that the audit makes on every network, on its images; empty for none."""
    networks = runs(section)
    return audit.of_networks(section, networks) if networks else pd.DataFrame()


# --- the rule ---------------------------------------------------------------------------------------------------------


def highest(values: pd.Series) -> float | None:
    """The weight (index) with the highest value, of equals the smaller; None where no value is known."""
    known = values.dropna().sort_index()
    return None if known.empty else float(known.idxmax())


def largest_within(values: pd.Series, plain: float, tolerance: float) -> float | None:
    """The largest weight (index) whose value is at least `plain` less `tolerance`; None where there is none."""
    kept = values[values >= plain - tolerance - 1e-9]  # accuracies are fractions, and rounding must not decide
    return None if kept.empty else float(kept.index.max())


def nearest_ratio(values: pd.Series, target: float) -> float | None:
    """The weight (index) whose value has the ratio to `target` nearest to 1, of equals the smaller weight.

    None where the target or every value is not positive or not known.
    """
    known = values[values > 0].sort_index()
    if known.empty or not target > 0:
        return None
    return float(np.log(known / target).abs().round(9).idxmin())


def picks(table: pd.DataFrame, preset: Preset) -> dict[str, float | None]:
    """The weight that the preset's rule picks for each arm, from a table of `measures`; None where it picks none."""
    own, alpha = preset.tuning, preset.constraint.alpha
    plain = _by_weight(table, "base", "clean").get(0.0, np.nan)
    target = _by_weight(table, "c", "score").get(alpha, np.nan)
    return {
        "c": largest_within(_by_weight(table, "c", "clean"), plain, own.tolerance / 100),
        "adv+c": highest(_by_weight(table, "adv+c", "attacked")),
        "squeeze": nearest_ratio(_by_weight(table, "squeeze", "score"), target),
    }


def _by_weight(table: pd.DataFrame, arm: str, measure: str) -> pd.Series:
    return table[(table["arm"] == arm) & (table["measure"] == measure)].set_index("weight")["value"]


def choices(table: pd.DataFrame, preset: Preset) -> pd.DataFrame:
    """The rule's pick beside the preset's choice: columns arm, key, picked, chosen, verdict; a row per arm tried.

    `verdict` is "agrees", "disagrees", "open" (the preset has not chosen) or "none" (neither has).
    """
    names = ["arm", "key", "picked", "chosen", "verdict"]
    if table.empty:
        return pd.DataFrame(columns=names)
    own = preset.tuning.chosen
    in_force = {"c": ("tuning.chosen.c", own.c), "adv+c": ("tuning.chosen.adv_c", own.adv_c)}
    in_force |= {"squeeze": ("constraint.squeeze", preset.constraint.squeeze)}
    rows = []
    for arm, picked in picks(table, preset).items():
        if arm in set(table["arm"]):
            key, chosen = in_force[arm]
            rows.append((arm, key, picked, chosen, _verdict(picked, chosen)))
    return pd.DataFrame(rows, columns=names).astype({"picked": float, "chosen": float})


def _verdict(picked: float | None, chosen: float | None) -> str:
    if chosen is None:
        return "none" if picked is None else "open"
    return "agrees" if picked == chosen else "disagrees"


# --- words ------------------------------------------------------------------------------------------------------------


def reading(table: pd.DataFrame, choice: pd.DataFrame) -> pd.DataFrame:
    """`measures` as they are read: a row per candidate, and by whom it is picked."""
    wide = table.pivot_table(index=["arm", "weight"], columns="measure", values="value", sort=False)
    columns = {title: (factor * wide[name]).round(digits) for name, (title, factor, digits) in MEASURES.items()}
    shown = pd.DataFrame(columns).reset_index()
    by = [[*_who(choice, arm, weight)] for arm, weight in zip(shown["arm"], shown["weight"], strict=True)]
    shown["weight"] = [f"{weight:g}" for weight in shown["weight"]]
    return shown.assign(**{"picked by": [" and ".join(names) for names in by]})


def _who(choice: pd.DataFrame, arm: str, weight: float):
    for row in choice[choice["arm"] == arm].itertuples():
        yield from ["rule"] * (row.picked == weight) + ["preset"] * (row.chosen == weight)


OFF = "This preset tries no other weights (`tuning`), so nothing is said here, and the ledger has no tuned rows."


def conclusion(table: pd.DataFrame, choice: pd.DataFrame, preset: Preset) -> str:
    """In Markdown: what the rule picks for each arm, and whether the preset's choice is the rule's."""
    if table.empty:
        return OFF
    lines = [f"- `{row.arm}`: {_picked(row, table)}; {_obeyed(row)}." for row in choice.itertuples()]
    trained = ", ".join(f"`{v.arm}` at alpha {v.weight:g}" for v in variants.tuned(preset))
    seeds = f"{preset.tuning.seeds} seed{'s' if preset.tuning.seeds > 1 else ''}"
    rows = f"The ledger's tuned rows have {trained}, on {seeds}." if trained else "The ledger has no tuned rows."
    return "\n".join([*lines, "", rows])


def _picked(row, table: pd.DataFrame) -> str:
    """What the rule picks, with a word of caution where that is the first or the last of the candidates."""
    if np.isnan(row.picked):
        return "the rule picks **none** of the candidates"
    tried = sorted(set(table[table["arm"] == row.arm]["weight"]))
    ends = {tried[0]: "smallest", tried[-1]: "largest"} if len(tried) > 1 else {}
    end = f", the {ends[row.picked]} that was tried" if row.picked in ends else ""
    weight = "lambda" if row.arm == "squeeze" else "alpha"
    return f"the rule picks **{weight} {row.picked:g}**{end}"


def _obeyed(row) -> str:
    told = {
        "agrees": f"the preset has the same (`{row.key}`)",
        "disagrees": f"the preset has **{row.chosen:g}** (`{row.key}`), which is **not what the rule picks**",
        "open": f"the preset leaves the choice open (`{row.key}`), so nothing is trained at it",
        "none": f"the preset has chosen none either (`{row.key}`)",
    }
    return told[row.verdict]
