"""How well segments agree with what is known, with and without neighbourhoods.

Run ``python benchmarks/accuracy/segment.py [BLADDER.npz [PICTURE.png]]``; it takes some
minutes. Simulated runs have six regions and the area off tissue, at a signal so low
that k-means of single pixels fails; 7 segments are asked for. The bladder is real: an
archive with the peaks of 34,840 pixels (``data``, ``indices`` and ``indptr`` of a
sparse matrix, ``shape``, ``mz``, ``x``, ``y``) and a published segmentation (``ssc``).
It is segmented without three ions that mark layers of the tissue, and the segments are
asked how well they predict these ions on the tissue (AUC of the best segment; the ion
averaged over 3 × 3 pixels, since single pixels are shot noise). Dice is that of the
urothelium, class 6 of the published segmentation.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from _tables import Table, show
from scipy import sparse
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from imsminer import ImzMLReader, InSituSegmenter, PeakIntegrator
from imsminer.core.grid import coordinates_of, neighbor_matrix
from imsminer.datasets import make_ims

SEEDS = (0, 1, 2, 3, 4, 5)
HEIGHT = 0.35
MARKERS = (743.547, 826.575, 827.577)
#: Classes of the published segmentation that lie off the tissue, and the urothelium.
OFF_TISSUE, UROTHELIUM = (3, 4), 6

SSC = {"method": "shrunken_centroids"}
ADAPTIVE = {"weights": "adaptive"}
METHODS = {
    "k-means": {},
    "k-means, correlation": {"metric": "correlation"},
    "k-means, r = 1": {"spatial_radius": 1},
    "k-means, r = 2": {"spatial_radius": 2},
    "k-means, r = 2, equal shares": {"spatial_radius": 2, "neighbor_share": 0.5},
    "k-means, r = 2, adaptive": {"spatial_radius": 2, **ADAPTIVE},
    "shrunken centroids": SSC,
    "shrunken centroids, r = 1": {"spatial_radius": 1, **SSC},
    "shrunken centroids, r = 2": {"spatial_radius": 2, **SSC},
    "shrunken centroids, r = 2, adaptive": {"spatial_radius": 2, **SSC, **ADAPTIVE},
}
#: A mixture takes minutes with the bladder's pixels, so only simulated runs have it.
MIXTURES = {
    "mixture": {"method": "gmm"},
    "mixture, r = 2": {"method": "gmm", "spatial_radius": 2},
}


def simulated(seed: int, height: float = HEIGHT) -> tuple[pd.DataFrame, np.ndarray]:
    """Features of 60 ions in 60 × 60 pixels, and the true regions."""
    with tempfile.TemporaryDirectory() as folder:
        truth = make_ims(
            f"{folder}/run.imzML",
            shape=(60, 60),
            n_regions=6,
            n_peaks=60,
            isotopes=False,
            mz_range=(700, 800),
            resolving_power=10_000,
            points_per_fwhm=4,
            height=height,
            random_state=seed,
        )
        peaks = truth.peaks.sort_values("mz")[["mz", "fwhm"]]
        peaks["left"] = peaks["mz"] - peaks["fwhm"]
        peaks["right"] = peaks["mz"] + peaks["fwhm"]
        X = PeakIntegrator(peaks=peaks).fit_transform(ImzMLReader(truth.path))
    return X, truth.labels


def regions() -> Table:
    runs = [simulated(seed) for seed in SEEDS]
    table = Table(
        "Adjusted Rand index with the true regions, six simulated runs",
        ["method", "median", *(f"run {seed}" for seed in SEEDS)],
    )
    for name, settings in (METHODS | MIXTURES).items():
        found = [
            adjusted_rand_score(
                truth, InSituSegmenter(7, random_state=0, **settings).fit_predict(X)
            )
            for X, truth in runs
        ]
        table.add(name, f"{np.median(found):.2f}", *(f"{ari:.2f}" for ari in found))
    return table


class Bladder:
    """The features without the markers, and what the segments are asked."""

    def __init__(self, path: str) -> None:
        with np.load(path) as data:
            matrix = (data["data"], data["indices"], data["indptr"])
            values = sparse.csr_array(matrix, shape=data["shape"]).toarray()
            mz, self.published = data["mz"], data["ssc"]
            self.xy = np.stack([data["x"], data["y"]], axis=1)
        columns = [int(np.abs(mz - marker).argmin()) for marker in MARKERS]
        self.X = np.delete(values, columns, axis=1)
        self.tissue = ~np.isin(self.published, OFF_TISSUE)
        pixels = coordinates_of(values, self.xy, estimator="bladder")
        around = neighbor_matrix(pixels).astype(np.float64)
        marker = values[:, columns[:2]]
        count = np.asarray(around.sum(axis=1)).reshape(-1, 1) + 1
        self.marker = (around @ marker + marker) / count

    def row(self, labels: np.ndarray) -> list[str]:
        aucs = [
            max(
                roc_auc_score((labels == k)[self.tissue], ion[self.tissue])
                for k in np.unique(labels[self.tissue])
            )
            for ion in self.marker.T
        ]
        wall = self.published == UROTHELIUM
        dice = max(
            2 * np.sum((labels == k) & wall) / (np.sum(labels == k) + wall.sum())
            for k in np.unique(labels)
        )
        ari = adjusted_rand_score(self.published, labels)
        return [f"{aucs[1]:.3f}", f"{aucs[0]:.3f}", f"{dice:.3f}", f"{ari:.2f}"]


def bladder(path: str, picture: str | None) -> list[Table]:
    data = Bladder(path)
    tables, drawn = [], {}
    for k in (6, 10):
        table = Table(
            f"Mouse bladder, {k} segments",
            ["method", "AUC 826.575", "AUC 743.547", "Dice", "ARI"],
        )
        for name, settings in METHODS.items():
            model = InSituSegmenter(k, random_state=0, **settings)
            labels = model.fit_predict(data.X, coordinates=data.xy)
            table.add(name, *data.row(labels))
            drawn[f"{name}, k = {k}"] = labels
        tables.append(table)
    if picture is not None:
        draw(data, drawn, Path(picture))
    return tables


def draw(data: Bladder, drawn: dict[str, np.ndarray], path: Path) -> None:
    """The published segmentation beside some of ours."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from imsminer import plots

    chosen = [
        f"{name}, k = {k}"
        for k in (6, 10)
        for name in ("k-means", "k-means, r = 1", "shrunken centroids, r = 1")
    ]
    shown = {"published": data.published} | {name: drawn[name] for name in chosen}
    figure, axes = plt.subplots(4, 2, figsize=(13, 15), layout="constrained")
    for ax, (name, labels) in zip(axes.ravel(), shown.items(), strict=False):
        plots.segmentation(labels, data.xy, ax=ax, title=name)
    plots.ion_image(data.marker[:, 0], data.xy, ax=axes[3, 1], title="743.547, 3 × 3")
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--rst"]
    found = [regions()]
    if given:
        found += bladder(given[0], given[1] if given[1:] else None)
    show(found)
