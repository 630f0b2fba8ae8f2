"""Reading the chunks of a pass, with the queued steps applied."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from imsminer.core._rows import as_slice, segments
from imsminer.core.chunk import SpectrumChunk, apply_kernel

if TYPE_CHECKING:
    from imsminer.core.spectra import Spectra

__all__ = ["read_chunks"]

#: First position, the one behind the last, and the run.
Piece = tuple[int, int, int]


def read_chunks(spectra: "Spectra", limit: int) -> Iterator[SpectrumChunk]:
    """Read the rows in order, in chunks of one run and at most `limit` bytes.

    At least one spectrum is delivered at a time.
    """
    source, rows = spectra.source, spectra.rows
    pieces = segments(rows, source.run_bounds, source.row_bytes, limit)
    names = [str(name) for name in source.runs.index]
    read = partial(_read, spectra, rows, names)
    move = next((i for i, k in enumerate(spectra.queue) if k.feeds_gpu), None)
    if move is not None:
        yield from _fed(spectra, rows, list(pieces), read, move)
        return
    for piece in pieces:
        chunk = read(piece)
        for kernel in spectra.queue:
            chunk = apply_kernel(kernel, chunk)
        yield chunk


def _read(
    spectra: "Spectra", rows: np.ndarray, names: list[str], piece: Piece
) -> SpectrumChunk:
    """Read some rows as they are."""
    source, (start, stop, run) = spectra.source, piece
    part = as_slice(rows[start:stop])
    arrays = source.read(part)
    chunk = SpectrumChunk(
        rows=np.arange(start, stop),
        coordinates=source.coordinates[part],
        intensity=arrays.intensity,
        mz=arrays.mz,
        indptr=arrays.indptr,
        run=names[run],
        profile=bool(source.profile[run]),
        mobility=arrays.mobility,
    )
    if spectra.queue:
        _require_finite(spectra, chunk)
    return chunk


def _fed(
    spectra: "Spectra",
    rows: np.ndarray,
    pieces: list[Piece],
    read: Callable[[Piece], SpectrumChunk],
    move: int,
) -> Iterator[SpectrumChunk]:
    """Apply the steps before number `move` on the host, the others on a GPU."""
    from imsminer.core.device import feed

    before, after = spectra.queue[:move], spectra.queue[move + 1 :]

    def prepare(piece: Piece) -> SpectrumChunk:
        chunk = read(piece)
        for kernel in before:
            chunk = apply_kernel(kernel, chunk)
        return chunk

    ends = np.concatenate([[0], np.cumsum(spectra.source.row_bytes[rows])])
    sizes = [int(ends[stop] - ends[start]) for start, stop, _ in pieces]
    # Where each row has an axis of its own, it has an end, too.
    most = max((stop - start + 1 for start, stop, _ in pieces), default=0)
    n_bytes = max(sizes, default=0) + 8 * most
    device = spectra.queue[move].device  # type: ignore[attr-defined]
    with closing(feed(prepare, pieces, n_bytes, device)) as chunks:
        for chunk in chunks:
            for kernel in after:
                chunk = apply_kernel(kernel, chunk)
            yield chunk
            # Its memory may be of use while the next one is waited for.
            del chunk


def _require_finite(spectra: "Spectra", chunk: SpectrumChunk) -> None:
    """Refuse NaN and infinity, which steps could turn into numbers.

    A pass sees them in its sums. Only files on a shared axis are mapped; all other
    spectra were looked at when they were read.
    """
    if chunk.indptr is not None:
        return
    # Loading numba takes long, and looking at a file needs none.
    from imsminer.core._kernels import finite_numba

    row = finite_numba.first_not_finite(chunk.intensity)
    if row >= 0:
        from imsminer.core.engine import raise_not_finite
        from imsminer.core.spectra import Spectra

        found = spectra.rows[chunk.rows[row : row + 1]]
        raise_not_finite(Spectra(spectra.source, found))
