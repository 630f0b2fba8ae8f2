"""Contrast, smoothing and interpolation change what is shown, and say so."""

import itertools

import numpy as np
import pytest

from imsminer import plots
from imsminer.images.process import ImageSmoother

WHERE = np.stack(np.divmod(np.arange(200), 20)[::-1], axis=1)
VALUES = np.random.default_rng(0).lognormal(3, 2, 200) * (np.arange(200) % 3 > 0)


def shown(**keywords):
    (image,) = plots.ion_image(VALUES, WHERE, **keywords).get_images()
    return image


def brightness(image):
    return np.asarray(image.norm(image.get_array())).ravel()


def test_sqrt_log_and_linear_are_what_they_say():
    top = np.quantile(VALUES[VALUES > 0], 0.99, method="higher")
    part = np.clip(VALUES / top, 0, None)
    at = part <= 1
    np.testing.assert_allclose(brightness(shown())[at], part[at])
    np.testing.assert_allclose(
        brightness(shown(contrast="sqrt"))[at], np.sqrt(part[at])
    )
    smallest = max(VALUES[VALUES > 0].min() / top, 1e-3)
    expected = np.log(np.clip(part, smallest, 1) / smallest) / -np.log(smallest)
    np.testing.assert_allclose(brightness(shown(contrast="log")), expected, atol=1e-9)


def test_zeros_are_dark_not_missing():
    for contrast in ("linear", "sqrt", "log", "rank"):
        image = shown(contrast=contrast)
        found = brightness(image)
        np.testing.assert_allclose(found[VALUES == 0], 0, atol=1e-12)
        assert not np.ma.getmaskarray(image.norm(image.get_array())).any()


def test_ranks_are_even():
    found = brightness(shown(contrast="rank"))
    signal = VALUES > 0
    order = np.argsort(VALUES[signal])
    ranks = found[signal][order]
    assert (np.diff(ranks[:-2]) > 0).all()
    even = np.arange(1, ranks.size + 1) / ranks.size
    np.testing.assert_allclose(ranks[:-3], even[:-3], atol=0.03)


def test_the_colour_bar_tells_intensities():
    for contrast in ("sqrt", "log", "rank"):
        ax = plots.ion_image(VALUES, WHERE, contrast=contrast)
        ax.figure.canvas.draw()
        bar = ax.child_axes[0]
        ticks = [tick for tick in bar.get_yticks() if bar.get_ylim()[0] <= tick]
        assert len(ticks) > 1
        assert bar.get_ylabel() == "intensity (a.u.)"
        boxes = [t.get_window_extent() for t in bar.get_yticklabels() if t.get_text()]
        for one, other in itertools.pairwise(boxes):
            assert not one.overlaps(other)


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("median", "median-filtered"),
        (("gaussian", 5), "Gaussian-smoothed"),
        ("bilateral", "bilaterally smoothed"),
        ("tv", "TV-denoised"),
    ],
)
def test_smoothing_is_that_of_the_smoother_and_the_label_says_so(how, word):
    method, width = how if isinstance(how, tuple) else (how, 3)
    expected = ImageSmoother(method, width=width).fit_transform(
        VALUES[:, None], coordinates=WHERE
    )
    ax = plots.ion_image(VALUES, WHERE, smooth=how)
    found = ax.get_images()[0].get_array()
    np.testing.assert_allclose(found.ravel(), expected[:, 0])
    assert ax.child_axes[0].get_ylabel().startswith(f"{word} intensity")


def test_smoothing_keeps_missing_pixels_and_runs_apart(tissue):
    values = tissue["mz_885.5499"].astype(float)
    values.iloc[[3, 30]] = np.nan
    ax = plots.ion_image(values, smooth="median")
    found = np.ma.concatenate([i.get_array().ravel() for i in ax.get_images()])
    there = values.notna()
    expected = ImageSmoother().fit_transform(values[there].to_frame())
    assert np.ma.getmaskarray(found).sum() == 2
    np.testing.assert_allclose(
        np.sort(found.compressed()), np.sort(expected.to_numpy().ravel())
    )


def test_interpolation_is_for_display_only():
    image = shown(interpolation="bilinear")
    assert image.get_interpolation() == "bilinear"
    np.testing.assert_array_equal(image.get_array().ravel(), VALUES)
    assert shown().get_interpolation() == "nearest"


def test_sheets_take_the_same(tissue):
    axes = plots.ion_images(
        tissue, contrast="rank", smooth="median", interpolation="bilinear", shared=True
    )
    title = axes[0].figure.get_suptitle()
    assert title == "median-filtered intensity (a.u.), one colour scale"
    images = [image for ax in axes for image in ax.get_images()]
    assert {image.get_interpolation() for image in images} == {"bilinear"}
    low, high = images[0].get_clim()
    halfway = [float(image.norm((low + high) / 2)) for image in images]
    assert np.ptp(halfway) == 0
    for contrast in ("log", "sqrt"):
        plots.ion_images(tissue, contrast=contrast)[0].figure.canvas.draw()


def test_empty_and_negative_images():
    for contrast in ("linear", "sqrt", "log", "rank"):
        for values in (np.zeros(4), -np.arange(4.0), np.full(4, 5.0)):
            ax = plots.ion_image(
                values, [[0, 0], [1, 0], [0, 1], [1, 1]], contrast=contrast
            )
            ax.figure.canvas.draw()
            (image,) = ax.get_images()
            assert np.isfinite(brightness(image)).all()


def test_errors():
    with pytest.raises(
        ValueError, match=r"contrast must be one of linear, log, .*'ln'"
    ):
        shown(contrast="ln")
    for bad in ("mean", ("median", 4), ("median", 2.5)):
        with pytest.raises(ValueError, match="smooth must be None, one of median, "):
            shown(smooth=bad)
