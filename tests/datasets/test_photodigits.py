import numpy as np
import pytest
import torch

from semcont.datasets import glyphs, load, photodigits, photographs, sources

# SHA-256 of images, labels and classes at seed 0: the same on every machine.
GOLDEN = {
    ("train", "standard"): "3723f0356d8dc8cbb323dfe55803634b484958047961b8ef229e2a32d0b8ae07",
    ("val", "standard"): "11190f6c0a73317cf4f3be2df9d2c38ec49b128d734ef0592a40d8c8d63f3f31",
    ("test", "standard"): "d6e114a8c545188143d91f7e8bbfb688d5bc2ca5cd82787d2b0eae0251d65384",
    ("reference", "standard"): "62e9a97cd4b83818e1bbe82fec96a72818a8f8d969f8211b573940764531bb93",
    ("test", "conflict"): "f7eb9729bf09a78cd523f3f893fb47ba5d9eb92b4142cc454a9e22699df3f6cf",
    ("test", "background"): "cd515816b56294028d6eac47f07bff02cf9a4293029b8b9f6a651fc09faab961",
}
GREY = torch.tensor([299, 587, 114])  # thousandths


@pytest.mark.parametrize(("split", "variant"), GOLDEN)
def test_golden(split, variant):
    assert load("photodigits", split, variant=variant).fingerprint == GOLDEN[split, variant]


def test_default_sizes_shapes_and_names():
    for split, n in {"train": 6000, "val": 1000, "test": 1000, "reference": 500}.items():
        images = load("photodigits", split)
        assert images.images.shape == (n, 3, 32, 32) and images.masks.shape == (n, 32, 32)
        assert images.labels.bincount().tolist() == [n // 10] * 10
    assert images.name == "photodigits" and images.classes == tuple("0123456789") and images.bundled


@pytest.mark.parametrize("n", [1, 37, 200])
def test_fewer_images_are_the_first_of_more(n):
    few, many = load("photodigits", "train", n=n), load("photodigits", "train", n=523)
    for field in ("images", "labels", "masks", "groups", "context"):
        assert torch.equal(getattr(few, field), getattr(many, field)[:n]), field
    counts = few.labels.bincount(minlength=10)
    assert counts.max() - counts.min() <= 1


def test_seeds_and_splits_draw_different_images():
    drawn = [load("photodigits", "train", n=50, seed=seed) for seed in (0, 1, 2)]
    assert len({images.fingerprint for images in drawn}) == 3
    assert len({tuple(images.labels.tolist()) for images in [*drawn, load("photodigits", "val", n=50)]}) == 4


def test_splits_share_no_glyph_whatever_the_seed():
    for seed, (split, block) in enumerate(glyphs.BLOCKS.items()):
        found = load("photodigits", split, n=4000, seed=seed).groups
        assert {*found.tolist()} == {*block}  # each glyph of the block, and no other
    assert sorted(glyph for block in glyphs.BLOCKS.values() for glyph in block) == list(range(1797))


def test_every_glyph_shows_the_class_it_is_labelled_with():
    images = load("photodigits", "test")
    assert (sources.digits()[1][images.groups.numpy()] == images.labels.numpy()).all()


def test_blocks_hold_every_class():
    classes = sources.digits()[1]
    assert all(np.bincount(classes[block.start : block.stop]).min() >= 25 for block in glyphs.BLOCKS.values())
    assert np.bincount(classes[1100:]).min() >= 55


def test_crops_of_different_splits_share_no_pixel():
    for number, name in enumerate(sources.PHOTOGRAPHS):
        width = sources.photograph(name).shape[2]
        columns = [column for part in range(3) for column in range(*photographs.region(number, part))]
        assert columns == list(range(width))  # the three strips cover the photograph once
    for part, split in enumerate(photographs.PARTS):
        plan = photodigits.plan(split, seed=3, n=2000)
        for number in range(10):
            start, stop = photographs.region(number, part)
            lefts = plan.lefts[plan.photographs == number]
            assert len(lefts) and start <= lefts.min() and lefts.max() + 32 <= stop


def test_a_background_is_the_crop_at_the_recorded_place():
    plan = photodigits.plan("test", seed=0, n=200)
    images = load("photodigits", "test", n=200, variant="background")
    for image, number, top, left in zip(images.images, plan.photographs, plan.tops, plan.lefts, strict=True):
        crop = sources.photograph(sources.PHOTOGRAPHS[number])[:, top : top + 32, left : left + 32]
        assert (image.numpy() == crop).all()
    assert images.context.tolist() == plan.photographs.tolist()


def test_background_is_what_lies_behind_the_digit():
    standard, behind = (load("photodigits", "test", variant=variant) for variant in ("standard", "background"))
    outside = ~standard.masks[:, None].expand_as(standard.images)
    assert torch.equal(standard.images[outside], behind.images[outside])
    for field in ("labels", "masks", "groups", "context"):
        assert torch.equal(getattr(standard, field), getattr(behind, field)), field
    changed = (standard.images != behind.images).any(dim=1)
    share = (changed & standard.masks).sum(dim=(1, 2)) / standard.masks.sum(dim=(1, 2))
    assert share.min() > 0.5  # and it is not what lies before it


def test_tints_keep_their_distance_in_grey_level():
    n = 2000
    plan = photodigits.plan("train", seed=5, n=n)
    standard = load("photodigits", "train", seed=5, n=n)
    behind = load("photodigits", "train", seed=5, n=n, variant="background")
    opaque = torch.from_numpy((glyphs.opacity(plan.layout) == glyphs.OPAQUE).reshape(n, -1))
    assert opaque.any(dim=1).all()  # so a pixel of the pure tint can be read off every image
    tint = standard.images.flatten(2)[torch.arange(n), :, opaque.int().argmax(dim=1)]
    grey_behind = (behind.images.double() * GREY[:, None, None]).sum(dim=1)
    mean = (grey_behind * standard.masks).sum(dim=(1, 2)) / standard.masks.sum(dim=(1, 2))
    distance = ((tint.double() * GREY).sum(dim=1) - mean).abs() / 255000
    assert distance.min() >= 0.15
    assert distance.min() < 0.16  # the bound is used to the full
    assert tint.unique(dim=0).shape[0] > 0.99 * n


def test_tint_falls_back_to_an_extreme_where_no_candidate_fits():
    behind = np.full((1, 3, 2, 2), 128, dtype=np.uint8)
    candidates = np.full((1, 32), 0x808080, dtype=np.uint32)  # all of the grey behind
    tint = photodigits._tint(candidates, behind, np.ones((1, 2, 2), dtype=bool))
    assert tint.tolist() in ([[0, 0, 0]], [[255, 255, 255]])


@pytest.mark.parametrize(("rho", "rate"), [(0.0, 0.1), (0.5, 0.55), (0.9, 0.91)])
def test_rho_is_the_strength_of_the_cue(rho, rate):
    n = 6000
    images = load("photodigits", "train", rho=rho)
    agreement = (images.context == images.labels).double().mean().item()
    assert abs(agreement - rate) < 4 * (rate * (1 - rate) / n) ** 0.5  # four standard errors
    assert images.context.bincount(minlength=10).min() > 0.08 * n  # every photograph is as frequent


def test_rho_one_always_agrees_and_conflict_never():
    certain = load("photodigits", "test", rho=1.0)
    assert torch.equal(certain.context, certain.labels)
    conflict = load("photodigits", "test", variant="conflict")
    assert (conflict.context != conflict.labels).all()
    pairs = conflict.labels * 10 + conflict.context
    assert len(pairs.unique()) == 90  # with each of the nine others
    assert torch.equal(conflict.images, load("photodigits", "test", variant="conflict", rho=1.0).images)


def test_rho_and_variant_move_nothing_but_the_crop():
    known = load("photodigits", "test")
    for other in (load("photodigits", "test", rho=0.0), load("photodigits", "test", variant="conflict")):
        assert torch.equal(known.groups, other.groups) and torch.equal(known.masks, other.masks)
        same = known.context == other.context
        assert torch.equal(known.images[same], other.images[same])


def test_reference_shows_different_glyphs_that_no_network_trained_on():
    reference = load("photodigits", "reference")
    assert len(reference.groups.unique()) == 500 and reference.groups.min() >= glyphs.BLOCKS["val"].start
    of_val = reference.groups < glyphs.BLOCKS["test"].start
    assert 0 < of_val.sum() < 500
    plan = photodigits.plan("reference", seed=0, n=500)
    parts = (2 - of_val.long()).tolist()
    for left, number, part in zip(plan.lefts.tolist(), plan.photographs.tolist(), parts, strict=True):
        start, stop = photographs.region(number, part)
        assert start <= left <= stop - 32


def test_reference_cannot_show_a_glyph_twice():
    assert len(load("photodigits", "reference", n=670).groups.unique()) == 670
    with pytest.raises(ValueError, match="n must be at most 670"):
        load("photodigits", "reference", n=700)


def test_masks_are_the_digit():
    images = load("photodigits", "train", n=1000)
    area = images.masks.float().mean(dim=(1, 2))
    assert area.min() > 0.05 and area.max() < 0.5
    border = torch.ones(32, 32, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert (images.masks & border).float().mean() < 0.02  # near the centre


@pytest.mark.unhooked
@pytest.mark.parametrize("rho", [-0.1, 1.1, float("nan"), "0.5", None])
def test_impossible_rho(rho):
    with pytest.raises(ValueError, match=r"rho must be a probability in \[0, 1\]"):
        load("photodigits", "test", n=10, rho=rho)


def test_unknown_variant():
    with pytest.raises(ValueError, match="variant must be one of standard, conflict, background, got 'conflicts'"):
        load("photodigits", "test", n=10, variant="conflicts")
