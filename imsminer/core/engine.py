"""Passes over chunks: statistics of axes and rows, and row-wise maps.

A pass is what costs, so each of them does many things at once, and its results are
kept per *block* of rows. A block is computed once for all selections of rows that
contain it whole: the folds of a cross-validation and the candidates of a grid search
share them as long as nothing that was fitted on the fold stands in the queue.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import joblib
import numpy as np

from imsminer._array import array_namespace, device_of, is_numpy_array, to_numpy
from imsminer._sklearn_compat import Parallel, delayed
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

#: A source is cut into about this many blocks: enough to share and to run in parallel,
#: few enough that their sums along the axis fit in memory.
N_BLOCKS = 16


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


def block_positions(spectra: Spectra) -> list[np.ndarray]:
    """Cut the rows of `spectra` into the blocks by which passes are kept.

    Blocks are the same for every selection of rows from one source: consecutive rows
    with the same label in ``spectra.source.blocks`` (one label for all when that is
    `None`; :class:`imsminer.model_selection.SpatialBlockSplit` sets it). A block of
    which only some rows are selected yields those rows.

    Returns
    -------
    list of ndarray of int
        Positions in `spectra`, each array in the order of the source's rows.
    """
    source = spectra.source
    size = -(-source.n_rows // N_BLOCKS)
    size = max(64, -(-size // 8) * 8)
    rows = spectra.rows
    if source.blocks is None:
        block = rows // size
    else:
        labels = np.asarray(source.blocks)
        order = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[order], prepend=labels[order[0]] - 1))
        rank = np.arange(labels.size)
        rank -= np.repeat(starts, np.diff(starts, append=labels.size))
        ids = np.empty(labels.size, np.int64)
        ids[order] = np.cumsum(rank % size == 0) - 1
        block = ids[rows]
    order = np.lexsort((rows, block))
    bounds = np.flatnonzero(np.diff(block[order])) + 1
    return np.split(order, bounds)


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
    for _, part in _blocks(spectra, name, _axis_block, (binner, full), n_jobs, label):
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
    if known is None:
        known = _RowResults(rows, _map_all(spectra, function, n_jobs, label))
        cache.put(name, known)
        return known.values
    missing = known.missing(rows)
    if missing.size:
        more = _map_all(spectra.of_rows(missing), function, n_jobs, label)
        known = _RowResults(
            np.concatenate([known.rows, missing]), _stack([known.values, more])
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
    spectra: Spectra, function: Callable, n_jobs: int | None, label: str
) -> Any:
    size = max(64, -(-len(spectra) // N_BLOCKS))
    starts = range(0, len(spectra), size)
    views = [spectra[start : start + size] for start in starts]
    parts = _run(_map_part, [(view, function) for view in views], n_jobs)
    collected = []
    with progress_bar(label, len(spectra)) as advance:
        for view, part in zip(views, parts, strict=True):
            collected.append(part)
            advance(len(view))
    return _stack(collected)


def _blocks(
    spectra: Spectra,
    name: tuple,
    task: Callable,
    arguments: tuple,
    n_jobs: int | None,
    label: str,
) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield positions and result of each block; compute those not in the cache."""
    queue = tuple(kernel_fingerprint(kernel) for kernel in spectra.queue)
    blocks = block_positions(spectra)
    views = [spectra[positions] for positions in blocks]
    keys = [
        (spectra.source.identity, joblib.hash(view.rows), queue, *name)
        for view in views
    ]
    missing = [view for view, key in zip(views, keys, strict=True) if key not in cache]
    computed = _run(task, [(view, *arguments) for view in missing], n_jobs)
    with progress_bar(label, sum(map(len, missing))) as advance:
        waiting = {id(view) for view in missing}
        for positions, view, key in zip(blocks, views, keys, strict=True):
            if id(view) in waiting:
                result = next(computed)
                advance(len(view))
                yield positions, cache.get(key, partial(_as_is, result))
            else:
                # It may have been dropped since: then it is computed again, here.
                yield positions, cache.get(key, partial(task, view, *arguments))
    # Joblib complains of a generator that nobody has read to its end.
    next(computed, None)


def _as_is(result: Any) -> Any:
    return result


def _run(task: Callable, calls: Iterable[tuple], n_jobs: int | None) -> Iterator:
    """Run tasks in order: threads unless ``joblib.parallel_config`` says otherwise."""
    calls = list(calls)
    parallel = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
    return iter(parallel(delayed(task)(*call) for call in calls))


def _axis_block(spectra: Spectra, binner: Binner, full: bool) -> AxisStatistics:
    accumulator = binner.accumulator(full=full)
    for chunk in spectra.iter_chunks():
        accumulator.add(chunk)
    result = accumulator.result()
    if not np.all(np.isfinite(result.total)):
        raise_not_finite(spectra)
    return result


def _row_totals(chunk: SpectrumChunk) -> np.ndarray:
    """Return sum, maximum, sum of squares and points of each spectrum, (n, 4)."""
    intensity, indptr = chunk.intensity, chunk.indptr
    name = "row_totals" if indptr is None else "row_totals_ragged"
    arguments = (intensity,) if indptr is None else (intensity, indptr)
    if is_numpy_array(intensity):
        table = np.zeros((4, chunk.n_spectra))
        getattr(accumulate_numba, name)(*arguments, *table)
    else:
        parts = getattr(accumulate_xp, name)(*arguments)
        table = np.array([to_numpy(part) for part in parts])
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
            intensity = np.asarray(chunk.spectrum(i)[1])
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
