"""Which peaks have images with spatial structure."""

from typing import Any

import numpy as np
import pandas as pd

from imsminer._array import to_numpy
from imsminer.core.grid import Pixels
from imsminer.core.moran import moran_i
from imsminer.core.spectra import Spectra
from imsminer.core.windows import integrate_windows

__all__ = ["with_structure"]


def with_structure(
    X: Any,
    pixels: Pixels | None,
    peaks: pd.DataFrame,
    min_moran: float,
    *,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Return the peaks whose images reach a Moran's I, with that as a column.

    Parameters
    ----------
    X : Spectra or array of shape (n_pixels, n_bins)
        What was searched. Spectra are integrated between the peaks' bounds, of an
        array the columns of the maxima are the images.
    pixels : Pixels or None
        Where the pixels are, if that is known.
    peaks : DataFrame
        As `PeakPicker.peaks_`.
    min_moran : float
        Smallest Moran's I.
    n_jobs : int or None
        Parts integrated at a time.

    Raises
    ------
    ValueError
        When nothing says where the pixels are.
    """
    if pixels is None:
        message = (
            "PeakPicker: min_moran needs the coordinates of the pixels. Pass Spectra, "
            "or a DataFrame indexed by (run, x, y, z); or leave min_moran at None."
        )
        raise ValueError(message)
    if peaks.empty:
        return peaks.assign(moran=np.zeros(0))
    if isinstance(X, Spectra):
        ends = peaks["left"].to_numpy(), peaks["right"].to_numpy()
        method = "area" if X.profile else "sum"
        images = integrate_windows(X, *ends, method, n_jobs=n_jobs)
    else:
        images = X[:, peaks["bin"].to_numpy()]
    moran = moran_i(to_numpy(images), pixels.coordinates, pixels.runs)
    return peaks.assign(moran=moran)[moran >= min_moran].reset_index(drop=True)
