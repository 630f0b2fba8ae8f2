"""What an imzML pair holds, how it is written, what a right reader makes of it."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import numpy as np

from tests.io.markup import Style

UUID = "0123456789abcdef0123456789abcdef"
TYPES = {
    "int8": ("IMS:1100000", "8-bit integer"),
    "int16": ("IMS:1100001", "16-bit integer"),
    "int32": ("MS:1000519", "32-bit integer"),
    "int64": ("MS:1000522", "64-bit integer"),
    "float32": ("MS:1000521", "32-bit float"),
    "float64": ("MS:1000523", "64-bit float"),
}
OLD_TYPES = {
    "int32": ("IMS:1000141", "32-bit integer"),
    "int64": ("IMS:1000142", "64-bit integer"),
}
KINDS = {
    "mz": ("MS:1000514", "m/z array"),
    "intensity": ("MS:1000515", "intensity array"),
    "mobility": ("MS:1003008", "raw inverse reduced ion mobility array"),
    "noise": ("MS:1002744", "sampled noise intensity array"),
}
FLAGS = {
    "profile": ("MS:1000128", "profile spectrum"),
    "centroid": ("MS:1000127", "centroid spectrum"),
    "positive": ("MS:1000130", "positive scan"),
    "negative": ("MS:1000129", "negative scan"),
}
UNITS = {
    "um": ("UO:0000017", "micrometer"),
    "nm": ("UO:0000018", "nanometer"),
    "mm": ("UO:0000016", "millimeter"),
}
ZLIB = ("MS:1000574", "zlib compression")
PLAIN = ("MS:1000576", "no compression")
NUMBERS = {
    "plain": str,
    "plus": lambda n: f"{n:+d}",
    "spaces": lambda n: f" {n}  ",
    "point": lambda n: f"{n}.0",
    "zeros": lambda n: f"{n:+06d}",
    "exponent": lambda n: format(Decimal(n).normalize(), "E"),
}
# What is wrong with one spectrum, and whether opening or only reading can tell.
SPECTRUM_FAULTS = {
    "lengths differ": "open",
    "no type": "open",
    "two types": "open",
    "numpress": "open",
    "both compressions": "open",
    "no x": "open",
    "fractional y": "open",
    "two positions": "open",
    "beyond the end": "open",
    "no offset": "open",
    "offset is text": "open",
    "negative length": "open",
    "no intensity": "open",
    "two m/z arrays": "open",
    "no encoded length": "open",
    "m/z falls": "read",
    "m/z is NaN": "read",
    "zlib damaged": "read",
    "zlib too short": "read",
    "zlib too long": "read",
}
ZLIB_FAULTS = {name for name in SPECTRUM_FAULTS if name.startswith("zlib")} | {
    "no encoded length"
}


@dataclass
class Spectrum:
    """One spectrum, and how it is written; `fault` is one of `SPECTRUM_FAULTS`."""

    mz: np.ndarray
    intensity: np.ndarray
    position: tuple[int, int, int | None] = (1, 1, 1)
    mobility: np.ndarray | None = None
    noise: bool = False
    mz_type: str = "float64"
    intensity_type: str = "float32"
    mz_zlib: bool = False
    intensity_zlib: bool = False
    style: str = "group"  # or nested, inline, mixed
    flags: tuple[str, ...] = ("profile", "positive")
    shares: int | None = None  # the spectrum whose m/z array this one refers to
    hole: int = 0  # bytes that are left out of the .ibd before it
    fault: str | None = None


@dataclass
class Recipe:
    """A whole pair."""

    spectra: list[Spectrum]
    declared_mode: str | None = "processed"
    numbers: str = "plain"  # how offsets and lengths are written
    positions: str = "plain"
    padding: int = 0  # bytes between arrays
    order: str = "interleaved"  # or intensity first, separate
    encoded: bool = True  # whether encoded lengths are given
    old_types: bool = False
    count: str = "right"  # of spectra: right, missing, small, large, text
    max_count: str = "right"  # missing, small, absurd
    pixel_size: tuple[str, str | None] | None = ("50", "um")
    n_scan_settings: int = 1
    instruments: bool = True
    uuid: str = "{" + UUID + "}"
    style: Style = field(default_factory=Style)


@dataclass
class Stored:
    """Where an array lies in the .ibd."""

    offset: int
    length: int
    encoded: int


@dataclass
class Files:
    """The bytes of a pair, and what they hold.

    `pieces` are the parts of the .ibd and where they start; between them are holes.
    `kept` are the spectra that opening accepts, `unreadable` those of them that reading
    must refuse.
    """

    recipe: Recipe
    xml: bytes
    pieces: list[tuple[int, bytes]]
    size: int
    places: list[dict[str, Stored]]
    kept: list[int]
    unreadable: list[int]

    def save(self, folder, name="run", suffix=".imzML", ibd=None):
        path = Path(folder) / f"{name}{suffix}"
        path.write_bytes(self.xml)
        with open(Path(folder) / (ibd or f"{name}.ibd"), "wb") as file:
            for offset, data in self.pieces:
                file.seek(offset)
                file.write(data)
            file.truncate(self.size)
        return path

    def cut(self, size):
        """Return the pair with an .ibd of fewer bytes."""
        lost = {
            number
            for number in self.kept
            for stored in self.places[number].values()
            if stored.length and stored.offset + stored.encoded > size
        }
        pieces = [(start, data[: max(size - start, 0)]) for start, data in self.pieces]
        return replace(
            self,
            pieces=[piece for piece in pieces if piece[1]],
            size=size,
            kept=[number for number in self.kept if number not in lost],
            unreadable=[number for number in self.unreadable if number not in lost],
        )

    @property
    def continuous(self):
        """Whether a right reader finds one m/z axis for all spectra that it keeps."""
        spectra = [self.recipe.spectra[number] for number in self.kept]
        if any(spectrum.mobility is not None for spectrum in spectra):
            # Points are sorted and added up, so that each spectrum has m/z of its own.
            return False
        if len(spectra) == 1:
            return self.recipe.declared_mode == "continuous"
        places = [self.places[number]["mz"] for number in self.kept]
        ways = {(s.mz_type, s.mz_zlib) for s in spectra}
        return len({(p.offset, p.length) for p in places}) == len(ways) == 1

    @property
    def coordinates(self):
        positions = [self.recipe.spectra[number].position for number in self.kept]
        return [(x, y, 1 if z is None else z) for x, y, z in positions]

    @property
    def intensity_type(self):
        types = {self.recipe.spectra[number].intensity_type for number in self.kept}
        return np.float64 if types & {"float64", "int32", "int64"} else np.float32

    def spectrum(self, number):
        """Return m/z and intensity, of the types in which they are delivered."""
        spectrum = self.recipe.spectra[number]
        mz = spectrum.mz.astype(spectrum.mz_type).astype(np.float64)
        intensity = spectrum.intensity.astype(spectrum.intensity_type)
        return mz, intensity.astype(self.intensity_type)

    @property
    def pixel_size(self):
        """In µm, or NaN."""
        if self.recipe.pixel_size is None or self.recipe.n_scan_settings == 0:
            return np.nan
        value, unit = self.recipe.pixel_size
        return float(value) * {None: 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3}[unit]

    @property
    def polarity(self):
        found = {flag for s in self.recipe.spectra for flag in s.flags}
        found &= {"positive", "negative"}
        return "mixed" if len(found) == 2 else next(iter(found), None)
