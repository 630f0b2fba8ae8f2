"""Alignment: simulated shifts come back, and what needs none is left alone."""

import os
import pickle

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import ImzMLReader, MassAligner, Spectra, concatenate
from imsminer.spectra import _align_learning
from imsminer.spectra._aligning import AlignSpectra
from imsminer.spectra._massmodel import MassModel
from tests.spectra.shifted import (
    CENTRE,
    HALF,
    MZ,
    PEAKS,
    drawn,
    lines,
    ragged,
    simulate,
    spectra_of,
    waves,
)


# The checks' few columns hold no ten reference peaks: warned of, and the identity.
@pytest.mark.filterwarnings("ignore:MassAligner:UserWarning")
@parametrize_with_checks([MassAligner(), MassAligner(model="shift", n_jobs=2)])
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", ["ragged", "shared"])
def test_a_shift_of_3_ppm_comes_back(kind):
    spectra = spectra_of(simulate(np.full(20, 3.0), 0.0), kind)
    aligner = MassAligner(reference=PEAKS).fit(spectra)
    assert aligner.report_["shift_ppm"].median() == pytest.approx(3.0, abs=0.1)
    assert np.abs(aligner.report_["stretch_ppm"]).max() < 0.3
    assert aligner.runs_["shift_ppm"].item() == pytest.approx(3.0, abs=0.1)
    assert aligner.runs_["aligned"].item()
    again = MassAligner(reference=PEAKS).fit(aligner.transform(spectra))
    assert abs(again.runs_["shift_ppm"].item()) < 0.15


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("kind", ["ragged", "shared"])
def test_lines_come_back(kind, given):
    shift, stretch = drawn()
    spectra = spectra_of(simulate(shift, stretch), kind)
    aligner = MassAligner(reference=PEAKS if given else None).fit(spectra)
    at = np.array([520.0, 750.0, 980.0])
    true = shift[:, None] + stretch[:, None] * (at - CENTRE) / HALF
    found = lines(aligner, at)
    if not given:  # relative to the median of the pixels
        true, found = true - np.median(true, 0), found - np.median(found, 0)
    # 0.02 FWHM are 1 ppm.
    assert np.median(np.abs(found - true)) < 0.5
    assert np.abs(found - true).max() < 4.0
    report = aligner.report_
    assert report["accepted"].all()
    assert (report["matches"] >= 30).all()
    assert report["after_ppm"].median() < 0.8 * report["before_ppm"].median()
    # What is left is noise: to the same peaks the spectra need no alignment any more.
    again = MassAligner(reference=aligner.reference_).fit(aligner.transform(spectra))
    assert np.abs(again.runs_["gain"].item()) < 0.1
    assert again.runs_["spread_ppm"].item() < 0.25 * aligner.runs_["spread_ppm"].item()


def test_shift_and_line_models():
    shift, stretch = drawn(shift_sd=0.0, stretch_sd=6.0)
    spectra = ragged(simulate(shift, stretch))
    line = MassAligner(reference=PEAKS).fit(spectra)
    constant = MassAligner(reference=PEAKS, model="shift").fit(spectra)
    assert np.abs(constant.report_["stretch_ppm"]).max() < 1e-6
    assert line.report_["after_ppm"].median() < constant.report_["after_ppm"].median()


@pytest.mark.parametrize("kind", ["ragged", "shared"])
def test_what_needs_no_alignment_is_left_alone(kind):
    spectra = spectra_of(simulate(np.zeros(60), 0.0), kind)
    aligner = MassAligner().fit(spectra)  # and no warning
    assert not aligner.runs_["aligned"].item()
    assert not aligner.report_["accepted"].any()
    assert (aligner.report_["shift_ppm"] == 0).all()
    pd.testing.assert_series_equal(
        aligner.report_["before_ppm"], aligner.report_["after_ppm"], check_names=False
    )
    assert aligner.transform(spectra) is spectra
    forced = MassAligner(guard=False).fit(spectra)
    # Without the guard, noise is still not taken for a shift.
    assert np.abs(forced.report_["shift_ppm"]).median() < 0.15


def test_harm_is_refused_with_a_warning(monkeypatch):
    spectra = ragged(simulate(np.zeros(30), 0.0))

    def broken(self, errors, heights, prior, precision, part=slice(None)):
        n = errors.shape[0]
        return np.full((n, 2), 5.0), np.ones(n, bool), np.full(n, 50)

    monkeypatch.setattr(MassModel, "fit_pixels", broken)
    with pytest.warns(UserWarning, match="would raise its median error"):
        aligner = MassAligner(reference=PEAKS).fit(spectra)
    assert aligner.transform(spectra) is spectra


def test_weak_pixels_get_the_line_of_their_run():
    X = simulate(np.full(30, 4.0), 0.0)
    X[7] = 0
    X[8, MZ > 620] = 0  # peaks in the lowest quarter only
    aligner = MassAligner(reference=PEAKS).fit(ragged(X))
    report = aligner.report_
    assert not report["accepted"][[7, 8]].any()
    assert report["accepted"].drop([7, 8]).all()
    assert report["matches"][7] == 0
    run = aligner.runs_.iloc[0]
    for pixel in (7, 8):
        assert report["shift_ppm"][pixel] == run["shift_ppm"]
    assert np.isnan(report["before_ppm"][7])
    assert run["n_accepted"] == 28


def test_max_shift():
    X = simulate(np.r_[np.zeros(15), 9.0], 0.0)
    loose = MassAligner(reference=PEAKS, guard=False).fit(ragged(X))
    assert loose.report_["shift_ppm"][15] == pytest.approx(9.0, abs=1.0)
    bounded = MassAligner(reference=PEAKS, guard=False, max_shift=5.0).fit(ragged(X))
    assert not bounded.report_["accepted"][15]
    assert abs(bounded.report_["shift_ppm"][15]) < 1.0


def test_runs_have_their_own_corrections():
    one = ragged(simulate(np.full(20, 5.0), 0.0), run="one")
    two = ragged(simulate(np.full(20, -5.0), 0.0, seed=4), run="two")
    none = ragged(simulate(np.zeros(20), 0.0, seed=5), run="none")
    study = concatenate([one, two, none])
    aligner = MassAligner(reference=PEAKS).fit(study)
    found = aligner.runs_["shift_ppm"]
    np.testing.assert_allclose(found, [5.0, -5.0, 0.0], atol=0.3)
    assert aligner.runs_["aligned"].tolist()[:2] == [True, True]
    assert list(aligner.report_["run"].unique()) == ["one", "two", "none"]
    # A run that fit did not see gets its pixels' own lines, under the pooled prior.
    unseen = ragged(simulate(np.full(20, 3.0), 0.0, seed=6), run="unseen")
    report = aligner.report(unseen)
    assert report["shift_ppm"].median() == pytest.approx(3.0, abs=0.3)
    moved = MassAligner(reference=PEAKS).fit(aligner.transform(unseen))
    assert abs(moved.runs_["shift_ppm"].item()) < 0.3


def test_report_describes_other_rows():
    spectra = ragged(simulate(*drawn()))
    aligner = MassAligner(reference=PEAKS).fit(spectra)
    part = aligner.report(spectra[10:20])
    expected = aligner.report_.iloc[10:20].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, expected)


def test_centroids_are_aligned_by_their_mz():
    rng = np.random.default_rng(0)
    shift = rng.normal(0, 4.0, 30)
    places = PEAKS * (1 + 1e-6 * (shift[:, None] + rng.normal(0, 1.0, (30, 60))))
    spectra = Spectra.from_arrays(
        rng.gamma(2.0, 50.0, places.size),
        places.ravel(),
        indptr=np.arange(0, places.size + 1, 60),
        profile=False,
    )
    aligner = MassAligner().fit(spectra)
    found = aligner.report_["shift_ppm"]
    true = shift - np.median(shift)
    assert np.abs(found - found.median() - true).max() < 1.0
    before = np.std(places / PEAKS, axis=0).mean()
    after = np.array([s.mz for s in aligner.transform(spectra)])
    assert np.std(after / PEAKS, axis=0).mean() < 0.4 * before


# What transform does to the data -----------------------------------------------------


def test_ragged_spectra_get_new_mz_and_keep_intensities():
    shift, stretch = drawn()
    spectra = ragged(simulate(shift, stretch))
    aligner = MassAligner(reference=PEAKS).fit(spectra)
    result = aligner.transform(spectra)
    line = lines(aligner, spectra[3].mz)[3]
    model = aligner._kernel.model
    inside = np.abs(spectra[3].mz - model.centre) < model.half
    for before, after in zip(spectra, result, strict=True):
        np.testing.assert_array_equal(before.intensity, after.intensity)
        assert np.all(np.diff(after.mz) > 0)
    moved = (spectra[3].mz / result[3].mz - 1) * 1e6
    # The report was fitted to matches that were rounded to float32.
    np.testing.assert_allclose(moved[inside], line[inside], atol=1e-3)
    # Beyond the reference peaks the error stays what it is at the last of them.
    outside = spectra[3].mz < PEAKS[0]
    assert np.ptp(moved[outside]) < 1e-6


@pytest.mark.parametrize("kind", ["ragged", "shared"])
def test_chunks_and_jobs_do_not_matter(kind):
    spectra = spectra_of(simulate(*drawn(30)), kind)
    aligner = MassAligner(n_jobs=2).fit(spectra)
    pd.testing.assert_frame_equal(aligner.report_, MassAligner().fit(spectra).report_)
    result = aligner.transform(spectra)
    small = [
        chunk.spectrum(i)
        for chunk in result.iter_chunks(max_bytes=1)
        for i in range(chunk.n_spectra)
    ]
    for one, other in zip(result, small, strict=True):
        np.testing.assert_array_equal(one.mz, other[0])
        np.testing.assert_array_equal(one.intensity, other[1])
    part = aligner.transform(spectra[[5, 2]])
    np.testing.assert_array_equal(part[1].intensity, result[2].intensity)


# Too little to go by -----------------------------------------------------------------


def test_too_few_references():
    spectra = ragged(simulate(np.zeros(5), 0.0))
    with pytest.warns(UserWarning, match="3 reference peaks were found"):
        aligner = MassAligner(reference=PEAKS[:3]).fit(spectra)
    assert aligner.reference_.size == 0
    assert aligner.runs_["aligned"].tolist() == [False]
    assert aligner.transform(spectra) is spectra
    assert not aligner.report_["accepted"].any()
    assert not aligner.report(spectra[:2])["accepted"].any()
    with pytest.warns(UserWarning, match="0 reference peaks"):
        MassAligner(reference=PEAKS + 5000).fit(spectra)
    blank = Spectra.from_arrays(np.zeros((4, MZ.size)), MZ)
    with pytest.warns(UserWarning, match="0 reference peaks"):
        aligner = MassAligner().fit(blank)
    assert aligner.transform(blank) is blank


def test_references_that_match_nothing():
    spectra = ragged(simulate(np.zeros(5), 0.0))
    between = PEAKS[:-1] + 0.4 * np.diff(PEAKS)
    with pytest.warns(UserWarning, match="no pixel has min_matches=10"):
        aligner = MassAligner(reference=between, tolerance=2.0).fit(spectra)
    assert aligner.transform(spectra) is spectra


def test_a_single_spectrum():
    spectra = ragged(simulate(np.array([3.0]), 0.0, counts=2000))
    aligner = MassAligner(reference=PEAKS).fit(spectra)
    assert aligner.report_["shift_ppm"].item() == pytest.approx(3.0, abs=0.5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tolerance": 0}, "'tolerance' parameter of MassAligner"),
        ({"model": "cubic"}, "'model' parameter of MassAligner"),
        ({"min_matches": 1}, "'min_matches' parameter"),
        ({"reference": [500.0, np.nan]}, "must be finite"),
        ({"reference": [-1.0, 500.0]}, "must be positive"),
    ],
)
def test_wrong_parameters(wrong, message):
    with pytest.raises(ValueError, match=message):
        MassAligner(**wrong).fit(ragged(simulate(np.zeros(2), 0.0)))


def test_sticks_on_a_common_axis_need_nothing():
    X = np.zeros((20, 900))
    X[:, 5::30] = np.random.default_rng(0).gamma(2, 50, (20, 30))
    spectra = Spectra.from_arrays(X, 700 + 0.3 * np.arange(900))
    aligner = MassAligner().fit(spectra)  # all errors are 0, and no warning
    assert aligner.reference_.size == 30
    assert aligner.transform(spectra) is spectra


@pytest.mark.shared
def test_the_kidney_needs_no_alignment(shared_data):
    folder = shared_data / "kidney"
    reader = ImzMLReader(folder / "timstof_tdf_kidney_neg_sumIM_19x18.imzML")
    aligner = MassAligner().fit(reader)
    assert aligner.reference_.size >= 80
    assert np.ptp(aligner.reference_) > 1000
    assert not aligner.runs_["aligned"].item()
    assert aligner.transform(reader) is reader
    # The same run with every pixel's m/z off by 8 ppm: it is aligned, to where it was.
    (chunk,) = reader.iter_chunks(max_bytes=10**9)
    moved = Spectra.from_arrays(
        chunk.intensity, chunk.mz * (1 + 8e-6), indptr=chunk.indptr
    )
    corrected = MassAligner(reference=aligner.reference_).fit(moved)
    assert corrected.runs_["aligned"].item()
    assert corrected.runs_["shift_ppm"].item() == pytest.approx(8.0, abs=0.2)


# Arrays ------------------------------------------------------------------------------


def test_arrays_are_aligned_in_points():
    X, shift = waves()
    aligner = MassAligner(tolerance=8.0).fit(X)
    found = aligner.report_["shift_points"].to_numpy()
    assert np.abs(found - np.median(found) - (shift - np.median(shift))).max() < 0.1
    result = aligner.transform(X)
    np.testing.assert_allclose(result.sum(1), X.sum(1), rtol=1e-12)
    assert result.std(0).mean() < 0.1 * X.std(0).mean()
    single = MassAligner(tolerance=8.0).fit_transform(X.astype(np.float32))
    assert single.dtype == np.float32
    frame = pd.DataFrame(X, index=np.arange(len(X)) + 7)
    frame.columns = [f"mz_{i}" for i in range(X.shape[1])]
    framed = MassAligner(tolerance=8.0, n_jobs=2).fit_transform(frame)
    pd.testing.assert_index_equal(framed.index, frame.index)
    np.testing.assert_array_equal(framed.to_numpy(), result)
    spectra = Spectra.from_arrays(X, mz=500 + 0.01 * np.arange(3000))
    with pytest.raises(ValueError, match="was fitted on an array and got Spectra"):
        aligner.transform(spectra)


def test_copies_pickle_and_output():
    spectra = Spectra.from_arrays(simulate(*drawn(12)), MZ)
    aligner = clone(MassAligner(reference=PEAKS)).fit(spectra)
    again = pickle.loads(pickle.dumps(aligner)).transform(spectra)
    assert again.fingerprint == aligner.transform(spectra).fingerprint
    assert again.fingerprint != spectra.fingerprint
    with config_context(transform_output="pandas"):
        assert isinstance(aligner.transform(spectra), Spectra)


@pytest.mark.parametrize("kind", ["ragged", "shared"])
def test_spectra_in_other_namespaces(kind):
    spectra = spectra_of(simulate(*drawn(6)).astype(np.float64), kind)
    aligner = MassAligner(reference=PEAKS).fit(spectra)
    host = aligner.transform(spectra)
    moved = aligner.transform(spectra.to(array_api_strict))
    for one, other in zip(host.iter_chunks(), moved.iter_chunks(), strict=True):
        np.testing.assert_allclose(np.asarray(other.mz), one.mz, rtol=1e-11)
        np.testing.assert_allclose(
            np.asarray(other.intensity), one.intensity, atol=1e-5
        )
    assert isinstance(host.queue[0], AlignSpectra)


@pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)
@pytest.mark.parametrize("sample", [1000, 10])
def test_arrays_in_other_namespaces_array_api(sample, monkeypatch):
    # Runs are learned from all rows, or from some.
    monkeypatch.setattr(_align_learning, "SAMPLE", sample)
    monkeypatch.setattr(_align_learning, "LEAST_SAMPLE", sample)
    X, _ = waves(12)
    host = MassAligner(tolerance=8.0).fit(X)
    with config_context(array_api_dispatch=True):
        strict = array_api_strict.asarray(X)
        aligner = MassAligner(tolerance=8.0).fit(strict)
        result = aligner.transform(strict)
        with pytest.raises(ValueError, match="must use the same namespace"):
            aligner.transform(X)
    assert "array_api_strict" in type(aligner.reference_).__module__
    np.testing.assert_allclose(np.asarray(result), host.transform(X), atol=1e-3)
