"""Data, settings and comparisons for tests of arrays of other libraries.

array-api-strict's arrays lie on a device of theirs that NumPy cannot read. They stand
in for those of a GPU: what would copy them to the host without saying so raises here.
"""

import inspect

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import imsminer
from imsminer._array import device_of, to_numpy
from imsminer.spectra._baseline import METHODS as BASELINES

N_PIXELS = 40
PLACES = np.stack(np.divmod(np.arange(N_PIXELS), 8)[::-1], axis=1)
#: Relative to the largest value.
TOLERANCE = {np.float64: 1e-9, np.float32: 2e-4}


class Library:
    """An array library, and where its arrays lie."""

    def __init__(self, name):
        self.xp = pytest.importorskip(name)
        self.device = self.other = None
        if name == "array_api_strict":
            self.device = self.xp.Device("device1")
        else:
            # Else each of its warnings is given once, to whichever test comes first.
            self.xp.set_warn_always(True)

    def put(self, values):
        """Copy an array of NumPy."""
        if self.device is None:
            return self.xp.asarray(values)
        return self.xp.asarray(values, device=self.device)

    def owns(self, array):
        """Whether an array is of the library and lies where `put` puts them."""
        if self.device is not None and device_of(array) != self.device:
            return False
        return type(array) is type(self.put(np.zeros(1)))


def profiles():
    """Spectra of three tissues with 6 peaks, moved differently in each pixel."""
    random = np.random.default_rng(0)
    shift = random.normal(0, 0.6, N_PIXELS)
    means = random.gamma(2, 60, (3, 6))
    heights = means[regions()] * random.gamma(30, 1 / 30, (N_PIXELS, 6))
    at = 12 + 20 * np.arange(6) + shift[:, None]
    peaks = np.exp(-0.5 * ((np.arange(120)[:, None] - at[:, None]) / 1.6) ** 2)
    noise = random.gamma(2, 0.3, (N_PIXELS, 120))
    return (peaks * heights[:, None]).sum(axis=2) + noise + 3


def features():
    """Images of 9 ions of three kinds of tissue, with noise."""
    random = np.random.default_rng(1)
    means = random.gamma(2, 40, (3, 9))
    return means[regions()] * random.gamma(30, 1 / 30, (N_PIXELS, 9))


def regions():
    x, y = PLACES.T
    return np.where(x < 3, 0, np.where(y < 2, 1, 2))


PROFILES, FEATURES = profiles(), features()
#: A pixel and a few values are blank. Among unit vectors a blank one is as far from all
#: of them, so that rounding decides on its cluster: only for steps without clusters.
BLANKS = FEATURES.copy()
BLANKS[3], BLANKS[10:15, 2], BLANKS[20, 4] = 0, 0, -1
WINDOWS = 12.0 + 20 * np.arange(6)
PEAKS = pd.DataFrame({"mz": WINDOWS, "left": WINDOWS - 4, "right": WINDOWS + 4})
#: The peaks move by some 10 ppm of this axis.
MZ = 800 * np.exp(2e-5 * np.arange(120))
PIXELS = pd.DataFrame({"region": np.array(["a", "b", "c"])[regions()], "unit": "u"})
PIXELS["unit"] += pd.Series(np.arange(N_PIXELS) % 4).astype(str)

#: By the names of the estimators: what they work on, and settings.
TABLE = {
    "AnalyteFilter": (
        FEATURES,
        [
            {"min_frequency": 0.5},
            {"min_moran": 0.2},
            {"min_tissue_auc": 0.4, "tissue": regions() > 0},
        ],
    ),
    "BaselineSubtractor": (
        PROFILES,
        [
            *({"method": name, "half_window": 15} for name in BASELINES),
            {"level": "lower", "scale": "linear"},
            {"reference": "mean"},
            {"method": "pybaselines:asls"},
        ],
    ),
    "CentroidSpectra": (PROFILES[:6], [{"intensity": "height"}, {"intensity": "area"}]),
    "HotspotClipper": (BLANKS, [{"quantile": 0.9}]),
    "ImageClusterer": (
        FEATURES,
        [
            *(
                {"similarity": name, "n_clusters": 3, "n_init": 2, "random_state": 0}
                for name in ("thresholded_cosine", "cosine", "pearson", "spearman")
            ),
            {"method": "average", "n_clusters": 3, "median_filter": 0},
        ],
    ),
    "ImageSmoother": (
        BLANKS,
        [{"method": name} for name in ("median", "gaussian", "bilateral", "tv")],
    ),
    "InSituSegmenter": (
        FEATURES,
        [
            {"n_clusters": 3, "n_init": 2, "random_state": 0} | more
            for more in (
                {},
                {"scaling": "std+l2", "metric": "correlation"},
                {"scaling": None, "spatial_radius": 1},
                {"spatial_radius": 2, "weights": "adaptive"},
                {"method": "gmm"},
                {"method": "gmm", "covariance_type": "diag", "spatial_radius": 1},
                {"method": "shrunken_centroids"},
                {"method": "shrunken_centroids", "spatial_radius": 1},
            )
        ],
    ),
    "MassAligner": (
        PROFILES[:16],
        [
            {"tolerance": 3.0, "min_matches": 4} | more
            for more in (
                {"model": "piecewise"},
                {"model": "shift", "reference": WINDOWS},
                {"method": "grid"},
            )
        ],
    ),
    "MassCalibrator": (
        PROFILES[:16],
        [
            {"reference_mz": WINDOWS + 0.5, "tolerance": 4.0, "guard": False} | more
            for more in ({}, {"per": "pixel"})
        ],
    ),
    "MaxNormalizer": (BLANKS, [{}]),
    "MedianNormalizer": (BLANKS, [{}]),
    "PQNNormalizer": (BLANKS, [{}, {"n_variables": 4}]),
    "PeakIntegrator": (
        PROFILES,
        [
            *(
                {"peaks": PEAKS, "method": name, "observe": True}
                for name in ("area", "sum", "max", "mean")
            ),
        ],
    ),
    "PeakPicker": (
        PROFILES,
        [
            {"loq": 3, "min_points": 3} | more
            for more in (
                {},
                {"reference": "max", "noise": "windowed_mad"},
                {"reference": "mean+max", "noise": "residual_mad", "max_peaks": 5},
                {"min_frequency": 0.3, "targets": [52.0], "smoothing": "matched"},
            )
        ],
    ),
    "RMSNormalizer": (BLANKS, [{"scale": "mean"}]),
    "ReferenceNormalizer": (BLANKS, [{"column": 2}]),
    "ShrunkenCentroidClassifier": (
        FEATURES,
        [
            {"shrinkage": 1.0},
            {"spatial_radius": 1, "weights": "adaptive", "priors": "uniform"},
        ],
    ),
    "SpectraCache": (PROFILES, [{}]),
    "SpectrumSmoother": (
        PROFILES,
        [
            {"method": name}
            for name in ("savgol", "gaussian", "moving_average", "median")
        ],
    ),
    "TICNormalizer": (BLANKS, [{}, {"scale": 3.0}]),
    "TSNEEmbedder": (
        FEATURES,
        [{"perplexity": 5, "max_iter": 250, "engine": "sklearn", "random_state": 0}],
    ),
    "TrimmedTICNormalizer": (BLANKS, [{"trim": 0.3}]),
}


def public(condition):
    """Names of the package that fulfil a condition."""
    return {name for name in imsminer.__all__ if condition(getattr(imsminer, name))}


def arguments(name, parameters, X, y):
    """X and what else a method is called with."""
    given = {"X": X}
    if "coordinates" in parameters:
        given["coordinates"] = PLACES
    if "y" in parameters and y is not None:
        given["y"] = y
    return given


def fitted(name, settings, X, y):
    estimator = clone(getattr(imsminer, name)(**settings))
    given = arguments("fit", list(inspect.signature(estimator.fit).parameters), X, y)
    return estimator.fit(**given)


def attributes(estimator):
    """Public fitted attributes."""
    return {
        name: value
        for name, value in vars(estimator).items()
        if name.endswith("_") and not name.startswith("_")
    }


def agree(found, expected, library, tolerance, where):
    """Assert that a result is that of NumPy, of the library, and in its precision."""
    if isinstance(expected, np.ndarray):
        assert library.owns(found), where
        own = library.put(np.zeros(1, expected.dtype)).dtype
        assert found.dtype == own, where
        expected_values, values = expected, to_numpy(found)
    elif isinstance(expected, pd.DataFrame):
        assert list(found.columns) == list(expected.columns), where
        numbers = expected.select_dtypes("number").columns
        others = expected.columns.difference(numbers)
        pd.testing.assert_frame_equal(found[others], expected[others])
        for column in numbers:
            values, expected_values = found[column], expected[column]
            where_column = f"{where}: {column}"
            close(values, expected_values, tolerance, where_column, least=1.0)
        return
    else:
        assert type(found) is type(expected), where
        if not isinstance(expected, float):
            assert found == expected or not isinstance(expected, (int, str)), where
            return
        expected_values, values = expected, found
    close(values, expected_values, tolerance, where)


def close(values, expected, tolerance, where, least=0.0):
    """Assert that values agree to a share of the largest, or of `least`."""
    values, expected = np.asarray(values), np.asarray(expected)
    assert values.shape == expected.shape, where
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(values, expected, err_msg=where)
        return
    finite = np.abs(expected[np.isfinite(expected)])
    np.testing.assert_allclose(
        values,
        expected,
        rtol=tolerance,
        atol=tolerance * finite.max(initial=least),
        err_msg=where,
    )
