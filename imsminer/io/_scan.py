"""Metadata of an imzML file: the table of spectra and the facts about the run.

Two ways lead to the same `Scan`: a compiled pass over the bytes, for the plain files
that instruments and converters write, and the tolerant parser for everything else. The
fast way never guesses; whatever it does not expect, it leaves to the other.
"""

import mmap
import os
import re
from dataclasses import dataclass, field
from os import PathLike

import numpy as np

from imsminer.exceptions import ImzMLError
from imsminer.io import _vocabulary as cv
from imsminer.io._facts import RunFacts, run_facts
from imsminer.io._rows import SpectrumRows
from imsminer.io._xml import Header, parse_xml

__all__ = ["SPECTRUM", "Scan", "scan_imzml"]

SPECTRUM = np.dtype(
    [
        ("x", np.int64),
        ("y", np.int64),
        ("z", np.int64),
        ("mz_offset", np.int64),
        ("mz_length", np.int64),
        ("mz_encoded", np.int64),
        ("intensity_offset", np.int64),
        ("intensity_length", np.int64),
        ("intensity_encoded", np.int64),
        ("mz_type", np.uint8),
        ("intensity_type", np.uint8),
        ("mz_zlib", np.bool_),
        ("intensity_zlib", np.bool_),
        ("flags", np.uint8),
    ]
)
_NUMBERS = SPECTRUM.names[:9]  # type: ignore[index]
_CODES = SPECTRUM.names[9:]  # type: ignore[index]

# Below this size the tolerant parser is done before the compiled one is loaded.
FAST_FROM = 1 << 20
# Spectra scanned at a time: their text, some 100 MB, is then let go.
PART = 1 << 16
# A spectrum takes more XML than this, so a larger count is a wrong one.
_LEAST_BYTES = 200
_ENCODINGS = (None, "utf-8", "us-ascii", "iso-8859-1", "windows-1252")
_TAIL = re.compile(rb"\s*</run>\s*</mzML>\s*\Z")
_LONGEST_TAIL = 4096
_GROUP_TERMS = frozenset(
    (
        *cv.TYPE_CODES,
        *cv.POSITIONS,
        *cv.FOREIGN_COMPRESSION,
        cv.MZ_ARRAY,
        cv.INTENSITY_ARRAY,
        cv.ZLIB,
        cv.NO_COMPRESSION,
        cv.OFFSET,
        cv.LENGTH,
        cv.ENCODED,
    )
)


@dataclass
class Scan:
    """What the XML of an imzML file says.

    Attributes
    ----------
    spectra : ndarray of `SPECTRUM`, shape (n_spectra,)
        One record a spectrum, in the order of the file: x, y, z; byte offset, length
        in points and encoded length in bytes of both arrays (an encoded length that
        the file does not give is -1); codes of the stored types (indices into
        ``_vocabulary.TYPES``); whether they are zlib-compressed; flags.
    facts : RunFacts
        What holds for the whole run.
    problems : dict
        Index of a spectrum → why it cannot be read.
    oddities : dict
        Kind → message: departures from the standard that do not change what is read.
    fast : bool
        Which way was taken.
    """

    spectra: np.ndarray
    facts: RunFacts
    problems: dict[int, str]
    oddities: dict[str, str]
    fast: bool = field(default=False, compare=False)


def scan_imzml(path: str | PathLike, *, fast: bool | None = None) -> Scan:
    """Read the metadata of an imzML file; the ``.ibd`` is not touched.

    Parameters
    ----------
    path : path-like
        The ``.imzML`` file.
    fast : bool or None, default=None
        Whether to try the fast way; `None` tries it on all but small files.

    Returns
    -------
    Scan

    Raises
    ------
    ImzMLError
        When the XML is cut off, not well-formed, not imzML, or lists no spectra.
    """
    if fast is None:
        fast = os.path.getsize(path) >= FAST_FROM
    found = _scan_fast(path) if fast else None
    if found is not None:
        header, spectra, rows = found
        misencoded = False
    else:
        header, rows, misencoded = parse_xml(path)
        spectra = _table(rows)
    if spectra.size == 0:
        message = (
            f"{path}: the list of spectra is empty. Expected at least one spectrum; "
            "export the file again."
        )
        raise ImzMLError(message)
    facts, oddities = run_facts(header, spectra)
    oddities |= _list_oddities(header, rows, spectra.size, misencoded)
    _unwrap_offsets(spectra, rows.problems, oddities)
    return Scan(spectra, facts, rows.problems, oddities, found is not None)


def _table(rows: SpectrumRows) -> np.ndarray:
    numbers = np.frombuffer(rows.numbers, np.int64).reshape(-1, 9)
    codes = np.frombuffer(rows.codes, np.uint8).reshape(-1, 5)
    spectra = np.empty(len(rows), SPECTRUM)
    for column, name in enumerate(_NUMBERS):
        spectra[name] = numbers[:, column]
    for column, name in enumerate(_CODES):
        spectra[name] = codes[:, column]
    return spectra


def _scan_fast(
    path: str | PathLike,
) -> tuple[Header, np.ndarray, SpectrumRows] | None:
    """Scan the bytes; `None` when the file needs the tolerant parser."""
    header, _, misencoded = parse_xml(path, header_only=True)
    plain = (
        not misencoded
        and not header.has_doctype
        and (header.encoding is None or header.encoding.lower() in _ENCODINGS)
    )
    groups = _fast_groups(header) if plain else None
    count = header.count or ""
    if groups is None or not re.fullmatch(r"[1-9]\d{0,11}", count, re.ASCII):
        return None
    kinds, flags_of, types = groups
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
    ):
        n_rows = int(count)
        if n_rows > len(text) // _LEAST_BYTES:
            return None
        table = np.zeros((n_rows, 9), np.int64)
        flags = np.zeros(n_rows, np.uint8)
        status, position, odd_names = _run_kernel(
            text, header, kinds, flags_of, table, flags
        )
        if status != 0 or len(text) - position > _LONGEST_TAIL:
            return None
        if not _TAIL.match(text[position:]):
            return None
    spectra = np.empty(n_rows, SPECTRUM)
    for column, name in enumerate(_NUMBERS):
        spectra[name] = table[:, column]
    for name, value in zip(_CODES[:4], types, strict=True):
        spectra[name] = value
    spectra["flags"] = flags
    return header, spectra, SpectrumRows(odd_names=odd_names)


def _run_kernel(
    text: mmap.mmap,
    header: Header,
    kinds: list[int],
    flags_of: list[int],
    table: np.ndarray,
    flags: np.ndarray,
) -> tuple[int, int, bool]:
    from imsminer.io._kernels.scan_numba import MORE, scan_spectra

    ids = [group.encode() for group in header.groups]
    groups = (
        np.frombuffer(b"".join(ids), np.uint8),
        np.cumsum([0, *map(len, ids)]).astype(np.int64),
        np.array(kinds, np.int64),
        np.array(flags_of, np.uint8),
    )
    view = np.frombuffer(text, np.uint8)
    position, odd_names = header.list_start, False
    for first in range(0, len(table), PART):
        part = slice(first, first + PART)
        more = first + PART < len(table)
        n_rows, status, position, odd = scan_spectra(
            view,
            header.list_start,
            position,
            more,
            *groups,
            table[part],
            flags[part],
        )
        odd_names |= odd
        if status != (MORE if more else 0):
            return max(status, 1), position, odd_names
        if hasattr(text, "madvise") and more:
            # What has been read need not count as this process's memory.
            text.madvise(mmap.MADV_DONTNEED, 0, position & -mmap.PAGESIZE)
    if n_rows != len(table[part]):
        # The count was wrong, and the tolerant parser reports that.
        status = 1
    return status, position, odd_names


def _fast_groups(
    header: Header,
) -> tuple[list[int], list[int], tuple[int, int, bool, bool]] | None:
    """Say what a reference to each group means to the fast scan.

    `None` unless there is one group for m/z and one for intensity, each of one type
    and one known compression.
    """
    from imsminer.io._kernels import scan_numba as kernel

    kinds, flags = [], []
    arrays: dict[int, list[tuple[int, bool]]] = {
        kernel.GROUP_MZ: [],
        kernel.GROUP_INTENSITY: [],
    }
    for terms in header.groups.values():
        used = _GROUP_TERMS.intersection(terms)
        is_mz, is_intensity = cv.MZ_ARRAY in used, cv.INTENSITY_ARRAY in used
        flag = 0
        for accession, bit in cv.FLAGS.items():
            flag |= bit * (accession in terms)
        types = {cv.TYPE_CODES[key] for key in used if key in cv.TYPE_CODES}
        odd = (
            len(types) != 1
            or is_mz == is_intensity
            or (cv.ZLIB in used and cv.NO_COMPRESSION in used)
            or bool(used & {cv.OFFSET, cv.LENGTH, cv.ENCODED, *cv.POSITIONS})
            or bool(used & cv.FOREIGN_COMPRESSION)
            or flag > 0
        )
        kind = kernel.GROUP_ODD
        if not used:
            kind = kernel.GROUP_PLAIN
        elif not odd:
            kind = kernel.GROUP_MZ if is_mz else kernel.GROUP_INTENSITY
            arrays[kind].append((types.pop(), cv.ZLIB in used))
        kinds.append(kind)
        flags.append(flag)
    mz, intensity = arrays[kernel.GROUP_MZ], arrays[kernel.GROUP_INTENSITY]
    if len(mz) != 1 or len(intensity) != 1:
        return None
    return kinds, flags, (mz[0][0], intensity[0][0], mz[0][1], intensity[0][1])


def _list_oddities(
    header: Header, rows: SpectrumRows, n_spectra: int, misencoded: bool
) -> dict[str, str]:
    oddities = {}
    if header.count is None or header.count.strip() != str(n_spectra):
        oddities["count"] = (
            f"the spectrumList announces {header.count} spectra and holds {n_spectra}; "
            "all of these are read. Check that the export was complete."
        )
    if rows.odd_names or header.wrong_names:
        example = ""
        if header.wrong_names:
            accession, name = next(iter(header.wrong_names.items()))
            example = f", such as {name!r} for {accession}"
        oddities["names"] = (
            f"some terms have a name that contradicts their accession{example}; the "
            "accession was taken."
        )
    if rows.n_extra_arrays:
        oddities["arrays"] = (
            f"{rows.n_extra_arrays} arrays are neither m/z nor intensity (ion "
            "mobility, for example) and are not read: points that differ only in "
            "them stay apart, at equal m/z."
        )
    if rows.two_types:
        oddities["types"] = (
            "arrays are declared with two data types; the one that agrees with their "
            "encoded length was taken."
        )
    if misencoded:
        oddities["encoding"] = (
            "the text is not in the encoding that the file declares; it was read as "
            "Latin-1, which changes no number."
        )
    return oddities


def _unwrap_offsets(
    spectra: np.ndarray, problems: dict[int, str], oddities: dict[str, str]
) -> None:
    """Undo offsets that were written as signed 32-bit numbers.

    Such writers count on from -2³¹ after 2³¹ - 1. Offsets that run upwards through the
    file, as these do, are recovered by adding 2³² at every fall below zero.
    """
    for name in ("mz_offset", "intensity_offset"):
        offsets = spectra[name]
        negative = offsets < 0
        negative[list(problems)] = False
        if not negative.any():
            continue
        before = np.concatenate([[False], negative[:-1]])
        offsets += (np.cumsum(negative & ~before) << 32) * (offsets >= -(1 << 31))
        oddities["offsets"] = (
            "byte offsets beyond 2 GB are written as negative numbers (32-bit "
            "overflow); they were counted on from there."
        )
