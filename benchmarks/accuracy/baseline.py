"""Errors of every baseline method on simulated spectra whose baseline is known.

Run ``python benchmarks/accuracy/baseline.py``; it takes half a minute. Each spectrum
has 10,000 points, 60 Gaussian peaks (full width 9.4 points) and a baseline that falls
exponentially and has a hump. The columns are the root mean square of result − peaks
over all points, the same relative to the default SNIP of pybaselines with the same
window, the median and the total error of peak areas (± 14 points), and the share of
negative values.
"""

import warnings

import numpy as np
from pybaselines import Baseline

from imsminer import BaselineSubtractor

N_SPECTRA, N_POINTS, N_PEAKS, SD, HALF_WINDOW = 8, 10_000, 60, 4.0, 40
REACH = 14
METHODS = {
    "snip": {},
    "snip, level='lower'": {"level": "lower"},
    "snip, linear": {"scale": "linear"},
    "tophat": {"method": "tophat"},
    "tophat, level='lower'": {"method": "tophat", "level": "lower"},
    "local_minima": {"method": "local_minima"},
    "median": {"method": "median", "half_window": 4 * HALF_WINDOW},
    "polynomial, degree 5": {"method": "polynomial", "degree": 5},
    "noise, factor 3": {"method": "noise"},
    "pybaselines:arpls": {"method": "pybaselines:arpls", "options": {"lam": 1e6}},
}


def simulate(noise: str, seed: int = 0):
    """Return spectra, what their peaks alone are, and where these lie."""
    rng = np.random.default_rng(seed)
    x = np.arange(N_POINTS)
    base = 300 * np.exp(-x / 2500) + 40 + 30 * np.exp(-0.5 * ((x - 6000) / 1500) ** 2)
    signals, at = [], []
    for _ in range(N_SPECTRA):
        slots = rng.choice(np.arange(60, N_POINTS - 60, 60), N_PEAKS, replace=False)
        centres = np.sort(slots + rng.uniform(-10, 10, N_PEAKS))
        heights = rng.lognormal(5.5, 1.2, N_PEAKS)
        shapes = np.exp(-0.5 * ((x - centres[:, None]) / SD) ** 2)
        signals.append(heights @ shapes)
        at.append(centres.astype(int))
    signals = np.array(signals)
    clean = signals + base
    if noise == "Poisson":
        return rng.poisson(clean).astype(float), signals, at
    return clean + rng.normal(0, float(noise), clean.shape), signals, at


def score(result, signals, at) -> tuple[float, float, float, float]:
    """Return RMS error, median and total relative error of areas, share below 0."""
    errors, found, true = [], 0.0, 0.0
    for row, signal, centres in zip(result, signals, at, strict=True):
        for centre in centres:
            window = slice(centre - REACH, centre + REACH + 1)
            area, wanted = row[window].sum(), signal[window].sum()
            errors.append((area - wanted) / wanted)
            found, true = found + area, true + wanted
    rms = float(np.sqrt(np.mean((result - signals) ** 2)))
    return rms, float(np.median(errors)), found / true - 1, float((result < 0).mean())


def rival(X):
    """Subtract the default SNIP of pybaselines."""
    fitter = Baseline(np.arange(X.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = np.array([fitter.snip(y, HALF_WINDOW)[0] for y in X])
    return np.maximum(X - base, 0)


def main() -> None:
    for noise in ("Poisson", "5", "20", "0"):
        X, signals, at = simulate(noise)
        named = noise if noise == "Poisson" else f"normal, sd {noise}"
        print(f"\nnoise: {named}")
        print(f"{'method':26}{'RMS':>9}{'ratio':>8}{'median':>9}{'total':>9}{'< 0':>6}")
        against = score(rival(X), signals, at)
        rows = {"pybaselines snip, default": against}
        for name, parameters in METHODS.items():
            subtractor = BaselineSubtractor(**{"half_window": 40, **parameters})
            rows[name] = score(subtractor.fit_transform(X), signals, at)
        for name, (rms, median, total, negative) in rows.items():
            ratio = rms / against[0]
            print(
                f"{name:26}{rms:9.3f}{ratio:8.2f}{median:+9.2%}{total:+9.2%}"
                f"{negative:6.1%}"
            )


if __name__ == "__main__":
    main()
