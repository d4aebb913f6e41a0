"""CIFAR's files: Python 2 pickles, read without unpickling their pixels.

`pickle` holds the pixels of CIFAR-100's training file two or three times while it loads them. Here the place of a long
string within the file is noted in its stead, so that the caller reads from there, chunk by chunk. Nothing but arrays,
lists and strings is unpickled: a file that asks for other code is refused.
"""

import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from semcont.datasets.files import DataError

_LONG = 1 << 16  # bytes; a string from here on stays in the file
_ROWS = 1000  # images of a chunk: 3 MB


@dataclass(frozen=True)
class _Span:
    """Where a long string lies within the file."""

    begin: int
    length: int


class _Array:
    """What stands for an array of bytes while its file is read: its shape, and its bytes or where they lie."""

    shape: tuple[int, ...]
    content: _Span | bytes

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, dtype, columns_first, self.content = state
        if dtype != np.uint8 or columns_first:
            raise pickle.UnpicklingError(f"pixels of kind {dtype} in place of uint8")


class _Reader(pickle._Unpickler):  # the one in Python: it calls a method for every kind of entry
    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, file):
        super().__init__(file, encoding="latin1")
        self._source = file

    def find_class(self, module: str, name: str) -> Any:
        known = {"ndarray": _Array, "dtype": np.dtype, "_reconstruct": lambda *_: _Array(), "encode": _as_bytes}
        if module.split(".")[0] not in ("numpy", "_codecs") or name not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return known[name]

    def load_binstring(self) -> None:
        (length,) = struct.unpack("<i", self.read(4))
        if length < _LONG:
            self.append(self.read(length).decode("latin1"))
            return
        self.append(_Span(self._source.tell(), length))
        self._source.seek(length, 1)

    dispatch[pickle.BINSTRING[0]] = load_binstring


def _as_bytes(text: str, encoding: str) -> bytes:
    return text.encode(encoding)  # how Python 3 writes bytes for a reader in Python 2


def read(path: Path) -> dict[str, Any]:
    """The entries of a file by name; the pixels as what `chunks` takes. Raises `DataError`."""
    with open(path, "rb") as file:
        try:
            found = _Reader(file).load()
        except (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, struct.error, TypeError) as error:
            raise DataError(f"{path} is not one of CIFAR's files: {error or 'it ends early'}") from None
    if not isinstance(found, dict):
        raise DataError(f"{path} is not one of CIFAR's files: it holds a {type(found).__name__}")
    return found


def chunks(path: Path, pixels: _Array) -> Iterator[UInt8[np.ndarray, "m 3 32 32"]]:
    """The images of a file in their order, a thousand at a time."""
    if isinstance(pixels.content, bytes):
        yield np.frombuffer(pixels.content, dtype=np.uint8).reshape(-1, 3, 32, 32)
        return
    with open(path, "rb") as file:
        file.seek(pixels.content.begin)
        for begin in range(0, pixels.shape[0], _ROWS):
            count = min(_ROWS, pixels.shape[0] - begin) * 3 * 32 * 32
            yield np.fromfile(file, dtype=np.uint8, count=count).reshape(-1, 3, 32, 32)
