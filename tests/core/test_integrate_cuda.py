"""Intensities inside windows on a GPU, or in its simulator, by the reference."""

import numpy as np
import pytest

from imsminer._array import to_numpy
from imsminer.core._kernels import integrate_xp

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer._cuda import THREADS
from imsminer.core._kernels import integrate_cuda

M = 9 * THREADS + 1
GRID = np.linspace(10, 12, 61) ** 2
CELLS = np.concatenate([[99.9], 0.5 * (GRID[1:] + GRID[:-1]), [144.1]])

#: Empty, one column, overlapping, in any order; then also wide ones, for many lanes.
NARROW = np.array([[0, 3], [5, 5], [4, 7], [2, 3], [M - 1, M]])
WIDE = np.array([[0, M], [3, 3], [1, 5 * THREADS], [M - 2, M]])


def matrix(dtype):
    X = np.random.default_rng(0).normal(size=(2, M)).astype(dtype)
    X[0] -= 5
    return X


def points(dtype):
    """Spectra with many, no, one and equal m/z, and beyond all cells."""
    rng = np.random.default_rng(1)
    parts = [
        np.sort(rng.permutation(GRID)[:40]),
        np.zeros(0),
        GRID[30:31],
        np.full(5, GRID[20]),
        np.concatenate([[90.0], GRID[::3], [150.0]]),
    ]
    indptr = np.concatenate([[0], np.cumsum([part.size for part in parts])])
    intensity = rng.normal(size=indptr[-1]).astype(dtype)
    return np.concatenate(parts), intensity, indptr


def ends():
    """Windows in any order, overlapping, empty, at samples, and far outside."""
    low = np.array([101.0, 140, 120, -1e300, 1e6, 130, GRID[20], GRID[5]])
    high = np.array([105.0, 141, 120, 1e300, 1e7, 139, GRID[21], GRID[20]])
    return low, high


def examples(put):
    """Yield each function with its arguments, for both types of intensities."""
    kernels, rng = integrate_cuda, np.random.default_rng(2)
    for dtype in (np.float32, np.float64):
        X = put(matrix(dtype))
        for windows in (NARROW, WIDE):
            left, right = windows.T
            weights = rng.uniform(size=M)
            shares = rng.uniform(size=(2, left.size))
            yield kernels.max_windows_rows, (X, left, right)
            yield kernels.area_windows_rows, (X, left, right, weights, *shares)
        yield kernels.sum_windows_rows, (X, *NARROW.T)
        yield kernels.integrate_rows, (X, *WIDE.T, weights)
        flat = tuple(map(put, points(dtype)))
        yield kernels.integrate_points, (*flat, *ends())
        yield kernels.max_points, (*flat, *ends())
        yield kernels.area_points, (*flat, None, CELLS, *ends())
    few = ends()[0][3:4], ends()[1][3:4]
    one = tuple(map(put, points(np.float32)))
    yield kernels.integrate_points, (*one[:2], one[2][[0, 1]], *few)
    yield kernels.area_points, (*one[:2], one[2][[0, 1]], None, put(CELLS), *few)


def test_the_functions_are_those_of_the_reference():
    assert integrate_cuda.__all__ == integrate_xp.__all__


def test_results_are_those_of_the_reference(device):
    for function, arguments in examples(device.put):
        found = device.get(function(*arguments))
        host = [None if part is None else to_numpy(part) for part in arguments]
        expected = getattr(integrate_xp, function.__name__)(*host)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_a_nan_does_not_hide(device):
    X = matrix(np.float32)
    X[1, 4 * THREADS] = np.nan
    found = device.get(integrate_cuda.max_windows_rows(device.put(X), *WIDE.T))
    assert np.isnan(found).tolist() == [[False] * 4, [True, False, True, False]]
    mz, intensity, indptr = points(np.float32)
    intensity[7] = np.nan
    flat = map(device.put, (mz, intensity, indptr))
    top = device.get(integrate_cuda.max_points(*flat, [0.0], [1e3]))
    assert np.isnan(top)[:, 0].tolist() == [True] + [False] * 4


def test_no_windows_and_no_rows(device):
    X, flat = device.put(matrix(np.float32)), points(np.float32)
    none = np.zeros(0, np.int64)
    assert integrate_cuda.sum_windows_rows(X, none, none).shape == (2, 0)
    assert integrate_cuda.sum_windows_rows(X[:0], *NARROW.T).shape == (0, 5)
    flat = tuple(map(device.put, flat))
    assert integrate_cuda.max_points(*flat, none, none).shape == (5, 0)
