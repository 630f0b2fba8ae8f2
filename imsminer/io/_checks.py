"""Checks of a scanned run against its .ibd, without reading it."""

import numpy as np

from imsminer.io import _vocabulary as cv
from imsminer.io._facts import RunFacts
from imsminer.io._scan import Scan
from imsminer.io._stored import stored_bytes

__all__ = ["find_problems", "layout_oddities"]

_KINDS = {"mz": "m/z", "intensity": "intensity", "mobility": "ion mobility"}


def find_problems(scan: Scan, ibd: str, size: int) -> dict[int, str]:
    """Return the spectra that cannot be read, with the reason.

    Parameters
    ----------
    scan : Scan
        The metadata; an oddity is added where encoded lengths are wrong but the layout
        shows what is stored.
    ibd : str
        Path of the binary file, for messages.
    size : int
        Its size in bytes.
    """
    problems = dict(scan.problems)
    spectra = scan.spectra
    good = np.ones(spectra.size, np.bool_)
    good[list(problems)] = False
    differ = good & (spectra["mz_length"] != spectra["intensity_length"])
    for i in np.flatnonzero(differ).tolist():
        problems[i] = (
            f"it has {spectra['intensity_length'][i]} intensities "
            f"for {spectra['mz_length'][i]} m/z values, expected as many"
        )
    tables = {"mz": spectra, "intensity": spectra}
    if scan.mobility is not None:
        tables["mobility"] = scan.mobility
        given = scan.mobility["mobility_length"]
        short = good & ~differ & (given != spectra["mz_length"])
        for i in np.flatnonzero(short).tolist():
            problems[i] = (
                f"it has {given[i]} ion mobilities for {spectra['mz_length'][i]} m/z "
                "values, expected as many"
            )
    for kind, table in tables.items():
        name = _KINDS[kind]
        good[list(problems)] = False
        offsets = table[f"{kind}_offset"]
        n_bytes = stored_bytes(table, kind)
        ends = offsets + n_bytes
        filled = table[f"{kind}_length"] > 0
        outside = good & filled & ((offsets < 0) | (ends > size))
        for i in np.flatnonzero(outside).tolist():
            problems[i] = (
                f"its {name} array takes bytes {offsets[i]} to "
                f"{ends[i]} of {ibd}, which has {size}: the .ibd is truncated, or the "
                "offset is wrong"
            )
        good[list(problems)] = False
        _check_encoded(scan, tables, kind, good, problems, size)
    return problems


def _check_encoded(
    scan: Scan,
    tables: dict[str, np.ndarray],
    kind: str,
    good: np.ndarray,
    problems: dict[int, str],
    size: int,
) -> None:
    """Compare encoded lengths with the data type."""
    spectra = tables[kind]
    lengths = spectra[f"{kind}_length"]
    encoded = spectra[f"{kind}_encoded"]
    packed = spectra[f"{kind}_zlib"]
    unknown = good & packed & (lengths > 0) & (encoded < 0)
    for i in np.flatnonzero(unknown).tolist():
        problems[i] = (
            f"its {_KINDS[kind]} array is compressed and has no "
            f"encoded length ({cv.ENCODED}), which is needed to read it"
        )
    # zlib cannot pack tighter than 1 : 1032, so more values were never stored.
    impossible = good & packed & ~unknown & (lengths > 1032 * (encoded + 8))
    for i in np.flatnonzero(impossible).tolist():
        problems[i] = (
            f"its {_KINDS[kind]} array is said to hold {lengths[i]} values in "
            f"{encoded[i]} compressed bytes, which is more than they can hold"
        )
    n_bytes = stored_bytes(spectra, kind)
    wrong = good & ~packed & (encoded > 0) & (encoded != n_bytes)
    if not wrong.any():
        return
    # Stored values of another size would leave traces: arrays that overlap, or gaps.
    doubtful = wrong & (
        (encoded == 2 * lengths) | (encoded == 4 * lengths) | (encoded == 8 * lengths)
    )
    if doubtful.any() and not _is_tight(tables, good, size):
        for i in np.flatnonzero(doubtful).tolist():
            stored = cv.TYPES[spectra[f"{kind}_type"][i]].name
            problems[i] = (
                f"its {_KINDS[kind]} array holds {lengths[i]} "
                f"values of type {stored}, {n_bytes[i]} bytes, and an encoded length "
                f"of {encoded[i]}: type or length is wrong, expected that they agree"
            )
    else:
        scan.oddities["encoded"] = (
            "encoded lengths disagree with lengths and data types; the latter were "
            "taken, with which the arrays fill the .ibd without gaps or overlaps."
            if doubtful.any()
            else "encoded lengths disagree with lengths and data types; the latter "
            "were taken."
        )


def _is_tight(tables: dict[str, np.ndarray], good: np.ndarray, size: int) -> bool:
    """Whether the arrays, of the declared types, fill the file up to its end."""
    arrays = np.concatenate(
        [
            np.column_stack([table[f"{kind}_offset"], stored_bytes(table, kind)])[
                good & (table[f"{kind}_length"] > 0)
            ]
            for kind, table in tables.items()
        ]
    )
    arrays = np.unique(arrays, axis=0)
    starts = np.append(arrays[1:, 0], size)
    return bool(np.array_equal(starts, arrays.sum(axis=1)))


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
