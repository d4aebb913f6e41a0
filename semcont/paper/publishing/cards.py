"""The card of a published network: recipe, data, what was measured on that very file, provenance; all generated."""

from pathlib import Path
from typing import Any

import pandas as pd

from ...losses import ARMS
from .. import store
from ..presets import Preset
from ..run_files import RECORD, WEIGHTS

_D = {"squared_l2": "DS", "squared_norm": "||F(x)||^2", "kl": "KL(p(x), p(x'))", "cross_entropy": "CE(p(x), p(x'))"}
_MEASUREMENTS = ("robustness.by_attack", "autoattack.by_part")
"""What the card shows, a row per attack; of one that was measured twice, the one on more images."""


def write(path: Path, text: str) -> None:
    """Write a card where it differs from what is there."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        store.write_text(path, text)


def card(folder: Path, preset: Preset) -> str:
    """The card of a run of one of the preset's arms, in Markdown, from the files of the store alone."""
    record = store.read_json(folder / RECORD, f"delete {folder}")
    settings = record["settings"]
    arm, seed = settings["arm"], settings["seed"]
    rows = [
        ("objective", objective(preset, arm)),
        ("network", _network(settings, record)),
        ("input", "images in [0, 1]; the normaliser is inside"),
        ("data", _data(settings)),
        ("training", _training(settings["training"], settings["attack"])),
        ("file", f"`{folder.name}/{WEIGHTS}`, SHA-256 `{record['files'][WEIGHTS][:16]}...`"),
        ("made", _made(record)),
    ]
    lines = [f"# {preset.name}: {arm}, seed {seed}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in rows]
    lines += ["", "Measured on this very file, on test images:", "", *measured(folder), ""]
    call = f'published.network("{preset.name}", "{arm}", seed={seed})'
    return "\n".join([*lines, "```python", "from semcont.paper import published", "", f"network = {call}", "```", ""])


def table(title: str, networks: list[tuple[Path, str]]) -> str:
    """One card for many runs: each one's folder, and what it differs in from the preset.

    A column of accuracies that has not one is left out.
    """
    heads = ["run", "differs in", "clean", "PGD", "worst case", "minutes", "at commit"]
    rows = [[folder.name, differs, *_short(folder), *_spent(folder)] for folder, differs in networks]
    filled = [any(column) for column in zip(*rows, strict=True)]
    lines = [[cell for cell, kept in zip(line, filled, strict=True) if kept] for line in [heads, *rows]]
    lines.insert(1, ["---"] * sum(filled))
    told = "Minutes of training on one machine."
    if any(filled[2:5]):
        told = f"Accuracies in percent, measured on that very file, on test images. {told}"
    return "\n".join([f"# {title}", "", told, "", *(f"| {' | '.join(line)} |" for line in lines), ""])


def _short(folder: Path) -> list[str]:
    """Accuracy without an attack, under Table 2's, and in the worst case; empty where it was not measured."""
    cells = []
    for function, rows in (("robustness.by_attack", 2), ("whole.worst", 1)):
        found = tables(folder, function)
        cells += [f"{100 * value:.1f}" for value in found[0][1]["accuracy"][:rows]] if found else [""] * rows
    return cells


def _spent(folder: Path) -> list[str]:
    record = store.read_json(folder / RECORD, f"delete {folder}")
    return [f"{record['seconds'] / 60:.1f}", record["commit"]]


def objective(preset: Preset, arm: str) -> str:
    """The arm's row of the table of objectives, as a sum."""
    kind = ARMS[arm]
    terms = [f"{weight:g} CE({image})" for weight, image in ((kind.a, "x"), (kind.b, "x'")) if weight]
    if kind.weight:
        terms.append(f"{getattr(preset.constraint, kind.weight):g} {_D[kind.distance]}")
    photometric = f", x' = P(x) at level {preset.constraint.level}"
    made = {"none": "", "photometric": photometric, "pgd": ", x' by PGD", "gaussian": ", x' = x + noise"}
    return " + ".join(terms) + made[kind.perturbation]


def _network(settings: dict[str, Any], record: dict[str, Any]) -> str:
    own = settings["model"]
    return (
        f"{own['name']}, width {own['width']}, stem {own['stem']}, {own['norm']} norm, {len(record['classes'])} classes"
    )


def _data(settings: dict[str, Any]) -> str:
    data = {name: value for name, value in settings["data"].items() if value is not None and name != "name"}
    options = ", ".join(f"{name} {value}" for name, value in data.items())
    part = "training and validation images" if settings["training"].get("refit") else "training images"
    return f"{settings['data']['name']} ({options}), {part}; fingerprint `{settings['fingerprint'][:16]}...`"


def _training(own: dict[str, Any], attack: dict[str, Any] | None) -> str:
    told = f"{own['optimizer']}, {own['schedule']} to {own['lr']:g}, {own['epochs']} epochs of batches of "
    told += f"{own['batch_size']}, weight decay {own['weight_decay']:g}"
    told += f", {own['augment']}" if "augment" in own else ""
    told += f", {own['precision']}" if "precision" in own else ""
    if attack:
        steps = f"{attack['steps']} steps of {attack['step_size']:g}/255 within {attack['eps']:g}/255"
        told += f"; attacked with {steps}"
    return told + (f"; stored as {own['stored']}" if "stored" in own else "")


def _made(record: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    where = f"{record['hardware']}, {record['threads']} thread{'s' if record['threads'] > 1 else ''}"
    made = f"`{record['command']}` at commit {record['commit']}"
    return f"{made}, in {record['seconds'] / 60:.0f} min on {where}; {versions}"


# --- what was measured ------------------------------------------------------------------------------------------------


def tables(folder: Path, function: str) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """The settings and the table of everything that `function` measured on a run, most images first."""
    found = []
    for note in sorted((folder / "measured").glob(f"{function}-*.json")):
        about = store.read_json(note, f"delete {note}")
        found.append((about["settings"], pd.read_parquet(note.with_suffix(".parquet"))))
    return sorted(found, key=lambda pair: -pair[1]["n"].max() if "n" in pair[1] else 0)


def measured(folder: Path) -> list[str]:
    """The lines of the card's table of accuracies; a word where nothing was measured yet."""
    rows, seen = [], set()
    for function in _MEASUREMENTS:
        for _, table in tables(folder, function):
            for row in table.to_dict("records"):
                if row["attack"] not in seen:
                    seen.add(row["attack"])
                    rows.append(row)
    if not rows:
        return ["nothing yet"]
    lines = ["| attack | radius | accuracy, % | 95 % interval | images |", "|---|---|---|---|---|"]
    for row in rows:
        radius = "" if row["eps"] is None or row["attack"] == "none" else f"{row['eps']:g}/255"
        low, high = (f"{100 * row[bound]:.1f}" for bound in ("low", "high"))
        name = f"all of these within {radius}" if row["attack"] == "all" else row["attack"]  # the short audit's
        lines.append(f"| {name} | {radius} | {100 * row['accuracy']:.2f} | {low} to {high} | {row['n']:,} |")
    return lines
