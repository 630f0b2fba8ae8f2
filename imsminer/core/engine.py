"""Passes over chunks: statistics of axes and rows, and row-wise maps.

A pass is what costs, so each of them does many things at once, and its results are
kept per *block* of rows. A block is computed once for all selections of rows that
contain it whole: the folds of a cross-validation and the candidates of a grid search
share them as long as nothing that was fitted on the fold stands in the queue.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    to_numpy,
)
from imsminer.core._blocks import (
    N_BLOCKS,
    block,
    block_positions,
    cut_blocks,
    run_tasks,
    shared_results,
)
from imsminer.core._kernels import accumulate_numba, accumulate_xp
from imsminer.core.binning import AxisStatistics, Binner
from imsminer.core.cache import cache
from imsminer.core.chunk import SpectrumChunk, kernel_fingerprint
from imsminer.core.progress import progress_bar
from imsminer.core.spectra import Spectra

__all__ = [
    "AxisStatistics",
    "RowStatistics",
    "axis_statistics",
    "block_positions",
    "map_rows",
    "raise_not_finite",
    "row_statistics",
]


@dataclass(frozen=True)
class RowStatistics:
    """Per-pixel sums of whole spectra, each of shape (n_pixels,) and float64.

    Attributes
    ----------
    total : ndarray
        Total ion current.
    maximum : ndarray
        Base peak intensity; 0 for an empty spectrum.
    squares : ndarray
        Sum of squared intensities.
    n_points : ndarray
        Number of points above 0.
    """

    total: np.ndarray
    maximum: np.ndarray
    squares: np.ndarray
    n_points: np.ndarray


def axis_statistics(
    spectra: Spectra,
    axis: Any = None,
    *,
    full: bool = True,
    n_jobs: int | None = None,
) -> AxisStatistics:
    """Return sum, maximum, detection count and sum of squares along the m/z axis.

    One pass over the blocks that are not in the cache.

    Parameters
    ----------
    spectra : Spectra
        The spectra.
    axis : MassAxis, default=None
        A resolved axis; the spectra's own shared axis when `None`.
    full : bool, default=True
        `False` computes the sum only, at the speed of reading.
    n_jobs : int, default=None
        Blocks at a time, as in joblib (threads by default).

    Returns
    -------
    AxisStatistics

    Raises
    ------
    ValueError
        When there is no axis, no pixel, or an intensity that is not finite.
    """
    if axis is None and spectra.mz is None:
        message = (
            "these spectra have an m/z axis each; give an axis such as "
            "MassAxis.estimate(spectra) to add them up on."
        )
        raise ValueError(message)
    _require_rows(spectra)
    binner = Binner.of(spectra, axis)
    name = ("axis", full, binner.fingerprint)
    result = AxisStatistics.zeros(binner.centers, full=full)
    label = "Reference spectrum" if full else "Mean spectrum"
    for part in _axis_parts(spectra, name, (binner, full), n_jobs, label):
        result = result.combine(part)
    return result


def row_statistics(spectra: Spectra, *, n_jobs: int | None = None) -> RowStatistics:
    """Return total ion current, base peak, sum of squares and points of each pixel.

    One pass over the rows that are not in the cache.

    Parameters
    ----------
    spectra : Spectra
        The spectra.
    n_jobs : int, default=None
        Blocks at a time, as in joblib (threads by default).

    Returns
    -------
    RowStatistics
    """
    table = map_rows(
        spectra, _row_totals, "totals", n_jobs=n_jobs, label="Total ion current"
    )
    if not np.all(np.isfinite(table[:, 0])):
        raise_not_finite(spectra)
    return RowStatistics(*np.ascontiguousarray(table.T))


def map_rows(
    spectra: Spectra,
    function: Callable[[SpectrumChunk], Any],
    key: Hashable,
    *,
    n_jobs: int | None = None,
    label: str = "Integration",
) -> Any:
    """Apply a function that returns ``(n, k)`` to every chunk; stack in row order.

    One pass over the rows whose results are not in the cache: those of a source, a
    queue and a key are kept together, so that the folds of a cross-validation share
    them.

    Parameters
    ----------
    spectra : Spectra
        The spectra.
    function : callable
        Takes a chunk, returns an array with one row per spectrum, which depends on
        nothing but that spectrum. Picklable.
    key : hashable
        Says all that the function's result depends on, besides the spectra.
    n_jobs : int, default=None
        Parts at a time, as in joblib (threads by default).
    label : str
        Name of the progress bar.

    Returns
    -------
    array, shape (n_pixels, k)
    """
    _require_rows(spectra)
    queue = tuple(kernel_fingerprint(kernel) for kernel in spectra.queue)
    name = ("map", spectra.source.identity, queue, key)
    rows, known = spectra.rows, cache.find(name)
    compute = _map_all if spectra.source.disk is None else _map_shared
    if known is None:
        known = compute(spectra, function, key, n_jobs, label)
        cache.put(name, known)
        return known.of(rows)
    missing = known.missing(rows)
    if missing.size:
        more = compute(spectra.of_rows(missing), function, key, n_jobs, label)
        known = _RowResults(
            np.concatenate([known.rows, more.rows]), _stack([known.values, more.values])
        )
        cache.put(name, known)
    return known.of(rows)


@dataclass(frozen=True)
class _RowResults:
    """Results (n, k) of some rows of a source, in the order of `rows` (n,)."""

    rows: np.ndarray
    values: Any

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows that are not here, in the order of the source."""
        return np.setdiff1d(rows, self.rows)

    def of(self, rows: np.ndarray) -> Any:
        """Return the results of rows that are all here."""
        if np.array_equal(rows, self.rows):
            return self.values
        order = np.argsort(self.rows, kind="stable")
        place = order[np.searchsorted(self.rows, rows, sorter=order)]
        xp, device = array_namespace(self.values), device_of(self.values)
        return xp.take(self.values, xp.asarray(place, device=device), axis=0)


def _map_all(
    spectra: Spectra,
    function: Callable,
    key: Hashable,
    n_jobs: int | None,
    label: str,
) -> _RowResults:
    size = max(64, -(-len(spectra) // N_BLOCKS))
    starts = range(0, len(spectra), size)
    views = [block(spectra, slice(start, start + size)) for start in starts]
    parts = run_tasks(_map_part, [(view, function) for view in views], n_jobs)
    collected = []
    with progress_bar(label, len(spectra)) as advance:
        for view, part in zip(views, parts, strict=True):
            collected.append(part)
            advance(len(view))
    return _RowResults(spectra.rows, _stack(collected))


def _map_shared(
    spectra: Spectra,
    function: Callable,
    key: Hashable,
    n_jobs: int | None,
    label: str,
) -> _RowResults:
    """Do so block by block, by way of the folder that processes share."""
    spectra = spectra.of_rows(np.unique(spectra.rows))
    parts, keys = cut_blocks(spectra, ("rows", key))
    arguments = (parts, keys, _map_part, (function,), n_jobs)
    assert spectra.source.disk is not None
    collected: list = [None] * len(parts)
    with progress_bar(label, len(spectra)) as advance:
        for number, part in shared_results(spectra.source.disk, *arguments):
            collected[number] = part
            advance(len(parts[number]))
    rows = np.concatenate([part.rows for part in parts])
    return _RowResults(rows, _stack(collected))


def _axis_parts(
    spectra: Spectra, name: tuple, arguments: tuple, n_jobs: int | None, label: str
) -> Iterator[AxisStatistics]:
    """Yield the statistics of each block; compute those that are not kept."""
    parts, keys = cut_blocks(spectra, name)
    missing = [number for number, key in enumerate(keys) if key not in cache]
    disk = spectra.source.disk
    with progress_bar(label, sum(len(parts[i]) for i in missing)) as advance:
        computed: Iterator = iter(())
        if disk is None:
            calls = [(parts[number], *arguments) for number in missing]
            computed = run_tasks(_axis_block, calls, n_jobs)
        else:
            # Two steps, so that no more than the cache's bound is held at a time.
            pick = [parts[i] for i in missing], [keys[i] for i in missing]
            shared = shared_results(disk, *pick, _axis_block, arguments, n_jobs)
            for number, result in shared:
                cache.put(pick[1][number], result)
                advance(len(pick[0][number]))
            missing = []
        waiting = set(missing)
        for number, (part, key) in enumerate(zip(parts, keys, strict=True)):
            if number in waiting:
                result = next(computed)
                advance(len(part))
                yield cache.get(key, partial(_as_is, result))
            else:
                # It may have been dropped since: then it is computed again, here.
                again = partial(_axis_block, part, *arguments)
                yield cache.get(key, again, disk)
        # Joblib complains of a generator that nobody has read to its end.
        next(computed, None)


def _as_is(result: Any) -> Any:
    return result


def _axis_block(spectra: Spectra, binner: Binner, full: bool) -> AxisStatistics:
    accumulator = binner.accumulator(full=full)
    for chunk in spectra.iter_chunks():
        accumulator.add(chunk)
    result = accumulator.result()
    if not np.all(np.isfinite(result.total)):
        raise_not_finite(spectra)
    # The axis is the same for all blocks.
    return replace(result, mz=result.mz[:0])


def _row_totals(chunk: SpectrumChunk) -> np.ndarray:
    """Return sum, maximum, sum of squares and points of each spectrum, (n, 4)."""
    intensity, indptr = chunk.intensity, chunk.indptr
    name = "row_totals" if indptr is None else "row_totals_ragged"
    arguments = (intensity,) if indptr is None else (intensity, indptr)
    if is_numpy_array(intensity):
        table = np.zeros((4, chunk.n_spectra))
        getattr(accumulate_numba, name)(*arguments, *table)
    else:
        xp = array_namespace(intensity)
        parts = getattr(device_kernels(intensity, accumulate_xp), name)(*arguments)
        # One copy to the host; counts below 2**53 are exact in float64.
        table = to_numpy(xp.stack([xp.astype(part, xp.float64) for part in parts]))
    return table.T


def _map_part(spectra: Spectra, function: Callable[[SpectrumChunk], Any]) -> Any:
    return _stack([function(chunk) for chunk in spectra.iter_chunks()])


def _stack(parts: list) -> Any:
    if len(parts) == 1:
        return parts[0]
    return array_namespace(parts[0]).concat(parts)


def _require_rows(spectra: Spectra) -> None:
    if len(spectra) == 0:
        message = (
            "0 pixels are left; at least 1 is required. Look at the selected rows."
        )
        raise ValueError(message)


def raise_not_finite(spectra: Spectra) -> None:
    """Find the first spectrum with NaN or infinity, and say which it is."""
    for chunk in spectra.iter_chunks():
        for i in range(chunk.n_spectra):
            intensity = to_numpy(chunk.spectrum(i)[1])
            bad = np.flatnonzero(~np.isfinite(intensity))
            if bad.size:
                x, y, z = chunk.coordinates[i]
                message = (
                    f"run {chunk.run!r}, pixel x={x}, y={y}, z={z}: intensity number "
                    f"{bad[0]} is {intensity[bad[0]]}; intensities must be finite. "
                    "Leave this pixel out, or repair the file."
                )
                raise ValueError(message)
    message = "the sum of the intensities overflows; scale them down."
    raise ValueError(message)
