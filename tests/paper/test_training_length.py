"""Training lengths: when an arm has levelled off, where two arms change places, on tables whose answer is known."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from semcont import attacks
from semcont.paper import plots, training_length
from semcont.paper.presets import load_preset
from semcont.paper.runs import measured, predict, trained

SMOKE = load_preset("smoke")


def _table(split: str = "val", measures=("clean", "attacked"), **arms: dict[int, list[float]]) -> pd.DataFrame:
    """For each arm the values of its seeds by length; every measure the same."""
    rows = [
        {"arm": arm, "seed": seed, "epochs": n, "updates": 10 * n, "split": split, "measure": measure, "value": value}
        for arm, lengths in arms.items()
        for n, values in lengths.items()
        for seed, value in enumerate(values)
        for measure in measures
    ]
    return pd.DataFrame(rows).assign(n=100, low=lambda t: t["value"] - 0.05, high=lambda t: t["value"] + 0.05)


def test_an_arm_has_levelled_off_from_where_no_later_doubling_moves_it():
    curve = {4: [0.3, 0.5], 8: [0.5, 0.7], 16: [0.505, 0.705], 32: [0.6, 0.8], 64: [0.606, 0.804]}
    changes = training_length.doublings(_table(base=curve), tolerance=1.0)
    clean = changes[changes["measure"] == "clean"].set_index("epochs")
    assert clean["change"].tolist() == pytest.approx([20, 0.5, 9.5, 0.5])
    assert clean["level"].tolist() == [False, False, False, True]  # 8 -> 16 is calm, but 16 -> 32 is not
    assert (clean["least"] <= clean["change"]).all() and clean["most"][64] == pytest.approx(0.6)
    row = training_length.levelled(changes).iloc[0]
    assert row["epochs"] == 32 and row["last_change"] == pytest.approx(0.5)


def test_seeds_that_cancel_each_other_are_told():
    """The mean over seeds is level, and no seed is: one fell by ten points, the two others rose by five."""
    table = _table(c={32: [0.3, 0.3, 0.3], 64: [0.2, 0.35, 0.35]})
    found = training_length.levelled(training_length.doublings(table, 1.0)).iloc[0]
    assert found["epochs"] == 32 and found["last_change"] == pytest.approx(0)
    assert found["last_seed"] == pytest.approx(-10)
    assert "changed it by +0.0 points, one seed by -10.0" in training_length.conclusion(table.assign(split="val"), 1.0)
    alone = training_length.conclusion(table[table["seed"] == 0].assign(split="val"), 1.0)
    assert "changed it by -10.0 points on its only seed." in alone


def test_a_fall_is_a_change_and_both_measures_have_to_be_level():
    falls = training_length.doublings(_table(base={8: [0.9], 16: [0.8]}), 1.0)
    assert np.isnan(training_length.levelled(falls)["epochs"][0])
    calm, moving = (
        _table(measures=("clean",), c={8: [0.9], 16: [0.9]}),
        _table(measures=("attacked",), c={8: [0.3], 16: [0.4]}),
    )
    found = training_length.levelled(training_length.doublings(pd.concat([calm, moving]), 1.0))
    assert np.isnan(found["epochs"][0]) and found["last_change"][0] == pytest.approx(10)


def test_lengths_without_their_half_are_no_doubling():
    assert training_length.doublings(_table(base={5: [0.1], 12: [0.2]}), 1.0).empty


def test_the_turn_of_two_arms_is_found_between_its_lengths():
    adv = {4: [0.4, 0.42], 8: [0.45, 0.46], 16: [0.46, 0.45]}
    constrained = {4: [0.3, 0.31], 8: [0.44, 0.45], 16: [0.5, 0.52]}
    table = _table("test", ("attacked",), adv=adv, **{"adv+c": constrained})
    order = training_length.orders(table)
    assert order["mean"].tolist() == pytest.approx([-0.105, -0.01, 0.055]) and set(order["n"]) == {2}
    turned = training_length.turns(order)
    assert turned[["first", "second", "before", "after", "ahead"]].values.tolist() == [["adv+c", "adv", 8, 16, "adv+c"]]
    assert training_length.turns(order[order["epochs"] < 16]).empty
    text = training_length.conclusion(pd.concat([table, _table(adv=adv)]), 1.0)
    assert "`adv+c` goes ahead in the pair `adv+c`, `adv` between 8 and 16 epochs" in text
    assert "`adv` has **not** levelled off" not in text and "In 0 of 1 comparisons" in text
    shown = training_length.reading(order)
    assert list(shown.columns) == ["arms", "measure", "4 epochs", "8 epochs", "16 epochs"]


def test_a_tie_is_no_turn():
    table = _table("test", ("clean",), base={4: [0.5], 8: [0.6], 16: [0.7]}, c={4: [0.6], 8: [0.6], 16: [0.8]})
    assert training_length.turns(training_length.orders(table)).empty


def test_updates_are_steps_of_the_optimiser():
    assert training_length.updates(SMOKE, 3) == 3 * 4  # 200 images in batches of 50


def test_where_training_took_the_validation_images_the_test_images_are_looked_at():
    test = _table("test", base={4: [0.3], 8: [0.5]}).assign(value=lambda t: t["value"] + 0.1)
    both = pd.concat([test, _table("val", base={4: [0.3], 8: [0.4]})])
    assert [training_length.looked_at(table) for table in (test, both)] == ["test", "val"]
    for table, points in ((test, 20), (both, 10)):
        assert training_length.doublings(table, 1.0)["change"].tolist() == pytest.approx([points, points])
    assert "changes test accuracy" in training_length.conclusion(test, 1.0)
    worst = _table("test", ("worst",), base={4: [0.3], 8: [0.9]})
    assert set(training_length.doublings(pd.concat([test, worst]), 1.0)["measure"]) == {"clean", "attacked"}


def test_validation_accuracy_is_that_of_the_network():
    run = trained(SMOKE, "base", 0)
    found = measured(run, training_length.on_validation).set_index("measure")
    images, network = run.images("val"), run.model()
    clean = float((predict(network, images).argmax(1) == images.labels).double().mean())
    settings = SMOKE.evaluation.in_pixels()
    assert found["accuracy"]["clean"] == pytest.approx(clean) and found["n"]["clean"] == SMOKE.data.val
    attacked = attacks.robust_accuracy(network, images.float(), images.labels, **settings, seed=0)
    assert found["accuracy"]["attacked"] == pytest.approx(attacked) and attacked <= clean


def test_the_figure_has_a_point_for_each_length():
    table = _table("test", ("clean", "attacked"), base={4: [0.5, 0.6], 8: [0.6, 0.7]}, c={4: [0.4], 8: [0.6]})
    axes = plots.training_lengths(table)
    assert axes.shape == (1, 2) and axes[0, 0].get_xscale() == "log"
    assert axes[0, 0].lines[0].get_xdata().tolist() == [40, 80]
    assert [text.get_text() for text in axes[0, 0].get_xticklabels()] == ["40", "80"]
    assert "at 8 epochs base 65 %" in training_length.describe(table)
    plt.close("all")
    assert "one length only" in training_length.conclusion(pd.DataFrame(), 1.0)


def test_updates_are_written_as_short_as_seven_of_them_need():
    axes = plots.training_lengths(_table("test", base={75: [0.5], 150: [0.6], 4813: [0.6], 9950: [0.7], 45_045: [0.7]}))
    assert [text.get_text() for text in axes[0, 0].get_xticklabels()] == ["750", "1.5k", "48k", "100k", "450k"]
    plt.close("all")


def test_arms_at_two_lengths_alone_are_judged_and_make_no_curve():
    curve = {4: [0.4, 0.5], 8: [0.6, 0.7], 16: [0.7, 0.8]}
    table = pd.concat(
        [
            _table(split, adv=curve, **{"adv+c": curve}, aug={8: [0.9], 16: [0.9]}, **{"aug+c": {8: [0.8], 16: [0.85]}})
            for split in ("val", "test")
        ]
    )
    assert set(training_length.curves(table)["arm"]) == {"adv", "adv+c"}
    axes = plots.training_lengths(table)
    assert all(len(line.get_xdata()) == 3 for line in axes[0, 0].lines)
    plt.close("all")
    assert "aug" not in training_length.describe(table)
    levelled = training_length.levelled(training_length.doublings(table, 1.0)).set_index("arm")["epochs"]
    assert levelled["aug"] == 8 and np.isnan(levelled["aug+c"])
    shown = training_length.reading(training_length.orders(table)).set_index(["arms", "measure"])
    row = shown.loc[("aug+c − aug", "Clean accuracy")]
    assert list(shown.columns) == ["4 epochs", "8 epochs", "16 epochs"]
    assert row["4 epochs"] == "" and row["16 epochs"].startswith("-5.0")
