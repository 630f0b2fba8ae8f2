"""The tissue mask on images whose tissue is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from skimage.filters import threshold_otsu

from imsminer.images.roi import tissue_mask


def image(seed=0, size=40, dim=1.0):
    """Log-normal intensities, a disc ten times brighter than the slide."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    disc = np.hypot(x - size / 2, y - size / 2) < size / 3
    values = dim * np.where(disc, 1000.0, 100.0) * rng.lognormal(0, 0.25, disc.shape)
    return values.ravel(), disc.ravel(), np.column_stack([x.ravel(), y.ravel()])


def test_a_disc_is_found():
    values, disc, _ = image()
    assert (tissue_mask(values) == disc).mean() > 0.999


def test_it_is_otsu_on_the_logarithm():
    values, _, _ = image(3)
    level = np.log(values)
    np.testing.assert_array_equal(tissue_mask(values), level > threshold_otsu(level))


def test_the_sum_of_features_or_one_of_them():
    values, disc, _ = image()
    X = pd.DataFrame({"mz_500.0000": values, "mz_600.0000": values.max() - values})
    assert (tissue_mask(X, column="mz_500.0000") == disc).mean() > 0.999
    assert (tissue_mask(X.to_numpy(), column=0) == disc).mean() > 0.999
    both = tissue_mask(X[["mz_500.0000"]] * [2.0])
    np.testing.assert_array_equal(both, tissue_mask(X, column="mz_500.0000"))


def test_pixels_without_signal_move_nothing():
    values, _, _ = image()
    expected = tissue_mask(values)
    padded = np.concatenate([values, np.zeros(500)])
    found = tissue_mask(padded)
    np.testing.assert_array_equal(found[: values.size], expected)
    assert not found[values.size :].any()


def test_runs_have_thresholds_of_their_own():
    (one, disc, _), (two, _, _) = image(0), image(1, dim=0.01)
    values, truth = np.concatenate([one, two]), np.tile(disc, 2)
    runs = np.repeat(["a", "b"], one.size)
    found = tissue_mask(values, runs=runs)
    assert (found == truth).mean() > 0.999
    index = pd.MultiIndex.from_arrays(
        [runs, np.arange(values.size), np.ones(values.size, int)],
        names=["run", "x", "y"],
    )
    np.testing.assert_array_equal(tissue_mask(pd.Series(values, index)), found)
    assert (tissue_mask(values) == truth).mean() < 0.8
    shuffled = np.random.default_rng(0).permutation(values.size)
    again = tissue_mask(values[shuffled], runs=runs[shuffled])
    np.testing.assert_array_equal(again, found[shuffled])


def test_specks_go_and_holes_close():
    grid = np.zeros((12, 14), bool)
    grid[2:9, 2:9] = True
    grid[4, 4:6] = False  # a hole of two pixels
    grid[6, 6] = False  # a hole of one
    grid[10, 11] = True  # a speck
    grid[0, 0:2] = True  # a speck of two at the border
    y, x = np.nonzero(np.ones_like(grid))
    values = np.where(grid.ravel(), 1000.0, 10.0)
    places = np.column_stack([x, y])

    def found(**options):
        return tissue_mask(values, places, **options).reshape(grid.shape)

    np.testing.assert_array_equal(found(), grid)
    specks = grid.copy()
    specks[10, 11] = False
    np.testing.assert_array_equal(found(min_size=2), specks)
    specks[0, :2] = False
    np.testing.assert_array_equal(found(min_size=3), specks)
    holes = grid.copy()
    holes[6, 6] = True
    np.testing.assert_array_equal(found(max_hole=1), holes)
    holes[4, 4:6] = True
    np.testing.assert_array_equal(found(max_hole=30), holes)
    order = np.random.default_rng(0).permutation(values.size)
    again = tissue_mask(values[order], places[order], min_size=3, max_hole=2)
    np.testing.assert_array_equal(again, found(min_size=3, max_hole=2).ravel()[order])


def test_holes_at_the_border_stay_open():
    grid = np.ones((6, 6), bool)
    grid[0, 2] = False
    y, x = np.nonzero(np.ones_like(grid))
    values = np.where(grid.ravel(), 900.0, 3.0)
    found = tissue_mask(values, np.column_stack([x, y]), max_hole=5)
    np.testing.assert_array_equal(found.reshape(grid.shape), grid)


@pytest.mark.parametrize(
    ("X", "options", "match"),
    [
        (np.full(9, 5.0), {}, "equally bright"),
        (np.zeros(9), {}, "equally bright"),
        ([1.0, np.nan, 3.0], {}, "1 that are not finite"),
        ([1.0, -2.0, 3.0], {}, "1 below 0"),
        ([1.0, 2.0], {"method": "li"}, "method"),
        ([1.0, 2.0], {"min_size": 4}, "where the pixels are"),
        ([1.0, 2.0], {"runs": ["a"]}, "runs has 1 rows"),
        (np.ones((2, 2, 2)), {}, "shape"),
        (pd.DataFrame({"a": [1.0]}), {"column": "b"}, "no column 'b'"),
    ],
)
def test_what_is_refused(X, options, match):
    with pytest.raises(ValueError, match=match):
        tissue_mask(X, **options)


@pytest.mark.shared
def test_the_bladder_against_an_independent_segmentation(shared_data):
    table = np.load(shared_data / "bladder" / "bladder_79peaks.npz")
    parts = (table["data"], table["indices"], table["indptr"])
    X = sparse.csr_array(parts, shape=tuple(table["shape"])).toarray()
    places = np.column_stack([table["x"], table["y"]])
    # Segments 3 and 4 are the glass, 1 is its border.
    tissue, glass = np.isin(table["ssc"], (2, 5, 6)), np.isin(table["ssc"], (3, 4))
    found = tissue_mask(X, places, min_size=50, max_hole=50)
    assert found[tissue].mean() > 0.93
    assert found[glass].mean() < 0.02
    assert not tissue_mask(X)[X.sum(axis=1) == 0].any()
