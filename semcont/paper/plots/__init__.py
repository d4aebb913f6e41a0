"""One function per figure: `(table, ax=None) -> axes`. Plotting reads tables; it never trains or attacks."""

from .bias import bias_groups
from .claims import claims_forest, claims_presets, claims_primary, claims_ratios
from .context import context_tests
from .continuity import alpha_trade_off, continuity_levels, perturbed_images
from .discontinuity import class_maps, discontinuity_rates, neighbour_ranks, pairs
from .explanations import explanation_measures
from .fairness import colour_grounds, colour_samples, hue_reach
from .features import destroyed_accuracy, destroyed_images
from .frontier import frontier_plane
from .gradients import pixel_maps, remainders, smoothness, training_curves
from .interpretability import attribution_focus, attribution_maps
from .lattice import lattice_share
from .paired import paired_differences
from .paths_of_strength import strength_paths
from .robustness import eps_curve, eps_spaces, worst_case
from .training_length import training_lengths
from .transfer import transfer_targets
