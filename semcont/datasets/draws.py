"""Random choices that come out the same on every machine.

Everything is drawn from PCG64 as 32-bit words and permutations, and turned into choices by integer arithmetic. One row
of words belongs to one image, whatever is made of it: the same seed with another `rho` or variant gives the same digits
in the same places, and asking for fewer images gives the first ones of the longer set.
"""

import zlib

import numpy as np
from jaxtyping import Int64, UInt32


def stream(*keys: int | str) -> np.random.Generator:
    """A generator of its own for every sequence of keys, e.g. `stream(seed, "photodigits", "train", "glyphs")`."""
    entropy = [zlib.crc32(key.encode()) if isinstance(key, str) else int(key) for key in keys]
    return np.random.Generator(np.random.PCG64(entropy))


def words(rng: np.random.Generator, images: int, columns: int) -> UInt32[np.ndarray, "images columns"]:
    """Uniform 32-bit words, a row for each image."""
    return rng.integers(0, 2**32, size=(images, columns), dtype=np.uint32)


def below(word: UInt32[np.ndarray, " n"], limit: int | np.ndarray) -> Int64[np.ndarray, " n"]:
    """Words turned into whole numbers from 0 to `limit` - 1, uniform to one part in 2**32 / limit."""
    return (word.astype(np.int64) * limit) >> 32


def balanced(rng: np.random.Generator, n: int, classes: int) -> Int64[np.ndarray, " n"]:
    """`n` labels in random order: every run of `classes` labels holds each once, so counts differ by one at most."""
    return np.concatenate([rng.permutation(classes) for _ in range(-(-n // classes))])[:n].astype(np.int64)


def occurrence(labels: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """How many earlier entries have the same label: `[3, 5, 3, 3]` gives `[0, 0, 1, 2]`."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[order] = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return ranks


def by_turn(rng: np.random.Generator, labels: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """The positions of `labels` in random order by turns: one of each class, then another of each, and so on."""
    order = rng.permutation(len(labels))
    return order[np.argsort(occurrence(labels[order]), kind="stable")]
