"""Calibration: simulated mass errors vanish, and known lipids are where they belong."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import ImzMLReader, PeakPicker, Spectra, concatenate
from imsminer.core.engine import row_statistics
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

MONOISOTOPIC = {
    "C": 12.0,
    "H": 1.00782503223,
    "N": 14.00307400443,
    "O": 15.99491461957,
    "P": 30.97376199842,
    "S": 31.9720711744,
}
ELECTRON = 0.000548579909065
#: Abundant lipids of kidney that ionise as [M−H]⁻, as neutral molecules.
LIPIDS = {
    "LPE 18:0": "C23H48NO7P",
    "LPE 20:4": "C25H44NO7P",
    "LPS 18:0": "C24H48NO9P",
    "LPI 18:0": "C27H53O12P",
    "PA 34:1": "C37H71O8P",
    "PA 36:2": "C39H73O8P",
    "PA 36:1": "C39H75O8P",
    "PE 34:1": "C39H76NO8P",
    "PE 36:4": "C41H74NO8P",
    "PE 36:2": "C41H78NO8P",
    "PE 36:1": "C41H80NO8P",
    "PE 38:4": "C43H78NO8P",
    "PG 34:1": "C40H77O10P",
    "PS 36:1": "C42H80NO10P",
    "PS 38:4": "C44H78NO10P",
    "PI 34:1": "C43H81O13P",
    "PI 36:4": "C45H79O13P",
    "PI 36:2": "C45H83O13P",
    "PI 38:4": "C47H83O13P",
    "SHexCer 40:1": "C46H89NO11S",
    "SHexCer 42:1": "C48H93NO11S",
    "SHexCer 42:1;O": "C48H93NO12S",
}


def deprotonated(formula):
    """m/z of [M−H]⁻: a hydrogen atom less, an electron more."""
    parts = re.findall(r"([A-Z])(\d*)", formula)
    mass = sum(MONOISOTOPIC[atom] * int(number or 1) for atom, number in parts)
    return mass - MONOISOTOPIC["H"] + ELECTRON


LIPID_MZ = np.array([deprotonated(formula) for formula in LIPIDS.values()])


# The checks' few columns hold none of the references: warned of, and the identity.
@pytest.mark.filterwarnings("ignore:MassCalibrator:UserWarning")
@parametrize_with_checks(
    [MassCalibrator([1.0, 3.0]), MassCalibrator([2.0], degree=0, per="pixel")]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


# Against truth ---------------------------------------------------------


@pytest.mark.parametrize("kind", ["ragged", "shared"])
def test_an_error_of_second_degree_goes_below_1_ppm(kind):
    assert np.abs(bend(MASSES)).max() > 19
    spectra = spectra_of(simulate(bend), kind)
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=30).fit(spectra)
    at = np.linspace(445, 995, 200)
    measured = at * (1 + 1e-6 * bend(at))
    assert np.abs(calibrator.mass_error(measured) - bend(at)).max() < 0.5
    again = MassCalibrator(MASSES, degree=2, guard=False, tolerance=30)
    report = again.fit(calibrator.transform(spectra)).report_
    assert report["before_ppm"].abs().max() < 1.0
    assert report["used"].all()
    run = calibrator.runs_.loc["run"]
    assert run["calibrated"]
    assert run["n_used"] == 30
    assert run["loo_ppm"] < 0.3 < 3 < run["before_ppm"]


def test_a_degree_too_low_leaves_the_bend():
    spectra = ragged(simulate(bend))
    loo = [
        MassCalibrator(MASSES, degree=degree, tolerance=30)
        .fit(spectra)
        .runs_["loo_ppm"]
        for degree in (0, 1, 2)
    ]
    assert loo[0].item() > 3 * loo[1].item() > 9 * loo[2].item()


def test_ppm_error_is_relative_to_theory():
    table = pd.DataFrame({"mz": [500.005, 1000.0]})
    calibrator = MassCalibrator([500.0, 1000.0], degree=0).fit(table)
    before = calibrator.report_["before_ppm"]
    assert before[0] == pytest.approx(10.0, abs=1e-9)
    assert before[1] == 0.0


def test_wrong_references_are_outliers():
    rng = np.random.default_rng(1)
    spectra = ragged(simulate(bend))
    wrong = MASSES * (1 + 1e-6 * rng.choice([-14, 12], MASSES.size))
    masses = np.where(np.arange(30) % 5 == 2, wrong, MASSES)
    calibrator = MassCalibrator(masses, degree=2, tolerance=40).fit(spectra)
    used = calibrator.report_.set_index("reference_mz")["used"]
    assert not used[wrong[2::5]].any()
    assert used.sum() == 24
    measured = MASSES * (1 + 1e-6 * bend(MASSES))
    assert np.abs(calibrator.mass_error(measured) - bend(MASSES)).max() < 1.0


def test_the_nearest_peak_counts():
    def none(mz):
        return 0 * mz

    # Neighbours 90 ppm away, up to 30 times as high.
    spectra = ragged(simulate(none, extra=MASSES * (1 + 90e-6), seed=3))
    report = MassCalibrator(MASSES, tolerance=120).fit(spectra).report_
    assert report["before_ppm"].abs().max() < 3.0


def test_references_that_are_absent():
    spectra = ragged(simulate(bend))
    between = MASSES[:-1] + 0.4 * np.diff(MASSES)
    both = np.concatenate([MASSES, between, [100.0, 5000.0]])
    calibrator = MassCalibrator(both, degree=2, tolerance=30).fit(spectra)
    report = calibrator.report_.set_index("reference_mz")
    assert report.loc[MASSES, "used"].all()
    assert (report["height"] > 0).sum() == 30
    assert report.loc[between, "measured_mz"].isna().all()
    assert report.loc[[100.0, 5000.0], "before_ppm"].isna().all()


@pytest.mark.shared
def test_kidney_lipids(shared_data):
    folder = shared_data / "kidney"
    reader = ImzMLReader(folder / "timstof_tdf_kidney_neg_sumIM_19x18.imzML")
    assert LIPID_MZ[18] == pytest.approx(885.5499, abs=5e-5)
    calibrator = MassCalibrator(LIPID_MZ).fit(reader)
    run = calibrator.runs_.iloc[0]
    assert run["calibrated"]
    assert run["n_found"] == 22
    assert run["n_used"] >= 20
    assert run["loo_ppm"] <= 0.5
    assert run["loo_p90_ppm"] <= 1.5
    assert run["loo_ppm"] < run["before_ppm"]
    assert run["loo_p90_ppm"] < run["before_p90_ppm"]
    # What comes out is measured again.
    again = MassCalibrator(LIPID_MZ, guard=False)
    again = again.fit(calibrator.transform(reader)).runs_.iloc[0]
    assert again["before_ppm"] < 0.5 < run["before_ppm"]
    assert again["before_p90_ppm"] < 1.5


def test_the_packaged_kidney_needs_no_line(kidney_path):
    reader = ImzMLReader(kidney_path)
    calibrator = MassCalibrator(LIPID_MZ, tolerance=10)
    with pytest.warns(
        UserWarning, match=r"left-out references from 0\.\d+ to 0\.\d+ ppm"
    ):
        calibrator.fit(reader)
    assert calibrator.runs_["n_found"].item() >= 15
    assert calibrator.transform(reader) is reader


# What transform does ---------------------------------------------------------


def test_ragged_spectra_get_new_mz_and_keep_intensities():
    spectra = ragged(simulate(bend))
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=30).fit(spectra)
    result = calibrator.transform(spectra)
    for before, after in zip(spectra, result, strict=True):
        np.testing.assert_array_equal(before.intensity, after.intensity)
        assert np.all(np.diff(after.mz) > 0)
        expected = before.mz / (1 + 1e-6 * calibrator.mass_error(before.mz))
        np.testing.assert_allclose(after.mz, expected, rtol=1e-14)


def test_the_axis_of_a_single_run_is_corrected():
    X = simulate(bend)
    spectra = Spectra.from_arrays(X, MZ)
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=30).fit(spectra)
    result = calibrator.transform(spectra)
    expected = MZ / (1 + 1e-6 * calibrator.mass_error(MZ))
    np.testing.assert_allclose(result.mz, expected, rtol=1e-14)
    (chunk,) = result.iter_chunks(max_bytes=10**9)
    np.testing.assert_array_equal(chunk.mz, result.mz)
    np.testing.assert_array_equal(chunk.intensity, X)


def test_runs_on_one_axis_are_resampled_onto_it():
    def shift(ppm):
        return lambda mz: ppm + 0 * mz

    one = Spectra.from_arrays(simulate(shift(8.0)), MZ, run="one")
    two = Spectra.from_arrays(simulate(shift(-8.0), seed=2), MZ, run="two")
    study = concatenate([one, two])
    calibrator = MassCalibrator(MASSES).fit(study)
    result = calibrator.transform(study)
    np.testing.assert_array_equal(result.mz, MZ)
    np.testing.assert_allclose(
        row_statistics(result).total, row_statistics(study).total, rtol=1e-6
    )
    report = MassCalibrator(MASSES, guard=False).fit(result).report_
    assert report["before_ppm"].abs().median() < 0.3
    assert report["before_ppm"].abs().max() < 1.0
    assert calibrator.mass_error([700.0], "one").item() == pytest.approx(8, abs=0.3)
    assert calibrator.mass_error([700.0], "two").item() == pytest.approx(-8, abs=0.3)
    # A run that fit did not see gets the mean.
    unseen = Spectra.from_arrays(simulate(shift(0.0), seed=3), MZ, run="unseen")
    moved = calibrator.transform(unseen)
    assert np.abs(1e6 * (moved.mz / MZ - 1)).max() < 0.5


def test_beyond_the_references_the_error_ends():
    spectra = ragged(simulate(bend))
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=30).fit(spectra)
    span = np.ptp(MASSES)
    far = np.array([MASSES[-1] + 0.26 * span, 2000.0, 9000.0])
    assert np.ptp(calibrator.mass_error(far)) < 1e-9
    near = np.array([MASSES[0] - 0.2 * span])
    np.testing.assert_allclose(calibrator.mass_error(near), bend(near), atol=3)


def test_peak_tables():
    spectra = ragged(simulate(bend))
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=30).fit(spectra)
    measured = MASSES * (1 + 1e-6 * bend(MASSES))
    table = pd.DataFrame(
        {"mz": measured, "left": measured - 0.02, "right": measured + 0.02, "snr": 9.0},
        index=np.arange(30) + 5,
    )
    before = table.copy()
    for moved in (calibrator.transform_peaks(table), calibrator.transform(table)):
        assert np.abs(1e6 * (moved["mz"] / MASSES - 1)).max() < 0.5
        np.testing.assert_allclose(moved["right"] - moved["left"], 0.04, rtol=1e-4)
        pd.testing.assert_index_equal(moved.index, table.index)
        assert (moved["snr"] == 9.0).all()
    pd.testing.assert_frame_equal(table, before)
    # A table teaches as much as spectra do.
    other = MassCalibrator(MASSES, degree=2, tolerance=30).fit(table)
    at = np.linspace(460, 980, 20)
    np.testing.assert_allclose(other.mass_error(at), bend(at), atol=0.01)
    result = other.transform(spectra)
    assert np.abs(result[0].mz - calibrator.transform(spectra)[0].mz).max() < 1e-3
    with pytest.raises(ValueError, match="column 'mz'"):
        calibrator.transform_peaks(pd.DataFrame({"m": [1.0]}))
    with pytest.raises(ValueError, match="not fitted on run 'else'"):
        calibrator.transform_peaks(table, run="else")
    with pytest.raises(ValueError, match="not fitted on run 'b'"):
        calibrator.transform_peaks(table.assign(run="b"))
    same = calibrator.transform_peaks(table.assign(run="run"))
    np.testing.assert_array_equal(same["mz"], moved["mz"])


def test_attached_peaks_move_along():
    spectra = PeakPicker().fit_transform(ragged(simulate(bend)))
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=30).fit(spectra)
    peaks = calibrator.transform(spectra).peaks
    nearest = np.abs(peaks["mz"].to_numpy()[:, None] / MASSES - 1).min(0)
    assert nearest.max() < 1e-6
    raw = np.abs(spectra.peaks["mz"].to_numpy()[:, None] / MASSES - 1).min(0)
    assert raw.max() > 15e-6


# Pixels ---------------------------------------------------------


def test_pixels_have_lines_of_their_own():
    X, shift = drifting()
    spectra = ragged(X)
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=40, per="pixel")
    calibrator.fit(spectra)
    pixels = calibrator.pixels_
    assert pixels["accepted"].all()
    assert (pixels["matches"] > 20).all()
    middle = calibrator.mass_error([720.0]).item() - bend(720.0)
    found = pixels["shift_ppm"] + middle
    assert np.abs(found - shift).median() < 0.3
    result = calibrator.transform(spectra)
    again = MassCalibrator(MASSES, degree=2, tolerance=40, per="pixel", guard=False)
    again.fit(result)
    assert again.pixels_["shift_ppm"].std() < 0.2 * pixels["shift_ppm"].std()
    run = MassCalibrator(MASSES, degree=2, tolerance=40).fit(spectra)
    assert run.pixels_ is None
    pd.testing.assert_frame_equal(
        calibrator.pixel_report(spectra[4:9]),
        pixels.iloc[4:9].reset_index(drop=True),
    )


def test_pixels_that_do_not_differ_follow_their_run():
    spectra = ragged(simulate(bend, 30))
    calibrator = MassCalibrator(MASSES, degree=2, tolerance=30, per="pixel")
    calibrator.fit(spectra)
    assert calibrator.pixels_["shift_ppm"].abs().max() < 0.2


def test_a_single_lock_mass():
    X, shift = drifting(counts=3000)
    lock = MASSES[14]
    spectra = ragged(X)
    calibrator = MassCalibrator([lock], degree=0, tolerance=40, per="pixel")
    result = calibrator.fit_transform(spectra)
    found = calibrator.mass_error([lock]).item() + calibrator.pixels_["shift_ppm"]
    np.testing.assert_allclose(found, bend(lock) + shift, atol=1.5)
    again = MassCalibrator([lock], degree=0, tolerance=40, per="pixel", guard=False)
    again.fit(result)
    rest = again.mass_error([lock]).item() + again.pixels_["shift_ppm"]
    assert rest.abs().max() < 0.6
    assert np.isnan(calibrator.runs_["loo_ppm"].item())


def test_empty_pixels_follow_their_run():
    X, _ = drifting(12)
    X[3] = 0
    spectra = ragged(X)
    calibrator = MassCalibrator(MASSES, tolerance=40, per="pixel").fit(spectra)
    assert not calibrator.pixels_["accepted"][3]
    assert calibrator.pixels_["matches"][3] == 0
    assert calibrator.pixels_["shift_ppm"][3] == 0
    assert len(calibrator.transform(spectra)[3].mz) == 0


@pytest.mark.parametrize("per", ["run", "pixel"])
@pytest.mark.parametrize("kind", ["ragged", "shared"])
def test_chunks_jobs_and_order_do_not_matter(kind, per):
    spectra = spectra_of(drifting(16)[0], kind)
    make = {"reference_mz": MASSES, "degree": 2, "tolerance": 40, "per": per}
    calibrator = MassCalibrator(**make).fit(spectra)
    order = np.random.default_rng(0).permutation(16)
    other = MassCalibrator(**make, n_jobs=2).fit(spectra[order])
    pd.testing.assert_frame_equal(calibrator.report_, other.report_)
    result, turned = calibrator.transform(spectra), other.transform(spectra[order])
    small = [
        chunk.spectrum(i)
        for chunk in turned.iter_chunks(max_bytes=1)
        for i in range(chunk.n_spectra)
    ]
    for position, row in enumerate(order):
        np.testing.assert_allclose(small[position][0], result[row].mz, rtol=1e-12)
        np.testing.assert_allclose(
            small[position][1], result[row].intensity, atol=1e-4, rtol=1e-5
        )
