"""Section 4.5 as numbers: measures of attribution maps beside energy, each arm beside `base` on the same images.

An arm is measured on test images that it and `base` of its seed both classify correctly, so that no map explains a
class that a network denies; the differences between the two are image by image. Where the data have no masks, mosaics
of four images stand in (`semcont.datasets.mosaics`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ...datasets import ImageSet, mosaics
from .. import interpretability
from ..cells import in_range
from ..interpretability import Explanations
from ..measurements import measurement
from ..presets import Preset
from ..runs import Run, predict
from . import attributions, faithfulness
from .explainer import Explainer

NAMES = {
    "gradient": "gradient",
    "ig": "Integrated Gradients",
    "ig from the mean": "IG from the mean",
    "gradcam": "GradCAM",
    "lime": "LIME",
}
MEASURES = {
    "energy": "higher",
    "pointing": "higher",
    "mosaic energy": "higher",
    "mosaic pointing": "higher",
    "insertion": "higher",
    "deletion": "lower",
    "infidelity": "lower",
    "sensitivity": "lower",
    "gini": "",
    "randomised all": "near 0",
    "randomised head": "near 0",
    "delta": "lower",
    "zero": "lower",
}
"""What is measured, in the order of the tables, and what is better; sparseness alone is neither."""

SIZE = 50  # images of 32 x 32 pixels that are explained at once


def methods(preset: Preset) -> Explanations:
    """The plain gradient, Integrated Gradients from black and from the mean colour, GradCAM and LIME."""
    known = interpretability.explanations(preset) | {"gradient": {"method": "gradient"}}
    return {name: known[name] for name in NAMES}


# --- which images ----------------------------------------------------------------------------------------------------


def pairs(runs: list[Run], images: int) -> pd.DataFrame:
    """For each arm and seed the test images to explain: `images` that the arm and `base` both classify correctly.

    Images come in a seeded order, first those that all the seed's networks get right, so that the arms share as many as
    they can. Where the split has too few and its images are composed, more are, up to eight times as many. Columns:
    seed, arm, image (index in the test split), label, pool (images of that split).
    """
    tables = []
    for seed in dict.fromkeys(run.seed for run in runs):
        own = {run.arm: run for run in runs if run.seed == seed}
        if "base" not in own:
            continue
        for pool in _pools(own["base"]):
            right = {arm: _right(run, pool) for arm, run in own.items()}
            if all(int((correct & right["base"]).sum()) >= images for correct in right.values()):
                break
        order = torch.randperm(pool, generator=own["base"].generator("paired images"))
        agreed = torch.stack(list(right.values())).sum(0)
        order = order[torch.argsort(agreed[order], descending=True, stable=True)]
        for arm, correct in right.items():
            both = order[(correct & right["base"])[order]][:images]
            labels = own["base"].images("test", n=pool).labels.cpu()[both]
            chosen = {"seed": seed, "arm": arm, "image": both.tolist(), "label": labels.tolist(), "pool": pool}
            tables.append(pd.DataFrame(chosen))
    empty = pd.DataFrame(columns=["seed", "arm", "image", "label", "pool"])
    return pd.concat(tables, ignore_index=True) if tables else empty


def chosen(section, images: int | None = None) -> pd.DataFrame:
    """`pairs` of the section's networks on the first `paired_seeds` seeds; empty where the preset asks for none.

    Of `images` test images, where given, else as many as the preset says.
    """
    own = section.preset.interpretability
    runs = section.runs() if own.paired_images else []
    runs = [run for run in runs if run.seed in section.seeds[: own.paired_seeds]]
    return pairs(runs, images or own.paired_images)


def _pools(run: Run) -> Iterator[int]:
    data = run.images("test")
    yield from (len(data) * k for k in ((1, 2, 4, 8) if data.bundled else (1,)))


def _right(run: Run, pool: int) -> Tensor:
    data = run.images("test", n=pool)
    return (predict(run.model(), data).argmax(1) == data.labels).cpu()


def describe_pairs(paired: pd.DataFrame) -> str:
    """How many images each arm is measured on, in words."""
    if paired.empty:
        return "This preset makes no further measures (`interpretability.paired_images`)."
    counts, pool = paired.groupby(["arm", "seed"]).size(), paired["pool"].max()
    common = paired.groupby(["seed", "image"]).size()
    arms = paired.groupby("seed")["arm"].nunique()
    shared = (common == common.index.get_level_values("seed").map(arms)).groupby("seed").sum().min()
    return (
        f"Each network is explained on **{in_range(counts.min(), counts.max())}** test images that it and `base` of "
        f"its seed both classify correctly, out of at most {pool}; in every seed at least {shared} of them are the "
        f"same for all arms."
    )


# --- measurements ----------------------------------------------------------------------------------------------------


@measurement(version=1)
def per_image(
    run: Run, *, images: list[int], pool: int, methods: Explanations, budget: dict[str, float]
) -> pd.DataFrame:
    """Every measure of each map: one row per method, measure and image. Columns: method, measure, image, group, value.

    On the map: "energy" and "pointing" (where there is a mask), "gini", "zero". With the network (`faithfulness`):
    "insertion", "deletion" (areas over p_y(x), `budget["steps"]`), "sensitivity" (`draws`, `radius`), "infidelity"
    (`patches`), "delta" (Integrated Gradients), and "randomised ...", the rank correlation with the map of the same
    network after its head, its first 2, 3, ... parts from the logits down, or all of it were given fresh weights.
    """
    data = mosaics.gathered(run.images("test", n=pool), images)
    network = run.model()
    others, tables = list(_cascade(run, network)), []
    for name, row in methods.items():
        colour = _colour(run, row)
        for keys, part in _chunks(data, images):
            explainer = Explainer.of(network, _pixels(part), part.labels, keys, row, colour, run.seed)
            values = _measures(explainer, part.masks, others, budget, run.seed)
            tables.append(_rows(name, values, keys, part.groups))
    return pd.concat(tables, ignore_index=True)


@measurement(version=1)
def per_mosaic(run: Run, *, images: list[int], pool: int, count: int, methods: Explanations) -> pd.DataFrame:
    """ "mosaic energy" and "mosaic pointing" on `count` mosaics of the test images `images`; columns as `per_image`.

    The map of the target's label is read against the target's quarter.
    """
    data = mosaics.make(mosaics.gathered(run.images("test", n=pool), images), n=count, seed=run.seed).to(run.device)
    network, tables = run.model(), []
    for name, row in methods.items():
        colour = _colour(run, row)
        for keys, part in _chunks(data, list(range(count))):
            explainer = Explainer.of(network, _pixels(part), part.labels, keys, row, colour, run.seed)
            map_ = explainer.located(explainer.explain()[0])
            values = {
                "energy": attributions.energy(map_, part.masks),
                "pointing": attributions.pointing(map_, part.masks),
            }
            tables.append(_rows(name, {f"mosaic {k}": v for k, v in values.items()}, keys, part.groups))
    return pd.concat(tables, ignore_index=True)


def _chunks(data: ImageSet, keys: list[int]) -> Iterator[tuple[list[int], ImageSet]]:
    size = max(1, SIZE * 32**2 // data.images[0, 0].numel())
    for begin in range(0, len(data), size):
        yield keys[begin : begin + size], data.select(slice(begin, begin + size))


def _pixels(data: ImageSet) -> Tensor:
    return data.float().contiguous(memory_format=torch.channels_last)


def _colour(run: Run, row: dict[str, Any]) -> tuple[float, ...]:
    """What a method hides pixels with: its baseline, the mean colour where it has none."""
    return interpretability.colour_of(run, row.get("baseline", "mean"))


def _cascade(run: Run, network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The network with more and more fresh weights, from the logits down."""
    seed = int(torch.randint(2**62, (), generator=run.generator("random weights")))
    last = len(faithfulness.stages(network))
    for parts in range(1, last + 1):
        name = {1: "head", last: "all"}.get(parts, str(parts))
        yield f"randomised {name}", faithfulness.randomised(network, parts, seed)


def _measures(explainer: Explainer, masks, others, budget: dict[str, float], seed: int) -> dict[str, Tensor]:
    x, keys = explainer.x, explainer.keys
    rows = torch.arange(len(x), device=x.device)
    raw, delta = explainer.explain()
    map_ = explainer.located(raw)
    found = {"gini": attributions.gini(map_), "zero": attributions.is_zero(map_).double()}
    if masks is not None:
        found |= {"energy": attributions.energy(map_, masks), "pointing": attributions.pointing(map_, masks)}
    if delta is not None:
        found["delta"] = delta
    whole = explainer.probability(x, rows)
    places = faithfulness.ranking(explainer.ranked(raw), keys, seed)
    deletion, insertion = faithfulness.curves(explainer.probability, x, places, explainer.paint, int(budget["steps"]))
    found |= {"deletion": faithfulness.area(deletion, whole), "insertion": faithfulness.area(insertion, whole)}
    altered = {"draws": int(budget["draws"]), "radius": budget["radius"] / 255, "seed": seed}
    found["sensitivity"] = faithfulness.sensitivity(explainer.raw, x, keys, **altered)
    hidden = faithfulness.patches(x, keys, int(budget["patches"]), seed)
    adds = explainer.contributions(raw)
    found["infidelity"] = faithfulness.infidelity(explainer.explained_score, x, adds, explainer.paint, hidden)
    for name, other in others:
        random = explainer.located(explainer.on(other).explain()[0])
        found[name] = faithfulness.rank_correlation(map_, random)
    return found


def _rows(method: str, values: dict[str, Tensor], keys: list[int], groups: Tensor | None) -> pd.DataFrame:
    group = np.array(keys) if groups is None else groups.cpu().numpy()
    tables = [
        pd.DataFrame({"method": method, "measure": k, "image": keys, "group": group, "value": v.double().cpu().numpy()})
        for k, v in values.items()
    ]
    return pd.concat(tables, ignore_index=True)


# --- for the notebook ------------------------------------------------------------------------------------------------


def measure(section, paired: pd.DataFrame) -> pd.DataFrame:
    """The tables of `per_image`, and of `per_mosaic` where the preset asks for mosaics, of every network in `paired`.

    Columns: arm, seed, method, measure, image, group, value; of `base` on every image that an arm is compared on.
    """
    own, tables = section.preset.interpretability, [pd.DataFrame()]
    asked = {"methods": methods(section.preset)}
    budget = {"steps": own.curve_steps, "draws": own.sensitivity_draws, "radius": own.sensitivity_radius}
    budget["patches"] = own.infidelity_patches
    tiles = paired if own.mosaic_images is None else chosen(section, own.mosaic_images)
    for run in section.runs():
        mine = paired[paired["seed"] == run.seed]
        explained = mine if run.arm == "base" else mine[mine["arm"] == run.arm]
        if explained.empty:
            continue
        images, pool = list(dict.fromkeys(explained["image"])), int(mine["pool"].iloc[0])
        tables.append(section.measured(per_image, [run], images=images, pool=pool, budget=budget, **asked))
        every = _agreed(tiles[tiles["seed"] == run.seed])
        if own.mosaics and every["label"].nunique() >= 4:
            images, pool = every["image"].tolist(), int(every["pool"].iloc[0])
            tables.append(section.measured(per_mosaic, [run], images=images, pool=pool, count=own.mosaics, **asked))
    return pd.concat(tables, ignore_index=True)


def _agreed(paired: pd.DataFrame) -> pd.DataFrame:
    """The images of one seed that are right for all of its networks. Columns: image, label, pool."""
    every = paired.groupby("image", sort=False).agg(
        arms=("arm", "nunique"), label=("label", "first"), pool=("pool", "first")
    )
    return every[every["arms"] == paired["arm"].nunique()].reset_index()
