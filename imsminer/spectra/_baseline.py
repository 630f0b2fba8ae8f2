"""What each method takes for the baseline, for rows, chunks and whole runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    moved_like,
    to_numpy,
)
from imsminer._optional import import_optional
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.spectra._gridded import (
    LONGEST_GAP,
    SampleGrid,
    Width,
    centroided,
    on_grid,
    spacing_of,
)
from imsminer.spectra._kernels import (
    baseline_numba,
    baseline_xp,
    lift_numba,
    lift_xp,
    median_numba,
    median_xp,
    snip_numba,
    snip_xp,
    tophat_numba,
    tophat_xp,
)
from imsminer.spectra._kernels.grid_xp import interpolate

__all__ = [
    "ENVELOPES",
    "METHODS",
    "PREFIX",
    "WHY",
    "Method",
    "SubtractBaseline",
    "SubtractCurve",
    "SubtractSnip",
    "external_names",
    "subtract_curve",
]

#: Methods that find the lower envelope of a spectrum, its noise included.
ENVELOPES = ("snip", "tophat", "local_minima")
METHODS = (*ENVELOPES, "median", "polynomial", "noise")
PREFIX = "pybaselines:"
Z_THRESHOLD = 3.0
#: Noise is judged in windows whose centres are this many half windows apart.
HOP, LEAST_HOP = 16, 64
#: Rows are taken in blocks of about this many values, which the L2 cache holds.
BLOCK = 2**16
WHY = (
    "A baseline is what lies between the peaks of a profile, and centroiding has "
    "already removed that."
)


def external_names() -> list[str]:
    """Return the names of the methods of pybaselines for one spectrum."""
    purpose = "BaselineSubtractor(method='pybaselines:...')"
    module = import_optional("pybaselines", purpose=purpose, extra="baselines")
    public = [name for name in dir(module.Baseline) if not name.startswith("_")]
    # Those take several spectra, or points that someone chose by eye.
    excluded = {"collab_pls", "optimize_extended_range", "interp_pts", "pentapy_solver"}
    kinds = [name for name in public if name not in excluded]
    return [name for name in kinds if callable(getattr(module.Baseline, name))]


@dataclass(frozen=True)
class Method:
    """A method with its parameters.

    Attributes are the parameters of :class:`imsminer.BaselineSubtractor`.
    """

    name: str
    width: Width
    degree: int = 2
    factor: float = 3.0
    level: str = "middle"
    linear: bool = False
    clip: bool = True
    options: dict | None = None

    @property
    def lifts(self) -> bool:
        """Whether the result is lowered to the middle of the noise."""
        return self.name in ENVELOPES and self.level == "middle"

    def rest(self, X: Any, mz: Any, reach: Any, widest: int) -> Any:
        """Return the rows of `X` (n, m) minus their baselines.

        `mz` and `reach` (m,) are those of the columns; `widest` is the largest reach
        anywhere on the axis.
        """
        n, m = X.shape
        if m == 0 or n == 0:
            return X
        if not is_numpy_array(X):
            return self._rest(X, mz, reach, widest)
        if self.name == "snip" and not self.lifts:
            return self._snip(X, reach)
        out = np.empty(X.shape, X.dtype)
        size = max(1, BLOCK // m)
        for start in range(0, n, size):
            rows = slice(start, start + size)
            out[rows] = self._rest(X[rows], mz, reach, widest)
        return out

    def _rest(self, X: Any, mz: Any, reach: Any, widest: int) -> Any:
        xp = array_namespace(X)
        if self.name == "snip":
            rest = self._snip(X, reach)
            values = X
        else:
            values = xp.clip(X, 0.0, None)
            base = self._baseline(values, mz, reach)
            rest = values - base
            if self.clip or self.lifts:
                rest = xp.clip(rest, 0.0, None)
        if not self.lifts:
            return rest
        if not is_numpy_array(X):
            kernels = device_kernels(rest, lift_xp)
            return kernels.lift_rows(values, rest, hop_of(widest), self.clip)
        out = np.empty_like(rest)
        lift_numba.lift_rows(values, rest, hop_of(widest), self.clip, out)
        return out

    def _snip(self, X: Any, reach: Any) -> Any:
        if not is_numpy_array(X):
            return device_kernels(X, snip_xp).snip_rows(X, reach, self.linear)
        out = np.empty(X.shape, X.dtype)
        snip_numba.snip_rows(X, reach, out, self.linear)
        return out

    def _baseline(self, X: Any, mz: Any, reach: Any) -> Any:
        if self.name.startswith(PREFIX):
            return self._external(X, mz)
        numba = is_numpy_array(X)
        arguments: tuple
        if self.name == "polynomial":
            basis = _polynomials(mz, min(self.degree, X.shape[1] - 1))
            if not numba:
                basis = array_namespace(X).asarray(basis, device=device_of(X))
            arguments = (basis, self.factor)
        elif self.name == "noise":
            arguments = (self.factor, Z_THRESHOLD)
        else:
            arguments = (reach,)
        if not numba:
            return _elsewhere(X, self.name)(X, *arguments)
        out = np.empty_like(X)
        _COMPILED[self.name](X, *arguments, out)
        return out

    def rest_of_points(
        self, values: Any, points: tuple, reach: Any, widest: int, hop: int
    ) -> Any:
        """Return ragged spectra minus their baselines, in libraries but NumPy.

        `points` say where each spectrum starts, the positions of its points on the
        grid, and the number of grid points; `reach` (n_points,) is at most `widest`.
        """
        module, function = OF_POINTS[self.name]
        kernel = getattr(device_kernels(values, module), function)
        if self.name == "snip":
            rest = kernel(values, *points, reach, widest, self.linear)
        else:
            xp = array_namespace(values)
            values = xp.clip(values, 0.0, None)
            arguments: tuple = (reach, widest)
            if self.name == "noise":
                arguments = (self.factor, Z_THRESHOLD)
            elif self.name == "median":
                arguments = (reach,)
            base = kernel(values, *points, *arguments)
            rest = values - base
            if self.clip or self.lifts:
                rest = xp.clip(rest, 0.0, None)
        if not self.lifts:
            return rest
        lift = device_kernels(values, lift_xp).lift_points
        return lift(values, rest, *points, hop, self.clip)

    def _external(self, X: Any, mz: Any) -> Any:
        purpose = f"BaselineSubtractor(method={self.name!r})"
        module = import_optional("pybaselines", purpose=purpose, extra="baselines")
        name = self.name.removeprefix(PREFIX)
        values, mz = to_numpy(X), to_numpy(mz)
        base = np.zeros(values.shape)
        for i, row in enumerate(values):
            if not row.any():
                continue
            try:
                fitter = module.Baseline(mz)
                found, _ = getattr(fitter, name)(
                    row.astype(np.float64), **(self.options or {})
                )
            except (ValueError, TypeError, ArithmeticError, IndexError) as error:
                message = (
                    f"{purpose} failed on a spectrum of {row.size} points: {error}. "
                    "Change `options`, which are handed to pybaselines, or the method."
                )
                raise ValueError(message) from error
            base[i] = found
        if not np.isfinite(base).all():
            message = (
                f"{purpose} found a baseline that is not finite. Change `options`, "
                "which are handed to pybaselines, or the method."
            )
            raise ValueError(message)
        # No baseline of counts lies below 0.
        base = np.maximum(base, 0.0).astype(values.dtype)
        if is_numpy_array(X):
            return base
        return array_namespace(X).asarray(base, device=device_of(X))


_COMPILED = {
    "tophat": tophat_numba.open_rows,
    "median": median_numba.median_rows,
    "local_minima": baseline_numba.minima_rows,
    "polynomial": baseline_numba.polynomial_rows,
    "noise": baseline_numba.noise_rows,
}
_REFERENCES = {
    "tophat": (tophat_xp, "open_rows"),
    "median": (median_xp, "median_rows"),
    "local_minima": (baseline_xp, "minima_rows"),
    "polynomial": (baseline_xp, "polynomial_rows"),
    "noise": (baseline_xp, "noise_rows"),
}
#: Those of ragged spectra, which zeros need not be put into.
OF_POINTS = {
    "snip": (snip_xp, "snip_points"),
    "tophat": (tophat_xp, "open_points"),
    "median": (median_xp, "median_points"),
    "local_minima": (baseline_xp, "minima_points"),
    "noise": (baseline_xp, "noise_points"),
}


def _elsewhere(X: Any, name: str) -> Callable:
    """Return the kernel of a method for rows that are not NumPy's."""
    module, function = _REFERENCES[name]
    return getattr(device_kernels(X, module), function)


def hop_of(widest: int) -> int:
    """Return the distance between the windows in which noise is judged."""
    return max(LEAST_HOP, HOP * widest)


def _polynomials(mz: Any, degree: int) -> np.ndarray:
    """Return Legendre polynomials of m/z scaled to −1…1, shape (degree + 1, m)."""
    mz = np.asarray(to_numpy(mz), np.float64)
    low, high = mz.min(), mz.max()
    scaled = (2 * mz - (low + high)) / ((high - low) or 1.0)
    basis = np.polynomial.legendre.legvander(scaled, degree)
    return np.ascontiguousarray(basis.T)


@dataclass(frozen=True)
class SubtractBaseline(ChunkKernel):
    """Subtract each spectrum's own baseline.

    Attributes
    ----------
    method : Method
        How it is found.
    grid : SampleGrid or None
        Where the samples of ragged spectra lie; `None` where all spectra are dense.
    """

    method: Method
    grid: SampleGrid | None = None

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        if not chunk.profile:
            raise ValueError(centroided("BaselineSubtractor", [chunk.run], WHY))
        width = self.method.width
        if chunk.indptr is None:
            mz = np.asarray(to_numpy(chunk.mz), np.float64)
            if mz.size == 0:
                return chunk
            reach = width.reach(mz, spacing_of(mz))
            rest = self.method.rest(chunk.intensity, mz, reach, int(reach.max()))
            return chunk.replace(intensity=rest)
        assert self.grid is not None
        return chunk.replace(intensity=self._points(chunk, self.grid))

    def _points(self, chunk: SpectrumChunk, grid: SampleGrid) -> Any:
        width = self.method.width
        if not is_numpy_array(chunk.intensity) and self.method.name in OF_POINTS:
            return self._stored_points(chunk, grid)
        widest = width.widest(grid)

        def rest(row: Any, mz: Any) -> Any:
            reach = width.reach(mz, grid.spacing(mz))
            return self.method.rest(row, mz, reach, widest)

        return on_grid(chunk, grid, rest)

    def _stored_points(self, chunk: SpectrumChunk, grid: SampleGrid) -> Any:
        """Do it in libraries but NumPy, whose values the host does not wait for."""
        method, mz = self.method, chunk.mz
        reach = method.width.reach(mz, grid.spacing(mz))
        widest = method.width.bound(grid)
        indptr = array_namespace(mz).asarray(chunk.indptr, device=device_of(mz))
        # Nothing sees across wider gaps, but what judges the noise.
        judges = method.lifts or method.name == "noise"
        limit = LONGEST_GAP if judges else widest + 1
        points = (indptr, *grid.positions(chunk, limit))
        hop = hop_of(method.width.widest(grid))
        return method.rest_of_points(chunk.intensity, points, reach, widest, hop)


@dataclass(frozen=True)
class SubtractSnip(SubtractBaseline):
    """Subtract SNIP baselines: only stored points are touched."""

    def _points(self, chunk: SpectrumChunk, grid: SampleGrid) -> Any:
        method, values = self.method, chunk.intensity
        if not is_numpy_array(values):
            return super()._points(chunk, grid)
        result = np.empty_like(values)
        if values.size == 0:
            return result
        mz, indptr = np.asarray(chunk.mz), np.asarray(chunk.indptr)
        reach = method.width.reach(mz, grid.spacing(mz))
        # A gap wider than every window is as good as any: nothing sees across it. The
        # windows in which noise is judged do, and stand at places of the grid.
        limit = LONGEST_GAP if method.lifts else int(reach.max()) + 1
        position, length = grid.positions(chunk, limit)
        points = (indptr, position, length)
        snip_numba.snip_points(values, *points, reach, result, method.linear)
        if method.lifts:
            hop = hop_of(method.width.widest(grid))
            lift_numba.lift_points(values, result, *points, hop, method.clip)
        return result


@dataclass(frozen=True)
class SubtractCurve(ChunkKernel):
    """Subtract one curve from all spectra.

    Attributes
    ----------
    mz, curve : ndarray of float64
        The curve, with straight lines between its points.
    clip : bool
        Whether what lies below it becomes 0.
    """

    mz: np.ndarray
    curve: np.ndarray
    clip: bool = True

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        if not chunk.profile:
            raise ValueError(centroided("BaselineSubtractor", [chunk.run], WHY))
        at = chunk.mz
        if is_numpy_array(at):
            at = np.asarray(at, np.float64)
            curve = np.interp(at, self.mz, self.curve) if at.size else at
        else:
            line = (moved_like(part, at) for part in (self.mz, self.curve))
            curve = interpolate(at, *line)
        return chunk.replace(
            intensity=subtract_curve(chunk.intensity, curve, self.clip)
        )


def subtract_curve(X: Any, curve: Any, clip: bool) -> Any:
    """Return `X` minus a curve along its last axis; `clip`: at least 0."""
    xp = array_namespace(X)
    curve = xp.astype(xp.asarray(curve, device=device_of(X)), X.dtype)
    return xp.clip(X - curve, 0.0, None) if clip else X - curve
