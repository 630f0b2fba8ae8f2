"""Every estimator on arrays of other libraries: they answer in kind, as NumPy does."""

import inspect
import os

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator

from imsminer._array import is_numpy, namespace_of
from tests.other_arrays import (
    TABLE,
    TOLERANCE,
    agree,
    arguments,
    attributes,
    fitted,
    public,
    regions,
)

pytestmark = pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1",
    reason="array_api_dispatch needs SCIPY_ARRAY_API=1 from the start",
)

CASES = [
    pytest.param(name, X, settings, i == 0, id=f"{name}-{i}")
    for name, (X, all_settings) in TABLE.items()
    for i, settings in enumerate(all_settings)
]


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


def answers(estimator, X, y, small):
    """What each method answers; `small` is what ``inverse_transform`` gets."""
    found = {}
    for method, parameters in methods_of(estimator).items():
        own = small if method == "inverse_transform" else X
        found[method] = getattr(estimator, method)(
            **arguments(method, parameters, own, y)
        )
    return found


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


@pytest.mark.parametrize("name", TABLE)
def test_without_dispatch_nothing_leaves_a_device_in_silence(name, library):
    X, all_settings = TABLE[name]
    y = regions() if name == "ShrunkenCentroidClassifier" else None
    if library.device is not None:
        with pytest.raises(RuntimeError, match="device1"):
            fitted(name, all_settings[0], library.put(X), y)
        return
    # On the host it counts as NumPy's, as in scikit-learn.
    found = attributes(fitted(name, all_settings[0], library.put(X), y))
    for value in found.values():
        assert not library.owns(value)
