"""Figures of section 4.5."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.patheffects import withStroke

from ...datasets import ImageSet
from . import style

LOOKS = {
    "ig": ("magma", "none", "strongest"),
    "gradcam": ("magma", "none", "strongest"),
    "lime": ("RdBu_r", "against", "for the class"),
}
PANELS = (("ig", "energy"), ("gradcam", "energy"), ("lime", "energy"), ("ig", "roughness"))
TITLES = {"ig": "Integrated Gradients", "gradcam": "GradCAM", "lime": "LIME"}


def attribution_maps(
    table: pd.DataFrame, images: ImageSet, explanation: str = "ig", axes: np.ndarray | None = None
) -> np.ndarray:
    """Fig. 11, 12 or 13: an image a row, with the object outlined, then its map for each arm (of the first seed).

    `table` is what `interpretability.maps` returns, `images` the test split. Each map is scaled by its own largest
    value (Integrated Gradients: 99th percentile, since single pixels stand out), so maps show where, not how much. The
    number under a map is its energy on the object over the object's share of the area.
    """
    table = table[table["seed"] == table["seed"].iloc[0]]
    arms, chosen = style.arm_order(table), table["image"].unique().tolist()
    shown = images.select(chosen)
    names = [shown.classes[int(label)] for label in shown.labels]
    if axes is None:
        figure, axes = style.panels(len(chosen), len(arms) + 1, size=(1.32, 1.42))
        figure.set_figwidth(figure.get_figwidth() + 0.07 * max(0, max(map(len, names)) - 4))  # names take from the maps
    pictures = shown.images.permute(0, 2, 3, 1).cpu().numpy() / 255
    for r, image in enumerate(chosen):
        mask = None if shown.masks is None else shown.masks[r].cpu().numpy()
        _picture(axes[r, 0], pictures[r], mask)
        axes[r, 0].set_ylabel(names[r], fontsize=8.5, rotation=0, ha="right", va="center")
        for k, arm in enumerate(arms):
            rows = table[(table["arm"] == arm) & (table["image"] == image)]
            _map(axes[r, k + 1], rows, pictures[r], mask, explanation)
    for ax, title in zip(axes[0], ["image", *(style.ARM_LABELS[arm] for arm in arms)], strict=True):
        ax.set_title(title, fontsize=9, loc="center")
    _key(axes, explanation)
    return axes


def _key(axes: np.ndarray, explanation: str) -> None:
    """The colours' meaning, under the maps."""
    colours, low, high = LOOKS[explanation]
    maps = axes[:, 1:] if axes.shape[1] > 2 else axes  # a single column of maps is too narrow for the words
    key = axes[0, 0].figure.colorbar(
        ScalarMappable(cmap=colours), ax=list(maps.flat), location="bottom", shrink=0.4, aspect=28, pad=0.02
    )
    key.set_ticks([0, 1], labels=[low, high])
    key.ax.tick_params(length=0, labelsize=8)
    key.outline.set_visible(False)


def _outline(ax: Axes, mask: np.ndarray | None, colour: str) -> None:
    """The border of the object, along the pixels' edges."""
    if mask is not None:
        fine = np.kron(mask, np.ones((8, 8)))
        extent = (-0.5, mask.shape[1] - 0.5, -0.5, mask.shape[0] - 0.5)
        lines = ax.contour(fine, levels=[0.5], colors=colour, linewidths=0.9, extent=extent)
        if colour != "#111111":
            lines.set_path_effects([withStroke(linewidth=2, foreground="#222222", alpha=0.55)])


def _picture(ax: Axes, picture: np.ndarray, mask: np.ndarray | None) -> None:
    ax.imshow(picture, interpolation="nearest")
    _outline(ax, mask, "white")
    style.bare(ax)


def _map(ax: Axes, rows: pd.DataFrame, picture: np.ndarray, mask: np.ndarray | None, explanation: str) -> None:
    values = rows.pivot(index="row", columns="column", values="value").to_numpy()
    size = np.abs(values)
    top = max(np.percentile(size, 99) if explanation == "ig" else size.max(), 1e-30)
    ax.imshow(
        values, cmap=LOOKS[explanation][0], vmin=-top if explanation == "lime" else 0, vmax=top, interpolation="nearest"
    )
    _outline(ax, mask, "#111111" if explanation == "lime" else "#7fe3ff")
    style.bare(ax)
    if "energy" in rows:
        ax.set_xlabel(f"{rows['energy'].iloc[0]:.1f} ×", fontsize=8, labelpad=1.5)


def attribution_focus(table: pd.DataFrame, axes: np.ndarray | None = None) -> np.ndarray:
    """Energy of the three methods, and roughness of Integrated Gradients, per arm with intervals.

    `table` is what `interpretability.summary` returns. A dashed line is 1, a map that prefers no place; a dotted one is
    a network with random weights, where it was explained, too. Several seeds are dots beside each other. Without masks
    there is no energy, and no panel for it.
    """
    known = set(zip(table["explanation"], table["measure"], strict=True))
    panels = [panel for panel in PANELS if panel in known]
    if axes is None:
        axes = _row_or_square(len(panels), table["arm"].nunique())
    axes = np.ravel(axes)
    for ax, (explanation, measure) in zip(axes, panels, strict=True):
        rows = table[(table["explanation"] == explanation) & (table["measure"] == measure)]
        _dots(ax, rows[rows["weights"] == "trained"])
        if measure == "energy":
            ax.axhline(1, color="#444444", linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        for value in rows[rows["weights"] == "random"]["value"]:
            ax.axhline(value, color=style.MUTED, linewidth=1.1, linestyle=":", zorder=1)
            _note(ax, value, "random weights" if ax is axes[0] else "")
        ax.set_title(TITLES[explanation])
        if measure == "roughness":
            ax.set_ylabel("roughness")
            ax.margins(y=0.12)
    _align([ax for ax, (_, measure) in zip(axes, panels, strict=True) if measure == "energy"])
    if len(axes):
        style.key_below(axes[0].figure, style.networks_key(table[table["weights"] == "trained"]))
    return axes


def _row_or_square(panels: int, arms: int) -> list[Axes]:
    """A row of panels; with many arms two rows, so that each has the room for its arms' names."""
    if panels < 3 or arms <= 6:
        return list(style.panels(1, panels, size=(2.15 if panels > 1 else 3.2, 2.7))[1].flat)
    axes = list(style.panels(2, 2, size=(0.36 * arms, 2.9))[1].flat)
    for spare in axes[panels:]:
        spare.remove()
    return axes[:panels]


def _align(energies: list[Axes]) -> None:
    """One scale for all panels of energy, and the name of the line at 1."""
    if not energies:
        return
    for ax in energies[1:]:
        ax.sharey(energies[0])
    low, high = zip(*(ax.dataLim.intervaly for ax in energies), strict=True)
    energies[0].set_ylim(min(0.8, *low) - 0.15, max(high) + 0.15)
    _note(energies[0], 1, "uniform")
    energies[0].set_ylabel("energy on the object,\nover its share of the area")


def _note(ax: Axes, value: float, text: str) -> None:
    """The name of a horizontal line, at its left end."""
    ax.annotate(text, (-0.55, value), xytext=(4, 2), textcoords="offset points", fontsize=7.5, color=style.MUTED)


def _dots(ax: Axes, rows: pd.DataFrame) -> None:
    """A dot per arm and seed, an arm's seeds beside each other around its tick; smaller where they are many."""
    arms = style.arm_order(rows)
    many = rows["seed"].nunique() > 4
    look = {"capsize": 0, "markersize": 3.5, "linewidth": 0.9} if many else {"capsize": 2.5, "markersize": 6}
    for arm in arms:
        mine = rows[rows["arm"] == arm]
        line = style.arm_line(arm)
        reach = [mine["value"] - mine["low"], mine["high"] - mine["value"]]
        drawn = {"fmt": line["marker"], "color": line["color"], "linestyle": "none", "linewidth": 1.4} | look
        drawn["markerfacecolor"] = style.face(line["color"], len(mine))
        ax.errorbar(style.stands(mine, arms, 0.7 if many else 0.5), mine["value"], reach, **drawn)
    ax.set_xticks(range(len(arms)), [style.ARM_LABELS[arm] for arm in arms])
    ax.tick_params(axis="x", labelsize=8, labelrotation=90 if len(arms) > 5 else 0)
    ax.set_xlim(-0.6, len(arms) - 0.4)
    ax.grid(False, axis="x")
