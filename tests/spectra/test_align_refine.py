"""Places of matches by all samples of a peak, and the widths they need."""

import warnings

import numpy as np
import pandas as pd
import pytest

from imsminer import MassAligner, Spectra, concatenate
from imsminer.spectra._kernels import (
    align_numba,
    align_refine_numba,
    align_refine_xp,
)
from tests.spectra.shifted import MZ, PEAKS, drawn, lines, ragged, simulate

FWHM, SD = 8.0, 8.0 / 2.3548
PLACES = np.arange(40.3, 4000, 60.0)


def gaussians(x, moved, height=100.0):
    """One peak a place."""
    return height * np.exp(-0.5 * ((x[:, None] - moved) / SD) ** 2).sum(axis=1)


def matched(X, x, tolerance=16.0, fwhm=FWHM):
    """Errors in points before and after refinement."""
    k = PLACES.size
    peaks = (PLACES, np.full(k, tolerance), np.ones(k))
    errors, heights = np.empty((len(X), k)), np.empty((len(X), k))
    align_numba.match_rows(X, x, *peaks, True, errors, heights)
    refined = errors.copy()
    arguments = (*peaks, np.full(k, fwhm))
    align_refine_numba.refine_rows(X, x, *arguments, refined, heights)
    expected = align_refine_xp.refine_rows(X, x, *arguments, errors, heights)
    np.testing.assert_allclose(refined, expected, atol=1e-9)
    return errors, refined


@pytest.mark.parametrize("fwhm", [0.8 * FWHM, FWHM, 1.3 * FWHM])
@pytest.mark.parametrize("level", [0.0, 50.0])
def test_a_peak_without_noise_is_where_it_is(fwhm, level):
    x = np.arange(4000.0)
    for shift in (-3.3, 0.0, 0.41):
        X = gaussians(x, PLACES + shift)[None] + level
        _, refined = matched(X, x, fwhm=fwhm)
        np.testing.assert_allclose(refined, shift, atol=0.002 * FWHM)


def test_uneven_spacing_and_missing_samples():
    rng = np.random.default_rng(0)
    step = np.where(np.arange(5000) % 400 < 200, 0.7, 1.1)
    x = np.cumsum(step * (1 + 1e-3 * np.arange(5000) / 5000))
    x = x[x < 4000]
    y = gaussians(x, PLACES + 0.6)
    _, refined = matched(y[None], x)
    np.testing.assert_allclose(refined, 0.6, atol=0.005 * FWHM)
    # Sparse profiles leave out what is low.
    keep = y > 3.0
    _, refined = matched((y + rng.normal(0, 0.1, y.size))[None, keep], x[keep])
    np.testing.assert_allclose(refined, 0.6, atol=0.02 * FWHM)


@pytest.mark.parametrize("ratio", [10, 30])
def test_errors_are_near_their_bound(ratio):
    rng = np.random.default_rng(0)
    x = np.arange(4000.0)
    X = gaussians(x, PLACES, ratio) + rng.normal(0, 1, (60, x.size))
    raw, refined = matched(X, x)
    # Cramér and Rao: of a Gaussian's place in white noise, samples one apart.
    bound = np.sqrt(2 * SD / np.sqrt(np.pi)) / ratio
    assert 0.97 * bound < refined.std() < 1.1 * bound
    assert raw.std() > 1.15 * bound


def test_what_is_no_peak_stays_where_it_is():
    x = np.arange(4000.0)
    X = np.stack([0 * x, gaussians(x, PLACES), -gaussians(x, PLACES) - 1])
    k = PLACES.size
    errors, heights = np.zeros((3, k)), np.ones((3, k))
    heights[1, 5] = 0
    errors[1, 5] = np.nan
    peaks = (PLACES, np.full(k, 16.0), np.ones(k))
    fwhm = np.full(k, FWHM)
    fwhm[7] = 0
    before = errors.copy()
    align_refine_numba.refine_rows(X, x, *peaks, fwhm, errors, heights)
    np.testing.assert_array_equal(errors[[0, 2]], before[[0, 2]])
    assert np.isnan(errors[1, 5])
    assert errors[1, 7] == 0
    assert np.abs(np.delete(errors[1], [5, 7])).max() < 0.01


def test_ragged_kernels_agree():
    X = simulate(*drawn(5)).astype(np.float64)
    (chunk,) = ragged(X).iter_chunks()
    peaks = (PEAKS, 30e-6 * PEAKS, 1e6 / PEAKS)
    errors, heights = np.empty((5, 60)), np.empty((5, 60))
    points = (chunk.mz, chunk.intensity, chunk.indptr)
    align_numba.match_points(*points, *peaks, True, errors, heights)
    refined, fwhm = errors.copy(), PEAKS / 20_000
    align_refine_numba.refine_points(*points, *peaks, fwhm, refined, heights)
    expected = align_refine_xp.refine_points(*points, *peaks, fwhm, errors, heights)
    np.testing.assert_allclose(refined, expected, rtol=1e-7, atol=1e-6)
    assert np.nanmedian(np.abs(refined - errors)) > 0.1


@pytest.mark.parametrize("given", [True, False])
def test_widths_are_learned(given):
    spectra = Spectra.from_arrays(simulate(np.zeros(100), 0.0), MZ)
    aligner = MassAligner(reference=PEAKS if given else None, guard=False).fit(spectra)
    model = aligner._kernel.model
    np.testing.assert_allclose(model.fwhm * 20_000 / model.reference, 1, atol=0.1)
    order = np.random.default_rng(0).permutation(100)
    again = MassAligner(reference=PEAKS if given else None, guard=False)
    again.fit(spectra[order])
    np.testing.assert_allclose(again._kernel.model.fwhm, model.fwhm, rtol=1e-6)


def test_a_search_of_a_stretch_in_a_narrow_range():
    # m/z 800 to 900: most of a stretch about m/z 0 is a shift there.
    mz = np.arange(800, 900, 0.01)
    places = np.linspace(802, 898, 30)
    rng = np.random.default_rng(0)
    X, stretch = np.empty((8, mz.size)), np.linspace(-80, 80, 8)
    for row, b in zip(X, stretch, strict=True):
        moved = places * (1 + 1e-6 * b * (places - 850) / 48)
        row[:] = 100 * np.exp(-0.5 * ((mz[:, None] - moved) / 0.03) ** 2).sum(axis=1)
    spectra = Spectra.from_arrays(rng.poisson(X).astype(np.float32), mz)
    aligner = MassAligner(
        reference=places, tolerance=150, method="grid", guard=False
    ).fit(spectra)
    # 1 ppm is 0.01 FWHM.
    assert np.abs(lines(aligner, np.array([802.0, 898.0]))[:, 1] - stretch).max() < 1.0
    assert aligner.report_["accepted"].all()


def test_both_polarities_in_one_reference_spectrum():
    parts = [
        Spectra.from_arrays(simulate(np.zeros(3), 0.0, seed=i), MZ, run=name)
        for i, name in enumerate(["one", "two"])
    ]
    study = concatenate(parts)
    study.source.runs["polarity"] = ["positive", "negative"]
    if set(study.runs["polarity"]) != {"positive", "negative"}:
        pytest.skip("runs cannot be given a polarity here")
    with pytest.warns(UserWarning, match="share no ions"):
        MassAligner(guard=False).fit(study)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "MassAligner: X holds")
        aligner = MassAligner(reference=PEAKS, guard=False).fit(study)
    assert isinstance(aligner.report_, pd.DataFrame)


def test_widths_agree_with_the_reference():
    rng = np.random.default_rng(0)
    # Samples that are missing, plateaus, noise, and what does not fall at all.
    x = np.delete(np.arange(4000.0), rng.integers(0, 4000, 600))
    clean = gaussians(x, PLACES + 0.3)
    X = np.stack(
        [
            clean,
            np.rint(clean / 10),
            clean + rng.normal(0, 8, x.size),
            clean - 200,
            x,
            np.zeros(x.size),
        ]
    )
    k, shape = PLACES.size, (len(X), PLACES.size)
    for tolerance in (4.0, 16.0):
        peaks = (PLACES, np.full(k, tolerance), np.ones(k))
        errors, heights = np.empty(shape), np.empty(shape)
        align_numba.match_rows(X, x, *peaks, True, errors, heights)
        # And heights that nothing has.
        heights[4] = 50.0
        errors[4] = rng.normal(0, 5, k)
        unit, expected = np.full(k, 2.5), np.full(shape, np.nan)
        for i in range(len(X)):
            points = (x, X[i], np.array([0, x.size]))
            where = (errors[i : i + 1], heights[i : i + 1], expected[i : i + 1])
            align_refine_numba.half_widths(*points, PLACES, unit, *where)
        found = align_refine_xp.width_rows(X, x, PLACES, unit, errors, heights)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert (expected[0] > 0).all()
