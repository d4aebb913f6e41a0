"""Right or wrong, image by image: what a bootstrap over test images needs, and what no average keeps.

One boolean column per attack, so that a run's outcomes on a thousand images are a few kilobytes in its store.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from . import robustness, statistics
from .arrays import groups_of
from .measurements import measurement

PAIRS = (("c", "base"), ("adv+c", "adv"), ("adv", "base"), ("aug+c", "aug"), ("madry+c", "madry"))
"""The comparisons of Table 2 whose test-set noise is shown; those of arms that a preset does not train are left out."""


@measurement()
def by_image(run, *, attacks: dict[str, dict[str, Any]], images: int | None = None) -> pd.DataFrame:
    """Whether each of the first `images` test images (None: all) survives each attack: one row per image.

    `attacks` are rows as in `robustness`: arguments of `semcont.attacks.survivors`, eps and step_size in 1/255.
    Columns: image, group (the glyph on PhotoDigits, else the image itself), and one boolean column per attack.
    """
    data, network = run.images("test").select(slice(images)), run.model()
    x, number = data.float(), np.arange(len(data))
    groups = number if data.groups is None else groups_of(data)
    alive = {
        name: robustness.survivors(network, x, data.labels, row, run.seed).cpu().numpy()
        for name, row in attacks.items()
    }
    return pd.DataFrame({"image": number, "group": groups} | alive)


def of_section(section) -> pd.DataFrame:
    """`noise` of the pairs that differ by the constraint alone, under Table 2's attacks, on the preset's networks.

    On the first `ledger.noise_images` test images; empty where a preset leaves this out.
    """
    preset = section.preset
    if not preset.ledger.noise_images:
        return noise(pd.DataFrame(columns=["arm", "seed", "image", "group"]), ())
    paired = {arm for pair in PAIRS for arm in pair}
    arms = [arm for arm in preset.arms if arm in paired]
    attacks = robustness.table2(preset)
    return noise(
        section.measured(by_image, section.runs(arms), attacks=attacks, images=preset.ledger.noise_images), PAIRS
    )


def noise(table: pd.DataFrame, pairs: Sequence[Sequence[str]], *, resamples: int = 2000) -> pd.DataFrame:
    """Test-set noise of the difference between two arms: images drawn again, jointly over arms and seeds.

    `table` holds `by_image` of several runs of one test set. Each draw takes the same images (on PhotoDigits: all of a
    glyph's) for both arms and all seeds that both have, so what the arms have in common cancels. It says how much
    another test set would move the difference between *these* networks, and nothing of others. Columns: first, second,
    attack, seeds, n, difference, low, high, in percentage points.

    Raises `ValueError` where runs do not have the same images.
    """
    rows = []
    attacks = [column for column in table if column not in ("arm", "seed", "image", "group")]
    for first, second in pairs:
        sides = [table[table["arm"] == arm] for arm in (first, second)]
        seeds = sorted(set(sides[0]["seed"]) & set(sides[1]["seed"]))
        if not seeds:
            continue
        for attack in attacks:
            a, b = (_seed_by_image(side[side["seed"].isin(seeds)], attack) for side in sides)
            if not a.columns.equals(b.columns):
                raise ValueError(f"{first} and {second} were not measured on the same images")
            # The mean over seeds of each image's difference: resampling it draws an image for all networks at once.
            difference = 100 * (a - b).mean().to_numpy()
            low, high = statistics.bootstrap(difference, a.columns.get_level_values("group"), resamples=resamples)
            about = {"first": first, "second": second, "attack": attack, "seeds": len(seeds), "n": len(difference)}
            rows.append(about | {"difference": difference.mean(), "low": low, "high": high})
    names = ["first", "second", "attack", "seeds", "n", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def _seed_by_image(side: pd.DataFrame, attack: str) -> pd.DataFrame:
    """One arm's outcomes as numbers: seeds down, images (with their groups) across."""
    wide = side.pivot(index="seed", columns=["group", "image"], values=attack)
    if wide.isna().any(axis=None):
        raise ValueError(f"{side['arm'].iloc[0]}: not all seeds were measured on the same images")
    return wide.astype(float).sort_index(axis=1)
