"""Networks that the project publishes: finished runs under data/checkpoints/<preset>, each with a card.

What took hours is committed with its record and with what was measured on it; whoever asks for such a run gets it from
there, checked like any run, instead of training it again.
"""

import io
import re
import shutil
import zipfile
from pathlib import Path

from torch import nn

from . import cards, graph, paths, runs, store, weights
from .presets import Preset, load_preset
from .strict import SettingsError

LARGEST = 2_000_000
"""Bytes that one published file may have."""

MEASURED = "measured.zip"
"""A run's folder `measured` in one file: what was measured on it, as the store holds it."""

_NAME = re.compile(r"[\w.+-]+\.(json|parquet)")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same tables are the same archive, byte for byte, whenever it is written


def fetch(folder: Path) -> bool:
    """Copy the published run of `folder`'s name into the store, the record last. False where none is published."""
    found = sorted(paths.checkpoints().glob(f"*/{folder.name}/{runs.RECORD}"))
    if not found:
        return False
    source = found[0].parent
    if (source / MEASURED).is_file():
        _unpack(source / MEASURED, folder / "measured")
    _copy(source, folder)
    return True


def network(preset: str, arm: str, seed: int = 0) -> nn.Module:
    """A published network of a preset's arm, in eval mode, on the CPU; the data it was trained on are not needed.

    Raises `SettingsError` where none is published, `BrokenStore` where its weights are not those of its record.
    """
    from safetensors.torch import load_file

    settings = load_preset(preset)
    wanted = runs.plan(settings, arm, seed)
    for folder in sorted((paths.checkpoints() / settings.name).glob(f"{arm}-s{seed}-*")):
        record = store.read_json(folder / runs.RECORD, "check the folder out again")
        if all(record["settings"].get(name) == value for name, value in wanted.items()):
            store.check_files(folder, record["files"], lambda _: True, "check the folder out again")
            made = weights.network_of(settings, len(record["classes"]), None)
            made.load_state_dict(load_file(folder / "weights.safetensors"))
            return made.eval()
    raise SettingsError(f"no network of {arm}, seed {seed}, is published for preset {settings.name}")


def publish(preset: Preset) -> list[str]:
    """Copy every finished run of a preset, with what was measured on it, to data/checkpoints/<preset>; their names.

    The preset's own arms get a card. Runs that are not finished are left out, and so are tables that hold pictures, of
    data that are not bundled. Raises `UserError` for a file above `LARGEST`: `training.stored` halves it.
    """
    names = []
    for job in graph.training_jobs(preset):
        folder = runs.folder_of(preset, job.arm, job.seed, **dict(job.changes))
        if not (folder / runs.RECORD).is_file():
            continue
        target = paths.checkpoints() / preset.name / folder.name
        large = [path for path in folder.iterdir() if path.is_file() and path.stat().st_size > LARGEST]
        if large:
            raise paths.UserError(
                f"{large[0]} has {large[0].stat().st_size:,} bytes and cannot be published: the most is {LARGEST:,} "
                "(training.stored: float16 halves the weights)"
            )
        _pack(folder / "measured", target / MEASURED, runs.split_of(preset, "test").bundled)
        _copy(folder, target)
        if not job.changes:
            cards.write(target.with_suffix(".md"), folder, preset)
        names.append(folder.name)
    return names


def _copy(source: Path, target: Path) -> None:
    """The files of a run itself, those that differ; the record last, because it says that all is there."""
    for name in [*store.read_json(source / runs.RECORD, f"delete {source}")["files"], runs.RECORD]:
        place = target / name
        if not place.is_file() or store.sha256(place) != store.sha256(source / name):
            store.write_whole(place, lambda part, name=name: shutil.copyfile(source / name, part))


def _pack(measured: Path, archive: Path, bundled: bool) -> None:
    """Write the tables of a run as one archive, where there are any and it would differ."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as tables:
        for note in sorted(measured.glob("*.json")):
            if not bundled and store.read_json(note, f"delete {note}").get("pictures"):
                continue
            for path in (note, note.with_suffix(".parquet")):
                tables.writestr(zipfile.ZipInfo(path.name, _EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED)
        empty = not tables.namelist()
    if empty or (archive.is_file() and archive.read_bytes() == content.getvalue()):
        return
    if content.tell() > LARGEST:
        raise paths.UserError(f"{archive} would have {content.tell():,} bytes; the most is {LARGEST:,}")
    store.write_whole(archive, lambda part: part.write_bytes(content.getvalue()))


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
