"""``imsminer run`` on a study: sample sheet, regions, comparison, database."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from imsminer.cli import main
from imsminer.cli.pipeline import read_config
from imsminer.cli.study import scoring_of
from imsminer.datasets import make_study

OPTIONS = ("--segments", "3", "--clusters", "3", "-q")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"), n_replicates=3, radius=5)


def invoke(*arguments):
    return CliRunner().invoke(main, ["run", *map(str, arguments), *OPTIONS])


@pytest.fixture(scope="module")
def results(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "results"
    result = invoke(
        *(study.sheet, "-o", folder, "--rois", study.rois),
        *("--compare", "condition", "--unit", "replicate", "--test", "paired"),
        *("--reference", "control", "--database", study.database, "--ppm", "10"),
        *("--fdr", "0.1"),
    )
    assert result.exit_code == 0, result.output
    return folder


def test_the_comparison_finds_the_effects(study, results):
    table = pd.read_csv(results / "comparison.csv")
    assert set(table["group_a"]) == {"control"}
    assert set(table["group_b"]) == {"low dose", "high dose"}
    assert (table["n_a"] == 3).all()
    high = table[table["group_b"] == "high dose"].set_index("feature")
    hits = pd.read_csv(results / "annotations.csv").drop_duplicates("name")
    known = hits.merge(study.effects, on="name", suffixes=("", "_true"))
    assert len(known) > 20
    found = high.loc[known["feature"], "log2_fold_change"].to_numpy()
    true = known["high dose"].to_numpy()
    assert pd.Series(found).corr(pd.Series(true)) > 0.8


def test_hits_are_scored_and_accepted(study, results):
    hits = pd.read_csv(results / "annotations.csv")
    assert (hits["accepted"] == (hits["fdr"] <= 0.1)).all()
    assert hits["msm"].between(0, 1).all()
    true = hits["name"].isin(study.effects["name"])
    # Hits of lipids that are not there stay in the table, and few are accepted.
    assert (hits["accepted"] & true).sum() > 30
    assert (hits["accepted"] & ~true).sum() <= 0.1 * hits["accepted"].sum()
    assert (~hits["accepted"]).any()
    record = json.loads((results / "provenance.json").read_text(encoding="utf-8"))
    assert record["annotations"]["fdr"] == 0.1
    assert record["annotations"]["n_accepted"] == hits["accepted"].sum()
    text = (results / "report.html").read_text(encoding="utf-8")
    assert f"{hits['accepted'].sum()} of them are accepted at a false" in text


def test_the_report_and_the_pictures(results):
    names = {path.name for path in results.iterdir()}
    assert {"volcano.png", "heatmap.png", "boxes.png", "annotations.csv"} <= names
    text = (results / "report.html").read_text(encoding="utf-8")
    for title in ("Comparison", "Annotation", "<dt>test</dt><dd>paired</dd>"):
        assert title in text
    record = json.loads((results / "provenance.json").read_text(encoding="utf-8"))
    assert record["comparison"]["unit"] == ["replicate"]
    assert len(record["inputs"]) == 3
    # Arrays along the axis would make it huge.
    assert (results / "provenance.json").stat().st_size < 50_000


def test_regions_become_columns_of_the_pixels(results):
    features = pd.read_parquet(results / "features.parquet")
    assert set(features["condition"]) == {"control", "low dose", "high dose"}
    assert features["roi"].nunique() == 6
    assert set(features["replicate"]) == {1, 2, 3}


def test_a_configuration_says_the_same(study, tmp_path):
    config = tmp_path / "study.toml"
    config.write_text(
        '[compare]\ngroup = "roi"\nunit = "replicate"\nconfidence = 0.9\n'
        f'[annotate]\ndatabase = "{study.database}"\nadducts = ["[M-H]-"]\n',
        encoding="utf-8",
    )
    folder = tmp_path / "results"
    arguments = (study.sheet, "-o", folder, "--rois", study.rois, "--config", config)
    result = invoke(*arguments, "--test", "anova")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(folder / "comparison.csv")
    assert table["group_a"].nunique() == 5
    assert (table["test"] == "anova").all()
    assert "fdr" not in pd.read_csv(folder / "annotations.csv")


@pytest.mark.parametrize("fdr", ["0.1", "2", '"low"'])
def test_a_rate_in_the_configuration(fdr, study, tmp_path):
    config = tmp_path / "study.toml"
    text = f'[annotate]\ndatabase = "{study.database}"\nfdr = {fdr}\nppm = 7\n'
    config.write_text(text, encoding="utf-8")
    search = read_config(config)["annotate"]
    if fdr == "0.1":
        assert scoring_of(search, n_jobs=2) == {"fdr": 0.1, "ppm": 7, "n_jobs": 2}
        assert "fdr" not in search
        return
    result = invoke(study.sheet, "-o", tmp_path / "results", "--config", config)
    assert result.exit_code == 2
    assert "fdr must be a number above 0 and at most 1" in result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--compare", "dose", "--unit", "replicate"), "no column dose"),
        (("--compare", "replicate"), "--unit needs a column"),
        (("--ppm", "3"), "--database"),
        (("--fdr", "0.1"), "--database"),
        (("--fdr", "0"), "range"),
        (("--rois", "samples.csv"), "samples.csv"),
    ],
)
def test_what_is_missing_is_said_before_the_work_begins(
    study, tmp_path, options, words
):
    options = [study.sheet if o == "samples.csv" else o for o in options]
    result = invoke(study.sheet, "-o", tmp_path / "results", *options)
    assert result.exit_code in (1, 2)
    assert words in result.output
    assert not (tmp_path / "results").exists()


def test_a_sample_sheet_stands_alone(study, tmp_path):
    run = study.sheet.with_name("replicate_1.imzML")
    result = invoke(study.sheet, run, "-o", tmp_path / "results")
    assert result.exit_code == 2
    assert "alone" in result.output
