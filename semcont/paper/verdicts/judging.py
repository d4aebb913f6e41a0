"""The rule by which evidence becomes a verdict: claims about training are tested over seeds, others held to a limit.

Each case of a claim about training (a perturbation and level, a target) is a paired t over seeds. A claim holds where
each of its cases does, so its p value for the paper's direction is the largest of theirs (an intersection-union test,
which needs no correction); for the opposite direction one case is enough, so there it is the smallest, times their
number. Two-sided: twice the smaller of the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .. import statistics
from . import wording
from .findings import Found, Missing, pairs
from .ledger import Claim

ALPHA = 1 - statistics.LEVEL
"""The chance of a false verdict that is allowed: for all primary claims together, for each exploratory one alone."""

CASES = [
    *("id", "section", "alpha", "case", "seeds", "unit", "sign"),
    *("estimate", "low", "high", "over", "p", "detectable", "result"),
]
"""The columns of `Judged.cases`. A share's estimate is in percentage points, another's a ratio of the arms; `over` says
whether the interval is over seeds or over test images; `p` is two-sided; `detectable` is NaN for a single seed."""


@dataclass(frozen=True)
class Judged:
    """What one claim comes to: `p` and `side` await the correction for several claims, which `settle` applies."""

    ours: str
    verdict: str
    reason: str
    interval: str = ""
    p: float | None = None  # None where no seeds were tested
    side: int = 0  # 1: as the paper says, -1: the opposite
    cases: pd.DataFrame | None = None
    seeds: int | None = None  # of a claim about networks alone; others have them in their cases


# --- claims about training --------------------------------------------------------------------------------------------


def judge_training(claim: Claim, found: Found, family: int = 1) -> Judged:
    """A claim that compares two arms, or of a margin between them. `family` is the number of primary claims for one of
    them, else 1.

    From one seed a direction and no more; from several a verdict, for a primary claim by Bonferroni's correction, until
    `settle` corrects it by Holm's.
    """
    table = pairs(claim, found)
    if table["seed"].nunique() == 1:
        return _single(claim, found, table)
    cases = by_case(claim, found, table, family)
    together = max(cases["same"])
    against = [p for p, result in zip(cases["opposite"], cases["result"], strict=True) if result != "negligible"]
    opposite = min([1.0, *(len(cases) * p for p in against)])
    ours = wording.arms_text(claim, found, table)
    judged = Judged(ours, "", "", wording.interval_text(cases), min(1.0, 2 * min(together, opposite)))
    judged = replace(judged, side=1 if together <= opposite else -1, cases=cases)
    return settle(claim, judged, min(1.0, family * judged.p))


def settle(claim: Claim, judged: Judged, p: float) -> Judged:
    """The verdict of a claim tested over seeds, with its p value as corrected: the first that applies of negligible,
    reproduced, contradicted, undecided.

    Holm tests some primary claims at a higher level than that of their intervals, which are Bonferroni's; then a case
    counts at the level of the test.
    """
    if 0 < p < ALPHA:
        judged = replace(judged, cases=_at_level(judged.cases, ALPHA * judged.p / p))
    results = judged.cases["result"].tolist()
    counted = wording.counted(results)
    if set(results) == {"negligible"}:
        verdict, reason = "negligible", f"within {wording.margin_text(claim, judged.cases['unit'].iloc[0])} either way"
        if claim.direction == "not-lower":
            reason += ", which is all that the claim says"
    elif p < ALPHA and judged.side > 0:
        verdict, reason = "reproduced", wording.p_text(p, claim.primary)
    elif p < ALPHA:
        verdict, reason = "contradicted", wording.p_text(p, claim.primary)
        if len(results) > 1:
            verdict += f" in {_against(judged.cases, ALPHA * judged.p / p)} of {len(results)}"
    else:
        verdict, reason = "undecided", f"{wording.p_text(p, claim.primary)}; {wording.power_text(judged.cases)}"
    if len(results) > 1:
        reason += f"; {counted}"
    return replace(judged, verdict=verdict, reason=reason)


def _at_level(cases: pd.DataFrame, level: float) -> pd.DataFrame:
    """The cases with those decided that were not at the level of their intervals and are at this one."""
    side = np.where(cases["same"] <= cases["opposite"], "same", "opposite")
    return cases.assign(result=cases["result"].mask((cases["result"] == "undecided") & (cases["p"] < level), side))


def _against(cases: pd.DataFrame, level: float) -> int:
    """In how many cases the opposite is shown at this level, by Holm's correction for their number."""
    opposite = (2 * cases["opposite"]).mask(cases["result"] == "negligible", 1.0).clip(upper=1.0)
    return int((statistics.holm(opposite) < level).sum())


def by_case(claim: Claim, found: Found, table: pd.DataFrame, family: int = 1) -> pd.DataFrame:
    """A paired t over seeds for each case of `pairs`: columns case, seeds, unit, estimate, low, high, p, detectable,
    result, and the one-sided `same` and `opposite`.

    Shares are tested as differences, other measures as logarithms of the arms' ratio where all are positive: these have
    no natural unit, and their spread grows with their size. Intervals are Bonferroni's for `family` claims.
    """
    level, rows = 1 - ALPHA / family, []
    scale = _scale(found, table)
    null = -claim.margin if claim.direction == "not-lower" else 0.0
    bound = np.log1p(claim.margin) if scale == "ratio" else claim.margin
    for case, mine in table.groupby("case", sort=False):
        effect = np.log(mine["ratio"]) if scale == "ratio" else mine["difference"]
        test = statistics.paired(effect, null=null, level=level)
        same, opposite = (test.below, test.above) if claim.direction == "lower" else (test.above, test.below)
        inside = scale != "difference" and -bound <= test.low and test.high <= bound
        p = min(1.0, 2 * min(same, opposite))
        side = "same" if same <= opposite else "opposite"
        result = "negligible" if inside else side if p < ALPHA / family else "undecided"
        least = statistics.detectable(test.sd, test.n, alpha=ALPHA / family)
        numbers = [_printed(value, scale) for value in (test.mean, test.low, test.high, least)]
        rows.append(
            {"case": case, "seeds": test.n, "unit": {"points": "percent"}.get(scale, scale), "over": "seeds", "p": p}
            | dict(zip(("estimate", "low", "high", "detectable"), numbers, strict=True))
            | {"result": result, "same": same, "opposite": opposite}
        )
    return pd.DataFrame(rows)


def _scale(found: Found, table: pd.DataFrame) -> str:
    """How arms are compared: "points" for shares, "ratio" for positive measures, else "difference"."""
    if found.unit in ("share", "points"):
        return "points"
    return "ratio" if table["ratio"].notna().all() else "difference"


def _printed(value: float, scale: str) -> float:
    """An effect in the unit of the table: percentage points, a ratio, or the measure's own."""
    return 100 * value if scale == "points" else float(np.exp(value)) if scale == "ratio" else value


def _single(claim: Claim, found: Found, table: pd.DataFrame) -> Judged:
    """One network per arm: a direction, and what the test images alone leave open."""
    agrees = _agreement(claim, table["difference"])
    count = table["case"].nunique()
    if agrees.eq(0).all():
        verdict = "single run, no difference"
    elif agrees.eq(1).all():
        verdict = "single run, same direction"
    elif agrees.eq(-1).all():
        verdict = "single run, opposite direction"
    else:
        sign, direction = (1, "same") if agrees.eq(1).any() else (-1, "opposite")
        verdict = f"single run, {direction} direction in {agrees.eq(sign).sum()} of {count}"
    reason = "one network per arm"
    noisy = ((table["low"] <= 0) & (table["high"] >= 0)).sum()
    if noisy:
        reason += "; test-set noise alone could explain the sign" + (f" in {noisy} of {count}" if count > 1 else "")
    cases = _single_cases(found, table, agrees)
    return Judged(wording.arms_text(claim, found, table), verdict, reason, wording.interval_text(cases), cases=cases)


def _single_cases(found: Found, table: pd.DataFrame, agrees: pd.Series) -> pd.DataFrame:
    """The cases of a single run in the form of `by_case`, with intervals over test images and no test."""
    scale = _scale(found, table)
    columns = ["ratio", "ratio_low", "ratio_high"] if scale == "ratio" else ["difference", "low", "high"]
    numbers = table[columns].set_axis(["estimate", "low", "high"], axis=1) * (100 if scale == "points" else 1)
    results = agrees.map({1: "same", -1: "opposite", 0: "no difference"})
    unit = {"points": "percent"}.get(scale, scale)
    return pd.concat([table[["case"]], numbers], axis=1).assign(
        seeds=1, unit=unit, over="test images", p=np.nan, detectable=np.nan, result=results
    )


def _agreement(claim: Claim, difference: pd.Series) -> pd.Series:
    """1 where the difference has the direction that the paper says, -1 where the opposite, 0 where there is none."""
    if claim.direction == "not-lower":
        return difference.ge(-claim.margin).map({True: 1, False: -1})
    sign = difference.gt(0).astype(int) - difference.lt(0).astype(int)
    return sign if claim.direction == "higher" else -sign


# --- claims about a network or an equation ----------------------------------------------------------------------------


def judge_network(claim: Claim, found: Found) -> Judged:
    """A claim about one network or an equation: each case is held against the threshold.

    By its interval where that is known, over seeds where there are several: one that contains the threshold leaves the
    claim undecided.
    """
    threshold = found.references.get(claim.reference) if claim.reference else claim.threshold
    if threshold is None:
        raise Missing(f"the measure {claim.metric!r} of {claim.notebook} does not say its {claim.reference}")
    rows = found.rows if found.seeds == 1 else _over_seeds(found.rows)
    if found.unit == "share":  # a t interval does not know that there is no more than all
        rows = rows.assign(low=rows["low"].clip(0, 1), high=rows["high"].clip(0, 1))
    low, high = rows["low"].fillna(rows["value"]), rows["high"].fillna(rows["value"])
    holds, fails = low.gt(threshold), high.lt(threshold)
    if claim.direction == "lower":
        holds, fails = fails, holds
    fails |= rows["low"].isna() & ~holds  # without an interval a value on the threshold is not beyond it
    verdict = "holds here" if holds.all() else "does not hold here" if fails.any() else "undecided here"
    limit = f"{'above' if claim.direction == 'higher' else 'below'} {wording.number(threshold, found.unit)}"
    limit += f" ({claim.reference})" if claim.reference else ""
    reason = f"holds if {limit}" + (f" in each case; it is in {holds.sum()} of {len(rows)}" if len(rows) > 1 else "")
    ours = "; ".join(wording.value_text(row, found.unit) for row in rows.to_dict("records"))
    ours += f" (over {found.seeds} seeds)" if found.seeds > 1 else ""
    return Judged(ours, verdict, reason, seeds=found.seeds)


def _over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per label and case: the mean over seeds and its t interval."""
    found = []
    for (label, case), mine in rows.groupby(["label", "case"], sort=False):
        told: Mapping[str, float] = {"value": mine["value"].mean(), "low": np.nan, "high": np.nan}
        if len(mine) > 1:
            test = statistics.paired(mine["value"])
            told = {"value": test.mean, "low": test.low, "high": test.high}
        found.append({"label": label, "case": case} | dict(told))
    return pd.DataFrame(found)
