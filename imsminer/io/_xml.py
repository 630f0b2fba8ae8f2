"""The tolerant reader of imzML's XML, on expat.

It reads whatever is well-formed: groups that refer to groups, parameters given inline,
any number format, wrapped, prefixed or missing namespaces. Memory is bounded: nothing
is kept of a spectrum but its row. It also reads the header for the fast scan.
"""

import re
from array import array
from dataclasses import dataclass, field
from decimal import Decimal
from os import PathLike
from typing import IO, NamedTuple
from xml.parsers import expat

from imsminer.exceptions import ImzMLError
from imsminer.io import _vocabulary as cv

__all__ = ["Header", "SpectrumRows", "Term", "parse_xml"]

NAMESPACE = "http://psi.hupo.org/ms/mzml"
PIECE = 1 << 18
MISSING = -1
_INTEGER = re.compile(r"[+-]?\d{1,18}\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\Z", re.ASCII)


class Term(NamedTuple):
    """A cvParam."""

    name: str
    value: str
    unit_accession: str
    unit_name: str


@dataclass
class Header:
    """What an imzML file says before its first spectrum.

    Terms are dictionaries from accession to `Term`, groups resolved.
    """

    encoding: str | None = None
    root: str = ""
    namespace: str = ""
    has_doctype: bool = False
    groups: dict[str, dict[str, Term]] = field(default_factory=dict)
    file: dict[str, Term] = field(default_factory=dict)
    other: dict[str, Term] = field(default_factory=dict)
    scan_settings: list[dict[str, Term]] = field(default_factory=list)
    instruments: list[dict[str, Term]] = field(default_factory=list)
    wrong_names: dict[str, str] = field(default_factory=dict)
    count: str | None = None
    list_start: int = -1


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


class _HeaderDone(Exception):
    """Stops expat where the list of spectra starts."""


class _Retry(Exception):
    """The encoding that the file declares is not the one it is written in."""


def parse_xml(
    path: str | PathLike, *, header_only: bool = False
) -> tuple[Header, SpectrumRows, bool]:
    """Parse the XML of an imzML file.

    Parameters
    ----------
    path : path-like
        The ``.imzML`` file.
    header_only : bool, default=False
        Stop where the list of spectra starts.

    Returns
    -------
    header : Header
    rows : SpectrumRows
        Empty with `header_only`.
    misencoded : bool
        Whether the bytes contradict the declared encoding, so that text other than
        ASCII was taken as Latin-1. No number depends on it.

    Raises
    ------
    ImzMLError
        When the XML is cut off or not well-formed, declares entities, or is not mzML.
    """
    for encoding in (None, "iso-8859-1"):
        parser = _Parser(path, encoding, header_only)
        try:
            with open(path, "rb") as file:
                parser.run(file)
        except _Retry:
            continue
        return parser.header, parser.rows, encoding is not None
    message = f"{path}: the text encoding of this XML cannot be read."
    raise ImzMLError(message)


class _Parser:
    """State of one pass of expat over a file."""

    def __init__(
        self, path: str | PathLike, encoding: str | None, header_only: bool
    ) -> None:
        self.path = path
        self.header = Header()
        self.rows = SpectrumRows()
        self._override = encoding
        self._header_only = header_only
        self._raw_groups: dict[str, list[tuple[str, Term | None]]] = {}
        self._stack: list[str] = []
        self._target: list[tuple[str, Term | None]] | None = None
        self._sections: list[tuple[str, list[tuple[str, Term | None]]]] = []
        self._in_spectrum = False
        self._array: dict[str, str] | None = None
        self._names: dict[str, str] = {}
        self._accessions: dict[str, str] = {}
        self._wrong: set[tuple[str, str]] = set()
        self._right: set[tuple[str, str]] = set()
        self._expat = expat.ParserCreate(encoding)
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.XmlDeclHandler = self._declaration
        self._expat.StartDoctypeDeclHandler = self._doctype
        self._expat.EntityDeclHandler = self._entity

    # -- driving ---------------------------------------------------------------------
    def run(self, file: IO[bytes]) -> None:
        piece = b""
        start = 0
        try:
            while True:
                piece = file.read(PIECE)
                if not piece:
                    self._expat.Parse(b"", True)
                    break
                self._expat.Parse(piece, False)
                start += len(piece)
        except _HeaderDone:
            return
        except (expat.ExpatError, ValueError, LookupError) as error:
            if isinstance(error, ImzMLError):
                raise
            self._explain(error, piece, start)
        if self.header.list_start < 0:
            self._check_root()
            message = (
                f"{self.path}: the XML holds no spectrumList, so there is nothing to "
                "read. Expected an imzML file with at least one spectrum."
            )
            raise ImzMLError(message)

    def _explain(self, error: Exception, piece: bytes, start: int) -> None:
        """Raise what a parse error means to the user, or `_Retry`."""
        at = self._expat.ErrorByteIndex
        if self._override is None:
            unknown = not isinstance(error, expat.ExpatError) or error.code == 18
            near = piece[max(at - start - 4, 0) : max(at - start, 0) + 8]
            invalid = isinstance(error, expat.ExpatError) and error.code == 4
            if unknown or (invalid and not near.isascii()):
                raise _Retry from error
        line, column = self._expat.ErrorLineNumber, self._expat.ErrorColumnNumber
        message = (
            f"{self.path}: the XML is cut off or not well-formed at line {line}, "
            f"column {column} (byte {at}), after {len(self.rows)} complete spectra: "
            f"{error}. Expected a complete document; copy or export the file again."
        )
        raise ImzMLError(message) from error

    def _declaration(self, version: str, encoding: str | None, alone: int) -> None:
        self.header.encoding = encoding

    def _doctype(
        self, name: str, system: str | None, public: str | None, subset: int
    ) -> None:
        self.header.has_doctype = True
        if system is not None:
            self._refuse("an external DTD")

    def _entity(self, *declaration: object) -> None:
        self._refuse("entities of its own")

    def _refuse(self, what: str) -> None:
        message = (
            f"{self.path}: the document type of this XML declares {what}, which "
            "imsminer does not expand. Remove the DOCTYPE from the file."
        )
        raise ImzMLError(message)

    # -- elements --------------------------------------------------------------------
    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names.get(tag)
        if name is None:
            name = self._names[tag] = tag.rpartition(":")[2]
        if name == "cvParam":
            if self._in_spectrum:
                self._spectrum_term(attributes)
            elif self._target is not None:
                self._target.append(self._term(attributes))
        elif name == "referenceableParamGroupRef":
            ref = attributes.get("ref", "")
            if self._in_spectrum:
                self._spectrum_group(ref)
            elif self._target is not None:
                self._target.append((ref, None))
        elif name == "binaryDataArray":
            if self._in_spectrum:
                self._array = {}
        elif name == "spectrum":
            self._in_spectrum = True
            self._array = None
            self._position: list[str | None] = [None, None, None]
            self._flags = 0
            self._arrays: list[dict[str, str]] = []
            self._trouble: str | None = None
        elif not self._in_spectrum:
            self._start_section(name, tag, attributes)

    def _start_section(self, name: str, tag: str, attributes: dict[str, str]) -> None:
        header = self.header
        if not self._stack and not header.root:
            header.root = name
        if name == "mzML":
            prefix = tag.rpartition(":")[0]
            declared = attributes.get(f"xmlns:{prefix}" if prefix else "xmlns")
            header.namespace = declared or header.namespace
        elif name == "indexedmzML":
            header.namespace = attributes.get("xmlns", "")
        elif name == "spectrumList":
            if header.list_start < 0:
                self._check_root()
                header.count = attributes.get("count")
                header.list_start = self._expat.CurrentByteIndex
                self._finish_header()
                if self._header_only:
                    raise _HeaderDone
        elif name == "referenceableParamGroup":
            self._target = self._raw_groups.setdefault(attributes.get("id", ""), [])
        elif name in ("fileContent", "scanSettings", "instrumentConfiguration"):
            self._target = []
            self._sections.append((name, self._target))
        self._stack.append(name)
        if name in _DETAILS:
            self._target = None

    def _end(self, tag: str) -> None:
        name = self._names[tag]
        if name in ("cvParam", "referenceableParamGroupRef"):
            return
        if self._in_spectrum:
            if name == "binaryDataArray" and self._array is not None:
                self._arrays.append(self._array)
                self._array = None
            elif name == "spectrum":
                self._in_spectrum = False
                self._finish_spectrum()
            return
        if self._stack and self._stack[-1] == name:
            self._stack.pop()
        if name in (*_SECTIONS, "referenceableParamGroup"):
            self._target = None

    def _check_root(self) -> None:
        if self.header.root not in ("mzML", "indexedmzML"):
            message = (
                f"{self.path}: not an imzML file: its root element is "
                f"<{self.header.root}>, expected <mzML>."
            )
            raise ImzMLError(message)

    # -- terms -----------------------------------------------------------------------
    def _term(self, attributes: dict[str, str]) -> tuple[str, Term]:
        accession = cv.bare_accession(
            attributes.get("accession"), attributes.get("name")
        )
        name = attributes.get("name", "")
        known = cv.NAMES.get(accession)
        if known is not None and name.strip().lower() not in known:
            self.header.wrong_names[accession] = name
        return accession, Term(
            name,
            attributes.get("value", ""),
            attributes.get("unitAccession", ""),
            attributes.get("unitName", ""),
        )

    def _finish_header(self) -> None:
        header = self.header
        for group in self._raw_groups:
            header.groups[group] = self._resolve([(group, None)], ())
        for name, raw in self._sections:
            terms = self._resolve(raw, ())
            if name == "fileContent":
                header.file.update(terms)
            elif name == "scanSettings":
                header.scan_settings.append(terms)
            else:
                header.instruments.append(terms)
        for terms in header.groups.values():
            header.other.update(terms)

    def _resolve(
        self, raw: list[tuple[str, Term | None]], above: tuple[str, ...]
    ) -> dict[str, Term]:
        """Put the terms of referenced groups in place of the references."""
        terms: dict[str, Term] = {}
        for key, term in raw:
            if term is not None:
                terms[key] = term
            elif key in above:
                message = (
                    f"{self.path}: the parameter group {key!r} refers to itself, by "
                    f"way of {' > '.join(above)}."
                )
                raise ImzMLError(message)
            else:
                terms |= self._resolve(self._raw_groups.get(key, []), (*above, key))
        return terms

    # -- spectra ---------------------------------------------------------------------
    def _spectrum_term(self, attributes: dict[str, str]) -> None:
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

    def _spectrum_group(self, ref: str) -> None:
        for accession, term in self.header.groups.get(ref, {}).items():
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

    def _finish_spectrum(self) -> None:
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


_KINDS = ("m/z", "intensity")
_SECTIONS = ("fileContent", "scanSettings", "instrumentConfiguration")
# Parts of an instrument or of scan settings whose terms are not about the whole.
_DETAILS = ("componentList", "softwareRef", "targetList", "sourceFileRefList")
_SPECTRUM_TERMS = frozenset((*cv.POSITIONS, *cv.FLAGS))


def _integer(text: str | None) -> int | None:
    """Read a whole number, however it is written; `None` when it is not one."""
    if text is None:
        return None
    text = text.strip()
    if _INTEGER.match(text):
        return int(text)
    if _NUMBER.match(text):
        number = Decimal(text)
        if number == number.to_integral_value() and abs(number) < 1 << 62:
            return int(number)
    return None
