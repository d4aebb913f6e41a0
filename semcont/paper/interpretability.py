"""Section 4.5, interpretability: the maps of Figs. 11 to 13, and how far they keep to the object, in numbers.

An explanation is a row: a method and its settings. What the paper shows on single pictures is measured here on a sample
of images, the same for every network, against the mask of the object.
"""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from .explaining import attributions
from .explaining.interpretability_tables import (  # noqa: F401  what a notebook does with the tables, under this name as well
    NAMES,
    PAPER,
    checks,
    conclusion,
    contrasts,
    describe_focus,
    describe_maps,
    measures,
    reading,
    summary,
)
from .images import mean_colour
from .measurements import measurement
from .presets import Preset
from .runs import predict

Explanations = dict[str, dict[str, Any]]


def explanations(preset: Preset) -> Explanations:
    """The three methods of section 4.5, and a second way of each as a check.

    Integrated Gradients start at black, or at the data's mean colour. GradCAM's map is resized, or placed by receptive
    fields. LIME hides superpixels in the mean colour, which leaves fewer edges, or in black.
    """
    own = preset.interpretability
    ig = {"method": "ig", "steps": own.steps}
    lime = {"method": "lime", "samples": own.samples, "superpixels": own.superpixels}
    return {
        "ig": ig | {"baseline": "black"},
        "gradcam": {"method": "gradcam"},
        "lime": lime | {"baseline": "mean"},
        "ig from the mean": ig | {"baseline": "mean"},
        "gradcam placed": {"method": "gradcam", "placed": True},
        "lime in black": lime | {"baseline": "black"},
    }


def sample(runs: list, images: int) -> pd.DataFrame:
    """Which test images are explained: a seeded sample of those that every run classifies correctly.

    Where there are too few, images follow that the most runs get right, so that weak networks can be looked at, too.
    Columns: image (index in the test split), label, right (number of runs that classify it correctly), runs.
    """
    data = runs[0].images("test")
    right = torch.stack([(predict(run.model(), data).argmax(1) == data.labels).cpu() for run in runs]).sum(0)
    order = torch.randperm(len(data), generator=runs[0].generator("explained images"))
    order = order[torch.argsort(right[order], descending=True, stable=True)][:images]
    columns = {"image": order, "label": data.labels.cpu()[order], "right": right[order]}
    return pd.DataFrame({name: column.tolist() for name, column in columns.items()}).assign(runs=len(runs))


def distinct(chosen: pd.DataFrame, rows: int) -> list[int]:
    """The first `rows` images of different classes, for a figure; then others where there are not enough classes."""
    first = chosen.drop_duplicates("label")
    return pd.concat([first, chosen.drop(first.index)])["image"].head(rows).tolist()


def describe_sample(chosen: pd.DataFrame) -> str:
    """How many images are explained, and how many of them every network gets right."""
    agreed, runs = int((chosen["right"] == chosen["runs"]).sum()), chosen["runs"].iloc[0]
    all_of_them = f"all {runs} networks classify" if runs > 1 else "the network classifies"
    told = f"{len(chosen)} test images are explained; {all_of_them} **{agreed}** of them correctly"
    if agreed < len(chosen):
        return (
            told + ". The others were added because too few are: their maps explain a class that some network denies."
        )
    return told + "."


# --- measurements ----------------------------------------------------------------------------------------------------


@measurement(version=1)
def per_image(run, *, images: list[int], explanations: Explanations, weights: str = "trained") -> pd.DataFrame:
    """Energy, roughness and more of each map: one row per explanation, measure and image.

    Columns: weights, explanation, measure, image, group, value. Measures: "energy" (on the object's mask, where there
    is one), "roughness", "zero" (1 for a map that is zero everywhere), and for Integrated Gradients "delta" (relative
    convergence delta). `weights="random"` explains a network of the same shape that has learned nothing.
    """
    data = run.images("test").select(images)
    network = run.model() if weights == "trained" else _fresh(run)
    groups = data.groups.cpu().numpy() if data.groups is not None else np.array(images)
    tables = []
    for name, row in explanations.items():
        maps, delta = _explained(run, network, data, **row)
        values = {"roughness": attributions.roughness(maps), "zero": attributions.is_zero(maps).double()}
        if data.masks is not None:
            values = {"energy": attributions.energy(maps, data.masks)} | values
        if delta is not None:
            values["delta"] = delta
        for measure, value in values.items():
            about = {"weights": weights, "explanation": name, "measure": measure, "image": images, "group": groups}
            tables.append(pd.DataFrame(about | {"value": value.double().cpu().numpy()}))
    return pd.concat(tables, ignore_index=True)


@measurement(version=1, pictures=True)
def maps(run, *, images: list[int], explanation: dict[str, Any]) -> pd.DataFrame:
    """The maps themselves, for a figure: one row per pixel. Columns: image, row, column, value, energy (of the map).

    Integrated Gradients are absolute values summed over the channels, GradCAM is not negative, LIME keeps its sign.
    """
    data = run.images("test").select(images)
    found, _ = _explained(run, run.model(), data, **explanation)
    n, h, w = found.shape
    table = pd.DataFrame(
        {
            "image": np.repeat(images, h * w),
            "row": np.tile(np.repeat(np.arange(h), w), n),
            "column": np.tile(np.arange(w), n * h),
            "value": found.cpu().numpy().ravel(),
        }
    )
    if data.masks is not None:
        table["energy"] = np.repeat(attributions.energy(found, data.masks).cpu().numpy(), h * w)
    return table


def _explained(run, network: nn.Module, data, *, method: str, baseline: str = "black", **settings):
    """Maps (n, h, w) of the true labels, and the convergence delta (n,) of Integrated Gradients, else None."""
    x, y = data.float().contiguous(memory_format=torch.channels_last), data.labels
    if method == "gradcam":
        return attributions.gradcam(network, x, y, **settings), None
    colour = colour_of(run, baseline)
    if method == "lime":
        segments = attributions.superpixels(x, settings["superpixels"])
        return attributions.lime(
            network, x, y, segments, baseline=colour, samples=settings["samples"], seed=run.seed
        ), None
    pieces = [
        attributions.integrated_gradients(network, some, label, baseline=colour, steps=settings["steps"])
        for some, label in zip(x.split(50), y.split(50), strict=True)
    ]
    found, delta = (torch.cat(part) for part in zip(*pieces, strict=True))
    return found.abs().sum(1), delta


def colour_of(run, baseline: str) -> tuple[float, ...]:
    """Black, or the mean colour of the training images (`images.mean_colour`), in [0, 1]."""
    if baseline == "black":
        return (0.0, 0.0, 0.0)
    if baseline != "mean":
        raise ValueError(f"baseline must be 'black' or 'mean', not {baseline!r}")
    return mean_colour(run.preset)


def _fresh(run) -> nn.Module:
    """The run's network with every layer initialised anew."""
    generator = run.generator("random weights")
    with torch.random.fork_rng(devices=[]):
        network = run.model()
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        for module in network.cpu().modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return network.to(run.device)
