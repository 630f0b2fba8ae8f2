"""Column and row statistics: compiled kernels against NumPy and the reference."""

import array_api_strict
import numpy as np
import pytest

from imsminer.core._kernels import accumulate_numba, accumulate_xp


def column_statistics(X, start=-np.inf):
    m = X.shape[1]
    out = np.zeros(m), np.full(m, start), np.zeros(m, np.int64), np.zeros(m)
    accumulate_numba.accumulate_rows(X, *out)
    return out


def row_statistics(kernel, n, *arrays):
    out = np.empty(n), np.empty(n), np.empty(n), np.empty(n, np.int64)
    kernel(*arrays, *out)
    return out


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


# Row numbers around the groups of 8 and 32; columns around the tiles of 1,024.
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (8, 1024), (45, 3001), (70, 2048)])
def test_columns_agree_with_numpy(shape, dtype):
    X = np.random.default_rng(0).normal(size=shape).astype(dtype)
    X[X < -1] = 0
    X.flags.writeable = False
    total = np.zeros(shape[1])
    accumulate_numba.sum_rows(X, total)
    fused, maximum, count, squares = column_statistics(X)
    exact = X.astype(np.float64)
    np.testing.assert_allclose(total, exact.sum(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fused, exact.sum(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(maximum, exact.max(0))
    np.testing.assert_array_equal(count, (X > 0).sum(0))
    np.testing.assert_allclose(squares, (exact**2).sum(0), rtol=1e-12)


def test_sums_do_not_depend_on_the_chunks():
    X = (10 ** np.random.default_rng(1).uniform(-3, 6, (201, 700))).astype(np.float32)
    whole = column_statistics(X, 0.0)
    for size in (1, 13, 100):
        parts = [column_statistics(X[i : i + size], 0.0) for i in range(0, 201, size)]
        total, maximum, count, squares = map(np.array, zip(*parts, strict=True))
        np.testing.assert_allclose(total.sum(0), whole[0], rtol=1e-13)
        np.testing.assert_array_equal(maximum.max(0), whole[1])
        np.testing.assert_array_equal(count.sum(0), whole[2])
        np.testing.assert_allclose(squares.sum(0), whole[3], rtol=1e-13)


def test_integers_beyond_float32_add_up_exactly():
    X = np.full((9, 3), 2.0**24 + 2, dtype=np.float32)
    total = np.zeros(3)
    accumulate_numba.sum_rows(X, total)
    assert total.tolist() == [9 * (2.0**24 + 2)] * 3


@pytest.mark.parametrize("row", [0, 8, 9])
def test_nan_is_seen(row):
    X = np.ones((10, 1030), np.float32)
    X[row, 1027] = np.nan
    total = np.zeros(1030)
    accumulate_numba.sum_rows(X, total)
    fused, _, _, squares = column_statistics(X)
    rows = row_statistics(accumulate_numba.row_totals, 10, X)
    for values in (total, fused, squares):
        assert np.flatnonzero(np.isnan(values)).tolist() == [1027]
    assert np.flatnonzero(np.isnan(rows[0])).tolist() == [row]


def test_rows_agree_with_numpy(dtype):
    X = np.random.default_rng(2).normal(size=(6, 300)).astype(dtype)
    total, maximum, squares, n_points = row_statistics(
        accumulate_numba.row_totals, 6, X
    )
    exact = X.astype(np.float64)
    np.testing.assert_allclose(total, exact.sum(1), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(maximum, exact.max(1))
    np.testing.assert_allclose(squares, (exact**2).sum(1), rtol=1e-12)
    np.testing.assert_array_equal(n_points, (X > 0).sum(1))


def test_ragged_rows_equal_padded_rows(dtype):
    rng = np.random.default_rng(3)
    lengths = np.array([0, 1, 130, 0, 7, 400])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    flat = rng.exponential(size=indptr[-1]).astype(dtype)
    padded = np.zeros((6, 400), dtype)
    for row, values in zip(padded, np.split(flat, indptr[1:-1]), strict=True):
        row[: values.size] = values
    kernel = accumulate_numba.row_totals_ragged
    ragged = row_statistics(kernel, 6, flat, indptr)
    dense = row_statistics(accumulate_numba.row_totals, 6, padded)
    for ours, theirs in zip(ragged, dense, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


@pytest.mark.parametrize("xp", [np, array_api_strict], ids=["numpy", "strict"])
def test_reference_agrees(xp):
    X = np.random.default_rng(4).normal(size=(9, 40)).astype(np.float32)
    for ours, reference in zip(
        column_statistics(X), accumulate_xp.accumulate_rows(xp.asarray(X)), strict=True
    ):
        np.testing.assert_allclose(ours, np.asarray(reference), rtol=1e-12, atol=1e-12)
    total = np.zeros(40)
    accumulate_numba.sum_rows(X, total)
    reference = accumulate_xp.sum_rows(xp.asarray(X))
    np.testing.assert_allclose(total, np.asarray(reference), rtol=1e-12, atol=1e-12)
    rows = row_statistics(accumulate_numba.row_totals, 9, X)
    for ours, reference in zip(
        rows, accumulate_xp.row_totals(xp.asarray(X)), strict=True
    ):
        np.testing.assert_allclose(ours, np.asarray(reference), rtol=1e-12)
    indptr = np.array([0, 0, 40, 41, 360])
    flat = X.ravel()
    ragged = row_statistics(accumulate_numba.row_totals_ragged, 4, flat, indptr)
    references = accumulate_xp.row_totals_ragged(xp.asarray(flat), xp.asarray(indptr))
    for ours, reference in zip(ragged, references, strict=True):
        np.testing.assert_allclose(ours, np.asarray(reference), rtol=1e-12, atol=1e-12)
