"""Facts about a run: units, flags, identifiers, counts."""

import re

import numpy as np
import pytest

from imsminer.io._scan import scan_imzml
from tests.io.conftest import cv


@pytest.mark.shared
def test_facts_of_real_files(shared_data):
    folder = shared_data / "conformance"
    nanometre = scan_imzml(folder / "unit_nanometre.imzML").facts
    assert nanometre.pixel_size_x == pytest.approx(4.40625)
    settings = scan_imzml(folder / "two_scansettings.imzML")
    assert settings.facts.n_scan_settings == 2
    assert settings.facts.pixel_size_x == 10.0
    assert "25 × 25" in settings.oddities["scan_settings"]
    example = scan_imzml(folder / "Example_Continuous.imzML").facts
    assert example.uuid == "554a27fa79d247669a2c862e6d78b1f3"
    assert example.instrument == "LTQ FT Ultra"
    assert example.polarity == "negative"
    assert example.continuous is True
    assert dict(example.checksums).keys() == {"sha1"}
    kidney = scan_imzml(next((shared_data / "kidney").glob("*.imzML")))
    assert kidney.facts.spectrum_type == "profile"
    assert kidney.facts.instrument is None
    assert not kidney.oddities


@pytest.mark.parametrize(
    ("unit", "value", "micrometres"),
    [
        ('unitAccession="UO:0000018" unitName="nanometer"', "50000", 50.0),
        ('unitAccession="UO:0000016" unitName="millimeter"', "0.05", 50.0),
        ('unitName="nm"', "1000", 1.0),
        ("", "20", 20.0),
        ('unitAccession="UO:0000010" unitName="second"', "20", np.nan),
        ('unitAccession="UO:0000017"', "0", np.nan),
        ('unitAccession="UO:0000017"', "wide", np.nan),
    ],
)
def test_pixel_size_units(tmp_path, pair, unit, value, micrometres, both):
    odd = pair(micrometres=value).replace(
        'unitCvRef="UO" unitAccession="UO:0000017" unitName="micrometer"', unit
    )
    scan = both(odd.save(tmp_path))
    assert scan.facts.pixel_size_x == pytest.approx(micrometres, nan_ok=True)
    assert ("pixel_size" in scan.oddities) == np.isnan(micrometres)


@pytest.mark.parametrize(
    ("unit", "micrometres", "differ"),
    [
        ('unitAccession="UO:0000018" unitName="micrometer"', 0.05, True),
        ('unitAccession="UO:0000017" unitName="nm"', 50, True),
        ('unitAccession="UO:0000017" unitName="pixels"', 50, False),
        ('unitAccession="UO:0000017" unitName=" Micron "', 50, False),
        ('unitAccession="UO:9999999" unitName="nm"', 0.05, False),
    ],
)
def test_units_of_two_names(tmp_path, pair, unit, micrometres, differ, both):
    odd = pair().replace(
        'unitCvRef="UO" unitAccession="UO:0000017" unitName="micrometer"', unit
    )
    scan = both(odd.save(tmp_path))
    assert scan.facts.pixel_size_x == pytest.approx(micrometres)
    assert set(scan.oddities) == ({"unit"} if differ else set())


UNIT = ' unitAccession="UO:0000017" unitName="micrometer"'
GROUP = '<referenceableParamGroup id="size">'
END = '</referenceableParamGroup><referenceableParamGroup id="scan1">'
REF = '<referenceableParamGroupRef ref="size"/>'
SIZE_X = cv("IMS:1000046", "pixel size (x)", "50", ' unitCvRef="UO"' + UNIT)


@pytest.mark.parametrize("by_group", [True, False])
@pytest.mark.parametrize(
    ("second", "differs"),
    [
        (cv("IMS:1000046", "pixel size (x)", "70", UNIT), True),
        (cv("IMS:1000046", "pixel size (x)", "0.05", ' unitName="millimeter"'), False),
    ],
)
def test_pixel_size_given_twice(tmp_path, pair, second, differs, by_group, both):
    odd = pair()
    if by_group:
        odd.replace('<referenceableParamGroup id="scan1">', f"{GROUP}{second}{END}", 1)
        second = REF
    scan = both(odd.replace(SIZE_X, SIZE_X + second).save(tmp_path))
    assert scan.facts.pixel_size_x == 50
    assert set(scan.oddities) == ({"scan_settings"} if differs else set())
    if differs:
        assert "along x, 50 and 70" in scan.oddities["scan_settings"]


@pytest.mark.parametrize(
    ("size", "extents", "taken"),
    [
        ("2500", ("50000", "50000"), 50.0),
        ("2500", ("2500000", "2500000"), 2500.0),
        ("2500", ("50000", "40000"), 2500.0),
        ("2500", None, 2500.0),
        ("1", ("1000", "1000"), 1.0),
    ],
)
def test_pixel_size_that_is_an_area(tmp_path, pair, size, extents, taken, both):
    odd = pair(micrometres=size)
    if extents is not None:
        given = "".join(
            cv(f"IMS:100004{number}", f"max dimension {axis}", extent, UNIT)
            for number, axis, extent in zip("45", "xy", extents, strict=True)
        )
        odd.replace("</scanSettings>", given + "</scanSettings>")
    scan = both(odd.save(tmp_path))
    assert scan.facts.pixel_size_x == scan.facts.pixel_size_y == taken
    assert set(scan.oddities) == ({"pixel_area"} if taken == 50 else set())


@pytest.mark.parametrize(
    "details",
    [
        '<sourceFileRefList count="1"><sourceFileRef ref="f1"/></sourceFileRefList>',
        f'<targetList count="1"><target>{cv("IMS:1000046", "pixel size (x)", "7")}'
        "</target></targetList>",
    ],
)
def test_details_before_the_terms(tmp_path, pair, details, both):
    odd = pair().replace(
        '<scanSettings id="scanSettings1">', '<scanSettings id="s">' + details
    )
    scan = both(odd.save(tmp_path))
    assert scan.facts.pixel_size_x == 50
    assert not scan.oddities


def test_components_before_the_name_of_the_instrument(tmp_path, pair, both):
    source = cv("MS:1000075", "matrix-assisted laser desorption ionization")
    odd = pair().replace(
        '<instrumentConfiguration id="IC1">',
        '<instrumentConfiguration id="IC1"><componentList count="1">'
        f"<source order='1'>{source}</source></componentList>",
    )
    assert both(odd.save(tmp_path)).facts.instrument == "MALDI test stand"


def test_missing_lists_in_the_header(tmp_path, pair, both):
    odd = pair()
    for name in ("scanSettingsList", "instrumentConfigurationList"):
        odd.xml = re.sub(f"<{name}.*?</{name}>", "", odd.xml, flags=re.DOTALL)
    scan = both(odd.save(tmp_path))
    assert set(scan.oddities) == {"pixel_size"}
    assert scan.facts.instrument is None
    assert scan.facts.max_count_x is None


def test_square_pixels_by_one_size(tmp_path, pair, both):
    odd = pair()
    odd.xml = re.sub(r"<cvParam[^>]*pixel size y[^>]*>", "", odd.xml)
    facts = both(odd.save(tmp_path)).facts
    assert (facts.pixel_size_x, facts.pixel_size_y) == (50.0, 50.0)


@pytest.mark.parametrize("continuous", [True, False])
def test_missing_spectrum_type_is_assumed_aloud(tmp_path, pair, continuous, both):
    odd = pair(continuous=continuous)
    odd.xml = re.sub(r"<cvParam[^>]*profile spectrum[^>]*>", "", odd.xml)
    scan = both(odd.save(tmp_path))
    assumed = "profile" if continuous else "centroid"
    assert scan.facts.spectrum_type == assumed
    assert assumed in scan.oddities["spectrum_type"]
    assert "spectrum_type=" in scan.oddities["spectrum_type"]


def test_flags_inline_in_spectra(tmp_path, pair, both):
    odd = pair()
    odd.replace('accession="MS:1000128" name="profile', 'accession="MS:0" name="x')
    inline = (
        '<cvParam accession="MS:1000127" name="centroid spectrum"/><cvParam '
        'accession="MS:1000129" name="negative scan"/><scanList'
    )
    scan = both(odd.replace("<scanList", inline).save(tmp_path))
    assert scan.fast
    assert scan.facts.spectrum_type == "centroid"
    assert scan.facts.polarity == "mixed"


def test_spectra_of_both_types_are_reported(tmp_path, pair, both):
    inline = '<cvParam accession="MS:1000127" name="centroid spectrum"/><scanList'
    scan = both(pair().replace("<scanList", inline, 2).save(tmp_path))
    assert scan.fast
    assert "both profile and centroid" in scan.oddities["spectrum_type"]


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("01234567-89AB-cdef-0123-456789ABCDEF", True),
        ("(0123456789abcdef0123456789abcdef)", True),
        ("urn:uuid:01234567-89ab-cdef-0123-456789abcdef", True),
        ("0123", False),
        ("", False),
    ],
)
def test_spellings_of_the_uuid(tmp_path, pair, text, known, both):
    odd = pair().replace("{0123456789abcdef0123456789abcdef}", text)
    scan = both(odd.save(tmp_path))
    assert (scan.facts.uuid == "0123456789abcdef0123456789abcdef") == known
    assert ("uuid" in scan.oddities) != known


def test_max_count_smaller_than_the_positions(tmp_path, pair, both):
    odd = pair().replace(
        'max count of pixels x" value="1000"', 'max count of pixels x" value="3"'
    )
    scan = both(odd.save(tmp_path))
    assert "reach over 5" in scan.oddities["max_count"]


def test_wrong_count_is_reported(tmp_path, pair, both):
    odd = pair().replace('<spectrumList count="5"', '<spectrumList count="6"')
    scan = both(odd.save(tmp_path))
    assert scan.spectra.size == 5
    assert set(scan.oddities) == {"count"}
