"""Fig. 2: one class in two dimensions, and the ranks of altered versions among the neighbours of their original."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64

from ..perturbations import LEVELS
from . import devices, statistics
from .discontinuity import POOLED, altered, grouped, reference, share
from .measurements import measurement
from .runs import Run, predict

EMBEDDINGS = {"logits": "the logits themselves", "pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
NEAREST_RANK = (len(LEVELS) + 1) / 2
"""The mean rank of the four versions if they are the four nearest points: (1 + 2 + 3 + 4) / 4."""


def project(points: Float[np.ndarray, "n k"], embedding: str, seed: int = 0) -> Float[np.ndarray, "n d"]:
    """Points in one of `EMBEDDINGS`: the logits as they are, or two dimensions by PCA, t-SNE or UMAP.

    The libraries' defaults, as far as so few points allow: t-SNE's perplexity is at most a third of the points, UMAP
    looks at 15 neighbours at most. Raises `ValueError` for an unknown embedding.
    """
    if embedding == "logits":
        return points
    if embedding == "pca":
        from sklearn.decomposition import PCA

        return PCA(2, svd_solver="full").fit_transform(points)
    if embedding == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30, (len(points) - 1) // 3)
        return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(points)
    if embedding == "umap":
        from umap import UMAP

        umap = UMAP(n_neighbors=min(15, len(points) - 1), random_state=seed, n_jobs=1)
        with devices.threads(torch.get_num_threads()):  # of which numba, beneath UMAP, would leave torch one per core
            return umap.fit_transform(points)
    raise ValueError(f"unknown embedding {embedding!r} (one of {', '.join(EMBEDDINGS)})")


def ranks(coordinates: Float[np.ndarray, "n d"], versions: int = len(LEVELS)) -> Float64[np.ndarray, " versions"]:
    """Ranks of points 1 to `versions` among the neighbours of point 0: 1 is nearest, equal ones share their mean."""
    from scipy.stats import rankdata

    return rankdata(np.linalg.norm(coordinates[1:] - coordinates[0], axis=1))[:versions]


def _neighbourhoods(run: Run, per_class: int, positions: Sequence[int]) -> Iterator[tuple]:
    """For each position in the test split: itself, label, group, and the logits of x_A, its versions, its class."""
    network, others = run.model(), reference(run, per_class)
    originals = grouped(run.images("test")).select(torch.tensor(positions))
    versions = torch.stack([predict(network, originals), *(altered(network, originals, name, 1) for name in LEVELS)], 1)
    rest = predict(network, others)
    for k, position in enumerate(positions):
        same = (others.labels == originals.labels[k]) & (others.groups != originals.groups[k])
        points = torch.cat([versions[k], rest[same]]).double().cpu().numpy()
        yield int(position), int(originals.labels[k]), int(originals.groups[k]), points


def drawn(run: Run, count: int | None = None) -> list[int]:
    """Positions of test images in random order, the first `count`; the same for every arm of a seed."""
    order = torch.randperm(len(run.images("test")), generator=run.generator("section 2, originals"))
    return order[:count].tolist()


@measurement()
def maps(run: Run, *, per_class: int = 50, image: int = -1) -> pd.DataFrame:
    """Fig. 2: a class's reference images, one x_A of the class and its four versions at level 1, in two dimensions.

    `image` is x_A's position in the test split, -1 for one that is drawn. Columns embedding, image, label, point
    ("original", a perturbation, or "reference"), x, y, rank (among the neighbours of x_A; NaN for x_A itself).
    """
    position = drawn(run, 1)[0] if image < 0 else image
    _, label, _, points = next(_neighbourhoods(run, per_class, [position]))
    names = ["original", *LEVELS] + ["reference"] * (len(points) - 1 - len(LEVELS))
    tables = []
    for embedding in list(EMBEDDINGS)[1:]:
        x, y = project(points, embedding, run.seed).astype(np.float64).T
        rank = [np.nan, *ranks(np.stack([x, y], 1), len(points) - 1)]
        about = {"embedding": embedding, "image": position, "label": label}
        tables.append(pd.DataFrame(about | {"point": names, "x": x, "y": y, "rank": rank}))
    return pd.concat(tables, ignore_index=True)


@measurement()
def neighbours(
    run: Run, *, per_class: int = 50, images: int | None = None, embeddings: Sequence[str] = ("logits", "pca")
) -> pd.DataFrame:
    """The rank of each altered version (level 1) among the neighbours of its original.

    `images` is how many originals are drawn from the test split; None is all of it. A version's rivals are the other
    versions and the reference images of the class. Columns embedding, image, label, group, perturbation, rank (1 is
    the nearest), points (how many neighbours there are).
    """
    rows = []
    for position, label, group, points in _neighbourhoods(run, per_class, drawn(run, images)):
        about = {"image": position, "label": label, "group": group, "points": len(points) - 1}
        for embedding in embeddings:
            found = ranks(project(points, embedding, run.seed))
            rows += [
                {"embedding": embedding, "perturbation": name, "rank": rank} | about
                for name, rank in zip(LEVELS, found, strict=True)
            ]
    return pd.DataFrame(rows)


def mean_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Mean rank in a table of `neighbours`, of each perturbation and of all four together.

    Columns arm, seed, embedding, perturbation, rank, n (versions), low, high (95 %, bootstrap over glyphs), and
    `chance`, the mean rank if the order of the neighbours were random.
    """
    rows = []
    keys = ["arm", "seed", "embedding", "perturbation"]
    for key, part in pd.concat([table.assign(perturbation=POOLED), table]).groupby(keys, sort=False):
        found = statistics.mean(part["rank"].to_numpy(), part["group"].to_numpy())
        about = {"rank": found.pop("mean")} | found | {"chance": (part["points"].mean() + 1) / 2}
        rows.append(dict(zip(keys, key, strict=True)) | about)
    return pd.DataFrame(rows)


def nearest_shares(table: pd.DataFrame) -> pd.DataFrame:
    """How often, in a table of `neighbours`, the versions are what lies closest to their original.

    Columns arm, seed, embedding, measure ("one": the nearest point is one of the four versions; "all": the four
    nearest points are the four versions), share, n (originals), low, high (95 %, bootstrap over glyphs).
    """
    rows = []
    keys = ["arm", "seed", "embedding"]
    for key, part in table.groupby(keys, sort=False):
        images = part.groupby("image").agg(group=("group", "first"), least=("rank", "min"), most=("rank", "max"))
        for measure, event in (("one", images["least"] < 2), ("all", images["most"] <= len(LEVELS))):
            found = statistics.accuracy(event.to_numpy(), images["group"].to_numpy())
            rows.append(
                dict(zip(keys, key, strict=True)) | {"measure": measure, "share": found.pop("accuracy")} | found
            )
    return pd.DataFrame(rows)


# --- words ------------------------------------------------------------------------------------------------------------


def conclusion(ranks: pd.DataFrame, shares: pd.DataFrame) -> str:
    """What `mean_ranks` and `nearest_shares` of one arm say of the paper's claim, in Markdown."""
    lines = []
    for embedding in dict.fromkeys(ranks["embedding"]):
        pooled = ranks[(ranks["embedding"] == embedding) & (ranks["perturbation"] == POOLED)]
        one, every = (
            shares[(shares["embedding"] == embedding) & (shares["measure"] == name)] for name in ("one", "all")
        )
        lines.append(
            f"- **{EMBEDDINGS[embedding]}**: mean rank {_rank(pooled)}, in random order {pooled['chance'].mean():.1f}. "
            f"The point closest to the original is one of its versions for {share(one, 'share')}; the four closest are "
            f"the four versions for {share(every, 'share')}."
        )
    usual = shares.groupby(["measure", "embedding"], sort=False)["share"].mean().gt(0.5).groupby("measure").sum()
    single = ranks[ranks["perturbation"] != POOLED].groupby("perturbation", sort=False)["rank"].mean()
    return (
        f"The four nearest points would have a mean rank of {NEAREST_RANK:g}.\n\n" + "\n".join(lines) + "\n\n"
        f"So for most originals the closest point is one of their own versions in {usual['one']} of {len(lines)} "
        f"spaces, and the four closest are the four versions in {usual['all']} of {len(lines)}. The version that "
        f"strays furthest is {single.idxmax()}, with a mean rank of {single.max():.1f}; the one that stays closest is "
        f"{single.idxmin()}, with {single.min():.1f}."
    )


def _rank(rows: pd.DataFrame) -> str:
    if len(rows) == 1:
        return f"{rows['rank'].iloc[0]:.2f} [{rows['low'].iloc[0]:.2f}, {rows['high'].iloc[0]:.2f}]"
    return f"{rows['rank'].mean():.2f} ({rows['rank'].min():.2f} to {rows['rank'].max():.2f} over {len(rows)} networks)"


def describe_maps(table: pd.DataFrame, classes: Sequence[str]) -> str:
    """Alt text of Fig. 2, from `maps`; `classes` are the network's."""
    parts = []
    for embedding, part in table.groupby("embedding", sort=False):
        rank = part.set_index("point")["rank"]
        parts.append(f"{EMBEDDINGS[embedding]}: " + ", ".join(f"{name} {rank[name]:g}" for name in LEVELS))
    label, others = (
        classes[table["label"].iloc[0]],
        int((table["point"] == "reference").sum() / table["embedding"].nunique()),
    )
    return (
        f"Scatter plots of the logits of class {label}: {others} images in grey, one original as a star, its four "
        f"altered versions in colour. Their ranks among its neighbours, {'; '.join(parts)}."
    )


def describe_ranks(table: pd.DataFrame) -> str:
    """Alt text of the figure of `mean_ranks`."""
    parts = []
    for embedding, part in table[table["perturbation"] != POOLED].groupby("embedding", sort=False):
        mean = part.groupby("perturbation", sort=False)["rank"].mean()
        parts.append(f"{EMBEDDINGS[embedding]}: " + ", ".join(f"{name} {rank:.1f}" for name, rank in mean.items()))
    return f"Mean ranks of altered versions among their original's neighbours, 1 being nearest. {'; '.join(parts)}."
