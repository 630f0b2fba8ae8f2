"""Scores of isotope images in any array library: what they mean is defined here."""

from typing import Any

from imsminer._array import array_namespace, device_of

__all__ = ["close_image", "correlations", "count_objects", "sums_where_first"]


def correlations(images: Any) -> Any:
    """Correlate the images of each ion with its first one.

    Parameters
    ----------
    images : array of shape (n_ions, n_images, n_pixels)
        Padded with zeros.

    Returns
    -------
    array of float64, shape (n_ions, n_images - 1)
        Pearson's r; 0 where an image is constant.
    """
    xp = array_namespace(images)
    values = xp.astype(images, xp.float64)
    centred = values - xp.mean(values, axis=2, keepdims=True)
    first = centred[:, :1, :]
    cross = xp.sum(centred * first, axis=2)
    norm = xp.sqrt(xp.sum(centred * centred, axis=2))
    # Rounding leaves a trace of what is constant.
    largest = xp.max(xp.abs(values), axis=2)
    norm = xp.where(norm <= 1e-9 * largest, xp.zeros_like(norm), norm)
    scale = norm * norm[:, :1]
    safe = xp.where(scale > 0, scale, xp.ones_like(scale))
    return xp.where(scale > 0, cross / safe, xp.zeros_like(cross))[:, 1:]


def sums_where_first(images: Any) -> Any:
    """Sum the images of each ion over the pixels in which the first is above 0.

    Returns
    -------
    array of float64, shape (n_ions, n_images)
    """
    xp = array_namespace(images)
    values = xp.astype(images, xp.float64)
    seen = xp.astype(images[:, :1, :] > 0, xp.float64)
    return xp.sum(values * seen, axis=2)


def close_image(image: Any, cross: Any, around: Any) -> Any:
    """Dilate an image by a cross, then erode it by a square of 3 × 3 pixels.

    Parameters
    ----------
    image : array of shape (n_pixels,)
        Intensities.
    cross : array of int64, shape (n_pixels, 4)
        Neighbours above, below, left and right; the pixel itself where there is none.
    around : array of int64, shape (n_pixels, 8)
        The same of all eight.

    Returns
    -------
    array of shape (n_pixels,)
        Thresholding it gives what the two steps make of the thresholded image.
    """
    xp = array_namespace(image)
    wide = image
    for j in range(cross.shape[1]):
        wide = xp.maximum(wide, xp.take(image, cross[:, j]))
    narrow = wide
    for j in range(around.shape[1]):
        narrow = xp.minimum(narrow, xp.take(wide, around[:, j]))
    return narrow


def count_objects(image: Any, cross: Any, levels: Any) -> Any:
    """Count the connected groups of pixels above each level.

    Parameters
    ----------
    image : array of shape (n_pixels,)
        Intensities.
    cross : array of int64, shape (n_pixels, 4)
        Neighbours, as in :func:`close_image`.
    levels : array of shape (n_levels,)
        Increasing.

    Returns
    -------
    array of int64, shape (n_levels,)
    """
    xp, n = array_namespace(image), image.shape[0]
    own = xp.arange(n, dtype=xp.int64, device=device_of(image))
    counts = []
    for k in range(levels.shape[0]):
        inside = image > levels[k]
        label = xp.where(inside, own, xp.full_like(own, n))
        while True:
            new = label
            for j in range(cross.shape[1]):
                new = xp.minimum(new, xp.take(label, cross[:, j]))
            new = xp.where(inside, new, label)
            if bool(xp.all(new == label)):
                break
            label = new
        counts.append(xp.sum(xp.astype(label == own, xp.int64)))
    return xp.stack(counts)
