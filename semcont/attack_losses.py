"""What an attack climbs: functions of (logits, labels), one number per image, larger being worse for the network."""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]  # (logits (n, k), labels (n,)) -> (n,), larger is worse for the network


def cross_entropy(logits: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """-log softmax(logits)[y] of each image."""
    return F.cross_entropy(logits, y, reduction="none")


def margin(logits: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """max over i != y of z_i, less z_y: above 0 exactly where the image is misclassified (Carlini & Wagner 2017)."""
    own = logits.gather(1, y.view(-1, 1)).squeeze(1)
    others = logits.scatter(1, y.view(-1, 1), float("-inf")).amax(1)
    return others - own


def dlr(logits: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The margin over z_(1) - z_(3), the spread of the three largest: free of scale (Croce & Hein 2020).

    Raises `ValueError` with fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise ValueError(f"the dlr loss needs at least three classes, not {logits.shape[1]}")
    top = logits.topk(3, dim=1).values
    return margin(logits, y) / (top[:, 0] - top[:, 2]).clamp_min(1e-12)


def rescaled(logits: Float[Tensor, "n k"], y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Cross-entropy of logits divided by their own standard deviation over the classes: free of scale and of shift.

    The divisor is held constant in the gradient: so it acts as a temperature, under which no softmax saturates in
    float32, and the gradient keeps the direction of the cross-entropy's at that temperature.
    """
    spread = logits.detach().double().std(dim=1, correction=0, keepdim=True)  # squares of large logits overflow float32
    return cross_entropy(logits / spread.where(spread > 0, 1.0).to(logits.dtype), y)


LOSSES: dict[str, Loss] = {"ce": cross_entropy, "margin": margin, "dlr": dlr, "rescaled": rescaled}
