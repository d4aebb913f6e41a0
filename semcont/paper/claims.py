"""The verdicts: what may be said of each claim of the paper on the evidence of the notebooks' records.

The ledger (`data/paper/claims.yaml`) holds the claims, the records under reports/<preset>/ the evidence.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from .evidence import evidence
from .findings import Found, Missing, find, gather, pairs
from .ledger import Claim, load_claims, numbers

__all__ = [
    "COLUMNS",
    "comparisons",
    "describe",
    "describe_forest",
    "describe_ratios",
    "evidence",
    "gather",
    "left_open",
    "load_claims",
    "numbers",
    "of_kind",
    "summary",
    "verdicts",
]


COLUMNS = ["id", "section", "claim", "paper", "ours", "verdict", "notebook", "reason"]
"""The columns of `verdicts`."""

OPEN = ("not tested", "not run")
"""The verdicts that decide nothing."""


def verdicts(preset: str) -> pd.DataFrame:
    """Every claim of the ledger with the paper's value, ours and what may be said of it; columns `COLUMNS`.

    A claim about training needs seeds. From one seed it says "single run, same direction" or "single run, opposite
    direction" and no more, whatever the intervals, which are shown. A claim about one network or about an equation
    "holds here" or "does not hold here". What no notebook measures is "not tested", with the ledger's reason; what
    the records lack is "not run".
    """
    return pd.DataFrame([_judged(claim, preset) for claim in load_claims()], columns=COLUMNS)


def _judged(claim: Claim, preset: str) -> dict[str, str]:
    """One row of `verdicts`."""
    row = {"id": claim.id, "section": claim.section, "claim": claim.claim, "paper": _paper_text(claim), "ours": ""}
    row |= {"notebook": claim.notebook or "", "reason": ""}
    if not claim.tested:
        return row | {"verdict": "not tested", "reason": claim.reason or ""}
    judge = judge_training if claim.kind == "training" else judge_network
    try:
        ours, verdict, reason = judge(claim, find(claim, preset))
    except Missing as missing:
        return row | {"verdict": "not run", "reason": str(missing)}
    return row | {"ours": ours, "verdict": verdict, "reason": reason}


def judge_training(claim: Claim, found: Found) -> tuple[str, str, str]:
    """Ours, verdict and reason for a claim that compares two arms."""
    table = pairs(claim, found)
    agrees = _agreement(claim, table["difference"])
    cases, seeds = table["case"].nunique(), found.seeds
    if seeds > 1:
        count = agrees.eq(1).groupby(table["seed"]).all().sum()  # a seed agrees where each of its cases does
        return _pair_text(claim, found, table), f"same direction in {count} of {seeds} seeds", "not tested over seeds"
    if agrees.eq(0).all():
        verdict = "single run, no difference"
    elif agrees.eq(1).all():
        verdict = "single run, same direction"
    elif agrees.eq(-1).all():
        verdict = "single run, opposite direction"
    else:
        verdict = f"single run, same direction in {agrees.eq(1).sum()} of {cases}"
    reason = "one network per arm"
    noisy = ((table["low"] <= 0) & (table["high"] >= 0)).sum()
    if noisy:
        reason += "; test-set noise alone could explain the sign" + (f" in {noisy} of {cases}" if cases > 1 else "")
    return _pair_text(claim, found, table), verdict, reason


def _agreement(claim: Claim, difference: pd.Series) -> pd.Series:
    """1 where the difference has the direction that the paper says, -1 where the opposite, 0 where there is none."""
    if claim.direction == "not-lower":
        return difference.ge(-claim.margin).map({True: 1, False: -1})
    sign = difference.gt(0).astype(int) - difference.lt(0).astype(int)
    return sign if claim.direction == "higher" else -sign


def judge_network(claim: Claim, found: Found) -> tuple[str, str, str]:
    """Ours, verdict and reason for a claim about one network or an equation.

    Each case is held against the threshold, by its interval where that is known: one that contains the threshold
    leaves the claim undecided.
    """
    threshold = found.references.get(claim.reference) if claim.reference else claim.threshold
    if threshold is None:
        raise Missing(f"the measure {claim.metric!r} of {claim.notebook} does not say its {claim.reference}")
    rows = found.rows
    low, high = rows["low"].fillna(rows["value"]), rows["high"].fillna(rows["value"])
    holds, fails = low.gt(threshold), high.lt(threshold)
    if claim.direction == "lower":
        holds, fails = fails, holds
    fails |= rows["low"].isna() & ~holds  # without an interval a value on the threshold is not beyond it
    verdict = "holds here" if holds.all() else "does not hold here" if fails.any() else "undecided here"
    limit = f"{'above' if claim.direction == 'higher' else 'below'} {_number(threshold, found.unit)}"
    limit += f" ({claim.reference})" if claim.reference else ""
    reason = f"holds if {limit}" + (f" in each case; it is in {holds.sum()} of {len(rows)}" if len(rows) > 1 else "")
    return "; ".join(_value_text(row, found.unit) for row in rows.to_dict("records")), verdict, reason


# --- words and numbers ----------------------------------------------------------------------------------------------


def _number(value: float, unit: str) -> str:
    """A value for a reader: shares in percent, differences of shares in points, others to three digits."""
    if unit == "share":
        return f"{value * 100:.1f} %"
    if unit == "points":
        return f"{value * 100:+.1f}"
    return f"{value:.3g}"


def _value_text(row: Mapping[str, Any], unit: str) -> str:
    """A value with its case and interval."""
    text = f"{row['case']}: " if row["case"] else ""
    text += _number(row["value"], unit)
    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return text
    return f"{text} [{_number(row['low'], unit).removesuffix(' %')}, {_number(row['high'], unit).removesuffix(' %')}]"


def _pair_text(claim: Claim, found: Found, table: pd.DataFrame) -> str:
    """The two arms' values with their intervals; over several cases or seeds their means and the single differences."""
    if len(table) == 1:
        rows = [found.of(label).reset_index().iloc[0].to_dict() | {"case": ""} for label in claim.arms]
        return ", ".join(f"{label} {_value_text(row, found.unit)}" for label, row in zip(claim.arms, rows, strict=True))
    means = [_number(table[side].mean(), found.unit) for side in ("first", "second")]
    text = ", ".join(f"{label} {mean}" for label, mean in zip(claim.arms, means, strict=True))
    cases = table["case"].nunique()
    over = " and ".join(f"{count} {name}" for count, name in ((cases, "cases"), (found.seeds, "seeds")) if count > 1)
    if len(table) > 4:
        lower = table["difference"].lt(0).sum()
        return f"{text} (means over {over}); {claim.arms[0]} lower in {lower} of {len(table)}"
    rows = table.assign(value=table["difference"]).to_dict("records")
    differences = "; ".join(_value_text(row, "points" if found.unit == "share" else "") for row in rows)
    return f"{text} (means over {over}); {'points' if found.unit == 'share' else 'differences'} {differences}"


def _paper_text(claim: Claim) -> str:
    """The paper's values and where they stand, or how else the claim comes to be in the ledger."""
    if claim.paper is None:
        return "in words" if claim.reading == "paper" else "our stricter reading"
    settings = []
    for setting, arms in claim.paper.values.items():
        values = ", ".join(
            f"{arm} {value:.0f}" if value == round(value) else f"{arm} {value:.2f}" for arm, value in arms.items()
        )
        settings.append(f"{setting}: {values}{' %' if claim.paper.unit == 'percent' else ''}")
    return f"{'; '.join(settings)} ({claim.paper.where})" if settings else claim.paper.where


# --- the paper and us, side by side ---------------------------------------------------------------------------------


def comparisons(preset: str) -> pd.DataFrame:
    """Paper and ours as numbers, for every tested claim about training: one row per source, case and seed.

    Columns: id, section, source ("paper" or "ours"), case (the paper's setting or our case), seed, unit, first,
    second, difference, low, high, and `sign`: +1 where the claim wants the difference positive, -1 where negative.
    Shares are in percent, their differences in percentage points. Claims whose evidence is missing have the paper's
    rows alone.
    """
    rows: list[dict[str, Any]] = []
    for claim in load_claims():
        if claim.kind != "training" or not claim.tested:
            continue
        common = {"id": claim.id, "section": claim.section, "sign": -1 if claim.direction == "lower" else 1}
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
    share = found.unit == "share"
    table[columns] = table[columns] * (100 if share else 1)
    return table.assign(unit="percent" if share else found.unit).to_dict("records")


def of_kind(table: pd.DataFrame, *kinds: str) -> pd.DataFrame:
    """The rows of `verdicts` that were decided and whose claim is of one of `kinds`."""
    wanted = {claim.id for claim in load_claims() if claim.kind in kinds}
    return table[table["id"].isin(wanted) & ~table["verdict"].isin(OPEN)].reset_index(drop=True)


def left_open(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `verdicts` that nothing here decided."""
    return table[table["verdict"].isin(OPEN)].reset_index(drop=True)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """How many claims of `verdicts` ended with each verdict, by section; the last row is the total."""
    short = table["verdict"].str.replace(r"single run, same direction in .*", "single run, mixed", regex=True)
    counts = pd.crosstab(table["section"], short, margins=True, margins_name="all")
    return counts.reset_index().rename_axis(columns=None)


def describe(table: pd.DataFrame) -> str:
    """The verdicts of `verdicts` counted, in one sentence."""
    counts = summary(table).iloc[-1].drop(["section", "all"])
    parts = ", ".join(f"{count} *{verdict}*" for verdict, count in counts.items())
    return f"Of {len(table)} claims: {parts}."


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
