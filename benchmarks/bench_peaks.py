"""Centroiding and grouping of peaks, against SciPy and NumPy.

python benchmarks/bench_peaks.py
"""

import numpy as np
from _timing import interleave
from scipy.signal import find_peaks

from imsminer import Spectra
from imsminer.spectra._grouping import group_peaks
from imsminer.spectra.centroid import CentroidSpectra

N_POINTS, N_SPECTRA = 50_000, 16
N_PIXELS, N_IONS = 4_000, 500


def profiles() -> np.ndarray:
    """Spectra of 300 Gaussians on the noise of a detector."""
    rng = np.random.default_rng(0)
    X = 3 * np.abs(rng.normal(size=(N_SPECTRA, N_POINTS)))
    x = np.arange(N_POINTS)
    for center in rng.uniform(0, N_POINTS, 300):
        near = slice(max(int(center) - 20, 0), int(center) + 21)
        shape = np.exp(-0.5 * ((x[near] - center) / 2.5) ** 2)
        X[:, near] += rng.gamma(1, 100, (N_SPECTRA, 1)) * shape
    return X.astype(np.float32)


def centroiding() -> None:
    """Compare picking with level, noise, m/z and height to maxima alone."""
    X = profiles()
    spectra = Spectra.from_arrays(X, np.linspace(400, 1000, N_POINTS))
    picked = CentroidSpectra().fit_transform(spectra)

    def ours() -> int:
        return sum(chunk.mz.size for chunk in picked.iter_chunks())

    def scipy() -> None:
        for y in X:
            level = np.median(y)
            noise = 1.4826 * np.median(np.abs(y - level))
            find_peaks(y, height=level + 3 * noise, distance=6)

    def maxima() -> None:
        for y in X:
            find_peaks(y, height=12.0, distance=6)

    seconds = interleave({"ours": ours, "scipy": scipy, "maxima": maxima}, 7)
    for name in ("scipy", "maxima"):
        ratio = seconds[name] / seconds["ours"]
        print(f"centroiding {N_POINTS:,} points, against {name}: {ratio:.2f} x")


def grouping() -> None:
    """Compare grouping to sorting, without which there are no groups."""
    rng = np.random.default_rng(0)
    ions = np.sort(rng.uniform(400, 1000, N_IONS))
    mz = (ions * (1 + 2e-6 * rng.normal(size=(N_PIXELS, N_IONS)))).ravel()
    pixel = np.repeat(np.arange(N_PIXELS), N_IONS)
    calls = {
        "ours": lambda: group_peaks(mz, pixel, 15.0),
        "sort": lambda: np.lexsort((pixel, mz)),
    }
    seconds = interleave(calls, 3)
    print(
        f"grouping {mz.size:,} peaks, in units of sorting them: "
        f"{seconds['ours'] / seconds['sort']:.2f} ({seconds['ours']:.2f} s)"
    )


if __name__ == "__main__":
    centroiding()
    grouping()
