"""Errors of every baseline method on simulated spectra whose baseline is known.

    python benchmarks/accuracy/baseline.py [--rst]

It takes a minute. *Arrays*: 8 spectra of 10,000 points, 60 Gaussian peaks (full width
9.4 points), and a baseline that falls exponentially and has a hump. *Files* are those
of `make_ims`: 16 pixels of a time-of-flight analyser, 60 ions (full width 6 points) and
a baseline that falls exponentially from 300 counts. Noise is that of counting
(Poisson), or normal with a standard deviation.

"RMS" is the root mean square of result − peaks over all points, divided by that of the
default SNIP of pybaselines with the same window; "area" is the median relative error of
the peaks' areas (± 14 points). Every result is cut off at 0. "The true baseline" shows
what noise alone leaves.
"""

import tempfile
import warnings
from pathlib import Path

import numpy as np
from _rivals import Missing, openms_tophat, optional, original, snip
from _tables import Table, show

from imsminer import BaselineSubtractor, ImzMLReader
from imsminer.datasets import make_ims

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
}
REFERENCE = "pybaselines snip, default"


class Case:
    """Spectra on one axis, what their peaks alone are, and where these lie."""

    def __init__(self, mz, X, signals, base, at, path=None) -> None:
        self.mz, self.X, self.signals, self.base = mz, X, signals, base
        self.at, self.path = at, path


def array(noise: str, seed: int = 0) -> Case:
    """Simulate spectra with a hump in the baseline."""
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
        X = rng.poisson(clean).astype(float)
    else:
        X = clean + rng.normal(0, float(noise), clean.shape)
    return Case(x.astype(float), X, signals, base, at)


def file(folder: Path, noise: str) -> Case:
    """Simulate a run, and the same without noise and baseline."""
    counts = noise == "Poisson"
    common = {
        "shape": (4, 4),
        "n_peaks": N_PEAKS,
        "mz_range": (500.0, 600.0),
        "resolving_power": 10_000.0,
        "isotopes": False,
        "height": 250.0,
        "height_spread": 1.2,
        "mode": "continuous",
    }
    truth = make_ims(
        folder / f"{noise}.imzML",
        baseline=300.0,
        chemical_noise=0.0,
        shot_noise=1.0 if counts else 0.0,
        noise=0.0 if counts else float(noise),
        **common,
    )
    bare = make_ims(folder / f"{noise}-bare.imzML", noise_free=True, **common)
    X, signals = (
        np.stack([y.astype(float) for _, y in ImzMLReader(run.path)])
        for run in (truth, bare)
    )
    places = np.searchsorted(truth.axis, truth.peaks["mz"])
    heights = truth.heights
    at = [places[row > 0.1 * row.max()] for row in heights]
    base = truth.noise.base(truth.axis)
    return Case(truth.axis, X, signals, base, at, truth.path)


def ours(case: Case, **parameters):
    """Subtract as this package does."""
    return BaselineSubtractor(**{"half_window": 40, **parameters}).fit_transform(case.X)


def arpls(case: Case):
    fitter = optional("pybaselines").Baseline(case.mz)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = np.array([fitter.arpls(y, lam=1e6)[0] for y in case.X])
    return case.X - base


def tophat(case: Case):
    # Its window has a width in m/z; it counts as many points of the mean spacing.
    spacing = (case.mz[-1] - case.mz[0]) / (case.mz.size - 1)
    return openms_tophat(case.mz, case.X, (2 * HALF_WINDOW + 1) * spacing)


def imsminer_1(case: Case, method: str):
    found = original("baseline", path=str(case.path), method=method, degree=5)
    base = np.interp(case.mz, found["mz"], found["baseline"])
    return case.X - base


RIVALS = {
    "the true baseline": lambda case: case.X - case.base,
    REFERENCE: lambda case: snip(case.X, HALF_WINDOW),
    "pybaselines snip, decreasing, smoothed": lambda case: snip(
        case.X, HALF_WINDOW, decreasing=True, smooth_half_window=4
    ),
    "pybaselines arpls, lam=1e6": arpls,
    "OpenMS MorphologicalFilter, tophat": tophat,
}
FILE_RIVALS = {
    "iMSminer 1.1.1, regression": lambda case: imsminer_1(case, "regression"),
    "iMSminer 1.1.1, noise": lambda case: imsminer_1(case, "noise"),
}


def score(result, case: Case) -> tuple[float, float]:
    """Return RMS error and median relative error of areas."""
    result = np.maximum(result, 0)
    errors = []
    for row, signal, centres in zip(result, case.signals, case.at, strict=True):
        for centre in centres:
            window = slice(max(centre - REACH, 0), centre + REACH + 1)
            errors.append(row[window].sum() / signal[window].sum() - 1)
    rms = float(np.sqrt(np.mean((result - case.signals) ** 2)))
    return rms, float(np.median(errors))


def table(title: str, cases: dict[str, Case]) -> Table:
    """Score all methods on some cases."""
    columns = [f"{name}, {what}" for name in cases for what in ("RMS", "area")]
    result = Table(title, ["method", *columns])
    against = {name: score(RIVALS[REFERENCE](case), case)[0]
               for name, case in cases.items()}  # fmt: skip
    files = all(case.path is not None for case in cases.values())
    tools = RIVALS | (FILE_RIVALS if files else {})
    for name, parameters in METHODS.items():
        tools[f"imsminer {name}"] = lambda case, p=parameters: ours(case, **p)
    for name, tool in tools.items():
        cells = []
        try:
            for label, case in cases.items():
                rms, area = score(tool(case), case)
                cells += [f"{rms / against[label]:.2f}", f"{area:+.1%}"]
        except Missing as reason:
            result.skip(name, reason)
        else:
            result.add(name, *cells)
    return result


def main() -> None:
    """Print the tables."""
    noises = {"Poisson": "counts", "5": "sd 5", "20": "sd 20"}
    arrays = {label: array(noise) for noise, label in noises.items()}
    arrays["none"] = array("0")
    with tempfile.TemporaryDirectory() as name:
        files = {label: file(Path(name), noise) for noise, label in noises.items()}
        show(
            [
                table("Baselines with a hump (arrays), by noise", arrays),
                table("Baselines that fall (files), by noise", files),
            ]
        )


if __name__ == "__main__":
    main()
