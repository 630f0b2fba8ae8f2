"""Kernels of normalisation: NumPy decides what is right, and both engines agree."""

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imsminer.spectra._kernels import normalize_numba, normalize_xp
from imsminer.spectra._normalizing_windows import merge_windows, other_windows
from imsminer.spectra.normalize_trimmed import dominant_columns, peak_bins

NAMES = ("sum_points", "square_sums", "maxima", "medians")


def run(name, y, indptr):
    y.flags.writeable = False
    out = np.full(indptr.size - 1, np.nan)
    getattr(normalize_numba, name)(y, indptr, out)
    other = getattr(normalize_xp, name)(strict.asarray(y.copy()), indptr)
    return out, np.asarray(other)


def median(y):
    return np.median(y[y != 0]) if np.any(y != 0) else 0.0


def kinds(rng, n):
    """Spectra whose medians are hard to find in different ways."""
    return {
        "noise": rng.normal(size=n),
        "peaks": rng.lognormal(0, 3, n),
        "sparse": np.where(rng.random(n) < 0.9, 0.0, rng.random(n)),
        "counts": rng.poisson(0.7, n).astype(float),
        "rising": np.arange(n, dtype=float),
        "comb": np.where(np.arange(n) % 4 == 0, 1e6, 1.0 + np.arange(n) / n),
        "constant": np.full(n, 3.0),
        "two": np.where(np.arange(n) < n / 2, 1.0, 2.0),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 7, 100, 4096, 4097, 5119, 8192, 50_001])
def test_medians_equal_numpy(n, dtype):
    spectra = [y.astype(dtype) for y in kinds(np.random.default_rng(n), n).values()]
    indptr = np.arange(len(spectra) + 1) * n
    found, other = run("medians", np.concatenate(spectra), indptr)
    expected = [median(y.astype(np.float64)) for y in spectra]
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    np.testing.assert_allclose(other, expected, rtol=1e-15)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), max_size=12),
        min_size=1,
        max_size=5,
    )
)
def test_all_measures_agree(rows):
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    y = np.array([value for row in rows for value in row])
    expected = {
        "sum_points": np.sum,
        "square_sums": lambda row: np.sum(row**2),
        "maxima": lambda row: row.max(initial=-np.inf) if row.size else 0.0,
        "medians": median,
    }
    for name in NAMES:
        found, other = run(name, y.copy(), indptr)
        truth = [float(expected[name](np.array(row, dtype=float))) for row in rows]
        np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(other, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [3, 6000])
def test_a_median_does_not_hide_what_is_not_finite(bad, n):
    y = np.arange(1.0, 2 * n + 1)
    y[n // 2] = bad
    found, other = run("medians", y, np.array([0, n, 2 * n]))
    assert np.isnan(found[0])
    assert np.isnan(other[0])
    assert found[1] == other[1] == np.median(y[n:])


@pytest.mark.parametrize("m", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("n", [1, 2, 9, 5000])
def test_medians_of_columns_equal_numpy(n, m):
    rng = np.random.default_rng(n)
    X = rng.gamma(1.0, 5.0, (n, m)).astype(np.float32)
    X[rng.random((n, m)) < 0.3] = 0
    total = X.sum(1, dtype=np.float64)
    total[1::7] = 0
    if m == 1:
        total = np.where(total > 0, total, 0.0)
    out = np.full(m, np.nan)
    normalize_numba.median_columns(X, total, out)
    used = total > 0
    expected = np.zeros(m)
    if used.any():
        expected = np.median(X[used].astype(float) / total[used, None], axis=0)
    np.testing.assert_allclose(out, expected, rtol=1e-14)
    other = normalize_xp.median_columns(strict.asarray(X), strict.asarray(total))
    np.testing.assert_allclose(np.asarray(other), expected, rtol=1e-14)


def test_division_of_points_agrees():
    rng = np.random.default_rng(0)
    indptr = np.array([0, 3, 3, 10])
    y = rng.random(10).astype(np.float32)
    factors = np.array([0.0, 2.0, 0.5])
    out = np.empty_like(y)
    normalize_numba.divide_points(y, indptr, factors, out)
    np.testing.assert_array_equal(out, np.r_[0 * y[:3], y[3:] / 0.5])
    arrays = map(strict.asarray, (y, indptr, factors))
    np.testing.assert_array_equal(np.asarray(normalize_xp.divide_points(*arrays)), out)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), min_size=0, max_size=8)
)
def test_windows_and_the_others_hold_everything_once(pairs):
    low = np.array([float(a) for a, _ in pairs])
    high = np.array([float(a + width) for a, width in pairs])
    grid = np.arange(-2.0, 40.0, 0.5)
    inside = np.zeros(grid.size, bool)
    for a, b in zip(low, high, strict=True):
        inside |= (grid >= a) & (grid < b)
    a, b = merge_windows(low, high)
    assert np.all(a[1:] > b[:-1])
    count = ((grid[:, None] >= a) & (grid[:, None] < b)).sum(1)
    np.testing.assert_array_equal(count, inside)
    c, d = other_windows(a, b)
    count += ((grid[:, None] >= c) & (grid[:, None] < d)).sum(1)
    np.testing.assert_array_equal(count, 1)


def test_dominant_columns_are_the_fewest_that_hold_the_share():
    mean = np.array([5.0, 1.0, 50.0, 4.0, 40.0])
    assert dominant_columns(mean, 0.0).tolist() == []
    assert dominant_columns(mean, 0.5).tolist() == [2]
    assert dominant_columns(mean, 0.51).tolist() == [2, 4]
    assert dominant_columns(mean, 0.93).tolist() == [0, 2, 4]
    # One with ion current is always left.
    assert dominant_columns(mean, 0.999).tolist() == [0, 2, 3, 4]
    assert dominant_columns(np.array([-3.0, 0.0, 2.0]), 0.9).tolist() == []
    assert dominant_columns(np.zeros(3), 0.5).tolist() == []


def test_a_peak_reaches_from_valley_to_valley():
    mean = np.array([0.0, 0.0, 1.0, 5.0, 2.0, 2.0, 3.0, 0.0, 0.0, 4.0])
    first, last = peak_bins(mean, split=False)
    assert first.tolist() == [0, 1, 5, 8]
    assert last.tolist() == [1, 5, 8, 10]
    first, last = peak_bins(mean, split=True)
    np.testing.assert_array_equal(first, np.arange(10))
    for short in ([3.0], [3.0, 1.0], [1.0, 3.0]):
        assert [x.tolist() for x in peak_bins(np.array(short), split=False)] == [
            [0],
            [len(short)],
        ]
