"""Image sets in memory: what the bundled data are and how to get them.

>>> from semcont.datasets import load
>>> load("photodigits", "test", n=100)
ImageSet(photodigits, 100 images 3x32x32, 10 classes, masks, groups, context)
"""

import difflib
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from numbers import Integral

from semcont.datasets import biased, colordigits, colormnist, downloads, folders, photodigits, targets
from semcont.datasets.files import DataError
from semcont.datasets.imageset import ImageSet
from semcont.datasets.stream import Stream

__all__ = ["DataError", "ImageSet", "Stream", "load", "options", "sizes", "splits"]


def _downloaded(name: str, read: downloads.Reader, train: int, val: int, test: int) -> tuple[Callable, dict[str, int]]:
    sizes = {"train": train, "val": val, "test": test, "full": train + val}
    return partial(downloads.make, name, read), sizes


# name -> its maker, and its splits with the number of images that each has unless told otherwise
_SETS: dict[str, tuple[Callable[..., ImageSet | Stream], dict[str, int]]] = {
    "photodigits": (photodigits.make, photodigits.SPLITS),
    "color_digits": (colordigits.make, colordigits.SPLITS),
    "biased_digits": (biased.make, biased.SPLITS),
    "biased_digits_grey": (biased.make_grey, biased.SPLITS),
    "grey_digits": (targets.grey_digits, targets.SPLITS),
    "textures": (targets.textures, targets.SPLITS),
    "faces": (targets.faces, targets.FACES_SPLITS),
    "cifar100": _downloaded("cifar100", partial(downloads.cifar, "cifar100"), 45_000, 5_000, 10_000),
    "cifar10": _downloaded("cifar10", partial(downloads.cifar, "cifar10"), 45_000, 5_000, 10_000),
    "svhn": _downloaded("svhn", downloads.svhn, 65_929, 7_328, 26_032),
    "svhn-first1083": (downloads.svhn_first1083, {"all": 1083}),
    "mnist": _downloaded("mnist", downloads.mnist, 54_000, 6_000, 10_000),
    "color_mnist": (colormnist.make, {"train": 54_000, "val": 6_000, "test": 10_000, "full": 60_000}),
    "biased_mnist": (biased.make_mnist, {"train": 54_000, "val": 6_000, "test": 10_000, "full": 60_000}),
    "biased_mnist_grey": (biased.make_mnist_grey, {"train": 54_000, "val": 6_000, "test": 10_000, "full": 60_000}),
    "imagenette": (partial(folders.make, "imagenette"), {"train": 8_522, "val": 947, "test": 3_925, "full": 9_469}),
    "imagenet": (
        partial(folders.make, "imagenet"),
        {"train": 1_231_167, "val": 50_000, "test": 50_000, "full": 1_281_167},
    ),
}


def load(name: str, split: str, *, seed: int = 0, n: int | None = None, **settings) -> ImageSet | Stream:
    """A set of images by its name: in memory, or as files that are decoded when needed.

    Parameters
    ----------
    name : bundled: "photodigits" (splits train, val, test, reference; options `rho`, `variant`), "color_digits",
        "biased_digits" and "biased_digits_grey" (train, val, test), "grey_digits" and "textures" (train, test), "faces"
        (all). From files, with the option `root`, the folder that holds them: "cifar100", "cifar10", "svhn", "mnist",
        "color_mnist", "biased_mnist", "biased_mnist_grey" (train, val, test, and full, which is train and val),
        "svhn-first1083" (all); streamed, with the options `size`, `corrupt` and `workers` of
        `Stream` too: "imagenette", "imagenet" (train, val, test, full).
    seed : which images are drawn, or the order of those in files. Glyphs, regions and files of the splits are the same
        for every seed.
    n : how many images, the first ones of the split; by default as many as the split usually has, or all of its files.

    Raises
    ------
    ValueError
        If there is no such name, split or option (the message names the nearest), or a value is impossible.
    DataError
        If files are missing, incomplete or other than they should be; the message says what to do.
    """
    make, splits = _SETS[_known("data set", name, _SETS)]
    size = splits[_known(f"split of {name}", split, splits)]
    taken = frozenset(inspect.signature(make).parameters) - {"split"}
    for option in settings:
        _known(f"option of {name}", option, taken)
    if n is None and "root" not in taken:  # files hold what they hold
        n = size
    return make(split, seed=_whole("seed", seed, least=0), n=n if n is None else _whole("n", n, least=1), **settings)


def options(name: str) -> frozenset[str]:
    """What `load` takes for the data set `name` beside the split; "root" where it is read from files.

    Raises `ValueError` for an unknown name.
    """
    make, _ = _SETS[_known("data set", name, _SETS)]
    return frozenset(inspect.signature(make).parameters) - {"split"}


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
