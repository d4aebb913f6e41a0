"""The adversarial arms behind a first layer that cannot pass over pixels: does the constraint still gain?

`lattice` shows which networks read one pixel in four. What that is worth to them is seen where it is not to be had:
behind a stem that takes the means of blocks of 2 x 2 pixels, all of them with the same weight, at the same cost.
"""

import pandas as pd

from . import paired, variants
from .training_length import MEASURES, on_test

NAMES = {
    "cifar": "3 × 3",
    "cifar-stride2": "3 × 3 with stride 2",
    "cifar-averaged": "means of 2 × 2 pixels, then 3 × 3",
    "imagenet": "7 × 7 with stride 2, pooling",
}
FIRST, SECOND = "adv+c", "adv"


def measures(section) -> pd.DataFrame:
    """The networks of `preset.stems`, on test images: columns stem, arm, seed, measure (clean, attacked, worst), value.

    Empty where the preset asks for no other stem.
    """
    wanted = variants.stems(section.preset)
    if not wanted:
        return pd.DataFrame()
    found = on_test(section, wanted, worst=True).rename(columns={"accuracy": "value"})
    stem = {variant.name: variant.changes["stem"] for variant in wanted}
    return found.assign(stem=found["variant"].map(stem))[["stem", "arm", "seed", "measure", "value"]]


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """adv+c less adv behind each stem, as `paired.differences` has them; the question is the stem in words."""
    parts = []
    for stem, rows in table.groupby("stem", sort=False) if len(table) else ():
        parts.append(paired.differences(rows, [paired.Contrast(NAMES[stem], FIRST, SECOND)]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def shown(table: pd.DataFrame, apart: pd.DataFrame) -> pd.DataFrame:
    """A row per stem: the mean accuracies of both arms in percent, and their `differences` in points with intervals."""
    cells = {}
    for (stem, measure), rows in table.groupby(["stem", "measure"], sort=False):
        of = rows.groupby("arm")["value"].mean()
        told = ", ".join(f"{arm} {100 * of[arm]:.1f}" for arm in (SECOND, FIRST) if arm in of.index)
        cells.setdefault(NAMES[stem], {})[MEASURES[measure][0]] = told
    wide = pd.DataFrame.from_dict(cells, orient="index").rename_axis("stem").reset_index()
    points = paired.reading(apart, MEASURES).drop(columns="arms").rename(columns={"question": "stem"})
    titles = {title: f"{title}: apart" for title, _ in MEASURES.values()}
    return wide.merge(points.rename(columns=titles), on="stem")


def conclusion(apart: pd.DataFrame) -> str:
    """In Markdown: what adv+c gains on adv behind each stem."""
    if apart.empty:
        return "This preset trains the adversarial arms behind its own first layer alone (`stems`)."
    return paired.conclusion(apart, MEASURES, dict.fromkeys(MEASURES, "higher"))
