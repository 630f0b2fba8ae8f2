"""Runs whose spectra differ in polarity, or in being profile or centroid."""

import pickle
import warnings

import numpy as np
import pytest

from imsminer.core.study import concatenate
from imsminer.exceptions import ImzMLWarning
from imsminer.io.imzml import ImzMLReader

NEGATIVE = '<cvParam accession="MS:1000129" name="negative scan"/>'
CENTROID = '<cvParam accession="MS:1000127" name="centroid spectrum"/>'


def mixed(written, *flags, inline):
    """Give the first two spectra flags of their own in place of their group's."""
    if not inline:
        written.replace(
            '<referenceableParamGroup id="scan1">',
            f'<referenceableParamGroup id="other">{"".join(flags)}'
            '</referenceableParamGroup><referenceableParamGroup id="scan1">',
        )
    own = "".join(flags) if inline else '<referenceableParamGroupRef ref="other"/>'
    return written.replace('<referenceableParamGroupRef ref="spectrum1"/>', own, 2)


@pytest.mark.parametrize("inline", [True, False])
def test_polarity_of_each_pixel(tmp_path, pair, both, inline):
    profile = '<cvParam accession="MS:1000128" name="profile spectrum"/>'
    path = mixed(pair(), NEGATIVE, profile, inline=inline).save(tmp_path)
    assert both(path).fast
    with pytest.warns(ImzMLWarning, match=r"3 positive and 2 negative.*pixels\['pol"):
        reader = ImzMLReader(path)
    expected = ["negative"] * 2 + ["positive"] * 3
    assert reader.pixels["polarity"].tolist() == expected
    assert "spectrum_type" not in reader.pixels
    assert reader.runs["polarity"].item() == "mixed"
    positive = reader[reader.pixels["polarity"] == "positive"]
    assert positive.coordinates[:, 0].tolist() == [3, 4, 5]
    again = pickle.loads(pickle.dumps(reader))
    assert again.pixels["polarity"].tolist() == expected
    stored = reader.persist(tmp_path / "stored")
    assert stored.pixels["polarity"].tolist() == expected


@pytest.mark.parametrize("inline", [True, False])
def test_type_of_each_pixel(tmp_path, pair, both, inline):
    positive = '<cvParam accession="MS:1000130" name="positive scan"/>'
    path = mixed(pair(), CENTROID, positive, inline=inline).save(tmp_path)
    assert both(path).fast
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reader = ImzMLReader(path)
    (warning,) = caught
    assert issubclass(warning.category, ImzMLWarning)
    assert "3 profile and 2 centroid" in str(warning.message)
    assert reader.pixels["spectrum_type"].tolist() == ["centroid"] * 2 + ["profile"] * 3
    assert "polarity" not in reader.pixels
    # Not a word where the user has said what they are.
    told = ImzMLReader(path, spectrum_type="profile")
    assert told.profile
    assert "spectrum_type" not in told.pixels


def test_spectra_without_or_with_both_flags(tmp_path, pair):
    both_flags = NEGATIVE + '<cvParam accession="MS:1000130" name="positive scan"/>'
    group = '<referenceableParamGroupRef ref="spectrum1"/>'
    written = pair().replace(group, NEGATIVE, 1).replace(group, both_flags, 1)
    path = written.replace(group, "", 1).save(tmp_path)
    with pytest.warns(ImzMLWarning, match="2 positive and 1 negative"):
        reader = ImzMLReader(path)
    found = reader.pixels["polarity"].fillna("none").tolist()
    assert found == ["negative", "none", "none", "positive", "positive"]


def test_left_out_spectra_do_not_count(tmp_path, pair):
    written = mixed(pair(), NEGATIVE, inline=True)
    written.replace('position x" value="1"', 'position x" value="?"', 1)
    written.replace('position x" value="2"', 'position x" value="?"', 1)
    with pytest.warns(ImzMLWarning) as caught:
        reader = ImzMLReader(written.save(tmp_path), on_error="skip")
    assert not any("mixes" in str(warning.message) for warning in caught)
    assert "polarity" not in reader.pixels


def test_studies_of_mixed_and_other_runs(tmp_path, pair):
    path = mixed(pair(), NEGATIVE, inline=True).save(tmp_path, "a")
    other = pair().save(tmp_path, "b")
    with pytest.warns(ImzMLWarning, match="mixes"):
        study = ImzMLReader([path, other])
    expected = ["negative"] * 2 + ["positive"] * 8
    assert study.pixels["polarity"].tolist() == expected
    with pytest.warns(ImzMLWarning, match="mixes"):
        parts = [ImzMLReader(path), ImzMLReader(other)]
    parts[1].pixels["roi"] = np.arange(5)
    joined = concatenate(parts).pixels
    assert joined["polarity"].tolist() == expected
    assert joined["roi"].tolist()[5:] == [0, 1, 2, 3, 4]


def level(value):
    return f'<cvParam accession="MS:1000511" name="ms level" value="{value}"/>'


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize(
    ("first", "other"),
    [
        (level(2), level(1)),
        (level(3), level(0)),
        (level(12), ""),
        ('<cvParam accession="MS:1000580" name="MSn spectrum"/>', level(1)),
    ],
)
def test_ms_level_of_each_pixel(tmp_path, pair, both, first, other, inline):
    kept = '<referenceableParamGroupRef ref="spectrum1"/>'
    written = mixed(pair(), first, inline=inline).replace(kept, kept + other)
    written.replace("<scanList", kept + "<scanList")
    path = written.save(tmp_path)
    assert both(path).fast
    with pytest.warns(ImzMLWarning, match=r"3 MS1 and 2 MSn .*pixels\['ms_level'\]"):
        reader = ImzMLReader(path)
    assert reader.pixels["ms_level"].tolist() == ["MSn"] * 2 + ["MS1"] * 3


@pytest.mark.parametrize("text", ["2.0", " 02 ", "+2"])
def test_ms_levels_however_written(tmp_path, pair, both, text):
    kept = '<referenceableParamGroupRef ref="spectrum1"/>'
    path = pair().replace(kept, kept + level(text), 1).save(tmp_path)
    assert (both(path).spectra["flags"] & 16).tolist() == [16, 0, 0, 0, 0]


@pytest.mark.parametrize("text", ["0", "1", "", "1.0", "one", "-2"])
def test_one_ms_level(tmp_path, pair, both, text):
    kept = '<referenceableParamGroupRef ref="spectrum1"/>'
    odd = pair().replace(kept, kept + level(text), 2)
    assert not (both(odd.save(tmp_path)).spectra["flags"] & 16).any()
    # All of one later level are nothing to warn of.
    everywhere = pair().replace(kept, kept + level(2)).save(tmp_path, "all")
    assert (both(everywhere).spectra["flags"] & 16).all()
    assert "ms_level" not in ImzMLReader(everywhere).pixels
