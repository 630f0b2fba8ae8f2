"""Bent lines, the search over a grid, and reference peaks from elsewhere."""

import warnings

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import MassAligner, PeakPicker, Spectra
from imsminer.spectra._align_learning import match_values
from imsminer.spectra._kernels import (
    align_grid_numba,
    align_grid_xp,
    align_numba,
    align_warp_xp,
    align_xp,
)
from imsminer.spectra._massmodel import MassModel
from tests.spectra.shifted import (
    CENTRE,
    HALF,
    MZ,
    PEAKS,
    R,
    drawn,
    lines,
    ragged,
    simulate,
    spectra_of,
    waves,
)


@pytest.mark.filterwarnings("ignore:MassAligner:UserWarning")
@parametrize_with_checks(
    [MassAligner(model="piecewise"), MassAligner(method="grid", min_matches=2)]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def wavy(n=30, sd=4.0, bend=5.0, seed=2):
    """Spectra whose error has a bend that no line follows; and that error."""
    rng = np.random.default_rng(seed)
    shift, height = rng.normal(0, sd, n), rng.normal(0, bend, n)

    def error(mz):
        u = (mz - CENTRE) / HALF
        return shift[:, None] + height[:, None] * (1 - 2 * np.abs(u))

    X = np.zeros((n, MZ.size))
    top = 60 + rng.gamma(1.0, 400.0, PEAKS.size)
    places = PEAKS * (1 + 1e-6 * error(PEAKS))
    for row, at in zip(X, places, strict=True):
        for place, high in zip(at, top, strict=True):
            width = place / R / 2.3548
            near = slice(*np.searchsorted(MZ, [place - 6 * width, place + 6 * width]))
            row[near] += high * np.exp(-0.5 * ((MZ[near] - place) / width) ** 2)
    return rng.poisson(X + 0.02).astype(np.float32), error


@pytest.mark.parametrize("kind", ["ragged", "shared"])
@pytest.mark.parametrize("model", ["linear", "piecewise"])
def test_a_quarter_of_a_peak_width(kind, model):
    """Shifts of sd FWHM / 4, stretched by as much: within 0.02 FWHM of the truth."""
    fwhm = 1e6 / R
    shift, stretch = drawn(40, fwhm / 4, fwhm / 4, seed=5)
    X = simulate(shift, stretch, seed=5)
    X[[3, 11]] = 0
    X[17, MZ > 560] = 0  # some peaks, at one end
    spectra = spectra_of(X, kind)
    aligner = MassAligner(reference=PEAKS, tolerance=80, model=model).fit(spectra)
    fitted = aligner._kernel.model
    found = match_values(spectra, fitted, None)
    theta, good, _ = fitted.fit_lines(found, fitted.prior[0], fitted.precision[0])
    at = np.linspace(520, 980, 24)
    lines_ = theta @ fitted.design((at - fitted.centre) / fitted.half).T
    true = shift[:, None] + stretch[:, None] * (at - CENTRE) / HALF
    error = np.abs(lines_ - true).mean(axis=1) / fwhm
    assert np.median(error[good]) <= 0.02
    # Pixels with too little signal follow their run, and are counted.
    assert np.flatnonzero(~good).tolist() == [3, 11, 17]
    assert aligner.runs_["n_accepted"].item() == 37
    assert (
        aligner.report_["shift_ppm"][~good] == aligner.runs_["shift_ppm"].item()
    ).all()


# Piecewise ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ragged", "shared"])
def test_bends_come_back(kind):
    X, error = wavy()
    spectra = spectra_of(X, kind)
    bent = MassAligner(reference=PEAKS, model="piecewise", tolerance=40).fit(spectra)
    straight = MassAligner(reference=PEAKS, tolerance=40).fit(spectra)
    report = bent.report_
    assert report["accepted"].all()
    assert report["bend_ppm"].median() > 1.5
    assert "bend_ppm" not in straight.report_
    assert report["after_ppm"].median() < 0.7 * straight.report_["after_ppm"].median()
    # Measured again, by a fit that is free to bend.
    again = MassAligner(
        reference=PEAKS, model="piecewise", tolerance=40, guard=False
    ).fit(bent.transform(spectra))
    assert again.runs_["spread_ppm"].item() < 0.2 * bent.runs_["spread_ppm"].item()
    model = bent._kernel.model
    found = match_values(spectra, model, None)
    theta, _, _ = model.fit_lines(found, model.prior[0], model.precision[0])
    at = np.linspace(515, 985, 40)
    fitted = theta @ model.design((at - model.centre) / model.half).T
    # 0.02 FWHM are 1 ppm.
    assert np.median(np.abs(fitted - error(at))) < 1.0


def test_knots_have_peaks_between_them():
    crowded = np.concatenate([np.linspace(500, 520, 50), np.linspace(530, 990, 50)])
    keywords = {"ppm": True, "tolerance": 20.0, "max_shift": 20.0, "min_matches": 10}
    model = MassModel.around(crowded, **keywords, linear=True, bent=True)
    counts = np.histogram(model.u, model.knots)[0]
    assert model.knots[[0, -1]].tolist() == [-1, 1]
    assert counts.min() >= 12
    few = MassModel.around(crowded[::9], **keywords, linear=True, bent=True)
    assert few.knots.size == 3
    straight = MassModel.around(crowded, **keywords, linear=True)
    assert straight.knots.tolist() == [-1, 1]


def test_a_line_is_a_line_without_bends():
    shift, stretch = drawn()
    spectra = ragged(simulate(shift, stretch))
    bent = MassAligner(reference=PEAKS, model="piecewise").fit(spectra)
    straight = MassAligner(reference=PEAKS).fit(spectra)
    assert bent.report_["bend_ppm"].median() < 0.5
    at = np.array([520.0, 750.0, 980.0])
    one, other = lines(bent, at), lines(straight, at)
    assert np.median(np.abs(one - other)) < 0.3


def test_bent_fits_agree_with_the_reference():
    rng = np.random.default_rng(0)
    n, k = 40, 50
    knots = np.array([-1.0, -0.3, 0.2, 1.0])
    u = np.linspace(-1, 1, k)
    hats = [align_warp_xp.hat(u, knots, j) for j in range(2)]
    design = np.stack([np.ones(k), u, *hats], axis=1)
    heights = rng.gamma(1, 1, (n, k)) * (rng.random((n, k)) < 0.8)
    heights[4] = 0
    heights[5, 2:] = 0
    errors = rng.normal(0, 3, (n, 4)) @ design.T + rng.standard_t(2, (n, k))
    errors[heights == 0] = np.nan
    prior, precision = rng.normal(0, 1, (n, 4)), rng.gamma(1, 1, (n, 4))
    theta, quality = np.empty((n, 4)), np.empty((n, 4))
    arguments = (errors, heights, design, prior, precision, 0.02)
    align_numba.fit_bent_rows(*arguments, theta, quality)
    expected = align_xp.fit_bent_rows(*arguments)
    np.testing.assert_allclose(theta, expected[0], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(quality, expected[1], rtol=1e-7)
    np.testing.assert_array_equal(theta[4], prior[4])
    # A line is the case of two functions.
    line, line_quality = np.empty((n, 2)), np.empty((n, 4))
    two = (prior[:, :2].copy(), precision[:, :2].copy(), 0.02)
    align_numba.fit_rows(errors, heights, u, *two, line, line_quality)
    also = np.empty((n, 2))
    straight = np.ascontiguousarray(design[:, :2])
    align_numba.fit_bent_rows(errors, heights, straight, *two, also, quality)
    np.testing.assert_allclose(also, line, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(quality, line_quality, rtol=1e-8)


@pytest.mark.parametrize("kind", ["ragged", "shared"])
@pytest.mark.parametrize("keywords", [{"model": "piecewise"}, {"method": "grid"}])
def test_spectra_in_other_namespaces(kind, keywords):
    spectra = spectra_of(simulate(*drawn(3)).astype(np.float64), kind)
    aligner = MassAligner(reference=PEAKS, guard=False, **keywords).fit(spectra)
    assert aligner._kernel.model.applied.all()
    host = aligner.transform(spectra)
    moved = aligner.transform(spectra.to(array_api_strict))
    for one, other in zip(host.iter_chunks(), moved.iter_chunks(), strict=True):
        np.testing.assert_allclose(np.asarray(other.mz), one.mz, rtol=1e-11)
        np.testing.assert_allclose(
            np.asarray(other.intensity), one.intensity, atol=1e-5
        )


@pytest.mark.parametrize("kind", ["ragged", "shared"])
@pytest.mark.parametrize("keywords", [{"model": "piecewise"}, {"method": "grid"}])
def test_chunks_jobs_and_order_do_not_matter(kind, keywords):
    spectra = spectra_of(simulate(*drawn(12)), kind)
    make = {"reference": PEAKS, "guard": False, **keywords}
    aligner = MassAligner(**make, n_jobs=2).fit(spectra)
    other = MassAligner(**make).fit(spectra)
    pd.testing.assert_frame_equal(aligner.report_, other.report_)
    result = aligner.transform(spectra)
    small = [
        chunk.spectrum(i)
        for chunk in result.iter_chunks(max_bytes=1)
        for i in range(chunk.n_spectra)
    ]
    for one, again in zip(result, small, strict=True):
        np.testing.assert_array_equal(one.mz, again[0])
        np.testing.assert_array_equal(one.intensity, again[1])


# Grid ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ragged", "shared"])
def test_the_search_finds_lines(kind):
    shift, stretch = drawn(12)
    spectra = spectra_of(simulate(shift, stretch, counts=2000), kind)
    aligner = MassAligner(reference=PEAKS, method="grid", guard=False).fit(spectra)
    at = np.array([520.0, 750.0, 980.0])
    true = shift[:, None] + stretch[:, None] * (at - CENTRE) / HALF
    # 0.02 FWHM are 1 ppm.
    assert np.median(np.abs(lines(aligner, at) - true)) < 1.0
    assert aligner.report_["accepted"].all()
    constant = MassAligner(reference=PEAKS, method="grid", model="shift", guard=False)
    assert (constant.fit(spectra).report_["stretch_ppm"].abs() < 0.2).all()


def reference_search(y, places, limit, width, linear=True):
    """The search of msalign as its documentation states it, without tables."""
    n = y.size
    offsets = np.linspace(-2.5 * width, 2.5 * width, 101)
    target = np.tile(np.exp(-((offsets / width) ** 2)), places.size)
    x = (places[:, None] + offsets).ravel()
    top = places.max()
    scale, shift = np.array([1 - limit / top, 1 + limit / top]), [-limit, limit]
    for _ in range(5):
        scales = np.linspace(*scale, 20) if linear else np.ones(1)
        shifts = np.linspace(*shift, 20)
        values = np.array(
            [
                [
                    target @ np.interp(x * s + d, np.arange(n), y, left=0, right=0)
                    for d in shifts
                ]
                for s in scales
            ]
        )
        i, j = np.unravel_index(values.argmax(), values.shape)
        best = scales[i], shifts[j]
        span = 0.125 * np.ptp(scale), 0.125 * np.ptp(shift)
        scale = np.array([best[0] - span[0], best[0] + span[0]])
        shift = [best[1] - span[1], best[1] + span[1]]
    return best


@pytest.mark.parametrize("model", ["linear", "shift"])
def test_the_search_agrees_with_msalign(model):
    X, true = waves(5)
    places = np.arange(50.0, 2950.0, 100.0)
    keywords = {"method": "grid", "model": model, "tolerance": 8.0, "width": 4.0}
    aligner = MassAligner(reference=places, guard=False, **keywords).fit(X)
    fitted = aligner._kernel.model
    found, theirs = np.empty((2, 5, 2))
    for i, row in enumerate(X):
        scale, shift = reference_search(row, places, 8.0, 4.0, model == "linear")
        at = np.array([50.0, 2850.0])
        theirs[i] = (scale - 1) * at + shift
        report = aligner.report_.iloc[i]
        u = (at - fitted.centre) / fitted.half
        found[i] = report["shift_points"] + report["stretch_points"] * u
    # Its 101 points per peak, read off straight lines, draw it to multiples of 0.2.
    np.testing.assert_allclose(found, theirs, atol=0.12)
    # The last grid has steps of 16 / 19 / 4**4 = 0.003 points.
    assert np.abs(found - true[:, None]).max() < 0.01
    assert np.abs(found - true[:, None]).max() < np.abs(theirs - true[:, None]).max()


@pytest.mark.parametrize("linear", [True, False])
def test_the_search_agrees_with_the_reference(linear):
    rng = np.random.default_rng(0)
    X, _ = waves(4)
    X[1] = 0
    X[2] += rng.normal(0, 5, X.shape[1])
    places = np.arange(50.0, 2950.0, 100.0)
    arguments = (places, np.ones(29), places / 2850, 8.0, 4.0, linear)
    ours = np.empty((4, 3, 2))
    align_grid_numba.grid_rows(X, np.arange(3000.0), *arguments, ours)
    expected = align_grid_xp.grid_rows(X, np.arange(3000.0), *arguments)
    # Rounding may tip the balance between neighbours on the last grid.
    np.testing.assert_allclose(ours, expected, atol=0.01)
    assert np.isnan(ours[1]).all()
    assert np.isfinite(ours[[0, 2, 3]]).all()
    flat = (np.tile(np.arange(3000.0), 4), X.ravel(), np.arange(5) * 3000)
    points = np.empty((4, 3, 2))
    align_grid_numba.grid_points(*flat, *arguments, points)
    np.testing.assert_array_equal(points, ours)
    also = align_grid_xp.grid_points(*flat, *arguments)
    np.testing.assert_allclose(also, expected, atol=1e-12)


def test_the_search_leaves_empty_pixels_to_their_run():
    X = simulate(np.full(12, 4.0), 0.0)
    X[3] = 0
    aligner = MassAligner(reference=PEAKS, method="grid").fit(ragged(X))
    report = aligner.report_
    assert not report["accepted"][3]
    assert report["shift_ppm"][3] == aligner.runs_["shift_ppm"].item()
    assert aligner.runs_["n_accepted"].item() == 11
    bounded = MassAligner(reference=PEAKS, method="grid", max_shift=2.0, guard=False)
    assert not bounded.fit(ragged(X)).report_["accepted"].any()


def test_the_search_with_a_guard():
    spectra = ragged(simulate(np.zeros(30), 0.0, counts=50))
    aligner = MassAligner(reference=PEAKS, method="grid")
    # What it adds is noise, and it is told so or left out in silence.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "MassAligner", UserWarning)
        aligner.fit(spectra)
    assert not aligner.runs_["aligned"].item()
    assert aligner.transform(spectra) is spectra


def test_wrong_combinations():
    spectra = ragged(simulate(np.zeros(2), 0.0))
    with pytest.raises(ValueError, match="method='grid' searches shifts and lines"):
        MassAligner(method="grid", model="piecewise").fit(spectra)
    with pytest.raises(ValueError, match="'width' parameter"):
        MassAligner(method="grid", width=0).fit(spectra)
    with pytest.raises(ValueError, match="'method' parameter"):
        MassAligner(method="dtw").fit(spectra)


# References ---------------------------------------------------------------------------


def test_references_from_another_run():
    first = ragged(simulate(np.zeros(20), 0.0), run="first")
    second = ragged(simulate(np.full(20, 6.0), 0.0, seed=9), run="second")
    fitted = MassAligner().fit(first)
    peaks = PeakPicker().fit(first).peaks_
    table = peaks[np.abs(peaks["mz"].to_numpy()[:, None] / PEAKS - 1).min(1) < 1e-5]
    for reference in (fitted, FrozenEstimator(fitted), fitted.reference_, first, table):
        aligner = clone(MassAligner(reference=PEAKS)).set_params(reference=reference)
        aligner.fit(second)
        assert aligner.runs_["shift_ppm"].item() == pytest.approx(6.0, abs=0.5)
        assert aligner.reference_.size >= 40
    # Frozen, a fitted aligner survives cloning; otherwise it says what to do.
    again = clone(MassAligner(reference=FrozenEstimator(fitted))).fit(second)
    np.testing.assert_array_equal(again.reference_, fitted.reference_)
    with pytest.raises(ValueError, match=r"without reference_\. Fit it first"):
        clone(MassAligner(reference=fitted)).fit(second)
    with pytest.raises(ValueError, match="without a column 'mz'; it has m, n"):
        MassAligner(reference=pd.DataFrame({"m": [1.0], "n": [2.0]})).fit(second)


# Odd input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keywords", [{}, {"model": "piecewise"}, {"method": "grid"}, {"model": "shift"}]
)
def test_odd_spectra(keywords):
    X = simulate(np.full(12, 5.0), 0.0)
    X[0] = 0
    X[1] = 7
    X[2] -= 3
    X[3, :] = 0
    X[3, 100] = 50
    spectra = Spectra.from_arrays(X, MZ)
    aligner = MassAligner(reference=PEAKS, guard=False, **keywords).fit(spectra)
    numbers = aligner.report_.select_dtypes("number")
    assert np.isfinite(numbers.drop(columns=["before_ppm", "after_ppm"])).all(axis=None)
    assert not aligner.report_["accepted"][[0, 1, 3]].any()
    (chunk,) = aligner.transform(spectra).iter_chunks(10**9)
    assert np.isfinite(chunk.intensity).all()
    np.testing.assert_allclose(chunk.intensity.sum(1), X.sum(1), rtol=1e-4)


def test_nan_in_an_array_is_refused():
    X, _ = waves(4)
    X[1, 7] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        MassAligner(tolerance=8.0, method="grid").fit(X)
