"""A bounded piece of a dataset, and the kernels that turn one into another."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import joblib
import numpy as np

__all__ = [
    "ChunkKernel",
    "SpectrumChunk",
    "apply_kernel",
    "kernel_fingerprint",
    "rows_as_chunk",
]

#: m/z at which steps are asked whether they move the grid: a polynomial error that is
#: not 0 everywhere is not 0 at each of them.
PROBE = np.geomspace(50.0, 5000.0, 8)


@dataclass(frozen=True, slots=True)
class SpectrumChunk:
    """Consecutive spectra of one run, as arrays.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Positions of these spectra in the :class:`Spectra` that is iterated.
    coordinates : ndarray of int, shape (n, 3)
        x, y, z of each pixel, as the file says.
    intensity : ndarray, shape (n, n_mz) or (n_points,)
        Two-dimensional on a shared axis; for spectra with an axis each, the points of
        all spectra one after the other.
    mz : ndarray of float64, shape (n_mz,) or (n_points,)
        The shared axis, or the m/z of every point.
    indptr : ndarray of int64, shape (n + 1,), or None
        Where each spectrum starts and ends in the flat arrays; `None` on a shared
        axis.
    run : str
        The run that all of these spectra belong to.
    profile : bool
        Whether the points sample a profile (else they are centroids).
    mobility : ndarray of float64, shape (n_points,), or None
        The ion mobility of every point, where the file has it and each spectrum has an
        axis of its own; in the unit of the file.
    moved : bool
        Whether a queued step moved the m/z of these points off the instrument's grid.

    Notes
    -----
    The arrays may be read-only views of a mapped file: a kernel writes into new ones.
    """

    rows: np.ndarray
    coordinates: np.ndarray
    intensity: Any
    mz: Any
    indptr: Any = None
    run: str = ""
    profile: bool = True
    mobility: Any = None
    moved: bool = False

    @property
    def is_ragged(self) -> bool:
        """Whether each spectrum has m/z values of its own."""
        return self.indptr is not None

    @property
    def n_spectra(self) -> int:
        """Number of spectra."""
        return self.rows.shape[0]

    def spectrum(self, i: int) -> tuple[Any, Any]:
        """Return m/z and intensity of the `i`-th spectrum of the chunk."""
        if self.indptr is None:
            return self.mz, self.intensity[i, :]
        start, stop = int(self.indptr[i]), int(self.indptr[i + 1])
        return self.mz[start:stop], self.intensity[start:stop]

    def one(self, i: int) -> "SpectrumChunk":
        """Return a chunk of the `i`-th spectrum alone."""
        own = {
            "rows": self.rows[i : i + 1],
            "coordinates": self.coordinates[i : i + 1],
        }
        if self.indptr is None:
            return self.replace(intensity=self.intensity[i : i + 1, :], **own)
        start, stop = int(self.indptr[i]), int(self.indptr[i + 1])
        return self.replace(
            intensity=self.intensity[start:stop],
            mz=self.mz[start:stop],
            indptr=self.indptr[i : i + 2] - start,
            mobility=None if self.mobility is None else self.mobility[start:stop],
            **own,
        )

    def replace(self, **changes: Any) -> "SpectrumChunk":
        """Return a chunk with some fields exchanged."""
        return dataclasses.replace(self, **changes)


def rows_as_chunk(X: Any) -> SpectrumChunk:
    """Return the rows of an array (n, m) as spectra on the axis 0, 1, 2, …"""
    n_pixels, n_mz = X.shape
    return SpectrumChunk(
        rows=np.arange(n_pixels),
        coordinates=np.zeros((n_pixels, 3), np.int64),
        intensity=X,
        mz=np.arange(n_mz, dtype=np.float64),
    )


class ChunkKernel:
    """One lazy step over spectra: takes a chunk and returns a chunk.

    Subclasses are module-level frozen dataclasses, so that they pickle and their
    fields are the whole of their state. They may change intensities and m/z values,
    and the number of points where they make centroids, never the number or order of
    spectra.
    """

    version: ClassVar[int] = 1
    """Raised whenever the same state gives another result than before."""

    moves_mz: ClassVar[bool] = False
    """Whether the step changes the m/z values of ragged spectra."""

    makes_centroids: ClassVar[bool] = False
    """Whether the step turns all spectra into centroids with an m/z axis each."""

    feeds_gpu = False
    """Whether the step is the move of chunks to a GPU, which runs beside the others."""

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        raise NotImplementedError

    def transform_axis(self, mz: np.ndarray) -> np.ndarray:
        """Return what the step makes of a shared axis; the same, unless overridden.

        A step that moves the points of all spectra alike moves their grid so, too.
        """
        return mz


def apply_kernel(kernel: ChunkKernel, chunk: SpectrumChunk) -> SpectrumChunk:
    """Apply a queued step; a note on an error says which step, run and pixel."""
    try:
        result = kernel(chunk)
    except Exception as error:
        where = f"one of {chunk.n_spectra} pixels"
        for i in range(chunk.n_spectra):
            try:
                kernel(chunk.one(i))
            except Exception:
                x, y, z = chunk.coordinates[i].tolist()
                where = f"pixel x={x}, y={y}, z={z}"
                break
        error.add_note(
            f"In the queued step {type(kernel).__name__}: run {chunk.run!r}, {where}."
        )
        raise
    moved = chunk.moved or _leaves_grid(kernel, chunk, result)
    return result.replace(moved=True) if moved and not result.moved else result


def _leaves_grid(
    kernel: ChunkKernel, before: SpectrumChunk, after: SpectrumChunk
) -> bool:
    """Whether a step moved the points of ragged spectra, and not their grid, too."""
    if not kernel.moves_mz or not after.is_ragged or after.mz is before.mz:
        return False
    return np.array_equal(kernel.transform_axis(PROBE), PROBE)


def kernel_fingerprint(kernel: ChunkKernel) -> str:
    """Hash a kernel by class, version and the content of its fields.

    Those that make no difference to the result are declared with ``compare=False``.
    """
    kind = type(kernel)
    state = {
        field.name: getattr(kernel, field.name)
        for field in dataclasses.fields(kernel)  # type: ignore[arg-type]
        if field.compare
    }
    name = f"{kind.__module__}.{kind.__qualname__}"
    return joblib.hash((name, kernel.version, state))
