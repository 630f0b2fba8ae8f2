"""How good the spectra of a run are, pixel by pixel, from what its passes gave."""

import warnings
from typing import Any

import numpy as np
import pandas as pd

from imsminer._array import to_numpy

__all__ = ["ion_current", "mass_errors", "tracers"]

#: Mass errors come from this many peaks that most pixels have.
N_PEAKS = 30
MIN_FREQUENCY = 0.5


def ion_current(steps: dict[str, Any], features: pd.DataFrame) -> tuple[Any, str]:
    """Return each spectrum's ion current as it was normalised, and what it is.

    Where nothing was normalised, nothing knows the whole current: that of the peaks.
    """
    normalizer = steps.get("normalize")
    if normalizer is None:
        return features.sum(axis=1).to_numpy(np.float64), "ion current of the peaks"
    factors = np.asarray(to_numpy(normalizer.factors_))
    return factors * normalizer.scale_, "total ion current"


def tracers(peaks: pd.DataFrame) -> np.ndarray:
    """Return the positions of the highest peaks that half of the pixels have."""
    found = np.flatnonzero(peaks["frequency"] >= MIN_FREQUENCY)
    order = np.argsort(-peaks["height"].to_numpy()[found], kind="stable")
    return np.sort(found[order[:N_PEAKS]])


def mass_errors(observed: pd.DataFrame, mz: np.ndarray) -> np.ndarray:
    """Return each pixel's median distance of observed m/z from `mz`, in ppm."""
    if not mz.size:
        return np.full(len(observed), np.nan)
    with warnings.catch_warnings():
        # Pixels without any of the peaks have no error.
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(1e6 * (observed.to_numpy() / mz - 1), axis=1)
