"""Section 3: does the constraint smooth the gradients dF/dx, and does it weaken single pixels?

All norms are with pixels in [0, 1]. A network that multiplies its logits by s multiplies its gradients by s, so each
norm is also divided by the mean distance ||F(x_i) - F(x_j)|| between images of different classes.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from ..losses import ARMS
from ..perturbations import LEVELS, perturb
from . import statistics
from .arrays import groups_of
from .continuity import PAIRS
from .directions import caution
from .measurements import measurement
from .presets import Preset
from .runs import Run, weight_of

MEASURES = {
    "gradient_norm": "norm of dF/dx",
    "curvature": "curvature",
    "pixel_norm": "strongest pixel's norm",
    "pixel_share": "strongest pixel's share",
    "linear_remainder": "what the linear term leaves of DS",
    "class_distance": "mean distance between classes",
}
"""What `smoothness` measures. The first three have a scale: that of the logits."""
CURVES = {
    "loss": "loss",
    "ce": "cross-entropy on x",
    "distance": "DS of training pairs",
    "accuracy": "training accuracy",
    "val_accuracy": "validation accuracy",
    "val_attacked": "validation accuracy, attacked",
}
SCALED = ("gradient_norm", "curvature", "pixel_norm")
"""Measures that grow with the logits, and are claimed to fall also over the distance between classes."""
FURTHER = ("adv+c", "c")
"""Section 3 expects the first of each of `continuity.PAIRS`, and of this pair, smoother; of this in ||dF/dx|| alone."""


# --- the objective ----------------------------------------------------------------------------------------------------


def arms(preset: Preset) -> pd.DataFrame:
    """The objective of each arm of the preset as a row: P, the weights a and b of the cross-entropies, and of DS."""
    rows = []
    for arm in preset.arms:
        kind = ARMS[arm]
        third = "-" if kind.weight is None else kind.distance.replace("squared_l2", "DS")
        weights = {"a": kind.a, "b": kind.b, "alpha": weight_of(preset, arm)}
        rows.append({"arm": arm, "P": kind.perturbation} | weights | {"D": third})
    return pd.DataFrame(rows)


def curves(runs: Sequence[Run]) -> pd.DataFrame:
    """The training curves of all runs as one long table: arm, seed, epoch, measure (of `CURVES`), value."""
    tables = []
    for run in runs:
        history = run.history
        known = [name for name in CURVES if name in history]
        long = history.melt("epoch", known, "measure", "value").dropna()
        tables.append(long.assign(arm=run.arm, seed=run.seed)[["arm", "seed", "epoch", "measure", "value"]])
    return pd.concat(tables, ignore_index=True)


def terms(runs: Sequence[Run]) -> pd.DataFrame:
    """The parts of Eq. 5 in the last epoch, already weighted (NaN: not computed), their sum, and the reported loss."""
    rows = []
    for run in runs:
        last, kind = run.history.iloc[-1], ARMS[run.arm]
        weights = {"ce": kind.a, "ce_prime": kind.b, "distance": weight_of(run.preset, run.arm)}
        parts = {name: weight * float(last[name]) if weight else float("nan") for name, weight in weights.items()}
        total = {"sum": np.nansum(list(parts.values())), "loss": float(last["loss"])}
        rows.append({"arm": run.arm, "seed": run.seed} | parts | total)
    return pd.DataFrame(rows)


# --- derivatives of one network ---------------------------------------------------------------------------------------


def jacobian(model: nn.Module, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k 3 h w"]:
    """dF/dx of each image: one backward pass per logit over the whole batch, which needs a network in eval mode.

    Raises `ValueError` where a module is in training mode: with batch statistics one image's logits depend on the
    others.
    """
    if any(module.training for module in model.modules()):
        raise ValueError("the Jacobian of each image needs the network in eval mode: call model.eval()")
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits = model(x)
        rows = [torch.autograd.grad(logits[:, k].sum(), x, retain_graph=True)[0] for k in range(logits.shape[1])]
    return torch.stack(rows, 1)


def pixel_norms(j: Float[Tensor, "n k 3 h w"]) -> Float[Tensor, "n h w"]:
    """How far a pixel can move the logits: the norm of dF/dx over all logits and the pixel's three channels.

    Their squares sum to the squared Frobenius norm of the whole.
    """
    return j.square().sum(dim=(1, 2)).sqrt()


def curvature(
    model: nn.Module,
    x: Float[Tensor, "n 3 h w"],
    step: float,
    generator: Generator,
    at_x: Float[Tensor, "n k 3 h w"] | None = None,
) -> Float[Tensor, " n"]:
    """||J(x + h v) - J(x)|| / h of each image, J = dF/dx, Frobenius norm, v random signs, h = `step` in [0, 1] units.

    It stands for the second derivative of Eq. 6, which a ReLU network has almost nowhere. `at_x` saves computing J(x).
    x + h v may leave [0, 1] by h. Raises `ValueError` for a step that is not above 0.
    """
    if not step > 0:
        raise ValueError(f"step must be above 0, not {step!r}")
    signs = torch.randint(0, 2, x.shape, generator=generator).to(x) * 2 - 1
    at_x = jacobian(model, x) if at_x is None else at_x
    return (jacobian(model, x + step * signs) - at_x).flatten(1).norm(dim=1) / step


def between_classes(
    logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]
) -> tuple[Float[Tensor, "n n"], Bool[Tensor, "n n"]]:
    """||F(x_i) - F(x_j)|| of all pairs, and which of them are of different classes."""
    logits = logits.double()
    return torch.cdist(logits, logits, compute_mode="donot_use_mm_for_euclid_dist"), labels[:, None] != labels[None]


# --- what is measured -------------------------------------------------------------------------------------------------


@measurement()
def smoothness(run: Run, *, images: int | None = None, step: float = 2.0, batch: int = 50) -> pd.DataFrame:
    """Norms of dF/dx and of its change on the first `images` test images (None: all), as they are and without scale.

    Columns measure (of `MEASURES`), scale ("raw", or "relative": over the mean distance between classes), value, n,
    low, high (95 %, bootstrap over glyphs; of a ratio both parts are resampled). With J = dF/dx of an image and J_p
    its part at pixel p, means over images of: gradient_norm ||J||; curvature, `curvature` at `step` / 255;
    pixel_norm, the largest ||J_p||; pixel_share, the largest ||J_p||^2 / ||J||^2. linear_remainder is the sum over
    the four perturbations at level 1 and all images of ||F(x') - F(x) - J dx||^2 over that of DS: what Eq. 6's linear
    term leaves of it.
    """
    network, data = run.model(), run.images("test").select(slice(images))
    generator, found = run.generator("curvature"), []
    for rows in torch.arange(len(data), device=data.images.device).split(batch):
        found.append(_of_batch(network, data.float(rows), step / 255, generator))
    values = {name: torch.cat([part[name] for part in found]).double().cpu().numpy() for name in found[0]}
    logits = torch.from_numpy(values.pop("logits"))
    distance, different = (part.numpy() for part in between_classes(logits, data.labels.cpu()))
    groups = groups_of(data)
    return _summary(values, distance, different, groups)


def _of_batch(network: nn.Module, x: Tensor, step: float, generator: Generator) -> dict[str, Tensor]:
    """Per image: the logits, and all that is measured of its Jacobian."""
    x = x.contiguous(memory_format=torch.channels_last)
    j = jacobian(network, x)
    whole, pixels = j.flatten(1).norm(dim=1), pixel_norms(j).flatten(1)
    strongest = pixels.amax(1)
    found = {"gradient_norm": whole, "curvature": curvature(network, x, step, generator, j), "pixel_norm": strongest}
    found["pixel_share"] = (strongest / whole.clamp_min(1e-30)).square()
    with torch.no_grad():
        found["logits"], missed, score = network(x), 0, 0
        for name in LEVELS:
            moved = perturb(x, name, 1)
            change = network(moved) - found["logits"]
            score = score + change.square().sum(1)
            missed = missed + (change - torch.einsum("nkchw,nchw->nk", j, moved - x)).square().sum(1)
    return found | {"missed": missed, "score": score}


def _summary(values: dict, distance: np.ndarray, different: np.ndarray, groups: np.ndarray | None) -> pd.DataFrame:
    """The rows of `smoothness` from one value per image (n,) and the distances of all pairs (n, n)."""
    apart, counted = distance * different, different.astype(np.float64)

    def mean(weights: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return weights @ numbers / weights.sum(1)

    def between(weights: np.ndarray, _=None) -> np.ndarray:
        return ((weights @ apart) * weights).sum(1) / ((weights @ counted) * weights).sum(1)

    def relative(weights: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return mean(weights, numbers) / between(weights)

    def missed(weights: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return (weights @ numbers) / np.maximum(weights @ values["score"], 1e-30)

    plan = [(name, "relative", values[name], relative) for name in SCALED]
    plan += [(name, "raw", values[name], mean) for name in (*SCALED, "pixel_share")]
    plan += [("linear_remainder", "raw", values["missed"], missed)]
    plan += [("class_distance", "raw", np.ones(len(distance)), between)]
    rows = []
    for measure, scale, numbers, statistic in plan:
        value = float(statistic(np.ones((1, len(numbers))), numbers)[0])
        low, high = statistics.bootstrap(numbers, groups, statistic=_as_float(statistic))
        rows.append({"measure": measure, "scale": scale, "value": value, "n": len(numbers), "low": low, "high": high})
    return pd.DataFrame(rows)


def _as_float(statistic):
    """The bootstrap's weights are counts; matrix products are many times faster on floats."""
    return lambda weights, numbers: statistic(weights.astype(np.float64), numbers)


@measurement(pictures=True)
def pixel_maps(run: Run, *, images: int = 4) -> pd.DataFrame:
    """The norm of dF/dx at every pixel of the first test images.

    Columns image, row, column, norm, and share, the norm's square over ||dF/dx||^2.
    """
    x = run.images("test").select(slice(images)).float()
    norms = pixel_norms(jacobian(run.model(), x)).double().cpu().numpy()  # (n, h, w)
    share = norms**2 / np.maximum((norms**2).sum(axis=(1, 2), keepdims=True), 1e-30)
    image, row, column = (index.ravel() for index in np.indices(norms.shape))
    return pd.DataFrame({"image": image, "row": row, "column": column, "norm": norms.ravel(), "share": share.ravel()})


def strongest(table: pd.DataFrame) -> pd.DataFrame:
    """The strongest pixel of each image in a table of `pixel_maps`, one row per arm, seed and image."""
    table = table.reset_index(drop=True)
    return table.loc[table.groupby(["arm", "seed", "image"], sort=False)["share"].idxmax()].reset_index(drop=True)


def pictures(run: Run, images: int) -> Float[np.ndarray, "n h w 3"]:
    """The first test images, channels last, in [0, 1]."""
    return run.images("test").float(slice(images)).permute(0, 2, 3, 1).cpu().numpy()


# --- words ------------------------------------------------------------------------------------------------------------


def only(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """One measure of `smoothness`, over the distance between classes where it has a scale: a row per arm and seed."""
    scale = "relative" if measure in SCALED else "raw"
    return table[(table["measure"] == measure) & (table["scale"] == scale)]


def reading(table: pd.DataFrame) -> pd.DataFrame:
    """`smoothness` as it is read: a row per measure and scale, a column per arm, means over seeds."""
    wide = table.pivot_table(index=["measure", "scale"], columns="arm", values="value", sort=False)
    wide = wide[list(dict.fromkeys(table["arm"]))].rename_axis(columns=None).reset_index()
    words = {"relative": "over the class distance", "raw": "as it is"}
    return wide.assign(measure=wide["measure"].map(MEASURES), scale=wide["scale"].map(words))


def comparisons(table: pd.DataFrame) -> pd.DataFrame:
    """The pairs of arms in `smoothness`: columns measure, first, second, seed, ratio, overlap (of intervals)."""
    rows = []
    for measure in (*SCALED, "pixel_share"):
        found = only(table, measure).set_index(["arm", "seed"])
        for first, second in (*PAIRS, FURTHER) if measure == "gradient_norm" else PAIRS:
            for seed in sorted(set(table["seed"])):
                if {(first, seed), (second, seed)} <= set(found.index):
                    x, y = found.loc[(first, seed)], found.loc[(second, seed)]
                    about = {"measure": measure, "first": first, "second": second, "seed": seed}
                    overlap = x["low"] <= y["high"] and y["low"] <= x["high"]
                    rows.append(about | {"ratio": x["value"] / y["value"], "overlap": overlap})
    return pd.DataFrame(rows, columns=["measure", "first", "second", "seed", "ratio", "overlap"])


def conclusion(table: pd.DataFrame) -> str:
    """What `smoothness` says of section 3's expectation that every measure falls, in Markdown."""
    pairs = comparisons(table)
    if pairs.empty:
        return "No pair of arms that section 3 compares was trained here."
    lines = []
    for measure, part in pairs.groupby("measure", sort=False):
        texts = [
            f"`{first}` {pair['ratio'].mean():.2f} times `{second}`"
            for (first, second), pair in part.groupby(["first", "second"], sort=False)
        ]
        lines.append(f"- **{MEASURES[measure]}**: {', '.join(texts)}")
    other = pairs[pairs["ratio"] >= 1]
    named = dict.fromkeys(f"{MEASURES[row.measure]}, `{row.first}` and `{row.second}`" for row in other.itertuples())
    never = "not" if table["seed"].nunique() == 1 else "not in every seed"
    against = f" It is {never} for: {'; '.join(named)}." if named else ""
    return (
        "\n".join(lines) + "\n\nSection 3 leads one to expect the first of each pair to be lower. It is in "
        f"**{len(pairs) - len(other)} of {len(pairs)}** comparisons; in {int(pairs['overlap'].sum())} of all the "
        f"intervals overlap.{against}\n\n{caution(table)}"
    )


def conclusion_linear(table: pd.DataFrame) -> str:
    """How far Eq. 6's linear term carries at level 1, in Markdown."""
    means = only(table, "linear_remainder").groupby("arm", sort=False)["value"].mean()
    below = [f"`{arm}`" for arm, value in means.items() if value < 1]
    listed = ", ".join(f"`{arm}` {value:.2f}" for arm, value in means.items())
    return (
        f"What the linear term leaves over, as a multiple of DS: {listed}. It predicts the change better than *no "
        f"change* would, a value below 1, for: {', '.join(below) or 'none of the arms'}."
    )


def describe_curves(table: pd.DataFrame) -> str:
    """Alt text of the training curves."""
    last = table[table["epoch"] == table["epoch"].max()].groupby(["measure", "arm"], sort=False)["value"].mean()
    parts = [
        f"{words}: " + ", ".join(f"{arm} {value:.3g}" for arm, value in last[name].items())
        for name, words in CURVES.items()
        if name in last.index.get_level_values(0)
    ]
    return f"Training curves of each arm over {int(table['epoch'].max())} epochs. In the last, {'; '.join(parts)}."


def describe(table: pd.DataFrame) -> str:
    """Alt text of the figure of `smoothness`."""
    parts = []
    for measure in (*SCALED, "pixel_share"):
        means = only(table, measure).groupby("arm", sort=False)["value"].mean()
        parts.append(f"{MEASURES[measure]}: " + ", ".join(f"{arm} {value:.3g}" for arm, value in means.items()))
    return f"Four panels, a point with an interval for each arm. {'; '.join(parts)}."


def describe_maps(table: pd.DataFrame) -> str:
    """Alt text of the maps of single pixels."""
    shares = strongest(table).groupby("arm", sort=False)["share"].mean()
    parts = ", ".join(f"{arm} {100 * value:.1f} %" for arm, value in shares.items())
    return (
        f"Rows of an image and, for each arm, a map of the pixels' shares in the squared gradient, the strongest "
        f"ringed. "
        f"Mean share of the strongest pixel of these {table['image'].nunique()} images: {parts}."
    )
