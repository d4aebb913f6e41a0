"""What every public function of the method asks of its images, labels and strengths, once per call."""

import math
from numbers import Integral

import torch
from torch import Tensor


def check_images(x: Tensor, bounds: tuple[float, float] | None = (0.0, 1.0)) -> None:
    """Raise `ValueError` unless x is a finite float batch `(n, 3, h, w)` within `bounds` (None: any finite value)."""
    if not isinstance(x, Tensor):
        raise ValueError(f"images must be a torch tensor, not {type(x).__name__}")
    if x.ndim != 4 or x.shape[1] != 3:
        raise ValueError(f"images must have shape (n, 3, h, w), not {tuple(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"images must be floating point in [0, 1], not {x.dtype}; divide uint8 images by 255")
    if x.numel() == 0:
        raise ValueError(f"images are empty: shape {tuple(x.shape)}")
    low, high = (value.item() for value in torch.aminmax(x.detach()))  # one synchronisation; NaN propagates into both
    if low != low or high != high:
        raise ValueError("images contain NaN")
    if low in (float("-inf"), float("inf")) or high in (float("-inf"), float("inf")):
        raise ValueError("images contain infinite values")
    if bounds is not None and (low < bounds[0] or high > bounds[1]):
        raise ValueError(f"images must lie in [{bounds[0]:g}, {bounds[1]:g}]; these span [{low:g}, {high:g}]")


def check_labels(y: Tensor, n: int, classes: int | None = None) -> None:
    """Raise `ValueError` unless y holds n integer labels in `0..classes-1` (no upper limit where `classes` is None)."""
    if not isinstance(y, Tensor) or y.ndim != 1 or y.dtype not in (torch.int64, torch.int32, torch.uint8, torch.int16):
        came = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"labels must be an integer tensor of shape ({n},), not {came}")
    if len(y) != n:
        raise ValueError(f"{n} images but {len(y)} labels")
    low, high = (int(value) for value in torch.aminmax(y))
    if low < 0 or (classes is not None and high >= classes):
        limit = "" if classes is None else f"..{classes - 1}"
        raise ValueError(f"labels must lie in 0{limit}; these span {low}..{high}")


def per_image(strength: float | Tensor, x: Tensor, name: str) -> Tensor:
    """A finite number, or one per image, as `(n, 1, 1, 1)` (or `()`), on the device and in the dtype of x."""
    if isinstance(strength, Tensor):
        if strength.ndim > 0 and strength.shape != (len(x),):
            raise ValueError(f"{name} must be a number or have shape ({len(x)},), not {tuple(strength.shape)}")
        if not bool(strength.isfinite().all()):
            raise ValueError(f"{name} must be finite, not {strength[~strength.isfinite()][0].item()}")
        return strength.to(x).view(-1, 1, 1, 1) if strength.ndim else strength.to(x)
    if isinstance(strength, bool) or not isinstance(strength, int | float):
        raise ValueError(f"{name} must be a number or a tensor, not {type(strength).__name__}")
    if not math.isfinite(strength):
        raise ValueError(f"{name} must be finite, not {strength}")
    return torch.as_tensor(strength, dtype=x.dtype, device=x.device)


def check_count(value: int, least: int, name: str) -> None:
    """Raise `ValueError` unless `value` is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, not {value!r}")


def check_choice(value: str, choices, name: str) -> None:
    """Raise `ValueError` naming the nearest of `choices` where `value` is not one of them."""
    if value not in choices:
        from difflib import get_close_matches

        near = get_close_matches(str(value), [str(choice) for choice in choices], 1, 0.0)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown {name} {value!r}{hint} (one of {', '.join(map(str, choices))})")
