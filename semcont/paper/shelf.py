"""The shelf of published runs, data/checkpoints: a run that the store lacks is taken from there.

What is published, and how, is `published`; this is the part that the store itself needs.
"""

import re
import shutil
import zipfile
from pathlib import Path

from . import paths, store
from .run_files import RECORD

MEASURED = "measured.zip"
"""A published run's folder `measured` in one file: what was measured on it, as the store holds it."""

_NAME = re.compile(r"[\w.+-]+\.(json|parquet)")


def fetch(folder: Path) -> bool:
    """Copy the published run of `folder`'s name into the store, the record last. False where none is published."""
    found = sorted(paths.checkpoints().glob(f"**/{folder.name}/{RECORD}"))
    if not found:
        return False
    source = found[0].parent
    if (source / MEASURED).is_file():
        _unpack(source / MEASURED, folder / "measured")
    copy(source, folder)
    return True


def copy(source: Path, target: Path) -> None:
    """The files of a run itself, those that differ; the record last, because it says that all is there."""
    for name in [*store.read_json(source / RECORD, f"delete {source}")["files"], RECORD]:
        place = target / name
        if not place.is_file() or store.sha256(place) != store.sha256(source / name):
            store.write_whole(place, lambda part, name=name: shutil.copyfile(source / name, part))


def _unpack(archive: Path, folder: Path) -> None:
    """The tables of an archive into the store's folder. Raises `BrokenStore` for one that is not whole."""
    try:
        with zipfile.ZipFile(archive) as tables:
            for name in tables.namelist():
                if not _NAME.fullmatch(name):
                    raise zipfile.BadZipFile(f"it holds {name!r}")
                content = tables.read(name)
                store.write_whole(folder / name, lambda part, content=content: part.write_bytes(content))
    except zipfile.BadZipFile as error:
        raise store.BrokenStore(f"{archive} cannot be read ({error}): check it out again") from None
