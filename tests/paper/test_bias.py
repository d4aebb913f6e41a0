"""Section 4.7's biased version: networks that follow the colour or the digit, and what is trained."""

import pandas as pd
import pytest
import torch
from sections import Section

from semcont.paper import bias, fairness
from semcont.paper.execution import graph
from semcont.paper.plots import bias_groups
from semcont.paper.presets import load_preset
from semcont.paper.runs import trained


@pytest.fixture(scope="module")
def preset():
    return load_preset("smoke")


@pytest.fixture(scope="module")
def run(preset):
    return trained(preset, "base", 0, **bias.changes(preset))


def green(x: torch.Tensor) -> torch.Tensor:
    return (x[:, 1].flatten(1).amax(1) > x[:, 0].flatten(1).amax(1)).long()


def answering(labels, by):
    """In place of `predict`: logits of what the colour says, or of the labels themselves."""

    def predict(network, data):
        x = data if isinstance(data, torch.Tensor) else data.float()
        answer = green(x) if by == "colour" else (labels if isinstance(data, torch.Tensor) else data.labels)
        return torch.nn.functional.one_hot(answer, 2).float()

    return predict


def test_a_network_that_sees_the_colour_alone(run, monkeypatch):
    monkeypatch.setattr(bias, "predict", answering(None, "colour"))
    found = bias.by_group(run).set_index("group")["accuracy"]
    assert found["all"] == pytest.approx(bias.COLOUR_ALONE) and found[bias.FOLLOWS] == 1
    assert found["validation"] == pytest.approx(0.85, abs=0.01) and found["worst group"] == 0
    assert found["0 to 4, green"] == 1 and found["0 to 4, red"] == 0 and found["5 to 9, red"] == 1


def test_a_network_that_is_always_right(run, monkeypatch):
    monkeypatch.setattr(bias, "predict", answering(run.images("test").labels, "label"))
    found = bias.by_group(run).set_index("group")["accuracy"]
    assert found.drop(bias.FOLLOWS).eq(1).all() and found[bias.FOLLOWS] == 0


def test_rows_of_a_trained_network(run):
    table = bias.by_group(run)
    assert table["group"].tolist()[:2] == ["validation", "all"] and table["group"].tolist()[-2:] == [
        "worst group",
        bias.FOLLOWS,
    ]
    groups = table[table["group"].str.contains(", ")]
    assert groups["n"].sum() == len(run.images("test")) and table["chance"].eq(0.5).all()
    worst = table.set_index("group").loc["worst group"]
    assert worst["accuracy"] == groups["accuracy"].min()
    assert (table["low"] <= table["accuracy"] + 1e-9).all() and (table["accuracy"] <= table["high"] + 1e-9).all()


def test_a_trained_network_learns_the_colour_and_the_oracle_cannot(preset):
    more = {"train": 1000, "test": 200, "epochs": 6}
    found = {
        grey: bias.by_group(trained(preset, "base", 0, **bias.changes(preset, grey=grey) | more)).set_index("group")
        for grey in (False, True)
    }
    share = found[False]["accuracy"]
    assert share["validation"] > 0.75 and share["all"] < 0.25 and share[bias.FOLLOWS] > 0.75
    assert found[True].loc[bias.FOLLOWS, "accuracy"] == 0


def test_what_is_trained(preset):
    names = [(variant, arm) for variant, arm, _, _ in bias.conditions(preset)]
    assert names == [
        *(("", arm) for arm in preset.arms),
        *(("no hue", arm) for arm in fairness.HUE_ARMS),
        *(("hue level 4", arm) for arm in fairness.HUE_ARMS),
        (bias.ORACLE, "base"),
    ]
    jobs = bias.training_jobs(preset)
    assert len(jobs) == len(names) and jobs[-1][2]["data"] == "biased_digits_grey"
    assert {job.name for job in graph.colours(preset)} >= {
        graph.Job(arm, seed, tuple(changes.items())).name for arm, seed, changes in jobs
    }
    assert bias.conditions(load_preset("quick")) == []


def test_the_table_names_each_condition(preset, monkeypatch):
    kept = {"", bias.ORACLE}
    known = [row for row in bias.conditions(preset) if row[0] in kept and row[1] == "base"]
    monkeypatch.setattr(bias, "conditions", lambda _: known)
    table = bias.measure(Section(preset))
    assert list(dict.fromkeys(table["variant"])) == ["", bias.ORACLE]
    assert {"group", "accuracy", "low", "high"} <= set(table) and "data" not in table
    shown = bias.reading(table)
    assert shown.index.tolist() == ["base", bias.ORACLE] and "worst group" in shown
    left, right = bias_groups(table)[0]
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["base", bias.ORACLE]
    assert "grey oracle" in bias.conclusion(table) and "worst group" in bias.describe(table)


def test_without_biased_data_there_is_a_sentence():
    assert bias.measure(Section(load_preset("quick"))).empty
    assert "fairness.biased" in bias.conclusion(pd.DataFrame())


def test_the_conclusion_counts_seeds():
    rows = [
        {"arm": arm, "variant": "", "seed": seed, "group": group, "accuracy": value}
        for arm, values in (("base", (0.2, 0.3)), ("c", (0.4, 0.2)))
        for seed, value in enumerate(values)
        for group in ("all", "validation", "worst group", bias.FOLLOWS)
    ]
    told = bias.conclusion(pd.DataFrame(rows))
    assert "+5.0 points; it is ahead in 1 of 2 seeds" in told and "at most 75 %" in told


def test_the_ledger_reads_the_arms_as_they_are():
    rows = [
        {"arm": arm, "variant": variant, "seed": 0, "group": group, "accuracy": value, "low": 0.1, "high": 0.9}
        for arm, variant, value in (("base", "", 0.2), ("c", "", 0.4), ("c", "no hue", 0.6), ("base", bias.ORACLE, 0.7))
        for group in ("all", bias.WORST, "validation")
    ]
    made = bias.evidence_of(pd.DataFrame(rows))
    for name in ("biased_accuracy", "biased_worst_group"):
        assert {row["label"]: row["value"] for row in made[name]["rows"]} == {"base": 0.2, "c": 0.4}
    assert all("fairness.biased" in entry["absent"] for entry in bias.evidence_of(pd.DataFrame()).values())
