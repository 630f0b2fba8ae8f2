"""Statistics of runs."""

import numpy as np
import pytest

from imsminer import Spectra, concatenate
from imsminer.core.summary import run_statistics


def test_values_and_ranges():
    a = Spectra.from_arrays(
        np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0], [2.0, 2.0, 4.0]]),
        mz=[100.0, 150.0, 200.0],
        run="a",
    )
    b = Spectra.from_arrays(
        np.array([5.0, 1.0, 2.0]),
        mz=[90.0, 99.0, 300.0],
        indptr=[0, 1, 3],
        run="b",
        profile=False,
    )
    table = run_statistics(concatenate([a, b]))
    assert table.index.tolist() == ["a", "b"]
    assert table.loc["a"].to_dict() == pytest.approx(
        {
            "n_pixels": 3,
            "n_empty": 1,
            "points": 2,
            "tic": 6,
            "tic_cv": 2 / 6,
            "max_intensity": 4,
            "mz_min": 100,
            "mz_max": 200,
        }
    )
    assert table.loc["b", ["mz_min", "mz_max", "tic"]].tolist() == [90, 300, 4]


def test_only_runs_that_have_rows():
    parts = [Spectra.from_arrays(np.ones((2, 3)), run=name) for name in "ab"]
    table = run_statistics(concatenate(parts)[[3, 2]])
    assert table.index.tolist() == ["b"]
    assert table.loc["b", "n_pixels"] == 2


def test_empty_spectra_have_no_range():
    spectra = Spectra.from_arrays(np.zeros(0), mz=np.zeros(0), indptr=[0, 0, 0])
    row = run_statistics(spectra).loc["run"]
    assert row["n_empty"] == 2
    assert row["tic"] == 0
    assert np.isnan(row[["tic_cv", "mz_min", "mz_max"]].to_numpy(float)).all()
