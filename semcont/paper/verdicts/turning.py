"""Whether a verdict would turn with the length of training: the ledger's contrasts at every length that was trained.

The record of 02_training holds the accuracies at several lengths, each with its own schedule (`lengths`), and where the
criterion of the preset was met (`levelled`); those of 07_transfer and 08_fairness say the latter of their own networks.
All of it is evidence that a preset may lack.
"""

from typing import Any

import numpy as np
import pandas as pd

from .. import paired
from ..presets import Preset
from .findings import results_of
from .ledger import Claim
from .wording import effect_text

MEASURES = {
    "clean_accuracy": "clean",
    "pgd_accuracy": "attacked",
    "worst_case_accuracy": "worst",
    "gradient_norm": "gradient_norm",
    "relative_score": "relative_score",
    "conflict_loss": "conflict_loss",
}
"""The ledger's measures that are followed over the lengths, and what the record calls them: accuracies in `lengths`,
the others in `followed`."""
RATIOS = ("gradient_norm", "relative_score")
"""Those of which arms are compared as ratios."""

COLUMNS = ["id", "measure", "epochs", "updates", "seeds", "difference", "low", "high", "unit", "direction"]

ARMS, GROUNDS, HUES, LABELS, TRANSFER = "", "grounds", "hues", "labels", "transfer"
"""Which networks: the preset's arms; section 4.7's, where the ground's colour says nothing of the digit; those with P's
hue at other levels; those whose images' colour predicts a noisy label; and the arms after section 4.6's fine-tune."""


def data_of(claim: Claim) -> str:
    """Which networks a claim speaks of, by their data. A probe is fitted to an arm's features and has no length."""
    if claim.notebook == "07_transfer":
        return TRANSFER if claim.metric.startswith("finetune") else ARMS
    if claim.notebook != "08_fairness":
        return ARMS
    return {"biased": LABELS, "hue": HUES}.get(claim.metric.partition("_")[0], GROUNDS)


def data_named(claim: Claim, preset: Preset) -> str:
    """The data on which a claim's networks were trained and tested, by their names."""
    if claim.notebook == "07_transfer":
        return f"{preset.data.name} to {' and '.join(preset.transfer.targets)}"
    own = {GROUNDS: preset.fairness.data, HUES: preset.fairness.data, LABELS: preset.fairness.biased}
    return own.get(data_of(claim)) or preset.data.name


def levelled(preset: Preset) -> dict[str, dict[str, bool]]:
    """By data, whether each arm's training had levelled off by the preset's own length; {} where nothing was recorded.

    Rows of `levelled` say `levelled`, or from how many `epochs` on an arm had (null: at none of the lengths tried). An
    arm counts under `TRANSFER` where it and its fine-tunes had, on every target; where no fine-tune's length was
    varied, as the arm does.
    """
    told: dict[str, dict[str, bool]] = {}
    for notebook in ("02_training", "07_transfer", "08_fairness"):
        for row in results_of(preset.name, notebook).get("levelled") or []:
            mine = told.setdefault(row.get("data", ARMS), {})
            mine[row["arm"]] = mine.get(row["arm"], True) and _is_level(row, preset.epochs_of(row["arm"]))
    if told:
        sources = told.get(ARMS, {})
        told[TRANSFER] = _both(sources, told[TRANSFER]) if TRANSFER in told else sources
    return told


def _both(first: dict[str, bool], second: dict[str, bool]) -> dict[str, bool]:
    """Of each arm whether both say True; False where either says so, and nothing where one is silent on a True."""
    said = {arm: [each[arm] for each in (first, second) if arm in each] for arm in first | second}
    return {arm: all(values) for arm, values in said.items() if len(values) == 2 or not all(values)}


def _is_level(row: dict[str, Any], epochs: int) -> bool:
    if "levelled" in row:
        return bool(row["levelled"])
    return row["epochs"] is not None and row["epochs"] <= epochs


def at_lengths(claims: list[Claim], preset: str) -> pd.DataFrame:
    """The contrast of each claim that was followed over the lengths: columns `COLUMNS`, empty without such a record.

    `difference` is the mean over seeds on test images, in percentage points (unit "percent") or as a ratio ("ratio"),
    `low` and `high` its t interval (NaN for one seed); `direction` "same" or "opposite" to the paper's, or "none".
    """
    record = results_of(preset, "02_training")
    followed = [row | {"split": "test"} for row in record.get("followed") or []]
    table = pd.DataFrame([*(record.get("lengths") or []), *followed])
    rows = []
    for claim in claims if len(table) else ():
        measure = MEASURES.get(claim.metric)
        mine = table[(table["measure"] == measure) & (table["split"] == "test")]
        if measure and claim.kind == "training" and set(claim.arms) <= set(mine["arm"]):
            rows += _contrasts(claim, measure, mine)
    return pd.DataFrame(rows, columns=COLUMNS)


def _contrasts(claim: Claim, measure: str, table: pd.DataFrame) -> list[dict[str, Any]]:
    """One claim's rows, from short to long."""
    wide = table.pivot_table(index=["epochs", "updates", "seed"], columns="arm", values="value")
    ratio = measure in RATIOS
    wide = np.log(wide) if ratio else wide
    difference = (wide[claim.arms[0]] - wide[claim.arms[1]]).dropna().groupby(["epochs", "updates"])
    rows = []
    for (epochs, updates), values in difference:
        about = {"id": claim.id, "measure": measure, "epochs": int(epochs), "updates": int(updates)}
        found = paired.over_seeds(values)
        told = {column: found[name] for column, name in (("difference", "mean"), ("low", "low"), ("high", "high"))}
        told = {name: float(np.exp(value)) if ratio else 100 * value for name, value in told.items()}
        told |= {"unit": "ratio" if ratio else "percent", "direction": _direction(claim, found["mean"])}
        rows.append(about | {"seeds": found["n"]} | told)
    return rows


def _direction(claim: Claim, difference: float) -> str:
    if claim.direction == "not-lower":
        return "same" if difference >= -claim.margin else "opposite"
    towards = -difference if claim.direction == "lower" else difference
    return "same" if towards > 0 else "opposite" if towards < 0 else "none"


def told(rows: pd.DataFrame) -> str:
    """Where the direction of one claim turns, in words, and what the longest training found; empty without lengths."""
    if rows.empty:
        return ""
    last = rows.iloc[-1]
    effect = effect_text(
        {"estimate": last["difference"], "low": last["low"], "high": last["high"], "unit": last["unit"]}
    )
    seeds = f"{last['seeds']} seed{'s' if last['seeds'] > 1 else ''}"
    points = " points" if last["unit"] == "percent" else ""
    longest = f"after {last['epochs']} epochs {effect}{points}, {seeds}"
    turns = [
        f"{after.direction} from {after.epochs} epochs on"
        for before, after in zip(rows[:-1].itertuples(), rows[1:].itertuples(), strict=True)
        if after.direction != before.direction
    ]
    if not turns:
        same = f"the same side at every length from {rows['epochs'].min()} to {rows['epochs'].max()} epochs"
        return f"{same} ({longest})"
    first = f"{rows['direction'].iloc[0]} at {rows['epochs'].iloc[0]} epochs"
    return f"turns with training: {first}, {', '.join(turns)} ({longest})"
