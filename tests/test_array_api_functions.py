"""Public functions read arrays of any library, wherever they lie."""

import os
import types
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context

import imsminer
from imsminer import AnalyteFilter, ImageSmoother, InSituSegmenter, Rectangle
from imsminer.core.grid import from_image, to_image
from imsminer.core.moran import moran_i, moran_test
from tests.other_arrays import (
    FEATURES,
    N_PIXELS,
    PIXELS,
    PLACES,
    agree,
    public,
    regions,
)

pytestmark = pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1",
    reason="array_api_dispatch needs SCIPY_ARRAY_API=1 from the start",
)

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
