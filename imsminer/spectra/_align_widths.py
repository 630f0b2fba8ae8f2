"""How wide the reference peaks of an alignment are."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    to_numpy,
)
from imsminer.core.chunk import SpectrumChunk
from imsminer.core.spectra import Spectra
from imsminer.spectra._aligning import match
from imsminer.spectra._frames import map_chunks
from imsminer.spectra._kernels import align_refine_numba, align_refine_xp
from imsminer.spectra._massmodel import MassModel
from imsminer.spectra._reference import mean_spectrum

__all__ = ["mean_widths", "row_widths", "sampled_mean"]

#: Spectra whose mean tells widths where no mean of all is made.
N_SPECTRA = 64
#: Widths are those of this part of the matches, the highest: noise narrows others.
PART = 0.2
#: They follow a line, in logarithms, where so many say so; within this factor.
MIN_WIDTHS, MAX_RATIO = 6, 4.0


def mean_widths(chunk: SpectrumChunk | None, model: MassModel) -> np.ndarray:
    """Return the width (k,) of reference peaks in a mean spectrum, in m/z; or 0."""
    if chunk is None:
        return np.zeros(model.reference.size)
    return _typical(WidthChunk(model)(chunk), model)


def row_widths(X: Any, model: MassModel, n_jobs: int | None) -> np.ndarray:
    """Return the width (k,) of reference peaks in the rows of an array, in points."""
    return _typical(map_chunks(WidthChunk(model), X, n_jobs), model)


def sampled_mean(X: Spectra, n_jobs: int | None) -> SpectrumChunk | None:
    """Return the mean of up to 64 of the spectra; `None` where no profile has a point.

    They are evenly spread over the spectra as they stand in the source, so that the
    order of a selection does not matter. Values that are not finite count as 0: they
    are for steps to report that use them.
    """
    if not X.run_profile.any():
        return None
    if X.rows.size > N_SPECTRA:
        order = np.argsort(X.rows, kind="stable")
        X = X[order[np.linspace(0, order.size - 1, N_SPECTRA).astype(np.int64)]]
    rows, places = [], []
    for chunk in X.iter_chunks():
        values = np.nan_to_num(to_numpy(chunk.intensity), posinf=0.0, neginf=0.0)
        bounds = None if chunk.indptr is None else to_numpy(chunk.indptr)[1:-1]
        rows += list(values if bounds is None else np.split(values, bounds))
        if bounds is not None:
            places += np.split(to_numpy(chunk.mz), bounds)
    if X.mz is not None:
        return mean_spectrum(Spectra.from_arrays(np.stack(rows), X.mz), n_jobs)
    indptr = np.concatenate([[0], np.cumsum([row.size for row in rows])])
    if indptr[-1] == 0:
        return None
    points = (np.concatenate(rows), np.concatenate(places))
    return mean_spectrum(Spectra.from_arrays(*points, indptr=indptr), n_jobs)


@dataclass(frozen=True)
class WidthChunk:
    """Widths of the matches of each spectrum, then their heights: (n, 2 k).

    Widths are in ppm or points, and 0 where there is none; of centroids there is none.
    """

    model: MassModel

    def __call__(self, chunk: SpectrumChunk) -> np.ndarray:
        model = self.model
        errors, heights = match(chunk, model)
        if not is_numpy_array(heights):
            return self._elsewhere(chunk, errors, heights)
        widths = np.zeros_like(heights)
        if chunk.profile:
            mz, y = chunk.mz, chunk.intensity
            for i in range(chunk.n_spectra):
                row, points = slice(i, i + 1), (mz, y, np.array([0, mz.size]))
                if chunk.indptr is None:
                    points = (mz, y[i], points[2])
                else:
                    points = (mz, y, chunk.indptr[i : i + 2])
                align_refine_numba.half_widths(
                    *points,
                    model.reference,
                    model.unit,
                    errors[row],
                    heights[row],
                    widths[row],
                )
        return np.concatenate([widths, heights], axis=1)

    def _elsewhere(self, chunk: SpectrumChunk, errors: Any, heights: Any) -> np.ndarray:
        """Return the same of rows that are not on the host: the numbers come back."""
        xp, device = array_namespace(heights), device_of(heights)
        host = (chunk.mz, self.model.reference, self.model.unit)
        given = [xp.asarray(part, device=device) for part in host]
        kernels = device_kernels(heights, align_refine_xp)
        widths = kernels.width_rows(chunk.intensity, *given, errors, heights)
        return to_numpy(xp.concat([widths, heights], axis=1))


def _typical(table: np.ndarray, model: MassModel) -> np.ndarray:
    """Return a smooth width for each reference peak: a line through two medians.

    One median is that of the lower half of the highest matches by m/z, one that of the
    upper half (Tukey's resistant line). 0 where nothing has a width.
    """
    widths, heights = np.split(np.asarray(table, np.float64), 2, axis=1)
    _, number = np.nonzero(widths > 0)
    height, width = heights[widths > 0], np.log(widths[widths > 0])
    if width.size == 0:
        return np.zeros(model.reference.size)
    highest = height >= np.quantile(height, 1 - PART)
    if highest.sum() < MIN_WIDTHS:
        highest = height >= np.sort(height)[-min(MIN_WIDTHS, height.size)]
    place, width = model.u[number[highest]], width[highest]
    order = np.argsort(place, kind="stable")
    half = order.size // 2
    low, high = order[:half], order[order.size - half :]
    level = np.full(model.reference.size, np.median(width))
    if order.size >= MIN_WIDTHS and np.median(place[low]) < np.median(place[high]):
        at = [np.median(place[part]) for part in (low, high)]
        tops = [np.median(width[part]) for part in (low, high)]
        most = 0.5 * np.log(MAX_RATIO)
        slope = np.clip((tops[1] - tops[0]) / (at[1] - at[0]), -most, most)
        level = np.mean(tops) + slope * (model.u - np.mean(at))
    return np.exp(level) / model.unit
