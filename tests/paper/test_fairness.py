"""Section 4.7: twins differ in the ground alone, the gap is what it says, and the sentences follow the table."""

from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import pandas as pd
import pytest
import torch

import semcont
from semcont import datasets
from semcont.paper import fairness, plots, variants
from semcont.paper.claims import numbers
from semcont.paper.presets import changed, load_preset
from semcont.paper.runs import measured, trained


@pytest.fixture(scope="module")
def preset():
    return load_preset("smoke")


@pytest.fixture(scope="module")
def run(preset):
    return trained(preset, "c", 0, **fairness.changes(preset))


# --- twins ------------------------------------------------------------------------------------------------------------


def test_twins_differ_in_the_ground_alone():
    data = datasets.load("color_digits", "test", n=200)
    x = data.float()
    red, blue = fairness.recoloured(x, data.context)
    assert torch.equal(torch.where((data.context == 0).view(-1, 1, 1, 1), red, blue), x), "as drawn on the drawn ground"
    assert (
        torch.equal(red[:, 1], blue[:, 1]) and torch.equal(red[:, 0], blue[:, 2]) and torch.equal(red[:, 2], blue[:, 0])
    )
    ground = ~data.masks
    for twin, colour in ((red, (1.0, 0.0, 0.0)), (blue, (0.0, 0.0, 1.0))):
        expected = torch.tensor(colour).view(3, 1)
        assert all(
            torch.equal(image[:, where], expected.expand(-1, int(where.sum())))
            for image, where in zip(twin, ground, strict=True)
        )


def test_a_turn_of_a_third_makes_one_ground_of_the_other():
    data = datasets.load("color_digits", "train", n=100)
    red, blue = fairness.recoloured(data.float(), data.context)
    torch.testing.assert_close(semcont.hue(red, -fairness.RED_TO_BLUE), blue, rtol=0, atol=1e-5)


class Sees(torch.nn.Module):
    """Right on the ground it knows, wrong on the other: for each label, logits by the colour of a corner."""

    def __init__(self, labels: torch.Tensor, knows: tuple[bool, bool]) -> None:
        super().__init__()
        self.labels, self.knows = labels, knows

    def forward(self, x):
        blue = x[:, 2, 0, 0] > x[:, 0, 0, 0]
        right = torch.where(blue, self.knows[1], self.knows[0])
        answer = torch.where(right, self.labels, (self.labels + 1) % 10)
        return torch.nn.functional.one_hot(answer, 10).float()


@pytest.mark.parametrize(
    ("knows", "gap"), [((True, False), 1.0), ((False, True), -1.0), ((True, True), 0.0), ((False, False), 0.0)]
)
def test_the_gap_of_networks_that_know_one_ground(run, monkeypatch, knows, gap):
    data = run.images("test")
    monkeypatch.setattr(fairness, "predict", lambda network, x: Sees(data.labels, knows)(x))
    found = fairness.gap(run).iloc[0]
    assert (found["gap"], found["low"], found["high"]) == (gap, gap, gap) and found["n"] == len(data)
    rows = fairness.by_ground(run).set_index(["view", "ground"])["accuracy"]
    assert rows["twins", "red"] == knows[0] and rows["twins", "blue"] == knows[1]
    assert rows["as drawn", "red"] == knows[0] and rows["as drawn", "blue"] == knows[1]
    share = (data.context == 1).double().mean().item()
    assert rows["as drawn", "all"] == pytest.approx(knows[0] * (1 - share) + knows[1] * share)


def test_rows_of_a_trained_network(run):
    table = fairness.columns(measured(run, fairness.by_ground))
    assert list(table.columns) == ["arm", "seed", "view", "ground", "variant", "n", "accuracy", "low", "high", "chance"]
    assert table["n"].tolist() == [60, 3, 57, 60, 60] and (table["low"] <= table["accuracy"] + 1e-9).all()
    gap = fairness.columns(measured(run, fairness.gap)).iloc[0]
    twins = table[table["view"] == "twins"].set_index("ground")["accuracy"]
    assert gap["gap"] == pytest.approx(twins["red"] - twins["blue"]) and gap["low"] <= gap["gap"] <= gap["high"]


# --- what is trained --------------------------------------------------------------------------------------------------


def test_training_jobs_are_what_the_notebook_trains(preset):
    jobs = fairness.training_jobs(preset)
    hues, tuned = len(preset.fairness.hues) * len(fairness.HUE_ARMS), len(variants.tuned(preset))
    assert len(jobs) == len(preset.arms) + len(fairness.VARIANTS) + hues + tuned
    assert len({repr(job) for job in jobs}) == len(jobs)
    for arm, seed, changes in jobs:
        assert arm in {*preset.arms, *fairness.HUE_ARMS} and seed == 0
        new = changed(preset, changes)
        assert (
            new.data.name == "color_digits" and new.data.rho is None and new.training.epochs == preset.fairness.epochs
        )
        assert new.data.train == preset.fairness.train
    assert [changes.get("level") for _, _, changes in jobs[4:6]] == [4, 4]


def test_the_hue_alone_is_changed_and_its_own_level_is_the_arm_itself(preset):
    every = replace(preset, fairness=replace(preset.fairness, hues=(0, 1, 4)))
    hues = fairness.hues(every)
    assert hues == {"no hue": {"use_hue": False}, "hue level 1": {}, "hue level 4": {"hue_level": 4}}
    jobs = fairness.training_jobs(every)
    assert len({repr(job) for job in jobs}) == len(jobs), "`c` at level 1 is not trained twice"
    assert ("aug", 0, fairness.changes(every)) in jobs
    without = changed(every, {"use_hue": False})
    assert fairness.hues(without)["hue level 1"] == {"hue_level": 1}
    with pytest.raises(ValueError, match="levels from 0 to 4"):
        replace(preset.fairness, hues=(5,))


def test_the_hues_conclusion_says_how_many_gaps_are_sure():
    rows = pd.concat(
        [gaps(("c", "no hue", 0.05)), gaps(("c", "no hue", 0.005)).assign(seed=1), gaps(("aug", "no hue", 0.0))]
    )
    told = fairness.hue_conclusion(rows)
    assert "`c, no hue`: gap +2.8 ± 3.2 points, from +0.5 to +5.0; in 1 of 2 networks beyond" in told
    assert "`aug, no hue` (seed 0): gap +0.0 points" in told and "do not tell" in told
    assert "fairness.hues" in fairness.hue_conclusion(pd.DataFrame())


class FewRuns:
    """As much of a section as `fairness.variants` asks."""

    def __init__(self, preset) -> None:
        self.preset, self.asked = preset, []

    def runs(self, arms, **changes):
        self.asked.append((tuple(arms), changes))
        return [trained(self.preset, arm, 0, **changes) for arm in arms]


def test_variants_are_named_by_their_changes(preset):
    section = FewRuns(preset)
    runs = fairness.variants(section)
    assert [fairness.variant_of(run) for run in runs] == ["", *fairness.VARIANTS]
    jobs = [job for job in fairness.training_jobs(preset) if job[0] == "c"]
    assert [("c", 0, changes) for _, changes in section.asked] == jobs[: len(runs)]
    assert len({run.key for run in runs}) == 3


# --- figures and sentences --------------------------------------------------------------------------------------------


def gaps(*values: tuple[str, str, float]) -> pd.DataFrame:
    rows = [
        {"arm": a, "seed": 0, "variant": v, "gap": g, "n": 100, "low": g - 0.01, "high": g + 0.01} for a, v, g in values
    ]
    return pd.DataFrame(rows)


def table(**accuracies: float) -> pd.DataFrame:
    kinds = [("as drawn", "all"), ("as drawn", "red"), ("as drawn", "blue"), ("twins", "red"), ("twins", "blue")]
    rows = [
        {"arm": arm, "seed": 0, "view": view, "ground": ground, "variant": "", "n": 100, "chance": 0.1}
        | {"accuracy": value, "low": value - 0.02, "high": value + 0.02}
        for arm, value in accuracies.items()
        for view, ground in kinds
    ]
    return pd.DataFrame(rows)


def test_fig_14_shows_both_grounds():
    for split, common in (("train", 0), ("test", 1)):
        data = datasets.load("color_digits", split, n=100)
        images, grounds = fairness.samples(data, 6)
        assert images.shape == (6, 32, 32, 3) and grounds == [common] * 5 + [1 - common]
        assert images[0, 0, 0].argmax() == 2 * common
    alt = fairness.describe_samples([0, 0, 1], [1, 1, 0])
    assert "Training: red, red, blue; test: blue, blue, red." in alt
    axes = plots.colour_samples(images, images)
    assert axes.shape == (2, 6) and axes[1, 0].get_ylabel() == "test"


def test_the_reach_of_p(preset):
    reach = fairness.reach(preset)
    assert reach["reaches"].tolist() == [False, False, False, True] and reach["trained"].tolist() == [
        True,
        False,
        False,
        False,
    ]
    told = fairness.reach_conclusion(reach)
    assert "level 1" in told and "does not reach" in told and "Level 4 would" in told
    farther = fairness.reach(changed(preset, {"level": 4}))
    assert "**reaches** blue" in fairness.reach_conclusion(farther) and "would" not in fairness.reach_conclusion(
        farther
    )
    assert "level 4 by 0.4" in fairness.describe_reach(reach) and "reach at level 4." in fairness.describe_reach(reach)
    ax = plots.hue_reach(reach)
    spans = [line.get_xdata() for line in ax.lines if line.get_marker() == "|"]
    assert [tuple(span) for span in spans] == [(-t, t) for t in (0.1, 0.2, 0.3, 0.4)]


@pytest.mark.parametrize(
    ("gap", "told"),
    [(0.05, "worse on the ground that was rare"), (-0.05, "better on the ground that was rare"), (0.0, "do not tell")],
)
def test_each_gap_is_judged_by_its_own_interval(gap, told):
    assert told in fairness.variants_conclusion(gaps(("c", "level 4", gap)))
    assert "`c, level 4` (seed 0)" in fairness.variants_conclusion(gaps(("c", "level 4", gap)))


@pytest.mark.parametrize(
    ("c", "gap", "words"),
    [(0.97, 0.01, ["same", "same"]), (0.91, 0.09, ["otherwise", "otherwise"]), (0.97, 0.09, ["same", "otherwise"])],
)
def test_the_conclusion_follows_the_table(c, gap, words):
    text = fairness.conclusion(table(base=0.94, c=c), gaps(("base", "", 0.05), ("c", "", gap)))
    first, second = [line for line in text.splitlines() if "`c` and `base`" in line]
    assert words[0] in first and words[1] in second and "single run" in text
    assert "`base` (seed 0): gap +5.0 points [+4.0, +6.0]" in text


def test_table_4_beside_the_papers():
    shown = fairness.beside_paper(table(base=0.94, c=0.95), gaps(("base", "", 0.05), ("c", "", 0.01)), numbers(4))
    assert list(shown.columns) == ["test split", "all on red", "all on blue", "gap, points", "paper, test split"]
    assert shown.loc["c", "paper, test split"] == "97.54" and shown.loc["base", "gap, points"] == "+5.0 [+4.0, +6.0]"
    alone = fairness.beside_paper(table(base=0.94), gaps(("base", "", 0.05)))
    assert "paper, test split" not in alone


def test_the_figure_of_table_4():
    accuracies, differences = table(base=0.94, c=0.95), gaps(("base", "", 0.05), ("c", "", -0.01))
    left, right = plots.colour_grounds(accuracies, differences)[0]
    assert [label.get_text() for label in left.get_yticklabels()] == ["base", "C"]
    assert [line.get_xdata()[0] for line in right.lines if len(line.get_xdata()) == 1] == pytest.approx([5, -1])
    told = fairness.describe(accuracies, differences)
    assert "base: 94.0 on red, 94.0 on blue, gap +5.0;" in told and "gap -1.0." in told


def test_a_network_that_collapses_is_seen_among_its_arms_others():
    several = (
        [table(base=0.94).assign(seed=k) for k in range(3)],
        [gaps(("base", "", 0.01)).assign(seed=k) for k in (0, 1)],
    )
    accuracies = pd.concat(several[0], ignore_index=True)
    differences = pd.concat([*several[1], gaps(("base", "", 0.85)).assign(seed=2)], ignore_index=True)
    left, right = plots.colour_grounds(accuracies, differences)[0]
    (dots,) = right.collections
    assert dots.get_offsets()[:, 0].tolist() == pytest.approx([1, 1, 85]) and len(left.collections) == 2
    assert "`base`: gap +29.0 ± 48.5 points, from +1.0 to +85.0;" in fairness.conclusion(accuracies, differences)


def test_the_ledger_reads_each_level_of_the_hue_as_a_case():
    accuracies = pd.concat([table(c=0.8, aug=0.7).assign(variant=name) for name in ("no hue", "hue level 4")])
    both = gaps(*((arm, name, 0.1) for arm in ("c", "aug") for name in ("no hue", "hue level 4")))
    made = fairness.hue_evidence(accuracies, both)
    rows = {(row["label"], row["case"]): row["value"] for row in made["hue_accuracy"]["rows"]}
    assert rows == {(arm, name): v for arm, v in (("c", 0.8), ("aug", 0.7)) for name in ("no hue", "hue level 4")}
    assert len(made["hue_gap"]["rows"]) == 4
    none = fairness.hue_evidence(pd.DataFrame(), pd.DataFrame())
    assert all("fairness.hues" in entry["absent"] for entry in none.values()) and len(none) == 2
