"""What every way out checks, image stacks, and the choice of formats."""

import numpy as np
import pandas as pd
import pytest

from imsminer import PeakIntegrator, Spectra
from imsminer.core.grid import to_image
from imsminer.core.peaktable import feature_names
from imsminer.core.provenance import provenance
from imsminer.io import _export_images, export
from imsminer.io._export_table import feature_table
from imsminer.io.export import (
    FORMATS,
    read_features,
    to_image_stack,
    write_features,
)
from tests.io.export_study import check_saved, make_study, same_bits

NEEDED = {
    "h5ad": "anndata",
    "sdata.zarr": "spatialdata",
    "zarr": "zarr",
    "ome.tif": "tifffile",
    "ome.tiff": "tifffile",
}
IMAGES = ("sdata.zarr", "ome.tif", "ome.tiff", "npz")
TABLES = tuple(name for name in FORMATS if name not in IMAGES)


@pytest.fixture
def study():
    return make_study()


# Dependencies of SpatialData warn of each other.
LOUD = {"sdata.zarr": pytest.mark.filterwarnings("ignore")}


@pytest.fixture(params=[pytest.param(f, marks=LOUD.get(f, ())) for f in FORMATS])
def ending(request):
    if request.param in NEEDED:
        pytest.importorskip(NEEDED[request.param], reason="writes this format")
    return request.param


def content(path):
    """Names and bytes of all files at or below `path`."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return {str(f): f.read_bytes() for f in files if f.is_file()}


# Checks --------------------------------------------------------------------------


def test_float32_is_not_copied(study):
    values = np.ones((50, 4), np.float32)
    frame = pd.DataFrame(values, index=study.features.index, copy=False)
    assert np.shares_memory(feature_table(frame).values, values)
    assert np.shares_memory(feature_table(values, pixels=study.pixels).values, values)


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint8", "bool", "Float64"])
def test_other_numbers_become_float32(study, dtype):
    frame = pd.DataFrame({"a": [0, 1]}, dtype=dtype)
    table = feature_table(frame, pixels=study.pixels.iloc[:2])
    assert table.values.dtype == np.float32
    assert table.values.tolist() == [[0.0], [1.0]]


def test_columns_of_different_types_and_missing_numbers(study):
    frame = pd.DataFrame(
        {
            "a": np.array([1.5, 2.5], np.float32),
            "b": [True, False],
            "c": pd.array([7, None], dtype="Int64"),
        }
    )
    found = feature_table(frame, pixels=study.pixels.iloc[:2]).values
    assert np.array_equal(
        found, np.float32([[1.5, 1, 7], [2.5, 0, np.nan]]), equal_nan=True
    )
    found = feature_table(frame[["a", "b"]], pixels=study.pixels.iloc[:2]).values
    assert found.tolist() == [[1.5, 1.0], [2.5, 0.0]]


def test_values_beyond_float32_are_refused(study):
    values = np.array([[1e39], [np.inf]])
    with pytest.raises(ValueError, match="largest that float32"):
        feature_table(values, pixels=study.pixels.iloc[:2])
    values[0] = np.nan
    assert feature_table(values, pixels=study.pixels.iloc[:2]).n_not_finite == 2


@pytest.mark.parametrize(
    "column", [["a", "b"], [1j, 2j], pd.to_datetime(["2020", "2021"])]
)
def test_columns_that_are_no_real_numbers_are_refused(study, column):
    frame = pd.DataFrame({"mz_1.0000": [1.0, 2.0], "segment": column})
    with pytest.raises(ValueError, match=r"'segment'.*pixels="):
        feature_table(frame, pixels=study.pixels.iloc[:2])
    if isinstance(column[0], complex):
        with pytest.raises(ValueError, match="real numbers"):
            feature_table(np.array([column]).T, pixels=study.pixels.iloc[:2])


def test_lengths_must_fit(study):
    with pytest.raises(ValueError, match=r"pixels has 49 rows, but features has 50"):
        feature_table(study.features, pixels=study.pixels.iloc[1:])
    with pytest.raises(ValueError, match=r"peaks has 3 rows, but features has 4"):
        feature_table(study.features, peaks=study.peaks.iloc[1:])


def test_rows_in_another_order_are_refused(study):
    with pytest.raises(ValueError, match="pixels and features are not in the same"):
        feature_table(study.features, pixels=study.pixels.iloc[::-1])
    other = study.pixels.assign(run=study.pixels["run"].replace("blæse_2", "third"))
    with pytest.raises(ValueError, match="run of row 30 is third"):
        feature_table(study.features, pixels=other)


@pytest.mark.parametrize("order", [[3, 1, 2, 0], [0, 2, 1, 3]])
def test_peaks_in_another_order_are_refused(study, order):
    """The second order swaps two peaks that are much closer than a calibration."""
    mz = [500.12345, 773.52, 773.54, 885.54989]
    features = study.features.set_axis(feature_names(mz), axis=1)
    peaks = pd.DataFrame({"mz": np.array(mz)[order]})
    with pytest.raises(ValueError, match="features and peaks are not in the same"):
        feature_table(features, peaks=peaks)


def test_peaks_may_have_been_calibrated(study):
    shifted = study.peaks.assign(mz=study.peaks["mz"] * (1 + 20e-6))
    table = feature_table(study.features, peaks=shifted)
    assert np.array_equal(table.mz, shifted["mz"])


def test_runs_must_know_the_runs_of_the_pixels(study):
    with pytest.raises(ValueError, match=r"runs has no row for \['kidney A'\]"):
        feature_table(study.features, runs=study.runs.iloc[:2])


@pytest.mark.parametrize("name", ["pixels", "peaks", "runs", "provenance"])
def test_parts_of_another_type_are_refused(study, name):
    with pytest.raises(ValueError, match=f"{name} must be a .* got list"):
        feature_table(study.features, **{name: [1, 2]})


def test_positions_must_be_known(study):
    plain = study.features.reset_index(drop=True)
    with pytest.raises(ValueError, match=r"pixels=, such as spectra\.pixels"):
        feature_table(plain)
    with pytest.raises(ValueError, match="no column 'y'"):
        feature_table(plain, pixels=study.pixels.drop(columns="y"))
    with pytest.raises(ValueError, match="x must be whole numbers"):
        feature_table(plain, pixels=study.pixels.assign(x=0.5))
    with pytest.raises(ValueError, match="an array of shape"):
        feature_table(np.ones(3), pixels=study.pixels)


def test_names_must_be_unique(study):
    twice = study.features.set_axis(["a", "b", "a", "c"], axis=1)
    with pytest.raises(ValueError, match=r"features has columns .* 'a'"):
        feature_table(twice)
    doubled = pd.concat([study.pixels, study.pixels[["note"]]], axis=1)
    with pytest.raises(ValueError, match=r"pixels has columns .* 'note'"):
        feature_table(study.features, pixels=doubled)


def test_one_run_and_one_plane_are_assumed_where_nothing_says_so(study):
    index = pd.MultiIndex.from_arrays([[3, 4], [1.0, 2.0]], names=["x", "y"])
    table = feature_table(pd.DataFrame({"a": [1.0, 2.0]}, index=index))
    assert table.pixels.drop(columns="run").to_numpy().tolist() == [
        [3, 1, 1],
        [4, 2, 1],
    ]
    assert table.run_names == ["run"]


def test_mz_come_from_peaks_or_else_from_names(study):
    assert feature_table(study.features, peaks=study.peaks).mz.tolist() == [
        500.12345,
        773.52721,
        773.52722,
        885.54989,
    ]
    names = ["mz_200.0000_2", "mz_300", "intensity", "mz_4.5e3"]
    found = feature_table(study.features.set_axis(names, axis=1)).mz
    assert np.array_equal(found, [200.0, 300.0, np.nan, np.nan], equal_nan=True)
    plain = feature_table(study.values, pixels=study.pixels)
    assert plain.names == ["x0", "x1", "x2", "x3"]
    assert np.isnan(plain.mz).all()
    named = feature_table(study.values, pixels=study.pixels, peaks=study.peaks)
    assert named.names == list(study.features.columns)


# Image stacks --------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("block", [1, 64, 1 << 25])
def test_a_stack_is_what_to_image_draws(study, monkeypatch, order, block):
    monkeypatch.setattr(_export_images, "_BLOCK_BYTES", block)
    values = np.asarray(study.values, order=order)
    for run in ("kidney A", "blæse_2"):
        rows = study.pixels["run"] == run
        found = to_image_stack(values, pixels=study.pixels, run=run)
        positions = study.pixels.loc[rows, ["x", "y"]]
        expected = [to_image(values[rows, i], positions) for i in range(4)]
        assert same_bits(found, np.stack(expected))


def test_fill(study):
    stack = to_image_stack(study.features, run="kidney A", fill=0)
    assert np.count_nonzero(stack[1] == 0) == 5
    assert not np.isnan(stack[1:]).any()


def test_planes_share_the_bounding_box_of_the_run():
    study = make_study(z=(2, 5))
    with pytest.raises(ValueError, match=r"pass z=, one of \[2, 5\]"):
        to_image_stack(study.features, run="kidney A")
    of_run = study.pixels["run"] == "kidney A"
    x0, y0 = study.pixels.loc[of_run, ["x", "y"]].min()
    for z in (2, 5):
        stack = to_image_stack(study.features, run="kidney A", z=z)
        rows = np.flatnonzero(of_run & (study.pixels["z"] == z))
        assert np.count_nonzero(~np.isnan(stack[3])) == rows.size
        for i in rows:
            x, y = study.pixels.loc[i, ["x", "y"]]
            assert same_bits(stack[:, y - y0, x - x0], study.values[i])
    with pytest.raises(ValueError, match=r"z must be one of \[2, 5\], got 3"):
        to_image_stack(study.features, run="kidney A", z=3)


def test_a_run_must_be_chosen_where_there_are_several(study):
    with pytest.raises(ValueError, match=r"pass run=, one of \['kidney A', 'blæse_2'"):
        to_image_stack(study.features)
    with pytest.raises(ValueError, match="run must be one of"):
        to_image_stack(study.features, run="liver")
    one = study.features.loc[["blæse_2"]]
    assert to_image_stack(one).shape == (4, 9, 4)


def test_stacks_of_nothing(study):
    with pytest.raises(ValueError, match="no pixels"):
        to_image_stack(study.features.iloc[:0])
    assert to_image_stack(study.features.iloc[:3, :0]).shape[0] == 0


def test_two_pixels_at_one_position_make_no_image(study):
    twice = pd.concat([study.features, study.features.iloc[[4]]])
    with pytest.raises(ValueError, match=r"1 pixels at a position .*\(17, 8, 1\)"):
        to_image_stack(twice, run="kidney A")


# Files ---------------------------------------------------------------------------


def test_an_unknown_ending_lists_the_formats(study, tmp_path):
    with pytest.raises(ValueError, match=r"'a\.tif' is none of \.h5ad, .*\.ome\.tif"):
        write_features(study.features, tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"format must be one of .* got 'xlsx'"):
        write_features(study.features, tmp_path / "a.csv", format="xlsx")
    with pytest.raises(ValueError, match=r"none of \.h5ad, \.zarr, \.parquet"):
        read_features(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_the_ending_may_be_written_in_capitals_or_be_another(study, tmp_path):
    write_features(study.features, tmp_path / "A.CSV")
    write_features(study.features, tmp_path / "a.txt", format=".csv")
    assert content(tmp_path / "A.CSV") != {}
    texts = [(tmp_path / name).read_text() for name in ("A.CSV", "a.txt")]
    assert texts[0] == texts[1]


def test_files_are_replaced_only_when_told(study, tmp_path, ending):
    path = tmp_path / f"Größe 1.{ending}"
    write_features(study.features, path, **study.extras)
    before = content(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_features(study.features, path, **study.extras)
    assert content(path) == before
    one = study.features.loc[["kidney A"]]
    write_features(one, path, overwrite=True)
    assert content(path) != before
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted_writing_leaves_nothing(
    study, tmp_path, ending, error, monkeypatch
):
    """The interruption comes behind the last byte, when most is at stake."""
    writer = export._WRITERS[ending]

    def interrupted(table, path):
        writer(table, path)
        assert path.exists()
        raise error

    monkeypatch.setitem(export._WRITERS, ending, interrupted)
    with pytest.raises(error):
        write_features(study.features, tmp_path / f"a.{ending}", **study.extras)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["csv", "parquet", "zarr", "npz", "ome.tif"])
def test_interruption_in_the_middle_leaves_nothing(
    study, tmp_path, ending, monkeypatch
):
    if ending in NEEDED:
        pytest.importorskip(NEEDED[ending], reason="writes this format")
    reads = iter(range(10))

    class Interrupting(np.ndarray):
        def __getitem__(self, key):
            if next(reads) == 2:
                raise KeyboardInterrupt
            # Libraries that slice it further, in threads of theirs, are left alone.
            return np.asarray(self)[key]

    table = feature_table(study.features, **study.extras)
    table.n_not_finite
    monkeypatch.setattr(_export_images, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(type(table), "row_blocks", one_by_one)
    object.__setattr__(table, "values", table.values.view(Interrupting))
    monkeypatch.setattr(export, "feature_table", lambda *args, **kwargs: table)
    with pytest.raises(KeyboardInterrupt):
        write_features(study.features, tmp_path / f"a.{ending}")
    assert not list(tmp_path.iterdir())


def one_by_one(table, size):
    for i in range(len(table.pixels)):
        yield slice(i, i + 1)


@pytest.mark.parametrize("shape", [(0, 4), (50, 0), (0, 0)])
def test_tables_may_be_empty_and_images_not(study, tmp_path, ending, shape):
    features = study.features.iloc[: shape[0], : shape[1]]
    pixels, peaks = study.pixels.iloc[: shape[0]], study.peaks.iloc[: shape[1]]
    path = tmp_path / f"a.{ending}"
    if ending in IMAGES:
        with pytest.raises(ValueError, match=rf"{shape[0]} pixels and {shape[1]} col"):
            write_features(features, path, pixels=pixels, peaks=peaks)
        assert not list(tmp_path.iterdir())
        return
    write_features(features, path, pixels=pixels, peaks=peaks)
    if ending == "csv":
        return
    saved = read_features(path)
    assert saved.features.shape == shape
    assert list(saved.features.columns) == list(features.columns)
    assert saved.peaks["mz"].tolist() == peaks["mz"].tolist()
    assert len(saved.pixels) == shape[0]
    assert list(saved.pixels.columns) == list(pixels.columns)


@pytest.mark.parametrize("ending", ["h5ad", "zarr", "parquet"])
def test_features_are_read_back_as_they_were(study, tmp_path, ending):
    if ending in NEEDED:
        pytest.importorskip(NEEDED[ending], reason="writes this format")
    path = tmp_path / f"a.{ending}"
    write_features(study.features, path, **study.extras)
    saved = read_features(path)
    check_saved(saved, study)
    # What was read can be written and read again.
    write_features(path=tmp_path / "again.parquet", **saved._asdict())
    check_saved(read_features(tmp_path / "again.parquet"), study)


@pytest.mark.parametrize("ending", ["h5ad", "zarr", "parquet"])
def test_duplicate_positions_are_kept_in_tables(study, tmp_path, ending):
    if ending in NEEDED:
        pytest.importorskip(NEEDED[ending], reason="writes this format")
    twice = pd.concat([study.features, study.features.iloc[[4, 4]]])
    write_features(twice, tmp_path / f"a.{ending}")
    saved = read_features(tmp_path / f"a.{ending}").features
    assert same_bits(saved.to_numpy(), twice.to_numpy())
    assert saved.index.tolist() == twice.index.tolist()


def test_the_pipeline_s_own_tables_fit(tmp_path):
    mz = np.arange(500.0, 501.0, 0.01)
    peak = np.exp(-0.5 * ((mz - 500.5) / 0.02) ** 2)
    spectra = Spectra.from_arrays([peak, 2 * peak], mz=mz)
    integrator = PeakIntegrator(peaks=[500.5], window="ppm", width=200)
    features = integrator.fit_transform(spectra)
    record = provenance(spectra, integrator)
    path = tmp_path / "a.parquet"
    write_features(
        features,
        path,
        pixels=spectra.pixels,
        peaks=integrator.peaks_,
        runs=spectra.runs,
        provenance=record,
    )
    saved = read_features(path)
    assert saved.features.equals(features)
    assert saved.provenance == record
    assert list(saved.runs.columns) == list(spectra.runs.columns)


def test_files_of_other_programs_are_not_read(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="not written by write_features"):
        read_features(tmp_path / "a.parquet")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_features(tmp_path / "b.parquet")


# .npz ----------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 1 << 25])
def test_npz_holds_a_stack_per_plane(tmp_path, monkeypatch, block):
    monkeypatch.setattr(_export_images, "_BLOCK_BYTES", block)
    study = make_study(z=(2, 5))
    write_features(study.features, tmp_path / "a.npz", **study.extras)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["mz"].tolist() == study.peaks["mz"].tolist()
        assert file["names"].tolist() == list(study.features.columns)
        assert file["run"].tolist() == ["kidney A", "kidney A", "blæse_2", "blæse_2"]
        assert file["z"].tolist() == [2, 5, 2, 5]
        assert file["offset"].tolist() == [[11, 4]] * 4
        assert file["pixel_size"].tolist() == [[50, 50], [50, 50], [25, 20], [25, 20]]
        for i, (run, z) in enumerate(zip(file["run"], file["z"], strict=True)):
            expected = to_image_stack(study.features, run=run, z=z)
            assert same_bits(file[f"images_{i}"], expected)
