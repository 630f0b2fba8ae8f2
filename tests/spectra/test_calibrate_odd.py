"""Calibration of odd input and of arrays, and its parts by themselves."""

import os
import pickle

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone

from imsminer import Spectra
from imsminer.core.windows import cell_edges
from imsminer.spectra._calibrating import CalibrateSpectra
from imsminer.spectra._calibration import measure_list, measure_profile
from imsminer.spectra._kernels import calibrate_numba, calibrate_xp
from imsminer.spectra._polynomial import REACH, fit_polynomial, leave_one_out
from imsminer.spectra.calibrate import MassCalibrator
from tests.spectra.miscalibrated import (
    MASSES,
    MZ,
    bend,
    drifting,
    ragged,
    simulate,
    spectra_of,
)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"reference_mz": None}, "reference_mz is needed"),
        ({"reference_mz": []}, "reference_mz is empty"),
        ({"reference_mz": [500.0, np.inf]}, "must be finite"),
        ({"reference_mz": [500.0, -1.0]}, "must be positive; got -1"),
        ({"reference_mz": MASSES, "degree": 6}, "'degree' parameter"),
        ({"reference_mz": MASSES, "tolerance": 0}, "'tolerance' parameter"),
        ({"reference_mz": MASSES, "per": "plate"}, "'per' parameter"),
    ],
)
def test_wrong_parameters(wrong, message):
    with pytest.raises(ValueError, match=message):
        MassCalibrator(**wrong).fit(ragged(simulate(bend, 2)))


@pytest.mark.parametrize("kind", ["ragged", "shared"])
def test_too_few_references(kind):
    spectra = spectra_of(simulate(bend, 3), kind)
    message = r"2 of 2 reference masses were found within tolerance=30 ppm in run 'run'"
    with pytest.raises(ValueError, match=message):
        MassCalibrator(MASSES[:2], degree=2, tolerance=30).fit(spectra)
    message = r"0 of 30 .* within tolerance=5 ppm .* 5451.3 to 5988.8.* Raise the tol"
    with pytest.raises(ValueError, match=message):
        MassCalibrator(MASSES + 5000, tolerance=5).fit(spectra)
    # Exactly enough: nothing to judge it by, but an answer.
    exact = MassCalibrator(MASSES[[2, 15, 27]], degree=2, tolerance=30).fit(spectra)
    assert exact.report_["loo_ppm"].isna().all()
    assert exact.report_["after_ppm"].abs().max() < 1e-6
    assert exact.runs_["calibrated"].item()


def test_nothing_to_find():
    for blank in (
        Spectra.from_arrays(np.zeros((3, 50)), 500 + np.arange(50.0)),
        Spectra.from_arrays(np.full((3, 50), 7.0), 500 + np.arange(50.0)),
        Spectra.from_arrays(np.ones((3, 1)), [500.0]),
    ):
        with pytest.raises(ValueError, match="0 of 2 reference masses"):
            MassCalibrator([510.0, 520.0]).fit(blank)


def test_negative_intensities_are_no_obstacle():
    X = simulate(bend, 6) - 1.0
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=30, per="pixel")
    calibrator.fit(Spectra.from_arrays(X, MZ))
    assert np.abs(calibrator.mass_error(MASSES) - bend(MASSES)).max() < 0.6
    (chunk,) = calibrator.transform(Spectra.from_arrays(X, MZ)).iter_chunks(10**9)
    assert np.isfinite(chunk.intensity).all()
    np.testing.assert_allclose(chunk.intensity.sum(1), X.sum(1), rtol=1e-3)


def test_harm_is_refused_with_a_warning():
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"mz": MASSES[:7] * (1 + 1e-6 * rng.uniform(-1, 1, 7))})
    calibrator = MassCalibrator(MASSES[:7], degree=4)
    with pytest.warns(
        UserWarning, match="run '' is left as it is, because calibration"
    ):
        calibrator.fit(table)
    assert not calibrator.runs_["calibrated"].item()
    np.testing.assert_array_equal(calibrator.transform(table)["mz"], table["mz"])
    spectra = ragged(simulate(bend, 2))
    assert calibrator.transform(spectra) is spectra
    forced = MassCalibrator(MASSES[:7], degree=4, guard=False).fit(table)
    assert forced.runs_["calibrated"].item()


def test_centroids():
    rng = np.random.default_rng(0)
    places = MASSES * (1 + 1e-6 * (bend(MASSES) + rng.normal(0, 1.0, (40, 30))))
    spectra = Spectra.from_arrays(
        rng.gamma(2.0, 50.0, places.size),
        places.ravel(),
        indptr=np.arange(0, places.size + 1, 30),
        profile=False,
    )
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=40).fit(spectra)
    assert np.abs(calibrator.mass_error(MASSES) - bend(MASSES)).max() < 0.5
    # Centroids on a common list.
    listed = MASSES * (1 + 1e-6 * bend(MASSES))
    common = Spectra.from_arrays(rng.gamma(2, 5, (9, 30)), listed, profile=False)
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=40).fit(common)
    np.testing.assert_allclose(calibrator.transform(common).mz, MASSES, rtol=1e-8)


def waves(n=20, shift=1.5):
    x = np.arange(3000.0)
    places = np.arange(50.0, 2950.0, 100.0)
    error = shift + 1.0 * (places - 1500) / 1500
    row = np.exp(-0.5 * ((x - (places + error)[:, None]) / 4) ** 2).sum(0)
    return np.outer(np.random.default_rng(0).gamma(4, 25, n), row), places


@pytest.mark.parametrize("per", ["run", "pixel"])
def test_arrays_are_calibrated_in_points(per):
    X, places = waves()
    calibrator = MassCalibrator(places, tolerance=8.0, per=per).fit(X)
    assert calibrator.runs_["before_points"].item() == pytest.approx(1.5, abs=0.1)
    result = calibrator.transform(X)
    np.testing.assert_allclose(result.sum(1), X.sum(1), rtol=1e-12)
    again = MassCalibrator(places, tolerance=8.0, guard=False).fit(result)
    assert again.report_["before_points"].abs().max() < 0.02
    single = calibrator.transform(X.astype(np.float32))
    assert single.dtype == np.float32
    frame = pd.DataFrame(X, index=np.arange(len(X)) + 7)
    frame.columns = [f"mz_{i}" for i in range(X.shape[1])]
    framed = MassCalibrator(places, tolerance=8.0, per=per, n_jobs=2)
    framed = framed.fit_transform(frame)
    pd.testing.assert_index_equal(framed.index, frame.index)
    # A frame's memory has another order; far flanks feel the rounding most.
    np.testing.assert_allclose(framed.to_numpy(), result, rtol=1e-12, atol=1e-18)
    with pytest.raises(ValueError, match="was fitted on an array and got Spectra"):
        calibrator.transform(Spectra.from_arrays(X, 500 + 0.01 * np.arange(3000)))


def test_an_array_without_references_stays():
    X, _ = waves(3)
    with pytest.warns(UserWarning, match=r"0 of 2 .* The array stays as it is"):
        calibrator = MassCalibrator([1e4, 2e4]).fit(X)
    np.testing.assert_array_equal(calibrator.transform(X), X)
    assert not calibrator.runs_["calibrated"].item()


def test_copies_pickle_and_output():
    spectra = Spectra.from_arrays(simulate(bend, 4), MZ)
    calibrator = clone(MassCalibrator(MASSES, tolerance=30)).fit(spectra)
    again = pickle.loads(pickle.dumps(calibrator)).transform(spectra)
    assert again.fingerprint == calibrator.transform(spectra).fingerprint
    assert again.fingerprint != spectra.fingerprint
    assert isinstance(again.queue[0], CalibrateSpectra)
    with config_context(transform_output="pandas"):
        assert isinstance(calibrator.transform(spectra), Spectra)


@pytest.mark.parametrize("ppm", [True, False])
def test_resampling_agrees_with_the_reference(ppm):
    rng = np.random.default_rng(0)
    X = rng.gamma(0.3, 1, (8, 500))
    edges = cell_edges(400 * 1.000003 ** np.arange(500.0))
    c = rng.normal(0, 5, (8, 4)) * (1.0 if ppm else 4e-4)
    c[2] = 0
    place = (edges.mean(), 0.2, REACH)
    ours = np.empty_like(X)
    calibrate_numba.resample_rows(X, edges, c, *place, ppm, ours)
    expected = calibrate_xp.resample_rows(X, edges, c, *place, ppm)
    np.testing.assert_allclose(ours, expected, atol=1e-9)
    np.testing.assert_array_equal(ours[2], X[2])
    np.testing.assert_allclose(ours.sum(1), X.sum(1), rtol=1e-12)


@pytest.mark.parametrize("per", ["run", "pixel"])
@pytest.mark.parametrize("kind", ["ragged", "shared"])
def test_spectra_in_other_namespaces(kind, per):
    spectra = spectra_of(drifting(6)[0].astype(np.float64), kind)
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=40, per=per).fit(spectra)
    host = calibrator.transform(spectra)
    moved = calibrator.transform(spectra.to(array_api_strict))
    for one, other in zip(host.iter_chunks(), moved.iter_chunks(), strict=True):
        np.testing.assert_allclose(np.asarray(other.mz), one.mz, rtol=1e-11)
        np.testing.assert_allclose(
            np.asarray(other.intensity), one.intensity, atol=1e-5
        )


@pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)
def test_arrays_in_other_namespaces_array_api():
    X, places = waves(6)
    host = MassCalibrator(places, tolerance=8.0).fit(X)
    with config_context(array_api_dispatch=True):
        strict = array_api_strict.asarray(X)
        calibrator = MassCalibrator(places, tolerance=8.0).fit(strict)
        result = calibrator.transform(strict)
        with pytest.raises(ValueError, match="must use the same namespace"):
            calibrator.transform(X)
    np.testing.assert_allclose(np.asarray(result), host.transform(X), atol=1e-6)


def test_polynomials():
    rng = np.random.default_rng(0)
    u = np.sort(rng.uniform(-1, 1, 40))
    true = np.array([3.0, -8.0, 4.0])
    errors = np.polynomial.polynomial.polyval(u, true) + rng.normal(0, 0.2, 40)
    clean = fit_polynomial(u, errors, 2, 20.0)
    expected = np.polynomial.polynomial.polyfit(u, errors, 2)
    np.testing.assert_allclose(clean.coefficients, expected, atol=0.1)
    assert clean.used.all()
    # Two of five wrong, all to one side.
    errors[::5] += 15
    errors[1::5] += 11
    robust = fit_polynomial(u, errors, 2, 20.0)
    np.testing.assert_allclose(robust.coefficients, true, atol=0.4)
    np.testing.assert_array_equal(robust.used, np.arange(40) % 5 > 1)
    assert 0.1 < robust.scale < 0.5
    loo = leave_one_out(u, errors, 2, 20.0)
    assert np.median(np.abs(loo[robust.used])) < 0.3
    assert np.abs(loo[::5] - 15).max() < 1.5


def test_leaving_one_out_agrees_with_the_hat_matrix():
    rng = np.random.default_rng(0)
    u = np.linspace(-1, 1, 20)
    errors = 2 + u + rng.uniform(-1, 1, 20)  # no outliers: weights stay near 1
    design = np.vander(u, 2, increasing=True)
    hat = design @ np.linalg.solve(design.T @ design, design.T)
    expected = (errors - hat @ errors) / (1 - np.diag(hat))
    np.testing.assert_allclose(leave_one_out(u, errors, 1, 20.0), expected, atol=0.15)


def test_one_place_only():
    fit = fit_polynomial(np.zeros(5), np.array([1.0, 1.0, 2.0, 1.0, 9.0]), 1, 20.0)
    assert fit(np.zeros(1)).item() == pytest.approx(1.0, abs=0.2)


def test_measuring():
    mz = np.arange(500, 501, 0.002)
    shapes = {500.2: 100.0, 500.5: 40.0, 500.515: 3000.0, 500.8: 0.0}
    mean = sum(
        top * np.exp(-0.5 * ((mz - at) / 0.003) ** 2) for at, top in shapes.items()
    )
    reference = np.array([500.201, 500.8, 500.499])
    found = measure_profile(mz, mean, reference, 0.02 + 0 * reference)
    assert found.place[0] == pytest.approx(500.2, abs=1e-4)
    assert np.isnan(found.place[1])
    assert found.height[1] == 0
    # A ripple beside a peak of 75 times its height does not count.
    assert found.place[2] == pytest.approx(500.515, abs=1e-3)
    listed = measure_list(
        np.array([3.0, 1.0, 2.0]), np.array([9.0, 7.0, 8.0]), np.array([1.1, 2.6]), 0.3
    )
    assert listed.place[0] == 1.0
    assert listed.height[0] == 7.0
    assert np.isnan(listed.place[1])
