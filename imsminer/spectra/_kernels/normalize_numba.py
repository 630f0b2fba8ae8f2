"""A number for each spectrum, and the division by it, on the CPU.

Sums and divisions are float64 whatever the input's dtype. NaN is not assumed away: one
in a spectrum makes its number NaN, and then all of its values.
"""

import numba as nb
import numpy as np

__all__ = [
    "divide_points",
    "divide_rows",
    "maxima",
    "median_columns",
    "medians",
    "square_sums",
    "sum_points",
    "sum_rows",
]

# Sums of one row may be reordered (lanes of a vector), but NaN must survive.
REORDER = {"reassoc", "contract", "nsz"}

# Spectra with more points are first narrowed down to those near their median, by the
# order of a sample of this size.
LONG = 4096
SAMPLE = 1024
# Ranks of the sample within which the median of all lies, but for 1 case in 10 million.
REACH = 85


@nb.njit(nogil=True, cache=True, fastmath=REORDER)
def _sum(y):
    total = 0.0
    for j in range(y.size):
        total += np.float64(y[j])
    return total


@nb.njit(nogil=True, cache=True, fastmath=REORDER)
def _sum_squares(y):
    total = 0.0
    for j in range(y.size):
        value = np.float64(y[j])
        total += value * value
    return total


@nb.njit(nogil=True, cache=True)
def _divide(y, factor, out):
    if factor == 0.0:
        for j in range(out.size):
            out[j] = 0.0
    else:
        for j in range(out.size):
            out[j] = np.float64(y[j]) / factor


@nb.njit(nogil=True, cache=True)
def sum_rows(X, total):
    """Set `total` (n,) float64 to the sums of the rows of `X` (n, m)."""
    for i in range(X.shape[0]):
        total[i] = _sum(X[i])


@nb.njit(nogil=True, cache=True)
def sum_points(intensity, indptr, total):
    """Set `total` (n,) to the sums of spectra that lie one after the other."""
    for i in range(total.size):
        total[i] = _sum(intensity[indptr[i] : indptr[i + 1]])


@nb.njit(nogil=True, cache=True)
def square_sums(intensity, indptr, out):
    """Set `out` (n,) to the sums of squares."""
    for i in range(out.size):
        out[i] = _sum_squares(intensity[indptr[i] : indptr[i + 1]])


@nb.njit(nogil=True, cache=True)
def _largest(values):
    top = values[0]
    for j in range(values.size):
        top = values[j] if values[j] > top else top
    return top


@nb.njit(nogil=True, cache=True)
def _top_bits(bits, indptr, out):
    for i in range(out.size):
        row = bits[indptr[i] : indptr[i + 1]]
        out[i] = _largest(row) if row.size else 0
        if out[i] < 0:
            # All values are negative, and their bits are in the opposite order.
            out[i] = row.min()


def maxima(intensity, indptr, out):
    """Set `out` (n,) to the largest values; 0 for a spectrum without points.

    The bits of positive floats are in the order of the floats, and the maximum of
    integers is quick, since it need not care for NaN.
    """
    integer = np.dtype(f"i{intensity.itemsize}")
    tops = np.empty(out.size, integer)
    _top_bits(intensity.view(integer), indptr, tops)
    out[:] = tops.view(intensity.dtype)


@nb.njit(nogil=True, cache=True)
def _select(values, k):
    """Return the `k`-th smallest value, with the smaller ones before it (Hoare)."""
    low, high = 0, values.size - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@nb.njit(nogil=True, cache=True)
def _middle(values, upper, even):
    """Return the value of rank `upper`, or its mean with the one below."""
    top = np.float64(_select(values, upper))
    if not even:
        return top
    below = values[0]
    for j in range(1, upper):
        below = values[j] if values[j] > below else below
    below = np.float64(below)
    return below + 0.5 * (top - below)


@nb.njit(nogil=True, cache=True)
def _keep(values, low, high, out):
    """Copy the values in [low, high] to `out`; return how many, and how many below."""
    n, below = 0, 0
    for j in range(values.size):
        value = values[j]
        out[n] = value
        n += np.int64(low <= value) & np.int64(value <= high)
        below += np.int64(value < low)
    return n, below


@nb.njit(nogil=True, cache=True)
def _median(values, spare):
    """Return the median of `values`, which are reordered; `spare` holds one more."""
    n = values.size
    even, upper = n % 2 == 0, n // 2
    if n > LONG:
        sample = values[:: n // SAMPLE].copy()
        center = sample.size // 2
        low = _select(sample, center - REACH)
        high = _select(sample, center + REACH)
        kept, below = _keep(values, low, high, spare)
        if below + even <= upper and upper < below + kept:
            return _middle(spare[:kept], upper - below, even)
    return _middle(values, upper, even)


@nb.njit(nogil=True, cache=True)
def medians(intensity, indptr, out):
    """Set `out` (n,) to the medians of values that are not 0; 0 where there is none."""
    longest = 0
    for i in range(out.size):
        longest = max(longest, indptr[i + 1] - indptr[i])
    # One more, because a value is written before it is known to stay.
    values = np.empty(longest + 1, intensity.dtype)
    spare = np.empty(longest + 1, intensity.dtype)
    for i in range(out.size):
        y = intensity[indptr[i] : indptr[i + 1]]
        n, broken = 0, 0
        for j in range(y.size):
            values[n] = y[j]
            n += np.int64(y[j] != 0)
            # NaN and infinity less themselves are NaN.
            broken += np.int64(y[j] - y[j] != 0)
        if broken > 0:
            out[i] = np.nan
        elif n == 0:
            out[i] = 0.0
        else:
            out[i] = _median(values[:n], spare)


@nb.njit(nogil=True, cache=True)
def median_columns(X, total, out):
    """Set `out` (m,) to the medians of ``X / total[:, None]`` over rows above 0."""
    rows = np.flatnonzero(total > 0)
    # As many columns at a time as a cache line holds.
    values = np.empty((16, rows.size))
    spare = np.empty(rows.size + 1)
    for start in range(0, X.shape[1], 16):
        width = min(16, X.shape[1] - start)
        for k in range(rows.size):
            row, size = X[rows[k], start : start + width], total[rows[k]]
            for j in range(width):
                values[j, k] = np.float64(row[j]) / size
        for j in range(width):
            out[start + j] = _median(values[j], spare) if rows.size else 0.0


@nb.njit(nogil=True, cache=True)
def divide_rows(X, factors, out):
    """Divide each row of `X` by its factor (n,); a factor of 0 gives 0."""
    for i in range(X.shape[0]):
        _divide(X[i], factors[i], out[i])


@nb.njit(nogil=True, cache=True)
def divide_points(intensity, indptr, factors, out):
    """Do the same for spectra that lie one after the other."""
    for i in range(factors.size):
        low, high = indptr[i], indptr[i + 1]
        _divide(intensity[low:high], factors[i], out[low:high])
