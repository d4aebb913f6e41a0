"""Eqs. 1 to 5: distances between logits, the constraint, and every training objective of the study as one sum.

L(x, y) = a CE(F(x), y) + b CE(F(x'), y) + alpha D(F(x), F(x')),      x' = P(x)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from ._checks import check_choice
from ._draws import Source
from .attacks import PGD
from .distributed import unwrapped
from .perturbations import GaussianNoise, RandomPhotometric


def logits_difference(logits: Float[Tensor, "n k"], logits_prime: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """LD(x, x') = F(x') - F(x) (Eq. 1)."""
    return logits_prime - logits


def distance_score(logits: Float[Tensor, "n k"], logits_prime: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """DS(x, x') = ||F(x') - F(x)||^2 of each image (Eq. 2).

    Sums over the k logits, so it grows with k and with the square of the logits' scale.
    """
    return logits_difference(logits, logits_prime).square().sum(dim=1)


def cross_entropy_to(logits: Float[Tensor, "n k"], logits_prime: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """-sum_i p_i(x) log p_i(x'): the regulariser of stability training; p(x) is not detached."""
    return -(logits.softmax(1) * logits_prime.log_softmax(1)).sum(dim=1)


def kl(logits: Float[Tensor, "n k"], logits_prime: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """KL(p(x) || p(x')): the regulariser of TRADES (Zhang et al. 2019)."""
    log_p = logits.log_softmax(1)
    return (log_p.exp() * (log_p - logits_prime.log_softmax(1))).sum(dim=1)


def cosine_distance(logits: Float[Tensor, "n k"], logits_prime: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """1 - cos of the angle between the logits of x and of x', each less its mean over the k classes.

    The softmax does not see that mean, and the angle does not see the logits' scale.
    """
    centred, centred_prime = (values - values.mean(1, keepdim=True) for values in (logits, logits_prime))
    return 1 - F.cosine_similarity(centred, centred_prime, dim=1)


def squared_norm(logits: Float[Tensor, "n k"], logits_prime: Tensor | None = None) -> Float[Tensor, " n"]:
    """||F(x)||^2: shrinks the logits and compares nothing, the control for DS."""
    return logits.square().sum(dim=1)


Distance = Callable[[Tensor, Tensor], Tensor]
DISTANCES: dict[str, Distance] = {
    "squared_l2": distance_score,
    "cross_entropy": cross_entropy_to,
    "kl": kl,
    "cosine": cosine_distance,
    "squared_norm": squared_norm,
}
CONSTRAINTS = {"l2": "squared_l2", "cosine": "cosine", "kl": "kl"}
"""What `Objective(distance=)` takes: the constraint's own distance, Eq. 2's, and what may stand in for it."""


def _batch_mean(values: Tensor, reduction: str, classes: int) -> Tensor:
    """Mean over the batch; "sum" keeps Eq. 2's sum over logits, "mean" divides by their number, as in ALP's code."""
    return values.mean() if reduction == "sum" else values.mean() / classes


class ContinuityLoss(nn.Module):
    """alpha * DS(x, x'), x' = P(x), averaged over the batch (Eqs. 3 to 5): the term for your own training loop.

        loss = F.cross_entropy(logits := model(x), y) + continuity(model, x, logits=logits)

    `perturb` is P, called as `perturb(x)` or `perturb(x, generator)`; None where every call hands in `x_prime`.
    `reduction` "sum" is Eq. 2, "mean" divides by the number of logits; `detach` stops the gradient through F(x). A
    separate forward pass for x' means a second update of BatchNorm's statistics, over x' alone; `Objective`
    concatenates instead. Raises `ValueError` for a negative alpha, or a call with neither `perturb` nor `x_prime`.
    """

    def __init__(
        self,
        perturb: Callable[..., Tensor] | None,
        alpha: float = 1.0,
        *,
        reduction: str = "sum",
        distance: str = "squared_l2",
        detach: bool = False,
    ) -> None:
        super().__init__()
        check_choice(reduction, ("sum", "mean"), "reduction")
        check_choice(distance, DISTANCES, "distance")
        if not alpha >= 0:
            raise ValueError(f"alpha must not be negative, not {alpha!r}")
        self.perturb, self.alpha, self.reduction, self.detach = perturb, alpha, reduction, detach
        self.distance = DISTANCES[distance]

    def forward(
        self,
        model: nn.Module,
        x: Float[Tensor, "n 3 h w"],
        logits: Float[Tensor, "n k"] | None = None,
        x_prime: Float[Tensor, "n 3 h w"] | None = None,
        generator: Generator | None = None,
    ) -> Float[Tensor, ""]:
        """The term for one batch. `logits` saves the forward pass of x; `x_prime`, e.g. from `pgd`, replaces P(x)."""
        if x_prime is None:
            if self.perturb is None:
                raise ValueError("no perturbation was given, so x_prime is needed")
            x_prime = self.perturb(x) if generator is None else self.perturb(x, generator)
        if self.alpha == 0:
            return x.new_zeros(())
        logits = model(x) if logits is None else logits
        values = self.distance(logits.detach() if self.detach else logits, model(x_prime))
        return self.alpha * _batch_mean(values, self.reduction, logits.shape[1])


@dataclass(frozen=True)
class Arm:
    """One training condition: which P, the weights a and b of the two cross-entropies, and what the third term is.

    `weight` names the setting that scales D ("alpha", "beta", "squeeze"), None where there is no third term.
    """

    perturbation: str  # "none", "photometric", "pgd", "gaussian"
    a: float
    b: float
    weight: str | None = None
    distance: str = "squared_l2"
    attack_loss: str = "ce"
    plain: str = "base"  # the arm that this one is where its weight is 0


ARMS: dict[str, Arm] = {
    "base": Arm("none", 1, 0),
    "c": Arm("photometric", 1, 0, "alpha"),
    "adv": Arm("pgd", 0.5, 0.5),
    "adv+c": Arm("pgd", 0.5, 0.5, "alpha", plain="adv"),
    "aug": Arm("photometric", 0.5, 0.5),
    "aug+c": Arm("photometric", 0.5, 0.5, "alpha", plain="aug"),
    "madry": Arm("pgd", 0, 1),
    "madry+c": Arm("pgd", 0, 1, "alpha", plain="madry"),
    "noise+c": Arm("gaussian", 1, 0, "alpha", "cross_entropy"),
    "trades": Arm("pgd", 1, 0, "beta", "kl", "kl"),
    "squeeze": Arm("none", 1, 0, "squeeze", "squared_norm"),
}
"""Every training condition: the paper's four, and the controls that it lacks."""


class Terms(NamedTuple):
    """The objective of one batch and its parts; a part that was not computed is None."""

    loss: Float[Tensor, ""]
    ce: Float[Tensor, ""] | None  # CE(F(x), y)
    ce_prime: Float[Tensor, ""] | None  # CE(F(x'), y)
    distance: Float[Tensor, ""] | None  # D(F(x), F(x')), before its weight
    logits: Float[Tensor, "n k"] | None


class Objective:
    """L(x, y) of one arm, with one concatenated forward pass of [x; x'].

    Where b = 0 and the weight is 0, x' is neither made nor forwarded; where a = 0 and the weight is 0, x is not
    forwarded. So an arm with weight 0 is its plain arm, bit for bit. `forward_both` makes and forwards x' all the same
    (the control for what x' does to BatchNorm). `two_pass` forwards x and x' one after the other, so that BatchNorm
    normalises each by its own batch and updates its statistics twice. `distance` puts another of `CONSTRAINTS` in the
    place of DS, in the arms whose third term is DS. `hue_level` is the level of P's hue where that is not `level`.
    `attack` holds eps, step_size and steps for the arms that train on PGD. Raises `ValueError` for an unknown arm or
    distance, a negative weight, or an adversarial arm without an attack.
    """

    def __init__(
        self,
        arm: str,
        *,
        alpha: float = 1.0,
        beta: float = 6.0,
        squeeze: float = 0.01,
        level: int = 1,
        use_hue: bool = True,
        hue_level: int | None = None,
        sigma: float = 0.04,
        attack: dict | None = None,
        reduction: str = "sum",
        detach: bool = False,
        forward_both: bool = False,
        distance: str = "l2",
        two_pass: bool = False,
    ) -> None:
        check_choice(arm, ARMS, "arm")
        check_choice(reduction, ("sum", "mean"), "reduction")
        check_choice(distance, CONSTRAINTS, "distance")
        self.name, self.arm = arm, ARMS[arm]
        weights = {"alpha": alpha, "beta": beta, "squeeze": squeeze, None: 0.0}
        self.weight = weights[self.arm.weight]
        if not self.weight >= 0:
            raise ValueError(f"{self.arm.weight} must not be negative, not {self.weight!r}")
        self.reduction, self.detach, self.two_pass = reduction, detach, two_pass
        constrains = self.arm.distance == CONSTRAINTS["l2"]
        self.distance = DISTANCES[CONSTRAINTS[distance] if constrains else self.arm.distance]
        compares = self.weight > 0 and self.arm.perturbation != "none"
        self.needs_prime = self.arm.b > 0 or compares or (forward_both and self.arm.perturbation != "none")
        self.needs_clean = self.arm.a > 0 or self.weight > 0 or forward_both
        photometric = {"level": level, "hue": use_hue, "hue_level": hue_level}
        self.perturb = self._perturbation(photometric, sigma, attack) if self.needs_prime else None

    def _perturbation(self, photometric, sigma, attack) -> Callable[[nn.Module, Tensor, Tensor, Source], Tensor]:
        if self.arm.perturbation == "pgd":
            if attack is None:
                needed = "attack=dict(eps=, step_size=, steps=)"
                raise ValueError(f"arm {self.name!r} trains on attacked images: give {needed}")
            return PGD(**attack, loss=self.arm.attack_loss)
        p = GaussianNoise(sigma) if self.arm.perturbation == "gaussian" else RandomPhotometric(**photometric)
        return lambda model, x, y, generator: p.unchecked(x, generator)

    def __call__(
        self, model: nn.Module, x: Float[Tensor, "n 3 h w"], y: Int[Tensor, " n"], generator: Source = None
    ) -> Terms:
        """The objective for one batch; `generator` is what P or the attack draws from."""
        x_prime = self.perturb(unwrapped(model), x, y, generator) if self.needs_prime else None
        logits, logits_prime = self._forward(model, x, x_prime)
        ce = F.cross_entropy(logits, y) if self.arm.a > 0 else None
        ce_prime = F.cross_entropy(logits_prime, y) if self.arm.b > 0 else None
        parts = [weight * value for weight, value in ((self.arm.a, ce), (self.arm.b, ce_prime)) if value is not None]
        distance = None
        if self.weight > 0:
            values = self.distance(logits.detach() if self.detach else logits, logits_prime)
            distance = _batch_mean(values, self.reduction, logits.shape[1])
            parts.append(self.weight * distance)
        return Terms(sum(parts), ce, ce_prime, distance, logits)

    def _forward(self, model: nn.Module, x: Tensor, x_prime: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if x_prime is None:
            return _full(model(x)), None
        if not self.needs_clean:
            return None, _full(model(x_prime))
        if self.two_pass:
            return _full(model(x)), _full(model(x_prime))
        logits, logits_prime = _full(model(torch.cat([x, x_prime]))).chunk(2)
        return logits, logits_prime


def _full(logits: Tensor) -> Tensor:
    """Autocast's half-precision logits as float32: their differences would lose what is to be compared."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def plain_arm(arm: str) -> str:
    """The arm that `arm` is when the weight of its third term is 0."""
    check_choice(arm, ARMS, "arm")
    return ARMS[arm].plain if ARMS[arm].weight else arm
