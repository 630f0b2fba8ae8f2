"""Features and observed m/z of one pass are those of two."""

import numpy as np
import pandas as pd
import pytest

from imsminer import ImzMLReader, PeakIntegrator, PeakPicker
from imsminer.core.cache import cache
from imsminer.datasets import make_ims


@pytest.fixture(params=["profile", "sparse", "centroid"])
def spectra(request, tmp_path):
    path = tmp_path / "run.imzML"
    options = {"shape": (5, 4), "n_peaks": 8, "mz_range": (700, 730)}
    make_ims(path, spectrum_type=request.param, random_state=0, **options)
    return PeakPicker(loq=5, min_points=3).fit_transform(ImzMLReader(path))


@pytest.mark.parametrize("columns", [None, [0], [4, 1], np.array([], int)])
def test_one_pass_gives_both(spectra, columns):
    integrator = PeakIntegrator().fit(spectra)
    read = []
    for method in (integrator.transform, integrator.transform_and_observe):
        cache.clear()
        before = spectra.source.n_bytes_read
        options = () if method == integrator.transform else (columns,)
        result = method(spectra, *options)
        read.append(spectra.source.n_bytes_read - before)
        if not options:
            expected = result
    assert read[0] == read[1] > 0
    features, observed = result
    assert features.shape[1] >= 5
    pd.testing.assert_frame_equal(features, expected)
    pixels = integrator.observed(spectra, per_pixel=True)
    if columns is not None:
        pixels = pixels.iloc[:, columns]
    assert observed.shape == pixels.shape
    if observed.size:
        pd.testing.assert_frame_equal(observed, pixels)
        assert np.isfinite(observed.to_numpy()).any()


def test_what_it_does_not_take(spectra):
    integrator = PeakIntegrator().fit(spectra)
    with pytest.raises(ValueError, match="takes Spectra, found ndarray"):
        integrator.transform_and_observe(np.ones((2, 3)))
    with pytest.raises(IndexError):
        integrator.transform_and_observe(spectra, [1000])
