"""What the paper's open choices change, where nothing has to be trained for it: the generated parts of the errata.

`python -m semcont.paper.publishing.choices` measures on the bundled test images, reads what a preset published of its
networks, and brings docs/errata.md in step; a test holds them together. Other choices that take a network are measured
by the notebooks, which the errata name.
"""

from collections.abc import Iterator
from math import factorial
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ... import load, perturbations
from ...perturbations import LEVELS, perturb
from .. import paths, store
from . import readme

IMAGES = 300
"""So many test images of PhotoDigits; the numbers are means over them."""

PRESET = "cifar100-cpu"
"""The preset whose published tables tell the choices that take networks."""

TABLES = ("table2_robustness", "s03_beyond", "audit_eps")
"""What `on_networks` reads of them."""


def effects(x: Tensor) -> pd.DataFrame:
    """Each choice that images (n, 3, h, w) in [0, 1] alone can tell: columns decision, what, unit, here, otherwise.

    `decision` is the number in docs/decisions.md; `here` the value under our reading, `otherwise` under the other one.
    """
    rows = [*_radius(x), *_photometric(x), *_destructions(x)]
    return pd.DataFrame(rows, columns=["decision", "what", "unit", "here", "otherwise"])


Row = tuple[int, str, str, float, float]


def _radius(x: Tensor) -> Iterator[Row]:
    """Decision 13: eps in pixels, or in units of each channel's standard deviation."""
    std = x.transpose(0, 1).flatten(1).std(1)
    yield 13, "radius of 8: in pixels; of normalised inputs (mean of the channels)", GREY, 8, float(8 * std.mean())


def _photometric(x: Tensor) -> Iterator[Row]:
    """Decisions 14 to 17: what one perturbation is, and whether P takes one of the four or all."""
    alone = [_change(perturb(x, name, 1), x) for name in LEVELS]
    every = x
    for name in LEVELS:
        every = perturb(every, name, 1)
    yield 14, "P at level 1: one of the four (mean); all four in turn", GREY, sum(alone) / 4, _change(every, x)
    for level in (1, 4):
        amount = LEVELS["brightness"][level - 1]
        factor = (x * (1 + amount / 255)).clamp(0, 1)
        what = f"brightness at level {level}: {amount} added; a factor of 1 + {amount}/255"
        yield 15, what, GREY, _change(perturb(x, "brightness", level), x), _change(factor, x)
    about_middle = ((x - 0.5) * LEVELS["contrast"][0] + 0.5).clamp(0, 1)
    what = "contrast at level 1: about the image's mean grey; about the middle of the scale"
    yield 16, what, GREY, _change(perturb(x, "contrast", 1), x), _change(about_middle, x)
    turns = LEVELS["hue"][0]
    radians = perturbations.hue(x, turns / (2 * torch.pi))
    yield 17, f"hue at level 1: {turns} of a turn; radians", GREY, _change(perturb(x, "hue", 1), x), _change(radians, x)


def _destructions(x: Tensor) -> Iterator[Row]:
    """Decisions 20 to 22: how much of an image section 4.3 destroys."""
    areas = (0.25, 0.25**2)
    shuffled = [perturbations.shuffle_center(x, area, generator=_generator()) for area in areas]
    what = "pixels moved by scrambling 25 % of the centre: of the area; of the side"
    yield 20, what, "%", *(_moved(y, x) for y in shuffled)
    low = torch.stack([x[:, 0].roll((1, 1), (1, 2)), x[:, 1], x[:, 2]], dim=1)
    what = "translating by 1 pixel, G by a half: rounded up; rounded down"
    yield 21, what, GREY, _change(perturbations.translate_rgb(x, 1), x), _change(low, x)
    yield 22, "images left whole by shuffling 2 x 2 tiles: identity left out; let in", "%", 0, 100 / factorial(2 * 2)


GREY = "grey levels"


def _change(y: Tensor, x: Tensor) -> float:
    """Mean absolute change of a channel of a pixel, in 1/255."""
    return float(255 * (y - x).abs().mean())


def _moved(y: Tensor, x: Tensor) -> float:
    """Share of the pixels whose colour changed, in percent."""
    return float(100 * (y != x).any(1).double().mean())


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


# --- on published networks --------------------------------------------------------------------------------------------


def on_networks(table2: pd.DataFrame, beyond: pd.DataFrame, radii: pd.DataFrame) -> pd.DataFrame:
    """Choices that published networks tell, from `TABLES`: columns as of `effects`, and `images` and `seeds`.

    `seeds` has two counts where they differ between the two numbers.
    """
    rows = [*_copies_too(table2, beyond), *_space(radii), *_space_of_training(radii)]
    return pd.DataFrame(rows, columns=["decision", "what", "unit", "images", "seeds", "here", "otherwise"])


def _copies_too(table2: pd.DataFrame, beyond: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Decision 5: the constraint with cross-entropy on x alone, or on x' too; on the seeds that both arms have."""
    by_seed = table2.pivot_table(index=["attack", "eps", "seed"], columns="arm", values="accuracy")
    images = table2["n"].iloc[0]  # every test image, as in notebook 3
    for (attack, eps), mine in by_seed[["c", "aug+c"]].dropna().groupby(["attack", "eps"]):
        what = f"accuracy under {attack} at {eps:g}/255" if eps else "clean accuracy"
        yield 5, f"{what}: `c`; `aug+c`", "%", images, len(mine), *(100 * mine.mean())
    found = beyond.set_index(["first", "second", "measure"])
    for measure, what, unit, scale in (
        ("clean", "clean accuracy", "points", 100),
        ("relative_score", "relative score", "–", 1),
    ):
        here, otherwise = found.loc[("c", "base", measure)], found.loc[("aug+c", "aug", measure)]
        seeds = f"{here['n']:.0f}; {otherwise['n']:.0f}"  # unlike: paired within each of the two alone
        what = f"{what}, change by the constraint: `c` less `base`; `aug+c` less `aug`"
        yield 5, what, unit, images, seeds, scale * here["mean"], scale * otherwise["mean"]


def _space(radii: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Decision 13: networks trained with the radius in pixels, attacked with the same number in either unit."""
    at = radii[(radii["eps"] == RADIUS) & (radii["training"] == "the arms")]
    for arm in ("base", "c", "adv", "adv+c"):
        mine = at[at["arm"] == arm].pivot_table(index="seed", columns="space", values="accuracy")
        numbers = 100 * mine[["pixels", "normalised"]].mean()
        what = f"accuracy of `{arm}` at radius {RADIUS}: in pixels; of normalised inputs"
        yield 13, what, "%", at["n"].iloc[0], len(mine), *numbers


def _space_of_training(radii: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Decision 13 in training, too: the same arm, radius and seeds, trained in either unit; where this was trained."""
    named = {"the arms": "here", "radius in normalised space": "otherwise"}
    at = radii["eps"].eq(RADIUS) | (radii["eps"].eq(0) & radii["space"].eq("pixels"))
    table = radii[at & radii["training"].isin(named)].assign(trained=radii["training"].map(named))
    units = {"pixels": "pixels", "normalised": "normalised inputs"}
    for (arm, space, eps), mine in table.groupby(["arm", "space", "eps"], sort=False):
        both = 100 * mine.pivot(index="seed", columns="trained", values="accuracy").reindex(columns=named.values())
        if (both := both.dropna()).empty:
            continue
        where = f"within {eps:g}/255 of {units[space]}" if eps else "without an attack"
        what = f"accuracy of `{arm}` {where}: trained with its radius in pixels; of normalised inputs"
        yield 13, what, "%", mine["n"].iloc[0], len(both), *both.mean()


RADIUS = 8  # the paper's, in 1/255


# --- the page ---------------------------------------------------------------------------------------------------------


def as_markdown(table: pd.DataFrame) -> str:
    """`effects` or `on_networks` as a Markdown table, three digits."""
    heads = ["what: as here; otherwise" if name == "what" else name for name in table]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in table.to_dict("records"):
        cells = [f"{row[name]:.3g}" if name in ("here", "otherwise") else str(row[name]) for name in table]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def generated(text: str, tables: dict[str, pd.DataFrame]) -> str:
    """The errata's text with its generated blocks made anew. Raises `UserError` where markers are missing."""
    for name, table in tables.items():
        text = readme.replace_block(text, name, as_markdown(table), "docs/errata.md")
    return text


def measured() -> dict[str, pd.DataFrame]:
    """What each block shows: `effects` on the first test images of PhotoDigits, `on_networks` as `PRESET` published."""
    published = [pd.read_csv(paths.figures(PRESET) / f"{name}.csv") for name in TABLES]
    return {
        "choices": effects(load("photodigits", "test", n=IMAGES).float()),
        "networks": on_networks(*published),
    }


def main(*_: Any) -> None:
    """Bring docs/errata.md in step with what is measured."""
    path = paths.root() / "docs" / "errata.md"
    text = generated(path.read_text(encoding="utf-8"), measured())
    store.write_text(path, text)


if __name__ == "__main__":
    main()
