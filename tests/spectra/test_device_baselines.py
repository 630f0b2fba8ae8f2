"""Queued baselines and smoothing on chunks of a GPU: the CPU's results.

In the simulator NumPy arrays stand in for those of the GPU; the modules are told so.
"""

import numpy as np
import pytest

from tests.spectra.on_device import sparse

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer import _array
from imsminer.core.chunk import SpectrumChunk
from imsminer.spectra import _baseline, _gridded, smooth
from imsminer.spectra._baseline import (
    Method,
    SubtractBaseline,
    SubtractCurve,
    SubtractSnip,
)
from imsminer.spectra._gridded import SampleGrid, Width
from imsminer.spectra.smooth import Smooth

MZ = 100 * np.exp(2e-3 * np.arange(70.0))
GRID = SampleGrid(MZ, np.gradient(MZ), MZ[0], MZ[-1])


@pytest.fixture
def move(device, monkeypatch):
    """A function that takes a chunk to the device, where it stays."""

    def refuse(array):
        if array is not MZ:
            pytest.fail(f"an array of shape {array.shape} came back to the host")
        return array

    def moved(chunk):
        for module in (_baseline, _gridded, smooth):
            monkeypatch.setattr(module, "to_numpy", refuse)
            if device.xp is np:
                monkeypatch.setattr(module, "is_numpy_array", lambda array: array is MZ)
        if device.xp is np:
            monkeypatch.setattr(_array, "is_cupy_array", lambda array: True)
        names = ["intensity"] if chunk.indptr is None else ["intensity", "mz", "indptr"]
        return chunk.replace(
            **{name: device.put(getattr(chunk, name)) for name in names}
        )

    return moved


@pytest.fixture(params=[False, True], ids=["dense", "ragged"])
def chunk(request):
    rng = np.random.default_rng(5)
    X = 40 + rng.normal(0, 3, (3, MZ.size)) + 200 * (rng.random((3, MZ.size)) < 0.1)
    more = {"mz": MZ}
    if request.param:
        indptr, position, _ = sparse(rng, [(60, 70), (0, 70)])
        rows = np.repeat(np.arange(3), np.diff(indptr))
        X, more = X[rows, position], {"mz": MZ[position], "indptr": indptr}
    where = {"rows": np.arange(3), "coordinates": np.zeros((3, 3), int)}
    return SpectrumChunk(intensity=X, **where, **more)


def check(step, chunk, move, device):
    # The CPU is asked first: then the modules are told that it is none.
    wanted = step(chunk).intensity
    found = device.get(step(move(chunk)).intensity)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "width", "options"),
    [
        ("snip", Width(4), {}),
        ("snip", Width(9000.0, "ppm"), {"level": "lower", "linear": True}),
        ("tophat", Width(9000.0, "ppm"), {"clip": False, "level": "lower"}),
        ("median", Width(9000.0, "ppm"), {"clip": False}),
        ("local_minima", Width(3), {"level": "lower"}),
        ("noise", Width(3), {"factor": 2.0}),
    ],
)
def test_baselines(name, width, options, chunk, move, device):
    kind = SubtractSnip if name == "snip" else SubtractBaseline
    step = kind(Method(name, width, **options), None if chunk.indptr is None else GRID)
    check(step, chunk, move, device)


def test_one_curve(chunk, move, device):
    check(SubtractCurve(MZ[::9], 30 + MZ[::9] / 50), chunk, move, device)


@pytest.mark.parametrize(
    ("method", "width"),
    [
        ("savgol", Width(5)),
        ("moving_average", Width(9000.0, "ppm")),
        ("gaussian", Width(5000.0, "ppm")),
        ("median", Width(9000.0, "ppm")),
    ],
)
def test_smoothing(method, width, chunk, move, device):
    step = Smooth(method, width, 2, None if chunk.indptr is None else GRID)
    check(step, chunk, move, device)


def test_wide_windows_are_refused(chunk, move):
    step = Smooth("gaussian", Width(5e7, "ppm"), 2, GRID)
    with pytest.raises(ValueError, match="at most 4001 are allowed"):
        step(move(chunk))
