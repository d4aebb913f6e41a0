"""Training length as a control: arms trained for several lengths, each with its own schedule, and when they level off.

The constraint slows learning, so the order of two arms may turn with the length of training. A verdict counts from the
length at which both have levelled off, by the criterion of the preset.
"""

import math

import numpy as np
import pandas as pd

from .. import attacks as attacking
from . import audit, paired, robustness, statistics, variants
from .arrays import groups_of
from .continuity import PAIRS
from .doubling import largest
from .images import source_of
from .measurements import measurement
from .paired import Contrast
from .presets import Preset
from .runs import Run, predict

MEASURES = {
    "clean": ("Clean accuracy", 100.0),
    "attacked": ("Accuracy under PGD", 100.0),
    "worst": ("Worst case over attacks", 100.0),
}
CONTRASTS = tuple(Contrast("", first, second) for first, second in (*PAIRS, ("adv", "base")))
"""The pairs whose order is followed over the lengths."""


@measurement(version=2)
def on_validation(run: Run) -> pd.DataFrame:
    """Accuracy on the validation images, clean and under the preset's evaluation: what the criterion looks at.

    Columns measure ("clean", "attacked"), accuracy, n, low, high.
    """
    data, network = run.images("val"), run.model()
    groups = groups_of(data)
    clean = predict(network, data).argmax(1) == data.labels
    settings = run.preset.evaluation.in_pixels()
    attacked = attacking.survivors(network, data.float(), data.labels, seed=run.seed, **settings)
    rows = [("clean", clean), ("attacked", attacked)]
    return pd.DataFrame([{"measure": name, **statistics.accuracy(right.cpu().numpy(), groups)} for name, right in rows])


def updates(preset: Preset, epochs: int) -> int:
    """Steps of the optimiser in so many epochs."""
    images = len(source_of(preset, "full" if preset.training.refit else "train"))
    return epochs * math.ceil(images / preset.training.batch_size)


def measures(section) -> pd.DataFrame:
    """Every arm, length and seed of `preset.lengths`, on test and validation images; empty where there are no lengths.

    A refit has trained on the validation images, so of it there are the test images alone. Columns arm, seed, epochs,
    updates, split, measure (of `MEASURES`), value, n, low, high.
    """
    preset = section.preset
    wanted = variants.lengths(preset)
    if not wanted:
        return pd.DataFrame()
    parts = [on_test(section, wanted, worst=preset.lengths.worst).assign(split="test")]
    if not preset.training.refit:
        parts.append(variants.measured(section, wanted, on_validation).assign(split="val"))
    table = pd.concat(parts, ignore_index=True).rename(columns={"accuracy": "value"})
    table["updates"] = [updates(preset, int(epochs)) for epochs in table["epochs"]]
    return table[["arm", "seed", "epochs", "updates", "split", "measure", "value", "n", "low", "high"]]


def on_test(section, wanted: list[variants.Variant], *, worst: bool) -> pd.DataFrame:
    """The networks of the variants under Table 2's two attacks and, if asked, in the worst case over the audit's.

    Rows as `robustness.by_attack` and `audit.of_variants` have them, with `variant` and `measure` (of `MEASURES`).
    """
    attacks, images = robustness.table2(section.preset), section.preset.robustness.images
    found = variants.measured(section, wanted, robustness.by_attack, attacks=attacks, images=images)
    found = found.assign(measure=found["attack"].map(dict(zip(attacks, ("clean", "attacked"), strict=True))))
    if not worst:
        return found
    return pd.concat([found, audit.of_variants(section, wanted).assign(measure="worst")], ignore_index=True)


# --- what the table says ----------------------------------------------------------------------------------------------


def looked_at(table: pd.DataFrame) -> str:
    """The split that the criterion looks at: "val"; "test" where training took the validation images.

    Then it reports and chooses nothing: the length of the arms was fixed before.
    """
    return "val" if (table["split"] == "val").any() else "test"


def doublings(table: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """How far each doubling of the length moved the accuracy of `looked_at`: one row per arm, measure and doubling.

    Columns arm, measure, epochs, change (percentage points, mean over seeds, against half as long), least and most (the
    single seeds' changes, which a mean may hide), level: whether the mean of it and of every later doubling changes by
    less than `tolerance`.
    """
    columns = ["arm", "measure", "epochs", "change", "least", "most", "level"]
    if table.empty:
        return pd.DataFrame(columns=columns)
    judged = table[(table["split"] == looked_at(table)) & (table["measure"] != "worst")]
    rows = []
    for (arm, measure), part in judged.groupby(["arm", "measure"], sort=False):
        of = 100 * part.pivot(index="seed", columns="epochs", values="value")
        found = [(n, (of[n] - of[n // 2]).dropna()) for n in sorted(of) if n % 2 == 0 and n // 2 in of]
        for k, (n, change) in enumerate(found):
            level = all(abs(later.mean()) < tolerance for _, later in found[k:])
            about = {"arm": arm, "measure": measure, "epochs": n, "change": change.mean(), "level": level}
            rows.append(about | {"least": change.min(), "most": change.max()})
    return pd.DataFrame(rows, columns=columns)


def levelled(changes: pd.DataFrame) -> pd.DataFrame:
    """From which length on an arm counts as levelled: one row per arm, columns arm, epochs (NaN: not yet), last_change,
    and the single seed's that is furthest from zero, last_seed.

    It is the shortest that doubling, and any later doubling, changes too little, in clean and in attacked accuracy;
    both changes are the larger of the last ones in the two.
    """
    rows = []
    for arm, part in changes.groupby("arm", sort=False):
        both = part.groupby("epochs")["level"].all()
        last = part[part["epochs"] == part["epochs"].max()]
        about = {"arm": arm, "epochs": float(both[both].index.min() // 2) if both.any() else np.nan}
        seeds = pd.concat([last["least"], last["most"]])
        rows.append(about | {"last_change": largest(last["change"]), "last_seed": largest(seeds)})
    return pd.DataFrame(rows, columns=["arm", "epochs", "last_change", "last_seed"])


def levelled_as_read(changes: pd.DataFrame) -> pd.DataFrame:
    """`levelled` as it is read: a length in epochs or "not yet", changes in points."""
    found = levelled(changes)
    rows = {
        "arm": found["arm"],
        "levelled off from": found["epochs"].map("{:g} epochs".format).where(found["epochs"].notna(), "not yet"),
    }
    rows |= {"mean change": found["last_change"].map("{:+.1f}".format)}
    return pd.DataFrame(rows | {"the seed that moves most": found["last_seed"].map("{:+.1f}".format)})


def orders(table: pd.DataFrame) -> pd.DataFrame:
    """`paired.intervals` of `CONTRASTS` on test images: columns first, second, measure, epochs, n, mean, low, high."""
    test = table[table["split"] == "test"]
    found = paired.differences(test, CONTRASTS, by=("measure", "epochs"))
    return paired.intervals(found).drop(columns="question")


def reading(order: pd.DataFrame) -> pd.DataFrame:
    """`orders` as they are read: a row per pair and measure, a column per length; points with intervals."""
    bounds = [
        "" if np.isnan(row.low) else f" [{100 * row.low:+.1f}, {100 * row.high:+.1f}]" for row in order.itertuples()
    ]
    texts = [f"{100 * row.mean:+.1f}{bound}" for row, bound in zip(order.itertuples(), bounds, strict=True)]
    pairs = order["first"] + " − " + order["second"]
    cells = pd.DataFrame({"arms": pairs, "measure": order["measure"].map(lambda name: MEASURES[name][0])})
    return across(order["epochs"], cells.assign(text=texts))


def across(lengths: pd.Series, cells: pd.DataFrame) -> pd.DataFrame:
    """The column text of `cells` laid out by length, a column for each; the other columns say what a row is."""
    rows = [name for name in cells.columns if name != "text"]
    column = lengths.map("{:g} epochs".format)
    wide = cells.assign(column=column).pivot(index=rows, columns="column", values="text")
    in_order = [f"{epochs:g} epochs" for epochs in sorted(set(lengths))]
    return wide[in_order].fillna("").rename_axis(columns=None).reset_index()


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """The rows on test images of the arms that have more lengths than two, those of `doubled` and `halved` alone; all
    arms where none has.
    """
    test = table[table["split"] == "test"]
    lengths = test.groupby("arm")["epochs"].transform("nunique")
    return test[lengths >= min(3, lengths.max())]


def turns(order: pd.DataFrame) -> pd.DataFrame:
    """Where the sign of a pair's mean difference changes between two neighbouring lengths.

    Columns first, second, measure, before, after (epochs), ahead: the arm that is ahead after the turn. A length at
    which both are alike does not count as a side.
    """
    rows = []
    for (first, second, measure), part in order.groupby(["first", "second", "measure"], sort=False):
        part = part[part["mean"].abs() > 1e-9].sort_values("epochs")
        signs, lengths = np.sign(part["mean"].to_numpy()), part["epochs"].to_numpy()
        for k in np.flatnonzero(np.diff(signs)):
            about = {"first": first, "second": second, "measure": measure}
            ahead = first if signs[k + 1] > 0 else second
            rows.append(about | {"before": lengths[k], "after": lengths[k + 1], "ahead": ahead})
    return pd.DataFrame(rows, columns=["first", "second", "measure", "before", "after", "ahead"])


def conclusion(table: pd.DataFrame, tolerance: float) -> str:
    """In Markdown: which arms have levelled off and from where, and which pairs change places between which lengths."""
    if table.empty:
        return "This preset trains each arm for one length only (`lengths`), so nothing is said here."
    images = {"val": "validation", "test": "test"}[looked_at(table)]
    lines = [
        f"Levelled off means that doubling the length, and every later doubling, changes {images} accuracy, clean "
        f"and under attack, by less than {tolerance:g} points, mean over seeds:",
        "",
    ]
    seeds = table.groupby("arm")["seed"].nunique()
    for row in levelled(doublings(table, tolerance)).itertuples():
        word = "has **not** levelled off" if np.isnan(row.epochs) else f"has levelled off at {row.epochs:g} epochs"
        single = " on its only seed" if seeds[row.arm] == 1 else f", one seed by {row.last_seed:+.1f}"
        lines.append(f"- `{row.arm}` {word}; the last doubling changed it by {row.last_change:+.1f} points{single}.")
    order = orders(table)
    lines += ["", *_turns_told(order)]
    return "\n".join(lines)


def _turns_told(order: pd.DataFrame) -> list[str]:
    turned = turns(order)
    lines = [
        f"- **{MEASURES[row.measure][0]}**: `{row.ahead}` goes ahead in the pair `{row.first}`, `{row.second}` between "
        f"{row.before:g} and {row.after:g} epochs."
        for row in turned.itertuples()
    ]
    pairs = order.groupby(["first", "second", "measure"]).ngroups
    kept = pairs - len(turned.drop_duplicates(["first", "second", "measure"]))
    return [
        *lines,
        f"- In {kept} of {pairs} comparisons of two arms the order of the means is the same at every length.",
    ]


def describe(table: pd.DataFrame) -> str:
    """Alt text of the figure of the lengths."""
    test = curves(table)
    ends = [int(test["epochs"].min()), int(test["epochs"].max())]
    means = test.groupby(["measure", "epochs", "arm"])["value"].mean()
    parts = []
    for measure in dict.fromkeys(test["measure"]):
        values = [", ".join(f"{arm} {100 * v:.0f} %" for arm, v in means[measure, n].items()) for n in ends]
        parts.append(f"{MEASURES[measure][0]} at {ends[0]} epochs {values[0]}, at {ends[1]} epochs {values[1]}")
    return f"A panel per measure over the number of updates, logarithmic axis, a line per arm. {'; '.join(parts)}."
