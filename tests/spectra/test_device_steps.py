"""Queued steps on chunks of a GPU: the CPU's results, and nothing comes back for them.

Without a GPU, CuPy's stand-in counts what does.
"""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.core.chunk import SpectrumChunk
from imsminer.spectra._aligning import AlignSpectra
from imsminer.spectra._calibrating import CalibrateSpectra
from imsminer.spectra._kernels import (
    align_cuda,
    align_grid_cuda,
    align_refine_cuda,
    align_warp_cuda,
    calibrate_cuda,
    normalize_cuda,
)
from imsminer.spectra._massmodel import MassModel
from imsminer.spectra.normalize import (
    DivideByMaximum,
    DivideByMedian,
    DivideByRMS,
    DivideByTotal,
)
from imsminer.spectra.normalize_pqn import DivideByQuotient
from imsminer.spectra.normalize_reference import DivideByReference
from imsminer.spectra.normalize_trimmed import DivideByTrimmedTotal

MZ = 500 + 0.01 * np.arange(82.0)
PEAKS = MZ[[10, 30, 52, 72]]


class OnDevice:
    """Runs steps on a device, and checks that nothing comes back from there."""

    def __init__(self, xp, gpu):
        self.xp, self.gpu = xp, gpu

    def put(self, chunk):
        names = ["intensity"] if chunk.indptr is None else ["intensity", "mz", "indptr"]
        moved = {name: self.xp.asarray(getattr(chunk, name)) for name in names}
        return chunk.replace(**moved)

    def get(self, array):
        return array if isinstance(array, np.ndarray) else array.get()

    def run(self, step, chunk):
        moved = self.put(chunk)
        before = None if self.gpu is None else self.gpu.to_host
        found = step(moved)
        if self.gpu is not None:
            assert self.gpu.to_host == before
        assert isinstance(found.intensity, self.xp.ndarray)
        return found


@pytest.fixture
def elsewhere(device, request):
    """A GPU, or the simulator and the arrays that stand in for CuPy's."""
    if device.xp is not np:
        return OnDevice(device.xp, None)
    gpu = request.getfixturevalue("fake_cupy")
    import cupy

    return OnDevice(cupy, gpu)


@pytest.fixture
def used(monkeypatch):
    """Names of the functions of the GPU that were called."""
    names = set()

    def watched(name, function):
        def call(*arguments):
            names.add(name)
            return function(*arguments)

        return call

    for module in (
        align_cuda,
        align_grid_cuda,
        align_refine_cuda,
        align_warp_cuda,
        calibrate_cuda,
        normalize_cuda,
    ):
        for name in module.__all__:
            function = watched(name, getattr(module, name))
            monkeypatch.setattr(module, name, function)
    return names


def chunk(kind, dtype=np.float32):
    """Return three spectra with peaks that are moved, one of them blank."""
    rng = np.random.default_rng(0)
    moved = PEAKS * (1 + 1e-6 * np.array([[8.0], [-5.0], [0.0]]))
    X = 100 * np.exp(-0.5 * ((MZ - moved[:, :, None]) / 0.018) ** 2).sum(axis=1)
    X = (X + rng.gamma(0.5, 0.4, X.shape)).astype(dtype)
    X[2] = 0
    rows = {"rows": np.arange(3), "coordinates": np.zeros((3, 3), np.int64)}
    if kind == "shared":
        return SpectrumChunk(intensity=X, mz=MZ, **rows)
    row, column = np.nonzero(X > 0.2)
    indptr = np.searchsorted(row, np.arange(4)).astype(np.int64)
    return SpectrumChunk(intensity=X[row, column], mz=MZ[column], indptr=indptr, **rows)


def model(**changes):
    """Return a model of errors that is applied to every run."""
    found = MassModel.around(
        PEAKS, ppm=True, tolerance=30.0, max_shift=30.0, min_matches=4, linear=True
    )
    weak = {"applied": np.ones(1, bool), "precision": np.full((1, 2), 1e-3)}
    return dataclasses.replace(found, **(weak | changes))


def bent():
    knots = np.array([-1.0, 0.1, 1.0])
    prior, precision = np.zeros((1, 3)), np.full((1, 3), 1e-3)
    return model(knots=knots, prior=prior, precision=precision)


def calibration():
    c, used = np.array([[3.0, 1.0, -0.5]]), np.ones((1, PEAKS.size), bool)
    return CalibrateSpectra(model(), c, used, pixels=True)


ENDS = np.array([500.05, 500.5]), np.array([500.2, 500.8])
REFINED = np.full(PEAKS.size, 0.042)
STEPS = {
    "align": (lambda: AlignSpectra(model()), "fit_rows"),
    "align refined": (lambda: AlignSpectra(model(fwhm=REFINED)), "refine"),
    "align bent": (lambda: AlignSpectra(bent()), "fit_bent_rows"),
    "calibrate": (calibration, "shift_points resample_rows"),
    "total": (lambda: DivideByTotal(7.0), "divide"),
    "rms": (lambda: DivideByRMS(7.0), "square_sums"),
    "maximum": (lambda: DivideByMaximum(7.0), "maxima"),
    "median": (lambda: DivideByMedian(7.0), "medians"),
    "trimmed": (lambda: DivideByTrimmedTotal(7.0, *ENDS), "divide"),
    "reference": (lambda: DivideByReference(7.0, 500.05, 500.2, 0.0), "divide"),
    "quotient": (
        lambda: DivideByQuotient(1.0, *ENDS, np.array([2.0, 3.0])),
        "medians",
    ),
}
CASES = [
    *((name, "ragged") for name in STEPS),
    *((name, "shared") for name in ("align refined", "calibrate", "total", "trimmed")),
    ("quotient", "shared"),
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_steps_give_what_the_cpu_gives(name, kind, elsewhere, used):
    make, kernel = STEPS[name]
    step, given = make(), chunk(kind)
    expected = step(given)
    assert not used
    found = elsewhere.run(step, given)
    assert any(part in called for part in kernel.split() for called in used)
    assert found.intensity.dtype == expected.intensity.dtype
    atol = 1e-4 * np.abs(expected.intensity).max()
    intensity = elsewhere.get(found.intensity)
    np.testing.assert_allclose(intensity, expected.intensity, rtol=1e-9, atol=atol)
    np.testing.assert_allclose(elsewhere.get(found.mz), expected.mz, rtol=1e-9)
    # The step has done something.
    changed = np.abs(expected.intensity - given.intensity).max()
    assert changed > 0 or np.abs(expected.mz - given.mz).max() > 1e-4


def test_lines_of_a_search(elsewhere, used):
    step, given = AlignSpectra(model(grid=8.0, linear=False)), chunk("ragged")
    expected = step(given)
    found = elsewhere.run(step, given)
    assert "grid_points" in used
    np.testing.assert_allclose(elsewhere.get(found.mz), expected.mz, rtol=1e-7)


def test_centroids_on_a_shared_axis_stay(elsewhere):
    given = chunk("shared").replace(profile=False)
    found = elsewhere.run(AlignSpectra(model()), given)
    np.testing.assert_array_equal(elsewhere.get(found.intensity), given.intensity)
