"""Random perturbations for training: the photometric P of Eq. 3, and the Gaussian noise of stability training."""

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from .._checks import check_images
from .._draws import Source, draw
from .photometric import LEVELS, UNCHECKED


class RandomPhotometric:
    """The training P of Eq. 3: each image gets one of the four photometric perturbations, drawn uniformly.

    With s the strength at `level` of Table 1 and u uniform in [-1, 1]: brightness adds u s / 255, hue turns by u s,
    contrast and saturation have the factor s**u, so that halving is as likely as doubling. The paper leaves the
    distribution open (docs/decisions.md). `hue=False` draws from the other three; `hue_level` is the hue's own level.

    Draws come from `generator`, on its own device, so a seed gives the same x' on any device. Raises `ValueError` for a
    level outside 1 to 4, or images that are not float in [0, 1].
    """

    def __init__(self, level: int = 1, *, hue: bool = True, hue_level: int | None = None) -> None:
        for name, value in (("level", level), ("hue_level", level if hue_level is None else hue_level)):
            if isinstance(value, bool) or value not in (1, 2, 3, 4):
                raise ValueError(f"{name} must be 1, 2, 3 or 4, not {value!r}")
        self.level = level
        self.hue_level = level if hue_level is None else hue_level
        self.names = tuple(name for name in LEVELS if hue or name != "hue")

    def __call__(self, x: Float[Tensor, "n 3 h w"], generator: Source = None) -> Float[Tensor, "n 3 h w"]:
        """x' for each x of the batch, detached."""
        check_images(x)
        return self.unchecked(x, generator)

    def unchecked(self, x: Tensor, generator: Source = None) -> Tensor:
        """The same without the check of the images, for a training loop whose images are known to be good."""
        choice = draw(partial(torch.randint, len(self.names)), (len(x),), generator)
        u = 2 * draw(torch.rand, (len(x),), generator, torch.float64) - 1
        x_prime = x.detach().clone()
        for k, name in enumerate(self.names):
            rows = (choice == k).nonzero().squeeze(1)
            if len(rows):
                strength = self._strength(name, u[rows]).to(x).view(-1, 1, 1, 1)
                rows = rows.to(x.device)
                x_prime[rows] = UNCHECKED[name](x.detach()[rows], strength)
        return x_prime

    def _strength(self, name: str, u: Tensor) -> Tensor:
        most = LEVELS[name][(self.hue_level if name == "hue" else self.level) - 1]
        return torch.exp(u * math.log(most)) if name in ("contrast", "saturation") else u * most

    def __repr__(self) -> str:
        if "hue" not in self.names:
            return f"RandomPhotometric(level={self.level}, hue=False)"
        own = "" if self.hue_level == self.level else f", hue_level={self.hue_level}"
        return f"RandomPhotometric(level={self.level}{own})"


class GaussianNoise:
    """x + sigma N(0, 1), clamped to [0, 1]: the perturbation of stability training (the paper's reference 34).

    `sigma` is in units of the pixel range [0, 1]. Raises `ValueError` where it is negative.
    """

    def __init__(self, sigma: float = 0.04) -> None:
        if not sigma >= 0:
            raise ValueError(f"sigma must not be negative, not {sigma!r}")
        self.sigma = sigma

    def __call__(self, x: Float[Tensor, "n 3 h w"], generator: Source = None) -> Float[Tensor, "n 3 h w"]:
        """x' for each x of the batch, detached."""
        check_images(x)
        return self.unchecked(x, generator)

    def unchecked(self, x: Tensor, generator: Source = None) -> Tensor:
        """The same without the check of the images."""
        noise = draw(torch.randn, x.shape, generator, x.dtype).to(x.device)
        return (x.detach() + self.sigma * noise).clamp(0, 1)

    def __repr__(self) -> str:
        return f"GaussianNoise(sigma={self.sigma})"
