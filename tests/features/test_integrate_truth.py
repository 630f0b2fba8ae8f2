"""All methods and windows against what is known of a dense profile."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import erf

from imsminer import ImzMLReader, PeakIntegrator, Spectra
from imsminer.datasets import make_ims

CENTERS = np.array([450.1, 600.2, 600.45, 900.7])
SIGMA = CENTERS / 20_000 / 2.3548200450309493
#: Native grid of a time-of-flight instrument, about 8 samples per FWHM.
GRID = (20.0 + np.arange(400_000) * 3e-5) ** 2
GRID = GRID[(GRID > 420) & (GRID < 950)]
HEIGHTS = np.random.default_rng(0).uniform(20, 200, (10, CENTERS.size))
WINDOWS = {
    "bounds": {"window": "bounds"},
    "fwhm": {"window": "fwhm", "width": 2.5},
    "ppm": {"window": "ppm", "width": 60.0},
}


def profile():
    z = (GRID - CENTERS[:, None]) / SIGMA[:, None]
    return (HEIGHTS @ np.exp(-0.5 * z**2)).astype(np.float32)


def peaks():
    return pd.DataFrame(
        {
            "mz": CENTERS,
            "left": CENTERS - 3.2 * SIGMA,
            "right": CENTERS + 2.9 * SIGMA,
            "fwhm": 2.3548200450309493 * SIGMA,
        }
    )


def spectra(form):
    X = profile()
    if form == "shared":
        return Spectra.from_arrays(X, mz=GRID)
    # Thresholds take at most 2 % of the lowest peak's height.
    rows, columns = np.nonzero(X > {"ragged": 0.0, "thresholded": 0.4}[form])
    indptr = np.searchsorted(rows, np.arange(len(X) + 1))
    return Spectra.from_arrays(X[rows, columns], mz=GRID[columns], indptr=indptr)


def truth(method, windows):
    """Integrals by the error function, the others from the dense profile."""
    X = profile().astype(np.float64)
    low, high = windows.T
    inside = (GRID >= low[:, None]) & (GRID < high[:, None])
    if method == "sum":
        return X @ inside.T
    if method == "max":
        return np.stack([X[:, own].max(1) for own in inside], axis=1)
    a, b = ((e - CENTERS) / SIGMA / np.sqrt(2) for e in (low, high))
    areas = HEIGHTS * SIGMA * np.sqrt(np.pi / 2) * (erf(b) - erf(a))
    return areas if method == "area" else areas / (high - low)


@pytest.mark.parametrize("form", ["shared", "ragged", "thresholded"])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("method", ["area", "sum", "max", "mean"])
def test_every_method_and_window_gives_the_dense_truth(form, window, method):
    integrator = PeakIntegrator(peaks=peaks(), method=method, **WINDOWS[window])
    found = integrator.fit_transform(spectra(form)).to_numpy()
    expected = truth(method, integrator.windows_)
    # Sums and maxima are the same points; integrals differ by the shape in a cell.
    exact = method in ("sum", "max")
    rtol = 0.03 if form == "thresholded" else 1e-6 if exact else 0.003
    np.testing.assert_allclose(found, expected, rtol=rtol)


@pytest.mark.parametrize("analyser", ["tof", "orbitrap"])
def test_thresholded_files_are_within_3_percent_of_dense_ones(analyser, tmp_path):
    mz_range = (500.0, 560.0)
    areas, tables = {}, {}
    for kind in ("profile", "sparse"):
        run = make_ims(
            tmp_path / f"{kind}.imzML",
            shape=(8, 8),
            mz=np.linspace(502, 558, 12),
            mz_range=mz_range,
            isotopes=False,
            analyser=analyser,
            spectrum_type=kind,
            noise_free=True,
            threshold=2.0 if kind == "sparse" else None,
        )
        table = run.peaks.sort_values("mz", ignore_index=True)
        integrator = PeakIntegrator(peaks=table, window="fwhm", width=3.0)
        areas[kind] = integrator.fit_transform(ImzMLReader(run.path)).to_numpy()
        tables[kind] = run
    order = np.argsort(tables["sparse"].peaks["mz"].to_numpy())
    strong = tables["sparse"].heights[:, order] > 50 * 2.0
    assert strong.sum() > 100
    np.testing.assert_allclose(
        areas["sparse"][strong], areas["profile"][strong], rtol=0.03
    )
    np.testing.assert_allclose(
        areas["profile"][strong], tables["profile"].areas[:, order][strong], rtol=0.01
    )


def test_a_window_wider_than_the_spectrum_takes_it_whole():
    X = np.array([[1.0, 2.0, 4.0]])
    one = Spectra.from_arrays(X, mz=[500.0, 500.1, 500.2])
    two = Spectra.from_arrays(X.ravel(), mz=[500.0, 500.1, 500.2], indptr=[0, 3])
    expected = {"sum": 7.0, "max": 4.0, "area": 0.7, "mean": 0.7 / 100.02}
    for method, value in expected.items():
        integrator = PeakIntegrator(
            peaks=[500.1], window="ppm", width=1e5, method=method
        )
        for data in (one, two):
            found = integrator.fit_transform(data).iloc[0, 0]
            assert found == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("indptr", [None, [0, 1]])
def test_a_spectrum_of_one_point_and_an_empty_one(indptr):
    intensity = [3.0] if indptr else [[3.0]]
    data = Spectra.from_arrays(intensity, mz=[500.0], indptr=indptr, profile=False)
    integrator = PeakIntegrator(peaks=[500.0, 600.0], window="ppm", observe=True)
    np.testing.assert_array_equal(integrator.fit_transform(data), [[3.0, 0.0]])
    assert integrator.observed_["ppm"].iloc[0] == 0
    empty = Spectra.from_arrays([3.0], mz=[500.0], indptr=[0, 0, 1], profile=False)
    np.testing.assert_array_equal(
        integrator.fit_transform(empty), [[0.0, 0.0], [3.0, 0.0]]
    )


def test_negative_intensities_keep_their_sign():
    data = Spectra.from_arrays([[-1.0, -2.0, 0.5]], mz=[500.0, 500.01, 500.02])
    for method, value in (("sum", -2.5), ("max", 0.5), ("area", -0.025)):
        integrator = PeakIntegrator(
            peaks=[500.01], window="ppm", width=40, method=method, observe=True
        )
        found = integrator.fit_transform(data).iloc[0, 0]
        assert found == pytest.approx(value, rel=1e-4)
        # Only what is above 0 has weight.
        assert integrator.observed_["observed_mz"][0] == pytest.approx(500.02)
