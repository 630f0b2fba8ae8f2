"""What the README tells people to type is what works."""

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

README = Path(__file__).resolve().parents[1] / "README.md"


def blocks(language):
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands():
    return [line for block in blocks("console") for line in block.splitlines()]


def imsminer_commands():
    return [line for line in commands() if line.startswith("imsminer ")]


def test_the_two_commands_are_there():
    assert "pip install . && imsminer demo" in commands()
    assert "pip install '.[test]' && pytest" in commands()


@pytest.mark.parametrize("block", blocks("python"))
def test_python_imports_what_exists(block):
    tree = ast.parse(block)
    imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    assert imports
    space = {}
    exec(compile(ast.Module(imports, []), "<README>", "exec"), space)
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    made = {
        n.id for n in ast.walk(tree) if isinstance(getattr(n, "ctx", None), ast.Store)
    }
    assert used - made - set(space) <= {"print"}


@pytest.mark.parametrize("line", imsminer_commands())
def test_options_of_the_command_line_exist(line):
    from imsminer.cli import main

    command = line.split()[1]
    shown = CliRunner().invoke(main, [command, "--help"])
    assert shown.exit_code == 0
    for option in re.findall(r"--[a-z-]+", line):
        assert option in shown.output


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert links
    missing = [link for link in links if not (README.parent / link).exists()]
    assert not missing
