"""Runs that are mostly holes: as large as they say, and hardly there."""

import numpy as np

from imsminer.datasets import make_hollow_ims
from imsminer.io.imzml import ImzMLReader


def test_size_and_content(tmp_path):
    path = tmp_path / "a.imzML"
    mz, rows = make_hollow_ims(path, n_pixels=500, n_mz=200_000, n_filled=4, n_peaks=7)
    status = path.with_suffix(".ibd").stat()
    assert status.st_size == 16 + 8 * 200_000 + 4 * 500 * 200_000
    assert status.st_blocks * 512 < 0.05 * status.st_size
    reader = ImzMLReader(path)
    assert reader.shape == (500, 200_000)
    assert rows.tolist() == [0, 166, 333, 499]
    assert not reader[1].intensity.any()
    spectrum = reader[333].intensity
    top = np.flatnonzero(spectrum == spectrum.max())
    np.testing.assert_array_equal(reader.mz[top], mz)
    assert len(np.unique(reader.coordinates, axis=0)) == 500
