"""The true list: what can be told apart, what it is worth, and how lists compare."""

import pickle

import numpy as np
import pytest

from imsminer import ImzMLReader
from imsminer.datasets import make_ims

FWHM = 0.035  # at m/z 700, resolving power 20,000


def pair(tmp_path, distance, heights=(1.0, 1.0)):
    mz = [700.0, 700.0 + distance * FWHM]
    rows = np.tile(np.asarray(heights), (4, 1))
    rows[1] *= 3
    return make_ims(
        tmp_path / f"{distance}.imzML",
        distributions=rows,
        coordinates=[(1, 1), (2, 1), (1, 2), (2, 2)],
        mz=mz,
        at_mz=700,
        mz_range=(690, 710),
        isotopes=False,
        noise_free=True,
    )


@pytest.mark.parametrize(
    ("distance", "n_entries"), [(0.4, 1), (0.8, 1), (0.95, 1), (1.2, 2), (3, 2)]
)
def test_merged_below_one_fwhm(tmp_path, distance, n_entries):
    truth = pair(tmp_path, distance)
    table = truth.true_list()
    assert len(table) == n_entries
    assert table["n_ions"].sum() == 2
    areas = truth.true_areas()
    np.testing.assert_allclose(areas.sum(axis=1), truth.areas.sum(axis=1))
    if n_entries == 1 and distance < 0.8:
        # One maximum half-way.
        assert table["mz"].item() == pytest.approx(700 + distance * FWHM / 2, abs=1e-4)
        single = truth.peaks["height"].iloc[0]
        offset = distance / 2 * 2.35482
        assert table["height"].item() == pytest.approx(
            2 * single * np.exp(-0.5 * offset**2), rel=1e-3
        )
    if distance == 3:
        np.testing.assert_allclose(table["mz"], truth.peaks["mz"], atol=1e-6)
        np.testing.assert_allclose(table["height"], truth.peaks["height"], rtol=1e-4)


def test_shoulder_belongs_to_its_neighbour(tmp_path):
    truth = pair(tmp_path, 1.2, heights=(1.0, 0.01))
    assert truth.true_list()["n_ions"].tolist() == [2]
    np.testing.assert_allclose(truth.true_areas()[:, 0], truth.areas.sum(axis=1))


def test_maxima_are_those_of_the_mean_profile(tmp_path):
    truth = make_ims(tmp_path / "a.imzML", shape=(8, 8), spectrum_type="sparse")
    table = truth.true_list()
    profile = truth.noise_free_mean
    inner = profile[1:-1]
    top = np.flatnonzero((inner > profile[:-2]) & (inner >= profile[2:])) + 1
    top = top[profile[top] > 1e-6 * profile.max()]
    found = truth.axis[top]
    nearest = np.abs(found[:, np.newaxis] - table["mz"].to_numpy()).min(axis=1)
    # On the coarse grid maxima that are close may differ; nearly all agree.
    assert np.mean(nearest < 0.6 * truth.analyser.spacing(found)) > 0.97
    assert (np.diff(table["mz"]) >= truth.analyser.fwhm(table["mz"][1:]) * 0.999).all()
    assert table["n_ions"].sum() == len(truth.peaks)


def test_shifts_broaden_the_mean(tmp_path):
    options = {"shape": (12, 12), "mz": [700.0], "isotopes": False, "noise_free": True}
    options["mz_range"] = (690, 710)
    still = make_ims(tmp_path / "a.imzML", **options)
    moved = make_ims(tmp_path / "b.imzML", mass_shift_ppm=20, **options)
    sigma = FWHM / 2.35482
    broad = np.hypot(sigma, 20e-6 * 700)
    ratio = moved.true_list()["height"].item() / still.true_list()["height"].item()
    assert ratio == pytest.approx(sigma / broad, rel=0.15)


def test_score(tmp_path):
    truth = make_ims(
        tmp_path / "a.imzML", shape=(4, 4), mz=[500.0, 700.0, 900.0], isotopes=False
    )
    perfect = truth.score(truth.true_list()["mz"])
    assert perfect["recall"] == perfect["precision"] == 1
    assert perfect["n_doubled"] == 0
    # One found at 0.4 FWHM, one found twice, one missed, one that is nothing.
    score = truth.score([500.0 + 0.4 * 0.025, 700.0, 700.005, 800.0])
    assert score["recall"] == pytest.approx(2 / 3)
    assert score["precision"] == 0.5
    assert score["n_doubled"] == 1
    assert score["n_found"] == 4
    # Just beyond half a FWHM.
    assert truth.score([500.0 + 0.52 * 0.025])["n_matched"] == 0
    assert np.isnan(truth.score([])["precision"])
    assert truth.score([])["recall"] == 0


def test_recall_counts_from_a_level_on(tmp_path):
    truth = make_ims(tmp_path / "a.imzML", shape=(6, 6), n_peaks=60, snr=3)
    strong = truth.true_list(min_snr=50)
    score = truth.score(strong["mz"], min_snr=50)
    assert score["recall"] == score["precision"] == 1
    assert score["n_true"] == len(strong) < len(truth.true_list())


def test_truth_pickles(tmp_path):
    truth = make_ims(tmp_path / "a.imzML", shape=(3, 3), n_peaks=4)
    copy = pickle.loads(pickle.dumps(truth))
    assert copy.true_list().equals(truth.true_list())
    assert np.array_equal(copy.areas, truth.areas)


@pytest.mark.parametrize("analyser", ["tof", "fticr"])
def test_snr_of_centroids_is_what_is_stored(tmp_path, analyser):
    """The apex in S/N is what the file's centroids of weak ions add up to."""
    ions = np.linspace(505.0, 555.0, 40)
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(40, 40),
        mz=ions,
        mz_range=(500.0, 560.0),
        analyser=analyser,
        resolving_power=20_000,
        isotopes=False,
        spectrum_type="centroid",
        height=1.5,
        height_spread=0.3,
        chemical_noise=2.0,
    )
    total = np.zeros(ions.size)
    for mz, intensity in ImzMLReader(truth.path):
        near = np.abs(mz - ions[:, np.newaxis]) < 2 * truth.analyser.fwhm(550.0)
        total += near @ intensity.astype(np.float64)
    sd = np.interp(ions, truth.axis, truth.noise_sd)
    found = total / truth.n_pixels
    # The noise's own centroids within the window.
    expected = truth.peaks["snr"] * sd + 4 * np.interp(
        ions, truth.axis, truth.background
    )
    assert found.sum() == pytest.approx(expected.sum(), rel=0.08)
    assert np.corrcoef(found, expected)[0, 1] > 0.95


@pytest.mark.parametrize("n_pixels", [16, 4096])
def test_noise_of_centroids_is_one_centroid_at_least(tmp_path, n_pixels):
    rows = np.ones((n_pixels, 1))
    truth = make_ims(
        tmp_path / "a.imzML",
        distributions=rows,
        coordinates=np.column_stack([np.arange(n_pixels) + 1, np.ones(n_pixels)]),
        mz=[700.0],
        isotopes=False,
        spectrum_type="centroid",
        threshold=5.0,
        chemical_noise=100.0,
        chemical_height=10.0,
    )
    # Exponential heights above the threshold have a mean square of 5² + 2 · 5 · 10 + 2
    # · 10², and a share exp(-0.5) of them is there.
    one = np.sqrt(25 + 100 + 200) / n_pixels
    number = 100 * np.exp(-0.5) / 600 * truth.analyser.fwhm(truth.axis) * n_pixels
    np.testing.assert_allclose(
        truth.noise_sd, one * np.sqrt(np.maximum(number, 1.0)), rtol=1e-9
    )
    assert (number.max() < 1) == (n_pixels == 16)
