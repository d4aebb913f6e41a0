"""Files of the run store: written whole or not at all, checked when read, never trusted for merely being there."""

import errno
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .paths import UserError


class BrokenStore(UserError):
    """A file of the store is truncated, altered or foreign; the message says which one and what to do."""


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a `.part` file, then rename it to `path`: readers see the whole file or none.

    Raises `OSError` where the disk is full, whatever `write` makes of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except RuntimeError as error:  # torch's word for a full disk
        if shutil.disk_usage(path.parent).free < 2**20:
            raise OSError(errno.ENOSPC, "no space left on device", str(path)) from error
        raise
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`text` as UTF-8, whole or not at all."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Plain values as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=True) + "\n")


def read_json(path: Path, remedy: str) -> Any:
    """The values of a JSON file. Raises `BrokenStore` with `remedy` where it is not whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BrokenStore(f"{path} cannot be read ({str(error).splitlines()[0]}): {remedy}") from None


def check_files(folder: Path, expected: dict[str, str], others: Callable[[str], bool], remedy: str) -> None:
    """Hold the files of `folder` against their recorded SHA-256.

    Raises `BrokenStore` where one is missing or altered, or where there is a name that neither `expected` nor
    `others` knows. Leftover `.part` files are ignored.
    """
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise BrokenStore(f"{path} is missing: {remedy}")
        if sha256(path) != digest:
            raise BrokenStore(f"{path} is truncated or was altered (its checksum differs from the record's): {remedy}")
    for path in sorted(folder.iterdir()):
        if path.name not in expected and not path.name.endswith(".part") and not others(path.name):
            raise BrokenStore(f"{path} does not belong to this run: move it away, or {remedy}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`: two processes that want the same result wait for one."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


def digest(value: Any, length: int = 16) -> str:
    """A short name for plain values: SHA-256 of their canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def source_digest() -> str:
    """SHA-256 over the Python files of the package: which code made a result."""
    package = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        total.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def provenance(device: str, threads: int) -> dict[str, Any]:
    """What a record says of the making beyond its settings: versions, machine, source, commit, command."""
    packages = ("torch", "torchvision", "numpy", "semcont")
    return {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "device": device,
        "hardware": hardware(device),
        "threads": threads,
        "world_size": int(os.environ.get("WORLD_SIZE", "1")),
        "source": source_digest(),
        "commit": commit(),
        "command": command(),
    }


def command() -> str:
    """How this process was started, without paths of the machine: what a reader can type again."""
    if named := os.environ.get("SEMCONT_COMMAND"):  # set for the kernels that `semcont run` starts
        return named
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    if program in ("semcont", "__main__.py"):
        return " ".join(["semcont", *sys.argv[1:]])
    return "JupyterLab or papermill" if "ipykernel" in program else program


def hardware(device: str) -> str:
    """The processor's or the accelerator's name."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="ignore").splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def commit() -> str | None:
    """The checkout's commit, with "+" where tracked files differ from it; None without git."""
    from . import paths

    try:
        if not (paths.root() / ".git").exists():  # an archive inside somebody else's repository
            return None
        git = ["git", "-C", str(paths.root())]
        run = {"capture_output": True, "text": True, "timeout": 10, "check": True}
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], **run).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!figures"], **run)
    except (OSError, subprocess.SubprocessError, UserError):
        return None
    return head + ("+" if changed.stdout.strip() else "")
