"""The XML of an imzML file that we write: its header and its list of spectra."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

import numpy as np

import imsminer

__all__ = ["WriterFacts", "header_xml", "spectra_xml", "tail_xml"]

TYPES = {
    "int8": ("IMS:1100000", "8-bit integer"),
    "int16": ("IMS:1100001", "16-bit integer"),
    "int32": ("MS:1000519", "32-bit integer"),
    "int64": ("MS:1000522", "64-bit integer"),
    "float32": ("MS:1000521", "32-bit float"),
    "float64": ("MS:1000523", "64-bit float"),
}
SPECTRUM_TYPES = {
    "profile": ("MS:1000128", "profile spectrum"),
    "centroid": ("MS:1000127", "centroid spectrum"),
}
POLARITIES = {
    "positive": ("MS:1000130", "positive scan"),
    "negative": ("MS:1000129", "negative scan"),
}
MODES = {"continuous": "IMS:1000030", "processed": "IMS:1000031"}
MICROMETRE = ' unitCvRef="UO" unitAccession="UO:0000017" unitName="micrometer"'
MZ_UNIT = ' unitCvRef="MS" unitAccession="MS:1000040" unitName="m/z"'
COUNTS_UNIT = (
    ' unitCvRef="MS" unitAccession="MS:1000131" unitName="number of detector counts"'
)

# Spectra turned into text at a time.
BATCH = 4096


@dataclass(frozen=True)
class WriterFacts:
    """What the header of a file says; see :class:`ImzMLWriter` for the fields."""

    mode: str
    mz_dtype: str
    intensity_dtype: str
    spectrum_type: str
    polarity: str | None
    pixel_size: tuple[float, float] | None
    compression: str | None
    instrument: str | None
    processing: Sequence[str]
    uuid: str


def _cv(accession: str, name: str, value: object = "", unit: str = "") -> str:
    vocabulary = accession.split(":")[0]
    return (
        f'<cvParam cvRef="{vocabulary}" accession="{accession}" name="{name}" '
        f"value={quoteattr(str(value))}{unit}/>"
    )


def header_xml(
    facts: WriterFacts, sha1: str | None, coordinates: np.ndarray
) -> Iterator[str]:
    """Yield the lines before the first spectrum."""
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield (
        '<mzML xmlns="http://psi.hupo.org/ms/mzml" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://psi.hupo.org/ms/mzml '
        'http://psidev.info/files/ms/mzML/xsd/mzML1.1.0.xsd" version="1.1">'
    )
    yield '<cvList count="3">'
    for key, name, version, uri in (
        (
            "MS",
            "Proteomics Standards Initiative Mass Spectrometry Ontology",
            "4.1.0",
            "http://purl.obolibrary.org/obo/ms.obo",
        ),
        ("UO", "Unit Ontology", "1.15", "http://purl.obolibrary.org/obo/uo.obo"),
        (
            "IMS",
            "Mass Spectrometry Imaging Ontology",
            "1.1.0",
            "https://raw.githubusercontent.com/imzML/imzML/master/imagingMS.obo",
        ),
    ):
        yield f'<cv id="{key}" fullName="{name}" version="{version}" URI="{uri}"/>'
    yield "</cvList>"
    yield "<fileDescription><fileContent>"
    yield _cv("MS:1000579", "MS1 spectrum")
    yield _cv(*SPECTRUM_TYPES[facts.spectrum_type])
    braced = "{" + facts.uuid + "}"
    yield _cv("IMS:1000080", "universally unique identifier", braced)
    if sha1 is not None:
        yield _cv("IMS:1000091", "ibd SHA-1", sha1)
    yield _cv(MODES[facts.mode], facts.mode)
    yield "</fileContent></fileDescription>"
    yield from _groups(facts)
    yield '<softwareList count="1">'
    yield f'<software id="imsminer" version="{imsminer.__version__}">'
    yield _cv("MS:1000799", "custom unreleased software tool", "imsminer")
    yield "</software></softwareList>"
    yield from _scan_settings(facts, coordinates)
    yield '<instrumentConfigurationList count="1"><instrumentConfiguration id="IC1">'
    yield _cv("MS:1000031", "instrument model", facts.instrument or "")
    yield "</instrumentConfiguration></instrumentConfigurationList>"
    yield '<dataProcessingList count="1"><dataProcessing id="processing">'
    yield '<processingMethod order="1" softwareRef="imsminer">'
    yield _cv("MS:1000544", "Conversion to mzML")
    for number, step in enumerate(facts.processing, start=1):
        yield f'<userParam name="step {number}" value={quoteattr(str(step))}/>'
    yield "</processingMethod></dataProcessing></dataProcessingList>"
    yield '<run id="run1" defaultInstrumentConfigurationRef="IC1">'
    count = len(coordinates)
    yield f'<spectrumList count="{count}" defaultDataProcessingRef="processing">'


def _groups(facts: WriterFacts) -> Iterator[str]:
    packing = (
        ("MS:1000574", "zlib compression")
        if facts.compression == "zlib"
        else ("MS:1000576", "no compression")
    )
    yield '<referenceableParamGroupList count="3">'
    for group, term, dtype, unit in (
        ("mzArray", ("MS:1000514", "m/z array"), facts.mz_dtype, MZ_UNIT),
        (
            "intensityArray",
            ("MS:1000515", "intensity array"),
            facts.intensity_dtype,
            COUNTS_UNIT,
        ),
    ):
        yield f'<referenceableParamGroup id="{group}">'
        yield _cv(*term, unit=unit)
        yield _cv(*TYPES[dtype])
        yield _cv("IMS:1000101", "external data", "true")
        yield _cv(*packing)
        yield "</referenceableParamGroup>"
    yield '<referenceableParamGroup id="spectrum1">'
    yield _cv("MS:1000579", "MS1 spectrum")
    yield _cv("MS:1000511", "ms level", 1)
    yield _cv(*SPECTRUM_TYPES[facts.spectrum_type])
    if facts.polarity is not None:
        yield _cv(*POLARITIES[facts.polarity])
    yield "</referenceableParamGroup></referenceableParamGroupList>"


def _scan_settings(facts: WriterFacts, coordinates: np.ndarray) -> Iterator[str]:
    yield '<scanSettingsList count="1"><scanSettings id="scanSettings1">'
    yield _cv("IMS:1000401", "top down")
    yield _cv("IMS:1000413", "flyback")
    yield _cv("IMS:1000480", "horizontal line scan")
    yield _cv("IMS:1000491", "linescan left right")
    # At least 1: a raster without pixels is not a valid one.
    counts = np.maximum(coordinates[:, :2].max(axis=0, initial=1), 1).tolist()
    yield _cv("IMS:1000042", "max count of pixels x", counts[0])
    yield _cv("IMS:1000043", "max count of pixels y", counts[1])
    if facts.pixel_size is not None:
        size_x, size_y = facts.pixel_size
        for accession, name, value in (
            ("IMS:1000044", "max dimension x", counts[0] * size_x),
            ("IMS:1000045", "max dimension y", counts[1] * size_y),
            ("IMS:1000046", "pixel size (x)", size_x),
            ("IMS:1000047", "pixel size y", size_y),
        ):
            yield _cv(accession, name, f"{value:.10g}", MICROMETRE)
    yield "</scanSettings></scanSettingsList>"


def _template() -> str:
    text = (
        '<spectrum id="Scan=%d" defaultArrayLength="0" index="%d">\n'
        '<referenceableParamGroupRef ref="spectrum1"/>\n<scanList count="1">\n'
        + _cv("MS:1000795", "no combination")
        + '\n<scan instrumentConfigurationRef="IC1">\n'
    )
    for accession, axis in (("50", "x"), ("51", "y"), ("52", "z")):
        text += _cv(f"IMS:10000{accession}", f"position {axis}", "%d") + "\n"
    text += '</scan>\n</scanList>\n<binaryDataArrayList count="2">\n'
    for group in ("mzArray", "intensityArray"):
        text += '<binaryDataArray encodedLength="0">\n'
        text += f'<referenceableParamGroupRef ref="{group}"/>\n'
        text += _cv("IMS:1000103", "external array length", "%d") + "\n"
        text += _cv("IMS:1000104", "external encoded length", "%d") + "\n"
        text += _cv("IMS:1000102", "external offset", "%d") + "\n"
        text += "<binary/>\n</binaryDataArray>\n"
    return text + "</binaryDataArrayList>\n</spectrum>\n"


def spectra_xml(coordinates: np.ndarray, arrays: np.ndarray) -> Iterator[str]:
    """Yield the text of all spectra, in batches.

    Parameters
    ----------
    coordinates : ndarray of int64, shape (n, 3)
        x, y, z.
    arrays : ndarray of int64, shape (n, 6)
        Length, encoded length and offset of the m/z array, then of the intensities.
    """
    template = _template()
    index = np.arange(len(coordinates))[:, np.newaxis]
    for start in range(0, len(coordinates), BATCH):
        part = slice(start, start + BATCH)
        numbers = np.hstack(
            [index[part] + 1, index[part], coordinates[part], arrays[part]]
        )
        yield (template * len(numbers)) % tuple(numbers.ravel().tolist())


def tail_xml() -> str:
    """Return what follows the last spectrum."""
    return "</spectrumList>\n</run>\n</mzML>\n"
