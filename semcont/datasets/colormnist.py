"""Color MNIST: MNIST's digits in white on red or blue grounds, the paper's Colorful MNIST (section 4.7, Fig. 14).

95 % red in training, 95 % blue in testing; the colour is independent of the label.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt16

from semcont.datasets import colordigits, downloads, files, glyphs, parts
from semcont.datasets.imageset import ImageSet

NAME = "color_mnist"


def make(split: str, *, seed: int = 0, n: int | None = None, root: str | Path | None = None) -> ImageSet:
    """A split of MNIST, coloured as ColorDigits is: exactly 5 % of its images have the ground that is rare in it.

    In "full", the images of "train" and those of "val" keep the grounds that they have there.

    Returns
    -------
    ImageSet
        32 x 32; masks of the digit (any ink), groups (position within MNIST's file), context (0 red, 1 blue).

    Raises
    ------
    DataError
        If a file of MNIST is missing, incomplete or not the published one.
    """
    part = "test" if split == "test" else "train"
    pictures, _ = downloads.files_of("mnist", part, files.under(root, NAME))
    known = downloads.mnist(part, Path(root)).labels
    rows = parts.rows(known, split, seed=seed, n=n, name="mnist")
    labels, opacity = known[rows], _opacity(pictures, rows, len(known))
    context = _grounds(split, seed, labels, parts.held_out(known)[rows])
    return ImageSet(
        NAME,
        torch.from_numpy(colordigits.paint(opacity, context)),
        torch.from_numpy(labels),
        downloads.DIGITS,
        masks=torch.from_numpy(glyphs.covered(opacity)),
        groups=torch.from_numpy(rows),
        context=torch.from_numpy(context),
        bundled=False,
    )


def _opacity(pictures: Path, rows: Int64[np.ndarray, " m"], n: int) -> UInt16[np.ndarray, "m 32 32"]:
    """How much of each pixel the digit covers, 0 to 256: its ink, rounded."""
    chunks = (((grey.astype(np.uint16) * glyphs.OPAQUE + 127) // 255)[:, None] for grey in downloads.digits(pictures))
    return downloads.gather(chunks, rows, n)[:, 0]


def _grounds(
    split: str, seed: int, labels: Int64[np.ndarray, " m"], held: Bool[np.ndarray, " m"]
) -> Int64[np.ndarray, " m"]:
    if split != "full":
        return colordigits.grounds(NAME, split, seed, labels)
    pieces = [("train", labels[~held]), ("val", labels[held])]  # the order of "full"
    return np.concatenate([colordigits.grounds(NAME, part, seed, own) for part, own in pieces])
