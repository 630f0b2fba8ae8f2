"""Statistics of rows and columns on a GPU, or in its simulator, by the reference."""

import numpy as np
import pytest

from imsminer.core._kernels import accumulate_xp

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer._cuda import THREADS
from imsminer.core._kernels import accumulate_cuda

#: Part of a block, several blocks, several slabs, one row, one column.
SHAPES = [(1, 1), (3, THREADS + 1), (21, 3)]
#: Longer than a block's four reads, empty, a single point.
LENGTHS = [4 * THREADS + 3, 0, 1, 5, 0]


def matrices(shape):
    """Values of either sign, zeros, a column of zeros, a column below 0."""
    X = np.random.default_rng(0).normal(size=shape)
    X[X < -1] = 0
    if shape[1] > 2:
        X[:, 1], X[:, 2] = 0, -np.abs(X[:, 2]) - 1
    return X


def ragged(lengths=LENGTHS):
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return np.random.default_rng(1).normal(size=indptr[-1]), indptr


def examples(put):
    """Yield each function with its arguments, for both types of intensities."""
    for dtype in (np.float32, np.float64):
        for shape in SHAPES:
            X = put(matrices(shape).astype(dtype))
            yield accumulate_cuda.sum_rows, (X,)
            yield accumulate_cuda.accumulate_rows, (X,)
            yield accumulate_cuda.row_totals, (X,)
        values, indptr = ragged()
        arguments = put(values.astype(dtype)), put(indptr)
        yield accumulate_cuda.row_totals_ragged, arguments
        few = put(values.astype(dtype)), put(indptr[[0, -1]])
        yield accumulate_cuda.row_totals_ragged, few


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_the_functions_are_those_of_the_reference():
    assert accumulate_cuda.__all__ == accumulate_xp.__all__


def test_results_are_those_of_the_reference(device):
    for function, arguments in examples(device.put):
        found = function(*arguments)
        host = [device.get(argument) for argument in arguments]
        expected = getattr(accumulate_xp, function.__name__)(*host)
        if not isinstance(found, tuple):
            found, expected = (found,), (expected,)
        for ours, theirs in zip(found, expected, strict=True):
            ours = device.get(ours)
            assert ours.dtype == theirs.dtype
            close(ours, theirs)


def test_nan_and_large_integers_are_kept(device):
    X = np.full((9, 3), 2.0**24 + 2, dtype=np.float32)
    X[7, 1] = np.nan
    total = device.get(accumulate_cuda.sum_rows(device.put(X)))
    np.testing.assert_array_equal(total, X.astype(np.float64).sum(axis=0))
    fused = device.get(accumulate_cuda.accumulate_rows(device.put(X))[0])
    np.testing.assert_array_equal(fused, total)
    rows = device.get(accumulate_cuda.row_totals(device.put(X))[0])
    assert np.flatnonzero(np.isnan(rows)).tolist() == [7]


def test_any_order_of_memory(device):
    X = matrices((6, 11)).astype(np.float32)
    turned = device.xp.asfortranarray(device.put(X))
    close(device.get(accumulate_cuda.sum_rows(turned)), X.sum(0, dtype=np.float64))
    close(device.get(accumulate_cuda.row_totals(turned)[0]), X.sum(1, dtype=np.float64))


def test_nothing_is_nothing(device):
    none = device.put(np.zeros((4, 0), np.float32))
    assert accumulate_cuda.sum_rows(none).shape == (0,)
    assert accumulate_cuda.accumulate_rows(none)[2].shape == (0,)
    no_points = device.put(np.zeros(0, np.float32)), device.put(np.zeros(4, np.int64))
    for part in accumulate_cuda.row_totals_ragged(*no_points):
        np.testing.assert_array_equal(device.get(part), np.zeros(3))
