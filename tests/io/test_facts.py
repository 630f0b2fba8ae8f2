"""Facts about a run: units, flags, identifiers, counts."""

import re

import numpy as np
import pytest

from imsminer.io._scan import scan_imzml


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
