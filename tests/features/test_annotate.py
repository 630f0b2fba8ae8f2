"""Search of m/z in a table of molecules."""

import numpy as np
import pandas as pd
import pytest
from pyteomics import mass

from imsminer import Spectra
from imsminer.core.peaktable import feature_names
from imsminer.features._adducts import COMMON, parse_adduct, read_adducts
from imsminer.features._formulas import ELECTRON, parse_formula, plain_masses
from imsminer.features.annotate import annotate

PROTON = 1.007276466
LIPIDS = pd.DataFrame(
    {
        "COMMON_NAME": ["PI 38:4", "PI 38:3", "PE 38:4", "PC 34:1", "Choline"],
        "FORMULA": ["C47H83O13P", "C47H85O13P", "C43H78NO8P", "C42H82NO8P", "C5H14NO+"],
        "MAIN_CLASS": ["PI", "PI", "PE", "PC", "Other"],
        "LM_ID": [1, 2, 3, 4, 5],
    }
)


# m/z from LIPID MAPS, METLIN and the usual tables of adducts.
@pytest.mark.parametrize(
    ("formula", "adduct", "mz"),
    [
        ("C47H83O13P", "[M-H]-", 885.5499),
        ("C42H82NO8P", "[M+H]+", 760.5851),
        ("C42H82NO8P", "[M+Na]+", 782.5670),
        ("C42H82NO8P", "[M+K]+", 798.5410),
        ("C42H82NO8P", "[M+Cl]-", 794.5472),
        ("C42H82NO8P", "[M+CH3COO]-", 818.5917),
        ("C42H82NO8P", "[M+HCOO]-", 804.5760),
        ("C6H12O6", "[M+H-H2O]+", 163.0601),
        ("C6H12O6", "[2M+Na]+", 383.1160),
        ("C6H12O6", "[M+NH4]+", 198.0972),
        ("C10H16N5O13P3", "[M-2H]2-", 252.4906),
        ("C6H12O6", "[M+2H]2+", 91.0390),
        ("C6H12O6", "[M+ACN+H]+", 222.0972),
        ("C5H14NO", "[M]+", 104.1070),
    ],
)
def test_mz_of_adducts(formula, adduct, mz):
    ion = parse_adduct(adduct)
    found = ion.mz(parse_formula(formula).mass)
    assert found == pytest.approx(mz, abs=1.1e-4)
    assert ion.neutral(found) == pytest.approx(parse_formula(formula).mass, abs=1e-9)
    # The ion's atoms, by pyteomics, without the electrons that are missing.
    atoms = {a: n * ion.n_molecules for a, n in parse_formula(formula).atoms}
    for atom, n in ion.atoms:
        atoms[atom] = atoms.get(atom, 0) + n
    whole = mass.calculate_mass(composition=mass.Composition(atoms))
    assert found == pytest.approx((whole - ion.charge * ELECTRON) / abs(ion.charge))


@pytest.mark.parametrize(
    "same", ["[M+2H]2+", "[M+2H]++", "[M+2H]+2", "[ M + 2H ]2+", "[M+H+H]2+"]
)
def test_spellings_of_an_adduct(same):
    ion = parse_adduct(same)
    assert (ion.charge, ion.n_molecules) == (2, 1)
    assert ion.mass == pytest.approx(2 * PROTON, abs=1e-6)
    assert parse_adduct("[M−H]−") == parse_adduct("[M-H]-")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("M+H", "not understood. Expected a form such as"),
        ("[M+H]", "not understood"),
        ("[M+H]0+", "no charge"),
        ("[0M+H]+", "no charge or no molecule"),
        ("[M+Xx]+", "no element or isotope 'Xx'"),
        ("[N+H]+", "not understood"),
    ],
)
def test_wrong_adducts(name, message):
    with pytest.raises(ValueError, match=message):
        parse_adduct(name)


def test_choice_of_adducts():
    assert [a.name for a in read_adducts(None, "negative")] == list(COMMON["negative"])
    given = read_adducts({"[M+X]+": (22.98922, 1), "[2M+X]2+": (1.0, 2, 2)}, "positive")
    assert [(a.charge, a.n_molecules) for a in given] == [(1, 1), (2, 2)]
    assert given[0].mz(100.0) == pytest.approx(122.98922)
    for adducts, polarity, message in (
        (None, None, "give adducts"),
        (["[M+H]+", "[M-H]-"], None, "negative and positive, not one polarity"),
        (["[M+H]+"], "negative", "are positive, not negative"),
        (["[M+H]+", "[M+H]+"], None, "different names"),
        ([], None, "one or more"),
        (["[M+H]+"], "up", "polarity must be"),
        ({"X": (1.0,)}, None, r"needs \(mass, charge\)"),
        ({"X": (1.0, 0)}, None, r"needs \(mass, charge\)"),
        ({"X": (1.0, 0.5)}, None, r"needs \(mass, charge\)"),
    ):
        with pytest.raises(ValueError, match=message):
            read_adducts(adducts, polarity)


@pytest.mark.parametrize(
    ("text", "charge", "atoms"),
    [
        ("C5H14NO+", 1, {"C": 5, "H": 14, "N": 1, "O": 1}),
        ("C6H6O6-", -1, {"C": 6, "H": 6, "O": 6}),
        ("C10H12^2-", -2, {"C": 10, "H": 12}),
        ("C6H6(2-)", -2, {"C": 6, "H": 6}),
        ("C[13]6H12O6", 0, {"C[13]": 6, "H": 12, "O": 6}),
        ("D2O", 0, {"H[2]": 2, "O": 1}),
    ],
)
def test_formulas(text, charge, atoms):
    formula = parse_formula(text)
    assert (dict(formula.atoms), formula.charge) == (atoms, charge)
    exact = mass.calculate_mass(composition=mass.Composition(atoms))
    assert formula.mass == pytest.approx(exact, abs=1e-9)


PLAIN = ("C47H83O13P", "H", "NaCl", "CH3CH2OH", "C100H200", "UU", "Br2", "C999999")
ODD = ("", " CO", "CO+", "C[13]O", "C-1H2", "(CH2)2", "Xx2", "H0", "CO2.H2O", "D2O")
ODD += ("Naa", "c6", "C1234567", "μ", "C6H6(2-)")


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_plain_formulas_are_read_at_once(dtype):
    texts = [*PLAIN, None, *ODD]
    if dtype == "category":
        texts = list(dict.fromkeys(texts))
    column = pd.Series(texts, dtype=dtype)
    masses = plain_masses(column[::-1])[::-1]
    expected = [parse_formula(text).mass for text in PLAIN]
    np.testing.assert_allclose(masses[: len(PLAIN)], expected, rtol=1e-14)
    assert np.isnan(masses[len(PLAIN) :]).all()
    assert plain_masses(column[:0]).shape == (0,)


@pytest.mark.parametrize("text", ["", "+", "(C2H4)n", "C2H-2", "R", "glucose"])
def test_wrong_formulas(text):
    with pytest.raises(ValueError, match=r"formula|element"):
        parse_formula(text)


def by_hand(mz, molecules, adducts, ppm):
    """Compare every peak with every ion."""
    found = set()
    for peak, value in enumerate(mz):
        for row, neutral in enumerate(molecules):
            for name in adducts:
                ion = parse_adduct(name)
                exact = (ion.n_molecules * neutral + ion.mass) / abs(ion.charge)
                if abs(value - exact) <= exact * ppm * 1e-6:
                    found.add((peak, row, name))
    return found


def test_hits_are_those_of_a_dense_search():
    rng = np.random.default_rng(0)
    molecules = np.round(rng.uniform(200, 400, 300), 3)
    molecules[10:20] = molecules[:10]
    mz = rng.uniform(150, 450, 60)
    adducts = ["[M+H]+", "[M+Na]+", "[2M+H]+", "[M+2H]2+"]
    table = pd.DataFrame({"mass": molecules, "row": np.arange(300)})
    hits = annotate(mz, table, adducts=adducts, ppm=1000)
    found = set(zip(hits["peak"], hits["row"], hits["adduct"], strict=True))
    assert found == by_hand(mz, molecules, adducts, 1000)
    assert len(found) == len(hits) > 100
    error = 1e6 * (hits["mz"] - hits["theoretical_mz"]) / hits["theoretical_mz"]
    np.testing.assert_allclose(hits["ppm"], error, atol=1e-9)
    assert hits["peak"].is_monotonic_increasing
    # Another order of rows, peaks and adducts names the same pairs.
    order = rng.permutation(300)
    again = annotate(mz[::-1], table.iloc[order], adducts=adducts[::-1], ppm=1000)
    peak = len(mz) - 1 - again["peak"]
    assert set(zip(peak, again["row"], again["adduct"], strict=True)) == found


def test_columns_of_a_lipid_maps_table():
    hits = annotate([766.5390, 885.5505], LIPIDS, adducts=["[M-H]-"], ppm=3)
    assert hits["name"].tolist() == ["PE 38:4", "PI 38:4"]
    assert hits["analyte_class"].tolist() == ["PE", "PI"]
    assert hits["feature"].tolist() == feature_names([766.5390, 885.5505])
    assert hits["LM_ID"].tolist() == [3, 1]
    assert (hits["n_searched"] == 5).all()
    np.testing.assert_allclose(hits["theoretical_mz"], [766.5392, 885.5499], atol=1e-4)
    assert hits["ppm"][1] == pytest.approx(0.73, abs=0.01)


def test_masses_formulas_and_files_give_the_same(tmp_path):
    exact = [parse_formula(f).mass for f in LIPIDS["FORMULA"]]
    with_mass = LIPIDS.assign(EXACT_MASS=exact)
    options = {"adducts": ["[M-H]-", "[M+Cl]-"], "ppm": 3}
    mz = [766.5390, 885.5505, 794.5472]
    first = annotate(mz, LIPIDS, **options)
    for name, separator in (("a.csv", ","), ("a.tsv", "\t"), ("b.csv", ";")):
        path = tmp_path / name
        text = with_mass.to_csv(index=False, sep=separator)
        path.write_text("# comment\n" + text, encoding="utf-8")
        found = annotate(mz, path, **options)
        common = [c for c in first.columns if c in found.columns]
        pd.testing.assert_frame_equal(first[common], found[common], check_dtype=False)
        assert len(first) == 3
    by_name = annotate(
        mz, with_mass.rename(columns={"EXACT_MASS": "m"}), mass="m", **options
    )
    np.testing.assert_allclose(by_name["ppm"], first["ppm"])


def test_average_masses_are_noticed():
    average = [887.13, 889.14, 768.06, 760.09, 104.17]
    wrong = LIPIDS.assign(mass=average)
    with pytest.warns(UserWarning, match="not the monoisotopic mass of the column"):
        hits = annotate([885.5499], wrong, adducts=["[M-H]-"])
    assert hits.empty
    assert len(annotate([885.5499], wrong, adducts=["[M-H]-"], mass="FORMULA")) == 1


def test_where_selects_a_part_of_the_database():
    mz = [766.5392, 885.5499]
    hits = annotate(mz, LIPIDS, adducts="[M-H]-", where={"MAIN_CLASS": "PI"})
    assert hits["name"].tolist() == ["PI 38:4"]
    assert hits["n_searched"].tolist() == [2]
    both = {"MAIN_CLASS": ["PI", "PE"], "LM_ID": [3]}
    assert annotate(mz, LIPIDS, adducts="[M-H]-", where=both)["peak"].tolist() == [0]
    for where, message in (
        ({"class": "PI"}, "where names the column 'class'"),
        ({"MAIN_CLASS": "XX"}, r"no row .* MAIN_CLASS in \['XX'\]; it holds 'PI'"),
        ({"MAIN_CLASS": "PI", "LM_ID": 3}, "has all of"),
    ):
        with pytest.raises(ValueError, match=message):
            annotate(mz, LIPIDS, adducts="[M-H]-", where=where)


def test_charged_molecules_and_impossible_losses():
    choline = parse_formula("C5H14NO").mass - ELECTRON
    hits = annotate([choline, choline + PROTON], LIPIDS, adducts=["[M]+", "[M+H]+"])
    assert hits[["peak", "adduct"]].to_numpy().tolist() == [[0, "[M]+"]]
    # Without oxygen there is no water to lose.
    table = pd.DataFrame({"formula": ["C12H26", "C12H26O"]})
    mz = [
        parse_adduct("[M+H-H2O]+").mz(parse_formula(f).mass) for f in table["formula"]
    ]
    found = annotate(mz, table, adducts=["[M+H-H2O]+"])
    assert found["formula"].tolist() == ["C12H26O"]


def test_isotopologue_of_a_stronger_ion_is_told():
    # PI(38:3) lies 10 ppm from the M+2 of PI(38:4).
    pi4, pi3 = (
        parse_adduct("[M-H]-").mz(parse_formula(f).mass) for f in LIPIDS["FORMULA"][:2]
    )
    m2 = pi4 + 2 * 1.0033548378
    assert 1e6 * (pi3 - m2) / pi3 == pytest.approx(10, abs=0.5)
    peaks = pd.DataFrame(
        {"mz": [pi4, m2], "height": [1000.0, 150.0], "fwhm": [pi4 / 20000] * 2}
    )
    with pytest.warns(UserWarning, match="1 of 2 hits lie within a FWHM"):
        hits = annotate(peaks, LIPIDS, adducts=["[M-H]-"], ppm=12)
    assert hits["name"].tolist() == ["PI 38:4", "PI 38:3"]
    assert hits["isotope_overlap"].tolist() == [False, True]
    assert np.isnan(hits["isotope_of"][0])
    assert hits["isotope_of"][1] == pytest.approx(pi4)
    # 47 of the carbons, 1.08 % each: 0.13 of the monoisotopic height.
    assert hits["isotope_share"][1] == pytest.approx(0.9, abs=0.1)
    # Resolved, or stronger than the other, it is an ion of its own.
    sharp = peaks.assign(fwhm=pi4 / 200_000)
    assert not annotate(sharp, LIPIDS, adducts=["[M-H]-"], ppm=12)[
        "isotope_overlap"
    ].any()
    strong = peaks.assign(height=[100.0, 150.0])
    found = annotate(strong, LIPIDS, adducts=["[M-H]-"], ppm=12)
    assert not found["isotope_overlap"].any()
    # Features have heights, the width is given.
    features = pd.DataFrame([[1000.0, 150.0]], columns=feature_names([pi4, m2]))
    with pytest.warns(UserWarning, match="1 of 2 hits"):
        found = annotate(features, LIPIDS, adducts=["[M-H]-"], ppm=12, fwhm=0.04)
    assert found["isotope_overlap"].tolist() == [False, True]
    assert "isotope_overlap" not in annotate(features, LIPIDS, adducts=["[M-H]-"])


def test_many_spectra_give_frequency_and_error():
    pe, pi = 766.539229, 885.549853
    spectra = [
        np.array([pe * (1 + 1e-6), pi * (1 - 2e-6)]),
        pd.DataFrame({"mz": [pi * (1 + 4e-6), pi * (1 + 1e-6)]}),
        (np.array([400.0]), np.array([1.0])),
        np.array([]),
    ]
    table = annotate(spectra, LIPIDS, adducts=["[M-H]-"], ppm=5)
    assert table["name"].tolist() == ["PI 38:4", "PE 38:4"]
    assert table["n_spectra"].tolist() == [2, 1]
    assert table["frequency"].tolist() == [0.5, 0.25]
    # Of two peaks in one spectrum the closer one counts.
    np.testing.assert_allclose(table["ppm"], [-0.5, 1.0], atol=2e-3)
    assert table["ppm_sd"][0] == pytest.approx(np.std([-2, 1], ddof=1), abs=2e-3)
    assert np.isnan(table["ppm_sd"][1])
    assert table["analyte_class"].tolist() == ["PI", "PE"]
    again = annotate(spectra[::-1], LIPIDS, adducts=["[M-H]-"], ppm=5)
    pd.testing.assert_frame_equal(table, again)
    centroids = Spectra.from_arrays(
        np.ones(3), mz=[pe, pi, pi], indptr=[0, 2, 3], profile=False
    )
    found = annotate(centroids, LIPIDS, adducts=["[M-H]-"])
    assert found["frequency"].tolist() == [1.0, 0.5]
    profiles = Spectra.from_arrays(np.ones((2, 2)), mz=[pe, pi])
    with pytest.raises(ValueError, match="centroid them with CentroidSpectra"):
        annotate(profiles, LIPIDS, adducts=["[M-H]-"])


def test_molecules_without_a_readable_formula_are_left_out_and_counted():
    table = pd.DataFrame({"formula": ["C47H83O13P", "(C2H4)n", None, "(C2H4)n"]})
    with pytest.warns(UserWarning, match=r"2 rows .* left out.*\(C2H4\)n"):
        hits = annotate([885.5499], table, adducts=["[M-H]-"])
    assert len(hits) == 1


def test_columns_of_the_database_do_not_overwrite_those_of_hits():
    table = pd.DataFrame({"formula": ["C47H83O13P"], "mz": [1.0], "ppm": [7]})
    hits = annotate([885.5499], table, adducts=["[M-H]-"])
    assert hits["mz"].tolist() == [885.5499]
    assert hits["database_mz"].tolist() == [1.0]
    assert hits["database_ppm"].tolist() == [7]


def test_no_hit_has_the_columns_of_a_hit():
    none = annotate([500.0], LIPIDS, adducts=["[M-H]-"])
    some = annotate([885.5499], LIPIDS, adducts=["[M-H]-"])
    assert none.empty
    assert list(none.columns) == list(some.columns)


@pytest.mark.parametrize(
    ("peaks", "database", "options", "message"),
    [
        ([1.0, -2.0], LIPIDS, {}, "list of m/z above 0"),
        (pd.DataFrame({"a": [1]}), LIPIDS, {}, "needs a column mz"),
        (
            [885.5],
            LIPIDS[["LM_ID"]],
            {},
            "no column of masses or formulas; found LM_ID",
        ),
        ([885.5], LIPIDS, {"mass": "weight"}, "no column 'weight'; found COMMON_NAME"),
        ([885.5], LIPIDS, {"ppm": 0}, "ppm must be a number above 0"),
        ([885.5], LIPIDS, {"fwhm": [1, 2]}, None),
        ([], LIPIDS.iloc[:0], {}, "no row"),
    ],
)
def test_what_is_wrong_is_said(peaks, database, options, message):
    if message is None:
        peaks, message = pd.DataFrame({"mz": peaks, "height": 1.0}), "fwhm needs one"
    with pytest.raises(ValueError, match=message):
        annotate(peaks, database, adducts=["[M-H]-"], **options)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*lipids.csv"):
        annotate([885.5], tmp_path / "lipids.csv", adducts=["[M-H]-"])
    (tmp_path / "empty.csv").write_text("# nothing\n")
    with pytest.raises(ValueError, match=r"empty.csv has no line of column names"):
        annotate([885.5], tmp_path / "empty.csv", adducts=["[M-H]-"])
