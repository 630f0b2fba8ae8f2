"""Reading the chunks of a pass, with the queued steps applied."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from imsminer.core._rows import as_slice, segments
from imsminer.core.chunk import SpectrumChunk, apply_kernel

if TYPE_CHECKING:
    from imsminer.core.spectra import Spectra

__all__ = ["read_chunks"]


def read_chunks(spectra: "Spectra", limit: int) -> Iterator[SpectrumChunk]:
    """Read the rows in order, in chunks of one run and at most `limit` bytes.

    At least one spectrum is delivered at a time.
    """
    source, rows = spectra.source, spectra.rows
    names = [str(name) for name in source.runs.index]
    for start, stop, run in segments(rows, source.run_bounds, source.row_bytes, limit):
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
        for kernel in spectra.queue:
            chunk = apply_kernel(kernel, chunk)
        yield chunk


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
