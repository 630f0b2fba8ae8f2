"""The noise of simulated runs: as the formulas say, and as the S/N asks for."""

import numpy as np
import pytest
from scipy import stats

from imsminer.datasets import make_ims
from imsminer.datasets._noise import Noise
from imsminer.io.imzml import ImzMLReader


def mean_spectrum(truth):
    """Sum of all stored points by their native sample, over the number of pixels."""
    reader = ImzMLReader(truth.path)
    total = np.zeros(truth.axis.size)
    for i in range(len(reader)):
        mz, intensity = reader[i]
        total[np.searchsorted(truth.axis, mz)] += intensity
    return total / len(reader)


def model(**options):
    plain = {
        "gain": 1.0, "sd": 1.0, "count": 0.0, "height": 1.0, "baseline": 0.0,
        "low": 400.0, "high": 1000.0, "threshold": 0.0,
    }  # fmt: skip
    return Noise(**{**plain, **options})


@pytest.mark.parametrize("gain", [0.0, 0.5, 4.0])
@pytest.mark.parametrize("sd", [0.0, 1.0])
@pytest.mark.parametrize("threshold", [0.0, 3.0])
def test_moments_against_numpy(gain, sd, threshold):
    rng = np.random.default_rng(0)
    for level in (0.0, 0.3, 5.0, 200.0):
        n = 200_000
        values = gain * rng.poisson(level / gain, n) if gain else np.full(n, level)
        values = np.maximum(values + sd * rng.standard_normal(n), 0)
        values = np.where(values >= threshold, values, 0)
        mean, variance = model(gain=gain, sd=sd, threshold=threshold).stored([level])
        error = 5 * values.std() / np.sqrt(n)
        assert mean[0] == pytest.approx(values.mean(), abs=error + 1e-9)
        assert variance[0] == pytest.approx(values.var(), rel=0.05, abs=1e-4)


@pytest.mark.parametrize(("gain", "sd"), [(1.0, 1.0), (3.0, 0.7), (0.5, 2.0)])
def test_tabulated_samples_have_the_distribution(gain, sd):
    noise = model(gain=gain, sd=sd)
    table = noise.quantiles()
    for level in (0.0, 0.37 * gain, 6.1 * gain, 39.9 * gain):
        row, weight = table.place(np.array([level]))
        lower, upper = table.values[row[0]], table.values[row[0] + 1]
        counts = np.arange(200)
        share = stats.poisson.pmf(counts, level / gain)
        at = lower[60:-60:20]
        exact = share @ stats.norm.cdf((at - gain * counts[:, np.newaxis]) / sd)
        # Between two tabulated levels, one of them is taken by chance.
        found = (1 - weight) * stats.norm.cdf(np.interp(at, lower, table.scores))
        found += weight * stats.norm.cdf(np.interp(at, upper, table.scores))
        np.testing.assert_allclose(found, exact, atol=0.004)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"baseline": 0.0},
        {"baseline": 0.0, "noise": 0.0},
        {"shot_noise": 0.0, "baseline": 20.0},
        {"chemical_noise": 400.0, "chemical_height": 20.0},
        {"spectrum_type": "sparse", "threshold": 3.0},
        {"spectrum_type": "sparse", "threshold": 2.0, "chemical_noise": 300.0},
        {"spectrum_type": "sparse", "noise": 0.0, "baseline": 0.5, "threshold": 0.5},
        {"baseline": 80.0},
    ],
)
def test_background_is_as_expected(tmp_path, options):
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(16, 16),
        n_peaks=5,
        mz_range=(690, 760),
        **options,
    )
    mean = mean_spectrum(truth)
    # Chemical ions need the whole of their width inside of the range.
    away = (truth.noise_free_mean == 0) & (np.abs(truth.axis - 725) < 34)
    rest = (mean - truth.background)[away]
    sd = truth.noise_sd[away]
    assert np.mean(rest / sd) == pytest.approx(0, abs=0.15)
    assert np.std(rest / sd) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("spectrum_type", ["profile", "sparse"])
def test_signal_comes_through(tmp_path, spectrum_type):
    """What peaks add to the mean is their profile, less what the threshold takes."""
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(24, 24),
        n_peaks=25,
        mz_range=(700, 760),
        snr=(20, 500),
        isotopes=False,
        spectrum_type=spectrum_type,
    )
    mean = mean_spectrum(truth)
    table = truth.true_list()
    column = np.searchsorted(truth.axis, table["mz"])
    for entry, k in zip(range(len(table)), column, strict=True):
        near = slice(k - 1, k + 2)
        top = np.argmax(truth.noise_free_mean[near]) + k - 1
        found = (mean - truth.background)[top]
        expected = table["snr"].iloc[entry] * truth.noise_sd[top]
        # The apex lies between samples, and has counting noise of its own.
        error = 6 * truth.noise_sd[top] + 4 * np.sqrt(expected / truth.n_pixels)
        assert found == pytest.approx(expected, abs=0.05 * expected + error)


@pytest.mark.parametrize("spectrum_type", ["profile", "sparse", "centroid"])
def test_snr_is_what_was_asked_for(tmp_path, spectrum_type):
    options = {"shape": (12, 12), "n_peaks": 40, "spectrum_type": spectrum_type}
    options["mz_range"] = (500.0, 580.0)
    truth = make_ims(tmp_path / "a.imzML", snr=20, **options)
    mono = truth.peaks[truth.peaks["isotope"] == 0]
    assert mono["snr"].min() == pytest.approx(20, rel=0.05)
    assert mono["snr"].max() > 200
    truth = make_ims(tmp_path / "b.imzML", snr=(20, 40), isotopes=False, **options)
    assert truth.peaks["snr"].between(19, 42).all()
    table = truth.true_list()
    assert len(table) == 40
    assert table["snr"].between(19, 42).all()
    assert len(truth.true_list(min_snr=30)) == (table["snr"] >= 30).sum()


def test_pixels_are_independent(tmp_path):
    truth = make_ims(
        tmp_path / "a.imzML", shape=(20, 20), n_peaks=1, mz_range=(700, 705),
        mode="continuous", chemical_noise=0,
    )  # fmt: skip
    reader = ImzMLReader(truth.path)
    values = np.array([reader[i].intensity for i in range(len(reader))])
    away = truth.noise_free_mean == 0
    values = values[:, away] - values[:, away].mean(axis=0)
    between = np.corrcoef(values)[np.triu_indices(400, 1)]
    # Minus 1 / 399: the mean that was taken away holds 1 / 400 of each pixel.
    assert between.mean() == pytest.approx(-1 / 399, abs=0.001)
    assert between.std() == pytest.approx(1 / np.sqrt(away.sum()), rel=0.25)


def test_centroids(tmp_path):
    ions = [420.1, 700.2, 950.3]
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(20, 20),
        mz=ions,
        height_spread=0,
        height=500,
        isotopes=False,
        spectrum_type="centroid",
        baseline=0,
    )
    reader = ImzMLReader(truth.path)
    spectra = [reader[i] for i in range(len(reader))]
    assert reader.runs["spectrum_type"].tolist() == ["centroid"]
    assert all((np.diff(mz) >= 0).all() for mz, _ in spectra)
    assert all((i >= truth.noise.threshold).all() for _, i in spectra)
    for j, ion in enumerate(ions):
        reach = 0.5 * truth.peaks["fwhm"][j]
        found = np.array([i[np.abs(mz - ion) < reach].sum() for mz, i in spectra])
        expected = truth.areas[:, j]
        strong = expected > 20
        error = np.abs(found - expected)[strong] / np.sqrt(expected[strong])
        assert np.median(error) < 1
        assert found.mean() == pytest.approx(expected.mean(), rel=0.02)
        # m/z of pixels with few ions scatter more.
        offset = np.array([np.abs(mz - ion).min() for mz, _ in spectra])
        weak = (expected > 15) & (expected < 60)
        rich = expected > 600
        if weak.sum() > 20 and rich.sum() > 20:
            assert np.median(offset[weak]) > 1.5 * np.median(offset[rich])


def test_chemical_centroids(tmp_path):
    truth = make_ims(
        tmp_path / "a.imzML",
        shape=(20, 20),
        n_peaks=1,
        spectrum_type="centroid",
        chemical_noise=200,
        chemical_height=10,
        threshold=5,
    )
    reader = ImzMLReader(truth.path)
    count = np.array([reader[i].mz.size for i in range(len(reader))])
    assert count.mean() == pytest.approx(200 * np.exp(-0.5), rel=0.03)
    # Binned by one FWHM, the mean scatters as the truth says.
    edges = np.cumsum(np.concatenate([[400.0], np.full(17000, 0.035)]))
    edges = edges[edges < 1000]
    total = np.zeros(edges.size - 1)
    for i in range(len(reader)):
        mz, intensity = reader[i]
        total += np.histogram(mz, edges, weights=intensity)[0]
    middle = 0.5 * (edges[1:] + edges[:-1])
    sd = np.interp(middle, truth.axis, truth.noise_sd)
    sd *= np.sqrt(0.035 / truth.analyser.fwhm(middle))
    away = np.abs(middle - truth.peaks["mz"][0]) > 5
    rest = (total / len(reader))[away]
    assert np.std((rest - rest.mean()) / sd[away]) == pytest.approx(1, abs=0.08)
