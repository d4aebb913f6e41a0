"""Files that a data set is read from: whether they are there, whole, and those that they should be."""

import hashlib
from pathlib import Path


class DataError(RuntimeError):
    """Files of a data set are missing, incomplete or other than they should be; the message says what to do."""


def under(root: str | Path | None, name: str) -> Path:
    """The folder that holds the data sets. Raises `DataError` where none was given or it is not there."""
    if root is None:
        raise DataError(f"{name} is read from files: pass root=, the folder that holds its files or folder")
    if not Path(root).is_dir():
        raise DataError(f"{name}: there is no folder {root}; {remedy(name)}")
    return Path(root)


def remedy(name: str) -> str:
    """What to do where files are missing."""
    return f"`semcont data prepare {name}` gets it, or set SEMCONT_DATA to a folder that has it"


def present(path: Path, name: str) -> Path:
    """The path itself. Raises `DataError` where there is no such file, or nothing in it."""
    if not path.is_file():
        raise DataError(f"{name}: {path} is missing; {remedy(name)}")
    if path.stat().st_size == 0:
        raise DataError(f"{name}: {path} is empty; delete it, and {remedy(name)}")
    return path


def verified(path: Path, md5: str, name: str) -> Path:
    """The path itself, once its MD5 has been found to be `md5`. Raises `DataError` where it is not."""
    found = checksum(present(path, name))
    if found != md5:
        raise DataError(
            f"{name}: {path} is not the published file, or only a part of it (MD5 {found[:8]} in place of {md5[:8]}, "
            f"{path.stat().st_size:,} bytes); delete it, and {remedy(name)}"
        )
    return path


def checksum(path: Path) -> str:
    """The MD5 of a file, in hexadecimal: against damage, not against malice."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
