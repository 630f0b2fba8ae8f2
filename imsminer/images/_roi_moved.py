"""Regions of interest under an affine map."""

import math
from dataclasses import replace

import numpy as np

from imsminer.images._roi_rings import Ring
from imsminer.images._roi_shapes import ROI, Ellipse, MaskROI, Polygon, Rectangle, turn

__all__ = ["transformed"]


def transformed(roi: ROI, matrix: np.ndarray) -> list[ROI]:
    """Move a region by an affine map.

    Parameters
    ----------
    roi : ROI
        The region.
    matrix : ndarray of shape (3, 3)
        Maps (x, y, 1).

    Returns
    -------
    list of ROI
        One, of the same kind where that kind can be kept; the pieces of a mask become
        polygons along the edges of its pixels.
    """
    if np.array_equal(matrix, np.eye(3)):
        return [roi]
    linear, shift = matrix[:2, :2], matrix[:2, 2]
    straight = linear[0, 1] == 0 and linear[1, 0] == 0
    if isinstance(roi, Rectangle) and straight:
        (x0, y0), (x1, y1) = _moved(((roi.x0, roi.y0), (roi.x1, roi.y1)), matrix)
        return [replace(roi, x0=x0, y0=y0, x1=x1, y1=y1)]
    if isinstance(roi, Ellipse):
        ((x, y),) = _moved(((roi.x, roi.y),), matrix)
        if straight and roi.angle == 0:
            rx, ry = abs(linear[0, 0]) * roi.rx, abs(linear[1, 1]) * roi.ry
            return [replace(roi, x=x, y=y, rx=rx, ry=ry)]
        cos, sin = turn(roi.angle)
        axes = linear @ np.array([[cos, -sin], [sin, cos]]) @ np.diag([roi.rx, roi.ry])
        directions, half, _ = np.linalg.svd(axes)
        angle = math.degrees(math.atan2(directions[1, 0], directions[0, 0])) % 180
        return [replace(roi, x=x, y=y, rx=half[0], ry=half[1], angle=angle)]
    if isinstance(roi, MaskROI) and np.array_equal(linear, np.eye(2)):
        if np.array_equal(shift, np.rint(shift)):
            x, y = roi.origin
            return [replace(roi, origin=(x + int(shift[0]), y + int(shift[1])))]
    return [
        Polygon(
            roi.name,
            _moved(outer, matrix),
            tuple(_moved(hole, matrix) for hole in holes),
            roi.group,
            roi.run,
        )
        for outer, holes in roi.outlines
    ]


def _moved(ring: Ring, matrix: np.ndarray) -> Ring:
    points = np.asarray(ring, dtype=np.float64)
    moved = points @ matrix[:2, :2].T + matrix[:2, 2]
    return tuple((x, y) for x, y in moved.tolist())
