"""Semantic continuity: the constraint, its perturbations and attack, and the training conditions around it.

    import semcont
    continuity = semcont.ContinuityLoss(semcont.RandomPhotometric(), alpha=1.0)
    loss = F.cross_entropy(logits := model(x), y) + continuity(model, x, logits=logits)

Names are looked up when first used, so that importing the package costs no more than importing torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "datasets": ("ImageSet", "load"),
    "models": ("build",),
    "perturbations": (
        "LEVELS",
        "GaussianNoise",
        "RandomPhotometric",
        "brightness",
        "contrast",
        "hue",
        "saturation",
        "shuffle_center",
        "shuffle_tiles",
        "translate_rgb",
    ),
    "augmentation": ("crop_flip",),
    "distributed": (),
    "attacks": ("PGD", "eps_curve", "pgd", "robust_accuracy", "survivors"),
    "losses": ("ARMS", "ContinuityLoss", "Objective", "distance_score", "logits_difference"),
    "recipe": ("Recipe",),
    "training": ("RECIPE", "TrainingError", "fit", "train_step"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted([*_MODULE_OF, *_HOME])

if TYPE_CHECKING:
    from . import attacks, augmentation, datasets, distributed, losses, models, perturbations, recipe, training
    from .attacks import PGD, eps_curve, pgd, robust_accuracy, survivors
    from .augmentation import crop_flip
    from .datasets import ImageSet, load
    from .losses import ARMS, ContinuityLoss, Objective, distance_score, logits_difference
    from .models import build
    from .perturbations import (
        LEVELS,
        GaussianNoise,
        RandomPhotometric,
        brightness,
        contrast,
        hue,
        saturation,
        shuffle_center,
        shuffle_tiles,
        translate_rgb,
    )
    from .recipe import Recipe
    from .training import RECIPE, TrainingError, fit, train_step


def __getattr__(name: str):
    if name in _HOME:
        return import_module(f"{__name__}.{name}")
    if name in _MODULE_OF:
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
