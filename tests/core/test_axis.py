"""MassAxis: bins follow their rule; estimates find what the data were made with."""

import pickle
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from scipy.signal import find_peaks

from imsminer.core._grid import sample_spectra
from imsminer.core._kernels import binning_numba, binning_spread_numba
from imsminer.core.axis import MassAxis, estimate_grid
from imsminer.core.chunk import ChunkKernel
from imsminer.core.engine import axis_statistics
from imsminer.core.spectra import Spectra
from imsminer.core.study import concatenate

# Each rule and the bin width that it promises at an m/z.
RULES = [
    (MassAxis.even(0.004), lambda m: 0.004),
    (MassAxis.ppm(8), lambda m: 8e-6 * m),
    (MassAxis.resolving_power(4e4, 400), lambda m: m / 4e4 / 4),
    (
        MassAxis.resolving_power(4e4, 400, "axial_tof", 3),
        lambda m: 0.01 * np.sqrt(m / 400) / 3,
    ),
    (
        MassAxis.resolving_power(1e5, 200, "orbitrap", 5),
        lambda m: 0.002 * (m / 200) ** 1.5 / 5,
    ),
    (
        MassAxis.resolving_power(2e5, 400, "fticr", 2),
        lambda m: 0.002 * (m / 400) ** 2 / 2,
    ),
    (MassAxis.resolving_power(2e4, 500, "constant", 2), lambda m: 0.0125),
    (MassAxis.regression(5000, 20), lambda m: m / (5000 + 20 * m) / 4),
    (MassAxis.regression(60000, -20, 3), lambda m: m / (60000 - 20 * m) / 3),
]
IDS = [repr(axis) for axis, _ in RULES]


@pytest.mark.parametrize(("axis", "width"), RULES, ids=IDS)
def test_bins_follow_the_rule(axis, width):
    assert not axis.is_resolved
    bins = axis.resolve(150, 1800)
    edges, centers = bins.edges, bins.centers
    assert bins.is_resolved
    assert edges.dtype == centers.dtype == np.float64
    assert edges.shape == (bins.n_bins + 1,) == (centers.size + 1,)
    assert edges[0] < 150 - width(150) / 2
    assert edges[-1] > 1800 + width(1800) / 2
    assert edges[3] > 150
    assert edges[-4] < 1800
    np.testing.assert_allclose(bins.bin_widths, width(centers), rtol=1e-6)
    # Labels are the middles of the same bins.
    middle = 0.5 * (edges[1:] + edges[:-1])
    np.testing.assert_allclose(centers - edges[:-1], middle - edges[:-1], rtol=1e-4)


@pytest.mark.parametrize(("axis", "width"), RULES, ids=IDS)
def test_bins_stay_where_they_are_for_another_range(axis, width):
    wide, narrow = axis.resolve(150, 1800).edges, axis.resolve(777, 888).edges
    start = np.searchsorted(wide, narrow[0] - width(777) / 2)
    np.testing.assert_allclose(wide[start : start + narrow.size], narrow, rtol=1e-12)


def test_even_width_of_a_resolving_power():
    # The paper's even binning: width = m_ref / (R · factor).
    paper = MassAxis.resolving_power(15000, 760, "constant", 4).resolve(600, 900)
    even = MassAxis.even(760 / (15000 * 4)).resolve(600, 900)
    np.testing.assert_allclose(paper.edges, even.edges, rtol=1e-14)


def test_from_values():
    mz = np.array([100.0, 101.0, 103.0])
    axis = MassAxis.from_values(mz)
    assert axis.edges.tolist() == [99.5, 100.5, 102.0, 104.0]
    assert axis.centers.tolist() == mz.tolist()
    assert axis.resolve(1, 2000) is axis
    mz[0] = 5
    assert axis.centers[0] == 100
    with pytest.raises(ValueError, match="read-only"):
        axis.edges[0] = 1


def test_equality_and_pickling():
    axes = [axis for axis, _ in RULES] + [axis.resolve(200, 300) for axis, _ in RULES]
    axes.append(MassAxis.from_values([1.0, 2, 4]))
    assert len(set(axes)) == len(axes)
    for axis in axes:
        again = pickle.loads(pickle.dumps(axis))
        assert again == axis
        assert hash(again) == hash(axis)
        assert repr(again) == repr(axis)
        if axis.is_resolved:
            assert not again.edges.flags.writeable
    assert MassAxis.even(0.1) == MassAxis.even(0.1) != MassAxis.even(0.2)
    assert MassAxis.even(0.1) != 0.1


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: MassAxis.even(0), "step must be positive"),
        (lambda: MassAxis.even("1"), "step must be a number, got '1'"),
        (lambda: MassAxis.even(np.nan), "step must be a number"),
        (lambda: MassAxis.ppm(-2), "width must be positive"),
        (lambda: MassAxis.resolving_power(0, 400), "r must be positive"),
        (lambda: MassAxis.resolving_power(1e4, True), "at_mz must be a number"),
        (lambda: MassAxis.resolving_power(1e4, 4, "quadrupole"), "law must be one of"),
        (
            lambda: MassAxis.resolving_power(1e4, 4, bins_per_fwhm=-1),
            "bins_per_fwhm must be positive",
        ),
        (lambda: MassAxis.regression(-1, 0), "must be positive somewhere"),
        (
            lambda: MassAxis.regression(1000, -2).resolve(400, 600),
            "not positive between m/z 400 and 600",
        ),
        (lambda: MassAxis.from_values([1.0]), "at least 2"),
        (lambda: MassAxis.from_values([1.0, 1.0]), "strictly increasing"),
        (lambda: MassAxis.from_values([1.0, np.nan]), "finite"),
        (lambda: MassAxis.even(1).resolve(5, 4), "low must not exceed high"),
        (lambda: MassAxis.even(1).resolve(0, 4), "low must be positive"),
        (lambda: MassAxis.ppm(1e-3).resolve(100, 2000), "at most 50,000,000"),
    ],
)
def test_bad_parameters(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_a_rule_has_no_bins():
    with pytest.raises(AttributeError, match="call resolve"):
        MassAxis.ppm(5).edges


# Estimation ----------------------------------------------------------------------

#: Grids of n points between m/z 300 and 1300 as instruments make them.
GRIDS = {
    "tof": np.linspace(np.sqrt(300), np.sqrt(1300), 60001) ** 2,
    "calibrated tof": (17.32 + 18.7 * (k := np.linspace(0, 1, 60001)) + 0.03 * k**2)
    ** 2,
    "orbitrap": np.linspace(1 / np.sqrt(300), 1 / np.sqrt(1300), 60001) ** -2,
    "icr": 1 / np.linspace(1 / 300, 1 / 1300, 60001),
    "even": np.linspace(300, 1300, 60001),
    "log": np.geomspace(300, 1300, 60001),
}


def thresholded(grid, n_pixels=12, shift_ppm=0.0, seed=0):
    """Profile spectra of 80 peaks on a grid, without the points below a threshold."""
    rng = np.random.default_rng(seed)
    peaks = np.sort(rng.uniform(305, 1295, 80))
    sigma = 2 * np.interp(peaks, grid[:-1], np.diff(grid))
    profile = np.zeros(grid.size)
    for peak, width in zip(peaks, sigma, strict=True):
        near = slice(*np.searchsorted(grid, [peak - 6 * width, peak + 6 * width]))
        profile[near] += np.exp(-0.5 * ((grid[near] - peak) / width) ** 2)
    mz, intensity, indptr = [], [], [0]
    for _ in range(n_pixels):
        y = 1000 * profile * rng.uniform(0.5, 2) + rng.exponential(8, grid.size)
        y[[0, -1]] = 1e3
        keep = y > 40
        mz.append(grid[keep] * (1 + rng.normal(0, 1) * shift_ppm * 1e-6))
        intensity.append(y[keep].astype(np.float32))
        indptr.append(indptr[-1] + keep.sum())
    return Spectra.from_arrays(
        np.concatenate(intensity), np.concatenate(mz), indptr=np.array(indptr)
    )


def rounded(spectra):
    mz, intensity, indptr, _ = spectra.source.read(slice(0, len(spectra)))
    mz = mz.astype(np.float32).astype(np.float64)
    return Spectra.from_arrays(intensity, mz, indptr=indptr)


@pytest.mark.parametrize("law", GRIDS)
@pytest.mark.parametrize("as_float32", [False, True])
def test_native_grid_is_recovered(law, as_float32):
    grid = GRIDS[law]
    spectra = thresholded(grid)
    axis = estimate_grid(rounded(spectra) if as_float32 else spectra)
    # One bin more at each end.
    assert axis.n_bins == grid.size + 2
    error = np.abs(axis.centers[1:-1] - grid) / np.gradient(grid)
    assert error.max() < (0.1 if as_float32 else 0.01)
    assert MassAxis.estimate(spectra).n_bins == grid.size + 2


@pytest.mark.parametrize("law", ["tof", "orbitrap", "icr"])
def test_no_grid_where_pixels_are_shifted(law):
    grid = GRIDS[law]
    spectra = thresholded(grid, shift_ppm=20)
    assert estimate_grid(spectra) is None
    axis = MassAxis.estimate(spectra)
    spacing = np.interp(axis.centers, grid, np.gradient(grid))
    np.testing.assert_allclose(axis.bin_widths[5:-5], spacing[5:-5], rtol=0.03)


def test_shifts_by_a_small_part_of_the_step_are_no_grid():
    # As in a conformance file: 100, 200, …; 101, 201, …; 102, 202, …
    mz = np.arange(100.0, 600, 100) + np.arange(6)[:, None]
    indptr = np.arange(7) * 5
    assert (
        estimate_grid(Spectra.from_arrays(mz.ravel(), mz.ravel(), indptr=indptr))
        is None
    )


def test_no_grid_in_random_points_or_few():
    rng = np.random.default_rng(0)
    mz = np.sort(rng.uniform(300, 1300, (5, 4000)), axis=1).ravel()
    indptr = np.arange(6) * 4000
    assert estimate_grid(Spectra.from_arrays(mz, mz, indptr=indptr)) is None
    few = Spectra.from_arrays(np.ones(3), [5.0, 6, 8], indptr=[0, 3])
    assert estimate_grid(few) is None
    assert MassAxis.estimate(few).edges[0] < 5
    one = Spectra.from_arrays(np.ones(2), [500.0, 500], indptr=[0, 1, 2])
    assert MassAxis.estimate(one).n_bins == 1
    nothing = Spectra.from_arrays(np.empty(0), np.empty(0), indptr=[0, 0, 0])
    assert estimate_grid(nothing) is None
    with pytest.raises(ValueError, match="hold no point"):
        MassAxis.estimate(nothing)


def test_shared_axis_is_taken():
    mz = np.array([100.0, 100.3, 101.0])
    spectra = Spectra.from_arrays(np.ones((2, 3)), mz)
    assert MassAxis.estimate(spectra) == MassAxis.from_values(mz)
    assert estimate_grid(spectra) == MassAxis.from_values(mz)


def test_spectra_that_repeat_one_irregular_axis_give_it():
    mz = np.sort(np.random.default_rng(0).uniform(300, 1300, 500))
    flat = np.ones(1500), np.tile(mz, 3)
    spectra = Spectra.from_arrays(*flat, indptr=np.arange(4) * 500)
    assert estimate_grid(spectra) == MassAxis.from_values(mz)
    # One pixel that reaches further shows that it is not the axis of all.
    flat = np.ones(1501), np.append(np.tile(mz, 3), 1301)
    spectra = Spectra.from_arrays(*flat, indptr=np.array([0, 500, 1000, 1501]))
    assert estimate_grid(spectra) is None


def test_rows_do_not_matter_and_ten_spectra_are_read():
    spectra = thresholded(GRIDS["tof"], n_pixels=40)
    axis = MassAxis.estimate(spectra)
    assert MassAxis.estimate(spectra[30:]) == axis
    source = spectra.source
    assert len(sample_spectra(source)) == 10
    # Three runs share the ten; of more than ten runs, each of ten gives one.
    few = [thresholded(GRIDS["tof"], n_pixels=n) for n in (3, 5)]
    study = concatenate([spectra, *few])
    assert len(sample_spectra(study.source)) == 10
    many = concatenate(few * 15)
    assert len(sample_spectra(many.source)) == 10


def centroids(power, ppm, n_pixels=30, n_noise=100, seed=0):
    rng = np.random.default_rng(seed)
    ions = np.sort(rng.uniform(300, 1200, 200))
    height = np.exp(rng.normal(5, 1, 200))
    sd = ppm * 1e-6 * 600 * (ions / 600) ** power
    mz, intensity = [], []
    for _ in range(n_pixels):
        noise = rng.uniform(300, 1200, n_noise)
        m = np.concatenate([rng.normal(ions, sd), noise])
        order = np.argsort(m)
        mz.append(m[order])
        y = height * rng.lognormal(0, 0.4, 200)
        intensity.append(np.concatenate([y, rng.exponential(12, n_noise)])[order])
    indptr = np.arange(n_pixels + 1) * mz[0].size
    flat = np.concatenate(intensity), np.concatenate(mz)
    return Spectra.from_arrays(*flat, indptr=indptr, profile=False)


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("ppm", [3.0, 15.0])
def test_bins_of_centroids_are_a_third_of_their_scatter(power, ppm):
    spectra = centroids(power, ppm)
    assert estimate_grid(spectra) is None
    axis = MassAxis.estimate(spectra)
    fwhm = 2.3548 * ppm * 1e-6 * 600 * (axis.centers / 600) ** power
    np.testing.assert_allclose(axis.bin_widths, fwhm / 3, rtol=0.25)


def test_bins_of_centroids_without_scatter_or_company():
    still = MassAxis.estimate(centroids(1.0, 1e-6))
    np.testing.assert_allclose(still.bin_widths / still.centers, 1e-6, rtol=1e-3)
    alone = MassAxis.estimate(centroids(1.0, 5.0, n_pixels=1))
    np.testing.assert_allclose(alone.bin_widths / alone.centers, 5e-6, rtol=1e-3)


# The kidney ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def kidney(shared_data):
    from pyimzml.ImzMLParser import ImzMLParser

    path = shared_data / "kidney" / "timstof_tdf_kidney_neg_sumIM_19x18.imzML"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parser = ImzMLParser(str(path))
    with parser.m:
        parts = [parser.getspectrum(i) for i in range(len(parser.coordinates))]
    mz, intensity = (np.concatenate(part) for part in zip(*parts, strict=True))
    indptr = np.cumsum([0] + [len(part[0]) for part in parts])
    return Spectra.from_arrays(intensity, mz, indptr=indptr)


@pytest.mark.shared
def test_grid_of_the_kidney(kidney):
    axis = MassAxis.estimate(kidney)
    mz = np.unique(kidney.source.read(slice(0, len(kidney)))[0])
    bins = np.searchsorted(axis.edges, mz, side="right") - 1
    assert bins[-1] - bins[0] + 1 == 339_734
    assert axis.n_bins - 339_734 <= 2
    ppm = (axis.centers[bins] - mz) / mz * 1e6
    assert np.abs(ppm).max() < 3e-5
    assert np.unique(bins).size == mz.size


@pytest.mark.shared
@pytest.mark.parametrize(
    "axis",
    [
        MassAxis.even(0.001),
        MassAxis.even(0.002),
        MassAxis.even(0.003),
        MassAxis.even(0.006),
        MassAxis.ppm(1),
        MassAxis.ppm(2),
        MassAxis.ppm(5),
        MassAxis.ppm(7),
        MassAxis.resolving_power(50000, 800, "tof", 4),
    ],
    ids=repr,
)
@pytest.mark.parametrize("window", [(700, 920), (401, 2190)])
def test_maxima_of_the_kidney_do_not_depend_on_the_axis(kidney, axis, window):
    # Bins share a sample's counts, so the threshold of 500 counts in a cell of the
    # grid becomes 500 counts times the bin's width over the cell's. The peaks are
    # 0.0156 wide (R = 50,000): at exactly half of that, the averaging inside the bin
    # alone takes 11 to 13 % of the maxima, which are 1 to 2 cells of noise.
    grid = estimate_grid(kidney)
    mz, intensity, indptr, _ = kidney.source.read(slice(0, len(kidney)))
    guide = binning_numba.build_guide(grid.edges)
    native = np.zeros(grid.n_bins)
    binning_numba.sum_points(mz, intensity, indptr, guide, grid.edges, native)
    bins = axis.resolve(*window)
    total = np.zeros(bins.n_bins)
    inside = (mz > bins.edges[0]) & (mz < bins.edges[-1])
    binning_spread_numba.spread_sum_points(
        *(mz, intensity, guide, grid.edges),
        *(binning_numba.build_guide(bins.edges), bins.edges, total),
    )
    kept = intensity[inside].sum(dtype=np.float64)
    assert total.sum() == pytest.approx(kept, rel=1e-9)

    def count(mean, centers, threshold):
        peaks, _ = find_peaks(mean / len(kidney), height=threshold)
        place = centers[peaks]
        return np.count_nonzero((place > window[0]) & (place < window[1]))

    cell = np.interp(bins.centers, grid.centers, grid.bin_widths)
    expected = count(native, grid.centers, 500)
    found = count(total, bins.centers, 500 * bins.bin_widths / cell)
    assert expected == {700: 169, 401: 327}[window[0]]
    assert found == pytest.approx(expected, rel=0.1)


@dataclass(frozen=True)
class _Move(ChunkKernel):
    """A step that moves the m/z of ragged spectra."""

    moves_mz: ClassVar[bool] = True

    def __call__(self, chunk):
        return chunk.replace(mz=chunk.mz * (1 + 50e-6))


def test_an_estimated_axis_leaves_room_for_steps_that_move_mz():
    mz = np.tile(np.arange(500.0, 501.0, 0.01), 3)
    spectra = Spectra.from_arrays(
        np.ones(mz.size), mz=mz, indptr=[0, 100, 200, 300], profile=True
    )
    moved = spectra.map(_Move())
    for profile in (spectra, moved):
        found = axis_statistics(profile, MassAxis.estimate(profile))
        assert found.n_dropped == 0
        assert found.total.sum() == pytest.approx(300)


@pytest.mark.parametrize("n_spectra", [1, 5, 40])
@pytest.mark.parametrize("n_points", [2, 3, 5, 12])
def test_estimate_of_a_few_points(n_spectra, n_points):
    random = np.random.default_rng(1)
    mz = np.sort(random.uniform(100, 1000, (n_spectra, n_points)), axis=1).ravel()
    indptr = np.arange(n_spectra + 1) * n_points
    spectra = Spectra.from_arrays(np.ones(mz.size), mz, indptr=indptr)
    edges = MassAxis.estimate(spectra).edges
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= mz.min() < mz.max() < edges[-1]
