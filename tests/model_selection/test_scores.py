import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from imsminer import (
    ImzMLReader,
    ImzMLWarning,
    PeakIntegrator,
    PeakPicker,
    Spectra,
    TICNormalizer,
)
from imsminer.core.peaktable import match_peaks
from imsminer.model_selection import (
    SpatialBlockSplit,
    peak_reproducibility_score,
    spatial_structure_score,
)
from imsminer.model_selection.scores import _off_peak_windows


@pytest.fixture(scope="module")
def kidney(kidney_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImzMLWarning)
        return ImzMLReader(kidney_path)


@pytest.fixture
def halves():
    """Spectra of two regions: an ion everywhere, one in the left half, and noise."""
    rng = np.random.default_rng(0)
    mz = np.arange(500.0, 510.0, 0.01)
    y, x = np.mgrid[:20, :20].reshape(2, -1)
    shapes = np.exp(-0.5 * ((mz - np.array([[502.0], [507.0]])) / 0.03) ** 2)
    abundance = np.stack([np.full(x.size, 30.0), 100.0 * (x < 10)], axis=1)
    X = abundance @ shapes + rng.normal(size=(x.size, mz.size))
    return Spectra.from_arrays(X, mz, np.stack([x, y], axis=1))


def halves_of(kidney):
    even = kidney.coordinates[:, :2].sum(axis=1) % 2 == 0
    return kidney[even], kidney[~even]


def test_reproducibility_is_matched_minus_unmatched_both_ways(kidney):
    one, other = halves_of(kidney)
    picker = PeakPicker(loq=4).fit(one)
    strict, loose = (PeakPicker(loq=loq).fit(other).peaks_ for loq in (4, 2))
    own_loose = PeakPicker(loq=2).fit(one).peaks_
    there = match_peaks(picker.peaks_["mz"], loose["mz"], 10)[0].size
    back = match_peaks(strict["mz"], own_loose["mz"], 10)[0].size
    unmatched = len(picker.peaks_) - there + len(strict) - back
    assert unmatched > 0
    expected = (there + back) / 2 - unmatched
    assert peak_reproducibility_score(picker, other) == expected


def test_optimum_over_loq_is_an_interior_one(kidney):
    grid = {"loq": [1, 2, 3, 5, 10, 20, 50]}
    search = GridSearchCV(
        PeakPicker(),
        grid,
        cv=SpatialBlockSplit(4),
        scoring=peak_reproducibility_score,
        error_score="raise",
    ).fit(kidney)
    scores = search.cv_results_["mean_test_score"]
    best = int(np.argmax(scores))
    assert 0 < best < len(scores) - 1
    # It rises to the optimum and falls behind it, and bad lists score below none.
    assert np.all(np.diff(scores[: best + 1]) > 0)
    assert np.all(np.diff(scores[best:]) < 0)
    assert scores[0] < 0 < scores[-1]
    assert search.best_params_["loq"] in (3, 5, 10)


def test_documented_search_runs_in_processes_too(kidney):
    pipe = make_pipeline(TICNormalizer(), PeakPicker(), PeakIntegrator())
    grid = {"peakpicker__loq": [5, 10], "peakpicker__min_points": [4, 6]}
    results = [
        GridSearchCV(
            pipe,
            grid,
            cv=SpatialBlockSplit(4),
            scoring=peak_reproducibility_score,
            n_jobs=n_jobs,
            refit=False,
            error_score="raise",
        )
        .fit(kidney)
        .cv_results_["mean_test_score"]
        for n_jobs in (None, 2)
    ]
    np.testing.assert_array_equal(*results)


def test_picker_at_any_place_and_depth(halves):
    expected = peak_reproducibility_score(PeakPicker().fit(halves), halves)
    assert expected == 2.0
    behind = make_pipeline(PeakPicker(), PeakIntegrator(), PCA(2)).fit(halves)
    assert peak_reproducibility_score(behind, halves) == expected
    nested = make_pipeline(
        "passthrough", make_pipeline(TICNormalizer(), PeakPicker()), PeakIntegrator()
    ).fit(halves)
    assert peak_reproducibility_score(nested, halves) == expected


def test_structure_is_morans_i_above_the_surroundings(halves):
    both = spatial_structure_score(PeakPicker().fit(halves), halves)
    left = PeakPicker(max_peaks=1).fit(halves)
    assert left.peaks_["mz"][0] == pytest.approx(507.0, abs=0.01)
    only = spatial_structure_score(left, halves)
    # One of the two ions has structure, the other none.
    assert only > 0.8
    assert both == pytest.approx(only / 2, abs=0.1)


def test_structure_of_noise_is_none(halves):
    rng = np.random.default_rng(1)
    X = rng.normal(size=halves.shape) + 30 * (np.arange(halves.n_mz) % 100 == 50)
    flat = Spectra.from_arrays(X, halves.mz, halves.coordinates)
    picker = PeakPicker().fit(flat)
    assert len(picker.peaks_) == 10
    assert abs(spatial_structure_score(picker, flat)) < 0.05


def test_structure_prefers_peaks_over_what_lies_between(kidney):
    picker = PeakPicker(max_peaks=60).fit(kidney)
    assert spatial_structure_score(picker, kidney) > 0.05


def test_no_peaks_score_nothing(halves):
    with pytest.warns(UserWarning, match="no peak"):
        picker = PeakPicker(loq=1e6).fit(halves)
    assert spatial_structure_score(picker, halves) == 0.0
    assert peak_reproducibility_score(picker, halves) == 0.0


def test_off_peak_windows_touch_no_peak():
    rng = np.random.default_rng(0)
    low = np.sort(rng.uniform(500, 600, 150))
    high = low + rng.uniform(0.02, 0.3, 150)
    beside = _off_peak_windows(low, high, (500.0, 600.0))
    assert len(beside) > 100
    for a, b in beside:
        assert np.all((high <= a) | (low >= b))
        assert 500.0 <= a < b <= 600.0
    widths = np.round(high - low, 9)
    assert np.isin(np.round(beside[:, 1] - beside[:, 0], 9), widths).all()


def test_errors(halves):
    with pytest.raises(TypeError, match="needs a fitted PeakPicker"):
        peak_reproducibility_score(PCA(), halves)
    with pytest.raises(TypeError, match="needs a fitted PeakPicker"):
        spatial_structure_score(make_pipeline(PCA()), halves)
    X = np.random.default_rng(0).normal(size=(30, 100))
    X[:, 50] += 100
    with pytest.raises(TypeError, match="needs Spectra"):
        spatial_structure_score(PeakPicker().fit(X), X)
