import subprocess
import sys

import numpy as np
import pytest

from semcont.datasets import load, sources


@pytest.mark.parametrize(
    ("name", "split", "options", "message"),
    [
        ("photodigit", "train", {}, "no data set is called 'photodigit'; the nearest is 'photodigits'"),
        ("colour_digits", "train", {}, "the nearest is 'color_digits'"),
        ("photodigits", "valid", {}, "no split of photodigits is called 'valid'; the nearest is 'val'"),
        ("textures", "val", {}, "the nearest is '.*', of test, train"),
        ("faces", "train", {}, "no split of faces is called 'train'; the nearest is 'all'"),
        ("photodigits", "test", {"rh": 0.5}, "no option of photodigits is called 'rh'; the nearest is 'rho'"),
        ("photodigits", "test", {"varient": "standard"}, "the nearest is 'variant'"),
        ("faces", "all", {"rho": 0.5}, "no option of faces is called 'rho'"),
        ("photodigits", "test", {"n": 0}, "n must be a whole number of at least 1, got 0"),
        ("photodigits", "test", {"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ("photodigits", "test", {"n": True}, "n must be a whole number"),
    ],
)
def test_what_is_unknown_is_named_with_the_nearest(name, split, options, message):
    with pytest.raises(ValueError, match=message):
        load(name, split, **options)


@pytest.mark.unhooked
@pytest.mark.parametrize(("option", "value"), [("seed", "one"), ("seed", 0.5), ("seed", None), ("n", 10.0)])
def test_whole_numbers(option, value):
    with pytest.raises(ValueError, match=f"{option} must be a whole number"):
        load("photodigits", "test", **{"n": 10, option: value})


def test_the_split_is_no_option():
    with pytest.raises(TypeError, match="split"):
        load("photodigits", "test", split="val")


def test_composing_imports_neither_scikit_learn_nor_scikit_image():
    code = """
import sys
from semcont.datasets import load
print("PIL" in sys.modules)
load("photodigits", "test", n=20), load("faces", "all")
print(sorted({"sklearn", "skimage", "torchvision", "pandas", "scipy"} & set(sys.modules)))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == ["False", "[]"]


def test_another_picture_is_an_error_and_not_other_data():
    with pytest.raises(RuntimeError, match="rocket: the pixels read here are not those"):
        sources._verified(sources.photograph("china").copy(), "rocket")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(ModuleNotFoundError, match="install scikit-image"):
        sources._package_file("skimage", "data/rocket.jpg")


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="the installed skimage does not ship data/nothing.png"):
        sources._package_file("skimage", "data/nothing.png")


def test_pictures_cannot_be_changed_by_accident():
    for picture in (sources.photograph("brick"), *sources.digits(), sources.faces()):
        with pytest.raises(ValueError, match="read-only"):
            picture[0] = 0


def test_photographs_are_means_of_two_by_two_pixels():
    from skimage import data

    whole = data.coffee().astype(np.float64).transpose(2, 0, 1)
    mean = whole.reshape(3, 200, 2, 300, 2).mean(axis=(2, 4))
    assert np.abs(sources.photograph("coffee") - mean).max() <= 0.5
    brick = sources.photograph("brick")
    assert (brick == brick[:1]).all()


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    digits = load_digits()
    assert (digits.images == sources.digits()[0]).all() and (digits.target == sources.digits()[1]).all()
