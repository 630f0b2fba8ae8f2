"""Centroiding of odd spectra: nothing, one point, plateaus, bad values."""

import array_api_strict
import numpy as np
import pytest

from imsminer import BaselineSubtractor, Spectra
from imsminer.core.chunk import SpectrumChunk
from imsminer.spectra._centroiding import PickCentroids
from imsminer.spectra.centroid import CentroidSpectra
from tests.spectra.profiles import MZ, points, profiles, ragged


@pytest.mark.parametrize(
    "y",
    [
        np.zeros(30),
        np.full(30, 5.0),
        -np.arange(30.0),
        np.arange(30.0),
        np.full(30, -3.0),
    ],
    ids=["zero", "constant", "falling", "rising", "negative"],
)
def test_spectra_without_peaks(y):
    spectra = Spectra.from_arrays(np.stack([y, y]), np.arange(100.0, 130))
    for noise in (None, 0.0):
        picked = CentroidSpectra(noise=noise).fit_transform(spectra)
        assert [mz.size for mz, _ in picked] == [0, 0]
    assert CentroidSpectra().fit_transform(np.stack([y, y])).any() == np.False_


def test_one_point_and_empty_spectra():
    spectra = Spectra.from_arrays(
        [4.0, 1.0, 3.0, 1.0],
        [500.0, 499.99, 500.0, 500.01],
        indptr=[0, 1, 1, 4],
    )
    picked = points(CentroidSpectra(noise=0.0).fit_transform(spectra))
    assert [mz.tolist() for mz, _ in picked] == [[500.0], [], [pytest.approx(500.0)]]
    one = Spectra.from_arrays([[3.0], [0.0]], [500.0])
    assert [y.size for _, y in CentroidSpectra().fit_transform(one)] == [0, 0]


def test_plateaus_and_neighbours_of_gaps():
    y = np.array([0, 1, 5, 5, 5, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0.0])
    mz = np.arange(100.0, 100 + y.size)
    picked = points(
        CentroidSpectra(noise=0.0).fit_transform(Spectra.from_arrays(y[None], mz))
    )
    np.testing.assert_allclose(picked[0][0], [103, 113], atol=0.15)
    np.testing.assert_array_equal(picked[0][1], [5, 2])


def test_min_points_keeps_the_higher_of_two():
    y = np.zeros(60)
    y[20], y[24], y[40] = 5.0, 9.0, 3.0
    X = y[None]
    found = CentroidSpectra(noise=0.0, min_points=4).fit_transform(X)
    assert np.flatnonzero(found[0]).tolist() == [20, 24, 40]
    found = CentroidSpectra(noise=0.0, min_points=5).fit_transform(X)
    assert np.flatnonzero(found[0]).tolist() == [24, 40]
    # In sparse spectra those samples count, too, that are not stored.
    sparse = ragged(np.tile(X, (2, 1)) + 1e-6, np.tile(X > 0, (2, 1)), MZ[:60])
    kernel = PickCentroids(0.0, 0.0, 4, "height", MZ[:60], np.gradient(MZ[:60]))
    assert points(sparse.map(kernel))[0][1] == pytest.approx([9, 3])


def test_values_that_are_not_finite():
    y = np.ones((2, 9))
    y[1, 4] = np.nan
    chunk = SpectrumChunk(
        rows=np.arange(2),
        coordinates=np.array([[1, 1, 1], [2, 5, 1]]),
        intensity=y,
        mz=np.arange(9.0),
        run="a",
    )
    kernel = PickCentroids(3.0, None, 5, "height")
    for values in (y, array_api_strict.asarray(y)):
        with pytest.raises(ValueError, match=r"run 'a', pixel x=2, y=5.*not finite"):
            kernel(chunk.replace(intensity=values))


def test_mobility_is_refused():
    spectra = Spectra.from_arrays(
        [1.0, 2.0, 1.0],
        [500.0, 500.0, 500.1],
        indptr=[0, 3],
        mobility=[0.5, 0.7, 0.5],
    )
    with pytest.raises(ValueError, match="Sum over the mobility"):
        points(CentroidSpectra().fit_transform(spectra))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loq": -1}, "loq"),
        ({"noise": -1.0}, "noise"),
        ({"min_points": 0}, "min_points"),
        ({"intensity": "max"}, "intensity"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        CentroidSpectra(**parameters).fit(np.ones((2, 5)))


def test_a_baseline_is_not_looked_for_in_centroids():
    picked = CentroidSpectra().fit_transform(Spectra.from_arrays(profiles()[0], MZ))
    with pytest.raises(ValueError, match="centroid"):
        points(BaselineSubtractor().fit_transform(picked))
