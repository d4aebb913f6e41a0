"""Whether the audit raised a flag over networks that a claim about robustness compares.

A flag says that an attack may have failed, so that an accuracy under it may be too high. It changes no verdict, which
the worst case decides; it has to stand beside it.
"""

from .findings import results_of
from .ledger import Claim

MEASURES = ("pgd_accuracy", "worst_case_accuracy")
"""The ledger's measures that an attack which failed would falsify."""

RECORDED = "raised"
"""What the record of 05_robustness calls its rows: arm, check, raised (networks over which it was), networks."""


def told(claim: Claim, preset: str) -> str:
    """The flags over a claim's arms, in words; "" for none, and for claims that rest on no attack."""
    if claim.metric not in MEASURES:
        return ""
    rows = results_of(preset, "05_robustness").get(RECORDED) or []
    found = [
        f"{row['arm']}, {row['check']}, {row['raised']} of {row['networks']}"
        for row in rows
        if row["arm"] in claim.arms and row["raised"]
    ]
    return f"flags of the audit (networks): {'; '.join(found)}" if found else ""
