"""Spectra: rows, views, chunks, queue, pickling, and life inside scikit-learn."""

import pickle
from dataclasses import dataclass

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.model_selection import GroupKFold, KFold, cross_val_score, train_test_split
from sklearn.utils.validation import _num_samples

from imsminer import Spectra, concatenate
from imsminer.core.chunk import ChunkKernel, kernel_fingerprint


@dataclass(frozen=True)
class Scale(ChunkKernel):
    factor: float

    def __call__(self, chunk):
        return chunk.replace(intensity=chunk.intensity * self.factor)


@dataclass(frozen=True)
class ShiftMz(ChunkKernel):
    ppm: float

    def __call__(self, chunk):
        return chunk.replace(mz=chunk.mz * (1 + self.ppm * 1e-6))

    def transform_axis(self, mz):
        return mz * (1 + self.ppm * 1e-6)


class RowCounter(BaseEstimator):
    """Scores a selection by its first x coordinate: shows which rows arrive."""

    def fit(self, X, y=None):
        self.n_ = len(X)
        return self

    def score(self, X, y=None):
        return float(X.coordinates[:, 0].sum())


def shared(n=20, m=6, seed=0, **keywords):
    rng = np.random.default_rng(seed)
    return Spectra.from_arrays(
        rng.random((n, m)).astype(np.float32), mz=100.0 + np.arange(m), **keywords
    )


def ragged(n=20, seed=0, **keywords):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 9, n)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    mz = np.concatenate([np.sort(rng.uniform(100, 200, size)) for size in sizes])
    return Spectra.from_arrays(
        rng.random(mz.size).astype(np.float32), mz=mz, indptr=indptr, **keywords
    )


@pytest.fixture(params=[shared, ragged])
def make(request):
    return request.param


def as_list(spectra):
    return [(np.array(mz), np.array(intensity)) for mz, intensity in spectra]


def assert_equal(left, right):
    assert len(left) == len(right)
    for (mz_left, left_values), (mz_right, right_values) in zip(
        as_list(left), as_list(right), strict=True
    ):
        np.testing.assert_array_equal(mz_left, mz_right)
        np.testing.assert_array_equal(left_values, right_values)


@pytest.mark.parametrize("limit", [1, 40, 100, 10**6])
def test_chunks_cover_all_rows_in_order_whatever_their_size(make, limit):
    spectra = concatenate([make(), make(seed=1)])
    chunks = list(spectra.iter_chunks(limit))
    np.testing.assert_array_equal(np.concatenate([c.rows for c in chunks]), range(40))
    assert {chunk.run for chunk in chunks} == {"run", "run_2"}
    for chunk in chunks:
        assert chunk.run == spectra.pixels["run"][chunk.rows[0]]
        np.testing.assert_array_equal(
            chunk.coordinates, spectra.coordinates[chunk.rows]
        )
        for i in range(chunk.n_spectra):
            expected = spectra[int(chunk.rows[i])]
            np.testing.assert_array_equal(chunk.spectrum(i)[0], expected.mz)
            np.testing.assert_array_equal(chunk.spectrum(i)[1], expected.intensity)


def test_chunks_respect_working_memory():
    spectra = shared(n=1000, m=512)
    with config_context(working_memory=0.25):
        sizes = [chunk.intensity.nbytes for chunk in spectra.iter_chunks()]
    assert max(sizes) <= 0.25 * 2**20
    assert sum(sizes) == 1000 * 512 * 4


@pytest.mark.parametrize(
    "key",
    [
        slice(3, 17, 4),
        slice(None, None, -1),
        np.arange(20) % 3 == 0,
        [5, 2, 2, 19],
        np.array([-1, 0]),
    ],
)
def test_views_hold_the_rows_that_were_asked_for(make, key):
    spectra = make()
    whole = as_list(spectra)
    positions = np.arange(20)[key]
    view = spectra[key]
    assert view.shape == (len(positions), spectra.n_mz)
    for (mz, intensity), position in zip(view, positions, strict=True):
        np.testing.assert_array_equal(mz, whole[position][0])
        np.testing.assert_array_equal(intensity, whole[position][1])
    np.testing.assert_array_equal(view.coordinates, spectra.coordinates[positions])
    np.testing.assert_array_equal(view.pixels["x"], spectra.pixels["x"][positions])


def test_a_view_of_a_view(make):
    spectra = make()
    assert_equal(spectra[5:15][::-2], spectra[[14, 12, 10, 8, 6]])


def test_a_negative_integer_counts_from_the_end(make):
    spectra = make()
    np.testing.assert_array_equal(spectra[-1].mz, spectra[19].mz)
    with pytest.raises(IndexError, match="pixel 20 is out of range"):
        spectra[20]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ([True, False], r"mask for 20 pixels"),
        ([25], "pixel 25 is out of range"),
        ([0.5], "selected by an integer"),
        ((0, 1), "indexed by pixels only"),
    ],
)
def test_bad_selections_say_what_is_wrong(key, message):
    with pytest.raises(IndexError, match=message):
        shared()[key if isinstance(key, tuple) else np.array(key)]


def test_columns_added_to_pixels_travel_with_the_rows():
    spectra = shared()
    spectra.pixels["roi"] = np.where(np.arange(20) < 5, "a", "b")
    view = pickle.loads(pickle.dumps(spectra[[6, 1]]))
    assert list(view.pixels["roi"]) == ["b", "a"]
    assert "roi" not in shared().pixels


def test_map_is_lazy_and_leaves_the_original_alone(make):
    spectra = make()
    before = spectra.source.n_bytes_read
    mapped = spectra.map(Scale(2.0)).map(Scale(0.5)).map(Scale(3.0))
    assert spectra.source.n_bytes_read == before
    for (_, expected), (_, found) in zip(spectra, mapped, strict=True):
        np.testing.assert_array_equal(found, 3 * expected)


def test_map_shows_a_moved_axis():
    spectra = shared().map(ShiftMz(10.0))
    np.testing.assert_allclose(spectra.mz, (100 + np.arange(6)) * (1 + 1e-5))
    np.testing.assert_array_equal(spectra[0].mz, spectra.mz)


def test_map_refuses_closures():
    with pytest.raises(TypeError, match="module-level frozen dataclass"):
        shared().map(lambda chunk: chunk)


def test_fingerprints_follow_content():
    spectra = shared()
    same = shared()
    assert spectra.fingerprint == same.fingerprint
    assert spectra[:20].fingerprint == spectra.fingerprint
    assert spectra[[1, 2, 3]].fingerprint == spectra[1:4].fingerprint
    different = {
        spectra.fingerprint,
        shared(seed=1).fingerprint,
        spectra[1:].fingerprint,
        spectra[::-1].fingerprint,
        spectra.map(Scale(2.0)).fingerprint,
        spectra.map(Scale(3.0)).fingerprint,
        spectra.map(Scale(2.0)).map(Scale(3.0)).fingerprint,
        spectra.map(Scale(3.0)).map(Scale(2.0)).fingerprint,
    }
    assert len(different) == 8


def test_a_new_version_of_a_kernel_is_another_kernel(monkeypatch):
    old = kernel_fingerprint(Scale(2.0))
    monkeypatch.setattr(Scale, "version", 2)
    assert kernel_fingerprint(Scale(2.0)) != old


def test_pickling_keeps_rows_queue_and_peaks(make):
    spectra = make()[::2].map(Scale(2.0))
    spectra = spectra.with_peaks(pd.DataFrame({"mz": [101.0]}))
    copy = pickle.loads(pickle.dumps(spectra))
    assert_equal(copy, spectra)
    assert copy.fingerprint == spectra.fingerprint
    pd.testing.assert_frame_equal(copy.peaks, spectra.peaks)


def test_concatenate_makes_run_names_unique_and_keeps_a_common_axis():
    study = concatenate([shared(), shared(seed=1), shared(seed=2, run="other")])
    assert list(study.runs.index) == ["run", "run_2", "other"]
    assert study.shape == (60, 6)
    assert_equal(study[20:40], shared(seed=1))
    mixed = concatenate([shared(), shared(m=7), ragged()])
    assert mixed.shape == (60, None)
    assert_equal(mixed[[0, 59, 25]], [shared()[0], ragged()[19], shared(m=7)[5]])


def test_concatenate_says_what_it_does_not_take():
    with pytest.raises(ValueError, match="at least one"):
        concatenate([])
    with pytest.raises(ValueError, match="without queued steps"):
        concatenate([shared(), shared()[:3]])


def test_persist_writes_the_computed_spectra(make, tmp_path):
    spectra = concatenate([make(), make(seed=1)])[10:30].map(Scale(2.0))
    stored = spectra.persist(tmp_path / "stored")
    assert stored.queue == ()
    assert_equal(stored, spectra)
    assert_equal(pickle.loads(pickle.dumps(stored)), spectra)
    pd.testing.assert_frame_equal(stored.pixels, spectra.pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["stored"]
    with pytest.raises(FileExistsError, match="never overwrites"):
        spectra.persist(tmp_path / "stored")


def test_persist_keeps_the_precision_of_every_run(tmp_path):
    exact = np.full((2, 6), 1 / 3)
    study = concatenate(
        [shared(n=2), Spectra.from_arrays(exact, mz=100.0 + np.arange(6))]
    )
    stored = study.persist(tmp_path / "stored")
    assert stored[3].intensity[0] == 1 / 3
    assert stored[0].intensity[0] == study[0].intensity[0]


def test_an_interrupted_persist_leaves_nothing(tmp_path):
    @dataclass(frozen=True)
    class Interrupt(ChunkKernel):
        def __call__(self, chunk):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shared().map(Interrupt()).persist(tmp_path / "stored")
    assert list(tmp_path.iterdir()) == []


def test_spectra_never_become_an_array_by_accident():
    with pytest.raises(TypeError, match="PeakIntegrator"):
        KMeans(2, n_init=1).fit(shared())
    with pytest.raises(TypeError, match="PeakIntegrator"):
        np.asarray(ragged())


def test_selections_of_scikit_learn(make, dispatch):
    spectra = make()
    y = np.arange(20) % 2
    with config_context(array_api_dispatch=dispatch):
        assert _num_samples(spectra) == 20
        train, test, _, y_test = train_test_split(
            spectra, y, test_size=0.25, random_state=0
        )
        assert len(train) == 15
        np.testing.assert_array_equal((test.coordinates[:, 0] - 1) % 2, y_test)
        scores = cross_val_score(RowCounter(), spectra, y, cv=KFold(4))
        assert list(scores) == [15, 40, 65, 90]
        masks = [(np.arange(20) < 10, np.arange(20) >= 10)]
        scores = cross_val_score(RowCounter(), spectra, y, cv=masks)
        assert list(scores) == [155]
        groups = np.repeat([0, 1], 10)
        scores = cross_val_score(
            RowCounter(), spectra, groups=groups, cv=GroupKFold(2), n_jobs=2
        )
        assert sorted(scores) == [55, 155]


def test_joblib_hashes_equal_spectra_equally(make):
    assert joblib.hash(make()[3:]) == joblib.hash(make()[3:])
    assert joblib.hash(make()[3:]) != joblib.hash(make()[4:])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"intensity": [1.0, 2.0]}, "indptr"),
        ({"intensity": [[1.0, np.nan]]}, "NaN"),
        ({"intensity": [[1.0, 2.0]], "mz": [2.0, 1.0]}, "strictly increasing"),
        ({"intensity": [[1.0, 2.0]], "mz": [1.0]}, "one value per point"),
        ({"intensity": [1.0], "mz": [1.0], "indptr": [0, 2]}, "rises from 0"),
        (
            {"intensity": [[1.0, 2.0]], "coordinates": [[1, 1], [2, 1]]},
            "coordinates need shape",
        ),
    ],
)
def test_bad_arrays_say_what_is_wrong(keywords, message):
    with pytest.raises(ValueError, match=message):
        Spectra.from_arrays(**keywords)


def test_moving_to_another_array_library(make):
    xp = pytest.importorskip("array_api_strict")
    spectra = make()
    for ours, theirs in zip(
        spectra.iter_chunks(), spectra.to(xp).iter_chunks(), strict=True
    ):
        assert type(theirs.intensity) is type(xp.asarray([1.0]))
        np.testing.assert_array_equal(np.asarray(theirs.intensity), ours.intensity)
