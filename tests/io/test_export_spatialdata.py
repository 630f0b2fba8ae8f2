"""Features as SpatialData, in memory and through its store."""

import warnings

import numpy as np
import pytest

from imsminer.io.export import (
    read_features,
    to_anndata,
    to_image_stack,
    to_spatialdata,
    write_features,
)
from tests.io.export_study import make_study, same_bits

with warnings.catch_warnings():
    # Its dependencies warn of each other at import.
    warnings.simplefilter("ignore")
    spatialdata = pytest.importorskip(
        "spatialdata", reason="SpatialData is what is tested"
    )
    from spatialdata.transformations import get_transformation

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def study():
    return make_study()


def in_system(element, system, *, axes=("x", "y")):
    matrix = get_transformation(element, to_coordinate_system=system)
    return matrix.to_affine_matrix(input_axes=axes, output_axes=axes)


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "store"])
@pytest.mark.parametrize("z", [(1,), (2, 5)])
def test_images_pixels_and_table_agree(tmp_path, stored, z):
    study = make_study(z=z)
    sdata = to_spatialdata(study.features, **study.extras)
    if stored:
        sdata.write(tmp_path / "a.zarr")
        sdata = spatialdata.read_zarr(tmp_path / "a.zarr")
    adata = to_anndata(study.features, **study.extras)
    table = sdata["features"]
    assert same_bits(table.X, study.values)
    assert np.array_equal(table.obsm["spatial"], adata.obsm["spatial"])
    assert sdata.attrs["spatial_unit"] == "micrometer"
    sizes = {"kidney A": (50, 50), "blæse_2": (25, 20)}
    systems = {
        name if len(z) == 1 else f"{name}_z{level}": (run, level)
        for name, run in (("kidney_A", "kidney A"), ("blæse_2", "blæse_2"))
        for level in z
    }
    assert set(sdata.coordinate_systems) == set(systems)
    for system, (run, level) in systems.items():
        width, height = sizes[run]
        image = sdata[f"{system}_image"]
        stack = to_image_stack(study.features, run=run, z=level)
        assert image.dims == ("c", "y", "x")
        assert same_bits(image.to_numpy(), stack)
        assert image.coords["c"].values.tolist() == list(study.features.columns)
        rows = np.flatnonzero(
            (study.pixels["run"] == run) & (study.pixels["z"] == level)
        )
        shapes = sdata[f"{system}_pixels"]
        assert shapes.index.tolist() == rows.tolist()
        linked = table.obs["element"] == f"{system}_pixels"
        assert np.array_equal(np.flatnonzero(linked), rows)
        assert table.obs["instance_id"].to_numpy()[rows].tolist() == rows.tolist()
        centres = np.column_stack([shapes.centroid.x, shapes.centroid.y])
        assert np.allclose(centres, adata.obsm["spatial"][rows])
        assert np.allclose(shapes.area, width * height)
        # The image's pixel (column, row) has its centre half a pixel further.
        matrix = in_system(image, system)
        of_run = study.pixels.loc[study.pixels["run"] == run]
        for i in rows:
            x, y = study.pixels.loc[i, ["x", "y"]]
            column, row = x - of_run["x"].min(), y - of_run["y"].min()
            found = matrix @ [column + 0.5, row + 0.5, 1]
            assert np.allclose(found[:2], adata.obsm["spatial"][i])
            assert same_bits(stack[:, row, column], study.values[i])
        assert np.array_equal(in_system(shapes, system), np.eye(3))


def test_a_pixel_s_values_are_found_from_its_shape(study):
    sdata = to_spatialdata(study.features, **study.extras)
    found = spatialdata.get_values(
        "mz_885.5499", sdata=sdata, element_name="blæse_2_pixels", table_name="features"
    )
    rows = np.flatnonzero(study.pixels["run"] == "blæse_2")
    assert same_bits(found["mz_885.5499"].to_numpy(), study.values[rows, 3])


def test_the_pixels_of_one_run_rasterize_to_its_images(study):
    one = study.features.loc[["kidney A"]]
    image = spatialdata.rasterize_bins(
        to_spatialdata(one, runs=study.runs),
        bins="kidney_A_pixels",
        table_name="features",
        col_key="x",
        row_key="y",
        value_key="mz_885.5499",
    )
    # It draws 0 where there is no pixel.
    assert np.array_equal(np.asarray(image)[0], to_image_stack(one, fill=0)[3])


def test_names_are_those_that_spatialdata_allows(study):
    sdata = to_spatialdata(study.features, **study.extras)
    assert "tissue_type" in sdata["features"].obs
    twice = study.features.rename(index={"kidney A": "BLÆSE 2"}, level="run")
    with pytest.raises(ValueError, match=r"'BLÆSE 2' and 'blæse_2' would both"):
        to_spatialdata(twice)
    hidden = study.features.rename(index={"kidney A": "__a"}, level="run")
    assert "run__a" in to_spatialdata(hidden).coordinate_systems


def test_without_pixel_sizes_the_unit_is_the_pixel(study):
    sdata = to_spatialdata(study.features)
    assert sdata.attrs["spatial_unit"] == "pixel"
    assert np.allclose(sdata["blæse_2_pixels"].area, 1)
    expected = [[1, 0, 10.5], [0, 1, 3.5], [0, 0, 1]]
    assert np.array_equal(in_system(sdata["blæse_2_image"], "blæse_2"), expected)


def test_the_columns_that_link_are_its_own(study):
    pixels = study.pixels.assign(Element="a")
    with pytest.raises(ValueError, match=r"\['element'\].*Rename"):
        to_spatialdata(study.features, pixels=pixels)


def test_nothing_makes_no_images(study):
    with pytest.raises(ValueError, match="SpatialData needs images"):
        to_spatialdata(study.features.iloc[:0])


def test_the_file_is_what_the_function_returns(study, tmp_path):
    path = tmp_path / "a.sdata.zarr"
    write_features(study.features, path, **study.extras)
    found = spatialdata.read_zarr(path)
    expected = to_spatialdata(study.features, **study.extras)
    assert same_bits(found["features"].X, study.values)
    assert set(found.coordinate_systems) == set(expected.coordinate_systems)
    with pytest.raises(ValueError, match="Read it with the library"):
        read_features(path)
