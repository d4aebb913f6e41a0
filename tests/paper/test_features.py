"""Section 4.3: retention in closed form, the same destroyed images for everyone, and who goes by the photograph."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from semcont import ImageSet, translate_rgb
from semcont.paper import claims, features, plots
from semcont.paper.plots import style
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, split_of, trained

SMOKE = load_preset("smoke")
KINDS = list(features.DESTRUCTIONS)


@pytest.fixture(autouse=True)
def _look():
    """The figures as a section makes them, closed afterwards."""
    with matplotlib.rc_context():
        style.use()
        yield
    plt.close("all")


class Lookup(nn.Module):
    """Answers for each image that it knows with what it was told (labels or context), else with class 0."""

    def __init__(self, *sets: ImageSet, told: str = "labels") -> None:
        super().__init__()
        pairs = [pair for images in sets for pair in zip(images.images, getattr(images, told), strict=True)]
        self.known = {image.numpy().tobytes(): int(answer) for image, answer in pairs}
        self.classes = len(sets[0].classes)

    def forward(self, x):
        seen = (x * 255).round().to(torch.uint8)
        answers = [self.known.get(image.contiguous().numpy().tobytes(), 0) for image in seen]
        return nn.functional.one_hot(torch.tensor(answers), self.classes).float()


def _test_images() -> ImageSet:
    return split_of(SMOKE, "test")


# --- destroyed images -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_destroyed_images_are_the_same_for_everyone_and_keep_the_pixels(kind):
    images, destruction = _test_images(), features.DESTRUCTIONS[kind]
    for level in destruction.levels:
        torch.manual_seed(int(level))  # the global generator has no say
        first = features.destroyed(images, kind, level)
        torch.rand(3)
        assert torch.equal(first, features.destroyed(images, kind, level))
        assert not torch.equal(first, images.float())
        assert torch.equal(first.flatten(2).sort(2).values, images.float().flatten(2).sort(2).values)
    assert torch.equal(features.destroyed(images, kind, destruction.intact), images.float())


def test_arms_and_seeds_are_measured_on_one_set_of_destroyed_images(monkeypatch):
    """Networks that record what they are shown."""
    shown = []
    monkeypatch.setattr(features, "predict", lambda network, x: shown.append(x) or torch.zeros(len(x), 10))
    for arm, seed in (("base", 0), ("c", 0), ("base", 1)):
        features.on_destroyed(trained(SMOKE, arm, seed), kind="tiles")
    one, two, three = (shown[k : k + 4] for k in (0, 4, 8))
    assert len(shown) == 12
    for a, b, c in zip(one, two, three, strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


def test_levels_mean_what_the_paper_says():
    images = _test_images()
    assert torch.equal(features.destroyed(images, "translated", 1 / 32), translate_rgb(images.float(), 1))
    assert torch.equal(features.destroyed(images, "translated", 1 / 4), translate_rgb(images.float(), 8))
    border = features.destroyed(images, "centre", 0.25)  # 16 x 16 of 32 x 32
    assert torch.equal(border[:, :, :8], images.float()[:, :, :8])
    labels = [features.level_label("centre", level) for level in (0, 0.25, 1.0)]
    assert [*labels, features.level_label("tiles", 4), features.level_label("translated", 1 / 16)] == [
        "original", "25 %", "100 %", "4 × 4", "1/16",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_examples_are_among_the_images_measured(kind):
    images, destruction = _test_images(), features.DESTRUCTIONS[kind]
    pictures = features.examples(images, kind, rows=3)
    assert pictures.shape == (3, 1 + len(destruction.levels), 3, 32, 32)
    for row, picture in enumerate(pictures[:, 0]):
        place = int((images.float() == picture).flatten(1).all(1).nonzero()[0])
        assert images.labels[place] == row
        for column, level in enumerate(destruction.levels, 1):
            assert torch.equal(pictures[row, column], features.destroyed(images, kind, level)[place])
    axes = plots.destroyed_images(pictures, kind)
    assert axes.shape == pictures.shape[:2] and axes[0, 0].get_title() == "original"
    assert features.level_label(kind, destruction.levels[-1]) in features.describe_examples(kind)


# --- retention --------------------------------------------------------------------------------------------------------


def test_retention_in_closed_form():
    clean, correct = np.arange(100) < 90, np.arange(100) < 30
    assert features.retention(correct, clean, 0.1)["value"] == pytest.approx(0.2 / 0.8)
    assert features.retention(np.arange(100) < 10, clean, 0.1)["value"] == pytest.approx(0)
    same = features.retention(clean, clean, 0.1, np.arange(100) // 2)
    assert (same["value"], same["low"], same["high"]) == (1, 1, 1)  # resampled together, so without any width


def test_retention_resamples_groups_and_brackets_its_value():
    rng = np.random.default_rng(0)
    clean, groups = rng.random(400) < 0.9, np.arange(400) // 4
    correct = clean & (np.repeat(rng.random(100), 4) < 0.5)  # a glyph is right or wrong as a whole
    found, alone = features.retention(correct, clean, 0.1, groups), features.retention(correct, clean, 0.1)
    assert found["low"] < found["value"] < found["high"] and found["n"] == 400
    assert found["high"] - found["low"] > 1.5 * (alone["high"] - alone["low"])


def test_a_network_that_guesses_has_nothing_to_retain():
    guess = np.arange(100) < 10
    found = features.retention(np.arange(100) < 20, guess, 0.1)
    assert np.isnan([found["value"], found["low"], found["high"]]).all()


def test_a_perfect_memory_keeps_what_was_not_destroyed():
    images = _test_images()
    run = SimpleNamespace(model=lambda: Lookup(images), images=lambda split: images)
    table = features.on_destroyed(run, kind="centre")
    value = table.set_index(["measure", "level"])["value"]
    zero = float((images.labels == 0).double().mean())
    assert value["accuracy", 0.0] == 1 and value["retention", 0.0] == 1
    assert value["accuracy", 1.0] == pytest.approx(zero) and value["retention", 1.0] == pytest.approx(
        (zero - 0.1) / 0.9
    )


# --- tables, figures and words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_of_four_arms(kind):
    table = pd.concat([measured(trained(SMOKE, arm, 0), features.on_destroyed, kind=kind) for arm in SMOKE.arms])
    levels = [features.DESTRUCTIONS[kind].intact, *features.DESTRUCTIONS[kind].levels]
    assert list(table.columns) == ["arm", "seed", "level", "measure", "value", "n", "low", "high", "chance"]
    assert len(table) == 4 * 2 * len(levels)
    assert list(table[(table["arm"] == "c") & (table["measure"] == "accuracy")]["level"]) == levels
    accuracy = table[table["measure"] == "accuracy"]
    assert accuracy[["n", "low", "high"]].notna().all().all() and accuracy["value"].between(0, 1).all()
    found = features.measures(**{kind: table})
    entry = claims.evidence(found[f"{kind}_accuracy"], "value", case="level", unit="share", references={"chance": 0.1})
    assert len(entry["rows"]) == 4 * (len(levels) - 1)
    left, right = plots.destroyed_accuracy(table, kind).flat
    assert left.get_xticklabels()[0].get_text() == "original" and right.get_title(loc="left") == "Retention"
    assert "chance at 10 %" in features.describe(table, kind)
    assert "Above chance" in features.conclusion(table, kind)


def _table(measure: str, **arms: float) -> pd.DataFrame:
    rows = [
        {"arm": arm, "seed": 0, "level": 4.0, "measure": measure, "value": v, "low": v, "high": v, "chance": 0.1}
        for arm, v in arms.items()
    ]
    return pd.DataFrame(rows)


def test_a_retention_that_is_not_defined_is_left_out():
    table = pd.concat([_table("accuracy", base=0.3), _table("retention", base=float("nan"))])
    assert list(features.measures(tiles=table)) == ["tiles_accuracy"]
    assert "no pair of arms" in features.conclusion(table, "tiles")


def test_the_conclusion_keeps_accuracy_and_retention_apart():
    table = pd.concat([_table("accuracy", base=0.5, c=0.4), _table("retention", base=0.5, c=0.6)])
    above, accuracy, retention = features.conclusion(table, "tiles").splitlines()[:3]
    assert "in 1 of 1" in above
    assert "`c` against `base` lower in 1 of 1: the paper's direction" in accuracy
    assert "`c` against `base` lower in 0 of 1: the opposite direction" in retention


# --- what PhotoDigits knows -------------------------------------------------------------------------------------------


def _cues(network: nn.Module) -> pd.DataFrame:
    run = SimpleNamespace(
        preset=SMOKE, model=lambda: network, images=lambda split, **options: split_of(SMOKE, split, **options)
    )
    return features.cues(run).set_index(["test", "measure"])


def test_a_network_that_sees_the_photograph_alone_reaches_the_cue_and_follows_it():
    sets = [split_of(SMOKE, "test", **options) for options in features.CUES.values()]
    table = _cues(Lookup(*sets, told="context"))
    for test in features.CUES:
        assert table["value"][test, "accuracy"] == pytest.approx(table["cue"][test, "accuracy"])
    assert table["value"]["conflict", "accuracy"] == 0 and table["value"]["conflict", "follows"] == 1
    assert table["value"]["conflict", "loss"] == pytest.approx(table["cue"]["standard", "accuracy"])


def test_a_network_that_sees_the_digit_alone_loses_nothing():
    sets = [split_of(SMOKE, "test", **options) for options in features.CUES.values()]
    assert all(torch.equal(sets[0].groups, other.groups) for other in sets)  # the same digits, image by image
    table = _cues(Lookup(*sets))
    assert table["value"]["conflict", "accuracy"] == 1 and table["value"]["conflict", "loss"] == 0
    assert table["value"]["conflict", "follows"] == 0


def test_the_cues_of_the_arms_are_told_in_words():
    table = pd.concat([measured(trained(SMOKE, arm, 0), features.cues) for arm in SMOKE.arms], ignore_index=True)
    assert len(table) == 4 * 6
    shown = features.cues_as_read(table)
    assert list(shown.columns)[2:] == ["base", "c", "adv", "adv+c"] and len(shown) == 6
    follows = table["measure"] == "follows"
    table.loc[follows & (table["arm"] == "c"), ["value", "low", "high"]] = (0.5, 0.4, 0.6)
    table.loc[follows & (table["arm"] == "base"), ["value", "low", "high"]] = (0.1, 0.05, 0.15)
    text = features.conclusion_cues(table)
    assert "`c` follows the photograph where it contradicts the digit **more** than `base`" in text
    assert "50.0 % against 10.0 % (intervals apart)" in text


def test_other_data_do_not_know_what_is_context():
    run = SimpleNamespace(preset=SimpleNamespace(data=SimpleNamespace(name="color_digits")))
    table = features.cues(run)
    assert table.empty and "measure" in table.columns
    labelled = table.assign(arm=[], seed=[])
    assert features.cues_as_read(labelled).empty and "nothing is measured" in features.conclusion_cues(labelled)
