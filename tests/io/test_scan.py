"""The two ways through the XML: they agree, and neither guesses."""

import re

import numpy as np
import pytest
from pyimzml.ImzMLWriter import ImzMLWriter

from imsminer.exceptions import ImzMLError
from imsminer.io import _fast_scan, _scan
from imsminer.io._scan import scan_imzml


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
def test_ways_agree_on_real_files(shared_data, both):
    paths = [p for p in shared_data.rglob("*") if p.suffix.lower() == ".imzml"]
    assert len(paths) >= 17
    slow = {path.stem for path in paths if not both(path).fast}
    assert slow == {"two_precision_terms"}


@pytest.mark.parametrize("mode", ["continuous", "processed"])
def test_files_of_pyimzml_take_the_fast_way(tmp_path, mode, both):
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


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6])
def test_parts_change_nothing(tmp_path, pair, both, monkeypatch, size):
    path = pair().save(tmp_path)
    whole = both(path)
    monkeypatch.setattr(_fast_scan, "PART", size)
    parts = both(path)
    assert parts.fast
    np.testing.assert_array_equal(parts.spectra, whole.spectra)


@pytest.mark.parametrize("count", [4, 6, 7, 1000])
def test_wrong_counts_are_noticed_in_parts(tmp_path, pair, monkeypatch, count):
    path = pair().replace('count="5"', f'count="{count}"').save(tmp_path)
    monkeypatch.setattr(_fast_scan, "PART", 2)
    scan = scan_imzml(path, fast=True)
    assert not scan.fast
    assert scan.spectra.size == 5
    assert "count" in scan.oddities


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
def test_mutations_change_nothing(tmp_path, pair, name, both):
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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<fileContent>", "<fileContent><fileContent>"),
        ("</fileContent>", ""),
        ("<run ", "<cv><run "),
        ("<spectrumList", '<cvParam accession="X:1" name="a"><spectrumList'),
        ("<spectrumList", "<binaryDataArray><spectrumList"),
    ],
)
def test_elements_that_are_never_closed(tmp_path, pair, old, new):
    path = pair().replace(old, new, 1).save(tmp_path)
    for fast in (True, False):
        with pytest.raises(ImzMLError, match="not well-formed"):
            scan_imzml(path, fast=fast)
