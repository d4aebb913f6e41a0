"""One function per figure: `(table, ax=None) -> axes`. Plotting reads tables; it never trains or attacks."""

from .claims import claims_forest, claims_presets, claims_ratios
from .continuity import alpha_trade_off, continuity_levels, perturbed_images
from .discontinuity import class_maps, discontinuity_rates, neighbour_ranks, pairs
from .fairness import colour_grounds, colour_samples, hue_reach
from .features import destroyed_accuracy, destroyed_images
from .gradients import pixel_maps, remainders, smoothness, training_curves
from .interpretability import attribution_focus, attribution_maps
from .robustness import eps_curve
from .transfer import transfer_targets
