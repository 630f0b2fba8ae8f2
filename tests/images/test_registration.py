"""Landmarks: the true map comes back, and residuals are those of least squares."""

import numpy as np
import pytest
from scipy.optimize import least_squares
from skimage.transform import AffineTransform, SimilarityTransform

from imsminer.images.registration import register_landmarks
from imsminer.images.roi import Ellipse, MaskROI, Polygon, Rectangle

TRUE = AffineTransform(scale=(0.02, 0.025), rotation=0.3, shear=0.1, translation=(5, 9))
PICTURE = np.array([(100, 200), (3000, 150), (2800, 2500), (300, 2700), (1500, 1300)])


def test_the_true_map_comes_back():
    found = register_landmarks(PICTURE, TRUE(PICTURE))
    np.testing.assert_allclose(found.matrix, TRUE.params, rtol=1e-9, atol=1e-9)
    assert found.rmse < 1e-9
    assert found.residuals.shape == (5,)


def test_three_landmarks_are_enough():
    found = register_landmarks(PICTURE[:3], TRUE(PICTURE[:3]))
    np.testing.assert_allclose(found.to_pixels(PICTURE), TRUE(PICTURE), rtol=1e-9)


def test_a_mirrored_picture():
    mirrored = PICTURE * [-1, 1]
    found = register_landmarks(mirrored, TRUE(PICTURE))
    assert np.linalg.det(found.matrix) < 0
    assert found.rmse < 1e-9


def test_noise_is_fitted_by_least_squares():
    rng = np.random.default_rng(0)
    pixels = TRUE(PICTURE) + rng.normal(0, 0.5, PICTURE.shape)

    def distances(parameters):
        moved = PICTURE @ parameters[:4].reshape(2, 2).T + parameters[4:]
        return (moved - pixels).ravel()

    start = np.r_[TRUE.params[:2, :2].ravel(), TRUE.params[:2, 2]]
    best = least_squares(
        distances, start, x_scale=np.abs(start), xtol=1e-14, ftol=1e-14
    )
    found = register_landmarks(PICTURE, pixels)
    assert found.rmse == pytest.approx(np.sqrt(2 * best.cost / 5), rel=1e-9)
    np.testing.assert_allclose(
        found.residuals, np.hypot(*(found.to_pixels(PICTURE) - pixels).T)
    )
    assert 0.1 < found.rmse < 0.8


def test_a_similarity_keeps_angles():
    true = SimilarityTransform(scale=0.05, rotation=-1.1, translation=(3, 4))
    found = register_landmarks(PICTURE[:2], true(PICTURE[:2]), model="similarity")
    np.testing.assert_allclose(found.matrix, true.params, rtol=1e-9, atol=1e-9)
    bent = register_landmarks(PICTURE, TRUE(PICTURE), model="similarity")
    (a, b), (c, d) = bent.matrix[:2, :2]
    assert (a, b) == (d, -c)
    assert bent.rmse > 1


def test_there_and_back():
    found = register_landmarks(PICTURE, TRUE(PICTURE))
    points = np.random.default_rng(0).uniform(0, 3000, (50, 2))
    np.testing.assert_allclose(found.to_picture(found.to_pixels(points)), points)


def test_regions_go_both_ways():
    found = register_landmarks(PICTURE, TRUE(PICTURE))
    drawn = [
        Rectangle("r", 500, 500, 1500, 1200, group="g", run="a"),
        Ellipse("e", 2000, 1500, 400, 250),
        Polygon("p", [(100, 100), (900, 200), (400, 800)]),
        MaskROI("m", np.ones((300, 400), bool), (1000, 1000)),
    ]
    points = np.random.default_rng(1).uniform(0, 3000, (4_000, 2))
    in_pixels = found.transfer(drawn)
    back = found.transfer(in_pixels, to="picture")
    assert len(in_pixels) == len(back) == 4
    assert (in_pixels[0].name, in_pixels[0].group, in_pixels[0].run) == ("r", "g", "a")
    for roi, moved, returned in zip(drawn, in_pixels, back, strict=True):
        expected = roi.contains(*points.T)
        assert expected.any()
        inside = moved.contains(*found.to_pixels(points).T)
        np.testing.assert_array_equal(inside, expected)
        np.testing.assert_array_equal(returned.contains(*points.T), expected)


@pytest.mark.parametrize(
    ("picture", "pixels", "options", "match"),
    [
        (PICTURE[:2], PICTURE[:2], {}, "needs 3 landmarks or more; got 2"),
        (PICTURE[:1], PICTURE[:1], {"model": "similarity"}, "needs 2 landmarks"),
        ([(0, 0), (1, 1), (5, 5)], PICTURE[:3], {}, "picture_points lie on a line"),
        (PICTURE[:3], [(0, 0), (2, 1), (4, 2)], {}, "pixel_points lie on a line"),
        ([(3, 3)] * 3, PICTURE[:3], {"model": "similarity"}, "in one place"),
        (PICTURE, PICTURE[:4], {}, "got 5 in picture_points and 4"),
        (PICTURE[:, :1], PICTURE, {}, r"picture_points must be finite"),
        (PICTURE, PICTURE * np.nan, {}, "pixel_points must be finite.*NaN"),
        (PICTURE, PICTURE, {"model": "spline"}, "model must be one of"),
    ],
)
def test_what_is_refused(picture, pixels, options, match):
    with pytest.raises(ValueError, match=match):
        register_landmarks(picture, pixels, **options)


def test_where_to_is_checked():
    with pytest.raises(ValueError, match='"pixels" or "picture"'):
        register_landmarks(PICTURE, PICTURE).transfer([], to="slide")
