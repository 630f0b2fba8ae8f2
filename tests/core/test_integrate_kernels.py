"""Window kernels: sums, maxima and areas against direct computation."""

import itertools

import array_api_strict
import numpy as np
import pytest

from imsminer.core._kernels import integrate_numba, integrate_xp
from imsminer.core._kernels.binning_numba import build_guide

GRID = np.linspace(10.1, 17.2, 4001) ** 2
CELLS = np.concatenate([[2 * GRID[0] - GRID[1]], GRID, [2 * GRID[-1] - GRID[-2]]])
CELLS = 0.5 * (CELLS[1:] + CELLS[:-1])
CELL_WIDTH = np.diff(CELLS)


def run(kernel, shape, *arguments, dtype=np.float64):
    out = np.full(shape, np.nan, dtype)
    kernel(*arguments, out)
    return out


def ragged(seed=0):
    """Spectra with many, no, one and equal m/z."""
    rng = np.random.default_rng(seed)
    parts = [np.sort(rng.permutation(GRID)[:n]) for n in (900, 0, 1, 2500)]
    parts.append(np.full(5, 200.0))
    indptr = np.concatenate([[0], np.cumsum([part.size for part in parts])])
    mz = np.concatenate(parts)
    return mz, rng.exponential(size=mz.size).astype(np.float32), indptr


def windows(seed=1):
    """Windows in any order, overlapping, empty, far outside."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(95, 305, 60)
    high = low + rng.uniform(0, 2, 60)
    low = np.concatenate([low, [-1e300, 0, 1e6, 1e300, 150, 200]])
    return low, np.concatenate([high, [1e300, 50, 1e7, 1e301, 150, 200.0001]])


def expected(function, mz, intensity, indptr, low, high):
    return np.array(
        [
            [function(mz[a:b], intensity[a:b], lo, hi) for lo, hi in zip(low, high)]  # noqa: B905
            for a, b in itertools.pairwise(indptr)
        ]
    )


def direct_sum(mz, y, low, high):
    return y[(mz >= low) & (mz < high)].sum(dtype=np.float64)


def direct_max(mz, y, low, high):
    return y[(mz >= low) & (mz < high)].max(initial=0)


def direct_area(mz, y, low, high):
    half = 0.5 * CELL_WIDTH[np.searchsorted(CELLS, mz, side="right") - 1]
    inside = np.minimum(high, mz + half) - np.maximum(low, mz - half)
    return (y * np.clip(inside, 0, None)).sum(dtype=np.float64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_in_windows(dtype):
    flat, ends = ragged(), windows()
    shape = (5, ends[0].size)
    total = run(integrate_numba.integrate_points, shape, *flat, *ends, dtype=dtype)
    np.testing.assert_allclose(total, expected(direct_sum, *flat, *ends), rtol=1e-6)
    top = run(integrate_numba.max_points, shape, *flat, *ends, dtype=dtype)
    np.testing.assert_array_equal(top, expected(direct_max, *flat, *ends))


def test_area_of_points():
    flat, ends = ragged(), windows()
    cells = build_guide(CELLS), CELLS
    kernel = integrate_numba.area_points
    area = run(kernel, (5, ends[0].size), *flat, *cells, *ends)
    expect = expected(direct_area, *flat, *ends)
    # Half-way edges leave samples off their cells' centres by parts per million.
    np.testing.assert_allclose(area, expect, rtol=1e-10, atol=1e-12)


def test_windows_side_by_side_share_out_the_area():
    mz, intensity, indptr = ragged()
    bounds = np.sort(np.random.default_rng(2).uniform(100, 300, 40))
    bounds[[0, -1]] = 99, 301
    cells = build_guide(CELLS), CELLS
    ends = bounds[:-1], bounds[1:]
    kernel = integrate_numba.area_points
    parts = run(kernel, (5, 39), mz, intensity, indptr, *cells, *ends)
    whole = run(
        kernel,
        (5, 1),
        mz,
        intensity,
        indptr,
        *cells,
        *(np.array([b]) for b in (99.0, 301)),
    )
    np.testing.assert_allclose(parts.sum(1), whole[:, 0], rtol=1e-12)


def test_area_of_thresholded_peak_is_that_of_the_gaussian():
    sigma, centre, height = 0.12, 200.0123, 1000.0
    y = height * np.exp(-0.5 * ((GRID - centre) / sigma) ** 2)
    keep = y > 1e-3
    flat = GRID[keep], y[keep], np.array([0, keep.sum()])
    cells = build_guide(CELLS), CELLS
    ends = np.array([199.0]), np.array([201.0])
    area = run(integrate_numba.area_points, (1, 1), *flat, *cells, *ends)
    assert area[0, 0] == pytest.approx(height * sigma * np.sqrt(2 * np.pi), rel=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_in_windows(dtype):
    rng = np.random.default_rng(3)
    X = rng.exponential(size=(7, 500)).astype(dtype)
    X.flags.writeable = False
    left = rng.integers(0, 500, 40)
    right = np.minimum(left + rng.integers(0, 30, 40), 500)
    weights = rng.uniform(0.5, 2, 500)
    spans = list(zip(left, right, strict=True))
    exact = X.astype(np.float64)
    shape = (7, 40)
    np.testing.assert_allclose(
        run(integrate_numba.sum_windows_rows, shape, X, left, right),
        np.array([exact[:, a:b].sum(1) for a, b in spans]).T,
    )
    np.testing.assert_allclose(
        run(integrate_numba.integrate_rows, shape, X, left, right, weights),
        np.array([exact[:, a:b] @ weights[a:b] for a, b in spans]).T,
    )
    np.testing.assert_array_equal(
        run(integrate_numba.max_windows_rows, shape, X, left, right),
        np.array([exact[:, a:b].max(1, initial=0) for a, b in spans]).T,
    )


def test_columns_and_points_have_the_same_area():
    mz, intensity, indptr = ragged()
    X = np.zeros((4, GRID.size))
    for row, a, b in zip(X, indptr[:4], indptr[1:5], strict=True):
        row[np.searchsorted(GRID, mz[a:b])] = intensity[a:b]
    low, high = windows()
    inside = (low > 103) & (high < 295)
    low, high = low[inside], high[inside]
    left = np.searchsorted(CELLS, low, side="right") - 1
    right = np.searchsorted(CELLS, high, side="left")
    right = np.where(high > low, right, left)
    first = (np.minimum(CELLS[left + 1], high) - low) / CELL_WIDTH[left]
    last = (high - CELLS[right - 1]) / CELL_WIDTH[right - 1]
    columns = run(
        integrate_numba.area_windows_rows,
        (4, low.size),
        *(X, left, right, CELL_WIDTH, first, last),
    )
    cells = build_guide(CELLS), CELLS
    points = run(
        integrate_numba.area_points,
        (4, low.size),
        *(mz, intensity, indptr[:5], *cells, low, high),
    )
    np.testing.assert_allclose(columns, points, rtol=1e-3, atol=1e-5)


def test_nan_is_seen():
    X = np.ones((1, 40))
    X[0, 20] = np.nan
    left, right = np.array([0, 18, 20]), np.array([10, 25, 40])
    indptr, mz = np.array([0, 40]), np.arange(40.0)
    ends = left.astype(float), right.astype(float)
    for found in (
        run(integrate_numba.sum_windows_rows, (1, 3), X, left, right),
        run(integrate_numba.max_windows_rows, (1, 3), X, left, right),
        run(integrate_numba.integrate_points, (1, 3), mz, X[0], indptr, *ends),
        run(integrate_numba.max_points, (1, 3), mz, X[0], indptr, *ends),
    ):
        assert np.isnan(found).tolist() == [[False, True, True]]


@pytest.mark.parametrize("xp", [np, array_api_strict], ids=["numpy", "strict"])
def test_reference_agrees(xp):
    rng = np.random.default_rng(4)
    X = rng.exponential(size=(3, 200)).astype(np.float32)
    left = rng.integers(0, 200, 20)
    right = np.minimum(left + rng.integers(0, 12, 20), 200)
    weights, first, last = (rng.uniform(0.1, 1, n) for n in (200, 20, 20))
    for name, extra in (
        ("sum_windows_rows", ()),
        ("max_windows_rows", ()),
        ("integrate_rows", (weights,)),
        ("area_windows_rows", (weights, first, last)),
    ):
        ours = run(getattr(integrate_numba, name), (3, 20), X, left, right, *extra)
        theirs = getattr(integrate_xp, name)(xp.asarray(X), left, right, *extra)
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-12, err_msg=name)
    flat, ends = ragged(), windows()
    shape = (5, ends[0].size)
    given = [xp.asarray(array) for array in flat]
    for name, cells in (
        ("integrate_points", ()),
        ("max_points", ()),
        ("area_points", (build_guide(CELLS), CELLS)),
    ):
        ours = run(getattr(integrate_numba, name), shape, *flat, *cells, *ends)
        theirs = getattr(integrate_xp, name)(*given, *cells, *ends)
        np.testing.assert_allclose(
            ours, np.asarray(theirs), rtol=1e-9, atol=1e-12, err_msg=name
        )
