"""Digits as opacities: which glyph, how large, where, and blending it over what is behind it.

All arithmetic is on integers, so the bytes are the same on every machine.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8, UInt16, UInt32

from semcont.datasets import draws, sources

SIDE = 32  # pixels of an image's side
SIZES = range(20, 29)  # pixels that the 8 cells of a digit are spread over
JITTER = 2  # pixels that a digit may lie off the centre, in each direction
INK = (5, 12)  # of 16: no opacity up to the first, full opacity from the second, linear between
OPAQUE = 256  # full opacity
CLASSES = tuple("0123456789")
BLOCKS = {"train": range(1100), "val": range(1100, 1400), "test": range(1400, 1797)}  # the same for every seed
COLUMNS = 3  # words that a `Layout` takes per image


@dataclass(frozen=True, eq=False)
class Layout:
    """Which digits, and where in the image; all int64 `(n,)`, sizes and places in pixels."""

    labels: Int64[np.ndarray, " n"]
    glyphs: Int64[np.ndarray, " n"]  # indices among the 1,797 digits
    sizes: Int64[np.ndarray, " n"]
    tops: Int64[np.ndarray, " n"]
    lefts: Int64[np.ndarray, " n"]

    @classmethod
    def draw(
        cls, labels: Int64[np.ndarray, " n"], glyphs: Int64[np.ndarray, " n"], words: UInt32[np.ndarray, "n 3"]
    ) -> "Layout":
        """Sizes and places from three words per image: the size, the shift down, the shift to the right."""
        sizes = SIZES.start + draws.below(words[:, 0], len(SIZES))
        down, right = (draws.below(words[:, column], 2 * JITTER + 1) - JITTER for column in (1, 2))
        return cls(labels, glyphs, sizes, (SIDE - sizes) // 2 + down, (SIDE - sizes) // 2 + right)

    def __getitem__(self, index: slice) -> "Layout":
        return Layout(*(getattr(self, field)[index] for field in ("labels", "glyphs", "sizes", "tops", "lefts")))


def choose(
    rng: np.random.Generator, labels: Int64[np.ndarray, " n"], blocks: tuple[str, ...]
) -> Int64[np.ndarray, " n"]:
    """A glyph of the right class for every label: each class's glyphs in `blocks` in random order, over and over."""
    classes = sources.digits()[1]
    known = pool(blocks)
    turn = draws.occurrence(labels)
    glyphs = np.empty_like(labels)
    for label in range(len(CLASSES)):
        order = rng.permutation(known[classes[known] == label])
        chosen = labels == label
        glyphs[chosen] = order[turn[chosen] % len(order)]
    return glyphs


def pool(blocks: tuple[str, ...]) -> Int64[np.ndarray, " glyphs"]:
    """Indices of all glyphs of these blocks."""
    return np.concatenate([np.arange(BLOCKS[block].start, BLOCKS[block].stop) for block in blocks])


def block_of(glyphs: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Index of the block (train, val, test) that each glyph belongs to."""
    return np.searchsorted([block.stop for block in BLOCKS.values()], glyphs, side="right")


def tent(cells: int, size: int, start: int, length: int) -> Int32[np.ndarray, "length cells"]:
    """Weights of linear interpolation to `length` pixels, from `cells` cells on `size` pixels from pixel `start` on.

    In units of 1 / (2 size), exactly; where a pixel lies among the cells, its weights sum to 2 size.
    """
    pixel = cells * (2 * np.arange(length) + 1 - 2 * start)[:, None]
    cell = size * (2 * np.arange(cells) + 1)[None, :]
    return np.maximum(0, 2 * size - np.abs(pixel - cell)).astype(np.int32)


@cache
def _tents() -> Int32[np.ndarray, "sizes starts 32 8"]:
    starts = range((SIDE - SIZES[0]) // 2 + JITTER + 1)
    return np.array([[tent(8, size, start, SIDE) for start in starts] for size in SIZES])


def opacity(layout: Layout) -> UInt16[np.ndarray, "n 32 32"]:
    """How much of each pixel the digit covers, from 0 to `OPAQUE`: ink, interpolated linearly, stretched by `INK`."""
    ink = sources.digits()[0].astype(np.int32)[layout.glyphs]
    down = _tents()[layout.sizes - SIZES.start, layout.tops]
    right = _tents()[layout.sizes - SIZES.start, layout.lefts]
    ink = down @ ink @ right.transpose(0, 2, 1)
    unit = (2 * layout.sizes.astype(np.int32)[:, None, None]) ** 2  # of one level of ink
    return np.clip((ink - INK[0] * unit) * OPAQUE // ((INK[1] - INK[0]) * unit), 0, OPAQUE).astype(np.uint16)


def covered(opacity: UInt16[np.ndarray, "n h w"]) -> Bool[np.ndarray, "n h w"]:
    """The digit's mask: every pixel of opacity above 0, so exactly those that the digit may change."""
    return opacity > 0


def blend(
    behind: UInt8[np.ndarray, "n 3 h w"], tint: UInt8[np.ndarray, "n 3"], opacity: UInt16[np.ndarray, "n h w"]
) -> UInt8[np.ndarray, "n 3 h w"]:
    """`tint` over `behind`, rounded to the nearest level; 256 * 255 + 128 still fits 16 bits."""
    cover = opacity[:, None]
    return ((behind * (OPAQUE - cover) + tint[:, :, None, None] * cover + OPAQUE // 2) >> 8).astype(np.uint8)
