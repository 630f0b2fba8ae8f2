"""The mass error of spectra as a line, per pixel, drawn towards that of the run.

Numbers, not estimators: :class:`imsminer.MassAligner` decides what is fitted on what.
"""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
)
from imsminer.spectra._kernels import align_numba, align_xp
from imsminer.spectra._kernels.align_warp_xp import hat

__all__ = [
    "HARM",
    "MIN_GAIN",
    "STRAIGHT",
    "MassModel",
    "Matches",
    "common_errors",
    "relative_weights",
    "weighted_median",
]

#: Knots of a line without bends.
STRAIGHT = np.array([-1.0, 1.0])
#: A prior this weak leaves the data alone, one this strong decides.
FLAT, FIXED = 1e-9, 1e9
#: Matches by chance are uniform within the tolerance: their residuals have a scale of
#: 0.74 tolerances. Real matches scatter less.
MAX_SCALE = 0.4
#: Held-out errors have to fall by this part, or the run is left alone; where they rise
#: by more than chance brings about, that is worth a warning.
MIN_GAIN, HARM = 0.02, 0.05
#: Reference peaks for each inner knot of a bent line.
PER_KNOT, MAX_KNOTS = 12, 6
#: Every other reference peak; all of them, and these.
HALVES = (slice(0, None, 2), slice(1, None, 2))
PARTS = (slice(None), *HALVES)


class Matches(NamedTuple):
    """Errors and heights (n, k) of reference peaks; lines (n, 3, 2) found on a grid."""

    errors: Any
    heights: Any
    lines: Any = None


@dataclass(frozen=True)
class MassModel:
    """Reference peaks, and what a run says about the mass error of its pixels.

    Attributes
    ----------
    reference, width, unit : ndarray of float64, shape (k,)
        Reference peaks, how far from them peaks are looked for, and the factor that
        makes a difference an error in ppm (1 for points).
    centre, half : float
        Errors are lines in ``(m - centre) / half``.
    tolerance, max_shift : float
        In ppm or points.
    min_matches : int
        Matches that a pixel needs for a line of its own.
    linear, ppm : bool
        Whether the line may have a slope; whether errors are in ppm.
    grid : float or None
        Width of the Gaussians of a search over a grid, in ppm or points; `None` fits
        the errors of matches.
    fwhm : ndarray of float64, shape (k,)
        Width of the reference peaks at half maximum, in m/z, by which the places of
        matches are refined; 0 where it is not known. `None`: they are not refined.
    knots : ndarray of float64, shape (q + 2,)
        Where the line may bend: in u, from -1 to 1 with these ends. A line is then a, b
        and its distances from a + b·u at the q inner knots.
    runs : tuple of str
        Runs of `fit`. Further arrays have one more entry, for runs that it did not see.
    prior, precision : ndarray of float64, shape (n_runs + 1, 2 + q)
        Mean and inverse variance over the pixels of the line.
    half_prior : ndarray of float64, shape (2, n_runs + 1, 2 + q)
        The mean from every other reference peak only.
    applied : ndarray of bool, shape (n_runs + 1,)
        Whether the run is corrected.
    """

    reference: np.ndarray
    width: np.ndarray
    unit: np.ndarray
    centre: float
    half: float
    tolerance: float
    max_shift: float
    min_matches: int
    linear: bool
    ppm: bool
    grid: float | None = None
    fwhm: np.ndarray | None = None
    knots: np.ndarray = field(default_factory=STRAIGHT.copy)
    runs: tuple[str, ...] = ()
    prior: np.ndarray = field(default_factory=lambda: np.zeros((1, 2)))
    precision: np.ndarray = field(default_factory=lambda: np.full((1, 2), FIXED))
    half_prior: np.ndarray = field(default_factory=lambda: np.zeros((2, 1, 2)))
    applied: np.ndarray = field(default_factory=lambda: np.zeros(1, bool))

    @classmethod
    def around(
        cls,
        reference: np.ndarray,
        *,
        ppm: bool,
        tolerance: float,
        max_shift: float,
        min_matches: int,
        linear: bool,
        bent: bool = False,
        grid: float | None = None,
    ) -> "MassModel":
        """Return a model of given reference peaks that has not learned anything."""
        fresh = cls(
            reference=reference,
            width=reference * 1e-6 * tolerance if ppm else reference * 0 + tolerance,
            unit=1e6 / reference if ppm else np.ones_like(reference),
            centre=float(0.5 * (reference[0] + reference[-1])),
            half=max(float(0.5 * (reference[-1] - reference[0])), 1e-9),
            tolerance=tolerance,
            max_shift=max_shift,
            min_matches=min_matches,
            linear=linear,
            ppm=ppm,
            grid=grid,
        )
        if not bent:
            return fresh
        # Each stretch between knots has as many reference peaks.
        q = int(np.clip(reference.size // PER_KNOT, 1, MAX_KNOTS))
        inner = np.quantile(fresh.u, np.arange(1, q + 1) / (q + 1))
        knots = np.unique(np.concatenate([STRAIGHT, np.clip(inner, -0.99, 0.99)]))
        return replace(fresh, knots=knots)

    def moved(self, errors: np.ndarray) -> "MassModel":
        """Return the model with its reference peaks moved by these errors."""
        reference = self.reference + errors / self.unit
        fresh = MassModel.around(
            reference,
            ppm=self.ppm,
            tolerance=self.tolerance,
            max_shift=self.max_shift,
            min_matches=self.min_matches,
            linear=self.linear,
        )
        return replace(
            fresh,
            centre=self.centre,
            half=self.half,
            grid=self.grid,
            fwhm=self.fwhm,
            knots=self.knots,
        )

    @property
    def u(self) -> np.ndarray:
        """Place of each reference peak, from -1 to 1."""
        return (self.reference - self.centre) / self.half

    @property
    def flat(self) -> np.ndarray:
        """Inverse variances that leave the data alone; bends stay moderate."""
        bends = np.full(self.knots.size - 2, (4 / self.tolerance) ** 2)
        return np.concatenate([[FLAT, FLAT], bends])

    def design(self, u: np.ndarray) -> np.ndarray:
        """Return the functions whose sum a line is, at places `u`: (n, 2 + q)."""
        u = np.clip(u, -1.0, 1.0)
        bends = [hat(u, self.knots, j) for j in range(self.knots.size - 2)]
        return np.stack([np.ones_like(u), u, *bends], axis=1)

    def at_knots(self, theta: Any) -> Any:
        """Return the errors of lines (n, 2 + q) at all knots: (n, q + 2)."""
        design = self.design(self.knots)
        xp = array_namespace(theta)
        return theta @ xp.asarray(design, device=device_of(theta)).T

    def run_number(self, run: str) -> int:
        """Return the entry of a run; the last one for runs that `fit` did not see."""
        return self.runs.index(run) if run in self.runs else len(self.runs)

    def fit_pixels(
        self,
        errors: Any,
        heights: Any,
        prior: np.ndarray,
        precision: np.ndarray,
        part: slice = slice(None),
    ) -> tuple[Any, Any, Any]:
        """Fit the line of each pixel, in the namespace of the errors.

        Parameters
        ----------
        errors, heights : array of float64, shape (n, k)
            What matching returned.
        prior, precision : ndarray of float64, shape (n, 2 + q) or (2 + q,)
            Mean and inverse variance of the lines.
        part : slice
            Which reference peaks to use.

        Returns
        -------
        theta : array of float64, shape (n, 2 + q)
            The lines: the prior's where the pixel's own is not good enough.
        good : array of bool, shape (n,)
            Whether it is.
        matches : array of int, shape (n,)
            Matches that the fit keeps.
        """
        n, p = errors.shape[0], self.knots.size
        prior = np.array(np.broadcast_to(prior, (n, p)))
        precision = np.array(np.broadcast_to(precision, (n, p)))
        if not self.linear:
            prior[:, 1], precision[:, 1] = 0.0, FIXED
        bent = p > 2
        places = self.design(self.u[part]) if bent else self.u[part]
        given = (errors[:, part], heights[:, part], places, prior, precision)
        theta, quality = _fit(bent, given, 1e-3 * self.tolerance)
        xp = array_namespace(theta)
        matches, low, high, scale = (quality[:, i] for i in range(4))
        needed = self.min_matches if part.step is None else self.min_matches / 2
        good = (matches >= needed) & (scale <= MAX_SCALE * self.tolerance)
        if self.linear:
            ends = max(1, int(needed // 5))
            good = good & (low >= ends) & (high >= ends)
        good = good & (xp.max(xp.abs(self.at_knots(theta)), axis=1) <= self.max_shift)
        prior = xp.asarray(prior, device=device_of(theta))
        matches = xp.astype(matches, xp.int64)
        return xp.where(good[:, None], theta, prior), good, matches

    def fit_lines(
        self,
        found: Matches,
        prior: np.ndarray,
        precision: np.ndarray,
        number: int = 0,
    ) -> tuple[Any, Any, Any]:
        """Do as `fit_pixels`, or take the lines that were found on a grid.

        `number` says by which reference peaks: 0 all, 1 the even, 2 the odd ones.
        """
        part = PARTS[number]
        if found.lines is None:
            return self.fit_pixels(found.errors, found.heights, prior, precision, part)
        theta = found.lines[:, number, :]
        xp = array_namespace(theta)
        is_match = xp.astype(found.heights[:, part] > 0, xp.int64)
        matches = xp.sum(is_match, axis=1)
        needed = self.min_matches if number == 0 else self.min_matches / 2
        with np.errstate(invalid="ignore"):
            good = xp.sum(xp.abs(theta), axis=1) <= self.max_shift
        good = good & (matches >= needed)
        prior = xp.asarray(prior, device=device_of(theta))
        return xp.where(good[:, None], theta, prior), good, matches


def _fit(bent: bool, given: tuple[Any, ...], floor: float) -> tuple[Any, Any]:
    """Return the lines and their quality by the kernels for these arrays."""
    errors, name = given[0], "fit_bent_rows" if bent else "fit_rows"
    if is_numpy_array(errors):
        n, p = given[3].shape
        theta, quality = np.empty((n, p)), np.empty((n, 4))
        given = tuple(np.ascontiguousarray(part) for part in given)
        getattr(align_numba, name)(*given, floor, theta, quality)
        return theta, quality
    xp, device = array_namespace(errors), device_of(errors)
    moved = (xp.asarray(part, device=device) for part in given)
    return getattr(device_kernels(errors, align_xp), name)(*moved, floor)


def relative_weights(heights: np.ndarray) -> np.ndarray:
    """Return weights from 0 to 1, for matches within a pixel: as its fit takes them."""
    ranked = np.sort(heights, axis=1)
    number = np.sum(heights > 0, axis=1)
    rank = heights.shape[1] - number + (0.9 * (number - 1)).astype(np.int64)
    rank = np.clip(rank, 0, heights.shape[1] - 1)
    high = np.take_along_axis(ranked, rank[:, None], axis=1)
    total = heights + high
    return np.minimum(1.0, 2 * heights / np.where(total > 0, total, 1.0))


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted median along the last axis; NaN without any weight."""
    order = np.argsort(values, axis=-1)
    values = np.take_along_axis(values, order, axis=-1)
    sums = np.cumsum(np.take_along_axis(weights, order, axis=-1), axis=-1)
    first = np.argmax(sums >= 0.5 * sums[..., -1:], axis=-1)[..., None]
    median = np.take_along_axis(values, first, axis=-1)[..., 0]
    return np.where(sums[..., -1] > 0, median, np.nan)


def common_errors(
    errors: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each reference peak's median error over the pixels, and its weight."""
    values = np.where(weights > 0, errors, 0.0)
    median = weighted_median(values.T, weights.T)
    return np.where(np.isnan(median), 0.0, median), weights.sum(axis=0)
