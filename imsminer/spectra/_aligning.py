"""The lazy step of alignment: match a chunk's peaks, fit, and correct."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    to_numpy,
)
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.core.engine import map_rows
from imsminer.core.spectra import Spectra
from imsminer.core.windows import cell_edges
from imsminer.spectra._frames import map_chunks
from imsminer.spectra._kernels import (
    align_grid_numba,
    align_grid_xp,
    align_numba,
    align_refine_numba,
    align_refine_xp,
    align_warp_numba,
    align_warp_xp,
    align_xp,
)
from imsminer.spectra._massmodel import STRAIGHT, MassModel, Matches

__all__ = [
    "AlignSpectra",
    "MatchChunk",
    "each_pixel",
    "match",
    "match_on_host",
    "require_unit",
    "resample",
    "runs_of",
]


@dataclass(frozen=True)
class AlignSpectra(ChunkKernel):
    """Take the mass error out of each spectrum."""

    moves_mz: ClassVar[bool] = True

    model: MassModel

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        model = self.model
        run = model.run_number(chunk.run)
        if not model.applied[run]:
            return chunk
        found = match_all(chunk, model)
        theta, _, _ = model.fit_lines(found, model.prior[run], model.precision[run])
        line = (theta, model.centre, model.half)
        knots = model.knots
        if chunk.indptr is None:
            edges = cell_edges(np.asarray(chunk.mz))
            return chunk.replace(
                intensity=resample(
                    chunk.intensity, edges, *line, ppm=model.ppm, knots=knots
                )
            )
        if is_numpy_array(chunk.mz):
            mz = np.empty_like(chunk.mz)
            align_warp_numba.shift_points(chunk.mz, chunk.indptr, *line, knots, mz)
            return chunk.replace(mz=mz)
        kernels = device_kernels(chunk.mz, align_warp_xp)
        mz = kernels.shift_points(chunk.mz, chunk.indptr, *line, knots)
        return chunk.replace(mz=mz)


def match(chunk: SpectrumChunk, model: MassModel) -> tuple[Any, Any]:
    """Return errors and heights (n, k) of the peaks of each spectrum, where it is."""
    shape = (chunk.n_spectra, model.reference.size)
    peaks = (model.reference, model.width, model.unit)
    xp, device = array_namespace(chunk.intensity), device_of(chunk.intensity)
    if chunk.indptr is None and not chunk.profile:
        # Centroids on a common list of m/z: nothing is left to align.
        errors = xp.full(shape, xp.nan, dtype=xp.float64, device=device)
        return errors, xp.zeros_like(errors)
    # The place of a centroid is its own.
    refined = chunk.profile and model.fwhm is not None and model.fwhm.any()
    points: tuple = (chunk.intensity, chunk.mz)
    name = "match_rows"
    if chunk.indptr is not None:
        points = (chunk.mz, chunk.intensity, chunk.indptr)
        name = "match_points"
    if is_numpy_array(chunk.intensity):
        errors, heights = np.empty(shape), np.empty(shape)
        kernel = getattr(align_numba, name)
        kernel(*points, *peaks, chunk.profile, errors, heights)
        if refined:
            kernel = getattr(align_refine_numba, name.replace("match", "refine"))
            kernel(*points, *peaks, model.fwhm, errors, heights)
        return errors, heights
    kernels = device_kernels(chunk.intensity, align_xp)
    moved = [xp.asarray(part, device=device) for part in (*points, *peaks)]
    errors, heights = getattr(kernels, name)(*moved, chunk.profile)
    if refined:
        kernels = device_kernels(chunk.intensity, align_refine_xp)
        kernel = getattr(kernels, name.replace("match", "refine"))
        fwhm = xp.asarray(model.fwhm, device=device)
        errors = kernel(*moved, fwhm, errors, heights)
    return errors, heights


def grid_lines(chunk: SpectrumChunk, model: MassModel) -> Any:
    """Return the lines (n, 3, 2) that a search finds by all, even and odd peaks."""
    n = chunk.n_spectra
    xp, device = array_namespace(chunk.intensity), device_of(chunk.intensity)
    if chunk.indptr is None and not chunk.profile:
        return xp.full((n, 3, 2), xp.nan, dtype=xp.float64, device=device)
    peaks = (model.reference, model.unit, model.u)
    limits = (model.tolerance, model.grid, model.linear)
    points: tuple = (chunk.intensity, chunk.mz)
    name = "grid_rows"
    if chunk.indptr is not None:
        points = (chunk.mz, chunk.intensity, chunk.indptr)
        name = "grid_points"
    if is_numpy_array(chunk.intensity):
        found = np.empty((n, 3, 2))
        getattr(align_grid_numba, name)(*points, *peaks, *limits, found)
        return found
    kernels = device_kernels(chunk.intensity, align_grid_xp)
    moved = [xp.asarray(part, device=device) for part in (*points, *peaks)]
    return getattr(kernels, name)(*moved, *limits)


def match_all(chunk: SpectrumChunk, model: MassModel) -> Matches:
    """Return what the lines of the spectra are fitted to, where the spectra are."""
    lines = None if model.grid is None else grid_lines(chunk, model)
    return Matches(*match(chunk, model), lines)


def match_on_host(chunk: SpectrumChunk, model: MassModel) -> Matches:
    """Return the same as NumPy arrays."""
    found = match_all(chunk, model)
    return Matches(*(None if part is None else to_numpy(part) for part in found))


@dataclass(frozen=True)
class MatchChunk:
    """Errors, then heights relative to the highest, of each spectrum: (n, 2 k).

    Where lines are searched on a grid, these follow: (n, 2 k + 6).
    """

    model: MassModel

    def __call__(self, chunk: SpectrumChunk) -> np.ndarray:
        errors, heights, lines = match_on_host(chunk, self.model)
        top = heights.max(axis=1, keepdims=True, initial=0.0)
        heights = heights / np.where(top > 0, top, 1.0)
        parts = [errors, heights]
        if lines is not None:
            parts.append(lines.reshape(-1, 6))
        return np.concatenate(parts, axis=1).astype(np.float32)


def resample(
    X: Any,
    edges: np.ndarray,
    theta: Any,
    centre: float,
    half: float,
    *,
    ppm: bool,
    knots: np.ndarray = STRAIGHT,
) -> Any:
    """Return the rows of `X` moved by their errors, in its namespace and dtype."""
    if is_numpy_array(X):
        result = np.empty(X.shape, X.dtype)
        align_warp_numba.resample_rows(
            X, edges, theta, centre, half, ppm, knots, result
        )
        return result
    xp, device = array_namespace(X), device_of(X)
    edges = xp.asarray(edges, device=device)
    theta = xp.asarray(theta, device=device)
    kernels = device_kernels(X, align_warp_xp)
    return kernels.resample_rows(X, edges, theta, centre, half, ppm, knots)


def each_pixel(
    values: Any, reader: Callable, key: Hashable, n_jobs: int | None
) -> np.ndarray:
    """Return what `reader` says of each spectrum, or row of an array: one pass."""
    if isinstance(values, Spectra):
        return map_rows(values, reader, key, n_jobs=n_jobs, label="Matching")
    return map_chunks(reader, values, n_jobs)


def require_unit(
    estimator: Any, *, fitted: bool, ppm: bool, with_mz: str = "Spectra"
) -> None:
    """Refuse Spectra after a fit on an array, and the other way round.

    `fitted` and `ppm` say whether errors were, and are, in ppm (else in points).
    """
    if fitted != ppm:
        name, kinds = type(estimator).__name__, ("an array", with_mz)
        message = (
            f"{name} was fitted on {kinds[fitted]} and got {kinds[ppm]}: an array has "
            "no m/z. Fit it on what it is to transform."
        )
        raise ValueError(message)


def runs_of(values: Any) -> np.ndarray:
    """Return the name of the run of each pixel; one nameless run for an array."""
    if isinstance(values, Spectra):
        return values.pixels["run"].to_numpy(dtype=object)
    return np.full(values.shape[0], "", dtype=object)
