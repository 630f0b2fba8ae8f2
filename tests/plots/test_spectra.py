"""The mean spectrum keeps its peaks, and labels do not overlap."""

import numpy as np
import pandas as pd
import pytest

from imsminer import BaselineSubtractor, plots
from imsminer.plots.spectra import baseline, decimate


@pytest.fixture
def dense():
    """200,000 points with 150 peaks: more than are drawn."""
    rng = np.random.default_rng(0)
    mz = np.linspace(400, 1000, 200_000)
    at = np.sort(rng.uniform(410, 990, 150))
    height = rng.gamma(1.0, 1000.0, 150)
    intensity = rng.exponential(2.0, mz.size)
    for center, top in zip(at, height, strict=True):
        near = slice(*np.searchsorted(mz, [center - 0.1, center + 0.1]))
        intensity[near] += top * np.exp(-0.5 * ((mz[near] - center) / 0.01) ** 2)
    return mz, intensity, pd.DataFrame({"mz": at, "height": height})


def test_decimation_keeps_the_extremes_of_each_column(dense):
    mz, intensity, _ = dense
    x, y = decimate(mz, intensity, 500)
    assert x.size <= 2000
    assert np.all(np.diff(x) > 0)
    column = np.minimum(((mz - 400) / 600 * 500).astype(int), 499)
    kept = np.minimum(((x - 400) / 600 * 500).astype(int), 499)
    for c in range(0, 500, 17):
        assert y[kept == c].max() == intensity[column == c].max()
        assert y[kept == c].min() == intensity[column == c].min()


def test_short_spectra_are_drawn_whole():
    mz, intensity = np.arange(10.0), np.arange(10.0) ** 2
    ax = plots.mean_spectrum(mz, intensity)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.c_[mz, intensity])


def test_marks_every_peak_and_labels_the_highest(dense):
    mz, intensity, peaks = dense
    ax = plots.mean_spectrum(mz, intensity, peaks, top=5)
    (marks,) = ax.collections
    np.testing.assert_array_equal(marks.get_offsets(), peaks.to_numpy())
    labels = [text.get_text() for text in ax.texts if text.get_text()]
    assert len(labels) == 5
    assert f"{peaks.mz[peaks.height.idxmax()]:.4f}" in labels
    assert ax.get_title(loc="left") == "150 peaks"
    assert ax.get_xlabel() == "$m/z$"


def test_labels_do_not_overlap_and_stay_inside(dense):
    ax = plots.mean_spectrum(*dense, top=40)
    ax.get_figure().draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert len(boxes) > 8
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
    frame = ax.get_window_extent().padded(1)
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    assert all(box.y1 <= frame.y1 for box in boxes)


def test_peaks_given_as_mz_take_the_height_of_the_next_point():
    ax = plots.mean_spectrum([1.0, 2.0, 3.0], [5.0, 9.0, 1.0], [1.9, 3.0, 0.5])
    (marks,) = ax.collections
    np.testing.assert_array_equal(marks.get_offsets()[:, 1], [9.0, 1.0, 5.0])


def test_noise_and_threshold_are_drawn(dense):
    ax = plots.mean_spectrum(*dense, noise=3.0, loq=10)
    by_name = {line.get_label(): line for line in ax.lines}
    assert set(by_name["noise"].get_ydata()) == {3.0}
    assert set(by_name["10 × noise"].get_ydata()) == {30.0}


def test_range_of_mz(dense):
    mz, intensity, peaks = dense
    ax = plots.mean_spectrum(mz, intensity, peaks, mz_range=(500, 510))
    inside = peaks.mz.between(500, 510).sum()
    assert ax.get_title(loc="left") == f"{inside} peaks"
    assert 500 <= ax.get_xlim()[0] < ax.get_xlim()[1] <= 510
    with pytest.raises(ValueError, match="no point in mz_range"):
        plots.mean_spectrum(mz, intensity, mz_range=(10, 20))


def test_large_intensities_are_in_powers_of_ten():
    ax = plots.mean_spectrum([1.0, 2.0], [0.0, 5e6])
    assert ax.get_ylabel() == "mean intensity ($10^{6}$ a.u.)"


def test_gaps_stay_gaps():
    ax = plots.mean_spectrum([1.0, 2.0, 3.0], [1.0, np.nan, 2.0])
    assert np.isnan(ax.lines[0].get_ydata()[1])


@pytest.mark.parametrize(
    ("mz", "intensity", "message"),
    [
        ([1.0, 2.0], [1.0], "of one length"),
        ([2.0, 1.0], [1.0, 1.0], "sorted"),
        ([], [], "not empty"),
    ],
)
def test_bad_spectra(mz, intensity, message):
    with pytest.raises(ValueError, match=message):
        plots.mean_spectrum(mz, intensity)


def test_threshold_needs_noise():
    with pytest.raises(ValueError, match="pass noise"):
        plots.mean_spectrum([1.0, 2.0], [1.0, 1.0], loq=10)


def test_baseline_is_drawn_under_its_spectrum():
    mz = np.linspace(500, 600, 3000)
    under = 50 + 100 * np.exp(-(mz - 500) / 30)
    intensity = under + 400 * np.exp(-0.5 * ((mz - 550) / 0.2) ** 2)
    from_values = baseline(mz, intensity, under)
    lines = {line.get_label(): line.get_ydata() for line in from_values.lines}
    np.testing.assert_array_equal(lines["baseline"], under)
    np.testing.assert_array_equal(lines["spectrum"], intensity)
    from_step = baseline(mz, intensity, BaselineSubtractor(), label="counts")
    assert from_step.get_title(loc="left") == "method='snip'"
    assert from_step.get_ylabel() == "counts"
    np.testing.assert_allclose(from_step.lines[1].get_ydata(), under, atol=1)
    fitted = BaselineSubtractor(reference="mean").fit(intensity[None])
    curve = baseline(np.arange(3000), intensity, fitted).lines[1].get_ydata()
    np.testing.assert_allclose(curve, fitted.baseline_)
    part = baseline(mz, intensity, under, mz_range=(540, 560), max_intensity=80)
    assert part.get_ylim()[1] == 80
    assert part.get_xlim()[0] >= 540


def test_bad_baselines():
    with pytest.raises(ValueError, match="of one length"):
        baseline([1.0, 2.0], [1.0, 1.0], [1.0])
    with pytest.raises(ValueError, match="no point in mz_range"):
        baseline([1.0, 2.0], [1.0, 1.0], [0.0, 0.0], mz_range=(5, 6))
    fitted = BaselineSubtractor(reference="mean").fit(np.ones((2, 50)))
    with pytest.raises(ValueError, match=r"array of 50 columns.*3 points"):
        baseline([1.0, 2.0, 3.0], np.ones(3), fitted)
