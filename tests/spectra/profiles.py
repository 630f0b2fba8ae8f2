"""Profiles of known peaks, dense and sparse."""

import numpy as np

from imsminer import Spectra

MZ = 500 + 0.01 * np.arange(1500) + 2e-7 * np.arange(1500) ** 2
CENTERS = np.array([501.0037, 503.0, 503.2, 507.4951, 512.0])
HEIGHTS = np.array([1000.0, 300.0, 200.0, 80.0, 5000.0])
SD = 0.03


def profiles(n=20, noise=1.0, seed=0):
    """Gaussians on an uneven axis, each pixel with a mass error of its own."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, 2e-6, n)
    centers = CENTERS * (1 + shift[:, None])
    scale = rng.uniform(0.5, 2, (n, 1))
    offsets = (MZ - centers[..., None]) / SD
    clean = (scale * HEIGHTS)[..., None] * np.exp(-0.5 * offsets**2)
    return clean.sum(1) + noise * rng.normal(size=(n, MZ.size)), centers, scale


def ragged(X, keep, mz=MZ, **options):
    """The same profiles with only some of their samples, as sparse files have them."""
    counts = keep.sum(1)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    all_mz = np.broadcast_to(mz, X.shape)[keep]
    return Spectra.from_arrays(X[keep], all_mz, indptr=indptr, **options)


def points(spectra):
    return [(np.asarray(mz), np.asarray(y)) for mz, y in spectra]
