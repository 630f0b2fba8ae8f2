"""Computed spectra on disk, and the move of chunks to another array library."""

import importlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer._array import to_numpy
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.core.source import ArraySource

__all__ = ["MoveToNamespace", "PersistedSource", "write_spectra"]


@dataclass(frozen=True)
class MoveToNamespace(ChunkKernel):
    """Copy the arrays of each chunk to another array library."""

    namespace: str
    device: Any = None

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        xp = importlib.import_module(self.namespace)
        keywords = {} if self.device is None else {"device": self.device}

        def move(array: Any) -> Any:
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


def _write(spectra: Any, folder: Path) -> None:
    shared = spectra.mz
    runs, bounds, profile = _kept_runs(spectra)
    lengths = [np.zeros(1, np.int64)]
    shape: tuple[int, ...]
    with_mobility = bool(runs["mobility"].notna().any())
    mz_parts, intensity_parts = folder / "mz.raw", folder / "intensity.raw"
    # The widest type of any run: a narrower one would round what it holds.
    firsts = [to_numpy(spectra[int(start)].intensity) for start in bounds[:-1]]
    dtype = np.result_type(np.float32, *firsts)
    mobility_parts = folder / "mobility.raw"
    with (
        mz_parts.open("wb") as mz_file,
        intensity_parts.open("wb") as intensity_file,
        mobility_parts.open("wb") as mobility_file,
    ):
        for chunk in spectra.iter_chunks():
            intensity = np.ascontiguousarray(to_numpy(chunk.intensity), dtype)
            intensity.tofile(intensity_file)
            if shared is not None:
                continue
            if chunk.indptr is None:
                mz = np.tile(chunk.mz, chunk.n_spectra)
                sizes = np.full(chunk.n_spectra, chunk.mz.size)
            else:
                mz, sizes = to_numpy(chunk.mz), np.diff(to_numpy(chunk.indptr))
            np.ascontiguousarray(mz).tofile(mz_file)
            lengths.append(sizes)
            if with_mobility:
                # Runs without mobilities leave a gap, which is never read.
                mobility = np.full(mz.size, np.nan)
                if chunk.mobility is not None:
                    mobility = to_numpy(chunk.mobility)
                np.ascontiguousarray(mobility, np.float64).tofile(mobility_file)
    if shared is None and with_mobility:
        shape = (mobility_parts.stat().st_size // 8,)
        _raw_to_npy(
            mobility_parts, folder / "mobility.npy", np.dtype(np.float64), shape
        )
    else:
        mobility_parts.unlink()
    if shared is None:
        indptr = np.cumsum(np.concatenate(lengths))
        shape = (int(indptr[-1]),)
        _raw_to_npy(mz_parts, folder / "mz.npy", np.dtype(np.float64), shape)
    else:
        indptr = np.zeros(0, np.int64)
        shape = (len(spectra), shared.size)
        np.save(folder / "mz.npy", shared)
        mz_parts.unlink()
    _raw_to_npy(intensity_parts, folder / "intensity.npy", dtype, shape)
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


def _raw_to_npy(
    raw: Path, target: Path, dtype: np.dtype, shape: tuple[int, ...]
) -> None:
    """Put the .npy header before raw bytes, in one sequential copy."""
    with target.open("wb") as out, raw.open("rb") as source:
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)
        shutil.copyfileobj(source, out, 4 * 2**20)
    raw.unlink()
