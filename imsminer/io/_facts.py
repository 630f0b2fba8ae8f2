"""Facts about a run, from the header of its imzML file."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from imsminer.io import _vocabulary as cv
from imsminer.io._rows import Term
from imsminer.io._xml import NAMESPACE, Header

__all__ = ["RunFacts", "run_facts"]

# Micrometres per unit of length. Without a unit the vocabulary means micrometres.
_MICROMETRES = {
    "": 1.0,
    "UO:0000017": 1.0,
    "UO:0000018": 1e-3,
    "UO:0000016": 1e3,
    "UO:0000015": 1e4,
    "UO:0000008": 1e6,
}
_UNIT_NAMES = {
    "micrometer": "UO:0000017",
    "micrometre": "UO:0000017",
    "micron": "UO:0000017",
    "um": "UO:0000017",
    "µm": "UO:0000017",
    "μm": "UO:0000017",
    "nanometer": "UO:0000018",
    "nanometre": "UO:0000018",
    "nm": "UO:0000018",
    "millimeter": "UO:0000016",
    "millimetre": "UO:0000016",
    "mm": "UO:0000016",
    "centimeter": "UO:0000015",
    "centimetre": "UO:0000015",
    "cm": "UO:0000015",
    "meter": "UO:0000008",
    "metre": "UO:0000008",
    "m": "UO:0000008",
}

# Extent of the image and number of its pixels, along x and y.
_EXTENTS = (("IMS:1000044", cv.MAX_COUNT_X), ("IMS:1000045", cv.MAX_COUNT_Y))


@dataclass(frozen=True)
class RunFacts:
    """What an imzML file says about its run; `None` or NaN where it says nothing.

    Attributes
    ----------
    uuid : str or None
        32 hexadecimal digits.
    continuous : bool or None
        The declared mode.
    spectrum_type : str
        ``"profile"`` or ``"centroid"``.
    polarity : str or None
        ``"positive"``, ``"negative"`` or ``"mixed"``.
    pixel_size_x, pixel_size_y : float
        In µm.
    instrument : str or None
        Name of the model.
    max_count_x, max_count_y : int or None
        Declared size of the image in pixels.
    checksums : tuple of (str, str)
        Algorithm and hexadecimal digest.
    n_scan_settings : int
        Number of scan settings.
    mobility : str or None
        What the third array of each spectrum holds, such as ``"raw inverse reduced ion
        mobility"``.
    """

    uuid: str | None
    continuous: bool | None
    spectrum_type: str
    polarity: str | None
    pixel_size_x: float
    pixel_size_y: float
    instrument: str | None
    max_count_x: int | None
    max_count_y: int | None
    checksums: tuple[tuple[str, str], ...]
    n_scan_settings: int
    mobility: str | None = None

    def __eq__(self, other: object) -> bool:
        # NaN, the missing pixel size, equals itself here.
        if not isinstance(other, RunFacts):
            return NotImplemented
        return repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]


def run_facts(
    header: Header, spectra: np.ndarray, mobility: str | None
) -> tuple[RunFacts, dict[str, str]]:
    """Derive the facts of a run, and the oddities met on the way."""
    oddities: dict[str, str] = {}
    if header.namespace != NAMESPACE:
        oddities["namespace"] = (
            f"the XML namespace is {header.namespace!r}, expected {NAMESPACE!r}; the "
            "elements were read by their names."
        )
    continuous = _mode(header, oddities)
    flags = int(np.bitwise_or.reduce(spectra["flags"]))
    size_x, size_y = _pixel_size(header, oddities)
    count_x, count_y = (
        _count(header.scan_settings, key) for key in (cv.MAX_COUNT_X, cv.MAX_COUNT_Y)
    )
    _check_counts(spectra, count_x, count_y, oddities)
    facts = RunFacts(
        uuid=_uuid(header, oddities),
        continuous=continuous,
        spectrum_type=_spectrum_type(header, flags, bool(continuous), oddities),
        polarity=_polarity(header, flags),
        pixel_size_x=size_x,
        pixel_size_y=size_y,
        instrument=_instrument(header),
        max_count_x=count_x,
        max_count_y=count_y,
        checksums=tuple(_checksums(header)),
        n_scan_settings=len(header.scan_settings),
        mobility=mobility,
    )
    return facts, oddities


def _uuid(header: Header, oddities: dict[str, str]) -> str | None:
    term = header.file.get(cv.UUID) or header.other.get(cv.UUID)
    text = "" if term is None else term.value
    digits = re.sub(r"[\s{}()-]", "", text.lower().removeprefix("urn:uuid:"))
    if re.fullmatch(r"[0-9a-f]{32}", digits):
        return digits
    oddities["uuid"] = (
        f"the file's UUID is {text!r}, expected 32 hexadecimal digits; whether the "
        ".ibd belongs to it could not be checked."
    )
    return None


def _mode(header: Header, oddities: dict[str, str]) -> bool | None:
    for terms in (header.file, header.other):
        continuous, processed = cv.CONTINUOUS in terms, cv.PROCESSED in terms
        if continuous != processed:
            return continuous
        if continuous:
            break
    oddities["mode"] = (
        "the file does not say whether it is continuous or processed; its offsets "
        "decided."
    )
    return None


def _flags(terms: Iterable[str]) -> int:
    result = 0
    for accession in terms:
        result |= cv.FLAGS.get(accession, 0)
    return result


def _spectrum_type(
    header: Header, flags: int, continuous: bool, oddities: dict[str, str]
) -> str:
    """Profile or centroid, from the spectra, the file or the groups, in this order."""
    both = cv.PROFILE | cv.CENTROID
    said = "does not say whether its spectra are profile or centroid"
    for found in (flags, _flags(header.file), _flags(header.other)):
        if found & both == cv.PROFILE:
            return "profile"
        if found & both == cv.CENTROID:
            return "centroid"
        if found & both:
            said = "calls its spectra both profile and centroid"
            break
    assumed = "profile" if continuous else "centroid"
    mode = "continuous" if continuous else "processed"
    oddities["spectrum_type"] = (
        f"the file {said}; {assumed} is assumed, as is usual in {mode} mode. Pass "
        "spectrum_type='profile' or 'centroid' to ImzMLReader to set it."
    )
    return assumed


def _polarity(header: Header, flags: int) -> str | None:
    both = cv.POSITIVE | cv.NEGATIVE
    for found in (flags, _flags(header.file), _flags(header.other)):
        if found & both == both:
            return "mixed"
        if found & cv.POSITIVE:
            return "positive"
        if found & cv.NEGATIVE:
            return "negative"
    return None


def _length_in_um(term: Term | None) -> float:
    """Read a length with its unit, in µm; NaN when it says nothing usable."""
    if term is None:
        return np.nan
    unit = term.unit_accession.strip().upper()
    name = term.unit_name.strip().lower()
    if unit not in _MICROMETRES or (name and not unit):
        unit = _UNIT_NAMES.get(name, "?")
    try:
        value = float(term.value)
    except ValueError:
        return np.nan
    if unit not in _MICROMETRES or not np.isfinite(value) or value <= 0:
        return np.nan
    return value * _MICROMETRES[unit]


def _check_units(terms: dict[str, Term], oddities: dict[str, str]) -> None:
    """Compare accession and name of the units of pixel sizes."""
    for accession in (cv.PIXEL_SIZE_X, cv.PIXEL_SIZE_Y):
        term = terms.get(accession)
        if term is None:
            continue
        unit = term.unit_accession.strip().upper()
        by_name = _UNIT_NAMES.get(term.unit_name.strip().lower(), unit)
        if unit in _MICROMETRES and unit and by_name != unit:
            oddities["unit"] = (
                f"the unit of the pixel size is {unit} by accession and "
                f"{term.unit_name!r} by name; the accession was taken: "
                f"{_length_in_um(term):g} µm."
            )


def _pixel_size(header: Header, oddities: dict[str, str]) -> tuple[float, float]:
    sizes = []
    for terms in header.scan_settings or [header.other]:
        x = _length_in_um(terms.get(cv.PIXEL_SIZE_X))
        y = _length_in_um(terms.get(cv.PIXEL_SIZE_Y))
        # The vocabulary allows one size, of a square pixel.
        if cv.PIXEL_SIZE_Y not in terms:
            y = x
        if np.isfinite(x) and np.isfinite(y):
            _check_units(terms, oddities)
            sizes.append(_side_of_area(terms, x, y, oddities))
    if not sizes:
        oddities["pixel_size"] = (
            "the file gives no usable pixel size; lengths and scale bars are in pixels."
        )
        return np.nan, np.nan
    if len(set(sizes)) > 1:
        oddities["scan_settings"] = (
            f"the file's {len(header.scan_settings)} scan settings give the pixel "
            f"sizes {', '.join(f'{x:g} × {y:g}' for x, y in sizes)} µm; the first was "
            "taken."
        )
    for accession, first, second in header.repeated:
        if accession in (cv.PIXEL_SIZE_X, cv.PIXEL_SIZE_Y):
            given = [_length_in_um(term) for term in (first, second)]
            if given[0] != given[1]:
                axis = "x" if accession == cv.PIXEL_SIZE_X else "y"
                oddities["scan_settings"] = (
                    f"one place of the file gives two pixel sizes along {axis}, "
                    f"{given[0]:g} and {given[1]:g} µm; the first was taken."
                )
    return sizes[0]


def _side_of_area(
    terms: dict[str, Term], x: float, y: float, oddities: dict[str, str]
) -> tuple[float, float]:
    """Return the sides of a pixel where what is given as its size is its area.

    Extent and number of pixels tell: the given size is then the square of what they
    say, along both axes.
    """
    sides = []
    for extent, count in _EXTENTS:
        length, n_pixels = _length_in_um(terms.get(extent)), _count([terms], count)
        sides.append(length / n_pixels if n_pixels else np.nan)
    areas = [side * side for side in sides]
    squared = np.allclose([x, y], areas, rtol=1e-3, atol=0)
    if not squared or np.allclose(sides, 1, rtol=1e-2):
        return x, y
    oddities["pixel_area"] = (
        f"the pixel size is given as {x:g} × {y:g} µm, but extent and number of pixels "
        f"make it {sides[0]:g} × {sides[1]:g} µm, of which it is the square: an area. "
        "The latter was taken."
    )
    return sides[0], sides[1]


def _count(settings: list[dict[str, Term]], accession: str) -> int | None:
    for terms in settings:
        if accession in terms:
            try:
                return int(float(terms[accession].value))
            except (ValueError, OverflowError):
                return None
    return None


def _check_counts(
    spectra: np.ndarray, x: int | None, y: int | None, oddities: dict[str, str]
) -> None:
    for name, declared in (("x", x), ("y", y)):
        # Some count positions from 0: the extent, not the largest value, must fit.
        extent = int(spectra[name].max()) - min(int(spectra[name].min()), 1) + 1
        if declared is not None and 0 <= declared < extent:
            oddities["max_count"] = (
                f"the file announces {declared} pixels along {name} and its positions "
                f"reach over {extent}; the positions were taken."
            )


def _instrument(header: Header) -> str | None:
    for terms in header.instruments:
        for accession, term in terms.items():
            if accession == cv.SERIAL_NUMBER:
                continue
            text = term.value if accession == cv.INSTRUMENT_MODEL else term.name
            if text.strip():
                return text.strip()
    return None


def _checksums(header: Header) -> Iterable[tuple[str, str]]:
    for algorithm, accession in (
        ("sha1", cv.SHA1),
        ("md5", cv.MD5),
        ("sha256", cv.SHA256),
    ):
        term = header.file.get(accession)
        if term is not None and term.value.strip():
            yield algorithm, term.value.strip().lower()
