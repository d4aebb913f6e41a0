"""Tuned weights: the rule on tables whose answer is known, what it looks at, and the way to the ledger's second row."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sections import Section

from semcont import distance_score
from semcont.paper import claims, paths, runs, tuning, variants
from semcont.paper.budgets_beyond import Chosen, Tuning
from semcont.paper.evidence import TUNED, evidence
from semcont.paper.execution import graph
from semcont.paper.presets import changed, load_preset
from semcont.paper.publishing import sidebyside
from semcont.paper.runs import measured, predict, trained
from semcont.paper.verdicts import findings
from semcont.perturbations import LEVELS, perturb

SMOKE = load_preset("smoke")
NAN = float("nan")


def _values(**by_weight: float) -> pd.Series:
    """Values by weight, given as _0_3=0.9 for 0.3, in any order."""
    return pd.Series({float(name[1:].replace("_", ".")): value for name, value in by_weight.items()}, dtype=float)


# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "weight"),
    [
        ({"_0_1": 0.3, "_1": 0.5, "_10": 0.4}, 1.0),
        ({"_10": 0.5, "_1": 0.5, "_0_1": 0.3}, 1.0),  # a tie: the smaller, wherever it stands
        ({"_1": NAN, "_3": 0.2}, 3.0),
        ({"_1": NAN}, None),
        ({}, None),
    ],
)
def test_the_highest_and_of_equals_the_smaller(values, weight):
    assert tuning.highest(_values(**values)) == weight


@pytest.mark.parametrize(
    ("values", "plain", "weight"),
    [
        ({"_10": 0.85, "_1": 0.9, "_3": 0.895}, 0.9, 3.0),
        ({"_1": 0.9, "_3": 0.88, "_10": 0.895}, 0.9, 10.0),  # the largest, though one below it falls short
        ({"_1": 0.91, "_3": 0.89}, 0.9, 3.0),  # exactly one point: 0.9 - 0.01 is more than 0.89 in binary
        ({"_1": 0.888}, 0.9, None),
        ({"_1": 0.95, "_3": NAN}, 0.9, 1.0),
        ({"_1": 0.95}, NAN, None),
    ],
)
def test_the_largest_that_costs_at_most_the_tolerance(values, plain, weight):
    assert tuning.largest_within(_values(**values), plain, 0.01) == weight


@pytest.mark.parametrize(
    ("values", "target", "weight"),
    [
        ({"_0_1": 1.0, "_0_01": 6.0}, 3.0, 0.01),  # twice is nearer than a third, though 1 is nearer than 6 to 3
        ({"_0_1": 2.0, "_0_01": 8.0}, 4.0, 0.01),  # half and twice: the smaller
        ({"_0_1": 0.0, "_0_01": 900.0}, 4.0, 0.01),  # a network that does not move has no ratio
        ({"_0_1": NAN, "_0_01": 0.0}, 4.0, None),
        ({"_0_1": 4.0}, NAN, None),
        ({"_0_1": 4.0}, 0.0, None),
    ],
)
def test_the_nearest_by_ratio(values, target, weight):
    assert tuning.nearest_ratio(_values(**values), target) == weight


def _table(**rows: tuple[float, float, float]) -> pd.DataFrame:
    """clean, attacked, score of each candidate: c_3=(...) is `c` at 3, advc_1 `adv+c` at 1."""
    found = []
    for name, values in rows.items():
        arm, weight = name.split("_", 1)
        about = {"arm": arm.replace("advc", "adv+c"), "weight": float(weight.replace("_", "."))}
        found += [about | {"measure": m, "value": v} for m, v in zip(tuning.MEASURES, values, strict=True)]
    return pd.DataFrame(found)


TABLE = _table(
    base_0=(0.90, 0.0, 50.0),
    c_0_1=(0.93, 0.1, 20.0),
    c_1=(0.90, 0.1, 5.0),
    c_3=(0.89, 0.1, 2.0),
    c_10=(0.80, 0.2, 0.5),
    advc_1=(0.80, 0.40, 3.0),
    advc_3=(0.70, 0.45, 2.0),
    advc_10=(0.60, 0.30, 1.0),
    squeeze_0_01=(0.90, 0.0, 20.0),
    squeeze_0_1=(0.90, 0.0, 4.0),
)
TRIED = Tuning(alphas=(0.1, 1.0, 3.0, 10.0), lambdas=(0.01, 0.1), chosen=Chosen(c=3.0))
PRESET = replace(SMOKE, tuning=TRIED)


def test_each_arm_has_its_rule():
    assert tuning.picks(TABLE, PRESET) == {"c": 3.0, "adv+c": 3.0, "squeeze": 0.1}
    stricter = replace(PRESET, tuning=replace(TRIED, tolerance=0.5))
    assert tuning.picks(TABLE, stricter)["c"] == 1.0
    assert tuning.picks(TABLE, changed(PRESET, {"alpha": 0.1}))["squeeze"] == 0.01  # matched to that C


@pytest.mark.parametrize(("arm", "gone"), [("base", "c"), ("adv+c", "adv+c"), ("c", "squeeze")])
def test_what_is_missing_picks_nothing(arm, gone):
    assert tuning.picks(TABLE[TABLE["arm"] != arm], PRESET)[gone] is None


def test_the_choice_is_held_against_the_rule_aloud():
    choice = tuning.choices(TABLE, PRESET).set_index("arm")
    assert choice["verdict"].to_dict() == {"c": "agrees", "adv+c": "open", "squeeze": "disagrees"}
    assert choice.loc["squeeze", ["picked", "chosen"]].tolist() == [0.1, SMOKE.constraint.squeeze]
    text = tuning.conclusion(TABLE, choice.reset_index(), PRESET)
    assert "`c`: the rule picks **alpha 3**; the preset has the same (`tuning.chosen.c`)." in text
    assert "`adv+c`: the rule picks **alpha 3**; the preset leaves the choice open" in text
    assert "**lambda 0.1**, the largest that was tried; the preset has **0.01** (`constraint.squeeze`)" in text
    assert "**not what the rule picks**" in text
    assert text.endswith("The ledger's tuned rows have `c` at alpha 3, on 3 seeds.")


def test_a_rule_that_picks_nothing_is_not_obeyed_by_a_choice():
    poor = TABLE[(TABLE["arm"] != "c") | (TABLE["weight"] == 10)]
    for chosen, verdict in ((Chosen(), "none"), (Chosen(c=10.0), "disagrees")):
        preset = replace(PRESET, tuning=replace(TRIED, chosen=chosen))
        choice = tuning.choices(poor, preset)
        assert choice["verdict"][0] == verdict and np.isnan(choice["picked"][0])
        assert "`c`: the rule picks **none** of the candidates" in tuning.conclusion(poor, choice, preset)
    preset = replace(PRESET, tuning=replace(TRIED, chosen=Chosen(c=1.0)))  # the paper's: nothing beside the arms
    assert "The ledger has no tuned rows." in tuning.conclusion(TABLE, tuning.choices(TABLE, preset), preset)


def test_a_reader_sees_who_picked_which_candidate():
    shown = tuning.reading(TABLE, tuning.choices(TABLE, PRESET)).set_index(["arm", "weight"])
    assert shown.loc[("c", "3")].tolist() == [89.0, 10.0, 2.0, "rule and preset"]
    assert shown.loc[("squeeze", "0.1"), "picked by"] == "rule"
    assert shown.loc[("squeeze", "0.01"), "picked by"] == "preset"
    assert shown.loc[("c", "1"), "picked by"] == "" and len(shown) == 10


# --- what is measured -------------------------------------------------------------------------------------------------


def test_candidates_are_judged_on_their_own_validation_images_alone(monkeypatch):
    seen = []
    images = runs.Run.images
    monkeypatch.setattr(
        runs.Run,
        "images",
        lambda run, split: seen.append((split, run.preset.data.seed, run.seed)) or images(run, split),
    )
    monkeypatch.setenv("SEMCONT_RUNS", str(paths.runs() / "apart"))  # so that nothing is measured before
    table = tuning.measures(Section(SMOKE))
    assert set(seen) == {("val", SMOKE.tuning.data_seed, SMOKE.tuning.seed)}
    assert set(table["seed"]) == {SMOKE.tuning.seed} and not table.isna().any(axis=None)
    assert not table.duplicated(["arm", "weight", "measure"]).any()
    assert len(table) == len(tuning.MEASURES) * len(variants.candidates(SMOKE))
    choice = tuning.choices(table, SMOKE)
    assert choice["arm"].tolist() == ["c", "adv+c", "squeeze"]
    assert len(tuning.reading(table, choice)) == len(variants.candidates(SMOKE))


def test_ds_on_validation_is_the_mean_over_table_1():
    run = trained(SMOKE, "base", SMOKE.tuning.seed, data_seed=1)
    found = measured(run, tuning.score_on_validation).iloc[0]
    x, network = run.images("val").float(), run.model()
    plain = predict(network, x)
    scores = [
        distance_score(plain, predict(network, perturb(x, name, level))).mean()
        for name in LEVELS
        for level in (1, 2, 3, 4)
    ]
    assert found["value"] == pytest.approx(float(sum(scores)) / 16, rel=1e-5)
    assert found["low"] < found["value"] < found["high"] and found["n"] == SMOKE.data.val


def test_a_preset_that_tries_nothing_says_so():
    section = Section(replace(SMOKE, tuning=Tuning()))
    table = tuning.measures(section)
    choice = tuning.choices(table, section.preset)
    assert table.empty and choice.empty and tuning.conclusion(table, choice, section.preset) == tuning.OFF
    assert tuning.measured(section, tuning.score_on_validation).empty


# --- the second row ---------------------------------------------------------------------------------------------------


@pytest.fixture
def records(tmp_path, monkeypatch):
    """Records of notebooks 03 and 05 under `smoke`, written by hand: the arms, and `c` at a tuned alpha."""
    monkeypatch.setattr(paths, "reports", lambda preset: tmp_path)

    def write(accuracy: float, score: float) -> None:
        arms = pd.DataFrame({"arm": ["base", "c", "adv", "adv+c"], "seed": 0, "value": [0.5, 0.45, 0.4, 0.4]})
        again = arms[arms["arm"] == "c"]
        cases = [{"perturbation": name, "level": level} for name in LEVELS for level in range(1, 5)]
        levels, tuned = (pd.concat([t.assign(**case) for case in cases]) for t in (arms, again.assign(value=score)))
        distance = evidence(levels, "value", case=["perturbation", "level"], unit="DS", tuned=tuned)
        clean = evidence(arms, "value", unit="share", tuned=again.assign(value=accuracy))
        for notebook, measures in (
            ("03_continuity", {"distance_score": distance}),
            ("05_robustness", {"clean_accuracy": clean}),
        ):
            text = json.dumps({"results": {"evidence": measures}})
            (tmp_path / f"{notebook}.json").write_text(text, encoding="utf-8")

    return write


def test_a_tuned_network_is_a_row_of_its_own_in_the_ledger(records):
    records(accuracy=0.52, score=0.1)
    table, tests = claims.judge("smoke")
    rows = table[table["id"] == "constraint-keeps-clean-accuracy"]
    assert rows["alpha"].tolist() == ["1", "tuned"]
    assert rows["verdict"].tolist() == ["single run, opposite direction", "single run, same direction"]
    assert rows["interval"].tolist() == ["-5.0", "+2.0"] and f"c{TUNED} 52.0 %" in rows["ours"].iloc[1]
    distance = table[(table["id"] == "constraint-lowers-distance-score") & (table["alpha"] == "tuned")]
    assert distance["verdict"].tolist() == ["single run, same direction"]
    assert tests[tests["alpha"] == "tuned"]["id"].value_counts()["constraint-lowers-distance-score"] == 16
    assert not ((table["alpha"] == "tuned") & table["id"].str.endswith("-adv")).any()
    assert claims.summary(table).equals(claims.summary(table[table["alpha"] != "tuned"]))
    wide = sidebyside.for_reading(table.assign(preset="smoke"))
    tuned = wide[wide["claim"].str.endswith(" (at a tuned alpha)")]
    assert f"single run, same direction\nc{TUNED} 52.0 %, base 50.0 %\n+2.0" in set(tuned["smoke"])


def test_without_tuned_networks_there_is_no_such_row(records):
    arms = pd.DataFrame({"arm": ["base", "c"], "seed": 0, "value": [0.5, 0.45]})
    assert evidence(arms, "value", tuned=pd.DataFrame()) == evidence(arms, "value")
    (claim,) = [claim for claim in claims.load_claims() if claim.id == "constraint-keeps-clean-accuracy"]
    assert findings.find_tuned(claim, "smoke") is None
    records(accuracy=0.5, score=0.1)
    assert findings.find_tuned(claim, "smoke")[0].arms == (f"c{TUNED}", "base")


def test_the_graph_trains_for_the_notebooks_that_hand_tuned_rows_to_the_ledger():
    for notebook in ("02_training", "03_continuity", "04_semantic_features", "05_robustness", "07_transfer"):
        names = {job.name for job in graph.training_jobs(SMOKE, notebook)}
        assert {job.name for job in graph.tuned(SMOKE)} <= names and len(graph.tuned(SMOKE)) == 1
    for notebook in ("02_training", "03_continuity", "05_robustness"):
        text = (paths.notebooks() / f"{notebook}.ipynb").read_text(encoding="utf-8")
        assert "tuned = tuning.measured(section" in text
    coloured = [job.changes for job in graph.training_jobs(SMOKE, "08_fairness")]
    assert sum(("alpha", 10.0) in changes for changes in coloured) == 1
