"""Estimates of an m/z axis from a few spectra: native grid, spacing, scatter.

Plain functions of arrays; :class:`imsminer.MassAxis` wraps them.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from imsminer._array import to_numpy
from imsminer.core.source import Source

if TYPE_CHECKING:
    from imsminer.core.spectra import Spectra

__all__ = [
    "fit_scatter",
    "fit_spacing",
    "is_shared",
    "recover_grid",
    "sample_points",
    "sample_spectra",
]

MAX_SPECTRA = 10

# A grid is accepted when nearly all points lie this close to it, in its steps: stored
# as float32, m/z are off by up to a few hundredths of a typical step.
MAX_RESIDUAL = 0.2
# m/z stored as float32 are off by this part of them, at most.
ROUNDING = 3e-7
# A polynomial of lower degree that fits this well is not improved on.
GOOD_RESIDUAL = 0.01
MAX_DEGREE = 3

# Functions of m/z that are even or nearly even on the grids of instruments: time of
# flight, frequency in an Orbitrap, frequency in a magnet, plain and logarithmic axes.
LAWS: dict[str, tuple[Callable, Callable]] = {
    "m": (lambda m: m, lambda x: x),
    "sqrt": (np.sqrt, np.square),
    "orbitrap": (lambda m: -1 / np.sqrt(m), lambda x: 1 / np.square(x)),
    "icr": (lambda m: -1 / m, lambda x: -1 / x),
    "log": (np.log, np.exp),
}

# Bins of centroids.
BINS_PER_SCATTER_FWHM = 3
MIN_PPM = 1.0
DEFAULT_PPM = 5.0


def sample_spectra(source: Source) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return m/z and intensity of at most 10 spectra, spread over runs and rows.

    The choice depends on the source only. Of each stretch of rows it takes the longest
    spectrum: empty and weak ones say little. With profile and centroid runs in one
    source, only the profile runs are looked at.
    """
    return _filled(source.spectrum(row) for row in _sample_rows(source))


def sample_points(spectra: "Spectra") -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the same spectra as the queued steps pick their points.

    Without a step that makes centroids these are the source's.
    """
    if not any(kernel.makes_centroids for kernel in spectra.queue):
        return sample_spectra(spectra.source)
    queued = spectra.of_rows(np.array(_sample_rows(spectra.source)))
    return _filled((to_numpy(mz), to_numpy(y)) for mz, y in queued)


def _filled(spectra: Iterable) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (np.asarray(mz, dtype=np.float64), np.asarray(intensity))
        for mz, intensity in spectra
        if mz.size
    ]


def _sample_rows(source: Source) -> list[int]:
    runs = np.flatnonzero(source.profile) if source.profile.any() else None
    if runs is None:
        runs = np.arange(source.profile.size)
    runs = runs[np.diff(source.run_bounds)[runs] > 0]
    if runs.size > MAX_SPECTRA:
        places = (np.arange(MAX_SPECTRA) + 0.5) * runs.size / MAX_SPECTRA
        runs = runs[places.astype(np.int64)]
    rows = []
    for number, run in enumerate(runs):
        start, stop = source.run_bounds[run], source.run_bounds[run + 1]
        share = MAX_SPECTRA // runs.size + (number < MAX_SPECTRA % runs.size)
        count = min(share, int(stop - start))
        for piece in np.array_split(np.arange(start, stop), count):
            rows.append(int(piece[np.argmax(source.row_bytes[piece])]))
    return rows


def recover_grid(
    spectra: Sequence[np.ndarray], low: float, high: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return edges and m/z of the grid that the points of all spectra lie on.

    Parameters
    ----------
    spectra : sequence of ndarray of float64
        m/z of some spectra, increasing in each.
    low, high : float
        The range that the grid has to cover.

    Returns
    -------
    edges, mz : ndarray or None
        `None` when there is no common grid.

    Notes
    -----
    Files leave out zeros, so neighbouring points are any number of steps apart.
    (1) The smallest gaps give the local step, fitted as a smooth function of m/z.
    (2) Its integral turns each gap of the pooled points into a whole number of steps.
    (3) Among laws and degrees, the polynomial in that number with the smallest
    residual is taken; gaps are counted again with it, until nothing changes.
    """
    points = np.unique(np.concatenate(spectra))
    if points.size < 16:
        return None
    step = _fit_step(spectra)
    if step is None:
        return None
    number = _count_steps(points, step)
    fit = _best_fit(points, number)
    for _ in range(3):
        if fit is None:
            return None
        again = np.rint(fit(points))
        if np.array_equal(again, number):
            break
        number = again
        fit = _best_fit(points, number)
    if fit is None:
        return None
    residual = np.abs(fit(points) - number)
    if np.quantile(residual, 0.999) > MAX_RESIDUAL:
        return None
    # Points that differ by more than rounding are not one point of the grid: pixels
    # that are shifted against each other by a small part of the step would be.
    same = np.diff(number) == 0
    apart = np.diff(points) > ROUNDING * points[1:]
    if np.count_nonzero(same & apart) > 0.01 * points.size:
        return None
    # A grid so fine that it has 500 points for each one in use would fit anything.
    if number[-1] - number[0] > 500 * points.size:
        return None
    first, last = np.floor(fit(np.array([low, high])) + 0.5)
    whole = np.arange(first - 1, last + 2)
    return fit.inverse(np.append(whole - 0.5, whole[-1] + 0.5)), fit.inverse(whole)


def is_shared(spectra: Sequence[np.ndarray], low: float, high: float) -> bool:
    """Whether all spectra have the same m/z, which span the range of all rows."""
    first = spectra[0] if spectra else np.empty(0)
    return (
        len(spectra) > 1
        and first.size > 1
        and bool(np.all(np.diff(first) > 0))
        and (first[0], first[-1]) == (low, high)
        and all(np.array_equal(first, other) for other in spectra[1:])
    )


class _Fit:
    """m/z as a function of the number of a grid point: a polynomial under a law."""

    def __init__(self, law: str, polynomial: np.polynomial.Polynomial) -> None:
        self.law = law
        self.polynomial = polynomial
        self.derivative = polynomial.deriv()

    def inverse(self, number: np.ndarray) -> np.ndarray:
        """Return the m/z of a (fractional) grid point."""
        return LAWS[self.law][1](self.polynomial(number))

    def __call__(self, mz: np.ndarray) -> np.ndarray:
        """Return the (fractional) grid point of an m/z, by Newton's method."""
        x = LAWS[self.law][0](mz)
        domain = self.polynomial.domain
        ends = self.polynomial(domain)
        number = domain[0] + (x - ends[0]) / (ends[1] - ends[0]) * np.ptp(domain)
        for _ in range(8):
            number = number - (self.polynomial(number) - x) / self.derivative(number)
        return number


def _best_fit(points: np.ndarray, number: np.ndarray) -> _Fit | None:
    """Return the best law of the lowest degree that is good, else of the highest."""
    best, smallest = None, np.inf
    # Spectra that are shifted against each other fill the gaps until none is a step.
    if np.unique(number).size <= MAX_DEGREE:
        return None
    step = np.gradient(points) / np.maximum(np.gradient(number), 1)
    for degree in range(1, MAX_DEGREE + 1):
        for law, (forward, backward) in LAWS.items():
            x = forward(points)
            polynomial = np.polynomial.Polynomial.fit(number, x, degree)
            if polynomial.deriv()(number).min() <= 0:
                continue
            residual = (backward(polynomial(number)) - points) / step
            size = np.sqrt(np.mean(np.square(residual)))
            if size < smallest:
                best, smallest = _Fit(law, polynomial), size
        if smallest < GOOD_RESIDUAL:
            break
    return best


def _count_steps(points: np.ndarray, step: Callable) -> np.ndarray:
    """Number pooled points, from 0, by the whole steps between neighbours."""
    gaps = np.diff(points)
    # Simpson's rule integrates the number of steps over each gap.
    inverse = [1 / step(points[:-1] + part * gaps) for part in (0, 0.5, 1)]
    steps = gaps * (inverse[0] + 4 * inverse[1] + inverse[2]) / 6
    return np.concatenate([[0.0], np.cumsum(np.rint(steps))])


def _fit_step(spectra: Sequence[np.ndarray]) -> Callable | None:
    """Return the local step as a function of m/z: a smooth fit to single steps."""
    place, gap = _gaps(spectra)
    if gap.size < 16:
        return None
    knots, small = _smallest_gaps(place, gap)
    log_place = np.log(place)
    degree = min(3, knots.size - 1)
    model = np.polynomial.Polynomial.fit(np.log(knots), np.log(small), degree)
    for tolerance in (0.4, 0.3, 0.25, 0.2, 0.2):
        ratio = gap / np.exp(model(log_place))
        single = np.abs(ratio - 1) < tolerance
        if single.sum() < 16:
            return None
        model = np.polynomial.Polynomial.fit(
            log_place[single], np.log(gap[single]), degree
        )
    return lambda m: np.exp(model(np.log(m)))


def _gaps(spectra: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return middle and size of the gaps inside each spectrum, sorted by m/z."""
    if not any(mz.size > 1 for mz in spectra):
        return np.empty(0), np.empty(0)
    place = np.concatenate([0.5 * (mz[1:] + mz[:-1]) for mz in spectra])
    gap = np.concatenate([np.diff(mz) for mz in spectra])
    order = np.argsort(place[keep := gap > 0], kind="stable")
    return place[keep][order], gap[keep][order]


def _smallest_gaps(place: np.ndarray, gap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for stretches of m/z, a middle and the size of the smallest gaps.

    The median of the gaps within a factor 1.5 of a low quantile: a single one may be
    off by rounding, and most are several steps wide where the file leaves out zeros.
    """
    n_stretches = int(np.clip(gap.size // 200, 1, 32))
    knots, small = [], []
    for p, g in zip(
        np.array_split(place, n_stretches),
        np.array_split(gap, n_stretches),
        strict=True,
    ):
        few = np.quantile(g, 0.02)
        knots.append(np.median(p))
        near = g[(g < 1.5 * few) & (g > few / 1.5)]
        # Of a handful of gaps none may be near.
        small.append(np.median(near) if near.size else few)
    return np.array(knots), np.array(small)


def fit_spacing(spectra: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return width and power of ``width * mz ** power``, the samples' spacing."""
    place, gap = _gaps(spectra)
    if gap.size == 0:
        return DEFAULT_PPM * 1e-6, 1.0
    knots, small = _smallest_gaps(place, gap)
    return _fit_power(knots, small)


def _fit_power(mz: np.ndarray, width: np.ndarray) -> tuple[float, float]:
    """Fit a power of m/z through widths; one or a narrow range takes the power 1."""
    power = 1.0
    if np.ptp(np.log(mz)) > 0.2 and mz.size > 2:
        slope = np.polynomial.Polynomial.fit(np.log(mz), np.log(width), 1)
        power = float(np.clip(slope.deriv()(0.0), 0.0, 2.0))
    level = float(np.exp(np.median(np.log(width) - power * np.log(mz))))
    return level, power


def fit_scatter(
    spectra: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[float, float]:
    """Return width and power of bins for centroids, from their scatter.

    Notes
    -----
    Of each spectrum the more intense half of the centroids is compared with that of
    the next spectrum. Mutual nearest neighbours are taken for the same ion when they
    are much closer than the next candidate; the difference of two of its centroids
    scatters √2 times as much as one does.
    """
    place, difference = _matches(spectra)
    if place.size < 20:
        return DEFAULT_PPM * 1e-6, 1.0
    n_stretches = int(np.clip(place.size // 100, 1, 8))
    knots, widths = [], []
    for p, d in zip(
        np.array_split(place, n_stretches),
        np.array_split(difference, n_stretches),
        strict=True,
    ):
        knots.append(np.median(p))
        sd = np.median(d) / 0.6745 / np.sqrt(2)
        fwhm = 2.3548 * sd
        widths.append(max(fwhm / BINS_PER_SCATTER_FWHM, MIN_PPM * 1e-6 * knots[-1]))
    return _fit_power(np.array(knots), np.array(widths))


def _matches(
    spectra: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Return m/z and difference of centroids that two spectra share, by m/z."""
    strong = []
    for mz, intensity in spectra:
        keep = intensity >= np.median(intensity)
        strong.append(mz[keep & (intensity > 0)])
    strong = [mz for mz in strong if mz.size > 2]
    place, difference = [], []
    for one, other in itertools.pairwise(strong):
        nearest = _nearest(one, other)
        back = _nearest(other, one)
        mutual = back[nearest] == np.arange(one.size)
        a, b = one[mutual], other[nearest[mutual]]
        # The next candidate: the closer neighbour of either in its own spectrum.
        room = np.minimum(_isolation(one)[mutual], _isolation(other)[nearest[mutual]])
        same = np.abs(a - b) < 0.25 * room
        place.append(0.5 * (a + b)[same])
        difference.append(np.abs(a - b)[same])
    if not place:
        return np.empty(0), np.empty(0)
    all_places = np.concatenate(place)
    order = np.argsort(all_places, kind="stable")
    return all_places[order], np.concatenate(difference)[order]


def _nearest(query: np.ndarray, mz: np.ndarray) -> np.ndarray:
    right = np.clip(np.searchsorted(mz, query), 1, mz.size - 1)
    left = right - 1
    return np.where(query - mz[left] <= mz[right] - query, left, right)


def _isolation(mz: np.ndarray) -> np.ndarray:
    gaps = np.concatenate([[np.inf], np.diff(mz), [np.inf]])
    return np.minimum(gaps[1:], gaps[:-1])
