"""Cardinal's own numbers, as `cardinal.npz` holds them, to 1e-10.

The file holds what Cardinal 3 made of 144 simulated spectra of 842 points. All
differences reached are rounding. Noise in five bins is theirs as well: bins that
overlap by half, and a cubic spline through their values that continues beyond the
outermost centres. The spline is the one of R, whose third derivative at each end is
that of the cubic through the four outermost values; with SciPy's usual ends the result
differs by 0.03. Since it swings below 0, it is rebuilt here only.
"""

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from scipy.interpolate import make_interp_spline

from imsminer import (
    BaselineSubtractor,
    ReferenceNormalizer,
    RMSNormalizer,
    Spectra,
    SpectrumSmoother,
    TICNormalizer,
)
from imsminer.spectra._kernels import median_numba, smooth_numba, snip_numba
from imsminer.spectra._noise import RESIDUAL_MEASURES, estimate_noise, residual

pytestmark = pytest.mark.shared

CLOSE = 1e-10


@pytest.fixture(scope="module")
def cardinal(shared_data):
    path = shared_data.parent / "reference" / "cardinal.npz"
    if not path.is_file():
        pytest.skip("cardinal.npz is not beside this checkout")
    with np.load(path) as values:
        return {name: values[name] for name in values.files}


@pytest.fixture
def y(cardinal):
    """One spectrum as a row."""
    return cardinal["spectrum70"].reshape(1, -1)


# Baselines ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # Their default windows of 100 points are half windows for SNIP.
        ("snip", {"half_window": 100, "scale": "linear"}),
        # Local minima are the lowest of 5 points.
        ("locmin", {"method": "local_minima", "half_window": 2}),
    ],
)
def test_baseline(cardinal, y, name, parameters):
    # Cardinal clips and interpolates intensities as they are.
    result = BaselineSubtractor(level="lower", **parameters).fit_transform(y)
    expected = cardinal[f"reduceBaseline_{name}"].ravel()
    np.testing.assert_allclose(result[0], expected, rtol=0, atol=CLOSE)


def test_snip_kernel(cardinal, y):
    base = np.empty_like(y)
    snip_numba.erode_rows(y, np.full(y.size, 100), 100, True, base)
    expected = cardinal["reduceBaseline_snip"].ravel()
    np.testing.assert_allclose(np.maximum(y - base, 0)[0], expected, atol=1e-12)


def test_median_baseline(cardinal, y):
    # At the ends Cardinal, like R's smoothEnds, takes medians of shrinking windows over
    # the values that are medians already further in; ours are of the spectrum itself.
    expected = cardinal["reduceBaseline_median"].ravel()
    ours = BaselineSubtractor(method="median", half_window=50).fit_transform(y)[0]
    inside = slice(50, -50)
    np.testing.assert_allclose(ours[inside], expected[inside], atol=CLOSE)
    reach = np.full(y.size, 50)
    once, twice = np.empty_like(y), np.empty_like(y)
    median_numba.median_rows(y, reach, once)
    once[:, :50], once[:, -50:] = y[:, :50], y[:, -50:]
    median_numba.median_rows(once, reach, twice)
    twice[:, inside] = once[:, inside]
    np.testing.assert_allclose(np.maximum(y - twice, 0)[0], expected, atol=CLOSE)


# Smoothing ---------------------------------------------------------------------------


def test_smoothing(cardinal, y):
    # Cardinal smooths with windows of 5 points and repeats the outermost value: equal
    # weights, a polynomial of degree 3, and a Gaussian of standard deviation 1 that is
    # cut off at two of them.
    average = SpectrumSmoother(method="moving_average", width=5).fit_transform(y)
    np.testing.assert_allclose(average[0], cardinal["smooth_ma"].ravel(), atol=CLOSE)
    savgol = SpectrumSmoother(width=5, degree=3).fit_transform(y)
    np.testing.assert_allclose(savgol[0], cardinal["smooth_sgolay"].ravel(), atol=CLOSE)
    fwhm = 2 * np.sqrt(2 * np.log(2))
    ours = SpectrumSmoother(method="gaussian", width=fwhm).fit_transform(y)[0]
    # The weights beyond two standard deviations are 4.4 % of all.
    theirs = cardinal["smooth_gaussian"].ravel()
    assert np.abs(ours - theirs).max() < 0.06 * np.ptp(y)
    weights = np.exp(-0.5 * np.arange(-2.0, 3) ** 2)[None]
    out = np.empty_like(y)
    kind = np.zeros(y.size, np.int64)
    smooth_numba.smooth_rows(y, kind, weights / weights.sum(), np.array([2]), out)
    np.testing.assert_allclose(out[0], theirs, atol=CLOSE)


# Normalization -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "normalizer"),
    [
        # They scale to the number of features, for the RMS as well, and the reference,
        # which is feature 100 counted from 1, to 1.
        ("tic", TICNormalizer(scale=842)),
        ("rms", RMSNormalizer(scale=842)),
        ("reference_feature100", ReferenceNormalizer(column=99, scale="none")),
    ],
)
def test_normalization(cardinal, name, normalizer):
    X = np.ascontiguousarray(cardinal["input_intensity_features_x_pixels"].T)
    expected = cardinal[f"normalize_{name}"].T
    mz = cardinal["input_mz"].ravel()
    np.testing.assert_allclose(normalizer.fit_transform(X), expected, rtol=1e-12)
    spectra = Spectra.from_arrays(X, mz=mz)
    if isinstance(normalizer, ReferenceNormalizer):
        normalizer = ReferenceNormalizer(mz=mz[99], ppm=1.0, scale="none")
    found = np.array([y for _, y in normalizer.fit_transform(spectra)])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# Noise -------------------------------------------------------------------------------

NOISE = {"sd": "residual_sd", "mad": "residual_mad", "quant": "residual_quantile"}


@pytest.mark.parametrize(("theirs", "ours"), NOISE.items())
def test_noise(cardinal, y, theirs, ours):
    measure = RESIDUAL_MEASURES[ours]
    expected = cardinal[f"noise_{theirs}"].ravel()
    assert np.ptp(expected) == 0
    assert measure.of(residual(y[0])) == pytest.approx(expected[0], rel=0, abs=1e-14)
    # The estimator gives the same in units of normal noise, when there is no floor.
    n = y.size
    noise = estimate_noise(y[0], np.zeros(n), np.zeros(n), 100, ours)
    assert noise * measure.unit == pytest.approx(expected[0], rel=0, abs=CLOSE)


def halves(n, n_bins):
    """First and last (inclusive, from 1) of bins that overlap by half."""
    width = 2 * n / (n_bins + 1)
    start = np.arange(n_bins) * width / 2
    return np.rint(start + 1).astype(int), np.rint(start + width).astype(int)


def end_curvature(x, values):
    """Third derivative of the cubic through four points."""
    return Polynomial.fit(x, values, 3).deriv(3)(x[0])


@pytest.mark.parametrize(("theirs", "ours"), NOISE.items())
def test_noise_in_five_bins(cardinal, y, theirs, ours):
    rough, (first, last) = residual(y[0]), halves(y.size, 5)
    of = RESIDUAL_MEASURES[ours].of
    values = [of(rough[a - 1 : b]) for a, b in zip(first, last, strict=True)]
    centres = 0.5 * (first + last)
    ends = (
        [(3, end_curvature(centres[:4], values[:4]))],
        [(3, end_curvature(centres[-4:], values[-4:]))],
    )
    spline = make_interp_spline(centres, values, k=3, bc_type=ends)
    found = spline(np.arange(1, y.size + 1))
    expected = cardinal[f"noise_{theirs}_nbins5"].ravel()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
    # A spline, unlike lines between the centres, makes noise that is none.
    if theirs == "quant":
        assert expected.min() < 0


def test_difference_is_no_measure_of_noise(cardinal, y):
    y = y.ravel()
    theirs = cardinal["noise_diff"].ravel()
    # It subtracts the mean difference from the spectrum, not from the differences: the
    # result is in effect the mean of |y|, and is not copied.
    np.testing.assert_allclose(theirs, np.abs(y - np.diff(y).mean()).mean(), rtol=1e-12)
    ours = estimate_noise(y, np.zeros(y.size), np.ones(y.size), 1, "difference")
    expected = 1.4826 * np.median(np.abs(np.diff(y))) / np.sqrt(2)
    assert ours == pytest.approx(expected, rel=1e-12)
    assert ours < 0.2 * theirs[0]
