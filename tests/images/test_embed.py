"""TSNEEmbedder: what t-SNE defines, by either engine, in few threads."""

import importlib.util
import sys

import numpy as np
import pandas as pd
import pytest
from joblib import cpu_count
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_info

from imsminer.exceptions import OptionalDependencyError
from imsminer.images import embed
from imsminer.images.embed import TSNEEmbedder

HAS_OPENTSNE = importlib.util.find_spec("openTSNE") is not None
needs_opentsne = pytest.mark.skipif(
    not HAS_OPENTSNE, reason="openTSNE (extra: embedding) is not installed"
)
ENGINES = [pytest.param("opentsne", marks=needs_opentsne), "sklearn"]


@parametrize_with_checks(
    [
        TSNEEmbedder(perplexity=2, max_iter=250, engine=engine)
        for engine in (["opentsne"] if HAS_OPENTSNE else []) + ["sklearn"]
    ]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture
def blobs():
    """Three classes of 60 pixels each, far apart in 12 dimensions; shuffled."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2], 60))
    return rng.normal(0, 4, (3, 12))[labels] + rng.normal(size=(180, 12)), labels


def similarities(X, perplexity):
    """P of t-SNE by its definition, bisecting for each row, over all pairs."""
    squared = cdist(X, X, "sqeuclidean")
    P = np.zeros_like(squared)
    for i in range(len(X)):
        others = np.arange(len(X)) != i
        d = squared[i, others] - squared[i, others].min()
        low, high = 1e-12, 1e12
        for _ in range(200):
            beta = np.sqrt(low * high)
            p = np.exp(-d * beta)
            p /= p.sum()
            entropy = -(p[p > 0] * np.log(p[p > 0])).sum()
            low, high = (beta, high) if entropy > np.log(perplexity) else (low, beta)
        P[i, others] = p
    P += P.T
    return P / P.sum()


def divergence(P, embedding):
    """Kullback-Leibler divergence of an embedding by its definition."""
    Q = 1 / (1 + cdist(embedding, embedding, "sqeuclidean"))
    np.fill_diagonal(Q, 0)
    Q /= Q.sum()
    known = P > 0
    return float((P[known] * np.log(P[known] / Q[known])).sum())


def test_classes_are_kept_apart(engine, blobs):
    X, labels = blobs
    embedding = TSNEEmbedder(
        perplexity=15, engine=engine, random_state=0
    ).fit_transform(X)
    assert embedding.shape == (180, 2)
    neighbors = KNeighborsClassifier(5).fit(embedding, labels)
    assert neighbors.score(embedding, labels) == 1


@pytest.mark.parametrize(
    ("engine", "fft_from"),
    [
        pytest.param("opentsne", 0, marks=needs_opentsne, id="fft"),
        pytest.param("opentsne", 10_000, marks=needs_opentsne, id="tree"),
        pytest.param("sklearn", 0, id="sklearn"),
    ],
)
def test_divergence_is_what_t_sne_defines_and_as_low_as_scikit_learns(
    engine, blobs, fft_from, monkeypatch
):
    monkeypatch.setattr(embed, "FFT_FROM", fft_from)
    X, _ = blobs
    P = similarities(X, 20)
    keywords = {"perplexity": 20, "max_iter": 400, "random_state": 0}
    ours = TSNEEmbedder(engine=engine, **keywords).fit(X)
    theirs = TSNE(method="exact", **keywords).fit(X)
    reached = divergence(P, ours.embedding_)
    # A third of the pairs have similarities that neighbour lists leave out.
    assert ours.kl_divergence_ == pytest.approx(reached, rel=0.05)
    assert reached < 1.05 * divergence(P, theirs.embedding_)


def test_three_components(engine, blobs):
    X, labels = blobs
    embedder = TSNEEmbedder(3, perplexity=15, engine=engine, random_state=0)
    embedding = embedder.fit_transform(X)
    assert embedding.shape == (180, 3)
    # scikit-learn's loses a few on the way; a third would be chance.
    neighbors = KNeighborsClassifier(5).fit(embedding, labels)
    assert neighbors.score(embedding, labels) > 0.95


def test_one_component(engine, blobs):
    embedder = TSNEEmbedder(1, perplexity=15, engine=engine, random_state=0)
    embedding = embedder.fit_transform(blobs[0])
    assert embedding.shape == (180, 1)
    assert np.isfinite(embedding).all()


def test_components_first(engine, blobs):
    """`n_pca` components: the same as of these components alone."""
    X, _ = blobs
    keywords = {"perplexity": 15, "engine": engine, "max_iter": 250, "random_state": 0}
    few = TSNEEmbedder(n_pca=3, **keywords).fit(X).embedding_
    scores = PCA(3).fit_transform(X)
    np.testing.assert_allclose(
        few,
        TSNEEmbedder(n_pca=None, **keywords).fit(scores).embedding_,
        rtol=0.05,
        atol=0.05 * np.abs(few).max(),
    )
    every = TSNEEmbedder(n_pca=12, **keywords).fit(X).embedding_
    np.testing.assert_array_equal(
        every, TSNEEmbedder(n_pca=500, **keywords).fit(X).embedding_
    )
    assert not np.allclose(few, every, rtol=1e-3)


def test_a_dataframe_is_answered_with_its_index(engine, blobs):
    X = blobs[0][:40]
    places = [("a", x, 1, 0) for x in range(40)]
    index = pd.MultiIndex.from_tuples(places, names=["run", "x", "y", "z"])
    table = pd.DataFrame(X, index=index, columns=[f"mz_{i}" for i in range(12)])
    embedder = TSNEEmbedder(perplexity=5, max_iter=250, engine=engine, random_state=0)
    answer = embedder.fit_transform(table)
    pd.testing.assert_index_equal(answer.index, index)
    assert list(answer.columns) == ["tsne0", "tsne1"]
    np.testing.assert_allclose(answer, embedder.fit_transform(X), rtol=1e-3, atol=1e-3)
    pipe = make_pipeline(StandardScaler(), embedder).set_output(transform="pandas")
    assert pipe.fit_transform(table).index.equals(index)


def test_scale_does_not_matter(engine, blobs):
    X = blobs[0]
    keywords = {"perplexity": 15, "engine": engine, "max_iter": 250, "random_state": 0}
    one = TSNEEmbedder(**keywords).fit(X).embedding_
    # Powers of two are exact; these are beyond what a search for widths would reach.
    for scale in (2.0**60, 2.0**-60):
        other = TSNEEmbedder(**keywords).fit(scale * X).embedding_
        np.testing.assert_array_equal(one, other)


def test_random_state(engine, blobs):
    X = blobs[0]
    keywords = {"perplexity": 15, "engine": engine, "max_iter": 250}
    one = TSNEEmbedder(random_state=1, **keywords).fit(X).embedding_
    np.testing.assert_array_equal(
        one, TSNEEmbedder(random_state=1, **keywords).fit(X).embedding_
    )
    assert not np.array_equal(
        one, TSNEEmbedder(random_state=2, **keywords).fit(X).embedding_
    )


@needs_opentsne
@pytest.mark.parametrize("fft_from", [0, 10_000], ids=["fft", "tree"])
def test_n_jobs_does_not_change_the_embedding(blobs, fft_from, monkeypatch):
    monkeypatch.setattr(embed, "FFT_FROM", fft_from)
    X = blobs[0].copy()
    # More equal pixels than neighbours: which are taken must not depend on threads.
    X[:60] = 0
    keywords = {"perplexity": 15, "max_iter": 250, "random_state": 0}
    one = TSNEEmbedder(n_jobs=1, **keywords).fit(X).embedding_
    two = TSNEEmbedder(n_jobs=2, **keywords).fit(X).embedding_
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("n_jobs", [None, 2, 500])
def test_no_library_takes_more_threads(engine, blobs, n_jobs, monkeypatch):
    seen = []
    name = {"opentsne": "_opentsne", "sklearn": "_barnes_hut"}[engine]
    function = getattr(embed, name)

    def record(scores, start, perplexity, max_iter, n_threads, random_state):
        # What openTSNE is told, which no limit of OpenMP holds back.
        seen.append(n_threads)
        result = function(scores, start, perplexity, max_iter, n_threads, random_state)
        # openTSNE and scikit-learn are loaded by now, with their own OpenMP.
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        return result

    monkeypatch.setattr(embed, name, record)
    before = [pool["num_threads"] for pool in threadpool_info()]
    TSNEEmbedder(
        perplexity=5, max_iter=250, engine=engine, n_jobs=n_jobs, random_state=0
    ).fit(blobs[0][:40])
    assert seen
    assert max(seen) <= min(n_jobs or 1, cpu_count())
    after = [pool["num_threads"] for pool in threadpool_info()]
    assert after[: len(before)] == before


def test_equal_pixels_get_places(engine):
    """Empty pixels, more of them than a neighbour list holds."""
    X = np.random.default_rng(0).normal(size=(60, 5))
    X[:30] = 0
    embedding = TSNEEmbedder(perplexity=5, engine=engine, random_state=0).fit_transform(
        X
    )
    assert np.isfinite(embedding).all()
    # One pair may meet again: a tree lets points in one cell be.
    assert len(np.unique(embedding, axis=0)) > 55


@pytest.mark.filterwarnings("error")
def test_a_table_of_one_value(engine):
    embedding = TSNEEmbedder(
        perplexity=5, max_iter=250, engine=engine, random_state=0
    ).fit_transform(np.full((30, 4), 3.0))
    assert np.isfinite(embedding).all()


def test_too_few_pixels(engine):
    message = r"perplexity=30 must be less than the number of pixels.*n_samples=30"
    with pytest.raises(ValueError, match=message):
        TSNEEmbedder(engine=engine).fit(np.eye(30))


def test_without_opentsne(monkeypatch):
    monkeypatch.setattr(embed.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    X = np.random.default_rng(0).normal(size=(40, 5))
    embedder = TSNEEmbedder(perplexity=5, max_iter=250, random_state=0)
    with pytest.warns(UserWarning, match=r"pip install '\.\[embedding\]'"):
        embedder.fit(X)
    assert embedder.engine_ == "sklearn"
    with pytest.raises(OptionalDependencyError, match="openTSNE"):
        TSNEEmbedder(perplexity=5, engine="opentsne").fit(X)


@needs_opentsne
def test_neighbourhoods_of_the_bladder_are_kept_as_by_scikit_learn(
    shared_data, monkeypatch
):
    monkeypatch.setattr(embed, "FFT_FROM", 0)
    path = shared_data / "bladder" / "bladder_79peaks.npz"
    if not path.exists():
        pytest.skip("no bladder beside this checkout")
    with np.load(path) as file:
        parts = file["data"], file["indices"], file["indptr"]
        X = sparse.csr_array(parts, shape=file["shape"]).toarray().astype(np.float64)
    X = X[:: len(X) // 800]
    X = np.sqrt(X / X.max(axis=0))
    ours = TSNEEmbedder(max_iter=400, random_state=0).fit_transform(X)
    theirs = TSNE(max_iter=400, random_state=0).fit_transform(X)
    kept = trustworthiness(X, ours, n_neighbors=15)
    assert kept > trustworthiness(X, theirs, n_neighbors=15) - 0.01
    assert kept > 0.9
