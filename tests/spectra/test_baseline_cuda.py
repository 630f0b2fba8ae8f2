"""Baselines by lowest points, noise and polynomials on a GPU: against the reference."""

import numpy as np
import pytest

from tests.spectra.on_device import check_like_reference, sparse

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.spectra._kernels import baseline_cuda, baseline_xp

SIZES = [(9, 14), (0, 0), (1, 1), (30, 30), (20, 60), (0, 4)]


def spectra(rng, n, m, dtype):
    """Return noise of at least 0 with peaks and equal values."""
    X = np.rint(rng.normal(50, 10, (n, m))) + 200 * (rng.random((n, m)) < 0.1)
    return np.maximum(X, 0).astype(dtype)


def examples(put):
    """Yield (function, arguments) for every function and dtype."""
    rng = np.random.default_rng(0)
    where = sparse(rng, SIZES)
    n = where[1].size
    for dtype in (np.float32, np.float64):
        X = spectra(rng, 2, 45, dtype)
        for reach in (np.full(45, 3), rng.integers(1, 9, 45)):
            yield baseline_cuda.minima_rows, (put(X), reach)
        yield baseline_cuda.minima_rows, (put(X[:, :1].copy()), reach[:1])
        values, reach = put(spectra(rng, 1, n, dtype)[0]), put(rng.integers(1, 7, n))
        points = (values, *map(put, where))
        yield baseline_cuda.minima_points, (*points, reach, 6)
        X[1] = 7
        yield baseline_cuda.noise_rows, (put(X), 3.0, 2.0)
        # The last three: zeros are among the values of one.
        few = put(where[0][4:] - where[0][4]), put(where[1][where[0][4] :])
        few = (*few, put(where[2][4:]))
        some = put(np.rint(rng.exponential(9, n - where[0][4])).astype(dtype))
        yield baseline_cuda.noise_points, (some, *few, 3.0, 2.0)
    x = np.linspace(-1, 1, 45)
    for dtype, degree in [(np.float32, 0), (np.float64, 2)]:
        X = spectra(rng, 1, 45, dtype) + np.exp(2 * x).astype(dtype)
        basis = put(np.ascontiguousarray(np.polynomial.legendre.legvander(x, degree).T))
        yield baseline_cuda.polynomial_rows, (put(X), basis, 2.0)
    nothing = (a[:0] for a in (X[0], *where[1:], where[1]))
    values, position, length, reach = map(put, nothing)
    none = values, put(where[0][:1]), position, length
    yield baseline_cuda.minima_points, (*none, reach, 3)
    yield baseline_cuda.noise_points, (*none, 3.0, 2.0)


def test_agrees_with_the_reference(device):
    check_like_reference(examples(device.put), baseline_xp)


def test_polynomials_of_a_high_degree(device):
    x = np.linspace(-1, 1, 20)
    basis = np.ascontiguousarray(np.polynomial.legendre.legvander(x, 6).T)
    X = (np.exp(x) + 5 * x**5 + 9)[None, :]
    found = baseline_cuda.polynomial_rows(device.put(X), device.put(basis), 1e3)
    np.testing.assert_allclose(device.get(found), X, rtol=1e-4)


def test_has_what_the_reference_has():
    assert baseline_cuda.__all__ == baseline_xp.__all__
