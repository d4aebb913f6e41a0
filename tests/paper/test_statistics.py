"""Intervals: closed forms, an independent implementation, coverage on simulated data."""

import numpy as np
import pytest
from scipy.stats import binomtest

from semcont.paper.statistics import accuracy, bootstrap, interval, mean


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (500, 1000), (1000, 1000), (1, 3)])
def test_wilson_agrees_with_scipy(successes, n):
    ours = interval(successes, n)
    theirs = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_the_impossible(successes, n):
    with pytest.raises(ValueError, match=str(n)):
        interval(successes, n)


def test_the_bootstrap_of_a_mean_is_near_the_normal_interval():
    values = np.random.default_rng(1).normal(2, 3, 4000)
    low, high = bootstrap(values)
    half = 1.96 * values.std() / len(values) ** 0.5
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.015)


def test_identical_copies_in_a_group_do_not_narrow_the_interval():
    values = np.random.default_rng(2).random(200)
    alone = bootstrap(values)
    copied = bootstrap(np.repeat(values, 5), np.repeat(np.arange(200), 5))
    naive = bootstrap(np.repeat(values, 5))
    assert copied == pytest.approx(alone, abs=0.01)
    assert naive[1] - naive[0] < 0.6 * (copied[1] - copied[0])


def test_a_statistic_of_ones_own_gets_weights_per_value():
    values = np.arange(10.0)
    weighted = bootstrap(values, statistic=lambda w, v: (w @ v) / w.sum(1), seed=3)
    assert weighted == pytest.approx(bootstrap(values, seed=3), abs=1e-12)


def test_the_group_bootstrap_covers_at_about_its_level():
    rng = np.random.default_rng(4)
    covered = 0
    for trial in range(300):
        effect = rng.normal(0, 1, 60)
        groups = np.repeat(np.arange(60), 4)
        low, high = bootstrap(effect[groups] + rng.normal(0, 0.5, 240), groups, resamples=400, seed=trial)
        covered += low <= 0 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_accuracy_and_mean_give_n_value_and_interval():
    correct = np.array([True] * 80 + [False] * 20)
    row = accuracy(correct)
    assert row["n"] == 100 and row["accuracy"] == 0.8 and (row["low"], row["high"]) == interval(80, 100)
    grouped = accuracy(correct, np.arange(100) // 10)
    assert grouped["low"] < row["low"] < 0.8 < row["high"] < grouped["high"]
    assert mean(correct)["mean"] == 0.8
    assert accuracy(np.ones(5, bool), np.arange(5))["high"] == 1.0


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="not empty"):
        bootstrap(np.array([]))
    with pytest.raises(ValueError, match="groups"):
        bootstrap(np.ones(3), np.zeros(2))
