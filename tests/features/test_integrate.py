"""Integration: analytic areas on every kind of axis, whatever way the data come."""

import os
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer import PeakIntegrator, Spectra, concatenate
from imsminer.core.cache import cache
from imsminer.features.integrate import split_overlaps

R = 20_000.0
CENTERS = np.array([420.3, 561.7, 700.001, 880.4])


@parametrize_with_checks([PeakIntegrator(), PeakIntegrator(peaks=[0.0], window="ppm")])
def test_sklearn_checks(estimator, check):
    check(estimator)


def sigma(mz):
    return mz / R / 2.3548200450309493


def axes():
    """Grids with about six points per FWHM, by the law of the analyser."""
    index = np.arange(200_000)
    tof = (20.0 + index * 6e-5) ** 2
    orbitrap = (1 / (1 / np.sqrt(1000.0) + index * 1.2e-7)) ** 2
    icr = 1 / (1 / 1000.0 + index * 7e-9)
    even = np.arange(400.0, 1000.0, 0.004)
    return {
        "tof": tof[(tof > 400) & (tof < 1000)],
        "orbitrap": orbitrap[(orbitrap > 400) & (orbitrap < 1000)][::-1],
        "fticr": icr[(icr > 400) & (icr < 1000)][::-1],
        "even": even,
    }


AXES = axes()


def simulate(mz, n=12, seed=0):
    """Profiles of four Gaussian peaks of known area."""
    areas = np.random.default_rng(seed).uniform(1, 100, (n, CENTERS.size))
    width = sigma(CENTERS)
    z = (mz[:, None] - CENTERS) / width
    shapes = np.exp(-0.5 * z**2) / (width * np.sqrt(2 * np.pi))
    return (areas @ shapes.T).astype(np.float32), areas


def peak_table(half_width=4.0):
    reach = half_width * sigma(CENTERS)
    return pd.DataFrame(
        {
            "mz": CENTERS,
            "left": CENTERS - reach,
            "right": CENTERS + reach,
            "fwhm": CENTERS / R,
        }
    )


def sparse(mz, intensity, threshold=0.0, profile=True):
    """The points above a threshold, as instruments store them."""
    rows, columns = np.nonzero(intensity > threshold)
    indptr = np.searchsorted(rows, np.arange(len(intensity) + 1))
    return Spectra.from_arrays(
        intensity[rows, columns], mz=mz[columns], indptr=indptr, profile=profile
    )


@pytest.mark.parametrize("kind", AXES)
@pytest.mark.parametrize("form", ["shared", "ragged", "thresholded"])
def test_areas_are_the_analytic_ones(kind, form):
    mz = AXES[kind]
    intensity, areas = simulate(mz)
    spectra = {
        "shared": lambda: Spectra.from_arrays(intensity, mz=mz),
        "ragged": lambda: sparse(mz, intensity),
        "thresholded": lambda: sparse(mz, intensity, 0.2),
    }[form]()
    features = PeakIntegrator(peaks=peak_table()).fit_transform(spectra)
    assert features.to_numpy().dtype == np.float32
    np.testing.assert_allclose(features, areas, rtol=0.01)
    assert np.median(np.abs(features.to_numpy() / areas - 1)) < 0.003


@pytest.mark.parametrize("kind", AXES)
@pytest.mark.parametrize("window", ["bounds", "fwhm", "ppm"])
@pytest.mark.parametrize("method", ["area", "sum", "max", "mean"])
def test_continuous_and_processed_data_give_the_same(kind, window, method):
    mz = AXES[kind]
    intensity, _ = simulate(mz)
    integrator = PeakIntegrator(
        peaks=peak_table(2.0), window=window, width=3.0, method=method
    )
    if window == "ppm":
        integrator.set_params(width=40.0)
    one = integrator.fit_transform(Spectra.from_arrays(intensity, mz=mz))
    two = integrator.fit_transform(sparse(mz, intensity))
    np.testing.assert_allclose(one, two, rtol=0.01)


def test_a_fwhm_window_holds_what_theory_says():
    intensity, areas = simulate(AXES["even"])
    spectra = Spectra.from_arrays(intensity, mz=AXES["even"])
    for width, share in [(1.0, 0.761), (2.0, 0.9815)]:
        integrator = PeakIntegrator(peaks=peak_table(), window="fwhm", width=width)
        ratio = integrator.fit_transform(spectra).to_numpy() / areas
        np.testing.assert_allclose(ratio, share, atol=0.004)


def test_sums_equal_numpy_on_random_points():
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 60, 50)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    mz = np.concatenate([np.sort(rng.uniform(100, 200, n)) for n in sizes])
    y = rng.random(mz.size).astype(np.float32)
    spectra = Spectra.from_arrays(y, mz=mz, indptr=indptr, profile=False)
    centers = np.sort(rng.uniform(90, 210, 30))
    integrator = PeakIntegrator(peaks=centers, window="ppm", width=3000.0)
    found = integrator.fit_transform(spectra).to_numpy()
    for row in range(50):
        part = slice(indptr[row], indptr[row + 1])
        for column, (low, high) in enumerate(integrator.windows_):
            inside = (mz[part] >= low) & (mz[part] < high)
            assert found[row, column] == pytest.approx(
                y[part][inside].sum(dtype=np.float64), rel=1e-6
            )


def test_centroids_are_summed_and_have_no_area():
    spectra = Spectra.from_arrays(
        [5.0, 7.0], mz=[500.0, 500.001], indptr=[0, 2], profile=False
    )
    features = PeakIntegrator(peaks=[500.0], window="ppm").fit_transform(spectra)
    assert features.iloc[0, 0] == 12
    mean = PeakIntegrator(peaks=[500.0], window="ppm", method="mean")
    assert mean.fit_transform(spectra).iloc[0, 0] == 6
    with pytest.raises(ValueError, match="a centroid has no width"):
        PeakIntegrator(peaks=[500.0], window="ppm", method="area").fit_transform(
            spectra
        )


@pytest.mark.parametrize("form", ["shared", "ragged"])
def test_windows_outside_the_mass_range_give_zero(form):
    mz = AXES["even"]
    intensity, _ = simulate(mz)
    intensity += 1.0
    spectra = {"shared": Spectra.from_arrays, "ragged": None}[form]
    spectra = spectra(intensity, mz=mz) if spectra else sparse(mz, intensity)
    integrator = PeakIntegrator(peaks=[100.0, 399.0, 1001.0, 5000.0], window="ppm")
    for method in ("area", "sum", "max", "mean"):
        features = integrator.set_params(method=method).fit_transform(spectra)
        np.testing.assert_array_equal(features, 0.0)


def test_neither_chunks_nor_threads_nor_order_change_a_feature(monkeypatch):
    mz = AXES["tof"]
    intensity, _ = simulate(mz, n=200)
    spectra = sparse(mz, intensity, 0.5)
    integrator = PeakIntegrator(peaks=peak_table())
    expected = integrator.fit_transform(spectra)
    for limit in (1, 100_000, 2**30):
        cache.clear()
        monkeypatch.setattr("imsminer.core.spectra.CHUNK_BYTES", limit)
        monkeypatch.setattr("imsminer.core.spectra.VIEW_BYTES", limit)
        pd.testing.assert_frame_equal(integrator.fit_transform(spectra), expected)
    cache.clear()
    order = np.random.default_rng(0).permutation(200)
    found = integrator.set_params(n_jobs=2).fit_transform(spectra[order])
    pd.testing.assert_frame_equal(found, expected.iloc[order])


def test_features_carry_their_pixels_and_names():
    mz = AXES["even"]
    intensity, _ = simulate(mz, n=3)
    one = Spectra.from_arrays(intensity, mz=mz, coordinates=[[4, 2], [5, 2], [4, 3]])
    study = concatenate([one, one])
    features = PeakIntegrator(peaks=peak_table()).fit_transform(study)
    assert list(features.index.names) == ["run", "x", "y", "z"]
    assert features.index[4] == ("run_2", 5, 2, 1)
    assert features.columns[0] == "mz_420.3000"
    integrator = PeakIntegrator(peaks=peak_table()).fit(study)
    assert list(integrator.get_feature_names_out()) == list(features.columns)


def test_overlapping_windows_are_split_and_lose_nothing():
    mz = np.array([100.0, 100.5, 103.0])
    low = np.array([99.0, 99.8, 102.0])
    high = np.array([100.6, 101.0, 104.0])
    windows = split_overlaps(mz, low, high)
    np.testing.assert_allclose(windows, [[99.0, 100.2], [100.2, 101.0], [102, 104]])
    # A neighbour that swallows a peak leaves it its own centre.
    windows = split_overlaps(mz[:2], np.array([99.0, 99.2]), np.array([100.9, 101.0]))
    assert windows[0, 1] == windows[1, 0] == pytest.approx(100.05)
    grid = np.arange(98.0, 105.0, 0.25)
    spectra = Spectra.from_arrays(np.ones((1, grid.size)), mz=grid)
    table = pd.DataFrame({"mz": mz, "left": low, "right": high})
    areas = PeakIntegrator(peaks=table).fit_transform(spectra).to_numpy()
    np.testing.assert_allclose(areas, [[1.2, 0.8, 2.0]], rtol=1e-6)


def test_peaks_come_from_the_spectra_and_are_sorted():
    intensity, areas = simulate(AXES["even"])
    spectra = Spectra.from_arrays(intensity, mz=AXES["even"])
    carried = spectra.with_peaks(peak_table().iloc[::-1])
    features = PeakIntegrator().fit_transform(carried)
    np.testing.assert_allclose(features, areas, rtol=0.01)


@pytest.mark.parametrize(
    ("peaks", "integrator", "message"),
    [
        (None, PeakIntegrator(), "carries no peaks"),
        (peak_table().iloc[:0], PeakIntegrator(), "loq.*noise"),
        (pd.DataFrame({"mz": [500.0]}), PeakIntegrator(), "'left', 'right'"),
        (pd.DataFrame({"mz": [np.nan]}), PeakIntegrator(window="ppm"), "finite"),
        (peak_table(), PeakIntegrator(width=-1.0), "width"),
        (peak_table(), PeakIntegrator(window="wide"), "window"),
        (peak_table(), PeakIntegrator(method="median"), "method"),
    ],
)
def test_what_cannot_be_integrated_says_why(peaks, integrator, message):
    spectra = Spectra.from_arrays(np.ones((2, 3)), mz=[500.0, 500.1, 500.2])
    with pytest.raises(ValueError, match=message):
        integrator.fit(spectra.with_peaks(peaks))


def test_it_clones_pickles_and_works_in_a_pipeline_with_memory(tmp_path):
    intensity, _ = simulate(AXES["even"])
    spectra = Spectra.from_arrays(intensity, mz=AXES["even"])
    pipe = make_pipeline(PeakIntegrator(peaks=peak_table()), memory=str(tmp_path))
    expected = pipe.fit_transform(spectra)
    pd.testing.assert_frame_equal(clone(pipe).fit_transform(spectra), expected)
    fitted = pickle.loads(pickle.dumps(pipe))
    pd.testing.assert_frame_equal(fitted.transform(spectra), expected)


@pytest.mark.parametrize("config", ["estimator", "global"])
def test_set_output_is_real_for_arrays(config):
    X = np.arange(12.0).reshape(3, 4)
    integrator = PeakIntegrator(peaks=[1.0], window="ppm", method="max")
    if config == "estimator":
        table = integrator.set_output(transform="pandas").fit_transform(X)
    else:
        with config_context(transform_output="pandas"):
            table = integrator.fit_transform(X)
            spectra = Spectra.from_arrays(X, mz=[1.0, 2.0, 3.0, 4.0])
            assert integrator.fit_transform(spectra).shape == (3, 1)
    assert list(table.columns) == ["mz_1.0000"]
    np.testing.assert_array_equal(table.to_numpy().ravel(), X[:, 1])


@pytest.mark.parametrize("form", ["shared", "ragged"])
def test_another_array_library_gives_the_same(form):
    xp = pytest.importorskip("array_api_strict")
    mz = AXES["even"]
    intensity, _ = simulate(mz, n=3)
    spectra = (
        Spectra.from_arrays(intensity, mz=mz)
        if form == "shared"
        else sparse(mz, intensity)
    )
    for method in ("area", "sum", "max", "mean"):
        integrator = PeakIntegrator(peaks=peak_table(), method=method)
        expected = integrator.fit_transform(spectra)
        found = integrator.fit_transform(spectra.to(xp))
        assert isinstance(found, type(xp.asarray([0.0])))
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5)


def test_ion_image_is_a_targeted_look():
    mz = AXES["even"]
    intensity, _ = simulate(mz)
    spectra = Spectra.from_arrays(intensity, mz=mz)
    image = spectra.ion_image(CENTERS[1], ppm=20)
    inside = np.abs(mz / CENTERS[1] - 1) <= 20e-6
    np.testing.assert_allclose(image, intensity[:, inside].sum(1), rtol=1e-5)
    assert image.name == "mz_561.7000"
    table = sparse(mz, intensity).ion_image(CENTERS, ppm=20)
    assert table.shape == (12, 4)
    np.testing.assert_allclose(table.iloc[:, 1], image, rtol=1e-5)
    with pytest.raises(ValueError, match="ppm must be positive"):
        spectra.ion_image(500.0, ppm=0)
    with pytest.raises(ValueError, match="positive numbers"):
        spectra.ion_image(-1.0)


@pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1",
    reason="array_api_dispatch needs SCIPY_ARRAY_API=1 from the start",
)
def test_array_api_dispatch_keeps_the_library():
    xp = pytest.importorskip("array_api_strict")
    X = xp.asarray(np.arange(12.0).reshape(3, 4))
    with config_context(array_api_dispatch=True):
        integrator = PeakIntegrator(peaks=[1.0], window="ppm", method="max").fit(X)
        found = integrator.transform(X)
    assert isinstance(found, type(X))
    np.testing.assert_array_equal(np.asarray(found).ravel(), [1, 5, 9])


def test_arrays_and_spectra_are_not_mixed():
    X = np.arange(12.0).reshape(3, 4)
    spectra = Spectra.from_arrays(X, mz=[1.0, 2.0, 3.0, 4.0])
    for fitted, other in ((X, spectra), (spectra, X)):
        integrator = PeakIntegrator(peaks=[2.0], window="ppm").fit(fitted)
        with pytest.raises(ValueError, match="Fit PeakIntegrator again"):
            integrator.transform(other)


@pytest.mark.parametrize("method", ["area", "sum", "max"])
def test_nan_in_a_window_is_an_error_that_names_the_pixel(method):
    # Files on a shared axis are mapped: nobody has looked at their values before.
    intensity, _ = simulate(AXES["even"], n=4)
    spectra = Spectra.from_arrays(intensity, mz=AXES["even"])
    broken = intensity.copy()
    broken[2, np.searchsorted(AXES["even"], CENTERS[1])] = np.nan
    spectra.source._intensity = broken
    with pytest.raises(ValueError, match=r"x=3, y=1, z=1.*must be finite"):
        PeakIntegrator(peaks=peak_table(), method=method).fit_transform(spectra)
