import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imsminer import PeakPicker
from imsminer.spectra._noise import (
    ESTIMATORS,
    RESIDUAL_MEASURES,
    background_level,
    clip,
    estimate_noise,
    range_noise,
    residual,
)

#: Peaks are part of these as well: they stand for the noise between few peaks only.
FRAGILE = {"residual_sd", "residual_quantile"}


def naive_clip(values, z_threshold, z_steps=None):
    steps = 0
    while z_steps is None or steps < z_steps:
        inside = np.abs(values - values.mean()) <= z_threshold * values.std()
        if inside.all():
            return values
        values = values[inside]
        steps += 1
    return values


@given(
    st.integers(0, 1000),
    st.sampled_from([2.0, 2.5, 3.0]),
    st.sampled_from([1, 3, None]),
)
def test_clip_is_the_plain_loop(seed, z_threshold, z_steps):
    values = np.random.default_rng(seed).standard_t(2, size=500) + 1e3
    expected = np.sort(naive_clip(values, z_threshold, z_steps))
    np.testing.assert_array_equal(clip(values, z_threshold, z_steps), expected)


def test_one_step_is_the_papers_noise():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200,)) + 1000.0 * (np.arange(200) % 50 == 20)
    picker = PeakPicker(z_steps=1).fit(X[np.newaxis] + 5.0)
    y = picker.reference_spectrum_
    z = (y - y.mean()) / y.std()
    assert picker.noise_ == pytest.approx(y[np.abs(z) <= 3].std())


@pytest.mark.parametrize("method", [m for m in ESTIMATORS if m not in FRAGILE])
def test_every_estimator_finds_the_sd_of_normal_noise_below_peaks(method):
    rng = np.random.default_rng(1)
    n = 40_000
    y = rng.normal(7.0, 2.0, n)
    # Peaks hold 2 % of the bins, and reach 5,000 times the noise.
    for center, height in zip(
        rng.uniform(0, n, 100), 10 ** rng.uniform(1, 4, 100), strict=True
    ):
        y += height * np.exp(-0.5 * ((np.arange(n) - center) / 2) ** 2)
    level = background_level(y, 3.0)
    noise = estimate_noise(y, level, np.ones(n), 100, method)
    # A quantile takes the peaks for noise.
    tolerance = 0.15 if method == "quantile" else 0.08
    assert np.median(noise) == pytest.approx(2.0, rel=tolerance)
    assert np.median(level) == pytest.approx(7.0, abs=0.1)


def test_windowed_mad_follows_the_noise():
    rng = np.random.default_rng(2)
    n = 40_000
    sd = np.linspace(1, 4, n)
    y = rng.normal(size=n) * sd
    noise = estimate_noise(y, np.zeros(n), np.ones(n), 100, "windowed_mad")
    assert noise.shape == (n,)
    # Never below the value for all bins, which is the floor.
    upper = noise[30_000:]
    np.testing.assert_allclose(upper, sd[30_000:], rtol=0.15)
    assert noise.min() >= 0.9 * np.median(sd)


@pytest.mark.parametrize("method", ["zscore", "mad", "windowed_mad", "difference"])
def test_empty_bins_do_not_make_the_noise_vanish(method):
    # Of 60 % of the bins no pixel stores a value; the others hold what 10 % do.
    rng = np.random.default_rng(3)
    n = 20_000
    # In stretches: neighbours of a filled bin are filled.
    filled = np.repeat(rng.random(n // 20) < 0.4, 20)
    y = np.where(filled, np.abs(rng.normal(10, 2, n)), 0.0)
    level = np.zeros(n)
    noise = estimate_noise(y, level, 0.1 * filled, 1000, method)
    assert np.min(noise) >= 1.8


def test_floor_is_kept():
    y = np.zeros(1000)
    assert estimate_noise(y, y, y, 10, "zscore", floor=0.25) == 0.25
    assert estimate_noise(y[:0], y[:0], y[:0], 10, "zscore", floor=0.25) == 0.25


def test_range_without_signal():
    rng = np.random.default_rng(4)
    mz = np.arange(100.0, 200.0, 0.1)
    y = rng.normal(size=mz.size) + 50 * (mz < 150)
    inside = (mz >= 160) & (mz <= 180)
    assert range_noise(y, mz, 160, 180) == pytest.approx(y[inside].std())
    with pytest.raises(ValueError, match="holds 0 bins"):
        range_noise(y, mz, 300, 310)


def test_level_follows_a_baseline():
    rng = np.random.default_rng(5)
    x = np.arange(30_000)
    baseline = 100 * np.exp(-x / 8000)
    y = baseline + rng.normal(size=x.size)
    y[::500] += 1000
    level = background_level(y, 3.0)
    np.testing.assert_allclose(level[300:-300], baseline[300:-300], atol=0.6)


@pytest.mark.parametrize("method", RESIDUAL_MEASURES)
def test_residuals_find_the_sd_of_normal_noise(method):
    y = np.random.default_rng(6).normal(7.0, 2.0, 40_000)
    # A slope is no noise: smoothing leaves it as it is.
    y += 0.01 * np.arange(y.size)
    noise = estimate_noise(y, np.zeros(y.size), np.ones(y.size), 100, method)
    assert noise == pytest.approx(2.0, rel=0.02)
    # Of the 10 % of bins near them, peaks take the median's word last.
    y[::100] += 1e4
    noise = estimate_noise(y, np.zeros(y.size), np.ones(y.size), 100, method)
    assert (noise > 10) == (method in FRAGILE)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 20])
def test_residual_of_few_bins(n):
    y = np.random.default_rng(n).normal(size=n)
    x = np.arange(-4, 5)
    weights = np.exp(-(x**2) / 8)
    near = np.clip(np.arange(n)[:, None] + x, 0, n - 1)
    expected = np.abs(y - y[near] @ weights / weights.sum())
    np.testing.assert_allclose(residual(y), expected, atol=1e-15)
    for method in ESTIMATORS:
        noise = estimate_noise(y, np.zeros(n), np.ones(n), 3, method, floor=1e-9)
        assert np.all(np.isfinite(noise))
        assert np.all(noise >= 1e-9)


@pytest.mark.parametrize("method", RESIDUAL_MEASURES)
def test_residual_noise_of_occupied_bins_and_the_floor(method):
    n = 20_000
    frequency = (np.arange(n) >= 0.7 * n).astype(float)
    y = frequency * np.random.default_rng(7).normal(10, 2, n)
    noise = estimate_noise(y, np.zeros(n), frequency, 1000, method)
    assert noise == pytest.approx(2.0, rel=0.05)
    kept = estimate_noise(y, np.zeros(n), frequency, 1000, method, floor=50.0)
    assert kept == 50.0


@pytest.mark.parametrize("method", RESIDUAL_MEASURES)
def test_peak_picker_takes_residuals(method):
    rng = np.random.default_rng(8)
    X = np.abs(rng.normal(5.0, 1.0, (40, 4000)))
    X[:, 500::1000] += 5.0
    picker = PeakPicker(noise=method, loq=8, min_points=3).fit(X)
    np.testing.assert_array_equal(picker.peaks_["bin"], [500, 1500, 2500, 3500])
    # The mean of 40 pixels; peaks may add their part.
    assert 0.15 < picker.noise_ < 0.35
