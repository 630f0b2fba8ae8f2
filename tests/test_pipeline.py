"""The whole path, as users of scikit-learn compose it, on the real example."""

import os
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_score,
    learning_curve,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr

from imsminer import (
    BaselineSubtractor,
    ImageClusterer,
    ImzMLReader,
    InSituSegmenter,
    MassAligner,
    PeakIntegrator,
    PeakPicker,
    TICNormalizer,
)
from imsminer.core.cache import cache
from imsminer.datasets import load_kidney

ESTIMATORS = [
    BaselineSubtractor(),
    MassAligner(),
    TICNormalizer(),
    PeakPicker(),
    PeakIntegrator(),
    InSituSegmenter(),
    ImageClusterer(),
]


@pytest.fixture(scope="module")
def kidney():
    return ImzMLReader(load_kidney())


def default_pipeline(**keywords):
    return make_pipeline(
        TICNormalizer(),
        PeakPicker(loq=30),
        PeakIntegrator(),
        InSituSegmenter(n_clusters=4, n_init=2, random_state=0),
        **keywords,
    )


def test_the_ten_line_pipeline(kidney, dispatch):
    pipe = make_pipeline(
        BaselineSubtractor(),
        MassAligner(),
        TICNormalizer(),
        PeakPicker(loq=30),
        PeakIntegrator(),
        InSituSegmenter(n_clusters=4, n_init=2, random_state=0),
    )
    with config_context(array_api_dispatch=dispatch):
        labels = pipe.fit_predict(kidney)
        assert labels.shape == (342,)
        assert set(labels) == {0, 1, 2, 3}
        np.testing.assert_array_equal(pipe.predict(kidney), labels)
        # Other rows get the same labels: nothing is learned in predict.
        np.testing.assert_array_equal(pipe.predict(kidney[50:90]), labels[50:90])


def test_grid_search_and_cross_validation(kidney, dispatch):
    y = (kidney.coordinates[:, 0] > 9).astype(int)
    model = make_pipeline(
        PeakPicker(loq=30),
        PeakIntegrator(),
        TICNormalizer(),
        RandomForestClassifier(n_estimators=10, random_state=0),
    )
    with config_context(array_api_dispatch=dispatch):
        search = GridSearchCV(model, {"peakpicker__loq": [20, 40]}, cv=KFold(3))
        search.fit(kidney, y)
        assert search.best_params_["peakpicker__loq"] in (20, 40)
        scores = cross_val_score(model, kidney, y, cv=KFold(3), n_jobs=2)
        groups = kidney.coordinates[:, 1]
        by_row = cross_val_score(model, kidney, y, groups=groups, cv=GroupKFold(3))
    assert np.all(np.isfinite(scores))
    # Left and right of a kidney differ: better than guessing, on unseen rows.
    assert by_row.mean() > 0.6


def test_learning_curve_and_train_test_split(kidney):
    y = (kidney.coordinates[:, 0] > 9).astype(int)
    train, test, y_train, y_test = train_test_split(
        kidney, y, stratify=y, random_state=0
    )
    model = make_pipeline(
        PeakPicker(loq=30),
        PeakIntegrator(),
        RandomForestClassifier(n_estimators=10, random_state=0),
    )
    assert model.fit(train, y_train).score(test, y_test) > 0.6
    sizes, _, scores = learning_curve(
        model,
        kidney,
        y,
        cv=KFold(2, shuffle=True, random_state=0),
        train_sizes=[0.5, 1.0],
    )
    assert list(sizes) == [85, 171]
    assert np.all(np.isfinite(scores))


def test_scikit_learn_steps_behind_keep_coordinates_with_set_output(kidney):
    pipe = make_pipeline(
        TICNormalizer(), PeakPicker(loq=30), PeakIntegrator(), PCA(3, random_state=0)
    ).set_output(transform="pandas")
    embedded = pipe.fit_transform(kidney)
    assert list(embedded.columns) == ["pca0", "pca1", "pca2"]
    assert list(embedded.index.names) == ["run", "x", "y", "z"]
    with config_context(transform_output="pandas"):
        again = clone(pipe).fit_transform(kidney)
    pd.testing.assert_frame_equal(embedded, again)


def test_memory_caches_fitted_steps_and_changes_nothing(kidney, tmp_path):
    expected = default_pipeline().fit_predict(kidney)
    cached = default_pipeline(memory=str(tmp_path))
    np.testing.assert_array_equal(cached.fit_predict(kidney), expected)
    cache.clear()
    before = kidney.source.n_bytes_read
    np.testing.assert_array_equal(clone(cached).fit_predict(kidney), expected)
    assert kidney.source.n_bytes_read == before


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_threads_change_nothing(kidney, n_jobs):
    cache.clear()
    pipe = default_pipeline()
    pipe.set_params(
        ticnormalizer__n_jobs=n_jobs,
        peakpicker__n_jobs=n_jobs,
        peakintegrator__n_jobs=n_jobs,
    )
    features = pipe[:-1].fit_transform(kidney)
    cache.clear()
    expected = default_pipeline()[:-1].fit_transform(kidney)
    pd.testing.assert_frame_equal(features, expected)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_estimators_clone_pickle_and_show_themselves(estimator):
    copy = pickle.loads(pickle.dumps(clone(estimator)))
    assert copy.get_params() == estimator.get_params()
    assert type(estimator).__name__ in repr(estimator)
    assert type(estimator).__name__ in estimator_html_repr(make_pipeline(estimator))


def test_a_fitted_pipeline_pickles_small(kidney):
    pipe = default_pipeline().fit(kidney)
    data = pickle.dumps(pipe)
    np.testing.assert_array_equal(
        pickle.loads(data).predict(kidney), pipe.predict(kidney)
    )


def test_the_same_data_in_memory_give_the_same_features(kidney, tmp_path):
    """Persisting, and continuous instead of processed data, change nothing."""
    pipe = default_pipeline()[:-1]
    expected = pipe.fit_transform(kidney)
    stored = kidney.persist(tmp_path / "kidney")
    found = clone(pipe).fit_transform(stored)
    np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())


def test_features_from_other_rows_have_the_same_columns(kidney):
    pipe = default_pipeline()[:-1].fit(kidney[::2])
    features = pipe.transform(kidney[1::2])
    assert list(features.columns) == list(pipe.get_feature_names_out())


def test_image_clusterer_ends_a_pipeline(kidney):
    pipe = make_pipeline(
        PeakPicker(loq=30),
        PeakIntegrator(),
        ImageClusterer(n_clusters=4, random_state=0),
    )
    images = pipe.fit_transform(kidney)
    assert images.shape == (342, 4)
    n_peaks = len(pipe["peakpicker"].peaks_)
    assert pipe["imageclusterer"].labels_.shape == (n_peaks,)


@pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1",
    reason="array_api_dispatch needs SCIPY_ARRAY_API=1 from the start",
)
def test_dispatch_of_a_whole_pipeline_to_another_array_library(kidney):
    xp = pytest.importorskip("array_api_strict")
    pipe = make_pipeline(
        BaselineSubtractor(),
        MassAligner(),
        TICNormalizer(),
        PeakPicker(loq=50),
        PeakIntegrator(),
        InSituSegmenter(n_clusters=3, n_init=2, random_state=0),
    )
    # The kernels of reference go through spectra and peaks one by one.
    few = kidney[:8]
    with config_context(array_api_dispatch=True):
        expected = clone(pipe).fit_predict(few)
        labels = pipe.fit_predict(few.to(xp))
    assert isinstance(labels, type(xp.asarray([0])))
    np.testing.assert_array_equal(np.asarray(labels), expected)


@pytest.mark.filterwarnings("ignore:The estimator .* does not support callbacks")
def test_progress_bars_of_scikit_learn_see_the_steps(kidney):
    progress = pytest.importorskip("sklearn.callback").ProgressBar
    pipe = make_pipeline(PeakPicker(loq=30), PeakIntegrator())
    pipe.set_callbacks(progress())
    assert pipe.fit(kidney).transform(kidney).shape[0] == 342
