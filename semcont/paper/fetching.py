"""Downloading data sets: torchvision's addresses, checksums and progress bars; every failure is one line."""

import errno
import shutil
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlparse

from .paths import UserError

_TIMEOUT = 30  # seconds without an answer
_ROOM = 3  # times the download: the archive, what is unpacked from it, and some air
IMAGENETTE = (
    "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",
    "3df6f0d01a2c9592104656642f5e78a3",
)  # photographs whose shorter side has 320 pixels
_BY_HAND = {
    "imagenet": "register at https://www.image-net.org/, download the ILSVRC 2012 training and validation archives, "
    "and unpack them as {root}/imagenet/train/<wnid>/*.JPEG and {root}/imagenet/val/<wnid>/*.JPEG",
    "svhn-first1083": "nobody publishes this part: save the first 1,083 crops of SVHN's train_32x32.mat as x and y in "
    "{root}/svhn_train_first1083.npz, or use svhn",
}


def fetch(name: str, entry, root: Path, found: str) -> None:
    """Download and unpack a data set into `root`; `found` is its state now. Raises `UserError` for every failure."""
    if name in _BY_HAND:
        what = f"it is {found}; " if found.startswith("broken") else ""
        raise UserError(f"{name} cannot be downloaded here: {what}{_BY_HAND[name].format(root=root)}")
    _check_way(name, root, found)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        root.mkdir(parents=True, exist_ok=True)
        _check_room(name, entry.megabytes * 10**6, root)
        _FETCHERS[name](root)
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:
        raise UserError(_said(name, entry, root, error)) from None
    finally:
        socket.setdefaulttimeout(before)


def _check_way(name: str, root: Path, found: str) -> None:
    """A folder of pictures that is there and not whole is somebody's: it is named, and neither filled nor replaced."""
    from ..datasets import folders

    if name in folders.PLACES and found.startswith("broken"):
        reason = found.removeprefix(f"broken: {name}: ").split("; ")[0]
        raise UserError(f"{name}: {folders.place(name, root)} is in the way ({reason}): delete or rename it first")


def _check_room(name: str, download: int, root: Path) -> None:
    free = shutil.disk_usage(root).free
    if free < _ROOM * download:
        needed = f"{_ROOM * download / 1e9:.1f} GB, and {root} has {free / 1e9:.1f} GB free"
        raise UserError(f"{name} needs {needed}: make room, or set SEMCONT_DATA to another folder")


def _said(name: str, entry, root: Path, error: Exception) -> str:
    if isinstance(error, PermissionError) or getattr(error, "errno", None) in (errno.EROFS, errno.EACCES):
        return f"{name}: {root} cannot be written; set SEMCONT_DATA to a folder that can be, or that has the data"
    if getattr(error, "errno", None) == errno.ENOSPC:
        return f"{name}: no room is left in {root}; make some and run this again"
    reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
    if isinstance(error, URLError | TimeoutError | ConnectionError):
        return (
            f"{name}: no answer from the network ({reason}); run this again where there is one, or copy the files "
            f"of {entry.home} into {root}, or set SEMCONT_DATA to a folder that has them"
        )
    return f"{name}: the download broke off or is not the published file ({reason}); run this again to repeat it"


def _cifar(kind: str) -> Callable[[Path], None]:
    def fetch_cifar(root: Path) -> None:
        from torchvision import datasets

        published = getattr(datasets, kind)
        _archive(published.url, root, published.tgz_md5, published.filename)

    return fetch_cifar


def _svhn(root: Path) -> None:
    from torchvision.datasets import SVHN
    from torchvision.datasets.utils import download_url

    for part in ("train", "test"):
        download_url(SVHN.split_list[part][0], root, *SVHN.split_list[part][1:])


def _mnist(root: Path) -> None:
    from torchvision.datasets import MNIST

    for filename, md5 in MNIST.resources:
        for last, mirror in enumerate(MNIST.mirrors, 1 - len(MNIST.mirrors)):
            try:
                _archive(mirror + filename, root / "MNIST" / "raw", md5)
                break
            except (OSError, RuntimeError):
                if last == 0:
                    raise


def _imagenette(root: Path) -> None:
    url, md5 = IMAGENETTE
    part = root / "imagenette2-320.part"  # renamed when whole: a folder that is there is complete
    _archive(url, part, md5)
    (part / "imagenette2-320").rename(root / "imagenette2-320")
    shutil.rmtree(part)


def _archive(url: str, folder: Path, md5: str, filename: str | None = None) -> None:
    from torchvision.datasets.utils import download_and_extract_archive

    filename = filename or Path(urlparse(url).path).name
    download_and_extract_archive(url, folder, filename=filename, md5=md5, remove_finished=True)


_FETCHERS: dict[str, Callable[[Path], None]] = {
    "cifar100": _cifar("CIFAR100"),
    "cifar10": _cifar("CIFAR10"),
    "svhn": _svhn,
    "mnist": _mnist,
    "color_mnist": _mnist,
    "imagenette": _imagenette,
}
