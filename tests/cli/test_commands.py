"""The command line as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from imsminer import ImzMLReader
from imsminer.cli import main
from imsminer.datasets import load_kidney

PICTURES = {
    "cluster_images.png",
    "ion_images.png",
    "mean_spectrum.png",
    "segment_profiles.png",
    "segmentation.png",
}
TABLES = {
    "features.parquet",
    "peaks.csv",
    "provenance.json",
    "report.html",
    "segments.csv",
}


@pytest.fixture(scope="module")
def kidney():
    return load_kidney()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "results"
    result = CliRunner().invoke(main, ["demo", "--output", str(folder)])
    assert result.exit_code == 0, result.output
    return folder, result.stdout


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_demo_writes_everything(demo):
    folder, output = demo
    assert {path.name for path in folder.iterdir()} == PICTURES | TABLES
    for name in PICTURES:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    first, second = output.strip().splitlines()
    assert "342 pixels" in first
    assert "5 segments" in first
    assert str(folder) in second


def test_the_tables_agree(demo, kidney):
    folder, _ = demo
    peaks = pd.read_csv(folder / "peaks.csv")
    features = pd.read_parquet(folder / "features.parquet")
    segments = pd.read_csv(folder / "segments.csv")
    assert {"mz", "height", "snr", "fwhm", "frequency", "moran", "cluster"} <= set(
        peaks.columns
    )
    assert list(features.columns[:4]) == ["run", "x", "y", "z"]
    assert features.shape == (342, 4 + len(peaks))
    assert features.columns[4] == f"mz_{peaks['mz'][0]:.4f}"
    assert features.notna().all(axis=None)
    assert set(segments["segment"]) == {0, 1, 2, 3, 4}
    reader = ImzMLReader(kidney)
    for table in (features, segments):
        np.testing.assert_array_equal(
            table[["x", "y", "z"]].to_numpy(), reader.coordinates
        )
    # The best known ion of this tissue is among the most structured ones.
    pi = peaks.iloc[(peaks["mz"] - 885.5499).abs().argmin()]
    assert abs(pi["mz"] / 885.5499 - 1) < 5e-6
    assert pi["moran"] > 0.6


def test_the_provenance_says_what_was_done(demo):
    record = json.loads((demo[0] / "provenance.json").read_text())
    assert record["pixels_used"] == 342
    assert record["pixels_dropped"] == 0
    steps = {step["step"]: step["parameters"] for step in record["steps"]}
    assert list(steps) == [
        "TICNormalizer",
        "PeakPicker",
        "PeakIntegrator",
        "InSituSegmenter",
        "ImageClusterer",
    ]
    assert steps["PeakPicker"]["loq"] == 10
    assert steps["InSituSegmenter"]["random_state"] == 0
    (file,) = record["inputs"]
    assert file["uuid"]
    assert file["size_bytes"] > 0


def test_options_win_over_the_configuration_file(kidney, tmp_path):
    config = tmp_path / "pipeline.toml"
    config.write_text(
        "[pick]\nloq = 50\nmin_points = 8\n"
        "[integrate]\nwindow = 'fwhm'\n[normalize]\nenabled = false\n"
        "[cluster]\nn_clusters = 3\n"
    )
    output = tmp_path / "results"
    result = invoke(
        "run", kidney, "-o", output, "--config", config, "--loq", 30, "--segments", 3
    )
    assert result.exit_code == 0, result.output
    record = json.loads((output / "provenance.json").read_text())
    steps = {step["step"]: step["parameters"] for step in record["steps"]}
    assert "TICNormalizer" not in steps
    assert steps["PeakPicker"]["loq"] == 30
    assert steps["PeakPicker"]["min_points"] == 8
    assert steps["PeakIntegrator"]["window"] == "fwhm"
    assert pd.read_csv(output / "peaks.csv")["cluster"].nunique() == 3
    assert pd.read_csv(output / "segments.csv")["segment"].nunique() == 3


def test_several_files_are_one_study(kidney, tmp_path):
    result = invoke(
        "run", kidney, kidney, "-o", tmp_path / "r", "--segments", 3, "--align"
    )
    assert result.exit_code == 0, result.output
    assert "684 pixels of 2 runs" in result.output
    segments = pd.read_csv(tmp_path / "r" / "segments.csv")
    one, two = (part for _, part in segments.groupby("run"))
    assert one["segment"].tolist() == two["segment"].tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[pick\n", "not valid TOML"),
        ("[pik]\nloq = 1\n", "no step"),
        ("[pick]\nlog = 1\n", "no parameter log"),
        ("pick = 3\n", "must be a table"),
        ("[pick]\naxis = 'ppm'\n", "axis must be a table"),
        ("[pick]\nenabled = false\n", "cannot be switched off"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(kidney, tmp_path, text, message):
    config = tmp_path / "pipeline.toml"
    config.write_text(text)
    result = invoke("run", kidney, "-o", tmp_path / "r", "--config", config)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "r").exists()


def test_no_peaks_is_an_error_that_names_loq(kidney, tmp_path):
    result = invoke("run", kidney, "-o", tmp_path / "r", "--loq", 1e9)
    assert result.exit_code == 1
    assert "loq" in result.output
    assert list(tmp_path.iterdir()) == []


def test_image_shows_known_ions(kidney, tmp_path):
    targets = tmp_path / "targets.csv"
    targets.write_text("mz,name\n885.5499,PI(38:4)\n100.0,nothing here\n")
    result = invoke(
        "image",
        kidney,
        "--mz",
        722.516,
        "--targets",
        targets,
        "--ppm",
        10,
        "-o",
        tmp_path / "images",
    )
    assert result.exit_code == 0, result.output
    assert "No signal in any pixel at m/z 100.0000" in result.output
    names = {path.name for path in (tmp_path / "images").iterdir()}
    assert names == {
        "mz_722.5160.png",
        "PI_38_4_mz_885.5499.png",
        "nothing_here_mz_100.0000.png",
        "intensities.csv",
        "provenance.json",
    }
    table = pd.read_csv(tmp_path / "images" / "intensities.csv")
    expected = ImzMLReader(kidney).ion_image(885.5499, 10)
    np.testing.assert_allclose(table["mz_885.5499"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "at least one ion"),
        (["--mz", "0"], "no positive m/z"),
        (["--mz", "500", "--ppm", "-1"], "--ppm must be positive"),
    ],
)
def test_image_says_what_it_needs(kidney, tmp_path, arguments, message):
    result = invoke("image", kidney, "-o", tmp_path / "images", *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_targets_need_a_column_mz(kidney, tmp_path):
    targets = tmp_path / "targets.csv"
    targets.write_text("mass\n885.5\n")
    result = invoke("image", kidney, "-o", tmp_path / "i", "--targets", targets)
    assert result.exit_code == 2
    assert "needs a column mz" in result.output


@pytest.mark.parametrize("command", [[], ["run"], ["image"], ["demo"]])
def test_help_is_there(command):
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_a_file_that_is_no_imzml_is_one_line_without_traceback(tmp_path):
    bad = tmp_path / "bad.imzML"
    bad.write_text("<mzML><run>")
    result = invoke("run", bad, "-o", tmp_path / "r")
    assert result.exit_code == 1
    assert "Error" in result.output
    assert "bad.imzML" in result.output
    assert "Traceback" not in result.output


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_leaves_no_partial_output(kidney, tmp_path):
    program = (
        # Shells start background jobs with the signal ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import time, imsminer.cli.results as r;"
        "from imsminer.cli import main;"
        "write = r.write_tables;"
        "r.write_tables = lambda *a: (write(*a), print('ready', flush=True),"
        " time.sleep(60));"
        f"main(['run', {str(kidney)!r}, '-o', {str(tmp_path / 'r')!r}])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().strip() == "ready"
        assert len(list(tmp_path.iterdir())) == 1
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 1
    assert list(tmp_path.iterdir()) == []
