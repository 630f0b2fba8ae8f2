"""What is written is read by other programs, and valid by the schema of mzML."""

import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from imsminer import Spectra, concatenate
from imsminer.io.writer import write_imzml
from tests.io.written import SPACE, Scale, ragged, read, shared

CASES = {
    "continuous": lambda: shared(dtype="float64", pixel_size=50),
    "processed": lambda: ragged(pixel_size=50),
}


@pytest.mark.parametrize("case", CASES)
def test_pyimzml_reads_it(tmp_path, case):
    from pyimzml.ImzMLParser import ImzMLParser

    spectra = CASES[case]()
    path = write_imzml(spectra, tmp_path / "a.imzML")
    with ImzMLParser(str(path)) as parser, warnings.catch_warnings():
        assert parser.coordinates == [tuple(c) for c in spectra.coordinates.tolist()]
        assert parser.imzmldict["pixel size x"] == 50
        for i, want in enumerate(spectra):
            mz, intensity = parser.getspectrum(i)
            assert intensity.dtype == want.intensity.dtype
            assert np.array_equal(mz, want.mz)
            assert np.array_equal(intensity, want.intensity)


@pytest.mark.parametrize("case", CASES)
def test_pyopenms_reads_it(tmp_path, case):
    pyopenms = pytest.importorskip("pyopenms", reason="another reader of imzML")
    if not hasattr(pyopenms, "OnDiscImzMLExperiment"):
        pytest.skip("this pyopenms reads no imzML")
    spectra = CASES[case]()
    path = write_imzml(spectra, tmp_path / "a.imzML")
    experiment = pyopenms.OnDiscImzMLExperiment()
    experiment.open(str(path))
    assert experiment.getNrSpectra() == len(spectra)
    for i, want in enumerate(spectra):
        x, y = spectra.coordinates[i, :2].tolist()
        for found in (experiment.getSpectrum(i), experiment.getSpectrumAtCoord(x, y)):
            mz, intensity = found.get_peaks()
            assert np.array_equal(mz, want.mz)
            # It holds intensities as float32, whatever the file does.
            assert np.array_equal(intensity, want.intensity.astype(np.float32))


def test_m2aia_reads_it(tmp_path):
    pytest.importorskip("m2aia", reason="another reader of imzML")
    script = """
    import sys
    import m2aia
    import numpy as np
    for path in sys.argv[1:]:
        reader = m2aia.ImzMLReader(path)
        reader.Load()
        found = {}
        for i in range(reader.GetNumberOfSpectra()):
            found[f"mz{i}"], found[f"intensity{i}"] = reader.GetSpectrum(i)
            found[f"position{i}"] = reader.GetSpectrumPosition(i)
        np.savez(path + ".npz", **found)
    """
    written = {}
    for case, make in CASES.items():
        spectra = make()
        # It ends the process at an empty spectrum.
        spectra = spectra[[i for i in range(len(spectra)) if spectra[i].mz.size]]
        written[str(write_imzml(spectra, tmp_path / f"{case}.imzML"))] = spectra
    # A crash in it must not be one of the tests; it leaves a file where it runs.
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *written],
        check=True,
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
    )
    for path, spectra in written.items():
        with np.load(f"{path}.npz") as found:
            assert len(found) == 3 * len(spectra)
            for i, want in enumerate(spectra):
                # It holds values as float32, and counts positions from 0.
                assert np.array_equal(found[f"mz{i}"], want.mz.astype(np.float32))
                intensity = want.intensity.astype(np.float32)
                assert np.array_equal(found[f"intensity{i}"], intensity)
                position = (spectra.coordinates[i] - 1).tolist()
                assert found[f"position{i}"].tolist() == position


@pytest.fixture(scope="module")
def schema():
    """The schema of mzML 1.1, which pyopenms brings along."""
    etree = pytest.importorskip("lxml.etree", reason="validates XML")
    pyopenms = pytest.importorskip("pyopenms", reason="brings the schema of mzML")
    folder = Path(pyopenms.__file__).parent / "share" / "OpenMS" / "SCHEMAS"
    return etree, etree.XMLSchema(etree.parse(folder / "mzML_1_10.xsd"))


def studies():
    mobile = Spectra.from_arrays(
        [1.0, 2.0], [1.0, 2.0], indptr=[0, 2], mobility=[0.5, 0.7]
    )
    yield shared(pixel_size=50).map(Scale(1.0))
    yield ragged()
    yield mobile
    yield concatenate([ragged(run="a<"), shared(run='"b"')])


@pytest.mark.parametrize("number", range(4))
def test_it_is_valid_by_the_schema(tmp_path, schema, number):
    etree, validator = schema
    spectra = list(studies())[number]
    options = {"compression": "zlib"} if number == 1 else {}
    path = write_imzml(spectra, tmp_path / "a.imzML", **options)
    again = read(path, mobility="keep")
    for name in (path, write_imzml(again, tmp_path / "b.imzML")):
        validator.assertValid(etree.parse(name))
        # Identifiers that are referred to exist, which the schema does not demand.
        root = ElementTree.parse(name).getroot()
        groups = {e.attrib["id"] for e in root.iter(f"{SPACE}referenceableParamGroup")}
        refs = root.iter(f"{SPACE}referenceableParamGroupRef")
        assert {e.attrib["ref"] for e in refs} == groups
