"""The report: self-contained, and alive in a browser."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from imsminer.cli import main, study
from imsminer.cli.pipeline import build_steps, through
from imsminer.cli.report import Document, write_report
from imsminer.cli.report.quality import mass_errors, tracers
from imsminer.cli.results import compute, write_tables
from imsminer.core.cache import cache
from imsminer.datasets import make_ims

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this system"
)


def in_browser(page, tmp_path, script):
    """Return what `script` leaves in `window.answer`, and the errors on the way."""
    ending = (
        "<script>window.problems = [];"
        "window.addEventListener('error', (e) => problems.push(e.message));"
        "</script></head>"
    )
    probe = (
        "<script>(() => {" + script + "})();"
        "document.title = JSON.stringify({answer: window.answer, problems});"
        "</script></body>"
    )
    text = page.replace("</head>", ending, 1).replace("</body>", probe, 1)
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=5000",
        "--dump-dom",
        path.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.S)
    assert title is not None, done.stderr[-2000:]
    found = json.loads(html.unescape(title[1]))
    assert found["problems"] == []
    return found["answer"]


@pytest.fixture
def page():
    document = Document("A <run> & more", "3 pixels")
    document.section("Peaks")
    table = pd.DataFrame(
        {
            "mz": [500.12345, 700.5, 600.25],
            "height": [3.0, np.nan, 1e5],
            "name": ["PC", "<b>PE</b>", "Cer"],
        }
    )
    document.table(table, "Peaks", file="peaks.csv")
    mz = np.linspace(400, 800, 4001)
    intensity = np.exp(-0.5 * ((mz - 500) / 0.2) ** 2)
    peaks = pd.DataFrame({"mz": [500.0], "height": [1.0], "note": ["</script>"]})
    document.spectrum(mz, intensity, peaks, "Mean")
    return document.text()


def test_everything_is_inside(page):
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)""", page) == []
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert "A &lt;run&gt; &amp; more" in page
    assert "<b>PE</b>" not in page
    # The data of the spectrum cannot end its script early.
    assert page.count("</script>") == 2


@needs_browser
def test_tables_sort_and_search(page, tmp_path):
    script = """
      const names = () => [...document.querySelectorAll("tbody tr")]
        .filter((row) => !row.hidden).map((row) => row.cells[2].textContent);
      const heads = document.querySelectorAll("th button");
      window.answer = [names()];
      heads[0].click(); answer.push(names());
      heads[0].click(); answer.push(names());
      heads[1].click(); answer.push(names());
      heads[2].click(); answer.push(names());
      const field = document.querySelector("input");
      field.value = "pe"; field.dispatchEvent(new Event("input")); answer.push(names());
    """
    pe = "<b>PE</b>"
    answer = in_browser(page, tmp_path, script)
    assert answer[0] == ["PC", pe, "Cer"]
    assert answer[1] == ["PC", "Cer", pe]
    assert answer[2] == [pe, "Cer", "PC"]
    # What has no value comes last.
    assert answer[3] == ["PC", "Cer", pe]
    assert answer[4] == [pe, "Cer", "PC"]
    assert answer[5] == [pe]


@needs_browser
def test_the_spectrum_zooms(page, tmp_path):
    script = """
      const canvas = document.querySelector("canvas");
      const box = canvas.getBoundingClientRect();
      const view = () => canvas.dataset.view.split(" ").map(Number);
      const x = box.left + 70 + (box.width - 82) / 4;   // m/z 500
      window.answer = [view()];
      const wheel = (deltaY) => canvas.dispatchEvent(
        new WheelEvent("wheel", { deltaY, clientX: x, clientY: box.top + 50 }));
      wheel(-1); answer.push(view());
      for (let k = 0; k < 60; k++) wheel(1);
      answer.push(view());
      const send = (Kind, name, more) => canvas.dispatchEvent(new Kind(name, more));
      const key = (name) => send(KeyboardEvent, "keydown", { key: name });
      key("+"); key("ArrowRight"); answer.push(view());
      send(MouseEvent, "dblclick"); answer.push(view());
      send(PointerEvent, "pointermove", { clientX: x, clientY: box.top + 90 });
      const tip = document.querySelector("output");
      answer.push(tip.textContent, tip.style.display);
    """
    answer = in_browser(page, tmp_path, script)
    whole = [400.0, 800.0]
    np.testing.assert_allclose(answer[0], whole)
    # What is under the pointer stays there.
    np.testing.assert_allclose(answer[1], [420, 740], atol=0.6)
    np.testing.assert_allclose(answer[2], whole)
    np.testing.assert_allclose(answer[3], [480, 800])
    np.testing.assert_allclose(answer[4], whole)
    assert answer[5].splitlines()[0] == "mz  500.0000"
    assert answer[6] == "block"


@needs_browser
def test_the_canvas_shows_the_spectrum(page, tmp_path):
    script = """
      const canvas = document.querySelector("canvas");
      window.answer = null;
      const c = canvas.getContext("2d");
      const at = (mz, part) => {
        const x = 70 + (mz - 400) / 400 * (canvas.width - 82);
        const y = 14 + (canvas.height - 54) * part;
        return [...c.getImageData(x - 2, y, 5, 1).data].filter((_, k) => k % 4 === 3);
      };
      window.answer = [Math.max(...at(500, 0.5)), Math.max(...at(650, 0.55))];
    """
    # Drawing waits for a frame, so the question does, too.
    waiting = (
        "window.answer = 'late'; setTimeout(() => {"
        + script
        + "document.title = JSON.stringify({answer: window.answer, problems});}, 800);"
        "return;"
    )
    line, nothing = in_browser(page, tmp_path, waiting)
    assert line > 200
    assert nothing == 0


def test_run_writes_a_report(tmp_path):
    truth = make_ims(tmp_path / "a.imzML", shape=(8, 6), n_peaks=12, random_state=0)
    folder = tmp_path / "results"
    arguments = ["run", str(truth.path), "-o", str(folder), "--segments", "2"]
    result = CliRunner().invoke(main, [*arguments, "--align", "-q"])
    assert result.exit_code == 0, result.output
    text = (folder / "report.html").read_text(encoding="utf-8")
    peaks = pd.read_csv(folder / "peaks.csv")
    for title in ("Overview", "Mean spectrum and peaks", "Quality", "Parameters"):
        assert title in text
    assert f"{len(peaks)} peaks" in text
    assert f"{peaks['mz'][0]:.4f}" in text
    assert "<dt>loq</dt><dd>10</dd>" in text
    # Six pictures, and no word of where the files lie.
    assert text.count("data:image/png;base64,") == 6
    assert str(tmp_path) not in text
    assert "PNG" in str((folder / "segmentation.png").read_bytes()[:4])


KINDS = {
    "default": {},
    "aligned": {"baseline": {"enabled": True}, "align": {"enabled": True}},
    "as they are": {"normalize": {"enabled": False}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_reads_no_more_than_the_pipeline(kind, tmp_path):
    options = {"shape": (6, 6), "n_peaks": 12, "mz_range": (700, 760)}
    path = make_ims(
        tmp_path / "a.imzML", spectrum_type="sparse", random_state=0, **options
    ).path
    few = {"n_clusters": 2, "random_state": 0}
    read = []
    for whole in (True, False):
        cache.clear()
        steps = build_steps({}, {"segment": few, "cluster": few, **KINDS[kind]})
        reader = study.open_study([path], "raise")
        # Looked up by the first reader of a file, for all of them.
        reader.source.mz_range()
        # Readers of one file share its source.
        before = reader.source.n_bytes_read
        if whole:
            results = compute(reader, steps)
            record = write_tables(results, tmp_path)
            write_report(results, {}, record, tmp_path / "report.html")
        else:
            del steps["segment"], steps["cluster"]
            through(reader, steps)
        read.append(reader.source.n_bytes_read - before)
    assert read[0] == read[1] > 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    current = "of the peaks, median" if kind == "as they are" else "total ion current"
    assert current in text
    assert "mass error against the mean spectrum" in text


def test_the_mass_errors_are_the_true_ones(tmp_path):
    options = {"shape": (8, 8), "n_peaks": 12, "mz_range": (700, 760), "snr": 200.0}
    truth = make_ims(
        tmp_path / "a.imzML",
        spectrum_type="sparse",
        mass_shift_ppm=3.0,
        random_state=0,
        **options,
    )
    steps = build_steps({}, {"segment": {"n_clusters": 2, "random_state": 0}})
    results = compute(study.open_study([truth.path], "raise"), steps)
    assert results.n_tracers > 5
    true = truth.shifts - truth.shifts.mean()
    assert np.std(true) > 1
    error = results.mass_error - np.mean(results.mass_error)
    np.testing.assert_allclose(error, true, atol=0.6)


def test_few_peaks_are_enough_or_none():
    rng = np.random.default_rng(0)
    peaks = pd.DataFrame(
        {"frequency": rng.random(200), "height": rng.random(200)}
    ).assign(mz=np.arange(200.0) + 400)
    chosen = tracers(peaks)
    assert len(chosen) == 30
    frequent = peaks[peaks["frequency"] >= 0.5]
    assert set(chosen) == set(frequent["height"].nlargest(30).index)
    assert tracers(peaks.assign(frequency=0.1)).size == 0
    none = mass_errors(pd.DataFrame(index=range(3)), np.empty(0))
    assert np.isnan(none).tolist() == [True] * 3
    gaps = pd.DataFrame([[500.001, np.nan], [np.nan, np.nan]])
    found = mass_errors(gaps, np.array([500.0, 600.0]))
    assert found[0] == pytest.approx(2.0)
    assert np.isnan(found[1])
