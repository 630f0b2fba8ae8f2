"""Metadata of an imzML file: the table of spectra and the facts about the run.

Two ways lead to the same `Scan`: a compiled pass over the bytes, for the plain files
that instruments and converters write, and the tolerant parser for everything else. The
fast way never guesses; whatever it does not expect, it leaves to the other.
"""

import os
from dataclasses import dataclass, field
from os import PathLike

import numpy as np

from imsminer.exceptions import ImzMLError
from imsminer.io._facts import RunFacts, run_facts
from imsminer.io._fast_scan import scan_fast
from imsminer.io._rows import (
    MOBILITY,
    SPECTRUM,
    SpectrumRows,
    mobility_table,
    spectrum_table,
)
from imsminer.io._text import open_text
from imsminer.io._xml import Header, parse_xml

__all__ = ["MOBILITY", "SPECTRUM", "Scan", "scan_imzml"]

# Below this size the tolerant parser is done before the compiled one is loaded.
FAST_FROM = 1 << 20


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
    mobility : ndarray of `MOBILITY`, shape (n_spectra,), or None
        The same of the arrays of ion mobilities, where there are any.
    fast : bool
        Which way was taken.
    """

    spectra: np.ndarray
    facts: RunFacts
    problems: dict[int, str]
    oddities: dict[str, str]
    mobility: np.ndarray | None = None
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
    with open_text(path, FAST_FROM) as file:
        if fast is None:
            fast = file.seek(0, os.SEEK_END) >= FAST_FROM
        found = scan_fast(path, file) if fast else None
        if found is not None:
            header, spectra, mobility, rows = found
            read_as = None
        else:
            header, rows, read_as = parse_xml(path, file)
            spectra = spectrum_table(rows)
            mobility = mobility_table(rows, spectra)
    if spectra.size == 0:
        message = (
            f"{path}: the list of spectra is empty. Expected at least one spectrum; "
            "export the file again."
        )
        raise ImzMLError(message)
    names = [name for _, name, _ in rows.mobility_kinds]
    facts, oddities = run_facts(header, spectra, names[0] if names else None)
    oddities |= _list_oddities(header, rows, spectra.size, read_as)
    return Scan(spectra, facts, rows.problems, oddities, mobility, found is not None)


def _list_oddities(
    header: Header, rows: SpectrumRows, n_spectra: int, read_as: str | None
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
            f"{rows.n_extra_arrays} arrays are neither m/z, intensity nor ion mobility "
            "(charges or noise, for example) and are not read."
        )
    if 0 < rows.n_without_z < n_spectra:
        oddities["z"] = (
            f"{rows.n_without_z} of {n_spectra} spectra give no position z; they were "
            "put at z = 1."
        )
    if rows.two_types:
        oddities["types"] = (
            "arrays are declared with two data types; the one that agrees with their "
            "encoded length was taken."
        )
    if read_as is not None:
        name = {"iso-8859-1": "Latin-1"}.get(read_as, read_as.upper())
        oddities["encoding"] = (
            "the text is not in the encoding that the file declares; it was read as "
            f"{name}, which changes no number."
        )
    return oddities
