"""Blocks of rows: what passes compute at a time, keep, and share."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import joblib
import numpy as np
from joblib.parallel import get_active_backend

from imsminer._sklearn_compat import Parallel, delayed
from imsminer.core.chunk import kernel_fingerprint
from imsminer.core.disk import DiskCache
from imsminer.core.source import Source
from imsminer.core.spectra import Spectra

__all__ = [
    "N_BLOCKS",
    "block",
    "block_positions",
    "cut_blocks",
    "run_tasks",
    "shared_results",
]

#: A source is cut into about this many blocks: enough to share and to run in parallel,
#: few enough that their sums along the axis fit in memory.
N_BLOCKS = 16


class _Block(Spectra):
    """Some rows and the queue, and nothing else that a process has to be sent."""

    def __reduce__(self) -> tuple:
        return _restore_block, (self.source, self._row_state(), self.queue)


def _restore_block(source: Source, rows: Any, queue: tuple) -> _Block:
    return _Block(source, np.asarray(rows, np.int64), queue)


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
        labels = np.asarray(source.blocks, np.int64)
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


def block(spectra: Spectra, positions: np.ndarray | slice) -> Spectra:
    """Return some rows of `spectra` for a task: small where it is pickled."""
    return _Block(spectra.source, spectra.rows[positions], spectra.queue)


def cut_blocks(
    spectra: Spectra, name: Hashable
) -> tuple[list[Spectra], list[Hashable]]:
    """Return the blocks of `spectra`, and the key of a result `name` of each."""
    parts = [block(spectra, positions) for positions in block_positions(spectra)]
    queue = tuple(kernel_fingerprint(kernel) for kernel in spectra.queue)
    identity = spectra.source.identity
    return parts, [(identity, joblib.hash(p.rows), queue, name) for p in parts]


def shared_results(
    disk: DiskCache,
    parts: list[Spectra],
    keys: list[Hashable],
    task: Callable,
    arguments: tuple,
    n_jobs: int | None,
) -> Iterator[tuple[int, Any]]:
    """Yield number and result of each block, in any order, by way of a folder.

    Blocks that another process is computing are left for the end: processes that need
    the same ones divide them among themselves.
    """
    waiting = []
    for number, key in enumerate(keys):
        found = disk.find(key)
        if found is None:
            waiting.append(number)
        else:
            yield number, found
    for patience in (0.0, np.inf):
        calls = [
            (disk, keys[number], patience, task, parts[number], *arguments)
            for number in waiting
        ]
        later = []
        for number, result in zip(
            waiting, run_tasks(_through, calls, n_jobs), strict=True
        ):
            if result is None:
                later.append(number)
            else:
                yield number, result
        waiting = later


def _through(
    disk: DiskCache, key: Hashable, patience: float, task: Callable, *arguments: Any
) -> Any:
    return disk.through(key, lambda: task(*arguments), patience=patience)


def run_tasks(task: Callable, calls: Iterable[tuple], n_jobs: int | None) -> Iterator:
    """Run tasks in order: threads unless ``joblib.parallel_config`` says otherwise."""
    calls = list(calls)
    if not calls:
        # Some back ends start processes all the same.
        return iter(())
    # Ray's back end returns all results at a time only.
    backend, _ = get_active_backend(prefer="threads")
    return_as = "generator" if backend.supports_return_generator else "list"
    parallel = Parallel(n_jobs=n_jobs, prefer="threads", return_as=return_as)
    return iter(parallel(delayed(task)(*call) for call in calls))
