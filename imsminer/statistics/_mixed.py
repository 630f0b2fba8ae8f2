"""A mixed model with a random intercept for many features at once."""

import numpy as np
from scipy.special import fdtrc

from imsminer.statistics._linear import RELATIVE, Contrasts, indicator

__all__ = ["mixed_model"]

#: Ratios of the variances between and within levels that are tried first; those below
#: 0 in units of the smallest that is possible.
BELOW = -1 + np.logspace(-4, 0, 25)
ABOVE = np.logspace(-4, 6, 61)
#: Steps of the golden section around the best of them: to 1e-9 of the interval.
STEPS = 45
GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)


def mixed_model(
    values: np.ndarray, groups: np.ndarray, levels: np.ndarray, pairs: np.ndarray
) -> Contrasts:
    """Fixed groups and a correlation within levels, by restricted likelihood.

    All features share the design, so one eigendecomposition (Kang et al. 2008) makes
    the likelihood a sum over as many terms as there are values, and the ratio of the
    two variances is found for all features together.

    The variance between levels may come out below 0: values of one level are then less
    alike than others. A bound at 0 makes F too large in blocks and too small for units
    with repeats; without it, F of complete designs is that of the analysis of variance,
    and exact. Only where units have unequal numbers of repeats is 0 the bound: below
    it, the unit with the most of them would take all the weight.

    Parameters
    ----------
    values : ndarray of shape (n, n_features)
        One row per value.
    groups, levels : ndarray of int, shape (n,)
        Codes from 0, each with at least one row. Levels hold several groups (blocks)
        or one each (units with repeated values).
    pairs : ndarray of int, shape (n_pairs, 2)
        Groups to compare.

    Returns
    -------
    Contrasts
        Degrees of freedom by containment: for pairs that some level holds both of, of
        what groups and levels leave over; for others, of levels minus groups.
    """
    n, k = len(values), int(groups.max()) + 1
    m = int(levels.max()) + 1
    X, Z = indicator(groups, k), indicator(levels, m)
    centre = values.mean(axis=0)
    values = values - centre
    basis = np.linalg.qr(X, mode="complete")[0][:, k:]
    roots, vectors = np.linalg.eigh(basis.T @ Z @ Z.T @ basis)
    roots = np.maximum(roots, 0.0)
    rotated = (vectors.T @ basis.T @ values) ** 2
    ratio = _best_ratio(roots, rotated, _least_ratio(X, Z))
    within = (rotated / (1 + ratio * roots[:, None])).sum(axis=0) / (n - k)
    size = np.abs(values).max(axis=0) + np.abs(centre)
    within = np.where(within > (RELATIVE * size) ** 2, within, np.nan)
    effect, inverse = _generalized(values, X, Z, ratio)
    df = _degrees(X, Z, pairs)
    first, second = pairs.T
    variance = inverse[:, first, first] + inverse[:, second, second]
    variance -= 2 * inverse[:, first, second]
    all_pairs = np.stack(np.triu_indices(k, 1), axis=1)
    statistic_df = (k - 1.0, float(_degrees(X, Z, all_pairs).min()))
    statistic = _wald(effect, inverse) / (k - 1) / within
    return Contrasts(
        effect[second] - effect[first],
        np.sqrt(variance.T * within),
        df,
        statistic,
        statistic_df,
        fdtrc(*statistic_df, statistic)
        if statistic_df[1] > 0
        else np.full(within.shape, np.nan),
    )


def _least_ratio(X: np.ndarray, Z: np.ndarray) -> float:
    size = Z.sum(axis=0)
    holds_several = ((Z.T @ X > 0).sum(axis=1) > 1).any()
    return -1.0 / size.max() if holds_several or np.ptp(size) == 0 else 0.0


def _best_ratio(roots: np.ndarray, rotated: np.ndarray, least: float) -> np.ndarray:
    """Ratio of variances of the largest restricted likelihood, (n_features,)."""
    # The limit itself would make V singular.
    ratios = np.concatenate([-least * BELOW, ABOVE])

    def cost(ratio: np.ndarray) -> np.ndarray:
        scale = 1 + ratio * roots[:, None]
        total = np.maximum((rotated / scale).sum(axis=0), np.finfo(float).tiny)
        return len(roots) * np.log(total) + np.log(scale).sum(axis=0)

    n_features = rotated.shape[1]
    found = np.stack([cost(np.full(n_features, ratio)) for ratio in ratios])
    best = np.argmin(found, axis=0)
    low = ratios[np.maximum(best - 1, 0)]
    high = ratios[np.minimum(best + 1, len(ratios) - 1)]
    for _ in range(STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        smaller = cost(left) < cost(right)
        low, high = np.where(smaller, low, left), np.where(smaller, right, high)
    return 0.5 * (low + high)


def _generalized(
    values: np.ndarray, X: np.ndarray, Z: np.ndarray, ratio: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Effects (k, n_features), and the inverse of XᵀV⁻¹X of each feature."""
    size = Z.sum(axis=0)
    # V⁻¹ = 1 − Z diag(shrink) Zᵀ for V = 1 + ratio · ZZᵀ.
    shrink = ratio[:, None] / (1 + ratio[:, None] * size)
    W = Z.T @ X
    normal = X.T @ X - np.einsum("mi,fm,mj->fij", W, shrink, W, optimize=True)
    right = X.T @ values - W.T @ (shrink.T * (Z.T @ values))
    inverse = np.linalg.inv(normal)
    return np.einsum("fij,jf->if", inverse, right), inverse


def _wald(effect: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Quadratic form of the differences from the first group, (n_features,)."""
    step = effect[1:] - effect[0]
    spread = inverse[:, 1:, 1:] + inverse[:, :1, :1]
    spread = spread - inverse[:, 1:, :1] - inverse[:, :1, 1:]
    weighted = np.linalg.solve(spread, step.T[..., None])[..., 0]
    return np.einsum("if,fi->f", step, weighted)


def _degrees(X: np.ndarray, Z: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Degrees of freedom of each pair, 0 or more."""
    n, k = X.shape
    m = Z.shape[1]
    held = (Z.T @ X > 0).astype(int)
    together = held.T @ held
    inside = n - np.linalg.matrix_rank(np.concatenate([X, Z], axis=1))
    between = max(m - k, 0)
    crossed = together[pairs[:, 0], pairs[:, 1]] > 0
    return np.where(crossed, inside, between).astype(np.float64)
