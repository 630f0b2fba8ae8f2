"""The simulated study: what its files say, and that its effects can be found."""

import numpy as np
import pandas as pd
import pytest

from imsminer import ImzMLReader, PeakIntegrator
from imsminer.datasets import make_study
from imsminer.images.roi import label_pixels, read_geojson


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"), n_replicates=2, radius=6)


@pytest.fixture(scope="module")
def reader(study):
    return ImzMLReader.from_sample_sheet(study.sheet)


def test_every_pixel_lies_in_one_piece(study, reader):
    rois = read_geojson(study.rois)
    assert len(rois) == 12
    runs = reader.pixels["run"]
    names = label_pixels(reader.coordinates, rois, runs=runs)
    groups = label_pixels(reader.coordinates, rois, runs=runs, by="group")
    assert (names != "").all()
    table = pd.crosstab([runs, groups], names)
    assert (table > 0).sum().tolist() == [2] * 6
    assert set(groups) == {"control", "low dose", "high dose"}
    assert reader.pixels["replicate"].unique().tolist() == [1, 2]


def test_the_effects_are_in_the_data(study, reader):
    groups = label_pixels(
        reader.coordinates,
        read_geojson(study.rois),
        runs=reader.pixels["run"],
        by="group",
    )
    peaks = study.effects[["mz"]]
    features = PeakIntegrator(peaks=peaks, window="ppm", width=60).fit_transform(reader)
    means = features.groupby(np.asarray(groups)).mean()
    found = np.log2(means.loc["high dose"] / means.loc["control"]).to_numpy()
    true = study.effects["high dose"].to_numpy()
    responding = true != 0
    assert responding.sum() == 12
    assert np.corrcoef(found[responding], true[responding])[0, 1] > 0.9


def test_the_database_holds_as_many_lipids_that_are_absent(study):
    database = pd.read_csv(study.database)
    present = database["name"].isin(study.effects["name"])
    assert present.sum() == len(study.effects) == len(database) / 2
    assert not database["name"].duplicated().any()


def test_the_same_seed_gives_the_same_study(study, tmp_path):
    again = make_study(tmp_path, n_replicates=2, radius=6)
    pd.testing.assert_frame_equal(again.effects, study.effects)
    for name in ("rois.geojson", "replicate_2.ibd"):
        one, other = (p.sheet.with_name(name).read_bytes() for p in (again, study))
        assert one[16:] == other[16:]
    with pytest.raises(FileExistsError):
        make_study(tmp_path, n_replicates=2, radius=6)
