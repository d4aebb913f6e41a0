"""What a claim of the ledger finds in the records of the notebooks: its measure, and the two arms side by side."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..evidence import TUNED
from . import records
from .ledger import Claim, load_claims


class Missing(LookupError):
    """A claim's evidence is not there; the message says which part."""


class NotMade(Missing):
    """The notebook says that it cannot measure this under the preset; the message says why."""


@dataclass(frozen=True)
class Found:
    """The evidence for one claim: `rows` has columns label, seed, case, value, low, high, n."""

    unit: str
    references: Mapping[str, float]
    rows: pd.DataFrame

    @property
    def seeds(self) -> int:
        """Trained networks per arm."""
        return self.rows["seed"].nunique()

    def of(self, label: str) -> pd.DataFrame:
        """The rows of one arm, by seed and case, in the record's order."""
        return self.rows[self.rows["label"] == label].set_index(["seed", "case"])


def gather(preset: str, seed: int = 0, device: str = "auto") -> list[str]:
    """Run the notebooks of which there is no record under `preset` and nothing published, so that the ledger can be
    read alone; name them. A line says of which it takes what was published; for another first seed nothing is.

    Raises what `execute.run` raises: `NotebookFailed` names notebook and cell.
    """
    from ..execution import execute
    from ..presets import load_preset

    settings = load_preset(preset)
    needed = sorted({claim.notebook for claim in load_claims() if claim.tested and settings.reads(claim.notebook)})
    missing = [name for name in needed if not records.record(settings.name, name).is_file()]
    known = [name for name in missing if seed == 0 and records.published(settings.name, name)]
    if known:
        print(f"not run here, taken as published in figures/{settings.name}/{records.FILE}: {', '.join(known)}")
    missing = [name for name in missing if name not in known]
    for number, name in enumerate(missing, 1):
        print(f"{number} of {len(missing)}: {name} has no record yet, so it runs now")
        execute.run(execute.prepare(name, [f"preset={preset}", f"seed={seed}", f"device={device}"]))
    return missing


def find(claim: Claim, preset: str) -> Found:
    """The measure that a tested claim reads, from its notebook's record under `preset`: the rows of the claim's arms.

    Raises `Missing` and says what is not there: the record, the measure, or an arm; `NotMade` where the notebook itself
    says that there is no such measure under this preset.
    """
    found = _measure(claim, preset)
    for label in claim.arms:
        if label not in set(found.rows["label"]):
            raise Missing(f"{claim.metric!r} in {claim.notebook}.json has no row for {label}")
    return _only(found, claim.arms) if claim.arms else found


def find_tuned(claim: Claim, preset: str) -> tuple[Claim, Found] | None:
    """The claim with arms at a tuned alpha in the place of the paper's, where the record has such rows; else None."""
    try:
        found = _measure(claim, preset)
    except Missing:
        return None
    labels = set(found.rows["label"])
    arms = tuple(arm + TUNED if arm + TUNED in labels else arm for arm in claim.arms)
    if arms == claim.arms or not set(arms) <= labels:
        return None
    return replace(claim, arms=arms), _only(found, arms)


def results_of(preset: str, notebook: str) -> dict[str, Any]:
    """What a notebook recorded under a preset, or what is published of it; {} without a whole record."""
    path = records.record(preset, notebook)
    if not path.is_file():
        return records.published(preset, notebook)
    try:
        return json.loads(path.read_text(encoding="utf-8"))["results"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _measure(claim: Claim, preset: str) -> Found:
    """All rows of the measure that a claim reads, of every arm."""
    path = records.record(preset, claim.notebook)
    published = {} if path.is_file() else records.published(preset, claim.notebook)
    if not (published or path.is_file()):
        raise Missing(f"no record {path.name}: run `semcont run {claim.notebook} preset={preset}`")
    try:
        results = published or json.loads(path.read_text(encoding="utf-8"))["results"]
        entry = results["evidence"][claim.metric]
        if "absent" in entry:
            raise NotMade(entry["absent"])
        rows = pd.DataFrame(entry["rows"]).reindex(columns=["label", "seed", "case", "value", "low", "high", "n"])
        unit, references = entry["unit"], entry["references"]
    except json.JSONDecodeError:
        raise Missing(f"the record {path.name} is not valid JSON: run the notebook again") from None
    except (KeyError, TypeError, ValueError):
        raise Missing(f"the record {path.name} holds no measure {claim.metric!r}") from None
    if rows["value"].isna().any() or rows.empty:
        raise Missing(f"{claim.metric!r} in {path.name} has a row without a value: run the notebook again")
    # Absent seeds and cases get a value, because pandas drops empty group labels.
    rows = (
        rows.astype({"case": object}).fillna({"seed": 0, "case": ""}).astype({"seed": int, "low": float, "high": float})
    )
    return Found(unit, references, rows)


def _only(found: Found, labels: tuple[str, ...]) -> Found:
    return replace(found, rows=found.rows[found.rows["label"].isin(labels)])


def pairs(claim: Claim, found: Found) -> pd.DataFrame:
    """First and second arm side by side, one row per seed that both have and case, with difference and ratio.

    Columns: seed, case, first, second; difference, low, high; ratio, ratio_low, ratio_high (NaN where a value is not
    positive). The intervals speak of test-set noise alone. A claim of kind margin has its value as the difference, and
    neither sides nor ratio. Raises `Missing` where the arms share no seed, or not all cases of one that they share.
    """
    if claim.kind == "margin":
        return _margins(found.of(claim.arms[0]))
    first, second = (found.of(label)[["value", "low", "high"]] for label in claim.arms)
    both = set(first.index.get_level_values("seed")) & set(second.index.get_level_values("seed"))
    first, second = (side[side.index.get_level_values("seed").isin(both)] for side in (first, second))
    if not both or set(first.index) != set(second.index):
        raise Missing(f"{claim.metric!r} does not have the same seeds and cases for {' and '.join(claim.arms)}")
    second = second.loc[first.index]
    difference = _difference(first, second)
    ratio = np.exp(_difference(np.log(first.where(first > 0)), np.log(second.where(second > 0))))
    table = {"first": first["value"], "second": second["value"], "difference": difference["value"]}
    table |= {"low": difference["low"], "high": difference["high"], "ratio": ratio["value"]}
    return pd.DataFrame(table | {"ratio_low": ratio["low"], "ratio_high": ratio["high"]}).reset_index()


def _margins(rows: pd.DataFrame) -> pd.DataFrame:
    """The table of `pairs` for values that are differences already."""
    table = rows[["low", "high"]].assign(difference=rows["value"]).reset_index()
    columns = ["seed", "case", "first", "second", "difference", "low", "high", "ratio", "ratio_low", "ratio_high"]
    return table.reindex(columns=columns)


def _difference(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """value, low and high of a difference by Newcombe's square-and-add of the two arms' own intervals.

    Newcombe, Statistics in Medicine 17 (1998), method 10. It takes the arms' images as independent although they are
    the same, so it is wide rather than narrow.
    """
    value = first["value"] - second["value"]
    below = (first["value"] - first["low"]) ** 2 + (second["high"] - second["value"]) ** 2
    above = (first["high"] - first["value"]) ** 2 + (second["value"] - second["low"]) ** 2
    return pd.DataFrame({"value": value, "low": value - below**0.5, "high": value + above**0.5})
