"""Whether a verdict would turn with the length of training: the ledger's contrasts at every length that was trained.

The record of 02_training holds the accuracies at several lengths, each with its own schedule (`lengths`), and where the
criterion of the preset was met (`levelled`). Both are evidence that a preset may lack.
"""

from typing import Any

import pandas as pd

from ..presets import Preset
from .findings import results_of
from .ledger import Claim

MEASURES = {"clean_accuracy": "clean", "pgd_accuracy": "attacked", "worst_case_accuracy": "worst"}
"""The ledger's measures that are followed over the lengths, and what the record calls them."""

COLUMNS = ["id", "measure", "epochs", "updates", "seeds", "difference", "direction"]


ARMS, GROUNDS, HUES, LABELS = "", "grounds", "hues", "labels"
"""Which networks: the preset's arms; section 4.7's, where the ground's colour says nothing of the digit; those with P's
hue at other levels; and those whose images' colour predicts a noisy label."""


def data_of(claim: Claim) -> str:
    """Which networks a claim speaks of, by their data."""
    if claim.notebook != "08_fairness":
        return ARMS
    return {"biased": LABELS, "hue": HUES}.get(claim.metric.partition("_")[0], GROUNDS)


def levelled(preset: Preset) -> dict[str, dict[str, bool]]:
    """By data, whether each arm's training had levelled off by the preset's own length; {} where nothing was recorded.

    Rows of `levelled` say `levelled`, or from how many `epochs` on an arm had (null: at none of the lengths tried).
    """
    told: dict[str, dict[str, bool]] = {}
    for notebook in ("02_training", "08_fairness"):
        for row in results_of(preset.name, notebook).get("levelled") or []:
            mine = told.setdefault(row.get("data", ARMS), {})
            mine[row["arm"]] = mine.get(row["arm"], True) and _is_level(row, preset.epochs_of(row["arm"]))
    return told


def _is_level(row: dict[str, Any], epochs: int) -> bool:
    if "levelled" in row:
        return bool(row["levelled"])
    return row["epochs"] is not None and row["epochs"] <= epochs


def at_lengths(claims: list[Claim], preset: str) -> pd.DataFrame:
    """The contrast of each claim that was followed over the lengths: columns `COLUMNS`, empty without such a record.

    `difference` is the mean over seeds on test images, in percentage points; `direction` "same" or "opposite" to the
    paper's, or "none".
    """
    table = pd.DataFrame(results_of(preset, "02_training").get("lengths") or [])
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
    difference = (wide[claim.arms[0]] - wide[claim.arms[1]]).dropna().groupby(["epochs", "updates"])
    rows = []
    for (epochs, updates), values in difference:
        about = {"id": claim.id, "measure": measure, "epochs": int(epochs), "updates": int(updates)}
        mean = values.mean()
        rows.append(about | {"seeds": len(values), "difference": 100 * mean, "direction": _direction(claim, mean)})
    return rows


def _direction(claim: Claim, difference: float) -> str:
    if claim.direction == "not-lower":
        return "same" if difference >= -claim.margin else "opposite"
    towards = -difference if claim.direction == "lower" else difference
    return "same" if towards > 0 else "opposite" if towards < 0 else "none"


def told(rows: pd.DataFrame) -> str:
    """Where the direction of one claim turns, in words; empty without lengths."""
    if rows.empty:
        return ""
    turns = [
        f"{after.direction} from {after.epochs} epochs on"
        for before, after in zip(rows[:-1].itertuples(), rows[1:].itertuples(), strict=True)
        if after.direction != before.direction
    ]
    if not turns:
        return f"the same side at every length from {rows['epochs'].min()} to {rows['epochs'].max()} epochs"
    return f"turns with training: {rows['direction'].iloc[0]} at {rows['epochs'].iloc[0]} epochs, {', '.join(turns)}"
