"""The other baselines: independent implementations, known truth, sparse profiles."""

import array_api_strict
import numpy as np
import pytest
from pybaselines import Baseline
from scipy.ndimage import grey_opening
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import BaselineSubtractor, Spectra, _optional
from imsminer.exceptions import OptionalDependencyError
from imsminer.spectra._kernels import (
    lift_numba,
    lift_xp,
    snip_numba,
    tophat_numba,
    tophat_xp,
)

OWN = ("snip", "tophat", "median", "local_minima", "polynomial", "noise")


@parametrize_with_checks(
    [
        BaselineSubtractor(method="tophat", half_window=3),
        BaselineSubtractor(method="median", level="lower", n_jobs=2),
        BaselineSubtractor(method="local_minima", half_window=2),
        BaselineSubtractor(method="polynomial"),
        BaselineSubtractor(method="noise"),
        BaselineSubtractor(reference="mean", scale="linear"),
    ]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def simulate(n=3, m=6000, noise=5.0, seed=0):
    """Return spectra, their peaks alone, and their baseline."""
    rng = np.random.default_rng(seed)
    x = np.arange(m)
    base = 300 * np.exp(-x / (m / 4)) + 40
    peaks = np.zeros((n, m))
    for row in peaks:
        for centre in rng.choice(np.arange(100, m - 100, 60), m // 170, replace=False):
            row += rng.lognormal(5.5, 1.2) * np.exp(-0.5 * ((x - centre) / 4) ** 2)
    return peaks + base + rng.normal(0, noise, (n, m)), peaks, base


def rms(values):
    return np.sqrt(np.mean(values**2))


@pytest.mark.parametrize("noise", [0.0, 5.0, 20.0])
@pytest.mark.parametrize("method", ["snip", "tophat", "local_minima"])
def test_recovers_known_signals(method, noise):
    X, peaks, _ = simulate(noise=noise)
    if noise == 0 and method != "snip":
        pytest.skip("without noise these methods find minima between peaks only")
    result = BaselineSubtractor(method=method).fit_transform(X)
    fitter = Baseline(np.arange(X.shape[1]))
    rival = np.array([np.maximum(y - fitter.snip(y, 40)[0], 0) for y in X])
    assert rms(result - peaks) <= 0.5 * rms(rival - peaks)
    assert result.min() >= 0
    inside = peaks > 1e-3 * peaks.max()
    assert result[inside].sum() == pytest.approx(peaks[inside].sum(), rel=0.02)


def test_smooth_crowds_of_peaks_are_not_lifted():
    x = np.arange(4000)
    comb = 100 * np.exp(-0.5 * (((x % 30) - 15) / 4) ** 2)
    lower = BaselineSubtractor(level="lower").fit_transform(comb[None])
    middle = BaselineSubtractor().fit_transform(comb[None])
    assert np.abs(lower - middle).max() < 7
    assert middle[0, 2000:2100].max() > 92


def test_a_last_window_without_values_lifts_nothing():
    Y = simulate(m=1805)[0]
    rest = np.maximum(Y - 60, 0)
    for hop in (600, 900):
        out = np.empty_like(rest)
        lift_numba.lift_rows(Y, rest, hop, False, out)
        np.testing.assert_allclose(out, lift_xp.lift_rows(Y, rest, hop, False))


def test_tophat_agrees_with_scipy():
    X = simulate(m=1000)[0]
    for half in (1, 2, 7, 40, 400):
        clean = BaselineSubtractor(method="tophat", half_window=half, level="lower")
        opening = grey_opening(X, (1, 2 * half + 1))
        np.testing.assert_array_equal(
            clean.fit_transform(X), np.maximum(X, 0) - np.maximum(opening, 0)
        )


def test_tophat_of_windows_that_vary():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(2, 300))
    for reach in (rng.integers(0, 20, 300), np.arange(300) // 10):
        out = np.empty_like(X)
        tophat_numba.open_rows(X, reach, out)
        low = np.maximum(np.arange(300) - reach, 0)
        high = np.minimum(np.arange(300) + reach, 299)
        windows = list(zip(low, high, strict=True))
        for row, found in zip(X, out, strict=True):
            least = np.array([row[a : b + 1].min() for a, b in windows])
            expected = [least[a : b + 1].max() for a, b in windows]
            np.testing.assert_array_equal(found, expected)
        reference = tophat_xp.open_rows(
            array_api_strict.asarray(X), array_api_strict.asarray(reach)
        )
        np.testing.assert_array_equal(np.asarray(reference), out)


def test_median_agrees_with_numpy():
    X = simulate(m=600)[0]
    for half in (1, 20, 1000):
        clean = BaselineSubtractor(method="median", half_window=half).fit_transform(X)
        reach = np.minimum(half, np.minimum(np.arange(600), 599 - np.arange(600)))
        for row, found in zip(np.maximum(X, 0), clean, strict=True):
            base = [np.median(row[i - h : i + h + 1]) for i, h in enumerate(reach)]
            np.testing.assert_array_equal(found, np.maximum(row - base, 0))


def test_local_minima_agree_with_interpolation():
    X = simulate(m=800)[0]
    half = 9
    clean = BaselineSubtractor(
        method="local_minima", half_window=half, level="lower"
    ).fit_transform(X)
    for row, found in zip(np.maximum(X, 0), clean, strict=True):
        at = [
            i
            for i in range(row.size)
            if i in (0, row.size - 1)
            or row[i] == row[max(0, i - half) : i + half + 1].min()
        ]
        base = np.interp(np.arange(row.size), at, row[at])
        np.testing.assert_allclose(found, np.maximum(row - base, 0), atol=1e-9)


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_polynomial_under_peaks_is_found(degree):
    x = np.linspace(-1, 1, 3000)
    base = np.polynomial.Polynomial([80, 20, -10, 15][: degree + 1])(x)
    peaks = np.zeros_like(x)
    for centre in np.linspace(-0.9, 0.9, 15):
        peaks += 500 * np.exp(-0.5 * ((x - centre) / 0.004) ** 2)
    rng = np.random.default_rng(0)
    clean = BaselineSubtractor(method="polynomial", degree=degree)
    exact = clean.fit_transform((base + peaks)[None])[0]
    assert np.abs(exact - peaks).max() < 1.0
    noisy = (base + peaks + rng.normal(0, 2, x.size))[None]
    found = noisy - clean.fit_transform(noisy)
    low = (clean.fit_transform(noisy) > 0) & (peaks[None] < 1e-6)
    assert np.abs((found - base)[low]).max() < 0.6


def test_polynomial_runs_along_mz():
    # A straight line in m/z is none in the index of an uneven axis.
    mz = np.linspace(20, 40, 2000) ** 2
    spectra = Spectra.from_arrays((5 + 0.1 * mz)[None], mz)
    clean = BaselineSubtractor(method="polynomial", degree=1).fit_transform(spectra)
    np.testing.assert_allclose(clean[0].intensity, 0, atol=1e-6)


def test_noise_is_that_of_the_points_within_three_deviations():
    rng = np.random.default_rng(0)
    X = rng.normal(100, 5, (3, 5000))
    X[:, ::50] += 1000
    clean = BaselineSubtractor(method="noise", factor=4).fit_transform(X)
    for row, found in zip(X, clean, strict=True):
        kept = row
        while True:
            near = kept[np.abs(kept - kept.mean()) <= 3 * kept.std()]
            if near.size == kept.size:
                break
            kept = near
        np.testing.assert_allclose(found, row - 4 * kept.std(), rtol=1e-12)


def test_single_precision_logarithms():
    y = np.r_[np.zeros(3), 10 ** np.linspace(-6, 30, 5000), -3].astype(np.float32)
    v = snip_numba._compress(y)
    wanted = np.maximum(y, 0).astype(np.float64)
    wanted = np.log(np.log(np.sqrt(wanted + 1) + 1) + 1)
    np.testing.assert_allclose(v, wanted, rtol=5e-7)
    # Above the baseline by nothing but rounding of the way there and back.
    out = np.empty_like(y)
    snip_numba._subtract(y, v + 1, v.copy(), out)
    assert np.max(out / np.maximum(y, 1)) < 3e-5
    snip_numba._subtract(y, v, v.copy(), out)
    np.testing.assert_array_equal(out, 0)
    y[7] = np.nan
    snip_numba._subtract(y, v, snip_numba._compress(y), out)
    assert np.isnan(out[7])


# Spectra ---------------------------------------------------------------------------


def dense(dtype=np.float64):
    mz = (20.0 + np.arange(3000) * 1e-3) ** 2
    X = np.maximum(simulate(4, 3000)[0], 0).astype(dtype)
    X[X < 75] = 0  # what a thresholding instrument writes
    X[:, 0] = X[:, -1] = 1
    return Spectra.from_arrays(X, mz)


def sparse(spectra):
    """Return the same spectra with the zeros left out."""
    X = np.array([s.intensity for s in spectra])
    rows, columns = np.nonzero(X)
    indptr = np.concatenate([[0], np.cumsum((X != 0).sum(1))])
    return Spectra.from_arrays(X[rows, columns], spectra.mz[columns], indptr=indptr)


@pytest.mark.parametrize(
    "options", [{"level": "lower"}, {"level": "middle"}, {"clip": False}]
)
@pytest.mark.parametrize("method", OWN)
def test_sparse_profiles_equal_dense_ones(method, options):
    subtractor = BaselineSubtractor(method=method, half_window=12, **options)
    full = subtractor.fit_transform(dense())
    thin = subtractor.fit_transform(sparse(dense()))
    for one, other in zip(full, thin, strict=True):
        stored = np.isin(full.mz, other.mz)
        # Long gaps are counted to a few grid points, which moves the two methods that
        # look at all points of a spectrum by less than 1e-3 of their baselines.
        atol = 0.1 if method in ("polynomial", "noise") else 1e-9
        atol = atol / 2 if subtractor.clip else atol
        np.testing.assert_allclose(
            one.intensity[stored], other.intensity, rtol=1e-6, atol=atol
        )


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("method", [*OWN, "pybaselines:snip"])
def test_other_namespaces(method, ragged):
    spectra = (sparse(dense()) if ragged else dense())[:2]
    for width in ({"half_window": 6}, {"half_window": 900.0, "unit": "ppm"}):
        linear = {"scale": "linear", "level": "lower"}
        for more in ({}, {"clip": False}, linear):
            subtractor = BaselineSubtractor(method=method, **width, **more)
            host = subtractor.fit_transform(spectra)
            moved = subtractor.fit_transform(spectra.to(array_api_strict))
            for one, other in zip(host.iter_chunks(), moved.iter_chunks(), strict=True):
                np.testing.assert_allclose(
                    np.asarray(other.intensity), one.intensity, rtol=1e-7, atol=1e-7
                )


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_and_rows_do_not_matter(method, dtype):
    for spectra in (dense(dtype), sparse(dense(dtype))):
        subtractor = BaselineSubtractor(method=method)
        result = subtractor.fit_transform(spectra)
        small = [
            chunk.spectrum(i)[1]
            for chunk in result.iter_chunks(max_bytes=1)
            for i in range(chunk.n_spectra)
        ]
        for one, other in zip(result, small, strict=True):
            assert one.intensity.dtype == dtype
            np.testing.assert_array_equal(one.intensity, other)
        part = subtractor.fit_transform(spectra[[3, 1]])
        np.testing.assert_array_equal(part[0].intensity, result[3].intensity)


def test_one_curve_for_all():
    X, _, base = simulate(20)
    clean = BaselineSubtractor(reference="mean").fit(X)
    assert rms(clean.baseline_ - base) < 3
    np.testing.assert_allclose(
        clean.transform(X), np.maximum(X - clean.baseline_, 0), rtol=1e-12
    )
    spectra = dense()
    shared = BaselineSubtractor(reference="mean", level="lower").fit(spectra)
    np.testing.assert_array_equal(shared.mz_, spectra.mz)
    first = spectra[0].intensity
    np.testing.assert_allclose(
        shared.transform(spectra)[0].intensity, np.maximum(first - shared.baseline_, 0)
    )
    ragged = BaselineSubtractor(reference="mean", level="lower").fit(sparse(spectra))
    mz, intensity = ragged.transform(sparse(spectra))[0]
    stored = sparse(spectra)[0].intensity
    curve = np.interp(mz, ragged.mz_, ragged.baseline_)
    np.testing.assert_allclose(intensity, np.maximum(stored - curve, 0), atol=1e-9)
    with pytest.raises(ValueError, match="fitted on Spectra"):
        shared.transform(X[:, :3000])


def test_methods_of_pybaselines():
    X = simulate(m=2000)[0]
    clean = BaselineSubtractor(
        method="pybaselines:arpls", options={"lam": 1e6}
    ).fit_transform(X)
    fitter = Baseline(np.arange(2000))
    for row, found in zip(np.maximum(X, 0), clean, strict=True):
        base = np.maximum(fitter.arpls(row, lam=1e6)[0], 0)
        np.testing.assert_allclose(found, np.maximum(row - base, 0), atol=1e-6)
    blank = np.zeros((1, 2000))
    np.testing.assert_array_equal(
        BaselineSubtractor(method="pybaselines:arpls").fit_transform(blank), 0
    )
    with pytest.raises(ValueError, match=r"one of pybaselines:.*'arpls'.*Got"):
        BaselineSubtractor(method="pybaselines:none").fit(X)
    with pytest.raises(ValueError, match="failed on a spectrum of 2000 points"):
        BaselineSubtractor(
            method="pybaselines:arpls", options={"lam": -1}
        ).fit_transform(X)
    with pytest.raises(ValueError, match="options are for methods of pybaselines"):
        BaselineSubtractor(options={"lam": 1}).fit(X)


def test_says_how_to_install_pybaselines(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(_optional.importlib, "import_module", missing)
    with pytest.raises(OptionalDependencyError, match=r"\[baselines\]"):
        BaselineSubtractor(method="pybaselines:arpls").fit(np.ones((2, 5)))


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_odd_values(method, dtype):
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
    X.flags.writeable = False
    for half_window in (1, 10, 500):
        clean = BaselineSubtractor(method=method, half_window=half_window)
        result = clean.fit_transform(X)
        assert result.dtype == dtype
        assert np.all(np.isfinite(result))
        assert np.all(result >= 0)
        np.testing.assert_array_equal(result[1:3], 0)
        one = clean.fit_transform(np.array([[3.0]], dtype))
        assert 0 <= one[0, 0] <= 3
        two = clean.fit_transform(np.array([[3.0, 4.0]], dtype))
        assert np.all((two >= 0) & (two <= 4))
    empty = Spectra.from_arrays(
        np.array([5.0, 9.0, 4.0], dtype), [100.0, 100.1, 100.2], indptr=[0, 0, 3, 3]
    )
    assert [s.mz.size for s in clean.fit_transform(empty)] == [0, 3, 0]


def test_wrong_parameters():
    X = np.ones((2, 5))
    for wrong in (
        {"degree": -1},
        {"factor": -1},
        {"level": "upper"},
        {"scale": "log"},
        {"reference": "max"},
    ):
        with pytest.raises(ValueError, match="parameter of BaselineSubtractor"):
            BaselineSubtractor(**wrong).fit(X)
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        BaselineSubtractor(method="median").fit(X)


@pytest.mark.parametrize("method", ["snip", "tophat", "median", "polynomial"])
def test_without_clipping_noise_keeps_its_lower_half(method):
    rng = np.random.default_rng(0)
    X = 100 + rng.normal(size=(40, 3000))
    whole = BaselineSubtractor(method=method, clip=False).fit_transform(X)
    clipped = BaselineSubtractor(method=method).fit_transform(X)
    np.testing.assert_array_equal(np.maximum(whole, 0), clipped)
    inner = slice(100, -100)
    # Half of normal noise has a mean of 0.4.
    assert clipped[:, inner].mean() > 0.25
    assert abs(whole[:, inner].mean()) < 0.1
    strict = Spectra.from_arrays(X[:2], np.arange(3000.0)).to(array_api_strict)
    found = BaselineSubtractor(method=method, clip=False).fit_transform(strict)
    (chunk,) = found.iter_chunks()
    np.testing.assert_allclose(np.asarray(chunk.intensity), whole[:2], atol=1e-9)
