"""Where spectra come from: one interface for files, arrays and whole studies."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, Self

import joblib
import numpy as np
import pandas as pd

from imsminer.core.disk import DiskCache

__all__ = [
    "ArraySource",
    "ConcatSource",
    "Source",
    "SpectrumArrays",
    "pixel_table",
    "run_table",
]

RUN_FACTS = (
    "path",
    "polarity",
    "mode",
    "spectrum_type",
    "pixel_size_x",
    "pixel_size_y",
    "instrument",
    "uuid",
    "n_pixels",
    "mobility",
)


def pixel_table(coordinates: np.ndarray, runs: np.ndarray | str) -> pd.DataFrame:
    """Return the table of pixels: run, x, y, z, one row each."""
    x, y, z = np.asarray(coordinates).T
    table = pd.DataFrame({"run": runs, "x": x, "y": y, "z": z})
    return table.astype({"run": "str"})


def run_table(**facts: object) -> pd.DataFrame:
    """Return the one-row table of a run; facts that are not given are missing."""
    name = facts.pop("name")
    row = {key: facts.get(key) for key in RUN_FACTS}
    for key in ("pixel_size_x", "pixel_size_y"):
        row[key] = np.nan if row[key] is None else row[key]
    return pd.DataFrame([row], index=pd.Index([name], name="run"))


class SpectrumArrays(NamedTuple):
    """Arrays of some rows, as a chunk has them; `None` where it has none."""

    mz: np.ndarray
    intensity: np.ndarray
    indptr: np.ndarray | None = None
    mobility: np.ndarray | None = None


class Source(ABC):
    """Spectra at rest. Rows are numbered from 0; a run's rows are consecutive.

    Attributes
    ----------
    n_rows : int
        Number of spectra.
    mz : ndarray of float64 or None
        The axis that all spectra share, or `None`.
    coordinates : ndarray of int, shape (n_rows, 3)
        x, y, z as the file says.
    pixels, runs : DataFrame
        One row per pixel; one row per run.
    run_bounds : ndarray of int64, shape (n_runs + 1,)
        Rows ``run_bounds[r]:run_bounds[r + 1]`` belong to run ``r``.
    row_bytes : ndarray of int64, shape (n_rows,)
        Bytes that each spectrum takes in a chunk.
    profile : ndarray of bool, shape (n_runs,)
        Whether a run holds profile spectra.
    identity : str
        Equal for sources that hold equal data.
    n_bytes_read : int
        Bytes delivered so far.
    blocks : ndarray of int or None
        Labels of the rows that passes should keep together (see
        :func:`imsminer.core.engine.block_positions`).
    disk : DiskCache or None
        Where results of passes are kept beyond this process.
    """

    n_rows: int
    mz: np.ndarray | None
    coordinates: np.ndarray
    pixels: pd.DataFrame
    runs: pd.DataFrame
    run_bounds: np.ndarray
    row_bytes: np.ndarray
    profile: np.ndarray
    identity: str
    n_bytes_read: int = 0
    blocks: np.ndarray | None = None
    disk: DiskCache | None = None

    @abstractmethod
    def read(self, rows: np.ndarray | slice) -> SpectrumArrays:
        """Return m/z, intensity, indptr and ion mobility of rows of one run."""

    def with_disk(self, disk: DiskCache | None) -> Self:
        """Return the same source, whose results of passes are kept in `disk`."""
        same = object.__new__(type(self))
        same.__dict__.update(self.__dict__)
        same.disk = disk
        return same

    @property
    def n_mz(self) -> int | None:
        """Number of points of the axis that all spectra share, or `None`."""
        return None if self.mz is None else self.mz.size

    @property
    def in_place(self) -> bool:
        """Whether consecutive rows are delivered as views, which cost no memory."""
        return False

    def run_axis(self, run: int) -> np.ndarray | None:
        """Return the axis that the spectra of one run share, or `None`."""
        return self.mz

    def spectrum(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return m/z and intensity of one row."""
        arrays = self.read(slice(row, row + 1))
        return arrays.mz, arrays.intensity.reshape(-1)

    def mz_range(self) -> tuple[float, float]:
        """Return the lowest and highest m/z of all rows.

        Spectra are taken to be sorted in m/z, which reading checks.
        """
        return self._mz_range

    @cached_property
    def _mz_range(self) -> tuple[float, float]:
        ranges = [self.run_mz_range(run) for run in range(len(self.runs))]
        return _span(ranges)

    def run_mz_range(self, run: int) -> tuple[float, float]:
        """Return the lowest and highest m/z of the run of this number, or NaN."""
        axis = self.run_axis(run)
        if axis is not None:
            return _span([axis[[0, -1]]] if axis.size else [])
        start, stop = self.run_bounds[run : run + 2]
        return _span(self._row_ends(int(start), int(stop)))

    def _row_ends(self, start: int, stop: int) -> list[np.ndarray]:
        """Return first and last m/z of each non-empty row."""
        ends = []
        for row in range(start, stop):
            mz = self.spectrum(row)[0]
            if mz.size:
                ends.append(mz[[0, -1]])
        return ends


class ArraySource(Source):
    """Spectra in memory, or in arrays mapped from a file.

    Parameters
    ----------
    mz : ndarray of float64, shape (n_mz,) or (n_points,)
        Shared axis, or the m/z of every point when `indptr` is given.
    intensity : ndarray, shape (n_pixels, n_mz) or (n_points,)
        Intensities.
    indptr : ndarray of int64 or None
        Where each spectrum starts and ends in flat arrays.
    coordinates : ndarray of int, shape (n_pixels, 3)
        Pixel positions.
    runs : DataFrame
        One row per run.
    run_bounds : ndarray of int64
        Rows of each run.
    profile : ndarray of bool
        Whether each run holds profile spectra.
    identity : str or None
        Known identity; hashed from the arrays on first use when `None`.
    mobility : ndarray of float64, shape (n_points,), or None
        The ion mobility of every point; of the runs for which `runs` names one.
    """

    def __init__(
        self,
        mz: np.ndarray,
        intensity: np.ndarray,
        indptr: np.ndarray | None,
        coordinates: np.ndarray,
        *,
        runs: pd.DataFrame,
        run_bounds: np.ndarray,
        profile: np.ndarray,
        identity: str | None = None,
        mobility: np.ndarray | None = None,
    ) -> None:
        self._mz = mz
        self._intensity = intensity
        self._indptr = indptr
        self._mobility = mobility
        self.coordinates = coordinates
        self.n_rows = coordinates.shape[0]
        self.mz = mz if indptr is None else None
        self.runs = runs
        self.run_bounds = run_bounds
        self.profile = profile
        self.pixels = pixel_table(
            coordinates, np.repeat(runs.index.to_numpy(), np.diff(run_bounds))
        )
        if identity is not None:
            self.identity = identity
        if indptr is None:
            per_row = intensity.shape[1] * intensity.itemsize
            self.row_bytes = np.full(self.n_rows, per_row, np.int64)
        else:
            per_point = 8 + intensity.itemsize + (0 if mobility is None else 8)
            self.row_bytes = np.diff(indptr) * per_point

    in_place = True

    @cached_property
    def identity(self) -> str:  # type: ignore[override]
        content = (
            self._mz,
            self._intensity,
            self._indptr,
            self.coordinates,
            self.profile,
        )
        if self._mobility is not None:
            content += (self._mobility,)  # type: ignore[assignment]
        return joblib.hash(content)

    @cached_property
    def _runs_with_mobility(self) -> np.ndarray:
        return self.runs["mobility"].notna().to_numpy()

    def read(self, rows: np.ndarray | slice) -> SpectrumArrays:
        if self._indptr is None:
            intensity = self._intensity[rows]
            self.n_bytes_read += intensity.nbytes
            return SpectrumArrays(self._mz, intensity)
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(self.n_rows)
            bounds = self._indptr[start : stop + 1]
            points = slice(int(bounds[0]), int(bounds[-1]))
            indptr = bounds - bounds[0]
        else:
            lengths = self._indptr[rows + 1] - self._indptr[rows]
            indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            shift = np.repeat(self._indptr[rows] - indptr[:-1], lengths)
            points = np.arange(indptr[-1]) + shift  # type: ignore[assignment]
        mz, intensity = self._mz[points], self._intensity[points]
        self.n_bytes_read += mz.nbytes + intensity.nbytes
        mobility = None
        if self._mobility is not None:
            first = rows.start or 0 if isinstance(rows, slice) else int(rows[0])
            run = int(np.searchsorted(self.run_bounds, first, side="right")) - 1
            if self._runs_with_mobility[run]:
                mobility = self._mobility[points]
                self.n_bytes_read += mobility.nbytes
        return SpectrumArrays(mz, intensity, indptr, mobility)


class ConcatSource(Source):
    """Several sources, one after the other: a study.

    Parameters
    ----------
    sources : sequence of Source
        The parts. Their run names are made unique by a suffix where they repeat.
    annotations : DataFrame, default=None
        What is known of each run beyond its file, such as a condition: one row per
        run, in order. Becomes columns of `runs` and `pixels`; the index, where it is
        named ``"run"``, gives the runs their names.
    """

    def __init__(
        self, sources: Sequence[Source], annotations: pd.DataFrame | None = None
    ) -> None:
        self.sources = tuple(sources)
        self.annotations = annotations
        sizes = [source.n_rows for source in self.sources]
        self.offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.n_rows = int(self.offsets[-1])
        self.coordinates = np.concatenate([s.coordinates for s in self.sources])
        self.row_bytes = np.concatenate([s.row_bytes for s in self.sources])
        self.profile = np.concatenate([s.profile for s in self.sources])
        self.run_bounds = np.concatenate(
            [[0]]
            + [s.run_bounds[1:] + o for s, o in zip(self.sources, self.offsets[:-1])]  # noqa: B905
        ).astype(np.int64)
        runs = pd.concat([source.runs for source in self.sources])
        named = annotations is not None and annotations.index.name == "run"
        names = list(annotations.index if named else runs.index)  # type: ignore[union-attr]
        runs.index = pd.Index(_unique_names(names), name="run")
        sizes_of_runs = np.diff(self.run_bounds)
        self.pixels = pixel_table(
            self.coordinates, np.repeat(runs.index.to_numpy(), sizes_of_runs)
        )
        self._add_columns()
        if annotations is not None:
            code = np.repeat(np.arange(len(runs)), sizes_of_runs)
            for name, column in annotations.items():
                runs[name] = column.array
                self.pixels[name] = column.array.take(code)
        self.runs = runs
        # Bounds of the runs' sources, to find the source of a run.
        counts = [s.run_bounds.size - 1 for s in self.sources]
        self._source_of_run = np.repeat(np.arange(len(counts)), counts)
        self._first_run = np.concatenate([[0], np.cumsum(counts)])
        self.identity = joblib.hash(tuple(s.identity for s in self.sources))

    def _add_columns(self) -> None:
        """Take over what the parts' pixel tables tell beyond run and position.

        Where only some runs tell it pixel by pixel, it is for the others what is known
        of the whole run.
        """
        tables = [source.pixels for source in self.sources]
        names = dict.fromkeys(name for table in tables for name in table.columns[4:])
        for name in names:
            parts = []
            for source, table in zip(self.sources, tables, strict=True):
                if name in table:
                    parts.append(table[name].to_numpy())
                    continue
                of_run = source.runs.get(name, pd.Series([None] * len(source.runs)))
                parts.append(
                    np.repeat(of_run.to_numpy(object), np.diff(source.run_bounds))
                )
            self.pixels[name] = np.concatenate(parts)

    def __reduce__(self) -> tuple:
        # The tables are made again: a study pickles as small as its files.
        return ConcatSource, (self.sources, self.annotations)

    @cached_property
    def mz(self) -> np.ndarray | None:  # type: ignore[override]
        """The axis that the spectra of all runs share, or `None`."""
        first = self.sources[0].mz
        shared = first is not None and all(
            s.mz is not None and np.array_equal(s.mz, first) for s in self.sources
        )
        return first if shared else None

    @property
    def in_place(self) -> bool:
        return all(source.in_place for source in self.sources)

    @property
    def n_bytes_read(self) -> int:  # type: ignore[override]
        return sum(source.n_bytes_read for source in self.sources)

    def run_axis(self, run: int) -> np.ndarray | None:
        which = int(self._source_of_run[run])
        return self.sources[which].run_axis(run - int(self._first_run[which]))

    def read(self, rows: np.ndarray | slice) -> SpectrumArrays:
        first = rows.start if isinstance(rows, slice) else int(rows[0])
        which = int(np.searchsorted(self.offsets, first, side="right")) - 1
        offset = int(self.offsets[which])
        if isinstance(rows, slice):
            local: np.ndarray | slice = slice(rows.start - offset, rows.stop - offset)
        else:
            local = rows - offset
        return self.sources[which].read(local)

    def run_mz_range(self, run: int) -> tuple[float, float]:
        which = int(self._source_of_run[run])
        return self.sources[which].run_mz_range(run - int(self._first_run[which]))


def _span(pairs: Sequence) -> tuple[float, float]:
    """Return the smallest first and the largest second number, NaN for no numbers."""
    table = np.reshape(np.asarray(pairs, np.float64), (-1, 2))
    table = table[~np.isnan(table).any(axis=1)]
    if table.size == 0:
        return (np.nan, np.nan)
    return float(table[:, 0].min()), float(table[:, 1].max())


def _unique_names(names: list[str]) -> list[str]:
    """Append _2, _3, … to names that repeat."""
    seen: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 1
        while candidate in seen:
            number += 1
            candidate = f"{name}_{number}"
        seen.add(candidate)
        result.append(candidate)
    return result
