"""Intervals. One resamples images, or groups of images that share an object; the other knows the binomial."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

LEVEL = 0.95
"""Coverage of every interval unless a call says otherwise."""


def interval(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval for a share of `successes` among n independent trials. Raises `ValueError` for n < 1."""
    from scipy.stats import norm

    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"needs 0 <= successes <= n and n >= 1, not {successes} of {n}")
    z = norm.ppf(0.5 + level / 2)
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


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

    The interval is a bootstrap over `groups` where they are given, else Wilson's.
    """
    correct = np.asarray(correct, dtype=bool)
    low, high = interval(int(correct.sum()), len(correct)) if groups is None else bootstrap(correct, groups, seed=seed)
    return {"n": len(correct), "accuracy": float(correct.mean()), "low": low, "high": high}


def mean(values, groups=None, *, seed: int = 0) -> dict[str, float]:
    """{"n", "mean", "low", "high"}: the mean of n values, a 95 % bootstrap interval over `groups` (else values)."""
    values = np.asarray(values, dtype=np.float64)
    low, high = bootstrap(values, groups, seed=seed)
    return {"n": len(values), "mean": float(values.mean()), "low": low, "high": high}
