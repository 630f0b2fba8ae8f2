"""Columns of the table: valleys, resolving power, isotopes, targets, labels."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.signal import peak_prominences

from imsminer import ImzMLReader, MassAxis, PeakPicker, Spectra
from imsminer.datasets import make_ims
from imsminer.spectra import _peak_background
from imsminer.spectra._isotopes import monoisotopic
from imsminer.spectra._kernels.peaks_numba import keep_highest
from imsminer.spectra._picking import usual_width
from imsminer.spectra._resolution import fit_resolving_power


@pytest.fixture(scope="module")
def simple():
    rng = np.random.default_rng(0)
    mz = np.arange(500.0, 540.0, 0.005)
    centers = np.array([505.0, 512.3, 512.4, 530.0])
    shapes = np.exp(-0.5 * ((mz - centers[:, None]) / 0.015) ** 2)
    clean = np.array([1000, 200, 50, 20]) @ shapes
    noise = rng.normal(0, np.sqrt(60), (60, mz.size))
    return Spectra.from_arrays(clean + noise, mz)


def test_prominence_and_valleys(simple):
    picker = PeakPicker().fit(simple)
    peaks, mean = picker.peaks_, picker.reference_spectrum_
    expected = peak_prominences(mean, peaks["bin"])[0]
    # The level of the spectrum is not quite flat.
    np.testing.assert_allclose(peaks["prominence"], expected, atol=1.0)
    between = (simple.mz > 512.3) & (simple.mz < 512.4)
    lowest = simple.mz[between][np.argmin(mean[between])]
    assert peaks["right_valley"][1] == peaks["left_valley"][2]
    assert abs(peaks["right_valley"][1] - lowest) < 0.03
    assert peaks["left_valley"][0] == simple.mz[0]
    assert peaks["right_valley"][3] == simple.mz[-1]
    np.testing.assert_allclose(
        peaks["resolving_power"], peaks["mz"] / peaks["fwhm"], rtol=1e-12
    )


# Resolving power -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("analyser", "power"), [("tof", 20_000.0), ("orbitrap", 60_000.0)]
)
def test_resolving_power_of_an_analyser(tmp_path, analyser, power):
    low, high = 500.0, 800.0
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(8, 8),
        n_peaks=80,
        isotopes=False,
        mz_range=(low, high),
        analyser=analyser,
        resolving_power=power,
        snr=50,
    )
    reader = ImzMLReader(truth.path)
    picker = PeakPicker().fit(reader)
    axis = picker.resolving_power_axis(bins_per_fwhm=5)
    resolved = axis.resolve(low, high)
    for mz in (520.0, 650.0, 780.0):
        j = np.searchsorted(resolved.edges, mz)
        fwhm = truth.analyser.fwhm(np.array([mz]))[0]
        assert resolved.bin_widths[j] == pytest.approx(fwhm / 5, rel=0.06)
    again = PeakPicker(axis=axis).fit(reader)
    score = truth.score(again.peaks_["mz"], min_snr=50)
    assert score["recall"] >= 0.95
    assert score["precision"] >= 0.95


def test_resolving_power_is_robust():
    rng = np.random.default_rng(0)
    mz = np.sort(rng.uniform(400, 1200, 200))
    # A fifth of the peaks are pairs that were taken for one.
    power = np.where(rng.random(200) < 0.2, 5_000, 50_000 - 20 * mz)
    peaks = pd.DataFrame({"mz": mz, "resolving_power": power, "snr": 100.0})
    intercept, slope = fit_resolving_power(peaks, 400, 1200)
    assert slope == pytest.approx(-20, rel=0.05)
    assert intercept == pytest.approx(50_000, rel=0.03)
    # A line that would end below 0 is none.
    assert fit_resolving_power(peaks, 400, 3000)[1] == 0
    few = peaks.iloc[:4]
    assert fit_resolving_power(few, 400, 1200)[1] == 0


def test_no_resolving_power_of_centroids_and_columns(simple):
    sticks = Spectra.from_arrays(np.eye(5, 50) + 1, np.arange(1.0, 51), profile=False)
    picker = PeakPicker(noise=0.01, min_points=1, loq=1).fit(sticks)
    with pytest.raises(ValueError, match="needs profile spectra"):
        picker.resolving_power_axis()
    X = np.zeros((3, 50))
    X[:, 20] = 9
    with pytest.raises(ValueError, match="needs profile spectra"):
        PeakPicker().fit(X).resolving_power_axis()
    assert isinstance(PeakPicker().fit(simple).resolving_power_axis(), MassAxis)


# Isotopes --------------------------------------------------------------------------


@pytest.mark.parametrize("spectrum_type", ["profile", "centroid"])
def test_isotopologues_of_simulated_ions(tmp_path, spectrum_type):
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(12, 12),
        n_peaks=40,
        mz_range=(500.0, 900.0),
        snr=100,
        spectrum_type=spectrum_type,
        random_state=3,
    )
    peaks = PeakPicker().fit(ImzMLReader(truth.path)).peaks_
    ions = truth.peaks
    near = np.abs(ions["mz"].to_numpy() - peaks["mz"].to_numpy()[:, None])
    ion = near.argmin(1)
    known = near.min(1) < 0.25 * peaks["fwhm"].to_numpy().clip(0.005)
    is_head = (ions["isotope"].to_numpy()[ion] == 0)[known]
    said_head = (peaks["isotope_of"] == peaks["mz"]).to_numpy()[known]
    assert (is_head & said_head).sum() >= 0.95 * is_head.sum()
    assert (~is_head & ~said_head).sum() >= 0.8 * (~is_head).sum()


def test_patterns_of_two_charges_and_implausible_heights():
    step = 1.0033548
    mz = np.array([700, 700 + step, 700 + 2 * step, 800, 800 + step / 2, 850, 851.2])
    height = np.array([100, 38.0, 8.0, 100, 80.0, 100, 40])
    width = np.full(7, 0.02)
    heads = monoisotopic(mz, height, width)
    np.testing.assert_array_equal(heads, mz[[0, 0, 0, 3, 3, 5, 6]])
    # Higher than 13C makes it: an ion of its own.
    height[1] = 200.0
    assert monoisotopic(mz, height, width)[1] == mz[1]
    none = np.zeros(0)
    assert monoisotopic(none, none, none).size == 0


def test_columns_of_arrays_have_no_isotopes():
    X = np.zeros((4, 60))
    X[:, [20, 21]] = [100.0, 30.0]
    peaks = PeakPicker(min_points=1).fit(X).peaks_
    np.testing.assert_array_equal(peaks["isotope_of"], peaks["mz"])


# Targets ---------------------------------------------------------------------------


def test_targets_get_their_peaks_or_windows(simple):
    with pytest.warns(UserWarning, match="1 of 4 targets lie outside"):
        picker = PeakPicker(targets=[530.001, 505.0, 520.0, 900.0]).fit(simple)
    peaks = picker.peaks_
    assert peaks["target"].tolist() == [505.0, 520.0, 530.001]
    assert peaks["found"].tolist() == [1, 0, 1]
    every = PeakPicker().fit(simple).peaks_
    assert peaks["mz"][0] == every["mz"][0]
    assert peaks["mz"][1] == 520.0
    assert peaks["right"][1] == pytest.approx(520 * (1 + 1e-5))
    assert peaks["snr"][1] < 5
    assert peaks["count"][0] == 60
    near = PeakPicker(targets=[505.02], tolerance=10).fit(simple).peaks_
    assert near["found"].tolist() == [0]
    near = PeakPicker(targets=[505.02], tolerance=50).fit(simple).peaks_
    assert near["found"].tolist() == [1]
    assert np.isfinite(peaks.to_numpy()).all()


@pytest.mark.parametrize("targets", [[], [np.nan], [[500.0]], "x"])
def test_bad_targets(simple, targets):
    with pytest.raises(ValueError, match="targets"):
        PeakPicker(targets=targets).fit(simple)


# Labels ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["spectra", "array"])
def test_frequency_in_a_small_region(kind):
    rng = np.random.default_rng(0)
    mz = np.arange(500.0, 520.0, 0.01)
    shapes = np.exp(-0.5 * ((mz - np.array([[503.0], [510.0]])) / 0.03) ** 2)
    amounts = np.zeros((200, 2))
    amounts[:, 0] = 50.0
    amounts[:6, 1] = 5000.0
    X = np.maximum(amounts @ shapes - 1, 0) * rng.uniform(0.5, 1.5, (200, 1))
    data = Spectra.from_arrays(X, mz) if kind == "spectra" else X
    y = np.where(np.arange(200) < 6, "spot", "rest")
    picker = PeakPicker(min_frequency=0.5)
    assert len(picker.fit(data).peaks_) == 1
    peaks = picker.fit(data, y).peaks_
    assert len(peaks) == 2
    assert peaks["label_frequency"].tolist() == [1.0, 1.0]
    assert peaks["frequency"].tolist() == [1.0, 0.03]
    # Numbers are no labels.
    assert len(picker.fit(data, rng.random(200)).peaks_) == 1
    with pytest.raises(ValueError, match="inconsistent"):
        picker.fit(data, y[:50])


# Smoothing -------------------------------------------------------------------------


def test_matched_smoothing_finds_weak_peaks_and_measures_them_unsmoothed():
    rng = np.random.default_rng(0)
    mz = 500 + 0.005 * np.arange(40_000)
    strong, weak = np.linspace(510, 690, 20), np.linspace(514, 694, 20)
    X = 200 * np.exp(-0.5 * ((mz - strong[:, None]) / 0.02) ** 2).sum(0)
    X += 3.0 * np.exp(-0.5 * ((mz - weak[:, None]) / 0.02) ** 2).sum(0)
    spectra = Spectra.from_arrays((X + rng.normal(size=mz.size))[None], mz)

    def scores(smoothing, loq=5):
        peaks = PeakPicker(loq=loq, smoothing=smoothing).fit(spectra).peaks_
        near = np.abs(peaks["mz"].to_numpy()[:, None] - np.append(strong, weak))
        found = near.min(0) < 0.02
        return found[:20].sum(), found[20:].sum(), (near.min(1) > 0.02).sum(), peaks

    plain, matched = scores(None, loq=2), scores("matched", loq=2)
    assert plain[0] == matched[0] == 20
    assert plain[2] >= 200
    assert matched[1] >= 18
    assert matched[2] <= 2
    # The ratio of signal to noise is that of the spectrum itself.
    snr = matched[3]["snr"]
    assert (snr >= 2).all()
    assert snr[snr < 50].median() == pytest.approx(3, abs=0.3)
    # … and so `loq` asks of a smoothed spectrum what it asks of any.
    plain, matched = scores(None), scores("matched")
    assert plain[0] == matched[0] == 20
    assert plain[1] <= 5
    assert matched[1] <= 1
    assert matched[2] == 0
    high = matched[3][matched[3]["height"] > 100]
    # Smoothing would widen them by √2.
    np.testing.assert_allclose(high["fwhm"], 2.3548 * 0.02, rtol=0.1)
    heights = plain[3]["height"]
    np.testing.assert_array_equal(high["height"], heights[heights > 100])
    assert scores(0)[3].equals(plain[3])


@pytest.mark.parametrize("smoothing", [-1, "wide"])
def test_bad_smoothing(simple, smoothing):
    with pytest.raises(ValueError, match="smoothing"):
        PeakPicker(smoothing=smoothing).fit(simple)


@pytest.mark.parametrize("width", [2.0, 4.0, 8.0])
def test_smoothing_gives_back_the_height_it_takes(width):
    """Noise that is independent from bin to bin, and peaks of 4 bins (sd)."""
    rng = np.random.default_rng(1)
    mz = 500 + 0.005 * np.arange(40_000)
    places = np.linspace(510, 690, 37)
    X = 30 * np.exp(-0.5 * ((mz - places[:, None]) / 0.02) ** 2).sum(0)
    spectra = Spectra.from_arrays((X + rng.normal(size=mz.size))[None], mz)
    peaks = PeakPicker(loq=12, smoothing=width).fit(spectra).peaks_
    assert len(peaks) == 37
    assert peaks["snr"].median() == pytest.approx(30, rel=0.04)


def test_smoothing_does_not_believe_neighbours_that_vary_together():
    """Noise as wide as the peaks is no smaller where it was smoothed."""
    rng = np.random.default_rng(2)
    mz = 500 + 0.005 * np.arange(400_000)
    wide = gaussian_filter1d(rng.normal(size=mz.size), 4.0)
    X = 60 * np.exp(-0.5 * ((mz - np.linspace(510, 690, 19)[:, None]) / 0.02) ** 2)
    X = X.sum(0) + wide / wide.std()
    picker = PeakPicker(loq=4, smoothing="matched", noise="mad")
    peaks = picker.fit(Spectra.from_arrays(X[None], mz)).peaks_
    # As many as such noise has maxima above 4 sd: one, not twenty.
    assert 19 <= len(peaks) <= 24


def test_centroids_without_a_resolution_are_smoothed_little(monkeypatch):
    """One centroid per spectrum tells no distance; the axis has 300,000 bins."""
    mz = np.linspace(100.0, 1000.0, 300_000)
    at = np.tile([200.0, 500.0, 800.0], 20)
    widths = []

    def smooth(spectrum, width, **options):
        widths.append(width)
        return gaussian_filter1d(spectrum, width, **options)

    monkeypatch.setattr(_peak_background, "gaussian_filter1d", smooth)
    spectra = Spectra.from_arrays(
        np.ones(60), at, indptr=np.arange(61), profile=False, identity="sparse"
    )
    picker = PeakPicker(axis=MassAxis.from_values(mz)).fit(spectra)
    np.testing.assert_allclose(picker.peaks_["mz"], [200, 500, 800], atol=0.01)
    assert widths
    assert max(widths) <= 128


# Widths ----------------------------------------------------------------------------


def test_usual_widths_are_a_power_law_without_outliers():
    rng = np.random.default_rng(0)
    mz = np.sort(rng.uniform(200, 1200, 200))
    fwhm = 1e-5 * mz**1.5
    measured = np.where(rng.random(200) < 0.05, 2 * fwhm, fwhm)
    measured[[3, 50]] = np.nan, 0
    np.testing.assert_allclose(usual_width(mz, measured), fwhm, rtol=1e-9)
    noisy = fwhm * np.exp(rng.normal(0, 0.01, 200))
    slope, intercept = np.polyfit(np.log(mz), np.log(noisy), 1)
    inside = np.abs(np.log(noisy) - slope * np.log(mz) - intercept) < 0.02
    line = np.polyfit(np.log(mz[inside]), np.log(noisy[inside]), 1)
    found = usual_width(mz[inside], noisy[inside], at=np.array([100.0, 2000.0]))
    expected = np.exp(np.polyval(line, np.log([100, 2000])))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


# Merging ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_only_higher_peaks_take_others(seed):
    """Reaches differ from peak to peak: the highest of all always stays."""
    rng = np.random.default_rng(seed)
    mz = np.sort(rng.uniform(0, 30, 80))
    height = rng.permutation(80).astype(float)
    reach = rng.uniform(0, 2, 80)
    reach[height.argmax()] = 10.0
    order, kept = np.argsort(-height), np.ones(80, bool)
    keep_highest(mz, order, reach, kept)
    expected = []
    for k in order:
        if all(abs(mz[k] - mz[i]) >= reach[k] for i in expected):
            expected.append(k)
    assert np.flatnonzero(kept).tolist() == sorted(expected)
    assert kept[height.argmax()]
