import numpy as np
import pytest
import torch

from semcont.datasets import glyphs, load, photographs, sources

GOLDEN = {
    ("grey_digits", "train"): "d179c3e6b0913fb68d2814205fde5637fc7ae96396bbe3702da631bb4c4d4248",
    ("grey_digits", "test"): "8c73cc82d1653fb8d83b9ed6b52c4543571c7c94328e5eae3d6a308fadb50e97",
    ("textures", "train"): "79aa7d222f1bb7e0d774dda3b6f81475a40a68fedfd41ee66e70756edac69bb7",
    ("textures", "test"): "467625a2b86f8a273e3feee315646a3f4e739436f56805b63afb3dfe7c9e69b5",
    ("faces", "all"): "b7f1f1d6906bb00cbd1c0c398bc53b8ca4d0cd7a737d281b1b409c4028f169aa",
}


@pytest.mark.parametrize(("name", "split"), GOLDEN)
def test_golden(name, split):
    assert load(name, split).fingerprint == GOLDEN[name, split]


@pytest.mark.parametrize(("split", "block"), [("train", "val"), ("test", "test")])
def test_grey_digits(split, block):
    images = load("grey_digits", split)
    assert {*images.groups.tolist()} == {*glyphs.BLOCKS[block]}
    assert (images.images == images.images[:, :1]).all()
    assert not images.images.permute(0, 2, 3, 1)[~images.masks].any()
    assert (images.images.amax(dim=(1, 2, 3)) == 255).all()
    assert images.labels.bincount().tolist() == [100] * 10


@pytest.mark.parametrize(("split", "part"), [("train", 1), ("test", 2)])
def test_textures_are_crops_of_their_region(split, part):
    images = load("textures", split, n=40)
    for image, label in zip(images.images.numpy(), images.labels.tolist(), strict=True):
        start, stop = photographs.region(label, part)
        strip = sources.photograph(sources.PHOTOGRAPHS[label])[:, :, start:stop]
        windows = np.lib.stride_tricks.sliding_window_view(strip, (32, 32), axis=(1, 2))
        assert (windows == image[:, None, None]).all(axis=(0, 3, 4)).any()
    assert images.classes == sources.PHOTOGRAPHS and images.masks is None


def test_crops_of_a_group_overlap():
    images = load("textures", "train")
    assert 30 < len(images.groups.unique()) < 300
    for group in images.groups.unique():
        assert len(images.labels[images.groups == group].unique()) == 1


@pytest.mark.parametrize("name", ["grey_digits", "textures"])
def test_fewer_are_the_first_of_more_and_seeds_differ(name):
    few, many, other = load(name, "test", n=64), load(name, "test", n=200), load(name, "test", n=64, seed=1)
    assert torch.equal(few.images, many.images[:64]) and torch.equal(few.groups, many.groups[:64])
    assert few.fingerprint != other.fingerprint


def test_faces():
    images = load("faces", "all")
    assert images.classes == ("non-face", "face") and images.labels.bincount().tolist() == [100, 100]
    assert images.labels[:4].tolist() == [1, 0, 1, 0] and len(load("faces", "all", n=7)) == 7
    assert not images.bundled
    assert load("faces", "all", seed=5).fingerprint == images.fingerprint
    expected = torch.from_numpy(sources.faces()[[0, 100, 1, 101]].astype(np.float64))[:, None]
    expected = torch.nn.functional.interpolate(expected, size=(32, 32), mode="bilinear")
    assert (images.images[:4].double() - expected).abs().max() <= 0.5 + 1e-9


def test_there_are_only_so_many_faces():
    with pytest.raises(ValueError, match="faces has 200 images, got n=201"):
        load("faces", "all", n=201)
