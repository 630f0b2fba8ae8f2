"""What the benchmarks of accuracy do in place of other tools."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import grey_opening

SCRIPTS = Path(__file__).resolve().parents[1] / "benchmarks" / "accuracy"


@pytest.fixture
def rivals(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module("_rivals")
    sys.modules.pop("_rivals", None)


def test_peaks_of_many_spectra_are_grouped_within_the_tolerance(rivals):
    mz = np.array([500.0, 500.001, 500.002, 600.0, 600.001, 700.0, 700.1])
    pixel = np.array([0, 1, 2, 0, 1, 0, 1])
    shuffle = np.random.default_rng(0).permutation(mz.size)
    means, counts = rivals.bin_peaks(mz[shuffle], pixel[shuffle], 5e-6)
    np.testing.assert_allclose(means, [500.001, 600.0005, 700.0, 700.1])
    assert counts.tolist() == [3, 2, 1, 1]


def test_no_group_holds_a_spectrum_twice(rivals):
    mz, pixel = np.array([1.0, 1.3, 1.4]), np.array([0, 0, 1])
    means, counts = rivals.bin_peaks(mz, pixel, 1.0)
    np.testing.assert_allclose(means, [1.0, 1.35])
    assert counts.tolist() == [1, 2]


def test_maxima_are_the_highest_of_their_window(rivals):
    y = np.ones(60) + 0.1 * (np.arange(60) % 3)
    y[[10, 14, 40]] = 20, 30, 25
    assert rivals.maldiquant_maxima(y, 50, 6).tolist() == [14, 40]


def test_the_noise_of_occupied_values_ignores_zeros(rivals):
    y = np.zeros(1000)
    y[::20] = np.arange(50) + 1.0
    middle, noise = rivals.occupied(y)
    assert middle == 25.5
    assert noise == pytest.approx(1.4826 * 12.5)


def test_a_rival_that_is_missing_says_so(rivals, monkeypatch):
    monkeypatch.delenv("IMSMINER_ORIGINAL", raising=False)
    with pytest.raises(rivals.Missing, match="IMSMINER_ORIGINAL"):
        rivals.original("calibrate")
    with pytest.raises(rivals.Missing, match="no_such_package is not installed"):
        rivals.optional("no_such_package")


def test_tophat_of_openms_is_an_opening(rivals):
    pytest.importorskip("pyopenms")
    rng = np.random.default_rng(0)
    y = rng.uniform(1, 2, 300).astype(np.float32).astype(float)
    found = rivals.openms_tophat(np.arange(300.0), y, 21.0)
    inner = slice(30, -30)
    wanted = y - grey_opening(y, 21)
    np.testing.assert_allclose(found[inner], wanted[inner], atol=1e-6)
