"""Alignment, part by part: resampling, matching, fits and references."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from imsminer import MassAligner, Spectra
from imsminer.core.chunk import rows_as_chunk
from imsminer.core.engine import row_statistics
from imsminer.core.windows import cell_edges
from imsminer.spectra._aligning import resample
from imsminer.spectra._kernels import (
    align_numba,
    align_warp_numba,
    align_warp_xp,
    align_xp,
)
from imsminer.spectra._massmodel import weighted_median
from imsminer.spectra._reference import reference_peaks
from tests.spectra.shifted import MZ, PEAKS, drawn, ragged, simulate


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resampling_conserves_the_ion_current(dtype):
    spectra = Spectra.from_arrays(simulate(*drawn()).astype(dtype), MZ)
    aligner = MassAligner(reference=PEAKS).fit(spectra)
    result = aligner.transform(spectra)
    np.testing.assert_array_equal(result.mz, MZ)
    total, before = row_statistics(result).total, row_statistics(spectra).total
    rtol = 1e-12 if dtype == np.float64 else 1e-7
    np.testing.assert_allclose(total, before, rtol=rtol)
    for chunk in result.iter_chunks():
        assert chunk.intensity.dtype == dtype
        assert (chunk.intensity >= 0).all()


def test_resampling_moves_a_peak_without_widening_it():
    edges = np.arange(-0.5, 400.5)
    x = np.arange(400.0)
    peak = np.exp(-0.5 * ((x - 200) / 3) ** 2)[None]
    for shift in (0.3, 0.5, -2.7, 11.25):
        theta = np.array([[shift, 0.0]])
        moved = resample(peak, edges, theta, 200.0, 200.0, ppm=False)
        expected = np.exp(-0.5 * ((x - 200 + shift) / 3) ** 2)
        np.testing.assert_allclose(moved[0], expected, atol=2e-3)
        assert moved.sum() == pytest.approx(peak.sum(), rel=1e-12)


def test_resampling_agrees_with_a_spline_of_the_integral():
    rng = np.random.default_rng(0)
    y = np.convolve(rng.gamma(1, 1, 600), np.hanning(25), "same")[None]
    edges = cell_edges(400 * 1.00001 ** np.arange(600))
    theta = np.array([[4.0, 2.5]])
    centre, half = 401.2, 1.2
    moved = resample(y, edges, theta, centre, half, ppm=True)
    spline = CubicSpline(edges, np.concatenate([[0], np.cumsum(y)]))
    error = 4.0 + 2.5 * np.clip((edges - centre) / half, -1, 1)
    expected = np.diff(spline(edges * (1 + 1e-6 * error)))
    np.testing.assert_allclose(moved[0, 5:-5], expected[5:-5], rtol=0.01)


def test_resampling_odd_rows():
    edges = np.arange(-0.5, 50.5)
    rng = np.random.default_rng(0)
    X = np.stack([np.zeros(50), rng.normal(size=50), np.full(50, 3.0), np.eye(50)[20]])
    theta = np.tile([[2.3, 0.4]], (4, 1))
    moved = resample(X, edges, theta, 25.0, 25.0, ppm=False)
    assert np.all(np.isfinite(moved))
    np.testing.assert_allclose(moved.sum(1), X.sum(1), atol=1e-12)
    np.testing.assert_array_equal(moved[0], 0)
    assert np.all(moved[2:] >= 0)
    for size in (1, 2, 3, 4):
        y = rng.gamma(1, 1, (2, size))
        ends = np.arange(-0.5, size + 0.5)
        moved = resample(y, ends, theta[:2], 1.0, 1.0, ppm=False)
        np.testing.assert_allclose(moved.sum(1), y.sum(1))
    still = resample(X, edges, 0 * theta, 25.0, 25.0, ppm=False)
    np.testing.assert_array_equal(still, X)


@pytest.mark.parametrize("profile", [True, False])
def test_matching_agrees_with_the_reference(profile):
    X = simulate(*drawn(6)).astype(np.float64)
    X[2] = 0
    X[3] = X[3] ** 0.5 - 0.3
    peaks = np.append(PEAKS, [504.0, 996.0])
    width = 30e-6 * peaks
    arguments = (peaks, width, 1e6 / peaks, profile)
    errors, heights = np.empty((6, 62)), np.empty((6, 62))
    align_numba.match_rows(X, MZ, *arguments, errors, heights)
    expected = align_xp.match_rows(X, MZ, *arguments)
    np.testing.assert_allclose(heights, expected[1], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(errors, expected[0], rtol=1e-7, atol=1e-6)
    assert np.isfinite(errors).sum() > 200
    thin = ragged(X.clip(0))
    (chunk,) = thin.iter_chunks()
    flat = (chunk.mz, chunk.intensity, chunk.indptr)
    align_numba.match_points(*flat, *arguments, errors, heights)
    expected = align_xp.match_points(*flat, *arguments)
    np.testing.assert_allclose(heights, expected[1], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(errors, expected[0], rtol=1e-7, atol=1e-6)


def test_fits_agree_with_the_reference():
    rng = np.random.default_rng(0)
    n, k = 50, 41
    u = np.linspace(-1, 1, k)
    heights = rng.gamma(1, 1, (n, k)) * (rng.random((n, k)) < 0.8)
    heights[4] = 0
    heights[5, 3:] = 0
    errors = rng.normal(0, 3, (n, 1)) + rng.normal(0, 2, (n, 1)) * u
    errors += rng.standard_t(2, (n, k))
    errors[heights == 0] = np.nan
    prior = rng.normal(0, 1, (n, 2))
    precision = rng.gamma(1, 1, (n, 2))
    theta, quality = np.empty((n, 2)), np.empty((n, 4))
    align_numba.fit_rows(errors, heights, u, prior, precision, 0.02, theta, quality)
    expected = align_xp.fit_rows(errors, heights, u, prior, precision, 0.02)
    np.testing.assert_allclose(theta, expected[0], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(quality, expected[1], rtol=1e-8)
    np.testing.assert_array_equal(theta[4], prior[4])


def test_outliers_do_not_move_a_line():
    u = np.linspace(-1, 1, 60)
    errors = (2.0 + 1.0 * u + np.random.default_rng(0).normal(0, 0.1, 60))[None]
    errors[0, ::4] = 15.0
    theta, quality = np.empty((1, 2)), np.empty((1, 4))
    weak = np.full((1, 2), 1e-9)
    heights = np.ones((1, 60))
    align_numba.fit_rows(errors, heights, u, 0 * weak, weak, 0.02, theta, quality)
    np.testing.assert_allclose(theta, [[2.0, 1.0]], atol=0.1)
    assert quality[0, 0] == 45


@pytest.mark.parametrize("ppm", [True, False])
def test_resampling_agrees_with_the_reference(ppm):
    rng = np.random.default_rng(0)
    X = rng.gamma(0.3, 1, (8, 500))
    X[1] -= 0.5
    edges = cell_edges(400 * 1.000003 ** np.arange(500.0))
    scale = 1.0 if ppm else 4e-4
    theta = rng.normal(0, 8, (8, 2)) * scale
    theta[2] = 0
    ours = resample(X, edges, theta, edges.mean(), 0.2, ppm=ppm)
    expected = align_xp.resample_rows(X, edges, theta, edges.mean(), 0.2, ppm)
    np.testing.assert_allclose(ours, expected, atol=1e-9)


def test_resampling_of_long_rows_agrees_with_the_reference():
    # Whole blocks of places that move by as many cells are computed at once.
    rng = np.random.default_rng(0)
    X = rng.gamma(0.3, 1, (6, 3000)).astype(np.float32)
    X[1] -= np.float32(0.5)
    edges = cell_edges(400 * 1.000003 ** np.arange(3000.0))
    theta = np.array([[8, 0], [-8, 1], [0, 0], [0.5, 20], [-40, 3], [3, -3.0]])
    ours = resample(X, edges, theta, edges.mean(), 1.5, ppm=True)
    expected = align_xp.resample_rows(X, edges, theta, edges.mean(), 1.5, True)
    np.testing.assert_allclose(ours, expected, atol=1e-4, rtol=1e-5)
    double = resample(X.astype(np.float64), edges, theta, edges.mean(), 1.5, ppm=True)
    np.testing.assert_allclose(double.sum(1), X.sum(1, dtype=np.float64), rtol=1e-12)
    assert (double[[0, 2, 3, 4, 5]] >= 0).all()


def test_reference_peaks_stand_alone_and_spread():
    mz = np.arange(500.0, 1000.0, 0.005)
    mean = np.zeros(mz.size)
    places = np.linspace(505, 995, 200)
    strong = np.where(places > 900, 1000.0, 10.0)
    for place, height in zip(places, strong, strict=True):
        mean += height * np.exp(-0.5 * ((mz - place) / 0.015) ** 2)
    # Two peaks as high as each other, 0.08 apart.
    for place in (700.40, 700.48):
        mean += 500 * np.exp(-0.5 * ((mz - place) / 0.015) ** 2)
    found = reference_peaks(mz, mean, np.full(mz.size, 0.05))
    assert found.size == 100
    assert np.all(np.diff(found) > 0)
    assert np.abs(found[:, None] - places).min(1).max() < 0.0051
    assert np.histogram(found, 10, (505, 995))[0].min() >= 9
    assert np.abs(found - 700.44).min() > 0.2


def test_weighted_median():
    values = np.array([[5.0, 1.0, 3.0, 100.0], [1.0, 2.0, 3.0, 4.0]])
    weights = np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    result = weighted_median(values, weights)
    assert result[0] == 3.0
    assert np.isnan(result[1])


def test_rows_are_spectra_of_an_axis():
    chunk = rows_as_chunk(np.ones((2, 3)))
    np.testing.assert_array_equal(chunk.mz, [0.0, 1.0, 2.0])


def test_warps_agree_with_interpolation():
    rng = np.random.default_rng(0)
    knots = np.array([-1.0, -0.4, 0.1, 0.7, 1.0])
    theta = rng.normal(0, 5, (3, 5))
    theta[2] = 0
    centre, half = 700.0, 200.0
    mz = np.sort(rng.uniform(450, 950, 600))
    indptr = np.array([0, 250, 400, 600])
    out = np.empty(600)
    align_warp_numba.shift_points(mz, indptr, theta, centre, half, knots, out)
    expected = np.empty(600)
    for i, line in enumerate(theta):
        values = line[0] + line[1] * knots
        values[1:-1] += line[2:]
        part = slice(indptr[i], indptr[i + 1])
        error = np.interp((mz[part] - centre) / half, knots, values)
        expected[part] = mz[part] / (1 + 1e-6 * error)
    np.testing.assert_allclose(out, expected, rtol=1e-14)
    also = align_warp_xp.shift_points(mz, indptr, theta, centre, half, knots)
    np.testing.assert_allclose(also, expected, rtol=1e-14)
    X = rng.gamma(0.3, 1, (3, 500))
    edges = cell_edges(400 * 1.000003 ** np.arange(500.0))
    place = (edges.mean(), 0.2)
    moved = resample(X, edges, theta, *place, ppm=True, knots=knots)
    also = align_warp_xp.resample_rows(X, edges, theta, *place, True, knots)
    np.testing.assert_allclose(moved, also, atol=1e-9)
    np.testing.assert_allclose(moved.sum(1), X.sum(1))
    np.testing.assert_array_equal(moved[2], X[2])
