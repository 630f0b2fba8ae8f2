"""Openings on a GPU: against the reference."""

import numpy as np
import pytest

from tests.spectra.on_device import check_like_reference, sparse

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.spectra._kernels import tophat_cuda, tophat_xp

SIZES = [(9, 20), (0, 0), (1, 1), (30, 30), (12, 60), (0, 4)]


def examples(put):
    """Yield (function, arguments) for every function and dtype."""
    rng = np.random.default_rng(0)
    indptr, position, length = sparse(rng, SIZES)
    where = put(indptr), put(position), put(length)
    for dtype in (np.float32, np.float64):
        X = np.rint(rng.normal(0, 9, (2, 45))).astype(dtype)
        for reach in (np.full(45, 8), rng.integers(0, 60, 45)):
            yield tophat_cuda.open_rows, (put(X), reach)
        yield tophat_cuda.open_rows, (put(X[:, :1].copy()), put(reach[:1]))
        values = np.rint(rng.exponential(9, position.size)).astype(dtype)
        reach = put(rng.integers(0, 10, position.size))
        yield tophat_cuda.open_points, (put(values), *where, reach, 9)
    nothing = (a[:0] for a in (values, position, length, position))
    values, position, length, reach = map(put, nothing)
    none = values, put(indptr[:1]), position, length, reach, 9
    yield tophat_cuda.open_points, none


def test_agrees_with_the_reference(device):
    check_like_reference(examples(device.put), tophat_xp)


def test_has_what_the_reference_has():
    assert tophat_cuda.__all__ == tophat_xp.__all__
