"""``imsminer convert``: raw data and features into other formats, and back."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from imsminer import ImzMLReader, read_features, write_imzml
from imsminer.cli import main


def convert(*arguments):
    return CliRunner().invoke(main, ["convert", *map(str, arguments)])


@pytest.fixture(scope="module")
def small(tmp_path_factory, kidney_path):
    """A third of the packaged example."""
    path = tmp_path_factory.mktemp("small") / "kidney part.imzML"
    write_imzml(ImzMLReader(kidney_path)[::3], path)
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory, small):
    folder = tmp_path_factory.mktemp("run") / "results"
    arguments = ["run", str(small), "-o", str(folder), "--loq", "50", "--segments", "2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return folder


def check_same(found, expected):
    assert len(found) == len(expected)
    np.testing.assert_array_equal(found.coordinates, expected.coordinates)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.mz, b.mz)
        np.testing.assert_array_equal(a.intensity, b.intensity)


def test_imzml_to_imzml_changes_no_number(small, tmp_path):
    target = tmp_path / "packed.imzML"
    result = convert(small, target, "--zlib", "--dtype", "int32")
    assert result.exit_code == 0, result.output
    assert "114 spectra are in" in result.stdout
    packed, raw = ImzMLReader(target), ImzMLReader(small)
    check_same(packed, raw)
    assert packed.runs["polarity"].item() == "negative"
    ibd = target.with_suffix(".ibd")
    assert ibd.stat().st_size < 0.8 * small.with_suffix(".ibd").stat().st_size


def test_steps_on_the_way_are_applied_when_asked_for(small, tmp_path):
    target = tmp_path / "normalized.imzML"
    result = convert(small, target, "--normalize", "--dtype", "float64", "--quiet")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    totals = [spectrum.intensity.sum() for spectrum in ImzMLReader(target)]
    np.testing.assert_allclose(totals, totals[0], rtol=1e-6)
    assert "DivideByTotal" in target.read_text(encoding="utf-8")


def test_raw_data_to_features(small, tmp_path):
    target = tmp_path / "features.parquet"
    result = convert(small, target, "--loq", 50, "--no-normalize")
    assert result.exit_code == 0, result.output
    saved = read_features(target)
    assert len(saved.features) == 114
    assert saved.features.shape[1] == len(saved.peaks) > 50
    assert saved.pixels.columns.tolist() == ["run", "x", "y", "z"]
    steps = {step["step"]: step["parameters"] for step in saved.provenance["steps"]}
    assert list(steps) == ["PeakPicker", "PeakIntegrator"]
    assert steps["PeakPicker"]["loq"] == 50


def test_given_ions_to_features(small, tmp_path):
    targets = tmp_path / "targets.csv"
    targets.write_text("mz,name\n885.5499,PI 38:4\n", encoding="utf-8")
    target = tmp_path / "ions.csv"
    result = convert(small, target, "--mz", 722.516, "--targets", targets, "--ppm", 20)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(target)
    assert table.columns.tolist() == [
        *("run", "x", "y", "z"),
        *("mz_722.5160", "mz_885.5499"),
    ]
    expected = ImzMLReader(small).ion_image([722.516, 885.5499], ppm=20)
    np.testing.assert_array_equal(
        table.iloc[:, 4:].to_numpy(np.float32), expected.to_numpy()
    )


def test_results_to_every_table(results, tmp_path):
    assert convert(results, tmp_path / "a.parquet").exit_code == 0
    saved = read_features(tmp_path / "a.parquet")
    segments = pd.read_csv(results / "segments.csv")["segment"]
    assert saved.pixels["segment"].tolist() == segments.tolist()
    peaks = pd.read_csv(results / "peaks.csv")
    np.testing.assert_allclose(saved.peaks["mz"], peaks["mz"], rtol=1e-7)
    assert saved.peaks["cluster"].tolist() == peaks["cluster"].tolist()
    record = json.loads((results / "provenance.json").read_text())
    assert saved.provenance == record
    for name in ("b.csv", "c.npz"):
        assert convert(tmp_path / "a.parquet", tmp_path / name).exit_code == 0
    table = pd.read_csv(tmp_path / "b.csv")
    assert table.columns.tolist()[:5] == ["run", "x", "y", "z", "segment"]
    np.testing.assert_array_equal(
        table.iloc[:, 5:].to_numpy(np.float32), saved.features.to_numpy()
    )
    with np.load(tmp_path / "c.npz") as arrays:
        assert arrays["images_0"].shape[0] == saved.features.shape[1]


def test_results_to_anndata_and_images(results, tmp_path):
    anndata = pytest.importorskip("anndata")
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("zarr")
    for name in ("a.h5ad", "a.zarr", "a.ome.tif"):
        result = convert(results, tmp_path / name)
        assert result.exit_code == 0, result.output
    data = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert data.obs["segment"].nunique() == 2
    back = read_features(tmp_path / "a.zarr")
    np.testing.assert_array_equal(back.features.to_numpy(), data.X)
    stack = tifffile.imread(tmp_path / "a.ome.tif")
    assert stack.shape[0] == data.n_vars


def test_features_to_imzml(results, tmp_path):
    target = tmp_path / "peaks.imzML"
    result = convert(results, target)
    assert result.exit_code == 0, result.output
    reader = ImzMLReader(target)
    saved = read_features(results / "features.parquet")
    assert not reader.profile
    assert reader.runs["mode"].item() == "continuous"
    assert reader.runs["polarity"].item() == "negative"
    np.testing.assert_array_equal(reader.mz, saved.peaks["mz"])
    values = np.array([spectrum.intensity for spectrum in reader])
    np.testing.assert_array_equal(values, saved.features.to_numpy())


def test_a_study_becomes_one_file_with_a_plane_per_run(small, tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    reader = ImzMLReader(small)
    for name in ("one", "two"):
        write_imzml(reader[:9], folder / f"{name}.imzML")
    target = tmp_path / "both.imzML"
    result = convert(folder, target)
    assert result.exit_code == 0, result.output
    both = ImzMLReader(target)
    assert both.coordinates[:, 2].tolist() == [1] * 9 + [2] * 9
    np.testing.assert_array_equal(both[9].intensity, reader[0].intensity)


def test_nothing_is_replaced_unless_told(small, tmp_path):
    target = tmp_path / "a.csv"
    target.write_text("precious")
    result = convert(small, target, "--mz", 800)
    assert result.exit_code == 2
    assert "a.csv exists" in result.stderr
    assert target.read_text() == "precious"
    assert convert(small, target, "--mz", 800, "--overwrite").exit_code == 0
    assert target.read_text() != "precious"


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("a.foo", [], "is none of .imzML, .h5ad"),
        ("a", [], "is none of .imzML, .h5ad"),
        ("a.csv", ["--zlib"], "--zlib is for OUT.imzML only"),
        ("a.csv", ["--mode", "continuous"], "--mode is for OUT.imzML only"),
        ("a.imzML", ["--mode", "continuous"], "continuous"),
        ("none/a.imzML", [], "none"),
    ],
)
def test_wrong_requests(small, tmp_path, name, options, match):
    result = convert(small, tmp_path / name, *options)
    assert result.exit_code in (1, 2)
    assert match in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_input_is_never_the_output(small):
    before = small.read_bytes()
    result = convert(small, small, "--overwrite")
    assert result.exit_code == 1
    assert small.read_bytes() == before
