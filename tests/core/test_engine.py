"""Passes: right sums, the same for every chunk size, order and number of threads."""

from dataclasses import dataclass

import numpy as np
import pytest

from imsminer import MassAxis, Spectra, concatenate
from imsminer.core.cache import PassCache, cache
from imsminer.core.chunk import ChunkKernel
from imsminer.core.engine import (
    axis_statistics,
    block_positions,
    map_rows,
    row_statistics,
)


@dataclass(frozen=True)
class Scale(ChunkKernel):
    factor: float

    def __call__(self, chunk):
        return chunk.replace(intensity=chunk.intensity * self.factor)


@dataclass(frozen=True)
class Poison(ChunkKernel):
    """Puts NaN into the spectrum at one coordinate."""

    x: int

    def __call__(self, chunk):
        intensity = chunk.intensity.copy()
        for i in np.flatnonzero(chunk.coordinates[:, 0] == self.x):
            if chunk.is_ragged:
                intensity[chunk.indptr[i]] = np.nan
            else:
                intensity[i, 0] = np.nan
        return chunk.replace(intensity=intensity)


@dataclass(frozen=True)
class FirstColumn:
    def __call__(self, chunk):
        return np.array([[chunk.spectrum(i)[1].sum()] for i in range(chunk.n_spectra)])


@pytest.fixture(autouse=True)
def _fresh_cache():
    cache.clear()
    yield
    cache.clear()


def shared(n=300, m=40, seed=0, **keywords):
    rng = np.random.default_rng(seed)
    intensity = rng.poisson(1.0, (n, m)).astype(np.float32) * 0.37
    return Spectra.from_arrays(intensity, mz=100.0 + np.arange(m), **keywords)


def ragged(n=300, m=40, seed=0, **keywords):
    """The non-zero points of `shared`."""
    dense = shared(n, m, seed)
    values = dense.source.read(slice(0, n))[1]
    rows, columns = np.nonzero(values)
    indptr = np.searchsorted(rows, np.arange(n + 1))
    return Spectra.from_arrays(
        values[rows, columns],
        mz=100.0 + columns,
        indptr=indptr,
        profile=False,
        **keywords,
    )


def dense_values(spectra):
    return spectra.source.read(slice(0, spectra.source.n_rows))[1].astype(np.float64)


AXIS = MassAxis.from_values(100.0 + np.arange(40))


@pytest.fixture(params=["shared", "ragged"])
def spectra(request):
    return {"shared": shared, "ragged": ragged}[request.param]()


def test_axis_statistics_equal_numpy(spectra):
    values = dense_values(shared())
    found = axis_statistics(spectra, AXIS)
    np.testing.assert_allclose(found.total, values.sum(0), rtol=1e-12)
    np.testing.assert_allclose(found.mean, values.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, values.std(0), rtol=1e-9)
    np.testing.assert_array_equal(found.maximum, values.max(0))
    np.testing.assert_array_equal(found.count, (values > 0).sum(0))
    assert found.n_pixels == 300
    assert found.n_dropped == 0


def test_the_sum_alone_equals_the_sum_of_the_full_pass(spectra):
    brief = axis_statistics(spectra, AXIS, full=False)
    full = axis_statistics(spectra, AXIS)
    np.testing.assert_allclose(brief.total, full.total, rtol=1e-12)
    with pytest.raises(ValueError, match="count was not computed"):
        brief.frequency


def test_row_statistics_equal_numpy(spectra):
    values = dense_values(shared())
    order = np.random.default_rng(1).permutation(300)
    found = row_statistics(spectra[order])
    np.testing.assert_allclose(found.total, values.sum(1)[order], rtol=1e-12)
    np.testing.assert_array_equal(found.maximum, values.max(1)[order])
    np.testing.assert_allclose(found.squares, (values**2).sum(1)[order], rtol=1e-12)
    np.testing.assert_array_equal(found.n_points, (values > 0).sum(1)[order])


def test_empty_spectra_count_as_pixels_with_nothing():
    spectra = Spectra.from_arrays(
        [1.0, 2.0], mz=[100.0, 101.0], indptr=[0, 0, 2, 2], profile=False
    )
    found = axis_statistics(spectra, AXIS)
    assert found.n_pixels == 3
    np.testing.assert_allclose(found.mean[:2], [1 / 3, 2 / 3])
    rows = row_statistics(spectra)
    np.testing.assert_array_equal(rows.total, [0, 3, 0])
    np.testing.assert_array_equal(rows.maximum, [0, 2, 0])


@pytest.mark.parametrize("limit", [200, 1000, 2**30])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_neither_chunks_nor_threads_nor_order_change_a_result(
    spectra, limit, n_jobs, monkeypatch
):
    expected = axis_statistics(spectra, AXIS)
    rows = row_statistics(spectra)
    cache.clear()
    monkeypatch.setattr("imsminer.core.spectra.CHUNK_BYTES", limit)
    monkeypatch.setattr("imsminer.core.spectra.VIEW_BYTES", limit)
    order = np.random.default_rng(0).permutation(300)
    found = axis_statistics(spectra[order], AXIS, n_jobs=n_jobs)
    np.testing.assert_allclose(found.total, expected.total, rtol=1e-13)
    np.testing.assert_array_equal(found.maximum, expected.maximum)
    np.testing.assert_array_equal(found.count, expected.count)
    found_rows = row_statistics(spectra[order], n_jobs=n_jobs)
    np.testing.assert_allclose(found_rows.total, rows.total[order], rtol=1e-13)


def test_a_subset_is_the_subset(spectra):
    chosen = np.flatnonzero(np.arange(300) % 7 < 3)
    values = dense_values(shared())[chosen]
    axis_statistics(spectra, AXIS)  # whole blocks are in the cache now
    found = axis_statistics(spectra[chosen], AXIS)
    np.testing.assert_allclose(found.total, values.sum(0), rtol=1e-12)
    assert found.n_pixels == chosen.size


def test_repeated_rows_count_twice(spectra):
    values = dense_values(shared())
    found = axis_statistics(spectra[[3, 3, 5]], AXIS)
    np.testing.assert_allclose(found.total, 2 * values[3] + values[5], rtol=1e-12)
    np.testing.assert_allclose(
        row_statistics(spectra[[3, 5, 3]]).total,
        values[[3, 5, 3]].sum(1),
        rtol=1e-12,
    )


@pytest.mark.parametrize("labelled", [False, True])
def test_blocks_partition_the_rows_and_are_the_same_for_every_selection(labelled):
    spectra = shared(n=2000)
    if labelled:
        spectra.source.blocks = np.arange(2000) % 4
    whole = block_positions(spectra)
    np.testing.assert_array_equal(np.sort(np.concatenate(whole)), np.arange(2000))
    sets = {tuple(spectra.rows[block]) for block in whole}
    if labelled:
        fold = spectra[np.arange(2000) % 4 != 1]
        assert {tuple(fold.rows[block]) for block in block_positions(fold)} < sets
    # A cut goes through one block of each label at most.
    tail = spectra[501:]
    kept = {tuple(tail.rows[block]) for block in block_positions(tail)}
    assert 0 < len(kept - sets) <= (4 if labelled else 1)
    assert len(kept & sets) >= 8


def test_folds_with_labelled_blocks_read_each_row_once(spectra):
    labels = np.arange(300) // 75
    spectra.source.blocks = labels
    size = int(spectra.source.row_bytes.sum())
    before = spectra.source.n_bytes_read
    for fold in range(4):
        axis_statistics(spectra[labels != fold], AXIS)
        axis_statistics(spectra[labels == fold], AXIS)
        axis_statistics(spectra, AXIS)
    read = spectra.source.n_bytes_read - before
    assert 0 < read <= size + 40 * 8


def test_nothing_is_shared_across_different_queues(spectra):
    one = axis_statistics(spectra.map(Scale(2.0)), AXIS)
    two = axis_statistics(spectra.map(Scale(3.0)), AXIS)
    np.testing.assert_allclose(two.total, 1.5 * one.total, rtol=1e-6)


def test_map_rows_is_one_pass_per_rows_queue_and_key(spectra):
    size = int(spectra.source.row_bytes.sum())
    before = spectra.source.n_bytes_read
    first = map_rows(spectra, FirstColumn(), "sum")
    again = map_rows(spectra, FirstColumn(), "sum")
    assert again is first
    assert spectra.source.n_bytes_read - before <= size + 40 * 8
    np.testing.assert_allclose(first[:, 0], dense_values(shared()).sum(1), rtol=1e-5)
    np.testing.assert_array_equal(
        map_rows(spectra[::-1], FirstColumn(), "sum", n_jobs=2), first[::-1]
    )


def test_subsets_of_rows_share_what_is_known_of_each(spectra):
    """Folds of any kind: each row is read once for all of them."""
    expected = map_rows(spectra, FirstColumn(), "sum").copy()
    cache.clear()
    size = int(spectra.source.row_bytes.sum())
    before = spectra.source.n_bytes_read
    rng = np.random.default_rng(0)
    for _ in range(5):
        rows = rng.permutation(300)[:240]
        found = map_rows(spectra[rows], FirstColumn(), "sum")
        np.testing.assert_array_equal(found, expected[rows])
        row_statistics(spectra[rows])
    twice = np.array([7, 3, 7, 299])
    found = map_rows(spectra[twice], FirstColumn(), "sum")
    np.testing.assert_array_equal(found, expected[twice])
    assert spectra.source.n_bytes_read - before <= 2 * size
    # Other queues and other keys have results of their own.
    assert not np.array_equal(
        map_rows(spectra[twice].map(Scale(2.0)), FirstColumn(), "sum"), found
    )


def test_nan_is_found_and_named(spectra):
    poisoned = spectra.map(Poison(x=17))
    for compute in (lambda s: axis_statistics(s, AXIS), row_statistics):
        with pytest.raises(ValueError, match=r"x=17, y=1, z=1.*must be finite"):
            compute(poisoned)


def test_no_pixels_is_an_error(spectra):
    with pytest.raises(ValueError, match="0 pixels are left"):
        axis_statistics(spectra[:0], AXIS)
    with pytest.raises(ValueError, match="0 pixels are left"):
        row_statistics(spectra[[]])


def test_ragged_spectra_need_an_axis():
    with pytest.raises(ValueError, match=r"MassAxis\.estimate"):
        axis_statistics(ragged())


def test_runs_with_different_axes_add_up_on_a_common_one():
    one, two = shared(m=40), shared(m=30, seed=1)
    study = concatenate([one, two, ragged(seed=2)])
    found = axis_statistics(study, AXIS)
    expected = dense_values(one).sum(0) + dense_values(shared(seed=2)).sum(0)
    expected[:30] += dense_values(two).sum(0)
    # Profiles of a shared axis are spread over neighbouring bins; the sum is kept.
    assert found.total.sum() == pytest.approx(expected.sum(), rel=1e-9)
    assert found.n_pixels == 900


@pytest.mark.parametrize("axis", [AXIS, MassAxis.even(0.7).resolve(99.0, 141.0)])
def test_another_array_library_gives_the_same(spectra, axis):
    xp = pytest.importorskip("array_api_strict")
    spectra = spectra[:40]
    moved = spectra.to(xp)
    for full in (False, True):
        found = axis_statistics(moved, axis, full=full)
        expected = axis_statistics(spectra, axis, full=full)
        np.testing.assert_allclose(found.total, expected.total, atol=1e-9)
    np.testing.assert_allclose(found.maximum, expected.maximum, rtol=1e-9)
    np.testing.assert_array_equal(found.count, expected.count)
    np.testing.assert_allclose(
        row_statistics(moved).total, row_statistics(spectra).total, rtol=1e-12
    )


def test_the_cache_is_bounded_and_drops_the_oldest():
    small = PassCache(max_bytes=3000)
    for key in range(5):
        small.get(key, lambda: np.zeros(100))
    assert [key in small for key in range(5)] == [False, False, True, True, True]
    small.get(2, lambda: pytest.fail("it is here"))
    small.get(5, lambda: np.zeros(100))
    assert 2 in small
    assert 3 not in small
    big = small.get("big", lambda: np.zeros(10_000))
    assert big.size == 10_000
    assert "big" not in small
