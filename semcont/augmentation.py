"""The augmentation of small images, on whole batches and on the device: a random crop and a random mirror image."""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Shaped
from torch import Tensor

from ._draws import Source, draw


def crop_flip(x: Shaped[Tensor, "n c h w"], generator: Source = None, padding: int = 4) -> Shaped[Tensor, "n c h w"]:
    """Each image moved by up to `padding` pixels up or down and left or right, and mirrored with a chance of 1/2.

    A crop of (h, w) out of the image with `padding` black pixels around it, its place drawn for each image, as in the
    usual recipe for CIFAR (He et al. 2016, section 4.2). Any dtype; draws come from `generator`, on its own device, so
    a seed gives the same crops on every device. Raises `ValueError` for another rank, or a negative padding.
    """
    if x.ndim != 4 or padding < 0:
        raise ValueError(f"images must be (n, c, h, w) and padding at least 0, not {tuple(x.shape)} and {padding!r}")
    n, _, height, width = x.shape
    place = partial(torch.randint, 2 * padding + 1)
    top, left = (draw(place, (n,), generator).to(x.device) for _ in range(2))
    mirrored = (draw(torch.rand, (n,), generator) < 0.5).to(x.device)
    places = F.pad(x, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)  # (n, c, top, left, h, w), a view
    crops = places[torch.arange(n, device=x.device), :, top, left]
    return torch.where(mirrored.view(-1, 1, 1, 1), crops.flip(3), crops)
