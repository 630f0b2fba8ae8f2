"""Recall and precision of picking on simulated runs, at the noise's edge."""

import numpy as np
import pytest

from imsminer import ImzMLReader, PeakPicker
from imsminer.core.peaktable import match_peaks
from imsminer.datasets import make_ims
from imsminer.spectra.centroid import CentroidSpectra

#: Resolving power, and a range short enough for a test.
ANALYSERS = {
    "tof": (10_000.0, (500.0, 800.0)),
    "orbitrap": (60_000.0, (500.0, 600.0)),
    "fticr": (200_000.0, (500.0, 530.0)),
}


def simulated(folder, analyser, kind, snr):
    power, mz_range = ANALYSERS[analyser]
    return make_ims(
        folder / "a.imzML",
        shape=(20, 20),
        n_peaks=60,
        analyser=analyser,
        resolving_power=power,
        mz_range=mz_range,
        chemical_noise=25.0,
        snr=(snr, 100 * snr),
        spectrum_type=kind,
        random_state=0,
    )


@pytest.mark.parametrize("kind", ["profile", "sparse", "centroid"])
@pytest.mark.parametrize("analyser", ANALYSERS)
def test_peaks_at_ten_times_the_noise(tmp_path, analyser, kind):
    truth = simulated(tmp_path, analyser, kind, 10.0)
    peaks = PeakPicker(loq=5).fit(ImzMLReader(truth.path)).peaks_
    score = truth.score(peaks["mz"], min_snr=10)
    assert score["n_true"] >= 70
    assert score["recall"] >= 0.95
    assert score["precision"] >= 0.95
    assert score["n_doubled"] == 0


@pytest.mark.parametrize("kind", ["profile", "sparse", "centroid"])
@pytest.mark.parametrize("analyser", ANALYSERS)
def test_peaks_at_five_times_the_noise(tmp_path, analyser, kind):
    truth = simulated(tmp_path, analyser, kind, 5.0)
    picker = PeakPicker(loq=3.5, smoothing="matched").fit(ImzMLReader(truth.path))
    score = truth.score(picker.peaks_["mz"], min_snr=5)
    assert score["recall"] >= 0.9
    assert score["precision"] >= 0.95
    assert (picker.peaks_["snr"] >= 3.5).all()


@pytest.mark.parametrize("kind", ["profile", "sparse"])
def test_peaks_of_centroided_profiles(tmp_path, kind):
    """A baseline that falls leaves more noise at low m/z, which is not picked."""
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(20, 20),
        n_peaks=100,
        resolving_power=10_000.0,
        snr=(10, 1000),
        spectrum_type=kind,
        random_state=1,
    )
    centroids = CentroidSpectra().fit_transform(ImzMLReader(truth.path))
    peaks = PeakPicker(loq=5).fit(centroids).peaks_
    score = truth.score(peaks["mz"], min_snr=10)
    assert score["recall"] >= 0.93
    assert score["precision"] >= 0.97


@pytest.mark.parametrize("kind", ["profile", "centroid"])
def test_small_region_has_its_own_peaks(tmp_path, kind):
    """Half a percent of the pixels; 30 counts there are 0.15 in the mean of all."""
    rng = np.random.default_rng(0)
    n, mz = 2000, np.linspace(505.0, 745.0, 40)
    own = np.arange(40) % 4 == 3
    abundance = rng.uniform(0.5, 1.5, (n, 40))
    abundance[10:, own] = 0.0
    abundance[:10, own] *= 0.3
    truth = make_ims(
        tmp_path / "a.imzML",
        distributions=abundance,
        coordinates=np.column_stack([np.arange(n) % 50, np.arange(n) // 50]) + 1,
        mz=mz,
        isotopes=False,
        mz_range=(500.0, 750.0),
        resolving_power=10_000.0,
        chemical_noise=25.0,
        spectrum_type=kind,
    )
    reader = ImzMLReader(truth.path)
    peaks = PeakPicker(reference="mean+max").fit(reader).peaks_
    assert match_peaks(mz[own], peaks["mz"], 40)[0].size == 10
    assert match_peaks(mz, peaks["mz"], 40)[0].size == 40
    assert len(peaks) <= 43
    if kind == "profile":
        mean = PeakPicker().fit(reader).peaks_
        assert match_peaks(mz[own], mean["mz"], 40)[0].size <= 2


def test_one_pixel_makes_no_peak_of_its_noise(tmp_path):
    """A spike of a single pixel is in the maximum, but in no region."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3000))
    X[:, 500] += 5.0
    X[7, 1500] += 6.0
    X[:10, 2500] += 5.0
    peaks = PeakPicker(reference="mean+max").fit(X).peaks_
    assert peaks["bin"].tolist() == [500, 2500]
    # The height is that of the maximum, as of all peaks which the mean does not show.
    assert peaks["height"][1] == X[:, 2500].max()


def test_settings_of_cardinals_simulation(tmp_path):
    """2.5 samples per FWHM, 60 peaks at random, many of which overlap."""
    mz = np.sort(np.random.default_rng(3).lognormal(7.0, 0.3, 60))
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(20, 20),
        mz=mz,
        mz_range=(0.9 * mz[0], 1.1 * mz[-1]),
        resolving_power=1000.0,
        points_per_fwhm=2.5,
        isotopes=False,
        height=np.e / 0.1,
        height_spread=0.9,
        baseline=0.0,
        chemical_noise=0.0,
        shot_noise=0.0,
        mass_shift_ppm=10.0,
        mode="continuous",
    )
    peaks = PeakPicker(min_points=2).fit(ImzMLReader(truth.path)).peaks_
    score = truth.score(peaks["mz"])
    assert score["recall"] >= 0.95
    assert score["precision"] >= 0.98
