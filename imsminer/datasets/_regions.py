"""Simulated tissue: an outline, smooth regions in it, and what each peak does there."""

import numpy as np
from scipy.ndimage import gaussian_filter

__all__ = ["draw_distributions", "draw_labels"]

OFF_TISSUE = 0
# Of the peaks: from the matrix (brightest off tissue), and present in all regions.
SHARE_MATRIX, SHARE_COMMON = 0.15, 0.25
N_FIELDS = 8


def _field(
    rng: np.random.Generator, shape: tuple[int, int], scale: float
) -> np.ndarray:
    """Return a smooth random image with mean 0 and standard deviation 1."""
    image = gaussian_filter(rng.standard_normal(shape), scale, mode="reflect")
    spread = image.std()
    return (image - image.mean()) / (spread if spread > 0 else 1.0)


def draw_labels(
    rng: np.random.Generator, shape: tuple[int, int], n_regions: int
) -> np.ndarray:
    """Return an image of labels: 0 off tissue, 1 to `n_regions` in smooth regions.

    The first half of the regions are layers, from the outside inwards; the others are
    blobs that lie in them.
    """
    height, width = shape
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(
        (y - (height - 1) / 2) / max(height / 2, 1),
        (x - (width - 1) / 2) / max(width / 2, 1),
    )
    scale = max(min(shape) / 12, 0.8)
    depth = 1 - radius + 0.08 * _field(rng, shape, scale)
    labels = np.zeros(shape, dtype=np.int64)
    if n_regions == 0:
        return labels
    tissue = depth > 0.08
    if not tissue.any():
        tissue = depth >= np.median(depth)
    n_layers = (n_regions + 1) // 2
    limits = np.quantile(depth[tissue], np.arange(1, n_layers) / n_layers)
    labels[tissue] = 1 + np.searchsorted(limits, depth[tissue])
    n_blobs = n_regions - n_layers
    share = 1 / (n_regions + 1)
    for blob in range(n_blobs):
        field = _field(rng, shape, scale)
        free = tissue & (labels <= n_layers)
        limit = np.quantile(field[free], 1 - share) if free.any() else np.inf
        labels[free & (field > limit)] = n_layers + 1 + blob
    return labels


def draw_distributions(
    rng: np.random.Generator, labels: np.ndarray, n_peaks: int
) -> np.ndarray:
    """Return the relative abundance of each peak in each pixel of the image.

    Returns
    -------
    ndarray of float64, shape (height * width, n_peaks)
        The mean of each column is 1.
    """
    shape = labels.shape
    n_labels = int(labels.max()) + 1
    profiles = 0.15 * np.exp(0.8 * rng.standard_normal((n_labels, n_peaks)))
    kind = rng.random(n_peaks)
    for j in range(n_peaks):
        if kind[j] < SHARE_MATRIX or n_labels == 1:
            profiles[OFF_TISSUE, j] = 1.0
            profiles[1:, j] *= 2.0
            continue
        profiles[OFF_TISSUE, j] = 0.01
        if kind[j] < SHARE_MATRIX + SHARE_COMMON:
            profiles[1:, j] = np.exp(0.15 * rng.standard_normal(n_labels - 1))
        else:
            profiles[1 + rng.integers(n_labels - 1), j] = 1.5
    scale = max(min(shape) / 6, 1.0)
    fields = [_field(rng, shape, scale).ravel() for _ in range(N_FIELDS)]
    weights = rng.standard_normal((N_FIELDS, n_peaks)) / np.sqrt(N_FIELDS)
    # Total ion current: slow drifts of sensitivity and spots of matrix.
    current = 0.12 * _field(rng, shape, scale) + 0.12 * rng.standard_normal(shape)
    abundance = profiles[labels.ravel()]
    abundance *= np.exp(0.2 * np.column_stack(fields) @ weights)
    abundance *= np.exp(current.ravel())[:, np.newaxis]
    return abundance
