"""What the ledger reads beside accuracy, over the lengths of training: on known tables, and once whole."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sections import Section

from semcont.paper import followed, variants
from semcont.paper.budgets_beyond import Lengths
from semcont.paper.presets import load_preset

SMOKE = load_preset("smoke")


def _table(measure: str, **arms: dict[int, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"arm": arm, "seed": seed, "epochs": n, "updates": 10 * n, "measure": measure, "value": value}
            for arm, lengths in arms.items()
            for n, values in lengths.items()
            for seed, value in enumerate(values)
        ]
    )


def test_norms_are_compared_as_ratios_and_losses_as_differences():
    norms = _table("gradient_norm", c={4: [1.0, 4.0], 8: [3.0, 3.0]}, base={4: [2.0, 2.0], 8: [2.0, 2.0]})
    losses = _table("conflict_loss", c={4: [0.01, 0.0], 8: [0.0, 0.0]}, base={4: [0.02, 0.02], 8: [0.02, 0.02]})
    order = followed.orders(pd.concat([norms, losses], ignore_index=True)).set_index(["measure", "epochs"])
    assert order.loc[("gradient_norm", 4), "mean"] == pytest.approx(1.0)  # half and twice: their geometric mean
    assert order.loc[("gradient_norm", 8), "mean"] == pytest.approx(1.5)
    assert order.loc[("conflict_loss", 4), "mean"] == pytest.approx(-0.015)
    shown = followed.reading(order.reset_index()).set_index("measure")
    assert shown.loc["Gradient norm, relative", "8 epochs"].startswith("×1.5 [1.5, 1.5")
    assert shown.loc["Accuracy lost in conflict", "arms"] == "c − base"


def test_a_turn_is_told():
    table = _table("relative_score", c={4: [2.0], 8: [0.5]}, base={4: [1.0], 8: [1.0]})
    order = followed.orders(pd.concat([table, table.assign(measure="gradient_norm", value=table["value"] + 3)]))
    told = followed.conclusion(order)
    assert "**Relative DS**: the order of `c` and `base` changes" in told and "In 0 of 2" in told
    same = followed.orders(_table("relative_score", c={4: [0.4], 8: [0.5]}, base={4: [1.0], 8: [1.0]}))
    assert followed.conclusion(same) == "- In 1 of 1 comparisons it is the same at every length."
    assert "does not follow" in followed.conclusion(pd.DataFrame())


def test_the_values_are_those_of_the_notebooks(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path))
    lengths = Lengths(epochs=(1, 2), arms=("base", "c"), seeds=1, followed=True)
    preset = replace(SMOKE, lengths=lengths, gradients=replace(SMOKE.gradients, images=10))
    preset = replace(preset, continuity=replace(preset.continuity, images=40))

    found = followed.measures(Section(preset))
    assert len(found) == 2 * 2 * 3 and np.isfinite(found["value"]).all()
    assert set(found["measure"]) == set(followed.MEASURES) and set(found["epochs"]) == {1, 2}
    assert len(followed.orders(found)) == 6
    off = Section(replace(preset, lengths=replace(lengths, followed=False)))
    assert followed.measures(off).empty and len(variants.lengths(off.preset)) == 4
