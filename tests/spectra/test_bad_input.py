"""Odd spectra in every step: a defined result, or an error that says what to do.

One table: each row is a step, each column something odd. A step that is not named in
`ERRORS` or `WARNINGS` gives numbers, and those are asserted.
"""

import re
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from imsminer import PeakPicker, Spectra, concatenate
from imsminer.core.cache import cache
from tests.spectra.odd import (
    ALIGNERS,
    BASELINES,
    CALIBRATORS,
    INTEGRATORS,
    LANDMARKS,
    MZ,
    NORMALIZERS,
    PICKERS,
    SMOOTHERS,
    STEPS,
    good,
    intensities,
    spectra_of,
)

#: Warnings by which steps say that they did nothing; anything else is an error.
NOTHING = ".*(no peak is 10 times|left as (it is|they are)|are left out)"


def run(name, spectra):
    """Return the fitted step, its result, and whether it said that it did nothing."""
    cache.clear()
    step = clone(STEPS[name])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = step.fit(spectra).transform(spectra)
        values = intensities(result)
    unknown = [w for w in caught if not re.search(NOTHING, str(w.message))]
    assert not unknown, [str(w.message) for w in unknown]
    assert np.isfinite(values).all()
    return step, result, bool(caught)


def rows(result):
    """Return the intensities of Spectra, or the rows of features."""
    if isinstance(result, Spectra):
        return [np.asarray(y, float) for _, y in result]
    return list(np.asarray(result, float))


every = pytest.mark.parametrize("name", STEPS)
forms = pytest.mark.parametrize("form", ["shared", "ragged"])


# Spectra of few points ----------------------------------------------------------------


@forms
@every
@pytest.mark.parametrize("n", [1, 2])
def test_spectra_of_few_points(name, form, n):
    X = np.array([[3.0, 1.0], [0.0, 0.0], [5.0, 2.0]])[:, :n]
    spectra = spectra_of(X, form, mz=MZ[20 : 20 + n])
    if name == "baseline pybaselines:snip":
        with (
            pytest.warns(match="max_half_window"),
            pytest.raises(ValueError, match=f"failed on a spectrum of {n} points"),
        ):
            intensities(clone(STEPS[name]).fit_transform(spectra))
        return
    if name in CALIBRATORS:
        with pytest.raises(ValueError, match="0 of 10 reference masses were found"):
            run(name, spectra)
        return
    _, result, said = run(name, spectra)
    found = rows(result)
    assert said == (name in ALIGNERS or name in PICKERS)
    if name in ALIGNERS or name in PICKERS or name == "cache":
        np.testing.assert_array_equal(found, X)
    elif name in SMOOTHERS:
        # Means and medians stay between the values, and 0 stays 0.
        np.testing.assert_array_equal(found[1], 0)
        if n == 1:
            np.testing.assert_allclose(found, X, rtol=1e-12)
    elif name in BASELINES:
        assert np.min(found) >= 0
        assert np.all(np.asarray(found) <= X)
    elif name in NORMALIZERS:
        np.testing.assert_array_equal(found[1], 0)
        if n == 1:
            np.testing.assert_allclose(np.ravel(found), [4, 0, 4], rtol=1e-12)
    elif name == "centroid":
        assert [y.size for y in found] == [0, 0, 0]
    else:
        # Nothing is in the windows of other ions.
        np.testing.assert_array_equal(np.asarray(found)[:, 1:], 0)
        np.testing.assert_array_equal(found[1], 0)
        assert np.all(np.asarray(found)[[0, 2], 0] > 0)


# Empty spectra ------------------------------------------------------------------------


@every
def test_some_spectra_are_empty(name):
    X = good()
    size = X.shape[1]
    indptr = np.cumsum([0, 0, *[size] * 2, 0, *[size] * 4, 0])
    mz = np.tile(MZ, 6)
    spectra = Spectra.from_arrays(X.ravel(), mz, indptr=indptr)
    _, result, _ = run(name, spectra)
    found = rows(result)
    empty = np.diff(indptr) == 0
    for y in np.array(found, object)[empty]:
        assert np.all(np.asarray(y, float) == 0)
    _, expected, _ = run(
        name, Spectra.from_arrays(X.ravel(), mz, indptr=indptr[np.r_[0, 2, 3, 5:9]])
    )
    if name in (*SMOOTHERS, *INTEGRATORS) or (
        name in BASELINES and name != "baseline mean"
    ):
        # Empty pixels change nothing in the others.
        kept = [y for y, gone in zip(found, empty, strict=True) if not gone]
        for one, other in zip(kept, rows(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


@every
def test_all_spectra_are_empty(name):
    spectra = Spectra.from_arrays(np.zeros(0), np.zeros(0), indptr=[0, 0, 0, 0])
    integrated = [f"integrate {method}" for method in ("auto", "area", "mean")]
    on_an_axis = (*BASELINES, *SMOOTHERS, *CALIBRATORS, *PICKERS, *integrated)
    no_axis = (*on_an_axis, "align itself", "trimmed", "centroid")
    errors = dict.fromkeys(no_axis, "the spectra hold no point")
    errors["reference"] = "outside of the mass range nan to nan"
    if name in errors:
        with pytest.raises(ValueError, match=errors[name]):
            run(name, spectra)
        return
    _, result, _ = run(name, spectra)
    assert len(result) == 3
    assert not intensities(result).any()


# Constant and blank spectra -----------------------------------------------------------


@forms
@every
@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_spectra(name, form, value):
    X = np.full((3, MZ.size), value)
    spectra = spectra_of(X, form)
    if name in CALIBRATORS:
        with pytest.raises(ValueError, match="0 of 10 reference masses were found"):
            run(name, spectra)
        return
    if name == "reference" and value == 0:
        with pytest.raises(ValueError, match="none of the 3 pixels has a signal"):
            run(name, spectra)
        return
    step, result, _ = run(name, spectra)
    found = rows(result)
    if name in BASELINES and name != "baseline noise":
        np.testing.assert_allclose(found, 0, atol=1e-6)
    elif name == "centroid":
        assert [y.size for y in found] == [0, 0, 0]
    elif name in INTEGRATORS:
        width = 2 * 40e-6 * LANDMARKS
        # Windows of ± 40 ppm hold 5 points.
        expected = {"area": width, "auto": width, "sum": 5.0}.get(name.split()[1], 1.0)
        np.testing.assert_allclose(found, value * expected + 0 * X[:, :10], rtol=1e-5)
    else:
        np.testing.assert_allclose(found, X, rtol=1e-12)
    if name in PICKERS and name != "pick targets":
        assert step.peaks_.empty
    if name == "pick targets":
        assert not step.peaks_["found"].any()


@forms
@every
def test_a_blank_pixel_stays_blank(name, form):
    X = good()
    X[2] = 0
    _, result, _ = run(name, spectra_of(X, form))
    found = rows(result)
    assert not np.any(found[2])
    assert all(np.any(y) for y in found[:2])


# Negative intensities -----------------------------------------------------------------


@forms
@every
def test_nothing_but_negative_intensities(name, form):
    X = -good()
    spectra = spectra_of(X, form)
    if name in CALIBRATORS or name == "reference":
        message = "0 of 10 reference masses|none of the 6 pixels has a signal"
        with pytest.raises(ValueError, match=message):
            run(name, spectra)
        return
    step, result, _ = run(name, spectra)
    found = rows(result)
    if name in BASELINES:
        assert np.min(found) >= 0
    elif name in (*ALIGNERS, *PICKERS, "cache"):
        np.testing.assert_array_equal(found, X)
    elif name in NORMALIZERS:
        # Without a positive amount a pixel is blank; a root mean square has one.
        signs = np.sign(X) if name == "rms" else np.zeros(X.shape)
        np.testing.assert_array_equal(np.sign(found), signs)
    elif name in INTEGRATORS:
        assert np.max(found) < 0
    elif name == "centroid":
        assert [y.size for y in found] == [0] * 6
    else:
        lowest, highest = X.min() * 1.2, 0.0 if "savgol" not in name else 100.0
        assert lowest <= np.min(found) <= np.max(found) <= highest
    if name in PICKERS and name != "pick targets":
        assert step.peaks_.empty


@forms
@pytest.mark.parametrize("name", ["pick", "pick max", "pick targets"])
def test_a_level_below_zero_is_a_level(name, form):
    # Electronics with an offset: the same peaks at the same heights above the level.
    above, *_ = run(name, spectra_of(good(), form))
    below, *_ = run(name, spectra_of(good() - 6, form))
    np.testing.assert_allclose(below.peaks_["mz"], above.peaks_["mz"], rtol=1e-6)


# NaN and infinity ---------------------------------------------------------------------


def broken(value):
    """Spectra as a mapped file holds them: nobody has looked at their values."""
    X = good()
    spectra = spectra_of(X, "shared")
    X = X.copy()
    X[2, 60] = value
    spectra.source._intensity = X
    return spectra


@every
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_name_the_pixel(name, value):
    message = rf"run 'run', pixel x=3, y=1, z=1: .*{value}; intensities must be finite"
    spectra = broken(value)
    if name == "integrate max" and value == -np.inf:
        # A maximum is that of the other points, and does not see it.
        _, result, _ = run(name, spectra)
        X = good()
        X[2, 60] = 0
        expected = run(name, spectra_of(X, "shared"))[1]
        np.testing.assert_array_equal(result, expected)
        return
    if (name in ALIGNERS and name != "align itself") or name == "cache":
        # These learn from peaks alone, or nothing, and may leave spectra as they are;
        # whatever reads them behind says it.
        step = clone(STEPS[name])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "MassAligner", UserWarning)
            result = step.fit(spectra).transform(spectra)
        with pytest.raises(ValueError, match=message):
            PeakPicker().fit(result)
        if name in ALIGNERS:
            numbers = step.report_[["shift_ppm", "matches"]]
            assert np.isfinite(numbers.to_numpy(float)).all()
        return
    with pytest.raises(ValueError, match=message):
        run(name, spectra)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("shared", "intensity contains NaN .* point 60 of pixel 2; replace"),
        ("ragged", "intensity contains NaN .* point 860 of pixel 2; replace"),
    ],
)
def test_arrays_that_are_not_finite_are_refused_at_the_door(form, value, message):
    X = good()
    X[2, 60] = value
    with pytest.raises(ValueError, match=message):
        spectra_of(X, form)
    mz = MZ.copy()
    mz[7] = value
    with pytest.raises(ValueError, match=r"mz contains NaN .* point 7(;| of pixel 0)"):
        spectra_of(good(), form, mz=mz)


# m/z ----------------------------------------------------------------------------------


@forms
def test_unsorted_mz_is_refused_at_the_door(form):
    for i, j, message in (
        (3, 4, r"500\.04 is followed by 500\.03 \(points 3 and 4\); sort it"),
        (0, 399, r"503\.99 is followed by 500\.01 \(points 0 and 1\)"),
    ):
        mz = MZ.copy()
        mz[[i, j]] = mz[[j, i]]
        with pytest.raises(ValueError, match=message):
            spectra_of(good(), form, mz=mz)
    twice = MZ.copy()
    twice[5] = twice[4]
    with pytest.raises(ValueError, match=r"points 4 and 5.*add up what shares an m/z"):
        spectra_of(good(), form, mz=twice)


# Mixed studies ------------------------------------------------------------------------


def study(form, **second):
    """A study of two runs, and the two alone."""
    polarity = second.pop("polarity", None)
    runs = [
        spectra_of(good(), form, run="a"),
        spectra_of(good(seed=1), form, run="b", **second),
    ]
    if polarity:
        for part, name in zip(runs, ("positive", polarity), strict=True):
            part.source.runs["polarity"] = name
    return concatenate(runs), runs


@forms
@every
def test_mixed_polarity(name, form):
    whole, parts = study(form, polarity="negative")
    if name in PICKERS or name == "align itself":
        message = (
            type(STEPS[name]).__name__
            + r": X holds 6 positive and 6 negative spectra.*"
            + r"X\[X.pixels\[\"run\"\].isin\(\['a'\]\)\]"
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", NOTHING)
            with pytest.warns(UserWarning, match=message):
                clone(STEPS[name]).fit(whole)
        run(name, whole[:6])
        same, _ = study(form, polarity="positive")
        run(name, same)
        return
    _, result, _ = run(name, whole)
    if name in (*SMOOTHERS, *INTEGRATORS, "centroid", "cache") or (
        name in BASELINES and name != "baseline mean"
    ):
        # Pixels know nothing of each other.
        alone = [y for part in parts for y in rows(run(name, part)[1])]
        for one, other in zip(rows(result), alone, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_mixed_polarity_of_pixels():
    spectra = spectra_of(good(), "shared")
    spectra.source.pixels["polarity"] = np.repeat(["positive", "negative", None], 2)
    message = r'holds 2 positive and 2 negative .*X.pixels\["polarity"\] == "positive"'
    with pytest.warns(UserWarning, match=message):
        PeakPicker().fit(spectra)
    PeakPicker().fit(spectra[spectra.pixels["polarity"] == "positive"])


@forms
@every
def test_mixed_profiles_and_centroids(name, form):
    whole, parts = study(form, profile=False)
    if name in (*BASELINES, *SMOOTHERS):
        with pytest.raises(ValueError, match=r"centroid spectra in 'b'.*Leave this"):
            run(name, whole)
        return
    if name == "integrate area":
        with pytest.raises(ValueError, match=r"method='area' needs profile spectra"):
            run(name, whole)
        return
    step, result, _ = run(name, whole)
    found = rows(result)
    if name == "integrate auto":
        # One unit for all: what centroids have no area for is a sum everywhere.
        expected = rows(run("integrate sum", whole)[1])
        np.testing.assert_array_equal(found, expected)
    elif name == "centroid":
        for one, other in zip(found[6:], rows(parts[1]), strict=True):
            np.testing.assert_array_equal(one, other)
    elif name in NORMALIZERS:
        assert step.factors_.shape == (12,)
        assert (step.factors_ > 0).all()
