"""Windows of m/z and ion mobility around peaks that share no point."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["mobility_windows", "split_in_mobility", "split_overlaps"]


def mobility_windows(peaks: pd.DataFrame) -> np.ndarray | None:
    """Return the windows of ion mobility of a peak table that has them."""
    columns = ["mobility_left", "mobility_right"]
    present = [name for name in columns if name in peaks.columns]
    if not present:
        return None
    if len(present) == 1:
        message = (
            f"PeakIntegrator: the peak table has {present[0]}, but a window of ion "
            f"mobility needs both of {columns}. Add the other one (NaN: no limit)."
        )
        raise ValueError(message)
    table = peaks[columns].to_numpy(dtype=np.float64)
    table = np.where(np.isnan(table), [-np.inf, np.inf], table)
    wrong = np.flatnonzero(~(table[:, 0] < table[:, 1]))
    if wrong.size:
        left, right = table[wrong[0]]
        message = (
            "PeakIntegrator: mobility_left must be below mobility_right, but at m/z "
            f"{peaks['mz'].iloc[wrong[0]]:g} they are {left:g} and {right:g}. Correct "
            "the peak table."
        )
        raise ValueError(message)
    return table


def split_overlaps(mz: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Cut overlapping windows at the midpoint of their overlap.

    Parameters
    ----------
    mz, low, high : ndarray of float64, shape (n_peaks,)
        Centres in increasing order, and the windows around them.

    Returns
    -------
    ndarray of float64, shape (n_peaks, 2)
        Windows that share no m/z; each still holds its centre.
    """
    low, high = low.copy(), high.copy()
    overlap = high[:-1] > low[1:]
    middle = np.clip(0.5 * (high[:-1] + low[1:]), mz[:-1], mz[1:])
    high[:-1] = np.where(overlap, middle, high[:-1])
    low[1:] = np.where(overlap, middle, low[1:])
    return np.column_stack([low, high])


def split_in_mobility(
    mz: np.ndarray, low: np.ndarray, high: np.ndarray, mobility: np.ndarray
) -> np.ndarray:
    """Cut windows that overlap in m/z *and* mobility at the midpoint in m/z.

    Parameters
    ----------
    mz, low, high : ndarray of float64, shape (n_peaks,)
        Centres in increasing order, and the windows around them.
    mobility : ndarray of float64, shape (n_peaks, 2)
        Half-open windows of mobility.

    Returns
    -------
    ndarray of float64, shape (n_peaks, 2)
        Windows that share no point.
    """
    result = np.column_stack([low, high])
    reach = np.maximum.accumulate(high)
    for j in range(1, mz.size):
        first = int(np.searchsorted(reach, low[j], side="right"))
        for i in range(first, j):
            meets = max(mobility[i, 0], mobility[j, 0]) < min(
                mobility[i, 1], mobility[j, 1]
            )
            if meets and high[i] > low[j]:
                middle = min(max(0.5 * (high[i] + low[j]), mz[i]), mz[j])
                result[i, 1] = min(result[i, 1], middle)
                result[j, 0] = max(result[j, 0], middle)
    return result
