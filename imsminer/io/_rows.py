"""Rows of the spectrum table, as the tolerant parser collects them."""

import re
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from imsminer.io import _vocabulary as cv

__all__ = [
    "MOBILITY",
    "SPECTRUM",
    "RowBuilder",
    "SpectrumRows",
    "Term",
    "fill",
    "mobility_table",
    "spectrum_table",
]

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
# The third array has a table of its own, which most files do without.
MOBILITY = np.dtype(
    [
        ("mobility_offset", np.int64),
        ("mobility_length", np.int64),
        ("mobility_encoded", np.int64),
        ("mobility_type", np.uint8),
        ("mobility_zlib", np.bool_),
    ]
)

MISSING = -1
# With all the spaces and zeros that someone may put into it.
_LONGEST_NUMBER = 100
_INTEGER = re.compile(r"[+-]?\d{1,18}\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\Z", re.ASCII)
_KINDS = ("m/z", "intensity", "ion mobility")
_SPECTRUM_TERMS = frozenset((*cv.POSITIONS, *cv.FLAGS, cv.MS_LEVEL))
_VALUED = frozenset((cv.OFFSET, cv.LENGTH, cv.ENCODED, cv.OTHER_ARRAY))


class Term(NamedTuple):
    """A cvParam."""

    name: str
    value: str
    unit_accession: str
    unit_name: str


@dataclass
class SpectrumRows:
    """Rows of the spectrum table, still in plain arrays.

    `numbers` holds nine integers a row: x, y, z, then offset, length and encoded
    length of the m/z and of the intensity array. `codes` holds five bytes: the two
    stored types, whether each is zlib-compressed, and the flags. `mobility` holds seven
    integers for each spectrum that has an array of ion mobilities: number of the
    spectrum, offset, length, encoded length, stored type, whether compressed, and the
    kind, which is numbered by `mobility_kinds`: accession, name, accession of the unit.
    """

    numbers: array = field(default_factory=lambda: array("q"))
    codes: bytearray = field(default_factory=bytearray)
    problems: dict[int, str] = field(default_factory=dict)
    mobility: array = field(default_factory=lambda: array("q"))
    mobility_kinds: dict[tuple[str, str, str], int] = field(default_factory=dict)
    odd_names: bool = False
    n_extra_arrays: int = 0
    n_without_z: int = 0
    two_types: bool = False

    def __len__(self) -> int:
        return len(self.codes) // 5


class RowBuilder:
    """Turns the terms inside one <spectrum> after the other into rows."""

    def __init__(self) -> None:
        self.rows = SpectrumRows()
        self._accessions: dict[str, str] = {}
        self._right: set[tuple[str, str]] = set()
        self.begin()

    def begin(self, n_points: str | None = None) -> None:
        """Start a spectrum, with its defaultArrayLength."""
        self._n_points = n_points
        self._position: list[str | None] = [None, None, None]
        self._flags = 0
        self._arrays: list[tuple[dict[str, str], str]] = []
        self._array: dict[str, str] | None = None
        self._trouble: str | None = None

    def begin_array(self) -> None:
        """Start a binaryDataArray."""
        self._array = {}
        self._unit = ""

    def end_array(self) -> None:
        """End a binaryDataArray."""
        if self._array is not None:
            self._arrays.append((self._array, self._unit))
            self._array = None

    def term(self, attributes: dict[str, str]) -> None:
        """Take a cvParam."""
        given = attributes.get("accession", "")
        accession = self._accessions.get(given)
        if accession is None:
            accession = cv.bare_accession(given, attributes.get("name"))
            if given.strip():
                self._accessions[given] = accession
        if self._array is None and accession not in _SPECTRUM_TERMS:
            return
        name = attributes.get("name", "")
        if (accession, name) not in self._right:
            self._check_name(accession, name)
        unit = attributes.get("unitAccession", "")
        self._apply(accession, attributes.get("value", ""), unit)

    def _check_name(self, accession: str, name: str) -> None:
        known = cv.NAMES.get(accession)
        if known is None and cv.is_undecodable(accession, name):
            if self._array is not None:
                self._array[cv.UNDECODABLE] = name
        elif known is None or name in known:
            self._right.add((accession, name))
        else:
            self.rows.odd_names = True

    def group(self, name: str, terms: dict[str, Term] | None) -> None:
        """Take the terms of a parameter group; `None` for one that is not there."""
        if terms is None:
            if self._array is not None:
                self._trouble = (
                    f"one of its arrays refers to the parameter group {name!r}, which "
                    "the file does not define"
                )
            return
        for accession, term in terms.items():
            self._apply(accession, term.value, term.unit_accession)
            if self._array is not None and cv.is_undecodable(accession, term.name):
                self._array[cv.UNDECODABLE] = term.name

    def _apply(self, accession: str, value: str, unit: str) -> None:
        if self._array is not None:
            first = self._array.setdefault(accession, value)
            if first != value and accession in _VALUED:
                self._trouble = (
                    f"{accession} is given twice, {_shown(value)} the second time"
                )
            if accession in cv.MOBILITY_ARRAYS or accession == cv.OTHER_ARRAY:
                self._unit = unit.strip()
        elif accession in cv.POSITIONS:
            axis = cv.POSITIONS[accession]
            before = self._position[axis]
            if before is not None and before != value:
                self._trouble = (
                    f"it has two positions, {_shown(before)} and {_shown(value)}"
                )
            self._position[axis] = value
        else:
            self._flags |= cv.spectrum_flag(accession, value)

    def end(self) -> None:
        """End a spectrum: add its row."""
        rows = self.rows
        position = [MISSING] * 3
        places = [[MISSING] * 3 for _ in _KINDS]
        stored = [[cv.UNKNOWN_TYPE, 0] for _ in _KINDS]
        trouble = self._trouble
        for axis, text in enumerate(self._position):
            if text is None and axis == 2:
                position[2] = 1
                rows.n_without_z += 1
                continue
            number = _integer(text)
            if number is None:
                found = _shown(text)
                trouble = trouble or (
                    f"its position {'xyz'[axis]} is {found}, expected a whole number"
                )
            else:
                position[axis] = number
        seen: dict[int, tuple[str, str, str]] = {}
        for terms, unit in self._arrays:
            which, term = _content(terms)
            if which is None:
                rows.n_extra_arrays += 1
                continue
            if which in seen:
                trouble = trouble or f"it has two {_KINDS[which]} arrays"
            seen[which] = (*term, unit)
            trouble = (
                self._finish_array(terms, which, places[which], stored[which])
                or trouble
            )
        if not self._arrays and _integer(self._n_points) == 0:
            # No arrays, and no points to put into any.
            places[0][:2] = places[1][:2] = [0, 0]
            seen = dict.fromkeys((0, 1), ("", "", ""))
        for which in (0, 1):
            if which not in seen:
                trouble = trouble or f"it has no {_KINDS[which]} array"
        if trouble is not None:
            rows.problems[len(rows)] = trouble
        if 2 in seen:
            kind = rows.mobility_kinds.setdefault(seen[2], len(rows.mobility_kinds))
            rows.mobility.extend([len(rows), *places[2], *stored[2], kind])
        rows.numbers.extend([*position, *places[0], *places[1]])
        types, packed = zip(*stored, strict=True)
        rows.codes.extend([*types[:2], *packed[:2], self._flags])

    def _finish_array(
        self, terms: dict[str, str], which: int, place: list[int], stored: list[int]
    ) -> str | None:
        """Write one array's columns; return what is wrong with it."""
        kind = _KINDS[which]
        both = [
            term
            for term in (cv.MZ_ARRAY, cv.INTENSITY_ARRAY, *cv.MOBILITY_ARRAYS)
            if term in terms
        ]
        if len(both) > 1:
            return f"one of its arrays is called {' and '.join(both)} at once"
        for column, accession in enumerate((cv.OFFSET, cv.LENGTH, cv.ENCODED)):
            text = terms.get(accession)
            number = _integer(text)
            if number is not None and (accession == cv.OFFSET or number >= 0):
                place[column] = number
            elif accession != cv.ENCODED or text is not None:
                found = _shown(text)
                name = ("offset", "length", "encoded length")[column]
                return f"the {name} of its {kind} array is {found}, expected a number"
        foreign = cv.FOREIGN.intersection(terms)
        if cv.UNDECODABLE in terms:
            return (
                f"its {kind} array is stored in a way that is not decoded: "
                f"{terms[cv.UNDECODABLE]!r}"
            )
        if foreign or (cv.ZLIB in terms and cv.NO_COMPRESSION in terms):
            found = ", ".join(sorted(foreign)) or "both zlib and none"
            return (
                f"the compression of its {kind} array is {found}, expected zlib "
                f"({cv.ZLIB}) or none ({cv.NO_COMPRESSION})"
            )
        stored[1] = cv.ZLIB in terms
        types = {cv.TYPE_CODES[key] for key in terms if key in cv.TYPE_CODES}
        if len(types) > 1 and cv.ZLIB not in terms:
            # The encoded length tells which of several declared types is stored.
            _, length, encoded = place
            fitting = {t for t in types if cv.TYPES[t].itemsize * length == encoded}
            if length > 0 and len(fitting) == 1:
                self.rows.two_types = True
                types = fitting
        if len(types) != 1:
            known = ", ".join(sorted(cv.TYPE_CODES))
            found = " and ".join(cv.TYPES[code].name for code in sorted(types))
            return (
                f"the data type of its {kind} array is {found or 'unknown'}, expected "
                f"one of {known}"
            )
        stored[0] = types.pop()
        return None


def _content(terms: Mapping[str, str]) -> tuple[int | None, tuple[str, str]]:
    """Return which of the known arrays this is, and its accession and name."""
    for which, accession in enumerate((cv.MZ_ARRAY, cv.INTENSITY_ARRAY)):
        if accession in terms:
            return which, (accession, _KINDS[which])
    term = cv.mobility_term(terms)
    return (None, ("", "")) if term is None else (2, term)


def spectrum_table(rows: SpectrumRows) -> np.ndarray:
    """Return the rows as records, `SPECTRUM`."""
    numbers = np.frombuffer(rows.numbers, np.int64).reshape(-1, 9)
    codes = np.frombuffer(rows.codes, np.uint8).reshape(-1, 5)
    table = fill(SPECTRUM, numbers, codes.T)
    for kind in ("mz", "intensity"):
        # Spectra without arrays are like the others, but empty.
        types = table[f"{kind}_type"]
        none = (types == cv.UNKNOWN_TYPE) & (table[f"{kind}_length"] == 0)
        known = types[types != cv.UNKNOWN_TYPE]
        types[none] = known[0] if known.size else 0
    return table


def mobility_table(rows: SpectrumRows, spectra: np.ndarray) -> np.ndarray | None:
    """Return the places of the ion mobilities as records, `MOBILITY`, one a spectrum.

    `None` where no spectrum has any. Where some do, those without and those with
    another kind become problems, for a mixture would mean nothing.
    """
    if not rows.mobility:
        return None
    found = np.frombuffer(rows.mobility, np.int64).reshape(-1, 7)
    table = np.zeros(spectra.size, MOBILITY)
    table[found[:, 0]] = fill(MOBILITY, found[:, 1:4], found[:, 4:6].T)
    lacking = np.ones(spectra.size, np.bool_)
    lacking[found[:, 0]] = False
    # Without a point there is no mobility to miss.
    lacking &= spectra["mz_length"] != 0
    for i in np.flatnonzero(lacking).tolist():
        rows.problems.setdefault(
            i, "it has no ion mobility array, which other spectra of the file have"
        )
    kinds = list(rows.mobility_kinds)
    other = found[:, 6] > 0
    for i, kind in found[other][:, [0, 6]].tolist():
        this, first = (" ".join(kinds[k]).strip() for k in (kind, 0))
        rows.problems.setdefault(
            i, f"its ion mobility array is {this!r}, but other spectra have {first!r}"
        )
    return table


def fill(dtype: np.dtype, numbers: np.ndarray, codes: Iterable) -> np.ndarray:
    """Return records: the columns of `numbers`, then a value or column each."""
    table = np.empty(len(numbers), dtype)
    names = dtype.names or ()
    n_numbers = numbers.shape[1]
    for column, name in enumerate(names[:n_numbers]):
        table[name] = numbers[:, column]
    for name, values in zip(names[n_numbers:], codes, strict=True):
        table[name] = values
    return table


def _integer(text: str | None) -> int | None:
    """Read a whole number, however it is written; `None` when it is not one."""
    if text is None or len(text) > _LONGEST_NUMBER:
        return None
    text = text.strip()
    if _INTEGER.match(text):
        return int(text)
    if _NUMBER.match(text):
        number = Decimal(text)
        if number == number.to_integral_value() and abs(number) < 10**18:
            return int(number)
    return None


def _shown(text: str | None) -> str:
    """Return a text for a message, where it cannot be of any length."""
    if text is None:
        return "missing"
    return repr(text) if len(text) <= _LONGEST_NUMBER else f"{text[:20]!r}…"
