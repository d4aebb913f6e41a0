"""Section 4.4, adversarial robustness: Table 2, accuracy over eps, an audit of the attack, how far training had come.

An attack is a row: a name and the arguments of `semcont.attacks.survivors`, with eps and step_size in 1/255. So a
further attack is a further row. `steps: 0` is uniform noise in the ball, `eps: 0` besides is the image itself.
"""

from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import attacks
from . import directions, paths, statistics
from .arrays import groups_of
from .cells import in_epochs, in_percent, in_range, means, shares
from .directions import Direction
from .measurements import measurement
from .presets import Preset
from .strict import read_yaml

Attacks = dict[str, dict[str, Any]]

TOLERANCE = 0.01
"""By how much a check of the audit may be off before it raises a flag: one percentage point."""


def beyond(share: float) -> bool:
    """Whether a share is above `TOLERANCE`, and not on it by the last bits of a difference: 0.60 - 0.59 is not."""
    return share > TOLERANCE + 1e-9


PAPER = (
    Direction("accuracy under attack", "c", "base", "higher"),
    Direction("accuracy under attack", "adv", "base", "higher"),
    Direction("accuracy under attack", "adv+c", "adv", "higher"),
)
PAPER_CLEAN = (
    Direction("clean accuracy", "c", "base", "as high", TOLERANCE),
    Direction("clean accuracy", "adv", "base", "lower"),
    Direction("clean accuracy", "adv+c", "adv", "lower"),
)


def table2(preset: Preset) -> Attacks:
    """The two attacks of Table 2: none, and the preset's evaluation (paper: PGD, 10 steps of 2/255 within 8/255)."""
    pgd = preset.evaluation
    return {"none": _row(0, 0, 0), f"pgd-{pgd.steps}": _row(pgd.eps, pgd.step_size, pgd.steps)}


def audit(preset: Preset) -> Attacks:
    """What an honest evaluation tries besides: noise, more steps and restarts, a loss free of scale, a far radius.

    The longer attacks judge every iterate and not only the last. The margin loss, unlike the cross-entropy, does not
    fade where a network is very sure of itself. `flags` relies on the order: none, noise, the headline attack, stronger
    ones, a far radius.
    """
    pgd, own = preset.evaluation, preset.robustness
    longer = {"steps": own.audit_steps, "restarts": own.audit_restarts, "criterion": "any"}
    return {
        "none": _row(0, 0, 0),
        "noise": _row(pgd.eps, 0, 0, restarts=own.audit_restarts),
        f"pgd-{pgd.steps}": _row(pgd.eps, pgd.step_size, pgd.steps),
        f"pgd-{own.audit_steps}": _row(pgd.eps, pgd.step_size / 2, **longer),
        f"margin-{own.audit_steps}": _row(pgd.eps, pgd.step_size / 2, loss="margin", **longer),
        f"pgd-{pgd.steps} at {own.audit_far:g}/255": _row(own.audit_far, own.audit_far / 4, pgd.steps),
    }


def _row(eps: float, step_size: float, steps: int, **others: Any) -> dict[str, Any]:
    return {"eps": float(eps), "step_size": float(step_size), "steps": int(steps), **others}


# --- measurements ----------------------------------------------------------------------------------------------------


@measurement(version=2)
def by_attack(run, *, attacks: Attacks, images: int | None = None, within: float | None = None) -> pd.DataFrame:
    """Accuracy on the first `images` test images (None: all) under each attack: one row each.

    Columns: attack, eps (1/255), accuracy, n, low, high, chance. With `within`, a radius in 1/255, a last row "all"
    counts an image only where it survives every attack of at most that radius.
    """
    data, network = run.images("test").select(slice(images)), run.model()
    groups = groups_of(data)
    x, rows, kept = data.float(), [], []
    for name, row in attacks.items():
        alive = survivors(network, x, data.labels, row, run.seed)
        rows.append({"attack": name, "eps": row["eps"]} | statistics.accuracy(alive.numpy(), groups))
        if within is not None and row["eps"] <= within:
            kept.append(alive)
    if kept:
        rows.append({"attack": "all", "eps": within} | statistics.accuracy(torch.stack(kept).all(0).numpy(), groups))
    return pd.DataFrame(rows).assign(chance=1 / len(data.classes))


def survivors(network, x: Tensor, y: Tensor, row: dict[str, Any], seed: int) -> Tensor:
    """True for each image that survives an attack given as a row."""
    pixels = {"eps": row["eps"] / 255, "step_size": row["step_size"] / 255}
    return attacks.survivors(network, x, y, seed=seed, **(row | pixels))


@measurement(version=2)
def by_eps(
    run, *, eps: list[float], steps: int = 10, relative_step: float = 0.25, images: int | None = None
) -> pd.DataFrame:
    """Accuracy over the radius of PGD, on the first `images` test images: one row per radius in 1/255.

    Steps are `relative_step` of the radius, as the paper's 2 of 8. Columns: eps, accuracy, n, low, high, chance.
    """
    data, network = run.images("test").select(slice(images)), run.model()
    radii = [e / 255 for e in eps]
    alive = attacks.eps_curve(
        network, data.float(), data.labels, eps=radii, relative_step=relative_step, steps=steps, seed=run.seed
    )
    rows = [{"eps": e} | statistics.accuracy(row.numpy(), groups_of(data)) for e, row in zip(eps, alive, strict=True)]
    return pd.DataFrame(rows).assign(chance=1 / len(data.classes))


@measurement(version=2)
def gradients(run, *, images: int | None = None) -> pd.DataFrame:
    """The share of test images at which the cross-entropy has no gradient at all in float32: there PGD walks blindly.

    Columns: share, n, low, high.
    """
    data, network = run.images("test").select(slice(images)), run.model()
    zero = zero_gradients(network, data.float(), data.labels)
    found = statistics.accuracy(zero.numpy(), groups_of(data))
    return pd.DataFrame([{"share": found.pop("accuracy")} | found])


def zero_gradients(network, x: Tensor, y: Tensor, batch_size: int = 256) -> Tensor:
    """True for each image (n, 3, h, w) whose gradient of the cross-entropy is zero in every pixel."""
    found = []
    for start in range(0, len(x), batch_size):
        piece = x[start : start + batch_size].detach().requires_grad_()
        loss = F.cross_entropy(network(piece), y[start : start + batch_size], reduction="sum")
        gradient = attacks.gradient_of(loss, piece)
        found.append(gradient.flatten(1).eq(0).all(1).cpu())
    return torch.cat(found)


@measurement(version=1)
def by_length(run, *, last: int = 5) -> pd.DataFrame:
    """How far training had come: validation accuracy after the last epoch, and how it changed over the `last` epochs.

    From the run's history, clean and under the preset's evaluation. Columns: epochs, measure ("clean", "attacked"),
    accuracy, n, low, high, change (percentage points, the last epoch less that `last` epochs before). Empty
    where no validation images were held out: the data have none, or a refit has trained on them.
    """
    history, rows = run.history, []
    counts = {"clean": run.preset.data.val, "attacked": run.preset.training.monitor}
    for measure, column in (("clean", "val_accuracy"), ("attacked", "val_attacked")):
        if column not in history:
            continue
        values = history[column]
        n = counts[measure] or len(run.images("val"))
        n = min(n, counts["clean"] or n)
        low, high = statistics.interval(round(values.iloc[-1] * n), n)
        change = 100 * (values.iloc[-1] - values.iloc[-1 - min(last, len(values) - 1)])
        about = {"epochs": len(values), "measure": measure, "accuracy": values.iloc[-1]}
        rows.append(about | {"n": n, "low": low, "high": high, "change": change})
    return pd.DataFrame(rows, columns=["epochs", "measure", "accuracy", "n", "low", "high", "change"])


def lengths(section) -> list:
    """The section's adversarial runs, and the same trained for each of `preset.robustness.lengths` epochs."""
    arms = [arm for arm in section.preset.arms if arm.startswith("adv")]
    runs = section.runs(arms) if arms else section.runs()
    return runs + [run for n in section.preset.robustness.lengths if arms for run in section.runs(arms, epochs=n)]


# --- what the tables say ---------------------------------------------------------------------------------------------


def beside_paper(table: pd.DataFrame, printed: pd.DataFrame) -> pd.DataFrame:
    """Table 2 for reading: arms down; ours (percent, 95 % interval) and the paper's two halves across."""
    none, attacked = table["attack"].unique()[:2]
    rows = {}
    for arm in table["arm"].unique():
        mine = table[table["arm"] == arm]
        rows[arm] = {
            ("ours", name): in_percent(mine[mine["attack"] == attack])
            for name, attack in (("clean", none), (attacked, attacked))
        }
        for data, theirs in printed.groupby("data"):
            theirs = theirs[theirs["arm"] == arm]
            for column, name in (("clean", "clean"), ("adversarial", "adversarial")):
                value = f"{theirs[column].iloc[0]:.2f}" if len(theirs) else "–"
                rows[arm][(f"paper, {data}", name)] = value
    return pd.DataFrame.from_dict(rows, orient="index")


def field() -> pd.DataFrame:
    """Published accuracies on CIFAR-100 at 8/255, in percent, with their sources (data/paper/field.yaml)."""
    table = pd.DataFrame(read_yaml(paths.resource("paper/field.yaml"))["cifar100"])
    return table.rename(columns={"pgd10": "PGD-10", "autoattack": "AutoAttack", "where": "source"})


def as_printed(table: pd.DataFrame) -> pd.DataFrame:
    """A table of percentages with two decimals, and a dash where there is no number."""
    return table.map(lambda value: value if isinstance(value, str) else "–" if pd.isna(value) else f"{value:.2f}")


def settings(preset: Preset) -> str:
    """With what attack the adversarial arms were trained, and with what every arm is measured, in one sentence each."""
    a, e = preset.attack, preset.evaluation
    steps = f"{a.steps} PGD {'step' if a.steps == 1 else 'steps'} of {a.step_size:g}/255 within {a.eps:g}/255"
    return (
        f"`adv` and `adv+c` were trained against **{steps}** (the paper: ten of 2/255), for "
        f"{in_epochs(preset.epochs_of('adv'))} in batches of {preset.training.batch_size}. Every arm is measured under "
        f"{e.steps} steps of {e.step_size:g}/255 within {e.eps:g}/255, from one random start, judged at the last step."
    )


def floors(preset: Preset, table: pd.DataFrame) -> str:
    """Whether the networks reach the accuracies below which the preset calls them not worth looking at."""
    if not preset.floors.clean and not preset.floors.attacked:
        return f"The preset `{preset.name}` sets no floors: it claims nothing about its networks."
    none, attacked = table["attack"].unique()[:2]
    wanted = [("base", none, "clean", preset.floors.clean)]
    wanted += [(arm, attacked, f"under {attacked}", preset.floors.attacked) for arm in ("adv", "adv+c")]
    said = []
    for arm, attack, name, floor in wanted:
        rows = table[(table["arm"] == arm) & (table["attack"] == attack)]
        for reached, part in rows.groupby(rows["accuracy"] >= floor, sort=False):
            verb = "reaches" if reached else "**does not reach**"
            reach = _span(100 * part["accuracy"])
            said.append(f"`{arm}` {_which(part, len(rows))} {verb} {floor * 100:g} % {name}, with {reach} %")
    return "The preset's floors: " + "; ".join(said) + "."


def conclusion(table: pd.DataFrame) -> str:
    """Table 2 against the directions that the paper prints, as Markdown."""
    none, attacked = table["attack"].unique()[:2]
    parts = [
        directions.describe(table[table["attack"] == attacked], "accuracy", PAPER, percent=True),
        directions.describe(table[table["attack"] == none], "accuracy", PAPER_CLEAN, percent=True),
        "",
        directions.caution(table),
    ]
    return "\n".join(parts)


def flags(table: pd.DataFrame, zero: pd.DataFrame) -> pd.DataFrame:
    """The audit's checks, one row per arm, seed and check: value and limit (shares), raised.

    `table` is `by_attack` of `audit(preset)` with `within` the evaluation's radius, `zero` is `gradients`. Raised are:
    images without a gradient, beyond one in a hundred; stronger attacks that take a further point and more; noise that
    breaks as many images as the attack; more than chance left at the far radius.
    """
    none, noise, headline, *_, far, everything = table["attack"].unique()
    rows = []
    for (arm, seed), mine in table.groupby(["arm", "seed"], sort=False):
        accuracy, chance = mine.set_index("attack")["accuracy"], mine["chance"].iloc[0]
        blind = zero[(zero["arm"] == arm) & (zero["seed"] == seed)]["share"].iloc[0]
        broken, by_noise = accuracy[none] - accuracy[headline], accuracy[none] - accuracy[noise]
        further = accuracy[headline] - accuracy[everything]
        checks = [
            ("images without a gradient", blind, TOLERANCE, beyond(blind)),
            (f"broken beyond {headline} by stronger attacks", further, TOLERANCE, beyond(further)),
            (f"broken by noise (limit: by {headline})", by_noise, broken, by_noise >= broken),
            (f"left by {far} (limit: chance)", accuracy[far], chance, accuracy[far] > chance),
        ]
        for check, value, limit, raised in checks:
            rows.append(
                {"arm": arm, "seed": seed, "check": check, "value": value, "limit": limit, "raised": bool(raised)}
            )
    return pd.DataFrame(rows)


def audit_conclusion(table: pd.DataFrame, checks: pd.DataFrame) -> str:
    """Which flags went up, and Table 2's contrasts once more, under all attacks together, as Markdown."""
    together = directions.describe(table[table["attack"] == "all"], "accuracy", PAPER, percent=True)
    after = "Against all attacks together, an image counted only where it survives each:"
    return "\n".join([told(checks), "", after, "", together])


def told(checks: pd.DataFrame) -> str:
    """How many flags went up, and a line for each arm and check on which ones and by how much, as Markdown."""
    raised, of = checks[checks["raised"]], checks.groupby(["arm", "check"]).size()
    lines = []
    for (arm, check), rows in raised.groupby(["arm", "check"], sort=False):
        lines.append(f"- `{arm}` {_which(rows, of[arm, check])}: {check}, {_span(100 * rows['value'])} %")
    head = f"{len(raised)} of {len(checks)} checks raise a flag" + (":" if lines else ".")
    return "\n".join([head, "", *lines])


def _which(rows: pd.DataFrame, of: int) -> str:
    """ "(3 of 10 networks)", of a single one "(seed 0)"."""
    return f"({len(rows)} of {of} networks)" if of > 1 else f"(seed {rows['seed'].iloc[0]})"


def _span(values: pd.Series, number: str = "{:.1f}") -> str:
    """ "1.5 to 10.0", or the one value."""
    return in_range(number.format(values.min()), number.format(values.max()))


def length_conclusion(table: pd.DataFrame) -> str:
    """Whether the adversarial arms had levelled off under attack, per arm, seed and training length, as Markdown."""
    rows = table[table["measure"] == "attacked"]
    if rows.empty:
        return "No validation images were held out, so the histories cannot say whether training had levelled off."
    lines = []
    for (arm, epochs), part in rows.groupby(["arm", "epochs"], sort=False):
        kept, moved = _span(100 * part["accuracy"]), _span(part["change"], "{:+.1f}")
        lines.append(
            f"- `{arm}` {_which(part, len(part))}, {in_epochs(epochs)}: {kept} % of {part['n'].iloc[0]} validation "
            f"images under attack, {moved} points over the last epochs"
        )
    return "\n".join(lines)


def length_as_read(table: pd.DataFrame) -> pd.DataFrame:
    """`by_length` of several networks as it is read: a row per arm, length and measure, over the seeds."""
    by = ["arm", "epochs", "measure"]
    return shares(table, "accuracy", by).merge(means(table, ["change"], by, "{:+.1f}"), on=by)


def across(table: pd.DataFrame, rows: str, value: str) -> pd.DataFrame:
    """A table for reading: `rows` down, arms across, `value` in percent, seeds averaged; raised flags marked by "!"."""
    shown = table.groupby([rows, "arm"], sort=False)[value].mean().mul(100).unstack("arm").round(1).astype(str)
    if "raised" in table:
        shown += (
            table.groupby([rows, "arm"], sort=False)["raised"].any().unstack("arm").map(lambda up: " !" if up else "")
        )
    return shown.loc[list(dict.fromkeys(table[rows])), list(dict.fromkeys(table["arm"]))]


def at_radius(table: pd.DataFrame, eps: float) -> str:
    """The accuracies of the curve at one radius in 1/255, as a sentence; says so where the curve does not hold it."""
    mean = table[table["eps"] == eps].groupby("arm", sort=False)["accuracy"].mean()
    if mean.empty:
        return f"The curve of this preset has no point at {eps:g}/255."
    return f"At {eps:g}/255: " + ", ".join(f"`{arm}` {value * 100:.0f} %" for arm, value in mean.items()) + "."


def describe_curve(table: pd.DataFrame) -> str:
    """The alt text of the curve over eps."""
    arms = []
    for arm, rows in table.groupby("arm", sort=False):
        mean = rows.groupby("eps")["accuracy"].mean() * 100
        arms.append(f"{arm} " + ", ".join(f"{value:.0f}" for value in mean))
    radii = ", ".join(f"{eps:g}" for eps in sorted(table["eps"].unique()))
    return (
        f"Accuracy in percent under PGD over the radius ({radii} of 255), a line per arm, chance at "
        f"{table['chance'].iloc[0] * 100:.0f} percent. {'; '.join(arms)}."
    )
