"""A queued step that fails says which step, run and pixel, whatever reads the queue."""

from dataclasses import dataclass

import array_api_strict
import numpy as np
import pytest
from joblib import parallel_config

from imsminer import PeakIntegrator, Spectra, SpectraCache, concatenate
from imsminer.core.cache import cache
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.core.engine import axis_statistics, row_statistics

MZ = np.array([500.0, 500.1, 500.2])


@dataclass(frozen=True)
class Refuse(ChunkKernel):
    """Fails where the first intensity of a spectrum is 13."""

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        for i in range(chunk.n_spectra):
            _, y = chunk.spectrum(i)
            if float(y[0]) == 13:
                message = "no thirteen"
                raise ArithmeticError(message)
        return chunk


@dataclass(frozen=True)
class Twice(ChunkKernel):
    """Works."""

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        return chunk.replace(intensity=2 * chunk.intensity)


def study(form, bad=6.5):
    """Two runs of 70 pixels; one of the second is bad once it is doubled."""
    runs = []
    for name, first in (("healthy", 1.0), ("sick", bad)):
        X = np.ones((70, 3))
        X[40, 0] = first
        y = np.stack([np.arange(70) % 10, np.arange(70) // 10, np.ones(70)], axis=1)
        options = {"coordinates": y.astype(int), "run": name}
        if form == "shared":
            runs.append(Spectra.from_arrays(X, MZ, **options))
        else:
            indptr = np.arange(71) * 3
            mz = np.tile(MZ, 70)
            runs.append(Spectra.from_arrays(X.ravel(), mz, indptr=indptr, **options))
    return concatenate(runs).map(Twice()).map(Refuse()).map(Twice())


def iterate(spectra, n_jobs):
    return list(spectra)


def add_up(spectra, n_jobs):
    return row_statistics(spectra, n_jobs=n_jobs)


def add_along_the_axis(spectra, n_jobs):
    axis = None
    if spectra.mz is None:
        from imsminer import MassAxis

        axis = MassAxis.from_values(MZ)
    return axis_statistics(spectra, axis, n_jobs=n_jobs)


def integrate(spectra, n_jobs):
    integrator = PeakIntegrator(peaks=[500.1], window="ppm", method="sum")
    return integrator.set_params(n_jobs=n_jobs).fit_transform(spectra)


def one(spectra, n_jobs):
    return spectra[110]


def store(spectra, n_jobs):
    return SpectraCache().fit_transform(spectra)


readers = pytest.mark.parametrize(
    "read", [iterate, add_up, add_along_the_axis, integrate, one, store]
)


@readers
@pytest.mark.parametrize("form", ["shared", "ragged"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_step_run_and_pixel_are_named(read, form, n_jobs):
    cache.clear()
    with pytest.raises(ArithmeticError, match="no thirteen") as caught:
        read(study(form), n_jobs)
    assert caught.value.__notes__ == [
        "In the queued step Refuse: run 'sick', pixel x=0, y=4, z=1."
    ]
    # The same without the one pixel: it was the only one.
    cache.clear()
    read(study(form, bad=1.0), n_jobs)


@pytest.mark.parametrize("form", ["shared", "ragged"])
def test_other_processes_tell_it_as_well(form):
    cache.clear()
    with (
        parallel_config("loky", n_jobs=2),
        pytest.raises(ArithmeticError, match="no thirteen") as caught,
    ):
        row_statistics(study(form), n_jobs=2)
    notes = getattr(caught.value, "__notes__", [])
    assert any("Refuse: run 'sick', pixel x=0, y=4, z=1" in note for note in notes)


@pytest.mark.parametrize("form", ["shared", "ragged"])
@pytest.mark.parametrize("max_bytes", [1, 1000, 10**9])
def test_in_another_namespace_and_other_chunks(form, max_bytes):
    spectra = study(form)
    moved = Spectra(spectra.source).to(array_api_strict).map(Twice()).map(Refuse())
    with pytest.raises(ArithmeticError) as caught:
        list(moved.iter_chunks(max_bytes=max_bytes))
    assert caught.value.__notes__ == [
        "In the queued step Refuse: run 'sick', pixel x=0, y=4, z=1."
    ]


def test_selected_rows_keep_their_names():
    spectra = study("shared")[[3, 110, 5]]
    with pytest.raises(ArithmeticError) as caught:
        list(spectra)
    (note,) = caught.value.__notes__
    assert "run 'sick', pixel x=0, y=4, z=1" in note


@dataclass(frozen=True)
class NeedsCompany(ChunkKernel):
    """Fails on many spectra, and on none alone."""

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        if chunk.n_spectra > 1:
            message = "a crowd"
            raise ArithmeticError(message)
        return chunk


def test_a_failure_of_no_single_pixel():
    spectra = Spectra.from_arrays(np.ones((4, 3)), MZ).map(NeedsCompany())
    with pytest.raises(ArithmeticError) as caught:
        list(spectra)
    (note,) = caught.value.__notes__
    assert note == "In the queued step NeedsCompany: run 'run', one of 4 pixels."
