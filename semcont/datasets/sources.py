"""The pictures that the bundled data sets are made of.

They are read from the files that scikit-learn and scikit-image carry inside their packages: nothing is downloaded, and
neither package is imported (that alone takes longer than composing a data set). Each picture is checked against the
digest of the pixels on which the data sets are defined, because JPEG decoders differ in the last bit and a package may
change a file: another picture is an error, never other data. Sources and licences: data/README.md.
"""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

REDUCTION = 2  # photographs are averaged over 2 x 2 pixels, so that a crop of 32 pixels shows something

# In the order of the digits that they are paired with.
_FILES = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "brick": ("skimage", "data/brick.png"),
    "grass": ("skimage", "data/grass.png"),
    "gravel": ("skimage", "data/gravel.png"),
    "immunohistochemistry": ("skimage", "data/ihc.png"),
}
# SHA-256 of the pixels: of the photographs reduced, of the table of digits with their classes, of the faces as bytes.
_DIGESTS = {
    "astronaut": "d2b03fb26ed4353623f901ecc1858a7e2e9a131138452a009195f2bf27744ce2",
    "chelsea": "bbddeb3ca1d802256d97156300a01345b59d809b029ed1bd0364fa81639a87e7",
    "coffee": "9004f3d22d8c423a76612e6ed490419d04b7030c7d3d1d245f924bdb8f1bed28",
    "rocket": "e76570c3f6db07b2a418939e916d0619b699bb00d17ef2764872650c2f2eb894",
    "china": "fb4be0aeda5308e81665f337ef35842ba24116326d0093f4512342a6c2b73ab0",
    "flower": "c64b8cd3be0c642203ee4433d72b4dda55d2b138b5d38bc3a75bc2457c39e7e7",
    "brick": "c94a298004b145540f831f9671d816c2bc98f6fda2f69d6c828b9f08390b26c9",
    "grass": "94a27482dce6ef71f60d82a76e479215b8b81f45db5251fcc37b666d1cd4b368",
    "gravel": "ef137e21de4af3be69f026141210cc1d8c8c9ab3e1fe153a4be43a26e9f8d69e",
    "immunohistochemistry": "a4c8a944687b3436c2e435b24bc3455d3674e3adf6aa7c7fac11be7523f328dc",
    "digits": "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2",
    "lfw_subset": "4621670220ef7f4ca9261a20601e1aaa9d7d4275b6535ce42cd1abed1b185953",
}

PHOTOGRAPHS: tuple[str, ...] = tuple(_FILES)


@cache
def photograph(name: str) -> UInt8[np.ndarray, "3 h w"]:
    """One of `PHOTOGRAPHS` at half its size, read-only; a grey one has three equal channels.

    A pixel is the mean of 2 x 2 pixels of the file, halves rounded up; an odd last row or column is dropped.
    """
    from PIL import Image

    with Image.open(_package_file(*_FILES[name])) as file:
        pixels = np.asarray(file.convert("RGB")).transpose(2, 0, 1).astype(np.uint16)
    height, width = (side // REDUCTION for side in pixels.shape[1:])
    blocks = pixels[:, : height * REDUCTION, : width * REDUCTION].reshape(3, height, REDUCTION, width, REDUCTION)
    area = REDUCTION**2
    return _verified(((blocks.sum(axis=(2, 4)) + area // 2) // area).astype(np.uint8), name)


@cache
def digits() -> tuple[UInt8[np.ndarray, "1797 8 8"], Int64[np.ndarray, "1797"]]:
    """The handwritten digits of scikit-learn, in their order, and their classes; ink runs from 0 to 16."""
    table = np.loadtxt(_package_file("sklearn", "datasets/data/digits.csv.gz"), delimiter=",", dtype=np.uint8)
    table = _verified(table, "digits")
    classes = table[:, 64].astype(np.int64)
    classes.setflags(write=False)
    return table[:, :64].reshape(-1, 8, 8), classes


@cache
def faces() -> UInt8[np.ndarray, "200 25 25"]:
    """scikit-image's extract of Labeled Faces in the Wild: 100 faces, then 100 pieces of background, in grey."""
    pixels = np.load(_package_file("skimage", "data/lfw_subset.npy"))  # float64 in [0, 1]
    return _verified(np.floor(pixels * 255 + 0.5).astype(np.uint8), "lfw_subset")


def _package_file(package: str, path: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        project = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[package]
        raise ModuleNotFoundError(f"the bundled data sets are made of pictures that {project} ships; install {project}")
    file = Path(spec.origin).parent / path
    if not file.is_file():
        raise FileNotFoundError(f"the installed {package} does not ship {path}, of which a bundled data set is made")
    return file


def _verified(pixels: np.ndarray, name: str) -> np.ndarray:
    found = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    if found != (digest := _DIGESTS[name]):
        raise RuntimeError(
            f"{name}: the pixels read here are not those that the data sets are defined on (SHA-256 {found[:12]} "
            f"instead of {digest[:12]}); use the locked versions of scikit-learn, scikit-image and Pillow, as wheels"
        )
    pixels.setflags(write=False)
    return pixels
