"""What a grid search reads: counted in bytes, in one process and in two."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from imsminer import (
    ImzMLReader,
    ImzMLWarning,
    PeakIntegrator,
    PeakPicker,
    TICNormalizer,
)
from imsminer.core.cache import cache
from imsminer.model_selection import (
    SpatialBlockSplit,
    peak_reproducibility_score,
    spatial_structure_score,
)

GRID_24 = {
    "peakpicker__loq": [3, 5, 10, 20],
    "peakpicker__min_points": [4, 6, 8],
    "peakpicker__z_threshold": [2.5, 3],
}
GRID_1 = {"peakpicker__loq": [10]}


@pytest.fixture
def kidney(kidney_path):
    """A reader of 12 MB, three times a chunk, and nothing in the cache."""
    cache.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImzMLWarning)
        reader = ImzMLReader(kidney_path)
    # Read once for each reader: the first and last m/z of all spectra.
    reader.source.mz_range()
    yield reader
    cache.clear()


def search(reader, pipe, grid, scoring=peak_reproducibility_score):
    """Run a search; return it and the bytes that it read."""
    before = reader.source.n_bytes_read
    found = GridSearchCV(
        pipe,
        grid,
        cv=SpatialBlockSplit(4),
        scoring=scoring,
        refit=False,
        error_score="raise",
    ).fit(reader)
    return found, reader.source.n_bytes_read - before


def file_bytes(reader):
    return int(reader.source.row_bytes.sum())


def axis_bytes(reader):
    """Upper limit of what estimating the axis reads: 10 spectra."""
    return 10 * int(reader.source.row_bytes.max())


def test_24_candidates_read_what_1_reads_and_that_is_the_file(kidney):
    pipe = make_pipeline(PeakPicker(), PeakIntegrator())
    _, one = search(kidney, pipe, GRID_1)
    cache.clear()
    _, many = search(kidney, pipe, GRID_24)
    assert one == many
    assert file_bytes(kidney) <= one <= file_bytes(kidney) + axis_bytes(kidney)
    _, again = search(kidney, pipe, GRID_24)
    assert again == 0


def test_stateless_steps_before_the_picker_share_passes_too(kidney):
    pipe = make_pipeline(TICNormalizer(scale=1.0), PeakPicker())
    _, many = search(kidney, pipe, GRID_24)
    assert many <= 2 * file_bytes(kidney) + axis_bytes(kidney)


def test_nothing_is_shared_behind_a_step_fitted_on_the_fold(kidney):
    pipe = make_pipeline(TICNormalizer(scale="median"), PeakPicker())
    _, one = search(kidney, pipe, GRID_1)
    # Each fold has a scale of its own, and its spectra are read anew: the training
    # and the test pixels of four folds are four times the file.
    assert one >= 4 * file_bytes(kidney)
    assert one <= 5 * file_bytes(kidney) + axis_bytes(kidney)
    # Candidates within a fold still share.
    cache.clear()
    _, many = search(kidney, pipe, {"peakpicker__loq": [5, 10, 20]})
    assert many == one


def test_folds_behind_a_fitted_step_get_results_of_their_own(kidney):
    folds = list(SpatialBlockSplit(2).split(kidney))
    pipe = make_pipeline(TICNormalizer(scale="median"), PeakPicker())
    spectra = []
    for train, _ in folds:
        spectra.append(clone(pipe).fit(kidney[train])[-1].reference_spectrum_)
        cache.clear()
        alone = clone(pipe).fit(kidney[train])[-1].reference_spectrum_
        np.testing.assert_array_equal(spectra[-1], alone)
    assert not np.array_equal(spectra[0], spectra[1])


def test_integration_is_one_pass_for_each_list_of_windows(kidney):
    pipe = make_pipeline(PeakPicker())
    grid = {"peakpicker__loq": [10, 20], "peakpicker__n_jobs": [None, 1]}
    reproduced, reference = search(kidney, pipe, grid)
    assert reproduced.n_splits_ == 4
    _, both = search(kidney, pipe, grid, spatial_structure_score)
    # Two distinct lists of windows in each of four folds, each over its test pixels.
    assert 0 < both <= 2 * file_bytes(kidney)
    _, again = search(kidney, pipe, grid, spatial_structure_score)
    assert again == 0
    assert reference <= file_bytes(kidney) + axis_bytes(kidney)


@dataclass
class Counted:
    """A score that notes what its process has read for this candidate and fold."""

    folder: Path

    def __call__(self, model, X, y=None):
        score = peak_reproducibility_score(model, X)
        with (self.folder / f"read-{os.getpid()}").open("a") as file:
            # Fitting and scoring read through one source, made for this task.
            file.write(f"{X.source.n_bytes_read}\n")
        return score

    def read(self):
        """Bytes by each process."""
        files = self.folder.glob("read-*")
        return [sum(map(int, file.read_text().split())) for file in files]


def test_two_processes_and_a_folder_read_the_file_once(kidney, tmp_path):
    expected, _ = search(kidney, make_pipeline(PeakPicker()), GRID_24)
    cache.clear()
    scoring = Counted(tmp_path)
    found = GridSearchCV(
        make_pipeline(PeakPicker()),
        GRID_24,
        cv=SpatialBlockSplit(4),
        scoring=scoring,
        refit=False,
        error_score="raise",
        n_jobs=2,
    ).fit(kidney.with_cache(tmp_path / "cache"))
    for name in [f"split{fold}_test_score" for fold in range(4)]:
        np.testing.assert_array_equal(
            found.cv_results_[name], expected.cv_results_[name]
        )
    read = scoring.read()
    assert len(read) == 2
    # Each process looks for the range of m/z itself: 16 bytes a spectrum.
    ends = 2 * 16 * len(kidney)
    once = file_bytes(kidney)
    assert once <= sum(read) <= once + axis_bytes(kidney) + ends
