"""Odd but real files: every one is read as it is, or refused for what is wrong.

The true values were found without this package: positions, offsets, lengths and types
by eye and regular expressions in the XML, values by ``np.fromfile`` at these offsets.
pyimzML agrees with all of them but the pixel size in nanometres.
"""

import re
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

from imsminer import ImzMLReader
from imsminer.exceptions import ImzMLError, ImzMLWarning
from imsminer.io._scan import scan_imzml

pytestmark = pytest.mark.shared


@dataclass
class Truth:
    """What is in a file; z is 1 in all of them.

    `first` and `last` are the first and last m/z and the first and last intensity of
    the first and of the last spectrum; `sums` the total intensities of all spectra.
    """

    name: str
    uuid: str
    polarity: str | None
    mode: str
    spectrum_type: str
    pixel_size: float
    warnings: list[str]
    positions: str
    lengths: list[int]
    first: tuple[float, float, float, float]
    last: tuple[float, float, float, float]
    sums: str
    lowest: float


TRUTHS = [
    Truth(
        "123_combined_auto.imzml",
        uuid="ae23e6256ac24a33be4ab73af67bc0dd",
        polarity=None,
        mode="continuous",
        spectrum_type="profile",
        pixel_size=1.0,
        warnings=["6 pixels along y and its positions reach over 11"],
        positions="1,1 1,2 1,3 7,1 8,1 7,2 8,2 7,3 8,3 1,9 1,10 1,11",
        lengths=[8399] * 12,
        first=(100.08333587646484, 799.9166870117188, 0.0, 0.0),
        last=(100.08333587646484, 799.9166870117188, 0.0, 0.0),
        sums=(
            "121.85039 200.963328 127.846644 182.318354 161.80919 135.305842 "
            "108.395974 168.270181 243.539507 161.80919 108.395974 243.539507"
        ),
        lowest=0.0,
    ),
    Truth(
        "12_combined.imzml",
        uuid="85ec78208e874fb2b74a5b9cd8cf24d6",
        polarity=None,
        mode="continuous",
        spectrum_type="profile",
        pixel_size=1.0,
        warnings=["3 pixels along x and its positions reach over 8"],
        positions="1,1 1,2 1,3 7,1 8,1 7,2 8,2 7,3 8,3",
        lengths=[8399] * 9,
        first=(100.08333587646484, 799.9166870117188, 0.0, 0.0),
        last=(100.08333587646484, 799.9166870117188, 0.0, 0.0),
        sums=(
            "121.85039 200.963328 127.846644 182.318354 161.80919 135.305842 "
            "108.395974 168.270181 243.539507"
        ),
        lowest=0.0,
    ),
    Truth(
        "Example_Continuous.imzML",
        uuid="554a27fa79d247669a2c862e6d78b1f3",
        polarity="negative",
        mode="continuous",
        spectrum_type="profile",
        pixel_size=100.0,
        warnings=[],
        positions="1,1 2,1 3,1 1,2 2,2 3,2 1,3 2,3 3,3",
        lengths=[8399] * 9,
        first=(100.08333587646484, 799.9166870117188, 0.0, 0.0),
        last=(100.08333587646484, 799.9166870117188, 0.0, 0.0),
        sums=(
            "121.85039 182.318354 161.80919 200.963328 135.305842 108.395974 "
            "127.846644 168.270181 243.539507"
        ),
        lowest=0.0,
    ),
    Truth(
        "Example_Processed.imzML",
        uuid="9d501bdc53444916b7e97e795b02c856",
        polarity="negative",
        mode="processed",
        spectrum_type="profile",
        pixel_size=100.0,
        warnings=[],
        positions="1,1 2,1 3,1 1,2 2,2 3,2 1,3 2,3 3,3",
        lengths=[8399] * 9,
        first=(100.08333587646484, 799.9166870117188, 0.0, 0.0),
        last=(100.08333587646484, 799.9166870117188, 0.0, 0.0),
        sums=(
            "121.85039 182.318354 161.80919 200.963328 135.305842 108.395974 "
            "127.846644 168.270181 243.539507"
        ),
        lowest=0.0,
    ),
    Truth(
        "Untreated_3_434_tiny.imzML",
        uuid="f1da2b10506649deb9a3243075247448",
        polarity=None,
        mode="processed",
        spectrum_type="centroid",
        pixel_size=np.nan,
        warnings=["no usable pixel size"],
        positions="1,1 1,2 1,3 1,4 2,1 2,2 2,3 2,4",
        lengths=[946, 980, 958, 1000, 1002, 1064, 1121, 1128],
        first=(159.71395874023438, 2637.547119140625, 1253584.0, 1551453.875),
        last=(156.5192413330078, 2637.3720703125, 682980.25, 9557364.0),
        sums=(
            "6.80608824e+09 6.3545536e+09 6.22351787e+09 7.3513643e+09 "
            "5.82351387e+09 6.53911291e+09 7.84184852e+09 7.80304874e+09"
        ),
        lowest=525699.4375,
    ),
    Truth(
        "cc.imzML",
        uuid="156206dd61c841eeacc5a68dff38a9f1",
        polarity="negative",
        mode="continuous",
        spectrum_type="centroid",
        pixel_size=20.0,
        warnings=["3 of 4 spectra cannot be read"],
        positions="1,1",
        lengths=[1999] * 1,
        first=(50.14871597290039, 299.9597473144531, 0.0, 22.0),
        last=(50.14871597290039, 299.9597473144531, 0.0, 22.0),
        sums="49133",
        lowest=0.0,
    ),
    Truth(
        "iontof_sparse.imzML",
        uuid="fc37f303a9c04cd3a28e1d18e523c269",
        polarity="positive",
        mode="processed",
        spectrum_type="profile",
        pixel_size=4.40625,
        warnings=[],
        positions="1,1 2,1 4,2 1,3 3,3 4,4",
        lengths=[5] * 6,
        first=(100.0, 500.0, 10.0, 50.0),
        last=(105.0, 505.0, 60.0, 300.0),
        sums="150 300 450 600 750 900",
        lowest=10.0,
    ),
    Truth(
        "jpc_test1.imzml",
        uuid="10a789d80d104eeebf60040e72e8ad32",
        polarity="negative",
        mode="processed",
        spectrum_type="centroid",
        pixel_size=20.0,
        warnings=[],
        positions="1,1 2,1 3,1 4,1 14,1 15,1 16,1 17,1",
        lengths=[1999, 1999, 1999, 1999, 548, 630, 534, 530],
        first=(50.14871597290039, 299.9597473144531, 0.0, 0.16983762383460999),
        last=(
            52.642417907714844,
            299.26666259765625,
            0.08562225103378296,
            0.14127671718597412,
        ),
        sums=(
            "379.301451 427.943743 372.181892 378.920362 198.59503 240.363174 "
            "192.796578 195.1588"
        ),
        lowest=0.0,
    ),
    Truth(
        "outfile1.imzml",
        uuid="97729696da304a3d82ca7f29db94e86d",
        polarity=None,
        mode="continuous",
        spectrum_type="profile",
        pixel_size=100.0,
        warnings=[],
        positions="1,1 1,2 1,3 3,1 3,2 3,3",
        lengths=[1199] * 6,
        first=(300.0833435058594, 399.91668701171875, 0.0, 0.0),
        last=(300.0833435058594, 399.91668701171875, 0.0, 0.0),
        sums=("29.3809201 56.6837997 28.1637824 40.6829994 18.7103242 51.7862336"),
        lowest=0.0,
    ),
    Truth(
        "pp_test2.imzml",
        uuid="faeda83159b849f3a4d2e79d3aa5cec1",
        polarity="negative",
        mode="continuous",
        spectrum_type="profile",
        pixel_size=20.0,
        warnings=[],
        positions="1,1 2,1 3,1 4,1",
        lengths=[1500] * 4,
        first=(50.08283615112305, 299.9152526855469, 53.0, 116.0),
        last=(50.08283615112305, 299.9152526855469, 16.0, 35.0),
        sums="323929 345866 308772 300117",
        lowest=0.0,
    ),
    Truth(
        "preprocessing_results5.imzml",
        uuid="77be3afa307b47548128797184bfa610",
        polarity=None,
        mode="continuous",
        spectrum_type="profile",
        pixel_size=1.0,
        warnings=[],
        positions="1,1 2,1 3,1 1,2 2,2 3,2 1,3 2,3 3,3",
        lengths=[10398] * 9,
        first=(100.0, 799.966796875, 0.0, 0.0),
        last=(100.0, 799.966796875, 0.0, 0.0),
        sums=(
            "305016.661 267910.033 317977.952 335878.306 351221.978 328396.319 "
            "334522.397 291095.891 319319.239"
        ),
        lowest=0.0,
    ),
    Truth(
        "simple_imzml.imzML",
        uuid="f885a0eeb13a4cf09c22901244302cbc",
        polarity="positive",
        mode="processed",
        spectrum_type="centroid",
        pixel_size=20.0,
        warnings=[],
        positions="1,1 1,2 2,1 1,3 2,3",
        lengths=[3, 3, 4, 3, 3],
        first=(1.0, 3.0, 280547.90625, 101259.765625),
        last=(1.0, 3.0, 523717.46875, 357649.5625),
        sums="775026.359 333436.555 2505460.16 1190578.81 963436.07",
        lowest=76640.0078125,
    ),
    Truth(
        "two_precision_terms.imzML",
        uuid="3f2e8b3d7c5f4a0b9e552c9c7d4a6633",
        polarity="positive",
        mode="processed",
        spectrum_type="centroid",
        pixel_size=10.0,
        warnings=["declared with two data types"],
        positions="1,1 2,1 1,2 2,2",
        lengths=[5] * 4,
        first=(100.0, 500.0, 10.0, 50.0),
        last=(103.0, 503.0, 40.0, 200.0),
        sums="150 300 450 600",
        lowest=10.0,
    ),
    Truth(
        "two_scansettings.imzML",
        uuid="2e1d7a2c8b6e4f1a8d441b8b6c3f5522",
        polarity="positive",
        mode="processed",
        spectrum_type="centroid",
        pixel_size=10.0,
        warnings=["10 × 10, 25 × 25 µm"],
        positions="1,1 2,1 1,2 2,2",
        lengths=[5] * 4,
        first=(100.0, 500.0, 10.0, 50.0),
        last=(103.0, 503.0, 40.0, 200.0),
        sums="150 300 450 600",
        lowest=10.0,
    ),
    Truth(
        "unit_nanometre.imzML",
        uuid="1d0c6f1b9d7a4e2b9c330a7a5b2e4411",
        polarity="positive",
        mode="processed",
        spectrum_type="centroid",
        pixel_size=4.40625,
        warnings=[],
        positions="1,1 2,1 1,2 2,2",
        lengths=[5] * 4,
        first=(100.0, 500.0, 10.0, 50.0),
        last=(103.0, 503.0, 40.0, 200.0),
        sums="150 300 450 600",
        lowest=10.0,
    ),
]


def open_and_catch(path, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reader = ImzMLReader(path, **options)
    assert all(issubclass(warning.category, ImzMLWarning) for warning in caught)
    return reader, [str(warning.message) for warning in caught]


def ends(spectrum):
    mz, intensity = spectrum
    return mz[0], mz[-1], intensity[0], intensity[-1]


@pytest.fixture(params=TRUTHS, ids=lambda truth: truth.name)
def truth(request):
    return request.param


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("fast", [True, False])
def test_files_are_read_as_they_are(shared_data, truth, mapped, fast, monkeypatch):
    # The index of a file that was opened before must not be taken.
    monkeypatch.setattr("imsminer.io._index._indexed", {})
    monkeypatch.setattr("imsminer.io._scan.FAST_FROM", 0 if fast else 1 << 60)
    path = shared_data / "conformance" / truth.name
    on_error = "skip" if truth.name == "cc.imzML" else "raise"
    reader, said = open_and_catch(path, on_error=on_error, mmap=mapped)
    assert len(said) == len(truth.warnings)
    for text, expected in zip(said, truth.warnings, strict=True):
        assert expected in text
    positions = [f"{x},{y}" for x, y in reader.coordinates[:, :2].tolist()]
    assert positions == truth.positions.split()
    assert (reader.coordinates[:, 2] == 1).all()
    assert [spectrum.mz.size for spectrum in reader] == truth.lengths
    assert [spectrum.intensity.size for spectrum in reader] == truth.lengths
    assert ends(reader[0]) == truth.first
    assert ends(reader[len(reader) - 1]) == truth.last
    sums = [spectrum.intensity.sum(dtype=np.float64) for spectrum in reader]
    np.testing.assert_allclose(sums, np.array(truth.sums.split(), float), rtol=1e-8)
    assert min(spectrum.intensity.min() for spectrum in reader) == truth.lowest
    run = reader.runs.iloc[0]
    assert run["uuid"] == truth.uuid
    assert run["polarity"] == truth.polarity
    assert run["mode"] == truth.mode
    assert run["spectrum_type"] == truth.spectrum_type
    np.testing.assert_equal(
        [run["pixel_size_x"], run["pixel_size_y"]], [truth.pixel_size] * 2
    )


def test_all_files_have_their_truth(shared_data):
    names = {p.name for p in (shared_data / "conformance").iterdir()}
    assert {n for n in names if n.lower().endswith(".imzml")} == {
        truth.name for truth in TRUTHS
    }


def test_both_scans_agree(shared_data, truth, both):
    scan = both(shared_data / "conformance" / truth.name)
    # An m/z group of two types is all that the fast scan leaves to the other one.
    assert scan.fast == (truth.name != "two_precision_terms.imzML")


def test_checksums_hold(shared_data, truth):
    """Each file that gives a checksum gives the right one."""
    path = shared_data / "conformance" / truth.name
    on_error = "skip" if truth.name == "cc.imzML" else "raise"
    if scan_imzml(path).facts.checksums:
        open_and_catch(path, checksum=True, on_error=on_error)
    else:
        text = path.read_text(encoding="latin-1")
        assert not re.search("IMS:100009[0-2]", text)
        with pytest.raises(ImzMLError, match="no SHA-1 or MD5"):
            open_and_catch(path, checksum=True, on_error=on_error)


def test_lengths_that_differ_are_refused(shared_data):
    path = shared_data / "conformance" / "cc.imzML"
    with pytest.raises(ImzMLError, match="1997 intensities for 1999 m/z values"):
        ImzMLReader(path)
    reader, _ = open_and_catch(path, on_error="skip")
    assert reader.skipped["spectrum"].tolist() == [1, 2, 3]
    assert reader.skipped[["x", "y", "z"]].to_numpy().tolist() == [
        [2, 1, 1],
        [3, 1, 1],
        [4, 1, 1],
    ]


def test_shared_mz_arrays_are_shared(shared_data):
    reader, _ = open_and_catch(shared_data / "conformance" / "simple_imzml.imzML")
    for row in (1, 4):
        np.testing.assert_array_equal(reader[row].mz, reader[0].mz)
    assert reader[2].mz.size == 4
    assert reader.mz is None
