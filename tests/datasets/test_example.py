"""The packaged example: equal to its source, the same everywhere, safe in a crowd."""

import subprocess
import sys

import numpy as np
import pytest

from imsminer.datasets import load_kidney
from imsminer.io._scan import scan_imzml
from imsminer.io.imzml import ImzMLReader

pytestmark = pytest.mark.filterwarnings("ignore:.*no usable pixel size")


@pytest.mark.shared
def test_is_the_full_run_between_700_and_920(kidney_path, shared_data):
    example = ImzMLReader(kidney_path)
    full = ImzMLReader(next((shared_data / "kidney").glob("*.imzML")))
    assert np.array_equal(example.coordinates, full.coordinates)
    for row in range(len(full)):
        mz, intensity = full[row]
        keep = (mz >= 700) & (mz <= 920)
        assert np.array_equal(example[row].mz, mz[keep])
        assert np.array_equal(example[row].intensity, intensity[keep])


def test_facts(kidney_path):
    scan = scan_imzml(kidney_path)
    assert len(scan.spectra) == 342
    assert scan.spectra["intensity_length"].sum() == 1_033_820
    assert scan.facts.polarity == "negative"
    assert scan.facts.spectrum_type == "profile"
    assert scan.facts.continuous is False
    # Unknown: nothing may claim a size.
    assert np.isnan(scan.facts.pixel_size_x)


def test_identity_does_not_depend_on_the_machine(kidney_path):
    assert scan_imzml(kidney_path).facts.uuid == "fa2a9b76c2f55beda657af50cea432b9"


def test_written_once(tmp_path):
    path = load_kidney(tmp_path)
    before = path.stat().st_mtime_ns
    assert load_kidney(tmp_path) == path
    assert path.stat().st_mtime_ns == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.parent.name]


def test_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("IMSMINER_CACHE", str(tmp_path / "elsewhere"))
    assert load_kidney().is_relative_to(tmp_path / "elsewhere")


def test_half_a_folder_is_completed(tmp_path, kidney_path):
    path = load_kidney(tmp_path)
    path.with_suffix(".ibd").unlink()
    load_kidney(tmp_path)
    ibd = kidney_path.with_suffix(".ibd")
    assert path.with_suffix(".ibd").read_bytes() == ibd.read_bytes()


def test_processes_at_once(tmp_path, kidney_path):
    code = f"from imsminer.datasets import load_kidney; load_kidney({str(tmp_path)!r})"
    workers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    folders = list(tmp_path.iterdir())
    assert len(folders) == 1
    ibd = kidney_path.with_suffix(".ibd")
    assert (folders[0] / ibd.name).read_bytes() == ibd.read_bytes()


def test_a_loser_keeps_what_the_winner_wrote(tmp_path, monkeypatch):
    from imsminer.datasets import example

    write = example._write

    def slow_write(path):
        write(path)
        monkeypatch.setattr(example, "_write", write)
        load_kidney(tmp_path)

    monkeypatch.setattr(example, "_write", slow_write)
    path = load_kidney(tmp_path)
    assert path.exists()
    assert len(list(tmp_path.iterdir())) == 1
