"""Digits whose colour predicts the label, in training rightly and in testing wrongly: the coloured MNIST of IRM.

After Arjovsky et al., "Invariant risk minimization", 2019: the label is whether the digit is below 5, and is wrong for
one image in four; the colour of the ink agrees with that *noisy* label in 90 % and 80 % of two training environments,
and in 10 % of the test. So in training the colour says more of the label than the digit does, and who never looks at
the colour (the grey oracle) is right in 75 % anywhere. The paper's own coloured digits (`colordigits`) hold no such
bias.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from semcont.datasets import downloads, draws, glyphs
from semcont.datasets.glyphs import Layout
from semcont.datasets.imageset import ImageSet

SPLITS = {"train": 4000, "val": 500, "test": 1000}  # images where `n` is not given
CLASSES = ("5 to 9", "0 to 4")
INKS = ("red", "green")  # the entries of `context`; the second agrees with the second class
NOISE = 25  # percent of the labels that are wrong
AGREES = {"train": (90, 80), "val": (90, 80), "full": (90, 80), "test": (10,)}
"""Percent of the images whose ink agrees with the noisy label, by environment: images take turns."""


def make(split: str, *, seed: int = 0, n: int) -> ImageSet:
    """The bundled glyphs as red or green digits on black, 32 x 32.

    The rates hold exactly, rounded, halves up: of the wrong labels over the split, spread over the ten digits to one
    image, and of the inks over each environment. Which images are meant depends on n; the digits of a smaller n are
    the first of a longer set.

    Returns
    -------
    ImageSet
        Two classes; masks of the digit, groups (the glyph's index among the 1,797), context (an index into `INKS`).
    """
    return _coloured("biased_digits", split, seed, n, tinted)


def make_grey(split: str, *, seed: int = 0, n: int) -> ImageSet:
    """The same images with the same labels in white on black: what the oracle sees. `context` names the ink removed."""
    return _coloured("biased_digits_grey", split, seed, n, lambda white, context: white)


def make_mnist(split: str, *, seed: int = 0, n: int | None = None, root: str | Path | None = None) -> ImageSet:
    """MNIST's digits so, as IRM has them but for their size: 32 x 32, by the ink of each pixel.

    The rates hold exactly over the images asked for; groups are the images themselves. Raises as
    `semcont.datasets.downloads.make` does.
    """
    return _of_mnist("biased_mnist", split, seed, n, root, tinted)


def make_mnist_grey(split: str, *, seed: int = 0, n: int | None = None, root: str | Path | None = None) -> ImageSet:
    """The same images with the same labels in white on black: what the oracle sees. `context` names the ink removed."""
    return _of_mnist("biased_mnist_grey", split, seed, n, root, lambda white, context: white)


def _of_mnist(name: str, split: str, seed: int, n: int | None, root, ink: Callable) -> ImageSet:
    white = downloads.make("mnist", downloads.mnist, split, seed=seed, n=n, root=root)
    labels, context = (torch.from_numpy(part) for part in bias(white.labels.numpy(), split, seed))
    known = {"masks": white.images.amax(1) > 0, "groups": torch.arange(len(white)), "context": context}
    return ImageSet(name, ink(white.images, context), labels, CLASSES, **known, bundled=False)


def _coloured(name: str, split: str, seed: int, n: int, ink: Callable) -> ImageSet:
    digits = draws.balanced(draws.stream(seed, "biased_digits", split, "labels"), n, len(glyphs.CLASSES))
    chosen = glyphs.choose(draws.stream(seed, "biased_digits", split, "glyphs"), digits, (split,))
    words = draws.words(draws.stream(seed, "biased_digits", split, "images"), n, glyphs.COLUMNS)
    opacity = glyphs.opacity(Layout.draw(digits, chosen, words))
    black = np.zeros((n, 3, glyphs.SIDE, glyphs.SIDE), dtype=np.uint8)
    white = torch.from_numpy(glyphs.blend(black, np.full((n, 3), 255, dtype=np.uint8), opacity))
    labels, context = (torch.from_numpy(part) for part in bias(digits, split, seed))
    known = {"masks": torch.from_numpy(glyphs.covered(opacity)), "groups": torch.from_numpy(chosen)}
    return ImageSet(name, ink(white, context), labels, CLASSES, context=context, **known)


def bias(
    digits: Int64[np.ndarray, " n"], split: str, seed: int
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """The noisy labels of digits 0 to 9, and the inks: what makes any set of digits a biased one."""
    wrong = _spread(digits, NOISE, draws.stream(seed, "biased", split, "noise"))
    labels = (digits < 5).astype(np.int64) ^ wrong
    environments = len(AGREES[split])
    environment = np.arange(len(digits)) % environments
    differs = np.zeros(len(digits), dtype=bool)
    for k, percent in enumerate(AGREES[split]):
        own = environment == k
        rng = draws.stream(seed, "biased", split, "inks", k)
        differs[own] = _spread(2 * labels[own] + wrong[own], 100 - percent, rng)
    return labels, labels ^ differs


def _spread(strata: Int64[np.ndarray, " n"], percent: int, rng: np.random.Generator) -> Bool[np.ndarray, " n"]:
    """`percent` of all images, exactly (rounded, halves up), and in each stratum to one image; at random within it."""
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    reached = (np.arange(len(strata) + 1) * percent + 50) // 100
    chosen = np.zeros(len(strata), dtype=bool)
    chosen[order] = np.diff(reached) == 1
    return chosen


def tinted(white: UInt8[Tensor, "n 3 h w"], context: Int64[Tensor, " n"]) -> UInt8[Tensor, "n 3 h w"]:
    """White ink on black as red (context 0) or green (1): all channels but one are emptied, so nothing is rounded."""
    kept = torch.nn.functional.one_hot(context, 3)[:, :, None, None]
    return white * kept.to(white.dtype)


def exchanged(x: Tensor) -> Tensor:
    """Images (n, 3, h, w) with red ink made green, and green red."""
    return x[:, [1, 0, 2]]
