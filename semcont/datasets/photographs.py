"""Crops of the photographs, from regions that splits do not share."""

from functools import cache

import numpy as np
from jaxtyping import Int64, UInt8, UInt32
from numpy.lib.stride_tricks import sliding_window_view

from semcont.datasets import draws, sources

SIDE = 32  # pixels of a crop's side
PARTS = ("train", "val", "test")
_BORDERS = (0, 60, 80, 100)  # percent of a photograph's width: upright strips, so that each holds sky and ground


def region(photograph: int, part: int) -> tuple[int, int]:
    """First column of a part's strip, and the column after its last, in the reduced photograph."""
    width = sources.photograph(sources.PHOTOGRAPHS[photograph]).shape[2]
    return width * _BORDERS[part] // 100, width * _BORDERS[part + 1] // 100


@cache
def _starts() -> Int64[np.ndarray, "10 3 3"]:
    """For each photograph and part: how many rows a crop can start at, the first such column, how many such columns."""
    table = np.zeros((len(sources.PHOTOGRAPHS), len(PARTS), 3), dtype=np.int64)
    for number, name in enumerate(sources.PHOTOGRAPHS):
        height = sources.photograph(name).shape[1]
        for part in range(len(PARTS)):
            first, stop = region(number, part)
            table[number, part] = height - SIDE + 1, first, stop - first - SIDE + 1
    return table


def place(
    photographs: Int64[np.ndarray, " n"], parts: Int64[np.ndarray, " n"], words: UInt32[np.ndarray, "n 2"]
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Top row and left column of a random crop within the strip of its part, from two words per image."""
    rows, first, columns = _starts()[photographs, parts].T
    return draws.below(words[:, 0], rows), first + draws.below(words[:, 1], columns)


def crops(
    photographs: Int64[np.ndarray, " n"], tops: Int64[np.ndarray, " n"], lefts: Int64[np.ndarray, " n"]
) -> UInt8[np.ndarray, "n 3 32 32"]:
    """The pieces of 32 x 32 pixels of the reduced photographs at these corners."""
    pixels = np.empty((len(photographs), 3, SIDE, SIDE), dtype=np.uint8)
    for number, name in enumerate(sources.PHOTOGRAPHS):
        chosen = photographs == number
        windows = sliding_window_view(sources.photograph(name), (SIDE, SIDE), axis=(1, 2))  # (3, rows, columns, 32, 32)
        pixels[chosen] = windows[:, tops[chosen], lefts[chosen]].transpose(1, 0, 2, 3)
    return pixels
