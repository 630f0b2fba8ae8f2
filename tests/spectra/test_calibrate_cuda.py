"""Polynomial mass errors taken out on a GPU, or in its simulator, by the reference."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.core.windows import cell_edges
from imsminer.spectra._kernels import calibrate_cuda, calibrate_xp

CENTRE, HALF, REACH = 700.0, 200.0, 1.5


def examples(put):
    """Yield each function with its arguments, for both types of intensities."""
    rng = np.random.default_rng(0)
    c = rng.normal(0, 5, (4, 3))
    c[2] = 0
    mz = np.sort(rng.uniform(300, 1100, 150))
    bounds = np.array([0, 70, 70, 71, 150])
    place = (CENTRE, HALF, REACH)
    yield calibrate_cuda.polynomial_error, (put(mz), put(c[0]), *place)
    yield calibrate_cuda.shift_points, (put(mz), put(bounds), put(c), *place)
    one = put(np.array([0, 150])), put(c[:1, :1].copy())
    yield calibrate_cuda.shift_points, (put(mz), *one, *place)
    none = put(mz[:0]), put(np.array([0, 0])), put(c[:1])
    yield calibrate_cuda.shift_points, (*none, *place)
    for dtype in (np.float32, np.float64):
        X = rng.gamma(0.3, 1, (4, 45)).astype(dtype)
        X[1] -= dtype(0.5)
        edges = cell_edges(700 * 1.000003 ** np.arange(45.0))
        given = put(X), put(edges), put(c), *place
        yield calibrate_cuda.resample_rows, (*given, True)
        points = put(np.arange(-0.5, 45)), put(0.3 * c), 22.0, 22.0, REACH
        yield calibrate_cuda.resample_rows, (put(X), *points, False)


def test_the_functions_are_those_of_the_reference():
    assert calibrate_cuda.__all__ == calibrate_xp.__all__


def test_results_are_those_of_the_reference(device):
    for function, arguments in examples(device.put):
        found = device.get(function(*arguments))
        host = [device.get(a) if hasattr(a, "shape") else a for a in arguments]
        expected = getattr(calibrate_xp, function.__name__)(*host)
        assert found.dtype == expected.dtype
        single = expected.dtype == np.float32
        rtol, atol = (1e-6, 1e-6) if single else (1e-14, 1e-9)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)
