"""A writer of imzML pairs by template: valid ones, and any kind of broken one."""

import hashlib
import zlib as zlib_module
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from imsminer.io._scan import scan_imzml
from tests.io.recipe import TYPES, UUID


def cv(accession, name, value="", extra=""):
    vocabulary = accession.split(":")[0]
    return (
        f'<cvParam cvRef="{vocabulary}" accession="{accession}" name="{name}" '
        f'value="{value}"{extra}/>'
    )


@dataclass
class Pair:
    """The text and bytes of an imzML pair; edit them, then `save`."""

    spectra: list
    coordinates: list | None = None
    continuous: bool = False
    mz_type: str = "float64"
    intensity_type: str = "float32"
    zlib: bool = False
    padding: int = 0
    micrometres: str = "50"
    xml: str = field(init=False)
    ibd: bytes = field(init=False)

    def __post_init__(self):
        if self.coordinates is None:
            self.coordinates = [(i + 1, 1, 1) for i in range(len(self.spectra))]
        self._bytes = bytearray(bytes.fromhex(UUID))
        shared = None
        parts = []
        for number, ((mz, intensity), (x, y, z)) in enumerate(
            zip(self.spectra, self.coordinates, strict=True)
        ):
            if shared is None or not self.continuous:
                shared = self._store(mz, self.mz_type)
            arrays = (
                ("mzArray", *shared),
                ("intensityArray", *self._store(intensity, self.intensity_type)),
            )
            parts.append(self._spectrum(number, x, y, z, arrays))
        self.ibd = bytes(self._bytes)
        body = "\n".join(parts)
        self.xml = f"{self._header()}{body}\n</spectrumList>\n</run>\n</mzML>\n"

    def _store(self, values, dtype):
        values = np.asarray(values).astype(np.dtype(dtype).newbyteorder("<"))
        data = values.tobytes()
        if self.zlib:
            data = zlib_module.compress(data)
        self._bytes += b"\0" * self.padding
        offset = len(self._bytes)
        self._bytes += data
        return offset, values.size, len(data)

    @staticmethod
    def _spectrum(number, x, y, z, arrays):
        text = f'<spectrum id="Scan={number}" defaultArrayLength="0" index="{number}">'
        text += '\n<referenceableParamGroupRef ref="spectrum1"/>\n<scanList count="1">'
        text += cv("MS:1000795", "no combination") + "\n<scan>\n"
        text += '<referenceableParamGroupRef ref="scan1"/>\n'
        text += cv("IMS:1000050", "position x", x) + "\n"
        text += cv("IMS:1000051", "position y", y) + "\n"
        text += cv("IMS:1000052", "position z", z) + "\n"
        text += '</scan>\n</scanList>\n<binaryDataArrayList count="2">\n'
        for group, offset, length, encoded in arrays:
            text += '<binaryDataArray encodedLength="0">\n'
            text += f'<referenceableParamGroupRef ref="{group}"/>\n'
            text += cv("IMS:1000102", "external offset", offset) + "\n"
            text += cv("IMS:1000103", "external array length", length) + "\n"
            text += cv("IMS:1000104", "external encoded length", encoded) + "\n"
            text += "<binary/>\n</binaryDataArray>\n"
        return text + "</binaryDataArrayList>\n</spectrum>"

    def _header(self):
        mode = (
            cv("IMS:1000030", "continuous")
            if self.continuous
            else cv("IMS:1000031", "processed")
        )
        packing = (
            cv("MS:1000574", "zlib compression")
            if self.zlib
            else cv("MS:1000576", "no compression")
        )
        mz = packing + cv("MS:1000514", "m/z array") + cv(*TYPES[self.mz_type])
        intensity = packing + cv("MS:1000515", "intensity array")
        intensity += cv(*TYPES[self.intensity_type])
        external = cv("IMS:1000101", "external data", "true")
        sha1 = hashlib.sha1(self.ibd, usedforsecurity=False).hexdigest()
        unit = ' unitCvRef="UO" unitAccession="UO:0000017" unitName="micrometer"'
        return f"""<?xml version="1.0" encoding="UTF-8"?>
<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1">
<fileDescription><fileContent>
{cv("MS:1000579", "MS1 spectrum")}
{mode}
{cv("IMS:1000080", "universally unique identifier", "{" + UUID + "}")}
{cv("IMS:1000091", "ibd SHA-1", sha1)}
</fileContent></fileDescription>
<referenceableParamGroupList count="4">
<referenceableParamGroup id="mzArray">
{mz}{external}
</referenceableParamGroup>
<referenceableParamGroup id="intensityArray">
{intensity}{external}
</referenceableParamGroup>
<referenceableParamGroup id="scan1">
{cv("MS:1000093", "increasing m/z scan")}
</referenceableParamGroup>
<referenceableParamGroup id="spectrum1">
{cv("MS:1000128", "profile spectrum")}{cv("MS:1000130", "positive scan")}
</referenceableParamGroup>
</referenceableParamGroupList>
<scanSettingsList count="1"><scanSettings id="scanSettings1">
{cv("IMS:1000042", "max count of pixels x", 1000)}
{cv("IMS:1000043", "max count of pixels y", 1000)}
{cv("IMS:1000046", "pixel size (x)", self.micrometres, unit)}
{cv("IMS:1000047", "pixel size y", self.micrometres, unit)}
</scanSettings></scanSettingsList>
<instrumentConfigurationList count="1"><instrumentConfiguration id="IC1">
{cv("MS:1003094", "MALDI test stand")}
</instrumentConfiguration></instrumentConfigurationList>
<run id="run1" defaultInstrumentConfigurationRef="IC1">
<spectrumList count="{len(self.spectra)}" defaultDataProcessingRef="export">
"""

    def replace(self, old, new, count=-1):
        assert old in self.xml, old
        self.xml = self.xml.replace(old, new, count)
        return self

    def save(self, folder, name="run", *, encoding="utf-8", ibd_name=None):
        path = Path(folder) / f"{name}.imzML"
        path.write_bytes(self.xml.encode(encoding))
        (Path(folder) / (ibd_name or f"{name}.ibd")).write_bytes(self.ibd)
        return path


@pytest.fixture
def pair():
    """Make a `Pair`; without spectra, one of five small random ones."""

    def make(spectra=None, **options):
        if spectra is None:
            rng = np.random.default_rng(0)
            lengths = [7, 3, 5, 4, 6]
            if options.get("continuous"):
                lengths = [6] * 5
            mz = np.sort(rng.uniform(100, 1000, max(lengths)))
            spectra = [
                (
                    mz if options.get("continuous") else np.sort(mz[:n]) + i,
                    rng.integers(0, 100, n),
                )
                for i, n in enumerate(lengths)
            ]
        return Pair(spectra, **options)

    return make


@pytest.fixture
def both():
    """Scan in both ways, check that they agree, return the fast way's result."""

    def scan(path):
        fast, tolerant = scan_imzml(path, fast=True), scan_imzml(path, fast=False)
        assert not tolerant.fast
        np.testing.assert_array_equal(fast.spectra, tolerant.spectra)
        assert fast.facts == tolerant.facts
        assert fast.problems == tolerant.problems
        assert fast.oddities == tolerant.oddities
        return fast

    return scan
