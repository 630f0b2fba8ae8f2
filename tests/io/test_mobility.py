"""Ion mobilities: a third array beside m/z and intensity."""

import pickle
import re
import zlib as zlib_module

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from imsminer import PeakIntegrator, PeakPicker, TICNormalizer
from imsminer.core.spectra import Spectra
from imsminer.core.study import concatenate
from imsminer.exceptions import ImzMLError, ImzMLWarning
from imsminer.io import _vocabulary
from imsminer.io.imzml import ImzMLReader

NAME = "mean inverse reduced ion mobility array"
TERM = f'<cvParam accession="MS:1003006" name="{NAME}" value=""/>'
UNITS = (
    'unitCvRef="MS" unitAccession="MS:1002814" '
    'unitName="volt-second per square centimeter"'
)


def frames(lengths, seed=0, *, n_mz=12):
    """Spectra in the order of mobility scans: m/z rise in each scan, and repeat."""
    rng = np.random.default_rng(seed)
    axis = np.sort(rng.uniform(100, 110, n_mz))
    result = []
    for n in lengths:
        scan = np.sort(rng.integers(0, 4, n))
        mz = axis[rng.integers(0, n_mz, n)]
        order = np.lexsort((mz, scan))
        intensity = rng.integers(1, 50, n).astype(np.float32)
        result.append((mz[order], intensity, 1.5 - 0.1 * scan))
    return result


def add_mobility(
    written, mobilities, *, dtype="float32", packing="MS:1000576", inline=False
):
    """Append an array of mobilities to each spectrum of a `Pair`."""
    kind = {"float32": "MS:1000521", "float64": "MS:1000523"}[dtype]
    compressed = packing == "MS:1000574"
    terms = (
        TERM.replace("/>", f" {UNITS}/>")
        + f'<cvParam accession="{kind}" name="{dtype[-2:]}-bit float"/>'
        + f'<cvParam accession="{packing}" '
        + f'name="{"zlib" if compressed else "no"} compression"/>'
    )
    reference = terms
    if not inline:
        reference = '<referenceableParamGroupRef ref="mobilityArray"/>'
        written.replace(
            "</referenceableParamGroupList>",
            f'<referenceableParamGroup id="mobilityArray">{terms}'
            "</referenceableParamGroup></referenceableParamGroupList>",
        )
    data = bytearray(written.ibd)
    parts = written.xml.split("</binaryDataArrayList>")
    for i, mobility in enumerate(mobilities):
        if mobility is None:
            continue
        stored = np.asarray(mobility).astype(np.dtype(dtype)).tobytes()
        if compressed:
            stored = zlib_module.compress(stored)
        parts[i] += (
            f'<binaryDataArray encodedLength="0">{reference}'
            f'<cvParam accession="IMS:1000102" name="external offset" '
            f'value="{len(data)}"/>'
            f'<cvParam accession="IMS:1000103" name="external array length" '
            f'value="{len(mobility)}"/>'
            f'<cvParam accession="IMS:1000104" name="external encoded length" '
            f'value="{len(stored)}"/><binary/></binaryDataArray>'
        )
        data += stored
    written.xml = "</binaryDataArrayList>".join(parts)
    written.ibd = bytes(data)
    return written


def make(pair, spectra, *, zlib=False, **options):
    written = pair([frame[:2] for frame in spectra], zlib=zlib)
    packing = "MS:1000574" if zlib else "MS:1000576"
    return add_mobility(
        written, [frame[2] for frame in spectra], packing=packing, **options
    )


def kept(mz, intensity, mobility):
    order = np.lexsort((mobility, mz))
    return mz[order], intensity[order], mobility[order]


def summed(mz, intensity, mobility):
    """The sum over mobilities, by another route: one m/z at a time."""
    points = []
    for value in np.unique(mz):
        at = mz == value
        weights = intensity[at].astype(np.float64)
        mean = (
            np.average(mobility[at], weights=weights)
            if weights.sum() > 0
            else mobility[at].mean()
        )
        points.append((value, weights.sum(), mean))
    table = np.array(points).reshape(-1, 3)
    return table[:, 0], table[:, 1].astype(intensity.dtype), table[:, 2]


def check(spectra, expected, rows):
    position = 0
    for chunk in spectra[rows].iter_chunks():
        assert chunk.mobility.shape == chunk.mz.shape == chunk.intensity.shape
        assert chunk.mobility.dtype == np.float64
        for i in range(chunk.n_spectra):
            piece = slice(chunk.indptr[i], chunk.indptr[i + 1])
            mz, intensity, mobility = expected[rows[position]]
            np.testing.assert_array_equal(chunk.mz[piece], mz)
            np.testing.assert_array_equal(chunk.intensity[piece], intensity)
            np.testing.assert_allclose(chunk.mobility[piece], mobility, rtol=1e-14)
            position += 1
    assert position == len(rows)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("zlib", [True, False])
@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_points_are_summed_or_kept(tmp_path, pair, mapped, zlib, inline, dtype, both):
    spectra = frames([40, 0, 1, 300, 25])
    path = make(pair, spectra, zlib=zlib, inline=inline, dtype=dtype).save(tmp_path)
    assert both(path).fast is not inline
    # What is stored in 32 bits.
    spectra = [(mz, y, k.astype(dtype).astype(np.float64)) for mz, y, k in spectra]
    for option, function in (("sum", summed), ("keep", kept)):
        reader = ImzMLReader(path, mmap=mapped, mobility=option)
        expected = [function(*frame) for frame in spectra]
        assert reader.mz is None
        for rows in ([0, 1, 2, 3, 4], [3], [4, 0, 3], [1]):
            check(reader, expected, np.array(rows))
        mz = np.concatenate([frame[0] for frame in spectra])
        assert reader.source.mz_range() == (mz.min(), mz.max())
        assert reader.runs["mobility"].item() == NAME.removesuffix(" array")
        assert reader.runs["mode"].item() == "processed"


def test_sorted_points_are_read_alike(tmp_path, pair):
    rng = np.random.default_rng(0)
    spectra = [
        (np.sort(rng.uniform(100, 200, 30)), rng.random(30), rng.random(30))
        for _ in range(4)
    ]
    path = make(pair, spectra, dtype="float64").save(tmp_path)
    plain = ImzMLReader(pair([s[:2] for s in spectra]).save(tmp_path, "plain"))
    for option in ("sum", "keep"):
        reader = ImzMLReader(path, mobility=option)
        for i, (mz, intensity) in enumerate(plain):
            np.testing.assert_array_equal(reader[i].mz, mz)
            np.testing.assert_array_equal(reader[i].intensity, intensity)
        (chunk,) = reader.iter_chunks()
        mobility = np.concatenate([s[2] for s in spectra])
        np.testing.assert_array_equal(chunk.mobility, mobility)


def test_sums_of_intensities_that_cancel(tmp_path, pair):
    spectra = [
        (
            np.array([100.0, 100.0, 101.0, 101.0, 101.0]),
            np.array([-2.0, 2.0, 0.0, 0.0, 0.0]),
            np.array([1.0, 3.0, 1.0, 2.0, 6.0]),
        )
    ]
    reader = ImzMLReader(make(pair, spectra).save(tmp_path))
    (chunk,) = reader.iter_chunks()
    assert chunk.intensity.tolist() == [0.0, 0.0]
    assert chunk.mobility.tolist() == [2.0, 3.0]


def test_a_continuous_file_is_read_as_processed(tmp_path, pair):
    mz = np.array([100.0, 100.0, 101.0])
    written = pair([(mz, [1, 2, 3]), (mz, [4, 5, 6])], continuous=True)
    written = add_mobility(written, [[0.9, 0.8, 0.7]] * 2)
    reader = ImzMLReader(written.save(tmp_path))
    assert reader.n_mz is None
    assert reader[1].mz.tolist() == [100.0, 101.0]
    assert reader[1].intensity.tolist() == [9.0, 6.0]


def test_a_pipeline_equals_that_of_the_summed_file(tmp_path, pair):
    rng = np.random.default_rng(3)
    centers = np.arange(120.0, 180.0, 10.0)
    spectra = []
    for _ in range(30):
        scan = np.repeat(np.arange(5), centers.size * 9)
        grid = (centers[:, None] + np.arange(-4, 5) * 0.01).ravel()
        mz = np.tile(grid, 5)
        shape = np.exp(-0.5 * (np.arange(-4, 5) / 1.5) ** 2)
        height = np.outer(rng.uniform(50, 500, centers.size), shape).ravel()
        intensity = np.round(np.tile(height, 5) * rng.uniform(0.1, 1, mz.size))
        spectra.append((mz, intensity.astype(np.float32), 1.4 - 0.1 * scan))
    coordinates = [(i % 6 + 1, i // 6 + 1, 1) for i in range(30)]
    written = pair([s[:2] for s in spectra], coordinates=coordinates)
    path = add_mobility(written, [s[2] for s in spectra]).save(tmp_path)
    before = [summed(*s)[:2] for s in spectra]
    plain = pair(before, coordinates=coordinates).save(tmp_path, "plain")

    def features(path):
        pipeline = make_pipeline(TICNormalizer(), PeakPicker(), PeakIntegrator())
        return pipeline.fit_transform(ImzMLReader(path))

    found, expected = features(path), features(plain)
    assert found.shape[1] == centers.size
    assert found.columns.tolist() == expected.columns.tolist()
    np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())


# -- what does not fit -----------------------------------------------------------------
def test_spectra_without_mobilities_are_not_mixed_in(tmp_path, pair, both):
    spectra = frames([10, 11, 12, 0])
    written = pair([frame[:2] for frame in spectra])
    mobilities = [spectra[0][2], None, spectra[2][2], None]
    path = add_mobility(written, mobilities, dtype="float64").save(tmp_path)
    assert list(both(path).problems) == [1]
    with pytest.raises(ImzMLError, match=r"spectrum 1 .* no ion mobility array"):
        ImzMLReader(path)
    with pytest.warns(ImzMLWarning, match="1 of 4 spectra"):
        reader = ImzMLReader(path, on_error="skip", mobility="keep")
    check(reader, [kept(*spectra[i]) for i in (0, 2, 3)], np.arange(3))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MS:1003006", "MS:1002477"),
        ('unitAccession="MS:1002814"', 'unitAccession="UO:0000028"'),
    ],
)
def test_mobilities_of_two_kinds_are_not_mixed(tmp_path, pair, both, old, new):
    written = make(pair, frames([10, 11]), inline=True)
    head, mark, rest = written.xml.rpartition(old)
    assert mark
    written.xml = head + new + rest
    scan = both(written.save(tmp_path))
    assert list(scan.problems) == [1]
    assert re.search("ion mobility array is .* but other spectra", scan.problems[1])


@pytest.mark.parametrize("zlib", [True, False])
def test_lengths_and_places_are_checked(tmp_path, pair, zlib):
    written = make(pair, frames([10, 11]), zlib=zlib)
    short = written.xml.rpartition('array length" value="11"')
    cut = written.ibd[:-1]
    written.xml = short[0] + 'array length" value="9"' + short[2]
    with pytest.raises(ImzMLError, match="9 ion mobilities for 11 m/z"):
        ImzMLReader(written.save(tmp_path))
    written.xml = "".join(short)
    written.ibd = cut
    with pytest.raises(ImzMLError, match=r"spectrum 1 .* ion mobility array takes"):
        ImzMLReader(written.save(tmp_path))


def test_encoded_lengths_are_checked(tmp_path, pair):
    written = make(pair, frames([10, 11]))
    head, _, rest = written.xml.rpartition('encoded length" value="44"')
    written.xml = head + 'encoded length" value="88"' + rest
    written.ibd += bytes(44)
    with pytest.raises(ImzMLError, match=r"ion mobility array holds 11 values of"):
        ImzMLReader(written.save(tmp_path))


@pytest.mark.parametrize("which", ["m/z", "intensity", "ion mobility"])
@pytest.mark.parametrize("option", ["sum", "keep"])
def test_values_that_are_not_finite(tmp_path, pair, which, option):
    spectra = frames([10, 11, 12])
    spectra[1][("m/z", "intensity", "ion mobility").index(which)][4] = np.nan
    reader = ImzMLReader(make(pair, spectra).save(tmp_path), mobility=option)
    assert reader[0].mz.size
    for _ in range(2):
        with pytest.raises(ImzMLError, match=f"{which} array of spectrum 1 holds NaN"):
            reader[1]


def test_two_mobility_arrays(tmp_path, pair, both):
    written = make(pair, frames([10, 11]))
    again = add_mobility(written, [np.ones(10), np.ones(11)], inline=True)
    scan = both(again.save(tmp_path))
    assert scan.problems[0] == "it has two ion mobility arrays"


def test_one_array_of_two_kinds(tmp_path, pair, both):
    written = pair().replace('name="m/z array" value=""/>', f'name="m/z array"/>{TERM}')
    scan = both(written.save(tmp_path))
    assert "MS:1000514 and MS:1003006 at once" in scan.problems[0]


# -- how it is named -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("terms", "found"),
    [
        ({"MS:1002477": ""}, ("MS:1002477", "mean ion mobility drift time")),
        ({"MS:1003008": "", "MS:1000521": ""}, "raw inverse reduced ion mobility"),
        ({"MS:1000786": "Ion Mobility"}, ("MS:1000786", "Ion Mobility")),
        ({"MS:1000786": "drift_time array"}, ("MS:1000786", "drift_time")),
        ({"MS:1000786": "noise"}, None),
        ({"MS:1000786": ""}, None),
        ({"MS:1000516": ""}, None),
        # The mobility of a whole scan, not of points.
        ({"MS:1002476": "3.1", "MS:1002815": "1.2"}, None),
    ],
)
def test_terms(terms, found):
    result = _vocabulary.mobility_term(terms)
    if isinstance(found, str):
        result = result[1]
    assert result == found


@pytest.mark.parametrize("inline", [True, False])
def test_names_without_accession(tmp_path, pair, both, inline):
    spectra = frames([10, 11])
    written = make(pair, spectra, inline=inline).replace('accession="MS:1003006" ', "")
    scan = both(written.save(tmp_path))
    assert scan.fast is not inline
    assert scan.facts.mobility == NAME.removesuffix(" array")
    written.replace(
        f'name="{NAME}" value=""', 'accession="MS:1000786" value="1/K0 mobility"'
    )
    scan = both(written.save(tmp_path))
    assert scan.fast is not inline
    assert scan.facts.mobility == "1/K0 mobility"


def test_other_third_arrays_are_left_out(tmp_path, pair, both):
    spectra = frames([10, 11])
    written = make(pair, [kept(*frame) for frame in spectra], inline=True)
    written.replace("MS:1003006", "MS:1000516").replace(NAME, "charge array")
    path = written.save(tmp_path)
    assert set(both(path).oddities) == {"arrays"}
    with pytest.warns(ImzMLWarning, match="2 arrays are neither"):
        reader = ImzMLReader(path)
    assert reader[1].mz.size == 11
    assert reader.runs["mobility"].item() is None


# -- where it goes ---------------------------------------------------------------------
def test_identity_pickles_and_options(tmp_path, pair):
    spectra = frames([30, 20])
    path = make(pair, spectra).save(tmp_path)
    total, every = ImzMLReader(path), ImzMLReader(path, mobility="keep")
    assert total.fingerprint != every.fingerprint
    for reader, n_points in ((total, np.unique(spectra[0][0]).size), (every, 30)):
        again = pickle.loads(pickle.dumps(reader))
        assert again.fingerprint == reader.fingerprint
        assert again[0].mz.size == n_points
    with pytest.raises(ValueError, match="mobility must be one of"):
        ImzMLReader(path, mobility="mean")
    plain = pair().save(tmp_path, "plain")
    first, second = ImzMLReader(plain), ImzMLReader(plain, mobility="keep")
    assert first.fingerprint == second.fingerprint
    (chunk,) = first.iter_chunks()
    assert chunk.mobility is None
    assert first.runs["mobility"].item() is None


def test_a_study_with_and_without_mobilities_persists(tmp_path, pair):
    spectra = frames([30, 20])
    with_mobility = ImzMLReader(make(pair, spectra).save(tmp_path, "a"))
    plain = ImzMLReader(pair().save(tmp_path, "b"))
    study = concatenate([with_mobility, plain])
    stored = study.persist(tmp_path / "stored")
    for spectra_ in (study, stored, pickle.loads(pickle.dumps(stored))):
        first, second = spectra_.iter_chunks()
        (expected,) = with_mobility.iter_chunks()
        np.testing.assert_array_equal(first.mobility, expected.mobility)
        np.testing.assert_array_equal(first.mz, expected.mz)
        assert second.mobility is None
    assert not (
        plain.persist(tmp_path / "plain").source.folder / "mobility.npy"
    ).exists()


def test_arrays_with_mobilities():
    mz = [100.0, 100.0, 101.0, 100.5]
    spectra = Spectra.from_arrays(
        np.ones(4), mz, indptr=[0, 3, 4], mobility=[0.9, 1.0, 1.1, 1.2]
    )
    (chunk,) = spectra[[1, 0]].iter_chunks()
    assert chunk.mobility.tolist() == [1.2, 0.9, 1.0, 1.1]
    assert spectra.runs["mobility"].item() == "ion mobility"
    other = Spectra.from_arrays(
        np.ones(4), mz, indptr=[0, 3, 4], mobility=[0.9, 1.0, 1.1, 1.3]
    )
    assert other.fingerprint != spectra.fingerprint
    with pytest.raises(ValueError, match="strictly increasing"):
        Spectra.from_arrays(np.ones(4), mz, indptr=[0, 3, 4])
    with pytest.raises(ValueError, match="one value per point"):
        Spectra.from_arrays(np.ones(4), mz, indptr=[0, 3, 4], mobility=[1.0])
    with pytest.raises(ValueError, match="needs indptr"):
        Spectra.from_arrays(np.ones((1, 4)), mobility=[1.0] * 4)
    with pytest.raises(ValueError, match="NaN"):
        Spectra.from_arrays(np.ones(2), mz[1:3], indptr=[0, 2], mobility=[1, np.nan])
