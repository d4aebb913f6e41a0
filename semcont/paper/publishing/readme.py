"""The generated parts of README.md.

Nothing in the README's tables is typed: they are made from the ledger and from what each preset has published
(figures/<preset>/s09_claims.csv and provenance.json), and a test holds the file against them.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import paths, store
from ..verdicts import compact
from ..verdicts.ledger import OPEN, Claim, load_claims
from . import provenance

PRESET = "quick"
"""The preset whose figures the README's map of the notebooks links."""

DECIDES = "local"
"""The preset with seeds enough to decide anything; its primary claims come first."""

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


def short_table(preset: str) -> str:
    """The primary claims under one preset, as Markdown: what the paper says, what we find, and what that rests on.

    Empty but for a line where the preset has not published its claims.
    """
    if preset not in shown():
        return f"`semcont paper --preset {preset}` decides the primary claims; it has published nothing yet."
    rows = {row["id"]: row for row in _rows(preset, "s09_claims.csv")[::-1]}
    lines = ["| the paper says | we find | in numbers | because |", "|---|---|---|---|"]
    for claim in load_claims():
        if claim.primary and claim.id in rows:
            row = rows[claim.id]
            verdict, _, numbers = _cell(row).partition("<br>")
            because = row["reason"].replace("; ", "<br>")
            lines.append(f"| {claim.claim} (§ {claim.section}) | {verdict} | {numbers} | {because} |")
    return "\n".join(lines)


def results_table(presets: Sequence[str]) -> str:
    """What the paper says and what we find under each published preset, as Markdown.

    A line per claim for which the paper prints numbers or which the ledger judges as primary, a column per preset that
    tests any of them: verdict, the two arms, their difference with its interval. Then the counts of all claims and what
    made them, for every preset. Raises `UserError` where a preset's claims are not published.
    """
    found = {preset: {row["id"]: row for row in _rows(preset, "s09_claims.csv")[::-1]} for preset in presets}
    claims = [c for c in load_claims() if c.tested and (c.primary or (c.paper and c.paper.values))]
    columns = {preset: rows for preset, rows in found.items() if _tests_any(rows, claims)}
    heads = [_head(preset, rows) for preset, rows in columns.items()]
    lines = [f"| the paper says | it prints | {' | '.join(heads)} |", "|---" * (2 + len(columns)) + "|"]
    for claim in claims:
        name = f"{claim.claim} (§ {claim.section}{', **primary**' if claim.primary else ''})"
        cells = [name, _printed(claim), *(_cell(rows.get(claim.id)) for rows in columns.values())]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"- {_counted(preset, rows)}" for preset, rows in found.items()), "", _LEGEND, ""]
    head = ["preset", "command", "notebooks take", "hardware", "commit", "versions"]
    lines += [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(_made_by(preset) for preset in presets)]
    return "\n".join(lines)


def _tests_any(rows: dict[str, dict[str, str]], claims: list[Claim]) -> bool:
    """Whether a preset says anything of the claims: its verdict on one of them is not left open."""
    return any(rows[claim.id]["verdict"] not in OPEN for claim in claims if claim.id in rows)


def map_table(preset: str) -> str:
    """Which notebook holds which section, what it publishes and how long it took, as a Markdown table."""
    made = provenance.read(preset)
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

    Does nothing after a run of a preset that is not shown, or where figures are published outside the checkout.
    """
    path = paths.root() / "README.md"
    if preset not in shown() or not paths.figures(preset).is_relative_to(paths.root()):
        return False
    before = path.read_text(encoding="utf-8")
    after = generated(before)
    if after != before:
        store.write_text(path, after)
    return after != before


def shown() -> list[str]:
    """The presets side by side in the README: all that have published their claims."""
    from .sidebyside import published

    return published()


def generated(text: str, preset: str = PRESET) -> str:
    """The README's text with its generated blocks made anew. Raises `UserError` where a block's markers are missing."""
    blocks = {
        "short": lambda: short_table(DECIDES),
        "results": lambda: results_table(shown() or [preset]),
        "map": lambda: map_table(preset),
    }
    for name, make in blocks.items():
        text = replace_block(text, name, make(), "README.md")
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


def _printed(claim: Claim) -> str:
    """The paper's own difference between the two arms, per data set, in percentage points."""
    if claim.paper is None or not claim.paper.values:
        return claim.paper.where if claim.paper else "in words" if claim.reading == "paper" else "our stricter reading"
    settings = []
    for name, arms in claim.paper.values.items():
        if len(claim.arms) == 2:
            first, second = (arms[arm] for arm in claim.arms)
            settings.append(f"{name} {first - second:+.2f}")
        else:
            settings.append(f"{name} {arms[claim.arms[0]]:.2f} %")
    return "<br>".join([*settings, f"({claim.paper.where})"])


def _head(preset: str, rows: dict[str, dict[str, str]]) -> str:
    """A preset's column: its name, and how many seeds are behind its verdicts, as far as these say."""
    _, seeds = compact.scope(row.get("scope") or "" for row in rows.values())
    return ", ".join(filter(None, [f"[{preset}](presets/{preset}.yaml)", seeds]))


def _cell(row: dict[str, str] | None) -> str:
    """One claim under one preset: the verdict, then the two arms, then the difference with its interval."""
    if row is None:
        return "–"
    verdict, ours, interval = compact.cell(row)
    return "<br>".join(filter(None, [f"**{verdict}**", ours, interval.replace("; ", "<br>")]))


def _counted(preset: str, rows: dict[str, dict[str, str]]) -> str:
    """How many of the ledger's claims ended with which verdict under a preset."""
    counts: dict[str, int] = {}
    for row in rows.values():
        verdict = "single run, mixed" if "direction in" in row["verdict"] else row["verdict"]
        verdict = verdict.partition(" in ")[0]
        counts[verdict] = counts.get(verdict, 0) + 1
    told = ", ".join(f"{count} *{verdict}*" for verdict, count in sorted(counts.items()))
    table = f"[full table](figures/{preset}/s09_claims.csv)"
    return f"All {len(rows)} claims under `{preset}`: {told} ({table})."


_LEGEND = (
    "Under a verdict stand the two arms, and first less second in percentage points, or their ratio (×). Where a "
    "preset's seeds are a range, a cell says over how many its values are means; without a number it is one. Brackets: "
    "with one seed a 95 % interval over test images (PhotoDigits: glyphs), which says nothing of other trainings; with "
    "several a t interval over seeds, paired within each, for the primary claims widened for their number. "
    "*Negligible*: inside the margin that the ledger states. *Undecided*: so many seeds could not tell, or longer "
    "training might turn it. Times are of the runs that made the published files: trainings are not in them, nor what "
    "had been measured before."
)


def _runtime(entry: dict[str, Any] | None) -> str:
    """How long a notebook took, without the training of its networks."""
    return f"{entry['runtime_s']:.0f} s" if entry else "–"


def _shown(stem: str, files: dict[str, str]) -> str:
    """The picture of a figure, the CSV of a table."""
    return f"{stem}.png" if f"{stem}.png" in files else f"{stem}.csv"


def _made_by(preset: str) -> str:
    """A line of the table of what made the numbers of a preset."""
    made = provenance.read(preset)

    def each(key: str) -> str:
        return ", ".join(sorted({str(entry[key]) for entry in made.values() if entry.get(key)})) or "unknown"

    versions = sorted(
        {f"{name} {number}" for entry in made.values() for name, number in (entry["versions"] or {}).items()}
    )
    minutes = sum(entry["runtime_s"] for entry in made.values()) / 60
    cells = [preset, f"`semcont paper --preset {preset}`", f"{minutes:.1f} min", each("hardware"), each("commit")]
    return f"| {' | '.join([*cells, ', '.join(versions)])} |"
