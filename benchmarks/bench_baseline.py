"""Ratios of the baseline and smoothing kernels to NumPy, SciPy and pybaselines.

Run ``python benchmarks/bench_baseline.py``; it takes a minute. Spectra of 90,000
float32 points, half window 40.
"""

import numpy as np
from _timing import interleave
from pybaselines import Baseline
from scipy.ndimage import grey_opening, median_filter
from scipy.signal import savgol_coeffs, savgol_filter

from imsminer import BaselineSubtractor
from imsminer.spectra._kernels import smooth_numba, snip_numba, tophat_numba
from imsminer.spectra.smooth import SpectrumSmoother

N_ROWS, N_COLUMNS, HALF_WINDOW = 16, 90_000, 40


def profiles() -> np.ndarray:
    """Simulated spectra with a baseline and noise."""
    rng = np.random.default_rng(0)
    x = np.arange(N_COLUMNS)
    y = 300 * np.exp(-x / 20_000) + 40
    for centre in rng.uniform(100, N_COLUMNS - 100, 500):
        near = slice(int(centre) - 40, int(centre) + 41)
        y[near] += rng.lognormal(5, 1) * np.exp(-0.5 * ((x[near] - centre) / 6) ** 2)
    return rng.poisson(y, (N_ROWS, N_COLUMNS)).astype(np.float32)


def numpy_snip(X: np.ndarray) -> np.ndarray:
    """SNIP of whole rows, one vectorised minimum a pass."""
    one = X.dtype.type(1)
    half = X.dtype.type(0.5)
    v = np.log(np.log(np.sqrt(X + one) + one) + one)
    for p in range(HALF_WINDOW, 0, -1):
        mean = half * (v[:, : -2 * p] + v[:, 2 * p :])
        v[:, p:-p] = np.minimum(v[:, p:-p], mean)
    return np.maximum(X - ((np.exp(np.exp(v) - one) - one) ** 2 - one), 0)


def ours(X: np.ndarray, **parameters):
    """Return a call that subtracts baselines."""
    subtractor = BaselineSubtractor(**{"half_window": HALF_WINDOW, **parameters}).fit(X)
    return lambda: subtractor.transform(X)


def main() -> None:
    X = profiles()
    one = X[:1]
    fitter = Baseline(np.arange(N_COLUMNS))
    double = one[0].astype(np.float64)
    window = 2 * HALF_WINDOW + 1
    reach, out = np.full(N_COLUMNS, HALF_WINDOW), np.empty_like(one)
    kind, halves = np.zeros(N_COLUMNS, np.int64), np.array([5])
    weights = savgol_coeffs(11, 2, use="dot")[None]
    smoother = SpectrumSmoother(width=11).fit(X)
    s = interleave(
        {
            "snip kernel": lambda: snip_numba.snip_rows(one, reach, out),
            "tophat kernel": lambda: tophat_numba.open_rows(one, reach, out),
            "savgol kernel": lambda: smooth_numba.smooth_rows(
                one, kind, weights, halves, out
            ),
            "snip": ours(one, level="lower"),
            "snip linear": ours(one, level="lower", scale="linear"),
            "snip middle": ours(one),
            "snip numpy": lambda: numpy_snip(one),
            "snip pybaselines": lambda: fitter.snip(double, HALF_WINDOW),
            "tophat": ours(one, method="tophat", level="lower"),
            "tophat scipy": lambda: np.maximum(one - grey_opening(one, (1, window)), 0),
            "median": ours(one, method="median"),
            "median scipy": lambda: median_filter(one, (1, window)),
            "savgol": lambda: smoother.transform(one),
            "savgol scipy": lambda: savgol_filter(one, 11, 2, mode="nearest"),
            "arpls pybaselines": lambda: fitter.arpls(double, max_iter=5),
            "16 snip": ours(X, level="lower"),
            "16 snip, 2 threads": ours(X, level="lower", n_jobs=2),
            "16 middle": ours(X),
            "16 middle, 2 threads": ours(X, n_jobs=2),
            "16 tophat": ours(X, method="tophat", level="lower"),
            "16 tophat, 2 threads": ours(X, method="tophat", level="lower", n_jobs=2),
        },
        repeats=15,
    )
    lines = {
        "SNIP kernel against NumPy (>= 3)": ("snip numpy", "snip kernel"),
        "SNIP kernel against pybaselines (>= 15)": ("snip pybaselines", "snip kernel"),
        "top-hat kernel against SciPy (>= 1.5)": ("tophat scipy", "tophat kernel"),
        "Savitzky–Golay kernel against SciPy": ("savgol scipy", "savgol kernel"),
        "SNIP, one array of one row, against NumPy": ("snip numpy", "snip"),
        "the same, against pybaselines": ("snip pybaselines", "snip"),
        "SNIP, linear, against pybaselines": ("snip pybaselines", "snip linear"),
        "SNIP to mid-noise against NumPy's SNIP": ("snip numpy", "snip middle"),
        "SNIP to mid-noise against pybaselines": ("snip pybaselines", "snip middle"),
        "top-hat, one row, against SciPy": ("tophat scipy", "tophat"),
        "median against SciPy": ("median scipy", "median"),
        "Savitzky–Golay, one row, against SciPy": ("savgol scipy", "savgol"),
        "SNIP, two threads (>= 1.5)": ("16 snip", "16 snip, 2 threads"),
        "SNIP to mid-noise, two threads": ("16 middle", "16 middle, 2 threads"),
        "top-hat, two threads": ("16 tophat", "16 tophat, 2 threads"),
    }
    for line, (rival, own) in lines.items():
        print(f"{line:42} {s[rival] / s[own]:7.2f}   {1 / s[own]:8.0f} calls/s")


if __name__ == "__main__":
    main()
