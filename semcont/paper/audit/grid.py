"""The radius in two units: of pixels and of normalised images. Which cell is the paper's Table 2?

Two conjectures of ours about the paper's numbers are trained here: that its radius was meant on normalised images, in
training too; and that C and ADV were fine-tuned from a trained network with the printed optimiser.
"""

from time import perf_counter

import pandas as pd

from ... import attacks, models
from .. import variants
from ..measurements import measurement
from ..runs import Run
from .attacks import row, tested

SPACES = ("pixels", "normalised")
_PRINTED = {"cifar100": "CIFAR-100", "imagenet": "ImageNet"}  # what the paper's Table 2 calls our data
_UNITS = {"pixels": "pixels", "normalised": "normalised images"}
AS_ARMS = "the arms"
COLUMNS = ["arm", "seed", "training", "space", "eps", "accuracy", "n", "low", "high", "paper", "off", "nearest", "fits"]


@measurement(version=2)
def by_space(run, *, space: str, eps: list[float], steps: int, relative_step: float, images: int) -> pd.DataFrame:
    """Accuracy over the radius in 1/255 of pixels, or of normalised images: a row per radius.

    In normalised space the radius of a channel is eps times what the network divides it by. Steps are `relative_step`
    of the radius; the last iterate is judged; x' stays within the range of pixels.
    """
    x, y, groups = tested(run, images)
    network, rows = run.model(), []
    unit = 1 / 255 if space == "pixels" else models.channel_std(network) / 255
    for value in eps:
        began = perf_counter()
        settings = {"eps": value * unit, "step_size": relative_step * value * unit, "steps": steps, "seed": run.seed}
        alive = attacks.survivors(network, x, y, **settings)
        about = {"attack": f"pgd-{steps}", "space": space, "eps": value}
        rows.append(row(about, alive, groups, perf_counter() - began))
    return pd.DataFrame(rows)


def nearest(table: pd.DataFrame, printed: pd.DataFrame, data: str) -> pd.DataFrame:
    """The table with the paper's accuracy under attack beside ours, and the cells that come nearest to it.

    Adds paper (percent) and off (percentage points, ours less the paper's, seeds averaged); `nearest` marks for each
    arm and training the cell nearest to the paper's number, `fits` the cell with the least mean distance over all arms
    of a training, each arm counting once. Of equals all are marked: a radius in pixels and one in normalised images can
    be the same. Radius 0 is no attack and is not marked, and nothing is where the paper has no numbers on `data`, the
    name of a data set here.
    """
    theirs = printed[printed["data"] == _PRINTED.get(data)].set_index("arm")["adversarial"]
    table = table.assign(paper=table["arm"].map(theirs))
    mean = 100 * table.groupby(["training", "arm", "space", "eps"])["accuracy"].transform("mean")
    table["off"] = mean - table["paper"]
    far = table["off"].abs().where(table["eps"] > 0)
    table["nearest"] = _least(far, [table["training"], table["arm"]])
    cell = ["training", "space", "eps"]
    each = table.assign(far=far).drop_duplicates([*cell, "arm"]).groupby(cell)["far"].mean()
    table["fits"] = _least(table[cell].merge(each, on=cell, how="left")["far"].set_axis(table.index), table["training"])
    return table


def _least(far: pd.Series, groups) -> pd.Series:
    """Which values are the least of their group, but for what rounding differs in."""
    return far.notna() & (far - far.groupby(groups).transform("min") < 1e-9)


def conclusion(table: pd.DataFrame) -> str:
    """Which cells come nearest to the paper's numbers, as Markdown, a line per training; equals are all named."""
    lines = []
    for training, rows in table.groupby("training", sort=False):
        best = rows[rows["fits"]]
        if best.empty:
            continue
        cells = best[["space", "eps"]].drop_duplicates()
        places = [f"{cell.eps:g}/255 of {_UNITS[cell.space]}" for cell in cells.itertuples()]
        best = best.merge(cells.head(1))
        told = ", ".join(
            f"`{arm}` {100 * mine['accuracy'].mean():.1f} % (paper: {mine['paper'].iloc[0]:.2f} %)"
            for arm, mine in best.dropna(subset=["paper"]).groupby("arm", sort=False)
        )
        distance = best.groupby("arm")["off"].first().abs().mean()
        head = f"- *{training}*: nearest at {' and, alike, at '.join(places)}"
        lines.append(f"{head}, {distance:.1f} percentage points off on average: {told}.")
    return "\n".join(lines)


def otherwise(table: pd.DataFrame, eps: float) -> str:
    """What the variants of training keep without an attack and within `eps`, 1/255 of pixels, beside the arms as they
    are on the same seeds, as Markdown, a line per training; empty without variants or where `eps` was not measured.
    """
    found = table[(table["space"] == "pixels") & table["eps"].isin([0.0, eps])]
    found = found.assign(attacked=found["eps"] > 0, percent=100 * found["accuracy"])
    wide = found.pivot(index=["arm", "seed"], columns=["training", "attacked"], values="percent")
    lines = []
    for training in dict.fromkeys(table["training"]):
        if training == AS_ARMS or (training, True) not in wide:
            continue
        both = wide[[training, AS_ARMS]].dropna().groupby("arm", sort=False).mean()
        told = [
            f"`{arm}` {row[training, False]:.1f} % and {row[training, True]:.1f} % (as an arm "
            f"{row[AS_ARMS, False]:.1f} % and {row[AS_ARMS, True]:.1f} %)"
            for arm, row in both.iterrows()
        ]
        lines.append(f"- *{training}*, without an attack and within {eps:g}/255 of pixels: {'; '.join(told)}.")
    return "\n".join(lines)


# --- what may have been done otherwise --------------------------------------------------------------------------------


def otherwise_trained(section) -> dict[str, list[Run]]:
    """The networks of the two conjectures that the preset asks for, by what was done otherwise in training."""
    wanted = [*variants.spaces(section.preset), *variants.finetuned(section.preset)]
    found: dict[str, list[Run]] = {}
    for variant, runs in variants.networks(section, wanted):
        found.setdefault(variant.name, []).extend(runs)
    return found
