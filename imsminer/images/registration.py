"""From a picture of the tissue to its pixels and back, by landmarks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from imsminer.images._roi_moved import transformed
from imsminer.images._roi_shapes import ROI

__all__ = ["Registration", "register_landmarks"]

#: Landmarks needed to determine a map.
_MODELS = {"affine": 3, "similarity": 2}
#: Landmarks lie on a line when they are this much narrower than long.
_FLAT = 1e-3


@dataclass(frozen=True, eq=False)
class Registration:
    """An affine map between a picture and the pixels.

    Attributes
    ----------
    matrix : ndarray of shape (3, 3)
        Maps (x, y, 1) of the picture to (x, y, 1) in pixels.
    residuals : ndarray of shape (n_landmarks,)
        Distance in pixels from where a landmark of the picture is mapped to where it
        is. With as many landmarks as the map needs they are 0, which says nothing of
        how good it is: take one more at least.
    """

    matrix: np.ndarray
    residuals: np.ndarray

    @property
    def rmse(self) -> float:
        """Root of the mean square of the residuals, in pixels."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    def to_pixels(self, points: Any) -> np.ndarray:
        """Map points of the picture to pixels.

        Parameters
        ----------
        points : array-like of shape (n_points, 2)
            x and y in the picture.

        Returns
        -------
        ndarray of float64, shape (n_points, 2)
        """
        return _apply(self.matrix, _points(points, "points"))

    def to_picture(self, points: Any) -> np.ndarray:
        """Map pixels to points of the picture.

        Parameters
        ----------
        points : array-like of shape (n_points, 2)
            x and y in pixels.

        Returns
        -------
        ndarray of float64, shape (n_points, 2)
        """
        return _apply(np.linalg.inv(self.matrix), _points(points, "points"))

    def transfer(self, rois: Iterable[ROI], to: str = "pixels") -> list[ROI]:
        """Move regions from the picture to the pixels, or back.

        Parameters
        ----------
        rois : iterable of Rectangle, Ellipse, Polygon or MaskROI
            Regions.
        to : {"pixels", "picture"}, default="pixels"
            Where to.

        Returns
        -------
        list of ROI
            Rectangles that are turned, and masks, become polygons.

        Raises
        ------
        ValueError
            When `to` is something else.
        """
        if to not in ("pixels", "picture"):
            message = f'transfer: to must be "pixels" or "picture"; got {to!r}.'
            raise ValueError(message)
        matrix = self.matrix if to == "pixels" else np.linalg.inv(self.matrix)
        return [moved for roi in rois for moved in transformed(roi, matrix)]


def register_landmarks(
    picture_points: Any, pixel_points: Any, *, model: str = "affine"
) -> Registration:
    """Fit an affine map from landmarks seen in a picture and in the ion images.

    Parameters
    ----------
    picture_points : array-like of shape (n_landmarks, 2)
        x and y of each landmark in the picture, such as the pixels of a histology slide
        in QuPath.
    pixel_points : array-like of shape (n_landmarks, 2)
        x and y of the same landmarks in pixels.
    model : {"affine", "similarity"}, default="affine"
        ``"affine"`` scales, turns, shifts, shears and mirrors, and needs three
        landmarks; ``"similarity"`` keeps angles, cannot mirror, and needs two. More
        landmarks are fitted by least squares.

    Returns
    -------
    Registration
        The map, and how far landmarks are from where it puts them.

    Raises
    ------
    ValueError
        When there are too few landmarks, they lie on a line, their numbers differ, or
        they are not finite.

    Examples
    --------
    >>> from imsminer import register_landmarks
    >>> picture = [(0, 0), (1000, 0), (0, 500), (1000, 500)]
    >>> pixels = [(1, 1), (101, 1), (1, 51), (101, 51)]
    >>> registration = register_landmarks(picture, pixels)
    >>> registration.to_pixels([(500, 250)]).round(6)
    array([[51., 26.]])
    >>> round(registration.rmse, 6)
    0.0
    """
    if model not in _MODELS:
        message = f"model must be one of {', '.join(_MODELS)}; got {model!r}."
        raise ValueError(message)
    needed = _MODELS[model]
    picture = _points(picture_points, "picture_points")
    pixels = _points(pixel_points, "pixel_points")
    if len(picture) != len(pixels):
        message = (
            "register_landmarks needs the same landmarks in the picture and in the "
            f"pixels; got {len(picture)} in picture_points and {len(pixels)} in "
            "pixel_points."
        )
        raise ValueError(message)
    if len(picture) < needed:
        message = (
            f"register_landmarks: model={model!r} needs {needed} landmarks or more; "
            f"got {len(picture)}."
        )
        raise ValueError(message)
    for points, what in ((picture, "picture_points"), (pixels, "pixel_points")):
        spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
        if spread[0] == 0 or (model == "affine" and spread[1] < _FLAT * spread[0]):
            message = (
                f"register_landmarks: {what} lie on a line (or in one place), which "
                "leaves the map open. Add a landmark away from it."
            )
            raise ValueError(message)
    matrix = _fitted(picture, pixels, model)
    residuals = np.hypot(*(_apply(matrix, picture) - pixels).T)
    return Registration(matrix, residuals)


def _fitted(picture: np.ndarray, pixels: np.ndarray, model: str) -> np.ndarray:
    """Return the matrix with the least sum of squared distances in pixels."""
    # scikit-image's estimate() minimizes an algebraic error, not these distances.
    middle, target = picture.mean(axis=0), pixels.mean(axis=0)
    source, wanted = picture - middle, pixels - target
    if model == "affine":
        linear = np.linalg.lstsq(source, wanted, rcond=None)[0].T
    else:
        x, y = source.T
        # As complex numbers, x + iy is multiplied by a + ib.
        rows = np.concatenate([np.stack([x, -y], 1), np.stack([y, x], 1)])
        a, b = np.linalg.lstsq(rows, wanted.T.ravel(), rcond=None)[0]
        linear = np.array([[a, -b], [b, a]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = target - linear @ middle
    return matrix


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def _points(points: Any, what: str) -> np.ndarray:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        message = (
            f"{what} must be finite x and y, shape (n_points, 2); got the shape "
            f"{array.shape}{'' if np.isfinite(array).all() else ' with NaN'}."
        )
        raise ValueError(message)
    return array
