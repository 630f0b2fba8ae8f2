"""scikit-learn's own checks; run again with SCIPY_ARRAY_API=1 for the array API."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer.images.cluster import ImageClusterer
from imsminer.images.segment import InSituSegmenter
from imsminer.images.shrunken import ShrunkenCentroidClassifier


# metric="correlation" is not here: check_clustering has two features, whose correlation
# is 1 or -1 between any two pixels, and asks for three clusters.
@parametrize_with_checks(
    [
        InSituSegmenter(),
        InSituSegmenter(scaling=None),
        InSituSegmenter(method="gmm"),
        InSituSegmenter(method="gmm", covariance_type="diag", scaling="std"),
        InSituSegmenter(method="shrunken_centroids"),
        ShrunkenCentroidClassifier(),
        ShrunkenCentroidClassifier(shrinkage=0.5, priors="uniform"),
    ]
)
def test_sklearn_checks_of_pixels(estimator, check):
    check(estimator)


# The checks use fewer features than the default 8 clusters.
@pytest.mark.filterwarnings("ignore:ImageClusterer. n_clusters=:UserWarning")
@parametrize_with_checks(
    [
        ImageClusterer(),
        ImageClusterer(n_clusters=2, similarity="spearman", method="average"),
        ImageClusterer(n_clusters=2, similarity="pearson"),
    ]
)
def test_sklearn_checks_of_images(estimator, check):
    check(estimator)
