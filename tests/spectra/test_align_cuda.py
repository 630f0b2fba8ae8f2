"""Alignment on a GPU, or in its simulator, by the reference."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer._cuda import THREADS
from imsminer.core.windows import cell_edges
from imsminer.spectra._kernels import (
    align_cuda,
    align_grid_cuda,
    align_grid_xp,
    align_refine_cuda,
    align_refine_xp,
    align_warp_cuda,
    align_warp_xp,
    align_xp,
)

MODULES = [
    (align_cuda, align_xp),
    (align_refine_cuda, align_refine_xp),
    (align_warp_cuda, align_warp_xp),
    (align_grid_cuda, align_grid_xp),
]
DTYPES = (np.float32, np.float64)
KNOTS = np.array([-1.0, -0.4, 0.1, 0.7, 1.0])
PLACES = np.array([12.3, 40.0, 71.6, 99.9])


def profiles(dtype):
    """Return an axis and spectra: peaks, noise of either sign, a blank one, counts."""
    rng = np.random.default_rng(0)
    x = np.arange(110.0)
    moved = PLACES + np.array([[0.4], [-1.1], [0.0], [0.7]])
    X = 100 * np.exp(-0.5 * ((x - moved[:, :, None]) / 1.6) ** 2).sum(axis=1)
    X[1] += rng.normal(0, 5, x.size)
    X[2] = 0
    X[3] = np.rint(X[3] / 20)
    # One peak of a single sample, and one that the axis cuts off.
    X[0, 60], X[0, 109] = 30, 50
    return 500 + 0.01 * x, X.astype(dtype)


def ragged(mz, X):
    """Leave out what is low, and add a spectrum without points and one of a point."""
    kept = [np.flatnonzero(row > 0.5) for row in X]
    kept = [kept[0], kept[0][:0], kept[0][5:6], *kept[1:]]
    rows = [X[i] for i in (0, 0, 0, 1, 2, 3)]
    indptr = np.cumsum([0, *(k.size for k in kept)])
    values = np.concatenate([row[k] for row, k in zip(rows, kept, strict=True)])
    return mz[np.concatenate(kept)], values, indptr


def peaks():
    """Return reference peaks, some of them where nothing is, and their tolerances."""
    reference = np.sort(np.append(500 + 0.01 * PLACES, [499.0, 500.604, 501.09]))
    return reference, 40e-6 * reference, 1e6 / reference


def matches():
    """Return errors and heights of many matches: outliers, few, none, ties."""
    rng = np.random.default_rng(0)
    n, k = 5, align_cuda.FIT_THREADS + 7
    u = np.linspace(-1, 1, k)
    heights = rng.gamma(1, 1, (n, k)) * (rng.random((n, k)) < 0.8)
    errors = rng.normal(0, 3, (n, 1)) + rng.normal(0, 2, (n, 1)) * u
    errors += 0.2 * rng.standard_t(2, (n, k))
    errors[0, ::4] = 15.0
    heights[1] = 0
    heights[2, 2:] = 0
    heights[3] = heights[3] > 0
    errors[4] = np.rint(errors[4])
    errors[heights == 0] = np.nan
    return errors, heights, u


def match_examples(put):
    reference, width, unit = map(put, peaks())
    fwhm = np.full(7, 0.01 * 3.8)
    fwhm[2] = 0
    fwhm = put(fwhm)
    rng = np.random.default_rng(0)
    errors, heights = rng.normal(0, 10, (6, 7)), rng.random((6, 7)) - 0.2
    # Heights of the peaks, and more and less than that.
    errors, heights = put(errors), put(60 * heights)
    for dtype in DTYPES:
        mz, X = profiles(dtype)
        points = [put(part) for part in ragged(mz, X)]
        mz, X = put(mz), put(X)
        found = (reference, width, unit, fwhm)
        for profile in (True, False):
            args = (reference, width, unit, profile)
            yield align_cuda.match_rows, (X, mz, *args)
            yield align_cuda.match_points, (*points, *args)
        yield align_cuda.match_rows, (X[:, :2], mz[:2], reference, width, unit, True)
        args = (X, mz, reference, unit, errors[:4, :], heights[:4, :])
        yield align_refine_cuda.width_rows, args
        args = (X[:, :2], mz[:2], reference, unit, errors[:4, :], heights[:4, :])
        yield align_refine_cuda.width_rows, args
        args = (X, mz, *found, errors[:4, :], heights[:4, :])
        yield align_refine_cuda.refine_rows, args
        yield align_refine_cuda.refine_points, (*points, *found, errors, heights)


def grid_examples(put):
    """Few lines and peaks: the simulator is slow."""
    mz, X = profiles(np.float32)
    points, values, indptr = ragged(mz, X)
    reference, _, unit = (a[[1, 2, 4]] for a in peaks())
    lines = put(reference), put(unit), put(np.array([-1.0, 0.2, 1.0])), 20.0, 10.0
    yield align_grid_cuda.grid_rows, (put(X[:1]), put(mz), *lines, True)
    yield align_grid_cuda.grid_rows, (put(X[1:3]), put(mz), *lines, False)
    points = put(points), put(values.astype(np.float64)), put(indptr[1:5])
    yield align_grid_cuda.grid_points, (*points, *lines, False)


def fit_examples(put):
    errors, heights, u = matches()
    rng = np.random.default_rng(1)
    n = errors.shape[0]
    prior, precision = rng.normal(0, 1, (n, 2)), rng.gamma(1, 1, (n, 2))
    few = [a[:2] for a in (errors, heights, prior, precision)]
    args = [put(a) for a in (*few[:2], u, *few[2:])]
    yield align_cuda.fit_rows, (*args, 0.02)
    bends = [align_warp_xp.hat(u, KNOTS, j) for j in range(3)]
    design = np.stack([np.ones_like(u), u, *bends], axis=1)
    prior, precision = rng.normal(0, 1, (n, 5)), rng.gamma(1, 1, (n, 5))
    # A shift alone: the slope does not leave 0. And nothing known beforehand.
    prior[4, 1], precision[4, 1] = 0.0, 1e12
    precision[2] = 0
    args = [put(a) for a in (errors, heights, design, prior, precision)]
    yield align_cuda.fit_bent_rows, (*args, 0.02)


def warp_examples(put):
    rng = np.random.default_rng(0)
    mz = np.sort(rng.uniform(450, 950, 140))
    bounds = put(np.array([0, 70, 70, 71, 140]))
    theta = rng.normal(0, 5, (4, 5))
    theta[2] = 0
    theta[3, 1:] = 0
    place = 700.0, 200.0
    for p, knots in ((2, None), (5, KNOTS)):
        line = put(theta[:, :p].copy()), *place
        yield align_warp_cuda.shift_points, (put(mz), bounds, *line, knots)
        none = put(mz[:0]), put(np.array([0, 0])), put(theta[:1, :p].copy())
        yield align_warp_cuda.shift_points, (*none, *place, knots)
    for dtype in DTYPES:
        X = rng.gamma(0.3, 1, (4, 3 * THREADS + 1)).astype(dtype)
        X[1] -= dtype(0.5)
        m = X.shape[1]
        edges = cell_edges(700 * 1.000003 ** np.arange(float(m)))
        for p, knots in ((2, None), (5, KNOTS)):
            line = put(3 * theta[:, :p]), edges.mean(), 0.1 * np.ptp(edges)
            yield (
                align_warp_cuda.resample_rows,
                (put(X), put(edges), *line, True, knots),
            )
        points = put(np.arange(-0.5, m))
        line = put(theta[:, :2].copy()), m / 2, m / 2, False
        yield align_warp_cuda.resample_rows, (put(X), points, *line)
        # Many cells away, and beyond the ends.
        moved = np.sort(rng.normal(m / 2, 0.6 * m, (4, m - 1)), axis=1)
        yield align_warp_cuda.resample_at, (put(X), points, put(moved))
        for size in (1, 2, 3, 4):
            few = put(X[:, :size].copy()), put(np.arange(-0.5, size))
            yield align_warp_cuda.resample_rows, (*few, *line)


def examples(put):
    """Yield each function with its arguments, for both types of intensities."""
    yield from match_examples(put)
    yield from grid_examples(put)
    yield from fit_examples(put)
    yield from warp_examples(put)


def on_the_host(device, arguments):
    return [device.get(a) if hasattr(a, "ndim") else a for a in arguments]


def check(device, made, rtol, atol):
    reference = {ours.__name__: theirs for ours, theirs in MODULES}
    for function, arguments in made:
        found = function(*arguments)
        theirs = getattr(reference[function.__module__], function.__name__)
        expected = theirs(*on_the_host(device, arguments))
        if not isinstance(found, tuple):
            found, expected = (found,), (expected,)
        for one, other in zip(found, expected, strict=True):
            assert device.get(one).dtype == other.dtype
            np.testing.assert_allclose(device.get(one), other, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("ours", "theirs"), MODULES)
def test_the_functions_are_those_of_the_reference(ours, theirs):
    assert ours.__all__ == theirs.__all__


def test_matches_are_those_of_the_reference(device):
    check(device, match_examples(device.put), 1e-7, 1e-6)


def test_matches_are_found(device):
    mz, X = profiles(np.float64)
    given = [device.put(a) for a in (X, mz, *peaks())]
    errors, heights = map(device.get, align_cuda.match_rows(*given, True))
    used = np.isin(np.arange(7), [1, 2, 4, 5])
    np.testing.assert_allclose(errors[0, used], 1e6 * 0.004 / 500.5, atol=2)
    assert (heights[0, used] > 70).all()
    assert (heights[2] == 0).all()
    assert np.isnan(errors[2]).all()


def test_lines_of_a_search_are_those_of_the_reference(device):
    # Rounding may tip the balance between neighbours on the last grid.
    check(device, grid_examples(device.put), 1e-6, 2 * 40 / 19 / 4**4)


def test_fits_are_those_of_the_reference(device):
    check(device, fit_examples(device.put), 1e-8, 1e-8)


def test_moved_spectra_are_those_of_the_reference(device):
    check(device, warp_examples(device.put), 1e-6, 1e-6)


def test_resampling_conserves_the_ion_current(device):
    X = np.random.default_rng(0).gamma(0.3, 1, (3, 40))
    theta = np.array([[8.0, 3.0], [-40.0, 1.0], [0.3, -0.2]])
    given = [device.put(a) for a in (X, np.arange(-0.5, 40), theta)]
    moved = device.get(align_warp_cuda.resample_rows(*given, 20.0, 20.0, False))
    np.testing.assert_allclose(moved.sum(axis=1), X.sum(axis=1), rtol=1e-12)
    assert (moved >= 0).all()
