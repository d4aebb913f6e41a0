"""Section 4.2: how far the logits move under photometric perturbations (Fig. 3), and what alpha costs (Fig. 4)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor

from ..datasets import ImageSet
from ..losses import cosine_distance, distance_score, kl
from ..perturbations import LEVELS, perturb
from . import directions, statistics
from .arrays import groups_of, numpy_of
from .measurements import measurement
from .runs import Run, predict

PAIRS = (("c", "base"), ("adv+c", "adv"), ("aug+c", "aug"), ("madry+c", "madry"))
"""Arms with the constraint, each against the arm that differs from it by the constraint alone."""


def table1_levels() -> pd.DataFrame:
    """Table 1: the strength of each perturbation at each level: brightness in 1/255, hue in turns, else a factor."""
    return pd.DataFrame({"level": range(1, 5), **LEVELS})


def sixteen(images: ImageSet, index: int | None = None) -> Float[Tensor, "4 5 3 h w"]:
    """One image at the sixteen settings of Table 1: a row per perturbation, the original and the four levels in it.

    `index` names the image; without it the most colourful one, where a turned hue can be seen best.
    """
    import torch

    if index is None:
        x = images.float()
        index = int((x.amax(1) - x.amin(1)).mean(dim=(1, 2)).argmax())
    x = images.float([index])
    return torch.stack([torch.cat([perturb(x, name, level) for level in range(5)]) for name in LEVELS])


# --- what is measured -------------------------------------------------------------------------------------------------


@measurement()
def by_level(run: Run, *, images: int | None = None) -> pd.DataFrame:
    """How far the perturbations move the logits of the test images: every perturbation and level of Table 1.

    Columns perturbation, level, sign, measure, value, n, low, high; intervals by bootstrap over glyphs. Sign "+" is
    Table 1 as printed, with the measures of `distances` and `relative_score`, the score over `between_classes`; "+-" is
    the mean of both directions (a subtracted amount, an inverse factor, a negative turn), with `score` alone. `images`
    takes the first so many.
    """
    data = run.images("test").select(slice(images))
    network, x, groups = run.model(), data.float(), groups_of(data)
    logits = predict(network, x)
    rows = []
    for perturbation in LEVELS:
        for level in range(1, 5):
            there, back = (
                distances(logits, predict(network, perturb(x, perturbation, level, sign))) for sign in (1, -1)
            )
            plus = {name: _mean(values, groups) for name, values in there.items()}
            plus["relative_score"] = relative(there["score"], numpy_of(logits), numpy_of(data.labels), groups)
            both = {"score": _mean((there["score"] + back["score"]) / 2, groups)}
            for sign, measures in (("+", plus), ("+-", both)):
                setting = {"perturbation": perturbation, "level": level, "sign": sign}
                rows += [{**setting, "measure": name, **summary} for name, summary in measures.items()]
    return pd.DataFrame(rows)


@measurement()
def trade_off(run: Run, *, images: int | None = None) -> pd.DataFrame:
    """Fig. 4: accuracy on the test images, and DS at level 1 summed over the four perturbations.

    Columns measure, value, n, low, high, chance, with the measures accuracy, score, and relative_score, the score over
    `between_classes`; `chance` is the accuracy of guessing.
    """
    data = run.images("test").select(slice(images))
    network, x, groups, labels = run.model(), data.float(), groups_of(data), numpy_of(data.labels)
    logits = predict(network, x)
    moved = sum(numpy_of(distance_score(logits, predict(network, perturb(x, name, 1)))) for name in LEVELS)
    accuracy = statistics.accuracy(numpy_of(logits.argmax(1)) == labels, groups)
    rows = {
        "accuracy": {"value": accuracy.pop("accuracy"), **accuracy},
        "score": _mean(moved, groups),
        "relative_score": relative(moved, numpy_of(logits), labels, groups),
    }
    chance = 1 / len(data.classes)
    return pd.DataFrame([{"measure": name, **row, "chance": chance} for name, row in rows.items()])


def distances(logits: Float[Tensor, "n k"], logits_prime: Float[Tensor, "n k"]) -> dict[str, np.ndarray]:
    """Four distances between the answers to x and to x', one value per image (n,).

    score: DS (Eq. 2). cosine: 1 - cos of the angle between the logits, each less its mean over the k classes, which the
    softmax does not see. kl: KL(p(x) || p(x')) in nats. flip: 1 where the predicted class is another.
    """
    found = {
        "score": distance_score(logits, logits_prime),
        "cosine": cosine_distance(logits, logits_prime),
        "kl": kl(logits, logits_prime),
        "flip": logits.argmax(1) != logits_prime.argmax(1),
    }
    return {name: numpy_of(values).astype(np.float64) for name, values in found.items()}


def between_classes(
    logits: Float[np.ndarray, "n k"], labels: Int[np.ndarray, " n"], weights: np.ndarray | None = None
) -> Float[np.ndarray, " r"]:
    """Mean DS over all pairs of images of different classes; one value per row of `weights` (r, n), else one.

    With W, S1, S2 the sums of w, w F(x), w ||F(x)||^2, all pairs sum to 2 (W S2 - ||S1||^2): taken over all images,
    less those within each class. A network that multiplies its logits by s multiplies this by s^2, and DS too.
    """
    logits = np.asarray(logits, dtype=np.float64)
    logits = logits - logits.mean(axis=0)  # changes no difference, and keeps the sums from cancelling
    weights = np.ones((1, len(labels))) if weights is None else np.asarray(weights, dtype=np.float64)
    total, pairs = _sum_over_pairs(logits, weights)
    for label in np.unique(labels):
        within, count = _sum_over_pairs(logits[labels == label], weights[:, labels == label])
        total, pairs = total - within, pairs - count
    return total / pairs


def _sum_over_pairs(logits: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weighted sum of DS over all ordered pairs of rows, and of the weights alone."""
    mass = weights.sum(axis=1)
    squares = weights @ (logits**2).sum(axis=1)
    return 2 * (mass * squares - ((weights @ logits) ** 2).sum(axis=1)), mass**2


def relative(scores: np.ndarray, logits: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> dict[str, float]:
    """{"value", "n", "low", "high"}: mean of `scores` over `between_classes`, both resampled together."""

    def ratio(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        return (weights @ values) / weights.sum(axis=1) / between_classes(logits, labels, weights)

    value = float(ratio(np.ones((1, len(scores))), scores)[0])
    low, high = statistics.bootstrap(scores, groups, statistic=ratio)
    return {"value": value, "n": len(scores), "low": low, "high": high}


def _mean(values: np.ndarray, groups: np.ndarray | None) -> dict[str, float]:
    summary = statistics.mean(values, groups)
    return {"value": summary.pop("mean"), **summary}


# --- reading the tables -----------------------------------------------------------------------------------------------


def only(table: pd.DataFrame, measure: str, sign: str = "+") -> pd.DataFrame:
    """The rows of `by_level` with one measure and sign, its value in a column of that name: 64 rows for four arms.

    Raises `ValueError` where there is none.
    """
    rows = table[(table["measure"] == measure) & (table["sign"] == sign)]
    if rows.empty:
        known = ", ".join(sorted(set(table["measure"] + " " + table["sign"])))
        raise ValueError(f"no rows of {measure!r} with sign {sign!r}; there are {known}")
    return rows.drop(columns=["measure", "sign"]).rename(columns={"value": measure}).reset_index(drop=True)


def others(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `by_level` with the measures that DS and the relative score are held against: cosine, kl, flip."""
    rows = table[table["measure"].isin(_OTHERS)].drop(columns="sign")
    return rows.sort_values(
        "measure", key=lambda names: names.map(list(_OTHERS).index), kind="stable", ignore_index=True
    )


def spread(table: pd.DataFrame, value: str, rows: Sequence[str]) -> pd.DataFrame:
    """The means over seeds of a tidy table for reading: one row per setting of `rows`, one column per arm."""
    settings, arms = table[list(rows)].drop_duplicates(), list(dict.fromkeys(table["arm"]))
    wide = table.pivot_table(index=list(rows), columns="arm", values=value, aggfunc="mean", sort=False).reset_index()
    return settings.merge(wide, on=list(rows))[[*rows, *arms]]


def pairs(table: pd.DataFrame, value: str, cases: Sequence[str]) -> pd.DataFrame:
    """Each arm with the constraint beside the arm without, over the cases and seeds that both have.

    Columns constrained, plain, the cases, seed, first, second, apart: whether the two intervals do not touch.
    """
    keys, found = [*cases, "seed"], []
    for constrained, plain in PAIRS:
        first, second = (
            table[table["arm"] == arm].set_index(keys)[[value, "low", "high"]] for arm in (constrained, plain)
        )
        first, second = first.align(second, join="inner", axis=0)
        both = pd.DataFrame({"first": first[value], "second": second[value]})
        both["apart"] = (first["high"] < second["low"]) | (second["high"] < first["low"])
        found.append(both.reset_index().assign(constrained=constrained, plain=plain))
    return pd.concat(found, ignore_index=True)[["constrained", "plain", *keys, "first", "second", "apart"]]


def direction(rows: pd.DataFrame) -> str:
    """How often the first of `pairs` is lower, in words that say whether that is the paper's direction."""
    lower, higher, of = ((rows["first"] < rows["second"]).sum(), (rows["first"] > rows["second"]).sum(), len(rows))
    way = "the paper's direction" if lower == of else "the opposite direction" if higher == of else "mixed"
    return f"lower in {lower} of {of}: {way} (intervals apart in {rows['apart'].sum()})"


def seeds(table: pd.DataFrame) -> str:
    """What the number of networks allows to be said."""
    found = sorted(set(table["seed"]))
    if len(found) == 1:
        return (
            f"*Single run*: one network per arm, seed {found[0]}. This is a direction; the intervals know the test "
            "images, not how much another seed would change."
        )
    return f"{directions.per_arm(table)} networks per arm; each comparison is within a seed."


def conclusion(table: pd.DataFrame) -> str:
    """In Markdown, for each perturbation and pair of arms: whether the constraint lowers the measure of `only`."""
    value = _measure_of(table)
    rows = pairs(table, value, ["perturbation", "level"])
    lines = []
    for (perturbation, constrained, plain), pair in rows.groupby(["perturbation", "constrained", "plain"], sort=False):
        means = f"{pair['first'].mean():.3g} against {pair['second'].mean():.3g} on average"
        lines.append(
            f"- **{perturbation.capitalize()}**, `{constrained}` against `{plain}`: {direction(pair)}, {means}."
        )
    return "\n".join([f"The {_NAMES[value]} over levels 1 to 4:", "", *lines, "", seeds(table)])


def conclusion_signs(plus: pd.DataFrame, both: pd.DataFrame) -> str:
    """In Markdown: how often a pair of arms has the same order for Table 1 as printed and for both directions."""
    keys = ["constrained", "plain", "perturbation", "level", "seed"]
    one, two = (pairs(table, "score", ["perturbation", "level"]).set_index(keys) for table in (plus, both))
    same = ((one["first"] < one["second"]) == (two["first"] < two["second"])).sum()
    return f"The order within each pair of arms is the one of Fig. 3 in {same} of {len(one)} settings."


def conclusion_others(table: pd.DataFrame) -> str:
    """In Markdown, for each measure of `others` and pair of arms: whether the constraint lowers it."""
    rows = pairs(table, "value", ["measure", "perturbation", "level"])
    lines = [
        f"- **{_OTHERS[measure]}**, `{constrained}` against `{plain}`: {direction(pair)}, "
        f"{pair['first'].mean():.3g} against {pair['second'].mean():.3g} on average."
        for (measure, constrained, plain), pair in rows.groupby(["measure", "constrained", "plain"], sort=False)
    ]
    return "\n".join(["Over all perturbations and levels:", "", *lines, "", seeds(table)])


_OTHERS = {"cosine": "Cosine distance", "kl": "KL", "flip": "Flip rate"}
_NAMES = {"score": "distance score", "relative_score": "relative score"}


def _measure_of(table: pd.DataFrame) -> str:
    return next(name for name in _NAMES if name in table)


def describe(table: pd.DataFrame) -> str:
    """Alt text of Fig. 3, and of its version without scale."""
    value = _measure_of(table)
    first = table[table["level"] == 1].groupby("arm", sort=False)[value].mean()
    last = table[table["level"] == 4].groupby("arm", sort=False)[value].mean()
    arms = ", ".join(f"{arm} {first[arm]:.3g} and {last[arm]:.3g}" for arm in first.index)
    rows = pairs(table, value, ["perturbation", "level"])
    counts = [
        f"{constrained} below {plain} in {(pair['first'] < pair['second']).sum()} of {len(pair)}"
        for (constrained, plain), pair in rows.groupby(["constrained", "plain"], sort=False)
    ]
    return (
        f"Four panels, one per perturbation: mean {_NAMES[value]} of each arm over levels 1 to 4, logarithmic axis. "
        f"Mean of the four perturbations at levels 1 and 4: {arms}."
        + (f" Over all settings {'; '.join(counts)}." if counts else "")
    )


def describe_settings() -> str:
    """Alt text of Table 1 as pictures."""
    parts = (f"{name} {', '.join(f'{strength:g}' for strength in strengths)}" for name, strengths in LEVELS.items())
    return f"One test image in four rows of five: the original, then {'; '.join(parts)}."


def fig4(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `trade_off` for reading: one row per alpha, one column per measure, means over seeds."""
    wide = _by_alpha(table).reset_index().rename_axis(columns=None)
    return wide.assign(alpha=[f"{alpha:g}" for alpha in wide["alpha"]])


def _by_alpha(table: pd.DataFrame) -> pd.DataFrame:
    wide = table.pivot_table(index="alpha", columns="measure", values="value", aggfunc="mean")
    return wide[["accuracy", "score", "relative_score"]]


def conclusion_alpha(table: pd.DataFrame) -> str:
    """In Markdown: what each step of alpha does to accuracy and DS, and what alpha = 1 costs against alpha = 0."""
    rows = _by_alpha(table)
    steps = len(rows) - 1
    falls = {name: int((np.diff(rows[name]) < 0).sum()) for name in rows}
    text = [
        f"Over the {len(rows)} values of alpha, from {rows.index[0]:g} to {rows.index[-1]:g}, accuracy falls in "
        f"{falls['accuracy']} of {steps} steps and the summed distance score in {falls['score']} of {steps}; the "
        f"relative score, which shrinking logits cannot lower, in {falls['relative_score']} of {steps}."
    ]
    if {0.0, 1.0} <= set(rows.index):
        zero, one = rows.loc[0.0], rows.loc[1.0]
        points = 100 * (one["accuracy"] - zero["accuracy"])
        change = (
            "the same as" if points == 0 else f"{abs(points):.1f} points {'lower' if points < 0 else 'higher'} than"
        )
        text.append(
            f"At the paper's alpha = 1 accuracy is {change} without the constraint; the distance score is "
            f"{_times(one['score'], zero['score'])}, the relative score "
            f"{_times(one['relative_score'], zero['relative_score'])}."
        )
    return "\n\n".join([*text, seeds(table)])


def _times(new: float, old: float) -> str:
    return f"{old / new:.3g} times smaller" if new < old else f"{new / old:.3g} times larger"


def describe_alpha(table: pd.DataFrame) -> str:
    """Alt text of Fig. 4."""
    rows = fig4(table)
    values = "; ".join(f"alpha {r.alpha}: {100 * r.accuracy:.1f} % and {r.score:.3g}" for r in rows.itertuples())
    return f"Two panels over alpha: accuracy, and distance score at level 1 summed over four perturbations. {values}."
