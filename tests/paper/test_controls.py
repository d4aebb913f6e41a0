"""What the constraint adds beyond its controls: paired differences, a network with divided logits, the whole table."""

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

from semcont.paper import continuity, controls, paired, plots, robustness, tempered, variants
from semcont.paper.budgets_beyond import ABLATIONS, Controls
from semcont.paper.paired import Contrast
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, predict, trained

SMOKE = load_preset("smoke")


def _table(**arms: list[float]) -> pd.DataFrame:
    """One measure of several arms, a value per seed."""
    rows = [
        {"arm": arm, "seed": k, "measure": "clean", "value": v} for arm, vs in arms.items() for k, v in enumerate(vs)
    ]
    return pd.DataFrame(rows)


# --- paired differences -----------------------------------------------------------------------------------------------


def test_differences_are_within_seeds_and_use_those_that_both_have():
    table = _table(aug=[0.5, 0.1, 0.9], **{"aug+c": [0.6, 0.3]})
    found = paired.differences(table, [Contrast("q", "aug+c", "aug"), Contrast("q", "c", "base")])
    assert found["difference"].tolist() == pytest.approx([0.1, 0.2]) and list(found["seed"]) == [0, 1]
    assert set(found["n"]) == {2} and found["mean"].iloc[0] == pytest.approx(0.15)
    half = 12.7062 * np.std([0.1, 0.2], ddof=1) / np.sqrt(2)  # t(0.975, 1)
    assert found["high"].iloc[0] == pytest.approx(0.15 + half, rel=1e-4)
    assert paired.differences(pd.DataFrame(), []).empty


def test_a_common_effect_of_the_seed_cancels():
    shift = np.array([0.0, 5.0, -3.0])
    table = _table(base=list(shift), c=list(shift + 1 + np.array([0.01, 0.0, -0.01])))
    row = paired.intervals(paired.differences(table, [Contrast("", "c", "base")])).iloc[0]
    assert 0.9 < row["low"] < 1 < row["high"] < 1.1


@pytest.mark.parametrize(
    ("low", "high", "better", "word"),
    [
        (0.1, 0.3, "higher", "for"),
        (0.1, 0.3, "lower", "against"),
        (-0.3, -0.1, "lower", "for"),
        (-0.1, 0.3, "higher", "open"),
        (np.nan, np.nan, "higher", "single run"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(low, high, better, word):
    assert paired.verdict(SimpleNamespace(mean=(low + high) / 2, low=low, high=high), better) == word


def test_words_and_figure_follow_the_table():
    table = _table(base=[0.5, 0.5, 0.5], c=[0.6, 0.61, 0.59])
    found = paired.differences(table, [Contrast("in all", "c", "base")])
    text = paired.conclusion(found, controls.MEASURES, controls.BETTER)
    assert "`c` less `base`, 3 seeds: better: clean accuracy" in text
    shown = paired.reading(found, controls.MEASURES)
    assert shown["clean accuracy"][0].startswith("+10 [") and shown["seeds"][0] == 3
    axes = plots.paired_differences(found, controls.MEASURES)
    assert axes[0, 0].get_yticklabels()[0].get_text() == "c − base" and len(axes[0, 0].lines[0].get_xdata()) == 3
    plt.close("all")
    single = paired.differences(_table(base=[0.5], c=[0.6]), [Contrast("in all", "c", "base")])
    assert "clean accuracy +10, from one seed each" in paired.conclusion(single, controls.MEASURES, controls.BETTER)
    assert "No two of the arms" in paired.conclusion(single.iloc[:0], controls.MEASURES, controls.BETTER)


# --- a network with divided logits ------------------------------------------------------------------------------------


def test_dividing_the_logits_matches_ds_and_changes_no_answer():
    runs = [trained(SMOKE, arm, 0) for arm in ("base", "c")]
    levels = pd.concat([measured(run, continuity.by_level) for run in runs])
    (found,) = tempered.matching(runs, levels)
    images = found.images("test")
    logits, divided = (predict(run.model(), images) for run in (runs[0], found))
    torch.testing.assert_close(divided * found.temperature, logits)
    assert torch.equal(divided.argmax(1), logits.argmax(1)) and found.arm == "base/T"
    score = lambda run: continuity.only(measured(run, continuity.by_level), "score")["score"].mean()  # noqa: E731
    assert score(found) == pytest.approx(score(runs[1]), rel=1e-4)
    assert score(runs[0]) == pytest.approx(score(found) * found.temperature**2, rel=1e-4)
    flips = [continuity.only(measured(run, continuity.by_level), "flip")["flip"].mean() for run in (runs[0], found)]
    assert flips[0] == flips[1]
    assert trained(SMOKE, "base", 0).key == runs[0].key  # the store takes the wrapper's tables for no stranger


def test_a_temperature_of_zero_and_a_network_that_does_not_move_are_refused():
    run = trained(SMOKE, "base", 0)
    with pytest.raises(ValueError, match="above 0"):
        tempered.tempered(run, 0.0)
    still = pd.DataFrame(
        [{"arm": a, "seed": 0, "measure": "score", "sign": "+", "value": v} for a, v in (("base", 1.0), ("c", 0.0))]
    )
    assert tempered.matching([run], still) == []


# --- the table --------------------------------------------------------------------------------------------------------


def test_every_question_whose_arms_are_there_is_answered():
    preset = replace(SMOKE, controls=Controls(beyond=True, ablations=("term zero",), seeds=1))
    known = controls.measures(Section(preset))
    assert {"base", "c", "adv", "adv+c", "base/T", "c, term zero"} == set(known["arm"])
    assert not known.duplicated(["arm", "seed", "measure"]).any() and set(known["measure"]) == set(controls.SHOWN)
    table2 = measured(trained(preset, "c", 0), robustness.by_attack, attacks=robustness.table2(preset), images=None)
    value = known.set_index(["arm", "measure"])["value"]
    assert value["c", "clean"] == table2["accuracy"].iloc[0] and value["c", "attacked"] == table2["accuracy"].iloc[1]
    beyond, ablated = controls.beyond(known), controls.ablated(known)
    asked = set(beyond["question"])
    assert {"in all", "beyond adversarial training", "beyond dividing the logits"} <= asked
    assert "beyond augmentation" not in asked and set(ablated["second"]) == {"c"}
    assert [name for name, _, _ in controls.parts(beyond, ablated)] == ["s03_beyond", "s03_ablations"]
    assert list(controls.reading(known)["arm"])[-1] == "c, term zero" and "Exploratory" in controls.conclusion(beyond)


def test_a_preset_without_controls_measures_nothing():
    known = controls.measures(Section(replace(SMOKE, controls=Controls())))
    assert known.empty and controls.parts(controls.beyond(known), controls.ablated(known)) == []
    assert controls.conclusion(controls.beyond(known)) == controls.OFF


def test_every_ablation_is_another_network_with_every_measure():
    arms = ("base", "c")
    preset = replace(SMOKE, arms=arms, few_arms=(), controls=Controls(beyond=True, ablations=tuple(ABLATIONS), seeds=1))
    table = controls.measures(Section(preset))
    names = {"base", "c", "base/T", *(f"c, {name}" for name in ABLATIONS)}
    assert set(table["arm"]) == names and len(table) == len(names) * table["measure"].nunique()
    assert table["value"].notna().all() and {"clean", "attacked", "worst"} < set(table["measure"])
    changes = [v.changes for v in variants.ablations(preset)]
    assert len({trained(preset, "c", 0, **changed).key for changed in [{}, *changes]}) == 1 + len(ABLATIONS)
