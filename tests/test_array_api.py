"""Every estimator on arrays of other libraries: they answer in kind, as NumPy does.

array-api-strict's arrays lie on a device of theirs that NumPy cannot read. They stand
in for those of a GPU: what would copy them to the host without saying so raises here.
"""

import inspect
import os
import types

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import make_pipeline

import imsminer
from imsminer import (
    AnalyteFilter,
    BaselineSubtractor,
    HotspotClipper,
    ImageClusterer,
    ImageSmoother,
    InSituSegmenter,
    MassAligner,
    PeakIntegrator,
    PeakPicker,
    Rectangle,
    Spectra,
    SpectrumSmoother,
    TICNormalizer,
)
from imsminer._array import device_of, is_numpy, namespace_of, to_numpy
from imsminer.core.grid import from_image, to_image
from imsminer.core.moran import moran_i, moran_test
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
    pytest.param(name, X, settings, i == 0, id=f"{name}-{i}")
    for name, (X, all_settings) in TABLE.items()
    for i, settings in enumerate(all_settings)
]


def public(condition):
    """Names of the package that fulfil a condition."""
    return {name for name in imsminer.__all__ if condition(getattr(imsminer, name))}


def test_no_public_estimator_is_forgotten():
    estimators = public(lambda o: inspect.isclass(o) and issubclass(o, BaseEstimator))
    assert set(TABLE) == estimators


#: Methods that refuse arrays.
SPECTRA_ONLY = {"PeakIntegrator": {"transform_and_observe"}}


def methods_of(estimator):
    """Public methods whose first argument is X, and what else they take."""
    found = {}
    skipped = {"fit"} | SPECTRA_ONLY.get(type(estimator).__name__, set())
    for name, method in inspect.getmembers(estimator, callable):
        if name.startswith("_") or name in skipped:
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


@pytest.mark.parametrize(("name", "X", "settings", "first"), CASES)
def test_estimators_answer_in_kind(name, X, settings, first, library):
    # The precision that is not the library's own shows what does not keep it.
    dtypes = [np.float32 if library.xp.asarray(0.0).dtype == library.xp.float64
              else np.float64]  # fmt: skip
    for dtype in [np.float32, np.float64] if first else dtypes:
        check_in_kind(name, X.astype(dtype), settings, library, TOLERANCE[dtype])


def check_in_kind(name, X, settings, library, tolerance):
    y = regions() if name in ("ShrunkenCentroidClassifier", "PeakPicker") else None
    expected = fitted(name, settings, X, y)
    small = expected.transform(X) if hasattr(expected, "inverse_transform") else None
    with config_context(array_api_dispatch=True):
        moved, codes = library.put(X), None if y is None else library.put(y)
        found = fitted(name, settings, moved, codes)
        own = attributes(found)
        small_moved = None if small is None else library.put(small)
        result = answers(found, moved, codes, small_moved)
    host = attributes(expected)
    assert own.keys() == host.keys()
    for key, value in host.items():
        agree(own[key], value, library, tolerance, key)
    for method, value in answers(expected, X, y, small).items():
        agree(result[method], value, library, tolerance, method)


@pytest.mark.parametrize("name", SPECTRA_ONLY)
def test_methods_for_spectra_refuse_arrays(name, library):
    X, all_settings = TABLE[name]
    with config_context(array_api_dispatch=True):
        moved = library.put(X)
        estimator = fitted(name, all_settings[0], moved, None)
        for method in SPECTRA_ONLY[name]:
            with pytest.raises(ValueError, match=f"{name}: {method} takes Spectra"):
                getattr(estimator, method)(moved)


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


#: Functions that read arrays of any library, and answer on the host.
FUNCTIONS = {
    "aggregate": lambda X: imsminer.aggregate(X, PIXELS, "region"),
    "choose_n_clusters": lambda X: imsminer.choose_n_clusters(
        X,
        [2, 3],
        criteria=["stability", "silhouette"],
        n_repeats=2,
        estimator=InSituSegmenter(n_init=1),
        random_state=0,
    ),
    "colocalization": lambda X: imsminer.colocalization(X, X[:, 0], coordinates=PLACES),
    "colocalization_matrix": lambda X: imsminer.colocalization_matrix(X, "spearman"),
    "compare": lambda X: imsminer.compare(X, PIXELS, group="region", unit="unit"),
    "from_image": lambda X: from_image(X, np.argwhere(FEATURES.T > -1)),
    "label_pixels": lambda X: imsminer.label_pixels(
        X[:, :2], [Rectangle("strong", 50.0, 0.0, 1e9, 1e9)]
    ),
    "moran_i": lambda X: moran_i(X, PLACES),
    "moran_test": lambda X: moran_test(X, PLACES),
    "segment_markers": lambda X: imsminer.segment_markers(X, X[:, 1] > 50),
    "tissue_mask": lambda X: imsminer.tissue_mask(X, PLACES, min_size=2),
    "to_anndata": lambda X: exported("anndata", imsminer.to_anndata, X).X,
    "to_image": lambda X: to_image(X[:, 3], PLACES),
    "to_image_stack": lambda X: imsminer.to_image_stack(X, pixels=WHERE),
    "to_spatialdata": lambda X: (
        exported("spatialdata", imsminer.to_spatialdata, X)["features"].X
    ),
    "write_features": lambda X: written(X),
}

#: Functions that take no arrays of pixels, and what they take.
NO_ARRAYS = {
    "annotate": "m/z, which are on the host wherever the spectra are",
    "concatenate": "Spectra",
    "read_features": "a file",
    "read_geojson": "a file",
    "read_metaspace_annotations": "a file",
    "read_scils_features": "a file",
    "read_scils_regions": "a file",
    "register_landmarks": "a few points that someone has chosen",
    "rois_from_table": "a table",
    "score_isotopes": "Spectra, or a table whose columns have names",
    "write_geojson": "regions",
    "write_imzml": "Spectra",
}

WHERE = pd.DataFrame(PLACES, columns=["x", "y"]).assign(run="run", z=0)


def exported(package, function, X):
    pytest.importorskip(package)
    return function(X, pixels=WHERE)


def written(X):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = f"{folder}/features.npz"
        imsminer.write_features(X, path, pixels=WHERE)
        with np.load(path, allow_pickle=False) as stored:
            return max((stored[name] for name in stored), key=np.size)


def test_no_public_function_is_forgotten():
    functions = public(lambda o: isinstance(o, types.FunctionType))
    inner = {"from_image", "moran_i", "moran_test", "to_image"}
    assert set(FUNCTIONS) - inner | set(NO_ARRAYS) == functions
    assert not set(FUNCTIONS) & set(NO_ARRAYS)


@pytest.mark.parametrize("dispatch", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_read_any_array(name, dispatch, library):
    expected = FUNCTIONS[name](FEATURES)
    with config_context(array_api_dispatch=dispatch):
        found = FUNCTIONS[name](library.put(FEATURES))
    assert type(found) is type(expected)
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected, rtol=1e-9)
    elif expected.dtype == object:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_isotopes_of_an_array_without_names_are_refused(library):
    hits = pd.DataFrame({"mz": [500.0], "formula": ["C6"], "adduct": ["[M+H]+"]})
    with pytest.raises(TypeError, match="DataFrame"):
        imsminer.score_isotopes(hits, library.put(FEATURES))


def test_where_pixels_are_may_be_told_by_arrays_of_the_library(library):
    places, runs = library.put(PLACES), library.put(np.arange(N_PIXELS) // 20)
    mask = library.put(regions() > 0)
    host = {"coordinates": PLACES, "runs": np.arange(N_PIXELS) // 20}
    smoother = ImageSmoother("gaussian")
    expected = smoother.fit_transform(FEATURES, **host, mask=regions() > 0)
    kept = AnalyteFilter(min_tissue_auc=0.5, tissue=regions() > 0).fit(FEATURES)
    with config_context(array_api_dispatch=True):
        X = library.put(FEATURES)
        found = smoother.fit_transform(X, coordinates=places, runs=runs, mask=mask)
        own = AnalyteFilter(min_tissue_auc=0.5, tissue=mask).fit(X)
    agree(found, expected, library, 1e-9, "smoothed")
    np.testing.assert_array_equal(own.get_support(), kept.get_support())


#: Settings of steps on Spectra where they are not those on arrays.
ON_SPECTRA = {
    "MassAligner": [
        {"tolerance": 50, "min_matches": 3} | more
        for more in (
            {"model": "piecewise"},
            {"model": "shift", "reference": MZ[WINDOWS.astype(int)]},
            {"method": "grid"},
        )
    ],
    "MassCalibrator": [
        {"reference_mz": MZ[WINDOWS.astype(int)], "tolerance": 60.0, "per": per}
        for per in ("run", "pixel")
    ],
    "PQNNormalizer": [{}],
    "PeakIntegrator": [
        {"peaks": PEAKS.map(lambda x: MZ[int(x)]), "method": name, "observe": True}
        for name in ("area", "sum", "max", "mean")
    ],
    "PeakPicker": [
        {"noise": 1.0, "min_points": 3, "mode": mode} for mode in ("reference", "pixel")
    ],
    "ReferenceNormalizer": [{"mz": MZ[52], "ppm": 60}],
    "TrimmedTICNormalizer": [{"trim": 0.3, "exclude": [MZ[32]], "ppm": 60}],
}
STEPS = [
    pytest.param(name, settings, id=f"{name}-{i}")
    for name in TABLE
    if "spectra" in getattr(imsminer, name).__module__ or name == "PeakIntegrator"
    for i, settings in enumerate(ON_SPECTRA.get(name, TABLE[name][1]))
    if "pybaselines" not in settings.get("method", "")
]


def delivered(answer):
    """The arrays that Spectra deliver, or the features."""
    if not isinstance(answer, Spectra):
        return [to_numpy(answer)]
    chunks = list(answer.iter_chunks())
    parts = [[to_numpy(chunk.intensity) for chunk in chunks]]
    if chunks[0].indptr is not None:
        parts.append([to_numpy(chunk.mz) for chunk in chunks])
        parts.append([np.diff(to_numpy(chunk.indptr)) for chunk in chunks])
    return [np.concatenate(part) for part in parts]


@pytest.mark.filterwarnings("ignore:MassCalibrator. run .* left as it is:UserWarning")
@pytest.mark.parametrize("kind", ["shared", "ragged"])
@pytest.mark.parametrize(("name", "settings"), STEPS)
def test_steps_on_spectra_stay_on_the_device(name, settings, kind, library):
    X = spectra(kind)[:6]
    moved = X.to(library.xp, device=library.device)
    own = getattr(imsminer, name)(**settings)
    other = clone(own)
    expected, found = own.fit_transform(X), other.fit_transform(moved)
    assert isinstance(found, Spectra) == isinstance(expected, Spectra)
    if isinstance(found, Spectra):
        assert library.owns(next(found.iter_chunks()).intensity)
    else:
        assert library.owns(found)
    for one, theirs in zip(delivered(expected), delivered(found), strict=True):
        close(theirs, one, 1e-5, name)
    for key, value in attributes(own).items():
        if isinstance(value, pd.DataFrame):
            agree(getattr(other, key), value, library, 1e-5, key)


def whole_pipeline(last, tolerance):
    return make_pipeline(
        SpectrumSmoother(width=5),
        BaselineSubtractor(half_window=15),
        MassAligner(tolerance=tolerance, min_matches=4),
        TICNormalizer(),
        PeakPicker(noise=1.0, min_points=3),
        PeakIntegrator(),
        HotspotClipper(),
        last,
    )


LAST = {
    "segmenter": InSituSegmenter(n_clusters=3, n_init=2, random_state=0),
    "spatial": InSituSegmenter(
        n_clusters=3, n_init=2, spatial_radius=1, random_state=0
    ),
    "clusterer": ImageClusterer(n_clusters=3, n_init=2, random_state=0),
}


def spectra(kind):
    """Profiles as an array, on a shared axis, or without their zeros."""
    if kind == "array":
        return PROFILES
    if kind == "shared":
        return Spectra.from_arrays(PROFILES, MZ, PLACES)
    # Few of them, for which the kernels of reference take their time.
    X = PROFILES[::4]
    stored = X > 6
    return Spectra.from_arrays(
        X[stored],
        np.broadcast_to(MZ, stored.shape)[stored],
        PLACES[::4],
        indptr=np.append(0, np.cumsum(stored.sum(axis=1))),
        profile=True,
    )


@pytest.mark.parametrize("kind", ["array", "shared", "ragged"])
def test_a_whole_pipeline_finds_what_numpy_does(kind, library):
    X = spectra(kind)
    moved = (
        library.put(X) if kind == "array" else X.to(library.xp, device=library.device)
    )
    places = PLACES[:: N_PIXELS // len(X)]
    for last in LAST:
        pipe = whole_pipeline(LAST[last], tolerance=3 if kind == "array" else 50)
        where = {} if last == "segmenter" else {"coordinates": places}
        given = {f"{pipe.steps[-1][0]}__{name}": where[name] for name in where}
        expected, found = clone(pipe).fit(X, **given), clone(pipe)
        with config_context(array_api_dispatch=True):
            found.fit(moved, **given)
            features = found[:-1].transform(moved)
            where = {} if last == "clusterer" else where
            answer = found[-1].transform(features, **where)
        peaks = found["peakpicker"].peaks_, expected["peakpicker"].peaks_
        assert len(peaks[0]) == len(peaks[1]) >= 5
        here = expected[:-1].transform(X)
        agree(features, np.asarray(here), library, 1e-5, "features")
        agree(found[-1].labels_, expected[-1].labels_, library, 0, "labels")
        there = expected[-1].transform(here, **where)
        agree(answer, there, library, 1e-4, "answer")
        assert len(np.unique(expected[-1].labels_)) == 3
