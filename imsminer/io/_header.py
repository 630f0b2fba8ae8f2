"""The header of an imzML file that we write, and its end."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import quoteattr

import numpy as np

import imsminer
from imsminer.io._vocabulary import MOBILITY_ARRAYS, OTHER_ARRAY

__all__ = [
    "ARRAY_GROUPS",
    "KINDS",
    "SourceFile",
    "Step",
    "WriterFacts",
    "cv_param",
    "header_xml",
    "tail_xml",
]

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
# What a spectrum can be; its number in this list is that of its group of parameters.
KINDS = [(kind, sign) for kind in SPECTRUM_TYPES for sign in (None, *POLARITIES)]
MODES = {"continuous": "IMS:1000030", "processed": "IMS:1000031"}
ARRAY_GROUPS = ("mzArray", "intensityArray", "mobilityArray")
MICROMETRE = ' unitCvRef="UO" unitAccession="UO:0000017" unitName="micrometer"'
MZ_UNIT = ' unitCvRef="MS" unitAccession="MS:1000040" unitName="m/z"'
COUNTS_UNIT = (
    ' unitCvRef="MS" unitAccession="MS:1000131" unitName="number of detector counts"'
)
INVERSE_MOBILITY = (
    ' unitCvRef="MS" unitAccession="MS:1002814" '
    'unitName="volt-second per square centimeter"'
)

#: A step of processing: its name and its parameters.
Step = tuple[str, Mapping[str, object]]


@dataclass(frozen=True)
class SourceFile:
    """A file that the spectra came from.

    Attributes
    ----------
    name : str
        Its name.
    location : str
        URI of its folder.
    facts : mapping
        What else is known of it, such as its UUID and size.
    """

    name: str
    location: str
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class WriterFacts:
    """What the header of a file says; see :class:`ImzMLWriter` for the fields."""

    mode: str
    mz_dtype: str
    intensity_dtype: str
    pixel_size: tuple[float, float] | None
    compression: str | None
    instrument: str | None
    processing: Sequence[Step]
    sources: Sequence[SourceFile]
    notes: Mapping[str, object]
    mobility: str
    uuid: str


def _quoted(value: object) -> str:
    """Quote a text for XML, in which most control characters cannot stand."""
    text = re.sub(
        "[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", str(value)
    )
    return quoteattr(text)


def cv_param(accession: str, name: str, value: object = "", unit: str = "") -> str:
    """Return one term of a vocabulary."""
    vocabulary = accession.split(":")[0]
    return (
        f'<cvParam cvRef="{vocabulary}" accession="{accession}" name="{name}" '
        f"value={_quoted(value)}{unit}/>"
    )


def _user_param(name: object, value: object) -> str:
    return f"<userParam name={_quoted(name)} value={_quoted(value)}/>"


def header_xml(
    facts: WriterFacts,
    sha1: str | None,
    coordinates: np.ndarray,
    kinds: Sequence[int],
    n_arrays: int,
) -> Iterator[str]:
    """Yield the lines before the first spectrum.

    Parameters
    ----------
    facts : WriterFacts
        What the writer was told.
    sha1 : str or None
        Of the .ibd.
    coordinates : ndarray of int64, shape (n, 3)
        Positions of all spectra.
    kinds : sequence of int
        Which of `KINDS` the spectra are.
    n_arrays : int
        2, or 3 with ion mobilities.
    """
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
            "4.2.2",
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
    yield cv_param("MS:1000579", "MS1 spectrum")
    # The file has one representation, or its spectra say theirs.
    types = {KINDS[number][0] for number in kinds}
    if len(types) == 1:
        yield cv_param(*SPECTRUM_TYPES[types.pop()])
    braced = "{" + facts.uuid + "}"
    yield cv_param("IMS:1000080", "universally unique identifier", braced)
    if sha1 is not None:
        yield cv_param("IMS:1000091", "ibd SHA-1", sha1)
    yield cv_param(MODES[facts.mode], facts.mode)
    yield "</fileContent>"
    yield from _source_files(facts.sources)
    yield "</fileDescription>"
    yield from _groups(facts, kinds, n_arrays)
    yield '<softwareList count="1">'
    yield f'<software id="imsminer" version="{imsminer.__version__}">'
    yield cv_param("MS:1000799", "custom unreleased software tool", "imsminer")
    yield "</software></softwareList>"
    yield from _scan_settings(facts, coordinates)
    yield '<instrumentConfigurationList count="1"><instrumentConfiguration id="IC1">'
    yield cv_param("MS:1000031", "instrument model", facts.instrument or "")
    yield "</instrumentConfiguration></instrumentConfigurationList>"
    yield from _processing(facts.processing)
    yield '<run id="run1" defaultInstrumentConfigurationRef="IC1">'
    for name, value in facts.notes.items():
        yield _user_param(name, value)
    count = len(coordinates)
    yield f'<spectrumList count="{count}" defaultDataProcessingRef="processing">'


def _source_files(sources: Sequence[SourceFile]) -> Iterator[str]:
    if not sources:
        return
    yield f'<sourceFileList count="{len(sources)}">'
    for number, source in enumerate(sources, start=1):
        yield (
            f'<sourceFile id="source{number}" name={_quoted(source.name)} '
            f"location={_quoted(source.location)}>"
        )
        yield cv_param("MS:1003611", "imzML format")
        # Not the vocabulary's term for a UUID: readers look that one up to find the
        # UUID of this file.
        for key, value in source.facts.items():
            yield _user_param(key, value)
        yield "</sourceFile>"
    yield "</sourceFileList>"


def _groups(facts: WriterFacts, kinds: Sequence[int], n_arrays: int) -> Iterator[str]:
    packing = (
        ("MS:1000574", "zlib compression")
        if facts.compression == "zlib"
        else ("MS:1000576", "no compression")
    )
    arrays = (
        (("MS:1000514", "m/z array", ""), facts.mz_dtype, MZ_UNIT),
        (("MS:1000515", "intensity array", ""), facts.intensity_dtype, COUNTS_UNIT),
        _mobility_term(facts.mobility),
    )[:n_arrays]
    yield f'<referenceableParamGroupList count="{n_arrays + len(kinds)}">'
    for group, (term, dtype, unit) in zip(ARRAY_GROUPS, arrays, strict=False):
        yield f'<referenceableParamGroup id="{group}">'
        yield cv_param(*term, unit)
        yield cv_param(*TYPES[dtype])
        yield cv_param("IMS:1000101", "external data", "true")
        yield cv_param(*packing)
        yield "</referenceableParamGroup>"
    for number in kinds:
        spectrum_type, polarity = KINDS[number]
        yield f'<referenceableParamGroup id="spectrum{number}">'
        yield cv_param("MS:1000579", "MS1 spectrum")
        yield cv_param("MS:1000511", "ms level", 1)
        yield cv_param(*SPECTRUM_TYPES[spectrum_type])
        if polarity is not None:
            yield cv_param(*POLARITIES[polarity])
        yield "</referenceableParamGroup>"
    yield "</referenceableParamGroupList>"


def _mobility_term(name: str) -> tuple[tuple[str, str, str], str, str]:
    """Return term, type and unit of the array of ion mobilities.

    Only inverse mobilities have a unit that goes without saying.
    """
    accessions = {text: accession for accession, text in MOBILITY_ARRAYS.items()}
    unit = INVERSE_MOBILITY if "inverse reduced" in name else ""
    accession = accessions.get(f"{name} array")
    if accession is None:
        return (OTHER_ARRAY, "non-standard data array", name), "float64", ""
    return (accession, f"{name} array", ""), "float64", unit


def _processing(steps: Sequence[Step]) -> Iterator[str]:
    """What was done, in order; writing the file comes last."""
    yield '<dataProcessingList count="1"><dataProcessing id="processing">'
    for number, (name, parameters) in enumerate(steps, start=1):
        yield f'<processingMethod order="{number}" softwareRef="imsminer">'
        yield cv_param("MS:1000543", "data processing action")
        yield _user_param("step", name)
        for key, value in parameters.items():
            yield _user_param(key, value)
        yield "</processingMethod>"
    yield f'<processingMethod order="{len(steps) + 1}" softwareRef="imsminer">'
    yield cv_param("MS:1000544", "Conversion to mzML")
    yield "</processingMethod></dataProcessing></dataProcessingList>"


def _scan_settings(facts: WriterFacts, coordinates: np.ndarray) -> Iterator[str]:
    yield '<scanSettingsList count="1"><scanSettings id="scanSettings1">'
    yield cv_param("IMS:1000401", "top down")
    yield cv_param("IMS:1000413", "flyback")
    yield cv_param("IMS:1000480", "horizontal line scan")
    yield cv_param("IMS:1000491", "linescan left right")
    # At least 1: a raster without pixels is not a valid one. Some count from 0.
    low = coordinates[:, :2].min(axis=0, initial=1)
    counts = (coordinates[:, :2].max(axis=0, initial=1) - low + 1).tolist()
    yield cv_param("IMS:1000042", "max count of pixels x", counts[0])
    yield cv_param("IMS:1000043", "max count of pixels y", counts[1])
    if facts.pixel_size is not None:
        size_x, size_y = facts.pixel_size
        for accession, name, value in (
            ("IMS:1000044", "max dimension x", counts[0] * size_x),
            ("IMS:1000045", "max dimension y", counts[1] * size_y),
            ("IMS:1000046", "pixel size (x)", size_x),
            ("IMS:1000047", "pixel size y", size_y),
        ):
            yield cv_param(accession, name, f"{value:.10g}", MICROMETRE)
    yield "</scanSettings></scanSettingsList>"


def tail_xml() -> str:
    """Return what follows the last spectrum."""
    return "</spectrumList>\n</run>\n</mzML>\n"
