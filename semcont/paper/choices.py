"""What the paper's open choices change, where that can be measured without training: the generated part of the errata.

`python -m semcont.paper.choices` measures on the bundled test images and brings docs/errata.md in step; a test holds
the two together. Choices that take a network are measured by the notebooks, which the errata name.
"""

from collections.abc import Iterator
from math import factorial
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from .. import load, perturbations
from ..perturbations import LEVELS, perturb
from . import paths, store

IMAGES = 300
"""So many test images of PhotoDigits; the numbers are means over them."""

BEGIN, END = "<!-- choices:begin -->", "<!-- choices:end -->"


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


# --- the page ---------------------------------------------------------------------------------------------------------


def as_markdown(table: pd.DataFrame) -> str:
    """`effects` as a Markdown table, three digits."""
    lines = ["| decision | what: as here; otherwise | unit | here | otherwise |", "|---|---|---|---|---|"]
    cells = ("decision", "what", "unit")
    for row in table.to_dict("records"):
        numbers = [f"{row[name]:.3g}" for name in ("here", "otherwise")]
        lines.append(f"| {' | '.join([*(str(row[name]) for name in cells), *numbers])} |")
    return "\n".join(lines)


def generated(text: str, table: pd.DataFrame) -> str:
    """The errata's text with its generated block made anew. Raises `UserError` where its markers are missing."""
    head, opened, rest = text.partition(BEGIN)
    _, closed, tail = rest.partition(END)
    if not opened or not closed:
        raise paths.UserError(f"docs/errata.md has no block {BEGIN} ... {END}")
    return f"{head}{BEGIN}\n{as_markdown(table)}\n{END}{tail}"


def measured() -> pd.DataFrame:
    """`effects` on the first test images of the bundled PhotoDigits."""
    return effects(load("photodigits", "test", n=IMAGES).float())


def main(*_: Any) -> None:
    """Bring docs/errata.md in step with what is measured."""
    path = paths.root() / "docs" / "errata.md"
    text = generated(path.read_text(encoding="utf-8"), measured())
    store.write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main()
