"""The vocabulary terms that reading an imzML file depends on.

The accession decides; names are only compared to report a file whose two disagree.
"""

import re
from collections.abc import Mapping

import numpy as np

__all__ = [
    "ACCESSIONS",
    "CENTROID",
    "FLAGS",
    "MOBILITY_ARRAYS",
    "MSN",
    "NAMES",
    "NEGATIVE",
    "POSITIONS",
    "POSITIVE",
    "PROFILE",
    "TYPES",
    "TYPE_CODES",
    "UNKNOWN_TYPE",
    "bare_accession",
    "is_undecodable",
    "mobility_term",
    "spectrum_flag",
]

# Stored number types, little-endian as the format demands; a type's code is its index.
TYPES: tuple[np.dtype, ...] = tuple(
    np.dtype(name) for name in ("<f4", "<f8", "<i1", "<i2", "<i4", "<i8")
)
UNKNOWN_TYPE = 255
TYPE_CODES = {
    "MS:1000521": 0,
    "MS:1000523": 1,
    "IMS:1100000": 2,
    "IMS:1100001": 3,
    "MS:1000519": 4,
    "IMS:1000141": 4,
    "MS:1000522": 5,
    "IMS:1000142": 5,
}

MZ_ARRAY, INTENSITY_ARRAY = "MS:1000514", "MS:1000515"
MOBILITY_ARRAYS = {
    "MS:1003006": "mean inverse reduced ion mobility array",
    "MS:1003008": "raw inverse reduced ion mobility array",
    "MS:1003155": "deconvoluted inverse reduced ion mobility array",
    "MS:1002477": "mean ion mobility drift time array",
    "MS:1003153": "raw ion mobility drift time array",
    "MS:1003156": "deconvoluted ion mobility drift time array",
    "MS:1002816": "mean ion mobility array",
    "MS:1003007": "raw ion mobility array",
    "MS:1003154": "deconvoluted ion mobility array",
    "MS:1002893": "ion mobility array",
}
# Its value says what it holds.
OTHER_ARRAY = "MS:1000786"
ZLIB, NO_COMPRESSION = "MS:1000574", "MS:1000576"
# MS-Numpress, alone and followed by others, and further schemes that are not decoded.
FOREIGN = frozenset(
    [
        *(f"MS:{number}" for number in (1002312, 1002313, 1002314, 1002746, 1002747)),
        *(f"MS:{number}" for number in (1002748, 1003088, 1003089, 1003090)),
        *(f"MS:{number}" for number in range(1003780, 1003786)),
        *(f"IMS:{number}" for number in (1005001, 1005002, 1005003)),
    ]
)
# Stands for an accession in front of a name that tells of something not decoded.
UNDECODABLE = "undecodable"

OFFSET, LENGTH, ENCODED = "IMS:1000102", "IMS:1000103", "IMS:1000104"
POSITIONS = {"IMS:1000050": 0, "IMS:1000051": 1, "IMS:1000052": 2}

PROFILE, CENTROID, POSITIVE, NEGATIVE, MSN = 1, 2, 4, 8, 16
FLAGS = {
    "MS:1000128": PROFILE,
    "MS:1000127": CENTROID,
    "MS:1000130": POSITIVE,
    "MS:1000129": NEGATIVE,
    "MS:1000580": MSN,
}
# Its value tells MSⁿ spectra from those of MS¹, which is 1 or, in some files, 0.
MS_LEVEL = "MS:1000511"
_LATER_LEVEL = re.compile(r"\s*\+?0*([2-9]|[1-9][0-9]+)(\.0*)?\s*\Z")

UUID, MD5, SHA1, SHA256 = "IMS:1000080", "IMS:1000090", "IMS:1000091", "IMS:1000092"
CONTINUOUS, PROCESSED = "IMS:1000030", "IMS:1000031"
MAX_COUNT_X, MAX_COUNT_Y = "IMS:1000042", "IMS:1000043"
PIXEL_SIZE_X, PIXEL_SIZE_Y = "IMS:1000046", "IMS:1000047"
INSTRUMENT_MODEL, SERIAL_NUMBER = "MS:1000031", "MS:1000529"

# Names that are right for an accession, in lower case. Where writers have long used
# two spellings, both count as right.
NAMES: dict[str, frozenset[str]] = {
    accession: frozenset(names)
    for accession, names in {
        **{key: (name,) for key, name in MOBILITY_ARRAYS.items()},
        OTHER_ARRAY: ("non-standard data array",),
        "MS:1000521": ("32-bit float",),
        "MS:1000523": ("64-bit float",),
        "IMS:1100000": ("8-bit integer",),
        "IMS:1100001": ("16-bit integer",),
        "MS:1000519": ("32-bit integer",),
        "IMS:1000141": ("32-bit integer",),
        "MS:1000522": ("64-bit integer",),
        "IMS:1000142": ("64-bit integer",),
        MZ_ARRAY: ("m/z array",),
        INTENSITY_ARRAY: ("intensity array",),
        ZLIB: ("zlib compression",),
        NO_COMPRESSION: ("no compression",),
        OFFSET: ("external offset",),
        LENGTH: ("external array length",),
        ENCODED: ("external encoded length",),
        "IMS:1000050": ("position x",),
        "IMS:1000051": ("position y",),
        "IMS:1000052": ("position z",),
        "MS:1000128": ("profile spectrum",),
        "MS:1000127": ("centroid spectrum",),
        "MS:1000130": ("positive scan",),
        "MS:1000129": ("negative scan",),
        UUID: ("universally unique identifier",),
        CONTINUOUS: ("continuous",),
        PROCESSED: ("processed",),
        MAX_COUNT_X: ("max count of pixels x", "max count of pixel x"),
        MAX_COUNT_Y: ("max count of pixels y", "max count of pixel y"),
        PIXEL_SIZE_X: ("pixel size (x)", "pixel size x", "pixel size"),
        PIXEL_SIZE_Y: ("pixel size y", "pixel size (y)"),
    }.items()
}
_UNDECODABLE_NAME = re.compile(r"compress|encrypt|numpress|big[ -]?endian", re.I)
# For terms without an accession; the newer of two accessions that share a name.
ACCESSIONS = {
    name: accession for accession, names in reversed(NAMES.items()) for name in names
}


def bare_accession(accession: str | None, name: str | None) -> str:
    """Return an accession in its usual spelling; by name where a term has none."""
    if accession and accession.strip():
        return accession.strip().upper()
    return ACCESSIONS.get((name or "").strip().lower(), "")


def spectrum_flag(accession: str, value: str) -> int:
    """Return the flag that a term gives to a spectrum; 0 for most."""
    if accession == MS_LEVEL:
        return MSN if _LATER_LEVEL.match(value) else 0
    return FLAGS.get(accession, 0)


def is_undecodable(accession: str, name: str) -> bool:
    """Whether a term unknown here names another compression or order of bytes."""
    if accession in NAMES or accession in FOREIGN:
        return False
    return bool(_UNDECODABLE_NAME.search(name))


def mobility_term(terms: Mapping[str, str]) -> tuple[str, str] | None:
    """Return accession and name of the ion mobility that an array holds.

    Parameters
    ----------
    terms : mapping
        Accessions of the array's terms and their values.

    Returns
    -------
    tuple of str or None
        The term that makes it an array of ion mobilities, and its name without the
        word "array"; `None` for all other arrays.
    """
    for accession, name in MOBILITY_ARRAYS.items():
        if accession in terms:
            return accession, name.removesuffix(" array")
    name = terms.get(OTHER_ARRAY, "").strip()
    if re.search(r"mobility|drift[ _-]?time", name, re.IGNORECASE):
        is_array = name.lower().endswith("array")
        return OTHER_ARRAY, name[:-5].rstrip() if is_array else name
    return None
