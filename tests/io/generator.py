"""imzML pairs of every kind, valid and broken, each with the truth about it.

A `Recipe` says how a pair is written and `build` writes it. `Files` then knows what a
right reader delivers: which spectra with which values, and which it must refuse.
"""

import random
import zlib

import numpy as np

from tests.io.markup import cv, element, group_ref
from tests.io.recipe import (
    FLAGS,
    KINDS,
    NUMBERS,
    OLD_TYPES,
    PLAIN,
    SPECTRUM_FAULTS,
    TYPES,
    UNITS,
    UUID,
    ZLIB,
    Files,
    Spectrum,
    Stored,
)


def build(recipe):
    """Write a pair."""
    return _Builder(recipe).build()


class _Builder:
    def __init__(self, recipe):
        self.recipe = recipe
        self.format = NUMBERS[recipe.numbers]
        self.position_format = NUMBERS[recipe.positions]
        self.groups = {}
        self.pieces = [(0, bytes.fromhex(UUID))]
        self.end = 16
        self.places = [{} for _ in recipe.spectra]

    def build(self):
        recipe = self.recipe
        self._store_all()
        spectra = [self._spectrum(n, s) for n, s in enumerate(recipe.spectra)]
        xml = recipe.style.document(self._document(spectra))
        faults = [spectrum.fault for spectrum in recipe.spectra]
        kept = [n for n, f in enumerate(faults) if SPECTRUM_FAULTS.get(f) != "open"]
        unreadable = [n for n in kept if faults[n] is not None]
        return Files(recipe, xml, self.pieces, self.end, self.places, kept, unreadable)

    # -- the .ibd ----------------------------------------------------------------------
    def _store_all(self):
        kinds = ["mz", "intensity", "mobility"]
        if self.recipe.order == "intensity first":
            kinds = ["intensity", "mobility", "mz"]
        places = [(n, kind) for n in range(len(self.places)) for kind in kinds]
        if self.recipe.order == "separate":
            places.sort(key=lambda place: kinds.index(place[1]))
        for number, kind in places:
            spectrum = self.recipe.spectra[number]
            if kind == kinds[0]:
                self.end += spectrum.hole
            if kind == "mz" and spectrum.shares is not None:
                self.places[number]["mz"] = self.places[spectrum.shares]["mz"]
            elif kind != "mobility" or spectrum.mobility is not None:
                self.places[number][kind] = self._store(spectrum, kind)

    def _store(self, spectrum, kind):
        values = getattr(spectrum, kind)
        if kind == "mz" and spectrum.fault == "m/z falls":
            values = values[::-1]
        if kind == "mz" and spectrum.fault == "m/z is NaN":
            values = np.where(np.arange(values.size) == 1, np.nan, values)
        if kind == "intensity" and spectrum.fault == "zlib too short":
            values = values[:-1]
        if kind == "intensity" and spectrum.fault == "zlib too long":
            values = np.append(values, 1)
        dtype, packed = self._way(spectrum, kind)
        data = values.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
        if packed:
            data = zlib.compress(data)
            if kind == "intensity" and spectrum.fault == "zlib damaged":
                data = data[:-3] + bytes(3 * [data[-1] ^ 0x55])
        self.end += self.recipe.padding
        offset = self.end
        self.end += len(data)
        self.pieces.append((offset, data))
        return Stored(offset, getattr(spectrum, kind).size, len(data))

    @staticmethod
    def _way(spectrum, kind):
        if kind == "mobility":
            return "float64", spectrum.mz_zlib
        return getattr(spectrum, f"{kind}_type"), getattr(spectrum, f"{kind}_zlib")

    # -- the XML of a spectrum ---------------------------------------------------------
    def _spectrum(self, number, spectrum):
        fault = spectrum.fault
        x, y, z = (
            None if value is None else self.position_format(value)
            for value in spectrum.position
        )
        if fault == "no x":
            x = None
        if fault == "fractional y":
            y = f"{spectrum.position[1]}.5"
        positions = [
            cv(f"IMS:{1000050 + axis}", f"position {'xyz'[axis]}", text)
            for axis, text in enumerate((x, y, z))
            if text is not None
        ]
        if fault == "two positions":
            positions.append(cv("IMS:1000050", "position x", "123456"))
        flags = [cv(*FLAGS[flag]) for flag in spectrum.flags]
        if spectrum.style != "inline" and flags:
            flags = [self._group("_".join(("is", *spectrum.flags)), flags)]
        arrays = [self._array(spectrum, number, kind) for kind in self.places[number]]
        if fault == "no intensity":
            del arrays[list(self.places[number]).index("intensity")]
        if fault == "two m/z arrays":
            arrays.append(self._array(spectrum, number, "mz"))
        if spectrum.noise:
            arrays.insert(1, self._array(spectrum, number, "intensity", "noise"))
        return element(
            "spectrum",
            {"id": f"Scan={number}", "index": number, "defaultArrayLength": 0},
            *flags,
            element("scanList", {"count": 1}, element("scan", {}, *positions)),
            element("binaryDataArrayList", {"count": len(arrays)}, *arrays),
        )

    def _array(self, spectrum, number, kind, name=None):
        stored = self.places[number][kind]
        fault = spectrum.fault if (kind, name) == ("intensity", None) else None
        dtype, packed = self._way(spectrum, kind)
        terms = self._terms(name or kind, dtype, packed, spectrum.style, fault)
        length = stored.length + (fault == "lengths differ")
        if fault == "negative length":
            length = -1 - stored.length
        offset = self.format(stored.offset)
        if fault == "beyond the end":
            offset = self.format(1 << 50)
        if fault == "offset is text":
            offset = "16 bytes"
        terms.append(cv("IMS:1000103", "external array length", self.format(length)))
        needed = packed and fault != "no encoded length"
        if needed or (self.recipe.encoded and not packed):
            terms.append(
                cv(
                    "IMS:1000104",
                    "external encoded length",
                    self.format(stored.encoded),
                )
            )
        if fault != "no offset":
            terms.append(cv("IMS:1000102", "external offset", offset))
        return element(
            "binaryDataArray", {"encodedLength": 0}, *terms, element("binary", {})
        )

    def _terms(self, kind, dtype, packed, style, fault):
        types = TYPES | (OLD_TYPES if self.recipe.old_types else {})
        what = [cv(*KINDS[kind])]
        typed = [cv(*types[dtype])]
        packing = [cv(*(ZLIB if packed else PLAIN))]
        if fault == "no type":
            typed = []
        if fault == "two types":
            # Neither is told by the encoded length.
            typed = [cv(*TYPES["int8"]), cv(*TYPES["int16"])]
            if packed or dtype in ("int8", "int16"):
                typed = [cv(*TYPES["float32"]), cv(*TYPES["int32"])]
        if fault == "numpress":
            packing = [cv("MS:1002312", "MS-Numpress linear prediction compression")]
        if fault == "both compressions":
            packing = [cv(*ZLIB), cv(*PLAIN)]
        external = [cv("IMS:1000101", "external data", "true")]
        name = f"{kind}_{dtype}_{packed}_{fault or ''}".replace(" ", "-")
        if style == "inline":
            return [*what, *typed, *packing]
        if style == "mixed":
            return [self._group(f"{kind}_kind", what), *typed, *packing]
        if style == "nested":
            parts = (
                self._group(f"{name}_type", typed),
                self._group(f"{name}_packing", packing),
            )
            return [self._group(f"{name}_nested", [*parts, *what])]
        return [self._group(name, [*what, *typed, *packing, *external])]

    def _group(self, name, terms):
        self.groups[name] = terms
        return group_ref(name)

    # -- the document ------------------------------------------------------------------
    def _document(self, spectra):
        recipe = self.recipe
        content = [cv("MS:1000579", "MS1 spectrum")]
        if recipe.declared_mode is not None:
            code = {"continuous": "IMS:1000030", "processed": "IMS:1000031"}
            content.append(cv(code[recipe.declared_mode], recipe.declared_mode))
        content.append(cv("IMS:1000080", "universally unique identifier", recipe.uuid))
        groups = [
            element("referenceableParamGroup", {"id": name}, *terms)
            for name, terms in self.groups.items()
        ]
        parts = [
            element("fileDescription", {}, element("fileContent", {}, *content)),
            element("referenceableParamGroupList", {"count": len(groups)}, *groups),
        ]
        if recipe.n_scan_settings:
            settings = [self._settings(i) for i in range(recipe.n_scan_settings)]
            parts.append(
                element("scanSettingsList", {"count": len(settings)}, *settings)
            )
        if recipe.instruments:
            model = cv("MS:1000031", "instrument model", "Gerät µ")
            parts.append(
                element(
                    "instrumentConfigurationList",
                    {"count": 1},
                    element("instrumentConfiguration", {"id": "IC1"}, model),
                )
            )
        n = len(spectra)
        count = {"right": n, "small": n - 1, "large": n + 7, "text": "many"}
        attributes = {"count": count[recipe.count]} if recipe.count in count else {}
        spectrum_list = element("spectrumList", attributes, *spectra)
        return [*parts, element("run", {"id": "run1"}, spectrum_list)]

    def _settings(self, number):
        recipe = self.recipe
        terms = []
        for axis, name in enumerate(("x", "y")):
            largest = max(spectrum.position[axis] for spectrum in recipe.spectra)
            counts = {"right": largest, "small": 1, "absurd": 10**15}
            if recipe.max_count in counts:
                count = counts[recipe.max_count]
                terms.append(
                    cv(f"IMS:{1000042 + axis}", f"max count of pixels {name}", count)
                )
        if recipe.pixel_size is not None:
            value, unit = recipe.pixel_size
            extra = {}
            if unit is not None:
                accession, name = UNITS[unit]
                extra = {"unitAccession": accession, "unitName": name}
            terms.append(cv("IMS:1000046", "pixel size (x)", value, **extra))
            terms.append(cv("IMS:1000047", "pixel size y", value, **extra))
        return element("scanSettings", {"id": f"settings{number}"}, *terms)


def random_spectra(seed, n_spectra, n_points, dtype="float32", first=1):
    """Return spectra of random whole numbers, which every stored type holds."""
    rng = random.Random(seed)
    numbers = np.random.default_rng(seed)
    spectra = []
    for i in range(n_spectra):
        n = rng.choice(n_points)
        mz = np.cumsum(numbers.integers(1, 4, n)).astype(np.float64)
        intensity = numbers.integers(-100, 100, n).astype(np.float64)
        position = (first + i % 3, first + i // 3, 1)
        spectra.append(Spectrum(mz, intensity, position, intensity_type=dtype))
    return spectra
