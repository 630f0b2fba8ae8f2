"""Analysis of variance for many features at once, and Tukey's pairs."""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import fdtrc

__all__ = ["Contrasts", "analysis_of_variance", "indicator", "tukey_p", "tukey_reach"]

#: Nodes between which p-values of the studentized range are interpolated.
N_NODES = 40
#: Spread below this share of the values is rounding.
RELATIVE = 1e-12


class Contrasts(NamedTuple):
    """Differences of pairs of groups, and the test of all groups."""

    difference: np.ndarray
    """Second minus first of each pair, (n_pairs, n_features)."""
    error: np.ndarray
    """Its standard error, NaN without variation."""
    df: np.ndarray
    """Its degrees of freedom, (n_pairs,)."""
    statistic: np.ndarray
    """F of all groups, (n_features,)."""
    statistic_df: tuple[float, float]
    p: np.ndarray


def indicator(codes: np.ndarray, n: int) -> np.ndarray:
    """Columns of 0 and 1, one per code."""
    return (codes[:, None] == np.arange(n)).astype(np.float64)


def analysis_of_variance(
    values: np.ndarray,
    groups: np.ndarray,
    blocks: np.ndarray | None,
    pairs: np.ndarray,
) -> Contrasts:
    """Least squares of groups, and of blocks beside them without interaction.

    Parameters
    ----------
    values : ndarray of shape (n, n_features)
        One row per unit.
    groups, blocks : ndarray of int, shape (n,)
        Codes from 0, each with at least one row.
    pairs : ndarray of int, shape (n_pairs, 2)
        Groups to compare.

    Returns
    -------
    Contrasts
        All NaN where nothing is left to estimate the error from.

    Raises
    ------
    ValueError
        When blocks do not connect the groups.
    """
    k = int(groups.max()) + 1
    # Centred values keep the precision of small differences between large numbers.
    centre = values.mean(axis=0)
    values = values - centre
    design = indicator(groups, k)
    rest = np.ones((len(values), 1))
    if blocks is not None:
        n_blocks = int(blocks.max()) + 1
        rest = indicator(blocks, n_blocks)
        design = np.concatenate([design, rest[:, 1:]], axis=1)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        message = (
            "the blocks do not connect all groups: no chain of blocks leads from each "
            "group to each other. Leave groups out, or name another block."
        )
        raise ValueError(message)
    df = len(values) - design.shape[1]
    squares = _residual(values, design)
    explained = _residual(values, rest) - squares
    within = squares / df if df > 0 else np.full(squares.shape, np.nan)
    size = np.abs(values).max(axis=0) + np.abs(centre)
    within = np.where(within > (RELATIVE * size) ** 2, within, np.nan)
    statistic = np.maximum(explained, 0.0) / (k - 1) / within
    inverse = np.linalg.inv(design.T @ design)
    effect = (inverse @ design.T @ values)[:k]
    first, second = pairs.T
    variance = inverse[first, first] + inverse[second, second]
    variance -= 2 * inverse[first, second]
    return Contrasts(
        effect[second] - effect[first],
        np.sqrt(variance[:, None] * within),
        np.full(len(pairs), float(df)),
        statistic,
        (k - 1.0, float(df)),
        fdtrc(k - 1.0, float(df), statistic) if df > 0 else within,
    )


def _residual(values: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Sum of squares that `design` leaves over."""
    basis = np.linalg.qr(design)[0]
    rest = values - basis @ (basis.T @ values)
    return (rest * rest).sum(axis=0)


def tukey_p(t: np.ndarray, n_groups: int, df: float) -> np.ndarray:
    """p of the largest of all differences between `n_groups` means, from their t.

    SciPy's studentized range takes 40 ms for one number; for many, p is interpolated,
    to within 1e-4 of itself. Beyond 1e-6, where SciPy's integral loses its digits, p
    goes on in proportion to Bonferroni's bound, which has the same tail.
    """
    from scipy.special import stdtr

    t = np.abs(np.asarray(t, dtype=np.float64))
    bound = _n_pairs(n_groups) * 2 * stdtr(df, -t)
    if n_groups == 2:
        return bound
    p = np.full(t.shape, np.nan)
    far = bound < _reliable(df)
    near = ~far & ~np.isnan(t)
    if np.any(near) and t[near].size <= N_NODES:
        p[near] = _range_tail(t[near], n_groups, df)
    elif np.any(near):
        from scipy.interpolate import CubicSpline

        nodes, log_p = _range_nodes(n_groups, df)
        p[near] = np.exp(CubicSpline(nodes, log_p)(_folded(t[near])))
    if np.any(far):
        p[far] = bound[far] * _tail_share(n_groups, df)
    return np.minimum(p, 1.0)


def _n_pairs(n_groups: int) -> float:
    return 0.5 * n_groups * (n_groups - 1)


def _reliable(df: float) -> float:
    """Bonferroni's bound down to which SciPy's studentized range keeps its digits."""
    return 1e-6 if df >= 2 else 1e-3


def _range_tail(t: np.ndarray, n_groups: int, df: float) -> np.ndarray:
    from scipy.stats import studentized_range

    return studentized_range.sf(np.sqrt(2) * t, n_groups, df)


def _folded(t: np.ndarray) -> np.ndarray:
    """A scale on which the logarithm of p is close to a line for small df as well."""
    return np.log1p(t)


def _end(n_groups: int, df: float) -> float:
    """The t from which on p follows the bound."""
    from scipy.special import stdtrit

    return float(-stdtrit(df, 0.5 * _reliable(df) / _n_pairs(n_groups)))


@cache
def _range_nodes(n_groups: int, df: float) -> tuple[np.ndarray, np.ndarray]:
    nodes = np.linspace(0.0, _folded(np.array(_end(n_groups, df))), N_NODES)
    return nodes, np.log(_range_tail(np.expm1(nodes), n_groups, df))


@cache
def _tail_share(n_groups: int, df: float) -> float:
    """p over Bonferroni's bound in the far tail."""
    end = np.array([_end(n_groups, df)])
    return float(_range_tail(end, n_groups, df)[0] / _reliable(df))


@cache
def tukey_reach(confidence: float, n_groups: int, df: float) -> float:
    """Half the width of a simultaneous interval, in standard errors."""
    from scipy.special import stdtrit
    from scipy.stats import studentized_range

    if n_groups == 2:
        return float(stdtrit(df, 0.5 + 0.5 * confidence))
    return float(studentized_range.isf(1 - confidence, n_groups, df) / np.sqrt(2))
