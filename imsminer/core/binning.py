"""Adding spectra up on one m/z axis, whatever axes they come on."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imsminer._array import (
    array_namespace,
    device_kernels,
    is_numpy_array,
    moved_like,
    to_numpy,
)
from imsminer.core._kernels import (
    accumulate_numba,
    accumulate_xp,
    binning_numba,
    binning_rebin_numba,
    binning_rebin_xp,
    binning_spread_numba,
    binning_spread_xp,
    binning_xp,
)
from imsminer.core._kernels.binning_numba import build_guide
from imsminer.core.axis import MassAxis, estimate_grid
from imsminer.core.cache import cache
from imsminer.core.chunk import ChunkKernel, SpectrumChunk, kernel_fingerprint
from imsminer.core.spectra import Spectra

__all__ = ["AxisStatistics", "Binner", "sample_cells"]


def sample_cells(spectra: Spectra) -> MassAxis:
    """Return the axis whose bins are the cells that profile samples stand for.

    That is the instrument's native grid where one can be recovered, else an axis with
    the samples' spacing. Estimated once per source, and for each queued step that moves
    it, from at most 10 spectra.
    """
    return _cells(spectra)[0]


def _cells(spectra: Spectra) -> tuple[MassAxis, bool]:
    """Return the axis of the cells, and whether samples lie on it as on a grid."""

    def compute() -> tuple[MassAxis, bool]:
        grid = estimate_grid(spectra)
        if grid is not None:
            return grid, True
        return MassAxis.estimate(spectra), False

    moved = any(kernel.moves_mz for kernel in spectra.queue)
    steps = tuple(
        kernel_fingerprint(kernel)
        for kernel in spectra.queue
        if type(kernel).transform_axis is not ChunkKernel.transform_axis
    )
    key = ("cells", spectra.source.identity, moved, steps)
    return cache.get(key, compute, spectra.source.disk)


@dataclass(frozen=True)
class AxisStatistics:
    """Statistics over pixels, one value per bin of an m/z axis.

    Attributes
    ----------
    mz : ndarray of float64, shape (n_bins,)
        Centres of the bins.
    total : ndarray of float64, shape (n_bins,)
        Sum over the pixels.
    maximum, squares : ndarray of float64 or None
        Largest value of any pixel (0 where there is none above), sum of squares.
    count : ndarray of int64 or None
        Number of pixels with a value above 0.
    n_pixels : int
        Number of pixels.
    n_dropped : int
        Points whose m/z lies outside the axis.
    """

    mz: np.ndarray
    total: np.ndarray
    maximum: np.ndarray | None
    count: np.ndarray | None
    squares: np.ndarray | None
    n_pixels: int
    n_dropped: int = 0

    @classmethod
    def zeros(cls, mz: np.ndarray, *, full: bool) -> "AxisStatistics":
        """Return the statistics of no pixel."""
        n = mz.size
        if not full:
            return cls(mz, np.zeros(n), None, None, None, 0)
        return cls(mz, np.zeros(n), np.zeros(n), np.zeros(n, np.int64), np.zeros(n), 0)

    @property
    def mean(self) -> np.ndarray:
        """Mean spectrum."""
        return self.total / self.n_pixels

    @property
    def frequency(self) -> np.ndarray:
        """Share of the pixels with a value above 0."""
        return self._full("count") / self.n_pixels

    @property
    def std(self) -> np.ndarray:
        """Standard deviation over the pixels."""
        variance = self._full("squares") / self.n_pixels - self.mean**2
        return np.sqrt(np.maximum(variance, 0.0))

    def combine(self, other: "AxisStatistics") -> "AxisStatistics":
        """Return the statistics of the pixels of both, on the axis of this one."""
        sums = {
            "total": self.total + other.total,
            "n_pixels": self.n_pixels + other.n_pixels,
            "n_dropped": self.n_dropped + other.n_dropped,
        }
        if self.maximum is None or other.maximum is None:
            return replace(self, **sums, maximum=None, count=None, squares=None)
        return replace(
            self,
            **sums,
            maximum=np.maximum(self.maximum, other.maximum),
            count=self._full("count") + other._full("count"),
            squares=self._full("squares") + other._full("squares"),
        )

    def _full(self, name: str) -> np.ndarray:
        value = getattr(self, name)
        if value is None:
            message = f"{name} was not computed: this pass summed only (full=False)."
            raise ValueError(message)
        return value


@dataclass(frozen=True)
class Binner:
    """How the spectra of one dataset come onto one axis. Small and picklable.

    Attributes
    ----------
    centers : ndarray of float64, shape (n_bins,)
        Centres of the bins.
    edges : ndarray of float64, shape (n_bins + 1,), or None
        Edges of the bins; `None` adds up on the shared axis, column by column.
    cells : ndarray of float64 or None
        Edges of the native grid's cells, over which profile samples are spread;
        `None` where the bins are these cells, or there are only centroids.
    on_grid : bool
        Whether profile samples lie in the middle of the cells, unless a queued step
        moved them.
    fingerprint : str
        Equal for binners that do the same.
    """

    centers: np.ndarray
    edges: np.ndarray | None
    cells: np.ndarray | None
    on_grid: bool
    fingerprint: str

    @classmethod
    def of(cls, spectra: Spectra, axis: MassAxis | None) -> "Binner":
        """Decide how `spectra` come onto `axis` (their shared axis when `None`)."""
        shared = spectra.mz
        if axis is None:
            assert shared is not None
            return cls(shared, None, None, True, "shared")
        if shared is not None and np.array_equal(shared, axis.centers):
            return cls(shared, None, None, True, "shared")
        cells, on_grid, name = None, True, "points"
        if spectra.run_profile.any():
            grid, on_grid = _cells(spectra)
            if not np.array_equal(grid.edges, axis.edges):
                cells, name = grid.edges, grid.fingerprint
        fingerprint = f"{axis.fingerprint}/{name}"
        return cls(axis.centers, axis.edges, cells, on_grid, fingerprint)

    def kind(self, chunk: SpectrumChunk) -> str:
        """Return how the points of ragged spectra come into the bins.

        ``""``: each into the bin that it lies in. ``"spread_"``: samples of a profile
        over the bins that their cells overlap. ``"linear_"``: shared between the two
        nearest bins, where bins are cells but samples do not lie in their middle.
        """
        if not chunk.profile:
            return ""
        if self.cells is not None:
            return "spread_"
        return "linear_" if chunk.moved or not self.on_grid else ""

    def accumulator(self, *, full: bool) -> "_Accumulator":
        """Return sums that start at 0."""
        return _Accumulator(self, full=full)


class _Accumulator:
    """Running statistics of one block of rows."""

    def __init__(self, binner: Binner, *, full: bool) -> None:
        self._binner = binner
        sums = AxisStatistics.zeros(binner.centers, full=full)
        self._sums = sums
        self._arrays: tuple[Any, ...] = (
            (sums.total, sums.maximum, sums.count, sums.squares)
            if full
            else (sums.total,)
        )
        self._n_pixels = 0
        self._n_dropped: Any = 0
        # Sums of arrays of other libraries, and the bins, stay where those arrays are.
        self._elsewhere: tuple | None = None
        self._moved_bins: dict[str, list] = {}
        self._rebinning: tuple[np.ndarray, tuple] | None = None
        # What the kernels of each kind take after the points.
        self._bins: dict[str, tuple] = {}
        if binner.edges is not None:
            bins = (build_guide(binner.edges), binner.edges)
            self._bins = {"": bins, "linear_": (*bins, binner.centers)}
            if binner.cells is not None:
                cells = binner.cells
                self._bins["spread_"] = (build_guide(cells), cells, *bins)

    def add(self, chunk: SpectrumChunk) -> None:
        """Add the spectra of a chunk."""
        self._n_pixels += chunk.n_spectra
        if chunk.is_ragged:
            self._n_dropped += self._add_points(chunk)
        elif self._binner.edges is None:
            self._add_rows(chunk.intensity)
        else:
            self._add_rows(self._rebin(chunk))

    def result(self) -> AxisStatistics:
        """Return the statistics of what was added."""
        parts, self._elsewhere = self._elsewhere or (), None
        for number, part in enumerate(parts):
            array = self._arrays[number]
            if number == 1:
                np.maximum(array, to_numpy(part), out=array)
            else:
                array += to_numpy(part)
        n_dropped = int(self._n_dropped)
        return replace(self._sums, n_pixels=self._n_pixels, n_dropped=n_dropped)

    def _add_rows(self, intensity: Any) -> None:
        brief = len(self._arrays) == 1
        if is_numpy_array(intensity):
            name = "sum_rows" if brief else "accumulate_rows"
            getattr(accumulate_numba, name)(intensity, *self._arrays)
            return
        kernels = device_kernels(intensity, accumulate_xp)
        if brief:
            self._merge((kernels.sum_rows(intensity),))
        else:
            self._merge(kernels.accumulate_rows(intensity))

    def _add_points(self, chunk: SpectrumChunk) -> Any:
        """Add ragged spectra; return how many points lie outside the axis."""
        kind = self._binner.kind(chunk)
        brief = len(self._arrays) == 1
        name = f"{kind}{'sum' if brief else 'accumulate'}_points"
        points: tuple = (chunk.mz, chunk.intensity)
        bins = self._bins[kind]
        if is_numpy_array(chunk.intensity):
            if not (brief and kind):
                points = (*points, chunk.indptr)
            kernels = binning_spread_numba if kind else binning_numba
            return getattr(kernels, name)(*points, *bins, *self._arrays)
        if kind not in self._moved_bins:
            # The others search without guides.
            arrays = [part for part in bins if isinstance(part, np.ndarray)]
            self._moved_bins[kind] = [moved_like(part, chunk.mz) for part in arrays]
        kernels = device_kernels(
            chunk.intensity, binning_spread_xp if kind else binning_xp
        )
        *parts, dropped = getattr(kernels, name)(
            *points, chunk.indptr, *self._moved_bins[kind]
        )
        self._merge(tuple(parts))
        return dropped

    def _merge(self, parts: tuple) -> None:
        """Add statistics of another array library; `result` fetches them, once."""
        if self._elsewhere is not None:
            xp = array_namespace(*parts)
            parts = tuple(
                xp.maximum(mine, part) if number == 1 else mine + part
                for number, (mine, part) in enumerate(
                    zip(self._elsewhere, parts, strict=True)
                )
            )
        self._elsewhere = parts

    def _rebin(self, chunk: SpectrumChunk) -> Any:
        assert self._binner.edges is not None
        numpy_chunk = is_numpy_array(chunk.intensity)
        if self._rebinning is None or self._rebinning[0] is not chunk.mz:
            parts: tuple = binning_rebin_numba.overlap_matrix(
                chunk.mz, None, self._binner.edges, chunk.profile
            )
            if not numpy_chunk:
                parts = tuple(moved_like(part, chunk.intensity) for part in parts)
            self._rebinning = (chunk.mz, parts)
        indptr, indices, weights = self._rebinning[1]
        if not numpy_chunk:
            kernels = device_kernels(chunk.intensity, binning_rebin_xp)
            return kernels.rebin_rows(chunk.intensity, indptr, indices, weights)
        out = np.empty((chunk.n_spectra, self._binner.centers.size))
        binning_rebin_numba.rebin_rows(chunk.intensity, indptr, indices, weights, out)
        return out
