"""Intervals and tests, of two kinds that must not be mixed.

Over *images* (`interval`, `bootstrap`, `accuracy`, `share`, `mean`): how much another draw of the test set would move
a number of these networks. Over *seeds* (`paired`, `holm`, `detectable`): what may be said of the arms, of which each
seed gives one network.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
"""Coverage of every interval unless a call says otherwise."""

POWER = 0.8
"""The chance with which `detectable` asks an effect to be found."""


# --- over images ------------------------------------------------------------------------------------------------------


def interval(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval for a share of `successes` among n independent trials. Raises `ValueError` for n < 1."""
    from scipy.stats import norm

    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"needs 0 <= successes <= n and n >= 1, not {successes} of {n}")
    z = norm.ppf(0.5 + level / 2)
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low = 0.0 if successes == 0 else max(0.0, float(centre - half))  # the two ends are exact, and rounding misses them
    high = 1.0 if successes == n else min(1.0, float(centre + half))
    return low, high


def bootstrap(
    values: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    resamples: int = 2000,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of the mean of `values` (n,), resampling whole groups where `groups` (n,) is given.

    On PhotoDigits a group is a glyph: one glyph appears on many photographs, so images are not independent.
    `statistic(weights (r, n), values)` replaces the weighted mean. Raises `ValueError` for no values or unequal
    lengths.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values must be one-dimensional and not empty, not of shape {values.shape}")
    groups = np.arange(len(values)) if groups is None else np.asarray(groups)
    if groups.shape != values.shape:
        raise ValueError(f"{len(values)} values but groups of shape {groups.shape}")
    _, member = np.unique(groups, return_inverse=True)
    count = int(member.max()) + 1
    drawn = _drawn(count, resamples, seed)  # (r, groups)
    if statistic is not None:
        results = statistic(drawn[:, member], values)
    else:  # sums per group first: a hundred times less work than weights per image
        sums = np.bincount(member, weights=values, minlength=count)
        sizes = np.bincount(member, minlength=count)
        results = (drawn @ sums) / (drawn @ sizes)
    low, high = np.quantile(results, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


@lru_cache(maxsize=4)
def _drawn(count: int, resamples: int, seed: int) -> np.ndarray:
    """How often each of `count` groups is drawn in each resample; drawing takes forty times as long as using it."""
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    drawn.flags.writeable = False
    return drawn


def accuracy(correct, groups=None, *, seed: int = 0) -> dict[str, float]:
    """{"n", "accuracy", "low", "high"} of n right or wrong answers, at 95 %.

    The interval is that of `share` over `groups` where they are given, else Wilson's.
    """
    correct = np.asarray(correct, dtype=bool)
    if groups is not None:
        found = share(correct, groups, seed=seed)
        return {"n": found.pop("n"), "accuracy": found.pop("mean")} | found
    low, high = interval(int(correct.sum()), len(correct))
    return {"n": len(correct), "accuracy": float(correct.mean()), "low": low, "high": high}


def share(values, groups, *, seed: int = 0) -> dict[str, float]:
    """{"n", "mean", "low", "high"}: `mean` over `groups` of values in [0, 1] that may all be 0, or all 1.

    Then every resample is the same, and a bootstrap would call the share exactly known. So the interval is Wilson's of
    as many trials as there are groups, as if all images of a group had to turn out alike: too wide rather than too
    narrow.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values) or values.min() != values.max() or values[0] not in (0, 1):
        return mean(values, groups, seed=seed)
    trials = len(np.unique(groups))
    low, high = interval(trials if values[0] else 0, trials)
    return {"n": len(values), "mean": float(values[0]), "low": low, "high": high}


def mean(values, groups=None, *, seed: int = 0) -> dict[str, float]:
    """{"n", "mean", "low", "high"}: the mean of n values, a 95 % bootstrap interval over `groups` (else values)."""
    values = np.asarray(values, dtype=np.float64)
    low, high = bootstrap(values, groups, seed=seed)
    return {"n": len(values), "mean": float(values.mean()), "low": low, "high": high}


# --- over seeds -------------------------------------------------------------------------------------------------------


class Paired(NamedTuple):
    """A paired t test over seeds: their number, mean and standard deviation, an interval, two one-sided p values.

    `above` is the p value of "the mean is at most `null`", small where the mean lies above it; `below` the other side.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    above: float
    below: float


def paired(differences, *, null: float = 0.0, level: float = LEVEL) -> Paired:
    """Student's t on the differences (n,) between two arms, one per seed.

    The interval is mean -+ t(n - 1) sd / sqrt(n). Where all differences are equal, the interval is that value and t
    says nothing; the p values are then those of the sign test, 2^-n, which no set of n signs can go below. Raises
    `ValueError` for fewer than two differences and for values that are not finite.
    """
    from scipy.stats import t

    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"a paired t needs at least two finite differences, one per seed, not {values.tolist()}")
    n, mean, sd = len(values), float(values.mean()), float(values.std(ddof=1))
    if sd <= 1e-12 * max(1.0, abs(mean)):
        chance = 0.5**n
        above, below = (chance, 1.0) if mean > null else (1.0, chance) if mean < null else (1.0, 1.0)
        return Paired(n, mean, 0.0, mean, mean, above, below)
    error = sd / np.sqrt(n)
    half = float(t.ppf(0.5 + level / 2, n - 1) * error)
    above = float(t.sf((mean - null) / error, n - 1))
    below = float(t.cdf((mean - null) / error, n - 1))  # not 1 - above, which is 0 where below is tiny
    return Paired(n, mean, sd, mean - half, mean + half, above, below)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p values (m,) of m tests: below 0.05 with at most that chance of any false rejection among them.

    Holm, Scandinavian Journal of Statistics 6 (1979). The k-th smallest is multiplied by m - k + 1, and none is below
    the one before it.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def detectable(sd: float, n: int, *, alpha: float = 1 - LEVEL, power: float = POWER) -> float:
    """The smallest mean difference that a two-sided paired t of n seeds finds with chance `power` at level `alpha`.

    By the noncentral t with n - 1 degrees of freedom and noncentrality effect / (sd / sqrt(n)); in the unit of `sd`,
    the standard deviation of the differences. Raises `ValueError` for n < 2 or a negative `sd`.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    if n < 2 or sd < 0:
        raise ValueError(f"needs n >= 2 and sd >= 0, not n = {n} and sd = {sd}")
    critical = t.ppf(1 - alpha / 2, n - 1)
    # The other tail is left out: where the power is 80 %, it holds next to nothing, and scipy's is not stable there.
    missed = lambda shift: nct.sf(critical, n - 1, shift) - power  # noqa: E731
    return float(brentq(missed, 0.0, 4 * critical + 10) * sd / np.sqrt(n))
