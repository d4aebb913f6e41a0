"""Image sets in memory: what the bundled data are and how to get them.

>>> from semcont.datasets import load
>>> load("photodigits", "test", n=100)
ImageSet(photodigits, 100 images 3x32x32, 10 classes, masks, groups, context)
"""

import difflib
import inspect
from collections.abc import Callable, Iterable
from numbers import Integral

from semcont.datasets import biased, colordigits, photodigits, targets
from semcont.datasets.imageset import ImageSet

__all__ = ["ImageSet", "load", "sizes", "splits"]

# name -> its maker, and its splits with the number of images that each has unless told otherwise
_SETS: dict[str, tuple[Callable[..., ImageSet], dict[str, int]]] = {
    "photodigits": (photodigits.make, photodigits.SPLITS),
    "color_digits": (colordigits.make, colordigits.SPLITS),
    "biased_digits": (biased.make, biased.SPLITS),
    "biased_digits_grey": (biased.make_grey, biased.SPLITS),
    "grey_digits": (targets.grey_digits, targets.SPLITS),
    "textures": (targets.textures, targets.SPLITS),
    "faces": (targets.faces, targets.FACES_SPLITS),
}


def load(name: str, split: str, *, seed: int = 0, n: int | None = None, **options) -> ImageSet:
    """An image set by its name.

    Parameters
    ----------
    name : "photodigits" (splits train, val, test, reference; options `rho`, `variant`), "color_digits" (train, val,
        test), "biased_digits" and "biased_digits_grey" (the same), "grey_digits" and "textures" (train, test), "faces"
        (all).
    seed : which images are drawn. Glyphs and regions of the splits are the same for every seed.
    n : how many images; by default as many as the split usually has.

    Raises
    ------
    ValueError
        If there is no such name, split or option (the message names the nearest), or a value is impossible.
    """
    make, splits = _SETS[_known("data set", name, _SETS)]
    size = splits[_known(f"split of {name}", split, splits)]
    for option in options:
        _known(f"option of {name}", option, set(inspect.signature(make).parameters) - {"split"})
    return make(split, seed=_whole("seed", seed, least=0), n=size if n is None else _whole("n", n, least=1), **options)


def _known(kind: str, name: str, valid: Iterable[str]) -> str:
    valid = sorted(valid)
    if name not in valid:
        nearest = difflib.get_close_matches(str(name), valid, n=1, cutoff=0)[0]
        raise ValueError(f"no {kind} is called {name!r}; the nearest is {nearest!r}, of {', '.join(valid)}")
    return name


def _whole(name: str, value: int, least: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def splits(name: str) -> tuple[str, ...]:
    """The splits that the data set `name` has. Raises `ValueError` for an unknown name."""
    return tuple(_SETS[_known("data set", name, _SETS)][1])


def sizes() -> dict[str, dict[str, int]]:
    """Every data set's name, with its splits and the number of images that each has unless told otherwise."""
    return {name: dict(splits) for name, (_, splits) in _SETS.items()}
