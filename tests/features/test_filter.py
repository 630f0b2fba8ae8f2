"""Selection of features by hits, m/z, frequency, structure, tissue and MS2."""

import os

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import mannwhitneyu
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer.core.moran import moran_i
from imsminer.features.filter import AnalyteFilter

MZ = [500.1234, 600.2345, 700.3456, 800.4567]


@parametrize_with_checks(
    [AnalyteFilter(), AnalyteFilter(min_frequency=0.1), AnalyteFilter(min_frequency=1)]
)
@pytest.mark.filterwarnings("ignore:AnalyteFilter. none of:UserWarning")
def test_sklearn_checks(estimator, check):
    check(estimator)


def features(height=12, width=15, seed=0, run="a"):
    """One column with structure, one of noise, one off tissue, one rare."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    inside = (x > 3) & (x < 12)
    noise = rng.uniform(1, 2, (4, x.size))
    columns = [
        inside * 100 + noise[0],
        20 * rng.random(x.size),
        ~inside * 10 + noise[2],
        np.where(rng.random(x.size) < 0.2, noise[3], 0),
    ]
    index = pd.MultiIndex.from_arrays(
        [[run] * x.size, x, y, np.ones_like(x)], names=["run", "x", "y", "z"]
    )
    names = [f"mz_{mz:.4f}" for mz in MZ]
    return pd.DataFrame(np.float32(np.stack(columns, 1)), index, names), inside


HITS = pd.DataFrame(
    {
        "mz": [500.1236, 500.1230, 700.3456, 800.4570, 900.0],
        "adduct": ["[M+H]+", "[M+Na]+", "[M+H]+", "[M+H]+", "[M+H]+"],
        "analyte_class": ["PC", "PE", "PC", "TG", "PC"],
        "fdr": [0.05, 0.3, 0.05, np.nan, 0.01],
    }
)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"hits": HITS}, [0, 2, 3]),
        ({"hits": HITS, "min_hits": 2}, [0]),
        ({"hits": HITS, "max_fdr": 0.1}, [0, 2]),
        ({"hits": HITS, "analyte_class": "PC"}, [0, 2]),
        ({"hits": HITS, "analyte_class": ["PC", "TG"]}, [0, 2, 3]),
        ({"hits": HITS, "ion_type": "[M+Na]+"}, [0]),
        ({"hits": HITS, "max_fdr": 0.1, "ppm": 0.05}, [2]),
        ({"mz": [600.2345 * (1 + 9e-6), 700.3456 * (1 + 11e-6)]}, [1]),
        ({"mz": [600.2345 * (1 + 9e-6)], "ppm": 20}, [1]),
        ({"min_frequency": 0.9}, [0, 1, 2]),
        ({"min_moran": 0.5}, [0, 2]),
        ({"min_tissue_auc": 0.5}, [0]),
        ({"ms2": [700.3460, 123.0]}, [2]),
        ({"ms2": pd.DataFrame({"PRECURSOR_MZ": [800.4567]})}, [3]),
        ({"hits": HITS, "min_moran": 0.5, "min_tissue_auc": 0.9}, [0]),
    ],
)
def test_what_stays(parameters, expected):
    X, tissue = features()
    if "min_tissue_auc" in parameters:
        parameters = parameters | {"tissue": tissue}
        if len(parameters) == 2:
            # Noise lies on both sides of one half.
            expected = [0, *np.flatnonzero(auc_by_scipy(X, tissue) >= 0.5)[1:]]
    chosen = AnalyteFilter(**parameters).fit(X)
    assert chosen.get_support(indices=True).tolist() == expected
    found = chosen.transform(X)
    pd.testing.assert_frame_equal(found, X.iloc[:, expected])
    assert list(chosen.get_feature_names_out()) == list(found.columns)
    back = chosen.inverse_transform(found)
    assert back.shape == X.shape
    assert (back.iloc[:, expected] == found).all(axis=None)
    assert back.drop(columns=found.columns).to_numpy().sum() == 0


def auc_by_scipy(X, tissue):
    values = X.to_numpy(np.float64)
    u = mannwhitneyu(values[tissue], values[~tissue]).statistic
    return u / (tissue.sum() * (~tissue).sum())


def test_on_tissue_auc_is_that_of_mann_whitney_with_ties():
    X, tissue = features()
    chosen = AnalyteFilter(min_tissue_auc=0, tissue=tissue).fit(X)
    found = chosen.table_["tissue_auc"]
    np.testing.assert_allclose(found, auc_by_scipy(X, tissue), rtol=1e-12)
    assert found[0] == 1
    assert found[2] == 0


def test_table_holds_what_was_asked_for():
    X, _ = features()
    chosen = AnalyteFilter(HITS, min_frequency=0.1, min_moran=0, mz=MZ[:2]).fit(X)
    table = chosen.table_
    assert table["n_hits"].tolist() == [2, 0, 1, 1]
    assert table["near_mz"].tolist() == [True, True, False, False]
    np.testing.assert_allclose(table["mz"], MZ)
    np.testing.assert_allclose(table["moran"], moran_i(X))
    np.testing.assert_allclose(table["frequency"], (X > 0).mean())
    assert chosen.hits_["column"].tolist() == [0, 0, 2, 3]


def test_names_of_features_decide_where_hits_have_them():
    X, _ = features()
    hits = pd.DataFrame({"feature": ["mz_600.2345", "mz_1.0"], "mz": [700.3456, 1.0]})
    assert AnalyteFilter(hits).fit(X).get_support(indices=True).tolist() == [1]


def test_ms2_table_is_joined_and_read_from_files(tmp_path):
    X, _ = features()
    path = tmp_path / "ms2.tsv"
    path.write_text("# merged\nprecursor m/z\tname\n700.3456\tPC 34:1\n650.0\tother\n")
    chosen = AnalyteFilter(ms2=path).fit(X)
    assert chosen.ms2_["name"].tolist() == ["PC 34:1"]
    assert chosen.ms2_["column"].tolist() == [2]
    assert chosen.ms2_["ppm"].tolist() == [0]


def test_otsu_finds_the_tissue_of_each_run():
    # The second run is ten times brighter: one threshold for both would fail.
    one, inside = features(run="a")
    two = features(run="b")[0] * 10
    X = pd.concat([one, two])
    chosen = AnalyteFilter(min_tissue_auc=0.5).fit(X)
    np.testing.assert_array_equal(chosen.tissue_, np.tile(inside, 2))
    alone = AnalyteFilter(min_tissue_auc=0.5).fit(
        X.to_numpy(), runs=[0] * 180 + [1] * 180
    )
    np.testing.assert_array_equal(alone.tissue_, chosen.tissue_)


def test_empty_pixels_do_not_move_otsus_threshold():
    X, inside = features()
    X = X.copy()
    X.iloc[[0, 1]] = 0
    chosen = AnalyteFilter(min_tissue_auc=0.5).fit(X)
    np.testing.assert_array_equal(chosen.tissue_, inside)


def test_pixels_in_another_order_give_the_same():
    X, tissue = features()
    order = np.random.default_rng(1).permutation(len(X))
    options = {"min_moran": 0.2, "min_tissue_auc": 0.3}
    one = AnalyteFilter(**options, tissue=tissue).fit(X).table_
    two = AnalyteFilter(**options, tissue=tissue[order]).fit(X.iloc[order]).table_
    pd.testing.assert_frame_equal(one, two)


def test_arrays_and_coordinates_as_arguments():
    X, _ = features()
    places = X.index.to_frame()[["x", "y"]].to_numpy()
    chosen = AnalyteFilter(min_moran=0.5).fit(X.to_numpy(), coordinates=places)
    found = AnalyteFilter(min_moran=0.5).fit_transform(X.to_numpy(), coordinates=places)
    np.testing.assert_array_equal(found, X.to_numpy()[:, [0, 2]])
    assert found.dtype == np.float32
    back = chosen.inverse_transform(found)
    np.testing.assert_array_equal(back[:, [0, 2]], found)
    assert back[:, [1, 3]].sum() == 0


def test_in_a_pipeline_with_pandas_output():
    X, _ = features()
    pipe = make_pipeline(AnalyteFilter(mz=MZ[1:3]), StandardScaler())
    found = pipe.set_output(transform="pandas").fit_transform(X)
    assert list(found.columns) == ["mz_600.2345", "mz_700.3456"]
    assert found.index.equals(X.index)


def test_nothing_left_warns_and_gives_no_columns():
    X, _ = features()
    with pytest.warns(UserWarning, match="none of 4 features"):
        found = AnalyteFilter(mz=[100.0]).fit_transform(X)
    assert found.shape == (len(X), 0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_fdr": 0.1}, "max_fdr selects among annotations; give hits="),
        ({"analyte_class": "PC"}, "analyte_class selects among annotations"),
        (
            {"hits": HITS[["mz"]], "max_fdr": 0.1},
            "column fdr.*score_isotopes",
        ),
        ({"hits": HITS[["mz"]], "ion_type": "x"}, "column ion_type or adduct in hits"),
        ({"hits": HITS, "analyte_class": "DG"}, "no hit has analyte_class 'DG'.*'PC'"),
        ({"hits": HITS[["fdr"]]}, "hits need a column mz"),
        ({"tissue": [True] * 180}, "tissue is used by min_tissue_auc"),
        ({"tissue": [1] * 180, "min_tissue_auc": 0.5}, "one bool for each of 180"),
        ({"tissue": [True] * 180, "min_tissue_auc": 0.5}, "180 of 180 are on it"),
        ({"ms2": pd.DataFrame({"a": [1]})}, "needs a column precursor_mz or mz"),
        ({"ms2": [np.nan]}, "must hold m/z above 0; row 0"),
        ({"min_frequency": 2}, "min_frequency"),
    ],
)
def test_what_is_missing_is_said(parameters, message):
    X, _ = features()
    with pytest.raises(ValueError, match=message):
        AnalyteFilter(**parameters).fit(X)


def test_arrays_without_names_or_places_are_refused_where_needed():
    X = features()[0].to_numpy()
    with pytest.raises(ValueError, match="no column of X is named like mz_"):
        AnalyteFilter(mz=[500.0]).fit(X)
    with pytest.raises(ValueError, match="needs to know where the pixels are"):
        AnalyteFilter(min_moran=0.1).fit(X)
    constant = np.ones((6, 2))
    with pytest.raises(ValueError, match="sums of the pixels do not differ"):
        AnalyteFilter(min_tissue_auc=0.5).fit(constant)


@pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1",
    reason="array_api_dispatch needs SCIPY_ARRAY_API=1 from the start",
)
def test_array_api_dispatch_keeps_the_library():
    xp = pytest.importorskip("array_api_strict")
    X, tissue = features()
    values = xp.asarray(X.to_numpy())
    with config_context(array_api_dispatch=True):
        chosen = AnalyteFilter(min_frequency=0.5, min_tissue_auc=0.9, tissue=tissue)
        found = chosen.fit_transform(values)
        back = chosen.inverse_transform(found)
        with pytest.raises(ValueError, match="must use the same namespace"):
            chosen.transform(X.to_numpy())
    assert isinstance(found, type(values))
    np.testing.assert_array_equal(np.asarray(found), X.to_numpy()[:, [0]])
    np.testing.assert_array_equal(np.asarray(back)[:, 0], X.to_numpy()[:, 0])


@pytest.mark.shared
def test_ions_of_the_bladder_that_are_off_tissue(shared_data):
    table = np.load(shared_data / "bladder" / "bladder_79peaks.npz")
    parts = (table["data"], table["indices"], table["indptr"])
    X = sparse.csr_matrix(parts, shape=tuple(table["shape"])).toarray()
    # Segments of an independent segmentation; 3 and 4 are the glass, 1 is its border.
    tissue = np.isin(table["ssc"], (2, 5, 6))
    clearly = AnalyteFilter(min_tissue_auc=0.4, tissue=tissue).fit(X)
    assert (~clearly.get_support()).sum() == 23
    # With the tissue by Otsu's threshold, and no difference as the limit, two more.
    by_otsu = AnalyteFilter(min_tissue_auc=0.5).fit(X)
    assert 0.5 < by_otsu.tissue_.mean() < 0.6
    assert (~by_otsu.get_support()).sum() == 25
    assert not by_otsu.get_support()[~clearly.get_support()].any()
    # There is a gap: which pixels near the border are tissue makes no difference.
    auc = np.sort(by_otsu.table_["tissue_auc"])
    assert auc[24] < 0.45
    assert auc[25] > 0.51
