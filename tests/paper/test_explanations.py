"""Section 4.5 as numbers: which images, the paired table on hand-made values, and smoke networks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from semcont.paper.explaining import explanation_tables, explanations
from semcont.paper.plots import explanation_measures
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, predict, trained

BUDGET = {"steps": 4, "draws": 1, "radius": 5, "patches": 4}


@pytest.fixture(scope="module")
def smoke():
    preset = load_preset("smoke")
    return preset, [trained(preset, arm, 0) for arm in ("base", "c")]


class Section:
    """As much of a section as the measures ask."""

    def __init__(self, preset, runs) -> None:
        self.preset, self._runs, self.seeds = preset, runs, [0]

    def runs(self):
        return self._runs

    def measured(self, function, runs, **settings):
        return pd.concat([measured(run, function, **settings) for run in runs], ignore_index=True)


def test_pairs_are_right_for_the_arm_and_for_base_and_more_images_are_drawn_where_needed(smoke):
    _, runs = smoke
    few = explanations.pairs(runs, 1)
    assert few["pool"].unique().tolist() == [60] and few.groupby("arm").size().tolist() == [1, 1]
    most = explanations.pairs(runs, 10_000)
    assert most["pool"].unique().tolist() == [480]
    data = runs[0].images("test", n=480)
    right = {run.arm: (predict(run.model(), data).argmax(1) == data.labels).numpy() for run in runs}
    for arm, rows in most.groupby("arm"):
        assert sorted(rows["image"]) == np.flatnonzero(right[arm] & right["base"]).tolist()
        assert rows["label"].tolist() == data.labels[rows["image"].tolist()].tolist()
    base, both = (most[most["arm"] == arm]["image"].tolist() for arm in ("base", "c"))
    assert base[: len(both)] == both, "those that all networks get right come first"
    assert "the same for all arms" in explanations.describe_pairs(most)
    assert explanations.pairs(runs, 10_000).equals(most)


def test_a_preset_that_asks_for_none_gets_an_empty_table_and_a_sentence():
    section = Section(load_preset("quick"), [])
    paired = explanations.chosen(section)
    assert paired.empty and "paired_images" in explanations.describe_pairs(paired)


def test_smoke_run_of_all_measures(smoke):
    preset, runs = smoke
    section = Section(preset, runs)
    paired = explanations.pairs(runs, 2)
    values = explanations.measure(section, paired)
    assert values["value"].notna().all() and set(values["method"]) == set(explanations.NAMES)
    every = set(values["measure"])
    assert every >= {
        "energy",
        "pointing",
        "insertion",
        "deletion",
        "sensitivity",
        "infidelity",
        "gini",
        "zero",
        "delta",
    }
    assert every >= {"randomised head", "randomised 2", "randomised 3", "randomised 4", "randomised all"}
    assert set(values[values["measure"] == "delta"]["method"]) == {"ig", "ig from the mean"}
    table = explanation_tables.table(values, paired)
    assert list(table)[:8] == ["arm", "seed", "method", "measure", "value", "n", "low", "high"]
    own = table[table["arm"] == "base"]
    assert (own["difference"] == 0).all() and (own["value"] == own["base"]).all()
    assert not table.duplicated(["arm", "seed", "method", "measure"]).any()
    axes = explanation_measures(table)
    assert len(np.ravel(axes)) == len(explanations.NAMES)
    assert "single run" in explanation_tables.conclusion(table) and "GradCAM" in explanation_tables.describe(table)
    assert list(explanation_tables.reading(table)) == ["base", "c"]


def test_what_is_measured_does_not_depend_on_the_other_images(smoke, monkeypatch):
    preset, runs = smoke
    methods = {name: explanations.methods(preset)[name] for name in ("gradient", "lime")}
    asked = {"pool": 60, "methods": methods, "budget": BUDGET}
    both = explanations.per_image(runs[0], images=[4, 9], **asked)
    monkeypatch.setattr(explanations, "SIZE", 1)
    turned = explanations.per_image(runs[0], images=[9, 4], **asked)
    keys = ["method", "measure", "image"]
    one, two = (table.set_index(keys)["value"].sort_index() for table in (both, turned))
    pd.testing.assert_series_equal(one, two, rtol=1e-3, atol=1e-4)


def test_mosaics_of_a_smoke_network(smoke):
    preset, runs = smoke
    methods = {"gradcam": explanations.methods(preset)["gradcam"]}
    found = explanations.per_mosaic(runs[0], images=list(range(20)), pool=60, count=3, methods=methods)
    assert found["measure"].tolist() == ["mosaic energy"] * 3 + ["mosaic pointing"] * 3
    assert found["value"].between(0, 4).all()  # a quarter of the area: at most four times its share


def test_mosaics_may_be_made_of_more_images_than_are_measured(smoke, monkeypatch):
    preset, runs = smoke
    own = replace(preset.interpretability, mosaics=3, mosaic_images=12, paired_images=2)
    right = {"base": torch.arange(60) % 3 > 0, "c": torch.arange(60) > 20}
    monkeypatch.setattr(explanations, "_right", lambda run, pool: right[run.arm])
    asked = []

    class Recorded(Section):
        def measured(self, function, runs, **settings):
            asked.append((function.__name__, runs[0].arm, settings["images"]))
            return pd.DataFrame()

    section = Recorded(replace(preset, interpretability=own), runs)
    explanations.measure(section, explanations.chosen(section))
    tiles = {arm: images for name, arm, images in asked if name == "per_mosaic"}
    assert tiles["base"] == tiles["c"] and len(tiles["c"]) == 12
    assert (right["base"] & right["c"])[tiles["c"]].all()
    assert [len(images) for name, _, images in asked if name == "per_image"] == [2, 2]


# --- the paired table -------------------------------------------------------------------------------------------------


def values(shift: float = 0.5, measure: str = "energy") -> tuple[pd.DataFrame, pd.DataFrame]:
    """`base` on images 0 to 3; `c`, higher by `shift`, on 1 to 3."""
    numbers = {0: 100.0, 1: 1.0, 2: 5.0, 3: 9.0}
    rows = [
        {"arm": arm, "seed": 0, "method": "ig", "measure": measure, "image": k, "group": k, "value": v + more}
        for arm, more in (("base", 0.0), ("c", shift))
        for k, v in numbers.items()
        if arm == "base" or k
    ]
    pairs = [{"seed": 0, "arm": r["arm"], "image": r["image"], "label": 0, "pool": 4} for r in rows]
    return pd.DataFrame(rows), pd.DataFrame(pairs)


def test_differences_are_taken_image_by_image():
    row = explanation_tables.table(*values()).set_index("arm").loc["c"]
    assert (row["n"], row["value"], row["base"]) == (3, 5.5, 5.0)
    assert row["difference"] == row["difference_low"] == row["difference_high"] == pytest.approx(0.5)
    assert row["low"] < row["value"] < row["high"]


@pytest.mark.parametrize(("shift", "beyond"), [(0.5, True), (-0.5, True), (0.0, False)])
def test_a_difference_is_beyond_noise_where_every_seeds_interval_agrees(shift, beyond):
    table = explanation_tables.table(*values(shift))
    found = explanation_tables.certain(table).set_index("arm")
    assert bool(found.loc["c", "beyond"]) is beyond and not found.loc["base", "beyond"]
    opposite = table.assign(seed=1, difference_low=-table["difference_low"], difference_high=-table["difference_high"])
    disagreeing = explanation_tables.certain(pd.concat([table, opposite])).set_index("arm")
    assert not disagreeing.loc["c", "beyond"]
    cell = explanation_tables.reading(table).loc[("ig", "energy"), "c"]
    assert cell.endswith("*") is beyond


def test_counts_and_medians():
    counted = explanation_tables.table(*values(0.0, "zero")).set_index("arm").loc["base"]
    assert counted["value"] == 115 and counted["n"] == 4 and np.isnan(counted["low"])
    median = explanation_tables.table(*values(0.0, "delta")).set_index("arm").loc["base"]
    assert median["value"] == 7 and median["low"] >= 1 and median["high"] <= 100


def test_weighted_medians():
    weights = np.array([[1, 1, 1], [5, 1, 0], [0, 0, 1]])
    assert explanation_tables._medians(weights, np.array([3.0, 1.0, 2.0])).tolist() == [2, 3, 2]


def test_the_conclusion_says_who_is_better_by_the_measures_own_direction():
    higher = explanation_tables.conclusion(explanation_tables.table(*values(0.5, "energy")))
    lower = explanation_tables.conclusion(explanation_tables.table(*values(0.5, "deletion")))
    assert "better than `base`: `c` by Integrated Gradients; worse: none" in higher
    assert "better than `base`: none; worse: `c` by Integrated Gradients" in lower
    assert "Maps that are zero everywhere: none" in higher


# --- for the ledger ---------------------------------------------------------------------------------------------------


def three_arms() -> pd.DataFrame:
    """`base` on images 0 to 3, `c` on 1 to 3, `adv` on 0 to 2, for each method and a measure of each kind."""
    seen = {"base": (0, 1, 2, 3), "c": (1, 2, 3), "adv": (0, 1, 2)}
    rows = [
        {"arm": arm, "seed": 0, "method": method, "measure": measure, "image": k, "group": k, "value": float(k)}
        for arm, images in seen.items()
        for method in explanations.NAMES
        for measure in ("pointing", "insertion", "deletion", "infidelity", "sensitivity", "gini")
        for k in images
    ]
    return pd.DataFrame(rows)


def test_a_pair_of_arms_is_compared_on_the_images_of_both():
    found = explanation_tables.side_by_side(three_arms(), "c", "base").set_index(["arm", "method", "measure"])
    assert found["n"].eq(3).all() and found["value"].eq(2.0).all(), "images 1, 2 and 3"
    other = explanation_tables.side_by_side(three_arms(), "adv", "base")
    assert other["value"].eq(1.0).all(), "another pair of base, other images, another value of base"
    assert explanation_tables.side_by_side(three_arms(), "adv+c", "adv").empty


def test_each_pair_hands_over_a_measure_of_its_own_with_the_papers_methods_as_cases(smoke):
    preset = smoke[0]
    made = explanation_tables.evidence_of(three_arms(), preset)
    assert {row["case"] for row in made["insertion_c_base"]["rows"]} == {"ig", "gradcam", "lime"}
    assert {row["value"] for row in made["insertion_c_base"]["rows"]} == {2.0}
    assert {row["value"] for row in made["insertion_adv_base"]["rows"]} == {1.0}
    assert made["pointing_c_base"]["unit"] == "share" and made["insertion_c_base"]["unit"] == ""
    assert "too few classes" in made["mosaic_energy_c_base"]["absent"]
    assert "both arms and base" in made["pointing_adv+c_adv"]["absent"]
    assert "gini_c_base" not in made and not any("aug" in name for name in made)


def test_what_is_not_measured_says_why(smoke):
    preset = smoke[0]
    none = explanation_tables.evidence_of(pd.DataFrame(), load_preset("quick"))
    assert all("interpretability.paired_images" in entry["absent"] for entry in none.values()) and none
    maskless = three_arms().query("measure != 'pointing'")
    assert "no masks" in explanation_tables.evidence_of(maskless, preset)["pointing_c_base"]["absent"]
    without = replace(preset, interpretability=replace(preset.interpretability, mosaics=0))
    made = explanation_tables.evidence_of(three_arms(), without)
    assert "interpretability.mosaics" in made["mosaic_energy_c_base"]["absent"]
