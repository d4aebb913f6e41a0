"""Mosaics of four images: a mask of where the labelled object is, for data that come without one.

Two by two images of four different classes are laid side by side at their own size, so nothing is resampled; one of
them is the target, and its quarter is the mask (after Arias-Duart et al., "Focus! Rating XAI methods and finding
biases", 2022). A network that averages its features over places takes an image of any size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64

from semcont.datasets import draws
from semcont.datasets.imageset import ImageSet

QUARTERS = ("upper left", "upper right", "lower left", "lower right")


def arrange(
    labels: Int64[np.ndarray, " images"], *, n: int, seed: int = 0
) -> tuple[Int64[np.ndarray, "n 4"], Int64[np.ndarray, " n"]]:
    """Which images the mosaics are made of, by quarter, and in which quarter the target is.

    Targets go through all images in random order, over and over; each quarter holds the target equally often, to one
    mosaic. The other three are of three other classes, drawn uniformly, and of each any image, drawn uniformly.

    Raises
    ------
    ValueError
        If the images are of fewer than four classes, or n is below 1.
    """
    present = np.unique(labels)
    if len(present) < 4:
        raise ValueError(f"a mosaic needs images of four classes, got {len(present)}")
    if n < 1:
        raise ValueError(f"n must be a whole number of at least 1, got {n!r}")
    rng = draws.stream(seed, "mosaics", "choices")
    order = np.concatenate([rng.permutation(len(labels)) for _ in range(-(-n // len(labels)))])[:n]
    quarters = draws.balanced(draws.stream(seed, "mosaics", "quarters"), n, 4)
    words = draws.words(draws.stream(seed, "mosaics", "members"), n, 3)
    members = {label: np.flatnonzero(labels == label) for label in present}
    sources = np.empty((n, 4), dtype=np.int64)
    for k, (target, quarter) in enumerate(zip(order, quarters, strict=True)):
        classes = rng.permutation(present[present != labels[target]])[:3]
        others = [members[c][draws.below(words[k, j : j + 1], len(members[c]))[0]] for j, c in enumerate(classes)]
        sources[k] = np.insert(others, quarter, target)
    return sources, quarters


def make(data: ImageSet, *, n: int, seed: int = 0) -> ImageSet:
    """`n` mosaics of the images of `data`: the same for the same images and seed.

    Returns
    -------
    ImageSet
        Twice as high and wide; labels of the targets, masks of their quarters, groups (the target's own group, its
        index where there is none), context (the quarter, an index into `QUARTERS`). Pictures may be published where
        those of `data` may.
    """
    data = data.to("cpu")
    sources, quarters = (torch.from_numpy(part) for part in arrange(data.labels.numpy(), n=n, seed=seed))
    _, channels, h, w = data.images.shape
    tiles = data.images[sources].view(n, 2, 2, channels, h, w)
    images = tiles.permute(0, 3, 1, 4, 2, 5).reshape(n, channels, 2 * h, 2 * w)
    masks = torch.zeros(n, 2, h, 2, w, dtype=torch.bool)
    masks[torch.arange(n), quarters // 2, :, quarters % 2] = True
    targets = sources[torch.arange(n), quarters]
    known = {"masks": masks.view(n, 2 * h, 2 * w), "context": quarters, "bundled": data.bundled}
    known["groups"] = targets if data.groups is None else data.groups[targets]
    return ImageSet(f"{data.name} mosaics", images, data.labels[targets], data.classes, **known)


def gathered(data, index: Sequence[int]) -> ImageSet:
    """The images at `index` in memory: of an `ImageSet`, or of a stream that hands out batches in [0, 1]."""
    if isinstance(data, ImageSet):
        return data.select(index)
    places = torch.as_tensor(index, dtype=torch.long)
    pixels = torch.cat([x for x, _ in data.batches(list(places.split(64)))]).mul(255).round().to(torch.uint8)
    labels = data.labels[places.to(data.labels.device)].to(pixels.device)
    return ImageSet(data.name, pixels, labels, data.classes, bundled=data.bundled)
