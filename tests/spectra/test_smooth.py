"""Smoothing: SciPy and Cardinal as independent implementations, and properties."""

import os
import pickle

import array_api_strict
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d, median_filter, uniform_filter1d
from scipy.signal import savgol_filter
from sklearn import config_context
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import Spectra
from imsminer.spectra.smooth import SpectrumSmoother

METHODS = ("savgol", "gaussian", "moving_average", "median")


@parametrize_with_checks(
    [
        SpectrumSmoother(),
        SpectrumSmoother(method="median", n_jobs=2),
        SpectrumSmoother(method="gaussian", width=2.5),
    ]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def profiles(n=4, m=500, seed=0):
    rng = np.random.default_rng(seed)
    x = np.arange(m)
    rows = 20 + 50 * np.exp(-x / 200) + rng.normal(0, 3, (n, m))
    for row in rows:
        for centre in rng.uniform(0, m, 10):
            row += rng.gamma(1, 100) * np.exp(-0.5 * ((x - centre) / 3) ** 2)
    return rows


@pytest.mark.parametrize("width", [1, 3, 7, 31, 501, 1501])
def test_agrees_with_scipy(width):
    X = profiles()

    def smooth(method, **keywords):
        return SpectrumSmoother(method=method, width=width, **keywords).fit_transform(X)

    near = {"axis": 1, "mode": "nearest"}
    for degree in {0, min(2, width - 1), min(5, width - 1)}:
        np.testing.assert_allclose(
            smooth("savgol", degree=degree),
            savgol_filter(X, width, degree, **near),
            rtol=1e-9,
            # Wide windows and high degrees leave least squares fewer digits.
            atol=1e-8 if width < 100 else 1e-6,
        )
    np.testing.assert_allclose(
        smooth("moving_average"), uniform_filter1d(X, width, **near), rtol=1e-10
    )
    np.testing.assert_array_equal(
        smooth("median"), median_filter(X, (1, width), mode="nearest")
    )
    sd = width / (2 * np.sqrt(2 * np.log(2)))
    np.testing.assert_allclose(
        smooth("gaussian"), gaussian_filter1d(X, sd, **near), rtol=1e-10
    )


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
def test_savgol_keeps_polynomials(degree):
    x = np.linspace(-1, 1, 200)
    y = np.polynomial.Polynomial([3, -2, 5, 1, 4][: degree + 1])(x)
    result = SpectrumSmoother(width=11, degree=degree).fit_transform(y[None])[0]
    np.testing.assert_allclose(result[5:-5], y[5:-5], atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_noise_falls_and_peaks_stay(method):
    rng = np.random.default_rng(1)
    x = np.arange(4000)
    peak = 100 * np.exp(-0.5 * ((x - 2000) / 10) ** 2)
    noisy = peak + rng.normal(0, 5, x.size)
    clean = SpectrumSmoother(method=method, width=7).fit_transform(noisy[None])[0]
    away = np.abs(x - 2000) > 100
    assert clean[away].std() < 0.62 * noisy[away].std()
    assert clean[1950:2051].sum() == pytest.approx(noisy[1950:2051].sum(), rel=0.01)
    assert clean[1990:2011].max() == pytest.approx(100, rel=0.08)


def tof_axis(m=2000):
    return (20.0 + np.arange(m) * 1e-3) ** 2


def dense(dtype=np.float64):
    X = profiles(5, 2000).astype(dtype)
    X[X < 40] = 0
    X[:, 0] = X[:, -1] = 1
    return Spectra.from_arrays(X, tof_axis())


def sparse(spectra):
    """Return the same spectra with the zeros left out."""
    X = np.array([s.intensity for s in spectra])
    rows, columns = np.nonzero(X)
    indptr = np.concatenate([[0], np.cumsum((X != 0).sum(1))])
    return Spectra.from_arrays(X[rows, columns], spectra.mz[columns], indptr=indptr)


@pytest.mark.parametrize("method", METHODS)
def test_sparse_profiles_equal_dense_ones(method):
    smoother = SpectrumSmoother(method=method, width=5)
    full = smoother.fit_transform(dense())
    thin = smoother.fit_transform(sparse(dense()))
    assert not hasattr(smoother, "n_features_in_")
    for one, other in zip(full, thin, strict=True):
        stored = np.isin(full.mz, other.mz)
        np.testing.assert_allclose(
            one.intensity[stored], other.intensity, rtol=1e-9, atol=1e-9
        )


def test_ppm_follow_the_axis():
    mz = np.linspace(100, 1000, 4000)
    X = profiles(2, mz.size)
    spectra = Spectra.from_arrays(X, mz)
    smoother = SpectrumSmoother(method="moving_average", width=6000, unit="ppm")
    result = smoother.fit_transform(spectra)
    size = 2 * np.rint((mz * 6e-3 / np.gradient(mz) - 1) / 2).astype(int) + 1
    assert size.min() < 5 < 20 < size.max()
    for row, smoothed in zip(X, result, strict=True):
        for i in range(100, 3900, 97):
            half = size[i] // 2
            expected = row[i - half : i + half + 1].mean()
            assert smoothed.intensity[i] == pytest.approx(expected)
    gaussian = SpectrumSmoother(method="gaussian", width=3000, unit="ppm")
    row = gaussian.fit_transform(spectra)[0].intensity
    sd = mz * 3e-3 / np.gradient(mz) / (2 * np.sqrt(2 * np.log(2)))
    for i in range(200, 3800, 97):
        weights = np.exp(-0.5 * ((np.arange(mz.size) - i) / sd[i]) ** 2)
        expected = (weights * X[0]).sum() / weights.sum()
        assert row[i] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("width", [(5, "points"), (900.0, "ppm")])
def test_other_namespaces_of_spectra(method, ragged, width):
    spectra = sparse(dense()) if ragged else dense()
    smoother = SpectrumSmoother(method=method, width=width[0], unit=width[1])
    host = smoother.fit_transform(spectra[:2])
    moved = smoother.fit_transform(spectra[:2].to(array_api_strict))
    for one, other in zip(host.iter_chunks(), moved.iter_chunks(), strict=True):
        np.testing.assert_allclose(
            np.asarray(other.intensity), one.intensity, rtol=1e-9, atol=1e-9
        )


def test_chunks_rows_and_jobs_do_not_matter():
    for spectra in (dense(np.float32), sparse(dense(np.float32))):
        result = SpectrumSmoother().fit_transform(spectra)
        small = [
            chunk.spectrum(i)[1]
            for chunk in result.iter_chunks(max_bytes=1)
            for i in range(chunk.n_spectra)
        ]
        for one, other in zip(result, small, strict=True):
            assert one.intensity.dtype == np.float32
            np.testing.assert_array_equal(one.intensity, other)
        part = SpectrumSmoother().fit_transform(spectra[[4, 1]])
        np.testing.assert_array_equal(part[0].intensity, result[4].intensity)
    X = np.tile(profiles(50, 2000), (8, 1))
    np.testing.assert_array_equal(
        SpectrumSmoother(n_jobs=2).fit_transform(X), SpectrumSmoother().fit_transform(X)
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_odd_values(method, dtype):
    smoother = SpectrumSmoother(method=method, width=51)
    constant = np.array([[-3.0] * 20, [0.0] * 20, [7.0] * 20], dtype)
    result = smoother.fit_transform(constant)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, constant, rtol=1e-5)
    single = np.array([[5.0]], dtype)
    np.testing.assert_allclose(smoother.fit_transform(single), single, rtol=1e-5)
    X = profiles().astype(dtype)
    X.flags.writeable = False
    assert np.isfinite(smoother.fit_transform(X)).all()
    empty = Spectra.from_arrays(
        np.array([5.0, 9.0, 4.0], dtype), [100.0, 100.1, 100.2], indptr=[0, 0, 3, 3]
    )
    assert [s.mz.size for s in smoother.fit_transform(empty)] == [0, 3, 0]


def test_wrong_parameters():
    X = profiles()
    for wrong in ({"method": "mean"}, {"width": 0}, {"unit": "Da"}, {"degree": -1}):
        with pytest.raises(ValueError, match="parameter of SpectrumSmoother"):
            SpectrumSmoother(**wrong).fit(X)
    for width in (4, 4.5):
        with pytest.raises(ValueError, match=f"odd whole number .* got {width}"):
            SpectrumSmoother(width=width).fit(X)
    with pytest.raises(ValueError, match="degree must be below width, 3 points; got 3"):
        SpectrumSmoother(width=3, degree=3).fit(X)
    with pytest.raises(ValueError, match="needs m/z values"):
        SpectrumSmoother(width=50, unit="ppm").fit(X)
    X[0, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        SpectrumSmoother().fit(X)
    centroids = Spectra.from_arrays(
        np.ones((2, 30)), np.linspace(100, 200, 30), profile=False, run="spots"
    )
    with pytest.raises(ValueError, match=r"centroid spectra in 'spots'.*Leave"):
        SpectrumSmoother().fit(centroids)


def test_pickles_to_the_same_step():
    smoother = SpectrumSmoother(width=9).fit(dense())
    again = pickle.loads(pickle.dumps(smoother))
    one, other = (s.transform(dense()).fingerprint for s in (smoother, again))
    assert one == other
    assert SpectrumSmoother().fit_transform(dense()).fingerprint != one


@pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)
def test_other_namespaces_array_api():
    X = profiles()
    with config_context(array_api_dispatch=True):
        result = SpectrumSmoother().fit_transform(array_api_strict.asarray(X))
    expected = SpectrumSmoother().fit_transform(X)
    np.testing.assert_allclose(np.asarray(result), expected, atol=1e-9)
