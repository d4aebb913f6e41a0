"""Differences between two arms within each seed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from . import style


def paired_differences(
    table: pd.DataFrame, measures: dict[str, tuple[str, float]], ax: Sequence[Axes] | None = None
) -> np.ndarray:
    """A panel per measure, a row per contrast: a dot for each seed's difference, the mean with its t interval; of one
    seed a hollow mark.

    `table` is what `paired.differences` returns; `measures` gives titles and factors, as in `paired.reading`.
    """
    shown = [name for name in measures if name in set(table["measure"])]
    labels = list(dict.fromkeys(zip(table["first"], table["second"], strict=True)))
    if ax is None:
        ax = style.panels(1, len(shown), size=(2.15, 0.75 + 0.34 * len(labels)), sharey=True)[1]
    for panel, measure in zip(np.ravel(ax), shown, strict=True):
        title, factor = measures[measure]
        rows = table[table["measure"] == measure]
        for (first, second), part in rows.groupby(["first", "second"], sort=False):
            y, colour = labels.index((first, second)), style.ARM_COLOURS.get(first.split(",")[0], style.MUTED)
            if len(part) > 1:
                jitter = np.linspace(-0.18, 0.18, len(part))
                panel.plot(factor * part["difference"], y + jitter, "o", color=colour, alpha=0.45, markersize=3.2)
            row = part.iloc[0]
            look = {"color": colour, "markerfacecolor": style.face(colour, len(part)), "markersize": 4.5}
            panel.plot(factor * row["mean"], y, "D", **look, zorder=3)
            if not np.isnan(row["low"]):
                panel.plot(factor * row[["low", "high"]].astype(float), [y, y], color=colour, linewidth=2, zorder=2)
        panel.axvline(0, color="#444444", linewidth=1, zorder=1)
        panel.set(title=title, xlabel="points" if factor == 100 else "difference", ylim=(len(labels) - 0.5, -0.5))
        panel.xaxis.set_major_locator(MaxNLocator(3))  # small differences have long labels
        panel.grid(axis="y", visible=False)
    first = np.ravel(ax)[0]
    first.set_yticks(range(len(labels)), [f"{first} − {second}" for first, second in labels])
    several = table.groupby(["first", "second"])["seed"].nunique() > 1
    words = [("mean over seeds, 95 % interval", "D"), ("a seed", "o")] if several.any() else []
    key = [style.entry(word, marker, markersize=4 if marker == "D" else 3.2) for word, marker in words]
    if not several.all():
        key.append(style.entry("single run", "D", markersize=4.5, markerfacecolor="white"))
    style.key_below(first.figure, key)
    return ax
