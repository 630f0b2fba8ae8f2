"""Scores of isotope images, compiled; see isotopes_xp for what they mean."""

import numba
import numpy as np

__all__ = ["close_image", "correlations", "count_objects", "sums_where_first"]


@numba.njit(cache=True, nogil=True)
def correlations(images):
    """Return Pearson's r of each image with the first of its ion."""
    n_ions, n_images, n_pixels = images.shape
    out = np.zeros((n_ions, n_images - 1))
    mean = np.empty(n_images)
    for i in range(n_ions):
        for k in range(n_images):
            total = 0.0
            for p in range(n_pixels):
                total += images[i, k, p]
            mean[k] = total / n_pixels
        first = np.empty(n_pixels)
        norm, largest = 0.0, 0.0
        for p in range(n_pixels):
            first[p] = images[i, 0, p] - mean[0]
            norm += first[p] * first[p]
            largest = max(largest, abs(images[i, 0, p]))
        if np.sqrt(norm) <= 1e-9 * largest:
            continue
        for k in range(1, n_images):
            cross, other, highest = 0.0, 0.0, 0.0
            for p in range(n_pixels):
                value = images[i, k, p] - mean[k]
                cross += first[p] * value
                other += value * value
                highest = max(highest, abs(images[i, k, p]))
            if np.sqrt(other) > 1e-9 * highest:
                out[i, k - 1] = cross / (np.sqrt(norm) * np.sqrt(other))
    return out


@numba.njit(cache=True, nogil=True)
def sums_where_first(images):
    """Return sums over the pixels in which the first image is above 0."""
    n_ions, n_images, n_pixels = images.shape
    out = np.zeros((n_ions, n_images))
    for i in range(n_ions):
        for k in range(n_images):
            total = 0.0
            for p in range(n_pixels):
                if images[i, 0, p] > 0:
                    total += images[i, k, p]
            out[i, k] = total
    return out


@numba.njit(cache=True, nogil=True)
def close_image(image, cross, around):
    """Dilate by a cross, erode by a square."""
    n = image.size
    wide, narrow = image.copy(), np.empty_like(image)
    for p in range(n):
        for q in cross[p]:
            wide[p] = max(wide[p], image[q])
    for p in range(n):
        narrow[p] = wide[p]
        for q in around[p]:
            narrow[p] = min(narrow[p], wide[q])
    return narrow


@numba.njit(cache=True, nogil=True)
def _root(parent, p):
    while parent[p] != p:
        parent[p] = parent[parent[p]]
        p = parent[p]
    return p


@numba.njit(cache=True, nogil=True)
def count_objects(image, cross, levels):
    """Count connected groups above each level: pixels join from the highest down."""
    order = np.argsort(-image, kind="mergesort")
    parent = np.full(image.size, -1, np.int64)
    counts = np.zeros(levels.size, np.int64)
    number, at = 0, 0
    for k in range(levels.size - 1, -1, -1):
        while at < order.size and image[order[at]] > levels[k]:
            p = order[at]
            parent[p] = p
            number += 1
            for q in cross[p]:
                if q != p and parent[q] >= 0:
                    a, b = _root(parent, p), _root(parent, q)
                    if a != b:
                        parent[a] = b
                        number -= 1
            at += 1
        counts[k] = number
    return counts
