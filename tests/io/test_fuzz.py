"""Damaged and hostile files: refused or read, quickly and without memory."""

import random
import re
import tracemalloc
import zlib
from itertools import count

import numpy as np
import pytest

from imsminer import ImzMLReader
from imsminer.exceptions import ImzMLError
from imsminer.io._scan import scan_imzml
from tests.io.fuzz import examine, save, warm_up
from tests.io.generator import build, random_spectra
from tests.io.mutants import base, mutant
from tests.io.recipe import Recipe

N_MUTANTS = 240


@pytest.fixture(scope="module", autouse=True)
def _traced(tmp_path_factory):
    """Trace memory, after what must be compiled has been."""
    warm_up(tmp_path_factory.mktemp("warm"))
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("part", range(8))
def test_mutants_break_no_invariant(tmp_path, part):
    outcomes = set()
    for seed in range(part, N_MUTANTS, 8):
        path = save(tmp_path, f"mutant-{seed}", *mutant(seed))
        outcomes.add(examine(path))
    # Both happen, or the mutants would prove little.
    assert outcomes == {"read", "refused"}


def test_unchanged_pairs_are_read(tmp_path):
    for seed in range(40):
        path = base(random.Random(seed)).save(tmp_path, f"base-{seed}")
        assert examine(path) == "read"


# -- one wrong number ------------------------------------------------------------------
NUMBER = re.compile(
    r'(external offset|external array length|external encoded length)" value="(\d+)'
)


def truth_or_refusal(path, files, recwarn):
    """Whether a pair is read exactly, is refused, or at least warned about."""
    recwarn.clear()
    try:
        reader = ImzMLReader(path)
        spectra = [reader[row] for row in range(len(reader))]
    except ImzMLError:
        return True
    exact = all(
        np.array_equal(mz, expected_mz) and np.array_equal(intensity, expected)
        for (mz, intensity), (expected_mz, expected) in zip(
            spectra, map(files.spectrum, files.kept), strict=True
        )
    )
    return exact or len(recwarn) > 0


@pytest.mark.filterwarnings("default::imsminer.exceptions.ImzMLWarning")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("intensity_type", ["int16", "float32", "float64"])
def test_one_wrong_number_is_never_silent(tmp_path, recwarn, intensity_type, packed):
    spectra = random_spectra(3, 4, [5, 8, 9], intensity_type)
    for spectrum in spectra:
        spectrum.mz_zlib = spectrum.intensity_zlib = packed
    files = build(Recipe(spectra))
    text = files.xml.decode()
    names = count()
    silent = []
    for match in NUMBER.finditer(text):
        value = int(match.group(2))
        for wrong in (value + d for d in (-16, -8, -3, -1, 1, 4, 40)):
            changed = text[: match.start(2)] + str(wrong) + text[match.end(2) :]
            files.xml = changed.encode()
            path = files.save(tmp_path, f"run-{next(names)}")
            if not truth_or_refusal(path, files, recwarn):
                silent.append((match.group(1), value, wrong))
    assert not silent


# -- hostile documents -----------------------------------------------------------------
def document(body, head="", text_before=""):
    return (
        f'<?xml version="1.0"?>\n{text_before}'
        f'<mzML xmlns="http://psi.hupo.org/ms/mzml">{head}'
        f'<run id="r"><spectrumList count="1">{body}</spectrumList></run></mzML>'
    )


LAUGHS = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">\n' for i in range(9)).join(
    ['<!DOCTYPE mzML [<!ENTITY l0 "lol">\n', "]>\n"]
)
LONG = "x" * 4_000_000
GROUP = '<referenceableParamGroup id="{}">{}</referenceableParamGroup>'
REF = '<referenceableParamGroupRef ref="{}"/>'


def groups_that_double(n):
    refs = (2 * REF.format(f"g{i + 1}") for i in range(n))
    return "".join(GROUP.format(f"g{i}", both) for i, both in enumerate(refs))


def chain_of_groups(n):
    return "".join(GROUP.format(f"g{i}", REF.format(f"g{i + 1}")) for i in range(n))


HOSTILE = {
    "billion laughs": lambda: document("<spectrum>&l9;</spectrum>", "", LAUGHS),
    "laughs in an attribute": lambda: document('<spectrum id="&l9;"/>', "", LAUGHS),
    "external entity": lambda: document(
        "<spectrum>&e;</spectrum>",
        "",
        '<!DOCTYPE mzML [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
    ),
    "parameter entity": lambda: document(
        "<spectrum/>",
        "",
        '<!DOCTYPE mzML [<!ENTITY % e SYSTEM "file:///etc/passwd"> %e;]>',
    ),
    "external DTD": lambda: document(
        "<spectrum/>", "", '<!DOCTYPE mzML SYSTEM "http://example.org/x.dtd">'
    ),
    "deep nesting": lambda: document(
        "<spectrum>" + "<a>" * 100_000 + "</a>" * 100_000 + "</spectrum>"
    ),
    "deep header": lambda: document("<spectrum/>", "<a>" * 100_000 + "</a>" * 100_000),
    "deep and cut": lambda: document("<spectrum>" + "<a>" * 100_000),
    "huge attribute": lambda: document(f'<spectrum id="{LONG}"/>'),
    "huge number": lambda: document(
        f'<spectrum><cvParam accession="IMS:1000050" value="{"9" * 4_000_000}"/>'
        "</spectrum>"
    ),
    "huge name": lambda: document(f"<spectrum><{LONG}/></spectrum>"),
    "huge text": lambda: document(f"<spectrum>{LONG}</spectrum>"),
    "huge comment": lambda: document(f"<!--{LONG}--><spectrum/>"),
    "many attributes": lambda: document(
        "<spectrum " + " ".join(f'a{i}="1"' for i in range(50_000)) + "/>"
    ),
    "many accessions": lambda: document(
        "<spectrum><binaryDataArray>"
        + "".join(f'<cvParam accession="MS:{i}"/>' for i in range(40_000))
        + "</binaryDataArray></spectrum>"
    ),
    "many groups": lambda: document(
        "<spectrum/>", "".join(GROUP.format(f"g{i}", "") for i in range(20_000))
    ),
    "groups that double": lambda: document("<spectrum/>", groups_that_double(60)),
    "a chain of groups": lambda: document("<spectrum/>", chain_of_groups(20_000)),
    "a circle of groups": lambda: document(
        "<spectrum/>",
        GROUP.format("a", REF.format("b")) + GROUP.format("b", REF.format("a")),
    ),
    "NUL bytes": lambda: document("<spectrum>\0</spectrum>"),
    "NUL bytes only": lambda: "\0" * 100_000,
    "nothing": lambda: "",
    "white space": lambda: " \n" * 100_000,
    "not XML": lambda: "PK\x03\x04" * 1000,
    "HTML": lambda: "<!DOCTYPE html><html><body>Not found</body></html>",
    "a long count": lambda: document("<spectrum/>").replace(
        'count="1"', f'count="{"9" * 100_000}"'
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_refused(tmp_path, name):
    text = HOSTILE[name]()
    path = tmp_path / "hostile.imzML"
    path.write_text(text, encoding="utf-8", newline="")
    path.with_suffix(".ibd").write_bytes(bytes(64))
    for fast in (True, False):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        try:
            scan = scan_imzml(path, fast=fast)
        except ImzMLError:
            scan = None
        # What is read is one spectrum that lacks all it needs.
        assert scan is None or set(scan.problems) == {0}
        used = tracemalloc.get_traced_memory()[1] - before
        assert used < (64 << 20) + 20 * len(text)
    with pytest.raises(ImzMLError):
        ImzMLReader(path)


def test_bombs_are_not_unpacked(tmp_path):
    spectra = random_spectra(5, 2, [6])
    for spectrum in spectra:
        spectrum.intensity_zlib = True
    files = build(Recipe(spectra))
    stored = files.places[0]["intensity"]
    bomb = zlib.compress(bytes(200_000_000), 9)
    files.pieces.append((files.size, bomb))
    text = files.xml.decode()
    for name, old, new in (
        ("external offset", stored.offset, files.size),
        ("external encoded length", stored.encoded, len(bomb)),
    ):
        text = text.replace(f'{name}" value="{old}"', f'{name}" value="{new}"', 1)
    files.size += len(bomb)
    files.xml = text.encode()
    reader = ImzMLReader(files.save(tmp_path))
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    with pytest.raises(ImzMLError, match="spectrum 0"):
        reader[0]
    assert tracemalloc.get_traced_memory()[1] - before < 20 << 20
    mz, intensity = reader[1]
    np.testing.assert_array_equal(mz, files.spectrum(1)[0])
    np.testing.assert_array_equal(intensity, files.spectrum(1)[1])
