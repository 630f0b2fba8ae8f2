"""Masses of plain formulas, a million a second: elements and numbers, nothing else."""

import numpy as np
from numba import njit

__all__ = ["plain_masses"]

#: A number of more digits is left to whoever reads formulas that are not plain.
MOST_DIGITS = 6


@njit(nogil=True, cache=True)
def plain_masses(
    text: np.ndarray, bounds: np.ndarray, table: np.ndarray, out: np.ndarray
) -> None:
    """Sum the masses of the atoms of each formula.

    Parameters
    ----------
    text : array of uint8
        The formulas one after the other, in UTF-8.
    bounds : array of int, shape (n + 1,)
        Where each of them starts and ends.
    table : array of float64, shape (26, 27)
        Mass by the first letter of an element and its second one, from 1; 0 in the
        second place stands for none, NaN for what is no element.
    out : array of float64, shape (n,)
        Receives the masses; NaN where a formula holds anything else than elements and
        numbers above 0.
    """
    for i in range(out.size):
        total, k, stop = 0.0, bounds[i], bounds[i + 1]
        if k == stop:
            total = np.nan
        while k < stop:
            first, second = np.int64(text[k]) - 65, np.int64(0)
            k += 1
            if first < 0 or first > 25:
                total = np.nan
                break
            if k < stop and 97 <= text[k] <= 122:
                second = np.int64(text[k]) - 96
                k += 1
            number, digits = np.int64(0), 0
            while k < stop and 48 <= text[k] <= 57:
                number = 10 * number + np.int64(text[k]) - 48
                digits += 1
                k += 1
            if digits > MOST_DIGITS or (digits > 0 and number == 0):
                total = np.nan
                break
            total += max(number, 1) * table[first, second]
        out[i] = total
