"""Features and what is observed beside them: m/z, and windows of ion mobility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import pandas as pd

from imsminer._array import (
    array_namespace,
    device_kernels,
    is_numpy_array,
    moved_like,
    to_numpy,
)
from imsminer.core.binning import sample_cells
from imsminer.core.chunk import SpectrumChunk
from imsminer.core.engine import map_rows, raise_not_finite
from imsminer.core.spectra import Spectra
from imsminer.core.windows import WindowReader, integrate_windows
from imsminer.features._kernels import observe_numba, observe_xp

__all__ = ["FeatureReader", "Features", "observed_table", "read_features"]


@dataclass(frozen=True)
class Features:
    """Values of windows, and what stands in them.

    Attributes
    ----------
    values : array of float32, shape (n_pixels, n_windows)
        Features, in the namespace of the chunks.
    weight : ndarray of float32, shape (n_pixels, n_observed), or None
        Sum of the points above 0.
    ppm : ndarray of float32, shape (n_pixels, n_observed), or None
        Distance of the points' weighted mean from the peak's m/z; 0 without points.
    """

    values: Any
    weight: np.ndarray | None = None
    ppm: np.ndarray | None = None


@dataclass(frozen=True)
class FeatureReader:
    """Reads values, weights and errors of m/z from a chunk, side by side.

    Attributes
    ----------
    windows : WindowReader
        Windows of m/z and the method.
    centers : ndarray of float64, shape (n_windows,)
        m/z of the peaks.
    mobility : ndarray of float64, shape (n_windows, 2), or None
        Half-open windows of ion mobility.
    observe : bool
        Whether weights and errors are wanted.
    """

    windows: WindowReader
    centers: np.ndarray
    mobility: np.ndarray | None
    observe: bool

    def __call__(self, chunk: SpectrumChunk) -> Any:
        """Return float32, (n, n_windows) or three times as wide."""
        if self.mobility is not None:
            values, moments = self._in_mobility(chunk)
        else:
            values = self.windows(chunk)
            if not self.observe:
                return values
            is_ragged = chunk.is_ragged
            moments = self._points(chunk)[:, :, 3:] if is_ragged else self._rows(chunk)
        if not self.observe:
            return values
        xp = array_namespace(values)
        weight, moment = moments[:, :, 0], moments[:, :, 1]
        filled = weight > 0
        safe = xp.where(filled, weight, xp.ones_like(weight))
        centers = moved_like(self.centers, values)
        ppm = 1e6 * moment / (safe * centers)
        parts = [values, weight, xp.where(filled, ppm, xp.zeros_like(ppm))]
        return xp.concat([xp.astype(part, xp.float32) for part in parts], axis=1)

    def features(self, chunk: SpectrumChunk) -> Features:
        """Return the same in parts."""
        return _parts(self(chunk), self.centers.size, self.observe)

    def _rows(self, chunk: SpectrumChunk) -> Any:
        mz, intensity = np.asarray(chunk.mz), chunk.intensity
        left = np.searchsorted(mz, self.windows.low)
        right = np.searchsorted(mz, self.windows.high)
        arguments = (intensity, mz, left, right, self.centers)
        return _run("window_moments_rows", arguments, (chunk.n_spectra, left.size, 2))

    def _points(self, chunk: SpectrumChunk) -> Any:
        shape = (chunk.n_spectra, self.windows.low.size, 5)
        arguments = (*self._flat(chunk), *self._ends(), self.centers)
        return _run("window_moments", arguments, shape)

    def _flat(self, chunk: SpectrumChunk) -> tuple:
        mobility = chunk.mz[:0] if self.mobility is None else chunk.mobility
        return chunk.mz, mobility, chunk.intensity, chunk.indptr

    def _ends(self) -> tuple:
        low, high = self.windows.low, self.windows.high
        if self.mobility is None:
            return low, high, low, high
        return low, high, *np.ascontiguousarray(self.mobility.T)

    def _in_mobility(self, chunk: SpectrumChunk) -> tuple[Any, Any]:
        if chunk.mobility is None:
            message = (
                "PeakIntegrator: the peak table has windows of ion mobility, but run "
                f"{chunk.run!r} has no mobility of its points. Open the file with "
                "ImzMLReader(mobility='keep'), or drop the columns mobility_left and "
                "mobility_right."
            )
            raise ValueError(message)
        method, points = self.windows.method, self._points(chunk)
        if method == "sum" or (method == "mean" and not chunk.profile):
            values = points[:, :, 0]
            if method == "mean":
                number = points[:, :, 2]
                values = values / (number + (number == 0))
        elif method == "max":
            values = points[:, :, 1]
        else:
            cells = self.windows.cells_like(chunk.mz)
            arguments = (*self._flat(chunk), *cells, *self._ends())
            values = _run("window_areas", arguments, points.shape[:2])
            if method == "mean":
                width = self.windows.high - self.windows.low
                values = values / moved_like(width, values)
        xp = array_namespace(values)
        return xp.astype(values, xp.float32), points[:, :, 3:]


@dataclass(frozen=True)
class _SomeObserved:
    """Reads the values of all windows, and weights and errors of some of them."""

    values: FeatureReader
    observed: FeatureReader

    def __call__(self, chunk: SpectrumChunk) -> Any:
        """Return float32, (n, n_windows + 2 n_observed)."""
        values = self.values(chunk)
        more = self.observed(chunk)[:, self.observed.centers.size :]
        return array_namespace(values).concat([values, more], axis=1)


def read_features(
    spectra: Spectra,
    centers: np.ndarray,
    ends: np.ndarray,
    method: str,
    *,
    mobility: np.ndarray | None = None,
    observe: bool | np.ndarray = False,
    n_jobs: int | None = None,
) -> Features:
    """Integrate all spectra over windows, and observe m/z: one pass, which is kept.

    Where `observe` holds positions of windows, m/z are observed in these only.

    Raises
    ------
    ValueError
        When an area is asked of centroids, windows of mobility meet points without,
        or an intensity is not finite.
    """
    low, high = np.ascontiguousarray(ends.T)
    profile = spectra.run_profile
    some = None if isinstance(observe, bool) else observe
    plain = observe is False and mobility is None
    if plain or (method == "area" and not profile.all()):
        return Features(integrate_windows(spectra, low, high, method, n_jobs=n_jobs))
    cells = None
    if spectra.mz is None and method in ("area", "mean") and profile.any():
        cells = sample_cells(spectra).edges
    reader: FeatureReader | _SomeObserved
    reader = FeatureReader(
        WindowReader(low, high, method, cells), centers, mobility, observe is True
    )
    if some is not None:
        windows = WindowReader(low[some], high[some], "sum")
        within = None if mobility is None else mobility[some]
        more = FeatureReader(windows, centers[some], within, observe=True)
        reader = _SomeObserved(reader, more)
    key = ("features", joblib.hash((low, high, method, centers, mobility, observe)))
    table = map_rows(spectra, reader, key, n_jobs=n_jobs)
    xp = array_namespace(table)
    if not bool(xp.all(xp.isfinite(table))):
        raise_not_finite(spectra)
    return _parts(table, centers.size, observe is not False)


def observed_table(mz: np.ndarray, features: Features) -> pd.DataFrame:
    """Return m/z, observed m/z, error in ppm and frequency of each window."""
    assert features.weight is not None
    assert features.ppm is not None
    weight = features.weight.astype(np.float64)
    total = weight.sum(axis=0)
    with np.errstate(invalid="ignore"):
        ppm = (weight * features.ppm).sum(axis=0) / total
    return pd.DataFrame(
        {
            "mz": mz,
            "observed_mz": mz * (1 + 1e-6 * ppm),
            "ppm": ppm,
            "frequency": (weight > 0).mean(axis=0),
        }
    )


def _parts(table: Any, n: int, observe: bool) -> Features:
    if not observe:
        return Features(table)
    middle = n + (table.shape[1] - n) // 2
    weight, ppm = to_numpy(table[:, n:middle]), to_numpy(table[:, middle:])
    return Features(table[:, :n], weight, ppm)


def _run(name: str, arguments: tuple, shape: tuple) -> Any:
    """Run a kernel of either kind, float64."""
    intensity = arguments[0] if name.endswith("rows") else arguments[2]
    if not is_numpy_array(intensity):
        return getattr(device_kernels(intensity, observe_xp), name)(*arguments)
    out = np.empty(shape)
    getattr(observe_numba, name)(*arguments, out)
    return out
