"""What stands in windows, on a GPU or in its simulator, by the reference."""

import numpy as np
import pytest

from imsminer._array import to_numpy
from imsminer.features._kernels import observe_xp

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.features._kernels import observe_cuda

GRID = np.linspace(10, 12, 61) ** 2
CELLS = np.concatenate([[99.9], 0.5 * (GRID[1:] + GRID[:-1]), [144.1]])
LOW = np.array([101.0, 140, 120, -1e300, 1e6, GRID[20]])
HIGH = np.array([105.0, 141, 120, 1e300, 1e7, GRID[21]])
M_LOW, M_HIGH = np.full(6, 0.3), np.array([0.9, 1.0, 1.0, 0.8, 1.0, 1.0])
CENTERS = np.array([103.0, 140.5, 120, 125, 1.5e6, 116])


def points(dtype):
    """Spectra with many, no, one and equal m/z, and their mobilities."""
    rng = np.random.default_rng(0)
    parts = [
        np.sort(rng.permutation(GRID)[:40]),
        np.zeros(0),
        GRID[30:31],
        np.full(5, GRID[20]),
    ]
    indptr = np.concatenate([[0], np.cumsum([part.size for part in parts])])
    intensity = rng.normal(size=indptr[-1]).astype(dtype)
    return np.concatenate(parts), rng.uniform(size=indptr[-1]), intensity, indptr


def examples(put):
    """Yield each function with its arguments, with mobilities and without."""
    rng, windows = np.random.default_rng(1), (LOW, HIGH, M_LOW, M_HIGH)
    for dtype in (np.float32, np.float64):
        X = put(rng.normal(size=(4, GRID.size)).astype(dtype))
        columns = np.searchsorted(GRID, LOW), np.searchsorted(GRID, HIGH)
        yield observe_cuda.window_moments_rows, (X, GRID, *columns, CENTERS)
        mz, mobility, intensity, indptr = map(put, points(dtype))
        for own in (mobility, mobility[:0]):
            flat = (mz, own, intensity, indptr)
            yield observe_cuda.window_moments, (*flat, *windows, CENTERS)
            yield observe_cuda.window_areas, (*flat, None, CELLS, *windows)


def test_the_functions_are_those_of_the_reference():
    assert observe_cuda.__all__ == observe_xp.__all__


def test_results_are_those_of_the_reference(device):
    for function, arguments in examples(device.put):
        found = device.get(function(*arguments))
        host = [None if part is None else to_numpy(part) for part in arguments]
        expected = getattr(observe_xp, function.__name__)(*host)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_a_nan_does_not_hide(device):
    mz, _, intensity, indptr = points(np.float32)
    intensity[3] = np.nan
    flat = map(device.put, (mz, mz[:0], intensity, indptr))
    whole = np.array([0.0]), np.array([1e3])
    found = observe_cuda.window_moments(*flat, *whole, *whole, np.array([100.0]))
    assert (
        np.isnan(device.get(found)[0, 0]).tolist() == [True] * 2 + [False] + [True] * 2
    )
