"""XML of many styles from one tree: what files of different writers look like."""

import random
from dataclasses import dataclass
from xml.sax.saxutils import escape

NAMESPACE = "http://psi.hupo.org/ms/mzml"


def element(name, attributes, *children):
    return name, {key: str(value) for key, value in attributes.items()}, children


def cv(accession, name, value="", **extra):
    attributes = {
        "cvRef": accession.partition(":")[0],
        "accession": accession,
        "name": name,
        "value": value,
    }
    return element("cvParam", attributes | extra)


def group_ref(name):
    return element("referenceableParamGroupRef", {"ref": name})


@dataclass
class Style:
    """How a tree becomes bytes.

    Attributes
    ----------
    quote : str
        One of the two quotation marks.
    shuffle : int or None
        Seed of the order of attributes.
    newline, indent : str
        Between elements.
    empty : str
        ``"short"`` for ``<a/>``, ``"long"`` for ``<a></a>``.
    noise : str or None
        ``"comments"``, ``"instructions"`` or ``"cdata"`` between elements.
    namespace : str
        ``"default"``, ``"prefix"``, ``"none"`` or ``"foreign"``.
    indexed : bool
        Whether an indexedmzML wraps the document.
    encoding, declared : str
        In which the text is written; which the declaration names, if it names one.
    accessions : str
        ``"upper"`` or ``"lower"``.
    references : bool
        Whether digits are written as character references.
    """

    quote: str = '"'
    shuffle: int | None = None
    newline: str = "\n"
    indent: str = ""
    empty: str = "short"
    noise: str | None = None
    namespace: str = "default"
    indexed: bool = False
    encoding: str = "utf-8"
    declared: str | None = "UTF-8"
    accessions: str = "upper"
    references: bool = False

    def document(self, parts):
        """Return the bytes of a document whose mzML element holds some parts."""
        self._random = random.Random(self.shuffle)
        self._lines = []
        spaces = {
            "default": {"xmlns": NAMESPACE},
            "prefix": {"xmlns:m": NAMESPACE},
            "none": {},
            "foreign": {"xmlns": "http://example.org/other"},
        }[self.namespace]
        root = element("mzML", {"version": "1.1"}, *parts)
        if self.indexed:
            index = element("indexList", {"count": 0})
            root = element("indexedmzML", {}, root, index)
        root = (root[0], spaces | root[1], root[2])
        declared = "" if self.declared is None else f' encoding="{self.declared}"'
        self._lines.append(f'<?xml version="1.0"{declared}?>')
        self._write(root, 0)
        text = self.newline.join(self._lines) + self.newline
        return text.encode(self.encoding)

    def _write(self, node, depth):
        name, attributes, children = node
        name = f"m:{name}" if self.namespace == "prefix" else name
        items = list(attributes.items())
        if self.shuffle is not None:
            self._random.shuffle(items)
        text = "".join(f" {self._attribute(key, value)}" for key, value in items)
        margin = self.indent * depth
        if not children:
            end = "/>" if self.empty == "short" else f"></{name}>"
            self._lines.append(f"{margin}<{name}{text}{end}")
            return
        self._lines.append(f"{margin}<{name}{text}>")
        if self.noise is not None and self._random.random() < 0.3:
            self._lines.append(self._between())
        for child in children:
            self._write(child, depth + 1)
        self._lines.append(f"{margin}</{name}>")

    def _attribute(self, key, value):
        if key == "accession" and self.accessions == "lower":
            value = value.lower()
        value = escape(value, {self.quote: "&quot;" if self.quote == '"' else "&apos;"})
        if self.references and key == "value":
            value = "".join(f"&#{ord(c)};" if c.isdigit() else c for c in value)
        return f"{key}={self.quote}{value}{self.quote}"

    def _between(self):
        term = '<cvParam accession="IMS:1000050" name="position x" value="77"/>'
        return {
            "comments": f"<!-- {term} </spectrum> -->",
            "instructions": '<?writer says="<spectrum>"?>',
            "cdata": f"<![CDATA[{term}]]>",
        }[self.noise]
