"""Imagenette and ImageNet: folders of JPEGs, a folder for each class, streamed.

    ROOT/imagenet/{train,val}/<wnid>/*.JPEG        ROOT/imagenette2-320/{train,val}/<wnid>/*.JPEG

What the field calls ImageNet's validation set, the folder `val`, is what it reports on, so here it is the split `test`;
`val` is held out of the folder `train`, as in the other sets.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from semcont.datasets import files, parts
from semcont.datasets.files import DataError
from semcont.datasets.stream import Stream

SUFFIXES = (".jpg", ".jpeg", ".png")

# wnid -> the class's name, and its index among ImageNet's thousand
IMAGENETTE: dict[str, tuple[str, int]] = {
    "n01440764": ("tench", 0),
    "n02102040": ("English springer", 217),
    "n02979186": ("cassette player", 482),
    "n03000684": ("chain saw", 491),
    "n03028079": ("church", 497),
    "n03394916": ("French horn", 566),
    "n03417042": ("garbage truck", 569),
    "n03425413": ("gas pump", 571),
    "n03445777": ("golf ball", 574),
    "n03888257": ("parachute", 701),
}
# name -> the folders that it may be called, the largest pictures last
PLACES = {
    "imagenette": ("imagenette-224", "imagenette2-160", "imagenette2-320", "imagenette2"),
    "imagenet": ("imagenet",),
}
CLASSES = {"imagenette": 10, "imagenet": 1000}


def make(
    name: str,
    split: str,
    *,
    seed: int = 0,
    n: int | None = None,
    root: str | Path | None = None,
    size: int = 224,
    corrupt: str = "fatal",
    workers: int | None = None,
) -> Stream:
    """A split of Imagenette or ImageNet; see `parts.rows` for which pictures, and in which order.

    Parameters
    ----------
    size : pixels of the square that a picture is cropped to.
    corrupt, workers : as in `Stream`.

    Raises
    ------
    DataError
        If the folder is missing or empty, or its classes are not those of the data set.
    ValueError
        If the split has fewer than `n` pictures.
    """
    base = place(name, files.under(root, name))
    part = _subfolder(base, "val" if split == "test" else "train", name)
    classes = _classes(part, name, _wanted(name))
    found = scan(part, classes, name)
    names = tuple(IMAGENETTE[wnid][0] for wnid in classes) if name == "imagenette" else tuple(classes)
    rows = parts.rows(found[2], split, seed=seed, n=n, name=name)
    return Stream(
        name, part, found[0][rows], found[1][rows], torch.from_numpy(found[2][rows]), names, size, corrupt, workers
    )


def plain(folder: str | Path, *, name: str = "folder", classes: Iterable[str] | None = None, **settings) -> Stream:
    """Any folder that holds a folder of pictures for each class, in the order of its names; `settings` as in `Stream`.

    Raises
    ------
    DataError
        If the folder is missing or empty, or its classes are not `classes`.
    """
    part = Path(folder)
    if not part.is_dir():
        raise DataError(f"{name}: there is no folder {part}")
    found = _classes(part, name, None if classes is None else sorted(classes))
    paths, sizes, labels = scan(part, found, name)
    return Stream(name, part, paths, sizes, torch.from_numpy(labels), tuple(found), **settings)


def place(name: str, root: Path) -> Path:
    """The folder of a data set within the folder of all. Raises `DataError` where there is none."""
    for folder in PLACES[name]:
        if (root / folder).is_dir():
            return root / folder
    raise DataError(f"{name}: {root} has no folder {' or '.join(PLACES[name])}; {files.remedy(name)}")


def check(name: str, root: Path) -> tuple[Path, dict[str, int]]:
    """The folder of a data set, and how many pictures its parts hold.

    Raises `DataError` where a folder is missing or empty, or has other classes than it should.
    """
    base, counts = place(name, root), {}
    for part in ("train", "val"):
        folder = _subfolder(base, part, name)
        each = {
            wnid: sum(map(_is_picture, os.listdir(folder / wnid))) for wnid in _classes(folder, name, _wanted(name))
        }
        for wnid, pictures in each.items():
            if not pictures:
                raise _no_picture(folder / wnid, name)
        counts[part] = sum(each.values())
    return base, counts


def _wanted(name: str) -> list[str] | None:
    return sorted(IMAGENETTE) if name == "imagenette" else None


def scan(part: Path, classes: list[str], name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paths within `part` as bytes, sizes in bytes, and labels of all pictures, by class and name.

    Raises `DataError` for a class without a picture. Files that are no pictures by their suffix are not looked at.
    """
    paths, sizes, counts = [], [], []
    for wnid in classes:
        pictures = sorted(_pictures(part / wnid))
        if not pictures:
            raise _no_picture(part / wnid, name)
        paths += [os.fsencode(f"{wnid}/{picture}") for picture, _ in pictures]
        sizes += [size for _, size in pictures]
        counts.append(len(pictures))
    return np.array(paths), np.array(sizes, dtype=np.int64), np.repeat(np.arange(len(classes)), counts)


def _pictures(folder: Path) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_picture(entry.name):
                yield entry.name, entry.stat().st_size


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _no_picture(folder: Path, name: str) -> DataError:
    return DataError(f"{name}: {folder} holds no picture ({', '.join(SUFFIXES)}); {files.remedy(name)}")


def _subfolder(base: Path, part: str, name: str) -> Path:
    if not (base / part).is_dir():
        raise DataError(f"{name}: {base} has no folder {part!r}; {files.remedy(name)}")
    return base / part


def _classes(part: Path, name: str, wanted: list[str] | None) -> list[str]:
    """The class folders in the order of their names. Raises `DataError` where they are not those that are wanted."""
    found = sorted(entry.name for entry in part.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not found:
        raise DataError(f"{name}: {part} is empty, or holds no folder for each class; {files.remedy(name)}")
    if wanted is None and len(found) != CLASSES.get(name, len(found)):
        raise DataError(
            f"{name} has {CLASSES[name]:,} classes, but {part} has {len(found)} folders ({_some(found)}): "
            "point SEMCONT_DATA at the complete set, or take a preset for this one"
        )
    if wanted is not None and found != wanted:
        missing, foreign = sorted({*wanted} - {*found}), sorted({*found} - {*wanted})
        said = [f"lacks {_some(missing)}"] if missing else []
        said += [f"has {_some(foreign)}, which it should not"] if foreign else []
        told = f"{name}: the classes of {part} are not those of the data set: it {' and '.join(said)}"
        raise DataError(f"{told}; {files.remedy(name) if name in PLACES else 'pass classes= that it has'}")
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
