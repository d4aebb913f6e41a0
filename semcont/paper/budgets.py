"""What each section of the study may spend, and its own settings: one group of keys in a preset per section."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from .strict import nearest

TARGETS = {
    "grey_digits": "grey digits",
    "textures": "photographs",
    "faces": "faces",
    "cifar10": "CIFAR-10",
    "svhn": "SVHN",
    "svhn-first1083": "1,083 of SVHN",
    "mnist": "MNIST",
}
"""What section 4.6 can carry networks over to, and a short name of each."""


def at_least(group, least: float, *names: str) -> None:
    """Raise `ValueError` for a key of `group` below `least`; None, for all there are, passes."""
    for name in names:
        value = getattr(group, name)
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, not {value!r}")


def among(group, name: str, known: Collection[str]) -> None:
    """Raise `ValueError` for a name in the key `name` of `group` that is not `known`."""
    for value in getattr(group, name):
        if value not in known:
            raise ValueError(f"{name}: there is no {value!r}, only {', '.join(known)}")


@dataclass(frozen=True)
class Discontinuity:
    """Section 2: Figs. 1 and 2."""

    per_class: int = 50  # reference images per class; ImageNet's val set has 50
    originals: int | None = None  # test images whose versions are ranked in the logits and by PCA; None for all
    embedded: int = 40  # of them also by t-SNE and UMAP, which are slow
    network: str | None = (
        None  # one that was trained on ImageNet is judged, with torchvision's weights; None: arm `base`
    )

    def __post_init__(self) -> None:
        at_least(self, 2, "per_class")  # one may be the image itself
        at_least(self, 1, "originals", "embedded")

    def changes(self) -> dict[str, Any]:
        """The changes that make section 2's network of `base`: none, or those to a network as ImageNet made it."""
        if self.network is None:
            return {}
        as_it_is = {"epochs": 0, "labels": "imagenet", "weights": "imagenet"}
        return {"model": self.network, "width": 64, "stem": "imagenet"} | as_it_is


@dataclass(frozen=True)
class Gradients:
    """Section 3: Eqs. 6 and 7, smoothness."""

    images: int | None = 300  # test images whose input gradients are measured; None for all
    step: float = 2  # of the curvature, in 1/255
    maps: int = 4  # test images whose single pixels are shown

    def __post_init__(self) -> None:
        at_least(self, 2, "images")
        at_least(self, 1, "maps")
        if not self.step > 0:
            raise ValueError(f"step must be above 0, not {self.step!r}")


@dataclass(frozen=True)
class Continuity:
    """Section 4.2: Figs. 3 and 4."""

    images: int | None = None  # test images; None for all
    alphas: tuple[float, ...] = (0.0, 0.1, 1.0, 10.0, 100.0)  # Fig. 4; 0 is `base`
    alpha_epochs: int | None = None  # of Fig. 4's networks; None for as many as the arms get
    alpha_seeds: int | None = None  # of Fig. 4's networks; None for as many as the arms get
    path_images: int | None = 0  # test images of the worst case over a path of strengths; 0 for none, None for all
    path_points: int = 65  # strengths from level -4 to level 4

    def __post_init__(self) -> None:
        at_least(self, 1, "alpha_seeds")
        at_least(self, 0, "path_images")
        if self.path_points < 3 or self.path_points % 2 == 0:  # odd, so that the middle one is the image itself
            raise ValueError(f"path_points must be an odd number of at least 3, not {self.path_points}")
        if len(set(self.alphas)) < 2 or min(self.alphas) < 0:
            raise ValueError(f"alphas must be at least two weights of at least 0, not {list(self.alphas)}")
        if self.alpha_epochs is not None and self.alpha_epochs < 1:
            raise ValueError(f"alpha_epochs must be at least 1, not {self.alpha_epochs}")

    def sweep(self) -> list[dict[str, float]]:
        """The changes that make Fig. 4's networks of `c`, one dict for each alpha."""
        shorter = {} if self.alpha_epochs is None else {"epochs": self.alpha_epochs}
        return [{"alpha": alpha, **shorter} for alpha in self.alphas]


@dataclass(frozen=True)
class Features:
    """Section 4.3: Figs. 5 to 10."""

    images: int | None = None  # test images; None for all
    context_seeds: int = 0  # networks trained on PhotoDigits' backgrounds alone; 0 for none

    def __post_init__(self) -> None:
        at_least(self, 0, "context_seeds")


@dataclass(frozen=True)
class Audit:
    """The full audit of section 4.4, beside the short one. Where a number of images is 0, that part is left out."""

    images: int = 0  # test images of what every network gets: noise, long PGD, AutoAttack's two APGD parts
    steps: int = 50  # of the long PGD, with the cross-entropy and with the margin
    restarts: int = 1
    full_seeds: int = 1  # how many seeds get the following three; 0: planned, and none has them yet
    whole_images: int = 0  # of `images`, those that AutoAttack's other two parts attack, too
    grid_images: int = 0  # of the grid of our attacks
    transfer_images: int = 0  # of the attacks carried from arm to arm
    grid_steps: tuple[int, ...] = (10, 50, 200)
    grid_restarts: tuple[int, ...] = (1, 10)
    grid_losses: tuple[str, ...] = ("ce", "margin", "dlr", "rescaled", "kl")
    effort: float = 1  # share of the iterations and queries of AutoAttack's `standard`; below 1 for tests
    far: float = 128  # in 1/255: a radius that has a uniform grey image in reach
    eps_images: int = 0  # of the curves over the radius, in pixels and in normalised space
    spaces: tuple[str, ...] = ()  # the adversarial arms trained with their radius meant so, see `attack.space`
    spaces_epochs: tuple[int, ...] = ()  # further lengths of these networks, beside the arms'
    finetune_epochs: int = 0  # of C and ADV, fine-tuned from `base` with the paper's optimiser
    finetune_lr: float = 1e-5  # of Adam; paper: 1e-5
    variant_seeds: int = 1  # seeds of `spaces` and of the fine-tuned; 0: planned, and none trained yet

    def __post_init__(self) -> None:
        counts = ("images", "whole_images", "grid_images", "transfer_images", "eps_images")
        at_least(self, 0, *counts, "full_seeds", "finetune_epochs", "variant_seeds")
        at_least(self, 1, "steps", "restarts", "far")
        if self.whole_images > self.images or self.grid_images > (self.images or self.grid_images):
            raise ValueError(
                f"whole_images and grid_images must be at most images, {self.images}, not {self.whole_images} and "
                f"{self.grid_images}"
            )
        for name, least in (("grid_steps", 1), ("grid_restarts", 1), ("spaces_epochs", 0)):
            values = getattr(self, name)
            if len(values) < least or min(values, default=1) < 1 or list(values) != sorted(set(values)):
                raise ValueError(f"{name} must be numbers of at least 1 that rise, not {list(values)}")
        for name, known in (("grid_losses", _LOSSES), ("spaces", _SPACES)):
            unknown = [value for value in getattr(self, name) if value not in known]
            if unknown:
                raise ValueError(f"{name}: there is no {unknown[0]!r}, only {', '.join(known)}")
        if self.spaces_epochs and not self.spaces:
            raise ValueError(f"spaces_epochs, {list(self.spaces_epochs)}, are of networks that spaces does not ask for")
        if not 0 < self.effort <= 1:
            raise ValueError(f"effort must lie in (0, 1], not {self.effort!r}")
        if not self.finetune_lr > 0:
            raise ValueError(f"finetune_lr must be above 0, not {self.finetune_lr!r}")


_LOSSES = ("ce", "margin", "dlr", "rescaled", "kl")
_SPACES = ("normalised", "normalised-unclamped")


@dataclass(frozen=True)
class Robustness:
    """Section 4.4: Table 2."""

    images: int | None = None  # test images of Table 2; None for all
    eps: tuple[float, ...] = (0, 1, 2, 4, 8, 16)  # radii of the curve, in 1/255
    curve_images: int | None = 400  # test images of the curve
    audit_images: int | None = 200  # test images of the audit
    audit_steps: int = 50  # PGD steps of the audit
    audit_restarts: int = 2
    audit_far: float = 64  # in 1/255: a radius at which no network may withstand
    lengths: tuple[int, ...] = ()  # further training lengths in epochs for `adv` and `adv+c`, beside training.epochs
    audit: Audit = field(default_factory=Audit)  # the full one

    def __post_init__(self) -> None:
        at_least(self, 1, "images", "curve_images", "audit_images", "audit_steps", "audit_restarts", "audit_far")
        if not self.eps or min(self.eps) < 0 or max(self.eps) > 255:
            raise ValueError(f"eps must be radii from 0 to 255, at least one, not {list(self.eps)}")
        if any(epochs < 1 for epochs in self.lengths):
            raise ValueError(f"lengths must be numbers of epochs of at least 1, not {list(self.lengths)}")


@dataclass(frozen=True)
class Interpretability:
    """Section 4.5: Figs. 11 to 13."""

    images: int = 100  # test images whose maps are measured
    rows: int = 5  # of them in a figure
    steps: int = 32  # points along the path of Integrated Gradients
    samples: int = 200  # altered images per LIME explanation
    superpixels: int = 40  # asked of SLIC, which makes about 26
    paired_images: int = 0  # per arm, right for it and for `base`, for the measures beyond energy; 0: none are made
    paired_seeds: int | None = None  # the first so many seeds; None for all
    curve_steps: int = 16  # equal shares of the pixels in which insertion and deletion go
    sensitivity_draws: int = 4  # altered copies per image
    sensitivity_radius: float = 5  # of them, in 1/255
    infidelity_patches: int = 24  # squares painted over, per image
    mosaics: int = 0  # of four test images each, per seed; 0: none
    mosaic_images: int | None = None  # right for all of a seed's networks, that they are made of; None: the paired ones

    def __post_init__(self) -> None:
        at_least(self, 1, "images", "rows", "steps", "samples", "superpixels", "paired_seeds", "mosaic_images")
        at_least(self, 1, "sensitivity_draws", "infidelity_patches")
        at_least(self, 2, "curve_steps")
        at_least(self, 0, "paired_images", "mosaics")
        if not self.sensitivity_radius > 0:
            raise ValueError(f"sensitivity_radius must be above 0, not {self.sensitivity_radius!r}")


@dataclass(frozen=True)
class Transfer:
    """Section 4.6: Table 3."""

    targets: tuple[str, ...] = ("grey_digits", "textures", "faces")  # of TARGETS
    train: int | None = 1000  # images of a target with splits; None for all
    test: int | None = 1000
    epochs: int = 10  # of the full fine-tune
    faces_epochs: int = 20  # on a fold of a target without splits: the faces, the 1,083 images of SVHN
    lr: float = 0.03  # peak of the fine-tune's schedule
    folds: int = 5  # of the faces; trained on one, tested on the others
    repeats: int = 2
    doubled_seeds: int = 0  # networks per arm fine-tuned for twice as long: had that levelled off? 0: not tried

    def __post_init__(self) -> None:
        for target in self.targets:
            if target not in TARGETS:
                raise ValueError(f"targets: unknown target {target!r}{nearest(target, TARGETS)}")
        if not self.targets or len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets must be distinct and at least one, not {list(self.targets)}")
        at_least(self, 1, "train", "test", "epochs", "faces_epochs", "repeats")
        at_least(self, 0, "doubled_seeds")
        at_least(self, 2, "folds")
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, not {self.lr!r}")


@dataclass(frozen=True)
class Fairness:
    """Section 4.7: Fig. 14, Table 4."""

    data: str = "color_digits"  # or color_mnist, which is made of MNIST
    train: int = 1000  # images
    test: int = 1000
    epochs: int = 10
    seeds: int | None = None  # networks per arm in Table 4; None for as many as the arms get
    hues: tuple[int, ...] = ()  # levels of P's hue alone at which `c` and `aug` are trained, too; 0 is without hue
    hue_seeds: int = 1  # of each
    biased: str | None = None  # biased_digits or biased_mnist, whose colour predicts the label; None: none trained
    biased_train: int = 4000  # images
    biased_test: int = 1000
    biased_epochs: int = 10
    biased_seeds: int | None = None  # networks per arm on these; None for as many as the arms get
    doubled_seeds: int = 0  # networks of `base`, `c`, `aug` trained twice as long: had they levelled off? 0: not tried

    def __post_init__(self) -> None:
        at_least(self, 1, "train", "test", "epochs", "seeds", "hue_seeds")
        at_least(self, 1, "biased_train", "biased_test", "biased_epochs", "biased_seeds")
        at_least(self, 0, "doubled_seeds")
        if len(set(self.hues)) != len(self.hues) or not set(self.hues) <= {0, 1, 2, 3, 4}:
            raise ValueError(f"hues must be different levels from 0 to 4, not {list(self.hues)}")


@dataclass(frozen=True)
class Ledger:
    """The ledger of claims (notebook 09)."""

    noise_images: int = 0  # test images of the joint bootstrap over images; 0 for none

    def __post_init__(self) -> None:
        at_least(self, 0, "noise_images")
