"""Windows along m/z: in points or ppm, on shared axes and in sparse profiles."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from imsminer._array import array_namespace, device_of, is_numpy_array, to_numpy
from imsminer.core.binning import sample_cells
from imsminer.core.chunk import SpectrumChunk
from imsminer.core.spectra import Spectra
from imsminer.spectra._kernels import grid_xp, snip_numba

__all__ = ["SampleGrid", "Width", "on_grid", "require_profile", "spacing_of"]

#: The spacing of the samples is smooth in m/z: this many values describe it.
N_KNOTS = 1024
#: Grid points that a gap between stored points may stand for.
LONGEST_GAP = 10**7


@dataclass(frozen=True)
class SampleGrid:
    """The grid on which the samples of sparse profiles lie.

    Attributes
    ----------
    knots, steps : ndarray of float64
        Spacing of the grid at some m/z.
    low, high : float
        Range of the grid.
    """

    knots: np.ndarray
    steps: np.ndarray
    low: float
    high: float

    @classmethod
    def of(cls, spectra: Spectra) -> SampleGrid | None:
        """Return the grid of spectra with an axis each; `None` on a shared axis."""
        if spectra.source.mz is not None:
            return None
        edges = sample_cells(spectra).edges
        middle = 0.5 * (edges[1:] + edges[:-1])
        chosen = np.linspace(0, middle.size - 1, min(N_KNOTS, middle.size))
        chosen = chosen.round().astype(np.int64)
        low, high = spectra.source.mz_range()
        return cls(middle[chosen], np.diff(edges)[chosen], low, high)

    def spacing(self, mz: Any) -> Any:
        """Return the spacing of the grid at each m/z, in the namespace of `mz`."""
        if is_numpy_array(mz):
            return np.interp(mz, self.knots, self.steps)
        xp = array_namespace(mz)
        knots, steps = self._in(xp, device_of(mz))
        return grid_xp.interpolate(mz, knots, steps)

    def positions(self, chunk: SpectrumChunk, limit: int) -> tuple[Any, Any]:
        """Number the points of each spectrum of a chunk on the grid.

        Gaps wider than `limit` are cut down to it. Returns the position of every point
        and the number of grid points of each spectrum.
        """
        if is_numpy_array(chunk.mz):
            bounds = np.asarray(chunk.indptr)
            length = np.empty(chunk.n_spectra, np.int64)
            position = np.empty(chunk.mz.size, np.int64)
            grid = (self.knots, self.steps, self.low, self.high, limit)
            snip_numba.grid_positions(
                np.asarray(chunk.mz, np.float64), bounds, *grid, position, length
            )
            return position, length
        xp, device = array_namespace(chunk.mz), device_of(chunk.mz)
        mz = xp.astype(chunk.mz, xp.float64, copy=False)
        bounds = xp.asarray(chunk.indptr, device=device)
        grid = (*self._in(xp, device), self.low, self.high, limit)
        return grid_xp.grid_positions(mz, bounds, *grid)

    def _in(self, xp: Any, device: Any) -> tuple[Any, Any]:
        return (
            xp.asarray(self.knots, device=device),
            xp.asarray(self.steps, device=device),
        )


@dataclass(frozen=True)
class Width:
    """A width along the m/z axis.

    Attributes
    ----------
    value : float
        In points or ppm.
    unit : {"points", "ppm"}
        Of `value`.
    """

    value: float
    unit: str = "points"

    def reach(self, mz: Any, spacing: Any) -> Any:
        """Return the width at each point in whole points, at least 1."""
        xp = array_namespace(mz)
        if self.unit == "points":
            width = max(1, round(self.value))
            return xp.full(mz.shape, width, dtype=xp.int64, device=device_of(mz))
        reach = xp.round(self.in_points(mz, spacing))
        return xp.astype(xp.clip(reach, 1.0, 1e6), xp.int64)

    def in_points(self, mz: Any, spacing: Any) -> Any:
        """Return the width at each point in points of the grid."""
        if self.unit == "points":
            return 0.0 * mz + self.value
        return mz * (self.value * 1e-6) / spacing

    def widest(self, grid: SampleGrid) -> int:
        """Return the largest reach anywhere on a grid."""
        return int(self.reach(grid.knots, grid.steps).max())

    def span(self, grid: SampleGrid) -> tuple[float, float]:
        """Return the smallest and the largest width on a grid, in points."""
        mz = np.concatenate([[grid.low], grid.knots, [grid.high]])
        wide = self.in_points(mz, grid.spacing(mz))
        return float(wide.min()), float(wide.max())

    def bound(self, grid: SampleGrid) -> int:
        """Return a whole width that no point of a grid exceeds.

        Between the knots widths are between theirs, but for rounding; steps that
        correct m/z may have moved points a little.
        """
        if self.unit == "points":
            return self.widest(grid)
        return int(1.001 * min(self.span(grid)[1] + 1, 1e6)) + 1


def spacing_of(mz: np.ndarray) -> np.ndarray:
    """Return the spacing of a shared axis at each of its points, above 0."""
    if mz.size < 2:
        return np.ones(mz.size)
    spacing = np.abs(np.gradient(mz))
    least = spacing[spacing > 0].min(initial=np.inf)
    return np.maximum(spacing, least if np.isfinite(least) else 1.0)


def on_grid(
    chunk: SpectrumChunk, grid: SampleGrid, function: Callable[[Any, Any], Any]
) -> Any:
    """Apply a function of whole rows to spectra that leave out zeros.

    Parameters
    ----------
    chunk : SpectrumChunk
        Spectra with an axis each.
    grid : SampleGrid
        Their grid.
    function : callable
        Takes intensities (1, m) with the zeros in place and the m/z of the grid points
        (m,), and returns values (1, m).

    Returns
    -------
    array of shape (n_points,)
        What the function gives at the stored points.
    """
    values = chunk.intensity
    xp = array_namespace(values)
    device = device_of(values)
    position, length = grid.positions(chunk, LONGEST_GAP)
    parts = []
    bounds, length = to_numpy(chunk.indptr).tolist(), to_numpy(length)
    for i, (start, stop) in enumerate(itertools.pairwise(bounds)):
        if stop == start:
            continue
        here, mz = position[start:stop], chunk.mz[start:stop]
        n = int(length[i])
        if is_numpy_array(values):
            row = np.zeros(n, values.dtype)
            row[here] = values[start:stop]
            whole = np.interp(np.arange(n), here, mz)
        else:
            row = grid_xp.with_zeros(values[start:stop], here, n)
            index = xp.arange(n, dtype=xp.float64, device=device)
            whole = grid_xp.interpolate(index, xp.astype(here, xp.float64), mz)
        result = function(row[None, :], whole)
        parts.append(xp.take(result[0, :], here))
    return xp.concat(parts) if parts else values


def require_profile(estimator: str, X: Spectra, why: str) -> None:
    """Refuse centroids, by the names of their runs."""
    run_of_row = np.searchsorted(X.source.run_bounds, X.rows, side="right") - 1
    used = np.unique(run_of_row)
    wrong = used[~X.run_profile[used]]
    if wrong.size:
        names = [str(name) for name in X.runs.index[wrong]]
        raise ValueError(centroided(estimator, names, why))


def centroided(estimator: str, runs: list[str], why: str) -> str:
    """Return the message that refuses centroids."""
    named = ", ".join(repr(run) for run in runs[:5])
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    return (
        f"{estimator}: centroid spectra in {named}{more}. {why} Leave this step out. "
        "If the file is wrong about itself and holds profiles, build the Spectra with "
        "profile=True."
    )
