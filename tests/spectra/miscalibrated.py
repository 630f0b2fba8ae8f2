"""Peaks at known masses whose error is a function of m/z."""

import numpy as np

from imsminer import Spectra

R = 20_000.0
STEP = np.sqrt(700) / (2 * R * 6)
MZ = (np.sqrt(430) + np.arange(int((np.sqrt(1010) - np.sqrt(430)) / STEP)) * STEP) ** 2
MASSES = np.linspace(451.3, 988.8, 30)


def bend(mz):
    """A mass error of second degree, up to 20 ppm."""
    u = (np.asarray(mz) - 720) / 270
    return 6 - 9 * u + 5 * u**2


def simulate(error, n=12, *, counts=300.0, seed=0, extra=()):
    """Counts of peaks at MASSES whose ppm error is a function of m/z."""
    rng = np.random.default_rng(seed)
    masses = np.concatenate([MASSES, extra])
    mean = np.zeros(MZ.size)
    for place, top in zip(
        masses * (1 + 1e-6 * error(masses)),
        50 + rng.gamma(2.0, counts, masses.size),
        strict=True,
    ):
        width = place / R / 2.3548
        near = slice(*np.searchsorted(MZ, [place - 6 * width, place + 6 * width]))
        mean[near] += top * np.exp(-0.5 * ((MZ[near] - place) / width) ** 2)
    return rng.poisson(mean + 0.05, (n, MZ.size)).astype(np.float32)


def ragged(X, **keywords):
    rows, columns = np.nonzero(X)
    indptr = np.concatenate([[0], np.cumsum((X > 0).sum(1))])
    return Spectra.from_arrays(X[rows, columns], MZ[columns], indptr=indptr, **keywords)


def spectra_of(X, kind, **keywords):
    if kind == "ragged":
        return ragged(X, **keywords)
    return Spectra.from_arrays(X, MZ, **keywords)


def drifting(n=24, sd=3.0, seed=0, **keywords):
    shift = np.random.default_rng(seed).normal(0, sd, n)
    rows = [
        simulate(lambda mz, s=s: bend(mz) + s, 1, seed=seed, **keywords) for s in shift
    ]
    return np.concatenate(rows), shift
