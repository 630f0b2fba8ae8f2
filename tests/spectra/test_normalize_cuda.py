"""Normalization on a GPU, or in its simulator, by the reference."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.spectra._kernels import normalize_cuda, normalize_xp

MEASURES = ("sum_points", "square_sums", "maxima", "medians")


def spectra(dtype):
    """Return points and bounds of spectra that are hard in different ways."""
    rng = np.random.default_rng(0)
    n = normalize_cuda.SELECT_THREADS + 3
    ties = np.repeat([3.0, -1.5, 0.0, 3.0, 8.0], 3)
    tiny = np.array([-0.0, 5e-42, -5e-42, 0.0, 1e-42])
    parts = [
        rng.lognormal(0, 3, n),
        [],
        [2.5],
        -rng.lognormal(0, 1, n - 1),
        ties,
        np.zeros(5),
        rng.normal(size=n + 1),
        tiny,
        # Values that share all digits but the last, and two far apart.
        1.0 + np.arange(6) * 2.0**-22,
        [1.0, 3e30],
        [],
    ]
    # Twice as many digits take the simulator twice as long.
    parts = parts if dtype == np.float32 else parts[3:-2]
    parts = [np.asarray(part, dtype=dtype) for part in parts]
    indptr = np.concatenate([[0], np.cumsum([part.size for part in parts])])
    return np.concatenate(parts), indptr.astype(np.int64)


def matrix(shape, dtype):
    X = np.random.default_rng(1).normal(size=shape).astype(dtype)
    return X, np.resize([2.0, 0.0, 0.3], shape[0])


def examples(put):
    """Yield each function with its arguments, for both types of intensities."""
    for dtype in (np.float32, np.float64):
        values, indptr = map(put, spectra(dtype))
        for name in MEASURES if dtype == np.float32 else MEASURES[2:]:
            yield getattr(normalize_cuda, name), (values, indptr)
        factors = put(np.resize([2.0, 0.0, 0.3], indptr.shape[0] - 1))
        yield normalize_cuda.divide_points, (values, indptr, factors)
        for shape in ((1, 1), (3, normalize_cuda.SPAN + 5), (0, 4), (4, 0)):
            X, factors = map(put, matrix(shape, dtype))
            yield normalize_cuda.divide_rows, (X, factors)
            yield normalize_cuda.sum_rows, (X,)
        X, total = map(put, matrix((6, 3), dtype))
        yield normalize_cuda.median_columns, (X, total)


def test_the_functions_are_those_of_the_reference():
    assert normalize_cuda.__all__ == normalize_xp.__all__


def test_results_are_those_of_the_reference(device):
    for function, arguments in examples(device.put):
        found = device.get(function(*arguments))
        host = [device.get(argument) for argument in arguments]
        expected = getattr(normalize_xp, function.__name__)(*host)
        assert found.dtype == expected.dtype
        rtol = 1e-12 if "sum" in function.__name__ else 1e-15
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_hidden(device, bad):
    y = np.array([1.0, bad, 3.0, 4.0, 5.0, 6.0], np.float32)
    arguments = device.put(y), device.put(np.array([0, 3, 6]))
    for name in MEASURES:
        found = device.get(getattr(normalize_cuda, name)(*arguments))
        expected = getattr(normalize_xp, name)(y, np.array([0, 3, 6]))
        np.testing.assert_array_equal(found, expected)
