"""What a result says of its input files."""

import shutil

from imsminer import ImzMLReader, Spectra
from imsminer.core.provenance import provenance
from imsminer.datasets import load_kidney


def test_the_binary_file_is_the_one_that_was_read(tmp_path):
    kidney = load_kidney()
    moved, elsewhere = tmp_path / "a.imzML", tmp_path / "b.ibd"
    shutil.copy(kidney, moved)
    shutil.copy(kidney.with_suffix(".ibd"), elsewhere)
    # A file of the same name that has nothing to do with it.
    moved.with_suffix(".ibd").write_bytes(b"no data")
    one = provenance(ImzMLReader(moved, ibd=elsewhere))["inputs"]
    assert one[0]["ibd_size_bytes"] == elsewhere.stat().st_size
    study = provenance(
        ImzMLReader([kidney, moved], ibd=[kidney.with_suffix(".ibd"), elsewhere])
    )["inputs"]
    size = kidney.with_suffix(".ibd").stat().st_size
    assert [entry["ibd_size_bytes"] for entry in study] == [size, size]


def test_arrays_have_no_files():
    record = provenance(Spectra.from_arrays([[1.0, 2.0]], [500.0, 501.0]))
    assert record["pixels_used"] == 1
    assert "file" not in record["inputs"][0]
