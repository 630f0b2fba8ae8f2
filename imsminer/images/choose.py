"""How many segments, or clusters of ions, there may be."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)
from sklearn.utils import check_random_state

from imsminer._array import to_numpy
from imsminer.core.grid import Pixels, known_coordinates
from imsminer.images._neighbors import weighted_mean
from imsminer.images._segmenting import mixture_from
from imsminer.images.cluster import ImageClusterer
from imsminer.images.segment import InSituSegmenter

__all__ = ["choose_n_clusters"]

#: Principal components on which mixtures are compared.
N_COMPONENTS = 10
#: Edge of the blocks of pixels that are drawn together, in pixels.
BLOCK = 8

CRITERIA = (
    "stability",
    "bic",
    "inertia",
    "silhouette",
    "calinski_harabasz",
    "davies_bouldin",
)


def choose_n_clusters(
    features: Any,
    n_clusters: Iterable[int] = range(2, 13),
    *,
    what: str = "pixels",
    estimator: Any = None,
    criteria: Sequence[str] = CRITERIA,
    n_repeats: int = 5,
    subsample: int = 2000,
    coordinates: Any = None,
    runs: Any = None,
    random_state: Any = None,
) -> pd.DataFrame:
    """Tabulate what speaks for each number of segments, or of clusters of ions.

    No criterion is right by itself: the silhouette, for one, tends to prefer two,
    tissue and background.

    Parameters
    ----------
    features : DataFrame or array of shape (n_pixels, n_features)
        Features, as PeakIntegrator returns them. Finite. Arrays of any library
        are read on the host.
    n_clusters : iterable of int, default=range(2, 13)
        Numbers to try, 2 or more.
    what : {"pixels", "images"}, default="pixels"
        What is clustered: the pixels into segments, or the ion images.
    estimator : InSituSegmenter or ImageClusterer, default=None
        With the settings to use; its `n_clusters` and `random_state` are replaced.
        `None` takes one with default settings.
    criteria : sequence of str, default=all but "bootstrap"
        Which columns to compute:

        - ``"stability"``: adjusted Rand index between the clusterings of two random
          halves of the data, the mean over `n_repeats`: halves of the ions for pixels,
          of the pixels (in blocks of 8 × 8, where it is known where they are) for
          images. The larger, the better; two clusters are often the most stable, so
          look for the last number before it falls.
        - ``"bootstrap"``: the same between all data and a bootstrap sample of the ions
          (of the pixels, for images). Samples share most of the data, so it is larger.
        - ``"bic"``: Bayesian information criterion of a mixture of Gaussians with
          diagonal covariances, begun at the clusters, on the first 10 principal
          components. The smaller, the better. With many pixels it keeps falling.
        - ``"inertia"``: sum of squared distances to the mean of the cluster; always
          falls, look for a bend.
        - ``"silhouette"``, ``"calinski_harabasz"`` (the larger, the better) and
          ``"davies_bouldin"`` (the smaller, the better), as in scikit-learn.
    n_repeats : int, default=5
        Repetitions for ``"stability"`` and ``"bootstrap"``, each of which clusters all
        data (twice) for each number.
    subsample : int, default=2000
        The silhouette, whose cost grows with the square, is that of so many random
        items; the same ones for each number.
    coordinates, runs : array-like, default=None
        As for the estimator. By default from the index of `features`.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same table each time.

    Returns
    -------
    DataFrame
        Indexed by `n_clusters`; a column per criterion, in the order of `criteria`, and
        ``stability_sd`` and ``bootstrap_sd``, standard deviations over the repeats,
        behind theirs. NaN where a criterion does not exist, such as the silhouette of a
        single cluster.

    Raises
    ------
    ValueError
        When an argument is not one of those allowed, or there are too few items.

    Notes
    -----
    Distances are those between the points that the estimator clusters: scaled features
    of pixels, joined with those of their neighbourhood (for shrunken centroids,
    averaged over it); or ion images, by the estimator's similarity.

    References
    ----------
    .. [1] Ben-Hur A., Elisseeff A., Guyon I. (2002). A stability based method for
       discovering structure in clustered data. Pacific Symposium on Biocomputing 7, 6.
    .. [2] Lange T. et al. (2004). Stability-based validation of clustering solutions.
       Neural Computation 16, 1299.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import choose_n_clusters
    >>> random = np.random.default_rng(0)
    >>> X = np.repeat(np.eye(3), 30, axis=0) @ np.tile(np.eye(3), 4) + 0.2
    >>> X = X * random.uniform(0.8, 1.2, X.shape)
    >>> table = choose_n_clusters(X, (2, 3, 4), random_state=0)
    >>> int(table["silhouette"].idxmax())
    3
    >>> table[["stability", "stability_sd"]].round(1)
                stability  stability_sd
    n_clusters
    2                 ...           ...
    3                 1.0           0.0
    4                 ...           ...
    """
    data = _checked(features, what, estimator, coordinates, runs)
    numbers = _numbers(n_clusters, data.n_items, what)
    _check_criteria(criteria)
    for name, value in (("n_repeats", n_repeats), ("subsample", subsample)):
        if not isinstance(value, Integral) or value < 2:
            message = f"choose_n_clusters: {name} must be 2 or more, got {value!r}."
            raise ValueError(message)
    random = check_random_state(random_state)
    seed = int(random.randint(2**31 - 1))
    few = random.permutation(data.n_items)[:subsample]
    draws = {
        "stability": [_halves(data, random) for _ in range(n_repeats)],
        "bootstrap": [[_bootstrap(data, random)] for _ in range(n_repeats)],
    }
    points: Any = None
    scores = None
    table = []
    for k in numbers:
        model = data.cluster(k, seed)
        labels = np.unique(to_numpy(model.labels_), return_inverse=True)[1]
        if points is None:
            points = data.points(model)
            if "bic" in criteria:
                scores = _principal(points, seed)
        row: dict[str, float] = {}
        for name in criteria:
            if name in draws:
                found = _agreement(data, k, seed, draws[name], labels)
                row[name], row[f"{name}_sd"] = found.mean(), found.std(ddof=1)
            elif name == "bic":
                row[name] = _bic(scores, labels)
            elif name == "inertia":
                row[name] = _inertia(points, labels)
            else:
                row[name] = _separation(name, points, labels, few)
        table.append(row)
    return pd.DataFrame(table, index=pd.Index(numbers, name="n_clusters"))


class _Data(NamedTuple):
    """What is clustered, and by which estimator."""

    values: np.ndarray
    pixels: Pixels | None
    estimator: Any
    what: str

    @property
    def n_items(self) -> int:
        return self.values.shape[0 if self.what == "pixels" else 1]

    def cluster(
        self, n_clusters: int, seed: int, part: np.ndarray | None = None
    ) -> Any:
        """Cluster; with a `part` of the ions, or of the pixels for images."""
        values, pixels = self.values, self.pixels
        if part is not None and self.what == "pixels":
            values = values[:, part]
        elif part is not None:
            values = values[part]
            if pixels is not None:
                pixels = Pixels(pixels.coordinates[part], pixels.runs[part])
        model = clone(self.estimator)
        model.set_params(n_clusters=n_clusters, random_state=seed)
        if pixels is None:
            return model.fit(values)
        return model.fit(values, coordinates=pixels.coordinates, runs=pixels.runs)

    def points(self, model: Any) -> np.ndarray:
        """Items as points between which the estimator measures distances."""
        if self.what == "pixels":
            pixels = self.pixels if model.spatial_radius else None
            points, weights = model._describe(self.values, pixels)
            return points if weights is None else weighted_mean(points, weights)
        # Any points with these inner products are as good as the images.
        values, vectors = np.linalg.eigh(model.similarity_.astype(np.float64))
        return vectors * np.sqrt(np.clip(values, 0, None))


def _checked(
    features: Any, what: str, estimator: Any, coordinates: Any, runs: Any
) -> _Data:
    kinds = {"pixels": InSituSegmenter, "images": ImageClusterer}
    if what not in kinds:
        message = f"choose_n_clusters: what must be 'pixels' or 'images', got {what!r}."
        raise ValueError(message)
    estimator = kinds[what]() if estimator is None else estimator
    if not isinstance(estimator, kinds[what]):
        message = (
            f"choose_n_clusters: with what={what!r}, estimator must be an "
            f"{kinds[what].__name__}, got {type(estimator).__name__}."
        )
        raise ValueError(message)
    values = to_numpy(features)
    if values.ndim != 2 or values.shape[1] < 2:
        message = (
            "choose_n_clusters: features must be 2-D with two columns or more, got "
            f"shape {values.shape}."
        )
        raise ValueError(message)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    pixels = known_coordinates(features, coordinates, runs)
    return _Data(values, pixels, estimator, what)


def _numbers(n_clusters: Iterable[int], n_items: int, what: str) -> list[int]:
    numbers = list(n_clusters)
    fit = all(isinstance(k, Integral) and 2 <= k < n_items for k in numbers)
    if not numbers or not fit or len(set(numbers)) < len(numbers):
        message = (
            "choose_n_clusters: n_clusters must be different integers from 2 to less "
            f"than the number of {what} ({n_items}), got {numbers}."
        )
        raise ValueError(message)
    return [int(k) for k in numbers]


def _check_criteria(criteria: Sequence[str]) -> None:
    allowed = (*CRITERIA, "bootstrap")
    if isinstance(criteria, str) or not criteria or not set(criteria) <= set(allowed):
        message = (
            f"choose_n_clusters: criteria must be a sequence of {', '.join(allowed)}; "
            f"got {criteria!r}."
        )
        raise ValueError(message)


def _units(data: _Data) -> np.ndarray:
    """What is drawn as one: ions, or blocks of pixels; code of each."""
    if data.what == "pixels":
        return np.arange(data.values.shape[1])
    if data.pixels is None:
        return np.arange(data.values.shape[0])
    x, y, z = data.pixels.coordinates.T
    blocks = np.stack([data.pixels.runs, z, y // BLOCK, x // BLOCK])
    codes = np.unique(blocks, axis=1, return_inverse=True)[1].ravel()
    return codes if codes.max() > 2 else np.arange(data.values.shape[0])


def _halves(data: _Data, random: np.random.RandomState) -> list[np.ndarray]:
    units = _units(data)
    order = random.permutation(int(units.max()) + 1)
    first = np.isin(units, order[: order.size // 2])
    return [np.flatnonzero(first), np.flatnonzero(~first)]


def _bootstrap(data: _Data, random: np.random.RandomState) -> np.ndarray:
    units = _units(data)
    n = int(units.max()) + 1
    times = np.bincount(random.randint(0, n, n), minlength=n)
    return np.repeat(np.arange(units.size), times[units])


def _agreement(
    data: _Data,
    k: int,
    seed: int,
    draws: list[list[np.ndarray]],
    labels: np.ndarray,
) -> np.ndarray:
    """Adjusted Rand index of the parts of each draw, or of one part and all."""
    found = []
    for parts in draws:
        fits = [to_numpy(data.cluster(k, seed, part).labels_) for part in parts]
        found.append(adjusted_rand_score(fits[0], fits[1] if fits[1:] else labels))
    return np.array(found)


def _principal(points: np.ndarray, seed: int) -> np.ndarray:
    n_components = min(N_COMPONENTS, *points.shape)
    scores = PCA(n_components, random_state=seed).fit_transform(points)
    return scores.astype(np.float64)


def _bic(scores: np.ndarray, labels: np.ndarray) -> float:
    with warnings.catch_warnings():
        # A likelihood that still grows a little decides on no number.
        warnings.simplefilter("ignore", ConvergenceWarning)
        n = int(labels.max()) + 1
        return float(mixture_from(scores, labels, n, "diag", 100, 1e-3).bic(scores))


def _inertia(points: np.ndarray, labels: np.ndarray) -> float:
    total = 0.0
    for k in range(int(labels.max()) + 1):
        own = points[labels == k].astype(np.float64)
        total += float(((own - own.mean(axis=0)) ** 2).sum())
    return total


def _separation(
    name: str, points: np.ndarray, labels: np.ndarray, few: np.ndarray
) -> float:
    measures: dict[str, Callable[..., float]] = {
        "silhouette": silhouette_score,
        "calinski_harabasz": calinski_harabasz_score,
        "davies_bouldin": davies_bouldin_score,
    }
    if name == "silhouette":
        points, labels = points[few], labels[few]
    if not 2 <= np.unique(labels).size < labels.size:
        return np.nan
    return float(measures[name](points, labels))
