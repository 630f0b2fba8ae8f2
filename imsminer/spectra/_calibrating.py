"""The lazy step of calibration: a polynomial mass error taken out of spectra."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
)
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.core.windows import cell_edges
from imsminer.spectra._aligning import match
from imsminer.spectra._kernels import calibrate_numba, calibrate_xp
from imsminer.spectra._massmodel import MassModel
from imsminer.spectra._polynomial import REACH

__all__ = ["CalibrateSpectra"]


@dataclass(frozen=True)
class CalibrateSpectra(ChunkKernel):
    """Take a polynomial mass error out of each spectrum.

    Attributes
    ----------
    model : MassModel
        Reference masses that were found, runs, and variance over pixels.
    coefficients : ndarray of float64, shape (n_runs + 1, degree + 1)
        Polynomial of each run; the last one for runs that were not seen.
    used : ndarray of bool, shape (n_runs + 1, k)
        References that count in each run.
    pixels : bool
        Whether pixels have lines of their own on top.
    moves_axis : bool
        Whether the shared axis is corrected, and intensities stay.
    """

    moves_mz: ClassVar[bool] = True

    model: MassModel
    coefficients: np.ndarray
    used: np.ndarray
    pixels: bool = False
    moves_axis: bool = False

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        if self.moves_axis and chunk.indptr is None:
            return chunk.replace(mz=self.transform_axis(chunk.mz))
        run, n = self.model.run_number(chunk.run), chunk.n_spectra
        if not self.model.applied[run]:
            return chunk
        c = np.repeat(self.coefficients[run][None], n, axis=0)
        xp, device = array_namespace(chunk.intensity), device_of(chunk.intensity)
        c = xp.asarray(c, device=device)
        if self.pixels:
            theta, _, _ = self.fit_pixels(*match(chunk, self.model), run)
            width = min(2, c.shape[1])
            line = c[:, :width] + theta[:, :width]
            c = xp.concat([line, c[:, width:]], axis=1)
        place = (self.model.centre, self.model.half, REACH)
        numpy_chunk = is_numpy_array(chunk.intensity)
        kernels = device_kernels(chunk.intensity, calibrate_xp)
        if chunk.indptr is not None:
            if numpy_chunk:
                mz = np.empty_like(chunk.mz)
                calibrate_numba.shift_points(chunk.mz, chunk.indptr, c, *place, mz)
            else:
                mz = kernels.shift_points(chunk.mz, chunk.indptr, c, *place)
            return chunk.replace(mz=mz)
        edges, ppm = cell_edges(np.asarray(chunk.mz)), self.model.ppm
        if numpy_chunk:
            moved = np.empty(chunk.intensity.shape, chunk.intensity.dtype)
            X = chunk.intensity
            calibrate_numba.resample_rows(X, edges, c, *place, ppm, moved)
        else:
            edges = xp.asarray(edges, device=device)
            moved = kernels.resample_rows(chunk.intensity, edges, c, *place, ppm)
        return chunk.replace(intensity=moved)

    def fit_pixels(self, errors: Any, heights: Any, run: int) -> tuple[Any, Any, Any]:
        """Return each pixel's line around the polynomial of its run, as `MassModel`."""
        xp, device = array_namespace(errors), device_of(errors)
        error = self.error(self.model.reference, run)
        errors = errors - xp.asarray(error, device=device)
        used = xp.asarray(self.used[run], device=device)
        heights = xp.where(used, heights, xp.zeros_like(heights))
        return self.model.fit_pixels(
            errors, heights, np.zeros(2), self.model.precision[run]
        )

    def error(self, mz: np.ndarray, run: int) -> np.ndarray:
        """Return the error of a run at some m/z."""
        place = (self.model.centre, self.model.half, REACH)
        return calibrate_xp.polynomial_error(
            np.asarray(mz, dtype=np.float64), self.coefficients[run], *place
        )

    def correct(self, mz: np.ndarray, run: int) -> np.ndarray:
        """Return m/z (or positions) of a run without their error."""
        mz = np.asarray(mz, dtype=np.float64)
        error = self.error(mz, run) if self.model.applied[run] else 0.0
        return mz / (1 + 1e-6 * error) if self.model.ppm else mz - error

    def transform_axis(self, mz: Any) -> Any:
        """Return the corrected axis where that is what the step moves."""
        return self.correct(mz, 0) if self.moves_axis else mz

    def for_axis(self, run: str) -> "CalibrateSpectra":
        """Return the step that corrects the axis which all spectra of a run share."""
        number = [self.model.run_number(run)]
        return replace(
            self,
            model=replace(self.model, applied=self.model.applied[number], runs=(run,)),
            coefficients=self.coefficients[number],
            used=self.used[number],
            moves_axis=True,
        )

    def mean_of(self, runs: pd.Series) -> "CalibrateSpectra":
        """Return the step whose first entry is the mean over the pixels' runs."""
        numbers = [self.model.run_number(str(run)) for run in runs]
        applied = self.model.applied[numbers][:, None]
        mean = np.where(applied, self.coefficients[numbers], 0.0).mean(axis=0)
        model = replace(self.model, applied=np.ones(1, bool))
        return replace(self, model=model, coefficients=mean[None])

    def move_peaks(self, peaks: pd.DataFrame, run: int) -> pd.DataFrame:
        """Return a table of peaks with corrected m/z and bounds."""
        columns = [name for name in ("mz", "left", "right") if name in peaks.columns]
        moved = {c: self.correct(peaks[c].to_numpy(np.float64), run) for c in columns}
        return peaks.assign(**moved)
