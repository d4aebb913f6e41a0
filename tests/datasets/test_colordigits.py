import pytest
import torch

from semcont.datasets import glyphs, load

GOLDEN = {
    "train": "383ce77f46c12eeccde6c334682fdc38e9da5b4c64a81a84e97dc42da72ea6f5",
    "val": "4c10c122a02d5cfb40e645886ab447aca1395c39e0ed589b2eb9d3592ff4999d",
    "test": "dcdd0a07970adfd4fa1ff19047f66d8ad182c77fa74eccbcbd20e2d80848ea0e",
}


@pytest.mark.parametrize("split", GOLDEN)
def test_golden(split):
    assert load("color_digits", split).fingerprint == GOLDEN[split]


@pytest.mark.parametrize(
    ("split", "n", "blue"),
    [
        ("train", None, 200),
        ("val", None, 25),
        ("test", None, 950),
        ("train", 200, 10),
        ("train", 30, 2),  # 1.5, rounded up
        ("test", 30, 28),
        ("train", 9, 0),
    ],
)
def test_fractions_are_exact(split, n, blue):
    images = load("color_digits", split, n=n)
    assert images.context.sum().item() == blue


def test_ground_is_independent_of_the_label():
    images = load("color_digits", "train")
    assert images.labels[images.context == 1].bincount().tolist() == [20] * 10
    images = load("color_digits", "test", n=203)
    rare = images.labels[images.context == 0].bincount(minlength=10)
    assert rare.sum() == 10 and rare.max() - rare.min() <= 1


def test_colours_are_pure():
    images = load("color_digits", "test")
    outside = images.images.permute(0, 2, 3, 1)[~images.masks]
    owner = images.context[(~images.masks).nonzero()[:, 0]]
    assert outside[owner == 0].unique(dim=0).tolist() == [[255, 0, 0]]
    assert outside[owner == 1].unique(dim=0).tolist() == [[0, 0, 255]]
    assert (images.images[:, 1].flatten(1).max(dim=1).values == 255).all()  # white is reached
    assert (images.images[:, 1] > 0)[images.masks].float().mean() > 0.99  # white shows wherever the mask says so


def test_splits_share_no_glyph():
    for split, block in glyphs.BLOCKS.items():
        assert {*load("color_digits", split).groups.tolist()} <= {*block}


def test_seeds_differ():
    one, two = (load("color_digits", "test", n=100, seed=seed) for seed in (0, 1))
    assert one.fingerprint != two.fingerprint and one.context.sum() == two.context.sum()


def test_digits_are_the_same_for_fewer_images():
    few, many = load("color_digits", "train", n=50), load("color_digits", "train", n=300)
    assert torch.equal(few.groups, many.groups[:50]) and torch.equal(few.masks, many.masks[:50])
