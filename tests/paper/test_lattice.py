"""Which pixels a network reads: on gradients and networks where it is known, and what first layers are worth."""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sections import Section
from torch import nn

from semcont.datasets import ImageSet
from semcont.paper import lattice, plots, robustness, stems
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, trained

SMOKE = load_preset("smoke")


class OneInFour(nn.Module):
    """Two classes by the mean of red less that of blue, on the pixels of one cell of the lattice alone."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__()
        self.row, self.column = row, column

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = x[:, :, self.row :: 2, self.column :: 2].mean(dim=(2, 3))
        return torch.stack([seen[:, 0] - seen[:, 2], seen[:, 2] - seen[:, 0] + 1e-3], 1)  # the second where it is grey


def _run(network: nn.Module) -> SimpleNamespace:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, 3, 8, 8), generator=draw).to(torch.uint8)
    pixels[:20, 0], pixels[20:, 2] = 255, 255
    data = ImageSet("known", pixels, torch.arange(40) // 20, ("red", "blue"))
    return SimpleNamespace(model=network.eval, images=lambda split: data)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_network_that_reads_one_pixel_in_four_is_found_out(row, column):
    (found,) = lattice.reading.function(_run(OneInFour(row, column)), images=None).itertuples()
    assert (found.row, found.column) == (row, column) and found.share == pytest.approx(1)
    assert found.clean == found.kept == 1.0
    assert found.dropped == 0.5  # all called blue


def test_shares_in_closed_form():
    norms = torch.ones(3, 4, 6)
    assert lattice.shares(norms).flatten().tolist() == pytest.approx([0.25] * 4)
    norms[:, 1::2, 0::2] = 3.0  # squares 9, 1, 1, 1
    assert lattice.shares(norms)[1, 0].item() == pytest.approx(0.75)
    norms[2] = 0.0  # an image without a gradient says nothing
    assert lattice.shares(norms)[1, 0].item() == pytest.approx(0.75)
    assert lattice.shares(torch.zeros(2, 4, 4)).flatten().tolist() == [0.25] * 4
    drawn = torch.rand(5, 7, 9, generator=torch.Generator().manual_seed(0))
    assert float(lattice.shares(drawn).sum()) == pytest.approx(1)


def _table(**arms: list[tuple[float, float]]) -> pd.DataFrame:
    """For each arm (share, attacked) of its networks; clean is 0.9, what is kept and dropped 0.8 and 0.3."""
    rows = [
        {"arm": arm, "seed": seed, "epochs": 8, "part": "arms", "row": 0, "column": 1, "share": share, "clean": 0.9}
        | {"kept": 0.8, "dropped": 0.3, "attacked": attacked}
        for arm, points in arms.items()
        for seed, (share, attacked) in enumerate(points)
    ]
    return pd.DataFrame(rows)


def test_what_is_said_of_it():
    rising = [(0.4 + 0.1 * k, 0.5 + 0.02 * k) for k in range(6)]
    table = _table(base=[(0.3, 0.0)] * 6, **{"adv+c": rising}, trades=[(0.8, 0.6)])
    told = lattice.conclusion(table)
    assert "`adv+c` has 65 % of its squared gradient on one pixel in four, 40 to 90 % over 6 networks" in told
    assert "`trades` has 80 % of its squared gradient on one pixel in four. It is right on 90.0 %" in told
    assert "on 80.0 % with the other pixels in grey, and on 30.0 % with those" in told and "`base`" not in told
    assert "with clean accuracy is undefined, and with accuracy under attack +1.00." in told
    shown = lattice.shown(table).set_index("arm")
    assert shown.loc["adv+c", "from, to"] == "40 to 90" and shown.loc["trades", "from, to"] == "80"
    assert "evenly: 25 %" in lattice.conclusion(table[table["arm"] == "base"])
    assert "trades 80 %" in lattice.describe(table) and "length" not in lattice.describe(table)


def test_the_figure_has_a_mark_per_network_and_the_lengths_where_there_are_any():
    table = _table(**{"adv+c": [(0.5, 0.6), (0.9, 0.7)]})
    clean, attacked = plots.lattice_share(table).flat
    assert attacked.lines[0].get_xdata().tolist() == [0.5, 0.9]
    assert attacked.lines[0].get_ydata().tolist() == [0.6, 0.7] and clean.lines[0].get_ydata().tolist() == [0.9, 0.9]
    lengths = pd.concat([table.assign(part="lengths", epochs=n, share=n / 20) for n in (4, 8)])
    *_, over = plots.lattice_share(pd.concat([table, lengths], ignore_index=True)).flat
    assert over.lines[0].get_xdata().tolist() == [4, 8] and over.lines[0].get_ydata().tolist() == [0.2, 0.4]
    plt.close("all")


# --- first layers -----------------------------------------------------------------------------------------------------


def _stems(**gains: list[float]) -> pd.DataFrame:
    """Per stem what adv+c gains on adv's 0.5 under attack, seed by seed."""
    rows = []
    for name, values in gains.items():
        for seed, gain in enumerate(values):
            about = {"stem": name.replace("_", "-"), "seed": seed, "measure": "attacked"}
            rows += [about | {"arm": "adv", "value": 0.5}, about | {"arm": "adv+c", "value": 0.5 + gain}]
    return pd.DataFrame(rows)


def test_what_adv_c_gains_behind_each_stem():
    table = _stems(cifar_stride2=[0.08, 0.10, 0.09], cifar_averaged=[-0.01, 0.01, 0.0])
    apart = stems.differences(table)
    assert apart.drop_duplicates("question")["mean"].tolist() == pytest.approx([0.09, 0.0])
    told = stems.conclusion(apart)
    assert "**3 × 3 with stride 2**, `adv+c` less `adv`, 3 seeds: better: Accuracy under PGD" in told
    assert "**means of 2 × 2 pixels, then 3 × 3**, `adv+c` less `adv`, 3 seeds: not told apart" in told
    shown = stems.shown(table, apart).set_index("stem")
    assert shown.loc["3 × 3 with stride 2", "Accuracy under PGD"] == "adv 50.0, adv+c 59.0"
    assert shown.loc["3 × 3 with stride 2", "Accuracy under PGD: apart"].startswith("+9 [+6.5")
    assert "own first layer alone" in stems.conclusion(stems.differences(pd.DataFrame()))


def test_both_are_measured_on_the_presets_networks(tmp_path, monkeypatch):
    """The networks of the preset's own stem are the arms themselves, and means of blocks leave nothing to choose."""
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path))
    preset = replace(SMOKE, arms=("adv", "adv+c"), lengths=replace(SMOKE.lengths, epochs=(1,)))
    seen = []

    class Seen(Section):
        def measured(self, function, runs=None, **settings):
            seen.extend(runs)
            return super().measured(function, runs, **settings)

    found = lattice.measures(Section(preset))
    assert list(found) == lattice.COLUMNS and found["part"].tolist() == ["arms"] * 2 + ["lengths"] * 2
    own = [column for column in lattice.COLUMNS if column != "part"]
    pd.testing.assert_frame_equal(found[own][:2], found[own][2:].reset_index(drop=True))
    table2 = measured(
        trained(preset, "adv", 0), robustness.by_attack, attacks=robustness.table2(preset), images=None
    ).set_index("attack")["accuracy"]
    assert found.loc[0, ["clean", "attacked"]].tolist() == pytest.approx(table2.tolist())
    behind = stems.measures(Seen(preset))
    assert set(behind["stem"]) == {"cifar-stride2", "cifar-averaged"} and np.isfinite(behind["value"]).all()
    assert len(behind) == 2 * 2 * 3 and len(stems.differences(behind)) == 2 * 3
    averaged = next(run for run in seen if run.changes.get("stem") == "cifar-averaged")
    assert measured(averaged, lattice.reading, gradients=10)["share"].item() == pytest.approx(0.25)
    off = replace(preset, stems=replace(preset.stems, names=()))
    assert stems.measures(Section(off)).empty
