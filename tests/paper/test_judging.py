"""Verdicts over seeds: the order of the rule, on evidence simulated with a known effect, and how often it errs."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from semcont.paper import claims, paths
from semcont.paper.evidence import TUNED, evidence
from semcont.paper.verdicts import compact, flagged, judging, ledger, turning, wording
from semcont.paper.verdicts.findings import Found, Missing, pairs


def claim(**keys) -> ledger.Claim:
    values = {"id": "one", "section": "4.4", "claim": "A claim.", "kind": "training", "test": "A comparison."}
    values |= {"notebook": "05_robustness", "metric": "accuracy", "arms": ("c", "base")}
    return ledger.Claim(**(values | {"direction": "higher", "margin": 0.01} | keys))


def found(differences, *, base=0.5, unit="share", cases=("",), ratio=False) -> Found:
    """Evidence whose paired differences (seeds, or seeds by cases) are given; ratios of the arms where `ratio`."""
    values = np.asarray(differences, float).reshape(len(differences), -1)
    rows = []
    for seed, row in enumerate(values):
        for case, effect in zip(cases, row, strict=True):
            first = base * effect if ratio else base + effect
            about = {"seed": seed, "case": case, "low": np.nan, "high": np.nan, "n": np.nan}
            rows += [{"label": "c", "value": first} | about, {"label": "base", "value": base} | about]
    return Found(unit, {}, pd.DataFrame(rows))


def spread(mean: float, sd: float, n: int = 10) -> np.ndarray:
    """n differences with exactly this mean and standard deviation."""
    values = np.linspace(-1, 1, n)
    return mean + sd * (values - values.mean()) / values.std(ddof=1)


def test_an_effect_that_no_two_accuracies_can_differ_by_is_called_so():
    judged = judging.judge_training(claim(), found([-0.05, -0.6, -0.6], base=0.9))
    assert judged.verdict == "undecided" and "3 seeds would have shown no difference of accuracies" in judged.reason


@pytest.mark.parametrize(
    ("mean", "sd", "direction", "verdict"),
    [
        (0.05, 0.02, "higher", "reproduced"),
        (-0.05, 0.02, "higher", "contradicted"),
        (-0.05, 0.02, "lower", "reproduced"),
        (0.05, 0.02, "lower", "contradicted"),
        (0.005, 0.02, "higher", "undecided"),
        (0.005, 0.001, "higher", "negligible"),  # p is tiny, but the interval lies inside the margin: first in order
        (-0.005, 0.001, "higher", "negligible"),
        (0.012, 0.002, "higher", "reproduced"),  # p is tiny, and the interval leaves the margin
        (-0.003, 0.02, "not-lower", "undecided"),
        (-0.003, 0.002, "not-lower", "negligible"),
        (0.05, 0.02, "not-lower", "reproduced"),
        (-0.012, 0.03, "not-lower", "undecided"),  # a loss beyond the margin, but not surely so
        (-0.05, 0.02, "not-lower", "contradicted"),
    ],
)
def test_the_rule_in_its_order(mean, sd, direction, verdict):
    assert judging.judge_training(claim(direction=direction), found(spread(mean, sd))).verdict == verdict


def test_undecided_names_the_effect_that_would_have_been_seen():
    """Ten pairs with a standard deviation of 2 points: 0.996 of it, two points."""
    judged = judging.judge_training(claim(), found(spread(0.005, 0.02)))
    assert "10 seeds would have shown 2 points (power 80 %)" in judged.reason
    assert judged.interval == "+0.5 [-0.9, +1.9]"


def test_distances_are_compared_as_ratios():
    lower = claim(direction="lower", margin=0.05)
    smaller = judging.judge_training(lower, found(np.exp(spread(-1, 0.1)), unit="DS", ratio=True))
    assert (smaller.verdict, smaller.cases["unit"].tolist()) == ("reproduced", ["ratio"])
    assert smaller.cases["estimate"].tolist() == pytest.approx([np.exp(-1)])
    assert smaller.interval.startswith("×0.368 [")
    alike = judging.judge_training(lower, found(np.exp(spread(0.02, 0.01)), unit="DS", ratio=True))
    assert (alike.verdict, alike.reason.split(";")[0]) == ("negligible", "within 5 % either way")
    open_ = judging.judge_training(lower, found(np.exp(spread(0.02, 0.2)), unit="DS", ratio=True))
    assert "would have shown a factor of 1.2" in open_.reason


def test_a_measure_that_is_not_positive_is_compared_by_differences():
    judged = judging.judge_training(claim(), found(spread(0.5, 0.1), base=-0.2, unit=""))
    assert (judged.verdict, judged.cases["unit"].tolist()) == ("reproduced", ["difference"])


CASES = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("means", "verdict", "counts"),
    [
        ([0.05] * 4, "reproduced", "4 same"),
        ([0.05] * 3 + [0.002], "undecided", "3 same, 1 undecided"),
        ([0.05] * 3 + [-0.05], "contradicted in 1 of 4", "3 same, 1 opposite"),
        ([-0.05] * 4, "contradicted in 4 of 4", "4 opposite"),
    ],
)
def test_a_claim_holds_where_each_of_its_cases_does(means, verdict, counts):
    values = np.stack([spread(mean, 0.02) for mean in means], axis=1)
    judged = judging.judge_training(claim(), found(values, cases=CASES))
    assert (judged.verdict, judged.reason.endswith(f"of 4 cases, each by itself, {counts}")) == (verdict, True)


def test_a_negligible_case_contradicts_nothing():
    values = np.stack([spread(mean, sd) for mean, sd in ((0.05, 0.02), (-0.003, 0.001))], axis=1)
    judged = judging.judge_training(claim(), found(values, cases=CASES[:2]))
    assert judged.verdict == "undecided" and "1 same, 1 negligible" in judged.reason


def test_one_case_of_many_needs_more_to_contradict():
    """p of 0.03 one-sided in one of four cases: enough alone (two-sided 0.06 is not), never after the correction."""
    values = np.stack([spread(0.0, 0.02)] * 3 + [spread(-0.0165, 0.02)], axis=1)
    assert judging.judge_training(claim(), found(values, cases=CASES)).verdict == "undecided"
    assert judging.judge_training(claim(), found(spread(-0.0165, 0.02))).verdict == "contradicted"


def test_seeds_that_one_arm_lacks_are_left_out():
    evidence_ = found(spread(0.05, 0.02))
    fewer = Found("share", {}, evidence_.rows[(evidence_.rows["label"] == "base") | (evidence_.rows["seed"] < 3)])
    assert set(pairs(claim(), fewer)["seed"]) == {0, 1, 2}
    assert judging.judge_training(claim(), fewer).cases["seeds"].tolist() == [3]
    one = Found("share", {}, fewer.rows[(fewer.rows["label"] == "base") | (fewer.rows["seed"] < 1)])
    assert judging.judge_training(claim(), one).verdict == "single run, same direction"
    apart = Found("share", {}, fewer.rows[(fewer.rows["label"] == "base") != (fewer.rows["seed"] < 3)])
    with pytest.raises(Missing, match="same seeds"):
        pairs(claim(), apart)


def test_without_an_effect_few_verdicts_are_wrong():
    """Exploratory claims with no effect, ten seeds each: about one in twenty is reproduced or contradicted."""
    rng, wrong = np.random.default_rng(7), 0
    for _ in range(150):
        judged = judging.judge_training(claim(margin=0.0001), found(rng.normal(0, 0.02, 10)))
        wrong += judged.verdict in ("reproduced", "contradicted")
    assert 1 <= wrong <= 17


# --- the whole ledger -------------------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Write records of ten seeds and judge a small ledger on them."""
    monkeypatch.setattr(paths, "reports", lambda preset: tmp_path)

    def run(entries, differences, *, training=None, tuned=None, colours=None, raised=None):
        monkeypatch.setattr(claims, "load_claims", lambda: tuple(entries))
        measures = {}
        for name, values in differences.items():
            rows = found(values).rows.rename(columns={"label": "arm"}).drop(columns=["case", "low", "high", "n"])
            extra = None if tuned is None else found(tuned).rows.rename(columns={"label": "arm"}).query("arm == 'c'")
            measures[name] = evidence(rows, "value", unit="share", tuned=extra)
        robust = {"evidence": measures} | ({"raised": raised} if raised else {})
        (tmp_path / "05_robustness.json").write_text(json.dumps({"results": robust}))
        own = {"evidence": measures} | (colours or {})
        (tmp_path / "08_fairness.json").write_text(json.dumps({"results": own}))
        if training is not None:
            (tmp_path / "02_training.json").write_text(json.dumps({"results": training}))
        return claims.judge("quick")

    return run


def test_holm_corrects_primary_claims_and_only_these(study):
    """Six primary claims with p about 0.02 each: undecided together, where one alone is reproduced."""
    entries = [claim(id=f"p{k}", metric=f"m{k}", primary=True) for k in range(6)] + [claim(id="e", metric="m0")]
    table, tests = study(entries, {f"m{k}": spread(0.0178, 0.02) for k in range(6)})
    verdict = table.set_index("id")["verdict"]
    assert verdict["e"] == "reproduced"
    assert verdict.drop("e").eq("undecided").all()
    assert table["reason"].str.contains("after Holm").tolist() == [True] * 6 + [False]
    widths = (tests["high"] - tests["low"]).tolist()
    assert widths[0] > 1.3 * widths[6]  # Bonferroni's interval is the wider one
    assert table["scope"].str.endswith("10 seeds, primary").sum() == 6
    alone, _ = study([claim(primary=True)], {"accuracy": spread(0.0178, 0.02)})
    assert alone["verdict"].tolist() == ["reproduced"]


def test_a_primary_claim_that_was_not_run_still_counts(study):
    entries = [claim(id="there", primary=True)] + [claim(id=f"gone{k}", metric=f"m{k}", primary=True) for k in range(5)]
    table, _ = study(entries, {"accuracy": spread(0.0178, 0.02)})
    assert table["verdict"].tolist() == ["undecided"] + ["not run"] * 5


def levels(**arms) -> dict:
    """What notebook 02 records of the arms named."""
    return {"levelled": [{"arm": arm.replace("_", "+")} | said for arm, said in arms.items()]}


LEVEL = {"levelled": True}


@pytest.mark.parametrize("said", [{"levelled": False}, {"epochs": None}, {"epochs": 64}])
def test_training_that_has_not_levelled_off_settles_nothing(study, said):
    table, _ = study([claim()], {"accuracy": spread(0.05, 0.02)}, training=levels(c=said, base=LEVEL))
    assert table["verdict"].tolist() == ["undecided"]
    assert "training of c had not levelled off; as it stands reproduced" in table["reason"][0]
    assert "10 seeds would have shown 2 points" in table["reason"][0]


@pytest.mark.parametrize("said", [{"levelled": True}, {"epochs": 8}])
def test_training_that_has_levelled_off_lets_the_verdict_stand(study, said):
    told = levels(c=said, base=LEVEL, adv={"epochs": None})
    table, _ = study([claim()], {"accuracy": spread(0.05, 0.02)}, training=told)
    assert table["verdict"].tolist() == ["reproduced"]


def test_an_arm_whose_length_was_not_varied_settles_nothing(study):
    table, _ = study([claim()], {"accuracy": spread(0.05, 0.02)}, training=levels(base=LEVEL))
    assert table["verdict"].tolist() == ["undecided"]
    assert table["reason"][0].startswith("whether training of c had levelled off was not tried; as it stands repro")


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({"base": LEVEL, "c": LEVEL}, "reproduced"),
        ({"base": LEVEL, "c": {"levelled": False}}, "undecided"),
        ({"base": LEVEL}, "undecided"),
        ({}, "undecided"),
    ],
)
def test_networks_on_data_of_their_own_level_off_by_themselves(study, said, verdict):
    """The arms have, and that says nothing of the same arms on coloured digits; nor do those on other coloured ones."""
    entry = claim(notebook="08_fairness", metric="color_accuracy")
    other = [{"data": "labels", "arm": arm, "levelled": True} for arm in ("base", "c")]
    colours = {"levelled": other + [{"data": "grounds", "arm": arm} | row for arm, row in said.items()]}
    told = levels(base=LEVEL, c=LEVEL)
    table, _ = study([entry], {"color_accuracy": spread(0.05, 0.02)}, training=told, colours=colours)
    assert table["verdict"].tolist() == [verdict]
    hues = claim(notebook="08_fairness", metric="hue_accuracy")
    table, _ = study([hues], {"hue_accuracy": spread(0.05, 0.02)}, training=told, colours=colours)
    assert table["verdict"].tolist() == ["undecided"]  # at other levels of the hue they are other trainings
    biased = claim(notebook="08_fairness", metric="biased_accuracy")
    table, _ = study([biased], {"biased_accuracy": spread(0.05, 0.02)}, training=told, colours=colours)
    assert table["verdict"].tolist() == ["reproduced"]


def test_where_no_length_was_varied_the_verdict_stands(study):
    table, _ = study([claim()], {"accuracy": spread(0.05, 0.02)}, training=levels())
    assert table["verdict"].tolist() == ["reproduced"]


def test_the_ends_of_the_alphas_are_trained_as_the_arms_are():
    """Fig. 4's alpha of the preset is c, 0 is base, and others have lengths of their own."""
    preset = claims.load_preset("quick")
    labels = ["alpha=0", "alpha=1", "alpha=10", f"c{TUNED}", "adv+c"]
    assert [claims._trained_as(label, preset) for label in labels] == ["base", "c", "alpha=10", "c", "adv+c"]


def test_a_tuned_arm_shares_its_arms_length_at_the_same_alpha_alone():
    own = claims.load_preset("quick")
    tuned = replace(own, tuning=replace(own.tuning, alphas=(0.3, 1), chosen=replace(own.tuning.chosen, c=0.3, adv_c=1)))
    labels = [f"c{TUNED}", f"adv+c{TUNED}"]
    assert [claims._trained_as(label, tuned) for label in labels] == [f"c{TUNED}", "adv+c"]


def test_the_ledger_says_where_a_verdict_would_turn(study):
    lengths = [
        {"arm": arm, "seed": seed, "epochs": epochs, "updates": 10 * epochs, "split": split, "measure": "attacked"}
        | {"value": 0.5 + (0.01 * (epochs - 12) if arm == "c" else 0)}
        for arm in ("c", "base")
        for seed in range(3)
        for epochs in (4, 8, 16, 32)
        for split in ("test", "val")
    ]
    entry = claim(metric="pgd_accuracy")
    table, _ = study([entry], {"pgd_accuracy": spread(0.05, 0.02)}, training={"lengths": lengths})
    assert table["verdict"].tolist() == ["reproduced"]
    turns = "turns with training: opposite at 4 epochs, same from 16 epochs on"
    assert table["reason"][0].endswith(f"{turns} (after 32 epochs +20.0 [+20.0, +20.0] points, 3 seeds)")
    rows = turning.at_lengths([entry], "quick")
    assert rows["difference"].tolist() == pytest.approx([-8, -4, 4, 20])
    assert rows["seeds"].tolist() == [3] * 4
    assert "same side at every length from 16 to 32" in turning.told(rows[rows["epochs"] > 8])


def test_ratios_are_followed_over_the_lengths_too(study):
    """At 4 epochs the constrained network's gradients are the larger ones, at 8 half as large."""
    rows = [
        {"arm": arm, "seed": seed, "epochs": epochs, "updates": epochs, "measure": "gradient_norm", "value": value}
        for (arm, epochs), value in {("c", 4): 3, ("base", 4): 2, ("c", 8): 1, ("base", 8): 2}.items()
        for seed in range(3)
    ]
    entry = claim(metric="gradient_norm", direction="lower")
    reason = study([entry], {"gradient_norm": spread(-0.05, 0.02)}, training={"followed": rows})[0]["reason"][0]
    turns = "turns with training: opposite at 4 epochs, same from 8 epochs on"
    assert reason.endswith(f"{turns} (after 8 epochs ×0.5 [0.5, 0.5], 3 seeds)")
    assert turning.at_lengths([entry], "quick")["difference"].tolist() == pytest.approx([1.5, 0.5])


def test_a_claim_says_what_the_longest_training_left_open():
    """A mean over seeds that keeps its side may still be any number: the interval stands beside it."""
    rows = pd.DataFrame(
        [
            {"epochs": 64, "direction": "same", "difference": 13.8, "low": 13.6, "high": 14.0, "seeds": 3},
            {"epochs": 128, "direction": "same", "difference": 12.6, "low": -7.3, "high": 32.5, "seeds": 3},
        ]
    ).assign(unit="percent")
    assert turning.told(rows).endswith("from 64 to 128 epochs (after 128 epochs +12.6 [-7.3, +32.5] points, 3 seeds)")
    assert turning.told(rows.assign(low=np.nan, seeds=1)).endswith("(after 128 epochs +12.6 points, 1 seed)")


def test_flags_of_the_audit_stand_beside_the_verdicts_that_rest_on_attacks(study):
    raised = [
        {"arm": arm, "check": "broken by 50 steps beyond 10", "raised": 7, "networks": 10} for arm in ("c", "adv")
    ]
    entries = [claim(metric="pgd_accuracy"), claim(id="two", metric="clean_accuracy")]
    values = {"pgd_accuracy": spread(0.05, 0.02), "clean_accuracy": spread(0.05, 0.02)}
    reasons = study(entries, values, raised=raised)[0]["reason"]
    assert reasons[0].endswith("; flags of the audit (networks): c, broken by 50 steps beyond 10, 7 of 10")
    assert "flags" not in reasons[1] and "flags" not in study(entries, values)[0]["reason"][0]
    assert flagged.told(entries[0], "smoke") == ""


def test_a_scope_names_the_data_of_its_own_networks(study):
    preset = claims.load_preset("quick")
    colours, hues = (claim(notebook="08_fairness", metric=f"{name}_accuracy") for name in ("color", "hue"))
    biased = claim(notebook="08_fairness", metric="biased_accuracy")
    carried = claim(notebook="07_transfer", metric="finetune_accuracy")
    assert turning.data_named(colours, preset) == turning.data_named(hues, preset) == "color_digits"
    with_labels = replace(preset, fairness=replace(preset.fairness, biased="biased_digits"))
    assert turning.data_named(biased, with_labels) == "biased_digits"
    assert turning.data_named(carried, preset) == "photodigits to grey_digits and textures and faces"
    assert turning.data_named(claim(), preset) == "photodigits"


def test_cases_that_contradict_are_counted_at_the_corrected_level():
    """Of sixteen cases one is opposite beyond doubt; two are so by themselves alone, as by chance."""
    values = np.stack([spread(-0.06, 0.02), *[spread(-0.016, 0.02)] * 2, *[spread(0.05, 0.02)] * 13], axis=1)
    judged = judging.judge_training(claim(), found(values, cases=[f"case {k}" for k in range(16)]))
    assert judged.verdict == "contradicted in 1 of 16" and "13 same, 3 opposite" in judged.reason


def test_many_intervals_are_told_by_what_holds_them_all():
    cases = pd.DataFrame({"case": list("abcde"), "estimate": [0.1, 0.2, 0.3, 0.2, 0.1], "unit": "ratio"})
    cases = cases.assign(low=cases["estimate"] / 2, high=cases["estimate"] * 2)
    assert wording.interval_text(cases) == "5 cases, ×0.1 to ×0.3, all within [0.05, 0.6]"
    assert wording.interval_text(cases.assign(low=np.nan)) == "5 cases, ×0.1 to ×0.3"


def test_a_tuned_alpha_is_a_second_row(study):
    table, tests = study([claim()], {"accuracy": spread(0.0, 0.02)}, tuned=spread(0.1, 0.02))
    assert table["alpha"].tolist() == ["1", "tuned"]
    assert table["verdict"].tolist() == ["undecided", "reproduced"]
    assert f"c{TUNED} 60.0 %" in table["ours"][1]
    assert not table["reason"][0].startswith("c at alpha") and table["reason"][1].startswith("c at alpha 1: ")
    assert claims.describe(table) == "Of 1 claims: 1 *undecided*."
    assert tests["alpha"].tolist() == ["1", "tuned"]


def test_a_tuned_row_names_the_alpha(study, monkeypatch):
    own = claims.load_preset("quick")
    tuned = replace(own, tuning=replace(own.tuning, alphas=(0.3, 1), chosen=replace(own.tuning.chosen, c=0.3)))
    monkeypatch.setattr(claims, "load_preset", lambda name: tuned)
    table, _ = study([claim()], {"accuracy": spread(0.0, 0.02)}, tuned=spread(0.1, 0.02))
    assert table["reason"][1].startswith("c at alpha 0.3: ")


def test_an_arm_that_is_not_trained_is_not_tested(study):
    table, tests = study([claim(arms=("aug+c", "aug"))], {"accuracy": spread(0.05, 0.02)})
    assert table["verdict"].tolist() == ["not tested"]
    assert "needs the arms aug+c and aug" in table["reason"][0] and tests.empty


def test_a_network_claim_over_seeds_has_an_interval_over_seeds():
    rows = pd.DataFrame({"label": "base", "seed": range(4), "case": "", "value": [0.3, 0.32, 0.28, 0.3]})
    rows = rows.assign(low=0.0, high=1.0, n=10)
    network = claim(kind="network", arms=("base",), threshold=0.2, margin=None)
    judged = judging.judge_network(network, Found("share", {}, rows))
    assert judged.verdict == "holds here" and judged.ours == "30.0 % [27.4, 32.6] (over 4 seeds)"
    nearly = rows.assign(value=[1.0, 1.0, 0.99, 1.0])
    assert judging.judge_network(network, Found("share", {}, nearly)).ours == "99.8 % [99.0, 100.0] (over 4 seeds)"


def margin(values, **keys) -> judging.Judged:
    rows = [
        {"label": "adv+c", "seed": seed, "case": case, "value": value, "low": np.nan, "high": np.nan, "n": np.nan}
        for seed, row in enumerate(values)
        for case, value in zip(("under PGD", "worst case"), row, strict=False)
    ]
    about = {"kind": "margin", "arms": ("adv+c",), "against": ("adv",)} | keys
    return judging.judge_training(claim(**about), Found("points", {}, pd.DataFrame(rows)))


def test_a_margin_of_one_seed_is_a_direction_and_no_more():
    judged = margin([(0.03, -0.01)])
    assert (judged.verdict, judged.p) == ("single run, same direction in 1 of 2", None)
    assert judged.ours == "adv+c under PGD +3.0, worst case -1.0"


def test_a_margin_is_held_against_zero_over_seeds():
    won, open_ = (np.stack([spread(mean, 0.02, 5)] * 2, axis=1) for mean in (0.05, 0.005))
    assert [margin(values).verdict for values in (won, -won, open_)] == [
        "reproduced",
        "contradicted in 2 of 2",
        "undecided",
    ]
    both = margin(won)
    assert compact.cell({"verdict": "", "ours": both.ours, "interval": both.interval}).ours == both.ours
    judged = margin(won[:, :1])
    assert judged.ours == "adv+c under PGD +5.0 (means over 5 seeds)"
    assert judged.interval.startswith("under PGD +5.0 [") and judged.cases["unit"].tolist() == ["percent"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"c": {"epochs": None}, "base": LEVEL}, "training of c had not levelled off"),
        ({"c": LEVEL, "base": {"levelled": False}}, "training of base had not levelled off"),
        ({"c": LEVEL}, "whether training of base had levelled off was not tried"),
        ({"c": LEVEL, "base": LEVEL}, None),
    ],
)
def test_a_margin_counts_only_where_its_arm_and_its_rivals_have_levelled_off(study, said, reason):
    entry = claim(kind="margin", arms=("c",), against=("base",), metric="accuracy")
    table, _ = study([entry], {"accuracy": spread(0.05, 0.02)}, training=levels(**said))
    assert table["verdict"].tolist() == ["undecided" if reason else "reproduced"]
    assert reason is None or reason in table["reason"][0]


def test_a_margin_is_of_one_arm():
    with pytest.raises(ValueError, match="the one arm"):
        claim(kind="margin", against=("base",))
    with pytest.raises(ValueError, match="key against is missing"):
        claim(kind="margin", arms=("c",))


def test_the_scope_of_a_network_claim_counts_its_own_seeds(study):
    network = claim(kind="network", arms=("base",), threshold=0.2, margin=None)
    table, _ = study([network], {"accuracy": spread(0.05, 0.02, n=7)})
    assert table["scope"][0].endswith("7 seeds")


def test_a_single_run_that_never_agrees_counts_what_is_opposite():
    mixed = judging.judge_training(claim(), found([[0.0, -0.05]], cases=("a", "b")))
    assert mixed.verdict == "single run, opposite direction in 1 of 2"


def test_a_case_counts_at_the_level_at_which_holm_tests_the_claim():
    """Two cases with p about 0.02: short of Bonferroni's level for eight claims, enough where Holm's last test is."""
    entry = claim(primary=True)
    judged = judging.judge_training(entry, found(np.stack([spread(0.0178, 0.02)] * 2, axis=1), cases=("a", "b")), 8)
    assert (judged.verdict, judged.cases["result"].tolist()) == ("undecided", ["undecided"] * 2)
    last = judging.settle(entry, judged, judged.p)
    assert (last.verdict, last.cases["result"].tolist()) == ("reproduced", ["same"] * 2)
    assert last.reason.endswith("of 2 cases, each by itself, 2 same")
    first = judging.settle(entry, judged, 8 * judged.p)
    assert (first.verdict, first.cases["result"].tolist()) == ("undecided", ["undecided"] * 2)
