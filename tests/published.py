"""Small files in the published formats, for the loaders to read; imported by the tests of the data sets."""

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from semcont.datasets import downloads, folders


def pixels(n: int, side: int = 32, seed: int = 0) -> np.ndarray:
    """`n` pictures of noise, uint8 (n, 3, side, side)."""
    return np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), dtype=np.uint8)


def labelled(n: int, classes: int = 10, seed: int = 0) -> np.ndarray:
    """`n` labels, as many of each class as `n` allows, in random order."""
    return np.random.default_rng(seed).permutation(np.arange(n) % classes)


def old_pickle(value) -> bytes:
    """A pickle as Python 2 and an old NumPy wrote CIFAR: strings of bytes, `numpy.core.multiarray._reconstruct`."""

    def text(string: bytes) -> bytes:
        return (b"U" + bytes([len(string)]) if len(string) < 256 else b"T" + struct.pack("<i", len(string))) + string

    if isinstance(value, dict):
        return b"}(" + b"".join(text(key.encode()) + old_pickle(item) for key, item in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(old_pickle, value)) + b"e"
    if isinstance(value, str):
        return text(value.encode())
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    shape = b"".join(b"J" + struct.pack("<i", side) for side in value.shape) + b"\x86"
    dtype = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    return empty + b"(K\x01" + shape + dtype + b"\x89" + text(value.tobytes()) + b"tb"


def cifar(root: Path, monkeypatch, name: str = "cifar100", n: int = 300, tests: int = 100, old: bool = True) -> dict:
    """CIFAR's files; the images and labels of "train" and "test", and the published checksums in place of the real."""
    classes = 100 if name == "cifar100" else 10
    label, names = ("fine_labels", "fine_label_names") if name == "cifar100" else ("labels", "label_names")
    write = (lambda value: b"\x80\x02" + old_pickle(value) + b".") if old else (lambda value: pickle.dumps(value, 4))
    known = {"train": (pixels(n), labelled(n, classes)), "test": (pixels(tests, seed=1), labelled(tests, classes, 1))}
    sums = {"meta": {}}
    for part, (images, labels) in known.items():
        paths = list(downloads.CHECKSUMS[name][part])
        for path, rows in zip(paths, np.array_split(np.arange(len(labels)), len(paths)), strict=True):
            content = {"filenames": [f"{k}.png" for k in rows], label: labels[rows].tolist()}
            sums.setdefault(part, {})[path] = save(
                root / path, write(content | {"data": images[rows].reshape(len(rows), -1)})
            )
    (meta,) = downloads.CHECKSUMS[name]["meta"]
    sums["meta"][meta] = save(root / meta, write({names: [f"class {k}" for k in range(classes)]}))
    monkeypatch.setitem(downloads.CHECKSUMS, name, sums)
    return known


def mnist(root: Path, monkeypatch, n: int = 200, tests: int = 100) -> dict:
    """MNIST's unpacked files; its grey digits (n, 28, 28) and labels."""
    known = {"train": (pixels(n, 28)[:, 0], labelled(n)), "test": (pixels(tests, 28, 1)[:, 0], labelled(tests, seed=1))}
    sums = {}
    for part, (images, labels) in known.items():
        first, second = downloads.CHECKSUMS["mnist"][part]
        sums[part] = {
            first: save(root / first, struct.pack(">4i", 2051, *images.shape) + images.tobytes()),
            second: save(root / second, struct.pack(">2i", 2049, len(labels)) + labels.astype(np.uint8).tobytes()),
        }
    monkeypatch.setitem(downloads.CHECKSUMS, "mnist", sums)
    return known


def svhn(root: Path, monkeypatch, n: int = 200, tests: int = 100) -> dict:
    """SVHN's MATLAB files, in which the digit 0 has the label 10."""
    from scipy.io import savemat

    known = {"train": (pixels(n), labelled(n)), "test": (pixels(tests, seed=1), labelled(tests, seed=1))}
    sums = {}
    for part, (images, labels) in known.items():
        (path,) = downloads.CHECKSUMS["svhn"][part]
        file = io.BytesIO()
        columns = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(file, {"X": images.transpose(2, 3, 1, 0), "y": columns}, do_compression=True)
        sums[part] = {path: save(root / path, file.getvalue())}
    monkeypatch.setitem(downloads.CHECKSUMS, "svhn", sums)
    return known


def photographs(base: Path, each: int = 12, side: tuple[int, int] = (40, 30), seed: int = 0) -> Path:
    """Folders `train` and `val` of JPEGs for the ten classes of Imagenette."""
    rng = np.random.default_rng(seed)
    for part in ("train", "val"):
        for wnid in folders.IMAGENETTE:
            (base / part / wnid).mkdir(parents=True)
            for k in range(each):
                picture(rng, side).save(base / part / wnid / f"{wnid}_{k}.JPEG", quality=90)
    return base


def picture(rng: np.random.Generator, side: tuple[int, int]) -> Image.Image:
    """A smooth picture in colour, `side` pixels wide and high."""
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return coarse.resize(side, Image.Resampling.BICUBIC)


def save(path: Path, content: bytes) -> str:
    """Write a file; its MD5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    from semcont.datasets.files import checksum

    return checksum(path)


def tarred(archive: Path, folder: Path, inside: str) -> str:
    """`folder` packed as `inside` into a .tgz; its MD5."""
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / inside, arcname=inside)
    return save(archive, archive.read_bytes())


def gzipped(archive: Path, file: Path) -> str:
    """`file` compressed; the archive's MD5."""
    return save(archive, gzip.compress(file.read_bytes()))
