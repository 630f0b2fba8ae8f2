import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline

from imsminer import PeakPicker, Spectra, concatenate
from imsminer.model_selection import SpatialBlockSplit, peak_reproducibility_score


def grid(height, width, run="run"):
    y, x = np.mgrid[1 : height + 1, 1 : width + 1].reshape(2, -1)
    coordinates = np.stack([x, y, np.ones_like(x)], axis=1)
    return Spectra.from_arrays(np.ones((x.size, 3)), coordinates=coordinates, run=run)


@pytest.mark.parametrize("n_splits", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("shape", [(18, 19), (40, 40), (12, 50)])
def test_folds_part_the_pixels_evenly(n_splits, shape):
    spectra = grid(*shape)
    tests = []
    for train, test in SpatialBlockSplit(n_splits).split(spectra):
        assert np.intersect1d(train, test).size == 0
        assert np.union1d(train, test).size == len(spectra)
        tests.append(test)
    assert len(tests) == n_splits == SpatialBlockSplit(n_splits).get_n_splits()
    np.testing.assert_array_equal(np.sort(np.concatenate(tests)), range(len(spectra)))
    sizes = np.array([test.size for test in tests])
    assert sizes.max() <= 2.0 * len(spectra) / n_splits
    assert sizes.min() >= 0.4 * len(spectra) / n_splits


def test_blocks_are_contiguous_squares_all_over_the_tissue():
    spectra = grid(32, 32)
    folds = SpatialBlockSplit(4, block_size=4).assign(spectra).reshape(32, 32)
    blocks = folds.reshape(8, 4, 8, 4)
    np.testing.assert_array_equal(blocks.min(axis=(1, 3)), blocks.max(axis=(1, 3)))
    # Each quarter of the image has all folds.
    for quarter in (folds[:16, :16], folds[:16, 16:], folds[16:, :16], folds[16:, 16:]):
        assert np.unique(quarter).size == 4
    # Neighbouring blocks are of different folds.
    small = blocks[:, 0, :, 0]
    assert np.all(small[1:] != small[:-1])
    assert np.all(small[:, 1:] != small[:, :-1])


def test_neighbours_share_a_fold_far_more_often_than_at_random():
    spectra = grid(30, 30)
    folds = SpatialBlockSplit(4).assign(spectra).reshape(30, 30)
    random = np.empty(900, int)
    for fold, (_, test) in enumerate(
        KFold(4, shuffle=True, random_state=0).split(folds.ravel())
    ):
        random[test] = fold
    random = random.reshape(30, 30)
    assert np.mean(folds[1:] == folds[:-1]) > 0.8
    assert np.mean(random[1:] == random[:-1]) < 0.3


def test_runs_are_cut_each_for_itself_and_sections_go_together():
    study = concatenate([grid(12, 12, "a"), grid(12, 12, "b")])
    folds = SpatialBlockSplit(4).assign(study)
    assert np.unique(folds[:144]).size == np.unique(folds[144:]).size == 4
    two = study.pixels.assign(run="a", z=np.repeat([1, 2], 144))
    same = SpatialBlockSplit(4).assign(np.ones((288, 1)), two)
    np.testing.assert_array_equal(same[:144], same[144:])


def test_order_and_kind_of_the_input_do_not_matter():
    spectra = grid(16, 16)
    splitter = SpatialBlockSplit(4)
    expected = splitter.assign(spectra)
    order = np.random.default_rng(0).permutation(256)
    np.testing.assert_array_equal(splitter.assign(spectra[order]), expected[order])
    index = pd.MultiIndex.from_frame(spectra.pixels[["run", "x", "y", "z"]])
    frame = pd.DataFrame(np.ones((256, 2)), index=index)
    np.testing.assert_array_equal(splitter.assign(frame), expected)
    array = np.ones((256, 2))
    for groups in (
        spectra.coordinates,
        spectra.coordinates[:, :2],
        spectra.pixels,
    ):
        np.testing.assert_array_equal(splitter.assign(array, groups), expected)


def test_labels_the_blocks_of_the_source():
    spectra = grid(16, 16)
    list(SpatialBlockSplit(4).split(spectra))
    np.testing.assert_array_equal(
        spectra.source.blocks, SpatialBlockSplit(4).assign(spectra)
    )
    half = spectra[:128]
    list(SpatialBlockSplit(2).split(half))
    assert np.all(spectra.source.blocks[128:] == 2)
    assert set(spectra.source.blocks[:128]) == {0, 1}
    copy = pickle.loads(pickle.dumps(spectra))
    np.testing.assert_array_equal(copy.source.blocks, spectra.source.blocks)


def test_errors():
    with pytest.raises(ValueError, match=r"\(run, x, y, z\).*or pass groups="):
        next(SpatialBlockSplit().split(np.ones((20, 2))))
    with pytest.raises(ValueError, match="n_splits"):
        SpatialBlockSplit(1)
    with pytest.raises(ValueError, match="n_splits"):
        SpatialBlockSplit(2.5)
    with pytest.raises(ValueError, match="block_size"):
        SpatialBlockSplit(4, block_size=0)
    with pytest.raises(ValueError, match="folds have no pixel"):
        list(SpatialBlockSplit(4, block_size=50).split(grid(10, 10)))
    with pytest.raises(ValueError, match="folds have no pixel"):
        list(SpatialBlockSplit(4).split(grid(1, 3)))


def test_in_cross_validation_of_arrays():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(256, 300)) + 100 * (np.arange(300) % 60 == 30)
    scores = cross_val_score(
        make_pipeline(PeakPicker()),
        X,
        groups=grid(16, 16).coordinates,
        cv=SpatialBlockSplit(4),
        scoring=peak_reproducibility_score,
        error_score="raise",
    )
    np.testing.assert_array_equal(scores, [5, 5, 5, 5])
