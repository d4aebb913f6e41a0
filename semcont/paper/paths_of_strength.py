"""Section 4.2 beyond four points: the worst case and the slope along a path of strengths, and what clamping takes.

The path of a perturbation runs from t = -1 to t = 1: level 4 of Table 1 turned the other way, the image itself at 0,
level 4 as printed. Brightness adds 64 t / 255, contrast and saturation have the factor 2^t, hue turns by 0.4 t.
"""

import math

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ..datasets import ImageSet
from ..losses import distance_score
from ..perturbations import LEVELS, PERTURBATIONS, perturb
from ..perturbations.photometric import grey
from . import statistics
from .arrays import groups_of
from .continuity import PAIRS, between_classes, pairs, relative, seeds
from .measurements import measurement
from .runs import Run, predict

FACTORS = ("contrast", "saturation")
"""Perturbations whose strength is a factor, so that equal steps of the path are equal ratios."""

MEASURES = {
    "levels": "largest DS of Table 1's four levels",
    "path": "largest DS found on the path",
    "slope": "mean slope",
    "steepest": "largest slope",
    "flips": "answer changes somewhere on the path",
}


def strength(name: str, t: float | Tensor) -> float | Tensor:
    """The strength of perturbation `name` at t in [-1, 1]: Table 1's level 4 to the power, or times, t."""
    most = LEVELS[name][3]
    return most**t if name in FACTORS else most * t


def place(name: str, level: int) -> float:
    """Where on the path a level of Table 1 lies: t in (0, 1]."""
    value, most = LEVELS[name][level - 1], LEVELS[name][3]
    return math.log(value) / math.log(most) if name in FACTORS else value / most


# --- what is measured -------------------------------------------------------------------------------------------------


@measurement()
def by_path(run: Run, *, images: int | None = 200, points: int = 65, rounds: int = 2) -> pd.DataFrame:
    """DS along each path on the first `images` test images: its largest value, its slope, and its course.

    Columns perturbation, measure, t, value, n, low, high; intervals by bootstrap over glyphs. With D the mean DS, and d
    the mean distance, between images of different classes: "course" is mean DS / D at each t; "levels" and "path" are
    the mean over images of the largest DS at Table 1's four levels and at `points` values of t, refined around each
    image's largest in `rounds` rounds, over D. "path" is a lower bound: between the points DS may be larger. "slope"
    and "steepest" are the mean and the largest ||dF|| / dt between neighbouring points, over d; t = 1 is level 4.
    "flips" is the share of images whose class is another at some point.
    """
    data = run.images("test").select(slice(images))
    network, x = run.model(), data.float()
    logits, labels = predict(network, x), data.labels.cpu().numpy()
    groups = groups_of(data)
    rows = []
    for name in PERTURBATIONS:
        walk = walked(network, x, logits, name, points=points, rounds=rounds)
        rows += _rows(walk, logits.cpu().numpy(), labels, groups, name)
    columns = ["perturbation", "measure", "t", "value", "n", "low", "high"]
    return pd.DataFrame(rows)[columns]


def walked(network, x: Tensor, logits: Tensor, name: str, *, points: int, rounds: int) -> dict[str, np.ndarray]:
    """One path for a batch: t (p,), scores (p, n), slopes (p - 1, n), flips (n,), and the largest DS, (n,) each.

    "levels" is the largest at Table 1's four levels, "path" at all points and in `rounds` refinements, each of which
    puts eight further values between the two neighbours of the largest so far.
    """
    t = np.linspace(-1, 1, points)
    moved = [predict(network, PERTURBATIONS[name](x, strength(name, float(value)))) for value in t]
    scores = torch.stack([distance_score(logits, there) for there in moved])
    steps = torch.stack([(after - before).norm(dim=1) for before, after in zip(moved, moved[1:], strict=False)])
    flips = torch.stack([there.argmax(1) != logits.argmax(1) for there in moved]).any(0)
    levels = torch.stack([distance_score(logits, predict(network, perturb(x, name, n))) for n in range(1, 5)]).amax(0)
    best, where = scores.max(0)
    centre, reach = torch.as_tensor(t, device=x.device)[where], 2 / (points - 1)
    for _ in range(rounds):
        best, centre, reach = _refined(network, x, logits, name, best, centre, reach)
    found = {"scores": scores, "slopes": steps * (points - 1) / 2, "flips": flips}
    found |= {"levels": levels, "path": torch.maximum(best, levels)}
    return {"t": t} | {key: values.cpu().numpy().astype(np.float64) for key, values in found.items()}


def _refined(network, x, logits, name, best, centre, reach) -> tuple[Tensor, Tensor, float]:
    """The largest DS of each image after eight more values of t within `reach` of `centre`, its place, the step."""
    step, start = reach * 2 / 9, centre.clone()
    for k in range(1, 9):
        t = (start - reach + k * step).clamp(-1, 1)
        scores = distance_score(logits, predict(network, PERTURBATIONS[name](x, strength(name, t).to(x))))
        centre = torch.where(scores > best, t, centre)
        best = torch.maximum(best, scores)
    return best, centre, step


def _rows(walk: dict, logits: np.ndarray, labels: np.ndarray, groups: np.ndarray | None, name: str) -> list[dict]:
    """The rows of `by_path` for one perturbation."""
    between = float(between_classes(logits, labels)[0])
    apart = mean_distance(logits, labels)
    rows = []
    for measure in ("levels", "path"):
        rows.append({"measure": measure, "t": np.nan, **relative(walk[measure], logits, labels, groups)})
    scaled = {"slope": walk["slopes"].mean(0) / apart, "steepest": walk["slopes"].max(0) / apart}
    for measure, values in (scaled | {"flips": walk["flips"]}).items():
        summary = statistics.mean(values, groups)
        rows.append({"measure": measure, "t": np.nan, "value": summary.pop("mean"), **summary})
    for t, scores in zip(walk["t"], walk["scores"] / between, strict=True):
        summary = statistics.mean(scores, groups)
        rows.append({"measure": "course", "t": float(t), "value": summary.pop("mean"), **summary})
    return [{"perturbation": name, **row} for row in rows]


def mean_distance(logits: Float[np.ndarray, "n k"], labels: np.ndarray) -> float:
    """Mean ||F(x_i) - F(x_j)|| over all pairs of images of different classes."""
    from scipy.spatial.distance import cdist

    return float(cdist(logits, logits)[labels[:, None] != labels[None]].mean())


# --- what clamping takes ----------------------------------------------------------------------------------------------


def surviving_contrast(images: ImageSet) -> pd.DataFrame:
    """How much contrast brightness leaves at each level and sign, because it clamps object and background together.

    Columns level (-4 to 4), measure, value, n, low, high; intervals by bootstrap over glyphs. "contrast" is the
    standard deviation of the grey level within an image, "object" the distance between the mean grey levels of the
    object and of the rest, where masks are known: both as a share of what the intact images have. "clamped" is the
    share of pixel values at 0 or 255 that were not there before.
    """
    x, groups = images.float(), groups_of(images)
    whole, ends = _contrasts(x, images.masks), (x <= 0) | (x >= 1)
    rows = []
    for level in range(-4, 5):
        changed = perturb(x, "brightness", abs(level), 1 if level >= 0 else -1)
        for measure, values in _contrasts(changed, images.masks).items():
            rows.append({"level": level, "measure": measure, **_share(values, whole[measure], groups)})
        clamped = (((changed <= 0) | (changed >= 1)) & ~ends).float().mean((1, 2, 3)).cpu().numpy()
        summary = statistics.mean(clamped, groups)
        rows.append({"level": level, "measure": "clamped", "value": summary.pop("mean"), **summary})
    return pd.DataFrame(rows)


def _contrasts(x: Tensor, masks: Tensor | None) -> dict[str, np.ndarray]:
    """Per image (n,): the standard deviation of the grey level, and how far the object stands off the rest."""
    levels = grey(x)[:, 0].double()
    found = {"contrast": levels.std(dim=(1, 2), correction=0)}
    if masks is not None:
        inside = masks.to(levels)
        means = [(levels * part).sum((1, 2)) / part.sum((1, 2)).clamp_min(1) for part in (inside, 1 - inside)]
        found["object"] = (means[0] - means[1]).abs()
    return {name: values.cpu().numpy() for name, values in found.items()}


def _share(values: np.ndarray, whole: np.ndarray, groups: np.ndarray | None) -> dict[str, float]:
    """{"value", "n", "low", "high"} of the mean of `values` over the mean of `whole`, resampled together."""
    ratio = lambda weights, numbers: (weights @ numbers) / (weights @ whole)  # noqa: E731
    low, high = statistics.bootstrap(values, groups, statistic=ratio)
    return {"value": float(values.mean() / whole.mean()), "n": len(values), "low": low, "high": high}


# --- reading the tables -----------------------------------------------------------------------------------------------


def measures(section) -> pd.DataFrame:
    """`by_path` of every arm and seed; empty where the preset asks for no images of it."""
    own = section.preset.continuity
    if own.path_images == 0:
        return pd.DataFrame()
    return section.measured(by_path, images=own.path_images, points=own.path_points)


def only(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The rows of `by_path` with one measure."""
    return table[table["measure"] == measure].reset_index(drop=True)


def course(table: pd.DataFrame) -> pd.DataFrame:
    """DS along the paths, a row per arm, perturbation and t: columns value, low, high, seeds.

    From one seed low and high are its interval, from several the smallest and the largest of their values.
    """
    grouped = only(table, "course").groupby(["arm", "perturbation", "t"], sort=False)
    found = grouped.agg(value=("value", "mean"), smallest=("value", "min"), largest=("value", "max"))
    found["seeds"] = grouped["seed"].nunique()
    one = found["seeds"] == 1
    found["low"] = grouped["low"].first().where(one, found["smallest"])
    found["high"] = grouped["high"].first().where(one, found["largest"])
    return found.reset_index()[["arm", "perturbation", "t", "value", "low", "high", "seeds"]]


def reading(table: pd.DataFrame) -> pd.DataFrame:
    """`by_path` as it is read: a row per perturbation and measure of `MEASURES`, a column per arm, means over seeds."""
    rows = table[table["measure"] != "course"]
    wide = rows.pivot_table(index=["perturbation", "measure"], columns="arm", values="value", sort=False)
    wide = wide[list(dict.fromkeys(rows["arm"]))].rename_axis(columns=None).reset_index()
    return wide.assign(measure=wide["measure"].map(MEASURES))


def reading_contrast(table: pd.DataFrame) -> pd.DataFrame:
    """`surviving_contrast` as it is read: a row per level, percent with intervals."""
    names = {"contrast": "contrast left", "object": "object against the rest, left", "clamped": "newly clamped"}
    percent = lambda row: f"{100 * row.value:.0f} % [{100 * row.low:.0f}, {100 * row.high:.0f}]"  # noqa: E731
    cells = table.assign(text=[percent(row) for row in table.itertuples()])
    wide = cells.pivot(index="level", columns="measure", values="text")
    shown = [name for name in names if name in wide]
    return wide[shown].rename(columns=names).rename_axis(columns=None).reset_index()


def conclusion(table: pd.DataFrame) -> str:
    """In Markdown: how much further the path goes than the four levels, and whether the constraint lowers it."""
    if table.empty:
        return "This preset measures four points of each path only (`path_images`)."
    means = {name: only(table, name).groupby("arm", sort=False)["value"].mean() for name in ("levels", "path")}
    further = ", ".join(f"`{arm}` {value:.2f}" for arm, value in (means["path"] / means["levels"]).items())
    lines = [f"The largest DS on the path is, as a multiple of the largest at the four levels: {further}.", ""]
    found = {measure: pairs(only(table, measure), "value", ["perturbation"]) for measure in MEASURES}
    for first, second in PAIRS:
        parts = []
        for measure, rows in found.items():
            pair = rows[(rows["constrained"] == first) & (rows["plain"] == second)]
            if len(pair):
                sides = f"{pair['first'].mean():.3g} against {pair['second'].mean():.3g} on average"
                lower = (pair["first"] < pair["second"]).sum()
                parts.append(f"{MEASURES[measure]} lower in {lower} of {len(pair)} ({sides})")
        if parts:
            lines.append(f"- `{first}` against `{second}`: {'; '.join(parts)}.")
    return "\n".join([*lines, "", seeds(table)])


def describe(table: pd.DataFrame) -> str:
    """Alt text of the figure of the paths."""
    largest = only(table, "path").groupby("arm", sort=False)["value"].mean()
    parts = ", ".join(f"{arm} {value:.3g}" for arm, value in largest.items())
    return (
        "Four panels, one per perturbation: mean DS over the mean DS between classes, along the path from level 4 "
        "turned the other way through the image itself to level 4; one line per arm, logarithmic axis. Largest found, "
        f"mean over images and perturbations: {parts}."
    )
