"""Section 4.3: three ways to destroy what an image means and keep its pixels. Whole pixels move together."""

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from .._checks import check_images


def translate_rgb(x: Float[Tensor, "n 3 h w"], pixels: int | Int[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Shift R by N and G by N/2 pixels to the lower right, wrapped; B stays (section 4.3.1, Fig. 5).

    `pixels` is N, one for all or one per image; half a pixel of N/2 rounds up. Raises `ValueError` for a negative or
    fractional N, or images that are not float in [0, 1].
    """
    check_images(x)
    if isinstance(pixels, Tensor):
        if pixels.is_floating_point() or pixels.shape != (len(x),):
            came = f"{pixels.dtype} {tuple(pixels.shape)}"
            raise ValueError(f"pixels must be an integer or {len(x)} integers, not {came}")
        moved = torch.empty_like(x)
        for value in pixels.unique().tolist():
            rows = pixels.to(x.device) == value
            moved[rows] = translate_rgb(x[rows], value)
        return moved
    if isinstance(pixels, bool) or not isinstance(pixels, int) or pixels < 0:
        raise ValueError(f"pixels must be an integer of at least 0, not {pixels!r}")
    shifts = (pixels, (pixels + 1) // 2, 0)
    channels = [x[:, c].roll((shift, shift), dims=(1, 2)) for c, shift in enumerate(shifts)]
    return torch.stack(channels, 1)


def shuffle_center(
    x: Float[Tensor, "n 3 h w"], fraction: float, generator: Generator | None = None
) -> Float[Tensor, "n 3 h w"]:
    """Permute the pixels of the central part of each image at random (section 4.3.2, Fig. 7).

    `fraction` is the share of the area, in [0, 1]; the part is h sqrt(fraction) by w sqrt(fraction), rounded. Each
    image has its own permutation. Raises `ValueError` for a fraction outside [0, 1] or images that are not
    float in [0, 1].
    """
    check_images(x)
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        raise ValueError(f"fraction must lie in [0, 1], not {fraction!r}")
    n, _, h, w = x.shape
    height, width = round(h * fraction**0.5), round(w * fraction**0.5)
    if height * width == 0:
        return x.clone()
    top, left = (h - height) // 2, (w - width) // 2
    center = (..., slice(top, top + height), slice(left, left + width))
    order = _permutations(n, height * width, generator).to(x.device)
    shuffled = x.clone()
    flat = x[center].reshape(n, 3, -1)
    shuffled[center] = flat.gather(2, order.unsqueeze(1).expand(-1, 3, -1)).view(n, 3, height, width)
    return shuffled


def shuffle_tiles(
    x: Float[Tensor, "n 3 h w"], grid: int, generator: Generator | None = None
) -> Float[Tensor, "n 3 h w"]:
    """Cut each image into grid x grid tiles and put them back in another order (section 4.3.3, Fig. 9).

    The order is uniform over all permutations but the identity, one per image; grid 1 leaves x as it is. Raises
    `ValueError` where the sides are not multiples of grid, or images are not float in [0, 1].
    """
    check_images(x)
    n, _, h, w = x.shape
    if isinstance(grid, bool) or not isinstance(grid, int) or grid < 1 or h % grid or w % grid:
        raise ValueError(f"grid must be a positive integer that divides {h} and {w}, not {grid!r}")
    if grid == 1:
        return x.clone()
    order = _permutations(n, grid * grid, generator)
    identity = torch.arange(grid * grid, device=order.device)
    while len(same := (order == identity).all(1).nonzero().squeeze(1)):
        order[same] = _permutations(len(same), grid * grid, generator)
    tiles = x.view(n, 3, grid, h // grid, grid, w // grid).permute(0, 2, 4, 1, 3, 5).reshape(n, grid * grid, -1)
    tiles = tiles.gather(1, order.to(x.device).unsqueeze(2).expand(-1, -1, tiles.shape[2]))
    return tiles.view(n, grid, grid, 3, h // grid, w // grid).permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


def _permutations(n: int, length: int, generator: Generator | None) -> Int[Tensor, "n length"]:
    device = "cpu" if generator is None else generator.device
    return torch.rand(n, length, generator=generator, device=device, dtype=torch.float64).argsort(dim=1)
