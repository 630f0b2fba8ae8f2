"""Checks of what an imzML file says against the layout and size of its .ibd."""

import re
import warnings

import numpy as np
import pytest

from imsminer.exceptions import ImzMLError, ImzMLWarning
from imsminer.io.imzml import ImzMLReader
from tests.io.conftest import TYPES, cv

ENCODED = re.compile(r"<cvParam[^>]*IMS:1000104[^>]*>\n")
OFFSET = re.compile(r'(external offset" value=")(\d+)')
# Spectra of different lengths, none of which is a multiple of another.
LENGTHS = (7, 5, 9, 11, 8, 13)


def make_spectra(lengths=LENGTHS):
    rng = np.random.default_rng(1)
    return [
        (np.sort(rng.uniform(100, 900, n)), rng.integers(1, 100, n)) for n in lengths
    ]


def change_offsets(files, change):
    """Replace each offset by a function of its number and value."""
    numbers = iter(range(1000))
    files.xml = OFFSET.sub(
        lambda match: match[1] + str(change(next(numbers), int(match[2]))), files.xml
    )
    return files


def declare(files, kind, name):
    """Declare another type of the m/z or intensity arrays."""
    array = re.search(rf'<cvParam[^>]*name="{kind} array"[^>]*>', files.xml)[0]
    files.xml = re.sub(
        re.escape(array) + r"<cvParam[^>]*>", array + cv(*TYPES[name]), files.xml
    )
    return files


def check_exact(reader, spectra):
    assert len(reader) == len(spectra)
    for found, (mz, intensity) in zip(reader, spectra, strict=True):
        np.testing.assert_array_equal(found.mz, mz)
        np.testing.assert_array_equal(found.intensity, intensity)


def skipped(path):
    """Open what can be opened; return the reader and the numbers left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImzMLWarning)
        reader = ImzMLReader(path, on_error="skip")
    return reader, reader.skipped["spectrum"].tolist()


# -- overlaps --------------------------------------------------------------------------
def test_intensities_that_start_too_early(tmp_path, pair):
    files = pair(make_spectra())
    path = change_offsets(files, lambda k, o: o - 4 * (k % 2)).save(tmp_path)
    with pytest.raises(ImzMLError, match="arrays overlap in 6 places"):
        ImzMLReader(path)
    with pytest.raises(ImzMLError, match="none of the 6 spectra can be read"):
        skipped(path)


def test_intensities_at_the_place_of_their_mz(tmp_path, pair):
    places = []

    def change(k, offset):
        places.append(offset)
        return places[k - k % 2]

    path = change_offsets(pair(make_spectra()), change).save(tmp_path)
    with pytest.raises(ImzMLError, match="arrays overlap in 6 places"):
        ImzMLReader(path)


@pytest.mark.parametrize("continuous", [True, False])
def test_rounded_offsets(tmp_path, pair, continuous):
    spectra = make_spectra([37] * 100)
    if continuous:
        spectra = [(spectra[0][0], intensity) for _, intensity in spectra]
    files = pair(spectra, continuous=continuous)
    rounded = change_offsets(files, lambda k, o: f"{o:.3e}").save(tmp_path)
    with pytest.raises(ImzMLError, match="none of the 100 spectra"):
        skipped(rounded)


def test_one_spectrum_that_is_misplaced(tmp_path, pair):
    spectra = make_spectra()
    files = change_offsets(pair(spectra), lambda k, o: o - 20 if k == 7 else o)
    path = files.save(tmp_path)
    with pytest.raises(ImzMLError, match=r"m/z array .* overlaps the intensity array"):
        ImzMLReader(path)
    reader, numbers = skipped(path)
    assert numbers == [3]
    check_exact(reader, [s for i, s in enumerate(spectra) if i != 3])


def test_two_spectra_in_one_place(tmp_path, pair):
    # Which of them is in the place of the others cannot be told.
    spectra = make_spectra()
    places = []

    def change(k, offset):
        places.append(offset)
        return places[2] - 8 if k == 8 else offset

    reader, numbers = skipped(change_offsets(pair(spectra), change).save(tmp_path))
    assert numbers == [0, 1, 4]
    check_exact(reader, [spectra[i] for i in (2, 3, 5)])


def test_misplaced_arrays_that_meet_no_other(tmp_path, pair):
    # Spectrum 1 overlaps spectrum 2; spectrum 4 has moved too, into a gap.
    files = pair(make_spectra(), padding=24)
    moved = {3: 40, 9: 8}
    path = change_offsets(files, lambda k, o: o + moved.get(k, 0)).save(tmp_path)
    reader, numbers = skipped(path)
    assert numbers == [1, 2, 4]
    check_exact(reader, [files.spectra[i] for i in (0, 3, 5)])


def test_a_misplaced_array_that_others_share(tmp_path, pair):
    spectra = make_spectra([9] * 6)
    files = pair(spectra)
    offsets = [int(match[2]) for match in OFFSET.finditer(files.xml)]
    # 0, 3 and 5 share an m/z array, which is said to be where that of 2 is.
    moved = dict.fromkeys((0, 6, 10), offsets[4] + 8)
    change_offsets(files, lambda k, o: moved.get(k, o))
    reader, numbers = skipped(files.save(tmp_path))
    assert numbers == [0, 2, 3, 5]
    assert reader.skipped["reason"].str.contains("shares an array").sum() == 2
    check_exact(reader, [spectra[1], spectra[4]])


def test_one_array_over_thousands_of_others(tmp_path, pair):
    n = 3000
    spectra = [(np.array([100.0 + i]), np.array([i])) for i in range(n)]
    files = pair(spectra)
    for kind in ("mz", "intensity"):
        ref = f'<referenceableParamGroupRef ref="{kind}Array"/>'
        length = cv("IMS:1000103", "external array length", 1)
        start = files.xml.index(ref)
        stop = files.xml.index(length, start)
        longer = length.replace('"1"', f'"{n}"')
        files.xml = files.xml[:stop] + longer + files.xml[stop + len(length) :]
    files.xml = ENCODED.sub("", files.xml)
    reader, numbers = skipped(files.save(tmp_path))
    assert numbers == list(range(2000))
    check_exact(reader, spectra[2000:])


@pytest.mark.parametrize("which", ["mz", "intensity", "spectrum"])
@pytest.mark.parametrize("encoded", [True, False])
def test_shared_arrays_are_no_overlap(tmp_path, pair, which, encoded):
    spectra = make_spectra([9] * 6)
    files = pair(spectra)
    offsets = [int(match[2]) for match in OFFSET.finditer(files.xml)]
    source = {1: 0, 4: 2}

    def change(k, offset):
        row, kind = divmod(k, 2)
        alike = which == "spectrum" or kind == (which == "intensity")
        return offsets[2 * source.get(row, row) + kind] if alike else offset

    change_offsets(files, change)
    if not encoded:
        files.xml = ENCODED.sub("", files.xml)
    with warnings.catch_warnings():
        # The arrays that no spectrum refers to any more are gaps.
        warnings.simplefilter("error" if encoded else "ignore")
        reader = ImzMLReader(files.save(tmp_path))
    expected = [
        tuple(
            spectra[source.get(i, i) if which in (kind, "spectrum") else i][j]
            for j, kind in enumerate(("mz", "intensity"))
        )
        for i in range(6)
    ]
    check_exact(reader, expected)


@pytest.mark.parametrize("padding", [0, 16, 256])
@pytest.mark.parametrize("continuous", [True, False])
@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_regular_layouts_are_quiet(tmp_path, pair, padding, continuous, order):
    spectra = make_spectra()
    if continuous:
        spectra = [(spectra[0][0], np.arange(7) + i) for i in range(20)]
    files = pair(spectra, padding=padding, continuous=continuous)
    if order == "backwards":
        start = files.xml.index("<spectrum id")
        stop = files.xml.index("</spectrumList>")
        parts = re.findall(r"<spectrum id.*?</spectrum>\n", files.xml, re.DOTALL)
        files.xml = files.xml[:start] + "".join(parts[::-1]) + files.xml[stop:]
        spectra = spectra[::-1]
    check_exact(ImzMLReader(files.save(tmp_path)), spectra)


def test_compressed_arrays_may_be_said_to_be_longer(tmp_path, pair):
    # The length before compression, in place of the one after it.
    spectra = [(np.arange(n) + 100.0, np.arange(n)) for n in (40, 60, 50)]
    files = pair(spectra, zlib=True)
    before = iter([n * size for n in (40, 60, 50) for size in (8, 4)])
    files.xml = re.sub(
        r'(encoded length" value=")\d+', lambda m: m[1] + str(next(before)), files.xml
    )
    files.ibd += bytes(500)
    check_exact(ImzMLReader(files.save(tmp_path)), spectra)


def test_one_compressed_array_for_two_kinds(tmp_path, pair):
    spectra = [(np.arange(9.0) + i, np.arange(9) + i) for i in range(3)]
    files = pair(spectra, zlib=True, intensity_type="float64")
    places = []

    def change(k, offset):
        places.append(offset)
        return places[k - k % 2]

    path = change_offsets(files, change).save(tmp_path)
    with pytest.raises(ImzMLError, match="arrays overlap in 3 places"):
        ImzMLReader(path)


def test_offsets_from_behind_the_uuid(tmp_path, pair):
    path = change_offsets(pair(make_spectra()), lambda k, o: o - 16).save(tmp_path)
    with pytest.raises(ImzMLError, match="not to be counted from the start"):
        ImzMLReader(path)
    with pytest.raises(ImzMLError, match="none of the 6 spectra"):
        skipped(path)


def test_one_offset_in_the_uuid(tmp_path, pair):
    files = change_offsets(pair(make_spectra()), lambda k, o: 8 if k == 4 else o)
    path = files.save(tmp_path)
    with pytest.raises(ImzMLError, match="first 16 bytes are its UUID"):
        ImzMLReader(path)
    assert skipped(path)[1] == [2]


# -- types and encoded lengths ---------------------------------------------------------
@pytest.mark.parametrize("continuous", [True, False])
@pytest.mark.parametrize(
    ("stored", "declared"),
    [
        ("float64", "float32"),
        ("int64", "float32"),
        ("int32", "int16"),
        ("float64", "int16"),
        ("int16", "int8"),
        ("int32", "int8"),
        ("int64", "int8"),
    ],
)
def test_types_narrower_than_what_is_stored(
    tmp_path, pair, stored, declared, continuous
):
    spectra = make_spectra([9] * 4 if continuous else LENGTHS)
    files = declare(
        pair(spectra, intensity_type=stored, continuous=continuous),
        "intensity",
        declared,
    )
    with pytest.raises(ImzMLError, match=r"encoded length of .* expected that they"):
        ImzMLReader(files.save(tmp_path, "given"))
    files.xml = ENCODED.sub("", files.xml)
    with pytest.raises(ImzMLError, match="its type seems to be wider"):
        ImzMLReader(files.save(tmp_path, "missing"))
    files.ibd += bytes(1000)
    with pytest.raises(ImzMLError, match="its type seems to be wider"):
        ImzMLReader(files.save(tmp_path, "more"))


@pytest.mark.parametrize("n", [1, 4])
def test_mz_narrower_than_what_is_stored(tmp_path, pair, n):
    files = declare(pair(make_spectra([9] * n)), "m/z", "float32")
    files.xml = ENCODED.sub("", files.xml)
    with pytest.raises(ImzMLError, match=r"m/z array holds .* seems to be wider"):
        ImzMLReader(files.save(tmp_path))


@pytest.mark.parametrize(
    ("stored", "declared"), [("float32", "float64"), ("int8", "int16")]
)
def test_types_wider_than_what_is_stored(tmp_path, pair, stored, declared):
    files = declare(pair(make_spectra(), intensity_type=stored), "intensity", declared)
    with pytest.raises(ImzMLError, match=r"encoded length of .* expected that they"):
        ImzMLReader(files.save(tmp_path, "given"))
    files.xml = ENCODED.sub("", files.xml)
    with pytest.raises(ImzMLError, match="of the file"):
        ImzMLReader(files.save(tmp_path, "missing"))


def test_other_gaps_without_encoded_lengths(tmp_path, pair):
    files = pair(make_spectra(), padding=20)
    check_exact(ImzMLReader(files.save(tmp_path, "given")), files.spectra)
    files.xml = ENCODED.sub("", files.xml)
    with pytest.warns(ImzMLWarning, match="could vouch for data types"):
        reader = ImzMLReader(files.save(tmp_path, "missing"))
    check_exact(reader, files.spectra)
    files = pair(make_spectra())
    files.xml = ENCODED.sub("", files.xml)
    check_exact(ImzMLReader(files.save(tmp_path, "tight")), files.spectra)


def test_gaps_against_encoded_lengths(tmp_path, pair):
    # Encoded lengths worked out from the wrong type, too.
    files = declare(
        pair(make_spectra(), intensity_type="float64"), "intensity", "float32"
    )
    numbers = iter([n * size for n in LENGTHS for size in (8, 4)])
    files.xml = re.sub(
        r'(encoded length" value=")\d+', lambda m: m[1] + str(next(numbers)), files.xml
    )
    with pytest.warns(ImzMLWarning, match="followed by a gap of its own size"):
        ImzMLReader(files.save(tmp_path))


@pytest.mark.parametrize("more", [0, 5000])
def test_compression_that_is_not_declared(tmp_path, pair, more):
    files = pair(make_spectra([300] * 4), zlib=True)
    files.replace(
        cv("MS:1000574", "zlib compression"), cv("MS:1000576", "no compression")
    )
    files.ibd += bytes(more)
    with pytest.raises(ImzMLError):
        ImzMLReader(files.save(tmp_path))


@pytest.mark.parametrize("n_bytes", [1, 2, 4])
def test_encoded_lengths_that_count_values(tmp_path, pair, n_bytes):
    """They are believed to be wrong only where the layout agrees with the types."""
    files = pair(make_spectra(), intensity_type="float64")
    numbers = iter([n * n_bytes for n in LENGTHS for _ in range(2)])
    files.xml = re.sub(
        r'(encoded length" value=")\d+', lambda m: m[1] + str(next(numbers)), files.xml
    )
    with pytest.warns(ImzMLWarning, match="encoded lengths disagree"):
        reader = ImzMLReader(files.save(tmp_path, "right"))
    check_exact(reader, files.spectra)
    files.ibd += bytes(8)
    with pytest.raises(ImzMLError, match="expected that they agree"):
        ImzMLReader(files.save(tmp_path, "longer"))
    files.ibd = files.ibd[:-8]
    declare(files, "intensity", "float32")
    with pytest.raises(ImzMLError, match=r"expected that they agree|seems to be wider"):
        ImzMLReader(files.save(tmp_path, "wrong"))


def test_a_spectrum_of_another_type(tmp_path, pair):
    # One of them is 64-bit and says so in its encoded length only: the others stay.
    spectra = make_spectra()
    files = pair(spectra)
    files.xml = re.sub(
        r'(encoded length" value=")44"', lambda m: m[1] + '88"', files.xml
    )
    reader, numbers = skipped(files.save(tmp_path))
    assert numbers == []
    check_exact(reader, spectra)
    files.ibd += bytes(3)
    wrong = re.sub(r'(encoded length" value=")52"', lambda m: m[1] + '55"', files.xml)
    files.xml = wrong
    assert skipped(files.save(tmp_path, "last"))[1] == [3, 5]


def test_compressed_arrays_of_no_bytes(tmp_path, pair):
    files = pair(make_spectra(), zlib=True)
    files.xml = re.sub(r'(encoded length" value=")\d+', r"\g<1>0", files.xml, count=3)
    path = files.save(tmp_path)
    with pytest.raises(ImzMLError, match="compressed and has no encoded length"):
        ImzMLReader(path)
    assert skipped(path)[1] == [0, 1]
