"""ColorDigits: white digits on red or blue grounds, after the paper's Colorful MNIST (section 4.7, Fig. 14).

The colour is independent of the label: the test shift is one of covariates. Trained on 95 % red, tested on 95 % blue.
"""

import numpy as np
from jaxtyping import Int64

from semcont.datasets import draws, glyphs
from semcont.datasets.glyphs import Layout
from semcont.datasets.imageset import ImageSet

SPLITS = {"train": 4000, "val": 500, "test": 1000}  # images where `n` is not given
GROUNDS = np.array([[255, 0, 0], [0, 0, 255]], dtype=np.uint8)  # red, blue
MINORITY = 5  # percent of the images whose ground is the rarer one of their split
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
    context = _grounds(labels, rare=RARE[split], rng=draws.stream(seed, "color_digits", split, "grounds"))
    behind = np.broadcast_to(GROUNDS[context][:, :, None, None], (n, 3, glyphs.SIDE, glyphs.SIDE))
    images = glyphs.blend(behind, np.full((n, 3), 255, dtype=np.uint8), opacity)
    known = {"masks": glyphs.covered(opacity), "groups": chosen, "context": context}
    return ImageSet.from_arrays("color_digits", images, labels, glyphs.CLASSES, **known)


def _grounds(labels: Int64[np.ndarray, " n"], rare: int, rng: np.random.Generator) -> Int64[np.ndarray, " n"]:
    order = rng.permutation(len(labels))
    by_turn = order[np.argsort(draws.occurrence(labels[order]), kind="stable")]  # one of each class, then another, ...
    context = np.full(len(labels), 1 - rare, dtype=np.int64)
    context[by_turn[: (MINORITY * len(labels) + 50) // 100]] = rare
    return context
