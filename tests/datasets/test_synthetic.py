"""Simulated runs hold what their truth says; files are read back with pyimzML."""

import hashlib
import warnings

import numpy as np
import pytest

from imsminer.datasets import make_ims

SMALL = {"shape": (6, 5), "n_peaks": 20, "mz_range": (700.0, 760.0)}


def read(path):
    from pyimzml.ImzMLParser import ImzMLParser

    with ImzMLParser(str(path)) as parser, warnings.catch_warnings():
        return [parser.getspectrum(i) for i in range(len(parser.coordinates))]


def dense(truth):
    """All intensities on the native grid, zeros where nothing is stored."""
    out = np.zeros((truth.n_pixels, truth.axis.size))
    for i, (mz, intensity) in enumerate(read(truth.path)):
        out[i, np.searchsorted(truth.axis, mz)] = intensity
    return out


def digest(path):
    return [
        hashlib.sha256(p.read_bytes()).hexdigest()
        for p in (path, path.with_suffix(".ibd"))
    ]


@pytest.mark.parametrize("analyser", ["tof", "orbitrap", "fticr", "even"])
def test_areas_are_analytic(tmp_path, analyser):
    truth = make_ims(
        tmp_path / "a.imzML",
        analyser=analyser,
        isotopes=False,
        noise_free=True,
        dtype="float64",
        **SMALL,
    )
    mz, spectra = truth.axis, dense(truth)
    width = np.gradient(mz)
    for j, ion in truth.peaks.iterrows():
        near = np.abs(mz - ion["mz"]) < 2 * ion["fwhm"]
        area = spectra[:, near] @ width[near]
        np.testing.assert_allclose(area, truth.areas[:, j], rtol=2e-4)
    # Each ion as wide as it should be: the second moment of its profile.
    heaviest = truth.peaks.iloc[truth.peaks["height"].argmax()]
    near = np.abs(mz - heaviest["mz"]) < 2 * heaviest["fwhm"]
    profile = spectra[:, near].sum(axis=0) * width[near]
    offset = mz[near] - heaviest["mz"]
    sigma = np.sqrt(profile @ offset**2 / profile.sum())
    assert sigma == pytest.approx(heaviest["fwhm"] / 2.35482, rel=2e-3)


@pytest.mark.parametrize(
    ("analyser", "width_power", "step_power"),
    [("tof", 1, 0.5), ("orbitrap", 1.5, 1.5), ("fticr", 2, 2), ("even", 0, 0)],
)
def test_laws_of_analysers(tmp_path, analyser, width_power, step_power):
    truth = make_ims(
        tmp_path / "a.imzML",
        analyser=analyser,
        shape=(2, 2),
        n_peaks=40,
        mz_range=(400, 800),
        resolving_power=5000,
        at_mz=500,
        points_per_fwhm=7,
        spectrum_type="sparse",
    )
    mz = truth.axis
    assert mz[0] == pytest.approx(400, abs=0.1)
    assert mz[-1] == pytest.approx(800, abs=0.1)
    step = np.diff(mz)
    at_500 = step[np.searchsorted(mz, 500)]
    assert at_500 == pytest.approx(0.1 / 7, rel=1e-3)
    grown = np.log(step[-1] / step[0]) / np.log(mz[-1] / mz[0])
    assert grown == pytest.approx(step_power, abs=1e-3)
    fwhm = truth.peaks["fwhm"] / (0.1 * (truth.peaks["mz"] / 500) ** width_power)
    np.testing.assert_allclose(fwhm, 1, rtol=1e-12)


@pytest.mark.parametrize("spectrum_type", ["profile", "sparse", "centroid"])
def test_seed_decides_and_chunks_do_not(tmp_path, spectrum_type):
    options = {**SMALL, "spectrum_type": spectrum_type}
    files = []
    for number, more in enumerate(
        ({}, {"chunk_bytes": 5000}, {"random_state": 1}, {"random_state": 0})
    ):
        truth = make_ims(tmp_path / f"{number}.imzML", **options, **more)
        files.append(digest(truth.path))
    assert files[0] == files[1] == files[3]
    assert files[0] != files[2]


def test_modes_hold_the_same(tmp_path):
    processed = make_ims(tmp_path / "p.imzML", **SMALL)
    continuous = make_ims(tmp_path / "c.imzML", mode="continuous", **SMALL)
    sizes = [t.path.with_suffix(".ibd").stat().st_size for t in (processed, continuous)]
    assert sizes[1] < 0.4 * sizes[0]
    for a, b in zip(read(processed.path), read(continuous.path), strict=True):
        assert np.array_equal(a[0], b[0])
        assert np.array_equal(a[1], b[1])


def test_sparse_is_part_of_dense(tmp_path):
    full = make_ims(tmp_path / "f.imzML", **SMALL)
    for threshold in (None, 3.0):
        part = make_ims(
            tmp_path / f"s{threshold}.imzML",
            spectrum_type="sparse",
            threshold=threshold,
            **SMALL,
        )
        limit = part.noise.threshold
        wanted = dense(full)
        wanted[wanted < limit] = 0
        assert np.array_equal(dense(part), wanted)
        assert all((intensity >= limit).all() for _, intensity in read(part.path))


def test_continuous_sparse_stores_zeros(tmp_path):
    options = {**SMALL, "spectrum_type": "sparse"}
    a = make_ims(tmp_path / "a.imzML", mode="continuous", **options)
    b = make_ims(tmp_path / "b.imzML", **options)
    assert np.array_equal([i for _, i in read(a.path)], dense(b))


def test_isotopologues(tmp_path):
    truth = make_ims(
        tmp_path / "a.imzML", noise_free=True, mz=[773.5], mz_range=(760, 780)
    )
    peaks = truth.peaks
    assert peaks["isotope"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(np.diff(peaks["mz"]), 1.0033548, rtol=1e-9)
    # 41.8 carbon atoms with 1.08 % of ¹³C each.
    assert peaks["ratio"][1] == pytest.approx(0.452, abs=0.002)
    assert peaks["ratio"][2] == pytest.approx(0.452**2 / 2, abs=0.002)


def test_isotopologues_are_in_the_file(tmp_path):
    truth = make_ims(
        tmp_path / "a.imzML", noise_free=True, mz=[705.5], dtype="float64", **SMALL
    )
    spectra = dense(truth)
    column = np.searchsorted(truth.axis, truth.peaks["mz"])
    top = [spectra[:, c - 3 : c + 4].max(axis=1).mean() for c in column]
    # Within what the distance of the nearest sample from the apex takes.
    np.testing.assert_allclose(top / top[0], truth.peaks["ratio"], rtol=0.03)


def test_regions(tmp_path):
    truth = make_ims(
        tmp_path / "a.imzML", shape=(40, 50), n_regions=5, spectrum_type="centroid"
    )
    counts = np.bincount(truth.labels, minlength=6)
    assert counts.size == 6
    assert (counts > 40).all()
    means = truth.region_means
    assert means.index.tolist() == [0, 1, 2, 3, 4, 5]
    for label in means.index:
        expected = truth.areas[truth.labels == label].mean(axis=0)
        np.testing.assert_allclose(means.loc[label], expected)
    # Neighbours mostly share a region, as in tissue.
    image = truth.labels.reshape(40, 50)
    assert (image[:, 1:] == image[:, :-1]).mean() > 0.85
    # Some ions are brightest off tissue, most hardly occur there.
    off = means.loc[0] / means.loc[1:].max()
    assert 0.05 < (off > 1).mean() < 0.35
    assert (off < 0.1).mean() > 0.5


def test_shifts_are_applied(tmp_path):
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(6, 6),
        resolving_power=5000,
        mz=np.arange(420.2, 1000, 80),
        isotopes=False,
        noise_free=True,
        mass_shift_ppm=10,
        mass_stretch_ppm=5,
        dtype="float64",
    )
    assert np.std(truth.shifts) == pytest.approx(10, rel=0.3)
    assert np.std(truth.stretches) == pytest.approx(5, rel=0.3)
    mz, spectra = truth.axis, dense(truth)
    for ion in truth.peaks["mz"]:
        near = np.abs(mz - ion) < 600e-6 * ion
        weight = spectra[:, near] * np.gradient(mz)[near]
        center = weight @ mz[near] / weight.sum(axis=1)
        found = 1e6 * (center / ion - 1)
        # One more decimal than any alignment reaches.
        np.testing.assert_allclose(found, truth.shift_at(ion)[:, 0], atol=0.01)
    ends = truth.shift_at([400.0, 1000.0])
    np.testing.assert_allclose(ends[:, 0], truth.shifts - truth.stretches, atol=1e-9)
    np.testing.assert_allclose(ends[:, 1], truth.shifts + truth.stretches, atol=1e-9)


@pytest.mark.parametrize("shift", [0, 12])
def test_noise_free_mean(tmp_path, shift):
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(12, 12),
        n_peaks=30,
        mz_range=(700, 760),
        noise_free=True,
        mass_shift_ppm=shift,
        mass_stretch_ppm=shift / 2,
        dtype="float64",
    )
    mean = dense(truth).mean(axis=0)
    limit = 2e-3 * mean.max() if shift else 1e-5 * mean.max()
    np.testing.assert_allclose(truth.noise_free_mean, mean, atol=limit)


def test_missing_pixels(tmp_path):
    mask = np.zeros((6, 5), bool)
    mask[2, 3] = mask[0] = True
    truth = make_ims(tmp_path / "a.imzML", missing=mask, **SMALL)
    assert truth.n_pixels == 24
    x, y = truth.coordinates[:, 0] - 1, truth.coordinates[:, 1] - 1
    assert not mask[y, x].any()
    share = make_ims(tmp_path / "b.imzML", missing=0.5, **SMALL)
    assert 5 < share.n_pixels < 25
    assert len(read(share.path)) == share.n_pixels


def test_given_distributions(tmp_path):
    rng = np.random.default_rng(0)
    places = np.argwhere(np.ones((7, 9), bool))[::2, ::-1] + 1
    real = rng.gamma(2, 10, (len(places), 3)) * [1, 10, 3]
    real[4] = 0
    truth = make_ims(
        tmp_path / "a.imzML",
        distributions=real,
        coordinates=places,
        labels=np.arange(len(places)) % 4,
        mz=[710.1, 722.2, 733.3],
        mz_range=(700, 740),
        isotopes=False,
        noise_free=True,
        dtype="float64",
    )
    assert np.array_equal(truth.coordinates[:, :2], places)
    assert truth.labels[5] == 1
    spectra = dense(truth)
    assert not spectra[4].any()
    for j, ion in enumerate(truth.peaks["mz"]):
        near = np.abs(truth.axis - ion) < 0.08
        area = spectra[:, near] @ np.gradient(truth.axis)[near]
        # In proportion to what was given, also between ions.
        reference = real[:, j] * truth.peaks["area"][0] / real[:, 0].mean()
        reference *= truth.analyser.fwhm(ion) / truth.analyser.fwhm(710.1)
        np.testing.assert_allclose(area, reference, rtol=1e-3)


@pytest.mark.shared
def test_real_anatomy(tmp_path, shared_data):
    from scipy import sparse

    rows = slice(17_000, 17_260)
    with np.load(shared_data / "bladder" / "bladder_79peaks.npz") as file:
        parts = (file["data"], file["indices"], file["indptr"])
        peaks = sparse.csr_array(parts, shape=tuple(file["shape"]))[rows]
        places = np.column_stack([file["x"], file["y"]])[rows].astype(int)
        mz, labels = file["mz"], file["ssc"][rows]
    truth = make_ims(
        tmp_path / "a.imzML",
        distributions=peaks,
        coordinates=places,
        labels=labels,
        mz=mz,
        isotopes=False,
        spectrum_type="centroid",
        noise_free=True,
    )
    expected = peaks.toarray()
    ratio = truth.parent_heights.sum() / expected.sum()
    np.testing.assert_allclose(truth.parent_heights, expected * ratio, rtol=1e-6)
    assert len(truth.true_list()) == 79


def test_same_peaks_in_each_kind(tmp_path):
    """Kinds of spectra of one seed differ in how they are stored only."""
    truths = [
        make_ims(tmp_path / f"{kind}.imzML", spectrum_type=kind, **SMALL)
        for kind in ("profile", "sparse", "centroid")
    ]
    for other in truths[1:]:
        assert np.array_equal(truths[0].peaks["mz"], other.peaks["mz"])
        assert np.array_equal(truths[0].parent_heights, other.parent_heights)
        assert np.array_equal(truths[0].labels, other.labels)


def test_identities_differ(tmp_path):
    kinds = ({}, {"noise": 2.0}, {"random_state": 3}, {"mode": "continuous"})
    starts = set()
    for number, more in enumerate(kinds):
        truth = make_ims(tmp_path / f"{number}.imzML", **SMALL, **more)
        starts.add(truth.path.with_suffix(".ibd").read_bytes()[:16])
    assert len(starts) == len(kinds)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"analyser": "quadrupole"}, "analyser must be one of"),
        ({"mode": "continuous", "spectrum_type": "centroid"}, "mode='processed'"),
        ({"noise": -1}, "noise must be 0 or more"),
        ({"resolving_power": 0}, "resolving_power must be positive"),
        ({"n_peaks": 0}, "n_peaks must be a whole number from 1"),
        ({"shape": (0, 3)}, "shape must be"),
        ({"mz_range": (500, 400)}, "mz_range must be"),
        ({"snr": (20, -1)}, "snr must be"),
        ({"snr": 20, "noise_free": True}, "snr needs noise"),
        ({"n_peaks": 9000}, "do not fit"),
        ({"mz": [100.0]}, "between 400 and 1000"),
        ({"distributions": [[1.0]]}, "need the m/z"),
        ({"distributions": [[1.0]], "mz": [500.0]}, "need the coordinates"),
        (
            {"distributions": [[1.0]], "mz": [500.0, 600.0], "coordinates": [(1, 1)]},
            "expected \\(1, 2\\)",
        ),
        ({"missing": 1.0}, "missing must be a share"),
        ({"missing": np.ones((32, 32), bool)}, "all pixels are missing"),
    ],
)
def test_errors(tmp_path, options, match):
    with pytest.raises(ValueError, match=match):
        make_ims(tmp_path / "a.imzML", **options)
    assert list(tmp_path.iterdir()) == []
