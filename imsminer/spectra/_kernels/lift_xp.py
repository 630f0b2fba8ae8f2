"""The lift of lower envelopes to the middle of the noise in any array namespace."""

from typing import Any

from imsminer._array import array_namespace, device_of
from imsminer.spectra._kernels.grid_xp import interpolate, on_whole_grids

__all__ = ["lift_points", "lift_rows"]

MAD_TO_SD = 1.4826
SECOND_DIFFERENCE = 6.0**0.5
MAX_LIFT = 4.0
N_SAMPLES = 128


def lift_rows(Y: Any, R: Any, hop: int, clip: bool) -> Any:
    """Return `R` lowered to the middle of the noise; `clip`: at least to 0.

    `Y` (n, m) are spectra and `R` (n, m) what is left of them above a lower envelope.
    Windows of 2 * `hop` + 1 points, centred `hop` points apart, are judged by
    `N_SAMPLES` values each, with linear interpolation between their centres.
    """
    xp = array_namespace(R)
    m = R.shape[1]
    if m < 3:
        return R
    device = device_of(R)
    centres = xp.arange((m - 1 + hop - 1) // hop + 1, device=device) * hop
    stride = max(1, (2 * hop + 1) // N_SAMPLES)
    side = hop // stride
    offsets = xp.arange(-side, side + 1, device=device) * stride
    places = centres[:, None] + offsets[None, :]
    inside = (places >= 0) & (places < m)
    near = xp.reshape(xp.clip(places, 1, m - 2), (-1,))
    places = xp.reshape(xp.clip(places, 0, m - 1), (-1,))
    index = xp.arange(m, dtype=xp.float64, device=device)
    rows = []
    for i in range(R.shape[0]):
        y = xp.clip(Y[i, :], 0.0, None)
        bends = xp.take(y, near - 1) - 2 * xp.take(y, near) + xp.take(y, near + 1)
        rest = xp.reshape(xp.take(R[i, :], places), inside.shape)
        rest = xp.sort(xp.where(inside, rest, xp.inf), axis=1)
        bends = xp.reshape(xp.abs(bends), inside.shape)
        bends = xp.sort(xp.where(inside, bends, xp.inf), axis=1)
        n = xp.sum(xp.astype(inside, xp.int64), axis=1)
        level = _ordered(rest, (n - 1) // 2)
        for _ in range(2):
            kept = xp.astype(rest <= 2 * level[:, None], xp.int64)
            level = _ordered(rest, (xp.sum(kept, axis=1) - 1) // 2)
        noise = MAD_TO_SD / SECOND_DIFFERENCE * _ordered(bends, (n - 1) // 2)
        level = xp.astype(xp.minimum(level, MAX_LIFT * noise), xp.float64)
        lift = interpolate(index, xp.astype(centres, xp.float64), level)
        rows.append(xp.astype(xp.astype(R[i, :], xp.float64) - lift, R.dtype))
    lowered = xp.stack(rows)
    return xp.clip(lowered, 0.0, None) if clip else lowered


def lift_points(
    values: Any,
    rest: Any,
    indptr: Any,
    position: Any,
    length: Any,
    hop: int,
    clip: bool,
) -> Any:
    """Do the same for ragged spectra: grid points that are not stored are 0.

    `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`.
    """

    def lift(y: Any, above: Any) -> Any:
        return lift_rows(y[None, :], above[None, :], hop, clip)

    if rest.shape[0] == 0:
        return rest
    return on_whole_grids(lift, (values, rest), indptr, position, length)


def _ordered(values: Any, k: Any) -> Any:
    """Return the k-th value of each sorted row."""
    xp = array_namespace(values)
    place = xp.arange(values.shape[1], device=device_of(values))
    return xp.sum(xp.where(place[None, :] == k[:, None], values, 0.0), axis=1)
