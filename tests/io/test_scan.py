"""The two ways through the XML: they agree, and neither guesses."""

import re

import numpy as np
import pytest
from pyimzml.ImzMLWriter import ImzMLWriter

from imsminer.exceptions import ImzMLError
from imsminer.io import _scan
from imsminer.io._scan import scan_imzml


def both(path):
    """Scan in both ways, check that they agree, return the first."""
    fast, tolerant = scan_imzml(path, fast=True), scan_imzml(path, fast=False)
    assert not tolerant.fast
    np.testing.assert_array_equal(fast.spectra, tolerant.spectra)
    assert fast.facts == tolerant.facts
    assert fast.problems == tolerant.problems
    assert fast.oddities == tolerant.oddities
    return fast


def outcome(path, *, fast):
    """What a scan gives, or that it refuses."""
    try:
        scan = scan_imzml(path, fast=fast)
    except ImzMLError:
        return "error"
    return (
        scan.spectra.tobytes(),
        repr(scan.facts),
        sorted(scan.problems.items()),
        sorted(scan.oddities.items()),
    )


# -- valid files --------------------------------------------------------------------
@pytest.mark.shared
def test_ways_agree_on_real_files(shared_data):
    paths = [p for p in shared_data.rglob("*") if p.suffix.lower() == ".imzml"]
    assert len(paths) >= 17
    slow = {path.stem for path in paths if not both(path).fast}
    assert slow == {"two_precision_terms"}


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


@pytest.mark.parametrize("mode", ["continuous", "processed"])
def test_files_of_pyimzml_take_the_fast_way(tmp_path, mode):
    path = tmp_path / "written.imzML"
    mz = np.linspace(100, 200, 11)
    rng = np.random.default_rng(1)
    with ImzMLWriter(str(path), mode=mode, mz_dtype=np.float64) as writer:
        for i in range(6):
            writer.addSpectrum(mz, rng.random(11), (i + 1, 2, 1))
    scan = both(path)
    assert scan.fast
    assert scan.spectra["x"].tolist() == [1, 2, 3, 4, 5, 6]
    assert scan.facts.spectrum_type == "centroid"
    offsets = scan.spectra["mz_offset"]
    assert (np.unique(offsets).size == 1) == (mode == "continuous")


def test_small_files_take_the_tolerant_way(tmp_path, pair, monkeypatch):
    path = pair().save(tmp_path)
    assert not scan_imzml(path).fast
    monkeypatch.setattr(_scan, "FAST_FROM", 0)
    assert scan_imzml(path).fast


# Mutations of valid XML, and whether the fast way still reads them.
SWAP = re.compile(
    r'(<binaryDataArray encodedLength="0">\s*<referenceableParamGroupRef ref="mzArray"'
    r"/>.*?</binaryDataArray>)(\s*)(<binaryDataArray .*?</binaryDataArray>)",
    re.DOTALL,
)
TERM = re.compile(
    r'<cvParam cvRef="([^"]*)" accession="([^"]*)" name="([^"]*)" value="([^"]*)"/>'
)
MZ_TERM = '<cvParam cvRef="MS" accession="MS:1000514" name="m/z array" value=""/>'
COMMENT = '<!-- <cvParam accession="IMS:1000050" value="999"/> > --><scanList'
MUTATIONS = {
    "single quotes": (False, lambda s: s.replace('"', "'")),
    "value first": (
        True,
        lambda s: TERM.sub(
            r'<cvParam value="\4" name="\3" cvRef="\1" accession="\2"/>', s
        ),
    ),
    "comment with tags": (False, lambda s: s.replace("<scanList", COMMENT)),
    "newline between attributes": (True, lambda s: s.replace(" name=", "\n   name=")),
    "CRLF": (True, lambda s: s.replace("\n", "\r\n")),
    "renamed groups": (
        True,
        lambda s: s.replace("mzArray", "mzs").replace("intensityArray", "ints"),
    ),
    "> in an attribute": (
        True,
        lambda s: s.replace('id="Scan=', 'id="a > b Scan='),
    ),
    "spaces around =": (False, lambda s: s.replace("value=", "value = ")),
    "intensity first": (True, lambda s: SWAP.sub(r"\3\2\1", s)),
    "wrong count": (
        False,
        lambda s: re.sub(r'<spectrumList count="\d+"', '<spectrumList count="1"', s),
    ),
    "huge count": (
        False,
        lambda s: re.sub(
            r'<spectrumList count="\d+"', '<spectrumList count="99999999999"', s
        ),
    ),
    "no count": (
        False,
        lambda s: re.sub(r'<spectrumList count="\d+"', "<spectrumList", s),
    ),
    "entity": (False, lambda s: s.replace('id="Scan=', 'id="&lt;Scan=')),
    "CDATA": (False, lambda s: s.replace("<scanList", "<![CDATA[<x>]]><scanList")),
    "instruction": (False, lambda s: s.replace("<scanList", "<?go on?><scanList")),
    "floating numbers": (
        False,
        lambda s: s.replace(
            'name="position x" value="1"', 'name="position x" value="1.0"'
        ),
    ),
    "spaces in numbers": (
        False,
        lambda s: re.sub(r'(external offset" value=")(\d+)"', r'\1 \2 "', s),
    ),
    "binary with an end tag": (
        True,
        lambda s: s.replace("<binary/>", "<binary>\n</binary>"),
    ),
    "no blanks": (True, lambda s: s.replace("\n", "").replace('"?>', '"?>\n')),
    "lower-case accession": (
        False,
        lambda s: s.replace('"IMS:1000050"', '"ims:1000050"'),
    ),
    "no accession": (False, lambda s: s.replace('accession="IMS:1000051" ', "")),
    "foreign vocabulary": (
        True,
        lambda s: s.replace(
            "<scanList", '<cvParam accession="X:1" name="a"/><scanList'
        ),
    ),
    "user parameters": (
        True,
        lambda s: s.replace("<scanList", '<userParam name="position x"/><scanList'),
    ),
    "windows": (
        True,
        lambda s: s.replace(
            "</scan>",
            '<scanWindowList count="1"><scanWindow><cvParam accession="MS:1000501" '
            'name="scan window lower limit" value="1"/></scanWindow></scanWindowList>'
            "</scan>",
        ),
    ),
    "index wrapper": (
        False,
        lambda s: (
            s.replace("<mzML", '<indexedmzML xmlns="http://psi.hupo.org/ms/mzml"><mzML')
            + '<indexList count="0"/></indexedmzML>'
        ),
    ),
    "chromatograms": (
        False,
        lambda s: s.replace(
            "</spectrumList>",
            '</spectrumList><chromatogramList count="0"></chromatogramList>',
        ),
    ),
    "prefixed namespace": (
        False,
        lambda s: re.sub(
            r"<(/?)(?=[a-zA-Z])", r"<\1m:", s.replace("xmlns=", "xmlns:m=")
        ),
    ),
    "inline types": (
        False,
        lambda s: s.replace(
            '<referenceableParamGroupRef ref="mzArray"/>',
            '<cvParam accession="MS:1000514" name="m/z array"/>'
            '<cvParam accession="MS:1000523" name="64-bit float"/>',
        ),
    ),
    "nested groups": (
        True,
        lambda s: s.replace(
            '<referenceableParamGroup id="mzArray">',
            '<referenceableParamGroup id="kind"><cvParam accession="MS:1000514" '
            'name="m/z array"/></referenceableParamGroup>'
            '<referenceableParamGroup id="mzArray">'
            '<referenceableParamGroupRef ref="kind"/>',
        ).replace(
            '<cvParam cvRef="MS" accession="MS:1000514" name="m/z array" value=""/>', ""
        ),
    ),
    "two m/z groups": (
        False,
        lambda s: s.replace(
            '<referenceableParamGroup id="scan1">',
            '<referenceableParamGroup id="other"><cvParam accession="MS:1000514" '
            'name="m/z array"/><cvParam accession="MS:1000521" name="32-bit float"/>'
            '</referenceableParamGroup><referenceableParamGroup id="scan1">',
        ),
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutations_change_nothing(tmp_path, pair, name):
    plain = pair()
    expected = scan_imzml(plain.save(tmp_path, "plain")).spectra
    fast, mutate = MUTATIONS[name]
    mutated = pair()
    mutated.xml = mutate(plain.xml)
    assert mutated.xml != plain.xml
    scan = both(mutated.save(tmp_path, "mutated"))
    np.testing.assert_array_equal(scan.spectra, expected)
    assert scan.fast == fast
    assert not scan.problems


@pytest.mark.parametrize("seed", range(4))
def test_ways_agree_on_damaged_bytes(tmp_path, pair, seed):
    rng = np.random.default_rng(seed)
    whole = pair().xml.encode()
    start = whole.index(b"<spectrumList")
    path = pair().save(tmp_path)
    alphabet = np.frombuffer(b"<>/\"'=& \n-:.09aZ!\xe9\x00", np.uint8)
    for _ in range(150):
        damaged = bytearray(whole)
        at = int(rng.integers(start, len(whole)))
        kind = rng.integers(3)
        if kind == 0:
            damaged[at] = int(rng.choice(alphabet))
        elif kind == 1:
            del damaged[at : at + int(rng.integers(1, 40))]
        else:
            damaged[at:at] = bytes(rng.choice(alphabet, 2))
        path.write_bytes(damaged)
        assert outcome(path, fast=True) == outcome(path, fast=False), bytes(
            damaged[at - 60 : at + 60]
        )


def test_cut_xml_raises_wherever_it_is_cut(tmp_path, pair):
    whole = pair().xml.encode().rstrip()
    path = pair().save(tmp_path)
    for stop in range(whole.index(b"<spectrumList"), len(whole), 7):
        path.write_bytes(whole[:stop])
        for fast in (True, False):
            with pytest.raises(ImzMLError, match=r"run\.imzML.*line \d+.*byte \d+"):
                scan_imzml(path, fast=fast)


# -- what the tolerant way accepts ----------------------------------------------------
@pytest.mark.parametrize(
    ("text", "number"),
    [("1.156e+09", 1156000000), ("2.0", 2), (" 16 ", 16), ("+5", 5), ("1E3", 1000)],
)
def test_integers_in_any_format(tmp_path, pair, text, number):
    odd = pair()
    odd.xml = re.sub(r'(external offset" value=")\d+', rf"\g<1>{text}", odd.xml)
    odd.replace('position y" value="1"', f'position y" value="{text}"')
    spectra = both(odd.save(tmp_path)).spectra
    assert set(spectra["mz_offset"]) == {number}
    assert set(spectra["y"]) == {number}


@pytest.mark.parametrize("text", ["2.5", "", "nan", "0x10", "1_000", "٣"])
def test_what_is_no_integer_is_a_problem(tmp_path, pair, text):
    odd = pair().replace('position y" value="1"', f'position y" value="{text}"', 1)
    scan = both(odd.save(tmp_path))
    assert list(scan.problems) == [0]
    assert "position y" in scan.problems[0]
    assert repr(text) in scan.problems[0]


def test_zero_based_and_missing_z(tmp_path, pair):
    odd = pair(coordinates=[(i, 0, 0) for i in range(5)])
    scan = both(odd.save(tmp_path))
    assert scan.fast
    assert scan.spectra["x"].tolist() == [0, 1, 2, 3, 4]
    assert set(scan.spectra["z"]) == {0}
    odd.xml = re.sub(r"<cvParam[^>]*position z[^>]*>", "", odd.xml)
    scan = both(odd.save(tmp_path))
    assert scan.fast
    assert set(scan.spectra["z"]) == {1}


@pytest.mark.parametrize(
    ("drop", "reason"),
    [
        ("position x", "position x is missing"),
        ("external offset", "offset of its m/z array is missing"),
        ("external array length", "length of its m/z array is missing"),
    ],
)
def test_missing_fields_are_problems(tmp_path, pair, drop, reason):
    odd = pair()
    odd.xml = re.sub(rf"<cvParam[^>]*{drop}[^>]*>", "", odd.xml, count=1)
    scan = both(odd.save(tmp_path))
    assert not scan.fast
    assert list(scan.problems) == [0]
    assert reason in scan.problems[0]


def test_encoded_length_may_be_missing(tmp_path, pair):
    odd = pair()
    odd.xml = re.sub(r"<cvParam[^>]*external encoded length[^>]*>", "", odd.xml)
    scan = both(odd.save(tmp_path))
    assert not scan.problems
    assert set(scan.spectra["mz_encoded"]) == {-1}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("MS:1000523", "MS:1000520", "data type of its m/z array is unknown"),
        ("MS:1000521", "MS:9999999", "data type of its intensity array is unknown"),
        ("MS:1000576", "MS:1002312", "compression of its .* array is MS:1002312"),
        ("MS:1000514", "MS:1000786", "no m/z array"),
        ("MS:1000514", "MS:1000515", "two intensity arrays"),
    ],
)
def test_unknown_contents_are_problems(tmp_path, pair, old, new, reason):
    odd = pair().replace(f'accession="{old}"', f'accession="{new}"')
    scan = both(odd.save(tmp_path))
    assert len(scan.problems) == 5
    assert re.search(reason, scan.problems[0])


def test_two_positions_are_a_problem(tmp_path, pair):
    again = '<cvParam accession="IMS:1000050" name="position x" value="7"/></scan>'
    scan = both(pair().replace("</scan>", again, 1).save(tmp_path))
    assert "two positions" in scan.problems[0]


def test_two_types_are_told_apart_by_the_encoded_length(tmp_path, pair):
    both_types = (
        '<cvParam accession="MS:1000521" name="32-bit float"/><cvParam '
        'accession="MS:1000523" name="64-bit float"/></referenceableParamGroup>'
    )
    odd = pair()
    head, mark, rest = odd.xml.partition('id="intensityArray">')
    rest = rest.replace("</referenceableParamGroup>", both_types, 1)
    odd.xml = head + mark + rest
    scan = both(odd.save(tmp_path))
    assert set(scan.spectra["intensity_type"]) == {0}
    assert set(scan.oddities) == {"types"}
    odd.xml = re.sub(r"<cvParam[^>]*external encoded length[^>]*>", "", odd.xml)
    scan = both(odd.save(tmp_path))
    assert "float32 and float64" in scan.problems[0]


def test_a_third_array_is_reported(tmp_path, pair):
    third = (
        '<binaryDataArray encodedLength="0"><cvParam accession="MS:1002816" '
        'name="mean ion mobility array"/></binaryDataArray></binaryDataArrayList>'
    )
    scan = both(pair().replace("</binaryDataArrayList>", third).save(tmp_path))
    assert not scan.problems
    assert "5 arrays" in scan.oddities["arrays"]


@pytest.mark.parametrize("where", ["header", "list"])
def test_accession_wins_over_name(tmp_path, pair, where):
    odd = pair()
    if where == "list":
        odd.replace('name="position x"', 'name="position y"', 1)
    else:
        odd.replace('name="32-bit float"', 'name="64-bit float"')
    scan = both(odd.save(tmp_path))
    assert scan.fast
    assert set(scan.oddities) == {"names"}
    expected = scan_imzml(pair().save(tmp_path, "plain")).spectra
    np.testing.assert_array_equal(scan.spectra, expected)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (' xmlns="http://psi.hupo.org/ms/mzml"', "", "namespace"),
        ("http://psi.hupo.org/ms/mzml", "urn:elsewhere", "namespace"),
    ],
)
def test_namespaces(tmp_path, pair, old, new, kind):
    scan = both(pair().replace(old, new).save(tmp_path))
    assert scan.fast
    assert set(scan.oddities) == {kind}


def test_bytes_that_are_not_utf8(tmp_path, pair):
    odd = pair().replace("MALDI test stand", "Gießen")
    scan = both(odd.save(tmp_path, encoding="iso-8859-1"))
    assert set(scan.oddities) == {"encoding"}
    assert scan.facts.instrument == "Gießen"
    declared = odd.replace('encoding="UTF-8"', 'encoding="ISO-8859-1"')
    scan = both(declared.save(tmp_path, encoding="iso-8859-1"))
    assert scan.fast
    assert not scan.oddities


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_encodings(tmp_path, pair, encoding):
    odd = pair()
    if encoding == "utf-16":
        odd.replace('encoding="UTF-8"', 'encoding="UTF-16"')
    scan = both(odd.save(tmp_path, encoding=encoding))
    expected = scan_imzml(pair().save(tmp_path, "plain")).spectra
    np.testing.assert_array_equal(scan.spectra, expected)


@pytest.mark.parametrize(
    ("doctype", "refused"),
    [
        ('<!DOCTYPE mzML [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>', True),
        ('<!DOCTYPE mzML [<!ENTITY x SYSTEM "file:///etc/hostname">]>', True),
        ('<!DOCTYPE mzML SYSTEM "http://127.0.0.1/x.dtd">', True),
        ("<!DOCTYPE mzML>", False),
    ],
)
def test_entities_are_refused(tmp_path, pair, doctype, refused):
    odd = pair().replace("<mzML", f"{doctype}<mzML", 1)
    path = odd.save(tmp_path)
    if refused:
        for fast in (True, False):
            with pytest.raises(ImzMLError, match="DOCTYPE"):
                scan_imzml(path, fast=fast)
    else:
        assert not both(path).fast


def test_group_cycle(tmp_path, pair):
    odd = pair().replace(
        '<referenceableParamGroup id="scan1">',
        '<referenceableParamGroup id="scan1"><referenceableParamGroupRef ref="scan1"/>',
    )
    with pytest.raises(ImzMLError, match="refers to itself"):
        scan_imzml(odd.save(tmp_path))


@pytest.mark.parametrize("fast", [True, False])
def test_not_imzml(tmp_path, fast):
    path = tmp_path / "x.imzML"
    path.write_text("<html><body/></html>")
    with pytest.raises(ImzMLError, match="root element is <html>"):
        scan_imzml(path, fast=fast)
    path.write_text("<mzML><run/></mzML>")
    with pytest.raises(ImzMLError, match="no spectrumList"):
        scan_imzml(path, fast=fast)
    path.write_bytes(b"")
    with pytest.raises(ImzMLError, match="not well-formed"):
        scan_imzml(path, fast=fast)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("tag", ["<spectrumList count='0'/>", None])
def test_empty_list(tmp_path, pair, fast, tag):
    odd = pair()
    start, stop = odd.xml.index("<spectrumList"), odd.xml.index("</spectrumList>")
    empty = tag or '<spectrumList count="0"></spectrumList>'
    odd.xml = odd.xml[:start] + empty + odd.xml[stop + len("</spectrumList>") :]
    with pytest.raises(ImzMLError, match="list of spectra is empty"):
        scan_imzml(odd.save(tmp_path), fast=fast)


def test_offsets_that_wrapped_at_32_bits(tmp_path, pair):
    true = [16, 2**31 - 8, 2**31 + 40, 2**32 + 16, 2**32 + 2**31 + 8]
    odd = pair()
    wrapped = iter([(o + 2**31) % 2**32 - 2**31 for o in true for _ in range(2)])
    odd.xml = re.sub(
        r'(external offset" value=")\d+',
        lambda match: match[1] + str(next(wrapped)),
        odd.xml,
    )
    scan = both(odd.save(tmp_path))
    assert scan.spectra["mz_offset"].tolist() == true
    assert scan.spectra["intensity_offset"].tolist() == true
    assert set(scan.oddities) == {"offsets"}


# -- facts ----------------------------------------------------------------------------
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
def test_pixel_size_units(tmp_path, pair, unit, value, micrometres):
    odd = pair(micrometres=value).replace(
        'unitCvRef="UO" unitAccession="UO:0000017" unitName="micrometer"', unit
    )
    scan = both(odd.save(tmp_path))
    assert scan.facts.pixel_size_x == pytest.approx(micrometres, nan_ok=True)
    assert ("pixel_size" in scan.oddities) == np.isnan(micrometres)


def test_missing_lists_in_the_header(tmp_path, pair):
    odd = pair()
    for name in ("scanSettingsList", "instrumentConfigurationList"):
        odd.xml = re.sub(f"<{name}.*?</{name}>", "", odd.xml, flags=re.DOTALL)
    scan = both(odd.save(tmp_path))
    assert set(scan.oddities) == {"pixel_size"}
    assert scan.facts.instrument is None
    assert scan.facts.max_count_x is None


def test_square_pixels_by_one_size(tmp_path, pair):
    odd = pair()
    odd.xml = re.sub(r"<cvParam[^>]*pixel size y[^>]*>", "", odd.xml)
    facts = both(odd.save(tmp_path)).facts
    assert (facts.pixel_size_x, facts.pixel_size_y) == (50.0, 50.0)


@pytest.mark.parametrize("continuous", [True, False])
def test_missing_spectrum_type_is_assumed_aloud(tmp_path, pair, continuous):
    odd = pair(continuous=continuous)
    odd.xml = re.sub(r"<cvParam[^>]*profile spectrum[^>]*>", "", odd.xml)
    scan = both(odd.save(tmp_path))
    assumed = "profile" if continuous else "centroid"
    assert scan.facts.spectrum_type == assumed
    assert assumed in scan.oddities["spectrum_type"]
    assert "spectrum_type=" in scan.oddities["spectrum_type"]


def test_flags_inline_in_spectra(tmp_path, pair):
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


def test_spectra_of_both_types_are_reported(tmp_path, pair):
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
def test_spellings_of_the_uuid(tmp_path, pair, text, known):
    odd = pair().replace("{0123456789abcdef0123456789abcdef}", text)
    scan = both(odd.save(tmp_path))
    assert (scan.facts.uuid == "0123456789abcdef0123456789abcdef") == known
    assert ("uuid" in scan.oddities) != known


def test_max_count_smaller_than_the_positions(tmp_path, pair):
    odd = pair().replace(
        'max count of pixels x" value="1000"', 'max count of pixels x" value="3"'
    )
    scan = both(odd.save(tmp_path))
    assert "reach over 5" in scan.oddities["max_count"]


def test_wrong_count_is_reported(tmp_path, pair):
    odd = pair().replace('<spectrumList count="5"', '<spectrumList count="6"')
    scan = both(odd.save(tmp_path))
    assert scan.spectra.size == 5
    assert set(scan.oddities) == {"count"}
