"""Section 4.5, interpretability: the maps of Figs. 11 to 13, and how far they keep to the object, in numbers.

An explanation is a row: a method and its settings. What the paper shows on single pictures is measured here on a sample
of images, the same for every network, against the mask of the object.
"""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from . import attributions, directions, statistics
from .directions import Direction
from .evidence import absent, evidence
from .images import mean_colour
from .measurements import measurement
from .presets import Preset
from .runs import predict

Explanations = dict[str, dict[str, Any]]

NAMES = {"ig": "Integrated Gradients", "gradcam": "GradCAM", "lime": "LIME"}

PAPER = {
    ("ig", "energy"): (
        Direction("energy on the object", "c", "base", "higher"),
        Direction("energy on the object", "adv+c", "adv", "higher"),
        Direction("energy on the object", "adv+c", "c", "higher"),
    ),
    ("ig", "roughness"): (
        Direction("roughness", "c", "base", "lower"),
        Direction("roughness", "adv+c", "adv", "lower"),
    ),
    ("gradcam", "energy"): (
        Direction("energy on the object", "c", "base", "higher"),
        Direction("energy on the object", "adv+c", "adv", "higher"),
        Direction("energy on the object", "adv", "base", "lower"),
    ),
    ("lime", "energy"): (
        Direction("energy on the object", "c", "base", "higher"),
        Direction("energy on the object", "adv+c", "adv", "higher"),
    ),
}
"""What section 4.5 says of the maps, as directions of the two measures."""


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


_CHECKS = {
    "ig": ("ig from the mean", "started at the mean colour"),
    "gradcam": ("gradcam placed", "placed by receptive fields"),
    "lime": ("lime in black", "hiding in black"),
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
    told = f"{len(chosen)} test images are explained; all {runs} networks classify **{agreed}** of them correctly"
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


@measurement(version=1)
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


# --- what the tables say ---------------------------------------------------------------------------------------------


def summary(*tables: pd.DataFrame) -> pd.DataFrame:
    """Tables of `per_image` over their images: one row per arm, seed, weights, explanation and measure.

    Columns: value, n, low, high. "energy" and "roughness" are means with a bootstrap interval over glyphs (images
    elsewhere), "zero" counts maps, "delta" is a median.
    """
    rows = []
    keys = ["arm", "seed", "weights", "explanation", "measure"]
    for key, part in pd.concat(tables).groupby(keys, sort=False):
        measure = key[-1]
        if measure in ("energy", "roughness"):
            found = statistics.mean(part["value"], part["group"].to_numpy())
            found = {"value": found.pop("mean")} | found
        else:
            value = part["value"].sum() if measure == "zero" else part["value"].median()
            found = {"value": value, "n": len(part), "low": np.nan, "high": np.nan}
        rows.append(dict(zip(keys, key, strict=True)) | found)
    return pd.DataFrame(rows)


def measures(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """What the ledger reads of a `summary`: each measure of `PAPER`. Without masks there is no energy."""
    known = set(zip(table["explanation"], table["measure"], strict=True))
    return {
        f"{explanation}_{measure}": evidence(
            table, "value", explanation=explanation, measure=measure, weights="trained"
        )
        if (explanation, measure) in known
        else absent("the images have no masks of their objects")
        for explanation, measure in PAPER
    }


def contrasts(values: pd.DataFrame) -> pd.DataFrame:
    """Differences between two arms image by image, for each direction of `PAPER`: the images are the same, so pair.

    Columns: explanation, measure, first, second, seed, difference, n, low, high (bootstrap over glyphs).
    """
    trained = values[values["weights"] == "trained"]
    rows = []
    for (explanation, measure), wanted in PAPER.items():
        part = trained[(trained["explanation"] == explanation) & (trained["measure"] == measure)]
        for seed, own in part.groupby("seed"):
            wide = own.pivot(index=["image", "group"], columns="arm", values="value")
            for direction in wanted:
                if {direction.first, direction.second} <= set(wide):
                    found = statistics.mean(
                        wide[direction.first] - wide[direction.second], wide.index.get_level_values("group")
                    )
                    about = {"explanation": explanation, "measure": measure, "seed": seed}
                    about |= {"first": direction.first, "second": direction.second, "difference": found.pop("mean")}
                    rows.append(about | found)
    return pd.DataFrame(
        rows, columns=["explanation", "measure", "first", "second", "seed", "difference", "n", "low", "high"]
    )


def conclusion(values: pd.DataFrame, explanation: str) -> str:
    """What section 4.5 says of one method's maps, against the differences between arms image by image, as Markdown."""
    table = contrasts(values)
    lines = []
    for (name, measure), wanted in PAPER.items():
        for direction in wanted if name == explanation else ():
            rows = table[(table["explanation"] == name) & (table["measure"] == measure)]
            rows = rows[(rows["first"] == direction.first) & (rows["second"] == direction.second)]
            if len(rows):
                lines.append(_line(rows, direction))
    return "\n".join([*lines, "", directions.caution(values)])


def _line(rows: pd.DataFrame, direction: Direction) -> str:
    agree = [directions.agrees(difference, direction) for difference in rows["difference"]]
    row = rows.iloc[0]
    if len(rows) > 1:
        return directions.sentence(direction, f"difference {rows['difference'].mean():+.2f} on average", agree)
    sides = f"difference {row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}], image by image"
    doubt = "with an interval that holds zero" if row["low"] <= 0 <= row["high"] else ""
    return directions.sentence(direction, sides, agree, doubt)


def reading(table: pd.DataFrame) -> pd.DataFrame:
    """`summary` for reading: explanations and measures down, arms and the untrained network across; seeds averaged.

    Roughness is shown for Integrated Gradients alone: of the two coarse methods it says more about the grid.
    """
    table = table[(table["measure"] != "roughness") | table["explanation"].str.startswith("ig")]
    table = table.assign(network=table["arm"].where(table["weights"] == "trained", "random weights"))
    mean = table.groupby(["explanation", "measure", "network"], sort=False)["value"].mean().unstack("network")
    rows = list(dict.fromkeys(zip(table["explanation"], table["measure"], strict=True)))
    shown = mean.loc[rows, list(dict.fromkeys(table["network"]))]
    digits = {"energy": 2, "roughness": 2, "zero": 0, "delta": 3}
    return shown.apply(lambda row: row.map(f"{{:.{digits[row.name[1]]}f}}".format), axis=1)


def checks(table: pd.DataFrame) -> str:
    """The methods' pitfalls in a line each, from `summary`: empty maps, the convergence delta, a second way of each."""
    trained = table[table["weights"] == "trained"]
    empty = trained[(trained["measure"] == "zero") & (trained["value"] > 0)]
    told = [f"{r['explanation']} of `{r['arm']}`, {r['value']:.0f} of {r['n']}" for _, r in empty.iterrows()]
    delta = trained[trained["measure"] == "delta"]["value"].max()
    energy = trained[trained["measure"] == "energy"].groupby(["explanation", "arm"], sort=False)["value"].mean()
    lines = [
        f"- Maps that are zero everywhere, counted as energy 1: {'; '.join(told) or 'none'}.",
        "- What Integrated Gradients fail to add up to, relative to the difference in the logit: at most "
        f"{delta * 100:.1f} % in the median over images, over the arms.",
    ]
    known = set(energy.index.get_level_values("explanation"))
    for name, (other, how) in _CHECKS.items():
        if {name, other} <= known:
            usual, checked = (
                " > ".join(f"`{arm}`" for arm in energy[key].sort_values(ascending=False).index)
                for key in (name, other)
            )
            found = (
                f"**the same** order of arms by energy, {usual}"
                if usual == checked
                else f"{checked} by energy, **not** {usual}"
            )
            lines.append(f"- {NAMES[name]}, {how}: {found}.")
    return "\n".join(lines)


def describe_maps(table: pd.DataFrame, explanation: str) -> str:
    """The alt text of Figs. 11 to 13."""
    told = f"{NAMES[explanation]} of {table['image'].nunique()} test images, one a row: "
    told += "the image with the object outlined, then one map per arm."
    if "energy" in table:
        energy = table.groupby("arm", sort=False)["energy"].mean()
        told += (
            " Mean energy on the object over its share of the area: "
            + ", ".join(f"{a} {v:.1f}" for a, v in energy.items())
            + "."
        )
    return told


def describe_focus(table: pd.DataFrame) -> str:
    """The alt text of the summary of all maps."""
    trained = table[(table["weights"] == "trained") & table["measure"].isin(["energy", "roughness"])]
    parts = []
    for explanation, name in NAMES.items():
        rows = trained[(trained["explanation"] == explanation) & (trained["measure"] == "energy")]
        mean = rows.groupby("arm", sort=False)["value"].mean()
        parts.append(f"{name}: " + ", ".join(f"{arm} {value:.2f}" for arm, value in mean.items()))
    rough = (
        trained[(trained["explanation"] == "ig") & (trained["measure"] == "roughness")]
        .groupby("arm", sort=False)["value"]
        .mean()
    )
    return (
        "Energy on the object over its share of the area, per arm with intervals, 1 being uniform. "
        + "; ".join(parts)
        + ". Roughness of Integrated Gradients: "
        + ", ".join(f"{arm} {value:.2f}" for arm, value in rough.items())
        + "."
    )
