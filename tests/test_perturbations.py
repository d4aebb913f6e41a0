"""P of Eq. 3 against torchvision and against its own definition; the destructions of section 4.3 against theirs."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as reference

import semcont
from semcont.perturbations import LEVELS, PERTURBATIONS, perturb
from semcont.perturbations.photometric import grey

ADJUST = {"contrast": reference.adjust_contrast, "saturation": reference.adjust_saturation, "hue": reference.adjust_hue}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(dtype=torch.float32) -> torch.Tensor:
    """Random colours, and everything at which HSV has no hue: grey, black, white, ties of two channels, primaries."""
    x = torch.rand(8, 3, 16, 16, generator=seeded(1), dtype=torch.float64)
    x[:, :, 0] = x[:, :1, 0]  # grey
    x[:, :, 1, :4] = 0
    x[:, :, 1, 4:8] = 1
    x[:, 1, 2] = x[:, 0, 2]  # red = green
    x[:, 2, 3] = x[:, 1, 3]  # green = blue
    for k, colour in enumerate(itertools.product((0.0, 1.0), repeat=3)):
        x[:, :, 4, k] = torch.tensor(colour, dtype=torch.float64)
    x[:, :, 5] = (x[:, :, 5] * 3).round() / 3  # many ties
    x[-1] = 0
    x[-2] = 1
    x[-3] = 0.3
    return x.to(dtype)


@pytest.mark.parametrize("name", ADJUST)
@pytest.mark.parametrize("strength", [0.0, 0.1, 0.25, 0.5, 1 / 3, 0.8, 1.0, 1.25, 1.75, 2.0, -0.1, -0.4])
def test_parity_with_torchvision(name, strength):
    if name == "hue" and abs(strength) > 0.5 or name != "hue" and strength < 0:
        strength = abs(strength) % 0.5  # torchvision takes no more
    found = getattr(semcont, name)(pictures(), strength)
    torch.testing.assert_close(found, ADJUST[name](pictures(), strength), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ADJUST)
def test_parity_at_the_levels_of_table_1(name):
    for level, strength in enumerate(LEVELS[name], start=1):
        torch.testing.assert_close(
            perturb(pictures(), name, level), ADJUST[name](pictures(), strength), rtol=0, atol=1e-5
        )


def test_table_1():
    assert LEVELS == {
        "brightness": (16, 32, 48, 64),
        "contrast": (1.25, 1.5, 1.75, 2.0),
        "saturation": (1.25, 1.5, 1.75, 2.0),
        "hue": (0.1, 0.2, 0.3, 0.4),
    }
    assert list(PERTURBATIONS) == list(LEVELS)


def test_brightness_is_additive_in_pixel_units():
    x = pictures()
    torch.testing.assert_close(semcont.brightness(x, 16), (x + 16 / 255).clamp(0, 1), rtol=0, atol=1e-7)
    torch.testing.assert_close(semcont.brightness(x, -64), (x - 64 / 255).clamp(0, 1), rtol=0, atol=1e-7)
    assert semcont.brightness(torch.zeros(1, 3, 2, 2), 51)[0, 0, 0, 0].item() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("name", "neutral"), [("brightness", 0), ("contrast", 1), ("saturation", 1), ("hue", 0), ("hue", 1), ("hue", -2)]
)
def test_the_neutral_strength_changes_nothing(name, neutral):
    torch.testing.assert_close(getattr(semcont, name)(pictures(), neutral), pictures(), rtol=0, atol=2e-6)


def test_hue_turns_red_to_green_to_blue():
    red, green, blue = (torch.eye(3)[k].view(1, 3, 1, 1) for k in range(3))
    torch.testing.assert_close(semcont.hue(red, 1 / 3), green, rtol=0, atol=1e-6)
    torch.testing.assert_close(semcont.hue(red, -1 / 3), blue, rtol=0, atol=1e-6)
    torch.testing.assert_close(semcont.hue(red, 2 / 3), blue, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        semcont.hue(0.5 * red, 0.5), torch.tensor([0, 0.5, 0.5]).view(1, 3, 1, 1), rtol=0, atol=1e-6
    )


@given(turns=st.floats(-1, 1), more=st.floats(-1, 1))
def test_turns_of_hue_add_up_and_keep_value_and_chroma(turns, more):
    x = pictures(dtype=torch.float64)
    once = semcont.hue(semcont.hue(x, turns), more)
    torch.testing.assert_close(once, semcont.hue(x, turns + more), rtol=0, atol=1e-9)
    torch.testing.assert_close(once.amax(1), x.amax(1), rtol=0, atol=1e-12)
    torch.testing.assert_close(once.amin(1), x.amin(1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("turns", [0.0, 0.1, 0.4, -0.3])
@pytest.mark.parametrize("level", [0.0, 1e-30, 0.3, 1.0])
def test_grey_has_no_hue(turns, level):
    x = torch.full((1, 3, 2, 2), level)
    assert torch.equal(semcont.hue(x, turns), x)


def test_colours_too_faint_to_divide_by_stay_finite():
    x = torch.zeros(1, 3, 1, 1)
    x[0, 0] = 1e-40
    assert semcont.hue(x, 0.25).isfinite().all()


def test_saturation_zero_is_grey_and_contrast_zero_is_flat():
    x = pictures(dtype=torch.float64)
    torch.testing.assert_close(semcont.saturation(x, 0.0), grey(x).expand_as(x))
    torch.testing.assert_close(semcont.contrast(x, 0.0), grey(x).mean((2, 3), keepdim=True).expand_as(x))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_strength_for_each_image_is_one_call_for_each(name):
    x = pictures()
    strengths = {"brightness": 60.0, "contrast": 2.0, "saturation": 2.0, "hue": 0.5}[name] * torch.rand(
        len(x), generator=seeded(2)
    )
    together = PERTURBATIONS[name](x, strengths)
    one_by_one = torch.cat([PERTURBATIONS[name](x[[k]], float(strengths[k])) for k in range(len(x))])
    torch.testing.assert_close(together, one_by_one, rtol=0, atol=1e-6)
    as_vector = PERTURBATIONS[name](x, torch.full((len(x),), float(strengths[0])))
    assert torch.equal(as_vector, PERTURBATIONS[name](x, float(strengths[0])))


@pytest.mark.unhooked
@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_tensor_without_dimensions_is_a_number(name):
    assert torch.equal(PERTURBATIONS[name](pictures(), torch.tensor(0.3)), PERTURBATIONS[name](pictures(), 0.3))


@pytest.mark.parametrize("name", PERTURBATIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_dtype_is_kept_and_the_box_too(name, dtype):
    found = perturb(pictures(dtype=dtype), name, 4)
    assert found.dtype == dtype and found.min() >= 0 and found.max() <= 1
    torch.testing.assert_close(
        found.double(), perturb(pictures(dtype=torch.float64), name, 4), rtol=0, atol=40 * torch.finfo(dtype).eps
    )


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_perturb_reads_the_table_and_turns_both_ways(name):
    x, strength = pictures(), LEVELS[name][2]
    assert perturb(x, name, 0) is x
    assert torch.equal(perturb(x, name, 3), PERTURBATIONS[name](x, strength))
    other = 1 / strength if name in ("contrast", "saturation") else -strength
    torch.testing.assert_close(perturb(x, name, 3, sign=-1), PERTURBATIONS[name](x, other), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_gradients_flow_through_a_perturbation(name):
    x = (pictures()[:1, :, 6:] * 0.5 + 0.25).requires_grad_()
    PERTURBATIONS[name](x, 0.1).square().sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


# --- the training P ---------------------------------------------------------------------------------------------------

MIDDLE = torch.tensor([0.5, 0.45, 0.4]).view(3, 1, 1)


def drawn(level: int = 1, n: int = 8000, seed: int = 0, use_hue: bool = True) -> dict[str, torch.Tensor]:
    """The strength that each image got, read off the image itself; by perturbation.

    Two pixels tell the four apart: one coloured, red over green over blue, one grey but not as light as the mean. The
    coloured one is scaled by saturation and contrast alone, the grey one moved by brightness and contrast alone (by
    saturation a little, as the luma's weights add up to 0.9999). All strengths leave them inside the box.
    """
    x = torch.cat([MIDDLE, torch.full((3, 1, 1), 0.42)], 2).double().expand(n, -1, -1, -1)
    moved = semcont.RandomPhotometric(level, hue=use_hue)(x, seeded(seed))
    red, green, blue = moved[:, :, 0, 0].unbind(1)
    plain = moved[:, 0, 0, 1] - 0.42
    factor = (moved[:, :, 0, 0].amax(1) - moved[:, :, 0, 0].amin(1)) / 0.1
    scaled = (factor - 1).abs() > 1e-7
    contrasted = scaled & ((plain / (factor - 1)).abs() > 1e-3)
    bright = ~scaled & (plain.abs() > 1e-7)
    sextant = torch.where(red >= green, (green - blue) / 0.1, 2 + (blue - red) / 0.1)  # of the hue; MIDDLE's is 0.5
    return {
        "brightness": 255 * plain[bright],
        "contrast": factor[contrasted],
        "saturation": factor[scaled & ~contrasted],
        "hue": (sextant[~scaled & ~bright] - 0.5) / 6,
    }


def test_each_perturbation_is_as_likely_as_the_others():
    counts = {name: len(strengths) for name, strengths in drawn().items()}
    assert sum(counts.values()) == 8000
    for name, count in counts.items():
        assert abs(count - 2000) < 4 * math.sqrt(8000 * 0.25 * 0.75), (name, count)


def test_without_hue_the_other_three_share():
    counts = {name: len(strengths) for name, strengths in drawn(use_hue=False).items()}
    assert counts.pop("hue") == 0
    assert all(abs(count - 8000 / 3) < 4 * math.sqrt(8000 * 2 / 9) for count in counts.values()), counts


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_brightness_is_uniform_up_to_the_level_and_symmetric(level):
    amounts = drawn(level)["brightness"] / LEVELS["brightness"][level - 1]
    assert amounts.abs().max() <= 1 + 1e-9
    uniform((amounts + 1) / 2)


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("name", ["contrast", "saturation"])
def test_factors_are_log_uniform_and_log_symmetric(name, level):
    logs = drawn(level)[name].log() / math.log(LEVELS[name][level - 1])
    assert logs.abs().max() <= 1 + 1e-6
    uniform((logs + 1) / 2)


@pytest.mark.parametrize("level", [1, 2])
def test_hue_is_uniform_up_to_the_level_and_symmetric(level):
    turns = drawn(level)["hue"] / LEVELS["hue"][level - 1]
    assert turns.abs().max() <= 1 + 1e-6
    uniform((turns + 1) / 2)


def uniform(sample: torch.Tensor) -> None:
    """Kolmogorov-Smirnov against U(0, 1) at p = 0.001."""
    from scipy.stats import kstest

    assert kstest(sample.numpy(), "uniform").pvalue > 0.001


@given(seed=st.integers(0, 1000), level=st.integers(1, 4), n=st.integers(1, 9), use_hue=st.booleans())
def test_a_generator_decides_alone(seed, level, n, use_hue):
    p = semcont.RandomPhotometric(level, hue=use_hue)
    before = torch.get_rng_state()
    one, two = p(pictures()[:n], seeded(seed)), p(pictures()[:n], seeded(seed))
    assert torch.equal(one, two) and torch.equal(torch.get_rng_state(), before)
    assert one.min() >= 0 and one.max() <= 1 and one.dtype == torch.float32


def test_images_of_a_batch_are_perturbed_apart_and_successive_batches_too():
    x = torch.cat([pictures()[:1]] * 50)
    generator = seeded()
    one, two = semcont.RandomPhotometric()(x, generator), semcont.RandomPhotometric()(x, generator)
    assert len({row.numpy().tobytes() for row in torch.cat([one, two])}) > 95


def test_without_a_generator_torch_decides():
    torch.manual_seed(5)
    one = semcont.RandomPhotometric()(pictures())
    torch.manual_seed(5)
    assert torch.equal(semcont.RandomPhotometric()(pictures()), one)
    assert not torch.equal(semcont.RandomPhotometric()(pictures()), one)


def test_the_result_is_detached_and_x_stays():
    x = pictures().requires_grad_()
    for p in (semcont.RandomPhotometric(4), semcont.GaussianNoise(0.1)):
        assert not p(x, seeded()).requires_grad
        assert torch.equal(x.detach(), pictures())


def test_representations_name_the_settings():
    assert repr(semcont.RandomPhotometric(2)) == "RandomPhotometric(level=2)"
    assert repr(semcont.RandomPhotometric(1, hue=False)) == "RandomPhotometric(level=1, hue=False)"
    assert repr(semcont.GaussianNoise(0.1)) == "GaussianNoise(sigma=0.1)"


def test_gaussian_noise():
    x = torch.full((100, 3, 16, 16), 0.5, dtype=torch.float64)
    noise = semcont.GaussianNoise(0.04)(x, seeded()) - x
    assert noise.std().item() == pytest.approx(0.04, rel=0.02) and abs(noise.mean().item()) < 1e-3
    assert semcont.GaussianNoise(2.0)(x, seeded()).min() >= 0
    assert torch.equal(semcont.GaussianNoise(0.0)(x), x)


# --- destructions -----------------------------------------------------------------------------------------------------


def pixels_of(x: torch.Tensor) -> list:
    """The whole pixels of each image, sorted: what a shuffle may not change."""
    flat = x.permute(0, 2, 3, 1).reshape(len(x), -1, 3).numpy()
    return [image[np.lexsort(image.T)].tobytes() for image in flat]


@pytest.mark.parametrize("pixels", [0, 1, 2, 3, 7, 8, 16, 35])
def test_translation_in_closed_form(pixels):
    x = torch.rand(2, 3, 16, 16, generator=seeded())
    found = semcont.translate_rgb(x, pixels)
    half = math.floor(pixels / 2 + 0.5)  # half a pixel rounds up
    for row, column in itertools.product(range(16), repeat=2):
        assert torch.equal(found[:, 0, (row + pixels) % 16, (column + pixels) % 16], x[:, 0, row, column])
        assert torch.equal(found[:, 1, (row + half) % 16, (column + half) % 16], x[:, 1, row, column])
    assert torch.equal(found[:, 2], x[:, 2])


def test_translation_goes_to_the_lower_right():
    x = torch.zeros(1, 3, 4, 5)
    x[0, :, 0, 0] = 1
    found = semcont.translate_rgb(x, 1)[0]
    assert found[0, 1, 1] == 1 and found[1, 1, 1] == 1 and found[2, 0, 0] == 1 and found.sum() == 3


def test_translation_with_a_shift_for_each_image():
    x = torch.rand(5, 3, 8, 8, generator=seeded())
    pixels = torch.tensor([0, 3, 1, 3, 2])
    expected = torch.cat([semcont.translate_rgb(x[[k]], int(pixels[k])) for k in range(5)])
    assert torch.equal(semcont.translate_rgb(x, pixels), expected)


@given(fraction=st.floats(0, 1), side=st.integers(2, 17), seed=st.integers(0, 99))
def test_shuffled_centres_keep_whole_pixels_and_the_frame(fraction, side, seed):
    x = torch.rand(3, 3, side, side + 2, generator=seeded(seed))
    found = semcont.shuffle_center(x, fraction, seeded(seed))
    assert pixels_of(found) == pixels_of(x)
    height, width = round(side * fraction**0.5), round((side + 2) * fraction**0.5)
    top, left = (side - height) // 2, (side + 2 - width) // 2
    frame = torch.ones(side, side + 2, dtype=torch.bool)
    frame[top : top + height, left : left + width] = False
    assert torch.equal(found[..., frame], x[..., frame])


@pytest.mark.parametrize(("fraction", "side"), [(0.25, 16), (0.5, 23), (0.75, 28), (1.0, 32)])
def test_the_fraction_is_one_of_the_area(fraction, side):
    x = torch.rand(4, 3, 32, 32, generator=seeded())
    moved = (semcont.shuffle_center(x, fraction, seeded()) != x).any(1).any(0)
    rows, columns = moved.any(1).nonzero().flatten(), moved.any(0).nonzero().flatten()
    assert rows.max() - rows.min() + 1 == side and columns.max() - columns.min() + 1 == side
    assert moved.double().mean().item() == pytest.approx(fraction, abs=0.03)


def test_fraction_zero_is_the_image_and_fraction_one_all_of_it():
    x = torch.rand(4, 3, 8, 8, generator=seeded())
    nothing = semcont.shuffle_center(x, 0, seeded())
    assert torch.equal(nothing, x)
    nothing.zero_()
    assert x.sum() > 0, "a copy, not the image itself"
    assert (semcont.shuffle_center(x, 1, seeded()) != x).any(1).double().mean() > 0.9


def test_each_image_has_its_own_permutation():
    x = torch.rand(1, 3, 8, 8, generator=seeded()).expand(20, -1, -1, -1)
    for found in (semcont.shuffle_center(x, 1.0, seeded()), semcont.shuffle_tiles(x, 4, seeded())):
        assert len({row.numpy().tobytes() for row in found}) == 20


def tiles_of(x: torch.Tensor, grid: int) -> list[list[bytes]]:
    size = x.shape[2] // grid, x.shape[3] // grid
    corners = list(itertools.product(range(0, x.shape[2], size[0]), range(0, x.shape[3], size[1])))
    return [
        [image[:, r : r + size[0], c : c + size[1]].contiguous().numpy().tobytes() for r, c in corners] for image in x
    ]


@given(grid=st.sampled_from([1, 2, 4]), seed=st.integers(0, 99), wide=st.booleans(), last=st.booleans())
def test_tiles_move_whole_and_never_stay_all_in_place(grid, seed, wide, last):
    x = torch.rand(6, 3, 8, 16 if wide else 8, generator=seeded(seed))
    if last:
        x = x.to(memory_format=torch.channels_last)
    before, after = tiles_of(x, grid), tiles_of(semcont.shuffle_tiles(x, grid, seeded(seed)), grid)
    for one, two in zip(before, after, strict=True):
        assert sorted(one) == sorted(two)
        assert (one != two) == (grid > 1), "the identity is left out"


def test_orders_of_tiles_are_uniform_without_the_identity():
    x = torch.arange(4.0).view(1, 1, 2, 2).expand(23000, 3, 2, 2) / 4
    found = semcont.shuffle_tiles(x, 2, seeded())[:, 0].flatten(1)
    orders, counts = found.unique(dim=0, return_counts=True)
    assert len(orders) == 23 and not (orders == torch.arange(4) / 4).all(1).any()
    chi = ((counts - 1000) ** 2 / 1000).sum().item()
    assert chi < 48.3, "chi square of 22 degrees at p = 0.001"


def test_destructions_are_reproducible_from_their_generator():
    x = torch.rand(4, 3, 8, 8, generator=seeded())
    before = torch.get_rng_state()
    for destroy in (lambda g: semcont.shuffle_center(x, 0.5, g), lambda g: semcont.shuffle_tiles(x, 2, g)):
        assert torch.equal(destroy(seeded(3)), destroy(seeded(3)))
        assert not torch.equal(destroy(seeded(3)), destroy(seeded(4)))
    assert torch.equal(torch.get_rng_state(), before)
