"""Peaks whose mass error is known, one line per pixel."""

import numpy as np

from imsminer import Spectra

R = 20_000.0
CENTRE, HALF = 750.0, 240.0


def tof_axis():
    step = np.sqrt(800) / (2 * R * 6)
    low, high = np.sqrt(505), np.sqrt(995)
    return (low + np.arange(int((high - low) / step)) * step) ** 2


MZ = tof_axis()
PEAKS = np.linspace(511.3, 988.8, 60)


def simulate(shift, stretch, *, counts=400.0, seed=0):
    """Counts of peaks whose ppm error is a line in m/z, one row per pixel."""
    rng = np.random.default_rng(seed)
    shift, stretch = np.broadcast_arrays(shift, stretch)
    height = 20 + rng.gamma(1.0, counts, PEAKS.size)
    X = np.zeros((shift.size, MZ.size))
    for row, a, b in zip(X, shift, stretch, strict=True):
        places = PEAKS * (1 + 1e-6 * (a + b * (PEAKS - CENTRE) / HALF))
        heights = height * rng.gamma(4.0, 0.25, PEAKS.size)
        for place, top in zip(places, heights, strict=True):
            width = place / R / 2.3548
            near = slice(*np.searchsorted(MZ, [place - 6 * width, place + 6 * width]))
            row[near] += top * np.exp(-0.5 * ((MZ[near] - place) / width) ** 2)
    return rng.poisson(X + 0.02).astype(np.float32)


def ragged(X, **keywords):
    rows, columns = np.nonzero(X)
    indptr = np.concatenate([[0], np.cumsum((X > 0).sum(1))])
    return Spectra.from_arrays(X[rows, columns], MZ[columns], indptr=indptr, **keywords)


def spectra_of(X, kind, **keywords):
    if kind == "ragged":
        return ragged(X, **keywords)
    return Spectra.from_arrays(X, MZ, **keywords)


def drawn(n=40, shift_sd=3.0, stretch_sd=1.5, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(0, shift_sd, n), rng.normal(0, stretch_sd, n)


def waves(n=40, seed=0):
    """Rows of Gaussians on the axis 0, 1, 2, … that are shifted by up to 2 points."""
    rng = np.random.default_rng(seed)
    x, shift = np.arange(3000.0), rng.uniform(-2, 2, n)
    places = np.arange(50.0, 2950.0, 100.0)
    height = rng.gamma(2, 100, places.size) + 50
    X = np.zeros((n, x.size))
    for row, s in zip(X, shift, strict=True):
        for place, top in zip(places, height, strict=True):
            row += top * np.exp(-0.5 * ((x - place - s) / 4) ** 2)
    return X, shift


def lines(aligner, at):
    """What the report takes each pixel's ppm error to be, at some m/z."""
    model = aligner._kernel.model
    u = (at - model.centre) / model.half
    report = aligner.report_
    return (
        report["shift_ppm"].to_numpy()[:, None]
        + report["stretch_ppm"].to_numpy()[:, None] * u
    )
