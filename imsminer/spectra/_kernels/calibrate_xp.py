"""Mass errors that are polynomials in m/z, in any array namespace.

The reference for the compiled kernels, which explain the quantities.
"""

from typing import Any

from imsminer._array import array_namespace, device_of
from imsminer.spectra._kernels.align_warp_xp import resample_at

__all__ = ["polynomial_error", "resample_rows", "shift_points"]


def polynomial_error(
    m: Any, coefficients: Any, centre: float, half: float, reach: float
) -> Any:
    """Return the errors at m/z `m`; coefficients (..., p) broadcast against it."""
    xp = array_namespace(m)
    u = xp.clip((m - centre) / half, -reach, reach)
    value = xp.zeros_like(u) + coefficients[..., -1]
    for j in range(coefficients.shape[-1] - 2, -1, -1):
        value = value * u + coefficients[..., j]
    return value


def shift_points(
    mz: Any, indptr: Any, coefficients: Any, centre: float, half: float, reach: float
) -> Any:
    """Return the m/z of ragged spectra corrected by their error in ppm."""
    xp = array_namespace(mz)
    points = xp.arange(mz.shape[0], dtype=indptr.dtype, device=device_of(mz))
    owner = xp.searchsorted(indptr, points, side="right") - 1
    rows = xp.take(coefficients, owner, axis=0)
    return mz / (1 + 1e-6 * polynomial_error(mz, rows, centre, half, reach))


def resample_rows(
    X: Any,
    edges: Any,
    coefficients: Any,
    centre: float,
    half: float,
    reach: float,
    ppm: bool,
) -> Any:
    """Return the rows of `X` (n, m) moved by their errors, with the same sums."""
    xp = array_namespace(X)
    inside = edges[1:-1]
    error = polynomial_error(inside, coefficients[:, None, :], centre, half, reach)
    place = inside * (1 + 1e-6 * error) if ppm else inside + error
    still = xp.all(coefficients == 0, axis=1, keepdims=True)
    return xp.where(still, X, resample_at(X, edges, place))
