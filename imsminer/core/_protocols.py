"""What indexing, NumPy, scikit-learn and pickle ask of Spectra."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from imsminer.core._rows import positions
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.core.source import Source

__all__ = ["SpectraProtocols", "Spectrum"]


class Spectrum(NamedTuple):
    """One spectrum: m/z (float64) and intensity."""

    mz: np.ndarray
    intensity: np.ndarray


class SpectraProtocols:
    """Protocols of Spectra, on top of its rows, its view of some and its chunks."""

    source: Source
    queue: tuple[ChunkKernel, ...]
    peaks: pd.DataFrame | None
    _rows: np.ndarray | None
    _pixels: pd.DataFrame | None

    ndim = 2
    device = "cpu"

    def __len__(self) -> int:
        raise NotImplementedError

    def iter_chunks(self, max_bytes: int | None = None) -> Iterator[SpectrumChunk]:
        raise NotImplementedError

    def _view(self, selected: np.ndarray) -> Any:
        raise NotImplementedError

    def _row_state(self) -> Any:
        raise NotImplementedError

    # Rows --------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        """Return one spectrum for an integer, else a view of the selected rows."""
        if isinstance(key, numbers.Integral):
            return self._spectrum(int(key))
        if isinstance(key, tuple):
            message = (
                f"{type(self).__name__} is indexed by pixels only; select m/z with "
                "ion_image(mz, ppm) or a PeakPicker."
            )
            raise IndexError(message)
        return self._view(positions(key, len(self)))

    def __iter__(self) -> Iterator[Spectrum]:
        for chunk in self.iter_chunks():
            for i in range(chunk.n_spectra):
                yield Spectrum(*chunk.spectrum(i))

    @property
    def iloc(self) -> Self:
        """Rows by position, for scikit-learn's selections."""
        return self

    loc = iloc

    def _spectrum(self, position: int) -> Spectrum:
        n = len(self)
        if not -n <= position < n:
            message = f"pixel {position} is out of range: there are {n} pixels"
            raise IndexError(message)
        (chunk,) = self._view(np.array([position % n])).iter_chunks()
        return Spectrum(*chunk.spectrum(0))

    # Arrays, scikit-learn, pickle --------------------------------------------------

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        message = (
            f"{type(self).__name__} is not an array: {len(self):,} spectra are not "
            "read into memory by accident. Put PeakPicker and PeakIntegrator before "
            "this step to get features (n_pixels, n_peaks)."
        )
        raise TypeError(message)

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        from imsminer._sklearn_compat import numpy_namespace

        return numpy_namespace()

    def __reduce__(self) -> tuple:
        rows = None if self._rows is None else self._row_state()
        return _restore, (
            self.source,
            rows,
            self.queue,
            self._pixels,
            self.peaks,
            self.source.blocks,
            self.source.disk,
        )


def _restore(
    source: Source,
    rows: Any,
    queue: tuple[ChunkKernel, ...],
    pixels: pd.DataFrame | None,
    peaks: pd.DataFrame | None,
    blocks: Any,
    disk: Any,
) -> Any:
    from imsminer.core.spectra import Spectra

    if isinstance(rows, range):
        rows = np.arange(rows.start, rows.stop, rows.step)
    source.blocks, source.disk = blocks, disk
    return Spectra(source, rows, queue, pixels=pixels, peaks=peaks)
