"""Mutated imzML pairs: valid ones whose bytes were changed, each made by its seed."""

import gzip
import random
import re

import numpy as np

from imsminer.io import _vocabulary as vocabulary
from tests.io.generator import build, random_spectra
from tests.io.markup import Style
from tests.io.recipe import NUMBERS, TYPES, Recipe

__all__ = ["base", "mutant"]

_VALUES = re.compile(rb"""value=(["'])([^"']*)\1""")
_NUMBERS = re.compile(rb"""value=(["'])([ +-]?\d[^"']*)\1""")
_TAGS = re.compile(rb"<[^<>]*>")
_ACCESSIONS = re.compile(rb"""(MS|IMS):\d+""")
_INTERESTING = [
    *(b"0 -1 1 15 16 17 255 65536 2147483647 2147483648 4294967295 4294967296".split()),
    *(b"1e12 999999999999 9223372036854775807 9223372036854775808 1e18".split()),
    *(b"18446744073709551616 1e400 -1e17 1.5 NaN inf 0x10 1_0 1,5 -0 1e-3".split()),
    b"",
    b" ",
    b"1" * 5000,
    "١٢".encode(),
]
_TOKENS = [
    b"<spectrum>",
    b"</spectrum>",
    b"<binaryDataArray>",
    b"</binaryDataArray>",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"&amp;",
    b"&x;",
    b"&#0;",
    b"<?p i?>",
    b'<!DOCTYPE a [<!ENTITY x "y">]>',
    b"<spectrumList>",
    b'<referenceableParamGroupRef ref="x"/>',
    b"</mzML>",
    b"\0",
    b"\xff\xfe",
    b"\xc3",
    b'"',
    b"'",
    b"<",
    b">",
    b"/",
]


def base(rng):
    """Return a valid pair, plain or not."""
    types = sorted(TYPES)
    spectra = random_spectra(rng.randrange(1 << 30), rng.randint(1, 6), [0, 1, 3, 8])
    continuous = rng.random() < 0.3
    kind = rng.choice(types), rng.choice(types), rng.random() < 0.3, rng.random() < 0.3
    for number, spectrum in enumerate(spectra):
        if rng.random() < 0.1:
            kind = rng.choice(types), rng.choice(types), rng.random() < 0.3, kind[3]
        spectrum.mz_type, spectrum.intensity_type = kind[:2]
        spectrum.mz_zlib, spectrum.intensity_zlib = kind[2:]
        if continuous and number:
            spectrum.mz, spectrum.shares = spectra[0].mz, 0
            spectrum.intensity = np.resize(spectrum.intensity, spectrum.mz.size)
            spectrum.mz_type, spectrum.mz_zlib = spectra[0].mz_type, spectra[0].mz_zlib
        if rng.random() < 0.2:
            spectrum.style = rng.choice(["nested", "inline", "mixed"])
    if rng.random() < 0.15:
        for spectrum in spectra:
            spectrum.mobility = np.arange(spectrum.mz.size) % 3 / 3
    style = Style()
    if rng.random() < 0.3:
        style.quote = rng.choice("\"'")
        style.noise = rng.choice([None, "comments", "instructions", "cdata"])
        style.namespace = rng.choice(["default", "prefix", "none", "foreign"])
        style.indexed = rng.random() < 0.5
        style.encoding = rng.choice(["utf-8", "utf-8-sig", "utf-16"])
        style.declared = None
    recipe = Recipe(
        spectra,
        declared_mode="continuous" if continuous else "processed",
        numbers=rng.choice(["plain", "plain", "plain", *NUMBERS]),
        order=rng.choice(["interleaved", "separate", "intensity first"]),
        encoded=rng.random() < 0.8,
        style=style,
    )
    return build(recipe)


def _span(rng, data):
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + int(rng.paretovariate(0.6)))


def _flip(rng, data):
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 30])):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _delete(rng, data):
    start, stop = _span(rng, data)
    return data[:start] + data[stop:]


def _duplicate(rng, data):
    start, stop = _span(rng, data)
    return data[:stop] + data[start:stop] * rng.choice([1, 2, 20]) + data[stop:]


def _move(rng, data):
    start, stop = _span(rng, data)
    to = rng.randrange(len(data) + 1)
    return data[:to] + data[start:stop] + data[to:]


def _insert(rng, data):
    at = rng.randrange(len(data) + 1)
    return (
        data[:at] + rng.choice([rng.randbytes(rng.randint(1, 9)), *_TOKENS]) + data[at:]
    )


def _cut(rng, data):
    return data[: rng.randrange(len(data))]


def _zero(rng, data):
    start, stop = _span(rng, data)
    return data[:start] + bytes(stop - start) + data[stop:]


def _extend(rng, data):
    return data + rng.randbytes(rng.choice([1, 8, 100, 5000]))


def _replace(rng, data, pattern, group, choose):
    found = list(pattern.finditer(data))
    if not found:
        return data
    match = rng.choice(found)
    start, stop = match.span(group)
    return data[:start] + choose(match) + data[stop:]


def _number(rng, data):
    def choose(match):
        text = match.group(2)
        near = []
        if text.isdigit() and len(text) < 19:
            number = int(text)
            near = [number + d for d in (-16, -8, -4, -1, 1, 2, 4, 8, 16)]
            near += [2 * number, number // 2, number + (1 << 32), number - (1 << 32)]
        return rng.choice([*(str(n).encode() for n in near), *_INTERESTING])

    return _replace(rng, data, _NUMBERS, 2, choose)


def _digit(rng, data):
    return _replace(
        rng,
        data,
        re.compile(rb"\d"),
        0,
        lambda m: rng.choice(b"0123456789 .-e").to_bytes(1),
    )


def _value(rng, data):
    values = [m.group(2) for m in _VALUES.finditer(data)]
    return _replace(rng, data, _VALUES, 2, lambda m: rng.choice(values))


def _accession(rng, data):
    known = [*vocabulary.NAMES, "MS:1002312", "MS:1003008", "IMS:1000101"]
    return _replace(
        rng, data, _ACCESSIONS, 0, lambda m: rng.choice(known).encode("ascii")
    )


def _tag(rng, data):
    """Delete, repeat or put another tag in place of one."""
    tags = _TAGS.findall(data)
    return _replace(
        rng,
        data,
        _TAGS,
        0,
        lambda m: rng.choice([b"", m.group(0) * 2, rng.choice(tags)]),
    )


_XML_WAYS = [_flip, _delete, _duplicate, _move, _insert, _cut]
_XML_WAYS += 3 * [_number, _digit, _value, _accession, _tag]
_IBD_WAYS = [_flip, _delete, _duplicate, _insert, _cut, _zero, _extend]


def mutant(seed):
    """Return the bytes of the XML and of the .ibd of a mutated pair."""
    rng = random.Random(seed)
    files = base(rng)
    ibd = bytearray(files.size)
    for offset, data in files.pieces:
        ibd[offset : offset + len(data)] = data
    xml, ibd = files.xml, bytes(ibd)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        if rng.random() < 0.75:
            xml = rng.choice(_XML_WAYS)(rng, xml) or b" "
        else:
            ibd = rng.choice(_IBD_WAYS)(rng, ibd) or b"\0"
    if rng.random() < 0.03:
        xml = gzip.compress(xml, mtime=0)
        if rng.random() < 0.5:
            xml = rng.choice(_IBD_WAYS)(rng, xml) or b"\x1f"
    return xml, ibd
