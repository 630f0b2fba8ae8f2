"""The tolerant parser: odd but readable XML, and what it refuses."""

import re

import numpy as np
import pytest

from imsminer.exceptions import ImzMLError
from imsminer.io._scan import scan_imzml
from tests.io.conftest import cv


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.156e+09", 1156000000), ("2.0", 2), (" 16 ", 16), ("+5", 5), ("1E3", 1000)],
)
def test_integers_in_any_format(tmp_path, pair, text, number, both):
    odd = pair()
    odd.xml = re.sub(r'(external offset" value=")\d+', rf"\g<1>{text}", odd.xml)
    odd.replace('position y" value="1"', f'position y" value="{text}"')
    spectra = both(odd.save(tmp_path)).spectra
    assert set(spectra["mz_offset"]) == {number}
    assert set(spectra["y"]) == {number}


@pytest.mark.parametrize("text", ["2.5", "", "nan", "0x10", "1_000", "٣"])
def test_what_is_no_integer_is_a_problem(tmp_path, pair, text, both):
    odd = pair().replace('position y" value="1"', f'position y" value="{text}"', 1)
    scan = both(odd.save(tmp_path))
    assert list(scan.problems) == [0]
    assert "position y" in scan.problems[0]
    assert repr(text) in scan.problems[0]


def test_zero_based_and_missing_z(tmp_path, pair, both):
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
def test_missing_fields_are_problems(tmp_path, pair, drop, reason, both):
    odd = pair()
    odd.xml = re.sub(rf"<cvParam[^>]*{drop}[^>]*>", "", odd.xml, count=1)
    scan = both(odd.save(tmp_path))
    assert not scan.fast
    assert list(scan.problems) == [0]
    assert reason in scan.problems[0]


def test_encoded_length_may_be_missing(tmp_path, pair, both):
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
def test_unknown_contents_are_problems(tmp_path, pair, old, new, reason, both):
    odd = pair().replace(f'accession="{old}"', f'accession="{new}"')
    scan = both(odd.save(tmp_path))
    assert len(scan.problems) == 5
    assert re.search(reason, scan.problems[0])


def test_two_positions_are_a_problem(tmp_path, pair, both):
    again = '<cvParam accession="IMS:1000050" name="position x" value="7"/></scan>'
    scan = both(pair().replace("</scan>", again, 1).save(tmp_path))
    assert "two positions" in scan.problems[0]


def test_two_types_are_told_apart_by_the_encoded_length(tmp_path, pair, both):
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


def test_a_third_array_is_reported(tmp_path, pair, both):
    third = (
        '<binaryDataArray encodedLength="0"><cvParam accession="MS:1000516" '
        'name="charge array"/></binaryDataArray></binaryDataArrayList>'
    )
    scan = both(pair().replace("</binaryDataArrayList>", third).save(tmp_path))
    assert not scan.problems
    assert "5 arrays" in scan.oddities["arrays"]


@pytest.mark.parametrize("where", ["header", "list"])
def test_accession_wins_over_name(tmp_path, pair, where, both):
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
def test_namespaces(tmp_path, pair, old, new, kind, both):
    scan = both(pair().replace(old, new).save(tmp_path))
    assert scan.fast
    assert set(scan.oddities) == {kind}


def test_bytes_that_are_not_utf8(tmp_path, pair, both):
    odd = pair().replace("MALDI test stand", "Gießen")
    scan = both(odd.save(tmp_path, encoding="iso-8859-1"))
    assert set(scan.oddities) == {"encoding"}
    assert scan.facts.instrument == "Gießen"
    declared = odd.replace('encoding="UTF-8"', 'encoding="ISO-8859-1"')
    scan = both(declared.save(tmp_path, encoding="iso-8859-1"))
    assert scan.fast
    assert not scan.oddities


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_other_encodings(tmp_path, pair, encoding, both):
    odd = pair()
    if encoding == "utf-16":
        odd.replace('encoding="UTF-8"', 'encoding="UTF-16"')
    scan = both(odd.save(tmp_path, encoding=encoding))
    expected = scan_imzml(pair().save(tmp_path, "plain")).spectra
    np.testing.assert_array_equal(scan.spectra, expected)


@pytest.mark.parametrize(
    ("declared", "written", "read_as"),
    [
        ("UTF-16", "utf-8", "UTF-8"),
        ("UTF-16", "utf-8-sig", "UTF-8"),
        ("UTF-16", "iso-8859-1", "Latin-1"),
        ("UTF-8", "utf-16", "UTF-16"),
        ("UTF-8", "utf-16-le", "UTF-16LE"),
        ("UTF-8", "utf-16-be", "UTF-16BE"),
        ("no-such-code", "utf-8", "UTF-8"),
        ("no-such-code", "iso-8859-1", "Latin-1"),
        ("unicode_escape", "utf-8", "UTF-8"),
        ("raw-unicode-escape", "utf-8", "UTF-8"),
        ("rot13", "utf-8", "UTF-8"),
        ("Shift_JIS", "utf-8", "UTF-8"),
    ],
)
def test_declared_encodings_that_are_wrong(
    tmp_path, pair, declared, written, read_as, both
):
    odd = pair().replace('encoding="UTF-8"', f'encoding="{declared}"')
    scan = both(odd.replace("MALDI", "µ-MALDI").save(tmp_path, encoding=written))
    assert scan.facts.instrument == "µ-MALDI test stand"
    assert set(scan.oddities) == {"encoding"}
    assert f"read as {read_as}," in scan.oddities["encoding"]
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
def test_entities_are_refused(tmp_path, pair, doctype, refused, both):
    odd = pair().replace("<mzML", f"{doctype}<mzML", 1)
    path = odd.save(tmp_path)
    if refused:
        for fast in (True, False):
            with pytest.raises(ImzMLError, match="DOCTYPE"):
                scan_imzml(path, fast=fast)
    else:
        assert not both(path).fast


def with_groups(files, groups):
    """Add groups: the names to which each refers, in front of the others."""
    text = ""
    for name, references in groups.items():
        refs = "".join(f'<referenceableParamGroupRef ref="{r}"/>' for r in references)
        text += f'<referenceableParamGroup id="{name}">{refs}</referenceableParamGroup>'
    mark = '<referenceableParamGroup id="mzArray">'
    return files.replace(mark, text + mark, 1)


@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize("n", [50, 3000])
def test_chains_of_groups(tmp_path, pair, n, backwards, both):
    numbers = range(n)[::-1] if backwards else range(n)
    groups = {f"g{i}": [f"g{i + 1}"] for i in numbers} | {f"g{n}": ["intensityArray"]}
    odd = with_groups(pair(), groups)
    mark = '<binaryDataArray encodedLength="0">\n<referenceableParamGroupRef ref="'
    path = odd.replace(mark + "intensityArray", mark + "g0").save(tmp_path)
    if n > 100 and not backwards:
        for fast in (True, False):
            with pytest.raises(ImzMLError, match="'g0' refers to more than 100 others"):
                scan_imzml(path, fast=fast)
    else:
        expected = scan_imzml(pair().save(tmp_path, "plain"))
        np.testing.assert_array_equal(both(path).spectra, expected.spectra)


def test_groups_that_multiply(tmp_path, pair, both):
    # Each refers twice to the next: 2^40 terms, if they were written out.
    groups = {f"g{i}": [f"g{i + 1}"] * 2 for i in range(40)} | {"g40": ["scan1"]}
    scan = both(with_groups(pair(), groups).save(tmp_path))
    assert not scan.problems
    assert not scan.oddities


def test_groups_of_too_many_terms(tmp_path, pair):
    # Each refers to the one before it, and so holds all the terms of the first.
    odd = with_groups(pair(), {f"g{i}": [f"g{i - 1}"] for i in range(1, 1000)})
    terms = "".join(f'<cvParam accession="X:{i}" name="x"/>' for i in range(2000))
    mark = '<referenceableParamGroup id="g1">'
    first = f'<referenceableParamGroup id="g0">{terms}</referenceableParamGroup>'
    path = odd.replace(mark, first + mark).save(tmp_path)
    with pytest.raises(ImzMLError, match="more than 1,000,000 terms"):
        scan_imzml(path, fast=False)


@pytest.mark.parametrize("where", ["array", "spectrum"])
def test_groups_that_refer_to_none(tmp_path, pair, where, both):
    name = "intensityArray" if where == "array" else "scan1"
    mark = f'<referenceableParamGroup id="{name}">'
    odd = pair().replace(mark, mark + '<referenceableParamGroupRef ref="packing"/>')
    scan = both(odd.save(tmp_path))
    if where == "array":
        assert len(scan.problems) == 5
        assert "parameter group 'packing' is not defined" in scan.problems[0]
    else:
        assert not scan.problems


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


@pytest.mark.parametrize("where", ["array", "spectrum"])
def test_groups_that_are_not_there(tmp_path, pair, where, both):
    ref = '<referenceableParamGroupRef ref="packing"/>'
    mark = '<binaryDataArray encodedLength="0">' if where == "array" else "<scan>"
    scan = both(pair().replace(mark, mark + ref, 1).save(tmp_path))
    assert not scan.fast
    if where == "array":
        assert "parameter group 'packing'" in scan.problems[0]
    else:
        assert not scan.problems


def test_z_in_some_spectra_only(tmp_path, pair, both):
    odd = pair(coordinates=[(i + 1, 1, 2) for i in range(5)])
    odd.xml = re.sub(r"<cvParam[^>]*position z[^>]*>", "", odd.xml, count=2)
    scan = both(odd.save(tmp_path))
    assert scan.spectra["z"].tolist() == [1, 1, 2, 2, 2]
    assert scan.oddities.keys() == {"z"}
    assert "2 of 5 spectra" in scan.oddities["z"]


@pytest.mark.parametrize(
    ("accession", "name"),
    [
        ("IMS:1005003", "zstd compression"),
        ("MS:1003780", "zstd compression"),
        ("MS:1003088", "truncation and zlib compression"),
        ("X:1", "brotli compression"),
        ("", "byte order: big-endian"),
    ],
)
@pytest.mark.parametrize("inline", [True, False])
def test_what_is_not_decoded_is_refused(tmp_path, pair, accession, name, inline, both):
    term = f'<cvParam accession="{accession}" name="{name}"/>'
    mark = '<referenceableParamGroupRef ref="intensityArray"/>'
    if not inline:
        mark = '<referenceableParamGroup id="intensityArray">'
    scan = both(pair().replace(mark, mark + term).save(tmp_path))
    assert len(scan.problems) == 5
    assert "intensity array" in scan.problems[4]
    assert (accession or name) in scan.problems[4] or name in scan.problems[4]


@pytest.mark.parametrize("first", [True, False])
def test_spectra_without_arrays(tmp_path, pair, first, both):
    odd = pair()
    expected = scan_imzml(odd.save(tmp_path, "plain")).spectra
    start = 0 if first else odd.xml.index('<spectrum id="Scan=3"')
    head, rest = odd.xml[:start], odd.xml[start:]
    rest = re.sub(
        r"<binaryDataArrayList.*?</binaryDataArrayList>", "", rest, count=1, flags=re.S
    )
    odd.xml = head + rest
    scan = both(odd.save(tmp_path))
    number = 0 if first else 3
    assert not scan.problems
    lengths = expected["mz_length"].copy()
    lengths[number] = 0
    for kind in ("mz", "intensity"):
        np.testing.assert_array_equal(scan.spectra[f"{kind}_length"], lengths)
        assert set(scan.spectra[f"{kind}_type"]) == set(expected[f"{kind}_type"])
    odd.xml = odd.xml.replace('defaultArrayLength="0"', 'defaultArrayLength="7"')
    scan = both(odd.save(tmp_path))
    assert list(scan.problems) == [number]


@pytest.mark.parametrize("field", ["position x", "external offset"])
def test_numbers_of_millions_of_digits(tmp_path, pair, field, both):
    odd = pair()
    odd.xml = re.sub(
        rf'({field}" value=")\d+', lambda m: m[1] + 3_000_000 * "9", odd.xml, count=1
    )
    scan = both(odd.save(tmp_path))
    assert list(scan.problems) == [0]
    assert "'99999999999999999999'…, expected" in scan.problems[0]
    assert len(scan.problems[0]) < 200


def test_names_of_millions_of_spaces(tmp_path, pair, both):
    name = "mobility" + 1_000_000 * " " + "x"
    odd = pair().replace(
        cv("MS:1000515", "intensity array"),
        cv("MS:1000786", "non-standard data array", name),
    )
    assert "no intensity array" in both(odd.save(tmp_path)).problems[0]
