"""What made the published files: figures/<preset>/provenance.json, an entry per notebook."""

import json
from collections.abc import Mapping
from typing import Any

from .. import paths, store

_KEPT = ("command", "commit", "hardware", "device", "threads", "runtime_s", "seeds", "versions", "test_images")
_KEPT += ("networks", "training_s")  # what the notebook read, and what their training had taken, wherever that was


def write(preset: str, records: dict[str, dict[str, Any]], kept: Mapping[str, dict[str, Any]] | None = None) -> str:
    """Write figures/<preset>/provenance.json: what made the published files of each notebook; `kept` has the entries
    that stay. Returns its SHA-256.

    A notebook's entry stays as it is where all its published files have the bytes that the entry lists: then that run
    made them, and a later one that made the same again has nothing to add.
    """
    path = paths.figures(preset) / "provenance.json"
    before = read(preset)
    entries = dict(kept or {})
    for name, record in sorted(records.items()):
        files = _published(record)
        if before.get(name, {}).get("files") == files:
            entries[name] = before[name]
        else:
            entries[name] = {key: record.get(key) for key in _KEPT} | {"files": files}
    text = json.dumps(entries, indent=2, sort_keys=True) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        store.write_text(path, text)
    return store.sha256(path)


def read(preset: str) -> dict[str, dict[str, Any]]:
    """The published provenance of a preset by notebook; empty where none was published."""
    path = paths.figures(preset) / "provenance.json"
    return store.read_json(path, f"remove it and run semcont paper --preset {preset}") if path.is_file() else {}


def _published(record: dict[str, Any]) -> dict[str, str]:
    """File name -> SHA-256 of what a record publishes."""
    figures = {name: figure for name, figure in record["figures"].items() if figure["publish"]}
    return {
        f"{name}.{kind}": figure[kind]
        for name, figure in sorted(figures.items())
        for kind in ("png", "csv")
        if figure[kind]
    }
