"""The plane of clean against attacked accuracy: is adv+c on the frontier, or is the same trade to be had without it?

The constraint may buy robustness with clean accuracy. So do a stronger attack in training, and TRADES with a larger
beta; a gain over `adv` alone does not say that the constraint is the better way to spend it.
"""

from typing import Any

import numpy as np
import pandas as pd

from ..losses import ARMS
from . import audit, robustness, variants
from .evidence import absent, evidence
from .paired import over_seeds
from .presets import Preset

OURS = "adv+c"
MEASURES = {"attacked": "accuracy under PGD", "worst": "worst case over attacks"}


def points(section) -> pd.DataFrame:
    """The networks of `preset.frontier`: columns variant, arm, seed, measure (of `MEASURES`), clean, robust, chance.

    `clean` and `robust` are shares of the test images: both of Table 2's, or both of the audit's. Empty where the
    preset leaves the plane out.
    """
    preset = section.preset
    wanted = variants.frontier(preset)
    if not wanted:
        return pd.DataFrame()
    own = preset.robustness
    table = variants.measured(
        section, wanted, robustness.by_attack, attacks=robustness.table2(preset), images=own.images
    )
    keys, (none, attacked) = ["variant", "arm", "seed"], robustness.table2(preset)
    clean = table[table["attack"] == none].set_index(keys)["accuracy"].rename("clean")
    parts = [table[table["attack"] == attacked].join(clean, on=keys).assign(measure="attacked")]
    if preset.frontier.worst:
        parts.append(audit.of_variants(section, wanted).assign(measure="worst"))
    found = pd.concat(parts, ignore_index=True).rename(columns={"accuracy": "robust"})
    return found[[*keys, "measure", "clean", "robust", "chance"]]


def margin(point: tuple[float, float], rivals: np.ndarray) -> float:
    """How far `point` (clean, robust) is from being matched in both by one of the `rivals` (r, 2) or their mixtures.

    min over q of max(clean - clean_q, robust - robust_q), the additive epsilon indicator of Zitzler et al. (2003), with
    q anywhere in the convex hull of the rivals: whoever answers a share t of the images, drawn by lot, with one network
    and the rest with another has the mean of their accuracies, weighted by t, without any training. The minimum lies on
    a segment between two rivals, at an end or where both differences are equal. Above 0: each mixture is worse in one
    of the two by at least so much, so the point is on the frontier. Below 0: some mixture is better in both by so much.
    Raises `ValueError` where there is no rival.
    """
    rivals = np.asarray(rivals, dtype=np.float64)
    if len(rivals) == 0:
        raise ValueError("a margin needs at least one rival")
    ahead = np.asarray(point, dtype=np.float64) - rivals  # (r, 2)
    step = ahead[None] - ahead[:, None]  # (r, r, 2), from each rival to each
    gap, slope = ahead[:, None, 0] - ahead[:, None, 1], step[..., 1] - step[..., 0]
    equal = np.divide(gap, slope, out=np.zeros_like(slope), where=slope != 0)
    shares = np.stack([np.zeros_like(equal), equal.clip(0, 1)])  # (2, r, r)
    return float((ahead[None, :, None] + shares[..., None] * step).max(axis=-1).min())


def by_seed(table: pd.DataFrame) -> pd.DataFrame:
    """`margin` of every adv+c network against those of its seed that are trained without the constraint: columns
    variant, measure, arm, seed, clean, robust, margin. Networks without a rival are left out.
    """
    rows, others = [], table[~table["arm"].map(constrained)]
    for point in table[table["arm"] == OURS].itertuples():
        rivals = others[(others["measure"] == point.measure) & (others["seed"] == point.seed)]
        if len(rivals):
            about = {name: getattr(point, name) for name in ("variant", "measure", "arm", "seed", "clean", "robust")}
            apart = margin((point.clean, point.robust), rivals[["clean", "robust"]].to_numpy())
            rows.append(about | {"margin": apart})
    return pd.DataFrame(rows, columns=["variant", "measure", "arm", "seed", "clean", "robust", "margin"])


def constrained(arm: str) -> bool:
    """Whether an arm holds the constraint: adv+c, and madry+c too, which is on the plane and no rival."""
    return ARMS[arm].weight == "alpha"


def margins(table: pd.DataFrame) -> pd.DataFrame:
    """`by_seed` over the seeds; one row per variant and measure.

    Columns variant, measure, seeds, clean, robust, margin (means over seeds), low, high (t interval over seeds; NaN for
    one), verdict.
    """
    rows = []
    for (measure, variant), part in by_seed(table).groupby(["measure", "variant"], sort=False):
        summary = over_seeds(part["margin"])
        about = {"variant": variant, "measure": measure, "seeds": summary.pop("n")}
        about |= {"clean": part["clean"].mean(), "robust": part["robust"].mean()}
        rows.append(about | {"margin": summary.pop("mean")} | summary)
    columns = ["variant", "measure", "seeds", "clean", "robust", "margin", "low", "high"]
    result = pd.DataFrame(rows, columns=columns)
    return result.assign(verdict=[_verdict(row) for row in result.itertuples()])


def evidence_of(table: pd.DataFrame, preset: Preset) -> dict[str, Any]:
    """What the ledger reads of `points`: the margin of adv+c at the preset's alpha, a case per kind of attack."""
    if table.empty:
        return {"frontier_margin": absent("this preset trains no networks for the plane (frontier)")}
    found = by_seed(table)
    own = found[found["variant"] == variants.at_alpha(OURS, preset.constraint.alpha)]
    if own.empty:
        return {"frontier_margin": absent("adv+c at the preset's own alpha is not in the plane, or has no rival there")}
    return {"frontier_margin": evidence(own.replace({"measure": MEASURES}), "margin", unit="points", case="measure")}


def _verdict(row) -> str:
    side = "on the frontier" if row.margin > 0 else "matched by another"
    if np.isnan(row.low):
        return f"single run: {side}"
    return "undecided" if row.low <= 0 <= row.high else side


def conclusion(table: pd.DataFrame) -> str:
    """In Markdown: which adv+c networks are on the frontier of the plane."""
    if table.empty:
        return "This preset trains no networks for the plane (`frontier`), so nothing is said here."
    found = margins(table)
    lines = []
    for measure, part in found.groupby("measure", sort=False):
        lines += [f"Clean accuracy against {MEASURES[measure]}:", ""]
        for row in part.itertuples():
            bounds = "" if np.isnan(row.low) else f" [{100 * row.low:+.1f}, {100 * row.high:+.1f}]"
            lines.append(f"- `{row.variant}`: **{row.verdict}**, margin {100 * row.margin:+.1f} points{bounds}.")
        counts = part["verdict"].str.removeprefix("single run: ").value_counts()
        lines += ["", f"So of {len(part)} weights of the constraint: {_counted(counts)}.", ""]
    return "\n".join(lines) or f"No `{OURS}` was trained for the plane, so there is nothing to place."


def _counted(counts: pd.Series) -> str:
    return ", ".join(f"{number} {word}" for word, number in counts.items())


def describe(table: pd.DataFrame) -> str:
    """Alt text of the plane."""
    means = table.groupby(["measure", "variant"], sort=False)[["clean", "robust"]].mean()
    parts = []
    for measure in dict.fromkeys(table["measure"]):
        values = "; ".join(
            f"{name} {100 * r.clean:.0f} and {100 * r.robust:.0f} %" for name, r in means.loc[measure].iterrows()
        )
        parts.append(f"Clean accuracy and {MEASURES[measure]}: {values}")
    return (
        f"Networks as points in the plane of clean and attacked accuracy, families joined by lines. {'. '.join(parts)}."
    )
