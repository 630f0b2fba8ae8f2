"""SNIP baselines: independent implementations, sparse profiles, odd values."""

import os
import pickle

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from pybaselines.smooth import snip as pybaselines_snip
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import BaselineSubtractor, Spectra, concatenate
from imsminer.core.engine import row_statistics
from imsminer.spectra._kernels import snip_numba, snip_xp


@parametrize_with_checks(
    [BaselineSubtractor(), BaselineSubtractor(half_window=2, n_jobs=2)]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def slow_snip(y, half_window):
    """SNIP as its definition reads: one point at a time."""
    v = [np.log(np.log(np.sqrt(max(x, 0.0) + 1) + 1) + 1) for x in y]
    for p in range(half_window, 0, -1):
        v = [
            min(v[i], (v[i - p] + v[i + p]) / 2) if p <= i < len(v) - p else v[i]
            for i in range(len(v))
        ]
    base = np.array([(np.exp(np.exp(x) - 1) - 1) ** 2 - 1 for x in v])
    return np.maximum(np.asarray(y) - base, 0)


def profiles(n=5, m=400, seed=0):
    rng = np.random.default_rng(seed)
    x = np.arange(m)
    rows = []
    for _ in range(n):
        y = 200 * np.exp(-x / 150) + 20
        for centre in rng.uniform(0, m, 8):
            y = y + rng.gamma(1, 500) * np.exp(-0.5 * ((x - centre) / 2.5) ** 2)
        rows.append(rng.poisson(y).astype(float))
    return np.array(rows)


@pytest.mark.parametrize("half_window", [1, 2, 7, 40, 500])
def test_agrees_with_the_definition(half_window):
    X = profiles()
    plain = BaselineSubtractor(half_window=half_window, level="lower")
    result = plain.fit_transform(X)
    expected = [slow_snip(y, half_window) for y in X]
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-8)


def test_agrees_with_pybaselines():
    m = 30
    # It extrapolates beyond the ends; between zeros the ends do not matter.
    X = np.pad(profiles(), ((0, 0), (2 * m, 2 * m)))
    result = BaselineSubtractor(half_window=m, level="lower").fit_transform(X)
    for y, ours in zip(X, result, strict=True):
        v = np.log(np.log(np.sqrt(y + 1) + 1) + 1)
        base, _ = pybaselines_snip(v, max_half_window=m, decreasing=True)
        base = (np.exp(np.exp(base) - 1) - 1) ** 2 - 1
        np.testing.assert_allclose(ours, np.maximum(y - base, 0), 1e-8, 1e-8)


def test_recovers_peaks_on_a_smooth_baseline():
    x = np.arange(3000)
    peaks = sum(
        a * np.exp(-0.5 * ((x - c) / 4) ** 2)
        for a, c in [(1000, 500), (80, 1200), (5000, 2100), (300, 2600)]
    )
    base = 400 * np.exp(-x / 900) + 30
    clean = BaselineSubtractor(half_window=40).fit_transform((peaks + base)[None])[0]
    for centre in (500, 1200, 2100, 2600):
        window = slice(centre - 20, centre + 21)
        assert clean[window].sum() == pytest.approx(peaks[window].sum(), rel=0.02)
    between = np.r_[50:400, 600:1100, 1300:2000, 2200:2500]
    assert np.abs(clean[between]).max() < 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_odd_values(dtype):
    X = np.array(
        [
            np.linspace(-100, 100, 50),
            np.full(50, -5.0),
            np.zeros(50),
            np.full(50, 7.0),
            np.r_[np.zeros(25), 1e30, np.zeros(24)],
        ],
        dtype,
    )
    result = BaselineSubtractor(half_window=10).fit_transform(X)
    assert result.dtype == dtype
    assert np.all(np.isfinite(result))
    assert np.all(result >= 0)
    np.testing.assert_array_equal(result[1:4], 0)
    assert result[4, 25] == X[4, 25]
    one = BaselineSubtractor().fit_transform(np.array([[3.0]], dtype))
    np.testing.assert_array_equal(one, 0)


def test_a_nan_is_not_hidden():
    X = profiles(1)
    X[0, 100] = np.nan
    out = np.empty_like(X)
    snip_numba.snip_rows(X, np.full(X.shape[1], 10), out)
    assert np.isnan(out[0, 100])


def test_float32_agrees_with_float64():
    X = profiles()
    double = BaselineSubtractor().fit_transform(X)
    single = BaselineSubtractor().fit_transform(X.astype(np.float32))
    np.testing.assert_allclose(single, double, atol=1e-4 * X.max())


# Spectra ---------------------------------------------------------------------------


def tof_axis(m=4000):
    return (20.0 + np.arange(m) * 1e-4) ** 2


def dense(mz=None, dtype=np.float32):
    mz = tof_axis() if mz is None else mz
    X = profiles(6, mz.size).astype(dtype)
    X[X < 60] = 0  # what a thresholding instrument writes
    X[:, 0] = X[:, -1] = 1
    return Spectra.from_arrays(X, mz)


def sparse(spectra):
    """Return the same spectra with the zeros left out."""
    X = np.array([s.intensity for s in spectra])
    rows, columns = np.nonzero(X)
    indptr = np.concatenate([[0], np.cumsum((X != 0).sum(1))])
    return Spectra.from_arrays(X[rows, columns], spectra.mz[columns], indptr=indptr)


@pytest.mark.parametrize("window", [(40, "points"), (5, "points"), (300.0, "ppm")])
def test_sparse_profiles_equal_dense_ones(window):
    half_window, unit = window
    subtractor = BaselineSubtractor(half_window=half_window, unit=unit)
    full = subtractor.fit_transform(dense())
    thin = subtractor.fit_transform(sparse(dense()))
    assert not hasattr(subtractor, "n_features_in_")
    for one, other in zip(full, thin, strict=True):
        stored = np.isin(full.mz, other.mz)
        # Half windows in ppm are rounded to points, from a spacing that is fitted.
        atol = 0 if unit == "points" else 0.02 * one.intensity.max()
        np.testing.assert_allclose(
            one.intensity[stored], other.intensity, rtol=1e-4, atol=atol + 1e-3
        )
        np.testing.assert_array_equal(one.intensity[~stored], 0)


def test_isolated_peaks_keep_their_intensity():
    mz = tof_axis()
    rng = np.random.default_rng(3)
    X = np.zeros((8, mz.size))
    for row in X:
        row[[0, -1]] = 1
        for centre in rng.choice(np.arange(100, 3900, 100), 20, replace=False):
            row[centre - 3 : centre + 4] = [2, 20, 90, 140, 80, 25, 3]
    thin = sparse(Spectra.from_arrays(X, mz))
    result = BaselineSubtractor(half_window=20).fit_transform(thin)
    for before, after in zip(thin, result, strict=True):
        # The ends of the axis, where windows have no room, are baseline.
        np.testing.assert_allclose(
            after.intensity[1:-1], before.intensity[1:-1], rtol=1e-9
        )


def test_ppm_follow_the_axis():
    mz = (20.0 + np.arange(4000) * 2e-3) ** 2
    spectra = dense(mz)
    subtractor = BaselineSubtractor(half_window=2000, unit="ppm", level="lower")
    result = subtractor.fit_transform(spectra)
    width = np.maximum(1, np.rint(2000e-6 * mz / np.gradient(mz))).astype(np.int64)
    assert width.max() > width.min()
    X = np.array([s.intensity for s in spectra])
    np.testing.assert_allclose(
        np.array([s.intensity for s in result]),
        snip_xp.snip_rows(X, width),
        rtol=1e-3,
        atol=1e-4 * X.max(),
    )


def test_chunks_do_not_matter():
    for spectra in (dense(), sparse(dense())):
        result = BaselineSubtractor().fit_transform(spectra)
        small = [
            chunk.spectrum(i)[1]
            for chunk in result.iter_chunks(max_bytes=1)
            for i in range(chunk.n_spectra)
        ]
        for one, other in zip(result, small, strict=True):
            np.testing.assert_array_equal(one.intensity, other)
        part = BaselineSubtractor().fit_transform(spectra[[4, 1]])
        np.testing.assert_array_equal(part[0].intensity, result[4].intensity)


def test_jobs_do_not_matter():
    X = np.tile(profiles(50, 2000), (8, 1))
    np.testing.assert_array_equal(
        BaselineSubtractor(n_jobs=2).fit_transform(X),
        BaselineSubtractor().fit_transform(X),
    )


def test_input_is_left_alone():
    X = profiles()
    before = X.copy()
    X.flags.writeable = False
    BaselineSubtractor().fit_transform(X)
    np.testing.assert_array_equal(X, before)


def test_empty_spectra():
    spectra = Spectra.from_arrays(
        np.array([5.0, 9.0, 4.0]), [100.0, 100.1, 100.2], indptr=[0, 0, 3, 3]
    )
    result = BaselineSubtractor().fit_transform(spectra)
    assert [s.mz.size for s in result] == [0, 3, 0]
    assert np.all(np.isfinite(result[1].intensity))


def test_centroids_are_refused():
    spectra = Spectra.from_arrays(
        np.ones((2, 30)), np.linspace(100, 200, 30), profile=False, run="spots"
    )
    with pytest.raises(ValueError, match="centroid spectra in 'spots'"):
        BaselineSubtractor().fit(spectra)
    study = concatenate([dense(), spectra])
    with pytest.raises(ValueError, match="centroiding has already removed"):
        BaselineSubtractor().fit(study)
    subtractor = BaselineSubtractor().fit(study[:6])
    with pytest.raises(ValueError, match="Leave this step out"):
        subtractor.transform(study)
    kept = subtractor.transform(study[:6])
    assert row_statistics(kept).total.shape == (6,)


def test_wrong_parameters():
    X = profiles()
    for wrong in ({"method": "hat"}, {"half_window": 0}, {"unit": "m/z"}):
        with pytest.raises(ValueError, match="parameter of BaselineSubtractor"):
            BaselineSubtractor(**wrong).fit(X)
    with pytest.raises(ValueError, match=r"whole number of points; got 2\.5"):
        BaselineSubtractor(half_window=2.5).fit(X)
    with pytest.raises(ValueError, match="needs m/z values"):
        BaselineSubtractor(half_window=50, unit="ppm").fit(X)


def test_frames_and_copies():
    X = profiles().astype(np.float32)
    frame = pd.DataFrame(X, index=list("abcde"))
    frame.columns = [f"mz_{i}" for i in range(X.shape[1])]
    result = BaselineSubtractor().fit_transform(frame)
    pd.testing.assert_index_equal(result.index, frame.index)
    assert (result.dtypes == np.float32).all()
    subtractor = clone(BaselineSubtractor(half_window=12)).fit(dense())
    again = pickle.loads(pickle.dumps(subtractor))
    assert (
        again.transform(dense()).fingerprint
        == subtractor.transform(dense()).fingerprint
    )
    with config_context(transform_output="pandas"):
        assert isinstance(subtractor.transform(dense()), Spectra)


@pytest.mark.parametrize("ragged", [False, True])
def test_spectra_in_other_namespaces(ragged):
    spectra = dense(dtype=np.float64)
    spectra = sparse(spectra) if ragged else spectra
    host = BaselineSubtractor(half_window=8).fit_transform(spectra)
    moved = BaselineSubtractor(half_window=8).fit_transform(
        spectra.to(array_api_strict)
    )
    for one, other in zip(host.iter_chunks(), moved.iter_chunks(), strict=True):
        np.testing.assert_allclose(
            np.asarray(other.intensity), one.intensity, rtol=1e-9, atol=1e-9
        )


@pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)
def test_other_namespaces_array_api():
    X = profiles()
    with config_context(array_api_dispatch=True):
        result = BaselineSubtractor().fit_transform(array_api_strict.asarray(X))
    np.testing.assert_allclose(
        np.asarray(result), BaselineSubtractor().fit_transform(X), atol=1e-9
    )
