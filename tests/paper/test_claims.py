"""The ledger is well formed, its numbers are the paper's, and verdicts say what the evidence allows and no more."""

import json
import re

import pandas as pd
import pytest

from semcont.paper import claims, paths, plots
from semcont.paper.strict import SettingsError, read_yaml
from semcont.paper.verdicts import ledger

PLAIN = """\
- id: one
  section: "4.4"
  claim: A claim.
  kind: training
  test: A comparison.
  notebook: 05_robustness
  metric: accuracy
  arms: [c, base]
  direction: higher
  margin: 0.01
"""


# --- the ledger -----------------------------------------------------------------------------------------------------


def test_ledger_has_the_claims_it_should():
    entries = claims.load_claims()
    own = [claim for claim in entries if claim.reading == "paper"]
    assert len(own) >= 30
    assert sum(claim.tested for claim in own) >= 15
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", claim.id) for claim in entries)
    assert {claim.section for claim in own} >= {"2.2", "3", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7"}


def test_ledger_lists_id_first():
    assert all(next(iter(entry)) == "id" for entry in read_yaml(paths.resource("paper/claims.yaml")))


def test_quoted_values_are_the_tables():
    """The paper's values in the ledger and in numbers.yaml are the same, so neither can drift."""
    table2, table3, table4 = (claims.numbers(table) for table in (2, 3, 4))
    columns = {"pgd_accuracy": "adversarial", "clean_accuracy": "clean"}
    checked = 0
    for claim in claims.load_claims():
        for setting, arms in (claim.paper.values if claim.paper else {}).items():
            if setting == "ImageNet" and "images" in arms:
                continue  # a share of images, in the text and in no table
            for arm, value in arms.items():
                if claim.paper.where == "Table 2":
                    rows = table2[(table2["data"] == setting) & (table2["arm"] == arm)]
                    printed = rows[columns.get(claim.metric, "adversarial")]
                else:
                    table, key = {"Table 3": (table3, "target"), "Table 4": (table4, "data")}[claim.paper.where]
                    printed = table[(table[key] == setting) & (table["arm"] == arm)]["accuracy"]
                assert printed.tolist() == [value], f"{claim.id}: {setting}, {arm}"
                checked += 1
    assert checked > 30


def test_the_paper_has_four_tables():
    assert [len(claims.numbers(table)) for table in (1, 2, 3, 4)] == [4, 8, 12, 2]
    with pytest.raises(ValueError, match="no Table 5"):
        claims.numbers(5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("direction: higher", "directoin: higher"), r"claim 1 \(one\).*directoin.*did you mean 'direction'"),
        (("direction: higher", "direction: up"), r"\(one\).*direction must be one of"),
        (('section: "4.4"', "section: 4.4"), r"\(one\).*section must be a string"),
        (("  test: A comparison.\n", ""), r"\(one\).*key test is missing"),
        (("  metric: accuracy\n", ""), r"\(one\).*key metric is missing"),
        (("arms: [c, base]", "arms: [c]"), r"\(one\).*arms must be a pair"),
        (("  margin: 0.01\n", ""), r"\(one\).*key margin is missing"),
        (("margin: 0.01", "margin: -1"), r"\(one\).*margin must be at least 0"),
        (("  kind: training", "  kind: network\n  threshold: 1\n  primary: true"), r"\(one\).*key primary is for"),
        (("  kind: training", "  kind: untestable"), r"\(one\)"),
        (("  kind: training", "  kind: network"), r"\(one\).*key threshold is missing"),
        (("  notebook: 05_robustness\n", ""), r"\(one\).*key reason is missing"),
        (("  kind: training", "  reading: ours\n  of: two\n  kind: training"), r"one.*key of names no claim: 'two'"),
        (("  kind: training", "  id: two\n  kind: training"), r"duplicate key"),
        (("  kind: training", "  paper: {where: Table 2, valeus: {}}\n  kind: training"), r"paper.valeus"),
        (
            ("  kind: training", "  paper: {where: Table 2, values: {X: {c: a}}}\n  kind: training"),
            r"paper.values.X.c must be a number",
        ),
    ],
)
def test_ledger_refuses_slips(tmp_path, change, message):
    path = tmp_path / "claims.yaml"
    path.write_text(PLAIN)
    assert ledger.load_claims(path)[0].id == "one"
    path.write_text(PLAIN.replace(*change))
    with pytest.raises(SettingsError, match=r"(?s)claims\.yaml.*" + message):
        ledger.load_claims(path)


def test_ledger_refuses_repeated_ids(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(PLAIN + PLAIN)
    with pytest.raises(SettingsError, match="'one' is used 2 times"):
        ledger.load_claims(path)


def test_notebooks_name_claims_that_exist_and_measure_them():
    """Every id in a notebook's first cell is in the ledger, and a notebook announces each claim that it measures.

    A control is announced with the claim of which it is a reading.
    """
    entries = {claim.id: claim for claim in claims.load_claims()}
    shown = {}
    for path in sorted(paths.notebooks().glob("0[1-8]_*.ipynb")):
        first = "".join(json.loads(path.read_text())["cells"][0]["source"])
        shown[path.stem] = set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+){2,})`", first))
        assert shown[path.stem] <= set(entries), f"{path.stem} names claims that the ledger lacks"
    assert shown, "no notebook found"
    for claim in entries.values():
        if claim.tested and claim.notebook in shown:
            known = {claim.id, claim.of} if claim.reading == "ours" else {claim.id}
            assert known & shown[claim.notebook], f"{claim.notebook} measures {claim.id} and does not say so"


# --- evidence -------------------------------------------------------------------------------------------------------


def tidy(**columns) -> pd.DataFrame:
    return pd.DataFrame(
        {"arm": ["base", "c"], "seed": [0, 0], "accuracy": [0.5, 0.6], "low": [0.4, 0.5], "high": [0.6, 0.7]} | columns
    )


def test_evidence_is_json_and_keeps_what_is_known():
    made = claims.evidence(tidy(n=[100, 100]), "accuracy", unit="share", references={"chance": 0.1})
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["rows"][1] == {"label": "c", "seed": 0, "value": 0.6, "low": 0.5, "high": 0.7, "n": 100}
    assert made["references"] == {"chance": 0.1}


def test_evidence_selects_labels_and_cases():
    table = pd.concat([tidy(alpha=[0.0, 1.0], level=[level, level]) for level in (1, 2)])
    made = claims.evidence(table, "accuracy", by="alpha", level=2)
    assert [row["label"] for row in made["rows"]] == ["alpha=0", "alpha=1"]
    assert [row["case"] for row in claims.evidence(table, "accuracy", case="level")["rows"]] == ["1", "1", "2", "2"]


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        (tidy(), {"attack": "pgd"}, "no column 'attack'"),
        (tidy(), {"seed": 3}, "no row left"),
        (pd.concat([tidy(), tidy()]), {}, "2 rows of 'accuracy'"),
        (tidy(accuracy=[0.5, float("nan")]), {}, "must be finite"),
    ],
)
def test_evidence_refuses(table, arguments, message):
    with pytest.raises(ValueError, match=message):
        claims.evidence(table, "accuracy", **arguments)


# --- verdicts -------------------------------------------------------------------------------------------------------


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """Write one claim and one record, return the row that `verdicts` makes of them."""
    monkeypatch.setattr(paths, "reports", lambda preset: tmp_path / preset)
    (tmp_path / "quick").mkdir()

    def run(rows, *, record=None, references=(), unit="share", **keys):
        values = {
            "id": "one",
            "section": "4.4",
            "claim": "A claim.",
            "kind": "training",
            "test": "A comparison.",
            "direction": "higher",
            "margin": 0.01,
        }
        values |= {"notebook": "05_robustness", "metric": "accuracy", "arms": ("c", "base")} | keys
        monkeypatch.setattr(claims, "load_claims", lambda: (ledger.Claim(**values),))
        measure = {"measure": "accuracy", "unit": unit, "by": "arm", "references": dict(references), "rows": rows}
        text = json.dumps({"results": {"evidence": {"accuracy": measure}}}) if record is None else record
        (tmp_path / "quick" / "05_robustness.json").write_text(text)
        return claims.verdicts("quick").iloc[0]

    return run


def row(label, value, seed=0, **more):
    return {"label": label, "seed": seed, "value": value} | more


BOUNDS = {"low": 0.4, "high": 0.6}


@pytest.mark.parametrize(
    ("direction", "value", "verdict"),
    [
        ("higher", 0.6, "single run, same direction"),
        ("higher", 0.4, "single run, opposite direction"),
        ("higher", 0.5, "single run, no difference"),
        ("lower", 0.4, "single run, same direction"),
        ("lower", 0.6, "single run, opposite direction"),
        ("not-lower", 0.495, "single run, same direction"),
        ("not-lower", 0.48, "single run, opposite direction"),
    ],
)
def test_one_seed_gives_a_direction_and_no_more(judge, direction, value, verdict):
    found = judge([row("c", value), row("base", 0.5)], direction=direction, margin=0.01)
    assert found["verdict"] == verdict


def test_overlapping_intervals_are_shown_and_said(judge):
    found = judge([row("c", 0.52, low=0.42, high=0.62), row("base", 0.5, **BOUNDS)])
    assert found["verdict"] == "single run, same direction"
    assert found["ours"] == "c 52.0 % [42.0, 62.0], base 50.0 % [40.0, 60.0]"
    assert "test-set noise alone could explain the sign" in found["reason"]
    clear = judge([row("c", 0.9, low=0.88, high=0.92), row("base", 0.5, **BOUNDS)])
    assert "noise" not in clear["reason"]


def test_cases_are_counted(judge):
    values = [row("c", 0.6, case="a"), row("c", 0.4, case="b"), row("base", 0.5, case="a"), row("base", 0.5, case="b")]
    assert judge(values)["verdict"] == "single run, same direction in 1 of 2"
    assert judge([*values[:1], row("c", 0.7, case="b"), *values[2:]])["verdict"] == "single run, same direction"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.11, 0.2, "holds here"), (0.02, 0.09, "does not hold here"), (0.05, 0.15, "undecided here")],
)
def test_network_claims_are_decided_by_the_interval(judge, low, high, verdict):
    rows = [row("base", (low + high) / 2, low=low, high=high), row("c", 0.9)]
    found = judge(rows, kind="network", arms=("base",), reference="chance", references={"chance": 0.1})
    assert found["verdict"] == verdict
    assert "above 10.0 % (chance)" in found["reason"]


def test_theory_claims_are_decided_by_the_value(judge):
    lower = {"kind": "theory", "arms": (), "direction": "lower", "threshold": 1e-8, "unit": ""}
    assert judge([row("softplus", 1e-12)], **lower)["verdict"] == "holds here"
    assert judge([row("softplus", 1e-3)], **lower)["verdict"] == "does not hold here"
    assert judge([row("softplus", 1e-8)], **lower)["verdict"] == "does not hold here"


def test_a_network_claim_holds_only_in_each_case(judge):
    rows = [row("base", 0.5, case="a"), row("base", 0.05, case="b")]
    found = judge(rows, kind="network", arms=("base",), threshold=0.1)
    assert (found["verdict"], "in 1 of 2" in found["reason"]) == ("does not hold here", True)


@pytest.mark.parametrize(
    ("rows", "record", "message"),
    [
        ([row("base", 0.5)], None, "no row for c"),
        ([row("c", 0.5, case="a"), row("base", 0.5, case="b")], None, "same seeds and cases"),
        ([row("c", None), row("base", 0.5)], None, "without a value"),
        ([], None, "without a value"),
        ([], '{"results": {}}', "holds no measure"),
        ([], '{"results": {"evidence": {"accuracy": {}}}}', "holds no measure"),
        ([], "[]", "holds no measure"),
        ([], '{"results": ', "not valid JSON"),
    ],
)
def test_what_is_missing_is_not_run(judge, rows, record, message):
    found = judge(rows, record=record)
    assert found["verdict"] == "not run"
    assert message in found["reason"]
    assert found["ours"] == ""


def test_what_a_notebook_says_it_cannot_measure_is_not_tested(judge):
    made = claims.absent("the images have no masks")
    found = judge([], record=json.dumps({"results": {"evidence": {"accuracy": made}}}))
    assert (found["verdict"], found["reason"], found["ours"]) == ("not tested", "the images have no masks", "")
    assert claims.comparisons("quick").empty


def test_an_arm_outside_the_preset_is_judged_where_a_notebook_trained_it(judge):
    """Notebook 8 trains `aug` beside `c` at each level of the hue, whatever arms the preset lists."""
    assert judge([row("c", 0.6), row("aug", 0.5)], arms=("c", "aug"))["verdict"] == "single run, same direction"
    found = judge([row("c", 0.6)], arms=("c", "aug"))
    assert found["verdict"] == "not tested" and "needs the arm aug" in found["reason"]


def test_a_notebook_that_the_preset_leaves_out_tests_nothing(judge):
    from dataclasses import replace

    from semcont.paper.presets import load_preset

    judge([row("c", 0.6), row("base", 0.5)])
    found = claims.verdicts(replace(load_preset("quick"), notebooks=("01_discontinuity",))).iloc[0]
    assert (found["verdict"], found["reason"]) == ("not tested", "this preset leaves out 05_robustness")


def test_without_a_reference_a_network_claim_is_not_run(judge):
    found = judge([row("base", 0.5)], kind="network", arms=("base",), reference="chance")
    assert (found["verdict"], "does not say its chance" in found["reason"]) == ("not run", True)


def test_without_records_nothing_is_claimed(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "reports", lambda preset: tmp_path)
    table = claims.verdicts("quick")
    assert list(table.columns) == claims.COLUMNS
    assert set(table["verdict"]) == {"not run", "not tested"}
    assert table["reason"].str.len().gt(0).all()
    theirs = claims.comparisons("quick")
    assert theirs["source"].eq("paper").all()
    _, tests = claims.judge("quick")
    assert tests.empty and list(tests.columns) == claims.CASES
    assert plots.claims_primary(theirs, tests, table).shape == (1, 1)  # what cannot be judged can be drawn


def test_difference_intervals_follow_newcombe(judge):
    """Example (a) of Newcombe (1998), 56/70 against 48/80: Wilson's intervals give 0.2 with [0.0524, 0.3339]."""
    from scipy.stats import binomtest

    rows = []
    for label, (hits, n) in {"c": (56, 70), "base": (48, 80)}.items():
        interval = binomtest(hits, n).proportion_ci(method="wilson")
        rows.append(row(label, hits / n, low=interval.low, high=interval.high, n=n))
    judge(rows)
    table = claims.comparisons("quick")
    ours = table[table["source"] == "ours"].iloc[0]
    assert ours[["difference", "low", "high"]].tolist() == pytest.approx([20, 5.24, 33.39], abs=0.01)


# --- words and pictures -----------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(judge):
    """A record with a share that agrees and one that does not, in two cases, and the comparison that comes of it."""
    rows = [row("c", 0.6, case="a", low=0.55, high=0.65), row("c", 0.4, case="b"), row("base", 0.5, case="a", **BOUNDS)]
    judge(
        [*rows, row("base", 0.5, case="b")],
        paper=ledger.Quoted("Table 2", "percent", {"CIFAR-100": {"c": 16.01, "base": 9.34}}),
    )
    return claims.comparisons("quick")


def test_the_comparison_is_in_points_with_the_paper_first(mixed):
    assert mixed["source"].tolist() == ["paper", "ours", "ours"]
    assert mixed["difference"].tolist() == pytest.approx([6.67, 10, -10])
    assert mixed["ratio"].tolist()[1:] == pytest.approx([1.2, 0.8])
    assert mixed["low"].notna().tolist() == [False, True, False]


def test_the_words_count_what_the_table_holds(mixed):
    table = claims.verdicts("quick")
    assert claims.describe(table) == "Of 1 claims: 1 *single run, mixed*."
    assert "1 of our 2 are positive" in claims.describe_forest(mixed)
    assert claims.summary(table).iloc[-1]["all"] == 1
    assert len(claims.of_kind(table, "training")) == 1 and claims.of_kind(table, "network").empty
    assert claims.left_open(table).empty


def test_a_claim_is_read_in_few_columns(mixed):
    (shown,) = claims.as_read(claims.verdicts("quick")).to_dict("records")
    assert list(shown) == ["claim", "paper", "ours", "verdict", "scope"]
    assert shown["claim"] == "one\nA claim." and shown["verdict"].startswith("single run, same direction in 1 of 2\n")
    assert claims.as_read(claims.verdicts("quick").assign(alpha="tuned"))["scope"][0].endswith("\nat a tuned alpha")


def dots(ax) -> list[float]:
    """Where the points of a plot are, from left to right."""
    from matplotlib.collections import PathCollection

    points = [points for points in ax.collections if isinstance(points, PathCollection)]
    return sorted(float(x) for each in points for x, _ in each.get_offsets())


def test_the_forest_shows_each_difference_on_its_side(mixed):
    from semcont.paper import plots

    assert dots(plots.claims_forest(mixed)) == pytest.approx([-10, 6.67, 10])
    assert dots(plots.claims_forest(mixed.assign(sign=-1))) == pytest.approx([-10, -6.67, 10])


def test_the_forest_shows_a_margin_of_one_arm_beside_differences_of_two(judge):
    from semcont.paper import plots

    rows = [row("c", 0.06, case="a"), row("c", -0.04, case="b")]
    judge(rows, kind="margin", arms=("c",), against=("adv",), unit="points")
    table = claims.comparisons("quick")
    assert set(table["unit"]) == {"percent"} and table["first"].isna().all()
    assert dots(plots.claims_forest(table)) == pytest.approx([-4, 6])


def test_the_ratios_are_turned_to_the_papers_side(judge):
    from semcont.paper import plots

    judge([row("c", 1.0), row("base", 4.0)], unit="", direction="lower")
    table = claims.comparisons("quick")
    assert dots(plots.claims_ratios(table)[0, 0]) == pytest.approx([4.0])
    assert "1 of our 1 are above 1" in claims.describe_ratios(table)


def test_plots_of_nothing_are_empty_and_do_not_fail(tmp_path, monkeypatch):
    from semcont.paper import plots

    monkeypatch.setattr(paths, "reports", lambda preset: tmp_path)
    table = claims.comparisons("quick")
    assert plots.claims_ratios(table)[0, 0].get_yticklabels() == []
    assert len(plots.claims_forest(table).get_yticklabels()) == table[table["unit"] == "percent"]["id"].nunique()


def test_gather_runs_only_what_has_no_record(tmp_path, monkeypatch):
    from semcont.paper.execution import execute

    monkeypatch.setattr(paths, "reports", lambda preset: tmp_path)
    needed = sorted({claim.notebook for claim in claims.load_claims() if claim.tested})
    for name in needed[1:]:
        (tmp_path / f"{name}.json").write_text("{}")
    asked = []
    monkeypatch.setattr(execute, "prepare", lambda name, words: (name, words))
    monkeypatch.setattr(execute, "run", asked.append)
    assert claims.gather("smoke", 3, "cpu") == needed[:1]
    assert asked == [(needed[0], ["preset=smoke", "seed=3", "device=cpu"])]
