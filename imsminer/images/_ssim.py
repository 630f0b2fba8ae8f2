"""Structural similarity of ion images, by windows that were measured wholly."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from imsminer.core.grid import Pixels, to_image

__all__ = ["Windows", "measured_windows", "structural_similarity"]

#: Edges of the window in pixels that are tried, scikit-image's first.
EDGES = (7, 5, 3)


class Windows(NamedTuple):
    """Planes of pixels, and the middles of the windows that count."""

    edge: int
    planes: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    """Rows of the pixels, their coordinates, and an image that is True in middles."""


def measured_windows(pixels: Pixels) -> Windows:
    """Find the windows that hold no gap, the same size in every run and plane.

    Parameters
    ----------
    pixels : Pixels
        From :func:`imsminer.core.grid.coordinates_of`.

    Raises
    ------
    ValueError
        When a plane has no window of 3 × 3 measured pixels.
    """
    keys = np.column_stack([pixels.runs, pixels.coordinates[:, 2]])
    which = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    planes = []
    for plane in range(int(which.max()) + 1):
        rows = np.flatnonzero(which == plane)
        at = pixels.coordinates[rows]
        present = np.isfinite(to_image(np.zeros(rows.size), at))
        planes.append((rows, at, present))
    for edge in EDGES:
        whole = [
            ndimage.minimum_filter(present, edge, mode="constant", cval=False)
            for _, _, present in planes
        ]
        if all(middles.any() for middles in whole):
            return Windows(
                edge,
                [(*p[:2], middles) for p, middles in zip(planes, whole, strict=True)],
            )
    message = (
        "ssim compares windows of 3 × 3 measured pixels or more, but a run or plane "
        "has none. Leave it out, or take method='thresholded_cosine'."
    )
    raise ValueError(message)


def structural_similarity(
    one: np.ndarray, others: Iterable[np.ndarray], windows: Windows
) -> np.ndarray:
    """Mean structural similarity of an image and each of others.

    Parameters
    ----------
    one : ndarray of shape (n_pixels,)
        Finite.
    others : iterable of ndarray of shape (n_pixels,)
        Finite.
    windows : Windows
        Of the pixels.

    Returns
    -------
    ndarray of float64
        -1 to 1; 0 where one of the two images has no variation. Images are divided by
        their largest absolute value.
    """
    from skimage.metrics import structural_similarity as ssim

    reference = [to_image(_scaled(one)[rows], at) for rows, at, _ in windows.planes]
    reference = [np.nan_to_num(image) for image in reference]
    scores = []
    for other in others:
        if np.ptp(one) == 0 or np.ptp(other) == 0:
            scores.append(0.0)
            continue
        scaled = _scaled(other)
        total, count = 0.0, 0
        for image, (rows, at, middles) in zip(reference, windows.planes, strict=True):
            _, local = ssim(
                image,
                np.nan_to_num(to_image(scaled[rows], at)),
                win_size=windows.edge,
                data_range=1.0,
                full=True,
            )
            total += float(local[middles].sum())
            count += int(middles.sum())
        scores.append(total / count)
    return np.array(scores)


def _scaled(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    largest = np.abs(values).max(initial=0.0)
    return values / largest if largest > 0 else values
