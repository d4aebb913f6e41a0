"""What this installation runs on: `semcont doctor`."""

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import paths

_SUPPORTED = ((3, 11), (3, 14))  # from, and before; as `requires-python` says
_NEEDED = (
    "torch",
    "torchvision",
    "numpy",
    "sklearn",
    "skimage",
    "pandas",
    "papermill",
    "nbconvert",
    "snakemake",
    "captum",
)
_DISTRIBUTION = {"sklearn": "scikit-learn", "skimage": "scikit-image"}


def examine() -> tuple[list[str], bool]:
    """The findings, a line each, and whether the installation works; a missing folder or device is no fault."""
    lines, works = [], True
    for label, look in _CHECKS.items():
        try:
            said = look()
        except Exception as error:  # whatever is wrong with an installation is a finding
            said, works = f"BROKEN: {type(error).__name__}: {' '.join(str(error).split())}", False
        lines.append(f"{label:9} {said}")
    return [*lines, "", "ready" if works else "not working: install anew from requirements.lock, see README.md"], works


def _python() -> str:
    if not _SUPPORTED[0] <= sys.version_info[:2] < _SUPPORTED[1]:
        raise RuntimeError(f"Python {platform.python_version()} is outside the tested range 3.11 to 3.13")
    return f"{platform.python_version()} at {sys.prefix}, {platform.platform(terse=True)}"


def _packages() -> str:
    found = []
    for module in _NEEDED:
        importlib.import_module(module)
        try:
            found.append(f"{module} {version(_DISTRIBUTION.get(module, module))}")
        except PackageNotFoundError:
            found.append(module)
    return ", ".join(found)


def _semcont() -> str:
    import semcont

    from .presets import load_preset

    return f"{semcont.__version__}; presets {', '.join(_loads(load_preset))}"


def _loads(load: Callable) -> list[str]:
    names = sorted(path.stem for path in paths.resource("presets/quick.yaml").parent.glob("*.yaml"))
    return [load(name).name for name in names]


def _device() -> str:
    import torch

    if not torch.cuda.is_available():
        return "cpu; no CUDA device"
    return ", ".join(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))


def _threads() -> str:
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{usable} cores usable, {torch.get_num_threads()} threads in torch (a preset sets its own)"


def _memory() -> str:
    page = os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.sysconf('SC_PHYS_PAGES') * page:.0f} GiB, {os.sysconf('SC_AVPHYS_PAGES') * page:.0f} GiB free"


def _disk() -> str:
    store = _existing(paths.runs())
    writable = "" if os.access(store, os.W_OK) else "; not writable"
    return f"{shutil.disk_usage(store).free / 2**30:.0f} GiB free for the run store at {paths.runs()}{writable}"


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _data() -> str:
    from ..datasets import load

    made = load("photodigits", "test", n=10)
    folder = paths.data()
    downloads = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    here = ", ".join(downloads) or "none"
    return f"bundled pictures as expected ({made.fingerprint[:12]}); downloads at {folder}: {here}"


def _checkout() -> str:
    try:
        return str(paths.root())
    except paths.NoCheckout:
        return "none: the library works, `semcont paper` needs one"


_CHECKS: dict[str, Callable[[], str]] = {
    "python": _python,
    "packages": _packages,
    "semcont": _semcont,
    "device": _device,
    "threads": _threads,
    "memory": _memory,
    "disk": _disk,
    "data": _data,
    "checkout": _checkout,
}
