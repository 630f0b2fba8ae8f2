"""The page on accuracy names scripts that exist, and its tables can be read."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "guide" / "accuracy.rst"
SCRIPTS = ROOT / "benchmarks" / "accuracy"
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = re.findall(r"\$ python (\S+\.py)(.*?) > (\S+)\n", TEXT)
INCLUDES = re.findall(r"\.\. include:: (\S+)", TEXT)


def tables():
    spec = importlib.util.spec_from_file_location("_tables", SCRIPTS / "_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_script_that_is_named_exists():
    assert COMMANDS
    assert not [script for script, _, _ in COMMANDS if not (ROOT / script).is_file()]


def test_each_command_writes_a_table_of_the_page():
    written = [ROOT / target for _, _, target in COMMANDS]
    assert written == [PAGE.parent / name for name in INCLUDES]


@pytest.mark.parametrize("name", INCLUDES)
def test_each_included_table_is_there(name):
    text = (PAGE.parent / name).read_text(encoding="utf-8")
    assert len(text.splitlines()) > 4
    assert "Traceback" not in text


def test_scripts_that_print_restructuredtext_know_the_switch():
    for script, options, _ in COMMANDS:
        source = (ROOT / script).read_text(encoding="utf-8")
        assert ("--rst" in options) == ("from _tables import" in source), script


def test_a_table_reads_back_as_it_was_written():
    docutils = pytest.importorskip("docutils.core")
    nodes = pytest.importorskip("docutils.nodes")
    title, one = "Errors of *two* tools", "one_, `loq` 5"
    table = tables().Table(title, ["tool", "recall", "median |error|"])
    table.add(one, "0.99", "1.000 (7)")
    table.add("another", "", "-0.5 %")
    table.skip("a third", "not installed")
    tree = docutils.publish_doctree(table.rst(), settings_overrides={"halt_level": 2})
    assert next(iter(tree.findall(nodes.title))).astext() == title
    rows = [[c.astext() for c in row.findall(nodes.entry)]
            for row in tree.findall(nodes.row)]  # fmt: skip
    assert rows == [
        ["tool", "recall", "median |error|"],
        [one, "0.99", "1.000 (7)"],
        ["another", "–", "-0.5 %"],
        ["a third", "skipped: not installed", "–"],
    ]


def test_a_row_of_another_length_is_refused():
    table = tables().Table("Errors", ["tool", "recall"])
    with pytest.raises(ValueError, match="Errors: 1 cells in 2 columns"):
        table.add("one")


def test_the_page_builds(tmp_path):
    pytest.importorskip("sphinx")
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(PAGE, source / "index.rst")
    shutil.copytree(PAGE.parent / "accuracy", source / "accuracy")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-C", "-b", "html"]
    built = subprocess.run(
        [*command, "-D", "project=imsminer", str(source), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    html = (tmp_path / "html" / "index.html").read_text(encoding="utf-8")
    assert html.count("<table") >= len(INCLUDES) - 1
