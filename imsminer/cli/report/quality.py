"""How good the spectra of a run are, pixel by pixel."""

import warnings
from typing import Any

import numpy as np

from imsminer._array import to_numpy
from imsminer.core.spectra import Spectra
from imsminer.features.integrate import PeakIntegrator
from imsminer.spectra.normalize import TICNormalizer

__all__ = ["mass_errors", "total_ion_current"]

#: Mass errors come from this many peaks that most pixels have.
N_PEAKS = 30
MIN_FREQUENCY = 0.5


def total_ion_current(reader: Spectra, steps: dict[str, Any]) -> np.ndarray:
    """Return the ion current of each spectrum as it was normalised, or else as it is.

    No pass where the pipeline normalises.
    """
    normalizer = steps.get("normalize")
    if normalizer is None:
        normalizer = TICNormalizer(scale="none").fit(reader)
    return np.asarray(to_numpy(normalizer.factors_)) * normalizer.scale_


def mass_errors(reader: Spectra, steps: dict[str, Any]) -> tuple[np.ndarray, int]:
    """Return each pixel's median mass error in ppm, and of how many peaks it is.

    The error is that of the peaks' observed m/z from their m/z in the reference
    spectrum, in the 30 highest of those that half of the pixels have. One pass.
    """
    peaks = steps["pick"].peaks_
    frequent = peaks[peaks["frequency"] >= MIN_FREQUENCY]
    chosen = frequent.nlargest(N_PEAKS, "height").sort_values("mz")
    if chosen.empty:
        return np.full(len(reader), np.nan), 0
    data = reader
    for name in ("baseline", "align"):
        if name in steps:
            data = steps[name].transform(data)
    integrator = PeakIntegrator(peaks=chosen).fit(data)
    observed = integrator.observed(data, per_pixel=True).to_numpy(np.float64)
    mz = chosen["mz"].to_numpy()
    with warnings.catch_warnings():
        # Pixels without any of the peaks have no error.
        warnings.simplefilter("ignore", RuntimeWarning)
        error = np.nanmedian(1e6 * (observed / mz - 1), axis=1)
    return error, len(chosen)
