"""Checks of spectra that come as arrays."""

from typing import Any

import numpy as np

__all__ = ["check_arrays", "check_coordinates"]


def check_arrays(
    intensity: Any, mz: Any, indptr: Any, mobility: Any = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    intensity = np.asarray(intensity)
    if intensity.dtype not in (np.float32, np.float64):
        intensity = intensity.astype(np.float64)
    if indptr is None:
        if intensity.ndim != 2:
            message = (
                "intensity needs shape (n_pixels, n_mz), or give indptr for spectra "
                f"with axes of their own; got shape {intensity.shape}"
            )
            raise ValueError(message)
        n_points = intensity.shape[1]
    else:
        indptr = np.asarray(indptr, dtype=np.int64)
        n_points = intensity.size
        if (
            intensity.ndim != 1
            or indptr.ndim != 1
            or indptr.size < 1
            or indptr[0] != 0
            or indptr[-1] != n_points
            or np.any(np.diff(indptr) < 0)
        ):
            message = (
                "with indptr, intensity is flat and indptr rises from 0 to its size "
                f"({n_points}); got intensity of shape {intensity.shape}"
            )
            raise ValueError(message)
    mz = np.arange(n_points, dtype=np.float64) if mz is None else mz
    mz = np.asarray(mz, dtype=np.float64)
    if mz.shape != (n_points,):
        message = f"mz needs one value per point ({n_points}), got shape {mz.shape}"
        raise ValueError(message)
    steps = np.diff(mz)
    if indptr is not None and steps.size:
        inner = indptr[1:-1]
        steps[inner[(inner > 0) & (inner < n_points)] - 1] = 1.0
    if mobility is not None:
        mobility = _check_mobility(mobility, n_points, indptr)
        # Points that differ in mobility only have equal m/z.
        steps[steps == 0] = 1.0
    if not np.all(np.isfinite(mz)):
        _complain("mz", mz, indptr)
    if not np.all(steps > 0):
        i = int(np.argmin(steps > 0))
        message = (
            "mz must be finite and strictly increasing within each spectrum, but "
            f"{mz[i]:.10g} is followed by {mz[i + 1]:.10g} (points {i} and {i + 1}); "
            "sort it, and intensity with it, or add up what shares an m/z"
        )
        raise ValueError(message)
    if not np.all(np.isfinite(intensity)):
        _complain("intensity", intensity, indptr)
    return intensity, mz, indptr, mobility


def _complain(name: str, values: np.ndarray, indptr: Any) -> None:
    """Say which value is not finite, and of which pixel."""
    at = np.unravel_index(int(np.argmin(np.isfinite(values))), values.shape)
    pixel = int(at[0])
    if values.ndim == 1:
        # The last of equal bounds starts the spectrum that holds the point.
        shared = indptr is None
        pixel = -1 if shared else int(np.searchsorted(indptr, at[0], "right")) - 1
    whose = "" if pixel < 0 else f" of pixel {pixel}"
    message = (
        f"{name} contains NaN or infinity, the first in point {at[-1]}{whose}; "
        "replace them before"
    )
    raise ValueError(message)


def _check_mobility(mobility: Any, n_points: int, indptr: Any) -> np.ndarray:
    mobility = np.asarray(mobility, dtype=np.float64)
    if indptr is None or mobility.shape != (n_points,):
        message = (
            "mobility needs indptr, for spectra with axes of their own, and one value "
            f"per point ({n_points}); got shape {mobility.shape}"
            f"{' without indptr' if indptr is None else ''}"
        )
        raise ValueError(message)
    if not np.all(np.isfinite(mobility)):
        _complain("mobility", mobility, indptr)
    return mobility


def check_coordinates(coordinates: Any, n_pixels: int) -> np.ndarray:
    if coordinates is None:
        coordinates = np.column_stack(
            [np.arange(1, n_pixels + 1), np.ones((n_pixels, 2), np.int64)]
        )
    coordinates = np.asarray(coordinates)
    if coordinates.ndim == 2 and coordinates.shape[1] == 2:
        coordinates = np.column_stack([coordinates, np.ones(len(coordinates))])
    if coordinates.shape != (n_pixels, 3):
        message = (
            f"coordinates need shape ({n_pixels}, 2) or ({n_pixels}, 3): x, y and z of "
            f"each pixel; got {coordinates.shape}"
        )
        raise ValueError(message)
    return coordinates.astype(np.int64)
