"""The ledger of the paper's claims and the numbers that the paper prints, loaded strictly.

`data/paper/claims.yaml` says what is claimed and what decides it; its head explains the keys. A slip there (a
mistyped key, a missing one, an id used twice, a claim that nothing decides and that gives no reason) is a
`SettingsError` that names file, claim and key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .. import paths
from ..strict import SettingsError, build, convert, nearest, read_yaml

if TYPE_CHECKING:
    import pandas as pd

PRIMARY = 8
"""At most so many claims may be primary: each further one widens the intervals of all."""

OPEN = ("not tested", "not run")
"""The verdicts that decide nothing."""


@dataclass(frozen=True)
class Quoted:
    """What the paper shows for a claim: `values` maps a setting (a data set, a target) to a value per arm."""

    where: str
    unit: Literal["", "percent"] = ""
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, in our words, with what decides it; the head of `claims.yaml` explains the fields."""

    id: str
    section: str
    claim: str
    kind: Literal["training", "margin", "network", "theory", "untestable"]
    test: str
    reading: Literal["paper", "ours"] = "paper"
    of: str | None = None
    notebook: str | None = None
    metric: str | None = None
    arms: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    direction: Literal["higher", "lower", "not-lower"] | None = None
    threshold: float | None = None
    reference: str | None = None
    margin: float | None = None
    primary: bool = False
    paper: Quoted | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        for key in self._needed():
            if getattr(self, key) in (None, ()):
                raise ValueError(
                    f"key {key} is missing (kind {self.kind}, reading {self.reading}, direction {self.direction})"
                )
        if self.tested and self.kind == "untestable":
            raise ValueError("key notebook contradicts kind untestable")
        if self.tested and self.kind == "training" and len(self.arms) != 2:
            raise ValueError(f"arms must be a pair, not {list(self.arms)}")
        if self.tested and self.kind == "margin" and len(self.arms) != 1:
            raise ValueError(f"arms must be the one arm that the margin is of, not {list(self.arms)}")
        if self.margin is not None and self.margin < 0:
            raise ValueError(f"margin must be at least 0, not {self.margin!r}")
        if self.primary and not (self.tested and self.kind == "training"):
            raise ValueError("key primary is for tested claims of kind training")

    @property
    def tested(self) -> bool:
        """Whether a notebook measures it."""
        return self.notebook is not None

    @property
    def of_training(self) -> bool:
        """Whether it speaks of what training does, so that the unit is the seed and one seed decides nothing."""
        return self.kind in ("training", "margin")

    def _needed(self) -> list[str]:
        """The keys without which the claim could not be decided, or would not say why it is not."""
        needed = ["of"] if self.reading == "ours" else []
        if not self.tested:
            return [*needed, "reason"]
        needed += ["metric", "direction"]
        if self.of_training:
            return [*needed, "arms", "margin"] + ["against"] * (self.kind == "margin")
        return needed + (["threshold"] if self.reference is None else [])


def load_claims(path: Path | None = None) -> tuple[Claim, ...]:
    """Every claim of the ledger, in its order.

    Raises `SettingsError` for an unknown or missing key, a value of the wrong type, a repeated id, a claim without what
    decides it, or more than `PRIMARY` primary claims.
    """
    path = path or paths.resource("paper/claims.yaml")
    entries = read_yaml(path)
    if not isinstance(entries, list) or not entries:
        raise SettingsError(f"{path.name}: must be a list of claims")
    claims = tuple(_claim(entry, f"{path.name}, claim {number}") for number, entry in enumerate(entries, 1))
    ids = [claim.id for claim in claims]
    for claim in claims:
        if ids.count(claim.id) > 1:
            raise SettingsError(f"{path.name}: id {claim.id!r} is used {ids.count(claim.id)} times")
        if claim.of is not None and claim.of not in ids:
            raise SettingsError(f"{path.name}, {claim.id}: key of names no claim: {claim.of!r}{nearest(claim.of, ids)}")
    primary = [claim.id for claim in claims if claim.primary]
    if len(primary) > PRIMARY:
        raise SettingsError(f"{path.name}: at most {PRIMARY} claims may be primary, not {len(primary)}: {primary}")
    return claims


def numbers(table: int) -> "pd.DataFrame":
    """The paper's Table 1, 2, 3 or 4 as printed; accuracies in percent, strengths in the units of Table 1.

    Raises `ValueError` for another number.
    """
    import pandas as pd  # here, so that the command line starts without it

    tables = read_yaml(paths.resource("paper/numbers.yaml"))
    key = f"table{table}"
    if key not in tables:
        raise ValueError(
            f"the paper has no Table {table}: there are {', '.join(name for name in tables if name != 'source')}"
        )
    return pd.DataFrame(tables[key])


def _claim(entry: Any, where: str) -> Claim:
    """One map of the ledger as a `Claim`."""
    if not isinstance(entry, dict):
        raise SettingsError(f"{where}: must be a mapping, not {entry!r}")
    where = f"{where} ({entry['id']})" if "id" in entry else where
    paper = entry.get("paper")
    claim = build(Claim, {key: value for key, value in entry.items() if key != "paper"}, where)
    return claim if paper is None else replace(claim, paper=_quoted(paper, where))


def _quoted(entry: Any, where: str) -> Quoted:
    """The paper's own values, checked down to each number."""
    entry = dict(entry) if isinstance(entry, dict) else entry
    values = entry.pop("values", {}) if isinstance(entry, dict) else {}
    quoted = build(Quoted, entry, where, "paper.")
    if not isinstance(values, dict) or not all(isinstance(arms, dict) for arms in values.values()):
        raise SettingsError(f"{where}: paper.values must map a setting to a value per arm, not {values!r}")
    checked = {
        setting: {arm: convert(float, value, where, f"paper.values.{setting}.{arm}") for arm, value in arms.items()}
        for setting, arms in values.items()
    }
    return replace(quoted, values=checked)
