"""Offsets beyond 2 and 4 GiB that a writer cut to 32 bits; the files are hollow."""

import pytest

from imsminer.exceptions import ImzMLError, ImzMLWarning
from imsminer.io.imzml import ImzMLReader
from tests.io.test_checks import change_offsets, check_exact, make_spectra

GIB = 1 << 30
SIGNED, UNSIGNED = 2 * GIB, 0


def save(folder, files, places, lowest, size=None):
    """Write arrays at any places, and say where modulo 2^32."""
    written = iter(places)
    change_offsets(files, lambda k, o: (next(written) + lowest) % (4 * GIB) - lowest)
    path = files.save(folder)
    with open(path.with_suffix(".ibd"), "r+b") as ibd:
        ibd.truncate(16)
        for k, place in enumerate(places):
            values = files.spectra[k // 2][k % 2]
            ibd.seek(place)
            ibd.write(values.astype("<f4" if k % 2 else "<f8").tobytes())
        if size is not None:
            ibd.truncate(size)
    return path


def in_pairs(starts):
    return [start + step for start in starts for step in (0, 500)]


@pytest.mark.parametrize("lowest", [SIGNED, UNSIGNED])
@pytest.mark.parametrize("mapped", [True, False])
def test_offsets_that_ascend(tmp_path, pair, lowest, mapped):
    starts = [16, 2 * GIB - 100, 2 * GIB + 2000, 4 * GIB + 16, 6 * GIB + 8, 8 * GIB]
    files = pair(make_spectra())
    path = save(tmp_path, files, in_pairs(starts), lowest)
    with pytest.warns(ImzMLWarning, match="written as 32-bit numbers"):
        reader = ImzMLReader(path, mmap=mapped)
    check_exact(reader, files.spectra)


def test_offsets_up_to_4_gib_may_come_in_any_order(tmp_path, pair):
    starts = [3 * GIB, 2 * GIB + 16, 16, GIB, 3 * GIB + 5000, 2 * GIB + 8000]
    files = pair(make_spectra())
    path = save(tmp_path, files, in_pairs(starts), SIGNED)
    with pytest.warns(ImzMLWarning, match="beyond 2 GB"):
        reader = ImzMLReader(path)
    check_exact(reader, files.spectra)


@pytest.mark.parametrize("lowest", [SIGNED, UNSIGNED])
@pytest.mark.parametrize(
    "starts",
    [
        # Sorted by position; all beyond 4 GiB.
        [5 * GIB, 16, 4 * GIB + 500, 3 * GIB, GIB, 2 * GIB],
        [5 * GIB + 2000 * k for k in range(6)],
    ],
)
def test_offsets_that_tell_nothing(tmp_path, pair, starts, lowest):
    path = save(tmp_path, pair(make_spectra()), in_pairs(starts), lowest)
    with pytest.raises(ImzMLError, match="as if cut to 32 bits"):
        ImzMLReader(path)
    with pytest.raises(ImzMLError, match="none of the 6 spectra"):
        ImzMLReader(path, on_error="skip")


def test_true_offsets_in_a_large_file(tmp_path, pair):
    starts = [5 * GIB, 16, 4 * GIB + 500, 3 * GIB, GIB, 2 * GIB]
    files = pair(make_spectra())
    written = in_pairs(starts)
    path = save(tmp_path, files, written, UNSIGNED)
    true = iter(written)
    change_offsets(files, lambda k, o: next(true))
    path.write_text(files.xml)
    check_exact(ImzMLReader(path), files.spectra)


def test_an_offset_that_is_merely_negative(tmp_path, pair):
    files = change_offsets(pair(make_spectra()), lambda k, o: -40 if k == 4 else o)
    with pytest.raises(ImzMLError, match=r"spectrum 2 .*takes bytes -40"):
        ImzMLReader(files.save(tmp_path))


def test_empty_arrays_do_not_count(tmp_path, pair):
    spectra = make_spectra([5, 0, 6])
    files = change_offsets(pair(spectra), lambda k, o: -40 if k in (2, 3) else o)
    path = files.save(tmp_path)
    check_exact(ImzMLReader(path), spectra)
    with open(path.with_suffix(".ibd"), "ab") as ibd:
        ibd.truncate(3 * GIB)
    check_exact(ImzMLReader(path), spectra)
