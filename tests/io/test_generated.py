"""Any generated pair is read back exactly, or refused where it must be."""

import os
import tempfile
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imsminer import ImzMLReader
from imsminer.exceptions import ImzMLError, ImzMLWarning
from imsminer.io._checks import find_problems
from imsminer.io._scan import scan_imzml
from tests.io.generator import build, random_spectra
from tests.io.markup import Style
from tests.io.recipe import (
    NUMBERS,
    SPECTRUM_FAULTS,
    TYPES,
    ZLIB_FAULTS,
    Recipe,
    Spectrum,
)

N_EXAMPLES = int(os.environ.get("IMSMINER_EXAMPLES", "60"))
bounded = settings(
    max_examples=N_EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TYPE_NAMES = sorted(TYPES)
# Encodings: written, declared.
ENCODINGS = [
    ("utf-8", "UTF-8"),
    ("utf-8", None),
    ("utf-8-sig", "utf-8"),
    ("latin-1", "ISO-8859-1"),
    ("cp1252", "windows-1252"),
    ("utf-16", "UTF-16"),
    ("utf-8", "US-ASCII"),
    ("latin-1", "UTF-8"),
    ("utf-8", "x-unheard-of"),
]

styles = st.builds(
    Style,
    quote=st.sampled_from("\"'"),
    shuffle=st.none() | st.integers(0, 99),
    newline=st.sampled_from(["\n", "\r\n", "", " \t"]),
    indent=st.sampled_from(["", "  ", "\t"]),
    empty=st.sampled_from(["short", "long"]),
    noise=st.sampled_from([None, "comments", "instructions", "cdata"]),
    namespace=st.sampled_from(["default", "prefix", "none", "foreign"]),
    indexed=st.booleans(),
    accessions=st.sampled_from(["upper", "lower"]),
    references=st.booleans(),
)
plain_styles = st.builds(
    Style,
    shuffle=st.none() | st.integers(0, 99),
    newline=st.sampled_from(["\n", "\r\n"]),
    indent=st.sampled_from(["", "  "]),
    empty=st.sampled_from(["short", "long"]),
)


@st.composite
def any_style(draw):
    if draw(st.booleans()):
        return draw(plain_styles)
    style = draw(styles)
    style.encoding, style.declared = draw(st.sampled_from(ENCODINGS))
    return style


@st.composite
def many_spectra(draw, n_spectra):
    """Spectra that differ in all that may differ."""
    uniform = draw(st.booleans())
    mz_type, intensity_type, mz_zlib, intensity_zlib, style = (
        draw(st.sampled_from(TYPE_NAMES)),
        draw(st.sampled_from(TYPE_NAMES)),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from(["group", "nested", "inline", "mixed"])),
    )
    mobility = draw(st.integers(0, 4)) == 0
    flags = draw(st.sampled_from([(), ("profile",), ("centroid", "positive")]))
    lowest = draw(st.sampled_from([1, 0, -3, 40_000]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    spectra = []
    for number in range(n_spectra):
        if not uniform:
            mz_type = draw(st.sampled_from(TYPE_NAMES))
            intensity_type = draw(st.sampled_from(TYPE_NAMES))
            mz_zlib, intensity_zlib = draw(st.booleans()), draw(st.booleans())
            style = draw(st.sampled_from(["group", "nested", "inline", "mixed"]))
            flags = draw(st.sampled_from([flags, ("positive",), ("negative",)]))
        n = draw(st.sampled_from([0, 1, 2, 5, 17]))
        mz = np.cumsum(rng.integers(1, 8, n)).astype(float)
        intensity = rng.integers(-128, 128, n).astype(float)
        if mz_type.startswith("float"):
            mz = np.sort(mz + rng.random(n))
        if intensity_type.startswith("float"):
            intensity *= rng.lognormal(sigma=9, size=n)
        z = draw(st.sampled_from([1, 1, None, 0, 7]))
        step = draw(st.sampled_from([1, 1, 0, 5]))
        spectrum = Spectrum(
            mz,
            intensity,
            (lowest + number * step, lowest + number // 3, z),
            mobility=rng.random(n) if mobility else None,
            noise=draw(st.integers(0, 9)) == 0,
            mz_type=mz_type,
            intensity_type=intensity_type,
            mz_zlib=mz_zlib,
            intensity_zlib=intensity_zlib,
            style=style,
            flags=flags,
            hole=draw(st.sampled_from([0, 0, 0, 0, 3, 5 << 30])),
        )
        if spectra and draw(st.integers(0, 3)) == 0:
            share(spectrum, spectra, draw(st.integers(0, number - 1)))
        spectra.append(spectrum)
    return spectra


def share(spectrum, spectra, number):
    """Let a spectrum refer to the m/z array of an earlier one."""
    first = spectra[number]
    if first.shares is not None or first.mz.size != spectrum.mz.size:
        return
    spectrum.mz, spectrum.shares = first.mz, number
    spectrum.mz_type, spectrum.mz_zlib = first.mz_type, first.mz_zlib


@st.composite
def recipes(draw, faults=False, continuous=None):
    """Pairs; with `faults`, some spectra cannot be read."""
    n_spectra = draw(st.integers(1, 6))
    spectra = draw(many_spectra(n_spectra))
    if continuous is None:
        continuous = draw(st.integers(0, 2)) == 0
    if continuous:
        for spectrum in spectra[1:]:
            values = np.resize(spectrum.intensity, spectra[0].mz.size)
            spectrum.intensity = values
            if spectrum.mobility is not None:
                spectrum.mobility = np.resize(spectrum.mobility, values.size)
            spectrum.mz, spectrum.shares = spectra[0].mz, 0
            spectrum.mz_type = spectra[0].mz_type
            spectrum.mz_zlib = spectra[0].mz_zlib
    recipe = Recipe(
        spectra,
        declared_mode=draw(st.sampled_from(["continuous", "processed", None])),
        numbers=draw(st.sampled_from(sorted(NUMBERS))),
        positions=draw(st.sampled_from(sorted(NUMBERS))),
        padding=draw(st.sampled_from([0, 0, 1, 7, 64])),
        order=draw(st.sampled_from(["interleaved", "intensity first", "separate"])),
        old_types=draw(st.booleans()),
        count=draw(st.sampled_from(["right"] * 4 + ["missing", "small", "text"])),
        max_count=draw(st.sampled_from(["right", "missing", "small", "absurd"])),
        pixel_size=draw(
            st.sampled_from(
                [("50", "um"), ("5e4", "nm"), ("0.05", "mm"), ("50", None), None]
            )
        ),
        n_scan_settings=draw(st.integers(0, 2)),
        instruments=draw(st.booleans()),
        uuid=draw(
            st.sampled_from(
                [
                    "{0123456789abcdef0123456789abcdef}",
                    "01234567-89AB-CDEF-0123-456789ABCDEF",
                    "urn:uuid:01234567-89ab-cdef-0123-456789abcdef",
                ]
            )
        ),
        style=draw(any_style()),
    )
    if recipe.padding == 0:
        recipe.encoded = draw(st.booleans())
    if draw(st.booleans()):
        recipe.numbers = recipe.positions = "plain"
        recipe.count = "right"
    if faults:
        for spectrum in spectra:
            if draw(st.integers(0, 2)) == 0:
                add_fault(draw, spectrum, spectra)
    return recipe


def add_fault(draw, spectrum, spectra):
    """Break a spectrum in a way that its layout allows."""
    fault = draw(st.sampled_from(sorted(SPECTRUM_FAULTS)))
    if spectrum.mz.size < 3:
        return
    if fault.startswith("m/z"):
        if spectrum.shares is not None or any(s.shares is not None for s in spectra):
            return
        if fault == "m/z is NaN" and not spectrum.mz_type.startswith("float"):
            return
    if fault in ZLIB_FAULTS:
        spectrum.intensity_zlib = True
    spectrum.fault = fault


def open_quietly(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImzMLWarning)
        return ImzMLReader(path, **options)


def check_facts(reader, files):
    run = reader.runs.iloc[0]
    np.testing.assert_array_equal(reader.coordinates, files.coordinates)
    assert run["mode"] == ("continuous" if files.continuous else "processed")
    assert run["polarity"] == files.polarity
    assert run["uuid"] == "0123456789abcdef0123456789abcdef"
    assert run["n_pixels"] == len(files.kept) == len(reader)
    np.testing.assert_allclose(run["pixel_size_x"], files.pixel_size, rtol=1e-12)
    np.testing.assert_allclose(run["pixel_size_y"], files.pixel_size, rtol=1e-12)


def check_spectra(reader, files):
    """Compare each spectrum alone; where reading must refuse, it does."""
    for row, number in enumerate(files.kept):
        if number in files.unreadable:
            with pytest.raises(ImzMLError, match=f"spectrum {number} "):
                reader[row]
            continue
        mz, intensity = files.spectrum(number)
        found = reader[row]
        assert found.mz.dtype == np.float64
        assert found.intensity.dtype == files.intensity_type
        np.testing.assert_array_equal(found.mz, mz)
        np.testing.assert_array_equal(found.intensity, intensity)


def check_rows(reader, files, rows):
    """Compare rows read at once, which may be any."""
    numbers = [files.kept[row] for row in np.arange(len(files.kept))[rows]]
    if not numbers or set(numbers) & set(files.unreadable):
        return
    spectra = [files.spectrum(number) for number in numbers]
    read = reader.source.read(rows)
    mz, intensity, indptr = read[0], read[1], read[2]
    if indptr is None:
        np.testing.assert_array_equal(mz, spectra[0][0])
        assert intensity.shape == (len(numbers), mz.size)
    else:
        lengths = [values.size for values, _ in spectra]
        np.testing.assert_array_equal(np.diff(indptr), lengths)
        np.testing.assert_array_equal(mz, np.concatenate([s[0] for s in spectra]))
    np.testing.assert_array_equal(
        intensity.reshape(-1), np.concatenate([s[1] for s in spectra])
    )


def check_everything(files, folder, **options):
    path = files.save(folder)
    for fast in (True, False):
        scan = scan_imzml(path, fast=fast)
        kept = [n for n in range(scan.spectra.size) if n not in scan.problems]
        lying = [n for n, s in enumerate(files.recipe.spectra) if s.fault]
        assert set(kept) >= set(files.kept)
        assert set(scan.problems) <= set(lying)
    reader = open_quietly(path, **options)
    check_facts(reader, files)
    check_spectra(reader, files)
    n = len(files.kept)
    rng = np.random.default_rng(n)
    for rows in (
        slice(None),
        slice(None, None, -1),
        slice(1, None, 2),
        slice(0, 0),
        np.arange(n)[::-1],
        rng.integers(0, n, 5),
    ):
        check_rows(open_quietly(path, **options), files, rows)
    return reader


@given(recipe=recipes(), mapped=st.booleans())
@bounded
def test_valid_pairs_are_read_exactly(recipe, mapped):
    files = build(recipe)
    with tempfile.TemporaryDirectory() as folder:
        reader = check_everything(files, folder, mmap=mapped)
        assert reader.skipped.empty


def without_doubtful(files, path):
    """Leave out spectra that broken ones throw doubt on.

    Where a file gives no encoded lengths, the place of a broken spectrum may look like
    room for a wider type of the one before, which is refused then, too.
    """
    problems = find_problems(scan_imzml(path), "run.ibd", files.size)
    doubt = "no reliable encoded length"
    kept = [n for n in files.kept if doubt not in problems.get(n, "")]
    return replace(files, kept=kept)


@given(recipe=recipes(faults=True), mapped=st.booleans())
@bounded
def test_broken_spectra_are_refused_and_the_others_exact(recipe, mapped):
    files = build(recipe)
    with tempfile.TemporaryDirectory() as folder:
        path = files.save(folder)
        if len(files.kept) < len(recipe.spectra) and not recipe.encoded:
            files = without_doubtful(files, path)
        refused = sorted(set(range(len(recipe.spectra))) - set(files.kept))
        if refused:
            with pytest.raises(ImzMLError, match=rf"spectrum {refused[0]} "):
                open_quietly(path, mmap=mapped)
        if not files.kept:
            with pytest.raises(ImzMLError, match="none of the"):
                open_quietly(path, on_error="skip", mmap=mapped)
            return
        reader = check_everything(files, folder, on_error="skip", mmap=mapped)
        assert reader.skipped["spectrum"].tolist() == refused
        assert all(reader.skipped["reason"])


@given(recipe=recipes(), share=st.floats(0, 0.999), mapped=st.booleans())
@bounded
def test_cut_binaries_cost_the_spectra_that_were_lost(recipe, share, mapped):
    whole = build(recipe)
    files = whole.cut(16 + int(share * (whole.size - 16)))
    with tempfile.TemporaryDirectory() as folder:
        path = files.save(folder)
        if len(files.kept) < len(whole.kept) and not recipe.encoded:
            files = without_doubtful(files, path)
        if len(files.kept) < len(whole.kept):
            with pytest.raises(ImzMLError, match="truncated"):
                open_quietly(path, mmap=mapped)
        if files.kept:
            check_everything(files, folder, on_error="skip", mmap=mapped)


@given(recipe=recipes(), share=st.floats(0, 0.999))
@bounded
def test_cut_texts_are_refused(recipe, share):
    files = build(recipe)
    files.xml = files.xml[: int(share * len(files.xml.rstrip()))]
    with tempfile.TemporaryDirectory() as folder:
        path = files.save(folder)
        for fast in (True, False):
            with pytest.raises(ImzMLError):
                scan_imzml(path, fast=fast)


@pytest.mark.parametrize("start", [16, 2**31 - 100, 2**32 - 100, 3 * 2**32 + 5])
@pytest.mark.parametrize("mapped", [True, False])
def test_arrays_far_into_the_file(tmp_path, start, mapped):
    spectra = random_spectra(0, 6, [0, 5, 9])
    spectra[1].hole = start - 16
    spectra[4].hole = 3 << 30
    files = build(Recipe(spectra))
    assert files.size > start
    check_everything(files, tmp_path, mmap=mapped)


@pytest.mark.parametrize(
    ("stem", "suffix", "ibd"),
    [
        ("a b", ".imzML", "a b.ibd"),
        ("Gewebe-µ-组织", ".imzml", "Gewebe-µ-组织.IBD"),
        ("RUN", ".IMZML", "run.ibd"),
        ("x.y", ".imzML", "X.Y.ibd"),
        ("50%20#?&", ".imzML", "50%20#?&.ibd"),
    ],
)
def test_names_of_files(tmp_path, stem, suffix, ibd):
    files = build(Recipe(random_spectra(1, 3, [4])))
    folder = tmp_path / "Ordner mit Leerzeichen é"
    folder.mkdir()
    path = files.save(folder, stem, suffix, ibd)
    for reader in (open_quietly(path), open_quietly(str(path)), open_quietly(folder)):
        check_spectra(reader, files)
        assert reader.runs.index.tolist() == [stem]
