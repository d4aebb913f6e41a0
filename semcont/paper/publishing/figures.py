"""The records of a preset's notebooks, and what of their figures and tables goes into the tracked figures/<preset>."""

from pathlib import Path
from typing import Any

from .. import paths, store
from ..verdicts import records as evidence
from . import provenance, readme


def publish(preset: str) -> dict[str, str]:
    """Copy what may be published from reports/<preset>/figures to figures/<preset>, where the bytes differ.

    What was published of notebooks that have no record here stays as it is; other pictures and tables that no record
    names are removed. Provenance and the ledger's evidence are published beside them, and the tables of README.md are
    made anew where they are of this preset. Returns file name -> SHA-256. Raises `UserError` where a file that should
    stay was edited.
    """
    staged, published = paths.reports(preset) / "figures", paths.figures(preset)
    published.mkdir(parents=True, exist_ok=True)
    made = records(preset)
    kept = _kept(preset, set(made))
    files = {name: digest for entry in kept.values() for name, digest in entry["files"].items()}
    for record in made.values():
        for name, figure in record["figures"].items():
            if figure["publish"]:
                files |= {f"{name}.{kind}": figure[kind] for kind in ("png", "csv") if figure[kind]}
    for name, digest in files.items():
        target = published / name
        if not target.is_file() or store.sha256(target) != digest:
            store.write_whole(target, lambda part, name=name: part.write_bytes((staged / name).read_bytes()))
    for path in pictures(published):
        if path.name not in files:
            path.unlink()
    files["provenance.json"] = provenance.write(preset, made, kept)
    if text := evidence.lines(preset, {name: record.get("results", {}) for name, record in made.items()}, kept):
        path = published / evidence.FILE
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            store.write_text(path, text)
        files[evidence.FILE] = store.sha256(path)
    if "s09_claims.csv" in files:
        readme.update(preset)
    return files


def _kept(preset: str, made: set[str]) -> dict[str, dict[str, Any]]:
    """The provenance of what stays: of the notebooks that have no record here."""
    known = {path.stem for path in paths.notebooks().glob("*.ipynb")} - made
    kept = {name: entry for name, entry in provenance.read(preset).items() if name in known}
    for name, entry in kept.items():
        for file, digest in entry["files"].items():
            path = paths.figures(preset) / file
            if not path.is_file() or store.sha256(path) != digest:
                again = f"check it out again, or run semcont run {name} preset={preset}"
                raise paths.UserError(f"{path} is not as {name} published it: {again}")
    return kept


def restore(preset: str, name: str, digest: str) -> None:
    """Take a staged figure or table that is gone or was edited back from the published ones, where it is the same."""
    staged, published = paths.reports(preset) / "figures" / name, paths.figures(preset) / name
    whole = staged.is_file() and store.sha256(staged) == digest
    if not whole and published.is_file() and store.sha256(published) == digest:
        store.write_whole(staged, lambda part: part.write_bytes(published.read_bytes()))


def pictures(folder: Path) -> list[Path]:
    """The figures and tables in a folder."""
    return [*folder.glob("*.png"), *folder.glob("*.csv")]


def records(preset: str) -> dict[str, dict[str, Any]]:
    """The records of a preset's notebooks by name. Raises `UserError` where there is none."""
    found = sorted(paths.reports(preset).glob("[0-9][0-9]_*.json"))
    if not found:
        raise paths.UserError(f"nothing was run under preset {preset} yet: semcont paper --preset {preset}")
    return {
        path.stem: store.read_json(path, f"run it again: semcont run {path.stem} preset={preset}") for path in found
    }
