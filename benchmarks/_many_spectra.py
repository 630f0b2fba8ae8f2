"""Write an imzML file of very many small spectra: as large in XML as files come.

    python benchmarks/_many_spectra.py FILE [--spectra N]

A million spectra take 2.4 GB of XML, laid out as instruments' converters do it, and
180 MB of binary data, all of it real: spectrum ``i`` holds ``10 + i % 11`` points.
"""

import argparse
import math
from os import PathLike
from pathlib import Path

import numpy as np

__all__ = ["spectrum", "write_many"]

UUID = "5f3c1d2e7a9b4c06b1d8e4f70a2c9d33"
BLOCK = 4096

HEADER = """\
<?xml version="1.0" encoding="ISO-8859-1"?>
<mzML xmlns="http://psi.hupo.org/ms/mzml" xmlns:xsi="http://www.w3.org/2001/\
XMLSchema-instance" xsi:schemaLocation="http://psi.hupo.org/ms/mzml \
http://psidev.info/files/ms/mzML/xsd/mzML1.1.0_idx.xsd" version="1.1">
  <cvList count="3">
    <cv id="MS" fullName="Proteomics Standards Initiative Mass Spectrometry Ontology" \
version="1.3.1" URI="http://psidev.info/ms/mzML/psi-ms.obo"/>
    <cv id="UO" fullName="Unit Ontology" version="1.15" \
URI="http://obo.cvs.sourceforge.net/obo/obo/ontology/phenotype/unit.obo"/>
    <cv id="IMS" fullName="Imaging MS Ontology" version="0.9.1" \
URI="http://www.maldi-msi.org/download/imzml/imagingMS.obo"/>
  </cvList>
  <fileDescription>
    <fileContent>
      <cvParam cvRef="MS" accession="MS:1000579" name="MS1 spectrum" value=""/>
      <cvParam cvRef="MS" accession="MS:1000127" name="centroid spectrum" value=""/>
      <cvParam cvRef="IMS" accession="IMS:1000080" \
name="universally unique identifier" value="{{{uuid}}}"/>
      <cvParam cvRef="IMS" accession="IMS:1000031" name="processed" value=""/>
    </fileContent>
  </fileDescription>
  <referenceableParamGroupList count="4">
    <referenceableParamGroup id="mzArray">
      <cvParam cvRef="MS" accession="MS:1000514" name="m/z array" value="" \
unitCvRef="MS" unitAccession="MS:1000040" unitName="m/z"/>
      <cvParam cvRef="MS" accession="MS:1000523" name="64-bit float" value=""/>
      <cvParam cvRef="MS" accession="MS:1000576" name="no compression" value=""/>
      <cvParam cvRef="IMS" accession="IMS:1000101" name="external data" value="true"/>
    </referenceableParamGroup>
    <referenceableParamGroup id="intensityArray">
      <cvParam cvRef="MS" accession="MS:1000515" name="intensity array" value="" \
unitCvRef="MS" unitAccession="MS:1000131" unitName="number of counts"/>
      <cvParam cvRef="MS" accession="MS:1000521" name="32-bit float" value=""/>
      <cvParam cvRef="MS" accession="MS:1000576" name="no compression" value=""/>
      <cvParam cvRef="IMS" accession="IMS:1000101" name="external data" value="true"/>
    </referenceableParamGroup>
    <referenceableParamGroup id="scan1">
      <cvParam cvRef="MS" accession="MS:1000093" name="increasing m/z scan"/>
      <cvParam cvRef="MS" accession="MS:1000095" name="linear"/>
    </referenceableParamGroup>
    <referenceableParamGroup id="spectrum1">
      <cvParam cvRef="MS" accession="MS:1000579" name="MS1 spectrum" value=""/>
      <cvParam cvRef="MS" accession="MS:1000511" name="ms level" value="1"/>
      <cvParam cvRef="MS" accession="MS:1000127" name="centroid spectrum" value=""/>
      <cvParam cvRef="MS" accession="MS:1000129" name="negative scan" value=""/>
    </referenceableParamGroup>
  </referenceableParamGroupList>
  <softwareList count="1">
    <software id="converter" version="1.0">
      <cvParam cvRef="MS" accession="MS:1000799" \
name="custom unreleased software tool" value="benchmark"/>
    </software>
  </softwareList>
  <scanSettingsList count="1">
    <scanSettings id="scansettings1">
      <cvParam cvRef="IMS" accession="IMS:1000401" name="top down" value=""/>
      <cvParam cvRef="IMS" accession="IMS:1000413" name="flyback" value=""/>
      <cvParam cvRef="IMS" accession="IMS:1000042" name="max count of pixels x" \
value="{width}"/>
      <cvParam cvRef="IMS" accession="IMS:1000043" name="max count of pixels y" \
value="{height}"/>
      <cvParam cvRef="IMS" accession="IMS:1000046" name="pixel size (x)" value="20" \
unitCvRef="UO" unitAccession="UO:0000017" unitName="micrometer"/>
      <cvParam cvRef="IMS" accession="IMS:1000047" name="pixel size y" value="20" \
unitCvRef="UO" unitAccession="UO:0000017" unitName="micrometer"/>
    </scanSettings>
  </scanSettingsList>
  <instrumentConfigurationList count="1">
    <instrumentConfiguration id="IC1">
      <cvParam cvRef="MS" accession="MS:1000031" name="instrument model" \
value="simulated"/>
    </instrumentConfiguration>
  </instrumentConfigurationList>
  <dataProcessingList count="1">
    <dataProcessing id="export">
      <processingMethod order="1" softwareRef="converter">
        <cvParam cvRef="MS" accession="MS:1000544" name="Conversion to mzML" value=""/>
      </processingMethod>
    </dataProcessing>
  </dataProcessingList>
  <run id="run1" defaultInstrumentConfigurationRef="IC1">
    <spectrumList count="{count}" defaultDataProcessingRef="export">
"""

SPECTRUM = """\
      <spectrum id="Scan=%d" defaultArrayLength="0" index="%d">
        <referenceableParamGroupRef ref="spectrum1"/>
        <cvParam cvRef="MS" accession="MS:1000796" name="spectrum title" \
value="Scan=%d"/>
        <cvParam cvRef="MS" accession="MS:1000528" name="lowest observed m/z" \
value="%.6f" unitCvRef="MS" unitAccession="MS:1000040" unitName="m/z"/>
        <cvParam cvRef="MS" accession="MS:1000527" name="highest observed m/z" \
value="%.6f" unitCvRef="MS" unitAccession="MS:1000040" unitName="m/z"/>
        <cvParam cvRef="MS" accession="MS:1000505" name="base peak intensity" \
value="%.2f" unitCvRef="MS" unitAccession="MS:1000131" unitName="number of counts"/>
        <cvParam cvRef="MS" accession="MS:1000285" name="total ion current" \
value="%.2f" unitCvRef="MS" unitAccession="MS:1000131" unitName="number of counts"/>
        <scanList count="1">
          <cvParam cvRef="MS" accession="MS:1000795" name="no combination" value=""/>
          <scan instrumentConfigurationRef="IC1">
            <referenceableParamGroupRef ref="scan1"/>
            <cvParam cvRef="IMS" accession="IMS:1000050" name="position x" \
value="%d"/>
            <cvParam cvRef="IMS" accession="IMS:1000051" name="position y" \
value="%d"/>
            <cvParam cvRef="IMS" accession="IMS:1000052" name="position z" \
value="1"/>
          </scan>
        </scanList>
        <binaryDataArrayList count="2">
          <binaryDataArray encodedLength="0">
            <referenceableParamGroupRef ref="mzArray"/>
            <cvParam cvRef="IMS" accession="IMS:1000103" name="external array length" \
value="%d"/>
            <cvParam cvRef="IMS" accession="IMS:1000104" \
name="external encoded length" value="%d"/>
            <cvParam cvRef="IMS" accession="IMS:1000102" name="external offset" \
value="%d"/>
            <binary></binary>
          </binaryDataArray>
          <binaryDataArray encodedLength="0">
            <referenceableParamGroupRef ref="intensityArray"/>
            <cvParam cvRef="IMS" accession="IMS:1000103" name="external array length" \
value="%d"/>
            <cvParam cvRef="IMS" accession="IMS:1000104" \
name="external encoded length" value="%d"/>
            <cvParam cvRef="IMS" accession="IMS:1000102" name="external offset" \
value="%d"/>
            <binary></binary>
          </binaryDataArray>
        </binaryDataArrayList>
      </spectrum>
"""

FOOTER = """\
    </spectrumList>
  </run>
</mzML>
"""


def _points(index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numbers of points, and all m/z and intensities, of some spectra."""
    lengths = 10 + index % 11
    row = np.repeat(index, lengths)
    bounds = np.cumsum(lengths)
    point = np.arange(bounds[-1]) - np.repeat(bounds - lengths, lengths)
    mz = 300.0 + 40.0 * point + 1e-3 * (row % 1000) + 1e-7 * (row // 1000)
    intensity = (1 + (7 * row + 13 * point) % 1009).astype(np.float32)
    return lengths, mz, intensity


def spectrum(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return m/z (float64) and intensity (float32) that spectrum `index` holds."""
    _, mz, intensity = _points(np.array([index]))
    return mz, intensity


def _block(index: np.ndarray, offset: int, width: int) -> tuple[bytes, str]:
    """Return the binary data and the XML of some spectra, the data from `offset` on."""
    lengths, mz, intensity = _points(index)
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    starts = bounds[:-1]
    # In units of 4 bytes: each spectrum is its m/z (2 units each), its intensities.
    words = np.empty(3 * mz.size, "<u4")
    shift = np.arange(mz.size) + np.repeat(2 * starts, lengths)
    place = shift + np.arange(mz.size) - np.repeat(starts, lengths)
    pairs = mz.astype("<f8").view("<u4").reshape(-1, 2)
    words[place] = pairs[:, 0]
    words[place + 1] = pairs[:, 1]
    words[shift + np.repeat(2 * lengths, lengths)] = intensity.astype("<f4").view("<u4")
    mz_offsets = offset + 12 * starts
    columns = (
        index + 1,
        index,
        index + 1,
        mz[starts],
        mz[bounds[1:] - 1],
        np.maximum.reduceat(intensity, starts),
        np.add.reduceat(intensity, starts, dtype=np.float64),
        index % width + 1,
        index // width + 1,
        lengths,
        8 * lengths,
        mz_offsets,
        lengths,
        4 * lengths,
        mz_offsets + 8 * lengths,
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return words.tobytes(), "".join([SPECTRUM % row for row in rows])


def write_many(path: str | PathLike, n_spectra: int = 1_000_000) -> Path:
    """Write a processed, centroided pair of many small spectra on a square.

    Parameters
    ----------
    path : path-like
        The ``.imzML`` file; the ``.ibd`` goes beside it.
    n_spectra : int, default=1_000_000
        Number of spectra, about 2.4 kB of XML and 180 bytes of data each.

    Returns
    -------
    Path
        The ``.imzML`` file.
    """
    path = Path(path)
    width = math.isqrt(max(n_spectra - 1, 0)) + 1
    height = -(-n_spectra // width)
    offset = 16
    with (
        open(path, "w", encoding="ascii", newline="\n") as xml,
        open(path.with_suffix(".ibd"), "wb") as ibd,
    ):
        ibd.write(bytes.fromhex(UUID))
        xml.write(HEADER.format(uuid=UUID, width=width, height=height, count=n_spectra))
        for start in range(0, n_spectra, BLOCK):
            index = np.arange(start, min(start + BLOCK, n_spectra))
            data, text = _block(index, offset, width)
            ibd.write(data)
            xml.write(text)
            offset += len(data)
        xml.write(FOOTER)
    return path


def main() -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--spectra", type=int, default=1_000_000)
    arguments = parser.parse_args()
    path = write_many(arguments.file, arguments.spectra)
    print(f"{path}: {path.stat().st_size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
