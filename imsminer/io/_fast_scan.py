"""The fast way through the XML of an imzML file: a compiled pass over its bytes."""

import mmap
import re
from os import PathLike
from typing import IO

import numpy as np

from imsminer.io import _vocabulary as cv
from imsminer.io._rows import MOBILITY, SPECTRUM, SpectrumRows, fill
from imsminer.io._xml import Header, parse_xml

__all__ = ["scan_fast"]

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
        *cv.FOREIGN,
        cv.MZ_ARRAY,
        cv.INTENSITY_ARRAY,
        cv.ZLIB,
        cv.NO_COMPRESSION,
        cv.OFFSET,
        cv.LENGTH,
        cv.ENCODED,
    )
)


def scan_fast(
    path: str | PathLike, file: IO[bytes]
) -> tuple[Header, np.ndarray, np.ndarray | None, SpectrumRows] | None:
    """Scan the bytes of an imzML file.

    Parameters
    ----------
    path : path-like
        Its name, for messages.
    file : binary file
        Its text; a real file, which can be mapped.

    Returns
    -------
    header : Header
    spectra : ndarray of `SPECTRUM`
    mobility : ndarray of `MOBILITY` or None
        Where the spectra have ion mobilities.
    rows : SpectrumRows
        Without rows, but with what is odd about them.
    or `None` when the file needs the tolerant parser.
    """
    header, _, misencoded = parse_xml(path, file, header_only=True)
    plain = (
        header.is_plain
        and not misencoded
        and not header.has_doctype
        and (header.encoding is None or header.encoding.lower() in _ENCODINGS)
    )
    groups = _fast_groups(header) if plain else None
    count = header.count or ""
    if groups is None or not re.fullmatch(r"[1-9]\d{0,11}", count, re.ASCII):
        return None
    kinds, flags_of, stored, mobility_kind = groups
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        n_rows = int(count)
        if n_rows > len(text) // _LEAST_BYTES:
            return None
        table = np.zeros((n_rows, 9 if mobility_kind is None else 12), np.int64)
        flags = np.zeros(n_rows, np.uint8)
        status, position, odd_names = _run_kernel(
            text, header, kinds, flags_of, table, flags
        )
        if status != 0 or len(text) - position > _LONGEST_TAIL:
            return None
        if not _TAIL.match(text[position:]):
            return None
    without_z = table[:, 2] < 0
    if without_z.any():
        if not without_z.all():
            return None
        table[:, 2] = 1
    rows = SpectrumRows(odd_names=odd_names)
    types, packed = zip(*stored, strict=True)
    spectra = fill(SPECTRUM, table[:, :9], [*types[:2], *packed[:2], flags])
    mobility = None
    if mobility_kind is not None:
        rows.mobility_kinds[mobility_kind] = 0
        mobility = fill(MOBILITY, table[:, 9:], [types[2], packed[2]])
    return header, spectra, mobility, rows


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
) -> (
    tuple[list[int], list[int], list[tuple[int, bool]], tuple[str, str, str] | None]
    | None
):
    """Say what a reference to each group means to the fast scan.

    Returns the kind and the flags of each group; type and compression of the m/z, the
    intensity and, where there is one, the mobility array; and the kind of mobility.
    `None` unless there is one group for m/z and one for intensity, at most one for
    mobility, each of one type and one known compression.
    """
    from imsminer.io._kernels import scan_numba as kernel

    kinds, flags = [], []
    arrays: dict[int, list[tuple[int, bool]]] = {
        kernel.GROUP_MZ: [],
        kernel.GROUP_INTENSITY: [],
        kernel.GROUP_MOBILITY: [],
    }
    mobility_kind = None
    for terms in header.groups.values():
        used = _GROUP_TERMS.intersection(terms)
        mobility = cv.mobility_term({key: terms[key].value for key in terms})
        found = [
            kind
            for kind, present in (
                (kernel.GROUP_MZ, cv.MZ_ARRAY in used),
                (kernel.GROUP_INTENSITY, cv.INTENSITY_ARRAY in used),
                (kernel.GROUP_MOBILITY, mobility is not None),
            )
            if present
        ]
        flag = 0
        for accession, term in terms.items():
            flag |= cv.spectrum_flag(accession, term.value)
        types = {cv.TYPE_CODES[key] for key in used if key in cv.TYPE_CODES}
        odd = (
            len(types) != 1
            or len(found) != 1
            or (cv.ZLIB in used and cv.NO_COMPRESSION in used)
            or bool(used & {cv.OFFSET, cv.LENGTH, cv.ENCODED, *cv.POSITIONS})
            or bool(used & cv.FOREIGN)
            or any(cv.is_undecodable(key, terms[key].name) for key in terms)
            or flag > 0
        )
        kind = kernel.GROUP_ODD
        if not used and not found:
            kind = kernel.GROUP_PLAIN
        elif not odd:
            kind = found[0]
            arrays[kind].append((types.pop(), cv.ZLIB in used))
            if mobility is not None:
                unit = terms[mobility[0]].unit_accession.strip()
                mobility_kind = (*mobility, unit)
        kinds.append(kind)
        flags.append(flag)
    counts = [len(places) for places in arrays.values()]
    if counts not in ([1, 1, 0], [1, 1, 1]):
        return None
    stored = [p for places in arrays.values() for p in places]
    return kinds, flags, stored, mobility_kind
