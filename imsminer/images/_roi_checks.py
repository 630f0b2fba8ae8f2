"""What a region of interest may be made of."""

import math
from typing import Any

import numpy as np

from imsminer.images._roi_rings import Ring

__all__ = ["check_labels", "finite", "ring_of", "store"]


def store(roi: Any, **values: Any) -> None:
    """Store checked values in a frozen dataclass."""
    for name, value in values.items():
        object.__setattr__(roi, name, value)


def check_labels(roi: Any) -> None:
    """Raise unless name, group and run are texts."""
    kind = type(roi).__name__
    if not isinstance(roi.name, str) or not roi.name:
        message = f"{kind}: name must be a text that is not empty; got {roi.name!r}."
        raise ValueError(message)
    for field in ("group", "run"):
        value = getattr(roi, field)
        if value is not None and (not isinstance(value, str) or not value):
            message = (
                f"{kind} {roi.name!r}: {field} must be a text that is not empty, or "
                f"None; got {value!r}."
            )
            raise ValueError(message)


def finite(roi: Any, **values: Any) -> list[float]:
    """Numbers as floats, or an error that names the one that is none."""
    numbers = []
    for name, value in values.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            message = (
                f"{type(roi).__name__} {roi.name!r}: {name} must be a finite number of "
                f"pixels; got {value!r}."
            )
            raise ValueError(message)
        numbers.append(number)
    return numbers


def ring_of(points: Any, what: str) -> Ring:
    """Corners as pairs of floats, without a last one that repeats the first."""
    try:
        corners = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        corners = np.empty(0)
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        message = (
            f"{what} must be pairs (x, y) of finite numbers, shape (n_vertices, 2); "
            f"got {str(points)[:80]}."
        )
        raise ValueError(message)
    if len(corners) > 1 and np.array_equal(corners[0], corners[-1]):
        corners = corners[:-1]
    if len(corners) < 3:
        message = f"{what} must have three or more corners; got {len(corners)}."
        raise ValueError(message)
    return tuple((x, y) for x, y in corners.tolist())
