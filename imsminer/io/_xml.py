"""The tolerant reader of imzML's XML, on expat.

It reads whatever is well-formed: groups that refer to groups, parameters given inline,
any number format, wrapped, prefixed or missing namespaces. Memory is bounded: nothing
is kept of a spectrum but its row. It also reads the header for the fast scan.
"""

from dataclasses import dataclass, field
from os import PathLike
from typing import IO
from xml.parsers import expat

from imsminer.exceptions import ImzMLError
from imsminer.io import _vocabulary as cv
from imsminer.io._rows import RowBuilder, SpectrumRows, Term

__all__ = ["Header", "parse_xml"]

NAMESPACE = "http://psi.hupo.org/ms/mzml"
PIECE = 1 << 18


@dataclass
class Header:
    """What an imzML file says before its first spectrum.

    Terms are dictionaries from accession to `Term`, groups resolved. The place of the
    list of spectra is plain where <mzML> and <run> are all that is open there. Where
    one place gives a term twice, the first is taken, and both are in `repeated`.
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
    repeated: list[tuple[str, Term, Term]] = field(default_factory=list)
    count: str | None = None
    list_start: int = -1
    is_plain: bool = False


class _HeaderDone(Exception):
    """Stops expat where the list of spectra starts."""


class _Retry(Exception):
    """The encoding that the file declares is not the one it is written in.

    The argument is the one to try next.
    """


def parse_xml(
    path: str | PathLike, file: IO[bytes], *, header_only: bool = False
) -> tuple[Header, SpectrumRows, str | None]:
    """Parse the XML of an imzML file.

    Parameters
    ----------
    path : path-like
        The ``.imzML`` file, for messages.
    file : binary file
        Its text, from which all is read.
    header_only : bool, default=False
        Stop where the list of spectra starts.

    Returns
    -------
    header : Header
    rows : SpectrumRows
        Empty with `header_only`.
    encoding : str or None
        In which encoding the text was read, where that is not the one it declares:
        the one that its first bytes show, or Latin-1. No number depends on it.

    Raises
    ------
    ImzMLError
        When the XML is cut off or not well-formed, declares entities, or is not mzML.
    """
    encoding = None
    while True:
        parser = _Parser(path, file, encoding, header_only)
        try:
            file.seek(0)
            parser.run()
        except _Retry as error:
            encoding = str(error)
        else:
            return parser.header, parser.rows, encoding


class _Parser:
    """State of one pass of expat over a file."""

    def __init__(
        self,
        path: str | PathLike,
        file: IO[bytes],
        encoding: str | None,
        header_only: bool,
    ) -> None:
        self.path = path
        self._file = file
        self.header = Header()
        self._builder = RowBuilder()
        self.rows = self._builder.rows
        self._override = encoding
        self._header_only = header_only
        self._raw_groups: dict[str, list[tuple[str, Term | None]]] = {}
        self._n_resolved = 0
        self._stack: list[str] = []
        self._depth = 0
        self._target: list[tuple[str, Term | None]] | None = None
        self._sections: list[tuple[str, list[tuple[str, Term | None]]]] = []
        self._in_spectrum = False
        self._names: dict[str, str] = {}
        self._expat = expat.ParserCreate(encoding)
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.XmlDeclHandler = self._declaration
        self._expat.StartDoctypeDeclHandler = self._doctype
        self._expat.EntityDeclHandler = self._entity

    # -- driving ---------------------------------------------------------------------
    def run(self) -> None:
        piece = b""
        start = 0
        try:
            while True:
                piece = self._file.read(PIECE)
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
        code = error.code if isinstance(error, expat.ExpatError) else None
        if self._override is None and code in (None, *_WRONG_ENCODING):
            raise _Retry(self._shown_encoding()) from error
        near = piece[max(at - start - 4, 0) : max(at - start, 0) + 8]
        if self._override in (None, "utf-8") and code == 4 and not near.isascii():
            raise _Retry(_LATIN_1) from error
        line, column = self._expat.ErrorLineNumber, self._expat.ErrorColumnNumber
        message = (
            f"{self.path}: the XML is cut off or not well-formed at line {line}, "
            f"column {column} (byte {at}), after {len(self.rows)} complete spectra: "
            f"{error}. Expected a complete document; copy or export the file again."
        )
        raise ImzMLError(message) from error

    def _shown_encoding(self) -> str:
        """Return the encoding that the first bytes of the file show."""
        self._file.seek(0)
        head = self._file.read(2)
        return _FIRST_BYTES.get(head, "utf-8")

    def _declaration(self, version: str, encoding: str | None, alone: int) -> None:
        self.header.encoding = encoding
        python_only = (encoding or "").lower().replace("-", "_") in _PYTHON_ONLY
        if python_only and self._override is None:
            raise _Retry(self._shown_encoding())

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
        self._depth += 1
        name = self._names.get(tag)
        if name is None:
            name = self._names[tag] = tag.rpartition(":")[2]
        if name == "cvParam":
            if self._in_spectrum:
                self._builder.term(attributes)
            elif self._target is not None:
                self._target.append(self._term(attributes))
        elif name == "referenceableParamGroupRef":
            ref = attributes.get("ref", "")
            if self._in_spectrum:
                self._builder.group(ref, self.header.groups.get(ref))
            elif self._target is not None:
                self._target.append((ref, None))
        elif name == "binaryDataArray":
            if self._in_spectrum:
                self._builder.begin_array()
        elif name == "spectrum":
            self._in_spectrum = True
            self._builder.begin(attributes.get("defaultArrayLength"))
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
                header.is_plain = self._depth == 3 and self._stack == ["mzML", "run"]
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
        self._depth -= 1
        name = self._names[tag]
        if name in ("cvParam", "referenceableParamGroupRef"):
            return
        if self._in_spectrum:
            if name == "binaryDataArray":
                self._builder.end_array()
            elif name == "spectrum":
                self._in_spectrum = False
                self._builder.end()
            return
        if self._stack and self._stack[-1] == name:
            self._stack.pop()
        if name in (*_SECTIONS, "referenceableParamGroup"):
            self._target = None
        elif name in _DETAILS and self._stack and self._stack[-1] in _SECTIONS:
            self._target = self._sections[-1][1]

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
            self._resolve_group(group, ())
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

    def _resolve_group(self, group: str, above: tuple[str, ...]) -> dict[str, Term]:
        """Return the terms of a group; each is resolved once."""
        known = self.header.groups.get(group)
        if known is not None:
            return known
        raw = self._raw_groups.get(group)
        if raw is None:
            # This makes arrays unreadable, whose type or compression may be in it.
            text = f"compression unknown: the parameter group {group!r} is not defined"
            return {cv.UNDECODABLE: Term(text, "", "", "")}
        if group in above or len(above) >= _MAX_NESTING:
            by = " > ".join(above[:9])
            what = (
                "to itself" if group in above else f"to more than {len(above)} others"
            )
            message = (
                f"{self.path}: the parameter group {above[0]!r} refers {what}, one by "
                f"way of the other: {by}. Write the terms in place of the references."
            )
            raise ImzMLError(message)
        terms = self.header.groups[group] = self._resolve(raw, (*above, group))
        return terms

    def _resolve(
        self, raw: list[tuple[str, Term | None]], above: tuple[str, ...]
    ) -> dict[str, Term]:
        """Put the terms of referenced groups in place of the references."""
        terms: dict[str, Term] = {}
        for key, term in raw:
            found = self._resolve_group(key, above) if term is None else {key: term}
            self._n_resolved += len(found)
            if self._n_resolved > _MAX_TERMS:
                message = (
                    f"{self.path}: its parameter groups hold more than {_MAX_TERMS:,} "
                    "terms, with those of the groups that they refer to. Write the "
                    "terms in place of the references."
                )
                raise ImzMLError(message)
            for accession, new in found.items():
                first = terms.setdefault(accession, new)
                if first != new:
                    self.header.repeated.append((accession, first, new))
        return terms


_SECTIONS = ("fileContent", "scanSettings", "instrumentConfiguration")
# Parts of an instrument or of scan settings whose terms are not about the whole.
_DETAILS = ("componentList", "softwareRef", "targetList", "sourceFileRefList")
# More than any writer makes, and little enough for any machine.
_MAX_NESTING, _MAX_TERMS = 100, 1_000_000
_LATIN_1 = "iso-8859-1"
# What expat calls an unknown or incorrect encoding.
_WRONG_ENCODING = (18, 19)
# Python would decode these, with warnings of its own.
_PYTHON_ONLY = ("unicode_escape", "raw_unicode_escape")
_FIRST_BYTES = {
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"<\0": "utf-16le",
    b"\0<": "utf-16be",
}
