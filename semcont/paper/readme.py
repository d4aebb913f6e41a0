"""The generated parts of README.md, and the provenance that is published beside the figures.

Nothing in the README's tables is typed: they are made from figures/<preset>/s09_claims.csv, s09_forest.csv and
provenance.json, and a test holds the file against them.
"""

import csv
import json
from pathlib import Path
from typing import Any

from . import paths, store

PRESET = "quick"
"""The preset whose results the README shows."""

SECTIONS = {
    "01_discontinuity": "2",
    "02_training": "3, 4.1",
    "03_continuity": "4.2",
    "04_semantic_features": "4.3",
    "05_robustness": "4.4",
    "06_interpretability": "4.5",
    "07_transfer": "4.6",
    "08_fairness": "4.7",
    "09_claims": "all",
}

_KEPT = ("command", "commit", "hardware", "device", "threads", "runtime_s", "seeds", "versions")


# --- provenance -----------------------------------------------------------------------------------------------------


def write_provenance(preset: str, records: dict[str, dict[str, Any]]) -> str:
    """Write figures/<preset>/provenance.json: what made the published files of each notebook. Returns its SHA-256.

    A notebook's entry stays as it is where all its published files have the bytes that the entry lists: then that run
    made them, and a later one that made the same again has nothing to add.
    """
    path = paths.figures(preset) / "provenance.json"
    before = provenance(preset)
    entries = {}
    for name, record in sorted(records.items()):
        files = _published(record)
        if before.get(name, {}).get("files") == files:
            entries[name] = before[name]
        else:
            entries[name] = {key: record.get(key) for key in _KEPT} | {"files": files}
    text = json.dumps(entries, indent=2, sort_keys=True) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        store.write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    return store.sha256(path)


def provenance(preset: str) -> dict[str, dict[str, Any]]:
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


# --- the README -----------------------------------------------------------------------------------------------------


def results_table(preset: str) -> str:
    """The claims for which the paper prints numbers, as a Markdown table: paper, ours, difference, verdict, command.

    Raises `UserError` where the preset's claims are not published.
    """
    made = provenance(preset)
    claims = _rows(preset, "s09_claims.csv")
    differences: dict[tuple[str, str], list[str]] = {}
    for row in _rows(preset, "s09_forest.csv"):
        differences.setdefault((row["id"], row["source"]), []).append(_difference(row))
    lines = [
        "| claim (section) | paper's difference | ours | our difference | verdict | command | runtime |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in claims:
        paper, ours = (differences.get((row["id"], source)) for source in ("paper", "ours"))
        if paper and row["notebook"]:
            cells = [f"{row['claim']} ({row['section']})", "; ".join(paper), row["ours"].split("; points")[0] or "–"]
            cells += ["; ".join(ours or ["–"]), row["verdict"], f"`semcont run {row['notebook']} preset={preset}`"]
            lines.append(f"| {' | '.join([*cells, _runtime(made.get(row['notebook']))])} |")
    counts: dict[str, int] = {}
    for row in claims:
        verdict = "single run, mixed" if "run, same direction in" in row["verdict"] else row["verdict"]
        counts[verdict] = counts.get(verdict, 0) + 1
    counted = ", ".join(f"{count} *{verdict}*" for verdict, count in sorted(counts.items()))
    return "\n".join([*lines, "", f"All {len(claims)} claims of the ledger: {counted}.", "", _made_by(made)])


def map_table(preset: str) -> str:
    """Which notebook holds which section, what it publishes and how long it took, as a Markdown table."""
    made = provenance(preset)
    lines = ["| notebook | section | figures and tables | runtime |", "|---|---|---|---|"]
    for name, section in SECTIONS.items():
        entry = made.get(name, {})
        files = sorted({Path(file).stem for file in entry.get("files", {})})
        links = [f"[{stem}](figures/{preset}/{_shown(stem, entry['files'])})" for stem in files]
        cells = [f"[{name}](notebooks/{name}.ipynb)", section, ", ".join(links) or "–", _runtime(entry)]
        lines.append(f"| {' | '.join(cells)} |")
    total = sum(entry["runtime_s"] for entry in made.values())
    return "\n".join([*lines, "", f"Together {total / 60:.1f} minutes, on networks that were trained before."])


def update(preset: str = PRESET) -> bool:
    """Bring README.md in step with the published results; whether that changed it.

    Does nothing for another preset than the README's, or where the figures are published outside the checkout.
    """
    path = paths.root() / "README.md"
    if preset != PRESET or not paths.figures(preset).is_relative_to(paths.root()):
        return False
    before = path.read_text(encoding="utf-8")
    after = generated(before, preset)
    if after != before:
        store.write_whole(path, lambda part: part.write_text(after, encoding="utf-8"))
    return after != before


def generated(text: str, preset: str = PRESET) -> str:
    """The README's text with its generated blocks made anew. Raises `UserError` where a block's markers are missing."""
    for name, make in (("results", results_table), ("map", map_table)):
        text = replace_block(text, name, make(preset), "README.md")
    return text


def replace_block(text: str, name: str, content: str, file: str) -> str:
    """`text` with `content` between <!-- name:begin --> and <!-- name:end -->. Raises `UserError` without these."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, opened, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not opened or not closed:
        raise paths.UserError(f"{file} has no block {begin} ... {end}")
    return f"{head}{begin}\n{content}\n{end}{tail}"


def _rows(preset: str, name: str) -> list[dict[str, str]]:
    path = paths.figures(preset) / name
    if not path.is_file():
        raise paths.UserError(f"{path} is missing: semcont paper --preset {preset}")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _difference(row: dict[str, str]) -> str:
    """A difference in percentage points with its case and interval."""
    case = f"{row['case']} " if row["case"] else ""
    interval = f" [{float(row['low']):+.1f}, {float(row['high']):+.1f}]" if row["low"] else ""
    digits = 2 if row["source"] == "paper" else 1  # as many as the paper prints
    return f"{case}{float(row['difference']):+.{digits}f}{interval}"


def _runtime(entry: dict[str, Any] | None) -> str:
    """How long a notebook took, without the training of its networks."""
    return f"{entry['runtime_s']:.0f} s" if entry else "–"


def _shown(stem: str, files: dict[str, str]) -> str:
    """The picture of a figure, the CSV of a table."""
    return f"{stem}.png" if f"{stem}.png" in files else f"{stem}.csv"


def _made_by(made: dict[str, dict[str, Any]]) -> str:
    """A few words on what made the numbers."""

    def each(key: str) -> str:
        return ", ".join(sorted({str(entry[key]) for entry in made.values() if entry.get(key)})) or "unknown"

    versions = sorted(
        {f"{name} {number}" for entry in made.values() for name, number in (entry["versions"] or {}).items()}
    )
    seeds = sorted({seed for entry in made.values() for seed in entry["seeds"] or []})
    return (
        f"Differences are in percentage points. Made by: {each('command')}; "
        f"hardware: {each('hardware')}; commit: {each('commit')}; "
        f"seeds: {', '.join(map(str, seeds))}; versions: {', '.join(versions)}. "
        "Brackets are 95 % intervals over test images (PhotoDigits: glyphs), for one network per arm. "
        "The runtime is the notebook's; networks that it does not find are trained before."
    )
