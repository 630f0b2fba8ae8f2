"""Parameters that do not fit the spectra: too wide, matching nothing, or outside."""

import re
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from imsminer import (
    BaselineSubtractor,
    CentroidSpectra,
    MassAligner,
    MassCalibrator,
    PeakIntegrator,
    PeakPicker,
    ReferenceNormalizer,
    SpectrumSmoother,
    TICNormalizer,
    TrimmedTICNormalizer,
)
from imsminer.core.cache import cache
from tests.spectra.odd import LANDMARKS, MZ, good, intensities, spectra_of

forms = pytest.mark.parametrize("form", ["shared", "ragged"])


def run(step, spectra, said=None):
    """Return the fitted step and its result, after the one warning it should give."""
    cache.clear()
    step = clone(step)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = step.fit(spectra).transform(spectra)
        assert np.isfinite(intensities(result)).all()
    messages = [str(w.message) for w in caught]
    if said is None:
        assert not messages
    else:
        assert any(re.search(said, message) for message in messages), messages
    return step, result


def dense(result):
    return np.array([np.asarray(y) for _, y in result])


# Windows wider than the spectrum ------------------------------------------------------

SHORT = MZ[:3]
FEW = np.array([[1.0, 5.0, 2.0], [0.0, 0.0, 0.0]])


@forms
@pytest.mark.parametrize(
    "parameters",
    [
        {"method": name, "half_window": 10_000}
        for name in ("snip", "tophat", "median", "local_minima", "polynomial", "noise")
    ]
    + [
        {"half_window": 1e7, "unit": "ppm"},
        {"method": "tophat", "half_window": 1e7, "unit": "ppm"},
        {"method": "pybaselines:snip", "half_window": 10_000},
    ],
)
def test_baselines_of_wide_windows(parameters, form):
    step = BaselineSubtractor(**parameters)
    for X, mz in ((good(), MZ), (FEW, SHORT)):
        if parameters.get("method", "").startswith("pybaselines") and mz is SHORT:
            continue
        found = dense(run(step, spectra_of(X, form, mz=mz))[1])
        assert found.min() >= 0
        assert np.all(found <= X + 1e-9)
        if mz is SHORT:
            np.testing.assert_array_equal(found[1], 0)


@forms
@pytest.mark.parametrize("method", ["snip", "tophat"])
def test_beyond_the_whole_spectrum_no_window_is_wider(method, form):
    spectra = spectra_of(good(), form)
    wide, widest = (
        BaselineSubtractor(method=method, half_window=half, level="lower")
        for half in (400, 10_000)
    )
    found = dense(run(widest, spectra)[1])
    np.testing.assert_allclose(found, dense(run(wide, spectra)[1]), atol=1e-9)
    if method == "tophat":
        expected = good() - good().min(axis=1, keepdims=True)
        np.testing.assert_allclose(found, expected, atol=1e-9)


@forms
@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"method": "savgol", "width": 10_001}, "10001 points is a window of 10001"),
        ({"method": "moving_average", "width": 10_001}, "10001 points"),
        ({"method": "median", "width": 10_001}, "10001 points"),
        ({"method": "gaussian", "width": 1e4}, "10000 points"),
        ({"width": 1e7, "unit": "ppm"}, r"1e\+07 ppm is a window of 50\d{4} points"),
    ],
)
def test_smoothing_windows_have_a_limit(parameters, found, form):
    message = f"SpectrumSmoother: width={found}.* at most 4001 .* a smaller width"
    step = SpectrumSmoother(**parameters)
    with pytest.raises(ValueError, match=message) as caught:
        run(step, spectra_of(good(), form))
    assert "Smooth: run 'run', pixel x=1, y=1, z=1" in caught.value.__notes__[0]
    if step.unit == "points":
        with pytest.raises(ValueError, match=message):
            step.fit_transform(good())


@forms
@pytest.mark.parametrize("method", ["savgol", "moving_average", "median", "gaussian"])
def test_smoothing_windows_wider_than_the_spectrum(method, form):
    # Beyond the ends the outermost value goes on.
    step = SpectrumSmoother(method=method, width=4001, degree=0)
    found = dense(run(step, spectra_of(FEW, form, mz=SHORT))[1])
    np.testing.assert_array_equal(found[1], 0)
    assert np.all((found[0] >= 1) & (found[0] <= 2))
    if method == "moving_average":
        ends = (2000 - np.arange(3)) * 1.0 + (2000 - np.arange(3)[::-1]) * 2.0
        np.testing.assert_allclose(found[0], (ends + 8.0) / 4001, rtol=1e-12)


@forms
def test_integration_windows_wider_than_the_spectrum(form):
    spectra = spectra_of(good(), form)
    for method in ("sum", "max", "area"):
        step = PeakIntegrator(peaks=[502.0], window="ppm", width=1e7, method=method)
        found = np.ravel(run(step, spectra)[1])
        whole = {
            "sum": good().sum(axis=1),
            "max": good().max(axis=1),
            "area": 0.01 * good().sum(axis=1),
        }[method]
        np.testing.assert_allclose(found, whole, rtol=1e-5)


@forms
def test_normalization_windows_wider_than_the_spectrum(form):
    spectra = spectra_of(good(), form)
    reference = ReferenceNormalizer(mz=502.0, ppm=1e7, scale=1.0)
    total = TICNormalizer(scale=1.0)
    np.testing.assert_allclose(
        dense(run(reference, spectra)[1]), dense(run(total, spectra)[1]), rtol=1e-6
    )
    # All of the spectrum is left out: nothing is left to divide by.
    trimmed = TrimmedTICNormalizer(exclude=[502.0], ppm=1e7)
    fitted, result = run(trimmed, spectra)
    assert fitted.n_blank_ == 6
    assert not dense(result).any()


@forms
def test_one_peak_within_wide_distances(form):
    spectra = spectra_of(good(), form)
    highest = LANDMARKS[np.argmax(good().mean(axis=0)[np.arange(20, 400, 40)])]
    picker, _ = run(PeakPicker(min_points=10_000), spectra)
    assert picker.peaks_["mz"].item() == pytest.approx(highest, rel=1e-6)
    targeted, _ = run(PeakPicker(targets=[502.15], tolerance=1e7), spectra)
    assert targeted.peaks_["mz"].item() == pytest.approx(502.2, rel=1e-6)
    _, result = run(CentroidSpectra(min_points=10_000), spectra)
    assert [mz.size for mz, _ in result] == [1] * 6
    smoothed = PeakPicker(smoothing=1e4)
    assert run(smoothed, spectra, said="no peak is 10 times")[0].peaks_.empty


# Tolerances that match nothing --------------------------------------------------------


@forms
@pytest.mark.parametrize("model", ["shift", "linear", "piecewise"])
def test_alignment_that_matches_nothing_is_the_identity(model, form):
    spectra = spectra_of(good(), form)
    step = MassAligner(reference=LANDMARKS + 0.2, tolerance=1.0, min_matches=5)
    said = r"no pixel has min_matches=5 matches within tolerance=1 .* Raise the tol"
    aligner, result = run(step.set_params(model=model), spectra, said)
    assert result is spectra
    assert not aligner.runs_["aligned"].any()
    # At most a maximum of the noise is near.
    assert (aligner.report_["matches"] < 2).all()
    assert not aligner.report_["accepted"].any()


@forms
def test_a_search_that_matches_nothing_is_the_identity(form):
    spectra = spectra_of(good(), form)
    step = MassAligner(
        reference=LANDMARKS + 0.2, tolerance=1.0, min_matches=5, method="grid"
    )
    said = r"no pixel has min_matches=5 matches within tolerance=1 .* Raise the tol"
    step, result = run(step, spectra, said)
    assert result is spectra
    assert not step.runs_["aligned"].any()
    assert not step.report_["accepted"].any()
    assert (step.report_["shift_ppm"] == 0).all()


@forms
def test_calibration_that_matches_nothing_is_an_error(form):
    message = r"0 of 10 .* within tolerance=1 ppm in run 'run'.* Raise the tolerance"
    with pytest.raises(ValueError, match=message):
        run(MassCalibrator(LANDMARKS + 0.2, tolerance=1.0), spectra_of(good(), form))


def test_a_reference_ion_between_the_points():
    step = ReferenceNormalizer(mz=500.005, ppm=1e-3)
    message = r"within ppm=0\.001 of mz=500\.005; the nearest, at 500.* Raise ppm"
    with pytest.raises(ValueError, match=message):
        run(step, spectra_of(good(), "shared"))
    message = r"none of the 6 pixels .* within 0\.001 ppm .* or a larger ppm"
    with pytest.raises(ValueError, match=message):
        run(step, spectra_of(good(), "ragged"))


@forms
def test_windows_between_the_points(form):
    spectra = spectra_of(good(), form)
    step = PeakIntegrator(peaks=[500.005], window="ppm", width=1e-3, method="sum")
    assert not np.asarray(run(step, spectra)[1]).any()
    # An area is that of the part of the samples' cells inside, not nothing.
    area = np.ravel(run(step.set_params(method="area"), spectra)[1])
    assert np.all(area > 0)
    assert np.all(area < 1.1e-6 * good()[:, :2].max(axis=1))
    excluded = TrimmedTICNormalizer(exclude=[500.005], ppm=1e-3)
    same = run(TrimmedTICNormalizer(), spectra)[0].factors_
    np.testing.assert_allclose(run(excluded, spectra)[0].factors_, same)


@forms
def test_targets_that_are_not_there(form):
    step = PeakPicker(targets=[501.22], tolerance=1e-3)
    picker, _ = run(step, spectra_of(good(), form))
    row = picker.peaks_.iloc[0]
    assert (row["mz"], row["found"]) == (501.22, 0)


# References outside of the mass range -------------------------------------------------


@forms
@pytest.mark.parametrize("reference", [LANDMARKS + 5000, LANDMARKS / 5])
@pytest.mark.parametrize("method", ["landmarks", "grid"])
def test_alignment_to_peaks_outside_is_the_identity(reference, method, form):
    spectra = spectra_of(good(), form)
    step = MassAligner(reference=reference, method=method)
    said = r"0 reference peaks were found.* Give reference= within the mass range"
    assert run(step, spectra, said)[1] is spectra


@forms
def test_calibration_with_masses_outside(form):
    spectra = spectra_of(good(), form)
    with pytest.raises(ValueError, match=r"The references lie from 5500\.2 to 5503\.8"):
        run(MassCalibrator(LANDMARKS + 5000), spectra)
    # One outside among ten others changes nothing.
    some = MassCalibrator([*LANDMARKS, 5000.0], guard=False)
    all_inside = MassCalibrator(LANDMARKS, guard=False)
    np.testing.assert_allclose(
        run(some, spectra)[0].mass_error([502.0]),
        run(all_inside, spectra)[0].mass_error([502.0]),
    )


@forms
@pytest.mark.parametrize(
    ("step", "name"),
    [
        (ReferenceNormalizer(mz=5000.0), "ReferenceNormalizer: mz"),
        (TrimmedTICNormalizer(exclude=[5000.0]), "TrimmedTICNormalizer: exclude"),
    ],
)
def test_normalization_to_ions_outside(step, name, form):
    message = rf"{name} has m/z 5000, outside of the mass range .* Choose one inside"
    with pytest.raises(ValueError, match=message):
        run(step, spectra_of(good(), form))


@forms
@pytest.mark.parametrize("method", ["sum", "max", "area", "mean"])
def test_integration_outside_gives_0(method, form):
    step = PeakIntegrator(
        peaks=[50.0, 499.9, 504.1, 5000.0], window="ppm", width=40.0, method=method
    )
    assert not np.asarray(run(step, spectra_of(good(), form))[1]).any()


@forms
def test_picking_outside(form):
    spectra = spectra_of(good(), form)
    step = PeakPicker(targets=[50.0, 502.2, 5000.0])
    said = r"2 of 3 targets lie outside of the m/z range .* left out: 50\.0000, 5000"
    picker, _ = run(step, spectra, said)
    np.testing.assert_allclose(picker.peaks_["mz"], [502.2], rtol=1e-6)
    with pytest.raises(ValueError, match=r"noise=\(50, 60\) holds 0 bins of the axis"):
        run(PeakPicker(noise=(50.0, 60.0)), spectra)


# Order --------------------------------------------------------------------------------


@forms
def test_the_order_of_references_does_not_matter(form):
    spectra = spectra_of(good(), form)
    turned = LANDMARKS[np.random.default_rng(0).permutation(LANDMARKS.size)]
    one, other = (
        run(MassCalibrator(masses, guard=False), spectra)[0].mass_error([501.0, 503.0])
        for masses in (LANDMARKS, turned)
    )
    np.testing.assert_allclose(one, other, rtol=1e-9)
    one, other = (
        run(PeakPicker(targets=masses), spectra)[0].peaks_
        for masses in (LANDMARKS, turned)
    )
    np.testing.assert_array_equal(one, other)
    one, other = (
        MassAligner(reference=masses, min_matches=5, guard=False).fit(spectra).report_
        for masses in (LANDMARKS, turned)
    )
    np.testing.assert_allclose(one["shift_ppm"], other["shift_ppm"])
    one, other = (
        run(PeakIntegrator(peaks=masses, window="ppm", width=40.0), spectra)[1]
        for masses in (LANDMARKS, turned)
    )
    np.testing.assert_array_equal(one, other[one.columns])
