"""Intervals: closed forms, an independent implementation, coverage on simulated data."""

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp
from scipy.stats import t as student

from semcont.paper.statistics import accuracy, bootstrap, detectable, holm, interval, mean, paired, share


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


@pytest.mark.parametrize("right", [False, True])
def test_no_success_and_nothing_but_success_have_wilsons_interval_of_the_groups(right):
    groups = np.arange(200) // 4
    found = accuracy(np.full(200, right), groups)
    assert (found["low"], found["high"]) == interval(50 * right, 50) and found["accuracy"] == right
    assert found["high"] - found["low"] == pytest.approx(0.071, abs=1e-3), "50 trials, not 200, and not none"
    alone = accuracy(np.full(200, right))
    assert alone["high"] - alone["low"] < found["high"] - found["low"]
    assert share(np.full(200, 0.5), groups)["low"] == 0.5, "one value of all that is no share of 0 or 1"


def test_rare_events_are_covered_where_the_bootstrap_alone_would_miss_them():
    """One glyph in a hundred is an event, with all its copies: samples of 60 glyphs often hold none."""
    rng, groups, covered, bare = np.random.default_rng(5), np.repeat(np.arange(60), 4), 0, 0
    for trial in range(200):
        events = (rng.random(60) < 0.01)[groups]
        found, low_high = accuracy(events, groups, seed=trial), bootstrap(events, groups, seed=trial)
        covered += found["low"] <= 0.01 <= found["high"]
        bare += low_high[0] <= 0.01 <= low_high[1]
    assert covered / 200 > 0.9 and bare / 200 < 0.6


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="not empty"):
        bootstrap(np.array([]))
    with pytest.raises(ValueError, match="groups"):
        bootstrap(np.ones(3), np.zeros(2))


def test_the_ends_of_wilsons_interval_are_exact():
    assert all(interval(0, n)[0] == 0.0 and interval(n, n)[1] == 1.0 for n in range(1, 400))


# --- over seeds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("null", [0.0, -0.3])
def test_the_paired_t_agrees_with_scipy(null):
    values = np.random.default_rng(5).normal(0.4, 1, 7)
    ours = paired(values, null=null, level=0.9)
    theirs = ttest_1samp(values, null, alternative="greater")
    bounds = ttest_1samp(values, 0).confidence_interval(0.9)
    assert (ours.low, ours.high) == pytest.approx((bounds.low, bounds.high))
    assert (ours.above, ours.below) == pytest.approx((theirs.pvalue, 1 - theirs.pvalue))
    assert (ours.n, ours.mean, ours.sd) == pytest.approx((7, values.mean(), values.std(ddof=1)))


def test_the_tail_of_a_strong_effect_is_small_and_not_nothing():
    values = 5 + 0.01 * np.arange(10)
    found = [paired(sign * values) for sign in (1, -1)]
    assert 0 < found[0].above < 1e-15 and found[1].below == pytest.approx(found[0].above)


def test_equal_differences_are_no_certainty():
    assert paired([0.1, 0.1, 0.1])[3:] == pytest.approx((0.1, 0.1, 0.125, 1.0))
    assert paired([-1, -1]).below == 0.25
    assert paired([0.0, 0.0])[3:] == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("values", [[], [0.1], [0.1, float("nan")], [[0.1, 0.2]]])
def test_one_seed_is_no_test(values):
    with pytest.raises(ValueError, match="at least two"):
        paired(values)


def simulated(effect: float, seeds: int, trials: int = 4000) -> list:
    """Paired differences of two arms with a known effect: what a seed does to both, which cancels, and to each."""
    rng = np.random.default_rng(seeds)
    shared = rng.normal(0.6, 0.1, (trials, seeds))
    first, second = (shared + rng.normal(0, 0.02, (trials, seeds)) for _ in range(2))
    return [paired(row) for row in first + effect - second]


@pytest.mark.parametrize("seeds", [3, 10])
def test_intervals_over_seeds_cover_the_known_effect(seeds):
    covered = np.mean([test.low <= 0.03 <= test.high for test in simulated(0.03, seeds)])
    assert abs(covered - 0.95) < 0.012  # 3.5 standard errors of 4000 trials


@pytest.mark.parametrize("seeds", [3, 10])
def test_without_an_effect_one_test_in_twenty_is_wrong(seeds):
    wrong = np.mean([2 * min(test.above, test.below) < 0.05 for test in simulated(0.0, seeds)])
    assert abs(wrong - 0.05) < 0.012


@pytest.mark.parametrize("seeds", [3, 10])
def test_the_detectable_effect_is_found_as_often_as_it_says(seeds):
    effect = detectable(0.02 * 2**0.5, seeds)
    found = np.mean([test.above < 0.025 for test in simulated(effect, seeds)])
    assert abs(found - 0.8) < 0.023


def test_the_detectable_effect_is_the_textbooks():
    """Cohen's d for ten pairs, two-sided 5 %, power 80 %, is 0.996; less with more seeds, more with a correction."""
    assert detectable(1.0, 10) == pytest.approx(0.996, abs=1e-3)
    assert detectable(2.0, 10) == pytest.approx(2 * detectable(1.0, 10))
    assert detectable(1.0, 30) < detectable(1.0, 10) < detectable(1.0, 10, alpha=0.05 / 8)
    assert detectable(0.0, 3) == 0
    with pytest.raises(ValueError, match="n >= 2"):
        detectable(1.0, 1)


def test_holm_by_hand():
    """Holm's scheme: 3 x 0.01, 2 x 0.03, then not below the one before; never above 1."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([0.02]) == pytest.approx([0.02])
    assert len(holm([])) == 0


def test_holm_keeps_the_chance_of_any_false_verdict():
    """Eight primary claims; none true, or half of them: at most one study in twenty says anything false."""
    rng = np.random.default_rng(6)
    for true in (0, 4):
        effect = np.where(np.arange(8) < true, 2.0, 0.0)
        values = rng.normal(effect, 1, (2000, 10, 8)).transpose(0, 2, 1)
        t = values.mean(2) / (values.std(2, ddof=1) / 10**0.5)
        p = 2 * student.sf(np.abs(t), 9)
        any_false = np.mean([(holm(row)[true:] < 0.05).any() for row in p])
        assert 0.02 < any_false < 0.065
        if true:
            assert np.mean([(holm(row)[:true] < 0.05).mean() for row in p]) > 0.95
