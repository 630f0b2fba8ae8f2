"""Opening an imzML run: find its files, scan, check, and remember the result.

A process indexes each file once, however many readers it opens or unpickles.
"""

import hashlib
import os
import threading
import uuid
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from os import PathLike
from typing import IO

import numpy as np
import pandas as pd

from imsminer.core.progress import progress_bar
from imsminer.exceptions import ImzMLError
from imsminer.io._checks import find_problems, layout_oddities
from imsminer.io._facts import RunFacts
from imsminer.io._files import FileKey
from imsminer.io._find import MissingFileError
from imsminer.io._ibd import ArrayReader
from imsminer.io._mixed import mixed_oddities
from imsminer.io._scan import scan_imzml
from imsminer.io._text import run_name

__all__ = ["RunIndex", "open_run"]

MAX_INDEXED = 64
PIECE = 1 << 22


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
    oddities : dict of str
        What the user should know, by kind, a sentence each.
    flags : ndarray of uint8, shape (n_rows,), or None
        Flags of each spectrum, where they differ in polarity or in being profile or
        centroid.
    mz_ends : dict
        Lowest and highest m/z of ranges of rows, as far as they were asked for.
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
    oddities: dict[str, str]
    flags: np.ndarray | None
    mz_ends: dict[tuple[int, int], list[np.ndarray]] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The oddities, each as a whole message."""
        return tuple(f"{self.path}: {text}" for text in self.oddities.values())


_indexed: "weakref.WeakValueDictionary[tuple, RunIndex]" = weakref.WeakValueDictionary()
_recent: "OrderedDict[tuple, RunIndex]" = OrderedDict()
_lock = threading.Lock()


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
    stamp, marks = _stamp(path, ibd)
    if expected is not None and stamp != expected:
        which = path if stamp[:2] != expected[:2] else ibd
        message = (
            f"{which} has changed since the Spectra was pickled: size and time are "
            f"{stamp}, expected {expected}. Open the file again with ImzMLReader."
        )
        raise ImzMLError(message)
    key = (path, ibd, stamp, marks, on_error, mapped)
    with _lock:
        index = _indexed.get(key)
        if index is None:
            index = _indexed[key] = _build(path, ibd, stamp, marks, on_error, mapped)
        _recent[key] = index
        _recent.move_to_end(key)
        while len(_recent) > MAX_INDEXED:
            _recent.popitem(last=False)
    if checksum:
        _check_sum(index)
    return index


def _stamp(path: str, ibd: str) -> tuple[tuple[int, int, int, int], tuple[int, ...]]:
    """Return what identifies the state of both files, everywhere and on this machine.

    Sizes and times of change are the same wherever the files are; node numbers and
    times of status tell apart what was written within one tick of the clock.
    """
    try:
        xml, binary = os.stat(path), os.stat(ibd)
    except FileNotFoundError as error:
        message = (
            f"{error.filename} does not exist any more. Put the file back, or open it "
            "where it is now with ImzMLReader."
        )
        raise MissingFileError(message) from error
    stamp = (xml.st_size, xml.st_mtime_ns, binary.st_size, binary.st_mtime_ns)
    return stamp, (xml.st_ino, xml.st_ctime_ns, binary.st_ino, binary.st_ctime_ns)


def _build(
    path: str,
    ibd: str,
    stamp: tuple[int, int, int, int],
    marks: tuple[int, ...],
    on_error: str,
    mapped: bool,
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
    mixed = mixed_oddities(kept["flags"])
    warnings |= mixed
    file: FileKey = (ibd, stamp[2], stamp[3], mapped, marks)
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
        oddities=warnings,
        flags=kept["flags"].copy() if mixed else None,
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
            found = _digest(file, algorithm, index.stamp[2])
        if found != expected:
            message = (
                f"{index.ibd}: its {algorithm.upper()} is {found}, expected {expected}:"
                " the file is damaged or belongs to another imzML file. Copy it again, "
                "or pass checksum=False."
            )
            raise ImzMLError(message)


def _digest(file: IO[bytes], algorithm: str, size: int) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    label = f"Checking {algorithm.upper()}"
    with progress_bar(label, size, unit="bytes") as advance:
        while piece := file.read(PIECE):
            digest.update(piece)
            advance(len(piece))
    return digest.hexdigest()


def _skipped_table(
    path: str, spectra: np.ndarray, problems: dict[int, str]
) -> pd.DataFrame:
    numbers = np.array(sorted(problems), np.int64)
    return pd.DataFrame(
        {
            "run": pd.Series([run_name(path)] * numbers.size, dtype="str"),
            "spectrum": numbers,
            "x": spectra["x"][numbers],
            "y": spectra["y"][numbers],
            "z": spectra["z"][numbers],
            "reason": pd.Series([problems[n] for n in numbers.tolist()], dtype="str"),
        }
    )
