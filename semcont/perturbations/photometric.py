"""The four photometric perturbations of the paper (section 4.2, Table 1), with a strength of its own for each image.

Contrast, saturation and hue follow `torchvision.transforms.v2.functional`, which takes one strength per call;
brightness is additive in pixel units, because the paper's levels 16 to 64 can mean nothing else.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from .._checks import check_choice, check_images, per_image

LEVELS: dict[str, tuple[float, float, float, float]] = {
    "brightness": (16, 32, 48, 64),  # added to every pixel, in 1/255
    "contrast": (1.25, 1.50, 1.75, 2.00),  # factor
    "saturation": (1.25, 1.50, 1.75, 2.00),  # factor
    "hue": (0.1, 0.2, 0.3, 0.4),  # turns of the colour circle
}
"""Table 1: the strengths of the four levels."""

_LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601 as torchvision rounds it


def grey(x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Grey level of each pixel: 0.2989 R + 0.587 G + 0.114 B."""
    red, green, blue = x.unbind(1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue).unsqueeze(1)


def brightness(x: Float[Tensor, "n 3 h w"], amount: float | Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """x + amount / 255, clamped to [0, 1] (Table 1, "Bright").

    `amount` is in pixel units: 16 adds 16/255. Raises `ValueError` for images that are not float in [0, 1].
    """
    check_images(x)
    return _brightness(x, per_image(amount, x, "amount"))


def contrast(x: Float[Tensor, "n 3 h w"], factor: float | Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """factor * x + (1 - factor) * m, clamped to [0, 1], with m the image's mean grey level (Table 1, "Contrast").

    1 leaves x as it is. Raises `ValueError` for a negative factor or images that are not float in [0, 1].
    """
    check_images(x)
    return _contrast(x, _factor(factor, x))


def saturation(x: Float[Tensor, "n 3 h w"], factor: float | Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """factor * x + (1 - factor) * grey(x), clamped to [0, 1] (Table 1, "Saturation").

    1 leaves x as it is, 0 makes it grey. Raises `ValueError` for a negative factor or images that are not float in
    [0, 1].
    """
    check_images(x)
    return _saturation(x, _factor(factor, x))


def hue(x: Float[Tensor, "n 3 h w"], turns: float | Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Rotate the hue of HSV by `turns` of the colour circle (Table 1, "Hue"); value and saturation stay.

    With v the largest of R, G, B and c the largest less the smallest, the rotated channel is
    v - c * clamp(min(k, 4 - k), 0, 1), k = (s + 6 (hue + turns)) mod 6, s = 5, 3, 1 for R, G, B.
    Raises `ValueError` for images that are not float in [0, 1].
    """
    check_images(x)
    return _hue(x, per_image(turns, x, "turns"))


def _factor(factor: float | Tensor, x: Tensor) -> Tensor:
    value = per_image(factor, x, "factor")
    if bool((value < 0).any()):
        raise ValueError(f"factor must not be negative; the smallest is {value.min().item():g}")
    return value


def _brightness(x: Tensor, amount: Tensor) -> Tensor:
    return (x + amount / 255).clamp(0, 1)


def _contrast(x: Tensor, factor: Tensor) -> Tensor:
    mean = grey(x).mean(dim=(2, 3), keepdim=True)
    return (factor * x + (1 - factor) * mean).clamp(0, 1)


def _saturation(x: Tensor, factor: Tensor) -> Tensor:
    return (factor * x + (1 - factor) * grey(x)).clamp(0, 1)


def _hue(x: Tensor, turns: Tensor) -> Tensor:
    red, green, blue = x.unbind(1)  # (n, h, w) each
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    inverse = torch.where(chroma == 0, torch.zeros_like(chroma), 1 / chroma.clamp_min(torch.finfo(x.dtype).tiny))
    sextant = torch.where(
        value == red,
        (green - blue) * inverse,
        torch.where(value == green, (blue - red) * inverse + 2, (red - green) * inverse + 4),
    )
    sextant = sextant + 6 * (turns.view(-1, 1, 1) if turns.ndim else turns)
    channels = []
    for shift in (5, 3, 1):
        k = (sextant + shift).remainder(6)
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, 1).clamp(0, 1)


PERTURBATIONS = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
UNCHECKED = {"brightness": _brightness, "contrast": _contrast, "saturation": _saturation, "hue": _hue}


def perturb(x: Float[Tensor, "n 3 h w"], name: str, level: int, sign: int = 1) -> Float[Tensor, "n 3 h w"]:
    """x' at one of the sixteen settings of Table 1: perturbation `name`, `level` 1 to 4, or 0 for x itself.

    `sign` -1 turns it the other way: a subtracted amount, an inverse factor, a negative turn.
    """
    check_choice(name, PERTURBATIONS, "perturbation")
    if level not in (0, 1, 2, 3, 4) or sign not in (1, -1):
        raise ValueError(f"level must be 0 to 4 and sign 1 or -1, not {level!r} and {sign!r}")
    if level == 0:
        return x
    strength = LEVELS[name][level - 1]
    if name in ("contrast", "saturation"):
        return PERTURBATIONS[name](x, strength**sign)
    return PERTURBATIONS[name](x, sign * strength)
