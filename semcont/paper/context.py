"""Section 4.3 decided where object and context are known: does the constraint make a network go by the digit?

The paper reads less accuracy on destroyed images as more use of meaning. On PhotoDigits the photograph behind a digit
is context by construction, so what a network takes from it can be counted, and held against that reading.
"""

from typing import Any

import numpy as np
import pandas as pd

from . import features, paired, variants
from .continuity import PAIRS, seeds
from .evidence import absent, evidence
from .paired import Contrast

MEASURES = {
    "no_cue": ("kept without cue", 100.0),
    "conflict": ("kept in conflict", 100.0),
    "follows": ("follows the photograph", 100.0),
    "background": ("kept on background alone", 100.0),
    "destroyed": ("kept when destroyed", 100.0),
}
"""Title and factor. Kept is retention, (accuracy - chance) / (accuracy on the standard set - chance)."""
BETTER = {"no_cue": "higher", "conflict": "higher", "follows": "lower", "background": "lower", "destroyed": "lower"}
"""Which side goes by the digit; of destroyed images, by the paper's reading."""
CONTEXT = tuple(MEASURES)[:4]
CONTRASTS = tuple(Contrast("", first, second) for first, second in (*PAIRS, ("adv", "base"), ("aug", "base")))


def measures(cues: pd.DataFrame, destroyed: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """`MEASURES` of every network: columns arm, seed, measure, value; empty where `cues` is.

    `cues` is what `features.cues` returns, `destroyed` a table of `features.on_destroyed` for each kind, whose
    retention is averaged over kinds and levels. NaN for a network that is no better than chance on the standard set.
    """
    if cues.empty:
        return pd.DataFrame()
    chance = next(iter(destroyed.values()))["chance"].iloc[0]
    rates = {key: part.set_index(["arm", "seed"])["value"] for key, part in cues.groupby(["test", "measure"])}
    above = (rates["standard", "accuracy"] - chance).where(lambda values: values > 0)
    found = {"follows": rates["conflict", "follows"]}
    for name, test in (("no_cue", "no cue"), ("conflict", "conflict"), ("background", "background")):
        found[name] = (rates[test, "accuracy"] - chance) / above
    kept = pd.concat([_kept(table, kind) for kind, table in destroyed.items()])
    found["destroyed"] = kept.groupby(["arm", "seed"], sort=False)["value"].mean()
    tables = [found[name].rename("value").reset_index().assign(measure=name) for name in MEASURES]
    return pd.concat(tables, ignore_index=True)[["arm", "seed", "measure", "value"]]


def _kept(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    intact = features.DESTRUCTIONS[kind].intact
    return table[(table["measure"] == "retention") & (table["level"] != intact)]


def evidence_of(cues: pd.DataFrame, signs: pd.DataFrame, tuned: pd.DataFrame | None = None) -> dict[str, Any]:
    """What the ledger reads of `features.cues`, of the arms and at a tuned alpha, and of the `measures` made of them,
    if the images say what is context. `context_kept` and `context_taken` are the four signs of `CONTEXT`, by the side
    that goes by the digit; networks no better than chance have none.
    """
    if cues.empty:
        names = ("conflict_loss", "background_accuracy", "context_kept", "context_taken")
        return dict.fromkeys(names, absent("these images do not say what is object and what context"))
    known = signs[signs["measure"].isin(CONTEXT)].dropna(subset="value")
    known = known.assign(case=known["measure"].map(lambda name: MEASURES[name][0]), better=known["measure"].map(BETTER))
    none = absent("no network is better than chance")
    sides = {"context_kept": known[known["better"] == "higher"], "context_taken": known[known["better"] == "lower"]}
    of_signs = {
        name: evidence(rows, "value", unit="share", case="case") if len(rows) else none for name, rows in sides.items()
    }
    return of_signs | {
        "conflict_loss": evidence(cues, "value", unit="share", tuned=tuned, test="conflict", measure="loss"),
        "background_accuracy": evidence(
            cues, "value", unit="share", tuned=tuned, test="background", measure="accuracy"
        ),
    }


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """`paired.differences` of each arm to the one without the constraint, and of the plain controls to `base`."""
    return paired.differences(table, CONTRASTS).drop(columns="question").assign(question="")


def strength(section) -> pd.DataFrame:
    """How strong the spurious cue is: accuracy of networks that were trained and tested on backgrounds alone.

    One row per network; columns arm, seed, value, n, low, high, cue: the share of images whose photograph is the one of
    the digit's class. Empty where the preset trains none.
    """
    wanted = variants.contexts(section.preset)
    table = variants.measured(section, wanted, features.cues, images=section.preset.features.images)
    if table.empty:
        return table
    rows = table[(table["test"] == "background") & (table["measure"] == "accuracy")]
    return rows[["arm", "seed", "value", "n", "low", "high", "cue"]].reset_index(drop=True)


# --- words ------------------------------------------------------------------------------------------------------------


def reading(table: pd.DataFrame) -> pd.DataFrame:
    """`differences` as they are read: a row per pair of arms, a column per measure, in points with intervals."""
    return paired.reading(table, MEASURES).drop(columns="question")


def conclusion(table: pd.DataFrame) -> str:
    """In Markdown, for each pair of arms: who goes more by the digit, and whether the paper's reading says the same."""
    lines = []
    for (first, second), part in paired.intervals(table).groupby(["first", "second"], sort=False):
        signs = {row.measure: _sign(row) for row in part.itertuples()}
        known = [signs[name] for name in CONTEXT if name in signs]
        if len(known) < len(CONTEXT):
            lines.append(f"- `{first}` against `{second}`: **undecided**, because one is no better than chance.")
            continue
        side = (
            "**more** by the digit"
            if min(known) > 0
            else "**less** by the digit"
            if max(known) < 0
            else "**undecided**"
        )
        counts = f"{known.count(1)} of {len(known)} signs for, {known.count(-1)} against"
        lines.append(
            f"- `{first}` against `{second}`: {side} ({counts}); {_reading_of(signs.get('destroyed', 0), known)}."
        )
    if not lines:
        return "These images do not say what is object and what is context, so section 4.3 stays undecided here."
    return "\n".join([*lines, "", _RULE, "", seeds(table.assign(arm=table["first"]))])


_RULE = (
    "A sign counts where its interval over seeds leaves out zero, or, from one seed, by its direction alone. All four "
    "have to point one way for a decision."
)


def _sign(row) -> int:
    """1 where the first arm goes by the digit more than the second, -1 where less, 0 where it cannot be told."""
    told = paired.verdict(row, BETTER[row.measure])
    if told == "single run":
        return int(np.sign(row.mean)) * (1 if BETTER[row.measure] == "higher" else -1)
    return {"for": 1, "against": -1, "open": 0}[told]


def _reading_of(destroyed: int, known: list[int]) -> str:
    """Whether what is kept of destroyed images, the paper's evidence, points where the context points."""
    if destroyed == 0:
        return "what is kept of destroyed images does not tell them apart"
    word = "less" if destroyed > 0 else "more"
    agrees = destroyed * min(known) > 0 and destroyed * max(known) > 0
    return f"it keeps {word} of destroyed images, which here {'agrees' if agrees else 'does **not** say the same'}"


def conclusion_strength(table: pd.DataFrame) -> str:
    """How strong the spurious cue is, in one sentence."""
    if table.empty:
        return "This preset trains no network on the backgrounds alone (`context_seeds`)."
    several = f", mean of {len(table)} seeds" if len(table) > 1 else ""
    return (
        f"**The cue's strength**: a network that was trained on the photographs alone names the digit's class in "
        f"{100 * table['value'].mean():.1f} % of the test images{several}; in {100 * table['cue'].mean():.0f} % of "
        f"them the photograph is the one of the class."
    )


def describe(cues: pd.DataFrame) -> str:
    """Alt text of the figure of the test sets."""
    if cues.empty:
        return "No test sets: these images do not say what is context."
    parts = []
    for (test, measure), rows in cues.groupby(["test", "measure"], sort=False):
        if measure != "loss":
            means = rows.groupby("arm", sort=False)["value"].mean()
            name = "follows the photograph" if measure == "follows" else f"accuracy, {test}"
            parts.append(f"{name}: " + ", ".join(f"{arm} {100 * value:.0f} %" for arm, value in means.items()))
    marks = "a dot per seed with their mean, or a single run with its interval"
    return f"Five panels, a row per arm, {marks}. {'; '.join(parts)}."
