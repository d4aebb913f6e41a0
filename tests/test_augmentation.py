"""Random crop and mirror image: against torchvision one by one, and what the draws are."""

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from semcont._draws import Share
from semcont.augmentation import crop_flip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, height: int = 6, width: int = 5) -> torch.Tensor:
    """Images without two equal pixels, none of them 0."""
    return torch.arange(1, 1 + n * 3 * height * width, dtype=torch.float32).view(n, 3, height, width)


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_it_is_a_crop_of_the_padded_image_and_perhaps_its_mirror_image(padding, dtype):
    x = numbered(40).remainder(251).to(dtype)
    generator = seeded()
    top, left = (torch.randint(2 * padding + 1, (40,), generator=generator) for _ in range(2))
    mirrored = torch.rand(40, generator=generator) < 0.5
    found = crop_flip(x, seeded(), padding)
    assert found.dtype == dtype and found.shape == x.shape
    for k, image in enumerate(x):
        expected = tv.crop(tv.pad(image, [padding] * 4), int(top[k]), int(left[k]), 6, 5)
        assert torch.equal(found[k], tv.horizontal_flip(expected) if mirrored[k] else expected)


def test_every_place_and_both_sides_are_drawn_alike():
    """Counts over 16,200 images within five standard deviations: nine rows, nine columns, two sides."""
    n = 16_200
    x = torch.zeros(n, 1, 9, 9)
    x[:, :, 4, 4] = 1  # in the middle, so that a mirror image of all places is all places
    found = crop_flip(x, seeded(1)).flatten(1).argmax(1)
    for places in (found // 9, found % 9):
        counts = torch.bincount(places, minlength=9).double()
        assert bool(((counts - n / 9).abs() < 5 * (n / 9) ** 0.5).all())
    ramps = torch.arange(9.0).expand(n, 1, 9, 9)
    mirrored = crop_flip(ramps, seeded(1), 0)[:, 0, 0, 0] == 8
    assert abs(mirrored.double().mean() - 0.5) < 5 * 0.5 / n**0.5


def test_a_seed_gives_the_same_crops_whatever_the_pieces():
    x, drawn = numbered(10), []
    whole = crop_flip(x, seeded(3))
    generator = seeded(3)
    pieces = [crop_flip(x[a:b], Share(generator, 10, a, b, drawn)) for a, b in ((0, 3), (3, 4), (4, 10))]
    assert torch.equal(torch.cat(pieces), whole)
    apart = [crop_flip(x[a:b], Share(seeded(3), 10, a, b, [])) for a, b in ((0, 3), (3, 10))]
    assert torch.equal(torch.cat(apart), whole), "another process draws for itself"
    after = seeded(3)
    crop_flip(x, after)
    assert torch.equal(generator.get_state(), after.get_state())


@pytest.mark.unhooked
def test_what_is_no_batch_of_images():
    with pytest.raises(ValueError, match=r"must be \(n, c, h, w\)"):
        crop_flip(torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match="padding at least 0"):
        crop_flip(torch.zeros(1, 3, 8, 8), padding=-1)
