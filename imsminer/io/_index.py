"""Opening an imzML run: find its files, scan, check, and remember the result.

A process indexes each file once, however many readers it opens or unpickles.
"""

import hashlib
import os
import threading
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from imsminer.exceptions import ImzMLError
from imsminer.io._checks import find_problems, layout_oddities
from imsminer.io._facts import RunFacts
from imsminer.io._files import FileKey
from imsminer.io._ibd import ArrayReader
from imsminer.io._scan import scan_imzml

__all__ = ["MissingFileError", "RunIndex", "find_files", "open_run"]

MAX_INDEXED = 64
PathOrPaths = str | PathLike | Sequence[str | PathLike]


class MissingFileError(ImzMLError, FileNotFoundError):
    """An imzML file, or the .ibd that belongs to it, does not exist."""


@dataclass(eq=False)
class RunIndex:
    """All that reading a run needs, but for its data.

    Attributes
    ----------
    path, ibd : str
        Absolute paths.
    stamp : tuple of int
        Size and time of change (ns) of both files.
    facts : RunFacts
        What the header says.
    coordinates : ndarray of int64, shape (n_rows, 3)
        Positions of the spectra that are read.
    lengths : ndarray of int64, shape (n_rows,)
        Their numbers of points.
    shared : bool
        Whether all have the same m/z array.
    reader : ArrayReader
        Reads their arrays.
    skipped : DataFrame
        Spectra that are not read, with the reason.
    warnings : tuple of str
        What the user should know.
    """

    path: str
    ibd: str
    stamp: tuple[int, int, int, int]
    facts: RunFacts
    coordinates: np.ndarray
    lengths: np.ndarray
    shared: bool
    reader: ArrayReader
    skipped: pd.DataFrame
    warnings: tuple[str, ...]


_indexed: "weakref.WeakValueDictionary[tuple, RunIndex]" = weakref.WeakValueDictionary()
_recent: "OrderedDict[tuple, RunIndex]" = OrderedDict()
_lock = threading.Lock()


def find_files(paths: PathOrPaths, ibd: PathOrPaths | None) -> list[tuple[Path, Path]]:
    """Return the pairs of files that the user means.

    Raises
    ------
    MissingFileError
        When a file does not exist, or a folder holds no imzML file.
    """
    if isinstance(paths, str | PathLike):
        paths = [paths]
    given = [Path(path) for path in paths]
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() == ".imzml")
            if not inside:
                message = (
                    f"The folder {path} holds no imzML file. Expected at least one "
                    "file that ends in .imzML."
                )
                raise MissingFileError(message)
            found += inside
        else:
            found.append(path)
    if not found:
        message = "ImzMLReader needs at least one path, got an empty sequence."
        raise ValueError(message)
    for path in found:
        _check_exists(path)
    if ibd is None:
        return [(path, _find_ibd(path)) for path in found]
    binaries = [ibd] if isinstance(ibd, str | PathLike) else list(ibd)
    if len(binaries) != len(found):
        message = (
            f"ibd names {len(binaries)} files for {len(found)} imzML files; give one "
            "for each, in the same order, or leave ibd=None to find them."
        )
        raise ValueError(message)
    pairs = [(path, Path(b)) for path, b in zip(found, binaries, strict=True)]
    for path, binary in pairs:
        if not binary.is_file():
            message = f"{path}: its binary file {binary}, given as ibd, does not exist."
            raise MissingFileError(message)
    return pairs


def _check_exists(path: Path) -> None:
    if path.suffix.lower() == ".ibd":
        message = (
            f"{path} is the binary part of an imzML pair; pass the .imzML file, and "
            "ibd= where the two names differ."
        )
        raise ImzMLError(message)
    if not path.is_file():
        message = (
            f"There is no file {path} (looked in {path.parent.absolute()}). Check the "
            "path, or pass the folder that holds the imzML files."
        )
        raise MissingFileError(message)


def _find_ibd(path: Path) -> Path:
    """Find the .ibd beside an imzML file, whatever the case of its name."""
    candidates = [path.with_suffix(suffix) for suffix in (".ibd", ".IBD")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    wanted = candidates[0].name.lower()
    alike = sorted(p for p in path.absolute().parent.iterdir() if p.is_file())
    alike = [p for p in alike if p.name.lower() == wanted]
    if len(alike) == 1:
        return alike[0]
    message = (
        f"{path}: its binary file is missing: tried {candidates[0]}, {candidates[1]} "
        f"and other cases of {candidates[0].name}; found {len(alike)} that could be "
        "it. Put it beside the imzML file, or pass its path as ibd=."
    )
    raise MissingFileError(message)


def open_run(
    path: str | PathLike,
    ibd: str | PathLike,
    *,
    on_error: str,
    mapped: bool,
    checksum: bool = False,
    expected: tuple[int, int, int, int] | None = None,
) -> RunIndex:
    """Return the index of a run, made now or earlier in this process.

    Parameters
    ----------
    path, ibd : path-like
        The two files.
    on_error : {"raise", "skip"}
        What to do about spectra that cannot be read.
    mapped : bool
        Whether to read the ``.ibd`` through a memory map.
    checksum : bool, default=False
        Compare the ``.ibd`` with the checksum in the imzML file.
    expected : tuple of int, default=None
        Sizes and times of change that the files must have.

    Raises
    ------
    ImzMLError
        When the pair cannot be read without a guess, or is not what was expected.
    """
    path, ibd = os.path.abspath(path), os.path.abspath(ibd)
    stamp = _stamp(path, ibd)
    if expected is not None and stamp != expected:
        which = path if stamp[:2] != expected[:2] else ibd
        message = (
            f"{which} has changed since the Spectra was pickled: size and time are "
            f"{stamp}, expected {expected}. Open the file again with ImzMLReader."
        )
        raise ImzMLError(message)
    key = (path, ibd, stamp, on_error, mapped)
    with _lock:
        index = _indexed.get(key)
        if index is None:
            index = _indexed[key] = _build(path, ibd, stamp, on_error, mapped)
        _recent[key] = index
        _recent.move_to_end(key)
        while len(_recent) > MAX_INDEXED:
            _recent.popitem(last=False)
    if checksum:
        _check_sum(index)
    return index


def _stamp(path: str, ibd: str) -> tuple[int, int, int, int]:
    try:
        xml, binary = os.stat(path), os.stat(ibd)
    except FileNotFoundError as error:
        message = (
            f"{error.filename} does not exist any more. Put the file back, or open it "
            "where it is now with ImzMLReader."
        )
        raise MissingFileError(message) from error
    return xml.st_size, xml.st_mtime_ns, binary.st_size, binary.st_mtime_ns


def _build(
    path: str, ibd: str, stamp: tuple[int, int, int, int], on_error: str, mapped: bool
) -> RunIndex:
    scan = scan_imzml(path)
    warnings = scan.oddities
    _check_uuid(path, ibd, scan.facts.uuid, on_error, warnings)
    problems = find_problems(scan, ibd, stamp[2])
    if problems and on_error == "raise":
        first = min(problems)
        x, y, z = (scan.spectra[name][first] for name in "xyz")
        message = (
            f"{path}: spectrum {first} (x={x}, y={y}, z={z}) cannot be read: "
            f"{problems[first]}. Pass "
            f"on_error='skip' to leave it out, and {len(problems) - 1:,} more of "
            f"{scan.spectra.size:,} spectra."
        )
        raise ImzMLError(message)
    numbers = np.delete(np.arange(scan.spectra.size), list(problems))
    if numbers.size == 0:
        first = min(problems)
        message = (
            f"{path}: none of the {scan.spectra.size:,} spectra can be read; the first "
            f"because {problems[first]}."
        )
        raise ImzMLError(message)
    if problems:
        warnings["skipped"] = (
            f"{len(problems):,} of {scan.spectra.size:,} spectra cannot be read and "
            "are left out; the reader's skipped table says why."
        )
    kept, mobility = scan.spectra[numbers], scan.mobility
    shared = is_shared(kept, scan.facts)
    warnings |= layout_oddities(kept, scan.facts, shared)
    file: FileKey = (ibd, stamp[2], stamp[3], mapped)
    return RunIndex(
        path=path,
        ibd=ibd,
        stamp=stamp,
        facts=scan.facts,
        coordinates=np.column_stack([kept["x"], kept["y"], kept["z"]]),
        lengths=kept["mz_length"].copy(),
        shared=shared,
        reader=ArrayReader(
            file, kept, numbers, None if mobility is None else mobility[numbers]
        ),
        skipped=_skipped_table(path, scan.spectra, problems),
        warnings=tuple(f"{path}: {text}" for text in warnings.values()),
    )


def is_shared(spectra: np.ndarray, facts: RunFacts) -> bool:
    """Whether all spectra refer to one and the same m/z array."""
    if facts.mobility is not None:
        # Points are sorted and added up, spectrum by spectrum.
        return False
    if spectra.size == 1:
        return facts.continuous is True
    return all(
        (spectra[name] == spectra[name][0]).all()
        for name in ("mz_offset", "mz_length", "mz_type", "mz_zlib")
    )


def _check_uuid(
    path: str, ibd: str, expected: str | None, on_error: str, warnings: dict[str, str]
) -> None:
    """Compare the pair's UUIDs: the first 16 bytes of the .ibd."""
    with open(ibd, "rb") as file:
        head = file.read(16)
    if len(head) < 16:
        message = (
            f"{ibd}: the file holds {len(head)} bytes, expected at least the 16 of its "
            "UUID: it is empty or truncated. Copy or export it again."
        )
        raise ImzMLError(message)
    if expected is None:
        return
    wanted = uuid.UUID(expected)
    # Some writers store the first three fields with their bytes reversed.
    if head in (wanted.bytes, wanted.bytes_le):
        return
    message = (
        f"{ibd} does not belong to {path}: its UUID is {head.hex()}, expected "
        f"{expected}. Pair the imzML file with its own .ibd (ibd=)"
    )
    if on_error == "raise":
        message += ", or pass on_error='skip' to read it all the same."
        raise ImzMLError(message)
    warnings["uuid"] = message + "; it was read all the same."


def _check_sum(index: RunIndex) -> None:
    if not index.facts.checksums:
        message = (
            f"{index.path}: checksum=True, but the file gives no SHA-1 or MD5 of its "
            ".ibd to compare with. Pass checksum=False."
        )
        raise ImzMLError(message)
    for algorithm, expected in index.facts.checksums:
        with open(index.ibd, "rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != expected:
            message = (
                f"{index.ibd}: its {algorithm.upper()} is {found}, expected {expected}:"
                " the file is damaged or belongs to another imzML file. Copy it again, "
                "or pass checksum=False."
            )
            raise ImzMLError(message)


def _skipped_table(
    path: str, spectra: np.ndarray, problems: dict[int, str]
) -> pd.DataFrame:
    numbers = np.array(sorted(problems), np.int64)
    return pd.DataFrame(
        {
            "run": pd.Series([Path(path).stem] * numbers.size, dtype="str"),
            "spectrum": numbers,
            "x": spectra["x"][numbers],
            "y": spectra["y"][numbers],
            "z": spectra["z"][numbers],
            "reason": pd.Series([problems[n] for n in numbers.tolist()], dtype="str"),
        }
    )
