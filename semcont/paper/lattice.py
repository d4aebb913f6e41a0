"""Which pixels a network still reads: all of them alike, or one of each block of two by two.

A convolution with stride 2 may pass over three pixels of four, if its weights favour one place of the block. In L-inf
that defends: an attacker moves the logits by eps ||g||_1 to first order, which for a gradient g of a given Euclidean
norm is at most half as much where only a quarter of its entries is not zero. Section 3 of the paper argues otherwise:
every pixel is to count for less.
"""

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from . import variants
from .cells import in_range
from .gradients import jacobian, pixel_norms
from .measurements import measurement
from .runs import Run, predict
from .training_length import on_test

PERIOD = 2
"""Pixels from one to the next that is read, in rows and in columns: the stride of one convolution."""
EVEN = 1 / PERIOD**2
"""The share of each cell where all pixels are read alike."""
GREY = 0.5
HALF = 0.5
COLUMNS = ["arm", "seed", "epochs", "part", "row", "column", "share", "clean", "kept", "dropped", "attacked"]
SEEDS = 5
"""From so many networks of an arm on, a correlation is given."""


def shares(norms: Float[Tensor, "n h w"]) -> Float[Tensor, "2 2"]:
    """The share of ||dF/dx||^2 on each cell of the lattice: pixels (row, column) with the same remainders modulo 2.

    From `gradients.pixel_norms`; mean over the images that have a gradient, 1/4 each where none has. They sum to 1.
    """
    square = norms.double().square()
    whole = square.sum(dim=(1, 2))
    square, whole = square[whole > 0], whole[whole > 0]
    if len(square) == 0:
        return torch.full((PERIOD, PERIOD), EVEN, dtype=torch.float64)
    sums = torch.stack([square[:, i::PERIOD, j::PERIOD].sum((1, 2)) for i in range(PERIOD) for j in range(PERIOD)])
    return (sums / whole).mean(1).view(PERIOD, PERIOD)


def cell(height: int, width: int, row: int, column: int) -> Float[Tensor, "h w"]:
    """1 at the pixels of one cell of the lattice, 0 at the others."""
    mask = torch.zeros(height, width)
    mask[row::PERIOD, column::PERIOD] = 1
    return mask


@measurement()
def reading(run: Run, *, gradients: int | None = None, images: int | None = None, batch: int = 50) -> pd.DataFrame:
    """How much of the gradient lies on the strongest cell of the lattice, and what the network knows from it alone.

    One row: row, column (of the cell), share (of ||dF/dx||^2, over the first `gradients` test images; None: all),
    and accuracies on the first `images`: clean; kept, with all other cells in mid-grey; dropped, with this one in it.
    """
    data, network = run.images("test"), run.model()
    first = torch.arange(len(data), device=data.images.device)[slice(gradients)]
    norms = torch.cat([pixel_norms(jacobian(network, data.float(rows))) for rows in first.split(batch)])
    found = shares(norms.cpu())
    row, column = divmod(int(found.argmax()), PERIOD)
    tested = data.select(slice(images))
    mask = cell(*tested.images.shape[-2:], row, column).to(tested.images.device)
    x = tested.float()
    seen = {"clean": x, "kept": x * mask + GREY * (1 - mask), "dropped": x * (1 - mask) + GREY * mask}
    about = {"row": row, "column": column, "share": found.max().item()}
    for name, shown in seen.items():
        about[name] = (predict(network, shown).argmax(1) == tested.labels).double().mean().item()
    return pd.DataFrame([about])


def measures(section) -> pd.DataFrame:
    """`reading` of the section's networks and of those of `preset.lengths`, with their accuracy under Table 2's attack.

    Columns arm, seed, epochs, part ("arms" or "lengths"; a network may be in both), row, column, share, clean, kept,
    dropped, attacked.
    """
    preset = section.preset
    arms = [variants.Variant(arm, arm, {}, preset.seeds_of(arm)) for arm in preset.arms]
    lengths = [v for v in variants.lengths(preset) if v.arm in preset.lengths.arms]
    settings = {"gradients": preset.gradients.images, "images": preset.robustness.images}
    keys, parts = ["variant", "arm", "seed"], []
    for part, wanted in (("arms", arms), ("lengths", lengths)):
        if not wanted:
            continue
        found = variants.measured(section, wanted, reading, **settings)
        under = on_test(section, wanted, worst=False)
        attacked = under[under["measure"] == "attacked"].set_index(keys)["accuracy"].rename("attacked")
        epochs = {v.name: v.changes.get("epochs", preset.epochs_of(v.arm)) for v in wanted}
        found = found.join(attacked, on=keys).assign(part=part)
        parts.append(found.assign(epochs=found["variant"].map(epochs)))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


# --- words ------------------------------------------------------------------------------------------------------------


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """A row per arm: its networks' number, share with least and most, and mean accuracies as in `measures`."""
    arms = table[table["part"] == "arms"].groupby("arm", sort=False)
    spread = arms["share"].agg(networks="size", share="mean", least="min", most="max")
    return spread.join(arms[["clean", "kept", "dropped", "attacked"]].mean()).reset_index()


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """`summary` in percent, as it is read."""
    means = summary(table)
    names = {"share": "share", "clean": "whole image", "kept": "that quarter alone", "dropped": "the other three"}
    cells = {label: [f"{100 * value:.1f}" for value in means[name]] for name, label in names.items()}
    between = [_between(row) for row in means.itertuples()]
    found = pd.DataFrame({"arm": means["arm"], "networks": means["networks"], **cells})
    found.insert(3, "from, to", between)
    return found.assign(attacked=[f"{100 * value:.1f}" for value in means["attacked"]])


def _between(row) -> str:
    return in_range(f"{100 * row.least:.0f}", f"{100 * row.most:.0f}")


def conclusion(table: pd.DataFrame) -> str:
    """In Markdown: which arms lean on one pixel in four, and whether their networks are the better for it."""
    means, lines = summary(table), []
    for row in means[means["share"] > HALF].itertuples():
        over = f", {_between(row)} % over {row.networks} networks" if row.networks > 1 else ""
        lines.append(
            f"- `{row.arm}` has {100 * row.share:.0f} % of its squared gradient on one pixel in four{over}. It is "
            f"right on {100 * row.clean:.1f} % of the images, on {100 * row.kept:.1f} % with the other pixels in grey, "
            f"and on {100 * row.dropped:.1f} % with those in grey."
        )
    for arm, rows in table[table["part"] == "arms"].groupby("arm", sort=False):
        if len(rows) >= SEEDS and rows["share"].max() > HALF:
            lines.append(
                f"- Over the {len(rows)} networks of `{arm}` the rank correlation of that share with clean accuracy is "
                f"{_ranked(rows, 'clean')}, and with accuracy under attack {_ranked(rows, 'attacked')}."
            )
    even = f"(evenly: {100 * EVEN:.0f} %)"
    none = f"No arm has, on average, more than half of its squared gradient on one pixel in four {even}."
    return "\n".join(lines) or none


def _ranked(rows: pd.DataFrame, name: str) -> str:
    """Spearman's rank correlation of the share with another column, which a constant does not have."""
    from scipy.stats import spearmanr

    return "undefined" if rows[name].nunique() < 2 else f"{spearmanr(rows['share'], rows[name])[0]:+.2f}"


def describe(table: pd.DataFrame) -> str:
    """Alt text of the figure."""
    told = ", ".join(f"{row.arm} {100 * row.share:.0f} %" for row in summary(table).itertuples())
    more = "; the last panel has the share over the length of training" if (table["part"] == "lengths").any() else ""
    return (
        f"Accuracy, clean and under attack, against the share of the squared gradient on one pixel in four, a mark per "
        f"network{more}. The share, mean per arm: {told}."
    )
