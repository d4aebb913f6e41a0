"""From a file to the pixels that a network sees: decoding, and the two crops of ImageNet's recipe.

For evaluation the shorter side is resized to 256 / 224 of the crop and the middle is taken, as in torchvision's
references (a picture that has the crop's size already is left alone); for training a random part is taken, 8 to 100 %
of the area at a ratio from 3:4 to 4:3, and half of the pictures are mirrored.
"""

from os import PathLike

import numpy as np
from jaxtyping import UInt8

MARGIN = 256 / 224  # the shorter side before the middle is cropped, in units of the crop
AREA = (0.08, 1.0)  # share of the picture that a random crop covers
RATIO = (3 / 4, 4 / 3)  # its width by its height
_TRIES = 10  # random crops that may stick out before the largest one in the middle is taken


def decode(
    path: str | bytes | PathLike, size: int, rng: np.random.Generator | None
) -> UInt8[np.ndarray, "3 size size"]:
    """A picture as red, green and blue, cropped to `size` pixels: the middle, or at random by `rng`.

    Grey, palette and CMYK pictures are converted. Raises `OSError` or `ValueError` (Pillow's) for a file
    that is no picture or breaks off, and `ValueError` for one that says it has more pixels than Pillow agrees to hold.
    """
    from PIL import Image

    try:
        with Image.open(path) as file:
            picture = _middle(file, size) if rng is None else _random(file, size, rng)
            return np.array(picture).transpose(2, 0, 1)
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None


def _middle(file, size: int):
    from PIL import Image

    picture = _in_colour(file)
    if picture.size == (size, size):
        return picture
    short, wanted = min(picture.size), int(size * MARGIN)
    width, height = (int(wanted * side / short) for side in picture.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + size, top + size))


def _random(file, size: int, rng: np.random.Generator):
    from PIL import Image

    box = crop(rng, *file.size)
    mirrored = rng.random() < 0.5
    picture = _in_colour(file).crop(box).resize((size, size), Image.Resampling.BILINEAR)
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else picture


def _in_colour(file):
    return file if file.mode == "RGB" else file.convert("RGB")


def crop(rng: np.random.Generator, width: int, height: int) -> tuple[int, int, int, int]:
    """A random part of a picture: left, top, right, bottom in pixels, as torchvision's RandomResizedCrop draws it."""
    for _ in range(_TRIES):
        area = width * height * rng.uniform(*AREA)
        ratio = np.exp(rng.uniform(*np.log(RATIO)))
        w, h = round(float(np.sqrt(area * ratio))), round(float(np.sqrt(area / ratio)))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    w, h = min(width, round(height * RATIO[1])), min(height, round(width / RATIO[0]))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h
