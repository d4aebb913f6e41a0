"""The verdicts: what may be said of each claim of the paper on the evidence of the notebooks' records.

The ledger (`data/paper/claims.yaml`) holds the claims, the records under reports/<preset>/ the evidence, `judging` the
rule.
"""

from dataclasses import replace
from typing import Any

import pandas as pd

from ..losses import ARMS
from . import statistics
from .evidence import TUNED, absent, evidence
from .presets import Preset, load_preset
from .verdicts import flagged, turning, wording
from .verdicts.findings import Missing, NotMade, find, find_tuned, gather, pairs
from .verdicts.judging import CASES, Judged, judge_network, judge_training, settle
from .verdicts.ledger import OPEN, Claim, load_claims, numbers

__all__ = [
    "CASES",
    "COLUMNS",
    "absent",
    "comparisons",
    "describe",
    "describe_forest",
    "describe_primary",
    "describe_ratios",
    "evidence",
    "gather",
    "judge",
    "left_open",
    "load_claims",
    "numbers",
    "of_kind",
    "primary",
    "summary",
    "verdicts",
]


COLUMNS = ["id", "section", "claim", "paper", "ours", "verdict", "notebook", "reason", "interval", "alpha", "scope"]
"""The columns of `verdicts`."""

DECIDED = ("negligible", "reproduced", "contradicted")
"""How the verdicts begin that need training to have levelled off."""


def verdicts(preset: str | Preset) -> pd.DataFrame:
    """Every claim of the ledger with the paper's value, ours and what may be said of it; columns `COLUMNS`.

    The first table of `judge`.
    """
    return judge(preset)[0]


def judge(preset: str | Preset) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The verdicts (columns `COLUMNS`), and the tests behind them, a row per case (columns `CASES`).

    A claim about training needs seeds. From one it says "single run, same direction" or "single run, opposite
    direction" and no more. From several the first that applies: negligible, reproduced or contradicted (p below 0.05,
    by Holm's correction over all primary claims of the ledger for one of these), undecided with the smallest effect
    that so many seeds would have shown. Where training had not levelled off, it is undecided; where it would turn with
    the length of training, or the audit raised a flag over one of its arms, the reason says so. A
    claim about one network or an equation "holds here" or "does not hold here". What no notebook measures under this
    preset, or needs an arm that it does not train, is "not tested"; what the records lack is "not run". A tuned alpha
    is a row of its own.
    """
    settings = preset if isinstance(preset, Preset) else load_preset(preset)
    claims, preset = load_claims(), settings.name
    family = max(1, sum(claim.primary for claim in claims))
    first = _corrected([(claim, _judged(claim, settings, family)) for claim in claims])
    told, turns, rows, cases = turning.levelled(settings), turning.at_lengths(claims, preset), [], []
    for claim, judged in first:
        if claim.id in set(turns["id"]) and judged.verdict not in OPEN:
            at_lengths = turning.told(turns[turns["id"] == claim.id])
            judged = replace(judged, reason=f"{judged.reason}; {at_lengths}")
        if judged.verdict not in OPEN and (flags := flagged.told(claim, preset)):
            judged = replace(judged, reason=f"{judged.reason}; {flags}")
        for alpha, each, found in ((_alpha(claim, settings), claim, judged), *_tuned(claim, settings)):
            found = _if_levelled(each, found, told, settings)
            rows.append(_row(each, found, alpha, settings))
            if found.cases is not None:
                about = {"id": each.id, "section": each.section, "alpha": alpha, "sign": _sign(each)}
                cases.append(found.cases.assign(**about))
    # A table made without rows holds words and numbers alike; reindexed, it would hold numbers alone.
    tests = pd.concat(cases, ignore_index=True).reindex(columns=CASES) if cases else pd.DataFrame(columns=CASES)
    return pd.DataFrame(rows, columns=COLUMNS), tests


def _judged(claim: Claim, settings: Preset, family: int) -> Judged:
    """One claim before the correction for several."""
    if not claim.tested:
        return Judged("", "not tested", claim.reason or "")
    if not settings.reads(claim.notebook):
        return Judged("", "not tested", f"this preset leaves out {claim.notebook}")
    try:
        found = find(claim, settings.name)
        if claim.of_training:
            return judge_training(claim, found, family if claim.primary else 1)
        return judge_network(claim, found)
    except NotMade as reason:
        return Judged("", "not tested", str(reason))
    except Missing as missing:
        untrained = _untrained(claim, settings)
        return Judged("", "not tested", untrained) if untrained else Judged("", "not run", str(missing))


def _untrained(claim: Claim, settings: Preset) -> str:
    """Which arms of a claim a preset does not train, in words; "" where it trains them all."""
    arms = [arm for arm in claim.arms if arm in ARMS and arm not in settings.arms]
    many = "the arms" if len(arms) > 1 else "the arm"
    return f"needs {many} {' and '.join(arms)}, which this preset does not train" if arms else ""


def _corrected(judged: list[tuple[Claim, Judged]]) -> list[tuple[Claim, Judged]]:
    """The same with Holm's correction: over all primary claims, those that were not run included with p = 1."""
    primary = [(claim, found) for claim, found in judged if claim.primary]
    adjusted = statistics.holm([1.0 if found.p is None else found.p for _, found in primary])
    p = {claim.id: value for (claim, _), value in zip(primary, adjusted, strict=True)}
    return [
        (claim, settle(claim, found, p[claim.id]) if claim.id in p and found.p is not None else found)
        for claim, found in judged
    ]


def _tuned(claim: Claim, settings: Preset) -> list[tuple[str, Claim, Judged]]:
    """The second row of a claim, where the record has its arms at a tuned alpha: exploratory, whatever the first is.

    Its reason begins with the alpha of each arm that has one, since the rule may pick another for each.
    """
    pair = find_tuned(claim, settings.name) if claim.tested and claim.kind == "training" else None
    if pair is None:
        return []
    twin = replace(pair[0], primary=False)
    chosen = {arm: alpha or settings.constraint.alpha for arm, alpha in settings.tuning.chosen.by_arm().items()}
    told = " and ".join(f"{arm} at alpha {chosen[arm]:g}" for arm in claim.arms if arm in chosen)
    try:
        judged = judge_training(twin, pair[1])
    except Missing:
        return []
    return [("tuned", twin, replace(judged, reason=f"{told}: {judged.reason}"))]


def _if_levelled(claim: Claim, judged: Judged, told: dict[str, dict[str, bool]], settings: Preset) -> Judged:
    """A verdict over seeds counts only where the training of both arms on the claim's data was seen to level off; where
    the record has no lengths at all, it stands.
    """
    if judged.p is None or not told or not judged.verdict.startswith(DECIDED):
        return judged
    arms = list(dict.fromkeys(_trained_as(label, settings) for label in (*claim.arms, *claim.against)))
    why = _growing(arms, told, turning.data_of(claim))
    if not why:
        return judged
    reason = f"{'; '.join(why)}; as it stands {judged.verdict}, {judged.reason}; {wording.power_text(judged.cases)}"
    return replace(judged, verdict="undecided", reason=reason)


def _growing(arms: list[str], told: dict[str, dict[str, bool]], data: str) -> list[str]:
    """Which of the arms were not seen to level off on these data, in words; [] where all were."""
    mine, before = told.get(data, {}), told.get(turning.ARMS, {})
    growing, untried = [arm for arm in arms if mine.get(arm) is False], [arm for arm in arms if arm not in mine]
    tuned = [arm for arm in growing if data == turning.TRANSFER and before.get(arm) is not False]
    trained = [arm for arm in growing if arm not in tuned]
    why = [f"training of {' and '.join(trained)} had not levelled off"] if trained else []
    why += [f"fine-tuning of {' and '.join(tuned)} had not levelled off"] if tuned else []
    return why + ([f"whether training of {' and '.join(untried)} had levelled off was not tried"] if untried else [])


def _trained_as(label: str, settings: Preset) -> str:
    """The arm whose training a label of the evidence shares: Fig. 4's two ends are `base` and `c`, a tuned arm shares
    its arm's where the tuned alpha is the paper's. Another alpha is another training, whose length was not varied.
    """
    alpha, arm = settings.constraint.alpha, label.removesuffix(TUNED)
    ends = {"alpha=0": "base", f"alpha={alpha:g}": "c"}
    if label.endswith(TUNED) and (settings.tuning.chosen.by_arm().get(arm) or alpha) != alpha:
        return label
    return ends.get(label, arm)


def _row(claim: Claim, judged: Judged, alpha: str, settings: Preset) -> dict[str, str]:
    """One row of `verdicts`."""
    row = {"id": claim.id, "section": claim.section, "claim": claim.claim, "paper": wording.paper_text(claim)}
    row |= {"ours": judged.ours, "verdict": judged.verdict, "notebook": claim.notebook or "", "reason": judged.reason}
    scope = "" if judged.verdict in OPEN else _scope(claim, judged, settings)
    return row | {"interval": judged.interval, "alpha": alpha, "scope": scope}


def _scope(claim: Claim, judged: Judged, settings: Preset) -> str:
    """Of what a verdict speaks: data, network, seeds, and whether it was fixed as primary."""
    seeds = int(judged.cases["seeds"].max()) if judged.cases is not None else judged.seeds or settings.seeds
    parts = [turning.data_named(claim, settings), settings.model.name, f"{seeds} seed{'s' if seeds > 1 else ''}"]
    if judged.p is not None:
        parts.append("primary" if claim.primary else "exploratory")
    return ", ".join(parts) if claim.kind != "theory" else "an equation"


def _alpha(claim: Claim, settings: Preset) -> str:
    """The weight of the constraint in the arms compared; empty where none holds it."""
    weights = {ARMS[arm].weight for arm in claim.arms if arm in ARMS}
    return f"{settings.constraint.alpha:g}" if "alpha" in weights else ""


def _sign(claim: Claim) -> int:
    """+1 where the claim wants the difference positive or the ratio above 1, -1 where the contrary."""
    return -1 if claim.direction == "lower" else 1


# --- the paper and us, side by side ---------------------------------------------------------------------------------


def comparisons(preset: str) -> pd.DataFrame:
    """Paper and ours as numbers, for every tested claim about training: one row per source, case and seed.

    Columns: id, section, source ("paper" or "ours"), case (the paper's setting or our case), seed, unit, first,
    second, difference, low, high, and `sign`: +1 where the claim wants the difference positive, -1 where negative.
    Shares are in percent, their differences in percentage points; a margin is a difference without its two sides.
    Claims whose evidence is missing have the paper's rows alone.
    """
    rows: list[dict[str, Any]] = []
    for claim in load_claims():
        if not claim.of_training or not claim.tested:
            continue
        common = {"id": claim.id, "section": claim.section, "sign": _sign(claim)}
        for setting, arms in claim.paper.values.items() if claim.paper else ():
            first, second = (arms[arm] for arm in claim.arms)
            values = {"first": first, "second": second, "difference": first - second}
            rows.append(common | {"source": "paper", "case": setting, "unit": claim.paper.unit} | values)
        rows += [common | {"source": "ours"} | row for row in _our_rows(claim, preset)]
    names = ["id", "section", "source", "case", "seed", "unit", "sign", "first", "second"]
    names += ["difference", "low", "high", "ratio", "ratio_low", "ratio_high"]
    return pd.DataFrame(rows).reindex(columns=names)


def _our_rows(claim: Claim, preset: str) -> list[dict[str, Any]]:
    """Our side of `comparisons` for one claim."""
    try:
        found = find(claim, preset)
        table = pairs(claim, found)
    except Missing:
        return []
    columns = ["first", "second", "difference", "low", "high"]
    share = found.unit in ("share", "points")
    table[columns] = table[columns] * (100 if share else 1)
    return table.assign(unit="percent" if share else found.unit).to_dict("records")


def of_kind(table: pd.DataFrame, *kinds: str) -> pd.DataFrame:
    """The rows of `verdicts` that were decided and whose claim is of one of `kinds`."""
    wanted = {claim.id for claim in load_claims() if claim.kind in kinds}
    return table[table["id"].isin(wanted) & ~table["verdict"].isin(OPEN)].reset_index(drop=True)


def left_open(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `verdicts` that nothing here decided."""
    return table[table["verdict"].isin(OPEN)].reset_index(drop=True)


def as_read(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `verdicts` in few columns, as a page has room for them; a new line in a cell parts what it joins."""
    tuned = table["alpha"].eq("tuned").map({True: "at a tuned alpha", False: ""})
    joined = {
        "claim": (table["id"], table["claim"]),
        "paper": (table["paper"],),
        "ours": (table["ours"], table["interval"]),
        "verdict": (table["verdict"], table["reason"]),
        "scope": (table["scope"], tuned),
    }
    rows = {name: ["\n".join(filter(None, cells)) for cells in zip(*of, strict=True)] for name, of in joined.items()}
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """How many claims of `verdicts` ended with each verdict, by section; the last row is the total.

    Claims with several cases that do not agree are pooled, and rows at a tuned alpha left out.
    """
    table = table[table["alpha"] != "tuned"]
    short = table["verdict"].str.replace(r"single run, same direction in .*", "single run, mixed", regex=True)
    short = short.str.replace(r"contradicted in .*", "contradicted", regex=True)
    counts = pd.crosstab(table["section"], short, margins=True, margins_name="all")
    return counts.reset_index().rename_axis(columns=None)


def describe(table: pd.DataFrame) -> str:
    """The verdicts of `verdicts` counted, in one sentence."""
    counts = summary(table).iloc[-1].drop(["section", "all"])
    parts = ", ".join(f"{count} *{verdict}*" for verdict, count in counts.items())
    return f"Of {counts.sum()} claims: {parts}."


def primary() -> list[str]:
    """The ids of the primary claims, in the ledger's order."""
    return [claim.id for claim in load_claims() if claim.primary]


def describe_primary(table: pd.DataFrame) -> str:
    """The alt text of the figure of the primary claims, from the table of `verdicts`."""
    first = table[table["alpha"].ne("tuned") & table["id"].isin(primary())]
    told = "; ".join(f"{row.id} {row.verdict}" for row in first.itertuples())
    return f"Differences and ratios between two arms for the primary claims, the paper's and ours. {told}."


def describe_forest(table: pd.DataFrame) -> str:
    """The alt text of the forest plot, from the table of `comparisons`."""
    shown = table[table["unit"] == "percent"]
    ours = shown[shown["source"] == "ours"]
    agree = (ours["difference"] * ours["sign"] > 0).sum()
    return (
        f"Differences between two arms, in percentage points, for {shown['id'].nunique()} claims: paper and ours. "
        f"Turned so that positive is the paper's direction, {agree} of our {len(ours)} are positive."
    )


def describe_ratios(table: pd.DataFrame) -> str:
    """The alt text of the plot of ratios, from the table of `comparisons`."""
    ours = table[(table["unit"] != "percent") & (table["source"] == "ours") & table["ratio"].notna()]
    agree = (ours["ratio"] ** ours["sign"] > 1).sum()
    return (
        f"Ratios between two arms, of distances, gradients and attributions, for {ours['id'].nunique()} claims. Turned "
        f"so that above 1 is the paper's direction, {agree} of our {len(ours)} are above 1."
    )
