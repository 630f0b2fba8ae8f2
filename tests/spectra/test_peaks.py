import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.signal import find_peaks
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import ImzMLReader, ImzMLWarning, MassAxis, PeakPicker, Spectra
from imsminer.core.peaktable import match_peaks
from imsminer.datasets import make_ims
from imsminer.spectra._peak_references import array_references

FWHM_PER_SD = 2.3548200450309493


def gaussians(mz, centers, heights, sd):
    """Sum of Gaussian peaks on an axis."""
    offsets = (mz - np.asarray(centers)[:, np.newaxis]) / sd
    return np.asarray(heights) @ np.exp(-0.5 * offsets**2)


@pytest.fixture
def simple():
    """60 noisy spectra with four peaks; noise of the mean is 1."""
    rng = np.random.default_rng(0)
    mz = np.arange(500.0, 540.0, 0.005)
    clean = gaussians(mz, [505.0012, 512.3, 512.4, 530.0], [1000, 200, 50, 20], 0.015)
    noise = rng.normal(0, np.sqrt(60), (60, mz.size))
    return Spectra.from_arrays(clean + noise, mz)


@pytest.mark.filterwarnings("ignore:PeakPicker. no peak:UserWarning")
@parametrize_with_checks(
    [
        PeakPicker(),
        PeakPicker(loq=0.1, min_points=1),
        PeakPicker(loq=0.1, min_points=1, noise="windowed_mad", reference="mean+max"),
        PeakPicker(noise=1e-3, reference="max"),
    ]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def test_the_checks_are_not_empty():
    X = np.random.default_rng(0).normal(size=(30, 20))
    assert len(PeakPicker(loq=0.1, min_points=1).fit(X).peaks_) > 2


# Truth -----------------------------------------------------------------------------


@pytest.mark.parametrize("spectrum_type", ["profile", "sparse", "centroid"])
@pytest.mark.parametrize("analyser", ["tof", "orbitrap"])
def test_finds_true_peaks_once_and_no_others(tmp_path, analyser, spectrum_type):
    mz_range = (400.0, 1000.0) if analyser == "tof" else (500.0, 800.0)
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(16, 16),
        n_peaks=150,
        mz_range=mz_range,
        analyser=analyser,
        snr=20,
        spectrum_type=spectrum_type,
        random_state=1,
    )
    peaks = PeakPicker().fit(ImzMLReader(truth.path)).peaks_
    score = truth.score(peaks["mz"], min_snr=20)
    assert score["n_true"] >= 150
    assert score["recall"] >= 0.95
    assert score["precision"] >= 0.95
    assert score["n_doubled"] == 0


@pytest.mark.shared
def test_kidney_peaks_are_found_again_in_the_other_pixels(shared_data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImzMLWarning)
        path = shared_data / "kidney" / "timstof_tdf_kidney_neg_sumIM_19x18.imzML"
        reader = ImzMLReader(path)
    assert len(PeakPicker().fit(reader).peaks_) >= 250
    even = reader.coordinates[:, :2].sum(axis=1) % 2 == 0
    for one, other in ((even, ~even), (~even, even)):
        picker = PeakPicker().fit(reader[one])
        again = picker.pick(reader[other], loq=picker.loq / 2)
        found, _ = match_peaks(picker.peaks_["mz"], again["mz"], 10)
        assert len(picker.peaks_) >= 250
        assert found.size >= 0.95 * len(picker.peaks_)
        # Chance would match few: 0.3 Da beside, hardly a peak is met.
        shifted, _ = match_peaks(picker.peaks_["mz"] + 0.3, again["mz"], 10)
        assert shifted.size <= 0.15 * len(picker.peaks_)


def test_mz_width_height_and_snr(simple):
    peaks = PeakPicker().fit(simple).peaks_
    np.testing.assert_allclose(peaks["mz"], [505.0012, 512.3, 512.4, 530.0], atol=2e-3)
    assert peaks["mz"][0] == pytest.approx(505.0012, abs=1e-4)
    assert peaks["fwhm"][0] == pytest.approx(FWHM_PER_SD * 0.015, rel=0.03)
    np.testing.assert_allclose(peaks["height"], [1000, 200, 50, 20], atol=5)
    np.testing.assert_allclose(peaks["snr"], [1000, 200, 50, 20], rtol=0.15)
    assert peaks["frequency"][0] == 1.0
    assert peaks.dtypes.drop("bin").eq(np.float64).all()


def test_parabola_is_exact_for_a_gaussian():
    mz = np.arange(500.0, 510.0, 0.01)
    centers = np.array([502.0037, 505.0, 507.4951])
    X = gaussians(mz, centers, [1.0, 5.0, 2.0], 0.02)
    peaks = PeakPicker().fit(Spectra.from_arrays(X[np.newaxis], mz)).peaks_
    np.testing.assert_allclose(peaks["mz"], centers, atol=1e-8)
    np.testing.assert_allclose(peaks["fwhm"], FWHM_PER_SD * 0.02, rtol=0.03)


@pytest.mark.parametrize("rel_height", [0.5, 0.9, 0.98])
def test_bounds_at_a_share_of_the_height(rel_height):
    mz = np.arange(500.0, 510.0, 0.002)
    X = gaussians(mz, [503.0, 507.0], [10.0, 3.0], 0.02)[np.newaxis]
    peaks = PeakPicker(rel_height=rel_height).fit(Spectra.from_arrays(X, mz)).peaks_
    half = 0.02 * np.sqrt(-2 * np.log(1 - rel_height))
    np.testing.assert_allclose(peaks["left"], [503 - half, 507 - half], atol=2e-3)
    np.testing.assert_allclose(peaks["right"], [503 + half, 507 + half], atol=2e-3)


def test_bounds_hold_the_peak_and_stop_at_valleys():
    mz = np.arange(500.0, 510.0, 0.002)
    X = gaussians(mz, [503.0, 503.06, 507.0], [10.0, 8.0, 3.0], 0.02)[np.newaxis]
    peaks = PeakPicker().fit(Spectra.from_arrays(X, mz)).peaks_
    assert peaks["right"][0] == peaks["left"][1]
    valley = mz[(mz > 503.0) & (mz < 503.06)]
    lowest = valley[np.argmin(gaussians(valley, [503.0, 503.06], [10, 8], 0.02))]
    assert peaks["right"][0] == pytest.approx(lowest, abs=2e-3)
    inside = (mz >= peaks["left"][2]) & (mz <= peaks["right"][2])
    assert X[0, inside].sum() > 0.99 * 3.0 * 0.02 * np.sqrt(2 * np.pi) / 0.002
    assert ((peaks["left"] < peaks["mz"]) & (peaks["mz"] < peaks["right"])).all()


def test_agrees_with_scipy_where_the_noise_is_known(simple):
    picker = PeakPicker(noise=1.0, loq=10).fit(simple)
    mean = picker.reference_spectrum_
    level = np.median(mean)
    bins, _ = find_peaks(mean - level, height=10, distance=6, prominence=5)
    np.testing.assert_array_equal(picker.peaks_["bin"], bins)


def test_baseline_does_not_become_peaks(simple):
    mz = simple.mz
    (chunk,) = simple.iter_chunks(max_bytes=2**30)
    baseline = 400 * np.exp(-(mz - 500) / 15)
    raised = Spectra.from_arrays(chunk.intensity + baseline, mz)
    found = PeakPicker().fit(raised).peaks_
    np.testing.assert_array_equal(found["bin"], PeakPicker().fit(simple).peaks_["bin"])


def test_a_peak_is_not_split_by_its_noise():
    rng = np.random.default_rng(1)
    mz = np.arange(500.0, 520.0, 0.001)
    clean = gaussians(mz, [505.0, 515.0], [40.0, 12.0], 0.02)
    spectra = Spectra.from_arrays((clean + rng.normal(0, 1, mz.size))[np.newaxis], mz)
    picker = PeakPicker(loq=8, min_points=3).fit(spectra)
    np.testing.assert_allclose(picker.peaks_["mz"], [505.0, 515.0], atol=0.01)


# Parameters ------------------------------------------------------------------------


def test_max_rescues_what_few_pixels_hold(simple):
    (chunk,) = simple.iter_chunks(max_bytes=2**30)
    X = chunk.intensity.copy()
    X[7] += gaussians(simple.mz, [520.0], [400.0], 0.015)
    spectra = Spectra.from_arrays(X, simple.mz)
    mean = PeakPicker().fit(spectra).peaks_
    assert not np.any(np.abs(mean["mz"] - 520) < 0.02)
    highest = PeakPicker(reference="max").fit(spectra)
    assert np.any(np.abs(highest.peaks_["mz"] - 520) < 0.02)
    np.testing.assert_array_equal(highest.reference_spectrum_, X.max(axis=0))
    both = PeakPicker(reference="mean+max").fit(spectra).peaks_
    assert both["mz"].is_monotonic_increasing
    assert set(mean["bin"]) <= set(both["bin"])
    assert np.any(np.abs(both["mz"] - 520) < 0.02)
    assert np.all(np.diff(both["bin"]) >= 6)


def test_min_points_keeps_the_higher_of_two():
    X = np.zeros((1, 60))
    X[0, 20], X[0, 24], X[0, 40] = 5.0, 9.0, 3.0
    assert PeakPicker(min_points=4).fit(X).peaks_["bin"].tolist() == [20, 24, 40]
    assert PeakPicker(min_points=5).fit(X).peaks_["bin"].tolist() == [24, 40]


def test_min_frequency_and_max_peaks(simple):
    every = PeakPicker().fit(simple).peaks_
    best = PeakPicker(max_peaks=2).fit(simple).peaks_
    np.testing.assert_allclose(best["mz"], every["mz"][:2])
    (chunk,) = simple.iter_chunks(max_bytes=2**30)
    X = np.where(np.arange(60)[:, np.newaxis] < 6, np.maximum(chunk.intensity, 0), 0)
    rare = Spectra.from_arrays(X, simple.mz)
    assert len(PeakPicker(min_frequency=0.05).fit(rare).peaks_) > 0
    with pytest.warns(UserWarning, match="no peak"):
        assert PeakPicker(min_frequency=0.2).fit(rare).peaks_.empty


def test_axis_of_ragged_spectra_is_given_or_estimated(kidney_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImzMLWarning)
        reader = ImzMLReader(kidney_path)
    estimated = PeakPicker(max_peaks=30).fit(reader)
    assert estimated.axis_ == MassAxis.estimate(reader)
    given = PeakPicker(max_peaks=30, axis=MassAxis.ppm(6)).fit(reader)
    assert given.axis_.is_resolved
    found, _ = match_peaks(estimated.peaks_["mz"], given.peaks_["mz"], 10)
    assert found.size >= 27
    # Subsets of the rows get the same axis.
    assert PeakPicker().fit(reader[:40]).axis_ == estimated.axis_
    assert not hasattr(estimated, "n_features_in_")


def test_row_order_and_chunks_do_not_matter(kidney_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImzMLWarning)
        reader = ImzMLReader(kidney_path)
    order = np.random.default_rng(0).permutation(len(reader))
    expected = PeakPicker().fit(reader).peaks_
    for other in (
        PeakPicker().fit(reader[order]),
        PeakPicker(n_jobs=2).fit(reader),
    ):
        pd.testing.assert_frame_equal(other.peaks_, expected, rtol=1e-12)


# Contract ---------------------------------------------------------------------------


def test_transform_attaches_peaks_and_reads_nothing(simple):
    picker = PeakPicker().fit(simple)
    before = simple.source.n_bytes_read
    answer = picker.transform(simple[:5])
    assert isinstance(answer, Spectra)
    assert answer.shape == (5, simple.n_mz)
    assert answer.peaks is picker.peaks_
    assert simple.source.n_bytes_read == before
    assert simple.peaks is None


def test_array_columns_and_back():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 200)) + 30 * (np.arange(200) % 40 == 20)
    picker = PeakPicker().fit(X)
    assert picker.get_support(indices=True).tolist() == [20, 60, 100, 140, 180]
    features = picker.transform(X)
    np.testing.assert_array_equal(features, X[:, picker.get_support()])
    back = picker.inverse_transform(features)
    np.testing.assert_array_equal(back, np.where(picker.get_support(), X, 0))
    assert picker.get_feature_names_out().tolist()[:2] == ["x20", "x60"]
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(200)])
    named = PeakPicker().set_output(transform="pandas").fit_transform(frame)
    assert named.columns.tolist() == ["c20", "c60", "c100", "c140", "c180"]
    with pytest.raises(ValueError, match="one column per peak"):
        picker.inverse_transform(X)


def test_names_of_spectra_say_the_mz(simple):
    names = PeakPicker().fit(simple).get_feature_names_out()
    assert len(names) == 4
    assert all(name.startswith("mz_5") for name in names)


def test_no_peak_warns_and_gives_no_columns():
    X = np.random.default_rng(0).normal(size=(30, 100))
    with pytest.warns(UserWarning, match=r"no peak is 10 times .* Lower loq"):
        picker = PeakPicker().fit(X)
    assert picker.transform(X).shape == (30, 0)
    back = picker.inverse_transform(np.empty((30, 0)))
    np.testing.assert_array_equal(back, np.zeros_like(X))


def test_pick_at_other_thresholds_leaves_the_fit_alone(simple):
    picker = PeakPicker(loq=100).fit(simple)
    assert len(picker.peaks_) == 2
    assert len(picker.pick(loq=10)) == 4
    assert len(picker.pick(simple[:30])) == 2
    assert len(picker.pick(simple[:30], loq=10)) >= 3
    assert len(picker.peaks_) == 2
    pd.testing.assert_frame_equal(picker.pick(), picker.peaks_)


def test_clones_pickles_and_pipelines(simple, tmp_path):
    picker = PeakPicker(loq=20)
    copy = pickle.loads(pickle.dumps(clone(picker).fit(simple)))
    pd.testing.assert_frame_equal(copy.peaks_, picker.fit(simple).peaks_)
    assert copy.axis_ == picker.axis_
    pipe = make_pipeline(PeakPicker(), memory=str(tmp_path))
    assert len(pipe.fit_transform(simple).peaks) == 4


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"reference": "median"}, "reference"),
        ({"noise": "snip"}, "noise"),
        ({"noise": -1.0}, "noise"),
        ({"noise": (510, 505)}, "low < high"),
        ({"noise": (505, 510, 515)}, "low < high"),
        ({"noise": (600, 610)}, "holds 0 bins"),
        ({"loq": -1}, "loq"),
        ({"min_points": 0}, "min_points"),
        ({"rel_height": 1.5}, "rel_height"),
        ({"axis": 0.01}, "axis"),
        ({"min_frequency": 2}, "min_frequency"),
        ({"z_steps": 0}, "z_steps"),
    ],
)
def test_bad_parameters(simple, parameters, message):
    with pytest.raises(ValueError, match=message):
        PeakPicker(**parameters).fit(simple)


def test_no_pixels(simple):
    with pytest.raises(ValueError, match="0 pixels"):
        PeakPicker().fit(simple[:0])


def test_means_of_many_rows_of_float32_lose_no_digits():
    X = np.full((200_000, 2), 0.1, np.float32)
    host, mean, _, _ = array_references(X)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(host.mean, X[0].astype(np.float64), rtol=1e-12)
    np.testing.assert_array_equal(mean, X[0])
