"""TIC normalisation: constant totals, blank pixels, both sides of integration."""

import os
import pickle

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import Spectra, TICNormalizer, concatenate
from imsminer.core.engine import row_statistics
from imsminer.spectra._kernels import normalize_numba, normalize_xp
from imsminer.spectra.normalize import DivideByTotal


@parametrize_with_checks(
    [TICNormalizer(), TICNormalizer(scale="mean"), TICNormalizer(scale=2.0, n_jobs=2)]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def matrix(n=40, m=300, dtype=np.float64):
    X = np.random.default_rng(0).gamma(1.0, 100.0, (n, m)).astype(dtype)
    X[3::14] = 0
    return X


def ragged(n=40, dtype=np.float32):
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 200, n)
    lengths[5] = 0
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    mz = np.concatenate([np.sort(rng.uniform(100, 900, k)) for k in lengths])
    return Spectra.from_arrays(
        rng.gamma(1.0, 50.0, indptr[-1]).astype(dtype), mz, indptr=indptr
    )


def intensities(spectra):
    return [spectrum.intensity for spectrum in spectra]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", ["median", "mean", "none", 1e4])
def test_totals_become_the_scale(scale, dtype):
    X = matrix(dtype=dtype)
    total = X.sum(1, dtype=np.float64)
    used = total[total > 0]
    expected = {"median": np.median(used), "mean": used.mean(), "none": 1.0}
    expected = expected.get(scale, scale)
    normalizer = TICNormalizer(scale=scale).fit(X)
    result = normalizer.transform(X)
    assert result.dtype == dtype
    assert normalizer.scale_ == pytest.approx(expected, rel=1e-12)
    sums = result.sum(1, dtype=np.float64)
    np.testing.assert_allclose(sums[total > 0], expected, rtol=1e-6)
    np.testing.assert_allclose(
        result[total > 0], X[total > 0] / total[total > 0, None] * expected, rtol=1e-6
    )
    assert normalizer.n_blank_ == 3
    np.testing.assert_array_equal(result[3::14], 0)


def test_spectra_are_divided_by_the_whole_spectrum():
    X = matrix(dtype=np.float32)
    spectra = Spectra.from_arrays(X, mz=np.linspace(100, 200, X.shape[1]))
    normalizer = TICNormalizer().fit(spectra)
    result = normalizer.transform(spectra)
    assert isinstance(result, Spectra)
    np.testing.assert_array_equal(
        np.array(intensities(result)), TICNormalizer().fit_transform(X)
    )
    totals = row_statistics(result).total
    blank = X.sum(1) == 0
    np.testing.assert_allclose(totals[~blank], normalizer.scale_, rtol=1e-6)
    np.testing.assert_array_equal(totals[blank], 0)
    np.testing.assert_allclose(
        normalizer.factors_, X.sum(1, dtype=float) / normalizer.scale_, rtol=1e-12
    )
    np.testing.assert_array_equal(normalizer.factors(spectra), normalizer.factors_)
    np.testing.assert_allclose(
        normalizer.factors(spectra[5:9]), normalizer.factors_[5:9]
    )
    # The scale comes from fit, the totals from the spectra themselves.
    part = normalizer.transform(spectra[10:20])
    np.testing.assert_array_equal(
        np.array(intensities(part)), intensities(result)[10:20]
    )


def test_ragged_spectra_keep_dtype_and_mz():
    spectra = ragged()
    result = TICNormalizer(scale="none").fit_transform(spectra)
    for before, after in zip(spectra, result, strict=True):
        assert after.intensity.dtype == np.float32
        np.testing.assert_array_equal(before.mz, after.mz)
        if before.mz.size:
            expected = before.intensity / before.intensity.sum(dtype=np.float64)
            np.testing.assert_allclose(after.intensity, expected, rtol=1e-6)
    assert not hasattr(TICNormalizer().fit(spectra), "n_features_in_")


def test_chunks_rows_and_jobs_do_not_matter():
    spectra = ragged(200)
    normalizer = TICNormalizer(n_jobs=2).fit(spectra)
    assert normalizer.scale_ == TICNormalizer().fit(spectra).scale_
    whole = normalizer.transform(spectra)
    small = [
        chunk.spectrum(i)[1]
        for chunk in whole.iter_chunks(max_bytes=1)
        for i in range(chunk.n_spectra)
    ]
    for one, other in zip(intensities(whole), small, strict=True):
        np.testing.assert_array_equal(one, other)
    order = np.random.default_rng(0).permutation(len(spectra))
    assert TICNormalizer().fit(spectra[order]).scale_ == normalizer.scale_


def test_a_factor_on_the_input_does_not_matter():
    X = matrix()
    factors = np.random.default_rng(2).uniform(0.1, 10, (len(X), 1))
    normalizer = TICNormalizer(scale=1.0).fit(X)
    np.testing.assert_allclose(
        normalizer.transform(X * factors), normalizer.transform(X), rtol=1e-13
    )
    np.testing.assert_allclose(
        TICNormalizer().fit_transform(3 * X), 3 * TICNormalizer().fit_transform(X)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_odd_rows_never_give_nan(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    X = np.array(
        [[1, 2], [0, 0], [-1, -2], [1, -1], [tiny, 0], [3, -1], [1e30, 1e30]], dtype
    )
    result = TICNormalizer(scale=2.0).fit_transform(X)
    assert np.all(np.isfinite(result))
    np.testing.assert_array_equal(result[1:4], 0)
    np.testing.assert_allclose(result[5], [3, -1])
    np.testing.assert_allclose(result[6], [1, 1])
    assert TICNormalizer().fit(X * 0).scale_ == 1.0


def test_frames_keep_index_columns_and_dtype():
    X = matrix(6, 4, np.float32)
    index = pd.MultiIndex.from_product([["a"], range(6), [1], [1]])
    frame = pd.DataFrame(X, index=index, columns=[f"mz_{i}.0" for i in range(4)])
    result = TICNormalizer().fit_transform(frame)
    pd.testing.assert_index_equal(result.index, index)
    pd.testing.assert_index_equal(result.columns, frame.columns)
    assert (result.dtypes == np.float32).all()
    np.testing.assert_array_equal(result, TICNormalizer().fit_transform(X))
    named = TICNormalizer().set_output(transform="pandas").fit_transform(X)
    assert list(named.columns) == ["x0", "x1", "x2", "x3"]
    spectra = Spectra.from_arrays(X)
    with config_context(transform_output="pandas"):
        assert isinstance(TICNormalizer().fit_transform(spectra), Spectra)
        assert isinstance(TICNormalizer().fit_transform(X), pd.DataFrame)


@pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)
def test_other_namespaces_array_api():
    X = matrix(8, 30)
    with config_context(array_api_dispatch=True):
        strict = array_api_strict.asarray(X)
        normalizer = TICNormalizer().fit(strict)
        assert array_api_strict.__name__ in type(normalizer.factors_).__module__
        result = normalizer.transform(strict)
        with pytest.raises(ValueError, match="must use the same namespace"):
            normalizer.transform(X)
    np.testing.assert_allclose(np.asarray(result), TICNormalizer().fit_transform(X))


def test_spectra_in_other_namespaces():
    moved = ragged().to(array_api_strict)
    ours = TICNormalizer().fit(ragged())
    for one, other in zip(ours.transform(moved), ours.transform(ragged()), strict=True):
        np.testing.assert_allclose(np.asarray(one.intensity), other.intensity, 1e-6)


def test_kernels_agree():
    X = matrix().astype(np.float32)
    X.flags.writeable = False
    total = np.empty(len(X))
    normalize_numba.sum_rows(X, total)
    np.testing.assert_allclose(total, normalize_xp.sum_rows(X), rtol=1e-13)
    out = np.empty_like(X)
    normalize_numba.divide_rows(X, total, out)
    np.testing.assert_array_equal(out, normalize_xp.divide_rows(X, total))


def test_copies_pickles_and_pipelines():
    spectra = ragged()
    normalizer = TICNormalizer().fit(spectra)
    again = pickle.loads(pickle.dumps(normalizer)).transform(spectra)
    assert again.fingerprint == normalizer.transform(spectra).fingerprint
    assert not hasattr(clone(normalizer), "scale_")
    twice = make_pipeline(TICNormalizer(), TICNormalizer(scale=5.0))
    total = row_statistics(twice.fit_transform(spectra)).total
    filled = row_statistics(spectra).total > 0
    np.testing.assert_allclose(total[filled], 5.0, rtol=1e-6)


def test_runs_of_a_study_share_the_scale():
    study = concatenate([ragged(), ragged(30)])
    result = TICNormalizer(scale=7.0).fit_transform(study)
    total = row_statistics(result).total
    np.testing.assert_allclose(total[total > 0], 7.0, rtol=1e-6)


def test_kernel_state_is_in_the_fingerprint():
    spectra = ragged()
    one = spectra.map(DivideByTotal(1.0)).fingerprint
    assert one == spectra.map(DivideByTotal(1.0)).fingerprint
    assert one != spectra.map(DivideByTotal(2.0)).fingerprint


@pytest.mark.parametrize("scale", ["total", -1.0, 0])
def test_wrong_scale(scale):
    with pytest.raises(ValueError, match="'scale' parameter of TICNormalizer"):
        TICNormalizer(scale=scale).fit(np.ones((2, 2)))


def test_no_pixels():
    with pytest.raises(ValueError, match="0 pixels"):
        TICNormalizer().fit(ragged()[:0])
