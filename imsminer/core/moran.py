"""Moran's I: how much spatial structure an ion image has.

I = (N / S0) · zᵀWz / zᵀz, where z are the deviations from the mean, W says who is whose
neighbour, and S0 is the number of its entries. 1 is a smooth image, 0 is noise.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import ndtr

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy,
    is_numpy_array,
    namespace_of,
    to_numpy,
)
from imsminer.core._kernels import moran_numba, moran_xp
from imsminer.core.grid import coordinates_of, neighbor_matrix

__all__ = ["moran_i", "moran_test"]

# Features whose deviations are held in float64 at once: 18 MB for 35,000 pixels.
_BLOCK = 64


class _Sums(NamedTuple):
    """What the images enter with; arrays of shape (n_runs, n_features)."""

    cross: np.ndarray
    """zᵀWz."""
    second: np.ndarray
    """zᵀz."""
    fourth: np.ndarray
    """Σz⁴."""


class _Graph(NamedTuple):
    """What the neighbours enter with; arrays of shape (n_runs,)."""

    n: np.ndarray
    s0: np.ndarray
    s1: np.ndarray
    s2: np.ndarray


def moran_i(
    features: Any, coordinates: Any = None, runs: Any = None, *, radius: int = 1
) -> np.ndarray:
    """Moran's I of each feature.

    Parameters
    ----------
    features : DataFrame or array of shape (n_pixels, n_features)
        One ion image a column; finite. With scikit-learn's ``array_api_dispatch`` on,
        arrays of other libraries than NumPy are computed where they live; else they
        are copied to the host.
    coordinates : array-like of shape (n_pixels, 2 or 3), default=None
        Integer x, y and maybe z of the pixels. By default from the index of
        `features`.
    runs : array-like of shape (n_pixels,), default=None
        The run of each pixel. By default from the index, else a single run.
    radius : int, default=1
        Neighbours are up to this many king's moves away, in the same run and plane,
        and not across a gap. 1 gives the 8-neighbourhood.

    Returns
    -------
    ndarray of shape (n_features,), float64
        0 for an image without variation, or where no pixel has a neighbour. On the
        host, whatever the namespace of `features`.

    Raises
    ------
    ValueError
        When nothing says where the pixels are, or `features` are not finite.

    Notes
    -----
    With several runs z is the deviation from the mean of the pixel's own run: a run
    that is brighter as a whole is not spatial structure.

    Works on blocks of features, so that memory does not grow with their number.

    References
    ----------
    Moran P. A. P. (1950). Notes on continuous stochastic phenomena. Biometrika 37, 17.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer.core.moran import moran_i
    >>> y, x = np.mgrid[:20, :20].reshape(2, -1)
    >>> half, chequered = 1.0 * (x < 10), 1.0 * ((x + y) % 2)
    >>> coordinates = np.stack([x, y], axis=1)
    >>> moran_i(np.stack([half, chequered], axis=1), coordinates).round(2)
    array([ 0.92, -0.03])
    """
    sums, graph = _statistics(features, coordinates, runs, radius)
    return _index(sums, graph)


def moran_test(
    features: Any, coordinates: Any = None, runs: Any = None, *, radius: int = 1
) -> pd.DataFrame:
    """Moran's I of each feature, against an image with its pixels shuffled.

    Parameters
    ----------
    features, coordinates, runs, radius
        As in :func:`moran_i`.

    Returns
    -------
    DataFrame
        One row per feature (the column names of `features`, or numbers from 0) with
        ``moran_i``, ``expected`` and ``sd`` of I over all permutations of the pixels
        within their runs (exact moments, the "randomisation" null of [1]_), ``z``, and
        ``p``: the one-sided probability of an I as large, by the normal approximation,
        which needs some 100 pixels. An image without variation has z = 0 and p = 1.
        A run of fewer than 4 pixels has no such variance and adds none.

    References
    ----------
    .. [1] Cliff A. D., Ord J. K. (1981). Spatial processes: models and applications.
       Pion, London.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer.core.moran import moran_test
    >>> y, x = np.mgrid[:20, :20].reshape(2, -1)
    >>> table = moran_test(1.0 * (x < 10)[:, None], np.stack([x, y], axis=1))
    >>> table.round(3)
       moran_i  expected     sd       z    p
    0    0.922    -0.003  0.026  35.844  0.0
    """
    sums, graph = _statistics(features, coordinates, runs, radius)
    index = _index(sums, graph)
    expected, variance = _null(sums, graph)
    deviation = np.sqrt(variance)
    z = np.divide(
        index - expected, deviation, out=np.zeros_like(index), where=deviation > 0
    )
    names = features.columns if isinstance(features, pd.DataFrame) else None
    return pd.DataFrame(
        {
            "moran_i": index,
            "expected": expected,
            "sd": deviation,
            "z": z,
            "p": np.where(deviation > 0, ndtr(-z), 1.0),
        },
        index=names,
    )


def _index(sums: _Sums, graph: _Graph) -> np.ndarray:
    """I with the runs pooled, 0 where it is 0/0."""
    total = sums.second.sum(axis=0) * (graph.s0.sum() / graph.n.sum())
    cross = sums.cross.sum(axis=0)
    return np.divide(cross, total, out=np.zeros_like(total), where=total > 0)


def _null(sums: _Sums, graph: _Graph) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of I over permutations within runs.

    The cross products of the runs are independent, so their moments add up; they share
    one denominator, which no permutation changes.
    """
    n, s0, s1, s2 = (np.asarray(v, dtype=np.float64)[:, None] for v in graph)
    with np.errstate(divide="ignore", invalid="ignore"):
        kurtosis = n * sums.fourth / sums.second**2
        mean = -1 / (n - 1)
        numerator = n * ((n**2 - 3 * n + 3) * s1 - n * s2 + 3 * s0**2)
        numerator = numerator - kurtosis * ((n**2 - n) * s1 - 2 * n * s2 + 6 * s0**2)
        variance = numerator / ((n - 1) * (n - 2) * (n - 3) * s0**2) - mean**2
        # Of I in each run; I = (n / s0) · cross / second.
        scale = s0 * sums.second / n
    mean = np.where(n > 1, mean * scale, 0)
    usable = (n > 3) & (s0 > 0) & (sums.second > 0)
    variance = np.where(usable, np.maximum(variance, 0) * scale**2, 0)
    total = sums.second.sum(axis=0) * (graph.s0.sum() / graph.n.sum())
    zero = np.zeros_like(total)
    expected = np.divide(mean.sum(axis=0), total, out=zero.copy(), where=total > 0)
    spread = np.divide(variance.sum(axis=0), total**2, out=zero, where=total > 0)
    return expected, spread


def _statistics(
    features: Any, coordinates: Any, runs: Any, radius: int
) -> tuple[_Sums, _Graph]:
    """Sums over pixels and neighbours, per run."""
    pixels = coordinates_of(features, coordinates, runs, estimator="Moran's I")
    values = features
    if isinstance(features, pd.DataFrame):
        values = features.to_numpy()
    elif is_numpy(namespace_of(features)):
        values = to_numpy(features)
    if values.ndim != 2:
        message = (
            "features must have the shape (n_pixels, n_features), one ion image a "
            f"column; found {values.shape}."
        )
        raise ValueError(message)
    around = neighbor_matrix(pixels, radius)
    n_runs = int(pixels.runs.max()) + 1
    n = np.bincount(pixels.runs, minlength=n_runs)
    degree = np.diff(around.indptr).astype(np.float64)
    s0 = np.bincount(pixels.runs, degree, minlength=n_runs)
    # W is symmetric and binary: S1 = ½ Σ(w_ij + w_ji)² = 2·S0, S2 = Σ(2·degree)².
    s2 = np.bincount(pixels.runs, 4 * degree**2, minlength=n_runs)
    once = sparse.csr_array(sparse.triu(around, k=1))
    parts = []
    for start in range(0, values.shape[1], _BLOCK):
        block = values[:, start : min(start + _BLOCK, values.shape[1])]
        if is_numpy_array(block):
            parts.append(_sums_numpy(block, pixels.runs, once, n_runs))
        else:
            parts.append(_sums_xp(block, pixels.runs, once, n_runs))
    empty = np.zeros((n_runs, 0))
    cross, second, fourth = (
        np.concatenate([empty, *(part[i] for part in parts)], axis=1) for i in range(3)
    )
    if not np.isfinite(second).all():
        message = "features hold NaN or infinite values: no Moran's I."
        raise ValueError(message)
    return _Sums(2 * cross, second, fourth), _Graph(n, s0, 2 * s0, s2)


def _sums_numpy(
    block: np.ndarray, run: np.ndarray, once: sparse.csr_array, n_runs: int
) -> tuple[np.ndarray, ...]:
    centred = np.array(block, dtype=np.float64, order="C")
    largest = np.maximum(centred.max(axis=0), -centred.min(axis=0))
    if n_runs == 1:
        centred -= centred.mean(axis=0)
    else:
        member = sparse.csr_array(
            (np.ones(len(run)), (run, np.arange(len(run)))), shape=(n_runs, len(run))
        )
        means = (member @ centred) / member.sum(axis=1)[:, None]
        centred -= means[run]
    sums = moran_numba.moran_sums(centred, run, once.indptr, once.indices, n_runs)
    return _without_rounding(sums, largest, np.float64, run)


def _sums_xp(
    block: Any, run: np.ndarray, once: sparse.csr_array, n_runs: int
) -> tuple[np.ndarray, ...]:
    xp, device = array_namespace(block), device_of(block)
    left, right = once.tocoo().coords
    members, pairs = [], []
    for r in range(n_runs):
        inside = run[left] == r
        members.append(xp.asarray(np.flatnonzero(run == r), device=device))
        pairs.append(
            tuple(
                xp.asarray(side[inside].astype(np.int64), device=device)
                for side in (left, right)
            )
        )
    means = xp.stack([xp.mean(xp.take(block, m, axis=0), axis=0) for m in members])
    centred = block - xp.take(means, xp.asarray(run, device=device), axis=0)
    kernels = device_kernels(block, moran_xp)
    sums = kernels.moran_sums(centred, members, pairs)
    largest = to_numpy(xp.max(xp.abs(block), axis=0)).astype(np.float64)
    host = tuple(to_numpy(part).astype(np.float64) for part in sums)
    return _without_rounding(host, largest, to_numpy(block[:1, :1]).dtype, run)


def _without_rounding(
    sums: tuple[np.ndarray, ...], largest: np.ndarray, dtype: Any, run: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Set to 0 what rounding leaves of an image that is constant over a run."""
    noise = 8 * np.finfo(dtype).eps * largest[None, :]
    flat = sums[1] <= np.bincount(run)[:, None] * noise**2
    return tuple(np.where(flat, 0, part) for part in sums)
