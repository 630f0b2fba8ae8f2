"""Profiles whose m/z a step moved, added up on the instrument's grid."""

import shutil
from dataclasses import dataclass, replace
from typing import ClassVar

import array_api_strict
import numpy as np
import pytest
import sklearn
from scipy.signal import find_peaks

from imsminer import ImzMLReader, MassAligner, MassCalibrator, concatenate
from imsminer.core._kernels import binning_numba
from imsminer.core.binning import Binner, sample_cells
from imsminer.core.cache import cache
from imsminer.core.chunk import ChunkKernel
from imsminer.core.engine import axis_statistics, block_positions
from imsminer.datasets import make_ims

IONS = np.linspace(605, 695, 16) + np.random.default_rng(0).uniform(-1, 1, 16)


@dataclass(frozen=True)
class Correct(ChunkKernel):
    """Takes a known error in ppm out of each pixel of some runs."""

    moves_mz: ClassVar[bool] = True

    x: np.ndarray
    ppm: np.ndarray
    runs: tuple = ()

    def __call__(self, chunk):
        if self.runs and chunk.run not in self.runs:
            return chunk
        error = np.zeros((self.x.max(axis=0) + 1).tolist())
        error[tuple(self.x.T)] = self.ppm
        each = error[tuple(chunk.coordinates[:, :2].T)]
        sizes = np.diff(np.asarray(chunk.indptr))
        factor = 1 + 1e-6 * np.repeat(each, sizes)
        return chunk.replace(mz=np.asarray(chunk.mz) / factor)


@pytest.fixture(autouse=True)
def _fresh_cache():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(scope="module", params=["profile", "sparse"])
def truth(request, tmp_path_factory):
    """A run with a shift of each pixel; native steps are 7.6 ppm."""
    path = tmp_path_factory.mktemp("moved") / "run.imzML"
    return make_ims(
        path,
        shape=(10, 10),
        mz=IONS,
        mz_range=(600, 700),
        height_spread=0.5,
        isotopes=False,
        noise_free=True,
        mass_shift_ppm=3.0,
        spectrum_type=request.param,
    )


def corrected(truth, runs=()):
    x = truth.coordinates[:, :2]
    return ImzMLReader(truth.path).map(Correct(x, truth.shifts, runs))


def moments(statistics, truth):
    """Return error of the mean's centroids in steps, and widths relative to an ion's.

    Both from moments over 3 FWHM, outside of which a noise-free peak has nothing.
    """
    mz, mean = statistics.mz, statistics.mean
    errors, widths = [], []
    for ion, fwhm in zip(truth.peaks["mz"], truth.peaks["fwhm"], strict=True):
        near = np.abs(mz - ion) < 3 * fwhm
        weight, place = mean[near] / mean[near].sum(), mz[near]
        centre = (weight * place).sum()
        sd = np.sqrt((weight * (place - centre) ** 2).sum())
        errors.append((centre - ion) / np.diff(place).mean())
        widths.append(2.3548 * sd / fwhm)
    return np.array(errors), np.array(widths)


def ion_current(spectra):
    chunks = spectra.iter_chunks()
    return sum(chunk.intensity.sum(dtype=np.float64) for chunk in chunks)


@pytest.mark.parametrize("aligned", [False, True], ids=["known", "aligned"])
def test_corrected_spectra_have_unbiased_peaks(truth, aligned):
    raw, spectra = ImzMLReader(truth.path), corrected(truth)
    if aligned:
        aligner = MassAligner(reference=IONS, model="shift", tolerance=30).fit(raw)
        assert aligner.report_["accepted"].all()
        spectra = aligner.transform(raw)
    axis = sample_cells(spectra)
    found = axis_statistics(spectra, axis)
    assert found.n_dropped == 0
    assert found.total.sum() == pytest.approx(ion_current(raw), rel=1e-9)
    brief = axis_statistics(spectra, axis, full=False).total
    np.testing.assert_allclose(brief, found.total, rtol=1e-12, atol=1e-9)
    errors, widths = moments(found, truth)
    # The aligner's own errors are in it, too.
    assert np.abs(errors).max() < (0.01 if aligned else 0.001)
    # Linear shares add f (1 - f) to the variance, in steps: 1/6 over all places f of a
    # sample between two centres. There are 6 steps to a FWHM.
    expected = np.sqrt(1 + (2.3548 / 6) ** 2 / 6)
    np.testing.assert_allclose(widths, expected, atol=0.01)
    maxima, _ = find_peaks(found.mean, height=1e-3 * found.mean.max())
    assert maxima.size == IONS.size


@pytest.mark.parametrize("ppm", [-2.9, 1.0])
def test_a_common_shift_moves_every_peak(truth, ppm, monkeypatch):
    raw = ImzMLReader(truth.path)
    spectra = raw.map(Correct(truth.coordinates[:, :2], np.full(len(raw), ppm)))
    axis = sample_cells(spectra)
    native = replace(axis_statistics(raw, axis), total=native_sums(raw, axis))
    found = axis_statistics(spectra, axis)
    step = truth.peaks["mz"].to_numpy() / np.interp(IONS, axis.centers, axis.bin_widths)
    expected = moments(native, truth)[0] - 1e-6 * ppm * step
    np.testing.assert_allclose(moments(found, truth)[0], expected, atol=1e-3)
    # Samples whole into the cells that they lie in, 3.8 ppm to each side, do not move.
    monkeypatch.setattr(Binner, "kind", lambda *_: "")
    cache.clear()
    stuck = axis_statistics(spectra, axis)
    errors = moments(stuck, truth)[0] - expected
    np.testing.assert_allclose(errors, 1e-6 * ppm * step, atol=1e-3)
    assert np.abs(errors).min() > 0.1


def test_a_moved_pixel_keeps_its_m_z(truth):
    # One pixel with a constant shift: no averaging over pixels helps.
    spectra = corrected(truth)
    axis = sample_cells(spectra)
    for row in (0, 17, 81):
        one = axis_statistics(spectra[[row]], axis)
        mz, intensity = (np.asarray(part, np.float64) for part in spectra[row])
        step = np.interp(650.0, axis.centers, axis.bin_widths)
        away = (one.total * (one.mz - 650.0)).sum() - (intensity * (mz - 650.0)).sum()
        assert abs(away) < 1e-6 * step * intensity.sum()


def test_results_do_not_depend_on_the_way_of_reading(truth, monkeypatch):
    spectra = corrected(truth)
    axis = sample_cells(spectra)
    whole = axis_statistics(spectra, axis)
    results = []
    cache.clear()
    with sklearn.config_context(working_memory=0.02):
        assert len(list(spectra.iter_chunks())) > 8
        results.append(axis_statistics(spectra, axis))
    cache.clear()
    order = np.random.default_rng(2).permutation(len(spectra))
    results.append(axis_statistics(spectra[order], axis))
    cache.clear()
    results.append(axis_statistics(spectra, axis, n_jobs=2))
    for other in results:
        np.testing.assert_allclose(other.total, whole.total, rtol=1e-12)
        np.testing.assert_allclose(other.squares, whole.squares, rtol=1e-12)
        np.testing.assert_array_equal(other.maximum, whole.maximum)
        np.testing.assert_array_equal(other.count, whole.count)


@pytest.mark.parametrize("aligned", [False, True])
def test_other_array_libraries_agree(truth, aligned):
    spectra = corrected(truth)[:6]
    axis = sample_cells(spectra)
    numpy = axis_statistics(spectra, axis)
    x, raw = truth.coordinates[:, :2], ImzMLReader(truth.path)[:6]
    if aligned:
        aligner = MassAligner(reference=IONS, model="shift", tolerance=30).fit(raw)
        numpy = axis_statistics(aligner.transform(raw), axis)
        moved = aligner.transform(raw.to(array_api_strict))
    else:
        moved = raw.map(Correct(x, truth.shifts)).to(array_api_strict)
    strict = axis_statistics(moved, axis)
    scale = 1e-9 * numpy.total.max()
    np.testing.assert_allclose(strict.total, numpy.total, rtol=1e-9, atol=scale)
    np.testing.assert_allclose(strict.maximum, numpy.maximum, rtol=1e-9, atol=scale)
    brief = axis_statistics(moved, axis, full=False).total
    np.testing.assert_allclose(brief, numpy.total, rtol=1e-9, atol=scale)


def native_sums(spectra, axis):
    """Sum the points of spectra, each whole into the cell that it lies in."""
    guide, total = binning_numba.build_guide(axis.edges), np.zeros(axis.n_bins)
    for chunk in spectra.iter_chunks():
        points = chunk.mz, chunk.intensity, chunk.indptr
        binning_numba.sum_points(*points, guide, axis.edges, total)
    return total


@pytest.fixture
def study(truth, tmp_path):
    """Two runs of one instrument: a file and its copy."""
    for end in (".imzML", ".ibd"):
        shutil.copyfile(truth.path.with_suffix(end), tmp_path / f"other{end}")
    return concatenate([ImzMLReader(truth.path), ImzMLReader(tmp_path / "other.imzML")])


def test_runs_that_no_step_moves_stay_in_their_cells_to_the_bit(truth, study):
    name = str(study.runs.index[0])
    spectra = study.map(Correct(truth.coordinates[:, :2], truth.shifts, (name,)))
    flags = {(chunk.run, chunk.moved) for chunk in spectra.iter_chunks()}
    assert flags == {(name, True), (str(study.runs.index[1]), False)}
    axis = sample_cells(spectra)
    half = len(study) // 2
    resting, moved = spectra[half:], spectra[:half]
    # Passes add up block by block.
    expected = np.zeros(axis.n_bins)
    for positions in block_positions(resting):
        expected += native_sums(resting[positions], axis)
    found = axis_statistics(resting, axis, full=False).total
    np.testing.assert_array_equal(found, expected)
    other = axis_statistics(moved, axis, full=False).total
    both = axis_statistics(spectra, axis, full=False).total
    np.testing.assert_allclose(both, found + other, rtol=1e-12)
    assert np.abs(other - native_sums(moved, axis)).max() > 0.01 * other.max()


def test_a_grid_that_moves_along_keeps_its_samples(truth):
    # The calibration of one run moves the grid and the samples alike.
    raw = ImzMLReader(truth.path)
    masses = IONS / (1 + 2e-6)
    calibrator = MassCalibrator(masses, degree=0, tolerance=30, guard=False).fit(raw)
    moved = calibrator.transform(raw)
    assert not any(chunk.moved for chunk in moved.iter_chunks())
    before, after = sample_cells(raw), sample_cells(moved)
    expected = axis_statistics(raw, before, full=False).total
    found = axis_statistics(moved, after, full=False).total
    np.testing.assert_array_equal(found[found > 0], expected[expected > 0])
    # Pixels with lines of their own leave it.
    aligner = MassAligner(reference=masses, model="shift", tolerance=30).fit(moved)
    assert all(chunk.moved for chunk in aligner.transform(moved).iter_chunks())


def test_saved_spectra_off_any_grid_are_shared_too(truth, tmp_path):
    saved = corrected(truth).persist(tmp_path / "saved")
    axis = sample_cells(saved)
    assert "power" in repr(axis)
    found = axis_statistics(saved, axis)
    assert found.total.sum() == pytest.approx(ion_current(saved), rel=1e-9)
    errors, _ = moments(found, truth)
    assert np.abs(errors).max() < 0.005


def test_calibrated_kidney_moves_by_what_it_should(kidney_path, tmp_path):
    # All masses of two runs are 1 ppm too high, a quarter of the native step.
    for name in ("a", "b"):
        for end in (".imzML", ".ibd"):
            target = tmp_path / f"{name}{end}"
            shutil.copyfile(kidney_path.with_suffix(end), target)
    raw = ImzMLReader([tmp_path / "a.imzML", tmp_path / "b.imzML"])
    before = axis_statistics(raw, sample_cells(raw), full=False)
    peaks, _ = find_peaks(before.mean, height=0.02 * before.mean.max(), distance=12)
    guess = before.mz[peaks]
    finder = MassCalibrator(guess, degree=0, tolerance=10, guard=False).fit(raw)
    used = finder.report_[finder.report_["used"]].drop_duplicates("reference_mz")
    masses = used["measured_mz"].to_numpy()
    assert masses.size > 20
    calibrator = MassCalibrator(masses / (1 + 1e-6), degree=0, tolerance=10).fit(raw)
    np.testing.assert_allclose(calibrator.mass_error(800.0), 1.0, atol=1e-3)
    moved = calibrator.transform(raw)
    axis = sample_cells(moved)
    after = axis_statistics(moved, axis, full=False)
    assert after.total.sum() == pytest.approx(before.total.sum(), rel=1e-9)
    error = centroids(after, masses / (1 + 1e-6)) / centroids(before, masses) - 1
    left = 1e6 * error + 1.0
    assert abs(np.median(left)) < 0.1
    assert np.quantile(np.abs(left), 0.9) < 0.2
    # Samples whole into the cells that they lie in do not move at all.
    stuck = replace(after, total=native_sums(moved, axis))
    np.testing.assert_allclose(
        centroids(stuck, masses), centroids(before, masses), rtol=1e-9
    )


def centroids(statistics, guesses):
    """Return Gaussian-weighted centroids, which have no threshold to jump over."""
    mz, total, found = statistics.mz, statistics.total, []
    for guess in guesses:
        x, sd = guess, guess * 10e-6
        for _ in range(200):
            j = np.searchsorted(mz, x)
            near = slice(j - 40, j + 41)
            weight = total[near] * np.exp(-0.5 * ((mz[near] - x) / sd) ** 2)
            x = (weight * mz[near]).sum() / weight.sum()
        found.append(x)
    return np.array(found)
