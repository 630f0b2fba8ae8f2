"""What PeakIntegrator observes beside the features: m/z, and ion mobility."""

import pickle
from dataclasses import dataclass
from typing import ClassVar

import array_api_strict
import numpy as np
import pandas as pd
import pytest

from imsminer import ImzMLReader, PeakIntegrator, Spectra
from imsminer.core.binning import sample_cells
from imsminer.core.cache import cache
from imsminer.core.chunk import ChunkKernel
from imsminer.features._kernels import observe_numba, observe_xp
from imsminer.features._windows import split_in_mobility, split_overlaps
from imsminer.io.writer import ImzMLWriter

CENTERS = np.array([500.2, 500.5, 500.8])
MZ = np.arange(500.0, 501.0, 0.002)
METHODS = ("area", "sum", "max", "mean")


def shifted(ppm, *, threshold=None, noise=0.0):
    """Three peaks in each pixel, all moved by the pixel's ppm."""
    rng = np.random.default_rng(0)
    heights = rng.uniform(1, 5, (len(ppm), 3))
    heights[0, 2] = 0
    true = CENTERS * (1 + 1e-6 * np.asarray(ppm)[:, None])
    z = (MZ - true[:, :, None]) / 0.01
    X = (heights[:, :, None] * np.exp(-0.5 * z**2)).sum(1)
    X += noise * rng.random(X.shape)
    X = X.astype(np.float32)
    if threshold is None:
        return Spectra.from_arrays(X, mz=MZ), heights
    rows, columns = np.nonzero(X > threshold)
    indptr = np.searchsorted(rows, np.arange(len(X) + 1))
    return Spectra.from_arrays(X[rows, columns], mz=MZ[columns], indptr=indptr), heights


@pytest.mark.parametrize("threshold", [None, 1e-3])
@pytest.mark.parametrize("method", METHODS)
def test_observed_masses_are_the_true_ones(threshold, method):
    ppm = np.array([0.0, 4.0, -6.0, 2.5, 3.0])
    spectra, heights = shifted(ppm, threshold=threshold)
    integrator = PeakIntegrator(
        peaks=CENTERS, window="ppm", width=120, method=method, observe=True
    ).fit(spectra)
    table = integrator.observed_
    assert list(table.columns) == ["mz", "observed_mz", "ppm", "frequency"]
    expected = (heights * ppm[:, None]).sum(0) / heights.sum(0)
    np.testing.assert_allclose(table["ppm"], expected, atol=0.03)
    np.testing.assert_allclose(
        table["observed_mz"], CENTERS * (1 + 1e-6 * expected), rtol=5e-8
    )
    np.testing.assert_allclose(table["frequency"], [1.0, 1.0, 0.8])
    pixels = integrator.observed(spectra, per_pixel=True)
    features = integrator.transform(spectra)
    pd.testing.assert_index_equal(pixels.index, features.index)
    assert list(pixels.columns) == list(features.columns)
    found = 1e6 * (pixels.to_numpy() / CENTERS - 1)
    seen = heights > 0
    np.testing.assert_allclose(
        found[seen], np.broadcast_to(ppm[:, None], seen.shape)[seen], atol=0.05
    )
    assert np.isnan(found[~seen]).all()
    # The features are those that come without an observation.
    plain = PeakIntegrator(peaks=CENTERS, window="ppm", width=120, method=method)
    pd.testing.assert_frame_equal(features, plain.fit_transform(spectra))


def test_observing_costs_no_further_pass():
    spectra, _ = shifted(np.zeros(5), threshold=1e-3)
    reads = []
    read = spectra.source.read
    spectra.source.read = lambda rows: reads.append(rows) or read(rows)
    integrator = PeakIntegrator(peaks=CENTERS, window="ppm", width=99, method="sum")
    cache.clear()
    integrator.fit_transform(spectra)
    alone = len(reads)
    cache.clear()
    reads.clear()
    integrator.set_params(observe=True).fit_transform(spectra)
    integrator.observed(spectra)
    assert len(reads) == alone > 0


def test_other_rows_and_what_is_not_there():
    spectra, _ = shifted(np.array([0.0, 5.0, 5.0]), threshold=1e-3)
    peaks = [500.2, 500.65, 700.0]
    integrator = PeakIntegrator(peaks=peaks, window="ppm", width=100, observe=True)
    integrator.fit(spectra)
    np.testing.assert_array_equal(np.isnan(integrator.observed_["ppm"]), [0, 1, 1])
    np.testing.assert_array_equal(integrator.observed_["frequency"], [1, 0, 0])
    other = integrator.observed(spectra[1:])
    assert other["ppm"][0] == pytest.approx(5.0, abs=0.05)
    assert not hasattr(integrator.set_params(observe=False).fit(spectra), "observed_")
    again = pickle.loads(pickle.dumps(integrator))
    pd.testing.assert_frame_equal(again.observed(spectra[1:]), other)


def test_arrays_are_observed_on_their_columns():
    X = np.zeros((2, 9))
    X[0, 3:6] = [1.0, 2.0, 3.0]
    X[1, 3:6] = [-5.0, 0.0, 1.0]
    table = pd.DataFrame({"mz": [4.0], "left": [2.5], "right": [5.5]})
    integrator = PeakIntegrator(peaks=table, observe=True).fit(X)
    # Points below 0 have no weight: (3 + 4·2 + 5·3 + 5) / 7.
    assert integrator.observed_["observed_mz"][0] == pytest.approx(31 / 7, rel=1e-6)
    np.testing.assert_allclose(integrator.transform(X), [[6.0], [-4.0]])
    pixels = integrator.observed(X, per_pixel=True)
    np.testing.assert_allclose(pixels, [[26 / 6], [5.0]], rtol=1e-6)
    with pytest.raises(ValueError, match="carries no peaks"):
        PeakIntegrator().fit(X).observed(X)


@pytest.mark.parametrize("threshold", [None, 1e-3])
def test_another_library_observes_the_same(threshold):
    spectra, _ = shifted(np.array([1.0, 5.0, -2.0]), threshold=threshold)
    for method in METHODS:
        integrator = PeakIntegrator(
            peaks=CENTERS, window="ppm", width=99, method=method, observe=True
        )
        one = integrator.fit(spectra).observed_
        moved = spectra.to(array_api_strict)
        two = integrator.fit(moved).observed_
        pd.testing.assert_frame_equal(one, two, rtol=1e-5)
        values = integrator.transform(moved)
        assert isinstance(values, type(array_api_strict.asarray([0.0])))
        np.testing.assert_allclose(
            np.asarray(values), integrator.transform(spectra), rtol=1e-5
        )


# Ion mobility ------------------------------------------------------------------------


def clouds(n=6, seed=0, *, profile=True):
    """Points on a grid of m/z, several mobilities each; two ions share their m/z."""
    rng = np.random.default_rng(seed)
    mz, mobility, intensity, sizes = [], [], [], []
    for _ in range(n):
        keep = rng.random(MZ.size) < 0.7
        number = rng.integers(1, 4, keep.sum())
        mz.append(np.repeat(MZ[keep], number))
        mobility.append(rng.uniform(0.6, 1.4, number.sum()))
        intensity.append(rng.gamma(1.0, 5.0, number.sum()) - 0.5)
        sizes.append(number.sum())
    arrays = map(np.concatenate, (intensity, mz))
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    return Spectra.from_arrays(
        *arrays, indptr=indptr, profile=profile, mobility=np.concatenate(mobility)
    )


def mobility_peaks():
    return pd.DataFrame(
        {
            "mz": [500.2, 500.201, 500.5, 500.8],
            "left": [500.17, 500.17, 500.45, 500.7],
            "right": [500.23, 500.24, 500.55, 500.9],
            "mobility_left": [0.7, 1.0, np.nan, 0.9],
            "mobility_right": [1.0, 1.2, np.nan, np.nan],
        }
    )


def only(spectra, low, high):
    """The same spectra without the points outside of a window of mobility."""
    (chunk,) = spectra.iter_chunks()
    inside = (chunk.mobility >= low) & (chunk.mobility < high)
    count = np.concatenate([[0], np.cumsum(inside)])
    return Spectra.from_arrays(
        chunk.intensity[inside],
        chunk.mz[inside],
        indptr=count[chunk.indptr],
        profile=chunk.profile,
        mobility=chunk.mobility[inside],
    )


@pytest.mark.parametrize("profile", [True, False])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("observe", [False, True])
def test_mobility_restricts_the_points(profile, method, observe, monkeypatch):
    if method == "area" and not profile:
        pytest.skip("centroids have no area")
    spectra, peaks = clouds(profile=profile), mobility_peaks()
    integrator = PeakIntegrator(peaks=peaks, method=method, observe=observe)
    features = integrator.fit_transform(spectra)
    # Peaks that overlap in m/z alone are not split.
    np.testing.assert_array_equal(integrator.windows_, peaks[["left", "right"]])
    # Cells of samples come from all of the points, in the parts as well.
    cells = sample_cells(spectra)
    monkeypatch.setattr("imsminer.features._reading.sample_cells", lambda part: cells)
    for k, row in peaks.iterrows():
        low, high = row["mobility_left"], row["mobility_right"]
        low = -np.inf if np.isnan(low) else low
        high = np.inf if np.isnan(high) else high
        one = peaks.iloc[[k]].drop(columns=["mobility_left", "mobility_right"])
        alone = PeakIntegrator(peaks=one, method=method, observe=True)
        part = only(spectra, low, high)
        expected = alone.fit_transform(part)
        np.testing.assert_allclose(
            features.iloc[:, k], expected.iloc[:, 0], rtol=1e-5, atol=1e-6
        )
        if observe:
            own = integrator.observed_.iloc[k]
            np.testing.assert_allclose(own, alone.observed_.iloc[0], rtol=1e-5)


def test_mobility_in_another_library_and_in_small_chunks(monkeypatch):
    spectra = clouds(30)
    for method in METHODS:
        integrator = PeakIntegrator(peaks=mobility_peaks(), method=method, n_jobs=2)
        expected = integrator.fit_transform(spectra)
        found = integrator.fit(spectra).transform(spectra.to(array_api_strict))
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5, atol=1e-6)
        cache.clear()
        monkeypatch.setattr("imsminer.core.spectra.CHUNK_BYTES", 1)
        order = np.random.default_rng(0).permutation(30)
        pd.testing.assert_frame_equal(
            integrator.fit_transform(spectra[order]), expected.iloc[order]
        )
        monkeypatch.undo()


def test_windows_are_split_only_where_they_share_points():
    mz = np.array([100.0, 100.1, 100.5])
    low, high = mz - 0.4, mz + 0.4
    everywhere = np.tile([-np.inf, np.inf], (3, 1))
    np.testing.assert_allclose(
        split_in_mobility(mz[1:], low[1:], high[1:], everywhere[1:]),
        split_overlaps(mz[1:], low[1:], high[1:]),
    )
    mobility = np.array([[0.5, 1.0], [1.0, 1.5], [0.8, 0.9]])
    found = split_in_mobility(mz, low, high, mobility)
    # The first and the last meet; the one between them has a mobility of its own.
    np.testing.assert_allclose(found, [[99.6, 100.25], [99.7, 100.5], [100.25, 100.9]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mobility_right": None}, "needs both of"),
        (
            {"mobility_right": [0.1] * 4},
            "must be below mobility_right, but at m/z 500.2",
        ),
    ],
)
def test_wrong_windows_of_mobility(change, message):
    peaks = mobility_peaks()
    for name, values in change.items():
        peaks = peaks.drop(columns=name)
        if values is not None:
            peaks[name] = values
    with pytest.raises(ValueError, match=message):
        PeakIntegrator(peaks=peaks).fit(clouds())


@pytest.mark.parametrize("threshold", [None, 1e-3])
def test_data_without_mobility_say_what_to_do(threshold):
    spectra, _ = shifted(np.zeros(3), threshold=threshold)
    integrator = PeakIntegrator(peaks=mobility_peaks()).fit(spectra)
    with pytest.raises(ValueError, match="ImzMLReader\\(mobility='keep'\\)"):
        integrator.transform(spectra)


def test_kernels_agree_and_ignore_mobility_when_there_is_none():
    (chunk,) = clouds(4).iter_chunks()
    low, high = np.array([500.0, 500.3, 505.0]), np.array([500.2, 500.9, 506.0])
    m_low, m_high = np.array([0.7, -np.inf, 0.0]), np.array([1.1, 1.0, 9.0])
    centers = 0.5 * (low + high)
    empty = np.empty(0)
    for mobility in (chunk.mobility, empty):
        points = (chunk.mz, mobility, chunk.intensity, chunk.indptr)
        out = np.full((4, 3, 5), np.nan)
        arguments = (low, high, m_low, m_high, centers)
        observe_numba.window_moments(*points, *arguments, out)
        moved = [array_api_strict.asarray(array) for array in points]
        other = observe_xp.window_moments(*moved, *arguments)
        np.testing.assert_allclose(np.asarray(other), out, rtol=1e-12, atol=1e-9)
        np.testing.assert_array_equal(out[:, 2], 0)
        inside = (chunk.mz >= 500.3) & (chunk.mz < 500.9)
        if mobility.size:
            inside &= mobility < 1.0
        assert out[:, 1, 2].sum() == inside.sum()
        assert out[:, 1, 0].sum() == pytest.approx(chunk.intensity[inside].sum())


def test_mobility_of_a_file(tmp_path):
    spectra = clouds(5)
    (chunk,) = spectra.iter_chunks()
    with ImzMLWriter(tmp_path / "a.imzML", intensity_dtype="float64") as writer:
        points = chunk.mz, chunk.intensity, chunk.coordinates
        writer.add_chunk(*points, chunk.indptr, mobility=chunk.mobility)
    kept = ImzMLReader(tmp_path / "a.imzML", mobility="keep")
    for method in METHODS:
        integrator = PeakIntegrator(peaks=mobility_peaks(), method=method)
        found = integrator.fit_transform(kept).to_numpy()
        expected = integrator.fit_transform(spectra).to_numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    # Points that were summed have their mean mobility, so some change windows.
    summed = integrator.set_params(method="sum").fit_transform(
        ImzMLReader(tmp_path / "a.imzML")
    )
    kept = integrator.fit_transform(kept).to_numpy()
    np.testing.assert_allclose(summed.iloc[:, 2], kept[:, 2], rtol=1e-6)
    assert np.all(np.abs(summed.iloc[:, 0] / kept[:, 0] - 1) > 1e-3)


@dataclass(frozen=True)
class KeepMaxima(ChunkKernel):
    """Make a centroid of the highest sample of each spectrum."""

    makes_centroids: ClassVar[bool] = True

    def __call__(self, chunk):
        top = np.argmax(chunk.intensity, axis=1)
        return chunk.replace(
            intensity=chunk.intensity[np.arange(top.size), top],
            mz=chunk.mz[top],
            indptr=np.arange(top.size + 1),
            profile=False,
        )


def test_spectra_that_a_queued_step_made_centroids():
    spectra, _ = shifted(np.zeros(4))
    picked = spectra.map(KeepMaxima())
    integrator = PeakIntegrator(peaks=CENTERS, window="ppm", width=60, observe=True)
    features = integrator.fit_transform(picked)
    assert (features.to_numpy() > 0).sum() == 4
    np.testing.assert_allclose(features.max(axis=1), [y.max() for _, y in spectra])
    assert integrator.observed_["frequency"].sum() == 1
    for observe in (True, False):
        integrator.set_params(method="area", observe=observe)
        with pytest.raises(ValueError, match="a centroid has no width"):
            integrator.fit_transform(picked)
