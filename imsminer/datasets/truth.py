"""What is true of a simulated run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer.core.peaktable import match_peaks
from imsminer.datasets._kernels.synthetic_numba import add_gaussians
from imsminer.datasets._noise import Noise
from imsminer.datasets._shapes import Analyser

__all__ = ["Truth"]

# Shifts are put into this many classes to spread the mean profile.
SHIFT_NODES = 161
# The profile whose maxima are looked for has at least this many points per FWHM.
FINE = 24
# Maxima below this part of the highest are rounding errors of the tails.
LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class Truth:
    """The known answers of a simulated run; returned by :func:`make_ims`.

    All arrays of pixels are in the order of the file.

    Attributes
    ----------
    path : pathlib.Path
        The .imzML file.
    peaks : DataFrame
        One row an *ion*, isotopologues behind the monoisotopic ions: ``mz``; ``height``
        (apex of its mean over the pixels, before shifts broaden it), ``fwhm``, ``area``
        (mean area), ``snr`` (see :meth:`true_list`), ``parent`` (row of its
        monoisotopic ion), ``isotope`` (number of ¹³C), ``ratio`` (to its parent).
    labels : ndarray of int64, shape (n_pixels,)
        Region of each pixel; 0 is off tissue.
    coordinates : ndarray of int64, shape (n_pixels, 3)
        x, y, z.
    shifts : ndarray of float64, shape (n_pixels,)
        Shift of all m/z of a pixel, in ppm.
    stretches : ndarray of float64, shape (n_pixels,)
        Further shift at the upper end of the m/z range in ppm; its negative applies at
        the lower end, and it is linear in between.
    axis : ndarray of float64
        Native grid of samples (for centroids: the grid their profile would have).
    mode, spectrum_type : str
        As given to :func:`make_ims`.
    seed : int
        Seed of the noise.
    """

    path: Path
    peaks: pd.DataFrame
    labels: np.ndarray
    coordinates: np.ndarray
    shifts: np.ndarray
    stretches: np.ndarray
    axis: np.ndarray
    mode: str
    spectrum_type: str
    seed: int
    analyser: Analyser
    noise: Noise
    parent_heights: np.ndarray

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return len(self.labels)

    @cached_property
    def heights(self) -> np.ndarray:
        """Noise-free apex of each ion in each pixel, shape (n_pixels, n_ions)."""
        parent, ratio = self.peaks["parent"].to_numpy(), self.peaks["ratio"].to_numpy()
        return self.parent_heights[:, parent] * ratio

    @property
    def areas(self) -> np.ndarray:
        """Exact area ∫ I dm of each ion in each pixel, shape (n_pixels, n_ions).

        For centroids, which have no area: the expected intensity, that is the height.
        """
        return self.heights * self._area_per_height(self.peaks["mz"].to_numpy())

    @property
    def region_means(self) -> pd.DataFrame:
        """Mean area of each ion in each region, regions as rows."""
        areas = pd.DataFrame(self.areas, columns=self.peaks["mz"].to_numpy())
        return areas.groupby(self.labels).mean().rename_axis("label")

    def shift_at(self, mz: Any) -> np.ndarray:
        """Return the shift in ppm of each pixel at some m/z, shape (n_pixels, n)."""
        lever = self.lever(np.atleast_1d(np.asarray(mz, dtype=np.float64)))
        return self.shifts[:, np.newaxis] + self.stretches[:, np.newaxis] * lever

    @cached_property
    def noise_free_mean(self) -> np.ndarray:
        """Mean profile of all pixels on `axis`, shifts included, without background."""
        return self._mean_profile(self.axis)

    @cached_property
    def background(self) -> np.ndarray:
        """Expected mean of the stored samples away from peaks, on `axis`."""
        return self._background[0]

    @cached_property
    def noise_sd(self) -> np.ndarray:
        """Standard deviation of the mean spectrum's noise, on `axis`.

        Noise of the peaks' own ions is not in it. For centroids: of the sum over one
        FWHM, and at least what one ion of the noise adds to the mean.
        """
        return np.sqrt(self._background[1] / self.n_pixels)

    @cached_property
    def _background(self) -> tuple[np.ndarray, np.ndarray]:
        if self.spectrum_type == "centroid":
            return self.noise.centroids(self.axis, self.analyser, self.n_pixels)
        return self.noise.background(self.axis, self.analyser)

    def true_list(self, min_snr: float = 0.0) -> pd.DataFrame:
        """Return the peaks that can be told apart in the mean spectrum.

        They are the local maxima of the noise-free mean profile, isotopologues
        included; of maxima closer than one FWHM, the highest stands for all.

        Parameters
        ----------
        min_snr : float, default=0.0
            Smallest S/N of the peaks that are returned.

        Returns
        -------
        DataFrame
            Indexed by the number of the entry, increasing in m/z: ``mz`` (of the
            maximum), ``height``, ``fwhm`` (of the analyser there), ``snr``, ``n_ions``.
            S/N is what the apex adds to the expected mean of the stored samples over
            `noise_sd` there, infinite without noise. So a peak of centroids with an
            S/N of 10 adds ten times as much as a single centroid of the noise.
        """
        table = self.entries[0]
        return table[table["snr"] >= min_snr]

    def true_areas(self, min_snr: float = 0.0) -> np.ndarray:
        """Return the areas of the entries of :meth:`true_list` in each pixel.

        An entry holds the ions that its maximum stands for.

        Returns
        -------
        ndarray of float64, shape (n_pixels, n_entries)
        """
        table, member = self.entries
        sums = _sum_members(self.areas, member, len(table))
        return sums[:, table["snr"].to_numpy() >= min_snr]

    def score(self, mz: Any, min_snr: float = 0.0) -> dict[str, float]:
        """Compare picked peaks with the true list, one to one, within half a FWHM.

        Parameters
        ----------
        mz : array-like of float
            The picked m/z.
        min_snr : float, default=0.0
            The recall counts true peaks from this S/N on; the precision accepts all
            true peaks.

        Returns
        -------
        dict
            ``recall``, ``precision``, ``n_true`` (from `min_snr` on), ``n_found``,
            ``n_matched`` and ``n_doubled``: peaks that were left over although a true
            peak is within half a FWHM.
        """
        mz = np.asarray(mz, dtype=np.float64)
        table = self.entries[0]
        true = table["mz"].to_numpy()
        reach = 0.5e6 * table["fwhm"].to_numpy() / true
        index_true, index_found = match_peaks(true, mz, reach)
        wanted = table["snr"].to_numpy() >= min_snr
        left = np.setdiff1d(np.arange(mz.size), index_found)
        near = (
            np.abs(mz[left, np.newaxis] - true) <= 0.5 * table["fwhm"].to_numpy()
        ).any(axis=1)
        n_true = int(wanted.sum())
        return {
            "recall": float(wanted[index_true].sum() / n_true) if n_true else np.nan,
            "precision": float(index_found.size / mz.size) if mz.size else np.nan,
            "n_true": n_true,
            "n_found": int(mz.size),
            "n_matched": int(index_found.size),
            "n_doubled": int(near.sum()),
        }

    def visible(self, signal: np.ndarray, mz: float) -> np.ndarray:
        """Return what is stored, on average, of an ion's apex of some height."""
        centroid = self.spectrum_type == "centroid"
        samples = float(self.analyser.samples(mz)) if centroid else 1.0
        return self.noise.visible(signal, mz, samples)

    # Mean profile ----------------------------------------------------------------

    def _area_per_height(self, mz: np.ndarray) -> np.ndarray:
        if self.spectrum_type == "centroid":
            return np.ones_like(mz)
        return self.analyser.sigma(mz) * np.sqrt(2 * np.pi)

    def lever(self, mz: np.ndarray) -> np.ndarray:
        """Return the share of `stretches` that applies at some m/z, from -1 to 1."""
        low, high = self.noise.low, self.noise.high
        return (mz - 0.5 * (low + high)) / (0.5 * (high - low))

    def _mean_profile(self, grid: np.ndarray, reach: float = 7.0) -> np.ndarray:
        mz = self.peaks["mz"].to_numpy()
        heights = self.heights.mean(axis=0)
        centers, sigmas = mz, self.analyser.sigma(mz)
        if self.shifts.any() or self.stretches.any():
            centers, sigmas, heights = self._spread(mz, sigmas)
        profile = np.zeros(grid.size)
        add_gaussians(profile, grid, centers, sigmas, heights, reach)
        return profile

    def _spread(self, mz: np.ndarray, sigmas: np.ndarray) -> tuple[np.ndarray, ...]:
        """Stand-ins for all pixels: a Gaussian for each ion and class of shifts."""
        spread = np.abs(self.shifts) + np.abs(self.stretches)
        nodes = np.linspace(-1, 1, SHIFT_NODES) * max(spread.max(), 1e-12)
        step = nodes[1] - nodes[0]
        weights = np.empty((mz.size, SHIFT_NODES))
        parent, ratio = self.peaks["parent"].to_numpy(), self.peaks["ratio"].to_numpy()
        for j, lever in enumerate(self.lever(mz)):
            # Shared between the two nearest classes, which keeps the mean shift.
            place = (self.shifts + self.stretches * lever - nodes[0]) / step
            lower = np.clip(place.astype(np.int64), 0, SHIFT_NODES - 2)
            part = place - lower
            height = self.parent_heights[:, parent[j]] * ratio[j] / self.n_pixels
            weights[j] = np.bincount(lower, height * (1 - part), SHIFT_NODES)
            weights[j] += np.bincount(lower + 1, height * part, SHIFT_NODES)
        centers = mz[:, np.newaxis] * (1 + 1e-6 * nodes)
        return centers.ravel(), np.repeat(sigmas, SHIFT_NODES), weights.ravel()

    @cached_property
    def entries(self) -> tuple[pd.DataFrame, np.ndarray]:
        """The whole true list, and which of its entries each ion belongs to.

        Ions that occur nowhere belong to entry -1.
        """
        law = self.analyser
        narrow = float(np.min(law.fwhm(self.axis) / law.spacing(self.axis)))
        grid = law.grid(self.axis[0], self.axis[-1], int(np.ceil(FINE / narrow)))
        profile = self._mean_profile(grid)
        inner = profile[1:-1]
        peak = (inner > profile[:-2]) & (inner >= profile[2:])
        peak &= inner > LEAST * profile.max()
        apex = 1 + np.flatnonzero(peak)
        mz, height = _refine(grid, profile, apex)
        keep: list[int] = []
        for k in np.argsort(-height, kind="stable"):
            near = np.abs(mz[keep] - mz[k]) < law.fwhm(mz[k]) if keep else np.zeros(1)
            if not near.any():
                keep.append(int(k))
        keep.sort()
        mz, height = mz[keep], height[keep]
        ions = self.peaks["mz"].to_numpy()
        middle = 0.5 * (mz[1:] + mz[:-1])
        # Ions that occur nowhere belong to none.
        member = np.where(self.heights.any(axis=0), np.searchsorted(middle, ions), -1)
        table = pd.DataFrame(
            {
                "mz": mz,
                "height": height,
                "fwhm": law.fwhm(mz),
                "snr": self._snr(mz, height, member),
                "n_ions": np.bincount(member[member >= 0], minlength=mz.size),
            }
        )
        return table.rename_axis("entry"), member

    def _snr(
        self, mz: np.ndarray, height: np.ndarray, member: np.ndarray
    ) -> np.ndarray:
        """S/N of the apices, with what the threshold takes from them."""
        sd = np.interp(mz, self.axis, self.noise_sd)
        shares = np.ones(mz.size)
        sums = _sum_members(self.heights, member, mz.size)
        for entry in range(mz.size):
            column = sums[:, entry]
            if column.any():
                seen = self.visible(column, mz[entry]).mean()
                shares[entry] = seen / column.mean()
        with np.errstate(divide="ignore"):
            return np.where(sd > 0, height * shares / sd, np.inf)


def _sum_members(values: np.ndarray, member: np.ndarray, n: int) -> np.ndarray:
    """Add up the columns that belong to the same entry."""
    sums = np.zeros((len(values), n))
    for column, entry in enumerate(member):
        if entry >= 0:
            sums[:, entry] += values[:, column]
    return sums


def _refine(
    grid: np.ndarray, profile: np.ndarray, apex: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Place and height of maxima by a parabola through the logarithms."""
    left, top, right = (np.log(profile[apex + k]) for k in (-1, 0, 1))
    curve = left - 2 * top + right
    offset = np.where(curve < 0, 0.5 * (left - right) / np.minimum(curve, -1e-300), 0)
    offset = np.clip(offset, -0.5, 0.5)
    step = 0.5 * (grid[apex + 1] - grid[apex - 1])
    return grid[apex] + offset * step, np.exp(top - 0.25 * (left - right) * offset)
