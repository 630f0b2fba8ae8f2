"""Features as AnnData, in memory and through its files."""

import warnings

import numpy as np
import pandas as pd
import pytest

from imsminer.exceptions import OptionalDependencyError
from imsminer.io.export import to_anndata, write_features
from tests.io.export_study import TISSUE, make_study, same_bits

anndata = pytest.importorskip("anndata", reason="AnnData is what is tested")


@pytest.fixture
def study():
    return make_study()


def test_values_pixels_and_peaks(study):
    adata = to_anndata(study.features, **study.extras)
    assert same_bits(adata.X, study.values)
    assert adata.var_names.tolist() == list(study.features.columns)
    assert np.array_equal(adata.var["mz"], study.peaks["mz"])
    assert adata.obs["run"].cat.categories.tolist() == ["kidney A", "blæse_2"]
    for name in "xyz":
        assert adata.obs[name].tolist() == study.pixels[name].tolist()
    tissue = adata.obs["tissue type"]
    assert tissue.cat.categories.tolist() == ["unused", TISSUE, "medulla"]
    assert adata.obs["mixed"].tolist() == study.pixels["mixed"].map(str).tolist()
    assert adata.uns["n_not_finite"] == 2
    first = study.pixels.iloc[0]
    assert adata.obs_names[0] == f"kidney A_{first['x']}_{first['y']}_1"
    assert adata.obs_names.is_unique


def test_positions_are_in_micrometres_where_all_pixel_sizes_are_known(study):
    adata = to_anndata(study.features, **study.extras)
    size = np.where(
        (study.pixels["run"] == "kidney A").to_numpy()[:, None], [50, 50], [25, 20]
    )
    expected = study.pixels[["x", "y"]].to_numpy() * size
    assert adata.uns["spatial_unit"] == "micrometer"
    assert adata.obsm["spatial"].dtype == np.float64
    assert np.array_equal(adata.obsm["spatial"], expected)


@pytest.mark.parametrize("size", [None, np.nan, 0.0, -1.0, np.inf])
def test_positions_are_in_pixels_where_a_pixel_size_is_not_known(study, size):
    runs = study.runs.copy()
    if size is None:
        runs = runs.drop(columns="pixel_size_y")
    else:
        runs.loc["kidney A", "pixel_size_y"] = size
    adata = to_anndata(study.features, runs=runs)
    assert adata.uns["spatial_unit"] == "pixel"
    assert np.array_equal(adata.obsm["spatial"], study.pixels[["x", "y"]])


def test_memory_is_shared_but_never_read_only(study):
    values = study.values.copy()
    adata = to_anndata(values, pixels=study.pixels)
    assert np.shares_memory(adata.X, values)
    values.flags.writeable = False
    adata = to_anndata(values, pixels=study.pixels)
    assert not np.shares_memory(adata.X, values)
    adata.X[:] = 0


def test_the_input_is_left_alone(study):
    before = make_study()
    adata = to_anndata(study.features, **study.extras)
    adata.obs["more"] = 1
    adata.uns["runs"]["more"] = 1
    pd.testing.assert_frame_equal(study.pixels, before.pixels)
    pd.testing.assert_frame_equal(study.peaks, before.peaks)
    pd.testing.assert_frame_equal(study.runs, before.runs)
    assert study.provenance == before.provenance


def test_pixels_at_one_position_get_names_of_their_own(study):
    twice = study.features.iloc[[0, 1, 0, 0]]
    names = to_anndata(twice).obs_names.tolist()
    assert names[2:] == [f"{names[0]}#2", f"{names[0]}#3"]
    assert len(set(names)) == 4


@pytest.mark.parametrize("kind", ["h5ad", "zarr", "write_features"])
def test_files_hold_the_same(study, tmp_path, kind):
    adata = to_anndata(study.features, **study.extras)
    path = tmp_path / f"a.{kind}"
    if kind == "h5ad":
        adata.write_h5ad(path)
    elif kind == "zarr":
        with warnings.catch_warnings():
            # AnnData chooses the version of Zarr, and warns of its own choice.
            warnings.simplefilter("ignore", UserWarning)
            adata.write_zarr(path)
    else:
        path = tmp_path / "a.h5ad"
        write_features(study.features, path, **study.extras)
    back = (anndata.read_zarr if kind == "zarr" else anndata.read_h5ad)(path)
    assert same_bits(back.X, study.values)
    for ours, theirs in ((adata.obs, back.obs), (adata.var, back.var)):
        assert list(theirs.columns) == list(ours.columns)
        assert theirs.index.tolist() == ours.index.tolist()
        for name in ours.columns:
            assert theirs[name].dtype == ours[name].dtype
            assert theirs[name].isna().tolist() == ours[name].isna().tolist()
            assert theirs[name].dropna().tolist() == ours[name].dropna().tolist()
    assert back.uns["spatial_unit"] == "micrometer"
    assert np.array_equal(back.obsm["spatial"], adata.obsm["spatial"])
    assert back.uns["runs"].index.tolist() == ["kidney A", "blæse_2"]
    assert back.uns["runs"]["instrument"].isna().all()
    assert back.uns["provenance_json"] == adata.uns["provenance_json"]
    found = back.uns["provenance"]
    assert found["steps"]["0"]["parameters"] == {"loq": 10}
    assert found["inputs"]["0"] == {"run": "kidney A"}
    assert found["levels"].tolist() == [1.0, 2.5]
    assert found["words"].tolist() == ["a", "é"]


def test_odd_columns_can_be_written(tmp_path):
    """Types that no HDF5 file has as such."""
    pixels = pd.DataFrame(
        {
            "run": ["a", "a"],
            "x": [1, 2],
            "y": [1, 1],
            "z": [1, 1],
            "empty": [None, None],
            "day/time": pd.to_datetime(["2020-01-02", None]),
            "flag": pd.array([True, None], dtype="boolean"),
            "count": pd.array([1, 2], dtype="Int64"),
            "text": pd.array(["ä", None], dtype="string"),
            "lists": [[1], (2, 3)],
            "levels": pd.Categorical([2, 1], categories=[2, 1], ordered=True),
            7: [1.5, np.nan],
        }
    )
    write_features(np.ones((2, 1)), tmp_path / "a.h5ad", pixels=pixels)
    obs = anndata.read_h5ad(tmp_path / "a.h5ad").obs
    assert obs["empty"].isna().all()
    assert obs["day_time"].astype(object).iloc[0].startswith("2020-01-02")
    assert np.array_equal(obs["flag"], [1.0, np.nan], equal_nan=True)
    assert obs["count"].tolist() == [1, 2]
    assert obs["text"].astype(object).iloc[0] == "ä"
    assert obs["text"].isna().tolist() == [False, True]
    assert obs["lists"].tolist() == ["[1]", "(2, 3)"]
    assert obs["levels"].cat.categories.tolist() == ["2", "1"]
    assert np.array_equal(obs["7"], [1.5, np.nan], equal_nan=True)


def test_names_that_would_become_one_are_refused(study):
    pixels = study.pixels.assign(**{"a/b": 1, "a_b": 2})
    with pytest.raises(ValueError, match=r"'a/b' and 'a_b'.*Rename"):
        to_anndata(study.features, pixels=pixels)


def test_without_anndata_the_message_says_how_to_install_it(study, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "anndata", None)
    with pytest.raises(OptionalDependencyError, match=r"\[export\]"):
        to_anndata(study.features)
