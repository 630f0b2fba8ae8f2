"""Parquet and CSV, read by pandas and pyarrow alone."""

import csv
import json

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from imsminer.io import _export_tabular
from imsminer.io.export import read_features, write_features
from tests.io.export_study import TISSUE, check_saved, make_study, same_bits

POSITION = ["run", "x", "y", "z"]


@pytest.fixture
def study():
    return make_study()


@pytest.fixture
def small_groups(monkeypatch):
    """Seven rows of four features at a time."""
    monkeypatch.setattr(_export_tabular, "_GROUP_BYTES", 4 * 4 * 7)


def test_parquet_is_a_plain_table(study, tmp_path):
    path = tmp_path / "run=a" / "a.parquet"
    path.parent.mkdir()
    write_features(study.features, path, **study.extras)
    table = pd.read_parquet(path, partitioning=None)
    assert list(table.columns) == [*study.pixels.columns, *study.features.columns]
    assert same_bits(table[study.features.columns].to_numpy(), study.values)
    for name in ("x", "y", "z", "weight", "on"):
        assert table[name].tolist() == study.pixels[name].tolist()
    assert table["run"].tolist() == study.pixels["run"].tolist()
    assert table["tissue type"].tolist() == study.pixels["tissue type"].tolist()
    # A folder that looks like a partition is none to us either.
    check_saved(read_features(path), study)


def test_row_groups_have_the_size_asked_for(study, tmp_path, small_groups):
    path = tmp_path / "a.parquet"
    write_features(study.features, path, **study.extras)
    metadata = pyarrow.parquet.read_metadata(path)
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert rows == [7] * 7 + [1]
    check_saved(read_features(path), study)


def test_parquet_metadata_can_be_read_by_others(study, tmp_path):
    write_features(study.features, tmp_path / "a.parquet", **study.extras)
    schema = pyarrow.parquet.read_schema(tmp_path / "a.parquet")
    extras = json.loads(
        schema.metadata[b"imsminer"], parse_constant=lambda c: pytest.fail(c)
    )
    assert extras["features"] == list(study.features.columns)
    assert extras["peaks"]["columns"]["mz"]["values"] == study.peaks["mz"].tolist()
    assert extras["peaks"]["columns"]["snr"]["values"] == [7.5, "inf", 7.5, 7.5]
    assert extras["provenance"] == study.provenance
    assert extras["n_not_finite"] == 2


@pytest.mark.parametrize("groups", ["one", "many"])
def test_csv_reads_back_bit_for_bit(study, tmp_path, request, groups):
    if groups == "many":
        request.getfixturevalue("small_groups")
    path = tmp_path / "a.csv"
    write_features(study.features, path, **study.extras)
    # As text, since not every version of pandas reads the nearest number.
    kinds = dict.fromkeys([*study.features.columns, "weight"], str)
    table = pd.read_csv(path, dtype=kinds)
    table = table.astype(dict.fromkeys(study.features.columns, np.float32))
    table["weight"] = table["weight"].map(float)
    assert list(table.columns) == [*study.pixels.columns, *study.features.columns]
    assert same_bits(table[study.features.columns].to_numpy(), study.values)
    assert table["weight"].tolist() == study.pixels["weight"].tolist()
    assert table["run"].tolist() == study.pixels["run"].tolist()
    assert table["on"].tolist() == study.pixels["on"].tolist()
    assert table["tissue type"].tolist() == study.pixels["tissue type"].tolist()
    note = study.pixels["note"]
    assert table["note"].isna().tolist() == note.isna().tolist()
    assert table["note"].dropna().tolist() == note.dropna().tolist()


def test_csv_is_utf8_with_one_header(study, tmp_path, small_groups):
    path = tmp_path / "a.csv"
    write_features(study.features, path, pixels=study.pixels.drop(columns="note"))
    text = path.read_bytes().decode("utf-8")
    rows = list(csv.reader(text.splitlines()))
    assert len(rows) == 51
    assert rows[0][:4] == POSITION
    assert TISSUE in text
    # NaN is an empty field; infinity is not hidden.
    first = rows[0].index("mz_500.1234")
    assert [row[first] for row in rows[1:4]] == ["", "inf", "-0"]


def test_float32_of_every_size_survive_csv(tmp_path):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 20_000, dtype=np.uint32)
    values = bits.view(np.float32).reshape(-1, 4)
    values[~np.isfinite(values)] = 1
    pixels = pd.DataFrame({"run": "a", "x": range(5000), "y": 1, "z": 1})
    write_features(values, tmp_path / "a.csv", pixels=pixels)
    table = pd.read_csv(tmp_path / "a.csv", dtype=str)
    assert same_bits(table.iloc[:, 4:].astype(np.float32).to_numpy(), values)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_of_pixels_and_features_must_differ(study, tmp_path, ending):
    features = study.features.set_axis(["a", "weight", "b", "c"], axis=1)
    with pytest.raises(ValueError, match=r"both have the columns \['weight'\]"):
        write_features(features, tmp_path / f"a.{ending}", pixels=study.pixels)
