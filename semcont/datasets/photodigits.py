"""PhotoDigits: handwritten digits, tinted, on crops of ten photographs.

The digit is the semantic content and its class is the label. The photograph is the context: with probability `rho` the
one that is paired with the class (photograph i of `sources.PHOTOGRAPHS` with digit i), otherwise any of the ten, so
that over all images they agree at the rate rho + (1 - rho) / 10. Splits share no glyph and no pixel of a photograph.
"""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt32

from semcont.datasets import draws, glyphs, photographs, sources
from semcont.datasets.glyphs import Layout
from semcont.datasets.imageset import ImageSet

SPLITS = {"train": 6000, "val": 1000, "test": 1000, "reference": 500}  # images where `n` is not given
VARIANTS = ("standard", "conflict", "background")
CONTRAST = 15  # percent of the grey scale that a tint keeps from the mean grey level behind the digit, at least
_CANDIDATES = 32  # tints drawn per image, of which the first with that contrast is taken
_GREY = np.array([299, 587, 114])  # thousandths: the luma of ITU-R BT.601


@dataclass(frozen=True, eq=False)
class Plan:
    """Every choice that a set of `n` images is made of; the pixels follow from it."""

    layout: Layout
    photographs: Int64[np.ndarray, " n"]
    tops: Int64[np.ndarray, " n"]  # of the crop, in pixels of the reduced photograph
    lefts: Int64[np.ndarray, " n"]
    tints: UInt32[np.ndarray, "n candidates"]  # one colour per word

    def __len__(self) -> int:
        return len(self.tops)

    def __getitem__(self, index: slice) -> "Plan":
        return Plan(*(getattr(self, field)[index] for field in ("layout", "photographs", "tops", "lefts", "tints")))


def plan(split: str, *, seed: int, n: int, rho: float | int = 0.5, variant: str = "standard") -> Plan:
    """Draws what the images are made of; see `make`. Crops lie in the strip of the block that the glyph belongs to."""
    blocks = ("val", "test") if split == "reference" else (split,)
    labels = draws.balanced(draws.stream(seed, "photodigits", split, "labels"), n, len(glyphs.CLASSES))
    chosen = glyphs.choose(draws.stream(seed, "photodigits", split, "glyphs"), labels, blocks)
    if split == "reference" and len(np.unique(chosen)) < n:
        limit = _most_different(blocks)
        raise ValueError(f"a reference of {n} images would show a glyph twice: n must be at most {limit}")
    words = draws.words(draws.stream(seed, "photodigits", split, "images"), n, 7 + _CANDIDATES)
    count = len(sources.PHOTOGRAPHS)
    if variant == "conflict":
        behind = (labels + 1 + draws.below(words[:, 1], count - 1)) % count
    else:
        behind = np.where(words[:, 0] < int(rho * 2**32), labels, draws.below(words[:, 1], count))
    tops, lefts = photographs.place(behind, glyphs.block_of(chosen), words[:, 2:4])
    return Plan(Layout.draw(labels, chosen, words[:, 4:7]), behind, tops, lefts, words[:, 7:])


def make(split: str, *, seed: int = 0, n: int, rho: float | int = 0.5, variant: str = "standard") -> ImageSet:
    """The images of a split, the same bytes on every machine for the same arguments.

    Parameters
    ----------
    split : "train", "val", "test", or "reference": images of different glyphs of the val and the test block, each on
        the regions of its block.
    n : images; with a smaller n, the first images of a longer set. Classes are balanced to one image.
    rho : probability in [0, 1] that the photograph is the one paired with the class. Glyphs, sizes and places do not
        move with it.
    variant : "standard"; "conflict": the photograph paired with another class, whatever `rho`; "background": the crop
        alone, with the label and the mask of the digit that "standard" shows on it.

    Returns
    -------
    ImageSet
        32 x 32; masks of the digit, groups (the glyph's index among the 1,797), context (the photograph's index).

    Raises
    ------
    ValueError
        If `rho` or `variant` is impossible, or a reference asks for more images than there are different glyphs.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    if not isinstance(rho, Real) or not 0 <= rho <= 1:
        raise ValueError(f"rho must be a probability in [0, 1], got {rho!r}")
    choices = plan(split, seed=seed, n=n, rho=rho, variant=variant)
    images = np.empty((n, 3, glyphs.SIDE, glyphs.SIDE), dtype=np.uint8)
    masks = np.empty((n, glyphs.SIDE, glyphs.SIDE), dtype=bool)
    for start in range(0, n, 1000):  # in pieces, for the memory of the 16-bit intermediates
        piece = slice(start, start + 1000)
        images[piece], masks[piece] = _compose(choices[piece], digit=variant != "background")
    known = {"masks": masks, "groups": choices.layout.glyphs, "context": choices.photographs}
    return ImageSet.from_arrays("photodigits", images, choices.layout.labels, glyphs.CLASSES, **known)


def _compose(plan: Plan, digit: bool) -> tuple[UInt8[np.ndarray, "n 3 32 32"], Bool[np.ndarray, "n 32 32"]]:
    behind = photographs.crops(plan.photographs, plan.tops, plan.lefts)
    opacity = glyphs.opacity(plan.layout)
    mask = glyphs.covered(opacity)
    return (glyphs.blend(behind, _tint(plan.tints, behind, mask), opacity) if digit else behind), mask


def _tint(
    words: UInt32[np.ndarray, "n candidates"], behind: UInt8[np.ndarray, "n 3 h w"], mask: Bool[np.ndarray, "n h w"]
) -> UInt8[np.ndarray, "n 3"]:
    """The first candidate colour whose grey level keeps `CONTRAST` from the mean grey level behind the digit."""
    colours = np.stack([(words >> shift) & 255 for shift in (0, 8, 16)], axis=-1).astype(np.int64)  # (n, candidates, 3)
    extremes = np.broadcast_to(np.array([[0, 0, 0], [255, 255, 255]]), (len(words), 2, 3))  # one of the two always fits
    colours = np.concatenate([colours, extremes], axis=1)
    area = mask.sum(axis=(1, 2))
    total = np.einsum("nchw,nhw,c->n", behind, mask, _GREY, dtype=np.int64, casting="unsafe")
    distance = np.abs(colours @ _GREY * area[:, None] - total[:, None])  # in 1/1000 levels, times the area
    first = (distance * 100 >= CONTRAST * 255 * 1000 * area[:, None]).argmax(axis=1)
    return colours[np.arange(len(words)), first].astype(np.uint8)


def _most_different(blocks: tuple[str, ...]) -> int:
    classes = sources.digits()[1][glyphs.pool(blocks)]
    return len(glyphs.CLASSES) * int(np.bincount(classes).min())
