"""The plane of clean against attacked accuracy, on points whose place is known."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from semcont.paper import frontier, plots
from semcont.paper.presets import load_preset


def _plane(**networks: list[tuple[float, float]]) -> pd.DataFrame:
    """For each variant (clean, robust) of its seeds."""
    rows = [
        {"variant": name.replace("_", " "), "arm": name.split("_")[0].rstrip(","), "seed": seed, "measure": "attacked"}
        | {"clean": clean, "robust": robust, "chance": 0.1}
        for name, points in networks.items()
        for seed, (clean, robust) in enumerate(points)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((0.8, 0.3), 0.1 / 7),  # each rival alone falls short by 0.1; two sevenths of the way between them do by less
        ((0.5, 0.5), 0.0),  # a rival's own place
        ((0.7, 0.35), 0.0),  # halfway between the two
        ((0.4, 0.4), -0.1),  # (0.5, 0.5) is better in both, by a tenth
        ((0.95, 0.6), 0.25),  # better than both in both, and than their halves, (0.7, 0.35)
    ],
)
def test_the_margin_in_closed_form(point, expected):
    assert frontier.margin(point, np.array([(0.9, 0.2), (0.5, 0.5)])) == pytest.approx(expected)


def test_a_further_rival_can_only_lower_the_margin():
    rng = np.random.default_rng(0)
    rivals = rng.random((20, 2))
    found = [frontier.margin((0.6, 0.6), rivals[:k]) for k in range(1, 21)]
    assert (np.diff(found) <= 0).all()
    with pytest.raises(ValueError, match="rival"):
        frontier.margin((0.5, 0.5), np.empty((0, 2)))


def test_no_mixture_of_the_rivals_is_overlooked():
    """Against a search over many mixtures of all rivals at once, which can only find as much or less far off."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        rivals, point = rng.random((5, 2)), rng.random(2)
        mixed = rng.dirichlet(np.full(5, 0.3), 20_000) @ rivals
        found, searched = frontier.margin(tuple(point), rivals), (point - mixed).max(axis=1).min()
        assert found <= searched + 1e-12 and searched - found < 0.01


def test_margins_are_within_seeds():
    """In each seed the rival is matched by the same amount, though the seeds differ by far more."""
    table = _plane(
        **{"adv+c,_alpha_1": [(0.8, 0.30), (0.6, 0.50), (0.7, 0.4)]},
        adv=[(0.81, 0.32), (0.61, 0.53), (0.71, 0.42)],
    )
    row = frontier.margins(table).iloc[0]
    assert row["margin"] == pytest.approx(-0.01) and row["verdict"] == "matched by another" and row["seeds"] == 3
    assert row["clean"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("rivals", "verdict"),
    [
        ([(0.9, 0.1), (0.9, 0.11), (0.9, 0.1)], "on the frontier"),
        ([(0.9, 0.9), (0.2, 0.2), (0.9, 0.1)], "undecided"),
        ([(0.9, 0.1)], "single run: on the frontier"),
    ],
)
def test_the_verdict_needs_seeds_that_agree(rivals, verdict):
    table = _plane(**{"adv+c,_alpha_1": [(0.8, 0.4)] * len(rivals)}, trades=rivals)
    assert frontier.margins(table)["verdict"].tolist() == [verdict]
    assert verdict in frontier.conclusion(table)


def test_other_constrained_points_are_no_rivals():
    table = _plane(**{"adv+c,_alpha_1": [(0.8, 0.4)], "adv+c,_alpha_3": [(0.9, 0.5)]}, adv=[(0.7, 0.3)])
    assert (frontier.margins(table)["margin"] > 0).all()
    assert frontier.margins(table[table["arm"] != "adv"]).empty
    assert "nothing to place" in frontier.conclusion(table[table["arm"] == "adv"])


def test_a_rival_is_trained_without_the_constraint():
    """madry+c is on the plane, and better in both; what it gains is no argument against the constraint."""
    table = _plane(**{"adv+c,_alpha_1": [(0.8, 0.4)], "madry+c": [(0.9, 0.5)]}, madry=[(0.7, 0.3)])
    row = frontier.margins(table).iloc[0]
    assert row["margin"] == pytest.approx(0.1) and row["verdict"] == "single run: on the frontier"


def test_the_figure_joins_the_settings_in_their_order():
    table = _plane(
        **{"trades,_beta_6": [(0.6, 0.4)], "trades,_beta_1": [(0.8, 0.2)], "adv+c,_alpha_0.3": [(0.7, 0.4)]},
        madry=[(0.65, 0.45)],
    )
    (ax,) = plots.frontier_plane(table).flat
    line = next(line for line in ax.lines if line.get_label() == "trades")
    assert line.get_xdata().tolist() == [0.8, 0.6]
    assert {"β 1", "β 6", "α 0.3", ""} == {text.get_text() for text in ax.texts}
    assert "trades, beta 6 60 and 40 %" in frontier.describe(table)
    plt.close("all")
    assert "no networks" in frontier.conclusion(pd.DataFrame())


def test_the_ledger_reads_the_margin_of_each_seed_at_the_presets_alpha():
    preset = load_preset("smoke")
    table = _plane(
        **{"adv+c,_alpha_1": [(0.8, 0.3), (0.6, 0.5)], "adv+c,_alpha_10": [(0.5, 0.5)] * 2}, adv=[(0.7, 0.4)] * 2
    )
    made = frontier.evidence_of(table, preset)["frontier_margin"]
    assert [row["value"] for row in made["rows"]] == pytest.approx([0.1, 0.1]) and made["unit"] == "points"
    assert [(row["label"], row["seed"], row["case"]) for row in made["rows"]] == [
        ("adv+c", seed, "accuracy under PGD") for seed in (0, 1)
    ]
    assert "not in the plane" in frontier.evidence_of(table[table["arm"] == "adv"], preset)["frontier_margin"]["absent"]
    assert "frontier" in frontier.evidence_of(pd.DataFrame(), preset)["frontier_margin"]["absent"]
