"""A look for NaN and infinity, at the speed of reading."""

import numba as nb

__all__ = ["first_not_finite"]


# Sums may be reordered (lanes of a vector); NaN and infinity stay what they are.
@nb.njit(nogil=True, cache=True, fastmath={"reassoc"})
def first_not_finite(values):
    """Return the first row of a matrix with a value that is not finite, or -1."""
    zero = values.dtype.type(0)
    for i in range(values.shape[0]):
        total = zero
        row = values[i]
        for j in range(row.size):
            # 0 for a number, NaN for anything else.
            total += row[j] - row[j]
        if not total == zero:
            return i
    return -1
