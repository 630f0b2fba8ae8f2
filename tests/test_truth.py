"""The whole path against known truth: what comes out is what was put in."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from imsminer import ImzMLReader, MassAxis, PeakIntegrator, PeakPicker
from imsminer.core.engine import axis_statistics, row_statistics
from imsminer.core.peaktable import match_peaks
from imsminer.datasets import make_ims

#: Analysers, each with a range in which its grid has some 10,000 points.
ANALYSERS = {
    "even": (400.0, 1000.0),
    "tof": (400.0, 1000.0),
    "orbitrap": (500.0, 640.0),
    "fticr": (500.0, 520.0),
}
KINDS = ["profile", "sparse", "centroid"]


def correlations(a, b):
    """Pearson's correlation of the columns of `a` with those of `b`."""
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))


def matched_features(truth, features, peaks, min_snr=0.0):
    """Return features and true areas of the peaks that are found, in pairs."""
    true = truth.true_list(min_snr)
    reach = 0.5e6 * true["fwhm"].to_numpy() / true["mz"].to_numpy()
    index_true, index_found = match_peaks(true["mz"], peaks["mz"], reach)
    areas = truth.true_areas(min_snr)[:, index_true]
    return (
        np.asarray(features, np.float64)[:, index_found],
        areas,
        true.iloc[index_true],
    )


@pytest.mark.parametrize("mode", ["processed", "continuous"])
@pytest.mark.parametrize("analyser", ANALYSERS)
def test_binned_ion_current_is_the_files(analyser, mode, tmp_path):
    make_ims(
        tmp_path / "a.imzML",
        shape=(6, 6),
        n_peaks=20,
        analyser=analyser,
        mode=mode,
        mz_range=ANALYSERS[analyser],
    )
    reader = ImzMLReader(tmp_path / "a.imzML")
    expected = sum(float(y.sum(dtype=np.float64)) for _, y in reader)
    low, high = reader.source.mz_range()
    axes = [
        MassAxis.estimate(reader),
        MassAxis.even(0.01),
        MassAxis.even(0.5),
        MassAxis.ppm(7.0),
        MassAxis.resolving_power(30_000, 500.0, law="orbitrap", bins_per_fwhm=3),
    ]
    assert row_statistics(reader).total.sum() == pytest.approx(expected, rel=1e-9)
    for axis in axes:
        found = axis_statistics(reader, axis.resolve(low, high))
        assert found.total.sum() == pytest.approx(expected, rel=1e-6), axis


@pytest.mark.parametrize("mode", ["processed", "continuous"])
@pytest.mark.parametrize("analyser", ANALYSERS)
def test_areas_without_noise_are_the_analytic_ones(analyser, mode, tmp_path):
    low, high = ANALYSERS[analyser]
    # Few peaks, so that none overlaps with another one: the true area is one peak's.
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(8, 8),
        mz=low + (high - low) * np.array([0.05, 0.3, 0.4, 0.75, 0.9]),
        mz_range=(low, high),
        isotopes=False,
        analyser=analyser,
        mode=mode,
        noise_free=True,
    )
    pipe = make_pipeline(PeakPicker(), PeakIntegrator())
    features = pipe.fit_transform(ImzMLReader(tmp_path / "a.imzML"))
    found, areas, _ = matched_features(truth, features, pipe["peakpicker"].peaks_)
    assert found.shape[1] == 5
    np.testing.assert_allclose(found, areas, rtol=0.01, atol=1e-6 * areas.max())


@pytest.mark.parametrize("analyser", ["tof", "orbitrap"])
def test_processed_and_continuous_files_give_the_same_features(analyser, tmp_path):
    readers = []
    for mode in ("processed", "continuous"):
        make_ims(
            tmp_path / f"{mode}.imzML",
            shape=(8, 8),
            n_peaks=40,
            analyser=analyser,
            mode=mode,
            mz_range=ANALYSERS[analyser],
        )
        readers.append(ImzMLReader(tmp_path / f"{mode}.imzML"))
    pipe = make_pipeline(PeakPicker(), PeakIntegrator()).fit(readers[1])
    one, two = (pipe.transform(reader).to_numpy() for reader in readers)
    # Values that are nothing but noise have no relative error.
    np.testing.assert_allclose(one, two, rtol=0.01, atol=0.001 * one.max(0).min())
    picked = PeakPicker().fit(readers[0]).peaks_
    assert len(picked) == len(pipe["peakpicker"].peaks_)
    np.testing.assert_allclose(picked["mz"], pipe["peakpicker"].peaks_["mz"], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_images_without_noise_are_the_true_ones(kind, tmp_path):
    truth = make_ims(
        tmp_path / "a.imzML", shape=(12, 12), spectrum_type=kind, noise_free=True
    )
    pipe = make_pipeline(PeakPicker(), PeakIntegrator())
    features = pipe.fit_transform(ImzMLReader(tmp_path / "a.imzML"))
    found, areas, _ = matched_features(truth, features, pipe["peakpicker"].peaks_)
    assert found.shape[1] > 150
    assert np.median(correlations(found, areas)) >= 0.999


@pytest.mark.parametrize("kind", KINDS)
def test_default_picking_finds_the_true_peaks_and_their_images(kind, tmp_path):
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(16, 16),
        n_peaks=150,
        isotopes=False,
        spectrum_type=kind,
        snr=(20, 2000),
        random_state=1,
    )
    reader = ImzMLReader(tmp_path / "a.imzML")
    picker = PeakPicker().fit(reader)
    score = truth.score(picker.peaks_["mz"], min_snr=20)
    assert score["n_true"] >= 140
    assert score["recall"] >= 0.95
    assert score["precision"] >= 0.95
    assert score["n_doubled"] == 0
    # The oracle knows where the peaks are and integrates ± 1 FWHM.
    features = PeakIntegrator().fit_transform(picker.transform(reader))
    found, areas, true = matched_features(truth, features, picker.peaks_, 20)
    oracle = PeakIntegrator(peaks=true.reset_index(), window="fwhm", width=2.0)
    ideal = oracle.fit_transform(reader).to_numpy(np.float64)
    ours = np.median(correlations(found, areas))
    assert ours >= np.median(correlations(ideal, areas)) - 0.002
