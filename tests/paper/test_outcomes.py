"""Outcomes image by image, and the joint bootstrap over images that they allow."""

import numpy as np
import pandas as pd
import pytest

from semcont.paper import outcomes


def table(first: np.ndarray, second: np.ndarray, groups=None) -> pd.DataFrame:
    """Outcomes (seeds, images) of two arms as the measurement gives them."""
    groups = np.arange(first.shape[1]) if groups is None else groups
    rows = [
        pd.DataFrame({"arm": arm, "seed": seed, "image": np.arange(len(hits)), "group": groups, "pgd-10": hits})
        for arm, side in (("c", first), ("base", second))
        for seed, hits in enumerate(side)
    ]
    return pd.concat(rows, ignore_index=True)


def joint(first, second, groups=None) -> pd.Series:
    return outcomes.noise(table(first, second, groups), [("c", "base")]).iloc[0]


def test_what_the_arms_share_cancels():
    """Both arms fail on the same images: the difference has no test-set noise, however hard the images are."""
    hits = np.random.default_rng(0).random((3, 200)) < 0.5
    row = joint(hits, hits)
    assert (row["difference"], row["low"], row["high"]) == (0, 0, 0)
    assert (row["seeds"], row["n"]) == (3, 200)
    independent = joint(hits, np.random.default_rng(1).random((3, 200)) < 0.5)
    assert independent["high"] - independent["low"] > 5


def test_images_of_one_glyph_are_drawn_together():
    hits = np.random.default_rng(2).random((2, 60)) < 0.5
    none = np.zeros((2, 60), bool)
    alone, grouped = joint(hits, none), joint(hits.repeat(5, 1), none.repeat(5, 1), np.arange(60).repeat(5))
    assert grouped["high"] - grouped["low"] == pytest.approx(alone["high"] - alone["low"], rel=0.15)
    naive = joint(hits.repeat(5, 1), none.repeat(5, 1))
    assert naive["high"] - naive["low"] < 0.6 * (grouped["high"] - grouped["low"])


def test_the_joint_interval_covers_what_other_test_images_would_give():
    """Images differ in difficulty, the same for all networks; the true difference is 4 points."""
    rng, covered = np.random.default_rng(3), 0
    for _ in range(120):
        hard = rng.random(300) * 0.6 + 0.2
        first, second = (rng.random((2, 300)) < hard + gain for gain in (0.04, 0.0))
        row = outcomes.noise(table(first, second), [("c", "base")], resamples=300).iloc[0]
        covered += row["low"] <= 4 <= row["high"]
    assert 0.89 <= covered / 120 <= 0.99


def test_only_seeds_that_both_have_count():
    first, second = np.ones((3, 20), bool), np.zeros((2, 20), bool)
    row = joint(first, second)
    assert (row["seeds"], row["difference"]) == (2, 100)
    assert outcomes.noise(table(first, second), [("c", "adv")]).empty


def test_different_images_are_refused():
    whole = table(np.ones((2, 20), bool), np.zeros((2, 20), bool))
    with pytest.raises(ValueError, match="same images"):
        outcomes.noise(whole[(whole["arm"] == "c") | (whole["image"] < 10)], [("c", "base")])
    with pytest.raises(ValueError, match="c: not all seeds"):
        outcomes.noise(whole[(whole["seed"] == 0) | (whole["image"] < 10)], [("c", "base")])


def test_outcomes_average_to_the_accuracy(tmp_path, monkeypatch):
    """On a tiny network, through the store: booleans per image, whose mean is what `robustness` measures."""
    from dataclasses import replace

    from semcont.paper import audit, features, robustness
    from semcont.paper.budgets import Audit
    from semcont.paper.presets import load_preset
    from semcont.paper.runs import measured, trained

    monkeypatch.setenv("SEMCONT_RUNS", str(tmp_path))
    run = trained(load_preset("smoke"), "base", 0)
    attacks = {"none": {"eps": 0, "step_size": 0, "steps": 0}, "pgd-2": {"eps": 2, "step_size": 1, "steps": 2}}
    found = measured(run, outcomes.by_image, attacks=attacks, images=30)
    assert list(found.columns) == ["arm", "seed", "image", "group", "none", "pgd-2"]
    assert found[["none", "pgd-2"]].dtypes.eq(bool).all() and len(found) == 30
    accuracy = measured(run, robustness.by_attack, attacks=attacks, images=30)["accuracy"].tolist()
    assert [found["none"].mean(), found["pgd-2"].mean()] == pytest.approx(accuracy)
    lost = measured(run, outcomes.in_conflict)["loss in conflict"]
    cues = measured(run, features.cues).set_index("measure")["value"]
    assert lost.mean() == pytest.approx(cues["loss"]) and set(lost) <= {-1, 0, 1}
    small = replace(run.preset, robustness=replace(run.preset.robustness, audit=Audit(images=20, steps=3, effort=0.05)))
    asked = audit.shared(small)
    survived = measured(run, outcomes.in_the_worst_case, **asked)["worst case"]
    assert survived.mean() == pytest.approx(measured(run, audit.worst, **asked)["accuracy"][0]) and len(survived) == 20


def test_a_section_measures_each_network_once(monkeypatch):
    """`adv` and `base` stand in several pairs; without images to draw again nothing is measured."""
    from dataclasses import replace
    from types import SimpleNamespace

    from semcont.paper.budgets import Audit
    from semcont.paper.presets import load_preset

    asked = []

    def measured(function, runs, **settings):
        asked.append(function.name.removeprefix("outcomes."))
        assert runs == ["base", "c", "adv", "adv+c"] and settings.get("images", 20) == 20
        hits = np.random.default_rng(0).random((4, 2, 20)) < 0.5
        parts = [table(pair, pair) for pair in hits]
        return pd.concat(
            [part[part["arm"] == "c"].assign(arm=arm) for arm, part in zip(runs, parts, strict=True)], ignore_index=True
        )

    section = SimpleNamespace(preset=load_preset("smoke"), runs=list, measured=measured)
    found = outcomes.of_section(section)
    pairs = [pair for pair in outcomes.PAIRS[:3] for _ in asked]
    assert [*zip(found["first"], found["second"], strict=True)] == pairs
    assert asked == ["by_image", "in_the_worst_case", "in_conflict"]
    without = replace(section.preset, robustness=replace(section.preset.robustness, audit=Audit()))
    outcomes.of_section(SimpleNamespace(preset=without, runs=list, measured=measured))
    assert asked[3:] == ["by_image", "in_conflict"]  # no full audit
    section.preset = replace(section.preset, ledger=replace(section.preset.ledger, noise_images=0))
    assert outcomes.of_section(section).empty


def test_without_the_images_of_a_preset_there_is_a_line_in_place_of_the_table(tmp_path, monkeypatch, capsys):
    """The verdicts of `cifar100-cpu` can be had from what is published; CIFAR-100 itself has to be fetched."""
    from types import SimpleNamespace

    from semcont.paper.presets import load_preset

    monkeypatch.setenv("SEMCONT_DATA", str(tmp_path))
    section = SimpleNamespace(preset=load_preset("cifar100-cpu"))  # which can neither train nor measure
    found = outcomes.of_section(section)
    said = capsys.readouterr().out
    assert found.empty and list(found.columns)[:3] == ["first", "second", "measure"]
    assert "not at hand" in said and "semcont data" in said
