"""Rows of the spectrum table, as the tolerant parser collects them."""

import re
from array import array
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from imsminer.io import _vocabulary as cv

__all__ = ["RowBuilder", "SpectrumRows", "Term"]

MISSING = -1
_INTEGER = re.compile(r"[+-]?\d{1,18}\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\Z", re.ASCII)
_KINDS = ("m/z", "intensity")
_SPECTRUM_TERMS = frozenset((*cv.POSITIONS, *cv.FLAGS))


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
    stored types, whether each is zlib-compressed, and the flags.
    """

    numbers: array = field(default_factory=lambda: array("q"))
    codes: bytearray = field(default_factory=bytearray)
    problems: dict[int, str] = field(default_factory=dict)
    odd_names: bool = False
    n_extra_arrays: int = 0
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

    def begin(self) -> None:
        """Start a spectrum."""
        self._position: list[str | None] = [None, None, None]
        self._flags = 0
        self._arrays: list[dict[str, str]] = []
        self._array: dict[str, str] | None = None
        self._trouble: str | None = None

    def begin_array(self) -> None:
        """Start a binaryDataArray."""
        self._array = {}

    def end_array(self) -> None:
        """End a binaryDataArray."""
        if self._array is not None:
            self._arrays.append(self._array)
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
        self._apply(accession, attributes.get("value", ""))

    def _check_name(self, accession: str, name: str) -> None:
        known = cv.NAMES.get(accession)
        if known is None or name in known:
            self._right.add((accession, name))
        else:
            self.rows.odd_names = True

    def group(self, terms: dict[str, Term]) -> None:
        """Take the terms of a parameter group."""
        for accession, term in terms.items():
            self._apply(accession, term.value)

    def _apply(self, accession: str, value: str) -> None:
        if self._array is not None:
            if self._array.setdefault(accession, value) != value:
                self._trouble = f"{accession} is given twice, {value!r} the second time"
        elif accession in cv.POSITIONS:
            axis = cv.POSITIONS[accession]
            before = self._position[axis]
            if before is not None and before != value:
                self._trouble = f"it has two positions, {before!r} and {value!r}"
            self._position[axis] = value
        else:
            self._flags |= cv.FLAGS.get(accession, 0)

    def end(self) -> None:
        """End a spectrum: add its row."""
        rows = self.rows
        row = [MISSING] * 9
        codes = [cv.UNKNOWN_TYPE, cv.UNKNOWN_TYPE, 0, 0, self._flags]
        trouble = self._trouble
        for axis, text in enumerate(self._position):
            if text is None and axis == 2:
                row[2] = 1
                continue
            number = _integer(text)
            if number is None:
                found = "missing" if text is None else repr(text)
                trouble = trouble or (
                    f"its position {'xyz'[axis]} is {found}, expected a whole number"
                )
            else:
                row[axis] = number
        seen = [False, False]
        for terms in self._arrays:
            if cv.MZ_ARRAY in terms:
                which = 0
            elif cv.INTENSITY_ARRAY in terms:
                which = 1
            else:
                rows.n_extra_arrays += 1
                continue
            if seen[which]:
                trouble = trouble or f"it has two {_KINDS[which]} arrays"
            seen[which] = True
            trouble = self._finish_array(terms, which, row, codes) or trouble
        for which in (0, 1):
            if not seen[which]:
                trouble = trouble or f"it has no {_KINDS[which]} array"
        if trouble is not None:
            rows.problems[len(rows)] = trouble
        rows.numbers.extend(row)
        rows.codes.extend(codes)

    def _finish_array(
        self, terms: dict[str, str], which: int, row: list[int], codes: list[int]
    ) -> str | None:
        """Write one array's columns; return what is wrong with it."""
        kind = _KINDS[which]
        first = 3 + 3 * which
        for column, accession in enumerate((cv.OFFSET, cv.LENGTH, cv.ENCODED)):
            text = terms.get(accession)
            number = _integer(text)
            if number is not None and (accession == cv.OFFSET or number >= 0):
                row[first + column] = number
            elif accession != cv.ENCODED or text is not None:
                found = "missing" if text is None else repr(text)
                name = ("offset", "length", "encoded length")[column]
                return f"the {name} of its {kind} array is {found}, expected a number"
        foreign = cv.FOREIGN_COMPRESSION.intersection(terms)
        if foreign or (cv.ZLIB in terms and cv.NO_COMPRESSION in terms):
            found = ", ".join(sorted(foreign)) or "both zlib and none"
            return (
                f"the compression of its {kind} array is {found}, expected zlib "
                f"({cv.ZLIB}) or none ({cv.NO_COMPRESSION})"
            )
        codes[2 + which] = cv.ZLIB in terms
        types = {cv.TYPE_CODES[key] for key in terms if key in cv.TYPE_CODES}
        if len(types) > 1 and cv.ZLIB not in terms:
            # The encoded length tells which of several declared types is stored.
            length, encoded = row[first + 1 : first + 3]
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
        codes[which] = types.pop()
        return None


def _integer(text: str | None) -> int | None:
    """Read a whole number, however it is written; `None` when it is not one."""
    if text is None:
        return None
    text = text.strip()
    if _INTEGER.match(text):
        return int(text)
    if _NUMBER.match(text):
        number = Decimal(text)
        if number == number.to_integral_value() and abs(number) < 10**18:
            return int(number)
    return None
