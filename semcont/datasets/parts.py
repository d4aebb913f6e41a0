"""Which images of a published data set make a split, and in which order.

Published sets come as a training and a test part. The validation split, on which choices are
made, is held out of the training part: one image in ten of each class, the same ones for every seed. `full` is both
again, for the refit after the choice.
"""

import numpy as np
from jaxtyping import Bool, Int64

from semcont.datasets import draws

SPLITS = ("train", "val", "test", "full")
_SHARE = 10  # of so many training images of a class, one is held out
_MOST = 50  # images held out of a class, at least a hundred classes: as many as ImageNet's own validation set has


def held_out(labels: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which images of the training part are validation images: a tenth of each class, rounded, halves up.

    Of CIFAR's 50,000, 5,000. Where there are more than a hundred classes, at most 50 of each. The draw has a fixed seed
    and depends on the labels alone.
    """
    counts = np.bincount(labels)
    wanted = (counts + _SHARE // 2) // _SHARE
    if len(counts) > 100:
        wanted = np.minimum(wanted, _MOST)
    order = draws.stream(0, "held out").permutation(len(labels))
    mask = np.zeros(len(labels), dtype=bool)
    mask[order] = draws.occurrence(labels[order]) < wanted[labels[order]]
    return mask


def rows(
    labels: Int64[np.ndarray, " n"], split: str, *, seed: int, n: int | None, name: str
) -> Int64[np.ndarray, " m"]:
    """Positions, in the files of a part, of the first `n` images of a split (None: all).

    A split's order takes one image of each class in turn, at random by `seed`, so its first n images are always as
    balanced as its classes are, and those of a smaller n come first in a larger one. `full` is "train" and then "val".

    Raises
    ------
    ValueError
        If the split has fewer than `n` images.
    """
    if split == "full":
        found = np.concatenate([rows(labels, part, seed=seed, n=None, name=name) for part in ("train", "val")])
    else:
        inside = np.arange(len(labels))
        if split in ("train", "val"):
            inside = np.flatnonzero(held_out(labels) == (split == "val"))
        found = inside[draws.by_turn(draws.stream(seed, name, split, "order"), labels[inside])]
    if n is not None and n > len(found):
        raise ValueError(f"{name} has {len(found):,} images in its split {split!r}, got n={n:,}")
    return found[:n]
