"""Windows of m/z for normalisers: their sums, and what they mean on arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    namespace_of,
    to_numpy,
)
from imsminer.core._kernels import integrate_numba, integrate_xp
from imsminer.core.chunk import SpectrumChunk
from imsminer.core.spectra import Spectra

__all__ = [
    "column_mz",
    "column_windows",
    "merge_windows",
    "other_windows",
    "place_like",
    "ppm_windows",
    "require_in_range",
    "window_sums",
    "window_totals",
]


def window_sums(chunk: SpectrumChunk, low: np.ndarray, high: np.ndarray) -> Any:
    """Return each spectrum's sums over half-open windows, (n, n_windows), float64."""
    intensity, indptr = chunk.intensity, chunk.indptr
    if indptr is None:
        mz = np.asarray(chunk.mz)
        arguments = np.searchsorted(mz, low), np.searchsorted(mz, high)
        arrays, name = (intensity,), "sum_windows_rows"
    else:
        arguments = low, high
        arrays, name = (chunk.mz, intensity, indptr), "integrate_points"
    if not is_numpy_array(intensity):
        kernels = device_kernels(intensity, integrate_xp)
        return getattr(kernels, name)(*arrays, *arguments)
    out = np.empty((chunk.n_spectra, low.size))
    getattr(integrate_numba, name)(*arrays, *arguments, out)
    return out


def window_totals(chunk: SpectrumChunk, low: np.ndarray, high: np.ndarray) -> Any:
    """Return each spectrum's sum over all windows, (n,), which do not overlap."""
    if chunk.is_ragged or low.size == 1:
        sums = window_sums(chunk, low, high)
        return array_namespace(sums).sum(sums, axis=1)
    mz, intensity = np.asarray(chunk.mz), chunk.intensity
    # One loop over the columns is quicker than many short ones.
    starts = np.bincount(np.searchsorted(mz, low), minlength=mz.size + 1)
    stops = np.bincount(np.searchsorted(mz, high), minlength=mz.size + 1)
    inside = np.cumsum(starts - stops)[:-1].astype(np.float64)
    whole = np.array([0]), np.array([mz.size])
    if not is_numpy_array(intensity):
        kernels = device_kernels(intensity, integrate_xp)
        return kernels.integrate_rows(intensity, *whole, inside)[:, 0]
    out = np.empty((chunk.n_spectra, 1))
    integrate_numba.integrate_rows(intensity, *whole, inside, out)
    return out[:, 0]


def ppm_windows(mz: Any, ppm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return windows of ± `ppm` around m/z; both ends belong to them."""
    mz = np.asarray(mz, dtype=np.float64)
    half = mz * ppm * 1e-6
    return mz - half, np.nextafter(mz + half, np.inf)


def column_windows(columns: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return windows around columns of an array, on the axis 0, 1, 2, …"""
    columns = np.asarray(columns, dtype=np.float64)
    return columns - 0.5, columns + 0.5


def column_mz(estimator: Any, n_columns: int) -> np.ndarray:
    """Return the m/z of the columns by their names, else 0, 1, 2, …"""
    names = getattr(estimator, "feature_names_in_", [])
    found = [re.fullmatch(r"mz_(\d+(?:\.\d+)?)(?:_\d+)?", str(name)) for name in names]
    if found and all(found):
        return np.array([float(match[1]) for match in found if match])
    return np.arange(n_columns, dtype=np.float64)


def merge_windows(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join windows that touch or overlap; the result is in increasing order."""
    order = np.argsort(low, kind="stable")
    low, high = low[order], np.maximum.accumulate(high[order])
    first = np.ones(low.size, bool)
    first[1:] = low[1:] > high[:-1]
    last = np.ones(low.size, bool)
    last[:-1] = first[1:]
    return low[first], high[last]


def other_windows(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the windows that hold all that these, joined and sorted, do not."""
    return np.concatenate([[-np.inf], high]), np.concatenate([low, [np.inf]])


def require_in_range(estimator: Any, name: str, mz: Any, ppm: float, X: Any) -> None:
    """Raise when a window lies outside of the mass range of the spectra."""
    axis = X.mz
    low, high = (axis[0], axis[-1]) if axis is not None else X.source.mz_range()
    for value in np.atleast_1d(np.asarray(mz, dtype=np.float64)):
        if not low <= value * (1 + ppm * 1e-6) or not value * (1 - ppm * 1e-6) <= high:
            message = (
                f"{type(estimator).__name__}: {name} has m/z {value:g}, outside of the "
                f"mass range {low:.4f} to {high:.4f} of X. Choose one inside."
            )
            raise ValueError(message)


def require_mz(estimator: Any, name: str, value: Any) -> np.ndarray:
    """Return m/z values as an array; raise when they are not positive numbers."""
    try:
        mz = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        mz = np.array(np.nan)
    is_list = isinstance(value, Sequence | np.ndarray)
    if not np.all(np.isfinite(mz) & (mz >= 0)) or (is_list and mz.ndim != 1):
        message = (
            f"{type(estimator).__name__}: {name} needs m/z values, finite and not "
            f"negative, got {value!r}."
        )
        raise ValueError(message)
    return mz


def place_like(X: Any, values: np.ndarray) -> Any:
    """Return an attribute in the namespace and on the device of an array X."""
    if isinstance(X, Spectra) or is_numpy_array(X):
        return values
    return namespace_of(X).asarray(values, device=device_of(X))


def mean_columns(X: Any) -> np.ndarray:
    """Return the means of the columns on the host, float64."""
    xp = array_namespace(X)
    return to_numpy(xp.sum(X, axis=0, dtype=xp.float64)) / X.shape[0]
