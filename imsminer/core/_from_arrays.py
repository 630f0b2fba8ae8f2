"""The source of spectra that come as arrays."""

from typing import Any

import numpy as np

from imsminer.core._checks import check_arrays, check_coordinates
from imsminer.core.source import ArraySource, run_table

__all__ = ["array_source"]


def array_source(
    intensity: Any,
    mz: Any,
    coordinates: Any,
    *,
    indptr: Any,
    run: str,
    profile: bool,
    pixel_size: float,
    identity: str | None,
    mobility: Any,
) -> ArraySource:
    """Check the arguments of :meth:`imsminer.Spectra.from_arrays`; return a source."""
    intensity, mz, indptr, mobility = check_arrays(intensity, mz, indptr, mobility)
    n_pixels = intensity.shape[0] if indptr is None else indptr.size - 1
    coordinates = check_coordinates(coordinates, n_pixels)
    return ArraySource(
        mz,
        intensity,
        indptr,
        coordinates,
        runs=run_table(
            name=run,
            mode="continuous" if indptr is None else "processed",
            spectrum_type="profile" if profile else "centroid",
            pixel_size_x=pixel_size,
            pixel_size_y=pixel_size,
            n_pixels=n_pixels,
            mobility=None if mobility is None else "ion mobility",
        ),
        run_bounds=np.array([0, n_pixels]),
        profile=np.array([profile]),
        identity=identity,
        mobility=mobility,
    )
