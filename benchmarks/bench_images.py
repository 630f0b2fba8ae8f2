"""Clusters of ion images, colocalization and smoothing, against rivals in one process.

Run ``python benchmarks/bench_images.py [--pixels 34840] [--repeats 3]``; it needs no
data. The images are noisy ones of seven overlapping regions, 152 of them, float32.
Ratios of medians, each the rival's time over ours.
"""

import argparse
import tracemalloc

import numpy as np
from _timing import interleave
from scipy import ndimage
from skimage.restoration import denoise_tv_chambolle
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from imsminer.images.cluster import ImageClusterer
from imsminer.images.colocalize import colocalization_matrix
from imsminer.images.process import ImageSmoother

N_CLUSTERS = 7


def simulate(n_pixels: int, n_ions: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of discs, with noise and drop-out, and the coordinates."""
    random = np.random.default_rng(0)
    width = 130
    y, x = np.divmod(np.arange(n_pixels), width)
    height = y.max() + 1
    discs = []
    for _ in range(N_CLUSTERS):
        cx, cy = random.uniform(0, width), random.uniform(0, height)
        discs.append((x - cx) ** 2 + (y - cy) ** 2 < (0.3 * width) ** 2)
    shape = 0.05 + np.stack(discs, axis=1)[:, np.arange(n_ions) % N_CLUSTERS]
    X = shape * random.gamma(2.0, 1.0, (n_pixels, n_ions))
    X *= (random.random(X.shape) < 0.7) * 10.0 ** random.uniform(0, 4, n_ions)
    return X.astype(np.float32), np.stack([x, y], axis=1)


def thresholded(X: np.ndarray) -> np.ndarray:
    """What the thresholded cosine compares, one unit image a row, in plain NumPy."""
    images = np.where(X < np.median(X, axis=0), 0, X).T
    return images / np.linalg.norm(images, axis=1, keepdims=True)


def cosine_rows(X: np.ndarray) -> np.ndarray:
    return (X / np.linalg.norm(X, axis=0)).T


def cluster(X: np.ndarray, repeats: int) -> None:
    settings = {"n_init": 10, "random_state": 0}
    for similarity, rows in (
        ("cosine", cosine_rows),
        ("thresholded_cosine", thresholded),
    ):
        ours = ImageClusterer(
            N_CLUSTERS, similarity=similarity, median_filter=0, **settings
        )
        rival = KMeans(N_CLUSTERS, tol=0, **settings)
        seconds = interleave(
            {
                "ours": lambda ours=ours: ours.fit(X),
                "rows": lambda rival=rival, rows=rows: rival.fit(rows(X)),
            },
            repeats,
        )
        same = adjusted_rand_score(ours.labels_, rival.labels_)
        print(
            f"  {similarity:20} {seconds['rows'] / seconds['ours']:6.1f} × as fast as "
            f"k-means on rows of {X.shape[0]} pixels; ARI of the labels {same:.3f}"
        )


def colocalize(n_pixels: int) -> None:
    X, where = simulate(n_pixels, 500)
    colocalization_matrix(X[:200, :2], coordinates=where[:200])
    for method in ("thresholded_cosine", "cosine", "pearson", "spearman"):
        tracemalloc.start()
        colocalization_matrix(X, method, coordinates=where)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(
            f"  {method:20} 500 ions × {n_pixels} pixels: peak {peak / 2**20:.0f} MiB "
            f"beside the {X.nbytes / 2**20:.0f} MiB of the features"
        )


def smooth(X: np.ndarray, where: np.ndarray, repeats: int) -> None:
    """On full rectangles, which is all that the rivals know."""
    n_rows = X.shape[0] // 130
    X, where = X[: n_rows * 130, :20], where[: n_rows * 130]
    images = np.ascontiguousarray(X.T).reshape(-1, n_rows, 130)
    scaled = images / images.max(axis=(1, 2), keepdims=True)
    rivals = {
        "median": lambda: [ndimage.median_filter(i, 3) for i in images],
        "gaussian": lambda: [
            ndimage.gaussian_filter(i, 0.75, radius=1) for i in images
        ],
        "tv": lambda: [denoise_tv_chambolle(i, 0.1) for i in scaled],
    }
    for method, rival in rivals.items():
        model = ImageSmoother(method)
        seconds = interleave(
            {
                "ours": lambda m=model: m.fit_transform(X, coordinates=where),
                "rival": rival,
            },
            repeats,
        )
        print(
            f"  {method:20} {seconds['rival'] / seconds['ours']:6.2f} × as fast as "
            f"{'scikit-image' if method == 'tv' else 'SciPy'}, which know no mask"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=int, default=34_840)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    X, where = simulate(options.pixels, 152)
    print(f"clusters of {X.shape[1]} images, k = {N_CLUSTERS}, n_init = 10")
    cluster(X, options.repeats)
    print("colocalization")
    colocalize(options.pixels)
    print("smoothing 20 images")
    smooth(X, where, options.repeats)


if __name__ == "__main__":
    main()
