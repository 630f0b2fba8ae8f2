"""Arrays from the .ibd: every type and layout, in place or gathered."""

import re
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from imsminer.exceptions import ImzMLError
from imsminer.io import _files
from imsminer.io.imzml import ImzMLSource

TYPES = ("int8", "int16", "int32", "int64", "float32", "float64")
DELIVERED = dict(
    zip(TYPES, ("f4", "f4", "f8", "f8", "f4", "f8"), strict=True),
)


def source_of(pair, folder, **options):
    path = pair.save(folder)
    return ImzMLSource(path, path.with_suffix(".ibd"), **options)


def random_spectra(lengths, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (
            np.sort(rng.uniform(100, 120, n)),
            rng.integers(-100, 100, n).astype(dtype)
            if dtype.startswith("int")
            else rng.normal(size=n).astype(dtype),
        )
        for n in lengths
    ]


def check_ragged(source, spectra, rows, mz_type="float64"):
    mz, intensity, indptr, _ = source.read(rows)
    chosen = np.arange(len(spectra))[rows]
    assert mz.dtype == np.float64
    np.testing.assert_array_equal(np.diff(indptr), [spectra[i][0].size for i in chosen])
    for k, i in enumerate(chosen):
        piece = slice(indptr[k], indptr[k + 1])
        stored = spectra[i][0].astype(mz_type)
        np.testing.assert_array_equal(mz[piece], stored.astype(np.float64))
        np.testing.assert_array_equal(intensity[piece], spectra[i][1])
    return mz, intensity, indptr


ROWS = (
    slice(0, 6),
    slice(2, 5),
    slice(0, 6, 2),
    np.array([5, 0, 3, 3]),
    slice(1, 2),
)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("intensity_type", TYPES)
def test_ragged_types(tmp_path, pair, intensity_type, packed, mapped):
    spectra = random_spectra([5, 0, 7, 1, 64, 3], intensity_type)
    written = pair(spectra, intensity_type=intensity_type, zlib=packed)
    source = source_of(written, tmp_path, mmap=mapped)
    assert source.mz is None
    for rows in ROWS:
        _, intensity, _ = check_ragged(source, spectra, rows)
        assert intensity.dtype == DELIVERED[intensity_type]


@pytest.mark.parametrize("mz_type", ["float32", "float64", "int32"])
@pytest.mark.parametrize("padding", [0, 1, 2, 3, 4, 7])
@pytest.mark.parametrize("mapped", [True, False])
def test_unaligned_arrays(tmp_path, pair, mz_type, padding, mapped):
    spectra = random_spectra([5, 3, 7, 1, 20, 3], "float32")
    written = pair(spectra, mz_type=mz_type, padding=padding)
    source = source_of(written, tmp_path, mmap=mapped)
    for rows in ROWS:
        mz, intensity, _ = check_ragged(source, spectra, rows, mz_type)
        assert mz.flags.aligned
        assert intensity.flags.aligned


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 4, 8])
@pytest.mark.parametrize("intensity_type", TYPES)
def test_shared_axis(tmp_path, pair, intensity_type, padding, packed, mapped):
    mz = np.linspace(100, 101, 10)
    matrix = np.stack([y for _, y in random_spectra([10] * 6, intensity_type)])
    written = pair(
        [(mz, y) for y in matrix],
        continuous=True,
        intensity_type=intensity_type,
        padding=padding,
        zlib=packed,
    )
    source = source_of(written, tmp_path, mmap=mapped)
    np.testing.assert_array_equal(source.mz, mz)
    for rows in ROWS:
        axis, intensity, indptr, _ = source.read(rows)
        assert indptr is None
        assert axis is source.mz
        assert intensity.dtype == DELIVERED[intensity_type]
        assert intensity.flags.aligned
        np.testing.assert_array_equal(intensity, matrix[rows])


def owner(array):
    """The object whose memory an array views."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


def is_mapped(array):
    return type(owner(array)).__name__ == "mmap"


def test_regular_rows_are_read_in_place(tmp_path, pair):
    mz = np.linspace(100, 101, 10)
    rng = np.random.default_rng(0)
    written = pair([(mz, rng.random(10)) for _ in range(6)], continuous=True)
    source = source_of(written, tmp_path)
    rows = source.read(slice(1, 5)).intensity
    assert is_mapped(rows)
    assert rows.flags.c_contiguous
    assert not rows.flags.writeable
    assert is_mapped(source.read(slice(2, 3))[1])
    assert not is_mapped(source.read(np.array([4, 1]))[1])


def test_equally_spaced_rows_are_read_in_place(tmp_path, pair):
    mz = np.linspace(100, 101, 10)
    rng = np.random.default_rng(0)
    matrix = rng.random((6, 10)).astype(np.float32)
    written = pair([(mz, y) for y in matrix], continuous=True, padding=8)
    source = source_of(written, tmp_path)
    for rows in (slice(0, 6), slice(1, 4), slice(0, 6, 3)):
        intensity = source.read(rows)[1]
        assert is_mapped(intensity)
        np.testing.assert_array_equal(intensity, matrix[rows])


def test_one_large_spectrum_is_read_in_place(tmp_path, pair):
    spectra = random_spectra([4, 6, 8], "float32")
    source = source_of(pair(spectra), tmp_path)
    mz, intensity, _ = check_ragged(source, spectra, slice(1, 2))
    assert is_mapped(mz)
    assert is_mapped(intensity)
    # With an odd number of float32 behind it, the next float64 is not aligned.
    odd = random_spectra([5, 6], "float32")
    (tmp_path / "odd").mkdir()
    source = source_of(pair(odd), tmp_path / "odd")
    mz, intensity, _ = check_ragged(source, odd, slice(1, 2))
    assert not is_mapped(mz)
    assert is_mapped(intensity)


def test_irregular_rows_of_a_shared_axis(tmp_path, pair):
    mz = np.linspace(100, 101, 4)
    matrix = np.arange(20, dtype=np.float32).reshape(5, 4)
    written = pair([(mz, y) for y in matrix], continuous=True)
    # The spectra in the order 3, 0, 4, 1, 2 of their arrays.
    offsets = re.findall(r'external offset" value="(\d+)"', written.xml)[1::2]
    order = [3, 0, 4, 1, 2]
    moved = iter([offsets[i] for i in order])
    parts = written.xml.split('<referenceableParamGroupRef ref="intensityArray"/>')
    written.xml = '<referenceableParamGroupRef ref="intensityArray"/>'.join(
        [parts[0]]
        + [
            re.sub(r'(external offset" value=")\d+', rf"\g<1>{next(moved)}", p, count=1)
            for p in parts[1:]
        ]
    )
    source = source_of(written, tmp_path)
    np.testing.assert_array_equal(source.read(slice(0, 5))[1], matrix[order])
    rows = np.array([4, 0])
    np.testing.assert_array_equal(source.read(rows)[1], matrix[order][rows])


def test_shared_offsets_in_processed_mode(tmp_path, pair):
    spectra = random_spectra([4, 4, 5], "float32")
    spectra[1] = (spectra[0][0], spectra[1][1])
    written = pair(spectra)
    offsets = re.findall(r'external offset" value="(\d+)"', written.xml)
    written.replace(f'offset" value="{offsets[2]}"', f'offset" value="{offsets[0]}"')
    source = source_of(written, tmp_path)
    assert source.mz is None
    check_ragged(source, spectra, slice(0, 3))


def test_spectra_of_two_types_in_one_file(tmp_path, pair):
    spectra = random_spectra([4, 6], "float32")
    written = pair(spectra)
    other = (
        '<cvParam accession="MS:1000515" name="intensity array"/>'
        '<cvParam accession="MS:1000519" name="32-bit integer"/>'
    )
    first, second = written.xml.split('<spectrum id="Scan=1"')
    second = second.replace('<referenceableParamGroupRef ref="intensityArray"/>', other)
    written.xml = f'{first}<spectrum id="Scan=1"{second}'
    source = source_of(written, tmp_path)
    _, intensity, indptr, _ = source.read(slice(0, 2))
    assert intensity.dtype == np.float64
    bits = spectra[1][1].view(np.int32)
    np.testing.assert_array_equal(intensity[: indptr[1]], spectra[0][1])
    np.testing.assert_array_equal(intensity[indptr[1] :], bits)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("bad", ["unsorted", "nan", "inf", "single nan"])
def test_bad_mz_names_the_spectrum(tmp_path, pair, bad, packed, mapped):
    spectra = random_spectra([4, 5, 6], "float32")
    mz = spectra[1][0]
    if bad == "unsorted":
        mz[[2, 3]] = mz[[3, 2]]
    elif bad == "single nan":
        spectra[1] = (np.array([np.nan]), np.array([1.0]))
    else:
        mz[-1] = float(bad)
    source = source_of(pair(spectra, zlib=packed), tmp_path, mmap=mapped)
    check_ragged(source, spectra, slice(2, 3))
    for rows in (slice(0, 3), slice(1, 2), np.array([2, 1])):
        with pytest.raises(ImzMLError, match="m/z array of spectrum 1 holds NaN"):
            source.read(rows)
    if bad != "unsorted":
        with pytest.raises(ImzMLError, match="spectrum 1"):
            source.mz_range()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_intensities_that_are_not_finite(tmp_path, pair, bad):
    spectra = random_spectra([4, 5, 6], "float64")
    spectra[2][1][3] = bad
    source = source_of(pair(spectra, intensity_type="float64"), tmp_path)
    check_ragged(source, spectra, slice(0, 2))
    with pytest.raises(ImzMLError, match="intensity array of spectrum 2 holds NaN"):
        source.read(slice(0, 3))


def test_bad_shared_axis(tmp_path, pair):
    mz = np.array([100.0, 102.0, 101.0])
    source = source_of(pair([(mz, mz)] * 2, continuous=True), tmp_path)
    with pytest.raises(ImzMLError, match="m/z array of spectrum 0"):
        source.read(slice(0, 1))


def test_equal_mz_are_accepted(tmp_path, pair):
    spectra = [(np.array([100.0, 100.0, 101.0]), np.array([1.0, 2.0, 3.0]))] * 2
    check_ragged(source_of(pair(spectra), tmp_path), spectra, slice(0, 2))


@pytest.mark.parametrize("mapped", [True, False])
def test_damaged_zlib(tmp_path, pair, mapped):
    spectra = random_spectra([40, 50], "float32")
    written = pair(spectra, zlib=True)
    damaged = bytearray(written.ibd)
    damaged[-9] ^= 255
    written.ibd = bytes(damaged)
    source = source_of(written, tmp_path, mmap=mapped)
    check_ragged(source, spectra, slice(0, 1))
    with pytest.raises(ImzMLError, match=r"spectrum 1 has .* expected 200"):
        source.read(slice(0, 2))


def test_zlib_of_another_length(tmp_path, pair):
    written = pair(random_spectra([40, 50], "float32"), zlib=True)
    written.replace('array length" value="50"', 'array length" value="49"')
    source = source_of(written, tmp_path)
    with pytest.raises(ImzMLError, match="more than 392 bytes after decompression"):
        source.read(slice(0, 2))


def test_scattered_reads_without_a_map(tmp_path, pair):
    spectra = random_spectra([20_000] + [3] * 4 + [20_000] + [5], "float32")
    written = pair(spectra, padding=1)
    source = source_of(written, tmp_path, mmap=False)
    before = source.n_bytes_read
    check_ragged(source, spectra, np.array([6, 2, 1]))
    assert source.n_bytes_read - before == (5 + 3 + 3) * 12


@pytest.mark.parametrize("mapped", [True, False])
def test_threads_read_the_same(tmp_path, pair, mapped):
    spectra = random_spectra(range(1, 200), "float32")
    source = source_of(pair(spectra, padding=3), tmp_path, mmap=mapped)

    def read(seed):
        rows = np.random.default_rng(seed).permutation(199)[:40]
        check_ragged(source, spectra, rows)
        return sum(spectra[i][0].size for i in rows) * 12

    with ThreadPoolExecutor(8) as pool:
        n_bytes = sum(pool.map(read, range(40)))
    assert source.n_bytes_read == n_bytes


@pytest.mark.parametrize("mapped", [True, False])
def test_few_files_stay_open(tmp_path, pair, monkeypatch, mapped):
    monkeypatch.setattr(_files, "MAX_OPEN", 2)
    spectra = random_spectra([4, 6], "float32")
    sources, views = [], []
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        sources.append(source_of(pair(spectra), folder, mmap=mapped))
        views.append(sources[-1].read(slice(1, 2)))
    assert len(_files._open) <= 2
    for source, view in zip(sources, views, strict=True):
        np.testing.assert_array_equal(view[0], spectra[1][0])
        check_ragged(source, spectra, slice(0, 2))


@pytest.mark.parametrize("mapped", [True, False])
def test_a_file_that_changed_is_not_read(tmp_path, pair, mapped):
    spectra = random_spectra([4, 6], "float32")
    source = source_of(pair(spectra), tmp_path, mmap=mapped)
    with (tmp_path / "run.ibd").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ImzMLError, match=r"run\.ibd has changed"):
        source.read(slice(0, 1))


def test_range_of_mz(tmp_path, pair):
    spectra = random_spectra([4, 0, 6], "float32")
    low = min(s[0][0] for s in spectra if s[0].size)
    high = max(s[0][-1] for s in spectra if s[0].size)
    for packed in (False, True):
        source = source_of(pair(spectra, zlib=packed), tmp_path)
        assert source.mz_range() == (low, high)
    empty = [(np.empty(0), np.empty(0))] * 2
    assert np.isnan(source_of(pair(empty), tmp_path).mz_range()).all()


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["0", "999999999999", "18"])
def test_places_of_empty_arrays_do_not_matter(tmp_path, pair, place, packed, mapped):
    spectra = random_spectra([0, 5, 0, 7, 0], "float32")
    written = pair(spectra, zlib=packed)
    written.xml = re.sub(
        r'(offset" value=")\d+("/>\n<cvParam[^>]*array length" value="0")',
        rf"\g<1>{place}\g<2>",
        written.xml,
    )
    source = source_of(written, tmp_path, mmap=mapped)
    for rows in (slice(0, 5), slice(0, 1), slice(2, 3), np.array([4, 3, 0, 1])):
        check_ragged(source, spectra, rows)


def test_zlib_that_unpacks_to_more_is_not_unpacked(tmp_path, pair):
    written = pair(random_spectra([6], "float32"), zlib=True)
    bomb = zlib.compress(bytes(1 << 27), 9)
    offset = re.findall(r'external offset" value="(\d+)"', written.xml)[1]
    written.ibd = written.ibd[: int(offset)] + bomb
    head, _, rest = written.xml.rpartition('encoded length" value="')
    tail = rest.partition('"')[2]
    written.xml = f'{head}encoded length" value="{len(bomb)}"{tail}'
    source = source_of(written, tmp_path)
    tracemalloc.start()
    with pytest.raises(ImzMLError, match="more than 24 bytes after decompression"):
        source.read(slice(0, 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_zlib_that_is_cut_or_followed_by_more(tmp_path, pair):
    spectra = random_spectra([60], "float32")
    written = pair(spectra, zlib=True)
    size = re.findall(r'encoded length" value="(\d+)"', written.xml)[1]
    for change, error in ((-1, "cut off"), (-6, "cut off"), (5, None)):
        moved = pair(spectra, zlib=True).replace(
            f'encoded length" value="{size}"',
            f'encoded length" value="{int(size) + change}"',
        )
        moved.ibd += bytes(5)
        source = source_of(moved, tmp_path)
        if error is None:
            check_ragged(source, spectra, slice(0, 1))
        else:
            with pytest.raises(ImzMLError, match=error):
                source.read(slice(0, 1))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("value", [2**53, -(2**53) - 1, 2**63 - 1])
def test_integers_that_float64_does_not_hold(tmp_path, pair, value, packed):
    spectra = random_spectra([3, 4, 5], "int64")
    spectra[0][1][1] = 2**53 - 1
    spectra[1][1][2] = value
    written = pair(spectra, intensity_type="int64", zlib=packed)
    source = source_of(written, tmp_path)
    check_ragged(source, spectra, slice(0, 1))
    for rows in (slice(0, 3), slice(1, 2), np.array([2, 1])):
        with pytest.raises(ImzMLError, match=r"spectrum 1 holds the 64-bit integer"):
            source.read(rows)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("hole", [(1, 0, 4), (1, 0, 2), (0, 2, 5), (2, 0, 6)])
def test_holes_of_zeros(tmp_path, pair, hole, mapped):
    spectra = random_spectra([4, 5, 6], "float32")
    number, start, stop = hole
    spectra[number][0][start:stop] = 0
    source = source_of(pair(spectra), tmp_path, mmap=mapped)
    with pytest.raises(ImzMLError, match=f"m/z array of spectrum {number} holds"):
        source.read(slice(0, 3))


def test_one_zero_is_no_hole(tmp_path, pair):
    spectra = [
        (np.array([0.0]), np.array([0.0])),
        (np.array([0.0, 1.0]), np.array([1.0, 2.0])),
    ]
    check_ragged(source_of(pair(spectra), tmp_path), spectra, slice(0, 2))
    negative = [(np.array([-1.0, 1.0]), np.array([1.0, 2.0]))]
    with pytest.raises(ImzMLError, match="negative"):
        source_of(pair(negative), tmp_path).read(slice(0, 1))
