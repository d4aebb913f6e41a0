"""What a reader sees of the lengths of training: the figure, when arms level off, and whose order turns."""

import pandas as pd

from . import followed, plots, training_length


def show(section, lengths: pd.DataFrame, other: pd.DataFrame) -> None:
    """Stage what was measured over the lengths: accuracies (`training_length.measures`), and the `other` measures
    (`followed.measures`); and say what follows. What the preset leaves out leaves a sentence.
    """
    tolerance = section.preset.lengths.tolerance
    if len(lengths):
        own = {
            arm: training_length.updates(section.preset, section.preset.epochs_of(arm)) for arm in section.preset.arms
        }
        figure, alt = plots.training_lengths(lengths, own), training_length.describe(lengths)
        section.figure("lengths_updates", figure, table=lengths, alt=alt)
        changes = training_length.doublings(lengths, tolerance)
        caption = "From how many epochs on an arm has levelled off, and how far the last doubling moved it, in points"
        section.table("lengths_levelled", changes, show=training_length.levelled_as_read(changes), caption=caption)
        caption = "First less second on test images, in points, by the length of training; with 95 % t intervals"
        by_length = training_length.orders(lengths)
        section.table("lengths_orders", by_length, show=training_length.reading(by_length), caption=caption)
    section.conclude(training_length.conclusion(lengths, tolerance))
    order = followed.orders(other) if len(other) else other
    if len(other):
        caption = "First against second on test images: ratios, and points lost; with 95 % t intervals over seeds"
        section.table("lengths_followed", other, show=followed.reading(order), caption=caption)
    section.conclude(followed.conclusion(order))
