"""Spectra: the lazy, ordered collection of spectra that steps read and return."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pandas as pd

from imsminer.core._from_arrays import array_source
from imsminer.core._keeping import SpectraKeeping
from imsminer.core._protocols import SpectraProtocols, Spectrum
from imsminer.core._reading import read_chunks
from imsminer.core._rows import as_range, positions
from imsminer.core.chunk import ChunkKernel, SpectrumChunk, kernel_fingerprint
from imsminer.core.source import Source

__all__ = ["Spectra", "Spectrum"]

#: Chunks of a few megabytes stay in the processor's cache; larger ones are slower.
CHUNK_BYTES = 4 * 2**20
#: Views into a mapped file are in nobody's cache yet: fewer, larger ones cost less.
VIEW_BYTES = 24 * 2**20
#: Spectra with axes of their own that are larger than this come one by one, in place.
LARGE_ROW = 384 * 2**10


class Spectra(SpectraKeeping, SpectraProtocols):
    """A lazy sequence of mass spectra, one per pixel.

    Nothing is read until someone iterates. Rows are selected and steps are queued
    without a copy; a pass reads the rows chunk by chunk and applies the queue.

    Made by :class:`imsminer.ImzMLReader`, :meth:`from_arrays` and
    :func:`~imsminer.concatenate`, not by its constructor.

    Attributes
    ----------
    shape : tuple
        ``(n_pixels, n_mz)``; `n_mz` is `None` when each pixel has an axis of its own.
    mz : ndarray of float64, shape (n_mz,), or None
        The axis that all spectra share.
    coordinates : ndarray of int, shape (n_pixels, 3)
        x, y, z of each pixel, as the file says.
    pixels : DataFrame
        One row per pixel: `run`, `x`, `y`, `z`, and whatever you add to it.
    runs : DataFrame
        One row per run: path, polarity, mode, spectrum type, pixel size in µm, …
    peaks : DataFrame or None
        Peaks that a `PeakPicker` attached.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import Spectra
    >>> spectra = Spectra.from_arrays(np.ones((3, 4)), mz=[100.0, 100.1, 100.2, 100.3])
    >>> spectra.shape
    (3, 4)
    >>> spectra[1].intensity
    array([1., 1., 1., 1.])
    >>> spectra[[True, False, True]].shape
    (2, 4)
    """

    def __init__(
        self,
        source: Source,
        rows: np.ndarray | None = None,
        queue: tuple[ChunkKernel, ...] = (),
        *,
        pixels: pd.DataFrame | None = None,
        peaks: pd.DataFrame | None = None,
    ) -> None:
        self.source = source
        self._rows = rows
        self.queue = queue
        self._pixels = pixels
        self.peaks = peaks

    # Construction ----------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        intensity: Any,
        mz: Any = None,
        coordinates: Any = None,
        *,
        indptr: Any = None,
        run: str = "run",
        profile: bool = True,
        pixels: pd.DataFrame | None = None,
        pixel_size: float = np.nan,
        identity: str | None = None,
        mobility: Any = None,
    ) -> Spectra:
        """Make Spectra of data that is already in memory.

        Parameters
        ----------
        intensity : array-like, shape (n_pixels, n_mz) or (n_points,)
            Intensities; flat when `indptr` is given.
        mz : array-like, shape (n_mz,) or (n_points,), default=None
            Strictly increasing shared axis, or the m/z of every point, increasing
            within each spectrum. `None` stands for 0, 1, 2, …
        coordinates : array-like of int, shape (n_pixels, 2 or 3), default=None
            x, y and z; a single row of pixels when `None`.
        indptr : array-like of int, shape (n_pixels + 1,), default=None
            Where each spectrum starts and ends in the flat arrays.
        run : str, default="run"
            Name of the run.
        profile : bool, default=True
            Whether the points sample a profile; `False` for centroids.
        pixels : DataFrame, default=None
            Further columns of the pixel table, one row per pixel.
        pixel_size : float, default=nan
            Edge of a pixel in µm.
        identity : str, default=None
            A name for this content, to be used instead of a hash of the arrays.
        mobility : array-like, shape (n_points,), default=None
            Ion mobility of every point, with `indptr` only. Points may then share an
            m/z.

        Returns
        -------
        Spectra

        Raises
        ------
        ValueError
            When shapes disagree, m/z do not increase, or intensities or mobilities are
            not finite.
        """
        source = array_source(
            intensity,
            mz,
            coordinates,
            indptr=indptr,
            run=run,
            profile=profile,
            pixel_size=pixel_size,
            identity=identity,
            mobility=mobility,
        )
        spectra = cls(source)
        if pixels is not None:
            extra = pixels.reset_index(drop=True)
            spectra._pixels = source.pixels.assign(**dict(extra.items()))
        return spectra

    # Shape and facts -------------------------------------------------------------

    @property
    def rows(self) -> np.ndarray:
        """Rows of the source that this view holds, in order."""
        if self._rows is None:
            return np.arange(self.source.n_rows)
        return self._rows

    def __len__(self) -> int:
        return self.source.n_rows if self._rows is None else self._rows.size

    @property
    def mz(self) -> np.ndarray | None:
        """The axis that all spectra share, or `None`."""
        mz = None if self._is_picked else self.source.mz
        if mz is not None:
            for kernel in self.queue:
                mz = kernel.transform_axis(mz)
        return mz

    @property
    def n_mz(self) -> int | None:
        """Number of points of the shared axis, or `None`."""
        return None if self._is_picked else self.source.n_mz

    @property
    def shape(self) -> tuple[int, int | None]:
        """Number of pixels and of m/z values (`None` when each pixel has its own)."""
        return len(self), self.n_mz

    @property
    def coordinates(self) -> np.ndarray:
        """x, y, z of each pixel, shape (n_pixels, 3)."""
        if self._rows is None:
            return self.source.coordinates
        return self.source.coordinates[self._rows]

    @property
    def pixels(self) -> pd.DataFrame:
        """One row per pixel: `run`, `x`, `y`, `z` and the columns you added."""
        if self._pixels is None:
            table = self.source.pixels.take(self.rows)
            self._pixels = table.reset_index(drop=True)
        return self._pixels

    @property
    def runs(self) -> pd.DataFrame:
        """One row per run, with what its file says of it."""
        runs = self.source.runs
        if self._is_picked:
            runs = runs.assign(mode="processed", spectrum_type="centroid")
        return runs

    @property
    def profile(self) -> bool:
        """Whether all spectra are profiles (not centroids)."""
        return bool(self.run_profile.all())

    @property
    def run_profile(self) -> np.ndarray:
        """Whether each run's spectra are profiles, bool, shape (n_runs,)."""
        if self._is_picked:
            return np.zeros(self.source.profile.shape, bool)
        return self.source.profile

    @property
    def _is_picked(self) -> bool:
        """Whether a queued step makes centroids."""
        return any(kernel.makes_centroids for kernel in self.queue)

    def of_rows(self, rows: np.ndarray) -> Spectra:
        """Return rows of the source, whichever are selected, with the same queue."""
        return Spectra(self.source, np.asarray(rows, np.int64), self.queue)

    @property
    def fingerprint(self) -> str:
        """Hash of the source, the rows and the content of the queue."""
        queue = tuple(kernel_fingerprint(kernel) for kernel in self.queue)
        return joblib.hash((self.source.identity, self._row_state(), queue))

    def __repr__(self) -> str:
        n_mz = "own m/z axes" if self.n_mz is None else f"{self.n_mz:,} m/z values"
        parts = [f"{len(self):,} pixels", n_mz]
        n_runs = len(self.runs)
        if n_runs > 1:
            parts.insert(0, f"{n_runs} runs")
        if self.queue:
            steps = ", ".join(type(kernel).__name__ for kernel in self.queue)
            parts.append(f"queued: {steps}")
        if self.peaks is not None:
            parts.append(f"{len(self.peaks):,} peaks")
        return f"<{type(self).__name__}: {'; '.join(parts)}>"

    # Rows --------------------------------------------------------------------------

    def take(self, indices: Any, axis: int = 0) -> Spectra:
        """Return a view of the rows at `indices`."""
        if axis != 0:
            message = f"Spectra can be taken along axis 0 (pixels) only, got {axis}."
            raise ValueError(message)
        return self._view(positions(np.asarray(indices), len(self)))

    def _view(self, selected: np.ndarray) -> Spectra:
        pixels = self._pixels
        if pixels is not None:
            pixels = pixels.take(selected)
            pixels.index = pd.RangeIndex(len(pixels))
        return Spectra(
            self.source,
            self.rows[selected],
            self.queue,
            pixels=pixels,
            peaks=self.peaks,
        )

    # Passes ------------------------------------------------------------------------

    def iter_chunks(self, max_bytes: int | None = None) -> Iterator[SpectrumChunk]:
        """Read the rows in order, in chunks, with the queue applied.

        Parameters
        ----------
        max_bytes : int, default=None
            Upper limit of a chunk's arrays; at least one spectrum is delivered. 4 MiB
            when `None` (24 MiB where rows are read in place; up to 64 MiB for a GPU,
            within the budget of :meth:`to`), and never more than scikit-learn's
            ``working_memory``.

        Yields
        ------
        SpectrumChunk
        """
        from sklearn import get_config

        limit = CHUNK_BYTES if max_bytes is None else max_bytes
        move = next((kernel for kernel in self.queue if kernel.feeds_gpu), None)
        if move is not None:
            from imsminer.core.device import device_chunk_bytes

            most = device_chunk_bytes(move.budget, move.device)  # type: ignore[attr-defined]
            limit = most if max_bytes is None else min(most, max_bytes)
        elif max_bytes is None and self.source.in_place and not self.queue:
            limit = VIEW_BYTES
        elif max_bytes is None and self.source.n_mz is None and len(self):
            # Gathering costs a copy, which a large spectrum alone does without.
            large = self.source.row_bytes[self.rows].mean() > LARGE_ROW
            limit = 1 if large else limit
        limit = min(limit, int(get_config()["working_memory"] * 2**20))
        yield from read_chunks(self, limit)

    def map(self, kernel: ChunkKernel) -> Spectra:
        """Queue a step that is applied to every chunk when someone reads.

        Parameters
        ----------
        kernel : ChunkKernel
            A picklable, module-level object with its fitted state.

        Returns
        -------
        Spectra
            The same rows with the step behind those already queued.
        """
        if not isinstance(kernel, ChunkKernel):
            message = (
                "map takes a ChunkKernel (a module-level frozen dataclass), not "
                f"{type(kernel).__name__}: closures neither pickle nor hash."
            )
            raise TypeError(message)
        return Spectra(
            self.source,
            self._rows,
            (*self.queue, kernel),
            pixels=self._pixels,
            peaks=self.peaks,
        )

    def with_peaks(self, peaks: pd.DataFrame | None) -> Spectra:
        """Return the same spectra with another peak table attached."""
        return Spectra(
            self.source, self._rows, self.queue, pixels=self._pixels, peaks=peaks
        )

    def to(self, xp: Any, *, device: Any = None, budget: int | None = None) -> Spectra:
        """Return the same spectra, their chunks delivered in another array library.

        Steps queued before run on the host, later ones on the device. Later
        scikit-learn steps then need ``sklearn.set_config(array_api_dispatch=True)``. A
        shared m/z axis stays on the host in float64.

        Parameters
        ----------
        xp : module
            Array namespace, such as ``cupy`` or ``array_api_strict``.
        device : object, default=None
            Device of that library; its default when `None`.
        budget : int, default=None
            Bytes of the device's memory for chunks and what steps make of them; CuPy
            only. Half of what is free when `None`. A chunk takes an eighth, 64 MiB at
            most, and a spectrum at least.

        Returns
        -------
        Spectra

        Raises
        ------
        ValueError
            When `budget` is no positive whole number, or `xp` is not CuPy.

        Notes
        -----
        For CuPy, threads read the next chunks into pinned memory (five at most), and
        each is copied on a stream of its own while the current one works on the chunk
        before: data cross the bus once a pass. Each of `n_jobs` threads does so within
        a budget of its own; one keeps a GPU busy, two close the gaps between blocks.
        """
        from imsminer.core.persist import move_to

        return self.map(move_to(xp, device, budget))

    def ion_image(self, mz: Any, ppm: float = 10.0) -> pd.DataFrame | pd.Series:
        """Sum the intensities within ± `ppm` of one or more m/z: a targeted look.

        One pass over the data, or one read of the window's columns on a shared axis.

        Parameters
        ----------
        mz : float or sequence of float
            m/z of the ions.
        ppm : float, default=10
            Half width of the window, in parts per million of its m/z.

        Returns
        -------
        Series or DataFrame of float32
            One value per pixel and ion, indexed by ``(run, x, y, z)``; windows
            outside the mass range give 0.
        """
        from imsminer.core.windows import ion_images

        return ion_images(self, mz, ppm)

    def _row_state(self) -> Any:
        """Rows as a range where they are one: small in a pickle."""
        if self._rows is None:
            return range(self.source.n_rows)
        return as_range(self._rows)
