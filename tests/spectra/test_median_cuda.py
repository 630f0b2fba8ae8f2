"""Running medians on a GPU: against the reference."""

import numpy as np
import pytest

from tests.spectra.on_device import check_like_reference, sparse

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.spectra._kernels import median_cuda, median_xp

SIZES = [(9, 14), (0, 0), (1, 1), (15, 15), (6, 30), (0, 4)]


def examples(put):
    """Yield (function, arguments) for every function and dtype."""
    rng = np.random.default_rng(0)
    where = sparse(rng, SIZES)
    n = where[1].size
    for dtype in (np.float32, np.float64):
        X = np.rint(rng.normal(0, 5, (2, 25)))
        X[0] = np.arange(25)
        X = X.astype(dtype)
        for reach in (np.full(25, 6), rng.integers(0, 20, 25)):
            yield median_cuda.median_rows, (put(X), reach)
            yield median_cuda.nearest_rows, (put(X), put(reach))
        yield median_cuda.nearest_rows, (put(X[:, :1].copy()), reach[:1])
        # Values of both signs around the zeros that are not stored.
        values = put(np.rint(rng.normal(0, 5, n)).astype(dtype))
        points = (values, *map(put, where), put(rng.integers(0, 15, n)))
        for nearest in (False, True):
            yield median_cuda.median_points, (*points, nearest)
    nothing = (a[:0] for a in (X[0], *where[1:], where[1]))
    values, position, length, reach = map(put, nothing)
    none = values, put(where[0][:1]), position, length, reach
    yield median_cuda.median_points, none


def test_agrees_with_the_reference(device):
    check_like_reference(examples(device.put), median_xp)


def test_wide_windows(device):
    rng = np.random.default_rng(1)
    X = np.sort(rng.lognormal(0, 20, (2, 401)), axis=1)
    rng.shuffle(X[1])
    reach = np.zeros(401, np.int64)
    reach[195:206] = 190
    found = device.get(median_cuda.median_rows(device.put(X), reach))
    np.testing.assert_array_equal(found, median_xp.median_rows(X, reach))


def test_nan_is_not_hidden(device):
    X = np.array([[1.0, np.nan, np.nan, np.nan, 2.0]])
    found = device.get(median_cuda.median_rows(device.put(X), np.full(5, 1)))
    np.testing.assert_array_equal(found, [[1.0, np.nan, np.nan, np.nan, 2.0]])


def test_has_what_the_reference_has():
    assert median_cuda.__all__ == median_xp.__all__
