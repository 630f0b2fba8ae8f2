"""What the header of an imzML file can say of Spectra that are written into it."""

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer._array import to_numpy
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.core.source import Source
from imsminer.core.spectra import Spectra
from imsminer.exceptions import ImzMLWarning
from imsminer.io._header import SourceFile, Step

__all__ = ["StudyFacts", "input_files", "study_facts", "widest_type"]


@dataclass(frozen=True)
class StudyFacts:
    """What is known of the runs that are written.

    Attributes
    ----------
    options : dict
        For :class:`ImzMLWriter`.
    planes : dict
        z of each run, where there are several in one file; else empty.
    polarities : dict
        Polarity of each run, or of all pixels where a run has both.
    types : dict
        Whether pixels are profile or centroid, for the runs that have both.
    """

    options: dict[str, Any]
    planes: dict[str, int]
    polarities: dict[str, Any]
    types: dict[str, np.ndarray]

    def arguments(self, chunk: SpectrumChunk) -> tuple[Any, ...]:
        """Return a chunk as the writer takes it: on the host, with its facts."""
        coordinates = chunk.coordinates
        if self.planes:
            coordinates = np.array(coordinates)
            coordinates[:, 2] = self.planes[chunk.run]
        polarity = self.polarities[chunk.run]
        if isinstance(polarity, np.ndarray):
            polarity = polarity[chunk.rows].tolist()
        kind: Any = "profile" if chunk.profile else "centroid"
        if chunk.run in self.types:
            found = self.types[chunk.run][chunk.rows].tolist()
            kind = [kind if value is None else value for value in found]
        return (
            to_numpy(chunk.mz),
            to_numpy(chunk.intensity),
            coordinates,
            None if chunk.indptr is None else to_numpy(chunk.indptr),
            None if chunk.mobility is None else to_numpy(chunk.mobility),
            kind,
            polarity,
        )


def study_facts(spectra: Spectra) -> StudyFacts:
    """Collect what is known of the runs that the rows come from.

    Raises
    ------
    ValueError
        When there are no rows, or several runs of which one has several planes.

    Warns
    -----
    ImzMLWarning
        When runs have pixels of different sizes, of which a file can give one.
    """
    if not len(spectra):
        message = "write_imzml: there is no spectrum to write: these Spectra are empty."
        raise ValueError(message)
    numbers = _used_runs(spectra)[0]
    runs = spectra.runs.iloc[numbers]
    names = [str(name) for name in runs.index]
    planes = _planes(spectra, numbers, names)
    labels = [f"z={planes[name]}" if planes else "this run" for name in names]
    notes: dict[str, object] = {
        f"run at {label}": name for label, name in zip(labels, names, strict=True)
    }
    notes["pixels of the sources"] = int(runs["n_pixels"].sum())
    if spectra.peaks is not None:
        notes["peaks attached"] = len(spectra.peaks)
    options = {
        "pixel_size": _pixel_size(runs, labels, notes),
        "instrument": _instrument(runs, labels, notes),
        "processing": [_step(kernel) for kernel in spectra.queue],
        "sources": list(_source_files(runs)),
        "notes": notes,
    }
    mobilities = set(_column(runs, "mobility")) - {None}
    if len(mobilities) == 1:
        options["mobility"] = mobilities.pop()
    return StudyFacts(
        options, planes, _polarities(spectra, runs), _mixed_types(spectra, names)
    )


def widest_type(spectra: Spectra) -> np.dtype:
    """Return the type that holds the intensities of all runs, as they are delivered."""
    _, starts = _used_runs(spectra)
    firsts = [to_numpy(spectra[start].intensity).dtype for start in starts]
    return np.result_type(np.float32, *firsts)


def input_files(spectra: Spectra) -> Iterator[str | Path]:
    """Yield the files that the spectra are read from."""
    for path in _column(spectra.runs, "path"):
        if path is not None:
            yield path
            yield from (Path(path).with_suffix(end) for end in (".ibd", ".IBD"))
    yield from _binary_files(spectra.source)


def _binary_files(source: Source) -> Iterator[str]:
    for part in getattr(source, "sources", ()):
        yield from _binary_files(part)
    index = getattr(source, "_index", None)
    if index is not None:
        yield index.ibd


def _used_runs(spectra: Spectra) -> tuple[list[int], list[int]]:
    """Return the runs that rows come from, in that order, and the first row of each."""
    bounds = spectra.source.run_bounds
    run_of_row = np.searchsorted(bounds, spectra.rows, side="right") - 1
    numbers, starts = np.unique(run_of_row, return_index=True)
    order = np.argsort(starts)
    return numbers[order].tolist(), starts[order].tolist()


def _planes(
    spectra: Spectra, numbers: Sequence[int], names: Sequence[str]
) -> dict[str, int]:
    """Give each of several runs a plane of its own, where each lies in one."""
    if len(numbers) == 1:
        return {}
    bounds = spectra.source.run_bounds
    run_of_row = np.searchsorted(bounds, spectra.rows, side="right") - 1
    z = spectra.coordinates[:, 2]
    for number, name in zip(numbers, names, strict=True):
        found = np.unique(z[run_of_row == number])
        if found.size > 1:
            message = (
                f"write_imzml: {len(numbers)} runs go into one file as its planes z=1, "
                f"2, …, but run {name!r} has {found.size} planes itself. Write one "
                f"file per run: spectra[spectra.pixels['run'] == {name!r}]."
            )
            raise ValueError(message)
    return {name: z for z, name in enumerate(names, start=1)}


def _column(runs: pd.DataFrame, name: str) -> list[Any]:
    """Return a column of the table of runs, `None` for what is missing."""
    if name not in runs:
        return [None] * len(runs)
    return [None if pd.isna(value) else value for value in runs[name]]


def _pixel_size(
    runs: pd.DataFrame, labels: Sequence[str], notes: dict[str, object]
) -> tuple[float, float] | None:
    sizes = [
        None if None in pair else pair
        for pair in zip(
            _column(runs, "pixel_size_x"), _column(runs, "pixel_size_y"), strict=True
        )
    ]
    if len(set(sizes)) == 1:
        return sizes[0]
    for label, size in zip(labels, sizes, strict=True):
        if size is not None:
            notes[f"pixel size in µm at {label}"] = f"{size[0]:g} x {size[1]:g}"
    given = ", ".join("unknown" if s is None else f"{s[0]:g} × {s[1]:g}" for s in sizes)
    message = (
        f"write_imzml: the runs have different pixel sizes ({given} µm), and a file "
        "can give one for all: it gives none, but notes each by its run. Write one "
        "file per run to keep them."
    )
    warnings.warn(message, ImzMLWarning, stacklevel=4)
    return None


def _instrument(
    runs: pd.DataFrame, labels: Sequence[str], notes: dict[str, object]
) -> str | None:
    models = _column(runs, "instrument")
    if len(set(models)) == 1:
        return models[0]
    for label, model in zip(labels, models, strict=True):
        if model is not None:
            notes[f"instrument at {label}"] = model
    return None


def _polarities(spectra: Spectra, runs: pd.DataFrame) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, sign in zip(runs.index, _column(runs, "polarity"), strict=True):
        if sign == "mixed":
            both = spectra.pixels.get("polarity")
            sign = None if both is None else both.astype(object).to_numpy()
        result[str(name)] = sign
    return result


def _mixed_types(spectra: Spectra, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return what each pixel is, for runs that have both profiles and centroids.

    A queued step may have made centroids of all, so that only its chunks can say.
    """
    if spectra.queue or "spectrum_type" not in spectra.source.pixels:
        return {}
    kinds = spectra.source.pixels["spectrum_type"].take(spectra.rows)
    values = kinds.astype(object).where(kinds.notna(), None).to_numpy()
    run_of_row = spectra.source.pixels["run"].take(spectra.rows).to_numpy()
    mixed = {str(name) for name in run_of_row[kinds.notna().to_numpy()]}
    return {name: values for name in names if name in mixed}


def _source_files(runs: pd.DataFrame) -> Iterator[SourceFile]:
    for path, uuid in zip(_column(runs, "path"), _column(runs, "uuid"), strict=True):
        if path is None:
            continue
        path = Path(path).absolute()
        facts = {} if uuid is None else {"uuid": uuid}
        for name, file in (("imzML", path), ("ibd", path.with_suffix(".ibd"))):
            if file.is_file():
                facts[f"size of the .{name} in bytes"] = file.stat().st_size
        yield SourceFile(path.name, path.parent.as_uri(), facts)


def _step(kernel: ChunkKernel) -> Step:
    """Describe a queued step by its class and those parameters that are one value."""
    parameters: dict[str, object] = {"version": kernel.version}
    for field in dataclasses.fields(kernel):  # type: ignore[arg-type]
        value = getattr(kernel, field.name)
        if value is None or isinstance(value, bool | int | float | str | np.generic):
            parameters[field.name] = value
    return type(kernel).__name__, parameters
