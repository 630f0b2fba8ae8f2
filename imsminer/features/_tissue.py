"""Which pixels are tissue, and which features are brighter there."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from imsminer._array import to_numpy

__all__ = ["checked_tissue", "otsu_tissue", "tissue_auc"]

#: Columns ranked at a time.
BLOCK = 32
#: Of the histogram that Otsu's threshold is found in.
N_BINS = 256


def checked_tissue(
    tissue: Any, values: np.ndarray, runs: np.ndarray | None
) -> np.ndarray:
    """Return the tissue that is given, or by Otsu's threshold, with pixels off it.

    Raises
    ------
    ValueError
        When it is not one bool per pixel, or all pixels are of one kind.
    """
    if tissue is None:
        runs = np.zeros(len(values), np.int64) if runs is None else runs
        mask = otsu_tissue(values, runs)
    else:
        mask = to_numpy(tissue)
        if mask.dtype != bool or mask.shape != (len(values),):
            message = (
                f"AnalyteFilter: tissue needs one bool for each of {len(values)} "
                f"pixels; got {mask.dtype} of shape {mask.shape}."
            )
            raise ValueError(message)
    if mask.all() or not mask.any():
        message = (
            "AnalyteFilter: min_tissue_auc needs pixels on tissue and pixels off it, "
            f"but {int(mask.sum())} of {mask.size} are on it."
        )
        raise ValueError(message)
    return mask


def otsu_tissue(values: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Tell tissue by Otsu's threshold on the logarithm of each pixel's sum, per run.

    Parameters
    ----------
    values : ndarray of shape (n_pixels, n_features)
        Not normalised by their sum.
    runs : ndarray of shape (n_pixels,)
        Codes of the runs.

    Returns
    -------
    ndarray of bool, shape (n_pixels,)
        Pixels without any signal are not tissue, and do not move the threshold.

    Raises
    ------
    ValueError
        When the sums of a run do not differ.
    """
    from skimage.filters import threshold_otsu

    total = values.sum(axis=1, dtype=np.float64)
    tissue = np.zeros(total.size, bool)
    for run in np.unique(runs):
        mine = np.flatnonzero((runs == run) & (total > 0))
        level = np.log(total[mine]) if mine.size else np.zeros(1)
        if np.ptp(level) <= 1e-6:
            message = (
                "AnalyteFilter: min_tissue_auc needs to know the tissue, but the sums "
                "of the pixels do not differ (are they normalised by the sum?). Pass "
                "tissue=, one bool per pixel."
            )
            raise ValueError(message)
        # Otsu's threshold is the centre of the last bin off tissue: all of it is.
        half_bin = 0.5 * np.ptp(level) / N_BINS
        tissue[mine] = level > threshold_otsu(level, nbins=N_BINS) + half_bin
    return tissue


def tissue_auc(values: Any, tissue: np.ndarray) -> np.ndarray:
    """Return how well each feature tells tissue pixels from the others.

    Parameters
    ----------
    values : ndarray of shape (n_pixels, n_features)
        Features.
    tissue : ndarray of bool, shape (n_pixels,)
        With pixels of both kinds.

    Returns
    -------
    ndarray of float64, shape (n_features,)
        Probability that a random tissue pixel is brighter than one off tissue, ties
        counted as one half: 1 on tissue only, 0.5 no difference, 0 off tissue only.
    """
    n_on = int(tissue.sum())
    n_off = tissue.size - n_on
    areas = []
    for start in range(0, values.shape[1], BLOCK):
        ranks = rankdata(values[:, start : start + BLOCK], axis=0)
        sums = ranks[tissue].sum(axis=0)
        areas.append((sums - n_on * (n_on + 1) / 2) / (n_on * n_off))
    return np.concatenate([*areas, np.empty(0)])
