"""Networks that the project publishes: finished runs, as the store holds them, under data/checkpoints/<preset>.

What took hours is committed with its record and with what was measured on it; whoever asks for such a run gets it from
there, checked like any run, instead of training it again.
"""

import shutil
from pathlib import Path

from . import graph, paths, runs, store
from .presets import Preset

LARGEST = 2_000_000
"""Bytes that one published file may have."""


def fetch(folder: Path) -> bool:
    """Copy the published run of `folder`'s name into the store, the record last. False where none is published."""
    found = sorted(paths.checkpoints().glob(f"*/{folder.name}/{runs.RECORD}"))
    if not found:
        return False
    _copy(found[0].parent, folder)
    return True


def publish(preset: Preset) -> list[str]:
    """Copy every finished run of a preset, with what was measured on it, to data/checkpoints/<preset>; their names.

    Runs that are not finished are left out. Raises `UserError` for a file above `LARGEST`: `training.stored` halves it.
    """
    names = []
    for job in graph.training_jobs(preset):
        folder = runs.folder_of(preset, job.arm, job.seed, **dict(job.changes))
        if not (folder / runs.RECORD).is_file():
            continue
        large = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > LARGEST]
        if large:
            raise paths.UserError(
                f"{large[0]} has {large[0].stat().st_size:,} bytes and cannot be published: the most is {LARGEST:,} "
                "(training.stored: float16 halves the weights)"
            )
        _copy(folder, paths.checkpoints() / preset.name / folder.name)
        names.append(folder.name)
    return names


def _copy(source: Path, target: Path) -> None:
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and not path.name.endswith(".part")]
    files.sort(key=lambda path: path.name == runs.RECORD)  # the record says that all is there
    for path in files:
        place = target / path.relative_to(source)
        if not place.is_file() or store.sha256(place) != store.sha256(path):
            store.write_whole(place, lambda part, path=path: shutil.copyfile(path, part))
