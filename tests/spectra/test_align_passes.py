"""What alignment reads, and what it keeps of each pixel."""

import pickle

import numpy as np
import pytest

from imsminer import MassAligner, PeakPicker, Spectra
from imsminer.core.cache import PassCache, cache
from imsminer.spectra import _align_learning
from imsminer.spectra._align_learning import sample_pixels

PLACES = np.linspace(500, 900, 100)


def sticks(n, *, noise=1.0, seed=0):
    """Centroids that are shifted from pixel to pixel, and their shifts in ppm."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, 4, n)
    ppm = shift[:, None] + rng.normal(0, noise, (n, PLACES.size))
    mz = (PLACES * (1 + 1e-6 * ppm)).ravel()
    indptr = np.arange(0, mz.size + 1, PLACES.size)
    return Spectra.from_arrays(
        np.ones(mz.size), mz, indptr=indptr, profile=False
    ), shift


@pytest.fixture
def small_sample(monkeypatch):
    """Runs are learned from 256 pixels."""
    monkeypatch.setattr(_align_learning, "SAMPLE", 256)
    monkeypatch.setattr(_align_learning, "LEAST_SAMPLE", 64)


@pytest.mark.usefixtures("small_sample")
def test_many_pixels_are_described_as_few_are():
    spectra, shift = sticks(1_000)
    aligner = MassAligner(reference=PLACES).fit(spectra)
    found = aligner.report_
    assert found["accepted"].all()
    assert np.abs(found["shift_ppm"] - shift).median() < 0.1
    assert found["after_ppm"].median() < 0.75 < 2 < found["before_ppm"].median()
    # They are the lines that are taken out.
    moved = aligner.transform(spectra)[7].mz
    expected = 1e6 * (spectra[7].mz / moved - 1)
    assert expected.mean() == pytest.approx(found["shift_ppm"][7], abs=1e-4)
    assert aligner.runs_["n_accepted"].tolist() == [1_000]
    assert aligner.runs_["spread_ppm"].item() == pytest.approx(4, rel=0.15)


@pytest.mark.usefixtures("small_sample")
def test_the_order_of_many_pixels_does_not_matter():
    spectra, _ = sticks(600)
    order = np.random.default_rng(1).permutation(600)
    first = MassAligner(reference=PLACES).fit(spectra)
    second = MassAligner(reference=PLACES).fit(spectra[order])
    names = ["shift_ppm", "stretch_ppm", "before_ppm", "after_ppm"]
    np.testing.assert_allclose(
        second.report_[names], first.report_[names].iloc[order], rtol=1e-9, atol=1e-9
    )


@pytest.mark.usefixtures("small_sample")
def test_a_fit_keeps_few_bytes_of_each_pixel(monkeypatch):
    kept = PassCache()
    monkeypatch.setattr("imsminer.core.engine.cache", kept)
    spectra, _ = sticks(4_000)
    aligner = MassAligner(reference=PLACES).fit(spectra)
    report = len(pickle.dumps(aligner.report_))
    held = kept.n_bytes + len(pickle.dumps(aligner)) - report
    sample = 256 * 2 * PLACES.size * 4
    assert sample < held < sample + 4_000 * 100


@pytest.mark.usefixtures("small_sample")
def test_each_run_has_its_share_of_the_sample():
    spectra, _ = sticks(500)
    runs = np.array(["a"] * 450 + ["b"] * 50, dtype=object)
    chosen = sample_pixels(spectra, runs)
    assert (chosen < 450).sum() == 128
    np.testing.assert_array_equal(np.sort(chosen[chosen >= 450]), np.arange(450, 500))
    # Evenly: no stretch of the run is missing.
    assert np.diff(np.sort(chosen[chosen < 450])).max() <= 4
    assert sample_pixels(spectra, np.full(200, "a", dtype=object)) is None


def test_picking_reads_nothing_where_nothing_is_aligned():
    rng = np.random.default_rng(0)
    mz = 500 * np.exp(np.arange(4_000) / 120_000)
    places = np.linspace(100, 3_900, 30)
    shape = np.exp(-((np.arange(4_000) - places[:, None]) ** 2) / 13).sum(0)
    spectra = Spectra.from_arrays(rng.poisson(200 * shape + 1, (40, 4_000)), mz)
    size = spectra.source.row_bytes.sum()
    cache.clear()
    aligned = MassAligner().fit_transform(spectra)
    assert spectra.source.n_bytes_read == 2 * size
    assert not aligned.queue
    picker = PeakPicker().fit(aligned)
    assert len(picker.peaks_) == 30
    assert spectra.source.n_bytes_read == 2 * size
