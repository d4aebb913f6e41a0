"""CIFAR-100, CIFAR-10, SVHN and MNIST, from the files that torchvision downloads, into uint8 images of 32 x 32.

Every file is checked by its MD5 when it is read. Files are read a thousand images at a time straight into the split's
own memory: torchvision's readers hold CIFAR-100 three times before the first image is there.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Int64, Shaped, UInt8

from semcont.datasets import files, parts, pickled
from semcont.datasets.files import DataError
from semcont.datasets.imageset import ImageSet

SIDE = 32  # pixels; digits of 28 are padded
DIGITS = tuple("0123456789")

# name -> part -> its files with their MD5: torchvision's table, which a test compares. Of MNIST torchvision knows only
# the compressed files; these are those that they hold.
CHECKSUMS: dict[str, dict[str, dict[str, str]]] = {
    "cifar100": {
        "meta": {"cifar-100-python/meta": "7973b15100ade9c7d40fb424638fde48"},
        "train": {"cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d"},
        "test": {"cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    },
    "cifar10": {
        "meta": {"cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
        "train": {
            "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
            "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
            "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        "test": {"cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e"},
    },
    "svhn": {
        "train": {"train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373"},
        "test": {"test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3"},
    },
    "mnist": {
        "train": {
            "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        },
        "test": {
            "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
    },
}


@dataclass(frozen=True)
class Source:
    """What a reader found in a part's files: all labels, and the images in their order, some at a time."""

    labels: Int64[np.ndarray, " n"]
    classes: tuple[str, ...]
    chunks: Iterable[UInt8[np.ndarray, "m 3 32 32"]]


Reader = Callable[[str, Path], Source]  # (part, root)


def make(
    name: str, read: Reader, split: str, *, seed: int = 0, n: int | None = None, root: str | Path | None = None
) -> ImageSet:
    """A split of the data set in the folder `root`; see `parts.rows` for which images, and in which order.

    Raises
    ------
    DataError
        If a file is missing, incomplete or not the published one.
    ValueError
        If the split has fewer than `n` images.
    """
    source = read("test" if split == "test" else "train", files.under(root, name))
    rows = parts.rows(source.labels, split, seed=seed, n=n, name=name)
    images, labels = gather(source.chunks, rows, len(source.labels)), source.labels[rows]
    return ImageSet(name, torch.from_numpy(images), torch.from_numpy(labels), source.classes, bundled=False)


def gather(chunks: Iterable[np.ndarray], rows: Int64[np.ndarray, " m"], n: int) -> Shaped[np.ndarray, "m c h w"]:
    """The images at `rows` of the `n` that `chunks` holds, in the order of `rows`; one chunk at a time is in memory."""
    place = np.full(n, -1)
    place[rows] = np.arange(len(rows))
    images, begin = None, 0
    for chunk in chunks:
        if images is None:
            images = np.empty((len(rows), *chunk.shape[1:]), dtype=chunk.dtype)
        to = place[begin : begin + len(chunk)]
        images[to[to >= 0]] = chunk[to >= 0]
        begin += len(chunk)
    if begin != n:
        raise DataError(f"{n:,} labels, but {begin:,} images")
    return images


def files_of(name: str, part: str, root: Path) -> list[Path]:
    """The files of a part, each verified."""
    return [files.verified(root / path, md5, name) for path, md5 in CHECKSUMS[name][part].items()]


_FIRST1083 = "svhn_train_first1083.npz"
_MADE_OF = dict.fromkeys(("color_mnist", "biased_mnist", "biased_mnist_grey"), "mnist")


def files_of_set(name: str) -> list[str]:
    """All files of a data set, as paths within the folder of all."""
    if name == "svhn-first1083":
        return [_FIRST1083]
    return [path for part in CHECKSUMS[_MADE_OF.get(name, name)].values() for path in part]


def check(name: str, root: Path, verify: bool) -> None:
    """Raise `DataError` where a file of a data set is missing or empty, or (`verify`) not the published one."""
    for path in files_of_set(name):
        files.present(root / path, name)
    if verify and name == "svhn-first1083":
        svhn_first1083("all", root=root)
    elif verify:
        source = _MADE_OF.get(name, name)
        for part in CHECKSUMS[source]:
            files_of(source, part, root)


def cifar(name: str, part: str, root: Path) -> Source:
    """CIFAR-10 or CIFAR-100 (Krizhevsky 2009): pickles of rows of 3,072 bytes, the fine labels of CIFAR-100."""
    label, names = ("fine_labels", "fine_label_names") if name == "cifar100" else ("labels", "label_names")
    (meta,) = files_of(name, "meta", root)
    found = [(path, pickled.read(path)) for path in files_of(name, part, root)]
    labels = np.concatenate([np.array(content[label], dtype=np.int64) for _, content in found])
    chunks = (chunk for path, content in found for chunk in pickled.chunks(path, content["data"]))
    return Source(labels, tuple(pickled.read(meta)[names]), chunks)


def mnist(part: str, root: Path) -> Source:
    """MNIST (LeCun et al. 1998): two pixels of black around 28 x 28, three equal channels."""
    pictures, labelled = files_of("mnist", part, root)
    labels = np.fromfile(labelled, dtype=np.uint8, offset=8).astype(np.int64)
    return Source(labels, DIGITS, (in_colour(grey) for grey in digits(pictures)))


def digits(pictures: Path, size: int = 1000) -> Iterator[UInt8[np.ndarray, "m 32 32"]]:
    """The padded digits of one of MNIST's files of images, grey, `size` at a time."""
    with open(pictures, "rb") as file:
        _, n, height, width = np.frombuffer(file.read(16), dtype=">i4").tolist()
        for begin in range(0, n, size):
            count = min(size, n - begin)
            pixels = np.fromfile(file, dtype=np.uint8, count=count * height * width).reshape(-1, height, width)
            yield np.pad(pixels, ((0, 0), *(((SIDE - side) // 2,) * 2 for side in (height, width))))


def in_colour(grey: UInt8[np.ndarray, "m h w"]) -> UInt8[np.ndarray, "m 3 h w"]:
    """Grey images with three equal channels; a view."""
    return np.broadcast_to(grey[:, None], (len(grey), 3, *grey.shape[1:]))


def svhn(part: str, root: Path) -> Source:
    """SVHN's crops (Netzer et al. 2011): MATLAB files, whose label 10 is the digit 0.

    SciPy holds the file's pixels twice while it reads them (450 MB of the training part).
    """
    from scipy.io import loadmat

    (path,) = files_of("svhn", part, root)
    content = loadmat(path, variable_names=("X", "y"))
    labels = content["y"].ravel().astype(np.int64) % 10
    pixels = content["X"].transpose(3, 2, 0, 1)
    return Source(labels, DIGITS, (pixels[begin : begin + 1000] for begin in range(0, len(pixels), 1000)))


def svhn_first1083(split: str, *, seed: int = 0, n: int | None = None, root: str | Path | None = None) -> ImageSet:
    """The first 1,083 training crops of SVHN, in the file's order: too few for splits, enough for cross-validation.

    A file `svhn_train_first1083.npz` with x `(n, 32, 32, 3)` uint8 and y `(n,)` 0-9; no checksum of it is published.
    `seed` is accepted and changes nothing. Raises as `make` does.
    """
    name = "svhn-first1083"
    path = files.present(files.under(root, name) / _FIRST1083, name)
    try:
        with np.load(path, allow_pickle=False) as content:
            pixels, labels = content["x"], content["y"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{name}: {path} holds no crops x with labels y ({error}); replace it") from None
    if n is not None and n > len(labels):
        raise ValueError(f"{name} has {len(labels):,} images, got n={n:,}")
    images = torch.from_numpy(np.ascontiguousarray(pixels[:n].transpose(0, 3, 1, 2)))
    return ImageSet(name, images, torch.from_numpy(labels[:n]), DIGITS, bundled=False)
