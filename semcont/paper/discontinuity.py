"""Section 2: is an image further from its own slightly altered copy than from other images of its class? (Fig. 1)

All distances are DS (Eq. 2) between logits. "The class" of a test image is its true label, and the other images of that
class come from a reference of images that no network trained on.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .. import datasets
from ..datasets import ImageSet
from ..losses import distance_score
from ..perturbations import LEVELS, perturb
from . import statistics
from .cells import in_range, shares
from .measurements import measurement
from .runs import Run, per_batch, predict

MEASURES = {
    "beyond_nearest": "further than the nearest of the class",
    "beyond_median": "further than the median of the class",
    "flip_rate": "another class is predicted",
}
"""What may happen to an image under a perturbation, and in words."""
POOLED = "all four"  # perturbations, taken together


def reference(run: Run, per_class: int) -> ImageSet:
    """`per_class` images of each class, none of which a network trained on: the split "reference" of the run's data.

    Of a data set without one, the first test images of each class. Groups say which images are of the same thing.
    """
    if "reference" in datasets.splits(run.preset.data.name):
        return grouped(run.images("reference", n=per_class * len(run.record["classes"])))
    test = grouped(run.images("test"))
    kept = [(test.labels == label).nonzero().squeeze(1)[:per_class] for label in range(len(test.classes))]
    return test.select(torch.cat(kept).sort().values)


def grouped(images: ImageSet) -> ImageSet:
    """The set with groups: where none are known, each image is a group of its own."""
    return images if images.groups is not None else replace(images, groups=torch.arange(len(images)).to(images.labels))


def altered(network: nn.Module, images: ImageSet, perturbation: str, level: int) -> Float[Tensor, "n k"]:
    """F(x') of all images at one setting of Table 1, batch by batch."""
    pieces = torch.arange(len(images), device=images.images.device).split(per_batch(images.images))
    return torch.cat([predict(network, perturb(images.float(rows), perturbation, level)) for rows in pieces])


def within_class(
    logits: Float[Tensor, "n k"],
    labels: Int[Tensor, " n"],
    groups: Int[Tensor, " n"],
    reference_logits: Float[Tensor, "m k"],
    reference_labels: Int[Tensor, " m"],
    reference_groups: Int[Tensor, " m"],
) -> dict[str, Tensor]:
    """DS from each image to the reference images of its class, those of its own group (itself) left out.

    Returns tensors (n,): `nearest` and `median` of these distances, `neighbour`, the nearest one's position in the
    reference, and `others`, how many there are. Raises `ValueError` where an image has none.
    """
    found = {name: torch.zeros(len(logits), dtype=torch.float64) for name in ("nearest", "median")}
    found |= {name: torch.zeros(len(logits), dtype=torch.int64) for name in ("neighbour", "others")}
    for label in labels.unique():
        rows, columns = (labels == label).nonzero().squeeze(1), (reference_labels == label).nonzero().squeeze(1)
        scores = (logits[rows, None].double() - reference_logits[None, columns].double()).square().sum(2)
        itself = groups[rows, None] == reference_groups[None, columns]
        if bool(itself.all(1).any()):
            raise ValueError(f"an image of class {int(label)} has no other image of its class in the reference")
        scores[itself] = torch.nan
        least, where = scores.nan_to_num(nan=torch.inf).min(1)
        here = rows.cpu()
        found["nearest"][here], found["neighbour"][here] = least.cpu(), columns[where].cpu()
        found["median"][here], found["others"][here] = scores.nanquantile(0.5, 1).cpu(), (~itself).sum(1).cpu()
    return found


@measurement()
def distances(run: Run, *, per_class: int = 50) -> pd.DataFrame:
    """Every test image at the sixteen settings of Table 1, beside the images of its class.

    Columns: perturbation, level, image (position in the test split), group, label, predicted, predicted_prime (for x
    and x'), score = DS(x, x'), and what `within_class` gives: nearest, median, neighbour, others.
    """
    network, test, others = run.model(), grouped(run.images("test")), reference(run, per_class)
    logits = predict(network, test)
    known = within_class(logits, test.labels, test.groups, predict(network, others), others.labels, others.groups)
    image = {"image": np.arange(len(test)), "group": test.groups.cpu(), "label": test.labels.cpu()}
    tables = []
    for perturbation, strengths in LEVELS.items():
        for level in range(1, len(strengths) + 1):
            moved = altered(network, test, perturbation, level)
            seen = {"predicted": logits.argmax(1).cpu(), "predicted_prime": moved.argmax(1).cpu()}
            score = {"score": distance_score(logits.double(), moved.double()).cpu()}
            columns = {"perturbation": perturbation, "level": level} | image | seen | score | known
            tables.append(pd.DataFrame({name: np.asarray(value) for name, value in columns.items()}))
    return pd.concat(tables, ignore_index=True)


def network(table: pd.DataFrame, origins: Sequence[str] = ()) -> pd.DataFrame:
    """How good the networks of a table of `distances` are, and their events at level 1, by where the images are from.

    `origins` names the source of each test image (`images.origins`); none, or one, gives the rows of "all" alone.
    Columns arm, seed, origin, measure ("accuracy", and `MEASURES` over the four perturbations), value, n, low, high.
    """
    own = table[table["level"] == 1]
    parts = {"all": own}
    if len(set(origins)) > 1:
        source = own["image"].map(dict(enumerate(origins)))
        parts |= {name: own[source == name] for name in sorted(set(origins))}
    rows = []
    for origin, part in parts.items():
        for (arm, seed), mine in part.groupby(["arm", "seed"], sort=False):
            about = {"arm": arm, "seed": seed, "origin": origin, "measure": "accuracy"}
            once = mine.drop_duplicates("image")
            found = statistics.share(once["predicted"] == once["label"], once["group"].to_numpy())
            rows.append(about | {"value": found.pop("mean")} | found)
        events = rates(part)
        events = events[events["perturbation"] == POOLED].rename(columns={"rate": "value"}).assign(origin=origin)
        rows += events[["arm", "seed", "origin", "measure", "value", "n", "low", "high"]].to_dict("records")
    return pd.DataFrame(rows)


def rates(table: pd.DataFrame) -> pd.DataFrame:
    """How often `MEASURES` come true in a table of `distances`: each perturbation and level, and all four together.

    Columns arm, seed, perturbation, level, measure, rate, n (images times perturbations), low, high: 95 %, by
    bootstrap over groups (glyphs). Distances that are equal do not count as further.
    """
    events = {
        "beyond_nearest": table["score"] > table["nearest"],
        "beyond_median": table["score"] > table["median"],
        "flip_rate": table["predicted"] != table["predicted_prime"],
    }
    long = pd.concat([table.assign(measure=name, event=event) for name, event in events.items()])
    long = pd.concat([long, long.assign(perturbation=POOLED)])
    rows = []
    keys = ["arm", "seed", "perturbation", "level", "measure"]
    for key, part in long.groupby(keys, sort=False):
        found = statistics.share(part["event"].to_numpy(), part["group"].to_numpy())
        rows.append(dict(zip(keys, key, strict=True)) | {"rate": found.pop("mean")} | found)
    return pd.DataFrame(rows)


def reading(table: pd.DataFrame, level: int = 1) -> pd.DataFrame:
    """`rates` at one level as they are read: a row per perturbation (and per arm, of several), a column per measure, in
    percent; of several seeds the mean with the standard deviation."""
    table = table[table["level"] == level]
    keys = [name for name in ("arm", "perturbation") if table[name].nunique() > 1] or ["arm"]
    rows = table[keys].drop_duplicates().reset_index(drop=True)
    for measure, words in MEASURES.items():
        cells = shares(table[table["measure"] == measure], "rate", keys)
        rows = rows.merge(cells.rename(columns={"percent": words}), on=keys)
    return rows


# --- Fig. 1 -----------------------------------------------------------------------------------------------------------


def examples(table: pd.DataFrame, quantiles: Sequence[float], level: int = 1) -> pd.DataFrame:
    """One image per perturbation and quantile, by the excess DS(x, x') - DS(x, nearest of its class).

    Quantile 1 is the image with the largest excess of all, 0.5 the one in the middle. Of a table of `distances` with
    several seeds the first counts. Raises `ValueError` for a quantile outside [0, 1].
    """
    table = table[(table["level"] == level) & (table["seed"] == table["seed"].iloc[0])]
    found = []
    for quantile in dict.fromkeys(quantiles):
        if not 0 <= quantile <= 1:
            raise ValueError(f"a quantile lies in [0, 1], not {quantile!r}")
        for _, part in table.groupby("perturbation", sort=False):
            order = (part["score"] - part["nearest"]).to_numpy().argsort(kind="stable")
            found.append(part.iloc[[order[round(quantile * (len(part) - 1))]]].assign(quantile=quantile))
    return pd.concat(found, ignore_index=True)


def pictures(run: Run, examples: pd.DataFrame, per_class: int) -> Float[np.ndarray, "rows 3 h w 3"]:
    """x_A, x_A' and x_B of each row of `examples`, channels last, in [0, 1]."""
    x = run.images("test").float(torch.tensor(examples["image"].to_numpy()))
    near = reference(run, per_class).float(torch.tensor(examples["neighbour"].to_numpy()))
    settings = zip(x, examples["perturbation"], examples["level"], strict=True)
    moved = torch.cat([perturb(image[None], name, int(level)) for image, name, level in settings])
    return torch.stack([x, moved, near], 1).permute(0, 1, 3, 4, 2).cpu().numpy()


# --- words ------------------------------------------------------------------------------------------------------------


def percent(value: float) -> str:
    """A share as a reader writes it."""
    return f"{100 * value:.1f} %"


def share(rows: pd.DataFrame, value: str = "rate") -> str:
    """A share in percent: of one network with its interval, of several the mean with the smallest and the largest."""
    values = 100 * rows[value]
    if len(rows) == 1:
        return f"{values.iloc[0]:.1f} % [{100 * rows['low'].iloc[0]:.1f}, {100 * rows['high'].iloc[0]:.1f}]"
    return f"{values.mean():.1f} % ({values.min():.1f} to {values.max():.1f} over {len(rows)} networks)"


def _of(table: pd.DataFrame, measure: str, perturbation: str = POOLED, level: int = 1) -> pd.DataFrame:
    wanted = {"measure": measure, "perturbation": perturbation, "level": level}
    return table[(table[list(wanted)] == list(wanted.values())).all(axis=1)]


def setup(table: pd.DataFrame) -> str:
    """What a table of `distances` compares with what, in Markdown."""
    least, most = table["others"].min(), table["others"].max()
    many = f"{least} or {most}" if most == least + 1 else in_range(least, most)
    return (
        f"{table['image'].nunique():,} test images of {table['label'].nunique()} classes, each beside {many} other "
        f"images of its class, at {len(table[['perturbation', 'level']].drop_duplicates())} settings."
    )


def conclusion(table: pd.DataFrame) -> str:
    """What the `rates` of one arm say of the paper's claim, in Markdown."""
    nearest, median, flips = (_of(table, measure) for measure in MEASURES)
    single = table[(table["level"] == 1) & (table["measure"] == "beyond_nearest") & (table["perturbation"] != POOLED)]
    single = single.groupby("perturbation", sort=False)["rate"].mean().sort_values()
    low, high = nearest["low"].min(), nearest["high"].max()
    size = "most" if low > 0.5 else "a minority" if high < 0.5 else "about half"
    top = int(table["level"].max())
    return (
        f"At level 1 and over the four perturbations, $x'$ lies further from $x$ than the nearest image of its class "
        f"does for {share(nearest)} of the pairs, and further than the median image of its class for {share(median)}. "
        f"The predicted class changes for {share(flips)}.\n\n"
        f"So the case of Fig. 1 is that of **{size}** of the pairs. It depends on the perturbation: from "
        f"{percent(single.iloc[0])} for {single.index[0]} to {percent(single.iloc[-1])} for {single.index[-1]}. At "
        f"level {top} it is that of {share(_of(table, 'beyond_nearest', level=top))}."
    )


def conclusion_arms(table: pd.DataFrame) -> str:
    """How the rate at level 1 depends on the network, in Markdown."""
    means = _of(table, "beyond_nearest").groupby("arm", sort=False)["rate"].mean().sort_values()
    order = ", ".join(f"`{arm}` {percent(rate)}" for arm, rate in means.items())
    return f"Further than the nearest of its class, at level 1 over the four perturbations, from the rarest: {order}."


def describe_pairs(table: pd.DataFrame, classes: Sequence[str]) -> str:
    """Alt text of Fig. 1, from `examples`; `classes` are the network's."""
    parts = [
        f"{row.perturbation}: DS {row.score:.3g} to its altered copy and {row.nearest:.3g} to another image of class "
        f"{classes[row.label]}"
        + (f", copy seen as {classes[row.predicted_prime]}" if row.predicted_prime != row.predicted else "")
        for row in table.itertuples()
    ]
    kinds = " and ".join(f"quantile {quantile:g}" for quantile in dict.fromkeys(table["quantile"]))
    return (
        "Rows of three pictures: an image, its altered copy, the nearest image of its class; excess at "
        f"{kinds}. {'; '.join(parts)}."
    )


def describe_rates(table: pd.DataFrame) -> str:
    """Alt text of the figure of `rates`."""
    last = int(table["level"].max())
    parts = []
    for measure, words in MEASURES.items():
        rows = [
            f"{name} {percent(_of(table, measure, name)['rate'].mean())} and "
            f"{percent(_of(table, measure, name, last)['rate'].mean())}"
            for name in LEVELS
        ]
        parts.append(f"{words}: {', '.join(rows)}")
    return f"Three panels of rates over the level of perturbation; at levels 1 and {last}. {'. '.join(parts)}."
