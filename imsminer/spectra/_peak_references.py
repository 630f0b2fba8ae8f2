"""The reference spectra that peaks are searched in, and their axis."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from imsminer._array import namespace_of, to_numpy
from imsminer.core._grid import sample_points
from imsminer.core.axis import MassAxis
from imsminer.core.binning import sample_cells
from imsminer.core.cache import cache
from imsminer.core.chunk import kernel_fingerprint
from imsminer.core.engine import axis_statistics
from imsminer.core.spectra import Spectra

__all__ = ["References", "array_references", "picking_axis", "spectra_references"]

#: The distance at which spectra tell centroids apart is exceeded by all but this share
#: of neighbouring centroids.
CLOSEST_GAPS = 0.005


@dataclass(frozen=True)
class References:
    """What is known of a dataset along its axis, on the host, each (n_bins,) float64.

    Attributes
    ----------
    mean, maximum : ndarray
        Reference spectra.
    frequency : ndarray
        Share of the pixels with a value above 0.
    spread : ndarray
        Standard deviation over the pixels.
    mz : ndarray
        Centres of the bins.
    n_pixels : int
        Number of pixels.
    centroided : bool
        Whether the spectra are centroids.
    resolution : float
        Distance of the closest centroids of one spectrum, as a part of their m/z.
    key : object
        Equal for equal references; `None` when that is not known.
    has_mz : bool
        Whether `mz` are m/z, not the columns of an array.
    """

    mean: np.ndarray
    maximum: np.ndarray
    frequency: np.ndarray
    spread: np.ndarray
    mz: np.ndarray
    n_pixels: int
    centroided: bool
    resolution: float = 0.0
    key: Any = None
    has_mz: bool = True

    def named(self, which: str) -> np.ndarray:
        """Return the spectrum ``"mean"``, ``"max"`` or ``"spread"``."""
        return self.maximum if which == "max" else getattr(self, which)


def picking_axis(X: Spectra, axis: MassAxis | None) -> MassAxis | None:
    """Return the axis on which spectra are added up: the given one, or the default."""
    if axis is not None:
        return axis.resolve(*X.source.mz_range())
    if (n_mz := X.n_mz) is not None:
        key = ("shared axis", X.source.identity, *map(kernel_fingerprint, X.queue))
        return cache.get(key, lambda: MassAxis.from_values(X.mz)) if n_mz > 1 else None
    # Facts of the whole source only, so that all subsets of its rows agree, found
    # once. Of profiles it is the axis that adding them up needs anyway.
    if X.run_profile.any():
        return sample_cells(X)
    moved = any(kernel.moves_mz for kernel in X.queue)
    key = ("default axis", X.source.identity, moved, _picking_steps(X))
    return cache.get(key, lambda: MassAxis.estimate(X), X.source.disk)


def _picking_steps(spectra: Spectra) -> tuple[str, ...]:
    """Return what the points depend on besides the source, where a step picks them."""
    if not any(kernel.makes_centroids for kernel in spectra.queue):
        return ()
    return tuple(kernel_fingerprint(kernel) for kernel in spectra.queue)


def centroid_resolution(spectra: Spectra) -> float:
    """Return the distance at which spectra tell centroids apart, as a part of m/z.

    That is the lower end of the distances between neighbours in at most 10 spectra of
    the source, which are read once; 0 when none has two centroids.
    """

    def measure() -> float:
        gaps = [np.zeros(0)]
        for mz, intensity in sample_points(spectra):
            mz = mz[intensity > 0]
            gaps.append(np.diff(mz) / mz[1:])
        all_gaps = np.concatenate(gaps)
        return float(np.quantile(all_gaps, CLOSEST_GAPS)) if all_gaps.size else 0.0

    key = ("centroid resolution", spectra.source.identity, _picking_steps(spectra))
    return cache.get(key, measure, spectra.source.disk)


def spectra_references(
    X: Spectra, axis: MassAxis | None, n_jobs: int | None
) -> References:
    """Return the references of Spectra, which are not to be changed.

    One pass over the blocks that are not in the cache. The references of the same
    spectra are made once for all candidates of a search.
    """
    key = (X.fingerprint, None if axis is None else axis.fingerprint)

    def compute() -> References:
        sums = axis_statistics(X, axis, n_jobs=n_jobs)
        centroided = not X.profile
        resolution = centroid_resolution(X) if centroided else 0.0
        facts = (sums.mz, len(X), centroided, resolution, key)
        mean, maximum, frequency = sums.mean, sums.maximum, sums.frequency
        spread = np.sqrt(np.maximum(sums.squares / len(X) - mean**2, 0.0))
        return References(mean, maximum, frequency, spread, *facts)

    return cache.get(("references", *key), compute)


def array_references(X: Any) -> tuple[References, Any, Any, Any]:
    """Return the references of an array; mean, maximum, frequency in its namespace."""
    xp = namespace_of(X)
    # Rows of float32 added one by one would lose digits.
    mean = xp.sum(X, axis=0, dtype=xp.float64) / X.shape[0]
    frequency = xp.mean(xp.astype(X > 0, X.dtype), axis=0)
    maximum = xp.max(X, axis=0)
    everything = mean, maximum, frequency, xp.std(X, axis=0)
    host = (to_numpy(spectrum).astype(np.float64) for spectrum in everything)
    mz = np.arange(X.shape[1], dtype=np.float64)
    references = References(*host, mz, X.shape[0], False, has_mz=False)
    return references, xp.astype(mean, X.dtype), maximum, frequency
