"""The bins that suit some spectra: those of the instrument, or of the fitted widths.

:class:`imsminer.MassAxis` wraps them; the arithmetic is in :mod:`imsminer.core._grid`.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from imsminer.core import _grid
from imsminer.core._bins import bins_around, lay_bins

if TYPE_CHECKING:
    from imsminer.core.spectra import Spectra

__all__ = ["AxisBins", "estimate_bins", "native_bins"]

#: Room at both ends for steps that move m/z, such as alignment.
MOVED = 1e-4


class AxisBins(NamedTuple):
    """What a resolved axis is made of."""

    rule: str
    parameters: dict[str, Any]
    edges: np.ndarray
    centers: np.ndarray


def estimate_bins(spectra: "Spectra") -> AxisBins:
    """Choose bins as :meth:`imsminer.MassAxis.estimate` says."""
    if spectra.mz is not None:
        if spectra.mz.size == 1:
            return _around_one(float(spectra.mz[0]))
        return AxisBins("from_values", {}, *bins_around(spectra.mz))
    low, high = _range(spectra)
    if not (math.isfinite(low) and math.isfinite(high)):
        message = (
            "MassAxis.estimate: the spectra hold no point, so there is no m/z range to "
            "make an axis for."
        )
        raise ValueError(message)
    if low == high:
        return _around_one(low)
    native = native_bins(spectra)
    if native is not None:
        return native
    sample = _grid.sample_points(spectra)
    if spectra.run_profile.any():
        width, power = _grid.fit_spacing([mz for mz, _ in sample])
    else:
        width, power = _grid.fit_scatter(sample)
    parameters = {"width": width, "power": power}
    return AxisBins("power", parameters, *lay_bins("power", parameters, low, high))


def native_bins(spectra: "Spectra") -> AxisBins | None:
    """Recover the instrument's grid: see :func:`imsminer.core.axis.estimate_grid`."""
    if spectra.mz is not None:
        if spectra.mz.size < 2:
            return None
        return AxisBins("from_values", {}, *bins_around(spectra.mz))
    if not spectra.run_profile.any():
        return None
    low, high = spectra.source.mz_range()
    sample = [mz for mz, _ in _grid.sample_points(spectra)]
    if not sample:
        return None
    wanted = _range(spectra)
    bins = _grid.recover_grid(sample, *wanted)
    if bins is not None:
        edges, centers = bins
        return AxisBins("native", {}, _moved(edges, spectra), _moved(centers, spectra))
    if _grid.is_shared(sample, low, high):
        mz = _extended(sample[0], *wanted)
        return AxisBins("from_values", {}, *bins_around(_moved(mz, spectra)))
    return None


def _moved(mz: np.ndarray, spectra: "Spectra") -> np.ndarray:
    """Return m/z as the queued steps move those of all spectra alike."""
    for kernel in spectra.queue:
        mz = kernel.transform_axis(mz)
    return mz


def _range(spectra: "Spectra") -> tuple[float, float]:
    """Return the range of m/z, with room where a queued step moves them."""
    low, high = spectra.source.mz_range()
    if any(kernel.moves_mz for kernel in spectra.queue):
        return low * (1 - MOVED), high * (1 + MOVED)
    return low, high


def _extended(mz: np.ndarray, low: float, high: float) -> np.ndarray:
    """Continue an axis with its outermost steps until it covers a range."""
    first, last = mz[1] - mz[0], mz[-1] - mz[-2]
    below = np.arange(math.ceil((mz[0] - low) / first), 0, -1)
    above = np.arange(1, math.ceil((high - mz[-1]) / last) + 1)
    return np.concatenate([mz[0] - below * first, mz, mz[-1] + above * last])


def _around_one(mz: float) -> AxisBins:
    """One bin around the only m/z that there is."""
    half = 1e-6 * max(abs(mz), 1e-6)
    edges = np.array([mz - half, mz + half])
    return AxisBins("from_values", {}, edges, np.array([mz]))
