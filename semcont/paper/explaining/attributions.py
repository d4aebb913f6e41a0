"""Attribution maps of section 4.5 by captum, and what is measured on a map where the object's mask is known.

Maps explain the logit of the true label (Integrated Gradients, GradCAM, the plain gradient) or its probability (LIME),
on images in [0, 1]. What is measured with the network's help, too, is in `faithfulness`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ...models import last_stage

KERNEL_WIDTH = 0.25
"""Width of LIME's kernel on the cosine distance between a sample and the whole image, as in its authors' code."""


def integrated_gradients(
    model: nn.Module,
    x: Float[Tensor, "n 3 h w"],
    y: Int[Tensor, " n"],
    *,
    baseline: Sequence[float] = (0.0, 0.0, 0.0),
    steps: int = 32,
    batch_size: int = 400,
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, " n"]]:
    """(x - b) * mean of dF_y/dx along the straight path from the baseline b to x (Sundararajan et al. 2017).

    `baseline` is one colour for the whole image; (0, 0, 0) is black. Returns the signed maps and, per image, the
    relative convergence delta |sum of the map - (F_y(x) - F_y(b))| / |F_y(x) - F_y(b)|, which would be 0 for a path of
    infinitely many steps. At most `batch_size` images of 32 x 32 pixels, or as many pixels, are in memory at once.
    """
    from captum.attr import IntegratedGradients

    start = torch.tensor(baseline, dtype=x.dtype, device=x.device).view(1, 3, 1, 1).expand_as(x)
    most = max(batch_size * 32**2 // x[0, 0].numel(), len(x))
    maps, delta = IntegratedGradients(model).attribute(
        x, start, target=y, n_steps=steps, internal_batch_size=most, return_convergence_delta=True
    )
    total = (maps.flatten(1).sum(1) - delta).abs()  # captum's delta is sum - (F(x) - F(b))
    return maps.detach().to(x.dtype), (delta.abs() / total.clamp_min(1e-12)).detach()


def gradient(
    model: nn.Module, x: Float[Tensor, "n 3 h w"], y: Int[Tensor, " n"], *, batch_size: int = 400
) -> Float[Tensor, "n 3 h w"]:
    """dF_y/dx, signed (Simonyan et al. 2014 show its absolute value)."""
    from captum.attr import Saliency

    explain = Saliency(model)
    pieces = zip(x.split(batch_size), y.split(batch_size), strict=True)
    return torch.cat(
        [explain.attribute(some.detach().requires_grad_(), target=label, abs=False) for some, label in pieces]
    ).detach()


def gradcam(
    model: nn.Module,
    x: Float[Tensor, "n 3 h w"],
    y: Int[Tensor, " n"],
    *,
    layer: nn.Module | None = None,
    placed: bool = False,
) -> Float[Tensor, "n h w"]:
    """ReLU of the feature maps weighted by their mean gradients (Selvaraju et al. 2017), upsampled bilinearly.

    `layer` is the network's last stage where none is given. Resizing, as is usual, moves a map of few cells by (stride
    - 1) / 2 pixels to the lower right; with `placed`, cell i lies at pixel i * stride instead, where its receptive
    field is centred in a network of padded odd kernels (every residual network). A map can be zero everywhere: nothing
    there speaks for y.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    maps = LayerGradCam(model, layer or last_stage(model)).attribute(x, target=y, relu_attributions=True).detach()
    size = tuple(x.shape[-2:])
    if not placed:
        return LayerAttribution.interpolate(maps, size, interpolate_mode="bilinear")[:, 0]
    down, across = (
        torch.arange(pixels, device=x.device) * (2 / pixels) + 1 / cells - 1  # cell i's middle is (2 i + 1) / cells - 1
        for pixels, cells in zip(size, maps.shape[-2:], strict=True)
    )
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1).to(maps.dtype)  # (h, w, 2): x, y in [-1, 1]
    return F.grid_sample(maps, grid.expand(len(x), -1, -1, -1), padding_mode="border", align_corners=False)[:, 0]


def superpixels(x: Float[Tensor, "n 3 h w"], count: int = 40) -> Int[Tensor, "n h w"]:
    """SLIC segments of each image, numbered from 0. `count` are asked for; joining small ones leaves fewer."""
    from skimage.segmentation import slic

    found = [slic(image.permute(1, 2, 0).cpu().numpy(), n_segments=count, compactness=10, start_label=0) for image in x]
    return torch.from_numpy(np.stack(found)).to(x.device)


def lime(
    model: nn.Module,
    x: Float[Tensor, "n 3 h w"],
    y: Int[Tensor, " n"],
    segments: Int[Tensor, "n h w"],
    *,
    baseline: Sequence[float] = (0.0, 0.0, 0.0),
    samples: int = 200,
    seed: int = 0,
    keys: Sequence[int] | None = None,
) -> Float[Tensor, "n h w"]:
    """Weight of each superpixel in a weighted linear fit of p_y over which superpixels are shown (Ribeiro et al. 2016).

    Superpixels are hidden by the colour `baseline`, each with chance 1/2. The fit is a ridge: captum's default, the
    lasso, sets small weights to zero, so it would depend on how sure a network is of itself. Image k draws from (seed,
    k) alone, or from (seed, keys[k]), so networks are asked the same questions.

    The altered images of one image are made and classified at once. captum makes them one by one, which costs more
    than the network does; a test holds the weights to captum's.
    """
    from sklearn.linear_model import Ridge

    colour = torch.tensor(baseline, dtype=x.dtype, device=x.device).view(3, 1, 1)
    maps = torch.zeros(x.shape[0], *x.shape[2:], dtype=x.dtype, device=x.device)
    for k, generator in enumerate(generators(seed, range(len(x)) if keys is None else keys)):
        shown = torch.rand(samples, int(segments[k].max()) + 1, generator=generator).flip(0) < 0.5  # last row first
        visible = shown.to(x.device)[:, segments[k]][:, None]  # (samples, 1, h, w)
        altered = torch.where(visible, x[k], colour).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            p = model(altered).softmax(1)[:, int(y[k])]
        rows = shown.float()
        fit = Ridge(alpha=1.0).fit(rows.numpy(), p.cpu().numpy(), sample_weight=_similarity(rows).numpy())
        maps[k] = torch.from_numpy(fit.coef_).to(x)[segments[k]]
    return maps


def generators(seed: int, keys: Iterable[int]) -> list[torch.Generator]:
    """One generator per image, seeded by (seed, key): what an image draws depends on no other image of its batch."""
    states = [int(np.random.SeedSequence([seed, int(key)]).generate_state(1)[0]) for key in keys]
    return [torch.Generator().manual_seed(state) for state in states]


def _similarity(shown: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """exp(-d^2 / (2 width^2)), d the cosine distance between the superpixels shown and all of them."""
    distance = 1 - shown.mean(1).sqrt()
    return torch.exp(-(distance**2) / (2 * KERNEL_WIDTH**2))


# --- what is measured on a map ---------------------------------------------------------------------------------------


def energy(maps: Float[Tensor, "n h w"], masks: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Share of the absolute map inside the mask, over the mask's share of the area: 1 is no better than uniform.

    A map that is zero everywhere prefers no place, so it counts as 1: dropping it would reward a network for failing.
    """
    size = maps.abs().double().flatten(1)
    inside = (size * masks.flatten(1)).sum(1)
    area = masks.flatten(1).double().mean(1)
    ratio = inside / (size.sum(1) * area).clamp_min(1e-300)
    return torch.where(is_zero(maps), torch.ones_like(ratio), ratio)


def roughness(maps: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Sum of absolute differences of neighbouring pixels of the absolute map, over the map's sum; 0 for a zero map."""
    size = maps.abs().double()
    down = (size[:, 1:] - size[:, :-1]).abs().sum((1, 2))
    across = (size[:, :, 1:] - size[:, :, :-1]).abs().sum((1, 2))
    return (down + across) / size.sum((1, 2)).clamp_min(1e-300)


def is_zero(maps: Float[Tensor, "n h w"]) -> Bool[Tensor, " n"]:
    """True for each map that is zero everywhere."""
    return maps.flatten(1).eq(0).all(1)


def pointing(maps: Float[Tensor, "n h w"], masks: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """The pointing game (Zhang et al. 2016): 1 where the absolute map is largest on the object, 0 where it is not.

    Among several largest pixels, the share of them on the object; so a map that is zero everywhere gets the mask's
    share of the area, which is what pointing at random would score.
    """
    size = maps.abs().flatten(1)
    peak = size == size.amax(1, keepdim=True)
    return (peak & masks.flatten(1)).sum(1).double() / peak.sum(1)


def gini(maps: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Gini coefficient of the absolute map, its sparseness (Chalasani et al. 2020): 0 for a constant or a zero map.

    1 - 2 sum_k (a_k / ||a||_1) (N - k + 1/2) / N over the N pixels in increasing order; one pixel alone has 1 - 1/N.
    It rewards few pixels, whichever they are.
    """
    ordered = maps.abs().double().flatten(1).sort(1).values
    count = ordered.shape[1]
    weight = (count - torch.arange(1, count + 1, device=maps.device) + 0.5) / count
    found = 1 - 2 * (ordered * weight).sum(1) / ordered.sum(1).clamp_min(1e-300)
    return torch.where(is_zero(maps), torch.zeros_like(found), found)
