"""Segmentation against scikit-learn's KMeans, in one process.

Run ``python benchmarks/bench_segment.py``; it takes some minutes. The features are as
many as in a common run: 34,840 pixels (a rectangle of 134 × 260) by 152 ions, float32.
"""

import numpy as np
import pandas as pd
from _timing import interleave
from sklearn.cluster import KMeans

from imsminer import InSituSegmenter
from imsminer.images.markers import segment_markers

HEIGHT, WIDTH, N_IONS = 134, 260, 152


def features(seed: int = 0) -> pd.DataFrame:
    """Noisy layers and blobs with profiles of their own."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH].reshape(2, -1)
    layer = np.hypot((x - 130) / 130, (y - 67) / 67) // 0.25
    region = (layer + 5 * ((x // 26 + y // 26) % 7 == 0)).astype(int)
    profiles = random.gamma(0.7, 1, (region.max() + 1, N_IONS))
    mean = profiles[region] * random.gamma(2, 2, N_IONS)
    X = mean * random.gamma(2, 0.5, mean.shape)
    index = pd.MultiIndex.from_arrays([0 * x, x, y], names=["run", "x", "y"])
    columns = [f"mz_{500 + i}.1234" for i in range(N_IONS)]
    return pd.DataFrame(X.astype(np.float32), index=index, columns=columns)


def main() -> None:
    X = features()
    scaled = X.to_numpy() / X.to_numpy().max(axis=0)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    settings = {"n_init": 10, "random_state": 0}
    ours = InSituSegmenter(7, **settings)
    shrunken = {"method": "shrunken_centroids", "spatial_radius": 1}
    labels = ours.fit_predict(X)
    rival = KMeans(7, **settings).fit(scaled)
    assert ours.n_iter_ == rival.n_iter_
    seconds = interleave(
        {
            "k-means": lambda: InSituSegmenter(7, **settings).fit(X),
            "scikit-learn": lambda: KMeans(7, **settings).fit(scaled),
            "spatial": lambda: InSituSegmenter(7, spatial_radius=1, **settings).fit(X),
            "shrunken": lambda: InSituSegmenter(6, **shrunken, **settings).fit(X),
            "adaptive": lambda: InSituSegmenter(
                6, weights="adaptive", **shrunken, **settings
            ).fit(X),
            "markers": lambda: segment_markers(X, labels),
        },
        repeats=3,
    )
    print(f"scikit-learn's KMeans: {seconds['scikit-learn']:.2f} s")
    for name, rival_name, wanted in (
        ("k-means", "scikit-learn", "<= 1.05"),
        ("spatial", "k-means", "-"),
        ("shrunken", "k-means", "<= 10"),
        ("adaptive", "k-means", "<= 10"),
        ("markers", "k-means", "-"),
    ):
        ratio = seconds[name] / seconds[rival_name]
        print(f"{name}: {ratio:.2f} × the time of {rival_name} (wanted: {wanted})")


if __name__ == "__main__":
    main()
