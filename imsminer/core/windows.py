"""Intensities inside m/z windows, one value per pixel and window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    moved_like,
    to_numpy,
)
from imsminer.core._kernels import integrate_numba, integrate_xp
from imsminer.core._kernels.binning_numba import build_guide
from imsminer.core.binning import sample_cells
from imsminer.core.engine import map_rows, raise_not_finite
from imsminer.core.peaktable import feature_names
from imsminer.core.spectra import Spectra
from imsminer.core.study import pixel_index

if TYPE_CHECKING:
    from imsminer.core.chunk import SpectrumChunk

__all__ = ["WindowReader", "cell_edges", "integrate_windows", "ion_images"]

METHODS = ("area", "sum", "max", "mean")


def cell_edges(mz: np.ndarray) -> np.ndarray:
    """Return the edges of the samples' cells: half-way between neighbours."""
    if mz.size == 1:
        # It stands for its own m/z alone; the column of an array has a width of 1.
        half = 1e-6 * mz[0] if mz[0] > 0 else 0.5
        return np.array([mz[0] - half, mz[0] + half])
    middle = 0.5 * (mz[1:] + mz[:-1])
    first, last = 2 * mz[0] - middle[0], 2 * mz[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])


@dataclass(frozen=True)
class WindowReader:
    """Integrates the spectra of a chunk over windows; small and picklable.

    Attributes
    ----------
    low, high : ndarray of float64, shape (n_windows,)
        Half-open windows of m/z.
    method : {"area", "sum", "max", "mean"}
        What to compute. `area` is the integral over m/z of the profile; `mean` is the
        area over the window's width, or for centroids the mean of those inside.
    cells : ndarray of float64 or None
        Edges of the cells that samples of ragged profiles stand for.
    """

    low: np.ndarray
    high: np.ndarray
    method: str
    cells: np.ndarray | None = None

    @cached_property
    def _cell_guide(self) -> Any:
        assert self.cells is not None
        return build_guide(self.cells)

    @cached_property
    def _moved_cells(self) -> dict[tuple, Any]:
        return {}

    def cells_like(self, mz: Any) -> tuple[Any, Any]:
        """Return a guide to the cells, and their edges where `mz` is: once for all."""
        if is_numpy_array(mz):
            return self._cell_guide, self.cells
        assert self.cells is not None
        xp, device = array_namespace(mz), device_of(mz)
        key = xp.__name__, str(device)
        if key not in self._moved_cells:
            self._moved_cells[key] = moved_like(self.cells, mz)
        return None, self._moved_cells[key]

    def __getstate__(self) -> dict:
        return {
            "low": self.low,
            "high": self.high,
            "method": self.method,
            "cells": self.cells,
        }

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)

    def __call__(self, chunk: SpectrumChunk) -> Any:
        """Return values of shape (n_spectra, n_windows), float32."""
        if chunk.is_ragged:
            return self._points(chunk)
        return self._rows(chunk)

    def _rows(self, chunk: SpectrumChunk) -> Any:
        mz, intensity = np.asarray(chunk.mz), chunk.intensity
        kernels = _kernels(intensity)
        left = np.searchsorted(mz, self.low)
        right = np.searchsorted(mz, self.high)
        shape = (chunk.n_spectra, self.low.size)
        if self.method == "max":
            return _run(kernels.max_windows_rows, (intensity,), (left, right), shape)
        if self.method == "sum" or (self.method == "mean" and not chunk.profile):
            values = _run(kernels.sum_windows_rows, (intensity,), (left, right), shape)
            if self.method == "sum":
                return values
            return values / _like(values, np.maximum(right - left, 1))
        edges = cell_edges(mz)
        arguments = _partial_windows(edges, self.low, self.high)
        values = _run(kernels.area_windows_rows, (intensity,), arguments, shape)
        if self.method == "mean":
            values = values / _like(values, self.high - self.low)
        return values

    def _points(self, chunk: SpectrumChunk) -> Any:
        mz, intensity, indptr = chunk.mz, chunk.intensity, chunk.indptr
        kernels = _kernels(intensity)
        shape = (chunk.n_spectra, self.low.size)
        flat = (mz, intensity, indptr)
        ends = (self.low, self.high)
        if self.method == "max":
            return _run(kernels.max_points, flat, ends, shape)
        if self.method == "sum":
            return _run(kernels.integrate_points, flat, ends, shape)
        if not chunk.profile:
            total = _run(kernels.integrate_points, flat, ends, shape)
            one = (mz, intensity * 0 + 1, indptr)
            number = _run(kernels.integrate_points, one, ends, shape)
            return total / (number + (number == 0))
        cells = self.cells_like(mz)
        values = _run(kernels.area_points, flat, (*cells, *ends), shape)
        if self.method == "mean":
            values = values / _like(values, self.high - self.low)
        return values


def integrate_windows(
    spectra: Spectra,
    low: np.ndarray,
    high: np.ndarray,
    method: str,
    *,
    n_jobs: int | None = None,
) -> Any:
    """Integrate all spectra over windows: one pass, kept under its fingerprint.

    Returns
    -------
    array of float32, shape (n_pixels, n_windows)
        In the namespace of the chunks.

    Raises
    ------
    ValueError
        When an area is asked of centroids, or an intensity is not finite.
    """
    profile = spectra.run_profile
    if method == "area" and not profile.all():
        message = (
            "method='area' needs profile spectra, but these are centroided: a centroid "
            "has no width. Use method='sum' (or 'auto')."
        )
        raise ValueError(message)
    cells = None
    if spectra.mz is None and method in ("area", "mean") and profile.any():
        cells = sample_cells(spectra).edges
    reader = WindowReader(low, high, method, cells)
    key = joblib.hash((low, high, method))
    values = map_rows(spectra, reader, key, n_jobs=n_jobs)
    if not bool(array_namespace(values).all(array_namespace(values).isfinite(values))):
        raise_not_finite(spectra)
    return values


def ion_images(
    spectra: Spectra, mz: Any, ppm: float, *, n_jobs: int | None = None
) -> pd.DataFrame | pd.Series:
    """Sum the intensities within ± `ppm` of each m/z (see `Spectra.ion_image`)."""
    targets = np.atleast_1d(np.asarray(mz, dtype=np.float64))
    if targets.ndim != 1 or not np.all(targets > 0):
        message = f"mz needs positive numbers, got {mz!r}"
        raise ValueError(message)
    if not ppm > 0:
        message = f"ppm must be positive, got {ppm!r}"
        raise ValueError(message)
    half = targets * ppm * 1e-6
    # The windows' ends belong to them: the kernels' are half-open.
    high = np.nextafter(targets + half, np.inf)
    values = to_numpy(
        integrate_windows(spectra, targets - half, high, "sum", n_jobs=n_jobs)
    )
    index, columns = pixel_index(spectra), feature_names(targets)
    table = pd.DataFrame(values, index=index, columns=columns, copy=False)
    return table.iloc[:, 0] if np.ndim(mz) == 0 else table


def _partial_windows(
    edges: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return columns, weights, and the parts of each window's first and last column."""
    n = edges.size - 1
    left = np.clip(np.searchsorted(edges, low, side="right") - 1, 0, n)
    right = np.clip(np.searchsorted(edges, high, side="left"), left, n)
    weights = np.diff(edges)
    start, stop = np.minimum(left, n - 1), np.clip(right - 1, 0, n - 1)

    def part(cell: np.ndarray) -> np.ndarray:
        top = np.minimum(high, edges[cell + 1])
        return np.maximum(top - np.maximum(low, edges[cell]), 0.0) / weights[cell]

    return left, right, weights, part(start), part(stop)


def _kernels(intensity: Any) -> Any:
    if is_numpy_array(intensity):
        return integrate_numba
    return device_kernels(intensity, integrate_xp)


def _run(kernel: Any, arrays: tuple, arguments: tuple, shape: tuple) -> Any:
    """Run a kernel of either kind; values are float32 in the arrays' namespace."""
    if is_numpy_array(arrays[0]):
        out = np.empty(shape, np.float32)
        kernel(*arrays, *arguments, out)
        return out
    xp = array_namespace(arrays[0])
    return xp.astype(kernel(*arrays, *arguments), xp.float32)


def _like(values: Any, factor: np.ndarray) -> Any:
    """Return `factor` in the namespace, on the device and in the dtype of `values`."""
    factor = factor.astype(np.float32)
    if is_numpy_array(values):
        return factor
    return array_namespace(values).asarray(factor, device=device_of(values))
