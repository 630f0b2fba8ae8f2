"""Images of isotopologues, and how well they fit to each other and to theory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from imsminer._array import array_namespace, device_of, is_numpy_array, to_numpy
from imsminer.core.grid import Pixels, neighbor_matrix
from imsminer.core.peaktable import feature_mz
from imsminer.core.spectra import Spectra
from imsminer.core.windows import integrate_windows
from imsminer.features._kernels import isotopes_numba, isotopes_xp

__all__ = ["image_scores", "isotope_images", "mz_of_columns", "neighbor_tables"]

#: Levels of the measure of chaos.
N_LEVELS = 30
#: Images with fewer pixels above 0 have no measure of chaos.
LEAST_PIXELS = 4


def image_scores(
    images: Any, abundance: np.ndarray, cross: Any, around: Any
) -> np.ndarray:
    """Score ions by their images.

    Parameters
    ----------
    images : array of shape (n_ions, n_images, n_pixels)
        Of the isotopologues, the strongest first, padded with zeros.
    abundance : ndarray of shape (n_ions, n_images)
        Theoretical abundances, padded with zeros.
    cross, around : array of int64, shape (n_pixels, 4) and (n_pixels, 8)
        Neighbours, the pixel itself where there is none.

    Returns
    -------
    ndarray of float64, shape (n_ions, 4)
        spatial, spectral, chaos, msm.
    """
    kernels = isotopes_numba if is_numpy_array(images) else isotopes_xp
    weights = abundance[:, 1:]
    r = to_numpy(kernels.correlations(images))
    total = weights.sum(axis=1)
    spatial = (np.maximum(r, 0.0) * weights).sum(axis=1) / np.where(total > 0, total, 1)
    found = to_numpy(kernels.sums_where_first(images))
    there = abundance > 0
    norm = np.sqrt((found**2 * there).sum(axis=1, keepdims=True))
    expected = abundance / np.linalg.norm(abundance, axis=1, keepdims=True)
    difference = np.abs(expected - found / np.where(norm > 0, norm, 1)) * there
    spectral = 1 - difference.sum(axis=1) / there.sum(axis=1)
    empty = found[:, 0] <= 0
    spatial, spectral = (
        np.where(empty, 0, np.clip(v, 0, 1)) for v in (spatial, spectral)
    )
    chaos = np.array(
        [
            0.0 if skip else _chaos(images[i, 0, :], cross, around, kernels)
            for i, skip in enumerate(empty)
        ]
    )
    return np.stack([spatial, spectral, chaos, spatial * spectral * chaos], axis=1)


def neighbor_tables(pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
    """Return four and eight neighbours of each pixel, itself where there is none."""
    pairs = neighbor_matrix(pixels).tocoo()
    offset = np.abs(pixels.coordinates[pairs.row] - pixels.coordinates[pairs.col])
    straight = offset[:, :2].sum(axis=1) == 1
    n = len(pixels.runs)
    return (
        _padded(pairs.row[straight], pairs.col[straight], n),
        _padded(pairs.row, pairs.col, n),
    )


def _padded(row: np.ndarray, column: np.ndarray, n: int) -> np.ndarray:
    """Arrange pairs as one row of neighbours per pixel."""
    order = np.argsort(row, kind="stable")
    row, column = row[order].astype(np.int64), column[order].astype(np.int64)
    count = np.bincount(row, minlength=n)
    rank = np.arange(row.size) - np.repeat(np.cumsum(count) - count, count)
    width = max(int(count.max(initial=0)), 1)
    table = np.repeat(np.arange(n, dtype=np.int64)[:, None], width, axis=1)
    table[row, rank] = column
    return table


def _chaos(image: Any, cross: Any, around: Any, kernels: Any) -> float:
    """Return the measure of chaos of one image."""
    xp = array_namespace(image)
    positive = int(xp.sum(xp.astype(image > 0, xp.int64)))
    if positive < LEAST_PIXELS:
        return 0.0
    values = xp.astype(image, xp.float64)
    scaled = values / xp.max(values)
    levels = np.arange(N_LEVELS) / N_LEVELS
    if not is_numpy_array(image):
        levels = xp.asarray(levels, device=device_of(image))
    closed = kernels.close_image(scaled, cross, around)
    objects = to_numpy(kernels.count_objects(closed, cross, levels))
    if not objects.any():
        return 0.0
    return float(np.clip(1 - objects.mean() / positive, 0, 1))


def isotope_images(
    data: Any, mz: np.ndarray, ppm: float, n_jobs: int | None
) -> np.ndarray:
    """Return the images of m/z: windows of spectra, or the nearest features in them.

    Parameters
    ----------
    data : Spectra or DataFrame
        Spectra are read in one pass.
    mz : ndarray of float64, shape (n_ions, n_images)
        m/z; 0 for no image.
    ppm : float
        Half width of windows.
    n_jobs : int or None
        Parts at a time.

    Returns
    -------
    ndarray of float32, shape (n_ions, n_images, n_pixels)
        Zeros where there is no image.
    """
    low, high = mz * (1 - 1e-6 * ppm), np.nextafter(mz * (1 + 1e-6 * ppm), np.inf)
    if isinstance(data, Spectra):
        ends = low[mz > 0], high[mz > 0]
        # Windows of isotopologues may overlap; each is read as if it were alone.
        values = to_numpy(integrate_windows(data, *ends, "sum", n_jobs=n_jobs))
        images = np.zeros((*mz.shape, values.shape[0]), np.float32)
        images[mz > 0] = values.T
        return images
    columns = mz_of_columns(data)
    order = np.argsort(columns, kind="stable")
    ranked = columns[order]
    right = np.clip(np.searchsorted(ranked, mz), 1, max(ranked.size - 1, 1))
    right = np.minimum(right, ranked.size - 1)
    left = np.maximum(right - 1, 0)
    closer = np.abs(ranked[left] - mz) <= np.abs(ranked[right] - mz)
    nearest = np.where(closer, left, right)
    inside = (mz > 0) & (ranked[nearest] >= low) & (ranked[nearest] < high)
    values = data.to_numpy(dtype=np.float32)
    images = np.zeros((*mz.shape, len(values)), np.float32)
    images[inside] = values[:, order[nearest[inside]]].T
    return images


def mz_of_columns(features: pd.DataFrame) -> np.ndarray:
    """Return the m/z of features by their names.

    Raises
    ------
    ValueError
        When a column is named in another way.
    """
    mz = feature_mz(features.columns)
    if np.isnan(mz).any() or mz.size == 0:
        other = features.columns[np.isnan(mz)][:5]
        message = (
            "score_isotopes: columns of features must be named like mz_885.5499; found "
            f"{', '.join(map(str, other)) or 'no columns'}."
        )
        raise ValueError(message)
    return mz
