"""What the ledger reads beside accuracy, at every length of training: would those verdicts turn with it, too?

The networks are those of `training_length`; what levels off is judged there, by accuracy alone.
"""

import numpy as np
import pandas as pd

from . import continuity, features, gradients, paired, variants
from .training_length import CONTRASTS, across, updates
from .verdicts.turning import RATIOS

MEASURES = {
    "gradient_norm": "Gradient norm, relative",
    "relative_score": "Relative DS",
    "conflict_loss": "Accuracy lost in conflict",
}
"""Names as in the ledger's evidence, and titles. The last needs images that say what is context."""


def measures(section) -> pd.DataFrame:
    """`MEASURES` of the networks of `preset.lengths`: columns arm, seed, epochs, updates, measure, value.

    Relative DS is the mean over Table 1's sixteen settings. Empty where the preset does not follow them.
    """
    preset, wanted = section.preset, variants.lengths(section.preset)
    if not preset.lengths.followed or not wanted:
        return pd.DataFrame()
    budget = preset.gradients
    smooth = variants.measured(section, wanted, gradients.smoothness, images=budget.images, step=budget.step)
    moved = variants.measured(section, wanted, continuity.by_level, images=preset.continuity.images)
    parts = [smooth[(smooth["measure"] == "gradient_norm") & (smooth["scale"] == "relative")]]
    parts.append(moved[(moved["measure"] == "relative_score") & (moved["sign"] == "+")])
    cues = variants.measured(section, wanted, features.cues, images=preset.features.images)
    if len(cues):
        parts.append(cues[cues["measure"] == "loss"].assign(measure="conflict_loss"))
    keys = ["arm", "seed", "epochs", "measure"]
    table = pd.concat(parts).groupby(keys, sort=False)["value"].mean().reset_index()
    table["updates"] = [updates(preset, int(epochs)) for epochs in table["epochs"]]
    return table[["arm", "seed", "epochs", "updates", "measure", "value"]]


def orders(table: pd.DataFrame) -> pd.DataFrame:
    """First against second of `training_length.CONTRASTS` by length: columns first, second, measure, epochs, n, mean,
    low, high. Of `RATIOS` the geometric mean over seeds of the arms' ratio, of the other the difference as a share.
    """
    ratio = table["measure"].isin(RATIOS)
    logs = table.assign(value=np.log(table["value"].where(ratio, 1)).where(ratio, table["value"]))
    found = paired.intervals(paired.differences(logs, CONTRASTS, by=("measure", "epochs"))).drop(columns="question")
    bounds = ["mean", "low", "high"]
    is_ratio = found["measure"].isin(RATIOS)
    found.loc[is_ratio, bounds] = np.exp(found.loc[is_ratio, bounds].astype(float))
    return found


def reading(order: pd.DataFrame) -> pd.DataFrame:
    """`orders` as they are read: a row per pair and measure, a column per length; ratios, or points, with intervals."""
    ratio = order["measure"].isin(RATIOS)
    pairs = (order["first"] + " / " + order["second"]).where(ratio, order["first"] + " − " + order["second"])
    texts = [_cell(row) for row in order.itertuples()]
    cells = pd.DataFrame({"measure": order["measure"].map(MEASURES), "arms": pairs})
    return across(order["epochs"], cells.assign(text=texts))


def _cell(row) -> str:
    shown = "×{:.2g}".format if row.measure in RATIOS else lambda value: f"{100 * value:+.1f}"
    if np.isnan(row.low):
        return shown(row.mean)
    return f"{shown(row.mean)} [{shown(row.low).removeprefix('×')}, {shown(row.high).removeprefix('×')}]"


def conclusion(order: pd.DataFrame) -> str:
    """In Markdown: in which comparisons the order of the two arms is the same at every length, and where not."""
    if order.empty:
        return "This preset does not follow gradients, DS and conflict over the lengths (`lengths.followed`)."
    neutral = order["measure"].isin(RATIOS).astype(float)  # a ratio of one is no difference
    sides = order.assign(side=np.sign(order["mean"] - neutral)).groupby(["measure", "first", "second"], sort=False)
    turned = [key for key, part in sides if part["side"].nunique() > 1]
    lines = [f"- **{MEASURES[name]}**: the order of `{a}` and `{b}` changes with the length." for name, a, b in turned]
    kept = sides.ngroups - len(turned)
    return "\n".join([*lines, f"- In {kept} of {sides.ngroups} comparisons it is the same at every length."])
