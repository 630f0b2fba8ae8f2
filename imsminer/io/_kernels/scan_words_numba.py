"""Bytes and words of an imzML file: its names, numbers and accessions."""

import numpy as np
from numba import njit

__all__ = [
    "ACCESSION",
    "ARRAY",
    "CV_PARAM",
    "ENCODED",
    "GROUP_REF",
    "IN_NAME",
    "IN_SPACE",
    "IN_VALUE",
    "LENGTH",
    "LIST",
    "NAME",
    "OFFSET",
    "POSITION",
    "REF",
    "SPECTRUM",
    "STARTS_NAME",
    "VALUE",
    "is_word",
    "read_accession",
    "read_number",
    "scan_flag",
]

# Classes of bytes: inside a quoted value, whitespace, part of a name.
IN_VALUE = np.zeros(256, np.bool_)
IN_VALUE[32:127] = True
IN_VALUE[[ord('"'), ord("<"), ord("&")]] = False
IN_SPACE = np.zeros(256, np.bool_)
IN_SPACE[[9, 10, 13, 32]] = True
IN_NAME = np.zeros(256, np.bool_)
for _ranges in (b"az", b"AZ", b"09"):
    IN_NAME[_ranges[0] : _ranges[1] + 1] = True
IN_NAME[[ord("_"), ord("-"), ord(".")]] = True
STARTS_NAME = IN_NAME.copy()
STARTS_NAME[[ord("-"), ord("."), *range(ord("0"), ord("9") + 1)]] = False


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8).copy()


CV_PARAM = _bytes("cvParam")
GROUP_REF = _bytes("referenceableParamGroupRef")
SPECTRUM = _bytes("spectrum")
ARRAY = _bytes("binaryDataArray")
LIST = _bytes("spectrumList")
ACCESSION = _bytes("accession")
VALUE = _bytes("value")
REF = _bytes("ref")
NAME = _bytes("name")
POSITION = _bytes("position x")
OFFSET = _bytes("external offset")
LENGTH = _bytes("external array length")
ENCODED = _bytes("external encoded length")
_PROFILE = _bytes("profile spectrum")
_CENTROID = _bytes("centroid spectrum")
_POSITIVE = _bytes("positive scan")
_NEGATIVE = _bytes("negative scan")


@njit(nogil=True, cache=True)
def is_word(text, start, stop, word):
    """Whether ``text[start:stop]`` is a word."""
    if stop - start != word.size:
        return False
    part = text[start:stop]
    for k in range(word.size):
        if part[k] != word[k]:
            return False
    return True


@njit(nogil=True, cache=True)
def read_number(text, start, stop):
    """Read an unsigned integer of at most 18 digits; -1 for anything else."""
    if stop <= start or stop - start > 18:
        return np.int64(-1)
    number = np.int64(0)
    for k in range(start, stop):
        digit = np.int64(text[k]) - 48
        if digit < 0 or digit > 9:
            return np.int64(-1)
        number = number * 10 + digit
    return number


@njit(nogil=True, cache=True)
def read_accession(text, start, stop):
    """Number of an accession: positive for IMS, negative for MS, 0 when unclear.

    An accession of another vocabulary is 1, which means nothing in either.
    """
    length = stop - start
    if length == 11 and (
        text[start] == 73
        and text[start + 1] == 77
        and text[start + 2] == 83
        and text[start + 3] == 58
    ):
        return max(read_number(text, start + 4, stop), np.int64(0))
    if length == 10 and (
        text[start] == 77 and text[start + 1] == 83 and text[start + 2] == 58
    ):
        return -max(read_number(text, start + 3, stop), np.int64(0))
    if length > 0:
        first = text[start] | 32  # in lower case; a space stays one
        if first != 105 and first != 109 and first != 32:
            return np.int64(1)
    return np.int64(0)


@njit(nogil=True, cache=True)
def scan_flag(text, start, stop, code):
    """Flag of a scan term, and whether its name is right."""
    if code == -1000128:
        return 1, is_word(text, start, stop, _PROFILE)
    if code == -1000127:
        return 2, is_word(text, start, stop, _CENTROID)
    if code == -1000130:
        return 4, is_word(text, start, stop, _POSITIVE)
    if code == -1000129:
        return 8, is_word(text, start, stop, _NEGATIVE)
    return 0, True
