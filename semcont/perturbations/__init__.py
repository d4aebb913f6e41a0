"""Non-semantic perturbations P of Eq. 3 and the semantic destructions of section 4.3, on whole batches."""

from .destructions import shuffle_center, shuffle_tiles, translate_rgb
from .photometric import LEVELS, PERTURBATIONS, brightness, contrast, hue, perturb, saturation
from .random import GaussianNoise, RandomPhotometric

__all__ = [
    "LEVELS",
    "PERTURBATIONS",
    "GaussianNoise",
    "RandomPhotometric",
    "brightness",
    "contrast",
    "hue",
    "perturb",
    "saturation",
    "shuffle_center",
    "shuffle_tiles",
    "translate_rgb",
]
