"""t-SNE of the pixels of a run against scikit-learn's.

Run ``python benchmarks/bench_tsne.py FEATURES.npz [PIXELS]``, where the file holds
``data``, ``indices``, ``indptr`` and ``shape`` of a sparse table of features, pixels by
peaks; without one, features are simulated. Both rivals get one thread, the same table
and their own defaults (750 and 1,000 iterations), and run once, in turn: minutes each.
On a busy machine CPU time is the fairer measure, since rivals may get unequal shares.

Printed are scikit-learn's time over ours, in CPU time and by the clock, also for equal
numbers of iterations; and the quality of both: the exact Kullback-Leibler divergence
from the neighbourhoods of the features, for one and the same set of these, and
scikit-learn's trustworthiness on a subsample.
"""

import sys
import time

import numpy as np
from numba import njit
from scipy import sparse
from sklearn.manifold import TSNE, trustworthiness
from threadpoolctl import threadpool_limits

from imsminer.images.embed import TSNEEmbedder

PERPLEXITY = 30


def features(path, n_pixels):
    """Scaled as for segmentation: by the maximum of each ion, then the pixel's norm."""
    if path is None:
        rng = np.random.default_rng(0)
        X = rng.gamma(2.0, rng.gamma(1.0, 1.0, (12, 79))[rng.integers(0, 12, n_pixels)])
    else:
        with np.load(path) as file:
            parts = file["data"], file["indices"], file["indptr"]
            X = sparse.csr_array(parts, shape=file["shape"]).toarray()
        chosen = np.random.default_rng(0).permutation(len(X))[:n_pixels]
        X = X[np.sort(chosen)].astype(np.float64)
    X /= X.max(axis=0)
    norm = np.linalg.norm(X, axis=1, keepdims=True)
    return np.divide(X, norm, out=X, where=norm > 0)


@njit(cache=True)
def log_normaliser(embedding):
    """Logarithm of the sum of 1 / (1 + d²) over all ordered pairs."""
    total = 0.0
    for i in range(len(embedding)):
        for j in range(i):
            d = 0.0
            for k in range(embedding.shape[1]):
                d += (embedding[i, k] - embedding[j, k]) ** 2
            total += 2 / (1 + d)
    return np.log(total)


def divergence(P, embedding):
    """Kullback-Leibler divergence of an embedding from the similarities `P`."""
    embedding = np.asarray(embedding, dtype=np.float64)
    difference = embedding[P.row] - embedding[P.col]
    log_q = -np.log1p((difference**2).sum(axis=1)) - log_normaliser(embedding)
    return float((P.data * (np.log(P.data) - log_q)).sum())


def similarities(X):
    """Symmetric similarities of all features, without PCA, as t-SNE defines them."""
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=3 * PERPLEXITY, algorithm="brute").fit(X)
    distances, neighbors = found.kneighbors()
    index = PrecomputedNeighbors(neighbors, distances)
    P = PerplexityBasedNN(perplexity=PERPLEXITY, knn_index=index).P.tocoo()
    kept = P.data > 0
    return sparse.coo_array((P.data[kept], (P.row[kept], P.col[kept])), shape=P.shape)


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else None
    X = features(path, int(sys.argv[2]) if len(sys.argv) > 2 else 35_000)
    print(f"{X.shape[0]} pixels × {X.shape[1]} peaks, one thread each", flush=True)
    ours = TSNEEmbedder(perplexity=PERPLEXITY, random_state=0, n_jobs=1)
    theirs = TSNE(perplexity=PERPLEXITY, random_state=0, n_jobs=1)
    sample = np.random.default_rng(1).permutation(len(X))[:3000]
    with threadpool_limits(limits=1):
        P = similarities(X)
    cpu, clock = [], []
    for name, rival in [("imsminer", ours), ("scikit-learn", theirs)]:
        with threadpool_limits(limits=1):
            start = time.process_time(), time.perf_counter()
            embedding = rival.fit_transform(X)
            cpu.append(time.process_time() - start[0])
            clock.append(time.perf_counter() - start[1])
        trust = trustworthiness(X[sample], embedding[sample], n_neighbors=15)
        print(
            f"{name:13} {cpu[-1]:7.0f} s CPU {clock[-1]:7.0f} s   "
            f"divergence {divergence(P, embedding):.3f}   trustworthiness {trust:.4f}",
            flush=True,
        )
    equal = ours.max_iter / theirs.max_iter
    for kind, (a, b) in {"CPU time": cpu, "by the clock": clock}.items():
        print(f"{kind}: {b / a:.1f} ×; iteration by iteration {equal * b / a:.1f} ×")


if __name__ == "__main__":
    main()
