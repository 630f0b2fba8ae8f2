import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import find_peaks, peak_prominences

from imsminer.spectra._apexes import apex_positions, find_maxima


def spectrum(kind, seed, n=400):
    rng = np.random.default_rng(seed)
    if kind == "noise":
        return rng.normal(size=n)
    if kind == "levels":
        return rng.integers(-2, 4, size=n).astype(float)
    if kind == "stairs":
        return np.linspace(50, 0, n) + rng.random(n)
    return np.cumsum(rng.normal(size=n))


@given(st.sampled_from(["noise", "levels", "stairs", "walk"]), st.integers(0, 500))
def test_prominences_are_scipys(kind, seed):
    y = spectrum(kind, seed)
    maxima = find_maxima(y)
    bins = find_peaks(y)[0]
    bins = bins[y[bins] > 0]
    np.testing.assert_array_equal(maxima.bins, bins)
    np.testing.assert_array_equal(maxima.height, y[bins])
    np.testing.assert_array_equal(maxima.prominence, peak_prominences(y, bins)[0])


@pytest.mark.parametrize("loq", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("min_points", [1, 4, 9])
def test_apexes_are_scipys(loq, min_points):
    y = spectrum("noise", 7, 5000)
    noise = np.linspace(0.5, 1.5, y.size)
    limits = {"height": loq * noise, "prominence": 0.5 * loq * noise}
    expected = find_peaks(y, distance=min_points, **limits)[0]
    found = apex_positions(find_maxima(y), noise, loq=loq, min_points=min_points)
    np.testing.assert_array_equal(found.bins, expected)


def test_ends_can_be_maxima_of_centroids_only():
    y = np.array([3.0, 1.0, 0.0, 2.0])
    assert find_maxima(y).bins.size == 0
    closed = find_maxima(y, closed=True)
    assert closed.bins.tolist() == [0, 3]
    assert closed.prominence.tolist() == [3.0, 2.0]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_bins_have_no_maximum(n):
    assert find_maxima(np.ones(n)).bins.size == 0
