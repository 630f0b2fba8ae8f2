"""The output folder appears whole or not at all."""

import click
import numpy as np
import pandas as pd
import pytest

from imsminer.cli.output import MARK, common_pixel_size, output_folder


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_folder_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "deep" / "results"
    with output_folder(target, overwrite=False) as folder:
        (folder / "a.txt").write_text("a")
        assert not target.exists()
    assert listing(target) == ["a.txt"]
    assert listing(target.parent) == ["results"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_failure_leaves_nothing(tmp_path, error):
    target = tmp_path / "results"

    def fail():
        with output_folder(target, overwrite=False) as folder:
            (folder / "a.txt").write_text("a")
            raise error

    with pytest.raises(error):
        fail()
    assert listing(tmp_path) == []


def test_a_failure_leaves_earlier_results(tmp_path):
    target = tmp_path / "results"
    target.mkdir()
    (target / MARK).write_text("{}")

    def fail():
        with output_folder(target, overwrite=True):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert listing(target) == [MARK]
    assert listing(tmp_path) == ["results"]


def test_results_are_replaced_only_on_request(tmp_path):
    target = tmp_path / "results"
    target.mkdir()
    (target / MARK).write_text("{}")
    (target / "old.txt").write_text("old")
    with (
        pytest.raises(click.UsageError, match="--overwrite"),
        output_folder(target, overwrite=False),
    ):
        pass
    with output_folder(target, overwrite=True) as folder:
        (folder / MARK).write_text("{}")
    assert listing(target) == [MARK]
    assert listing(tmp_path) == ["results"]


def test_an_empty_folder_may_be_there_already(tmp_path):
    target = tmp_path / "results"
    target.mkdir()

    def fail():
        with output_folder(target, overwrite=False):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert listing(target) == []
    with output_folder(target, overwrite=False) as folder:
        (folder / "a.txt").write_text("a")
    assert listing(target) == ["a.txt"]
    assert listing(tmp_path) == ["results"]


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    for overwrite in (False, True):
        with (
            pytest.raises(click.UsageError, match="not written by imsminer"),
            output_folder(tmp_path, overwrite=overwrite),
        ):
            pass
    assert listing(tmp_path) == ["thesis.doc"]
    with (
        pytest.raises(click.UsageError, match="is a file"),
        output_folder(tmp_path / "thesis.doc", overwrite=True),
    ):
        pass


def test_a_scale_bar_needs_one_pixel_size():
    runs = pd.DataFrame({"pixel_size_x": [10.0, 10.0], "pixel_size_y": [20.0, 30.0]})
    assert common_pixel_size(runs)[0] == 10
    assert np.isnan(common_pixel_size(runs)[1])
    assert common_pixel_size(runs[:1]) == (10, 20)
    runs.loc[1, "pixel_size_x"] = np.nan
    assert np.isnan(common_pixel_size(runs)[0])
