"""Right or wrong, image by image: what a bootstrap over test images needs, and what no average keeps.

One small column per measure, so that a run's outcomes on a thousand images are a few kilobytes in its store.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..datasets import DataError
from . import audit, robustness, statistics
from .arrays import groups_of, numpy_of
from .features import CUES
from .images import source_of
from .measurements import measurement
from .runs import predict

PAIRS = (("c", "base"), ("adv+c", "adv"), ("adv", "base"), ("aug+c", "aug"), ("madry+c", "madry"))
"""The comparisons whose test-set noise is shown; those of arms that a preset does not train are left out."""


@measurement()
def by_image(run, *, attacks: dict[str, dict[str, Any]], images: int | None = None) -> pd.DataFrame:
    """Whether each of the first `images` test images (None: all) survives each attack: one row per image.

    `attacks` are rows as in `robustness`: arguments of `semcont.attacks.survivors`, eps and step_size in 1/255.
    Columns: image, group (the glyph on PhotoDigits, else the image itself), and one boolean column per attack.
    """
    data, network = run.images("test").select(slice(images)), run.model()
    x = data.float()
    alive = {
        name: robustness.survivors(network, x, data.labels, row, run.seed).cpu().numpy()
        for name, row in attacks.items()
    }
    return _numbered(data).assign(**alive)


@measurement()
def in_the_worst_case(run, *, pgd: list[dict], chain: list[list], eps: float, effort: float) -> pd.DataFrame:
    """Whether each of the audit's test images survives all the attacks that every network gets, in the same form.

    Arguments as `audit.shared` gives them.
    """
    alive = audit.survived(run, pgd=pgd, chain=chain, eps=eps, effort=effort)
    return _numbered(run.images("test").select(slice(len(alive)))).assign(**{"worst case": alive})


@measurement()
def in_conflict(run, *, images: int | None = None) -> pd.DataFrame:
    """What each of the first `images` digits loses on a photograph of another class: 1 where it is named rightly on the
    standard set alone, -1 in conflict alone, else 0. PhotoDigits has such sets (`features.CUES`).
    """
    sets = [run.images("test", **CUES[name]).select(slice(images)) for name in ("standard", "conflict")]
    right = [numpy_of(predict(run.model(), data).argmax(1) == data.labels).astype(np.int8) for data in sets]
    return _numbered(sets[0]).assign(**{"loss in conflict": right[0] - right[1]})


def _numbered(data) -> pd.DataFrame:
    """A row per image: columns image, group."""
    number = np.arange(len(data))
    return pd.DataFrame({"image": number, "group": number if data.groups is None else groups_of(data)})


def of_section(section) -> pd.DataFrame:
    """`noise` of the pairs that differ by the constraint alone: under Table 2's attacks, in the audit's worst case, and
    what conflict costs, on the preset's networks.

    On the first `ledger.noise_images` test images, in the worst case on the audit's; empty where a preset leaves this
    out, and, with a line that says why, where its images are not at hand: verdicts can be had from what was published
    of them, this cannot. Without a full audit, or without known context, there are the others.
    """
    preset, images = section.preset, section.preset.ledger.noise_images
    nothing = noise(pd.DataFrame(columns=["arm", "seed", "image", "group"]), ())
    if not images:
        return nothing
    try:
        source_of(preset, "test")
    except DataError as error:
        print(f"no intervals over test images, which are not at hand: {error}")
        return nothing
    paired = {arm for pair in PAIRS for arm in pair}
    runs = section.runs([arm for arm in preset.arms if arm in paired])
    tables = [section.measured(by_image, runs, attacks=robustness.table2(preset), images=images)]
    if preset.robustness.audit.images:
        tables.append(section.measured(in_the_worst_case, runs, **audit.shared(preset)))
    if preset.data.name == "photodigits":
        tables.append(section.measured(in_conflict, runs, images=images))
    places = {first: place for place, (first, _) in enumerate(PAIRS)}
    found = pd.concat([noise(table, PAIRS) for table in tables])
    return found.sort_values("first", key=lambda names: names.map(places), kind="stable", ignore_index=True)


def noise(table: pd.DataFrame, pairs: Sequence[Sequence[str]], *, resamples: int = 2000) -> pd.DataFrame:
    """Test-set noise of the difference between two arms: images drawn again, jointly over arms and seeds.

    `table` holds `by_image` of several runs of one test set. Each draw takes the same images (on PhotoDigits: all of a
    glyph's) for both arms and all seeds that both have, so what the arms have in common cancels. It says how much
    another test set would move the difference between *these* networks, and nothing of others. Columns: first, second,
    measure, seeds, n, difference, low, high, in percentage points.

    Raises `ValueError` where runs do not have the same images.
    """
    rows = []
    measures = [column for column in table if column not in ("arm", "seed", "image", "group")]
    for first, second in pairs:
        sides = [table[table["arm"] == arm] for arm in (first, second)]
        seeds = sorted(set(sides[0]["seed"]) & set(sides[1]["seed"]))
        if not seeds:
            continue
        for measure in measures:
            a, b = (_seed_by_image(side[side["seed"].isin(seeds)], measure) for side in sides)
            if not a.columns.equals(b.columns):
                raise ValueError(f"{first} and {second} were not measured on the same images")
            # The mean over seeds of each image's difference: resampling it draws an image for all networks at once.
            difference = 100 * (a - b).mean().to_numpy()
            low, high = statistics.bootstrap(difference, a.columns.get_level_values("group"), resamples=resamples)
            about = {"first": first, "second": second, "measure": measure, "seeds": len(seeds), "n": len(difference)}
            rows.append(about | {"difference": difference.mean(), "low": low, "high": high})
    names = ["first", "second", "measure", "seeds", "n", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def _seed_by_image(side: pd.DataFrame, measure: str) -> pd.DataFrame:
    """One arm's outcomes as numbers: seeds down, images (with their groups) across."""
    wide = side.pivot(index="seed", columns=["group", "image"], values=measure)
    if wide.isna().any(axis=None):
        raise ValueError(f"{side['arm'].iloc[0]}: not all seeds were measured on the same images")
    return wide.astype(float).sort_index(axis=1)
