"""The plain Zarr group: layout, and values read with zarr alone."""

import json

import numpy as np
import pandas as pd
import pytest

from imsminer.io import _export_zarr
from imsminer.io.export import read_features, write_features
from tests.io.export_study import make_study, same_bits

zarr = pytest.importorskip("zarr", reason="Zarr is what is tested", minversion="3")


@pytest.fixture
def study():
    return make_study()


def test_the_group_explains_itself(study, tmp_path):
    write_features(study.features, tmp_path / "a.zarr", **study.extras)
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert group.metadata.zarr_format == 3
    assert sorted(group.keys()) == [
        "coordinates",
        "features",
        "mz",
        "peaks",
        "pixels",
        "run",
    ]
    assert group.attrs["format"] == "imsminer features"
    assert group.attrs["provenance"] == study.provenance
    assert group.attrs["features"] == list(study.features.columns)
    assert group["features"].metadata.dimension_names == ("pixel", "peak")
    assert same_bits(group["features"][:], study.values)
    assert group["mz"][:].tolist() == study.peaks["mz"].tolist()
    assert np.array_equal(group["coordinates"][:], study.pixels[["x", "y", "z"]])
    categories = np.array(group["run"].attrs["categories"])
    assert categories[group["run"][:]].tolist() == study.pixels["run"].tolist()
    assert group["pixels"].attrs["columns"]["tissue type"] == "tissue type"
    assert group["pixels"]["weight"][:].tolist() == study.pixels["weight"].tolist()
    assert group["pixels"]["note"][:].min() == -1


def test_metadata_is_json_of_the_standard(study, tmp_path):
    """NaN and infinity are numbers to Python's json, and to no other."""
    study.runs.loc["kidney A", "pixel_size_x"] = np.nan
    write_features(study.features, tmp_path / "a.zarr", **study.extras)

    def refuse(constant):
        pytest.fail(f"{constant} is no JSON")

    for path in (tmp_path / "a.zarr").rglob("zarr.json"):
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
        assert found["zarr_format"] == 3


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (50, 4), (342, 312), (10**6, 300), (10**6, 1), (100, 10**6), (0, 0)],
)
def test_chunks_and_shards_have_the_sizes_promised(shape):
    chunks, shards = _export_zarr._layout(*shape)
    assert all(s % c == 0 for s, c in zip(shards, chunks, strict=True))
    assert 4 * np.prod(chunks) <= 1 << 20
    assert 4 * np.prod(shards) <= 1 << 26
    assert chunks[1] <= 64
    n_bytes = 4 * np.prod(shape)
    if n_bytes > 1 << 28:
        n_files = np.prod([-(-n // s) for n, s in zip(shape, shards, strict=True)])
        assert n_files < 100 * n_bytes / 1e9 + 1


@pytest.mark.parametrize("columns", [1, 70, 130])
def test_many_chunks_and_shards(tmp_path, monkeypatch, columns):
    """Blocks of a few rows, so that each kind of edge occurs."""
    monkeypatch.setattr(_export_zarr, "_CHUNK_BYTES", 4 * 64 * 5)
    monkeypatch.setattr(_export_zarr, "_SHARD_BYTES", 2 * 4 * 64 * 5)
    rng = np.random.default_rng(0)
    values = rng.random((53, columns)).astype(np.float32)
    pixels = pd.DataFrame({"run": "a", "x": np.arange(53), "y": 1, "z": 1})
    write_features(values, tmp_path / "a.zarr", pixels=pixels)
    assert same_bits(read_features(tmp_path / "a.zarr").features.to_numpy(), values)
    array = zarr.open_group(tmp_path / "a.zarr", mode="r")["features"]
    n_shards = np.prod(
        [-(-n // s) for n, s in zip(array.shape, array.shards, strict=True)]
    )
    files = [p for p in (tmp_path / "a.zarr" / "features").rglob("*") if p.is_file()]
    assert len(files) == n_shards + 1
    assert n_shards > 3 or columns == 1


def test_a_large_table_takes_few_files(tmp_path):
    """100 MB that do not compress."""
    rng = np.random.default_rng(0)
    n_pixels, n_features = 100_000, 250
    values = rng.random((n_pixels, n_features), dtype=np.float32)
    pixels = pd.DataFrame({"run": "a", "x": np.arange(n_pixels), "y": 1, "z": 1})
    write_features(values, tmp_path / "a.zarr", pixels=pixels)
    files = [path for path in (tmp_path / "a.zarr").rglob("*") if path.is_file()]
    of_features = [path for path in files if "features" in path.parts]
    assert len(of_features) <= 1 + 100 * values.nbytes / 1e9
    assert len(files) < 20
    assert max(path.stat().st_size for path in files) < 1.1 * (1 << 26)


def test_columns_named_alike_are_refused(study, tmp_path):
    """Their folders would be one where case does not count."""
    pixels = study.pixels.assign(Weight=1)
    with pytest.raises(ValueError, match=r"'weight' and 'Weight'"):
        write_features(study.features, tmp_path / "a.zarr", pixels=pixels)
    pixels = study.pixels.assign(**{"../up": 1})
    write_features(study.features, tmp_path / "a.zarr", pixels=pixels)
    assert "../up" in read_features(tmp_path / "a.zarr").pixels
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_other_groups_are_not_read(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    with pytest.raises(ValueError, match="not written by write_features"):
        read_features(tmp_path / "a.zarr")


def test_newer_versions_are_not_guessed_at(study, tmp_path):
    write_features(study.features, tmp_path / "a.zarr")
    zarr.open_group(tmp_path / "a.zarr", mode="a").attrs["version"] = 2
    with pytest.raises(ValueError, match=r"newer imsminer.*Update"):
        read_features(tmp_path / "a.zarr")
