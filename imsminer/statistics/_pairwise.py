"""Tests of two groups for many features at once: columns are features."""

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

__all__ = ["Result", "area_under_curve", "mann_whitney", "paired", "varies", "welch"]

#: Largest number of ways to deal ranks to two groups that are all looked at.
MAX_ARRANGEMENTS = 20_000
#: Up to this many units in the smaller group, U without ties has its exact distribution
#: (as in SciPy).
EXACT = 8
#: Spread below this share of the values is rounding.
RELATIVE = 1e-12


class Result(NamedTuple):
    """Arrays of shape (n_features,); NaN where there is no answer."""

    statistic: np.ndarray
    df: np.ndarray
    p: np.ndarray
    low: np.ndarray
    high: np.ndarray


def welch(a: np.ndarray, b: np.ndarray, confidence: float) -> Result:
    """Welch's t of the mean of `b` minus that of `a`, (n, n_features) each."""
    parts = [x.var(axis=0, ddof=1) / len(x) for x in (a, b)]
    square = parts[0] + parts[1]
    fine = square > (RELATIVE * _size(a, b)) ** 2
    square = np.where(fine, square, np.nan)
    df = square**2 / sum(
        part**2 / (len(x) - 1) for part, x in zip(parts, (a, b), strict=True)
    )
    return _by_t(b.mean(axis=0) - a.mean(axis=0), np.sqrt(square), df, confidence)


def paired(a: np.ndarray, b: np.ndarray, confidence: float) -> Result:
    """Student's t of `b` minus `a`, row by row."""
    difference = b - a
    error = difference.std(axis=0, ddof=1) / math.sqrt(len(a))
    error = np.where(error > RELATIVE * _size(a, b), error, np.nan)
    df = np.where(np.isnan(error), np.nan, len(a) - 1.0)
    return _by_t(difference.mean(axis=0), error, df, confidence)


def _by_t(
    difference: np.ndarray, error: np.ndarray, df: np.ndarray, confidence: float
) -> Result:
    statistic = difference / error
    reach = stdtrit(df, 0.5 + 0.5 * confidence) * error
    p = 2 * stdtr(df, -np.abs(statistic))
    return Result(statistic, df, p, difference - reach, difference + reach)


def mann_whitney(a: np.ndarray, b: np.ndarray, confidence: float) -> Result:
    """Mann–Whitney's U: pairs in which `b` is larger, ties count one half.

    Two-sided. Without ties p is SciPy's, feature by feature. With ties and few units it
    is that of all arrangements of the tied ranks, with many the normal approximation
    corrected for ties and continuity. The interval is that of Hodges and Lehmann for
    the shift.
    """
    from scipy.stats import mannwhitneyu, rankdata

    n_a, n_b = len(a), len(b)
    ranks = rankdata(np.concatenate([a, b]), axis=0)
    u = ranks[n_a:].sum(axis=0) - n_b * (n_b + 1) / 2
    ordered = np.sort(ranks, axis=0)
    tied = (np.diff(ordered, axis=0) == 0).any(axis=0)
    constant = ordered[0] == ordered[-1]
    p = np.full(u.shape, np.nan)
    few = min(n_a, n_b) <= EXACT
    if np.any(~tied):
        method = "exact" if few else "asymptotic"
        found = mannwhitneyu(b[:, ~tied], a[:, ~tied], axis=0, method=method)
        p[~tied] = found.pvalue
    rest = tied & ~constant
    if np.any(rest):
        if math.comb(n_a + n_b, n_b) <= MAX_ARRANGEMENTS:
            p[rest] = _over_arrangements(ranks[:, rest], n_a)
        else:
            found = mannwhitneyu(b[:, rest], a[:, rest], axis=0, method="asymptotic")
            p[rest] = found.pvalue
    low, high = _shift_interval(a, b, confidence)
    nan = np.where(constant, np.nan, 0.0)
    return Result(u, np.full(u.shape, np.nan), p, low + nan, high + nan)


def _over_arrangements(ranks: np.ndarray, n_a: int) -> np.ndarray:
    """Share of all ways to deal the ranks that are as extreme, two-sided."""
    n, n_b = len(ranks), len(ranks) - n_a
    dealt = np.array(list(combinations(range(n), n_b)))
    chosen = np.zeros((len(dealt), n))
    chosen[np.arange(len(dealt))[:, None], dealt] = 1.0
    expected = n_b * (n + 1) / 2
    observed = np.abs(ranks[n_a:].sum(axis=0) - expected)
    p = np.empty(ranks.shape[1])
    step = max(1, 4_000_000 // len(dealt))
    for start in range(0, p.size, step):
        part = slice(start, start + step)
        # Sums of halves are exact; the small number is for the sums' own order.
        extreme = np.abs(chosen @ ranks[:, part] - expected) >= observed[part] - 1e-9
        p[part] = extreme.mean(axis=0)
    return p


def _shift_interval(
    a: np.ndarray, b: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the shift from the ordered differences of all pairs.

    Infinite where even the widest one does not reach the confidence.
    """
    n_a, n_b, n_features = len(a), len(b), a.shape[1]
    skip = _pairs_outside(n_a, n_b, confidence)
    if skip == 0:
        return np.full(n_features, -np.inf), np.full(n_features, np.inf)
    low, high = np.empty(n_features), np.empty(n_features)
    step = max(1, 4_000_000 // (n_a * n_b))
    for start in range(0, n_features, step):
        part = slice(start, start + step)
        pairs = (b[:, None, part] - a[None, :, part]).reshape(n_a * n_b, -1)
        pairs.partition((skip - 1, n_a * n_b - skip), axis=0)
        low[part], high[part] = pairs[skip - 1], pairs[n_a * n_b - skip]
    return low, high


def _pairs_outside(n_a: int, n_b: int, confidence: float) -> int:
    """Return the largest k with P(U < k) at most half of what is left over."""
    tail = 0.5 * (1 - confidence)
    if min(n_a, n_b) > EXACT:
        from scipy.special import ndtri

        spread = math.sqrt(n_a * n_b * (n_a + n_b + 1) / 12)
        return max(0, math.floor(0.5 * (n_a * n_b + 1) + ndtri(tail) * spread))
    # Coefficients of the Gaussian binomial: ways to reach each U.
    ways = np.zeros(n_a * n_b + 1)
    ways[0] = 1.0
    for i in range(1, min(n_a, n_b) + 1):
        top = max(n_a, n_b) + i
        ways[top:] -= ways[:-top].copy() if top < ways.size else 0.0
        for start in range(i):
            ways[start::i] = np.cumsum(ways[start::i])
    below = np.cumsum(ways) / math.comb(n_a + n_b, n_a)
    return int(np.searchsorted(below, tail * (1 + 1e-9), side="right"))


def area_under_curve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Share of pairs in which `b` is larger than `a`, ties count one half."""
    from scipy.stats import rankdata

    n_a, n_b = len(a), len(b)
    ranks = rankdata(np.concatenate([a, b]), axis=0)
    return (ranks[n_a:].sum(axis=0) - n_b * (n_b + 1) / 2) / (n_a * n_b)


def varies(*groups: np.ndarray) -> np.ndarray:
    """Whether a feature differs at all between units."""
    values = np.concatenate(groups)
    spread = values.max(axis=0) - values.min(axis=0)
    return spread > RELATIVE * np.abs(values).max(axis=0)


def _size(*groups: np.ndarray) -> np.ndarray:
    return np.max([np.abs(x).max(axis=0) for x in groups], axis=0)
