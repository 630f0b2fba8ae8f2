"""Sample sheets: studies described by a table."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

from imsminer import ImzMLReader
from imsminer.exceptions import ImzMLError


@pytest.fixture
def files(tmp_path, pair):
    """Two imzML files in a folder of their own, beside the sheet."""
    folder = tmp_path / "räw data"
    folder.mkdir()
    pair().save(folder, "a")
    pair(continuous=True).save(folder, "b")
    return folder


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "samples.csv"
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_columns_travel_to_runs_and_pixels(tmp_path, files, separator, encoding):
    lines = [
        ["path", "condition", "replicate", "dose", "patient"],
        ["räw data/a.imzML", "kränk", "1", "0.5", "007"],
        ["räw data/b.imzML", "healthy", "2", "1", "012"],
    ]
    text = "\n".join(separator.join(line) for line in lines) + "\n"
    study = ImzMLReader.from_sample_sheet(write(tmp_path, text, encoding))
    assert isinstance(study, ImzMLReader)
    assert study.shape == (10, None)
    expected = {
        "condition": ["kränk", "healthy"],
        "replicate": [1, 2],
        "dose": [0.5, 1.0],
        # An identifier keeps its zeros.
        "patient": ["007", "012"],
    }
    for name, values in expected.items():
        assert study.runs[name].tolist() == values
        assert study.pixels[name].tolist() == np.repeat(values, 5).tolist()
    assert study.runs.index.tolist() == ["a", "b"]
    assert study.pixels["run"].tolist() == ["a"] * 5 + ["b"] * 5
    assert study[study.pixels["condition"] == "healthy"].coordinates.shape == (5, 3)
    direct = ImzMLReader([files / "a.imzML", files / "b.imzML"])
    for found, right in zip(study, direct, strict=True):
        np.testing.assert_array_equal(found.mz, right.mz)
        np.testing.assert_array_equal(found.intensity, right.intensity)


def test_names_of_runs_and_binary_files(tmp_path, files):
    (files / "b.ibd").rename(files / "other.bin")
    sheet = pd.DataFrame(
        {
            "Path": [files / "a.imzML", files / "b.imzML"],
            "IBD": [files / "a.ibd", files / "other.bin"],
            "run": [1, 2],
        }
    )
    study = ImzMLReader.from_sample_sheet(sheet, on_error="skip")
    assert study.runs.index.tolist() == ["1", "2"]
    assert study.pixels["run"].unique().tolist() == ["1", "2"]
    assert study.pixels.columns.tolist() == ["run", "x", "y", "z"]
    assert study[7].intensity.size == 6


def test_one_file_is_a_study_too(files):
    sheet = pd.DataFrame({"path": [files / "b.imzML"], "tissue": ["liver"]})
    study = ImzMLReader.from_sample_sheet(sheet)
    assert study.shape == (5, 6)
    assert study.pixels["tissue"].tolist() == ["liver"] * 5
    assert study.skipped.empty
    assert study.paths == [files / "b.imzML"]


def test_a_sheet_of_paths_alone(tmp_path, files):
    text = "path\nräw data/a.imzML\nräw data/b.imzML\n"
    study = ImzMLReader.from_sample_sheet(write(tmp_path, text))
    assert len(study) == 10


def test_pickles_stay_small(files):
    sheet = pd.DataFrame({"path": [files / "a.imzML"], "tissue": ["liver " * 100]})
    study = ImzMLReader.from_sample_sheet(sheet)
    assert study.pixels["tissue"].iloc[0] == "liver " * 100
    data = pickle.dumps(study)
    assert data.count(b"liver " * 100) == 1
    again = pickle.loads(data)
    pd.testing.assert_frame_equal(again.pixels, study.pixels)
    pd.testing.assert_frame_equal(again.runs, study.runs)
    assert again.fingerprint == study.fingerprint


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("file,condition\na,b\n", "needs a column path.*found 'file', 'condition'"),
        ("path,x\nräw data/a.imzML,1\n", r"\['x'\] have names.*sample_x"),
        ("path,polarity\nräw data/a.imzML,n\n", r"\['polarity'\] have names"),
        ("path,Path\na,b\n", "more than once"),
        ("path,condition\n", "has no rows"),
        ("path,condition\n,b\n", "row 1 has no path"),
        ("path,c\nräw data/a.imzML,1\nräw data/../räw data/a.imzML,2\n", "rows 1 and"),
        ("path,c\nräw data,1\n", "in row 1, is a folder"),
        ("path,run\nräw data/a.imzML,s\nräw data/b.imzML,s\n", "row 2 has 's'"),
        ("path,run\nräw data/a.imzML,\nräw data/b.imzML,s\n", "row 1 has ''"),
        ("", "cannot be read as a CSV"),
    ],
)
def test_wrong_sheets(tmp_path, files, text, match):
    with pytest.raises(ValueError, match=match):
        ImzMLReader.from_sample_sheet(write(tmp_path, text))


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no sample sheet"):
        ImzMLReader.from_sample_sheet(tmp_path / "none.csv")
    with pytest.raises(ImzMLError, match=r"no file .*c\.imzML"):
        ImzMLReader.from_sample_sheet(write(tmp_path, "path,a\nc.imzML,1\n"))
    with pytest.raises(ValueError, match="cannot be read as a CSV"):
        ImzMLReader.from_sample_sheet(write(tmp_path, "path,µ\na,b\n", "latin-1"))


def test_opening_reads_no_arrays(files):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study = ImzMLReader([files / "b.imzML", files / "b.imzML"])
    assert study.source.n_bytes_read == 0
    assert study.shape == (10, 6)
