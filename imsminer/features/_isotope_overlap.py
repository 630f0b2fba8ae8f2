"""Hits that may be isotopologues of stronger ions."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

__all__ = ["isotope_overlap"]

#: Difference of the masses of 13C and 12C, and their ratio in nature.
DISTANCE_13C = 1.0033548378
RATIO_13C = 0.0107 / 0.9893
#: Carbon atoms per unit of mass of a typical lipid.
CARBONS = 1 / 18.5
#: Charge of the stronger ion, and how many steps behind it. Even steps of charge 2 are
#: those of charge 1.
STEPS = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 3))


def isotope_overlap(
    hits: pd.DataFrame, mz: np.ndarray, height: np.ndarray, fwhm: np.ndarray
) -> pd.DataFrame:
    """Tell which hits lie within a FWHM of an isotopologue of a stronger peak.

    Parameters
    ----------
    hits : DataFrame
        With `peak` and `theoretical_mz`.
    mz, height, fwhm : ndarray of float64, shape (n_peaks,)
        The peaks that were searched.

    Returns
    -------
    DataFrame
        `isotope_overlap`, `isotope_of` (m/z of the stronger peak; NaN where there is
        none), `isotope_share` (expected height of that isotopologue over the height of
        the hit's peak, at most 1; 0 where there is none). Of several, the one with the
        largest share.
    """
    peak = hits["peak"].to_numpy()
    target = hits["theoretical_mz"].to_numpy()
    order = np.argsort(mz, kind="stable")
    sorted_mz = mz[order]
    owner = np.full(len(hits), np.nan)
    share = np.zeros(len(hits))
    overlap = np.zeros(len(hits), bool)
    for charge, step in STEPS:
        place = target - step * DISTANCE_13C / charge
        low = np.searchsorted(sorted_mz, place - fwhm[peak], side="left")
        high = np.searchsorted(sorted_mz, place + fwhm[peak], side="right")
        hit = np.repeat(np.arange(peak.size), high - low)
        start = np.cumsum(high - low) - (high - low)
        at = order[np.arange(hit.size) + np.repeat(low - start, high - low)]
        mean = charge * mz[at] * CARBONS * RATIO_13C
        expected = height[at] * mean**step / math.factorial(step)
        stronger = height[at] > height[peak[hit]]
        hit, at, expected = hit[stronger], at[stronger], expected[stronger]
        part = np.minimum(expected / np.maximum(height[peak[hit]], 1e-300), 1.0)
        overlap[hit] = True
        # The largest share comes last, and stays.
        for i in np.argsort(part, kind="stable"):
            if part[i] > share[hit[i]] or np.isnan(owner[hit[i]]):
                share[hit[i]], owner[hit[i]] = part[i], mz[at[i]]
    return pd.DataFrame(
        {"isotope_overlap": overlap, "isotope_of": owner, "isotope_share": share},
        index=hits.index,
    )
