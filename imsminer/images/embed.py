"""Place pixels with similar spectra near each other: t-SNE, made quick."""

import importlib.util
import warnings
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from joblib import cpu_count, effective_n_jobs
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data
from threadpoolctl import threadpool_limits

from imsminer._array import device_of, is_numpy_array, namespace_of, to_numpy
from imsminer._optional import import_optional
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.images import _cuml
from imsminer.images._names import NumberedColumns

__all__ = ["TSNEEmbedder"]

#: From how many pixels on the FFT is quicker than a Barnes-Hut tree.
FFT_FROM = 10_000
#: Pixels whose neighbours scikit-learn looks for at once.
CHUNK = 256
#: Spread of the first axis at the start, and of the jitter that parts equal pixels.
START, JITTER = 1e-4, 1e-6


class TSNEEmbedder(NumberedColumns, TransformerMixin, BaseEstimator):
    """Embed pixels in two or three dimensions by t-SNE, on a few principal components.

    As :class:`sklearn.manifold.TSNE`, several times as quick on a whole run: PCA first,
    then openTSNE [1]_, which replaces the Barnes-Hut tree by interpolation on a grid
    and the FFT [2]_. The other embeddings are scikit-learn's own (``PCA``, ``NMF``) and
    umap-learn's (``UMAP``); :func:`imsminer.plots.embedding` draws them all.

    Parameters
    ----------
    n_components : int, default=2
        Dimensions of the embedding, 1 to 3. The FFT knows 1 and 2; with 3, as for the
        colours of :func:`imsminer.plots.embedding_image`, it is a tree that is built.
    perplexity : float, default=30
        How many neighbours a pixel is compared with, so to speak. Must be less than
        the number of pixels.
    n_pca : int or None, default=100
        Principal components that distances are taken in. `None`, or a number not below
        that of the features, keeps all the distances as they are.
    max_iter : int, default=750
        Iterations, 250 of which are of early exaggeration.
    engine : {"auto", "opentsne", "sklearn", "cuml"}, default="auto"
        ``"opentsne"`` needs the extra ``embedding`` (openTSNE). ``"sklearn"`` is
        scikit-learn's Barnes-Hut on the same components. ``"cuml"`` computes PCA and
        t-SNE on the GPU: two dimensions of CuPy arrays. ``"auto"`` takes cuML for
        these where it is installed; else openTSNE where that is installed, else
        scikit-learn, with a warning.
    n_jobs : int, default=None
        Threads. `None` means 1, unless within ``joblib.parallel_config``; -1 all cores.
        No library uses more, BLAS and OpenMP included, and none more than there are
        cores. With openTSNE the embedding does not depend on it.
    random_state : int, RandomState instance or None, default=None
        For the jitter at the start, that parts pixels with equal spectra. Pass an int
        for the same embedding at each fit.

    Attributes
    ----------
    embedding_ : array of shape (n_pixels, n_components)
        Where each pixel of ``fit`` is, in the dtype of X.
    kl_divergence_ : float
        Kullback-Leibler divergence that was reached, as the engine estimates it.
    engine_ : {"opentsne", "sklearn", "cuml"}
        What computed it.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when X was a DataFrame with string column names.

    See Also
    --------
    InSituSegmenter : Groups the pixels. Distances in a t-SNE are no measure of how
        much spectra differ, so do not cluster an embedding.

    Notes
    -----
    Like scikit-learn's there is no ``transform``: other pixels cannot be placed in an
    embedding that is there. Ions count by their variance, so scale X first:
    ``InSituSegmenter`` divides by the maximum of each ion, then each pixel by its norm.

    Nearest neighbours are exact, at a cost that grows with the square of the number of
    pixels: a minor part up to 100,000 pixels. t-SNE starts from the first components,
    which keeps its large-scale layout [3]_. It is chaotic: rounding differs with the
    order of the rows, and so do details of the embedding.

    Arrays of other libraries are computed on the host and answered in their own, unless
    cuML takes them. Its embeddings differ a little from fit to fit, whatever the seed:
    threads of a GPU add up in no fixed order.

    References
    ----------
    .. [1] Poličar P. G. et al. (2024). openTSNE: a modular Python library for t-SNE
       dimensionality reduction and embedding. J. Stat. Softw. 109 (3), 1.
    .. [2] Linderman G. C. et al. (2019). Fast interpolation-based t-SNE for improved
       visualization of single-cell RNA-seq data. Nature Methods 16, 243.
    .. [3] Kobak D., Berens P. (2019). The art of using t-SNE for single-cell
       transcriptomics. Nature Communications 10, 5416.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer.images.embed import TSNEEmbedder
    >>> X = np.random.default_rng(0).normal(size=(60, 8))
    >>> X[:30] += 9
    >>> embedder = TSNEEmbedder(perplexity=10, engine="sklearn", random_state=0)
    >>> embedding = embedder.fit_transform(X)
    >>> embedding.shape
    (60, 2)
    """

    _prefix = "tsne"

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, 3, closed="both")],
        "perplexity": [Interval(Real, 0, None, closed="neither")],
        "n_pca": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 250, None, closed="left")],
        "engine": [StrOptions({"auto", "opentsne", "sklearn", "cuml"})],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components=2,
        *,
        perplexity=30,
        n_pca=100,
        max_iter=750,
        engine="auto",
        n_jobs=None,
        random_state=None,
    ):
        self.n_components = n_components
        self.perplexity = perplexity
        self.n_pca = n_pca
        self.max_iter = max_iter
        self.engine = engine
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _choose_engine(self, X: Any) -> str:
        name = type(self).__name__
        if self.engine == "cuml":
            if self.n_components != 2:
                message = (
                    f"{name}: engine='cuml' embeds in 2 dimensions, but "
                    f"n_components={self.n_components}. Take 2, or another engine."
                )
                raise ValueError(message)
            _cuml.package_for(X, needed_by=f"{name} with engine='cuml'")
        if self.engine != "auto":
            return self.engine
        if self.n_components == 2 and _cuml.package_for(X) is not None:
            return "cuml"
        if importlib.util.find_spec("openTSNE") is not None:
            return "opentsne"
        message = (
            f"{name}: openTSNE is not installed, so scikit-learn's slower Barnes-Hut "
            "is used. Install it with: pip install '.[embedding]' "
            'in the source tree of imsminer, or pass engine="sklearn".'
        )
        warnings.warn(message, UserWarning, stacklevel=3)
        return "sklearn"

    def fit(self, X, y=None):
        """Embed the pixels.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            Features, as PeakIntegrator returns them.
        y : Ignored
            For scikit-learn's sake.

        Returns
        -------
        self : TSNEEmbedder

        Raises
        ------
        ValueError
            When there are not more pixels than `perplexity`, or ``engine="cuml"`` and X
            is no CuPy array or `n_components` is not 2.
        OptionalDependencyError
            When ``engine="opentsne"`` and openTSNE is not installed, or
            ``engine="cuml"`` and cuML is not.
        """
        self._validate_params()
        xp = namespace_of(X)
        X = validate_data(self, X, dtype=[xp.float64, xp.float32], ensure_min_samples=2)
        if self.perplexity >= X.shape[0]:
            message = (
                f"{type(self).__name__}: perplexity={self.perplexity} must be less "
                f"than the number of pixels, but X has n_samples={X.shape[0]}."
            )
            raise ValueError(message)
        self.engine_ = self._choose_engine(X)
        random_state = check_random_state(self.random_state)
        if self.engine_ == "cuml":
            embedding, self.kl_divergence_ = _cuml.tsne(
                X, self.n_pca, self.perplexity, self.max_iter, random_state
            )
        else:
            embedding = self._embed_on_host(to_numpy(X), random_state)
        if is_numpy_array(X):
            self.embedding_ = embedding.astype(X.dtype, copy=False)
        else:
            xp = namespace_of(X)
            embedding = xp.asarray(embedding, device=device_of(X))
            self.embedding_ = xp.astype(embedding, X.dtype, copy=False)
        return self

    def _embed_on_host(self, X: np.ndarray, random_state: Any) -> np.ndarray:
        embed = _opentsne if self.engine_ == "opentsne" else _barnes_hut
        n_threads = min(effective_n_jobs(self.n_jobs), cpu_count())
        # Threads change how BLAS rounds, and t-SNE makes much of it.
        with threadpool_limits(limits=1):
            scores = _scores(X, self.n_pca, random_state)
        with threadpool_limits(limits=n_threads):
            start = _start(scores, self.n_components, random_state)
            embedding, self.kl_divergence_ = embed(
                scores, start, self.perplexity, self.max_iter, n_threads, random_state
            )
        return embedding

    def fit_transform(self, X, y=None):
        """Embed the pixels and return where they are.

        Parameters
        ----------
        X, y
            As in :meth:`fit`.

        Returns
        -------
        DataFrame or array of shape (n_pixels, n_components)
            ``embedding_``; with the index of X if that is a DataFrame.
        """
        self.fit(X, y)
        if not isinstance(X, pd.DataFrame):
            return self.embedding_
        names = self.get_feature_names_out()
        return pd.DataFrame(self.embedding_, index=X.index, columns=names)

    @property
    def _n_columns(self):
        return self.embedding_.shape[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _scores(
    X: np.ndarray, n_pca: int | None, random_state: np.random.RandomState
) -> np.ndarray:
    """Principal components, at most `n_pca`, in units of the spread of the first."""
    n = min(X.shape) if n_pca is None else min(n_pca, *X.shape)
    if np.array_equal(X.min(axis=0), X.max(axis=0)):
        # Pixels that are all equal have no components, and PCA warns.
        return np.zeros((len(X), n))
    pca = PCA(n, random_state=random_state)
    # BLAS rounds otherwise when columns lie together, as in a DataFrame.
    scores = pca.fit_transform(np.ascontiguousarray(X, dtype=np.float64))
    return scores / scores[:, 0].std()


def _start(
    scores: np.ndarray, n_components: int, random_state: np.random.RandomState
) -> np.ndarray:
    """The first components, small, with a jitter that parts equal pixels."""
    start = random_state.normal(0, JITTER, (len(scores), n_components))
    n = min(n_components, scores.shape[1])
    start[:, :n] += START * scores[:, :n]
    return start


def _opentsne(
    scores: np.ndarray,
    start: np.ndarray,
    perplexity: float,
    max_iter: int,
    n_threads: int,
    random_state: np.random.RandomState,
) -> tuple[np.ndarray, float]:
    """Embedding and divergence by openTSNE."""
    package = import_optional("openTSNE", purpose="TSNEEmbedder", extra="embedding")
    n = min(len(scores) - 1, max(1, int(3 * perplexity)))
    found = NearestNeighbors(n_neighbors=n, algorithm="brute").fit(scores)
    # With more, scikit-learn would share out the neighbours instead of the pixels, and
    # which of several equal ones it takes would depend on the threads.
    few = max(1, min(n_threads, len(scores) // (4 * CHUNK)))
    with threadpool_limits(limits=few):
        distances, neighbors = found.kneighbors()
    affinities = package.affinity.PerplexityBasedNN(
        perplexity=perplexity,
        knn_index=package.nearest_neighbors.PrecomputedNeighbors(neighbors, distances),
        n_jobs=n_threads,
    )
    fast = len(scores) >= FFT_FROM and start.shape[1] < 3
    embedding = package.TSNE(
        n_components=start.shape[1],
        n_iter=max_iter - 250,
        negative_gradient_method="fft" if fast else "bh",
        n_jobs=n_threads,
        random_state=random_state,
    ).fit(affinities=affinities, initialization=start)
    return np.array(embedding), float(embedding.kl_divergence)


def _barnes_hut(
    scores: np.ndarray,
    start: np.ndarray,
    perplexity: float,
    max_iter: int,
    n_threads: int,
    random_state: np.random.RandomState,
) -> tuple[np.ndarray, float]:
    """Embedding and divergence by scikit-learn, whose threads are those of OpenMP."""
    tsne = TSNE(
        start.shape[1],
        perplexity=perplexity,
        max_iter=max_iter,
        init=start,
        n_jobs=n_threads,
        random_state=random_state,
    )
    return tsne.fit_transform(scores), float(tsne.kl_divergence_)
