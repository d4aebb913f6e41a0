"""ColorDigits: white digits on red or blue grounds, after the paper's Colorful MNIST (section 4.7, Fig. 14).

The colour is independent of the label: the test shift is one of covariates. Trained on 95 % red, tested on 95 % blue.
"""

import numpy as np
from jaxtyping import Int64, UInt8, UInt16

from semcont.datasets import draws, glyphs
from semcont.datasets.glyphs import Layout
from semcont.datasets.imageset import ImageSet

SPLITS = {"train": 4000, "val": 500, "test": 1000}  # images where `n` is not given
GROUNDS = np.array([[255, 0, 0], [0, 0, 255]], dtype=np.uint8)  # red, blue
MINORITY = 5  # percent of the images whose ground is the rarer one of their split
_BLOCK = 2000  # images blended at a time: blending takes four times their bytes
RARE = {"train": 1, "val": 1, "test": 0}  # which of GROUNDS that is


def make(split: str, *, seed: int = 0, n: int) -> ImageSet:
    """The images of a split, the same bytes on every machine for the same arguments.

    Exactly 5 % of the images (rounded, halves up) have the rarer ground: blue in "train" and "val", red in "test"; they
    are spread over the classes to one image. The digits of a smaller n are the first of a longer set, but which of them
    lie on the rarer ground depends on n.

    Returns
    -------
    ImageSet
        32 x 32; masks of the digit, groups (the glyph's index among the 1,797), context (0 red, 1 blue).
    """
    labels = draws.balanced(draws.stream(seed, "color_digits", split, "labels"), n, len(glyphs.CLASSES))
    chosen = glyphs.choose(draws.stream(seed, "color_digits", split, "glyphs"), labels, (split,))
    words = draws.words(draws.stream(seed, "color_digits", split, "images"), n, glyphs.COLUMNS)
    opacity = glyphs.opacity(Layout.draw(labels, chosen, words))
    context = grounds("color_digits", split, seed, labels)
    known = {"masks": glyphs.covered(opacity), "groups": chosen, "context": context}
    return ImageSet.from_arrays("color_digits", paint(opacity, context), labels, glyphs.CLASSES, **known)


def grounds(name: str, split: str, seed: int, labels: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """The ground of each image of a split: 0 for red, 1 for blue."""
    rng, rare = draws.stream(seed, name, split, "grounds"), RARE[split]
    context = np.full(len(labels), 1 - rare, dtype=np.int64)
    context[draws.by_turn(rng, labels)[: (MINORITY * len(labels) + 50) // 100]] = rare
    return context


def paint(opacity: UInt16[np.ndarray, "n 32 32"], context: Int64[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 3 32 32"]:
    """Digits in white on their grounds."""
    images = np.empty((len(opacity), 3, *opacity.shape[1:]), dtype=np.uint8)
    for begin in range(0, len(opacity), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        cover = opacity[rows]
        behind = np.broadcast_to(GROUNDS[context[rows]][:, :, None, None], (len(cover), *images.shape[1:]))
        images[rows] = glyphs.blend(behind, np.full((len(cover), 3), 255, dtype=np.uint8), cover)
    return images
