"""Isotope patterns, scores of isotope images, decoys and the FDR."""

import numpy as np
import pandas as pd
import pytest
from pyteomics import mass
from scipy import ndimage
from sklearn import config_context

from imsminer import ImzMLReader, PeakPicker, Spectra
from imsminer.core.grid import Pixels
from imsminer.core.peaktable import feature_names
from imsminer.datasets import make_ims
from imsminer.features._adducts import parse_adduct
from imsminer.features._fdr import DECOYS, decoy_adducts, false_discovery_rate
from imsminer.features._formulas import ELECTRON, parse_formula
from imsminer.features._isotope_images import image_scores, neighbor_tables
from imsminer.features._isotope_patterns import isotope_pattern
from imsminer.features._kernels import isotopes_numba, isotopes_xp
from imsminer.features.annotate import annotate, score_isotopes


def pattern_by_pyteomics(formula):
    """Add all isotopologues up by nominal mass."""
    share, moment = {}, {}
    found = mass.isotopologues(
        formula=formula,
        report_abundance=True,
        overall_threshold=1e-9,
        isotope_threshold=1e-6,
    )
    for composition, abundance in found:
        nominal = sum(int(a.split("[")[1][:-1]) * n for a, n in composition.items())
        exact = mass.calculate_mass(composition=composition)
        share[nominal] = share.get(nominal, 0) + abundance
        moment[nominal] = moment.get(nominal, 0) + abundance * exact
    order = sorted(share, key=lambda n: -share[n])[:4]
    return [moment[n] / share[n] for n in order], [share[n] for n in order]


@pytest.mark.parametrize(
    "formula", ["C6H12O6", "C9H10ClO2", "C10H8Br2", "C5H11SeN", "C4H10O2Si", "C4H9Li"]
)
def test_patterns_are_those_of_pyteomics(formula):
    mz, abundance = pattern_by_pyteomics(formula)
    pattern = isotope_pattern(formula)
    np.testing.assert_allclose(pattern.abundance, abundance, atol=2e-6)
    kept = pattern.abundance > 1e-3
    np.testing.assert_allclose(pattern.mz[kept], np.array(mz)[kept], atol=2e-5)


def test_pattern_of_an_ion():
    ion = parse_adduct("[M-H]-")
    pattern = isotope_pattern("C47H83O13P", ion)
    assert pattern.mz[0] == pytest.approx(ion.mz(parse_formula("C47H83O13P").mass))
    # Carbon makes most of M+1, and its distance.
    assert pattern.mz[1] - pattern.mz[0] == pytest.approx(1.00335, abs=1e-4)
    assert pattern.abundance[1] / pattern.abundance[0] == pytest.approx(0.523, abs=2e-3)
    double = isotope_pattern("C47H83O13P", parse_adduct("[M-2H]2-"))
    assert double.mz[1] - double.mz[0] == pytest.approx(1.00335 / 2, abs=1e-4)
    dimer = isotope_pattern("C6H12O6", parse_adduct("[2M+Na]+"))
    whole = isotope_pattern("C12H24O12Na")
    np.testing.assert_allclose(dimer.abundance, whole.abundance)
    np.testing.assert_allclose(dimer.mz, whole.mz - ELECTRON)
    with pytest.raises(ValueError, match="does not have the atoms"):
        isotope_pattern("CO2", ion)


# Images ---------------------------------------------------------------------------


def grid(height, width, run=0):
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    places = np.stack([x, y, np.ones_like(x)], axis=1)
    return Pixels(places, np.full(x.size, run))


def test_kernels_are_those_of_any_array_library():
    xp = pytest.importorskip("array_api_strict")
    rng = np.random.default_rng(0)
    pixels = grid(9, 11)
    there = rng.random(99) < 0.8
    pixels = Pixels(*(part[there] for part in pixels))
    cross, around = neighbor_tables(pixels)
    images = rng.random((3, 4, len(pixels.runs))).astype(np.float32)
    images[images < 0.4] = 0
    images[0, 1] = 2.5
    images[1, 2] = 0
    images[2, 0] = 0
    arrays = [xp.asarray(v) for v in (images, cross, around)]
    for name in ("correlations", "sums_where_first"):
        found = getattr(isotopes_numba, name)(images)
        expected = np.asarray(getattr(isotopes_xp, name)(arrays[0]))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    image, levels = images[0, 0].astype(float), np.arange(30) / 30
    closed = isotopes_numba.close_image(image, cross, around)
    expected = isotopes_xp.close_image(xp.asarray(image), *arrays[1:])
    np.testing.assert_array_equal(closed, np.asarray(expected))
    for values in (closed, image):
        found = isotopes_numba.count_objects(values, cross, levels)
        expected = isotopes_xp.count_objects(
            xp.asarray(values), arrays[1], xp.asarray(levels)
        )
        np.testing.assert_array_equal(found, np.asarray(expected))
    abundance = np.array([[0.6, 0.3, 0.1, 0.0]] * 3)
    found = image_scores(images, abundance, cross, around)
    expected = image_scores(arrays[0], abundance, *arrays[1:])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[2].tolist() == [0, 0, 0, 0]


def test_correlations_are_those_of_numpy():
    rng = np.random.default_rng(1)
    images = rng.gamma(1, 1, (2, 3, 80))
    found = isotopes_numba.correlations(images)
    for i in range(2):
        np.testing.assert_allclose(found[i], np.corrcoef(images[i])[0, 1:], rtol=1e-10)


def test_objects_are_those_of_scipy():
    rng = np.random.default_rng(2)
    smooth = ndimage.gaussian_filter(rng.random((30, 25)), 1.5)
    image = smooth / smooth.max()
    cross, around = neighbor_tables(grid(30, 25))
    levels = np.linspace(0.5, 0.99, 20)
    found = isotopes_numba.count_objects(image.ravel(), cross, levels)
    expected = [ndimage.label(image > level)[1] for level in levels]
    assert found.tolist() == expected
    assert max(expected) > 5
    # Inside of the image the two steps are those of binary images at each level.
    closed = isotopes_numba.close_image(image.ravel(), cross, around).reshape(30, 25)
    for level in levels[::5]:
        wide = ndimage.binary_dilation(image > level)
        both = ndimage.binary_erosion(wide, np.ones((3, 3)))
        np.testing.assert_array_equal(closed[2:-2, 2:-2] > level, both[2:-2, 2:-2])


def test_objects_do_not_join_across_runs_and_gaps():
    one = grid(4, 4)
    two = Pixels(one.coordinates + np.array([4, 0, 0]), one.runs + 1)
    both = Pixels(*(np.concatenate(parts) for parts in zip(one, two, strict=True)))
    cross, _ = neighbor_tables(both)
    count = isotopes_numba.count_objects(np.ones(32), cross, np.zeros(1))
    assert count.tolist() == [2]
    row = Pixels(np.array([[0, 0, 0], [1, 0, 0], [3, 0, 0]]), np.zeros(3, int))
    cross, _ = neighbor_tables(row)
    assert isotopes_numba.count_objects(np.ones(3), cross, np.zeros(1)).tolist() == [2]


def lipid_images(height=16, width=16, noise=0.0, seed=0):
    """Images of the isotopologues of PI(38:4), and features that hold them."""
    rng = np.random.default_rng(seed)
    pixels = grid(height, width)
    x = pixels.coordinates[:, 0]
    pattern = isotope_pattern("C47H83O13P", parse_adduct("[M-H]-"))
    image = np.where(x < width // 2, 100.0, 10.0)
    images = pattern.abundance[:, None] * image
    images = np.maximum(images + noise * rng.standard_normal(images.shape), 0)
    return pattern, images, pixels


def test_scores_by_hand():
    pattern, images, pixels = lipid_images(noise=2.0)
    cross, around = neighbor_tables(pixels)
    found = image_scores(
        images[None].astype(np.float32), pattern.abundance[None], cross, around
    )[0]
    theory = pattern.abundance
    r = np.corrcoef(images)[0, 1:]
    spatial = np.average(np.maximum(r, 0), weights=theory[1:])
    seen = images[:, images[0] > 0].sum(axis=1)
    unit = [v / np.linalg.norm(v) for v in (theory, seen)]
    spectral = 1 - np.abs(unit[0] - unit[1]).mean()
    np.testing.assert_allclose(found[:2], [spatial, spectral], rtol=1e-5)
    assert 0.9 < found[2] <= 1
    assert found[3] == pytest.approx(found[:3].prod())


def test_perfect_images_score_one_and_wrong_ones_less():
    pattern, images, pixels = lipid_images()
    cross, around = neighbor_tables(pixels)

    def score(values):
        stack = np.asarray(values, np.float32)[None]
        return image_scores(stack, pattern.abundance[None], cross, around)[0]

    perfect = score(images)
    np.testing.assert_allclose(perfect[:2], 1, atol=1e-6)
    assert perfect[2] > 0.98
    assert score(images[[0, 0, 0, 0]])[1] < 0.75
    opposite = images.copy()
    opposite[1:] = images[1:].max() - images[1:]
    assert score(opposite)[0] == 0
    assert score(images * [[1], [0], [0], [0]])[3] == 0
    # Salt and pepper falls apart into objects, or vanishes.
    rng = np.random.default_rng(0)
    salt = (rng.random(images.shape[1]) < 0.4) * rng.random(images.shape[1])
    assert score(pattern.abundance[:, None] * salt)[2] < perfect[2]


# FDR ------------------------------------------------------------------------------


def test_decoys_are_implausible_and_drawn_once():
    assert len(DECOYS) == len(set(DECOYS)) == 80
    assert not {"H", "Na", "K"} & set(DECOYS)
    ion = parse_adduct("[M+Cl]-")
    decoys = decoy_adducts("C6H12O6", ion, 0)
    # Chlorine is what the ion has.
    assert len({d.name for d in decoys}) == len(decoys) == 79
    assert {d.charge for d in decoys} == {-1}
    again = decoy_adducts("C6H12O6", ion, 0)
    assert [d.name for d in decoys] == [d.name for d in again]
    for other in (decoy_adducts("C6H12O6", ion, 1), decoy_adducts("C6H12O5", ion, 0)):
        assert [d.name for d in decoys] != [d.name for d in other]
    gold = next(d for d in decoys if "Au" in d.name)
    exact = mass.calculate_mass(formula="C6H12O6Au") + ELECTRON
    assert gold.mz(parse_formula("C6H12O6").mass) == pytest.approx(exact, abs=1e-6)
    dimer = decoy_adducts("C6H12O6", parse_adduct("[2M+2H]2+"), 0)[0]
    assert (dimer.n_molecules, dimer.charge) == (2, 2)
    assert parse_adduct(dimer.name) == dimer


def test_fdr_by_hand():
    scores = np.array([0.9, 0.8, 0.8, 0.3, 0.0])
    decoys = np.array([0.85, 0.2, 0.0, 0.0, 0.1])
    # At 0.9: (0 + 1)/5/(1 + 1); at 0.8: (1 + 1)/5/(3 + 1); at 0.3: (1 + 1)/5/(4 + 1).
    # The last is the smallest, so that it holds for the better ones, too.
    found = false_discovery_rate(scores, decoys, 5.0)
    np.testing.assert_allclose(found, [0.08, 0.08, 0.08, 0.08, 1.0])
    rates = false_discovery_rate(np.array([0.9, 0.5]), np.array([0.6] * 3), 2.0)
    np.testing.assert_allclose(rates, [0.25, 2 / 3])


def test_fdr_never_falls_with_the_score():
    rng = np.random.default_rng(0)
    scores, decoys = rng.beta(2, 2, 300), rng.beta(1, 3, 6000)
    rates = false_discovery_rate(scores, decoys, 20.0)
    order = np.argsort(-scores)
    assert (np.diff(rates[order]) >= 0).all()
    assert (rates > 0).all()
    assert (rates <= 1).all()


# Whole ----------------------------------------------------------------------------


def features_of(images, mz, pixels):
    index = pd.MultiIndex.from_arrays(pixels.coordinates.T, names=["x", "y", "z"])
    return pd.DataFrame(images.T, index=index, columns=feature_names(mz))


LIPIDS = pd.DataFrame(
    {
        "name": ["PI 38:4", "isomer", "PC 34:1"],
        "formula": ["C47H83O13P", "C47H83O13P", "C42H82NO8P"],
    }
)


def test_features_and_spectra_give_the_same_scores():
    pattern, images, pixels = lipid_images(noise=3.0)
    mz = np.concatenate([pattern.mz, [600.5, 998.0]])
    values = np.vstack([images, images[:1], images[:1]]).astype(np.float32)
    features = features_of(values, mz, pixels)
    spectra = Spectra.from_arrays(
        values.T[:, np.argsort(mz)],
        mz=np.sort(mz),
        coordinates=pixels.coordinates,
        profile=False,
    )
    hits = annotate(features, LIPIDS, adducts=["[M-H]-"])
    assert len(hits) == 2
    hits = pd.concat([hits, hits.assign(formula=None)], ignore_index=True)
    one = score_isotopes(hits, features)
    two = score_isotopes(hits, spectra, peaks=mz)
    pd.testing.assert_frame_equal(one, two, rtol=1e-5)
    cross, around = neighbor_tables(pixels)
    expected = image_scores(
        images[None].astype(np.float32), pattern.abundance[None], cross, around
    )
    for row in (0, 1):
        found = one.loc[row, ["spatial", "spectral", "chaos", "msm"]]
        np.testing.assert_allclose(found.astype(float), expected[0], rtol=1e-5)
    # Isomers are one ion; without a formula there is nothing to score.
    assert one["fdr"][0] == one["fdr"][1] < 1
    assert one.loc[2:, ["msm", "fdr"]].isna().all(axis=None)
    # Neither the order of hits nor that of pixels, nor the memory, changes anything.
    order = np.random.default_rng(0).permutation(len(features))
    shuffled = score_isotopes(hits[::-1], features.iloc[order])[::-1]
    pd.testing.assert_frame_equal(one, shuffled, rtol=1e-5)
    with config_context(working_memory=0):
        pd.testing.assert_frame_equal(score_isotopes(hits, features), one)
    plain = score_isotopes(hits, features, n_decoys=0)
    assert "fdr" not in plain.columns
    pd.testing.assert_frame_equal(plain, one.drop(columns="fdr"))
    again = score_isotopes(one, features)
    pd.testing.assert_frame_equal(again, one)


def test_fdr_counts_what_was_searched():
    pattern, images, pixels = lipid_images()
    features = features_of(
        np.vstack([images, images[:1]]), np.append(pattern.mz, 998.0), pixels
    )
    hits = annotate(features, LIPIDS, adducts=["[M-H]-"])
    assert hits["n_searched"].tolist() == [2, 2]
    few = score_isotopes(hits, features)["fdr"][0]
    # 20 decoys per ion that was searched, 40 of them, none of which is found.
    in_range = sum(
        885.5 <= d.mz(parse_formula("C47H83O13P").mass) <= 998
        for d in decoy_adducts("C47H83O13P", parse_adduct("[M-H]-"), 0)
    )
    assert few == pytest.approx(1 / (min(in_range, 40) / 2) / 2)
    many = score_isotopes(hits, features, n_searched=100)["fdr"][0]
    assert many == pytest.approx(min(1, 1 / (in_range / 100) / 2))
    with pytest.raises(ValueError, match="hits have no column n_searched"):
        score_isotopes(hits.drop(columns="n_searched"), features)


def test_of_formulas_at_one_peak_the_best_counts():
    pattern, images, pixels = lipid_images()
    features = features_of(
        np.vstack([images, images[:1]]), np.append(pattern.mz, 998.0), pixels
    )
    # Sulfur has another M+2.
    table = pd.DataFrame({"formula": ["C47H83O13P", "C42H86N4O9S3"]})
    hits = annotate(features, table, adducts=["[M-H]-"])
    assert len(hits) == 2
    scored = score_isotopes(hits, features).set_index("formula")
    assert scored["msm"]["C47H83O13P"] > scored["msm"]["C42H86N4O9S3"] > 0
    assert scored["fdr"]["C42H86N4O9S3"] == 1
    assert scored["fdr"]["C47H83O13P"] < 0.1


def test_what_is_missing_is_said():
    pattern, images, pixels = lipid_images()
    features = features_of(images, pattern.mz, pixels)
    hits = annotate(features, LIPIDS, adducts=["[M-H]-"])
    with pytest.raises(ValueError, match=r"need the columns formula and adduct"):
        score_isotopes(hits.drop(columns="formula"), features)
    with pytest.raises(ValueError, match="no hit has a formula and an adduct"):
        score_isotopes(hits.assign(formula=None), features)
    with pytest.raises(ValueError, match="needs to know where the pixels are"):
        score_isotopes(hits, features.reset_index(drop=True))
    with pytest.raises(ValueError, match="must be named like mz_885"):
        score_isotopes(hits, features.rename(columns=lambda name: f"a{name}"))
    with pytest.raises(TypeError, match="found ndarray"):
        score_isotopes(hits, features.to_numpy())
    for options in ({"ppm": 0}, {"n_peaks": 1}, {"n_decoys": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            score_isotopes(hits, features, **options)
    empty = score_isotopes(hits[:0], features)
    assert empty.empty
    assert {"msm", "fdr"} <= set(empty.columns)


def test_images_live_where_spectra_live():
    xp = pytest.importorskip("array_api_strict")
    pattern, images, pixels = lipid_images()
    spectra = Spectra.from_arrays(
        images.T.astype(np.float32),
        mz=pattern.mz,
        coordinates=pixels.coordinates,
        profile=False,
    )
    hits = annotate(pattern.mz, LIPIDS, adducts=["[M-H]-"])
    host = score_isotopes(hits, spectra, peaks=pattern.mz)
    other = score_isotopes(hits, spectra.to(xp), peaks=pattern.mz)
    pd.testing.assert_frame_equal(host, other, rtol=1e-5)


# Entrapment -----------------------------------------------------------------------


def lipid_formulas():
    found = []
    for carbon in range(26, 44):
        for double in range(7):
            n = 2 * carbon - 2 * double
            found += [f"C{carbon + 8}H{n + 16}NO8P", f"C{carbon + 5}H{n + 10}NO8P"]
            found += [f"C{carbon + 9}H{n + 15}O13P", f"C{carbon + 3}H{n + 4}O5"]
    return found


def false_formulas(rng, known, n):
    found = set()
    while len(found) < n:
        c = int(rng.integers(18, 56))
        counts = [c, int(rng.integers(c, 2 * c + 3)), *rng.integers(0, [7, 13, 3, 2])]
        counts[1] += (counts[1] + counts[2] + counts[4]) % 2
        parts = zip("CHNOPS", counts, strict=True)
        text = "".join(f"{e}{k}" for e, k in parts if k)
        if text not in known and 400 < parse_formula(text).mass < 950:
            found.add(text)
    return sorted(found)


def test_false_share_of_entrapment_formulas(tmp_path):
    """At a nominal 10 % no more than 15 % of what is accepted is not in the sample."""
    known, ion = lipid_formulas(), parse_adduct("[M+H]+")
    accepted = wrong = found = alone = wrong_alone = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        true = list(rng.choice(known, 90, replace=False))
        mz = np.array([ion.mz(parse_formula(f).mass) for f in true])
        keep = np.ones(90, bool)
        keep[np.argsort(mz)[1:]] = np.diff(np.sort(mz)) > 0.1
        true, mz = [f for f, k in zip(true, keep, strict=True) if k], mz[keep]
        truth = make_ims(
            tmp_path / f"{seed}.imzML",
            shape=(20, 20),
            mz=mz,
            mz_range=(400, 1000),
            analyser="orbitrap",
            spectrum_type="centroid",
            snr=(20, 1000),
            random_state=seed,
        )
        database = pd.DataFrame({"formula": [*true, *false_formulas(rng, known, 4000)]})
        spectra = PeakPicker(loq=5, min_points=3).fit_transform(ImzMLReader(truth.path))
        mz = spectra.peaks["mz"]
        hits = annotate(mz, database, adducts=["[M+H]+"], ppm=10)
        scored = score_isotopes(hits, spectra, ppm=10).drop_duplicates("formula")
        good = scored[scored["fdr"] <= 0.1]
        accepted += len(good)
        wrong += (~good["formula"].isin(true)).sum()
        found += good["formula"].isin(true).sum() / len(true)
        alone += len(scored)
        wrong_alone += (~scored["formula"].isin(true)).sum()
    # m/z alone would not do.
    assert wrong_alone / alone > 0.2
    assert found / 3 > 0.2
    assert wrong / accepted <= 0.15
