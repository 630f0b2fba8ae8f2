"""SpectraCache: the same spectra, computed once."""

from collections import Counter
from dataclasses import dataclass

import array_api_strict
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import (
    ImzMLReader,
    PeakIntegrator,
    PeakPicker,
    Spectra,
    SpectraCache,
    TICNormalizer,
)
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.core.estimator import SpectraTransformer
from imsminer.model_selection import SpatialBlockSplit, peak_reproducibility_score

calls: Counter = Counter()


@dataclass(frozen=True)
class Scale(ChunkKernel):
    """Multiplies, and counts the spectra that went through it."""

    factor: float

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        calls[self.factor] += chunk.n_spectra
        return chunk.replace(intensity=chunk.intensity * self.factor)


class Scaler(SpectraTransformer):
    """A step that makes work."""

    def __init__(self, factor=2.0):
        self.factor = factor

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X.map(Scale(self.factor))


@pytest.fixture(autouse=True)
def _reset():
    calls.clear()


@parametrize_with_checks([SpectraCache()])
def test_sklearn_checks(estimator, check):
    check(estimator)


def dense(n=20):
    rng = np.random.default_rng(0)
    x = np.arange(n)
    return Spectra.from_arrays(
        rng.random((n, 30)), coordinates=np.column_stack([x % 5, x // 5])
    )


def ragged(n=20):
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 9, n)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    mz = np.concatenate([np.sort(rng.uniform(100, 900, k)) for k in lengths])
    return Spectra.from_arrays(rng.random(indptr[-1]), mz, indptr=indptr)


def check_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.mz, b.mz)
        np.testing.assert_array_equal(a.intensity, b.intensity)


@pytest.mark.parametrize("make", [dense, ragged])
def test_equal_and_computed_once(tmp_path, make):
    lazy = make().map(Scale(3.0))
    cache = SpectraCache(tmp_path)
    kept = cache.fit_transform(lazy)
    assert calls[3.0] >= 20
    calls.clear()
    check_equal(kept, lazy)
    assert calls[3.0] == 20
    again = SpectraCache(tmp_path).fit_transform(make().map(Scale(3.0)))
    assert calls[3.0] == 20
    assert kept.queue == again.queue == ()
    assert kept.fingerprint == again.fingerprint
    SpectraCache(tmp_path).fit_transform(make().map(Scale(4.0)))
    assert calls[4.0] >= 20


def test_rows_pixels_peaks_and_blocks_stay(tmp_path):
    spectra = dense()
    spectra.pixels["roi"] = np.arange(20) % 3
    spectra.source.blocks = np.arange(20) % 4
    lazy = spectra.map(Scale(2.0))[[7, 3, 3, 19, 11, 2, 5, 0, 1, 8, 9]]
    kept = SpectraCache(tmp_path).fit_transform(lazy)
    check_equal(kept, lazy)
    assert kept.pixels["roi"].tolist() == lazy.pixels["roi"].tolist()
    np.testing.assert_array_equal(kept.coordinates, lazy.coordinates)
    np.testing.assert_array_equal(kept.source.blocks, spectra.source.blocks)


def test_few_rows_alone_are_not_the_whole(tmp_path):
    spectra = dense(50)
    spectra.source.blocks = np.arange(50) % 4
    few = spectra.map(Scale(2.0))[[7, 3, 3]]
    part = SpectraCache(tmp_path).fit_transform(few)
    assert part.source.n_rows == 2
    np.testing.assert_array_equal(part.source.blocks, [3, 3])
    check_equal(part, few)
    SpectraCache(tmp_path).fit_transform(spectra.map(Scale(2.0)))
    calls.clear()
    # The whole is there now, and serves any rows.
    other = SpectraCache(tmp_path).fit_transform(spectra.map(Scale(2.0))[[9]])
    assert other.source.n_rows == 50
    assert calls[2.0] == 0


def test_nothing_to_compute(tmp_path):
    spectra = dense()
    assert SpectraCache(tmp_path).fit_transform(spectra) is spectra
    assert list(tmp_path.iterdir()) == []


def test_other_array_libraries(tmp_path):
    lazy = dense().map(Scale(2.0)).to(array_api_strict)
    kept = SpectraCache(tmp_path).fit_transform(lazy)
    (chunk,) = kept.iter_chunks()
    assert type(chunk.intensity) is type(array_api_strict.asarray(1.0))
    (plain,) = dense().map(Scale(2.0)).iter_chunks()
    np.testing.assert_array_equal(np.asarray(chunk.intensity), plain.intensity)


def test_grid_search_computes_once(tmp_path, kidney_path):
    reader = ImzMLReader(kidney_path)
    pipe = make_pipeline(
        Scaler(2.0),
        SpectraCache(tmp_path),
        TICNormalizer(),
        PeakPicker(),
        PeakIntegrator(),
    )
    search = GridSearchCV(
        pipe,
        {"peakpicker__loq": [5, 20, 50]},
        cv=SpatialBlockSplit(2),
        scoring=peak_reproducibility_score,
    )
    search.fit(reader)
    # One spectrum is looked at besides, for its type.
    assert len(reader) <= calls[2.0] <= len(reader) + 1


def test_the_oldest_results_go(tmp_path):
    results = tmp_path / "spectra"
    cache = SpectraCache(tmp_path, max_bytes=0).fit(dense())
    cache.transform(dense().map(Scale(2.0)))
    (first,) = results.iterdir()
    cache.transform(dense().map(Scale(3.0)))
    (second,) = results.iterdir()
    assert first != second
    SpectraCache(tmp_path).fit(dense()).transform(dense().map(Scale(2.0)))
    assert len(list(results.iterdir())) == 2
    cache.clear()
    assert not results.exists()


def test_a_full_disk_is_refused(tmp_path, monkeypatch):
    usage = type("usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"0\.0 GB free. Choose another folder="):
        SpectraCache(tmp_path).fit_transform(dense().map(Scale(2.0)))
    assert list((tmp_path / "spectra").iterdir()) == []


def test_changed_results_of_a_crash_are_no_results(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(KeyboardInterrupt):
        SpectraCache(tmp_path).fit_transform(dense().map(Scale(2.0)))
    monkeypatch.undo()
    assert list((tmp_path / "spectra").iterdir()) == []
    kept = SpectraCache(tmp_path).fit_transform(dense().map(Scale(2.0)))
    check_equal(kept, dense().map(Scale(2.0)))


@pytest.mark.parametrize("parameters", [{"folder": 3}, {"max_bytes": -1}])
def test_parameters_are_checked(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        SpectraCache(**parameters).fit(dense())
