"""Centroiding: truth, independent picking, both kernels, odd spectra."""

import os
import pickle

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from scipy.signal import find_peaks
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import (
    BaselineSubtractor,
    ImzMLReader,
    MassAxis,
    PeakIntegrator,
    PeakPicker,
    Spectra,
    TICNormalizer,
    concatenate,
)
from imsminer.core.engine import row_statistics
from imsminer.datasets import make_ims
from imsminer.io.writer import write_imzml
from imsminer.spectra._centroiding import noise_and_level
from imsminer.spectra._kernels import centroid_numba
from imsminer.spectra.centroid import CentroidSpectra
from tests.spectra.profiles import HEIGHTS, MZ, SD, points, profiles, ragged


@parametrize_with_checks(
    [
        CentroidSpectra(),
        CentroidSpectra(loq=0, min_points=1, noise=0.0, n_jobs=2),
        CentroidSpectra(intensity="area", min_points=2),
    ]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


# Truth -----------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
def test_mz_and_heights_of_gaussians(sparse):
    X, centers, scale = profiles(noise=0.0)
    if sparse:
        spectra = ragged(X, X > 1e-3 * X.max(1, keepdims=True))
    else:
        spectra = Spectra.from_arrays(X, MZ)
    picked = CentroidSpectra(loq=0).fit_transform(spectra)
    assert picked.mz is None
    assert picked.shape == (20, None)
    assert not picked.profile
    # Neighbours lie on each other's tails, 6 standard deviations away.
    for i, (mz, y) in enumerate(points(picked)):
        np.testing.assert_allclose(mz, centers[i], atol=2e-4)
        np.testing.assert_allclose(y, (scale * HEIGHTS)[i], rtol=0.02)


def test_lonely_gaussians_are_exact():
    centers = np.array([501.0037, 507.4951, 512.0])
    X = np.exp(-0.5 * ((MZ - centers[:, None]) / SD) ** 2).sum(0)
    picked = CentroidSpectra(loq=0).fit_transform(Spectra.from_arrays(X[None], MZ))
    # Spacing changes along the axis, which the parabola does not know.
    np.testing.assert_allclose(picked[0].mz, centers, atol=2e-6)


def test_areas_and_sums():
    X, _, scale = profiles(noise=0.0)
    spectra = Spectra.from_arrays(X, MZ)
    true = scale * HEIGHTS * SD * np.sqrt(2 * np.pi)
    found = [y for _, y in CentroidSpectra(intensity="area").fit_transform(spectra)]
    np.testing.assert_allclose(found, true, rtol=0.005)
    found = [y for _, y in CentroidSpectra(intensity="sum").fit_transform(spectra)]
    # No sample counts twice, and few count for nothing.
    total = row_statistics(spectra).total
    np.testing.assert_allclose(np.sum(found, 1), total, rtol=0.002)
    assert np.all(np.sum(found, 1) <= total * (1 + 1e-12))


def test_noise_is_rarely_picked_and_peaks_are_found():
    X, centers, _ = profiles(n=60)
    false, lost, errors = 0, 0, []
    for i, (mz, _) in enumerate(
        CentroidSpectra(loq=5).fit_transform(Spectra.from_arrays(X + 50.0, MZ))
    ):
        near = np.abs(mz[:, None] - centers[i])
        false += int((near.min(1) > SD).sum())
        lost += int((near.min(0) > SD).sum())
        errors.append(near.min(0))
    assert lost == 0
    # 90,000 normal values hold 0.03 above 5 standard deviations.
    assert false <= 2
    # A centroid is as good as noise lets it be: sd · noise / height, or so.
    errors = np.array(errors)
    assert np.median(errors[:, 4]) < 1e-4
    assert np.median(errors[:, 3]) < 2e-3


def test_agrees_with_scipy_where_the_noise_is_known():
    X, _, _ = profiles(n=10, noise=2.0)
    spectra = Spectra.from_arrays(X, MZ)
    kept = CentroidSpectra(noise=2.0, loq=8, min_points=6).fit_transform(spectra)
    for i, (_, y) in enumerate(points(kept)):
        level = np.median(X[i])
        bins, _ = find_peaks(X[i], height=level + 16, distance=6)
        # SciPy's distance lets lower maxima stand behind one that was taken away.
        near = [j for j in bins if X[i, j] == X[i, max(j - 5, 0) : j + 6].max()]
        np.testing.assert_array_equal(y, X[i, near])


@pytest.mark.parametrize("spectrum_type", ["profile", "sparse"])
@pytest.mark.parametrize("analyser", ["tof", "orbitrap"])
def test_peaks_of_centroids_are_the_true_ones(tmp_path, analyser, spectrum_type):
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(12, 12),
        n_peaks=60,
        analyser=analyser,
        mz_range=(500.0, 600.0),
        snr=20,
        spectrum_type=spectrum_type,
        random_state=1,
    )
    reader = ImzMLReader(truth.path)
    picked = CentroidSpectra().fit_transform(reader)
    score = truth.score(PeakPicker().fit(picked).peaks_["mz"], min_snr=20)
    assert score["n_true"] >= 60
    assert score["recall"] >= 0.95
    assert score["precision"] >= 0.95
    assert score["n_doubled"] == 0


# Noise -----------------------------------------------------------------------------


def test_noise_of_full_and_of_cut_spectra():
    rng = np.random.default_rng(3)
    y = rng.normal(0, 2.0, 200_000)

    def measured(values):
        facts = np.zeros((1, 4))
        centroid_numba.facts_rows(values[None], facts)
        level, noise = noise_and_level(facts)
        return level[0], noise[0]

    level, noise = measured(y + 30.0)
    assert level == pytest.approx(30, abs=0.15)
    assert noise == pytest.approx(2.0, rel=0.06)
    for threshold in (0.1, 1.0, 4.0, 6.0):
        level, noise = measured(np.where(y > threshold, y, 0.0))
        assert level == 0
        assert noise == pytest.approx(2.0, rel=0.06), threshold


def test_noise_of_nothing():
    level, noise = noise_and_level(np.zeros((2, 4)))
    assert level.tolist() == noise.tolist() == [0, 0]


# Both kernels ----------------------------------------------------------------------


@pytest.mark.parametrize("intensity", ["height", "area", "sum"])
@pytest.mark.parametrize("min_points", [1, 6, 40])
@pytest.mark.parametrize("threshold", [None, 0.5, 3.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_kernel_is_the_reference(intensity, min_points, threshold, dtype):
    X = profiles(n=3, noise=2.0, seed=5)[0].astype(dtype)[:, :500]
    X[1, 100:200] = 7.0
    X[2] = 0
    if threshold is None:
        spectra = Spectra.from_arrays(X, MZ[:500])
    else:
        spectra = ragged(X, X > threshold, MZ[:500])
    for loq in (0, 3):
        step = CentroidSpectra(loq=loq, min_points=min_points, intensity=intensity)
        ours = points(step.fit_transform(spectra))
        strict = step.fit_transform(spectra.to(array_api_strict))
        for one, (mz, y) in zip(ours, strict, strict=True):
            assert y.__array_namespace__() is array_api_strict
            np.testing.assert_allclose(one[0], np.asarray(mz), rtol=1e-12)
            np.testing.assert_allclose(one[1], np.asarray(y), rtol=1e-6)
            assert one[1].dtype == np.asarray(y).dtype == dtype


def test_arrays_of_another_library_array_api():
    if os.environ.get("SCIPY_ARRAY_API") != "1":
        pytest.skip("array_api_dispatch needs SCIPY_ARRAY_API=1 from the start")
    X = profiles(n=4)[0]
    expected = CentroidSpectra().fit_transform(X)
    with config_context(array_api_dispatch=True):
        found = CentroidSpectra().fit_transform(array_api_strict.asarray(X))
    np.testing.assert_allclose(np.asarray(found), expected)


# Properties ------------------------------------------------------------------------


def test_chunks_rows_and_jobs_do_not_matter():
    X = profiles()[0]
    for spectra in (Spectra.from_arrays(X, MZ), ragged(X, X > 1)):
        picked = CentroidSpectra().fit_transform(spectra)
        whole = points(picked)
        one_by_one = [
            chunk.spectrum(i)
            for chunk in picked.iter_chunks(max_bytes=1)
            for i in range(chunk.n_spectra)
        ]
        order = np.random.default_rng(0).permutation(len(X))
        shuffled = points(picked[order])
        again = [None] * len(X)
        for place, found in zip(order, shuffled, strict=True):
            again[place] = found
        for a, b, c in zip(whole, one_by_one, again, strict=True):
            for part in range(2):
                np.testing.assert_array_equal(a[part], b[part])
                np.testing.assert_array_equal(a[part], c[part])
    X = np.tile(X, (20, 1))
    one, two = (CentroidSpectra(n_jobs=n).fit_transform(X) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_scaling_scales_heights_and_moves_nothing():
    X = profiles()[0]
    one = points(CentroidSpectra().fit_transform(Spectra.from_arrays(X, MZ)))
    two = points(CentroidSpectra().fit_transform(Spectra.from_arrays(8 * X, MZ)))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-13)
        np.testing.assert_allclose(8 * a[1], b[1], rtol=1e-13)


def test_zeros_that_are_not_stored_do_not_matter():
    X = profiles(noise=0.5)[0]
    X = np.where(X > 3, X, 0.0)
    dense = points(CentroidSpectra().fit_transform(Spectra.from_arrays(X, MZ)))
    sparse = points(CentroidSpectra(noise=None).fit_transform(ragged(X, X > 0)))
    for a, b in zip(dense, sparse, strict=True):
        np.testing.assert_allclose(a[0], b[0], atol=1e-5)
        np.testing.assert_allclose(a[1], b[1])


def test_centroids_stay_as_they_are():
    X = profiles()[0]
    picked = CentroidSpectra().fit_transform(Spectra.from_arrays(X, MZ))
    assert CentroidSpectra().fit_transform(picked) is picked
    sticks = Spectra.from_arrays(np.eye(3, 7), np.arange(1.0, 8), profile=False)
    assert CentroidSpectra().fit_transform(sticks) is sticks
    both = concatenate([Spectra.from_arrays(X, MZ, run="a"), sticks])
    mixed = CentroidSpectra().fit_transform(both)
    assert not mixed.profile
    found = points(mixed)
    assert [y.size for _, y in found[-3:]] == [1, 1, 1]
    assert [mz[0] for mz, _ in found[-3:]] == [1, 2, 3]


# Downstream ------------------------------------------------------------------------


def test_written_persisted_and_pickled(tmp_path):
    X = profiles()[0].astype(np.float32)
    spectra = Spectra.from_arrays(X, MZ, pixel_size=30.0)
    picked = CentroidSpectra().fit_transform(spectra)
    expected = points(picked)
    path = write_imzml(picked, tmp_path / "a.imzML")
    others = [
        ImzMLReader(path),
        picked.persist(tmp_path / "kept"),
        pickle.loads(pickle.dumps(picked)),
    ]
    for other in others:
        assert not other.profile
        assert other.mz is None
        assert other.runs["spectrum_type"].tolist() == ["centroid"]
        for (mz, y), (mz_again, y_again) in zip(expected, other, strict=True):
            np.testing.assert_array_equal(mz, mz_again)
            np.testing.assert_array_equal(y, y_again)


def test_pipeline_to_features():
    X, _, _ = profiles(n=40)
    spectra = Spectra.from_arrays(X, MZ)
    pipe = make_pipeline(
        BaselineSubtractor(half_window=30),
        CentroidSpectra(),
        TICNormalizer(scale="none"),
        PeakPicker(axis=MassAxis.ppm(20)),
        PeakIntegrator(),
    )
    table = pipe.fit_transform(spectra)
    assert table.shape == (40, 5)
    ratio = table.to_numpy() / HEIGHTS
    np.testing.assert_allclose(ratio / ratio.mean(1, keepdims=True), 1, atol=0.15)
    axis = MassAxis.estimate(CentroidSpectra().fit_transform(spectra))
    # Bins for scattering centroids, not for the samples of the profile.
    assert axis != MassAxis.from_values(MZ)


def test_fingerprints_and_clones():
    spectra = Spectra.from_arrays(profiles(n=2)[0], MZ)
    prints = {
        CentroidSpectra(**options).fit_transform(spectra).fingerprint
        for options in ({}, {"loq": 4}, {"noise": 1.0}, {"intensity": "sum"})
    }
    assert len(prints) == 4
    step = clone(CentroidSpectra(loq=7))
    assert step.fit_transform(spectra).queue[0].loq == 7


def test_frames_keep_index_and_columns():
    X = profiles(n=3)[0]
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(MZ.size)])
    result = CentroidSpectra().fit_transform(frame)
    assert list(result.columns) == list(frame.columns)
    filled = result.to_numpy() != 0
    np.testing.assert_array_equal(result.to_numpy()[filled], X[filled])
    assert (filled.sum(1) >= 5).all()
