"""Which of the picked peaks stay: frequency, spatial structure, number."""

import numpy as np
import pandas as pd
import pytest

from imsminer import MassAxis, PeakPicker, Spectra

MZ = np.arange(500.0, 512.0, 0.01)
CENTERS = np.array([502.0, 505.0, 508.0, 510.0])


def half_and_half(seed=0):
    """Two peaks with a structured image, two with noise, on 20 × 20 pixels.

    The first and third are brighter on the left half; the third is in 10 % of the
    pixels only.
    """
    rng = np.random.default_rng(seed)
    x, y = (np.indices((20, 20)).reshape(2, -1)) + 1
    shapes = np.exp(-0.5 * ((MZ[:, None] - CENTERS) / 0.03) ** 2)
    left = (x <= 10).astype(float)
    amounts = np.column_stack(
        [
            50 * left + 10 + rng.normal(size=400),
            40 * rng.random(400),
            300.0 * ((x <= 4) & (y <= 10)),
            90 * rng.random(400),
        ]
    )
    intensity = amounts @ shapes.T + 0.2 * rng.random((400, MZ.size))
    return intensity, np.column_stack([x, y])


@pytest.fixture(scope="module")
def data():
    return half_and_half()


@pytest.fixture(scope="module")
def spectra(data):
    return Spectra.from_arrays(data[0], mz=MZ, coordinates=data[1])


def found(picker):
    return sorted({round(mz) for mz in picker.peaks_["mz"]})


def test_all_are_there_without_filters(spectra):
    picker = PeakPicker().fit(spectra)
    assert found(picker) == [502, 505, 508, 510]
    assert "moran" not in picker.peaks_


def test_min_moran_keeps_images_with_structure(spectra):
    picker = PeakPicker(min_moran=0.5).fit(spectra)
    assert found(picker) == [502, 508]
    assert (picker.peaks_["moran"] >= 0.5).all()
    everything = PeakPicker(min_moran=-1).fit(spectra).peaks_
    noise = everything["moran"][(everything["mz"] - 505).abs() < 0.5]
    assert abs(noise.item()) < 0.2


def test_min_moran_of_arrays_takes_the_coordinates_of_the_index(data):
    intensity, coordinates = data
    index = pd.MultiIndex.from_arrays(
        [np.repeat("a", 400), *coordinates.T, np.ones(400, int)],
        names=["run", "x", "y", "z"],
    )
    columns = [f"m{i}" for i in range(MZ.size)]
    table = pd.DataFrame(intensity, index=index, columns=columns)
    picker = PeakPicker(min_moran=0.5).fit(table)
    np.testing.assert_allclose(MZ[picker.peaks_["bin"]], [502, 508], atol=0.02)
    with pytest.raises(ValueError, match="needs the coordinates"):
        PeakPicker(min_moran=0.5).fit(intensity)


def test_max_peaks_keeps_the_strongest_of_those_that_stay(spectra):
    assert found(PeakPicker(max_peaks=1).fit(spectra)) == [510]
    picker = PeakPicker(max_peaks=1, min_moran=0.5).fit(spectra)
    assert len(picker.peaks_) == 1
    assert found(picker)[0] in (502, 508)


def test_min_moran_out_of_range_is_an_error(spectra):
    with pytest.raises(ValueError, match="min_moran"):
        PeakPicker(min_moran=2).fit(spectra)


def test_arrays_and_spectra_are_not_mixed(spectra, data):
    for fitted, other in ((spectra, data[0]), (data[0], spectra)):
        picker = PeakPicker().fit(fitted)
        for method in (picker.transform, picker.pick):
            with pytest.raises(ValueError, match="Fit PeakPicker again"):
                method(other)


def test_an_axis_needs_spectra(data):
    with pytest.raises(ValueError, match="axis needs Spectra"):
        PeakPicker(axis=MassAxis.ppm(5)).fit(data[0])
