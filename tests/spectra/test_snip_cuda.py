"""SNIP on a GPU: against the reference, in rows and in ragged spectra."""

import numpy as np
import pytest

from tests.spectra.on_device import check_like_reference, sparse

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.spectra._kernels import grid_xp, snip_cuda, snip_numba, snip_xp

DTYPES = (np.float32, np.float64)


def rows(n, m, dtype, seed=0):
    """Return spectra with a baseline, peaks, equal neighbours and negative values."""
    rng = np.random.default_rng(seed)
    X = 300 * np.exp(-np.arange(m) / 40) + rng.normal(5, 10, (n, m))
    X += 1e4 * (rng.random((n, m)) < 0.1)
    X[:, m // 3 : m // 2] = np.rint(X[:, m // 3 : m // 2] / 20) * 20
    return X.astype(dtype)


RAGGED = [(7, 9), (0, 0), (1, 1), (40, 40), (20, 90), (1, 5), (0, 3), (13, 100)]


def examples(put):
    """Yield (function, arguments) for every function and dtype."""
    vary = np.random.default_rng(1).integers(1, 7, 60)
    for dtype in DTYPES:
        linear = dtype == np.float64
        X = rows(2, 60, dtype)
        yield snip_cuda.snip_rows, (put(X), np.full(60, 5), False)
        yield snip_cuda.snip_rows, (put(X), vary, linear)
        for m in (1, 2, 3):
            yield snip_cuda.snip_rows, (put(X[:, :m].copy()), put(vary[:m]), linear)
        where = sparse(np.random.default_rng(0), RAGGED)
        values = rows(1, where[1].size, dtype)[0]
        # Windows that are wider than what blocks of threads hold more.
        widest = snip_cuda.POINTS_HALO + 1
        reach = np.random.default_rng(2).integers(1, widest + 1, values.size)
        more = put(reach), widest, False
        yield snip_cuda.snip_points, (put(values), *map(put, where), *more)
    yield snip_cuda.snip_points, (put(values), *map(put, where), *more[:-1], True)
    wide = np.full(60, snip_cuda.HALO + 1)
    yield snip_cuda.snip_rows, (put(X), wide, False)


def test_agrees_with_the_reference(device):
    # Two exponentials of float32 make that much of the last digit of a baseline.
    check_like_reference(examples(device.put), snip_xp, single=3e-5)


def test_has_what_the_reference_has():
    assert snip_cuda.__all__ == snip_xp.__all__


def test_positions_are_those_of_the_cpu():
    rng = np.random.default_rng(0)
    mz = np.concatenate([np.sort(rng.uniform(100, 130, n)) for n in (40, 1, 7)])
    indptr = np.array([0, 40, 40, 41, 48])
    knots, steps = np.linspace(100, 130, 5), np.linspace(0.1, 0.13, 5)
    grid = (mz, indptr, knots, steps, 99.0, 131.0)
    for limit in (3, 10**7):
        position, length = np.empty(mz.size, np.int64), np.empty(4, np.int64)
        snip_numba.grid_positions(*grid, limit, position, length)
        length[1] = 0
        found = grid_xp.grid_positions(*grid, limit)
        np.testing.assert_array_equal(found[0], position)
        np.testing.assert_array_equal(found[1], length)
    nothing = (mz[:0], indptr[:2] * 0, *grid[2:], 3)
    assert [a.tolist() for a in grid_xp.grid_positions(*nothing)] == [[], [0]]
