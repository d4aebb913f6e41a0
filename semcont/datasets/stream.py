"""Sets too large for memory: files that worker processes decode while the network computes."""

import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from semcont.datasets import decoding, draws
from semcont.datasets.files import DataError
from semcont.datasets.imageset import ImageSet

CORRUPT = ("fatal", "skip")
AHEAD = 2  # batches that the workers decode beyond the one in use
_WORTH = 64  # images from which on workers are started: for a few, decoding here is quicker
_LARGEST = 4 << 30  # bytes that a stream agrees to hold in memory at once


@dataclass(frozen=True, eq=False, repr=False)
class Stream:
    """Labelled pictures in files, decoded when they are needed; it has what training and evaluation use of `ImageSet`.

    Attributes
    ----------
    name : the name that `load` knows the set by.
    folder : where the files lie.
    files : bytes `(n,)`, the files' paths within the folder. An array of NumPy, not a list: workers share its memory.
    bytes_each : int64 `(n,)`, the files' sizes.
    labels : int64 `(n,)`, indices into `classes`, on the stream's device.
    classes : the names of the classes.
    size : pixels of a picture's side.
    corrupt : whether a file that cannot be decoded is "fatal" or left out of its batch, counted and named ("skip").
    workers : processes that decode; None for one per usable core, 0 for none.
    skipped : path -> reason, of all files left out so far by this stream and those made of it.
    """

    name: str
    folder: Path
    files: np.ndarray
    bytes_each: Int64[np.ndarray, " n"]
    labels: Int64[Tensor, " n"]
    classes: tuple[str, ...]
    size: int = 224
    corrupt: str = "fatal"
    workers: int | None = None
    bundled: bool = False
    skipped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.corrupt not in CORRUPT:
            raise ValueError(f"{self.name}: corrupt must be one of {', '.join(CORRUPT)}, got {self.corrupt!r}")
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"{self.name}: size must be a whole number of pixels of at least 1, got {self.size!r}")
        if not len(self.files) == len(self.bytes_each) == len(self.labels):
            raise ValueError(f"{self.name}: {len(self.files)} files, but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return f"Stream({self.name}, {len(self)} files, 3x{self.size}x{self.size}, {len(self.classes)} classes)"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a picture."""
        return 3, self.size, self.size

    @property
    def device(self) -> torch.device:
        """Where `batches` and `float` give the images."""
        return self.labels.device

    def to(self, device: torch.device | str) -> "Stream":
        """The same set, whose batches arrive on `device`."""
        return replace(self, labels=self.labels.to(device))

    def select(self, index: Tensor | slice | Sequence[int]) -> "Stream":
        """The files at `index`: a slice, a list of positions, or a tensor of positions or of booleans."""
        if not isinstance(index, slice):
            index = torch.as_tensor(index).cpu()
            index = index if len(index) else index.long()  # an empty list becomes a float tensor
        rows = torch.arange(len(self))[index].numpy()
        return replace(self, files=self.files[rows], bytes_each=self.bytes_each[rows], labels=self.labels[rows])

    def batches(
        self, groups: Iterable[Tensor], *, seed: int | None = None
    ) -> Iterator[tuple[Float[Tensor, "b 3 h w"], Int64[Tensor, " b"]]]:
        """Images, float32 in [0, 1], and labels for each tensor of positions in `groups`, in their order.

        At most three batches are in memory, however many workers there are. With `seed` None pictures are cropped in
        the middle; an integer keys a random crop and flip by (seed, file), whatever batch the file is in.

        Raises
        ------
        DataError
            If a file cannot be decoded and `corrupt` is "fatal", or none of a batch can.
        """
        groups = [group.cpu() for group in groups]
        for group, (pixels, rows) in zip(groups, self._decoded(groups, seed), strict=True):
            if len(group) and not len(rows):
                raise DataError(f"{self.name}: none of the pictures of a batch can be decoded; {self.skipped}")
            if self.device.type == "cuda":
                pixels = pixels.pin_memory()
            x = pixels.to(self.device, non_blocking=True).to(torch.float32).div_(255)
            yield x, self.labels[rows.to(self.device)]

    def float(self, index: Tensor | slice | Sequence[int] | None = None) -> Float[Tensor, "n 3 h w"]:
        """All images, or those at `index`, as float32 in [0, 1], cropped in the middle."""
        chosen = self if index is None else self.select(index)
        return chosen.in_memory(each=4).images.to(self.device).to(torch.float32).div_(255)

    def in_memory(self, *, each: int = 1) -> ImageSet:
        """The set as bytes in memory, cropped in the middle; files that are skipped are left out.

        `each` is the bytes that a value will take. Raises `MemoryError` where that makes more than 4 GiB.
        """
        taken = self.decoded_bytes * each
        if taken > _LARGEST:
            raise MemoryError(
                f"{len(self):,} pictures of {self.name} take {taken / 2**30:.0f} GiB: choose fewer, or use batches"
            )
        images = torch.empty(len(self), 3, self.size, self.size, dtype=torch.uint8)
        kept, n = [], 0
        for pixels, rows in self._decoded(list(torch.arange(len(self)).split(128)), None):
            images[n : n + len(rows)] = pixels
            kept.append(rows)
            n += len(rows)
        rows = torch.cat(kept) if kept else torch.empty(0, dtype=torch.int64)
        labels = self.labels.cpu()[rows]
        return ImageSet(self.name, images[:n], labels, self.classes, bundled=self.bundled).to(self.device)

    @property
    def decoded_bytes(self) -> int:
        """Bytes of all images once decoded."""
        return len(self) * 3 * self.size**2

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of the files' names and sizes, the labels, the classes and the size of the crop."""
        digest = hashlib.sha256(json.dumps([len(self), self.size, list(self.classes)]).encode())
        digest.update(b"\0".join(self.files.tolist()))
        for array in (self.bytes_each, self.labels.cpu().numpy()):
            digest.update(array.astype("<i8").tobytes())
        return digest.hexdigest()

    def _decoded(
        self, groups: list[Tensor], seed: int | None
    ) -> Iterator[tuple[UInt8[Tensor, "b 3 h w"], Int64[Tensor, " b"]]]:
        """Pixels and positions of each group, less the files that were skipped."""
        for group in _regrouped(self._pieces(groups, seed), [len(group) for group in groups]):
            if not group:
                yield torch.empty(0, 3, self.size, self.size, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
                continue
            for row, reason in ((row, reason) for piece in group for row, reason in piece[2]):
                self._leave_out(os.fsdecode(self.files[row]), reason)
            yield torch.cat([piece[0] for piece in group]), torch.cat([piece[1] for piece in group])

    def _leave_out(self, path: str, reason: str) -> None:
        if self.corrupt == "fatal":
            raise DataError(
                f"{self.name}: {self.folder / path} cannot be decoded ({reason}); "
                "replace it, or say corrupt: skip to go on without such files"
            )
        if path not in self.skipped:
            self.skipped[path] = reason
            said = f"{self.name}: {path} cannot be decoded ({reason}) and is left out, {len(self.skipped)} so far"
            warnings.warn(said, stacklevel=4)

    def _pieces(self, groups: list[Tensor], seed: int | None) -> Iterable["Piece"]:
        """The groups in order, each in as many pieces as there are workers, so that these share a batch."""
        workers = usable_cores() if self.workers is None else self.workers
        workers = 0 if sum(map(len, groups)) < _WORTH else workers
        each = [max(1, math.ceil(len(group) / max(1, workers))) for group in groups]
        pieces = [p for group, size in zip(groups, each, strict=True) if len(group) for p in group.split(size)]
        return torch.utils.data.DataLoader(
            _Files(os.fsencode(self.folder), self.files, self.size, seed, self.name),
            sampler=pieces,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            generator=torch.Generator(),  # a loader draws a seed for its workers, otherwise from the global generator
        )


Piece = tuple[Tensor, Tensor, list[tuple[int, str]]]
"""Pixels, the positions that they are of, and the positions of files that cannot be decoded, with the reasons."""


def _regrouped(pieces: Iterable[Piece], sizes: list[int]) -> Iterator[list[Piece]]:
    """Pieces in lists that make up groups of the given sizes."""
    source = iter(pieces)
    for size in sizes:
        group, n = [], 0
        while n < size:
            group.append(next(source))
            n += len(group[-1][1]) + len(group[-1][2])
        yield group


@dataclass(frozen=True)
class _Files(torch.utils.data.Dataset):
    """What a worker holds: from positions to their pixels."""

    folder: bytes
    files: np.ndarray
    size: int
    seed: int | None
    name: str

    def __getitem__(self, rows: Tensor) -> Piece:
        pixels = torch.empty(len(rows), 3, self.size, self.size, dtype=torch.uint8)
        kept, broken = [], []
        for row in rows.tolist():
            path = self.files[row]
            rng = None if self.seed is None else draws.stream(self.seed, self.name, os.fsdecode(path), "crop")
            try:
                pixels[len(kept)] = torch.from_numpy(decoding.decode(os.path.join(self.folder, path), self.size, rng))
            except (OSError, ValueError, SyntaxError, EOFError) as error:
                broken.append((row, " ".join(str(error).split()) or type(error).__name__))
            else:
                kept.append(row)
        return pixels[: len(kept)], torch.tensor(kept, dtype=torch.int64), broken


def usable_cores() -> int:
    """Cores that this process may use: a container or a queue may grant fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
