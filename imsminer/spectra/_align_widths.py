"""How wide the reference peaks of an alignment are."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from imsminer._array import to_numpy
from imsminer.core.chunk import SpectrumChunk
from imsminer.core.spectra import Spectra
from imsminer.spectra._aligning import match
from imsminer.spectra._frames import map_chunks
from imsminer.spectra._kernels import align_refine_numba
from imsminer.spectra._massmodel import MassModel

__all__ = ["mean_widths", "row_widths", "sample_of"]

#: Spectra whose mean tells widths where no mean of all is made.
N_SPECTRA = 64
#: Widths are those of this part of the matches, the highest: noise narrows others.
PART = 0.2
#: They follow a line, in logarithms, where so many say so; within this factor.
MIN_WIDTHS, MAX_RATIO = 6, 4.0


def mean_widths(chunk: SpectrumChunk, model: MassModel) -> np.ndarray:
    """Return the width (k,) of reference peaks in a mean spectrum, in m/z."""
    return _typical(WidthChunk(model)(chunk), model)


def row_widths(X: Any, model: MassModel, n_jobs: int | None) -> np.ndarray:
    """Return the width (k,) of reference peaks in the rows of an array, in points."""
    return _typical(map_chunks(WidthChunk(model), X, n_jobs), model)


def sample_of(X: Spectra) -> Spectra:
    """Return up to 64 of the spectra, evenly spread over them as in their source.

    The order of a selection does not matter then.
    """
    if X.rows.size <= N_SPECTRA:
        return X
    order = np.argsort(X.rows, kind="stable")
    return X[order[np.linspace(0, order.size - 1, N_SPECTRA).astype(np.int64)]]


@dataclass(frozen=True)
class WidthChunk:
    """Widths of the matches of each spectrum, then their heights: (n, 2 k).

    Widths are in ppm or points, and 0 where there is none; of centroids there is none.
    """

    model: MassModel

    def __call__(self, chunk: SpectrumChunk) -> np.ndarray:
        model = self.model
        errors, heights = match(chunk, model)
        widths = np.zeros_like(heights)
        if chunk.profile:
            mz, y = to_numpy(chunk.mz), to_numpy(chunk.intensity)
            for i in range(chunk.n_spectra):
                row, points = slice(i, i + 1), (mz, y, np.array([0, mz.size]))
                if chunk.indptr is None:
                    points = (mz, y[i], points[2])
                else:
                    points = (mz, y, to_numpy(chunk.indptr)[i : i + 2])
                align_refine_numba.half_widths(
                    *points,
                    model.reference,
                    model.unit,
                    errors[row],
                    heights[row],
                    widths[row],
                )
        return np.concatenate([widths, heights], axis=1)


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
