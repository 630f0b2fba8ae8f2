"""Weighted means of neighbours on a GPU: against the reference."""

import numpy as np
import pytest

from tests.spectra.on_device import check_like_reference, sparse

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.spectra._kernels import smooth_cuda, smooth_xp

SIZES = [(9, 14), (0, 0), (1, 1), (15, 15), (6, 40), (0, 4)]


def examples(put):
    """Yield (function, arguments) for every function and dtype."""
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=2 * half + 1) for half in (3, 0, 11, 30)]
    where = sparse(rng, SIZES)
    n = where[1].size
    for dtype in (np.float32, np.float64):
        X = rng.normal(0, 5, (3, 23)).astype(dtype)
        kind = rng.integers(0, 4, 23)
        yield smooth_cuda.smooth_rows, (put(X), kind, tables)
        yield smooth_cuda.smooth_rows, (put(X[:, :1].copy()), put(kind[:1]), tables)
        yield smooth_cuda.smooth_rows, (put(X), np.zeros(23, np.int64), tables[:1])
        values, kind = rng.normal(0, 5, n).astype(dtype), rng.integers(0, 4, n)
        points = (put(values), *map(put, where), put(kind), tables)
        yield smooth_cuda.smooth_points, points
    nothing = (a[:0] for a in (values, *where[1:], kind))
    values, position, length, kind = map(put, nothing)
    none = values, put(where[0][:1]), position, length, kind, tables
    yield smooth_cuda.smooth_points, none


def test_agrees_with_the_reference(device):
    check_like_reference(examples(device.put), smooth_xp)


def test_has_what_the_reference_has():
    assert smooth_cuda.__all__ == smooth_xp.__all__
