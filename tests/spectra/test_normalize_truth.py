"""Reference ion, trimmed TIC and median quotient: what each of them is for."""

import numpy as np
import pandas as pd
import pytest

from imsminer import PeakIntegrator, Spectra, TICNormalizer
from imsminer.spectra.normalize import MedianNormalizer, RMSNormalizer
from imsminer.spectra.normalize_pqn import PQNNormalizer
from imsminer.spectra.normalize_reference import ReferenceNormalizer
from imsminer.spectra.normalize_trimmed import TrimmedTICNormalizer

MZ = np.arange(500.0, 520.0, 0.01)
CENTERS = np.arange(501.0, 519.5, 0.5)
SHAPES = np.exp(-0.5 * ((MZ - CENTERS[:, None]) / 0.02) ** 2)


def tissue(n=60, seed=0):
    """Features of two regions, one of which is full of one ion, in known amounts."""
    rng = np.random.default_rng(seed)
    composition = rng.lognormal(0, 1, CENTERS.size)
    X = composition * rng.lognormal(0, 0.05, (n, CENTERS.size))
    X[: n // 2, 4] = 40 * composition.sum()
    amount = rng.lognormal(0, 0.4, n)
    return X * amount[:, None], amount


def spread(factors, amount):
    """Relative error of factors, up to one factor for all pixels."""
    error = np.log(factors / amount)
    return np.std(error)


def as_profiles(X, threshold=None):
    intensity = (X @ SHAPES).astype(np.float32)
    if threshold is None:
        return Spectra.from_arrays(intensity, mz=MZ)
    rows, columns = np.nonzero(intensity > threshold)
    indptr = np.searchsorted(rows, np.arange(len(X) + 1))
    return Spectra.from_arrays(intensity[rows, columns], mz=MZ[columns], indptr=indptr)


@pytest.mark.parametrize("form", ["features", "continuous", "sparse"])
def test_robust_normalisers_find_the_amounts_that_tic_misses(form):
    X, amount = tissue()
    if form != "features":
        X = as_profiles(X, None if form == "continuous" else 1e-3)
    error = {
        type(n).__name__: spread(n.fit(X).factors_, amount)
        for n in (
            TICNormalizer(),
            RMSNormalizer(),
            TrimmedTICNormalizer(),
            PQNNormalizer(),
            TrimmedTICNormalizer(trim=0.0, exclude=[4.0 if form == "features" else 503],
                                 ppm=400.0),
        )
    }  # fmt: skip
    tic = spread(TICNormalizer().fit(X).factors_, amount)
    assert tic > 1.5
    assert error["RMSNormalizer"] > 1.5
    assert error["PQNNormalizer"] < 0.02
    assert error["TrimmedTICNormalizer"] < 0.04
    assert spread(TrimmedTICNormalizer().fit(X).factors_, amount) < 0.1


def test_sparse_and_dense_files_get_the_same_factors():
    X, _ = tissue()
    dense, sparse = as_profiles(X), as_profiles(X, 1e-4)
    for normalizer, rtol in (
        (RMSNormalizer(), 1e-6),
        (TrimmedTICNormalizer(trim=0.3), 2e-3),
        (ReferenceNormalizer(mz=505.0, ppm=100), 1e-6),
        # Bins on the flanks that are stored in some pixels give other quotients.
        (PQNNormalizer(), 0.02),
    ):
        one = normalizer.fit(dense).factors_
        two = normalizer.fit(sparse).factors_
        np.testing.assert_allclose(one, two, rtol=rtol)


# Reference ion ---------------------------------------------------------------------


def test_reference_sums_its_window():
    X, _ = tissue()
    spectra = as_profiles(X)
    normalizer = ReferenceNormalizer(mz=505.0, ppm=50.0, scale="none").fit(spectra)
    inside = np.abs(MZ / 505.0 - 1) <= 50e-6
    expected = np.array([y for _, y in spectra])[:, inside].sum(1, dtype=float)
    np.testing.assert_allclose(normalizer.factors_, expected, rtol=1e-12)
    low, high = normalizer.window_
    assert low == pytest.approx(505 * (1 - 50e-6), rel=1e-12)
    assert high == pytest.approx(505 * (1 + 50e-6), rel=1e-12)
    assert normalizer.column_ is None
    by_point = ReferenceNormalizer(column=500, scale="none").fit(spectra)
    np.testing.assert_allclose(by_point.factors_, [y[500] for _, y in spectra])
    assert by_point.column_ == 500


def test_pixels_without_the_reference_are_masked():
    X = np.array([[1.0, 2.0], [4.0, 0.0], [4.0, -1.0], [6.0, 0.4]])
    normalizer = ReferenceNormalizer(column=1, scale=1.0).fit(X)
    result = normalizer.transform(X)
    np.testing.assert_allclose(result, [[0.5, 1], [0, 0], [0, 0], [15, 1]])
    np.testing.assert_array_equal(normalizer.mask_, [True, False, False, True])
    assert normalizer.n_blank_ == 2
    limited = ReferenceNormalizer(column=1, detection_limit=0.4).fit(X)
    np.testing.assert_array_equal(limited.mask_, [True, False, False, False])
    np.testing.assert_array_equal(limited.transform(X)[3], 0)


def test_reference_is_found_among_features():
    X, _ = tissue()
    features = PeakIntegrator(peaks=CENTERS, window="ppm", width=100).fit_transform(
        as_profiles(X)
    )
    by_mz = ReferenceNormalizer(mz=505.001).fit(features)
    assert by_mz.column_ == 8
    by_name = ReferenceNormalizer(column="mz_505.0000").fit_transform(features)
    pd.testing.assert_frame_equal(by_mz.transform(features), by_name)
    assert by_name["mz_505.0000"].std() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "either mz or column, got mz=None and column=None"),
        ({"mz": 505.0, "column": 2}, "either mz or column"),
        ({"mz": 499.0}, "outside of the mass range 500.0000 to 519.99"),
        ({"mz": 505.004, "ppm": 1.0}, r"ppm=1 of mz=505.004; .* 505, is 7.92 ppm away"),
        ({"mz": 519.99, "ppm": 5}, "none of the 60 pixels has a signal above"),
        ({"mz": np.inf}, "mz"),
        ({"mz": -1.0}, "'mz' parameter"),
        ({"column": 2000}, "from 0 to 1999"),
        ({"column": -1}, "from 0 to 1999"),
        ({"column": "mz_505"}, "column must be from 0"),
        ({"mz": 505.0, "ppm": 0}, "'ppm' parameter"),
        ({"mz": 505.0, "detection_limit": 1e9}, "detection_limit=1e"),
    ],
)
def test_a_reference_that_is_not_there(parameters, message):
    spectra = as_profiles(tissue()[0])
    with pytest.raises(ValueError, match=message):
        ReferenceNormalizer(**parameters).fit(spectra)


def test_a_reference_that_is_not_among_the_columns():
    frame = pd.DataFrame(tissue()[0], columns=[f"mz_{m:.4f}" for m in CENTERS])
    with pytest.raises(ValueError, match=r"no column is within ppm=10 .* 505, is 198"):
        ReferenceNormalizer(mz=505.1).fit(frame)
    with pytest.raises(ValueError, match=r"no column 'PC 34:1'; it has mz_501.0000, "):
        ReferenceNormalizer(column="PC 34:1").fit(frame)
    with pytest.raises(ValueError, match="it has no names"):
        ReferenceNormalizer(column="PC 34:1").fit(frame.to_numpy())
    with pytest.raises(ValueError, match="from 0 to 36"):
        ReferenceNormalizer(column=37).fit(frame)
    with pytest.raises(ValueError, match="axis of its own"):
        ReferenceNormalizer(column=3).fit(as_profiles(tissue()[0], 0.1))


# Trimmed TIC -----------------------------------------------------------------------


def test_trimmed_tic_says_what_it_leaves_out():
    X, _ = tissue()
    normalizer = TrimmedTICNormalizer(trim=0.5).fit(X)
    np.testing.assert_array_equal(normalizer.excluded_, [[3.5, 4.5]])
    spectra = as_profiles(X)
    found = TrimmedTICNormalizer(trim=0.5, exclude=[510.0, 510.001]).fit(spectra)
    (low, high), other = found.excluded_
    # From valley to valley, or to where the peak is 0.
    assert 502.7 < low < 502.9
    assert 503.1 < high < 503.3
    np.testing.assert_allclose(other, [509.9949, 510.0061], atol=1e-6)
    assert TrimmedTICNormalizer(trim=0.0).fit(spectra).excluded_.shape == (0, 2)
    # What is left out of the sum stays in the result.
    assert normalizer.transform(X)[0, 4] > 0


def test_trimmed_tic_without_anything_left_out_is_tic():
    X, _ = tissue()
    for data in (X, as_profiles(X), as_profiles(X, 0.1)):
        one = TrimmedTICNormalizer(trim=0.0).fit(data)
        two = TICNormalizer().fit(data)
        np.testing.assert_allclose(one.factors_, two.factors_, rtol=1e-12)


def test_a_pixel_of_nothing_but_dominant_peaks_is_blank():
    # 0.1 + 0.2 - 0.3 is not 0: the rest must not be a difference.
    X = np.array([[0.1, 0.2, 0.0], [0.1, 0.2, 0.3], [30.0, 20.0, 1.0]])
    normalizer = TrimmedTICNormalizer(trim=0.9).fit(X)
    np.testing.assert_array_equal(normalizer.mask_, [False, True, True])
    np.testing.assert_array_equal(normalizer.transform(X)[0], 0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"trim": 1.0}, "'trim' parameter"),
        ({"trim": -0.1}, "'trim' parameter"),
        ({"exclude": [499.0]}, "exclude has m/z 499, outside of the mass range"),
        ({"exclude": [np.nan]}, "exclude needs m/z values"),
        ({"exclude": ["mz"]}, "exclude needs m/z values"),
        ({"exclude": [[1.0]]}, "exclude needs m/z values"),
    ],
)
def test_wrong_exclusions(parameters, message):
    with pytest.raises(ValueError, match=message):
        TrimmedTICNormalizer(**parameters).fit(as_profiles(tissue()[0]))


def test_wrong_exclusions_of_columns():
    X = tissue()[0]
    frame = pd.DataFrame(X, columns=[f"mz_{m:.4f}" for m in CENTERS])
    with pytest.raises(ValueError, match=r"within ppm=10 of m/z 505\.1"):
        TrimmedTICNormalizer(exclude=[505.0, 505.1]).fit(frame)
    with pytest.raises(ValueError, match="leave out all 2 columns"):
        TrimmedTICNormalizer(exclude=[0.0, 1.0]).fit(X[:, :2])
    found = TrimmedTICNormalizer(exclude=[505.0], trim=0.0).fit(frame)
    np.testing.assert_array_equal(found.excluded_, [[7.5, 8.5]])


# Median quotient -------------------------------------------------------------------


def test_pqn_is_dieterles():
    X, _ = tissue()
    # First the total, then the median quotient to the median spectrum.
    integral = X / X.sum(1)[:, None]
    reference = np.median(integral, axis=0)
    quotient = np.median(integral / reference, axis=1)
    expected = integral / quotient[:, None]
    normalizer = PQNNormalizer(scale="none").fit(X)
    np.testing.assert_allclose(normalizer.transform(X), expected, rtol=1e-13)
    np.testing.assert_allclose(normalizer.reference_, reference, rtol=1e-13)
    np.testing.assert_array_equal(normalizer.variables_, np.arange(X.shape[1]))
    # Others are compared with the spectra of fit.
    new = X[:5] * 3
    np.testing.assert_allclose(normalizer.transform(new), expected[:5], rtol=1e-13)


def test_pqn_uses_the_strongest_that_half_of_the_pixels_show():
    X, _ = tissue()
    X[: len(X) * 3 // 4, 10] = 0
    normalizer = PQNNormalizer(n_variables=5).fit(X)
    mean = np.where(np.arange(X.shape[1]) == 10, 0, X.mean(0))
    expected = np.sort(np.argsort(-mean)[:5])
    np.testing.assert_array_equal(normalizer.variables_, expected)
    assert 10 not in PQNNormalizer(n_variables=None).fit(X).variables_


def test_pqn_in_parts_of_the_columns_is_the_same(monkeypatch):
    spectra = as_profiles(tissue()[0], 1e-3)
    whole = PQNNormalizer().fit(spectra)
    monkeypatch.setattr(
        "imsminer.spectra.normalize_pqn.get_config", lambda: {"working_memory": 0.01}
    )
    part = PQNNormalizer().fit(spectra)
    np.testing.assert_array_equal(part.reference_, whole.reference_)
    np.testing.assert_array_equal(part.factors_, whole.factors_)
    assert part.variables_.size > 300


def test_pqn_without_a_common_variable():
    X = np.eye(6)
    with pytest.raises(ValueError, match="none of the variables is above 0 in half"):
        PQNNormalizer().fit(X)
    # A pixel that shares no variable with the reference is blank.
    X = np.array([[1.0, 2.0, 0.0], [2.0, 3.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 5.0]])
    normalizer = PQNNormalizer().fit(X)
    np.testing.assert_array_equal(normalizer.mask_, [True, True, True, False])
    np.testing.assert_array_equal(normalizer.transform(X)[3], 0)


# Kinds -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "normalizer",
    [ReferenceNormalizer(mz=505.0), TrimmedTICNormalizer(), PQNNormalizer()],
)
def test_columns_are_not_taken_for_masses(normalizer):
    X = tissue()[0]
    frame = pd.DataFrame(X, columns=[f"mz_{m:.4f}" for m in CENTERS])
    for fitted, other in ((frame, as_profiles(X)), (as_profiles(X), frame)):
        with pytest.raises(ValueError, match="was fitted on"):
            normalizer.fit(fitted).transform(other)
        with pytest.raises(ValueError, match="was fitted on"):
            normalizer.factors(other)


def test_median_ignores_zeros_that_are_stored():
    X = np.array([[0.0, 1.0, 0.0, 3.0, 5.0], [0.0, 0.0, 0.0, 0.0, 2.0]])
    spectra = as_profiles(np.zeros((2, CENTERS.size)), -1.0)
    assert spectra.n_mz is None
    assert MedianNormalizer().fit(spectra).n_blank_ == 2
    stored = Spectra.from_arrays(
        X.ravel(), mz=np.tile(np.arange(100.0, 105), 2), indptr=[0, 5, 10]
    )
    np.testing.assert_array_equal(
        MedianNormalizer(scale=1.0).fit(stored).factors_, [3, 2]
    )
