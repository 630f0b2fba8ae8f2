"""Lists of m/z: their names as features, and one-to-one matching of two of them."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["feature_mz", "feature_names", "match_peaks"]

#: Digits behind the point of a feature's m/z: below 1 ppm from m/z 50 upwards.
DIGITS = 4
MAX_DIGITS = 12

_NAME = re.compile(r"mz_(\d+(?:\.\d+)?)(?:_\d+)?")


def feature_names(mz: Any) -> list[str]:
    """Return a unique name for each m/z, such as ``"mz_773.5272"``.

    Parameters
    ----------
    mz : array-like of float, shape (n,)
        m/z values.

    Returns
    -------
    list of str
        Four digits behind the point; more for those that would collide, and a number
        behind m/z that are equal.

    Examples
    --------
    >>> from imsminer.core.peaktable import feature_names
    >>> feature_names([773.52721, 885.54989])
    ['mz_773.5272', 'mz_885.5499']
    >>> feature_names([100.00001, 100.00002, 200.0, 200.0])
    ['mz_100.00001', 'mz_100.00002', 'mz_200.0000', 'mz_200.0000_2']
    """
    values = [float(value) for value in np.asarray(mz, dtype=np.float64).ravel()]
    names = [f"mz_{value:.{DIGITS}f}" for value in values]
    for digits in range(DIGITS + 1, MAX_DIGITS + 1):
        holders: dict[str, set[float]] = {}
        for name, value in zip(names, values, strict=True):
            holders.setdefault(name, set()).add(value)
        if all(len(held) == 1 for held in holders.values()):
            break
        names = [
            f"mz_{value:.{digits}f}" if len(holders[name]) > 1 else name
            for name, value in zip(names, values, strict=True)
        ]
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            names[position] = f"{name}_{seen[name]}"
    return names


def feature_mz(names: Iterable[Any]) -> np.ndarray:
    """Return the m/z in each name that :func:`feature_names` has made.

    Parameters
    ----------
    names : iterable
        Names of features, such as the columns of a table.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN where a name is of another kind.

    Examples
    --------
    >>> from imsminer.core.peaktable import feature_mz
    >>> feature_mz(["mz_773.5272", "mz_200.0000_2", "roi"])
    array([773.5272, 200.    ,      nan])
    """
    found = [_NAME.fullmatch(str(name)) for name in names]
    return np.array([float(m[1]) if m else np.nan for m in found], dtype=np.float64)


def match_peaks(a: Any, b: Any, tolerance_ppm: Any) -> tuple[np.ndarray, np.ndarray]:
    """Match two lists of m/z one to one, the closest pairs first.

    Parameters
    ----------
    a, b : array-like of float, shape (n_a,) and (n_b,)
        m/z values in any order.
    tolerance_ppm : float or array-like of shape (n_a,)
        Largest distance of a pair, in parts per million of the value in `a`; one for
        all, or one for each value in `a`.

    Returns
    -------
    index_a, index_b : ndarray of int64, shape (n_pairs,)
        Positions of the pairs, in the order of `index_a`. No position occurs twice.

    Raises
    ------
    ValueError
        When a list is not one-dimensional or a tolerance is negative.

    Examples
    --------
    >>> from imsminer.core.peaktable import match_peaks
    >>> match_peaks([500.0, 600.0], [600.001, 499.998, 500.001], tolerance_ppm=10)
    (array([0, 1]), array([2, 0]))
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or b.ndim != 1:
        message = f"match_peaks needs two 1-D lists, got shapes {a.shape} and {b.shape}"
        raise ValueError(message)
    reach = np.broadcast_to(np.asarray(tolerance_ppm, dtype=np.float64), a.shape)
    if np.any(~(reach >= 0)):
        message = f"tolerance_ppm must be 0 or more, got {tolerance_ppm!r}"
        raise ValueError(message)
    reach = reach * np.abs(a) * 1e-6
    order = np.argsort(b, kind="stable")
    low = np.searchsorted(b[order], a - reach, side="left")
    high = np.searchsorted(b[order], a + reach, side="right")
    # All pairs within reach, the closest first.
    i = np.repeat(np.arange(a.size), high - low)
    start = np.concatenate([[0], np.cumsum(high - low)])
    j = order[np.arange(i.size) - np.repeat(start[:-1] - low, high - low)]
    closest = np.argsort(np.abs(a[i] - b[j]), kind="stable")
    i, j = i[closest], j[closest]
    taken_a, taken_b = np.zeros(a.size, bool), np.zeros(b.size, bool)
    pairs = []
    while i.size:
        # A pair that comes first for both of its members is what taking the closest
        # remaining pair, one at a time, would choose.
        chosen = _is_first(i, a.size) & _is_first(j, b.size)
        pairs.append(np.column_stack([i[chosen], j[chosen]]))
        taken_a[i[chosen]], taken_b[j[chosen]] = True, True
        free = ~(taken_a[i] | taken_b[j])
        i, j = i[free], j[free]
    if not pairs:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    table = np.concatenate(pairs)
    table = table[np.argsort(table[:, 0])]
    return table[:, 0], table[:, 1]


def _is_first(values: np.ndarray, n: int) -> np.ndarray:
    """Mark where each of the numbers below `n` occurs for the first time."""
    place = np.arange(values.size)
    first = np.empty(n, np.int64)
    # Of values for the same place the last one stays.
    first[values[::-1]] = place[::-1]
    return first[values] == place
