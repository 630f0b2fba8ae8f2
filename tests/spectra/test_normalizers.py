"""What holds for every normaliser, on each kind of data."""

import os
import pickle

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import Spectra, TICNormalizer, concatenate
from imsminer.core.cache import cache
from imsminer.spectra.normalize import (
    MaxNormalizer,
    MedianNormalizer,
    RMSNormalizer,
)
from imsminer.spectra.normalize_pqn import PQNNormalizer
from imsminer.spectra.normalize_reference import ReferenceNormalizer
from imsminer.spectra.normalize_trimmed import TrimmedTICNormalizer

#: Arrays have their columns at m/z 0, 1, 2, …
ALL = [
    TICNormalizer(),
    RMSNormalizer(),
    MedianNormalizer(),
    MaxNormalizer(),
    ReferenceNormalizer(mz=7.0),
    TrimmedTICNormalizer(trim=0.2, exclude=[3.0]),
    PQNNormalizer(),
]
SCALES = ["median", "mean", "none", 1e4]
every = pytest.mark.parametrize("normalizer", ALL, ids=lambda n: type(n).__name__)


@parametrize_with_checks(
    [
        RMSNormalizer(),
        MedianNormalizer(n_jobs=2),
        MaxNormalizer(scale="mean"),
        ReferenceNormalizer(column=0),
        ReferenceNormalizer(mz=0.0, scale=3.0),
        TrimmedTICNormalizer(),
        TrimmedTICNormalizer(trim=0.0, n_jobs=2),
        PQNNormalizer(),
        PQNNormalizer(n_variables=2, scale="none"),
    ]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


def matrix(n=40, m=60, dtype=np.float64):
    """Spectra of one composition, in varying amounts; some are blank, some have 0."""
    rng = np.random.default_rng(0)
    X = rng.gamma(20.0, 5.0, (n, m)) * rng.gamma(1.0, 10.0, m)
    X *= rng.lognormal(0, 0.5, (n, 1))
    X[rng.random((n, m)) < 0.1] = 0
    X[:, 7] += 1.0
    X[3::14] = 0
    return X.astype(dtype)


def amounts(normalizer, X):
    """The measure by another way than the kernels'."""
    name = type(normalizer).__name__
    X = np.asarray(X, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        if name == "TICNormalizer":
            return X.sum(1)
        if name == "RMSNormalizer":
            return np.sqrt(np.mean(X**2, axis=1))
        if name == "MedianNormalizer":
            return np.array([np.median(x[x != 0]) if x.any() else 0.0 for x in X])
        if name == "MaxNormalizer":
            return X.max(1)
        if name == "ReferenceNormalizer":
            return X[:, 7]
        if name == "TrimmedTICNormalizer":
            mean = X.mean(0)
            order = np.argsort(-mean)
            share = np.cumsum(mean[order]) / mean.sum()
            left_out = [*order[: np.sum(share < 0.2) + 1], 3]
            return np.delete(X, left_out, axis=1).sum(1)
        filled = X.sum(1) > 0
        reference = np.median((X / X.sum(1)[:, None])[filled], axis=0)
        quotients = (X / reference)[:, reference > 0]
        return np.array(
            [np.median(q[q != 0]) if np.any(q != 0) else 0.0 for q in quotients]
        )


def as_spectra(X, form):
    """X as centroids at m/z 100, 101, …: on one axis, or without their zeros."""
    mz = 100.0 + np.arange(X.shape[1])
    if form == "shared":
        return Spectra.from_arrays(X, mz=mz, profile=False)
    rows, columns = np.nonzero(X)
    indptr = np.searchsorted(rows, np.arange(len(X) + 1))
    return Spectra.from_arrays(
        X[rows, columns], mz=mz[columns], indptr=indptr, profile=False
    )


def for_spectra(normalizer):
    """The same normaliser where column 0 stands at m/z 100."""
    changes = {"mz": 107.0, "exclude": [103.0]}
    own = normalizer.get_params()
    return clone(normalizer).set_params(
        **{name: value for name, value in changes.items() if own.get(name) is not None}
    )


def dense(spectra, m=60):
    """Values of spectra whose m/z are 100 + column numbers."""
    X = np.zeros((len(spectra), m))
    for row, (mz, intensity) in zip(X, spectra, strict=True):
        row[mz.astype(int) - 100] = intensity
    return X


@every
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_measure_becomes_the_scale(normalizer, scale, dtype):
    X = matrix(dtype=dtype)
    measure = amounts(normalizer, X)
    used = measure[measure > 0]
    expected = {"median": np.median(used), "mean": used.mean(), "none": 1.0}
    expected = expected.get(scale, scale)
    fitted = clone(normalizer).set_params(scale=scale).fit(X)
    assert fitted.scale_ == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(fitted.factors_, measure / expected, rtol=1e-12)
    np.testing.assert_array_equal(fitted.mask_, measure > 0)
    assert fitted.n_blank_ == 3
    result = fitted.transform(X)
    assert result.dtype == dtype
    rtol = 1e-6 if dtype == np.float32 else 1e-13
    divided = X[measure > 0] / fitted.factors_[measure > 0, None]
    np.testing.assert_allclose(result[measure > 0], divided, rtol=rtol)
    np.testing.assert_array_equal(result[3::14], 0)
    np.testing.assert_allclose(
        fitted.factors(result)[measure > 0] * fitted.scale_, expected, rtol=1e-5
    )


@every
@pytest.mark.parametrize("form", ["shared", "ragged"])
def test_spectra_and_arrays_give_the_same(normalizer, form):
    X = matrix()
    spectra = as_spectra(X, form)
    # The RMS of spectra without their zeros is the root of the sum of squares; with a
    # scale from fit it is the same.
    array = clone(normalizer).fit(X)
    fitted = for_spectra(normalizer).fit(spectra)
    result = fitted.transform(spectra)
    assert isinstance(result, Spectra)
    np.testing.assert_allclose(dense(result), array.transform(X), rtol=1e-12)
    np.testing.assert_allclose(fitted.factors_, array.factors_, rtol=1e-12)
    np.testing.assert_array_equal(fitted.mask_, array.mask_)
    np.testing.assert_array_equal(fitted.factors(spectra), fitted.factors_)
    part = fitted.transform(spectra[10:20])
    np.testing.assert_array_equal(dense(part), dense(result)[10:20])
    np.testing.assert_allclose(fitted.factors(spectra[5:9]), fitted.factors_[5:9])


@every
@pytest.mark.parametrize("form", ["shared", "ragged"])
def test_other_libraries_give_the_same(normalizer, form):
    X = matrix(dtype=np.float32)
    spectra = as_spectra(X, form)
    moved = spectra.to(array_api_strict)
    fitted = for_spectra(normalizer).fit(spectra)
    again = for_spectra(normalizer).fit(moved)
    np.testing.assert_allclose(again.factors_, fitted.factors_, rtol=1e-12)
    for one, two in zip(
        fitted.transform(moved), fitted.transform(spectra), strict=True
    ):
        assert isinstance(one.intensity, type(array_api_strict.asarray([0.0])))
        np.testing.assert_allclose(np.asarray(one.intensity), two.intensity, 1e-6)


@every
@pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)
def test_array_api_dispatch_keeps_the_library(normalizer):
    X = matrix()
    expected = clone(normalizer).fit(X)
    with config_context(array_api_dispatch=True):
        strict = array_api_strict.asarray(X)
        fitted = clone(normalizer).fit(strict)
        result = fitted.transform(strict)
        back = fitted.inverse_transform(result)
        with pytest.raises(ValueError, match="must use the same namespace"):
            fitted.transform(X)
        with pytest.raises(ValueError, match="must use the same namespace"):
            fitted.inverse_transform(X)
        for found in (result, back, fitted.factors_, fitted.mask_):
            assert isinstance(found, type(strict))
    np.testing.assert_allclose(np.asarray(result), expected.transform(X), rtol=1e-12)
    filled = expected.mask_
    np.testing.assert_allclose(np.asarray(back)[filled], X[filled], rtol=1e-13)


@every
@pytest.mark.parametrize("form", ["shared", "ragged"])
def test_neither_chunks_nor_threads_nor_order_matter(normalizer, form, monkeypatch):
    X = matrix(n=200)
    spectra = as_spectra(X, form)
    fitted = for_spectra(normalizer).fit(spectra)
    expected = dense(fitted.transform(spectra))
    order = np.random.default_rng(1).permutation(200)
    for limit in (1, 20_000, 2**30):
        cache.clear()
        monkeypatch.setattr("imsminer.core.spectra.CHUNK_BYTES", limit)
        monkeypatch.setattr("imsminer.core.spectra.VIEW_BYTES", limit)
        again = for_spectra(normalizer).set_params(n_jobs=2, scale="mean")
        again.fit(spectra[order])
        once = for_spectra(normalizer).set_params(scale="mean").fit(spectra)
        assert again.scale_ == once.scale_
        np.testing.assert_array_equal(again.factors_, once.factors_[order])
        np.testing.assert_array_equal(dense(fitted.transform(spectra)), expected)
    monkeypatch.setattr("imsminer.spectra._frames.BLOCK_VALUES", 1000)
    threads = clone(normalizer).set_params(n_jobs=2).fit_transform(X[order])
    np.testing.assert_array_equal(threads, clone(normalizer).fit_transform(X)[order])


@every
def test_a_factor_on_the_input_does_not_matter(normalizer):
    X = matrix()
    fitted = clone(normalizer).set_params(scale=1.0).fit(X)
    amount = np.random.default_rng(2).uniform(0.1, 10, (len(X), 1))
    np.testing.assert_allclose(
        fitted.transform(X * amount), fitted.transform(X), rtol=1e-12
    )
    # In other units all results are in those.
    scaled = clone(normalizer).fit_transform(8 * X)
    np.testing.assert_allclose(scaled, 8 * clone(normalizer).fit_transform(X), 1e-12)
    # Twice is once.
    twice = clone(normalizer).fit_transform(clone(normalizer).fit_transform(X))
    np.testing.assert_allclose(twice, clone(normalizer).fit_transform(X), rtol=1e-12)


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inverse_transform_gives_back_what_was(normalizer, dtype):
    X = matrix(dtype=dtype)
    fitted = clone(normalizer).fit(X)
    back = fitted.inverse_transform(fitted.transform(X))
    assert back.dtype == dtype
    rtol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(back[fitted.mask_], X[fitted.mask_], rtol=rtol)
    np.testing.assert_array_equal(back[~fitted.mask_], 0)
    other = X[::-1] * np.arange(1, len(X) + 1, dtype=dtype)[:, None]
    factors = fitted.factors(other)
    back = fitted.inverse_transform(fitted.transform(other), factors=factors)
    np.testing.assert_allclose(back[factors > 0], other[factors > 0], rtol=rtol)
    with pytest.raises(ValueError, match=r"shape \(40,\), but X has 5 pixels"):
        fitted.inverse_transform(X[:5])
    with pytest.raises(ValueError, match=r"factors\[2\] is nan"):
        fitted.inverse_transform(X[:3], factors=[0.0, 1.0, np.nan])
    with pytest.raises(ValueError, match=r"factors\[0\] is -1"):
        fitted.inverse_transform(X[:2], factors=[-1.0, 1.0])


@every
@pytest.mark.parametrize("form", ["shared", "ragged"])
def test_inverse_transform_of_spectra_takes_the_step_away(normalizer, form):
    X = matrix()
    spectra = as_spectra(X, form)
    fitted = for_spectra(normalizer).fit(spectra)
    result = fitted.transform(spectra)
    back = fitted.inverse_transform(result)
    assert back.fingerprint == spectra.fingerprint
    np.testing.assert_array_equal(dense(back), X)
    with pytest.raises(ValueError, match=r"last queued step .* none"):
        fitted.inverse_transform(spectra)
    later = MaxNormalizer(scale=3.0).fit_transform(result)
    with pytest.raises(ValueError, match="but it is DivideByMaximum"):
        fitted.inverse_transform(later)
    with pytest.raises(ValueError, match="for arrays of features"):
        fitted.inverse_transform(result, factors=fitted.factors_)
    # Features of normalised spectra have columns of their own.
    columns = dense(result)[:, 10:12]
    table = pd.DataFrame(columns, columns=["mz_10.0", "mz_11.0"])
    original = fitted.inverse_transform(table)
    assert list(original.columns) == list(table.columns)
    np.testing.assert_allclose(
        original[fitted.mask_], X[fitted.mask_, 10:12], rtol=1e-14
    )


@every
def test_frames_keep_index_and_columns(normalizer):
    X = matrix(dtype=np.float32)
    index = pd.MultiIndex.from_product([["a"], range(40), [1], [1]])
    names = [f"mz_{i}.0000" for i in range(X.shape[1])]
    frame = pd.DataFrame(X, index=index, columns=names)
    fitted = clone(normalizer).fit(frame)
    result = fitted.transform(frame)
    pd.testing.assert_index_equal(result.index, index)
    assert list(result.columns) == list(fitted.get_feature_names_out()) == names
    assert (result.dtypes == np.float32).all()
    np.testing.assert_array_equal(result, clone(normalizer).fit_transform(X))
    back = fitted.inverse_transform(result)
    pd.testing.assert_index_equal(back.index, index)
    spectra = as_spectra(X, "shared")
    with config_context(transform_output="pandas"):
        assert isinstance(for_spectra(normalizer).fit_transform(spectra), Spectra)
        assert isinstance(clone(normalizer).fit_transform(X), pd.DataFrame)


@every
def test_negative_values_are_defined(normalizer):
    X = matrix() - 20.0
    X[0] = -1.0
    X[1, :] = 0.0
    fitted = clone(normalizer).fit(X)
    result = fitted.transform(X)
    assert np.all(np.isfinite(result))
    assert np.all(np.isfinite(fitted.factors_))
    assert np.all(fitted.factors_ >= 0)
    # Only a root mean square is above 0 where all values are below.
    assert fitted.mask_[0] == isinstance(normalizer, RMSNormalizer)
    np.testing.assert_array_equal(result[~fitted.mask_], 0)
    assert not fitted.mask_[1]
    used = fitted.mask_
    assert used.sum() > 20
    np.testing.assert_array_equal(np.sign(result[used]), np.sign(X[used]))


@pytest.mark.parametrize(
    "normalizer",
    [n for n in ALL if not isinstance(n, ReferenceNormalizer)],
    ids=lambda n: type(n).__name__,
)
def test_nothing_but_blank_pixels(normalizer):
    for X in (np.zeros((5, 60)), np.zeros((5, 60), np.float32)):
        fitted = clone(normalizer).fit(X)
        assert fitted.scale_ == 1.0
        assert fitted.n_blank_ == 5
        np.testing.assert_array_equal(fitted.transform(X), 0)
        result = for_spectra(normalizer).fit_transform(as_spectra(X, "shared"))
        np.testing.assert_array_equal(dense(result), 0)


@every
def test_one_spectrum_and_a_constant_one(normalizer):
    X = np.full((1, 60), 4.0)
    fitted = clone(normalizer).fit(X)
    np.testing.assert_allclose(fitted.transform(X), X, rtol=1e-13)
    result = for_spectra(normalizer).fit_transform(as_spectra(X, "shared"))
    np.testing.assert_allclose(dense(result), X, rtol=1e-13)


@pytest.mark.parametrize(
    "normalizer",
    [
        TICNormalizer(),
        RMSNormalizer(),
        MedianNormalizer(),
        MaxNormalizer(),
        ReferenceNormalizer(mz=5.0),
        TrimmedTICNormalizer(),
        PQNNormalizer(),
    ],
    ids=lambda n: type(n).__name__,
)
@pytest.mark.parametrize("indptr", [None, [0, 1, 1, 2]])
def test_spectra_of_one_point(normalizer, indptr):
    intensity = [2.0, 6.0] if indptr else [[2.0], [0.0], [6.0]]
    mz = [5.0, 5.0] if indptr else [5.0]
    spectra = Spectra.from_arrays(intensity, mz=mz, indptr=indptr)
    result = normalizer.fit_transform(spectra)
    values = [float(np.sum(y)) for _, y in result]
    np.testing.assert_allclose(values, [4.0, 0.0, 4.0], rtol=1e-13)


@every
@pytest.mark.parametrize("form", ["shared", "ragged"])
def test_nan_names_the_pixel(normalizer, form):
    X = matrix(n=8)
    spectra = as_spectra(X, form)
    broken = spectra.source._intensity.copy()
    place = (2, 7)
    if form == "ragged":
        place = spectra.source._indptr[2] + np.count_nonzero(X[2, :7])
    broken[place] = np.nan
    moved = as_spectra(X, form)
    moved.source._intensity = broken
    cache.clear()
    with pytest.raises(ValueError, match=r"x=3, y=1, z=1.*must be finite"):
        for_spectra(normalizer).set_params(scale=2.0).fit(moved)
    with pytest.raises(ValueError, match="NaN"):
        clone(normalizer).fit(np.where(X == X[2, 7], np.nan, X))


@every
def test_a_study_and_copies(normalizer):
    one, two = (as_spectra(k * matrix(), "shared") for k in (1, 2))
    study = concatenate([one, two])
    fitted = for_spectra(normalizer).fit(study)
    result = dense(fitted.transform(study))
    np.testing.assert_allclose(result[:40], result[40:], rtol=1e-12)
    again = pickle.loads(pickle.dumps(fitted)).transform(study)
    assert again.fingerprint == fitted.transform(study).fingerprint
    other = for_spectra(normalizer).set_params(scale=7.0).fit(study).transform(study)
    assert again.fingerprint != other.fingerprint
    assert not hasattr(clone(fitted), "scale_")


@every
def test_wrong_scale_and_no_pixels(normalizer):
    name = type(normalizer).__name__
    for scale in ("total", -1.0, 0):
        with pytest.raises(ValueError, match=f"'scale' parameter of {name}"):
            clone(normalizer).set_params(scale=scale).fit(matrix())
    with pytest.raises(ValueError, match=f"{name}: X has 0 pixels"):
        clone(normalizer).fit(as_spectra(matrix(), "shared")[:0])


def test_overflow_is_said():
    X = np.array([[1e-40, 1.0, 1e-40, 0.0, 0.0]], np.float32)
    fitted = MedianNormalizer(scale=1.0).fit(X)
    with pytest.raises(ValueError, match="MedianNormalizer: values overflow"):
        fitted.transform(X)
    with pytest.raises(ValueError, match="root mean square overflows"):
        RMSNormalizer().fit(np.full((2, 2), 1e200))
