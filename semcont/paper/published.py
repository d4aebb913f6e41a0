"""Networks that the project publishes: finished runs under data/checkpoints/<preset>, each with a card.

What took hours is committed with its record and with what was measured on it; whoever asks for such a run gets it from
there, checked like any run, instead of training it again.
"""

import io
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch import nn

from . import paths, runs, shelf, store, weights
from .execution import graph
from .presets import Preset, changed, load_preset
from .publishing import cards
from .run_files import RECORD, WEIGHTS
from .strict import SettingsError

LARGEST = 2_000_000
"""Bytes that one published file may have."""

LARGEST_TABLE = 150_000
"""Bytes of a measured table that travels with its network; a larger one holds every image, soon measured again."""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same tables are the same archive, byte for byte, whenever it is written


def network(preset: str, arm: str, seed: int = 0, **changes: Any) -> nn.Module:
    """A published network of a preset's arm, in eval mode, on the CPU; the data it was trained on are not needed.

    `changes` as for `runs.trained`, less `start`: `epochs=8`. Raises `SettingsError` for an unknown one and
    where no such network is published, `BrokenStore` where its weights are not those of its record.
    """
    from safetensors.torch import load_file

    settings = changed(load_preset(preset), changes)
    wanted = runs.plan(settings, arm, seed) | {"start": None}
    for folder in sorted((paths.checkpoints() / settings.name).glob(f"**/{arm}-s{seed}-*/")):
        record = store.read_json(folder / RECORD, "check the folder out again")
        if all(record["settings"].get(name) == value for name, value in wanted.items()):
            store.check_files(folder, record["files"], lambda _: True, "check the folder out again")
            made = weights.network_of(settings, len(record["classes"]), None)
            made.load_state_dict(load_file(folder / WEIGHTS))
            return made.eval()
    named = ", ".join([arm, f"seed {seed}", *(f"{name}={value}" for name, value in changes.items())])
    raise SettingsError(f"no network of {named}, is published for preset {settings.name}")


def publish(preset: Preset, seeds: int = 1) -> list[str]:
    """Copy finished runs of a preset's arms, with what was measured on them, to data/checkpoints/<preset>; their names.

    Of each arm the runs of the first `seeds` seeds: a reader needs one, and each may weigh two megabytes. Each gets a
    card. Runs that are not finished are left out; so are tables that hold pictures, which are soon made and may be of
    data not to be passed on, or more than `LARGEST_TABLE`; and the networks of `publish_beside`.
    Raises `UserError` for a file above `LARGEST`: `training.stored` halves it.
    """
    shelved = paths.checkpoints() / preset.name
    finished = _finished(preset, [job for job in graph.arms(preset) if job.seed < seeds])
    for folder in finished:
        _shelve(folder, shelved / folder.name)
        cards.write(shelved / f"{folder.name}.md", cards.card(folder, preset))
    return [folder.name for folder in finished]


def publish_beside(preset: Preset, without: Collection[str] = ()) -> list[str]:
    """Copy the finished runs of `graph.beside` to data/checkpoints/<preset>/<group>, with one card per group.

    The figures that read them then need no training. `without` names groups to leave out: many networks that are soon
    trained weigh more than they save. What travels with each, and what is raised, as for `publish`; `UserError` also
    for a group that the preset does not have.
    """
    names, groups = [], graph.beside(preset)
    if unknown := sorted(set(without) - set(groups)):
        raise paths.UserError(f"{', '.join(unknown)}: no group of preset {preset.name}, which has {', '.join(groups)}")
    for group, jobs in groups.items():
        if group in without:
            continue
        shelved = paths.checkpoints() / preset.name / group
        finished = _finished(preset, jobs)
        for folder in finished:
            _shelve(folder, shelved / folder.name)
        if finished:
            told = [(folder, " ".join(job.words)) for folder, job in finished.items()]
            cards.write(shelved / "README.md", cards.table(f"{preset.name}: {group}", told))
        names += [folder.name for folder in finished]
    return names


def _finished(preset: Preset, jobs: list[graph.Job]) -> dict[Path, graph.Job]:
    """The folders of those runs that the store has finished."""
    folders = {runs.folder_of(preset, job.arm, job.seed, **dict(job.changes)): job for job in jobs}
    return {folder: job for folder, job in folders.items() if (folder / RECORD).is_file()}


def _shelve(folder: Path, target: Path) -> None:
    """Copy one run, with what was measured on it as one archive. Raises `UserError` for a file above `LARGEST`."""
    for path in folder.iterdir():
        if path.is_file() and path.stat().st_size > LARGEST:
            raise paths.UserError(
                f"{path} has {path.stat().st_size:,} bytes and cannot be published: the most is {LARGEST:,} "
                "(training.stored: float16 halves the weights)"
            )
    _pack(folder / "measured", target / shelf.MEASURED)
    shelf.copy(folder, target)


def _pack(measured: Path, archive: Path) -> None:
    """Write the tables of a run as one archive, where there are any and it would differ."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as tables:
        for note in sorted(measured.glob("*.json")):
            if store.read_json(note, f"delete {note}").get("pictures"):
                continue
            if note.with_suffix(".parquet").stat().st_size > LARGEST_TABLE:
                continue
            for path in (note, note.with_suffix(".parquet")):
                tables.writestr(zipfile.ZipInfo(path.name, _EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED)
        empty = not tables.namelist()
    if empty or (archive.is_file() and archive.read_bytes() == content.getvalue()):
        return
    if content.tell() > LARGEST:
        raise paths.UserError(f"{archive} would have {content.tell():,} bytes; the most is {LARGEST:,}")
    store.write_whole(archive, lambda part: part.write_bytes(content.getvalue()))
