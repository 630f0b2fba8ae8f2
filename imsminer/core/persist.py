"""Computed spectra on disk, and the move of chunks to another array library."""

import importlib
import numbers
import os
import shutil
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer._array import to_numpy
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.core.source import ArraySource

__all__ = ["MoveToNamespace", "PersistedSource", "move_to", "write_spectra"]


@dataclass(frozen=True)
class MoveToNamespace(ChunkKernel):
    """Copy the arrays of each chunk to another array library.

    Parameters
    ----------
    namespace : str
        Name of the library's module.
    device : object
        Device of that library; its default when `None`.
    budget : int or None
        Bytes of device memory that chunks and steps may take, for CuPy.
    """

    namespace: str
    device: Any = None
    budget: int | None = field(default=None, compare=False)

    @property
    def feeds_gpu(self) -> bool:  # type: ignore[override]
        """Whether chunks are fed to a GPU of CuPy's."""
        return self.namespace.rsplit(".", 1)[-1] == "cupy"

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        # CuPy's own functions take no device.
        name = "array_api_compat.cupy" if self.feeds_gpu else self.namespace
        xp = importlib.import_module(name)
        keywords = {} if self.device is None else {"device": self.device}

        def move(array: Any) -> Any:
            array = to_numpy(array)
            # Mapped files are read-only, which not every library takes.
            array = array if array.flags.writeable else array.copy()
            return xp.asarray(array, **keywords)

        if chunk.indptr is None:
            return chunk.replace(intensity=move(chunk.intensity))
        return chunk.replace(
            intensity=move(chunk.intensity),
            mz=move(chunk.mz),
            indptr=move(chunk.indptr),
            mobility=None if chunk.mobility is None else move(chunk.mobility),
        )


def move_to(xp: Any, device: Any, budget: int | None) -> MoveToNamespace:
    """Check the arguments of :meth:`imsminer.Spectra.to`; return the step."""
    move = MoveToNamespace(xp.__name__, device, budget)
    if budget is None:
        return move
    whole = isinstance(budget, numbers.Integral) and not isinstance(budget, bool)
    if not move.feeds_gpu or not whole or budget < 1:
        message = (
            "Spectra.to: budget must be a positive whole number of bytes, and is for "
            f"CuPy only; got {budget!r} for {xp.__name__}. Leave it out for other "
            "libraries."
        )
        raise ValueError(message)
    return move


class PersistedSource(ArraySource):
    """Arrays mapped from a folder that :meth:`Spectra.persist` wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        facts = np.load(self.folder / "facts.npz", allow_pickle=False)
        indptr = facts["indptr"] if facts["indptr"].size else None
        mobility = self.folder / "mobility.npy"
        super().__init__(
            np.load(self.folder / "mz.npy", mmap_mode="r"),
            np.load(self.folder / "intensity.npy", mmap_mode="r"),
            indptr,
            facts["coordinates"],
            runs=pd.read_parquet(self.folder / "runs.parquet"),
            run_bounds=facts["run_bounds"],
            profile=facts["profile"],
            identity=str(facts["identity"]),
            mobility=np.load(mobility, mmap_mode="r") if mobility.exists() else None,
        )

    def __reduce__(self) -> tuple:
        return PersistedSource, (self.folder,)


def write_spectra(spectra: Any, folder: Path) -> PersistedSource:
    """Write computed spectra into `folder` and open them from there.

    The folder appears under its name only when all is written.
    """
    if folder.exists():
        message = f"{folder} exists; persist() never overwrites. Remove it or rename."
        raise FileExistsError(message)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(spectra, partial)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return PersistedSource(folder)


class _GrowingArray:
    """An .npy file that is written from its start to its end, part by part.

    Its header has room for a longer first dimension and is set right at the end.
    """

    def __init__(self, path: Path, dtype: Any, tail: tuple[int, ...] = ()) -> None:
        self._file = path.open("wb")
        self._dtype, self._tail, self._length = np.dtype(dtype), tail, 0
        self._write_header()
        self._start = self._file.tell()

    def append(self, part: np.ndarray) -> None:
        """Write `part` behind what is there."""
        np.ascontiguousarray(part, self._dtype).tofile(self._file)
        self._length += part.shape[0]

    def close(self) -> None:
        """Say how long the array has become."""
        with self._file:
            self._file.seek(0)
            self._write_header()
            assert self._file.tell() == self._start

    def _write_header(self) -> None:
        shape = (self._length, *self._tail)
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def _write(spectra: Any, folder: Path) -> None:
    shared = spectra.mz
    runs, bounds, profile = _kept_runs(spectra)
    lengths = [np.zeros(1, np.int64)]
    with_mobility = shared is None and bool(runs["mobility"].notna().any())
    # The widest type of any run: a narrower one would round what it holds.
    firsts = [to_numpy(spectra[int(start)].intensity) for start in bounds[:-1]]
    dtype = np.result_type(np.float32, *firsts)
    tail = () if shared is None else (shared.size,)
    with ExitStack() as files:

        def grow(name: str, *kind: Any) -> _GrowingArray:
            return files.enter_context(closing(_GrowingArray(folder / name, *kind)))

        intensities = grow("intensity.npy", dtype, tail)
        if shared is None:
            all_mz = grow("mz.npy", np.float64)
        if with_mobility:
            mobilities = grow("mobility.npy", np.float64)
        for chunk in spectra.iter_chunks():
            values = to_numpy(chunk.intensity)
            intensities.append(values if tail else values.reshape(-1))
            if shared is not None:
                continue
            if chunk.indptr is None:
                mz = np.tile(chunk.mz, chunk.n_spectra)
                sizes = np.full(chunk.n_spectra, chunk.mz.size)
            else:
                mz, sizes = to_numpy(chunk.mz), np.diff(to_numpy(chunk.indptr))
            all_mz.append(mz)
            lengths.append(sizes)
            if with_mobility:
                # Runs without mobilities leave a gap, which is never read.
                mobility = np.full(mz.size, np.nan)
                if chunk.mobility is not None:
                    mobility = to_numpy(chunk.mobility)
                mobilities.append(mobility)
    indptr = np.zeros(0, np.int64)
    if shared is None:
        indptr = np.cumsum(np.concatenate(lengths))
    else:
        np.save(folder / "mz.npy", shared)
    runs.to_parquet(folder / "runs.parquet")
    np.savez(
        folder / "facts.npz",
        indptr=indptr,
        coordinates=spectra.coordinates,
        run_bounds=bounds,
        profile=profile,
        identity=np.array(f"persisted:{spectra.fingerprint}"),
    )


def _kept_runs(spectra: Any) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return table, bounds and profile flags of the runs that the rows come from."""
    names = spectra.pixels["run"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]]))
    order = names[starts]
    if len(set(order)) != len(order):
        message = (
            "persist() needs each run's rows together; sort the rows by run before."
        )
        raise ValueError(message)
    bounds = np.concatenate([starts, [len(names)]]).astype(np.int64)
    which = spectra.runs.index.get_indexer(order)
    runs = spectra.runs.iloc[which].assign(n_pixels=np.diff(bounds))
    return runs.astype({"path": "str"}), bounds, spectra.run_profile[which]
