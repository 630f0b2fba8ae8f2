"""Compiled loops over arrays stored in an .ibd file."""

import numpy as np
from numba import njit

__all__ = ["first_not_finite", "first_unsorted", "gather"]


@njit(nogil=True, cache=True)
def _copy(stored, out):
    for k in range(out.size):
        out[k] = stored[k]


@njit(nogil=True, cache=True)
def gather(stored, starts, lengths, out, out_starts):
    """Copy pieces of a stored array into one flat array, as its number type.

    Typed elements are copied, never bytes: that is what the compiler vectorises.

    Parameters
    ----------
    stored : ndarray
        The file as an array of the stored type. It may be shifted against the type's
        alignment: the loads that numba compiles to do not need it.
    starts, lengths : ndarray of int64, shape (n,)
        The pieces, in elements of `stored`.
    out : ndarray
        Filled.
    out_starts : ndarray of int64, shape (n,)
        Where each piece goes.
    """
    for row in range(starts.size):
        start, length, to = starts[row], lengths[row], out_starts[row]
        _copy(stored[start : start + length], out[to : to + length])


@njit(nogil=True, cache=True)
def _n_falls(values):
    """Count neighbours that do not rise or stay; a NaN always counts."""
    falls = 0
    head, tail = values[:-1], values[1:]
    for k in range(head.size):
        falls += not (tail[k] >= head[k])
    return falls


@njit(nogil=True, cache=True)
def first_unsorted(values, indptr):
    """Return the first piece that is not finite and ascending, or -1."""
    for row in range(indptr.size - 1):
        piece = values[indptr[row] : indptr[row + 1]]
        if piece.size == 0:
            continue
        if _n_falls(piece) > 0:
            return row
        # Sorted: only the ends can be infinite; a single NaN fails here too.
        if not (piece[0] > -np.inf and piece[piece.size - 1] < np.inf):
            return row
    return -1


@njit(nogil=True, cache=True)
def _n_not_finite(values):
    count = 0
    for k in range(values.size):
        count += not (abs(values[k]) < np.inf)
    return count


@njit(nogil=True, cache=True)
def first_not_finite(values, indptr):
    """Return the first piece that holds a NaN or an infinity, or -1."""
    if _n_not_finite(values[indptr[0] : indptr[-1]]) == 0:
        return -1
    for row in range(indptr.size - 1):
        if _n_not_finite(values[indptr[row] : indptr[row + 1]]) > 0:
            return row
    return -1
