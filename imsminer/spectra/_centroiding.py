"""The lazy step that turns a chunk of profiles into centroids."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtri

from imsminer._array import array_namespace, device_of, is_numpy_array, to_numpy
from imsminer.core.axis import MassAxis
from imsminer.core.binning import sample_cells
from imsminer.core.chunk import ChunkKernel, SpectrumChunk, rows_as_chunk
from imsminer.core.spectra import Spectra
from imsminer.spectra._kernels import centroid_numba, centroid_xp

__all__ = [
    "KINDS",
    "PickCentroids",
    "centroids_of",
    "noise_and_level",
    "pick_columns",
]

MAD_TO_SD = 1.4826022185056018
#: What a centroid's intensity is, as kernels number it.
KINDS = {
    "height": centroid_numba.HEIGHT,
    "area": centroid_numba.AREA,
    "sum": centroid_numba.SUM,
}
#: Shares of filled samples above this tell nothing of a cut.
MOST = 0.5
#: The spacing of the samples is smooth in m/z: this many values describe it.
N_KNOTS = 1024


@dataclass(frozen=True)
class PickCentroids(ChunkKernel):
    """Pick the peaks of each spectrum: profiles become centroids.

    Attributes
    ----------
    loq : float
        Smallest height above the level, in units of the noise.
    noise : float or None
        Standard deviation of the noise in a spectrum; `None`: that of each.
    width : int
        Maxima have no higher sample within this many samples.
    intensity : {"height", "area", "sum"}
        What the intensity of a centroid is.
    knots, steps : ndarray of float64 or None
        Spacing of the samples' grid at some m/z; `None` where all share one axis.
    """

    makes_centroids: ClassVar[bool] = True

    loq: float
    noise: float | None
    width: int
    intensity: str
    knots: np.ndarray | None = field(default=None)
    steps: np.ndarray | None = field(default=None)

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        if chunk.mobility is not None and chunk.profile:
            message = (
                f"CentroidSpectra: run {chunk.run!r} has an ion mobility for each "
                "point, so that points next to each other in m/z need not be "
                "neighbours. Sum over the mobility before."
            )
            raise ValueError(message)
        if not chunk.profile:
            return _points_of(chunk)
        pick = self._pick if is_numpy_array(chunk.intensity) else self._pick_xp
        mz, intensity, counts = pick(chunk)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        if not is_numpy_array(intensity):
            xp = array_namespace(intensity)
            indptr = xp.asarray(indptr, device=device_of(intensity))
        return chunk.replace(mz=mz, intensity=intensity, indptr=indptr, profile=False)

    def _pick(self, chunk: SpectrumChunk) -> tuple[Any, Any, np.ndarray]:
        y, mz, indptr = chunk.intensity, chunk.mz, chunk.indptr
        step = self._step(np.asarray(mz), shared=indptr is None)
        facts = np.zeros((chunk.n_spectra, 4))
        if indptr is None:
            centroid_numba.facts_rows(y, facts)
            arrays: tuple = (y, np.asarray(mz), step)
            pick = centroid_numba.pick_rows
        else:
            centroid_numba.facts_points(mz, y, indptr, step, *self._ends, facts)
            arrays, pick = (y, mz, indptr, step), centroid_numba.pick_points
        level, noise = self._level_and_noise(chunk, facts)
        # Maxima of dense rows are at least that far apart; a lonely sample is one, too.
        room = y.size
        if indptr is None:
            room = chunk.n_spectra * (mz.size // (self.width + 1) + 1)
        out_mz, out = np.empty(room), np.empty(room, y.dtype)
        counts = np.zeros(chunk.n_spectra, np.int64)
        what = KINDS[self.intensity]
        n = pick(*arrays, level, noise, self.loq, self.width, what, out_mz, out, counts)
        # Copies: the arrays have room for more.
        return out_mz[:n].copy(), out[:n].copy(), counts

    def _pick_xp(self, chunk: SpectrumChunk) -> tuple[Any, Any, np.ndarray]:
        xp, device = array_namespace(chunk.intensity), device_of(chunk.intensity)
        sparse = chunk.indptr is not None
        spectra = []
        for i in range(chunk.n_spectra):
            mz, y = chunk.spectrum(i)
            step = self._step(to_numpy(mz), shared=not sparse)
            mz, step = (xp.asarray(part, device=device) for part in (mz, step))
            spectra.append((y, mz, step))
        ends = self._ends if sparse else None
        facts = np.array([centroid_xp.facts(*s, ends) for s in spectra])
        level, noise = self._level_and_noise(chunk, facts.reshape(-1, 4))
        what = KINDS[self.intensity]
        settings = self.loq, self.width, what, sparse
        found = [
            centroid_xp.pick(*spectrum, float(level[i]), float(noise[i]), *settings)
            for i, spectrum in enumerate(spectra)
        ]
        mz = xp.concat([part[0] for part in found])
        intensity = xp.concat([part[1] for part in found])
        counts = np.array([part[0].shape[0] for part in found])
        return mz, xp.astype(intensity, chunk.intensity.dtype), counts

    @property
    def _ends(self) -> tuple[float, float]:
        return float(self.knots[0]), float(self.knots[-1])

    def _step(self, mz: np.ndarray, *, shared: bool) -> np.ndarray:
        if shared:
            return np.gradient(mz) if mz.size > 1 else np.ones(mz.size)
        step = np.empty(mz.size)
        centroid_numba.grid_steps(mz, self.knots, self.steps, step)
        return step

    def _level_and_noise(
        self, chunk: SpectrumChunk, facts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        bad = np.flatnonzero(np.isnan(facts[:, 0]))
        if bad.size:
            x, y, z = chunk.coordinates[bad[0]]
            message = (
                f"CentroidSpectra: run {chunk.run!r}, pixel x={x}, y={y}, z={z} has "
                "intensities that are not finite. Leave this pixel out, or repair "
                "the file."
            )
            raise ValueError(message)
        level, noise = noise_and_level(facts)
        if self.noise is not None:
            noise = np.full(level.shape, float(self.noise))
        return level, noise


def noise_and_level(facts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return level and standard deviation of the noise of each spectrum.

    Parameters
    ----------
    facts : ndarray of float64, shape (n, 4)
        Share of the grid's samples that are filled; the 10 % quantile of these; their
        median and median absolute deviation.

    Returns
    -------
    level, noise : ndarray of float64, shape (n,)
    """
    share, low, median, deviation = facts.T
    cut = share <= MOST
    # Of normal noise around 0, cut off where this share is left, 90 % of what is left
    # lies above the low quantile.
    tail = (1.0 - centroid_numba.LOW) * np.where(cut, share, 0.0)
    score = -ndtri(np.where(tail > 0, tail, 0.1))
    noise = np.where(cut, np.maximum(low, 0.0) / score, MAD_TO_SD * deviation)
    return np.where(cut, 0.0, median), noise


def centroids_of(
    X: Spectra,
    *,
    loq: float,
    noise: float | None = None,
    min_points: int = 6,
    intensity: str = "height",
) -> Spectra:
    """Return Spectra with the step queued that picks the peaks of each spectrum."""
    if not X.run_profile.any():
        return X
    settings = float(loq), noise, int(min_points) - 1, intensity
    if X.source.mz is not None:
        return X.map(PickCentroids(*settings))
    return X.map(PickCentroids(*settings, *axis_knots(sample_cells(X))))


def axis_knots(axis: MassAxis) -> tuple[np.ndarray, np.ndarray]:
    """Return some m/z of an axis and the spacing of its bins there."""
    edges = axis.edges
    middle = 0.5 * (edges[1:] + edges[:-1])
    chosen = np.linspace(0, middle.size - 1, min(N_KNOTS, middle.size))
    chosen = chosen.round().astype(np.int64)
    return middle[chosen], np.diff(edges)[chosen]


def pick_columns(X: Any, kernel: PickCentroids) -> Any:
    """Return an array (n, m) with the centroids at their maxima, 0 elsewhere."""
    n, m = X.shape
    xp = array_namespace(X)
    found = kernel(rows_as_chunk(np.ascontiguousarray(X) if is_numpy_array(X) else X))
    counts = np.diff(to_numpy(found.indptr))
    result = np.zeros((n, m), to_numpy(found.intensity).dtype)
    columns = np.clip(np.rint(to_numpy(found.mz)), 0, m - 1).astype(np.int64)
    np.add.at(
        result, (np.repeat(np.arange(n), counts), columns), to_numpy(found.intensity)
    )
    return result if is_numpy_array(X) else xp.asarray(result, device=device_of(X))


def _points_of(chunk: SpectrumChunk) -> SpectrumChunk:
    """Return centroids as they are; those on a shared axis without their zeros."""
    if chunk.indptr is not None:
        return chunk
    xp = array_namespace(chunk.intensity)
    filled = chunk.intensity != 0
    device = device_of(chunk.intensity)
    mz = xp.asarray(chunk.mz, device=device)
    mz = xp.broadcast_to(mz, chunk.intensity.shape)[filled]
    counts = xp.sum(xp.astype(filled, xp.int64), axis=1)
    start = xp.zeros(1, dtype=xp.int64, device=device)
    indptr = xp.concat([start, xp.cumulative_sum(counts, dtype=xp.int64)])
    return chunk.replace(mz=mz, intensity=chunk.intensity[filled], indptr=indptr)
