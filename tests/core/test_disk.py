"""Results of passes on disk: found by whoever reads the same, and by nobody else."""

import concurrent.futures
import multiprocessing
import pickle
import threading
import time
from functools import partial

import joblib
import numpy as np
import pytest

from imsminer import ImzMLReader, MassAxis, PeakPicker, SpectraCache, concatenate
from imsminer.core import disk as module
from imsminer.core._blocks import cut_blocks
from imsminer.core.cache import cache
from imsminer.core.disk import DiskCache
from imsminer.core.engine import axis_statistics, map_rows, row_statistics
from imsminer.core.windows import integrate_windows
from imsminer.io.writer import ImzMLWriter
from tests.core.test_engine import AXIS, FirstColumn, Scale, ragged, shared

LOW, HIGH = np.array([100.0, 120.5]), np.array([103.0, 130.0])


@pytest.fixture(autouse=True)
def _fresh_cache():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(params=["shared", "ragged"])
def spectra(request):
    return {"shared": shared, "ragged": ragged}[request.param]()


def passes(spectra, n_jobs=None):
    """Results of all kinds of passes, in arrays."""
    sums = axis_statistics(spectra, AXIS, n_jobs=n_jobs)
    brief = axis_statistics(spectra, AXIS, full=False, n_jobs=n_jobs)
    rows = row_statistics(spectra, n_jobs=n_jobs)
    windows = integrate_windows(spectra, LOW, HIGH, "sum", n_jobs=n_jobs)
    return [
        *(sums.total, sums.maximum, sums.count, sums.squares, brief.total),
        *(rows.total, rows.maximum, windows),
    ]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def read_by(spectra, run):
    """Bytes that `run` reads."""
    before = spectra.source.n_bytes_read
    run()
    return spectra.source.n_bytes_read - before


def entries(folder):
    return sorted(folder.rglob("output.pkl"))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_what_is_kept_is_what_is_computed_and_nothing_is_read_again(
    spectra, tmp_path, n_jobs
):
    expected = passes(spectra)
    cache.clear()
    kept = spectra.with_cache(tmp_path)
    assert_same(passes(kept, n_jobs), expected)
    cache.clear()
    assert read_by(kept, lambda: assert_same(passes(kept), expected)) == 0
    # Memory comes first: what is there needs no disk.
    for entry in entries(tmp_path):
        entry.unlink()
    assert read_by(kept, lambda: assert_same(passes(kept), expected)) == 0


def test_nothing_is_kept_unless_it_is_asked_for(spectra, tmp_path):
    passes(spectra)
    kept = spectra.with_cache(tmp_path)
    passes(kept.with_cache(None))
    assert entries(tmp_path) == []
    assert spectra.source.disk is None
    assert kept.fingerprint == spectra.fingerprint


@pytest.mark.parametrize("labelled", [False, True])
def test_selections_share_blocks_and_rows(spectra, tmp_path, labelled):
    kept = spectra.with_cache(tmp_path)
    labels = np.arange(300) // 75
    if labelled:
        kept.source.blocks = labels
    size = int(spectra.source.row_bytes.sum())
    expected = axis_statistics(spectra, AXIS), row_statistics(spectra)

    def folds():
        for fold in range(4):
            for rows in (labels != fold, labels == fold):
                cache.clear()
                axis_statistics(kept[rows], AXIS)
                found = row_statistics(kept[rows]).total
                np.testing.assert_array_equal(found, expected[1].total[rows])

    read = read_by(kept, folds)
    assert read >= 2 * size
    if labelled:
        assert read == pytest.approx(2 * size, rel=0.01)
    assert read_by(kept, folds) == 0
    order = np.random.default_rng(0).permutation(300)[:200]
    cache.clear()
    twice = np.concatenate([order, order[:5]])
    found = row_statistics(kept[twice]).total
    np.testing.assert_array_equal(found, expected[1].total[twice])


def test_every_queue_key_axis_and_source_has_its_own(spectra, tmp_path):
    kept = spectra.with_cache(tmp_path)
    one = axis_statistics(kept.map(Scale(2.0)), AXIS)
    two = axis_statistics(kept.map(Scale(3.0)), AXIS)
    np.testing.assert_allclose(two.total, 1.5 * one.total, rtol=1e-6)
    assert axis_statistics(kept, MassAxis.even(2.0).resolve(99, 141)).mz.size < 40
    other = type(spectra)(ragged(seed=5).source).with_cache(tmp_path)
    assert not np.array_equal(
        axis_statistics(other, AXIS).total, axis_statistics(kept, AXIS).total
    )
    first = map_rows(kept, FirstColumn(), "one")
    cache.clear()
    n_entries = len(entries(tmp_path))
    np.testing.assert_array_equal(map_rows(kept, FirstColumn(), "two"), first)
    assert len(entries(tmp_path)) > n_entries


def test_another_version_of_the_code_finds_nothing(spectra, tmp_path, monkeypatch):
    kept = spectra.with_cache(tmp_path)
    passes(kept)
    cache.clear()
    monkeypatch.setattr(module, "code_version", lambda: "imsminer-3.0-0123456789ab")
    assert read_by(kept, lambda: passes(kept)) > 0


def test_the_code_version_follows_the_code(tmp_path, monkeypatch):
    package = tmp_path / "imsminer" / "core"
    package.mkdir(parents=True)
    (package / "disk.py").write_text("one")
    monkeypatch.setattr(module, "__file__", str(package / "disk.py"))
    compute = module.code_version.__wrapped__
    before = compute()
    assert compute() == before
    (package.parent / "kernels.py").write_text("two")
    assert compute() != before
    assert compute().startswith("imsminer-")


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "other", "bit"])
def test_damaged_results_are_computed_again_with_a_warning(spectra, tmp_path, damage):
    kept = spectra.with_cache(tmp_path)
    expected = passes(kept)
    cache.clear()
    whole = [entry.read_bytes() for entry in entries(tmp_path)]
    for entry, content in zip(entries(tmp_path), whole, strict=True):
        with entry.open("wb") as file:
            if damage == "cut":
                file.write(content[: len(content) // 2])
            elif damage == "garbage":
                file.write(b"\x80" + bytes(range(256)))
            elif damage == "other":
                # A class that no longer exists.
                file.write(b"cimsminer.core.cache\nNoSuchClass\n.")
            elif damage == "bit":
                # One wrong bit in the middle of the numbers.
                array = bytearray(content)
                array[-150] ^= 64
                file.write(array)
    with pytest.warns(UserWarning, match="is damaged .* computed again"):
        assert_same(passes(kept), expected)
    cache.clear()
    assert read_by(kept, lambda: assert_same(passes(kept), expected)) == 0


def test_the_folder_is_bounded_and_drops_what_was_not_used(tmp_path):
    kept = DiskCache(tmp_path, 20_000)
    for number in range(4):
        kept.put(number, np.full(500, number, np.float64))
    assert all(kept.find(number) is not None for number in range(4))
    time.sleep(0.02)
    kept.find(0)
    for number in range(4, 40):
        kept.put(number, np.full(500, number, np.float64))
        kept.find(0)
        size = sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file())
        assert size <= 20_000 + 100
        time.sleep(0.002)
    assert kept.find(0) is not None
    assert kept.find(4) is None
    assert kept.find(39)[0] == 39.0
    kept.put("large", np.zeros(3000))
    assert kept.find("large") is None


def test_a_bound_too_small_for_anything_changes_no_result(spectra, tmp_path):
    expected = passes(spectra)
    cache.clear()
    assert_same(passes(spectra.with_cache(tmp_path, max_bytes=300)), expected)


def test_the_folder_travels(tmp_path):
    kept = shared().with_cache(tmp_path, max_bytes=10**6)
    disk = DiskCache(tmp_path, 10**6)
    for travelled in (
        kept[5:50],
        kept.map(Scale(2.0)),
        kept.with_peaks(None),
        kept.of_rows([1, 2]),
        pickle.loads(pickle.dumps(kept)),
        pickle.loads(pickle.dumps(kept[[3, 1]])),
        concatenate([kept, shared(seed=1)]),
        pickle.loads(pickle.dumps(concatenate([shared(seed=1), kept])[5:])),
        kept.map(Scale(2.0)).persist(tmp_path / "persisted"),
        SpectraCache(tmp_path / "spectra").fit_transform(kept.map(Scale(2.0))),
    ):
        assert travelled.source.disk == disk
    with pytest.raises(ValueError, match=r"2 different ways.*with_cache\(None\)"):
        concatenate([kept, shared(seed=1).with_cache(tmp_path / "other")])


def test_a_reader_stays_one_and_pickles_small(tmp_path):
    path = tmp_path / "a.imzML"
    with ImzMLWriter(path, pixel_size=50) as writer:
        for x in range(100):
            writer.add([100.0, 200.0], [x, 2.0], (x + 1, 1))
    kept = ImzMLReader(path).with_cache(tmp_path / "cache")
    assert isinstance(kept, ImzMLReader)
    content = pickle.dumps(kept)
    assert len(content) < 2000
    again = pickle.loads(content)
    assert isinstance(again, ImzMLReader)
    assert again.source.disk == kept.source.disk
    row_statistics(kept)
    cache.clear()
    assert read_by(again, lambda: row_statistics(again)) == 0


def test_another_array_library_is_not_written(spectra, tmp_path):
    xp = pytest.importorskip("array_api_strict")
    moved = spectra[:40].to(xp).with_cache(tmp_path)
    found = integrate_windows(moved, LOW, HIGH, "sum")
    assert entries(tmp_path) == []
    np.testing.assert_allclose(
        np.asarray(found), integrate_windows(spectra[:40], LOW, HIGH, "sum"), rtol=1e-6
    )
    # Sums along the axis come to the host anyway.
    axis_statistics(moved, AXIS)
    assert entries(tmp_path)


def test_estimated_axes_are_kept(kidney_path, tmp_path):
    kidney = ImzMLReader(kidney_path).with_cache(tmp_path)
    expected = PeakPicker().fit(kidney)
    cache.clear()
    again = pickle.loads(pickle.dumps(kidney))
    again.source.mz_range()
    found = []
    assert read_by(again, lambda: found.append(PeakPicker().fit(again))) == 0
    assert found[0].peaks_.equals(expected.peaks_)


@pytest.mark.parametrize("max_bytes", [0, -5, 1e6, None])
def test_a_wrong_bound_is_refused(tmp_path, max_bytes):
    with pytest.raises(ValueError, match=r"with_cache: max_bytes .* got"):
        shared().with_cache(tmp_path, max_bytes=max_bytes)


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        shared().with_cache(tmp_path / "file" / "cache")


def test_two_that_need_the_same_compute_it_once(tmp_path):
    kept = DiskCache(tmp_path, 10**6)
    n_computed, started = [], threading.Barrier(2)

    def slow():
        n_computed.append(1)
        time.sleep(0.2)
        return np.arange(5.0)

    def work():
        started.wait()
        return kept.through("key", slow)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = [f.result() for f in [pool.submit(work), pool.submit(work)]]
    assert len(n_computed) == 1
    assert_same(results, [np.arange(5.0)] * 2)
    # Nothing is left behind that would keep others waiting.
    assert list(tmp_path.rglob("claim")) == []


def test_who_has_other_things_to_do_does_not_wait(tmp_path):
    kept = DiskCache(tmp_path, 10**6)
    with kept._claim("key") as is_ours:
        assert is_ours
        assert kept.through("key", lambda: pytest.fail("no"), patience=0.0) is None
    assert kept.through("key", lambda: np.ones(1), patience=0.0)[0] == 1


def test_a_claim_of_a_dead_process_is_taken_over(tmp_path, monkeypatch):
    kept = DiskCache(tmp_path, 10**6)
    with kept._claim("key"):
        monkeypatch.setattr(module, "CLAIM_SECONDS", 0.05)
        assert kept.through("key", lambda: np.ones(1))[0] == 1


def test_an_error_frees_the_claim(tmp_path):
    kept = DiskCache(tmp_path, 10**6)

    def fail():
        message = "no"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="no"):
        kept.through("key", fail)
    assert kept.through("key", lambda: np.ones(1), patience=0.0)[0] == 1


def _work(path, folder, barrier, number):
    """One of several processes that need the same results."""
    barrier.wait()
    reader = ImzMLReader(path).with_cache(folder)
    found = passes(reader[:: 1 if number % 2 else -1])
    return reader.source.n_bytes_read, joblib.hash(found[:5])


def test_processes_divide_the_work(tmp_path):
    """Four at the same time on the same folder: one read in all, equal results."""
    path, dense = tmp_path / "a.imzML", shared(n=400, m=40)
    values = dense.source.read(slice(0, 400))[1]
    with ImzMLWriter(path, mode="continuous", pixel_size=50) as writer:
        for x, row in enumerate(values):
            writer.add(dense.mz, row, (x + 1, 1))
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        barrier = manager.Barrier(3)
        work = partial(_work, str(path), tmp_path / "cache", barrier)
        with concurrent.futures.ProcessPoolExecutor(3, mp_context=context) as pool:
            read, hashes = zip(*pool.map(work, range(3)), strict=True)
    assert len(set(hashes)) == 1
    # Full and brief sums, ion currents, windows; and the axis by each process.
    once = 4 * values.nbytes
    assert once <= sum(read) <= 1.1 * once + 3 * 40 * 8


def test_tasks_are_small_whatever_the_spectra_carry():
    """What a pass sends to a process: the source, the rows, the queue."""
    spectra = shared(n=4000, m=2, identity="known").map(Scale(2.0))
    spectra = spectra.with_peaks(spectra.pixels)
    spectra.source.blocks = np.arange(4000) // 2000
    parts, _ = cut_blocks(spectra, "name")
    whole = len(pickle.dumps(spectra.source))
    for part in parts:
        again = pickle.loads(pickle.dumps(part))
        np.testing.assert_array_equal(again.rows, part.rows)
        assert again.queue == spectra.queue
        assert len(pickle.dumps(part)) < whole + 500
    assert sum(map(len, parts)) == 4000
