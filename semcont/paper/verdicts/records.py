"""What the notebooks recorded for the ledger: their own records, or else what was published of an earlier run.

figures/<preset>/evidence.jsonl has a line for every measure of every notebook. With it the ledger can be judged, by
another rule too, without running anything; and a run of one notebook need not wait for the eight others.
"""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import paths

FILE = "evidence.jsonl"

BESIDE = ("levelled", "lengths", "followed", "raised")
"""What the ledger reads of a record beside its evidence."""

DIGITS = 9  # significant ones of a published number: far more than is ever shown


def record(preset: str, notebook: str) -> Path:
    """Where a notebook writes its record under a preset."""
    return paths.reports(preset) / f"{notebook}.json"


def published(preset: str, notebook: str) -> dict[str, Any]:
    """What is published of a notebook's results: {"evidence": {measure: ...}, ...}; {} where nothing is."""
    path = paths.figures(preset) / FILE
    return _read(path, path.stat().st_mtime_ns).get(notebook, {}) if path.is_file() else {}


@lru_cache(maxsize=8)
def _read(path: Path, stamp: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        results = found.setdefault(line["notebook"], {"evidence": {}})
        if line["of"] == "evidence":
            results["evidence"][line["measure"]] = line["value"]
        else:
            results[line["of"]] = line["value"]
    return found


def lines(preset: str, results: dict[str, dict[str, Any]], kept: Iterable[str] = ()) -> str:
    """The published file: of the `results` by notebook, and of the notebooks `kept` as it was published before."""
    every = {name: published(preset, name) for name in kept} | results
    return "".join(_lines(every))


def _lines(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    for notebook in sorted(results):
        of = results[notebook]
        entries = [("evidence", measure, value) for measure, value in sorted((of.get("evidence") or {}).items())]
        entries += [(name, None, of[name]) for name in BESIDE if of.get(name)]
        for name, measure, value in entries:
            line = {"notebook": notebook, "of": name} | ({"measure": measure} if measure else {})
            yield json.dumps(line | {"value": _rounded(value)}, separators=(",", ":")) + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
