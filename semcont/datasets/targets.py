"""Targets for transfer (the paper's section 4.6) that need no download.

What is built on PhotoDigits never mixes its splits: networks of the source were trained on its training glyphs and
regions, a target trains on the validation ones and is tested on the test ones.
"""

import numpy as np
import torch

from semcont.datasets import draws, glyphs, photographs, sources
from semcont.datasets.glyphs import Layout
from semcont.datasets.imageset import ImageSet

SPLITS = {"train": 1000, "test": 1000}  # images of grey_digits and textures where `n` is not given
FACES_SPLITS = {"all": 200}
_BLOCK = {"train": "val", "test": "test"}  # of PhotoDigits, that a target's split is made of
_CELL = 32  # pixels of the grid whose cells group overlapping crops


def grey_digits(split: str, *, seed: int = 0, n: int) -> ImageSet:
    """White digits on black, three equal channels, 32 x 32; masks and groups as in PhotoDigits.

    With a smaller n, the first images of a longer set.
    """
    labels = draws.balanced(draws.stream(seed, "grey_digits", split, "labels"), n, len(glyphs.CLASSES))
    chosen = glyphs.choose(draws.stream(seed, "grey_digits", split, "glyphs"), labels, (_BLOCK[split],))
    words = draws.words(draws.stream(seed, "grey_digits", split, "images"), n, glyphs.COLUMNS)
    opacity = glyphs.opacity(Layout.draw(labels, chosen, words))
    black = np.zeros((n, 3, glyphs.SIDE, glyphs.SIDE), dtype=np.uint8)
    images = glyphs.blend(black, np.full((n, 3), 255, dtype=np.uint8), opacity)
    known = {"masks": glyphs.covered(opacity), "groups": chosen}
    return ImageSet.from_arrays("grey_digits", images, labels, glyphs.CLASSES, **known)


def textures(split: str, *, seed: int = 0, n: int) -> ImageSet:
    """Which of ten photographs a crop of 32 x 32 pixels is from; with a smaller n, the first images of a longer set.

    Crops that start in one cell of a grid of 32 pixels overlap and share a group; those of neighbouring cells may
    overlap as well.
    """
    labels = draws.balanced(draws.stream(seed, "textures", split, "labels"), n, len(sources.PHOTOGRAPHS))
    words = draws.words(draws.stream(seed, "textures", split, "images"), n, 2)
    part = np.full(n, photographs.PARTS.index(_BLOCK[split]))
    tops, lefts = photographs.place(labels, part, words)
    groups = (labels * 1000 + tops // _CELL) * 1000 + lefts // _CELL
    crops = photographs.crops(labels, tops, lefts)
    return ImageSet.from_arrays("textures", crops, labels, sources.PHOTOGRAPHS, groups=groups)


def faces(split: str, *, seed: int = 0, n: int) -> ImageSet:
    """100 faces (label 1) and 100 pieces of background (label 0) in turn, grey, enlarged linearly from 25 to 32 pixels.

    The set is what it is: `seed` is accepted and changes nothing. Not marked as bundled, as nobody states whose the
    photographs are: pictures of single images stay out of what is published.

    Raises
    ------
    ValueError
        If `n` is above 200.
    """
    if n > FACES_SPLITS[split]:
        raise ValueError(f"faces has {FACES_SPLITS[split]} images, got n={n}")
    order = np.arange(200).reshape(2, 100).T.ravel()[:n]  # a face, a background, a face, ...
    weights = glyphs.tent(25, glyphs.SIDE, 0, glyphs.SIDE)  # (32, 25)
    sums = weights.sum(axis=1)  # less at the border, where cells beyond the picture are missing
    norm = sums[:, None] * sums[None, :]
    grey = (weights @ sources.faces()[order].astype(np.int32) @ weights.T + norm // 2) // norm
    images = torch.from_numpy(grey.astype(np.uint8))[:, None].repeat(1, 3, 1, 1)
    labels = torch.from_numpy((order < 100).astype(np.int64))
    return ImageSet("faces", images, labels, ("non-face", "face"), bundled=False)
