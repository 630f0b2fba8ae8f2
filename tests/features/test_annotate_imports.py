"""Lists of METASPACE and SCiLS, as these programs write them."""

import numpy as np
import pandas as pd
import pytest

from imsminer import PeakIntegrator, Spectra
from imsminer.features.filter import AnalyteFilter
from imsminer.features.imports import (
    read_metaspace_annotations,
    read_scils_features,
    read_scils_regions,
)

METASPACE = """\
# Generated at 3/5/2024, 10:11:12 AM
# URL: https://metaspace2020.eu/annotations
group,datasetName,datasetId,formula,adduct,chemMod,ion,mz,msm,fdr,rhoSpatial,\
rhoSpectral,rhoChaos,moleculeNames,moleculeIds,minIntensity,maxIntensity,offSample
lab,kidney,2024-01,C47H83O13P,M-H,,C47H82O13P-,885.5498,0.912,0.05,0.95,0.97,0.99,\
"PI(18:0/20:4), PI(38:4)","HMDB1, HMDB2",0,1200,false
lab,kidney,2024-01,C6H12O6,M+Cl,,C6H12ClO6-,215.0328,0.4,0.5,,0.9,0.9,Glucose,HMDB3,0,5,true
"""
SCILS = """\
# Exported with SCiLS Lab Version 9.01.12514
# Object Full Name: My features
#
m/z;Interval Width (+/- Da);Color;Name;Peak area - A;Peak area - B;
766.5392;0.0100;#ff0000;PE 38:4;1.5;2.5;
885.5499;0.0120;#33a02c;PI 38:4;10;20;
887.5655;0.0120;#33a02c;PI 38:3 | adducts=[M-H]-;n=2;30;40;
"""


def write(folder, text, name="list.csv", encoding="utf-8"):
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


def test_metaspace_annotations_are_hits(tmp_path):
    hits = read_metaspace_annotations(write(tmp_path, METASPACE))
    assert hits["formula"].tolist() == ["C47H83O13P", "C6H12O6"]
    assert hits["adduct"].tolist() == ["[M-H]-", "[M+Cl]-"]
    assert hits["name"][0] == "PI(18:0/20:4), PI(38:4)"
    np.testing.assert_allclose(hits["mz"], [885.5498, 215.0328])
    np.testing.assert_allclose(hits["spatial"], [0.95, np.nan])
    assert hits[["msm", "fdr"]].to_numpy().tolist() == [[0.912, 0.05], [0.4, 0.5]]
    assert hits["datasetName"].tolist() == ["kidney", "kidney"]
    features = pd.DataFrame(np.ones((3, 2)), columns=["mz_215.0328", "mz_885.5499"])
    found = AnalyteFilter(hits, max_fdr=0.1).fit_transform(features)
    assert list(found.columns) == ["mz_885.5499"]


@pytest.mark.parametrize(
    ("adduct", "ion", "expected"),
    [
        ("M+H", "C6H13O6+", "[M+H]+"),
        ("+Na", "C6H12NaO6+", "[M+Na]+"),
        ("-H", "", "[M-H]-"),
        ("M+Cl", "", "[M+Cl]-"),
        ("M-H2O+H", "", "[M-H2O+H]+"),
        ("[M+K]+", "", "[M+K]+"),
        ("M", "C5H14NO+", "[M]+"),
    ],
)
def test_adducts_of_metaspace(tmp_path, adduct, ion, expected):
    text = f"formula,adduct,ion,mz\nC6H12O6,{adduct},{ion},200.0\n"
    hits = read_metaspace_annotations(write(tmp_path, text))
    assert hits["adduct"].tolist() == [expected]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_scils_features_are_a_peak_table(tmp_path, encoding):
    text = SCILS.replace("My", "Größe")
    peaks = read_scils_features(write(tmp_path, text, encoding=encoding))
    np.testing.assert_allclose(peaks["mz"], [766.5392, 885.5499, 887.5655])
    np.testing.assert_allclose(peaks["left"], peaks["mz"] - [0.01, 0.012, 0.012])
    np.testing.assert_allclose(peaks["right"], peaks["mz"] + [0.01, 0.012, 0.012])
    assert peaks["color"].tolist()[0] == "#ff0000"
    # The separator stands in the name of the last one.
    assert peaks["name"].tolist()[1:] == ["PI 38:4", "PI 38:3 | adducts=[M-H]-;n=2"]
    assert peaks["Peak area - B"].tolist() == [2.5, 20, 40]
    spectra = Spectra.from_arrays(
        [[1.0, 2.0, 4.0]], mz=[766.545, 885.549, 886.0], profile=False
    )
    found = PeakIntegrator(peaks=peaks).fit_transform(spectra)
    assert found.to_numpy().tolist() == [[1, 2, 0]]


def test_decimal_commas_and_lists_without_widths(tmp_path):
    peaks = read_scils_features(write(tmp_path, "m/z;Name\n885,5499;PI\n"))
    assert list(peaks.columns) == ["mz", "name"]
    assert peaks["mz"].tolist() == [885.5499]


def test_scils_regions(tmp_path):
    text = "# Object Full Name: Regions/Tumour\n# x\nSpot index;x;y\n0;12;7\n1;13;7\n"
    table = read_scils_regions(write(tmp_path, text))
    assert table.to_dict("list") == {
        "region": ["Regions/Tumour"] * 2,
        "x": [12, 13],
        "y": [7, 7],
    }
    several = "x,y,Region\n1,1,a\n2,1,b\n"
    assert read_scils_regions(write(tmp_path, several))["region"].tolist() == ["a", "b"]
    spots = "spot,region\nR00X012Y007,cortex\nR01X013Y-02,medulla\n"
    table = read_scils_regions(write(tmp_path, spots))
    assert table["run"].tolist() == ["R00", "R01"]
    assert table[["x", "y"]].to_numpy().tolist() == [[12, 7], [13, -2]]
    plain = read_scils_regions(write(tmp_path, "x;y\n1;2\n", "Medulla.csv"))
    assert plain["region"].tolist() == ["Medulla"]


def test_regions_in_micrometres(tmp_path):
    path = write(tmp_path, "x;y\n100;250\n150;300\n")
    table = read_scils_regions(path, pixel_size=50, origin=(-50, 0))
    assert table[["x", "y"]].to_numpy().tolist() == [[3, 5], [4, 6]]
    with pytest.raises(ValueError, match=r"list.csv, line 2: with pixel_size=40"):
        read_scils_regions(path, pixel_size=40)
    # Without a pixel size positions stay what they are.
    half = read_scils_regions(write(tmp_path, "x;y\n1.5;2\n"))
    assert half["x"].tolist() == [1.5]


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (
            read_metaspace_annotations,
            "# c\nformula,mz\nC6H12O6,1\n",
            r"list.csv, line 2: no column adduct among formula, mz. Expected METASPACE",
        ),
        (
            read_metaspace_annotations,
            "formula,adduct,mz\nC6H12O6,M+H,1.0\nC6H12O6,M+H,abc\n",
            r"list.csv, line 3: column 'mz' holds 'abc', but a number is expected",
        ),
        (
            read_metaspace_annotations,
            "formula,adduct,mz\nC6H12O6,M,1.0\n",
            r"line 2: adduct 'M' without a column ion leaves the polarity open",
        ),
        (
            read_scils_features,
            "# c\nmass;Name\n1;a\n",
            r"list.csv, line 2: no column m/z among mass, Name",
        ),
        (
            read_scils_features,
            "# c\n# d\nm/z;Interval Width (+/- Da)\n885.5;0.1\n886.5;\n",
            r"list.csv, line 5: column 'Interval Width .* holds ''",
        ),
        (
            read_scils_features,
            "m/z;Color;Name\n885.5;#fff\n",
            r"list.csv, line 2: 2 cells, but 3 columns are named",
        ),
        (
            read_scils_regions,
            "a;b\n1;2\n",
            r"list.csv, line 1: no column x or y among a, b",
        ),
        (
            read_scils_regions,
            "spot\nR00X1Y2\nR00\n",
            r"list.csv, line 3: 'R00' is no spot name",
        ),
        (read_scils_features, "# only\n\n", r"list.csv has no line of column names"),
    ],
)
def test_errors_name_file_and_line(tmp_path, read, text, message):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, text))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a SCiLS feature list"):
        read_scils_features(tmp_path / "none.csv")
