"""Section 3, Eqs. 6 and 7, checked in numbers on a small smooth network in float64.

A ReLU network has no second derivative almost everywhere, so the check needs softplus; and it needs float64, because
the remainder of a second-order expansion falls with the cube of the step and soon reaches float32's rounding.
"""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from ..losses import logits_difference
from ..perturbations import RandomPhotometric
from .gradients import jacobian
from .presets import Preset
from .runs import split_of

EXPANSIONS = {
    "first": "first order only",
    "printed": "Eq. 6 as printed",
    "half": "Eq. 6 with ½",
}
LENGTHS = tuple(float(length) for length in np.geomspace(0.02, 2, 9))
"""Lengths ||dx|| of the step, with pixels in [0, 1]; +16/255 on every pixel of an 8 x 8 image has 0.87."""


def softplus_network(classes: int, generator: Generator, width: int = 8) -> nn.Module:
    """A smooth network in float64 with fresh weights: two strided convolutions with softplus, then a linear layer.

    Maps images (n, 3, 8, 8) to logits (n, classes). The weights depend on `generator` alone.
    """
    layers = [
        nn.Conv2d(3, width, 3, 2, 1),
        nn.Softplus(),
        nn.Conv2d(width, 2 * width, 3, 2, 1),
        nn.Softplus(),
        nn.Flatten(),
        nn.Linear(8 * width, classes),
    ]
    network = nn.Sequential(*layers).double()
    with torch.no_grad():
        for weights in network.parameters():  # twice He's scale: enough curvature to be seen
            scale = 2 * (2 / weights[0].numel()) ** 0.5 if weights.ndim > 1 else 0.1
            weights.copy_(scale * torch.randn(weights.shape, generator=generator, dtype=torch.float64))
    return network.eval()


def derivatives(
    model: nn.Module, x: Float[Tensor, "n ..."], direction: Float[Tensor, "n ..."]
) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k"], Float[Tensor, "n k"]]:
    """F(x), (dF/dx) u and u^T (d2F/dx2) u of each logit, for one direction u per image.

    The Hessian of Eq. 6 is one matrix per logit, of which only this quadratic form is needed: the second derivative of
    F(x + t u) by t at t = 0.
    """
    with torch.enable_grad():
        t = torch.zeros(len(x), dtype=x.dtype, device=x.device, requires_grad=True)
        value = model(x.detach() + t.view(-1, *[1] * (x.ndim - 1)) * direction)
        slope, bend = torch.zeros_like(value), torch.zeros_like(value)
        for k in range(value.shape[1]):
            (first,) = torch.autograd.grad(value[:, k].sum(), t, create_graph=True)
            slope[:, k] = first
            if first.requires_grad:  # it does not where F is linear in t
                bend[:, k] = torch.autograd.grad(first.sum(), t, retain_graph=True, materialize_grads=True)[0]
    return value.detach(), slope.detach(), bend.detach()


@torch.no_grad()
def remainders(
    model: nn.Module, x: Float[Tensor, "n ..."], direction: Float[Tensor, "n ..."], lengths: tuple[float, ...] = LENGTHS
) -> pd.DataFrame:
    """||R|| of Eq. 6 over ||dx||, for dx = length * u, u the unit vector along `direction` of each image.

    Columns image, length, expansion (of `EXPANSIONS`), remainder: the norm over the logits of what F(x + dx) - F(x) has
    beyond the linear term ("first"), also beyond dx^T (d2F/dx2) dx ("printed"), or beyond half of it ("half").
    Raises `ValueError` where a direction is zero.
    """
    size = direction.flatten(1).norm(dim=1)
    if bool((size == 0).any()):
        raise ValueError("a direction is zero: dx needs a length")
    u = direction / size.view(-1, *[1] * (direction.ndim - 1))
    value, slope, bend = derivatives(model, x, u)
    rows = []
    for length in lengths:
        beyond = logits_difference(value, model(x + length * u)) - length * slope
        for name, factor in (("first", 0.0), ("printed", 1.0), ("half", 0.5)):
            rest = (beyond - factor * length**2 * bend).norm(dim=1)
            rows += [
                {"image": k, "length": length, "expansion": name, "remainder": float(r)} for k, r in enumerate(rest)
            ]
    return pd.DataFrame(rows)


def _sample(preset: Preset, seed: int, images: int) -> tuple[nn.Module, Tensor, Tensor, Generator]:
    """The network, and test images averaged to 8 x 8, in float64, with their labels."""
    data = split_of(preset, "test").select(slice(images))
    generator = Generator().manual_seed(seed)
    x = F.adaptive_avg_pool2d(data.float().double(), 8)
    return softplus_network(len(data.classes), generator), x, data.labels, generator


def taylor(preset: Preset, *, seed: int = 0, images: int = 20) -> pd.DataFrame:
    """`remainders` on the first test images, each in the direction in which the training P moves it (Eq. 3).

    Columns arm ("softplus"), seed, and those of `remainders`.
    """
    network, x, _, generator = _sample(preset, seed, images)
    direction = RandomPhotometric()(x, generator) - x
    direction = torch.where(direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1) > 0, direction, torch.ones_like(x))
    table = remainders(network, x, direction)
    return pd.concat([pd.DataFrame({"arm": "softplus", "seed": seed}, index=table.index), table], axis=1)


def orders(table: pd.DataFrame) -> pd.DataFrame:
    """The order of the remainder: the slope of log ||R|| over log ||dx||, by least squares over all images and lengths.

    Columns arm, seed, expansion, slope, and the smallest and the largest slope of a single image.
    """
    keys, rows = ["arm", "seed", "expansion"], []
    for key, part in table.groupby(keys, sort=False):
        single = [_slope(image) for _, image in part.groupby("image")]
        slopes = {"slope": _slope(part), "smallest": min(single), "largest": max(single)}
        rows.append(dict(zip(keys, key, strict=True)) | slopes)
    return pd.DataFrame(rows)


def _slope(part: pd.DataFrame) -> float:
    return float(np.polyfit(np.log(part["length"]), np.log(part["remainder"]), 1)[0])


def both_sides(
    model: nn.Module, x: Float[Tensor, "n 3 h w"], y: Int[Tensor, " n"]
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n 3 h w"]]:
    """Eq. 7 by two ways: dLoss/dx by one backward pass, and (dLoss/dF)(dF/dx), each factor on its own.

    Loss is the cross-entropy of each image; its gradient by the logits is softmax(F) less the label's unit vector.
    """
    x = x.detach().requires_grad_()
    logits = model(x)
    (left,) = torch.autograd.grad(F.cross_entropy(logits, y, reduction="sum"), x)
    by_logits = logits.detach().softmax(1) - F.one_hot(y, logits.shape[1])  # (n, k)
    return left, torch.einsum("nk,nkchw->nchw", by_logits, jacobian(model, x))


def chain_rule(preset: Preset, *, seed: int = 0, images: int = 20) -> pd.DataFrame:
    """How well the two sides of Eq. 7 agree on the first test images.

    Columns arm ("softplus"), seed, image, error (largest absolute difference over the largest absolute gradient), and
    `cosine` between the gradient and its sign, which is what the paper's attack steps along.
    """
    network, x, y, _ = _sample(preset, seed, images)
    left, right = (side.flatten(1) for side in both_sides(network, x, y))
    error = (left - right).abs().amax(1) / left.abs().amax(1)
    cosine = F.cosine_similarity(left, left.sign(), dim=1)
    about = {"arm": "softplus", "seed": seed, "image": range(len(x))}
    return pd.DataFrame(about | {"error": error.numpy(), "cosine": cosine.numpy()})


def worst(table: pd.DataFrame) -> pd.DataFrame:
    """The largest error of `chain_rule`: columns arm, seed, error."""
    return table.groupby(["arm", "seed"], sort=False, as_index=False)["error"].max()


# --- words ------------------------------------------------------------------------------------------------------------


def conclusion(table: pd.DataFrame) -> str:
    """What a table of `remainders` says of Eq. 6, in Markdown."""
    slope = orders(table).groupby("expansion")["slope"].mean()
    right = [EXPANSIONS[name] for name in ("printed", "half") if slope[name] > 2.5]
    shortest = table[table["length"] == table["length"].min()].groupby("expansion")["remainder"].mean()
    return (
        f"The remainder falls with the power {slope['first']:.2f} of the step after the linear term, "
        f"{slope['printed']:.2f} with the quadratic term as it is printed, and {slope['half']:.2f} with half of it. "
        f"Third order, which is what a second-order expansion must leave, is reached by: "
        f"**{' and '.join(right) or 'neither'}**. At the shortest step the printed form leaves "
        f"{shortest['printed'] / shortest['first']:.2f} times what the linear term alone leaves, the form with ½ "
        f"{shortest['half'] / shortest['first']:.2g} times."
    )


def conclusion_chain(table: pd.DataFrame) -> str:
    """What `chain_rule` says of Eq. 7, in Markdown."""
    return (
        f"The two sides differ by at most {table['error'].max():.1e} of the largest entry, over {len(table)} images. A "
        f"step along the *sign* of the gradient, which the attack takes, has a cosine of {table['cosine'].mean():.2f} "
        f"with the gradient itself ({table['cosine'].min():.2f} to {table['cosine'].max():.2f})."
    )


def describe(table: pd.DataFrame) -> str:
    """Alt text of the figure of `remainders`, from a table with one or more seeds."""
    slopes = orders(table).groupby("expansion", sort=False)["slope"].mean()
    lines = "; ".join(f"{EXPANSIONS[name]}: slope {slope:.2f}" for name, slope in slopes.items())
    return f"Norm of the remainder over the length of the step, both logarithmic; three straight lines. {lines}."
