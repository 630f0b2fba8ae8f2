"""Ragged spectra on the grid of their samples, in any array namespace.

Sparse profiles leave out zeros: their points are numbered on the grid of the
instrument, and a grid point that is not stored is 0. All of this works on whole arrays,
which CuPy does as well as a kernel would.
"""

from collections.abc import Callable
from typing import Any

from imsminer._array import array_namespace, device_of, to_numpy

__all__ = [
    "end_to_end",
    "grid_positions",
    "interpolate",
    "on_whole_grids",
    "owners",
    "with_zeros",
]


def grid_positions(
    mz: Any,
    indptr: Any,
    knots: Any,
    steps: Any,
    low: float,
    high: float,
    limit: int,
) -> tuple[Any, Any]:
    """Number the points of ragged spectra on the grid of their samples, from `low`.

    Returns the position of each point and, for each spectrum, the number of grid points
    up to `high`: 0 where it is empty. Gaps wider than `limit` are cut down to it.
    """
    xp = array_namespace(mz)
    n = mz.shape[0]
    start, stop = indptr[:-1], indptr[1:]
    if n == 0:
        empty = xp.zeros(0, dtype=xp.int64, device=device_of(mz))
        return empty, stop - start
    owner = owners(indptr, n)
    spacing = interpolate(mz, knots, steps)
    index = xp.arange(n, dtype=indptr.dtype, device=device_of(mz))
    first = xp.take(start, owner) == index
    gaps = mz - xp.where(first, low, xp.roll(mz, 1))
    counts = xp.clip(xp.round(gaps / spacing), 0.0, float(limit))
    counts = xp.where(first, counts, xp.clip(counts, 1.0, float(limit)))
    total = xp.cumulative_sum(xp.astype(counts, xp.int64))
    before = xp.concat([xp.zeros_like(total[:1]), total])
    position = total - xp.take(xp.take(before, start), owner)
    last = xp.clip(stop - 1, 0, n - 1)
    rest = (high - xp.take(mz, last)) / xp.take(spacing, last)
    rest = xp.astype(xp.round(xp.clip(rest, 0.0, float(limit))), xp.int64)
    length = xp.take(position, last) + 1 + rest
    return position, xp.where(stop > start, length, xp.zeros_like(length))


def end_to_end(indptr: Any, position: Any, length: Any) -> tuple[Any, Any]:
    """Lay the grids of ragged spectra end to end.

    Returns the place of each point there, and the widest window around it that ends
    within its own grid.
    """
    xp = array_namespace(position)
    owner = owners(indptr, position.shape[0])
    place = position + xp.take(xp.cumulative_sum(length) - length, owner)
    room = xp.minimum(position, xp.take(length, owner) - 1 - position)
    return place, room


def with_zeros(values: Any, position: Any, length: int) -> Any:
    """Return the values of one spectrum on its whole grid: 0 where none is stored."""
    xp = array_namespace(values)
    index = xp.arange(length, dtype=position.dtype, device=device_of(values))
    last = xp.clip(xp.searchsorted(position, index, side="right") - 1, 0, None)
    stored, kept = xp.take(position, last) == index, xp.take(values, last)
    return xp.where(stored, kept, xp.zeros_like(kept))


def owners(indptr: Any, n_points: int) -> Any:
    """Return the number of the spectrum that each point belongs to."""
    xp = array_namespace(indptr)
    index = xp.arange(n_points, dtype=indptr.dtype, device=device_of(indptr))
    return xp.searchsorted(indptr[1:], index, side="right")


def interpolate(x: Any, knots: Any, values: Any) -> Any:
    """Interpolate linearly between increasing knots; constant beyond them."""
    xp = array_namespace(x)
    if knots.shape[0] == 1:
        return xp.zeros_like(x) + values[0]
    q = xp.clip(xp.searchsorted(knots, x, side="right") - 1, 0, knots.shape[0] - 2)
    left, right = xp.take(knots, q), xp.take(knots, q + 1)
    t = xp.clip((x - left) / (right - left), 0.0, 1.0)
    return xp.take(values, q) + t * (xp.take(values, q + 1) - xp.take(values, q))


def on_whole_grids(
    function: Callable[..., Any],
    arrays: tuple,
    indptr: Any,
    position: Any,
    length: Any,
) -> Any:
    """Apply a function of rows to ragged spectra, one by one, with zeros in place.

    Parameters
    ----------
    function : callable
        Takes one row (m,) for each of `arrays` and returns values (1, m).
    arrays : tuple of array, shape (n_points,)
        Their first is returned as it is where there are no points.
    indptr, position, length : array
        As of :func:`grid_positions`.

    Returns
    -------
    array of shape (n_points,)
        What the function gives at the stored points.
    """
    xp = array_namespace(position)
    bounds, sizes = to_numpy(indptr).tolist(), to_numpy(length).tolist()
    parts = []
    for start, stop, n in zip(bounds[:-1], bounds[1:], sizes, strict=True):
        if start == stop:
            continue
        here = position[start:stop]
        rows = [with_zeros(array[start:stop], here, n) for array in arrays]
        parts.append(xp.take(function(*rows)[0, :], here))
    return xp.concat(parts) if parts else arrays[0]
