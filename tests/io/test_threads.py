"""Many threads and many runs: the bytes that one thread reads, and few open files."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from imsminer import ImzMLReader
from imsminer.io import _files
from tests.io.generator import build, random_spectra
from tests.io.recipe import Recipe

N_THREADS = 8
HANDLES = Path("/proc/self/fd")


def files_of(layout, seed=0, n_spectra=40):
    """Return a pair that is ragged, continuous or compressed."""
    spectra = random_spectra(
        seed, n_spectra, [12] if layout == "continuous" else range(20)
    )
    for spectrum in spectra:
        if layout == "continuous":
            spectrum.mz, spectrum.shares = spectra[0].mz, 0
        if layout == "zlib":
            spectrum.mz_zlib = spectrum.intensity_zlib = True
    spectra[0].shares = None
    mode = "continuous" if layout == "continuous" else "processed"
    return build(Recipe(spectra, declared_mode=mode))


def read_in_threads(readers, truths, n_reads, *, meanwhile=None):
    """Let all threads start at once and compare each read; return what differed."""
    start = threading.Barrier(N_THREADS)
    done = threading.Event()

    def work(seed):
        rng = np.random.default_rng(seed)
        which = rng.integers(0, len(readers), n_reads // N_THREADS).tolist()
        rows = rng.integers(0, len(truths[0]), n_reads // N_THREADS).tolist()
        start.wait()
        wrong = []
        for number, row in zip(which, rows, strict=True):
            mz, intensity = readers[number].source.spectrum(row)
            if (mz.tobytes(), intensity.tobytes()) != truths[number][row]:
                wrong.append((number, row))
        return wrong

    with ThreadPoolExecutor(N_THREADS + 1) as pool:
        other = None if meanwhile is None else pool.submit(meanwhile, done)
        found = [pool.submit(work, seed) for seed in range(N_THREADS)]
        wrong = [place for future in found for place in future.result()]
        done.set()
        if other is not None:
            other.result()
    return wrong


def truth_of(files):
    """Return the bytes of all spectra, from the generator."""
    spectra = (files.spectrum(number) for number in files.kept)
    return [(mz.tobytes(), intensity.tobytes()) for mz, intensity in spectra]


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("layout", ["ragged", "continuous", "zlib"])
def test_threads_read_what_one_reads(tmp_path, layout, mapped):
    files = files_of(layout)
    reader = ImzMLReader(files.save(tmp_path), mmap=mapped)
    # 100,000 reads in all six cases together.
    assert not read_in_threads([reader], [truth_of(files)], 100_000 // 6)


@pytest.mark.parametrize("mapped", [True, False])
def test_files_that_are_closed_meanwhile(tmp_path, mapped, monkeypatch):
    monkeypatch.setattr(_files, "MAX_OPEN", 2)
    layouts = ["ragged", "continuous", "zlib"] * 2
    pairs = [files_of(layout, seed) for seed, layout in enumerate(layouts)]
    readers = [
        ImzMLReader(files.save(tmp_path, f"run{i}"), mmap=mapped)
        for i, files in enumerate(pairs)
    ]

    def close_all(done):
        while not done.is_set():
            with _files._lock:
                _files._open.clear()

    truths = [truth_of(files) for files in pairs]
    assert not read_in_threads(readers, truths, 4_000, meanwhile=close_all)
    assert len(_files._open) <= 2


@pytest.mark.parametrize("mapped", [True, False])
def test_chunks_in_threads(tmp_path, mapped):
    files = files_of("ragged")
    reader = ImzMLReader(files.save(tmp_path), mmap=mapped)
    spectra = [files.spectrum(number) for number in files.kept]

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(100):
            rows = rng.integers(0, len(spectra), 7)
            read = reader.source.read(rows)
            mz = np.concatenate([spectra[row][0] for row in rows])
            intensity = np.concatenate([spectra[row][1] for row in rows])
            np.testing.assert_array_equal(read[0], mz)
            np.testing.assert_array_equal(read[1], intensity)

    with ThreadPoolExecutor(N_THREADS) as pool:
        list(pool.map(work, range(N_THREADS)))


@pytest.mark.skipif(not HANDLES.is_dir(), reason="counts open files in /proc")
@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("layout", ["ragged", "continuous", "zlib"])
def test_many_runs_open_few_files(tmp_path, layout, mapped, monkeypatch):
    monkeypatch.setattr(_files, "MAX_OPEN", 8)
    pairs = [files_of(layout, seed, 4) for seed in range(100)]
    paths = [files.save(tmp_path, f"run{i:03}") for i, files in enumerate(pairs)]
    with _files._lock:
        _files._open.clear()
    before = len(os.listdir(HANDLES))
    study = ImzMLReader(paths, mmap=mapped)
    assert len(study) == 400
    assert len(os.listdir(HANDLES)) <= before + 8
    for row in range(len(study)):
        run, number = divmod(row, 4)
        mz, intensity = study.source.spectrum(row)
        np.testing.assert_array_equal(mz, pairs[run].spectrum(number)[0])
        np.testing.assert_array_equal(intensity, pairs[run].spectrum(number)[1])
        # The arrays of the last read may keep one more map alive.
        assert len(os.listdir(HANDLES)) <= before + 10
