"""choose_n_clusters finds known numbers, and its columns are what they say."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)

from imsminer.images import choose
from imsminer.images.choose import CRITERIA, choose_n_clusters
from imsminer.images.cluster import ImageClusterer
from imsminer.images.segment import InSituSegmenter


def quarters(noise=0.3, side=16, n_ions=36, seed=0):
    """Four quarters of an image, each marked by a fourth of the ions; two runs."""
    random = np.random.default_rng(seed)
    run, y, x = np.mgrid[:2, :side, :side].reshape(3, -1)
    truth = 2 * (y >= side // 2) + (x >= side // 2)
    group = np.arange(n_ions) % 4
    X = np.where(truth[:, None] == group, 3.0, 1.0)
    X = X * np.exp(noise * random.normal(size=X.shape))
    index = pd.MultiIndex.from_arrays([run, x, y], names=["run", "x", "y"])
    columns = [f"mz_{700 + i}.1" for i in range(n_ions)]
    return pd.DataFrame(X, index=index, columns=columns), truth, group


FAST = {"n_clusters": (2, 3, 4, 5, 6), "n_repeats": 3, "random_state": 0}


def best(table):
    return {
        name: int(table[name].idxmax() if end > 0 else table[name].idxmin())
        for name, end in {
            "silhouette": 1,
            "calinski_harabasz": 1,
            "davies_bouldin": -1,
        }.items()
    }


@pytest.mark.parametrize(
    "estimator",
    [
        None,
        InSituSegmenter(spatial_radius=1, n_init=3),
        InSituSegmenter(method="shrunken_centroids", spatial_radius=1, n_init=3),
    ],
)
def test_four_segments(estimator):
    X, _, _ = quarters()
    table = choose_n_clusters(X, estimator=estimator, **FAST)
    names = ["stability", "stability_sd", *CRITERIA[1:]]
    assert list(table.columns) == names
    assert table.index.name == "n_clusters"
    assert list(table.index) == [2, 3, 4, 5, 6]
    assert set(best(table).values()) == {4}
    assert table.loc[4, "stability"] > 0.95
    assert table.loc[[2, 3], "stability"].max() < 0.7
    assert table["bic"].idxmin() >= 4
    if estimator is None or estimator.method == "kmeans":
        assert table.loc[[5, 6], "stability"].max() < table.loc[4, "stability"] - 0.05
        assert (np.diff(table["inertia"]) < 0).all()
    else:
        # Of six segments two end up empty: four are left.
        assert table.loc[6, "stability"] == 1
    assert np.isfinite(table.to_numpy()).all()


def test_four_clusters_of_ions():
    X, _, _ = quarters()
    table = choose_n_clusters(X, what="images", **FAST)
    assert set(best(table).values()) == {4}
    assert table["stability"].idxmax() == 4
    assert table.loc[4, "stability"] > 0.9
    average = ImageClusterer(similarity="pearson", method="average")
    other = choose_n_clusters(X.to_numpy(), what="images", estimator=average, **FAST)
    assert set(best(other).values()) == {4}


def test_columns_are_scikit_learns():
    X, _, _ = quarters(noise=1.0)
    values = X.to_numpy()
    model = InSituSegmenter(scaling=None, n_init=20)
    criteria = ("davies_bouldin", "inertia", "silhouette", "calinski_harabasz")
    table = choose_n_clusters(
        values, (5, 3), estimator=model, criteria=criteria, random_state=1
    )
    assert list(table.columns) == list(criteria)
    for k in (5, 3):
        # With all pixels drawn, the silhouette is that of all; seeds may differ.
        inertia = KMeans(k, n_init=20, random_state=0).fit(values).inertia_
        assert table.loc[k, "inertia"] == pytest.approx(inertia, rel=0.01)
    fixed = InSituSegmenter(3, scaling=None, n_init=20)
    seed = int(np.random.RandomState(1).randint(2**31 - 1))
    labels = fixed.set_params(random_state=seed).fit_predict(values)
    row = table.loc[3]
    assert row["silhouette"] == pytest.approx(silhouette_score(values, labels))
    assert row["davies_bouldin"] == pytest.approx(davies_bouldin_score(values, labels))
    expected = calinski_harabasz_score(values, labels)
    assert row["calinski_harabasz"] == pytest.approx(expected)


def test_bic_prefers_the_number_of_gaussians():
    random = np.random.default_rng(0)
    centers = 6 * random.normal(size=(5, 4))
    points = np.repeat(centers, 60, axis=0) + random.normal(size=(300, 4))
    found = [
        choose._bic(points, KMeans(k, n_init=5, random_state=0).fit_predict(points))
        for k in range(2, 9)
    ]
    assert np.argmin(found) == 3


def test_stability_is_between_halves_of_the_ions(monkeypatch):
    X, _, _ = quarters(noise=1.0)
    seen = []
    fit = InSituSegmenter.fit

    def watched(self, X, *args, **kwargs):
        seen.append(X)
        return fit(self, X, *args, **kwargs)

    monkeypatch.setattr(InSituSegmenter, "fit", watched)
    table = choose_n_clusters(
        X, [4], criteria=["stability"], n_repeats=2, random_state=3
    )
    assert [part.shape[1] for part in seen] == [36, 18, 18, 18, 18]
    whole = X.to_numpy()
    for one, two in (seen[1:3], seen[3:5]):
        both = np.hstack([one, two])
        assert sorted(both[0]) == sorted(whole[0])
    seed = int(np.random.RandomState(3).randint(2**31 - 1))
    labels = [InSituSegmenter(4, random_state=seed).fit_predict(p) for p in seen[1:5]]
    found = [adjusted_rand_score(labels[i], labels[i + 1]) for i in (0, 2)]
    assert table.loc[4, "stability"] == pytest.approx(np.mean(found))
    assert table.loc[4, "stability_sd"] == pytest.approx(np.std(found, ddof=1))


def test_images_are_halved_by_blocks():
    X, _, _ = quarters()
    data = choose._checked(X, "images", None, None, None)
    first, second = choose._halves(data, np.random.RandomState(0))
    assert sorted([*first, *second]) == list(range(len(X)))
    table = X.index.to_frame(index=False)
    blocks = table["run"] * 100 + table["y"] // 8 * 10 + table["x"] // 8
    assert len(set(blocks[first])) == len(set(blocks[second])) == 4
    assert not set(blocks[first]) & set(blocks[second])
    drawn = choose._bootstrap(data, np.random.RandomState(0))
    assert len(drawn) == len(X)
    assert len(np.unique(drawn)) < len(X)


def test_bootstrap_and_the_same_table_again():
    X, _, _ = quarters(noise=0.8)
    settings = FAST | {"criteria": ["bootstrap", "silhouette"], "subsample": 100}
    table = choose_n_clusters(X, **settings)
    assert list(table.columns) == ["bootstrap", "bootstrap_sd", "silhouette"]
    assert table["bootstrap"].idxmax() == 4
    pd.testing.assert_frame_equal(choose_n_clusters(X, **settings), table)
    where = X.index.to_frame(index=False)
    plain = choose_n_clusters(
        X.to_numpy(), coordinates=where[["x", "y"]], runs=where["run"], **settings
    )
    pd.testing.assert_frame_equal(plain, table)
    more = choose_n_clusters(X, **(settings | {"subsample": 512}))
    assert (more["silhouette"] != table["silhouette"]).all()
    np.testing.assert_allclose(more["silhouette"], table["silhouette"], atol=0.08)


def test_errors():
    X, _, _ = quarters()
    for wrong, message in (
        ({"what": "ions"}, "what must be 'pixels' or 'images', got 'ions'"),
        ({"what": "images", "estimator": InSituSegmenter()}, "must be an ImageClus"),
        ({"n_clusters": [1, 2]}, "integers from 2 to less than the number of pixels"),
        ({"n_clusters": [512]}, "number of pixels \\(512\\)"),
        ({"what": "images", "n_clusters": [2, 36]}, "number of images \\(36\\)"),
        ({"n_clusters": []}, "n_clusters must be"),
        ({"criteria": "bic"}, "criteria must be a sequence of stability"),
        ({"criteria": ["gap"]}, "criteria must be a sequence of stability"),
        ({"n_repeats": 1}, "n_repeats must be 2 or more"),
        ({"subsample": 1}, "subsample must be 2 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            choose_n_clusters(X, **wrong)
    with pytest.raises(ValueError, match="2-D with two columns or more"):
        choose_n_clusters(X.iloc[:, :1])
    spatial = InSituSegmenter(spatial_radius=1)
    with pytest.raises(ValueError, match="InSituSegmenter needs to know where"):
        choose_n_clusters(X.to_numpy(), estimator=spatial)
