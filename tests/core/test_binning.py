"""Binning kernels: every point in one bin, ion current kept, no false maxima."""

import itertools

import array_api_strict
import numpy as np
import pytest
from scipy.signal import find_peaks

from imsminer.core._kernels import (
    binning_numba,
    binning_rebin_numba,
    binning_rebin_xp,
    binning_spread_numba,
    binning_spread_xp,
    binning_xp,
)
from imsminer.core._kernels.binning_numba import COARSE, EVEN, SINGLE, build_guide

RNG = np.random.default_rng(0)
AXES = {
    "even": (100 + 0.01 * np.arange(20001), EVEN),
    "ppm": (np.geomspace(100, 300, 30000), SINGLE),
    "icr": (1 / np.linspace(1 / 50, 1 / 2000, 3000), COARSE),
    "irregular": (np.sort(RNG.uniform(100, 300, 400)), COARSE),
    "one bin": (np.array([100.0, 101.0]), EVEN),
}


def ragged(n_spectra=6, n_points=900, grid=None, dtype=np.float32, seed=1):
    """Spectra that store some points of a grid (or any m/z), one of them empty."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(n_points // 2, n_points, n_spectra)
    lengths[1] = 0
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    mz = np.concatenate(
        [
            np.sort(
                rng.uniform(99, 301, n) if grid is None else rng.permutation(grid)[:n]
            )
            for n in lengths
        ]
    )
    return mz, rng.exponential(size=mz.size).astype(dtype), indptr


def accumulate(kernel, *arguments):
    linear = kernel is binning_spread_numba.linear_accumulate_points
    n_bins = arguments[-1].size - (0 if linear else 1)
    out = (
        np.zeros(n_bins),
        np.zeros(n_bins),
        np.zeros(n_bins, np.int64),
        np.zeros(n_bins),
    )
    return *out, kernel(*arguments, *out)


def dense_statistics(dense):
    return dense.sum(0), dense.max(0), (dense > 0).sum(0), (dense**2).sum(0)


@pytest.fixture(params=AXES)
def axis(request):
    return AXES[request.param]


def test_bins_are_those_of_a_search(axis):
    edges, kind = axis
    guide = build_guide(edges)
    assert guide.kind == kind
    mz = np.concatenate([RNG.uniform(edges[0] - 1, edges[-1] + 1, 20000), edges])
    bins = np.empty(mz.size, np.int64)
    dropped = binning_numba.find_bins(mz, guide, edges, bins)
    expected = np.searchsorted(edges, mz, side="right") - 1
    expected[(mz < edges[0]) | (mz >= edges[-1])] = -1
    np.testing.assert_array_equal(bins, expected)
    assert dropped == np.count_nonzero(expected < 0)


@pytest.mark.parametrize("name", ["ppm", "icr", "irregular"])
def test_neighbours_of_edges_are_told_apart(name):
    edges, _ = AXES[name]
    for direction, shift in ((0.0, -1), (1e9, 0)):
        mz = np.nextafter(edges[1:-1], direction)
        bins = np.empty(mz.size, np.int64)
        binning_numba.find_bins(mz, build_guide(edges), edges, bins)
        np.testing.assert_array_equal(bins, np.arange(1, edges.size - 1) + shift)


@pytest.mark.parametrize("step", [0.01, 0.002, 0.1, 1 / 3, 0.0035])
def test_points_on_even_edges_go_up(step):
    edges = step * (np.arange(400001) + 29999.5)
    bins = np.empty(edges.size - 1, np.int64)
    binning_numba.find_bins(edges[:-1], build_guide(edges), edges, bins)
    np.testing.assert_array_equal(bins, np.arange(edges.size - 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_are_those_of_a_histogram(axis, dtype):
    edges, _ = axis
    mz, intensity, indptr = ragged(dtype=dtype)
    total = np.zeros(edges.size - 1)
    guide = build_guide(edges)
    dropped = binning_numba.sum_points(mz, intensity, indptr, guide, edges, total)
    expected, _ = np.histogram(mz, edges, weights=intensity.astype(np.float64))
    np.testing.assert_allclose(total, expected, rtol=1e-12, atol=1e-12)
    assert dropped == np.count_nonzero((mz < edges[0]) | (mz >= edges[-1]))


def test_points_that_share_a_bin_add_up_before_the_maximum(axis):
    edges, _ = axis
    mz, intensity, indptr = ragged()
    guide = build_guide(edges)
    found = accumulate(
        binning_numba.accumulate_points, mz, intensity, indptr, guide, edges
    )
    dense = np.array(
        [
            np.histogram(mz[a:b], edges, weights=intensity[a:b].astype(np.float64))[0]
            for a, b in itertools.pairwise(indptr)
        ]
    )
    for ours, theirs in zip(found[:-1], dense_statistics(dense), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


GRID = np.linspace(10.1, 17.2, 4001) ** 2
CELLS = np.concatenate([[2 * GRID[0] - GRID[1]], GRID, [2 * GRID[-1] - GRID[-2]]])
CELLS = 0.5 * (CELLS[1:] + CELLS[:-1])


@pytest.mark.parametrize("width", [0.004, 0.02, 0.05, 0.31])
def test_spreading_keeps_the_ion_current(width):
    edges = np.arange(100, 300, width)
    mz, intensity, indptr = ragged(grid=GRID, dtype=np.float64)
    cells = build_guide(CELLS), CELLS
    guide = build_guide(edges)
    total = np.zeros(edges.size - 1)
    binning_spread_numba.spread_sum_points(mz, intensity, *cells, guide, edges, total)
    inside = (mz >= edges[0]) & (mz < edges[-1])
    assert total.sum() == pytest.approx(intensity[inside].sum(), rel=1e-12)
    assert total.min() >= 0
    found = accumulate(
        binning_spread_numba.spread_accumulate_points,
        *(mz, intensity, indptr),
        *cells,
        *(guide, edges),
    )
    np.testing.assert_allclose(found[0], total, rtol=1e-12, atol=1e-13)
    # Each spectrum on its own gives the values that the statistics are taken of.
    dense = np.zeros((6, edges.size - 1))
    for row, a, b in zip(dense, indptr[:-1], indptr[1:], strict=True):
        flat = mz[a:b], intensity[a:b]
        binning_spread_numba.spread_sum_points(*flat, *cells, guide, edges, row)
    for ours, theirs in zip(found[:-1], dense_statistics(dense), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


def test_shared_axis_rebins_to_what_its_points_spread_to():
    edges = np.arange(101, 299, 0.03)
    rng = np.random.default_rng(5)
    X = rng.exponential(size=(3, GRID.size)).astype(np.float32)
    matrix = binning_rebin_numba.overlap_matrix(GRID, None, edges, True)
    out = np.empty((3, edges.size - 1))
    binning_rebin_numba.rebin_rows(X, *matrix, out)
    cells = build_guide(CELLS), CELLS
    for row, spectrum in zip(out, X, strict=True):
        total = np.zeros(edges.size - 1)
        guide = build_guide(edges)
        binning_spread_numba.spread_sum_points(
            GRID, spectrum, *cells, guide, edges, total
        )
        np.testing.assert_allclose(row, total, rtol=1e-9, atol=1e-12)


def test_shared_axis_of_centroids_rebins_to_a_histogram():
    edges = np.arange(101, 299, 0.1)
    X = RNG.exponential(size=(2, GRID.size))
    out = np.empty((2, edges.size - 1))
    matrix = binning_rebin_numba.overlap_matrix(GRID, None, edges, False)
    binning_rebin_numba.rebin_rows(X, *matrix, out)
    expected = [np.histogram(GRID, edges, weights=row)[0] for row in X]
    np.testing.assert_allclose(out, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("per_cell", [0.13, 0.41, 0.77, 1.03, 1.4])
def test_spreading_makes_no_false_maxima(per_cell):
    # Peaks of 5 samples' width and heights that differ; the phase of the bins moves.
    place = np.arange(120.0, 290, 2.5)
    profile = np.exp(-0.5 * ((GRID[:, None] - place) / (2.2 * 0.06)) ** 2).sum(1)
    edges = np.arange(110, 295, 0.06 * per_cell)
    total = np.zeros(edges.size - 1)
    cells = build_guide(CELLS), CELLS
    guide = build_guide(edges)
    binning_spread_numba.spread_sum_points(GRID, profile, *cells, guide, edges, total)
    assert find_peaks(total, height=1e-3 * total.max())[0].size == place.size


def test_false_maxima_are_what_plain_binning_makes():
    # The control of the test before.
    profile = np.exp(-0.5 * ((GRID[:, None] - [150.0, 200]) / 0.132) ** 2).sum(1)
    edges = np.arange(110, 295, 0.025)
    total = np.zeros(edges.size - 1)
    whole = np.array([0, GRID.size])
    binning_numba.sum_points(GRID, profile, whole, build_guide(edges), edges, total)
    assert find_peaks(total, height=1e-3 * total.max())[0].size > 10


def linear_parts(mz, centers):
    """Return both bins of each sample and the share of the upper one, by np.interp."""
    place = np.interp(mz, centers, np.arange(centers.size))
    lower = np.minimum(place.astype(np.int64), max(centers.size - 2, 0))
    return lower, np.minimum(lower + 1, centers.size - 1), place - lower


LINEAR = {
    "grid": CELLS,
    "irregular": AXES["irregular"][0],
    "even": AXES["even"][0],
    "two bins": np.array([150.0, 180.0, 230.0]),
    "one bin": np.array([100.0, 101.0]),
}


@pytest.fixture(params=LINEAR)
def linear_axis(request):
    edges = LINEAR[request.param]
    return build_guide(edges), edges, 0.5 * (edges[1:] + edges[:-1])


def test_linear_shares_are_those_of_interpolation(linear_axis):
    _, edges, centers = linear_axis
    mz, intensity, indptr = ragged(n_points=3000, dtype=np.float64)
    total = np.zeros(centers.size)
    dropped = binning_spread_numba.linear_sum_points(mz, intensity, *linear_axis, total)
    inside = (mz >= edges[0]) & (mz < edges[-1])
    assert dropped == np.count_nonzero(~inside)
    dense = np.zeros((indptr.size - 1, centers.size))
    owner = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    lower, upper, share = linear_parts(mz, centers)
    np.add.at(dense, (owner, lower), intensity * (1 - share) * inside)
    np.add.at(dense, (owner, upper), intensity * share * inside)
    np.testing.assert_allclose(total, dense.sum(0), rtol=1e-9, atol=1e-9)
    found = accumulate(
        binning_spread_numba.linear_accumulate_points,
        *(mz, intensity, indptr, *linear_axis),
    )
    for ours, theirs in zip(found[:-1], dense_statistics(dense), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    assert found[-1] == dropped


@pytest.mark.parametrize("name", ["grid", "irregular"])
def test_linear_shares_keep_ion_current_and_centroid(name):
    edges = LINEAR[name]
    centers, step = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    for m in np.random.default_rng(7).uniform(centers[0], centers[-1], 200):
        total = np.zeros(centers.size)
        sample = np.array([m]), np.array([3.7])
        axis = build_guide(edges), edges, centers
        binning_spread_numba.linear_sum_points(*sample, *axis, total)
        assert total.sum() == pytest.approx(3.7, rel=1e-14)
        (used,) = np.nonzero(total)
        assert used[-1] - used[0] == used.size - 1 <= 1
        away = (total[used] * (centers[used] - m)).sum() / 3.7
        assert abs(away) < 1e-9 * step[used].min()


def test_samples_at_centres_stay_there_to_the_bit():
    centers = 0.5 * (CELLS[1:] + CELLS[:-1])
    mz, intensity, indptr = ragged(grid=centers)
    axis = build_guide(CELLS), CELLS
    whole = accumulate(binning_numba.accumulate_points, mz, intensity, indptr, *axis)
    arguments = mz, intensity, indptr, *axis, centers
    shared = accumulate(binning_spread_numba.linear_accumulate_points, *arguments)
    for ours, theirs in zip(shared, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shift", [-0.5, -0.31, 0.0, 0.12, 0.49, 2.7])
@pytest.mark.parametrize("stretch", [0.0, 0.05])
def test_linear_shares_make_no_false_maxima(shift, stretch):
    # Samples of a grid that is moved, and that is wider than the bins it comes into.
    index = np.arange(GRID.size)
    moved = np.interp(index * (1 - stretch) + shift, index, GRID)[5:-5]
    place = np.arange(120.0, 280, 2.5)
    profile = np.exp(-0.5 * ((moved[:, None] - place) / (2.2 * 0.06)) ** 2).sum(1)
    centers = 0.5 * (CELLS[1:] + CELLS[:-1])
    total = np.zeros(centers.size)
    axis = build_guide(CELLS), CELLS, centers
    binning_spread_numba.linear_sum_points(moved, profile, *axis, total)
    maxima, _ = find_peaks(total, height=1e-3 * total.max())
    assert maxima.size == place.size
    # Each sample whole into the cell that it lies in makes combs of a stretched grid.
    control = np.zeros(centers.size)
    ends = np.array([0, moved.size])
    binning_numba.sum_points(moved, profile, ends, *axis[:2], control)
    combs, _ = find_peaks(control, height=1e-3 * total.max())
    assert (combs.size > place.size) == (stretch > 0)


@pytest.mark.parametrize("xp", [np, array_api_strict], ids=["numpy", "strict"])
def test_reference_of_linear_shares_agrees(xp, linear_axis):
    mz, intensity, indptr = ragged(n_points=2000)
    guide, edges, centers = linear_axis
    mz[3] = centers[0]
    ours = accumulate(
        binning_spread_numba.linear_accumulate_points,
        *(mz, intensity, indptr, guide, edges, centers),
    )
    given = [xp.asarray(array) for array in (mz, intensity, indptr, edges, centers)]
    theirs = binning_spread_xp.linear_accumulate_points(*given)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-8, atol=1e-8)
    total, dropped = binning_spread_xp.linear_sum_points(*given)
    np.testing.assert_allclose(ours[0], np.asarray(total), rtol=1e-8, atol=1e-8)
    assert dropped == ours[-1]


@pytest.mark.parametrize("xp", [np, array_api_strict], ids=["numpy", "strict"])
@pytest.mark.parametrize("name", ["even", "ppm", "irregular"])
def test_reference_agrees(xp, name):
    edges, _ = AXES[name]
    guide = build_guide(edges)
    mz, intensity, indptr = ragged(grid=GRID)
    flat = xp.asarray(mz), xp.asarray(intensity)
    total = np.zeros(edges.size - 1)
    dropped = binning_numba.sum_points(mz, intensity, indptr, guide, edges, total)
    ends = xp.asarray(indptr), xp.asarray(edges)
    reference, missed = binning_xp.sum_points(*flat, *ends)
    np.testing.assert_allclose(total, np.asarray(reference), rtol=1e-9, atol=1e-9)
    assert missed == dropped
    ours = accumulate(
        binning_numba.accumulate_points, mz, intensity, indptr, guide, edges
    )
    theirs = binning_xp.accumulate_points(*flat, xp.asarray(indptr), xp.asarray(edges))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("xp", [np, array_api_strict], ids=["numpy", "strict"])
def test_reference_spreads_alike(xp):
    edges = np.arange(101, 290, 0.027)
    guide, cells = build_guide(edges), build_guide(CELLS)
    mz, intensity, indptr = ragged(grid=GRID)
    ours = accumulate(
        binning_spread_numba.spread_accumulate_points,
        *(mz, intensity, indptr, cells, CELLS, guide, edges),
    )
    given = [xp.asarray(array) for array in (mz, intensity, indptr, CELLS, edges)]
    theirs = binning_spread_xp.spread_accumulate_points(*given)
    for which, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if which != 2:
            np.testing.assert_allclose(a, np.asarray(b), rtol=1e-8, atol=1e-8)
    total, dropped = binning_spread_xp.spread_sum_points(*given)
    np.testing.assert_allclose(ours[0], np.asarray(total), rtol=1e-8, atol=1e-8)
    assert dropped == ours[-1]
    X = np.random.default_rng(6).exponential(size=(3, GRID.size))
    matrix = binning_rebin_numba.overlap_matrix(GRID, None, edges, True)
    out = np.empty((3, edges.size - 1))
    binning_rebin_numba.rebin_rows(X, *matrix, out)
    reference = binning_rebin_xp.rebin_rows(*map(xp.asarray, (X, *matrix)))
    np.testing.assert_allclose(out, np.asarray(reference), rtol=1e-9, atol=1e-9)


def test_empty_input():
    edges, _ = AXES["even"]
    none = np.empty(0)
    found = accumulate(
        binning_numba.accumulate_points,
        *(none, none, np.zeros(3, np.int64), build_guide(edges), edges),
    )
    assert all(not np.any(values) for values in found)


def test_nan_is_seen():
    edges, _ = AXES["ppm"]
    mz, intensity, indptr = ragged()
    k = np.flatnonzero(mz > 150)[0]
    intensity[k] = np.nan
    arguments = mz, intensity, indptr, build_guide(edges), edges
    total = accumulate(binning_numba.accumulate_points, *arguments)[0]
    assert np.isnan(total).sum() == 1
    centers = 0.5 * (edges[1:] + edges[:-1])
    kernel = binning_spread_numba.linear_accumulate_points
    total = accumulate(kernel, *arguments, centers)[0]
    assert np.isnan(total).sum() == 2
