"""Peaks of single pixels, grouped: the definition, truth, speed."""

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imsminer import ImzMLReader, PeakIntegrator, PeakPicker, Spectra
from imsminer.datasets import make_ims
from imsminer.spectra._grouping import group_peaks


def naive_groups(mz, pixel, tolerance):
    """Split recursively at the largest relative gap, as the definition reads."""
    order = np.lexsort((pixel, mz))
    mz, pixel = mz[order], pixel[order]

    def split(first, stop):
        part = mz[first:stop]
        mean = part.mean()
        alone = len(set(pixel[first:stop])) == stop - first
        near = np.abs(part - mean).max() <= tolerance * 1e-6 * mean
        if stop - first == 1 or (alone and near):
            return [(first, stop)]
        gaps = np.diff(part) / part[1:]
        at = first + 1 + int(np.argmax(gaps))
        return split(first, at) + split(at, stop)

    return [(mz[a:b].mean(), b - a) for a, b in split(0, mz.size)]


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([3.0, 20.0, 500.0]))
def test_agrees_with_the_definition(seed, tolerance):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    ions = rng.uniform(100, 2000, 6)
    mz = rng.choice(ions, n) * (1 + 5e-6 * rng.normal(size=n))
    pixel = rng.integers(0, 12, n)
    groups = group_peaks(mz, pixel, tolerance)
    expected = naive_groups(mz, pixel, tolerance)
    assert groups.count.tolist() == [count for _, count in expected]
    np.testing.assert_allclose(groups.mz, [mean for mean, _ in expected], rtol=1e-13)
    order = rng.permutation(n)
    again = group_peaks(mz[order], pixel[order], tolerance)
    np.testing.assert_array_equal(again.mz, groups.mz)


def test_groups_hold_each_pixel_once_within_the_tolerance():
    rng = np.random.default_rng(0)
    ions = np.linspace(400, 1000, 300)
    mz = (ions * (1 + 2e-6 * rng.normal(size=(500, 300)))).ravel()
    pixel = np.repeat(np.arange(500), 300)
    groups = group_peaks(mz, pixel, 15.0)
    assert groups.count.tolist() == [500] * 300
    np.testing.assert_allclose(groups.mz, ions, rtol=1e-6)
    assert (groups.low <= groups.mz).all()
    assert (groups.mz <= groups.high).all()


def test_no_peaks_make_no_groups():
    groups = group_peaks(np.zeros(0), np.zeros(0, int), 10.0)
    assert groups.mz.size == groups.count.size == 0


# Where the file has cut the noise off, less of it is left to be picked.
@pytest.mark.parametrize(
    ("spectrum_type", "loq"), [("profile", 5), ("sparse", 3), ("centroid", 3)]
)
def test_pixel_mode_finds_true_peaks(tmp_path, spectrum_type, loq):
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(12, 12),
        n_peaks=60,
        mz_range=(500.0, 600.0),
        snr=40,
        spectrum_type=spectrum_type,
        random_state=1,
    )
    reader = ImzMLReader(truth.path)
    options = {"mode": "pixel", "loq": loq, "min_frequency": 0.1, "tolerance": 25}
    picker = PeakPicker(**options).fit(reader)
    reference = PeakPicker().fit(reader)
    assert list(picker.peaks_.columns) == list(reference.peaks_.columns)
    assert np.isfinite(picker.peaks_.to_numpy()).all()
    assert (np.diff(picker.peaks_["mz"]) > 0).all()
    score = truth.score(picker.peaks_["mz"], min_snr=100)
    assert score["n_true"] >= 50
    assert score["recall"] >= 0.95
    assert score["precision"] >= 0.9
    features = PeakIntegrator().fit_transform(picker.transform(reader))
    assert features.shape == (144, len(picker.peaks_))
    with pytest.raises(ValueError, match="pass X"):
        picker.pick(loq=9)
    again = picker.pick(reader)
    pd.testing.assert_frame_equal(again, picker.peaks_)


def test_rows_jobs_and_libraries_do_not_matter():
    rng = np.random.default_rng(0)
    mz = np.arange(500.0, 520.0, 0.01)
    shapes = np.exp(-0.5 * ((mz - np.array([[503.0], [510.0]])) / 0.03) ** 2)
    X = rng.uniform(20, 100, (40, 2)) @ shapes + rng.normal(size=(40, mz.size))
    spectra = Spectra.from_arrays(X, mz)
    options = {"mode": "pixel", "min_frequency": 0.5}
    expected = PeakPicker(**options).fit(spectra).peaks_
    np.testing.assert_allclose(expected["mz"], [503, 510], atol=2e-3)
    assert expected["frequency"].tolist() == [1.0, 1.0]
    order = rng.permutation(40)
    others = [
        PeakPicker(**options, n_jobs=2).fit(spectra),
        PeakPicker(**options).fit(spectra[order]),
        PeakPicker(**options).fit(spectra.to(array_api_strict)),
    ]
    for other in others:
        pd.testing.assert_frame_equal(other.peaks_, expected, rtol=1e-9)
