"""Results that live in another array library, or on a device, are drawn as well."""

import numpy as np
import pytest

from imsminer import plots

xp = pytest.importorskip("array_api_strict", reason="needs array-api-strict")


@pytest.fixture
def move():
    """Put an array where NumPy cannot reach it, as a GPU does."""
    return lambda values: xp.asarray(np.asarray(values), device=xp.Device("device1"))


def image(ax):
    return ax.get_images()[0].get_array()


def test_ion_images(tissue, move):
    here = tissue.to_numpy(np.float64)
    there = plots.ion_image(move(here[:, 0]), tissue)
    np.testing.assert_array_equal(
        image(there), image(plots.ion_image(here[:, 0], tissue))
    )
    sheet = plots.ion_images(move(here), [2], tissue, titles=["x"])
    assert image(sheet[0])[0, 0] == here[0, 2]


def test_segments(tissue, move):
    labels = np.repeat([0, 1, 2], 13)
    ax = plots.segmentation(move(labels), tissue)
    assert image(ax)[0, 0] == 0
    assert image(ax)[2, 2] == 1


def test_profiles_and_clusters(tissue, move):
    axes = plots.segment_profiles(move([[1.0, 2.0]]), [700.0, 800.0])
    assert len(axes) == 1
    images = tissue.iloc[:, :2].to_numpy(np.float64)
    axes = plots.cluster_images(move(images), tissue, move([0, 1, 1]))
    assert axes[1].get_title() == "cluster 1: 2 ions"


def test_spectra(move):
    ax = plots.mean_spectrum(move([1.0, 2.0]), move([0.0, 3.0]), noise=move([1.0, 1.0]))
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0.0, 3.0])
