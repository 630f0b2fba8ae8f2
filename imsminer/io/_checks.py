"""Checks of a scanned run against its .ibd, without reading it."""

from collections.abc import Mapping

import numpy as np

from imsminer.io import _vocabulary as cv
from imsminer.io._facts import RunFacts
from imsminer.io._layout import (
    KINDS,
    Arrays,
    Layout,
    find_overlaps,
    find_wide_types,
)
from imsminer.io._offsets import unwrap_offsets
from imsminer.io._scan import Scan

__all__ = ["find_problems", "layout_oddities"]

# Bytes of the UUID, before which no array can start.
_HEAD = 16


def find_problems(scan: Scan, ibd: str, size: int) -> dict[int, str]:
    """Return the spectra that cannot be read, with the reason.

    Parameters
    ----------
    scan : Scan
        The metadata. Offsets that were cut to 32 bits are corrected, where the layout
        shows what they were; an oddity is added for this, and for what cannot be
        checked.
    ibd : str
        Path of the binary file, for messages.
    size : int
        Its size in bytes.
    """
    problems = dict(scan.problems)
    spectra = scan.spectra
    tables = {"mz": spectra, "intensity": spectra}
    if scan.mobility is not None:
        tables["mobility"] = scan.mobility
    arrays = {kind: Arrays.of(table, kind) for kind, table in tables.items()}
    _check_lengths(arrays, problems)
    filled = arrays["mz"].lengths > 0
    rows = _without(filled, problems)
    if unwrap_offsets(arrays, rows, size, problems, scan.oddities):
        for kind, table in tables.items():
            table[f"{kind}_offset"] = arrays[kind].offsets
    _check_head(arrays, _without(filled, problems), problems)
    for kind, places in arrays.items():
        _check_place(kind, places, filled, ibd, size, problems)
        _check_packed(kind, places, problems)
    rows = _without(filled, problems)
    if rows.size == 0:
        return problems
    layout = Layout(arrays, rows, size)
    if _check_encoded(layout, scan.oddities, problems):
        rows = _without(filled, problems)
        if rows.size == 0:
            return problems
        layout = Layout(arrays, rows, size)
    problems |= find_overlaps(layout, ibd)
    _check_gaps(layout, scan.oddities, problems)
    return problems


def _without(chosen: np.ndarray, problems: dict[int, str]) -> np.ndarray:
    """Return the numbers of the chosen spectra that are no problem."""
    if problems:
        chosen = chosen.copy()
        chosen[list(problems)] = False
    return np.flatnonzero(chosen)


def _check_lengths(arrays: Mapping[str, Arrays], problems: dict[int, str]) -> None:
    """Require as many intensities, and mobilities, as m/z values."""
    expected = arrays["mz"].lengths
    plural = {"intensity": "intensities", "mobility": "ion mobilities"}
    for kind, name in plural.items():
        if kind in arrays:
            found = arrays[kind].lengths
            for i in _without(found != expected, problems).tolist():
                problems[i] = (
                    f"it has {found[i]} {name} for {expected[i]} m/z values, expected "
                    "as many"
                )


def _check_head(
    arrays: Mapping[str, Arrays], rows: np.ndarray, problems: dict[int, str]
) -> None:
    """Require offsets to count from the start of the file, not from behind its UUID."""
    if all((places.offsets >= _HEAD).all() for places in arrays.values()):
        return
    starts = [places.offsets[rows] for places in arrays.values()]
    early = [rows[(column >= 0) & (column < _HEAD)] for column in starts]
    for places, spectra in zip(arrays.values(), early, strict=True):
        if spectra.size == 0:
            continue
        ends = places.offsets[spectra] + places.sizes[spectra]
        # An array that only has a wrong offset does not lead to the next one.
        if any(np.isin(ends, column).any() for column in starts):
            reason = (
                f"the arrays start within the first {_HEAD} bytes of the .ibd, its "
                "UUID: offsets seem not to be counted from the start of the file"
            )
            problems.update(dict.fromkeys(rows.tolist(), reason))
            return


def _check_place(
    kind: str,
    places: Arrays,
    filled: np.ndarray,
    ibd: str,
    size: int,
    problems: dict[int, str],
) -> None:
    """Require arrays to lie inside of the file, behind its UUID."""
    offsets, ends = places.offsets, places.offsets + places.sizes
    outside = filled & ((offsets < _HEAD) | (ends > size))
    for i in _without(outside, problems).tolist():
        where = (
            f"its {KINDS[kind]} array takes bytes {offsets[i]} to {ends[i]} of {ibd}"
        )
        problems[i] = (
            f"{where}, where the first {_HEAD} bytes are its UUID: the offset is wrong"
            if 0 <= offsets[i] < _HEAD
            else f"{where}, which has {size}: the .ibd is truncated, or the offset is "
            "wrong"
        )


def _check_packed(kind: str, places: Arrays, problems: dict[int, str]) -> None:
    """Require compressed arrays to have a credible length."""
    lengths, encoded, packed = places.lengths, places.encoded, places.packed
    if not packed.any():
        return
    for i in _without(packed & (lengths > 0) & (encoded <= 0), problems).tolist():
        problems[i] = (
            f"its {KINDS[kind]} array is compressed and has no "
            f"encoded length ({cv.ENCODED}), which is needed to read it"
        )
    # zlib cannot pack tighter than 1 : 1032, so more values were never stored.
    impossible = packed & (lengths > 1032 * (encoded + 8))
    for i in _without(impossible, problems).tolist():
        problems[i] = (
            f"its {KINDS[kind]} array is said to hold {lengths[i]} values in "
            f"{encoded[i]} compressed bytes, which is more than they can hold"
        )


def _check_encoded(
    layout: Layout, oddities: dict[str, str], problems: dict[int, str]
) -> bool:
    """Compare encoded lengths with lengths and data types; tell of new problems.

    Where they disagree, the latter are right if each such array ends where the next
    one, or the file, says so.
    """
    found = False
    for kind, places in layout.arrays.items():
        encoded, n_bytes = places.encoded, places.sizes
        wrong = (encoded > 0) & (encoded != n_bytes)
        if not wrong.any():
            continue
        nothing = np.zeros(wrong.size, np.bool_)
        marked = layout.marked(
            {k: wrong if k == kind else nothing for k in layout.arrays}
        )
        if not marked.any():
            continue
        if (layout.gaps[marked] == 0).all():
            oddities["encoded"] = (
                "encoded lengths disagree with lengths and data types; the latter were "
                "taken, with which the arrays fill the .ibd without gaps or overlaps."
            )
            continue
        found = True
        for i in layout.rows[wrong[layout.rows]].tolist():
            stored = cv.TYPES[places.types[i]].name
            problems[i] = (
                f"its {KINDS[kind]} array holds {places.lengths[i]} values of "
                f"type {stored}, {n_bytes[i]} bytes, and an encoded length of "
                f"{encoded[i]}: type, length or compression is wrong, expected that "
                "they agree"
            )
    return found


def _check_gaps(
    layout: Layout, oddities: dict[str, str], problems: dict[int, str]
) -> None:
    """Look for gaps that show that a data type is too narrow.

    Where encoded lengths vouch for the types, or arrays that are not read lie between
    the others, gaps are worth a warning at most. Encoded lengths of which some are
    known to be wrong vouch for nothing.
    """
    if not layout.gaps.any():
        return
    unreliable = "encoded" in oddities
    for kind, places in layout.arrays.items():
        unchecked = ((places.encoded <= 0) | unreliable) & ~places.packed
        if not unchecked[layout.rows].any():
            _warn_of_width(layout, kind, oddities)
            continue
        wide = find_wide_types(layout, kind, unchecked)
        if wide.any() and "arrays" not in oddities:
            for i in layout.spectra(wide).tolist():
                stored = cv.TYPES[places.types[i]].name
                reason = (
                    f"its {KINDS[kind]} array holds {places.lengths[i]} values of type "
                    f"{stored}, {places.sizes[i]} bytes, and no reliable encoded "
                    "length; as all such arrays it is followed by as many "
                    "bytes that belong to none, or three or seven times as many: its "
                    "type seems to be wider"
                )
                problems.setdefault(i, reason)
        elif (layout.gaps > 0).any():
            oddities["gaps"] = (
                "encoded lengths are missing or wrong, and the arrays do not fill the "
                ".ibd, so that neither could vouch for data types; the declared ones "
                "were taken."
            )


def _warn_of_width(layout: Layout, kind: str, oddities: dict[str, str]) -> None:
    """Warn of gaps as large as the arrays, whatever the encoded lengths say."""
    lengths = layout.arrays[kind].lengths
    everywhere = np.ones(lengths.size, np.bool_)
    lengths = lengths[layout.rows]
    # Where all are of one size, it is no more than a coincidence.
    if (lengths == lengths[0]).all():
        return
    if find_wide_types(layout, kind, everywhere).any() and "arrays" not in oddities:
        oddities["gaps"] = (
            f"every {KINDS[kind]} array is followed by a gap of its own size, or a "
            "multiple, as if its type were wider than data type and encoded length "
            "say; these were taken."
        )


def layout_oddities(
    spectra: np.ndarray, facts: RunFacts, shared: bool
) -> dict[str, str]:
    """Return what is odd about the layout of the spectra that are read."""
    oddities = {}
    if facts.continuous and not shared and facts.mobility is None:
        oddities["layout"] = (
            "the file says continuous, but its spectra have different m/z arrays; it "
            "is read as processed."
        )
    repeated = spectra.size - _n_positions(spectra)
    if repeated:
        oddities["positions"] = (
            f"{repeated:,} spectra lie at positions that another one has too; all are "
            "read, and an image shows one of them."
        )
    return oddities


def _n_positions(spectra: np.ndarray) -> int:
    """Count different positions."""
    keys = np.zeros(spectra.size, np.int64)
    n_keys = 1
    for name in "xyz":
        values = spectra[name] - spectra[name].min()
        extent = int(values.max()) + 1
        n_keys *= extent
        if n_keys >= 1 << 62:
            positions = np.column_stack([spectra[name] for name in "xyz"])
            return np.unique(positions, axis=0).shape[0]
        keys = keys * extent + values
    if n_keys <= 64 * keys.size:
        # A raster, as most are: a mark on each position is quicker than sorting.
        marks = np.zeros(n_keys, np.bool_)
        marks[keys] = True
        return int(np.count_nonzero(marks))
    return np.unique(keys).size
