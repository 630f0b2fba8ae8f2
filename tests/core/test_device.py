"""Spectra streamed to a GPU: CuPy's stand-in counts, and defers copies as it may."""

import dataclasses
import gc
import importlib
import pickle
import threading
from dataclasses import dataclass

import numpy as np
import pytest

from imsminer import ImzMLReader, Spectra
from imsminer.core.chunk import ChunkKernel
from imsminer.core.device import CHUNK_BYTES, device_chunk_bytes
from imsminer.core.engine import axis_statistics, map_rows, row_statistics
from imsminer.io.writer import write_imzml

N, M = 400, 250


@pytest.fixture
def cupy(fake_cupy):
    yield importlib.import_module("cupy")
    gc.collect()
    assert fake_cupy.races == []


def dense(n=N, m=M):
    rng = np.random.default_rng(0)
    X = rng.gamma(1.0, size=(n, m)).astype(np.float32)
    return Spectra.from_arrays(X, np.arange(100.0, 100 + m), identity="dense")


def ragged(n=N, *, mobility=False):
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, 60, n)
    lengths[[0, 5, n - 1]] = 0
    mz = np.concatenate([np.sort(rng.uniform(100, 200, k)) for k in lengths])
    return Spectra.from_arrays(
        rng.gamma(1.0, size=mz.size).astype(np.float32),
        mz,
        indptr=np.concatenate([[0], np.cumsum(lengths)]),
        identity="ragged",
        mobility=rng.uniform(size=mz.size) if mobility else None,
    )


KINDS = {
    "dense": dense,
    "ragged": ragged,
    "with mobilities": lambda n=N: ragged(n, mobility=True),
}


@dataclass(frozen=True)
class Scale(ChunkKernel):
    """Multiply, and note where."""

    factor: float

    def __call__(self, chunk):
        return chunk.replace(intensity=chunk.intensity * np.float32(self.factor))


def fields(chunk):
    names = ("intensity", "mz", "indptr", "mobility")
    return {n: getattr(chunk, n) for n in names if getattr(chunk, n) is not None}


def host(array):
    return array if isinstance(array, np.ndarray) else array.get()


def n_bytes_of(spectra):
    """Bytes that have to cross the bus."""
    n_bytes = 0
    for chunk in spectra.iter_chunks(10**9):
        arrays = fields(chunk) if chunk.is_ragged else {"intensity": chunk.intensity}
        n_bytes += sum(array.nbytes for array in arrays.values())
    return n_bytes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("budget", [20_000, None])
def test_chunks_are_those_of_the_host(cupy, kind, budget):
    spectra = KINDS[kind]()
    moved = spectra.to(cupy, budget=budget)
    start = 0
    n_chunks = 0
    for chunk in moved.iter_chunks():
        rows = slice(start, start + chunk.n_spectra)
        (expected,) = spectra[rows].iter_chunks(10**9)
        for name, array in fields(expected).items():
            found = getattr(chunk, name)
            shared = name == "mz" and not chunk.is_ragged
            assert isinstance(found, np.ndarray if shared else cupy.ndarray)
            assert (found.dtype, found.shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(host(found), array)
        np.testing.assert_array_equal(chunk.rows, np.arange(rows.start, rows.stop))
        np.testing.assert_array_equal(chunk.coordinates, expected.coordinates)
        assert (chunk.run, chunk.profile) == (expected.run, expected.profile)
        start += chunk.n_spectra
        n_chunks += 1
    assert start == N
    assert (n_chunks > 10) == (budget is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_each_byte_crosses_the_bus_once(cupy, fake_cupy, kind):
    spectra = KINDS[kind]()
    n_chunks = sum(1 for _ in spectra.to(cupy, budget=40_000).iter_chunks())
    # Each chunk of ragged spectra has one end more than rows.
    ends = 0 if kind == "dense" else 8 * (n_chunks - 1)
    assert fake_cupy.to_device == n_bytes_of(spectra) + ends
    assert fake_cupy.to_host == 0
    assert len(fake_cupy.copies) == 1
    assert 0 not in fake_cupy.copies


@pytest.mark.parametrize("kind", KINDS)
def test_memory_stays_within_the_budget(cupy, fake_cupy, kind):
    spectra = KINDS[kind](4000)
    budget = 100_000
    assert n_bytes_of(spectra) > 10 * budget
    total = 0.0
    for chunk in spectra.map(Scale(1.0)).to(cupy, budget=budget).iter_chunks():
        total = total + chunk.intensity.sum()
    del chunk
    gc.collect()
    assert fake_cupy.peak <= budget
    # A sum is all that is left.
    assert fake_cupy.live == total.nbytes
    assert fake_cupy.pinned == 0
    expected = sum(c.intensity.sum(dtype=float) for c in spectra.iter_chunks())
    np.testing.assert_allclose(float(total), expected, rtol=1e-5)


def readers():
    return [t for t in threading.enumerate() if t.name.startswith("imsminer-reader")]


@pytest.mark.parametrize("spectra", [dense(24, 8), ragged(24)], ids=["dense", "ragged"])
def test_statistics_are_those_of_the_host(cupy, fake_cupy, spectra):
    """Several rounds of all buffers: one that is read into too early shows here."""
    if spectra.mz is None:
        spectra = spectra[8:]
    moved = spectra.to(cupy, budget=1_000)
    found, expected = row_statistics(moved), row_statistics(spectra)
    for name in ("total", "maximum", "squares", "n_points"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-12
        )
    # Four numbers of each pixel come back.
    assert fake_cupy.to_host == 4 * 8 * len(spectra)
    assert sum(fake_cupy.copies.values()) > 5


def test_the_mean_spectrum_is_that_of_the_host(cupy, fake_cupy):
    spectra = dense(24, 8)
    found = axis_statistics(spectra.to(cupy, budget=2_000))
    expected = axis_statistics(spectra)
    for field in dataclasses.fields(expected):
        values = getattr(expected, field.name)
        if isinstance(values, np.ndarray):
            np.testing.assert_allclose(
                host(getattr(found, field.name)), values, rtol=1e-12
            )


@dataclass(frozen=True)
class Where(ChunkKernel):
    """Require arrays of one kind."""

    on_host: bool

    def __call__(self, chunk):
        assert isinstance(chunk.intensity, np.ndarray) == self.on_host
        on_host = threading.current_thread() is not threading.main_thread()
        assert on_host == self.on_host
        return chunk


@pytest.mark.parametrize("kind", KINDS)
def test_steps_run_where_they_are_queued(cupy, kind):
    spectra = KINDS[kind]()
    moved = spectra.map(Scale(2.0)).map(Where(True)).to(cupy, budget=50_000)
    moved = moved.map(Where(False)).map(Scale(4.0))
    found = [host(chunk.intensity) for chunk in moved.iter_chunks()]
    expected = [c.intensity for c in spectra.map(Scale(8.0)).iter_chunks()]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))


@dataclass(frozen=True)
class Widen(ChunkKernel):
    """Make chunks that are larger than what was read."""

    def __call__(self, chunk):
        if chunk.is_ragged:
            return chunk.replace(intensity=chunk.intensity.astype(float))
        return chunk.replace(intensity=np.tile(chunk.intensity.astype(float), 3))


def test_steps_on_the_host_may_make_more(cupy):
    spectra = dense().map(Widen())
    found = [host(c.intensity) for c in spectra.to(cupy, budget=50_000).iter_chunks()]
    expected = [chunk.intensity for chunk in spectra.iter_chunks()]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))


def test_chunks_are_for_keeps(cupy):
    """What is not let go is not written to."""
    spectra = dense()
    chunks = list(spectra.to(cupy, budget=50_000).iter_chunks())
    assert len(chunks) > 20
    found = np.concatenate([host(chunk.intensity) for chunk in chunks])
    (expected,) = spectra.iter_chunks(10**9)
    np.testing.assert_array_equal(found, expected.intensity)


def test_the_stream_of_the_receiver_waits(cupy, fake_cupy):
    spectra = dense()
    with cupy.cuda.Stream(non_blocking=True) as stream:
        total = cupy.zeros(M, dtype=np.float64)
        for chunk in spectra.to(cupy, budget=50_000).iter_chunks():
            total += cupy.sum(chunk.intensity, axis=0, dtype=np.float64)
        stream.synchronize()
        (expected,) = spectra.iter_chunks(10**9)
        expected = expected.intensity.sum(axis=0, dtype=float)
        np.testing.assert_allclose(host(total), expected, rtol=1e-12)
        del chunk, total


@pytest.mark.parametrize("kind", KINDS)
def test_who_stops_early_leaves_nothing(cupy, fake_cupy, kind):
    chunks = KINDS[kind]().to(cupy, budget=20_000).iter_chunks()
    next(chunks), next(chunks)
    assert readers()
    assert fake_cupy.pinned > 0
    chunks.close()
    assert not readers()
    assert (fake_cupy.live, fake_cupy.pinned) == (0, 0)


@dataclass(frozen=True)
class Fail(ChunkKernel):
    """Fail on the pixel of one row, on the host or behind the move."""

    row: int

    def __call__(self, chunk):
        if self.row in chunk.rows:
            message = "no"
            raise ArithmeticError(message)
        return chunk


@pytest.mark.parametrize("on_host", [True, False])
def test_errors_come_out_and_leave_nothing(cupy, fake_cupy, on_host):
    spectra = dense()
    fail = Fail(200)
    moved = (
        spectra.map(fail).to(cupy, budget=50_000)
        if on_host
        else spectra.to(cupy, budget=50_000).map(fail)
    )
    chunks, seen = moved.iter_chunks(), []
    with pytest.raises(ArithmeticError) as raised:
        seen.extend(chunk.n_spectra for chunk in chunks)
    assert raised.value.__notes__ == [
        "In the queued step Fail: run 'run', pixel x=201, y=1, z=1."
    ]
    del raised
    assert not readers()
    gc.collect()
    assert (fake_cupy.live, fake_cupy.pinned) == (0, 0)


def test_what_is_not_finite_is_named(cupy, tmp_path):
    X = np.ones((40, 30), np.float32)
    write_imzml(Spectra.from_arrays(X, np.arange(30.0) + 100), tmp_path / "a.imzML")
    raw = (tmp_path / "a.ibd").read_bytes()
    values = np.frombuffer(raw, np.uint8).copy()
    values[-4:] = np.frombuffer(np.float32(np.nan).tobytes(), np.uint8)
    (tmp_path / "a.ibd").write_bytes(values.tobytes())
    spectra = ImzMLReader(tmp_path / "a.imzML").to(cupy, budget=5_000)
    with pytest.raises(ValueError, match=r"number 29 is nan"):
        for _ in spectra.iter_chunks():
            pass
    assert not readers()


@pytest.mark.parametrize("step", [None, Scale(2.0), Widen()], ids=str)
def test_files_are_read_into_the_buffers(cupy, fake_cupy, tmp_path, monkeypatch, step):
    """Nothing else of their size is made, unless a step makes it."""
    spectra = ImzMLReader(write_imzml(ragged(), tmp_path / "a.imzML"))
    copied = []
    monkeypatch.setattr(np, "copyto", spy(np.copyto, copied))
    queued = spectra if step is None else spectra.map(step)
    found = [
        (host(chunk.mz), host(chunk.intensity))
        for chunk in queued.to(cupy, budget=30_000).iter_chunks()
    ]
    assert len(found) > 10
    (expected,) = queued.iter_chunks(10**9)
    for i, name in enumerate(("mz", "intensity")):
        values = np.concatenate([arrays[i] for arrays in found])
        np.testing.assert_array_equal(values, getattr(expected, name))
    floats = [array for array in copied if array.dtype.kind == "f"]
    assert bool(floats) == (step is not None)


def spy(copyto, copied):
    def copy(to, values, **options):
        copied.append(values)
        copyto(to, values, **options)

    return copy


def test_threads_have_buffers_of_their_own(cupy, fake_cupy):
    spectra = dense(256, 30)
    moved = spectra.to(cupy, budget=4_000)
    found = map_rows(moved, twice, "twice", n_jobs=2)
    (expected,) = spectra.iter_chunks(10**9)
    np.testing.assert_array_equal(host(found), expected.intensity * 2)
    # A pass has a stream for each of its four parts.
    assert len(fake_cupy.copies) == 4
    assert not readers()


def twice(chunk):
    return chunk.intensity * 2


def test_one_spectrum_at_least(cupy):
    spectra = dense(5)
    chunks = list(spectra.to(cupy, budget=1).iter_chunks())
    assert [chunk.n_spectra for chunk in chunks] == [1] * 5
    np.testing.assert_array_equal(
        host(spectra.to(cupy)[3].intensity), spectra[3].intensity
    )
    assert list(spectra[:0].to(cupy).iter_chunks()) == []


def test_sizes_of_chunks(cupy, fake_cupy):
    assert device_chunk_bytes(800) == 100
    assert device_chunk_bytes(2**40) == CHUNK_BYTES
    # Half of what is free.
    assert device_chunk_bytes(None) == 2**30 // 16
    cupy.get_default_memory_pool().set_limit(2**20)
    assert device_chunk_bytes(None) == 2**20 // 16
    sizes = [c.intensity.nbytes for c in dense().to(cupy).iter_chunks(10_000)]
    assert max(sizes) <= 10_000


def test_the_budget_changes_no_fingerprint(cupy):
    spectra = dense()
    moved = spectra.to(cupy, budget=10_000)
    assert moved.fingerprint == spectra.to(cupy).fingerprint != spectra.fingerprint
    back = pickle.loads(pickle.dumps(moved))
    assert back.queue[-1].budget == 10_000
    assert back.fingerprint == moved.fingerprint
    np.testing.assert_array_equal(back.mz, spectra.mz)


def test_back_to_the_host(cupy, fake_cupy):
    spectra = ragged()
    there = spectra.to(cupy, budget=20_000).to(np)
    (expected,) = spectra.iter_chunks(10**9)
    found = [chunk.intensity for chunk in there.iter_chunks()]
    np.testing.assert_array_equal(np.concatenate(found), expected.intensity)


@pytest.mark.parametrize("budget", [0, -1, 1.5, True, "1 GB"])
def test_bad_budgets(cupy, budget):
    with pytest.raises(ValueError, match=r"budget must be .*; got"):
        dense(3).to(cupy, budget=budget)


def test_a_budget_is_for_cupy():
    with pytest.raises(ValueError, match="got 1000 for numpy"):
        dense(3).to(np, budget=1000)
