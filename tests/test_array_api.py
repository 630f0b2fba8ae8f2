"""Every estimator on arrays of other libraries: they answer in kind, as NumPy does.

array-api-strict's arrays lie on a device of theirs that NumPy cannot read. They stand
in for those of a GPU: what would copy them to the host without saying so raises here.
"""

import inspect
import os

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, clone

import imsminer
from imsminer._array import device_of, is_numpy, namespace_of, to_numpy
from imsminer.spectra._baseline import METHODS as BASELINES

pytestmark = pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1",
    reason="array_api_dispatch needs SCIPY_ARRAY_API=1 from the start",
)

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


@pytest.fixture(params=["array_api_strict", "torch"])
def library(request):
    return Library(request.param)


def profiles():
    """Spectra with 10 peaks, whose places and heights vary from pixel to pixel."""
    random = np.random.default_rng(0)
    shift = random.normal(0, 0.6, N_PIXELS)
    heights = random.gamma(9, 12, (N_PIXELS, 10))
    at = 12 + 20 * np.arange(10) + shift[:, None]
    peaks = np.exp(-0.5 * ((np.arange(200)[:, None] - at[:, None]) / 1.6) ** 2)
    noise = random.gamma(2, 0.3, (N_PIXELS, 200))
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
WINDOWS = 12.0 + 20 * np.arange(10)
PEAKS = pd.DataFrame({"mz": WINDOWS, "left": WINDOWS - 4, "right": WINDOWS + 4})
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
    "CentroidSpectra": (PROFILES, [{"intensity": "height"}, {"intensity": "area"}]),
    "HotspotClipper": (FEATURES, [{"quantile": 0.9}]),
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
        FEATURES,
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
        PROFILES,
        [
            {"tolerance": 3.0, "min_matches": 4} | more
            for more in (
                {"model": "shift"},
                {"model": "linear"},
                {"model": "piecewise"},
                {"method": "grid"},
                {"reference": WINDOWS},
            )
        ],
    ),
    "MassCalibrator": (
        PROFILES,
        [
            {"reference_mz": WINDOWS + 0.5, "tolerance": 4.0, "guard": False} | more
            for more in ({}, {"per": "pixel"})
        ],
    ),
    "MaxNormalizer": (FEATURES, [{}]),
    "MedianNormalizer": (FEATURES, [{}]),
    "PQNNormalizer": (FEATURES, [{}, {"n_variables": 4}]),
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
    "RMSNormalizer": (FEATURES, [{"scale": "mean"}]),
    "ReferenceNormalizer": (FEATURES, [{"column": 2}]),
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
    "TICNormalizer": (FEATURES, [{}, {"scale": 3.0}]),
    "TSNEEmbedder": (
        FEATURES,
        [{"perplexity": 5, "max_iter": 250, "engine": "sklearn", "random_state": 0}],
    ),
    "TrimmedTICNormalizer": (FEATURES, [{"trim": 0.3}]),
}

CASES = [
    pytest.param(name, X, settings, id=f"{name}-{i}")
    for name, (X, all_settings) in TABLE.items()
    for i, settings in enumerate(all_settings)
]


def public(condition):
    """Names of the package that fulfil a condition."""
    return {name for name in imsminer.__all__ if condition(getattr(imsminer, name))}


def test_no_public_estimator_is_forgotten():
    estimators = public(lambda o: inspect.isclass(o) and issubclass(o, BaseEstimator))
    assert set(TABLE) == estimators


def methods_of(estimator):
    """Public methods whose first argument is X, and what else they take."""
    found = {}
    for name, method in inspect.getmembers(estimator, callable):
        if name.startswith("_") or name == "fit":
            continue
        parameters = list(inspect.signature(method).parameters)
        if parameters[:1] == ["X"]:
            found[name] = parameters
    return found


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


def answers(estimator, X, y, small):
    """What each method answers; `small` is what ``inverse_transform`` gets."""
    found = {}
    for method, parameters in methods_of(estimator).items():
        own = small if method == "inverse_transform" else X
        found[method] = getattr(estimator, method)(
            **arguments(method, parameters, own, y)
        )
    return found


def attributes(estimator):
    """Public fitted attributes."""
    return {
        name: value
        for name, value in vars(estimator).items()
        if name.endswith("_") and not name.startswith("_")
    }


#: Attributes that stay on the host, and why.
ON_HOST = {
    "hits_": "a table",
    "tissue_": "a mask that the user gave, of any library",
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
            close(values, expected_values, tolerance, f"{where}: {column}")
        return
    else:
        assert type(found) is type(expected), where
        if not isinstance(expected, float):
            assert found == expected or not isinstance(expected, (int, str)), where
            return
        expected_values, values = expected, found
    close(values, expected_values, tolerance, where)


def close(values, expected, tolerance, where):
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
        atol=tolerance * finite.max(initial=0.0),
        err_msg=where,
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "X", "settings"), CASES)
def test_estimators_answer_in_kind(name, X, settings, dtype, library):
    X = X.astype(dtype)
    y = regions() if name in ("ShrunkenCentroidClassifier", "PeakPicker") else None
    expected = fitted(name, settings, X, y)
    small = expected.transform(X) if hasattr(expected, "inverse_transform") else None
    with config_context(array_api_dispatch=True):
        moved, codes = library.put(X), None if y is None else library.put(y)
        found = fitted(name, settings, moved, codes)
        own = attributes(found)
        before = {key: value for key, value in own.items()}
        result = answers(
            found, moved, codes, None if small is None else library.put(small)
        )
        assert attributes(found).keys() == before.keys()
    host = attributes(expected)
    assert own.keys() == host.keys()
    for key, value in host.items():
        if key not in ON_HOST:
            agree(own[key], value, library, TOLERANCE[dtype], key)
    for method, value in answers(expected, X, y, small).items():
        agree(result[method], value, library, TOLERANCE[dtype], method)


def everywhere_else(library, X):
    """The same array in another library, and on another device of its own."""
    places = [X]
    if library.device is not None:
        places.append(library.xp.asarray(X))
    return places


@pytest.mark.parametrize("name", TABLE)
def test_another_library_or_device_than_that_of_fit_is_refused(name, library):
    X, all_settings = TABLE[name]
    y = regions() if name == "ShrunkenCentroidClassifier" else None
    settings = all_settings[-1]
    with config_context(array_api_dispatch=True):
        codes = None if y is None else library.put(y)
        estimator = fitted(name, settings, library.put(X), codes)
        on_host = fitted(name, settings, X, y)
        checked = 0
        for method, parameters in methods_of(estimator).items():
            if method.startswith("fit_"):
                continue
            message = rf"{name}\.{method}\(\) must use the same namespace and the same"
            cases = [(estimator, place) for place in everywhere_else(library, X)]
            cases.append((on_host, library.put(X)))
            for model, place in cases:
                with pytest.raises(ValueError, match=message):
                    getattr(model, method)(**arguments(method, parameters, place, y))
                checked += 1
        assert checked or name == "TSNEEmbedder"
    # Without dispatch all arrays count as NumPy's, those of fit among them.
    for method, parameters in methods_of(estimator).items():
        if not method.startswith("fit_"):
            with pytest.raises(ValueError, match="array_api_dispatch on"):
                getattr(estimator, method)(**arguments(method, parameters, X, y))


@pytest.mark.parametrize("dispatch", [False, True])
def test_the_namespace_that_scikit_learn_vendors_is_numpy(dispatch, library):
    with config_context(array_api_dispatch=dispatch):
        assert is_numpy(namespace_of(np.ones(1)))
        assert is_numpy(namespace_of([1.0]))
        assert is_numpy(namespace_of(library.put(np.ones(1)))) is not dispatch
