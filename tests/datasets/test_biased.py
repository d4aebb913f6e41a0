import numpy as np
import pytest
import torch

from semcont.datasets import biased, glyphs, load, sources
from semcont.paper import paths


def digits_of(data) -> torch.Tensor:
    return torch.from_numpy(sources.digits()[1][data.groups.numpy()])


@pytest.mark.parametrize(("split", "n"), [("train", None), ("val", None), ("test", None), ("train", 203), ("test", 61)])
def test_the_rates_hold_exactly(split, n):
    data = load("biased_digits", split, n=n)
    wrong = data.labels != (digits_of(data) < 5)
    count = len(data)
    assert wrong.sum() == (count * 25 + 50) // 100
    by_digit = torch.bincount(digits_of(data)[wrong], minlength=10)
    assert by_digit.max() - by_digit.min() <= 1
    rates = biased.AGREES[split]
    for k, percent in enumerate(rates):
        own = slice(k, None, len(rates))
        agrees = (data.labels == data.context)[own]
        assert (~agrees).sum() == (len(agrees) * (100 - percent) + 50) // 100
        kept = ~wrong[own]
        assert abs(agrees[kept].double().mean() - percent / 100) < 2 / kept.sum(), "the ink knows the noisy label alone"


def test_who_follows_the_colour_and_who_never_sees_it():
    """IRM's point: in training the colour is the better guess, in the test it is worse than guessing."""
    shares = {}
    for split in ("train", "test"):
        data = load("biased_digits", split)
        shares[split] = [float((guess == data.labels).double().mean()) for guess in (data.context, digits_of(data) < 5)]
    assert shares["train"] == pytest.approx([0.85, 0.75]) and shares["test"] == pytest.approx([0.10, 0.75])


def test_the_oracle_sees_the_same_digits_and_labels_without_the_ink():
    colour, grey = (load(name, "test", n=120) for name in ("biased_digits", "biased_digits_grey"))
    assert torch.equal(colour.labels, grey.labels) and torch.equal(colour.masks, grey.masks)
    assert torch.equal(colour.context, grey.context) and torch.equal(colour.groups, grey.groups)
    assert (grey.images == grey.images[:, :1]).all() and colour.fingerprint != grey.fingerprint
    assert torch.equal(colour.images.amax(1), grey.images[:, 0])
    assert torch.equal(biased.tinted(grey.images, grey.context), colour.images)


def test_an_ink_is_one_channel_and_the_exchange_its_own_inverse():
    data = load("biased_digits", "train", n=100)
    lit = (data.images.flatten(2).amax(2) > 0).long()
    assert torch.equal(lit, torch.nn.functional.one_hot(data.context, 3))
    x = data.float()
    other = biased.exchanged(x)
    assert torch.equal(biased.exchanged(other), x) and torch.equal(other[:, 0], x[:, 1])


def test_splits_share_no_glyph_and_seeds_differ():
    for split, block in glyphs.BLOCKS.items():
        assert {*load("biased_digits", split, n=300).groups.tolist()} <= {*block}
    one, two = (load("biased_digits", "train", n=100, seed=seed) for seed in (0, 1))
    assert one.fingerprint != two.fingerprint
    assert one.fingerprint == load("biased_digits", "train", n=100).fingerprint


def test_any_digits_can_be_biased():
    digits = np.arange(1000) % 10
    labels, context = biased.bias(digits, "test", 5)
    assert ((digits < 5) != labels).sum() == 250 and (labels == context).sum() == 100


@pytest.mark.real_data
def test_mnist_is_biased_at_the_same_rates():
    root = paths.data()
    if not (root / "MNIST").is_dir():
        pytest.skip("MNIST is not there; `semcont data prepare mnist` says how to get it")
    for split, count in (("val", 500), ("test", 1000)):
        colour, grey = (load(name, split, n=count, root=root) for name in ("biased_mnist", "biased_mnist_grey"))
        digits = load("mnist", split, n=count, root=root).labels
        assert ((digits < 5) != colour.labels).sum() == count // 4
        assert (colour.labels == colour.context).double().mean() == pytest.approx(0.85 if split == "val" else 0.10)
        assert torch.equal(colour.images.amax(1), grey.images[:, 0]) and torch.equal(colour.labels, grey.labels)
        assert not colour.bundled and colour.groups.unique().numel() == count
