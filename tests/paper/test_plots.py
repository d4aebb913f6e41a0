"""What a reader can tell from the figures alone: single runs, what decides nothing, what lines and colours mean."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import same_color, to_rgb

from semcont.losses import ARMS
from semcont.paper import controls, paired, plots
from semcont.paper.claims import CASES
from semcont.paper.paired import Contrast
from semcont.paper.plots import style
from semcont.perturbations import LEVELS


@pytest.fixture(autouse=True)
def _closed():
    style.use()
    yield
    plt.close("all")


def legends(figure) -> list[str]:
    """All that the legends of a figure say."""
    boxes = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    return [text.get_text() for box in boxes for text in box.get_texts()]


def marks(ax) -> list[tuple[float, float, tuple, tuple]]:
    """Every scattered mark: x, y, edge and face."""
    found = []
    for points in (points for points in ax.collections if isinstance(points, PathCollection)):
        edges, faces = points.get_edgecolors(), points.get_facecolors()
        for k, (x, y) in enumerate(points.get_offsets()):
            face = faces[k % len(faces)] if len(faces) else (1, 1, 1)
            found.append((float(x), float(y), edges[k % len(edges)] if len(edges) else face, face))
    return found


def seeded(values: dict[str, list[float]], **same) -> pd.DataFrame:
    """A row per arm and seed, with an interval of a hundredth on either side."""
    rows = [{"arm": arm, "seed": k, "value": v, **same} for arm, each in values.items() for k, v in enumerate(each)]
    table = pd.DataFrame(rows)
    return table.assign(low=table["value"] - 0.01, high=table["value"] + 0.01)


# --- the ledger -------------------------------------------------------------------------------------------------------


def claim(name: str, section: str, estimates: list[float], *, seeds: int = 10, unit: str = "percent") -> pd.DataFrame:
    """The tests behind a claim, a row per case."""
    rows = [
        {"id": name, "section": section, "case": f"case {k}", "seeds": seeds, "unit": unit, "sign": 1,
         "estimate": value, "low": value - 0.3, "high": value + 0.3}
        for k, value in enumerate(estimates)
    ]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=CASES)


@pytest.fixture
def ledger():
    """Tests, the differences of each seed, and verdicts of four claims."""
    parts = [
        claim("wins", "4.3", [57.0]),
        claim("grows", "4.3", [-3.0, 4.0]),
        claim("once", "4.4", [1.0], seeds=1),
        claim("gone", "4.4", [-20.0]),
    ]
    tests = pd.concat(parts, ignore_index=True)
    rows = [
        {"id": test.id, "section": test.section, "source": "ours", "case": test.case, "seed": seed, "unit": "percent",
         "sign": 1, "difference": test.estimate + seed / 10, "low": test.low, "high": test.high}
        for test in tests.itertuples() for seed in range(min(3, test.seeds))
    ]  # fmt: skip
    theirs = {"id": "wins", "section": "4.3", "source": "paper", "unit": "percent", "sign": 1, "difference": 8.0}
    table = pd.DataFrame([*rows, theirs])
    scope = "data, network, 10 seeds"
    verdicts = pd.DataFrame(
        [
            ("wins", "reproduced", f"{scope}, primary"),
            ("grows", "undecided", f"{scope}, exploratory"),
            ("once", "single run, same direction", "data, network, 1 seed"),
            ("gone", "contradicted in 1 of 2", f"{scope}, exploratory"),
        ],
        columns=["id", "verdict", "scope"],
    )
    return table, tests, verdicts


def _of(ax, x: float):
    return next(mark for mark in marks(ax) if mark[0] == pytest.approx(x))


def test_what_decides_nothing_is_pale_and_single_runs_are_hollow(ledger):
    ax = plots.claims_forest(*ledger)
    blue = plots.claims.OURS
    assert same_color(_of(ax, 57)[3], blue) and same_color(_of(ax, -20)[3], blue)
    for x in (-3, 1):
        edge = _of(ax, x)[2]
        assert min(edge[:3]) > min(to_rgb(blue)) and edge[2] > edge[0], "a paler blue"
    assert not same_color(_of(ax, -3)[3], "white") and same_color(_of(ax, 1)[3], "white")
    assert same_color(_of(plots.claims_forest(*ledger[:2]), -3)[3], blue), (
        "without verdicts nothing is called undecided"
    )


def test_primary_claims_are_bold_and_verdicts_stand_at_the_right(ledger):
    ax = plots.claims_forest(*ledger)
    weights = {label.get_text(): label.get_fontweight() for label in ax.get_yticklabels()}
    assert weights == {"wins": "bold", "grows": "normal", "once": "normal", "gone": "normal"}
    told = [text.get_text() for text in ax.texts]
    assert {"reproduced", "undecided", "single run", "contradicted in 1 of 2", "§ 4.3", "§ 4.4"} <= set(told)


def test_the_primary_claims_have_a_picture_of_their_own(ledger):
    """Accuracies above and ratios below; the others are left out, and no name is bold where all are primary."""
    table, tests, verdicts = ledger
    shrinks = claim("constraint-smooths-gradients", "3", [0.4]).assign(unit="ratio", sign=-1)
    rows = [
        {"id": "constraint-smooths-gradients", "section": "3", "source": "ours", "case": "", "seed": seed, "sign": -1}
        | {"unit": "", "ratio": 0.4}
        for seed in range(3)
    ]
    told = pd.DataFrame([("constraint-smooths-gradients", "reproduced", "data, network, 10 seeds")])
    told = pd.concat([verdicts, told.set_axis(verdicts.columns, axis=1)])
    axes = plots.claims_primary(pd.concat([table, pd.DataFrame(rows)]), pd.concat([tests, shrinks]), told).ravel()
    names = [[label.get_text() for label in ax.get_yticklabels()] for ax in axes]
    assert names == [["wins"], ["constraint-smooths-gradients"]]
    assert any(mark[0] == pytest.approx(2.5) for mark in marks(axes[1])), "turned to the paper's side"
    assert {label.get_fontweight() for ax in axes for label in ax.get_yticklabels()} == {"normal"}
    assert any("paper" in text for text in legends(axes[0].figure))


def test_where_nothing_is_tested_the_primary_claims_have_the_papers_marks_alone(ledger):
    """As under a preset of a network that nobody here trained: no test, no ratio, and so no panel of ratios."""
    from semcont.paper import claims

    table, tests, verdicts = ledger
    theirs = table[table["source"] == "paper"].assign(ratio=np.nan)
    axes = plots.claims_primary(theirs, pd.DataFrame(columns=claims.CASES), verdicts.assign(verdict="not tested"))
    assert axes.shape == (1, 1) and [label.get_text() for label in axes[0, 0].get_yticklabels()] == ["wins"]
    assert legends(axes[0, 0].figure) == ["paper"]
    (empty,) = plots.claims_ratios(theirs, pd.DataFrame(columns=claims.CASES), verdicts).flat
    assert "no ratio" in empty.get_title(loc="left")


def test_the_forest_says_what_its_marks_and_its_axis_are(ledger):
    ax = plots.claims_forest(*ledger)
    told = legends(ax.figure)
    for words in ("paper", "mean over seeds", "undecided", "a seed", "single run", "primary claim"):
        assert any(words in text for text in told), words
    assert "logarithmic" in ax.get_xlabel()
    table, tests, verdicts = ledger
    once = plots.claims_forest(*(part[part["id"] == "once"] for part in (table, tests, verdicts)))
    assert legends(once.figure) == ["single run, interval over test images"]


def test_the_forest_is_as_wide_as_its_marks_and_its_ticks_do_not_touch(ledger):
    ax = plots.claims_forest(*ledger)
    low, high = ax.get_xlim()
    assert low < -20.3 and high > 57.3
    ax.figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    gaps = [right.x0 - left.x1 for left, right in zip(boxes, boxes[1:], strict=False)]
    assert len(gaps) > 4 and min(gaps) > 3, "pixels"
    inside = ax.get_window_extent()
    assert ax.transData.transform((57, 0))[0] < inside.x1 - 4, "the dot is whole"


def test_cases_of_a_claim_lie_below_each_other_with_their_seeds(ledger):
    ax = plots.claims_forest(*ledger)
    first, second = _of(ax, -3)[1], _of(ax, 4)[1]
    assert second > first
    assert _of(ax, -2.8)[1] == first and _of(ax, 4.2)[1] == second, "a seed in the lane of its case"
    assert _of(ax, 8)[1] < _of(ax, 57)[1], "the paper above ours"


def test_presets_are_pale_by_their_own_verdict(ledger):
    table, tests, verdicts = ledger
    lanes = pd.concat([tests.assign(preset="local"), tests.assign(preset="quick", seeds=1)], ignore_index=True)
    other = verdicts.assign(verdict="single run, same direction")
    both = pd.concat([verdicts.assign(preset="local"), other.assign(preset="quick")])
    ax = plots.claims_presets(lanes, table, ["quick", "local"], both)
    wins = {mark[1]: mark for mark in marks(ax) if mark[0] == 57}
    quick, local = (wins[y] for y in sorted(wins))
    assert same_color(quick[3], "white") and not same_color(quick[2], plots.claims.PRESETS[0])
    assert same_color(local[3], plots.claims.PRESETS[1]) and ax.get_xlim()[1] > 57.3
    assert any("single run" in text for text in legends(ax.figure))


def test_each_section_of_the_ratios_has_its_own_scale():
    parts = [claim("wide", "4.2", [9.0, 90.0], unit="ratio"), claim("narrow", "4.5", [1.1], unit="ratio")]
    tests = pd.concat(parts, ignore_index=True).assign(low=lambda rows: rows["estimate"] * 0.98)
    tests["high"] = tests["estimate"] * 1.02
    table = tests.assign(unit="", source="ours", seed=0, ratio=tests["estimate"], difference=1.0)
    axes = plots.claims_ratios(table, tests).ravel()
    assert [ax.get_yticklabels()[0].get_text() for ax in axes] == ["wide", "narrow"]
    assert axes[1].get_xlim()[1] < 2 < 90 < axes[0].get_xlim()[1]
    ends = axes[1].transData.transform([(tests["low"][2], 0), (tests["high"][2], 0)])
    assert ends[1][0] - ends[0][0] > 20, "pixels: wider than its dot"
    assert "mean over seeds, interval" in legends(axes[0].figure)


# --- seeds and single runs --------------------------------------------------------------------------------------------


def test_lines_of_single_runs_are_hollow_and_bands_are_named():
    arms = {"base": [0.5], "c": [0.4, 0.6]}
    rows = pd.concat([seeded(arms, perturbation=name, level=level) for level in (1, 2) for name in LEVELS])
    axes = plots.continuity_levels(rows.rename(columns={"value": "score"}))
    lines = axes.flat[0].lines
    assert [same_color(line.get_markerfacecolor(), "white") for line in lines] == [True, False]
    assert {style.RANGE, style.SINGLE} <= set(legends(axes.flat[0].figure))
    one = plots.continuity_levels(rows[rows["arm"] == "base"].rename(columns={"value": "score"}))
    assert style.RANGE not in legends(one.flat[0].figure)


def test_a_single_difference_is_hollow():
    table = seeded({"base": [0.5, 0.5], "c": [0.6, 0.7], "adv": [0.5], "adv+c": [0.7]}, measure="clean", n=9)
    contrasts = [Contrast("", "c", "base"), Contrast("", "adv+c", "adv")]
    axes = plots.paired_differences(paired.differences(table, contrasts), controls.MEASURES)
    diamonds = [line for line in axes.flat[0].lines if line.get_marker() == "D"]
    assert [same_color(line.get_markerfacecolor(), "white") for line in diamonds] == [False, True]
    assert [len(line.get_xdata()) for line in axes.flat[0].lines if line.get_marker() == "o"] == [2], (
        "no dot of its own"
    )
    assert {"a seed", "single run"} <= set(legends(axes.flat[0].figure))


def test_transfer_shows_seeds_or_an_interval():
    arms = {"base": [0.8, 0.9], "c": [0.7], "scratch": [0.5]}
    parts = [seeded(arms, target="faces", method=method, chance=0.5) for method in ("finetune", "probe")]
    (ax,) = plots.transfer_targets(pd.concat(parts).rename(columns={"value": "accuracy"})).flat
    dots = sorted(mark[0] for mark in marks(ax))
    assert dots == pytest.approx([0.8, 0.8, 0.9, 0.9])
    assert sum(len(bars.get_segments()) for bars in ax.collections if isinstance(bars, LineCollection)) == 4
    means = {round(line.get_xdata()[0], 6): line for line in ax.lines}
    assert not same_color(means[0.85].get_markerfacecolor(), "white")
    assert same_color(means[0.7].get_markerfacecolor(), "white")
    assert {"full fine-tune", "linear probe", style.MEAN, "a seed", style.SINGLE} == set(legends(ax.figure))


def test_the_curve_over_the_radius_shows_seeds_and_not_their_intervals():
    parts = [seeded({"base": [0.4, 0.6], "c": [0.5]}, eps=eps, chance=0.1) for eps in (0, 8)]
    ax = plots.eps_curve(pd.concat(parts).rename(columns={"value": "accuracy"}))
    assert sorted(mark[1] for mark in marks(ax)) == pytest.approx([0.4, 0.4, 0.6, 0.6])
    (bars,) = [bars for bars in ax.collections if isinstance(bars, LineCollection)]
    assert len(bars.get_segments()) == 2
    assert {style.MEAN, "a seed", style.SINGLE} <= set(legends(ax.figure))


# --- lines of reference, limits and colours ---------------------------------------------------------------------------


@pytest.mark.parametrize("printed", [True, False])
def test_the_papers_number_is_named_where_there_is_one(printed):
    parts = [seeded({"base": [0.4]}, space=space, eps=eps) for space in ("pixels", "normalised") for eps in (0, 8)]
    table = pd.concat(parts).rename(columns={"value": "accuracy"}).assign(training="the arms")
    axes = plots.eps_spaces(table.assign(paper=40.0 if printed else np.nan, nearest=printed & (table["eps"] == 8)))
    told = legends(axes[0, 0].figure)
    assert any("on CIFAR-100" in text for text in told) == any("nearest" in text for text in told) == printed
    assert sum(line.get_linestyle() == ":" for line in axes[0, 0].lines) == printed
    assert [ax.get_title(loc="left") for ax in axes.flat] == ["pixels", "normalised images"]


def test_another_training_has_a_row_with_the_arms_pale_on_its_seeds():
    parts = [seeded({"base": [0.5], "adv": [0.2, 0.6]}, training="the arms", space="pixels", eps=eps) for eps in (0, 8)]
    parts += [seeded({"adv": [0.4]}, training="otherwise", space="pixels", eps=eps) for eps in (0, 8)]
    table = pd.concat(parts).rename(columns={"value": "accuracy"}).assign(paper=np.nan, nearest=False)
    axes = plots.eps_spaces(table)
    assert [ax.get_title(loc="left") for ax in axes.flat] == ["training: the arms", "training: otherwise"]
    assert sorted(line.get_ydata()[0] for line in axes[0, 0].lines) == pytest.approx([0.4, 0.5])
    assert sorted((line.get_ydata()[0], line.get_alpha() or 1) for line in axes[1, 0].lines) == [(0.2, 0.4), (0.4, 1)]
    assert "trained as the arms, the same seeds" in legends(axes[0, 0].figure)


def test_contexts_name_their_lines_and_use_their_room():
    values = {("standard", "accuracy"): 0.9, ("no cue", "accuracy"): 0.8, ("conflict", "accuracy"): 0.6,
              ("conflict", "follows"): 0.05, ("background", "accuracy"): 0.2}  # fmt: skip
    parts = [seeded({"base": [v, v + 0.01], "c": [v]}, test=test, measure=m) for (test, m), v in values.items()]
    axes = plots.context_tests(pd.concat(parts), pd.DataFrame([{"value": 0.3}])).ravel()
    assert len({ax.get_xlim() for ax in axes[:3]}) == 1 and 0.5 < axes[0].get_xlim()[0] < 0.6
    dotted = [sum(line.get_linestyle() == ":" for line in ax.lines) for ax in axes]
    assert dotted[:4] == [0, 0, 0, 1], "guessing is drawn only where the data come near it"
    assert {"guessing", "trained on the photographs alone"} <= set(legends(axes[0].figure))


def test_a_ring_marks_the_studys_length():
    parts = [
        seeded({"base": [0.5], "c": [0.6]}, split="test", measure="clean", epochs=n, updates=n * 10) for n in (1, 2, 4)
    ]
    (ax,) = plots.training_lengths(pd.concat(parts), {"base": 20, "c": 40, "adv": 40}).flat
    assert [(mark[0], mark[1]) for mark in marks(ax)] == [(20, 0.5), (40, 0.6)]
    assert "the study's length" in legends(ax.figure)
    (bare,) = plots.training_lengths(pd.concat(parts)).flat
    assert not marks(bare) and "the study's length" not in legends(bare.figure)


def test_many_arms_have_a_column_per_pair():
    parts = [
        seeded({arm: [0.5 + 0.01 * k] for k, arm in enumerate(ARMS)}, level=level, measure=measure, chance=0.1)
        for level in (0, 0.25) for measure in ("accuracy", "retention")
    ]  # fmt: skip
    table = pd.concat(parts)
    axes = plots.destroyed_accuracy(table, "translated")
    assert axes.shape == (2, 5)
    shown = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in axes[0]]
    assert shown[:2] == [["base", "C"], ["ADV", "ADV+C"]] and len(shown[-1]) == len(ARMS) - 8
    assert all(len(ax.lines) == len(ARMS) + 1 for ax in axes.flat), "every arm, in front or behind, and chance"
    four = table[table["arm"].isin(["base", "c", "adv", "adv+c"])]
    assert plots.destroyed_accuracy(four, "translated").shape == (1, 2)
    assert style.families(["base", "c", "adv", "aug", "aug+c"]) == [["base", "c"], ["aug", "aug+c"], ["adv"]]


def test_names_of_lines_keep_off_the_axis():
    table = seeded({"base": [2.0], "c": [2.1]}, explanation="ig", measure="energy", weights="trained")
    random = table.iloc[:1].assign(weights="random", value=1.5)
    (ax,) = plots.attribution_focus(pd.concat([table, random]))
    ax.figure.draw_without_rendering()
    notes = {text.get_text(): text.get_window_extent().x0 for text in ax.texts if text.get_text()}
    assert set(notes) == {"random weights", "uniform"}
    assert min(notes.values()) > ax.get_window_extent().x0 + 3, "pixels"


def test_blue_is_better_whichever_way_a_measure_points():
    rows = [
        # measure, value of c, its difference from base
        ("energy", 2.0, 0.5), ("infidelity", 0.2, -0.3), ("sensitivity", 0.6, 0.1), ("gini", 0.6, 0.2),
        ("randomised all", -0.1, -0.5), ("randomised head", 0.5, 0.3),
    ]  # fmt: skip
    table = pd.DataFrame(
        [{"arm": arm, "seed": 0, "method": "ig", "measure": measure, "value": value - (arm == "base") * apart,
          "difference": (arm == "c") * apart, "difference_low": (arm == "c") * apart,
          "difference_high": (arm == "c") * apart} for measure, value, apart in rows for arm in ("base", "c")]
    )  # fmt: skip
    (ax,) = plots.explanation_measures(table).flat
    heads = [text.get_text().replace("\n", "").replace("-", "") for text in ax.get_xticklabels()]
    grey, colours = (np.ma.filled(image.get_array().astype(float), np.nan) for image in ax.images)
    side = dict(zip(heads, np.sign(colours[1]), strict=True))
    assert side["energy ↑"] == side["infidelity ↓"] == side["allrandom → 0"] == 1
    assert side["sensitivity ↓"] == side["randomhead → 0"] == -1 and np.isnan(side["gini"])
    assert np.isfinite(grey[:, heads.index("gini")]).all() and np.isfinite(grey).sum() == 2
    assert {"better than base", "worse than base"} <= set(legends(ax.figure))
    (alone,) = plots.explanation_measures(table[table["arm"] == "base"]).flat
    assert legends(alone.figure) == []
