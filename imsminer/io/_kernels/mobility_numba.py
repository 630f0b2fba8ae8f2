"""Compiled loops that put points with ion mobilities into the order of their m/z."""

import numpy as np
from numba import njit

__all__ = ["is_sorted", "merge_points", "sort_points"]


@njit(nogil=True, cache=True)
def is_sorted(mz, mobility, indptr, distinct):
    """Whether all points lie in order of m/z, then mobility, without equal m/z.

    Parameters
    ----------
    mz, mobility : ndarray of float64, shape (n_points,)
        The points of all spectra.
    indptr : ndarray of int64, shape (n + 1,)
        Where each spectrum starts and ends.
    distinct : bool
        Whether equal m/z are out of order, whatever their mobilities.
    """
    for row in range(indptr.size - 1):
        for k in range(indptr[row] + 1, indptr[row + 1]):
            if mz[k] > mz[k - 1]:
                continue
            if distinct or mz[k] != mz[k - 1] or not mobility[k] >= mobility[k - 1]:
                return False
    return True


@njit(nogil=True, cache=True)
def _order(mz, mobility):
    """Return the order of points by m/z, then mobility, then place."""
    order = np.argsort(mz, kind="mergesort")
    start = 0
    for k in range(1, order.size + 1):
        if k < order.size and mz[order[k]] == mz[order[start]]:
            continue
        if k - start > 1:
            equal = order[start:k].copy()
            order[start:k] = equal[np.argsort(mobility[equal], kind="mergesort")]
        start = k
    return order


@njit(nogil=True, cache=True)
def sort_points(mz, intensity, mobility, indptr, out_mz, out_intensity, out_mobility):
    """Sort the points of each spectrum by m/z, then mobility, into new arrays."""
    for row in range(indptr.size - 1):
        first, last = indptr[row], indptr[row + 1]
        order = _order(mz[first:last], mobility[first:last])
        for k in range(order.size):
            at = first + order[k]
            out_mz[first + k] = mz[at]
            out_intensity[first + k] = intensity[at]
            out_mobility[first + k] = mobility[at]


@njit(nogil=True, cache=True)
def merge_points(mz, intensity, mobility, indptr):
    """Add up sorted points of equal m/z, in place.

    The mobility of a sum is the mean, weighted by intensity; the plain mean where the
    intensities add up to nothing.

    Returns
    -------
    bounds : ndarray of int64, shape (n + 1,)
        Where each spectrum starts and ends now.
    n_points : int
        Number of points that are left, at the front of the arrays.
    """
    bounds = np.zeros_like(indptr)
    to = 0
    for row in range(indptr.size - 1):
        k = indptr[row]
        while k < indptr[row + 1]:
            start = k
            # In double precision, and rounded once.
            total = np.float64(intensity[k])
            weighted = total * mobility[k]
            plain = mobility[k]
            k += 1
            while k < indptr[row + 1] and mz[k] == mz[start]:
                total += intensity[k]
                weighted += np.float64(intensity[k]) * mobility[k]
                plain += mobility[k]
                k += 1
            mean = mobility[start]
            if k - start > 1:
                mean = weighted / total if total > 0 else plain / (k - start)
            mz[to] = mz[start]
            intensity[to] = total
            mobility[to] = mean
            to += 1
        bounds[row + 1] = to
    return bounds, to
