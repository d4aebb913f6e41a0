"""What the controls and the other questions beyond the paper may spend: one group of keys in a preset for each."""

from dataclasses import dataclass, field
from typing import Any

from ..models import STEMS
from .budgets import among, at_least

ABLATIONS: dict[str, dict[str, Any]] = {
    "detach": {"detach": True},
    "two-pass": {"two_pass": True},
    "mean": {"reduction": "mean"},
    "cosine": {"distance": "cosine"},
    "kl": {"distance": "kl"},
    "no-hue": {"use_hue": False},
    "term zero": {"alpha": 0.0, "forward_both": True},
}
"""What may be changed in an arm with the constraint, all else equal. "term zero" is the control for BatchNorm: x' goes
through the network and has no weight."""


@dataclass(frozen=True)
class Controls:
    """What the constraint adds beyond its controls, and the constraint in other forms (notebook 03)."""

    beyond: bool = False  # the table of paired differences between an arm and its control
    ablations: tuple[str, ...] = ()  # names of `ABLATIONS`
    ablated: tuple[str, ...] = ("c",)  # the arms that they change
    seeds: int = 3  # of each; 0: planned, and none trained yet

    def __post_init__(self) -> None:
        at_least(self, 0, "seeds")
        among(self, "ablations", ABLATIONS)


@dataclass(frozen=True)
class Lengths:
    """Training length as a control (notebook 02): each length is a training of its own, with its own schedule."""

    epochs: tuple[int, ...] = ()  # at least five to see a curve; none: no such trainings
    arms: tuple[str, ...] = ("base", "c", "adv", "adv+c")
    seeds: int = 3  # of each, of `few_arms` at most few_seeds; 0: planned, and none trained yet
    doubled: tuple[str, ...] = ()  # arms also as long as they train elsewhere and twice that: levelled off?
    halved: tuple[str, ...] = ()  # arms also as long as they train elsewhere and half that, which asks less time
    tolerance: float = (
        1.0  # percentage points: levelled off where the last doubling changes validation accuracy by less
    )
    worst: bool = False  # also the worst case over the audit's attacks
    followed: bool = False  # also gradients, relative DS and, on PhotoDigits, what conflict costs

    def __post_init__(self) -> None:
        at_least(self, 0, "seeds")
        if any(epochs < 1 for epochs in self.epochs) or len(set(self.epochs)) != len(self.epochs):
            raise ValueError(f"epochs must be distinct numbers of at least 1, not {list(self.epochs)}")
        if not self.tolerance > 0:
            raise ValueError(f"tolerance must be above 0 points, not {self.tolerance!r}")


@dataclass(frozen=True)
class Frontier:
    """The plane of clean against attacked accuracy (notebook 05): who else buys the same trade; none: no such plane."""

    alphas: tuple[float, ...] = ()  # of adv+c
    betas: tuple[float, ...] = ()  # of trades
    eps: tuple[float, ...] = ()  # of adv, in 1/255; its step grows with it
    arms: tuple[str, ...] = ()  # further arms, as they are
    seeds: int = 3  # of each point; 0: planned, and none trained yet
    worst: bool = False  # also the worst case over the audit's attacks

    def __post_init__(self) -> None:
        at_least(self, 0, "seeds")
        for name in ("alphas", "betas", "eps"):
            if any(value <= 0 for value in getattr(self, name)):
                raise ValueError(f"{name} must be above 0, not {list(getattr(self, name))}")


@dataclass(frozen=True)
class Stems:
    """The adversarial arms behind other first layers (notebook 05): what is it worth to pass over pixels?

    They are set beside the same arms behind the preset's own, as many seeds of each. No names: no such networks.
    """

    names: tuple[str, ...] = ()  # of `semcont.models.STEMS`
    arms: tuple[str, ...] = ("adv", "adv+c")
    seeds: int = 3  # of each; 0: planned, and none trained yet

    def __post_init__(self) -> None:
        at_least(self, 0, "seeds")
        among(self, "names", STEMS)


@dataclass(frozen=True)
class Chosen:
    """What the rule of `Tuning` picked, written down because the graph has to know it; None: still open."""

    c: float | None = None
    adv_c: float | None = None  # of adv+c

    def by_arm(self) -> dict[str, float | None]:
        """The alpha of each arm that is tuned."""
        return {"c": self.c, "adv+c": self.adv_c}


@dataclass(frozen=True)
class Tuning:
    """Weights chosen on validation images (notebook 03), on data and a seed that are never reported; none: not tried.

    `adv+c` takes the alpha with the highest validation accuracy under `evaluation`; `c` the largest whose clean
    validation accuracy is within `tolerance` of base's; `squeeze` the lambda whose mean DS is nearest, as a ratio, to
    that of `c` at the preset's alpha. Of equals the smaller weight.
    """

    alphas: tuple[float, ...] = ()  # candidates of c and of adv+c
    lambdas: tuple[float, ...] = ()  # candidates of squeeze, whose weight in the arms stays constraint.squeeze
    data_seed: int = 1  # of the candidates' images
    seed: int = 100  # of the candidates' training
    epochs: int | None = None  # of the candidates; None for as many as the arms get
    tolerance: float = 1.0  # percentage points of clean accuracy that c may lose
    seeds: int = 3  # of the networks at the chosen alphas; 0: planned, and not even the candidates are trained yet
    chosen: Chosen = field(default_factory=Chosen)

    def __post_init__(self) -> None:
        at_least(self, 0, "data_seed", "seed", "seeds", "tolerance")
        at_least(self, 1, "epochs")
        for name in ("alphas", "lambdas"):
            values = getattr(self, name)
            if any(value <= 0 for value in values) or len(set(values)) != len(values):
                raise ValueError(f"{name} must be distinct and above 0, not {list(values)}")
        for value in self.chosen.by_arm().values():
            if value is not None and value not in self.alphas:
                raise ValueError(f"chosen: {value:g} is none of the candidates {list(self.alphas)}")
