"""What is measured on an attribution map with the network's help: does the map say what the network does?

Every measure is one number per image and is divided by what the network itself does there (its probability, the change
of its output, the norm of the map), so that networks whose logits differ in scale can be compared. What an image draws
at random is keyed by its number, so it depends neither on the batch nor on the network.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .attributions import generators

Score = Callable[[Tensor], Tensor]
"""Images (m, 3, h, w), their rows among the explained images (m,) -> one number for each, e.g. its label's probability.
"""
Explain = Callable[[Tensor, Tensor], Tensor]
"""Images (m, 3, h, w), their rows among the explained images (m,) -> their maps (m, ...)."""


# --- insertion and deletion ------------------------------------------------------------------------------------------


def ranking(maps: Float[Tensor, "n h w"], keys: Sequence[int], seed: int = 0) -> Int[Tensor, "n p"]:
    """Places of the p = h w pixels in the order of the map, 0 for the largest value; ties are broken at random."""
    count = maps[0].numel()
    shuffled = torch.stack([torch.randperm(count, generator=g) for g in generators(seed, keys)]).to(maps.device)
    order = maps.flatten(1).gather(1, shuffled).argsort(dim=1, descending=True, stable=True)
    return shuffled.gather(1, order).argsort(dim=1)  # order[k] is the pixel at place k; its inverse is wanted


def curves(
    score: Callable[..., Tensor],
    x: Float[Tensor, "n 3 h w"],
    places: Int[Tensor, "n p"],
    colour: Float[Tensor, "3 1 1"],
    steps: int,
) -> tuple[Float[Tensor, "n s"], Float[Tensor, "n s"]]:
    """Scores as pixels are deleted, and as they are inserted, first the map's largest, in `steps` equal shares.

    A deleted pixel shows `colour`; insertion starts from an image of nothing else. Both have steps + 1 points, the last
    of the one being the first of the other.
    """
    n, _, h, w = x.shape
    rows, count = torch.arange(n, device=x.device), h * w
    blank = colour.to(x).expand_as(x)
    deletion, insertion = [score(x, rows)], [score(blank, rows)]
    for step in range(1, steps):
        taken = (places < round(count * step / steps)).view(n, 1, h, w)
        deletion.append(score(torch.where(taken, blank, x), rows))
        insertion.append(score(torch.where(taken, x, blank), rows))
    deletion.append(insertion[0])
    insertion.append(deletion[0])
    return torch.stack(deletion, 1), torch.stack(insertion, 1)


def area(curve: Float[Tensor, "n s"], whole: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Area under a curve of insertion or deletion over the share of pixels (trapezoids), over the image's score."""
    inner = (curve[:, :-1] + curve[:, 1:]).double().mean(1) / 2
    return inner / whole.double().clamp_min(1e-12)


# --- sensitivity and infidelity --------------------------------------------------------------------------------------


def sensitivity(
    explain: Explain, x: Float[Tensor, "n 3 h w"], keys: Sequence[int], *, draws: int, radius: float, seed: int = 0
) -> Float[Tensor, " n"]:
    """max ||map(x + d) - map(x)|| / ||map(x)|| over `draws` of d uniform in [-radius, radius] (Yeh et al. 2019).

    x + d is clamped to [0, 1]. A map that is zero everywhere has norm 1 here, as in captum.
    """
    from captum.metrics import sensitivity_max

    shape = (draws, *x.shape[1:])
    noise = torch.cat([2 * torch.rand(shape, generator=g) - 1 for g in generators(seed, keys)]).to(x)

    def moved(repeated: Tensor) -> Tensor:
        return (repeated + radius * noise).clamp(0, 1)

    def explained(images: Tensor | tuple[Tensor], target: Tensor):
        if isinstance(images, tuple):  # captum asks so for x itself, and then expects a tuple
            return (explained(images[0], target),)
        return explain(images.contiguous(memory_format=torch.channels_last), target).contiguous()

    rows = torch.arange(len(x), device=x.device)  # handed on as captum's "target", which it repeats with the images
    return sensitivity_max(explained, x, moved, n_perturb_samples=draws, target=rows)


def patches(x: Tensor, keys: Sequence[int], draws: int, seed: int = 0) -> Bool[Tensor, "m 1 h w"]:
    """Random squares, `draws` of them per image in turn, with sides from an eighth to a half of the image's shorter."""
    _, _, h, w = x.shape
    shorter = min(h, w)
    least, most = max(1, shorter // 8), max(1, shorter // 2)
    u = torch.cat([torch.rand(draws, 3, generator=g, dtype=torch.float64) for g in generators(seed, keys)])
    side = least + (u[:, 0] * (most - least + 1)).long()
    top, left = (u[:, 1] * (h - side + 1)).long(), (u[:, 2] * (w - side + 1)).long()
    down, across = torch.arange(h)[None, :, None], torch.arange(w)[None, None, :]
    top, left, side = (value.view(-1, 1, 1) for value in (top, left, side))
    inside = (down >= top) & (down < top + side) & (across >= left) & (across < left + side)
    return inside[:, None].to(x.device)


def infidelity(
    score: Score,
    x: Float[Tensor, "n 3 h w"],
    contributions: Float[Tensor, "n 3 h w"],
    colour: Float[Tensor, "3 1 1"],
    hidden: Bool[Tensor, "m 1 h w"],
) -> Float[Tensor, " n"]:
    """Share of the output's changes that the map does not explain, 0 to 1, when squares are painted in `colour`.

    captum's normalised infidelity (Yeh et al. 2019), min over beta of E[(beta I . map - (F(x) - F(x hidden)))^2] with I
    the square's indicator, over E[(F(x) - F(x hidden))^2]: 1 for a map that is zero everywhere, 0 where the map's sum
    over each square is in proportion to what the square is worth. `hidden` holds m / n squares per image, and
    `contributions` what the map says each value of the image adds, relative to `colour`.
    """
    from captum.metrics import infidelity as captum_infidelity

    def painted(repeated: Tensor) -> tuple[Tensor, Tensor]:
        altered = torch.where(hidden, colour.to(x), repeated).contiguous(memory_format=torch.channels_last)
        return hidden.expand_as(repeated).to(x), altered

    rows, draws = torch.arange(len(x), device=x.device), len(hidden) // len(x)

    def score_of(images: Tensor, which: Tensor) -> Tensor:
        return score(images, which)

    settings = {"additional_forward_args": rows, "n_perturb_samples": draws, "normalize": True}
    left = captum_infidelity(score_of, painted, x, contributions.contiguous(), **settings)
    whole = captum_infidelity(score_of, painted, x, torch.zeros_like(contributions), **settings)
    return (left.double() / whole.double().clamp_min(1e-300)).clamp(0, 1)


# --- the check by random weights -------------------------------------------------------------------------------------


def stages(network: nn.Module) -> list[list[nn.Module]]:
    """The network's parts from the logits down: each begins, seen from the image, with a convolution or linear layer.

    A normalisation that stands alone belongs to the convolution before it.
    """
    parts: list[list[nn.Module]] = []
    for child in getattr(network, "network", network).children():
        if any(isinstance(module, nn.Conv2d | nn.Linear) for module in child.modules()):
            parts.append([child])
        elif parts:
            parts[-1].append(child)
    return parts[::-1]


def randomised(network: nn.Module, parts: int, seed: int) -> nn.Module:
    """A copy whose first `parts` of `stages` have fresh weights: the cascade of Adebayo et al. (2018)."""
    copy = deepcopy(network).cpu()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for stage in stages(copy)[:parts]:
            for module in (module for child in stage for module in child.modules()):
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
    return copy.to(next(network.parameters()).device).eval()


def rank_correlation(maps: Float[Tensor, "n h w"], others: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Spearman's correlation of two absolute maps of each image; 0 where one of them is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(m.abs().flatten(1).cpu().numpy(), axis=1) for m in (maps, others)]
    first, second = (torch.from_numpy(np.ascontiguousarray(r - r.mean(1, keepdims=True))) for r in ranks)
    norm = first.norm(dim=1) * second.norm(dim=1)
    return torch.where(norm > 0, (first * second).sum(1) / norm.clamp_min(1e-300), torch.zeros_like(norm))
