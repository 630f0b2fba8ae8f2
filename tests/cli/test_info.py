"""``imsminer info``: what a person reads, and what a program gets."""

import json
import warnings

import numpy as np
import pytest
from click.testing import CliRunner

from imsminer.cli import main
from imsminer.io.describe import describe
from imsminer.io.writer import ImzMLWriter


def invoke(*arguments):
    return CliRunner().invoke(main, ["info", *map(str, arguments)])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "näme of it.imzML"
    with ImzMLWriter(
        path, polarity="negative", pixel_size=(50, 25), instrument="spectro"
    ) as writer:
        writer.add([100.0, 200.0, 300.5], [1.0, 2.0, 3.0], (3, 2))
        writer.add([150.0], [4.0], (12, 4))
        writer.add([], [], (4, 2))
    return path


def test_what_a_person_reads(file):
    result = invoke(file)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == str(file)
    size = file.with_suffix(".ibd").stat().st_size
    assert size == 16 + 4 * 12
    assert lines[1].endswith(f"XML, {size} bytes data")
    assert lines[2:10] == [
        "pixels 3 on 10 × 3 positions (10% filled); x 3 to 12, y 2 to 4",
        "spectra processed, profile, 0 to 3 points (median 1)",
        "m/z 100.0000 to 300.5000",
        "polarity negative",
        "pixel size 50 × 25 µm; the raster covers 0.5 × 0.075 mm",
        "instrument spectro",
        "stored m/z float64, intensity float32",
        f"uuid {describe(file)['uuid']}",
    ]
    assert lines[10] == "checksum SHA-1, not compared (--checksum)"
    assert lines[11] == "empty 1 spectra"


def test_checksum_and_statistics_read_the_data(file):
    result = invoke(file, "--checksum", "--statistics", "--quiet")
    text = " ".join(result.stdout.split())
    assert "SHA-1, right" in text
    assert "no signal in 1 pixels" in text
    assert "ion current 5 (median)" in text
    assert "highest 4" in text
    data = bytearray(file.with_suffix(".ibd").read_bytes())
    data[-1] ^= 1
    file.with_suffix(".ibd").write_bytes(data)
    result = invoke(file, "--checksum")
    assert result.exit_code == 1
    assert "SHA1 is" in result.stderr


def test_json_for_programs(file):
    result = invoke(file, "--json")
    (facts,) = json.loads(result.stdout)
    assert facts == json.loads(json.dumps(describe(file)))
    assert facts["raster"] == [10, 3, 1]
    assert facts["pixel_size"] == [50, 25]
    assert facts["points"] == [0, 1, 3]
    assert facts["filled"] == pytest.approx(0.1)
    assert facts["oddities"] == []


def test_oddities_and_unreadable_spectra(tmp_path, file):
    text = file.read_text(encoding="utf-8")
    text = text.replace("pixel size", "pixel sighs").replace("IMS:100004", "IMS:200004")
    text = text.replace(
        'name="external array length" value="1"',
        'name="external array length" value="9"',
        1,
    )
    file.write_text(text, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        facts = describe(file)
    assert facts["n_skipped"] == 1
    assert facts["pixel_size"] is None
    assert facts["skipped"] == {
        "it has … intensities for … m/z values, expected as many": 1
    }
    result = invoke(file)
    assert result.exit_code == 0
    assert "pixel size     not given" in result.stdout
    assert "1 × it has … intensities" in result.stdout
    assert "- the file gives no usable pixel size" in result.stdout
    assert "skipped table" not in result.stdout


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path, file):
    bad = tmp_path / "bad.imzML"
    bad.write_text("<mzML>")
    bad.with_suffix(".ibd").write_bytes(b"")
    result = invoke(bad, file)
    assert result.exit_code == 1
    assert "bad.imzML" in result.stderr
    assert str(file) in result.stdout


def test_several_planes(tmp_path):
    path = tmp_path / "stack.imzML"
    with ImzMLWriter(path, mode="continuous") as writer:
        mz = np.array([100.0, 101.0])
        positions = [(x, 1, z) for z in (0, 5) for x in (1, 2)]
        writer.add_chunk(mz, np.ones((4, 2)), positions)
    text = invoke(path).stdout
    assert "4 on 2 × 1 × 6 positions (33% filled)" in text
    assert "z 0 to 5" in text
    assert "continuous, profile, 2 points" in text
