"""Data flows one way: what the imports in the source may point at.

Imports are read, not run, and those inside of functions count as well: a lazy import
of a later layer is a circle all the same.
"""

import ast
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import imsminer

PACKAGE = Path(imsminer.__file__).parent

#: A module imports from its own group and from groups above it, never from below.
LAYERS = (
    ("exceptions", "_array", "_cuda", "_lazy", "_optional", "_sklearn_compat"),
    ("core",),
    ("io",),
    ("spectra",),
    ("features",),
    ("images",),
    ("statistics",),
    ("model_selection",),
    ("plots",),
    ("datasets",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, group in enumerate(LAYERS) for name in group}


class Import(NamedTuple):
    """One imported name: where it stands and what it asks for."""

    line: int
    module: str
    name: str | None


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules():
    return sorted(
        path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts
    )


MODULES = {module_name(path): path for path in modules()}


@cache
def imports_of(name):
    """Everything that a module imports, names of ``from`` imports one by one."""
    found = []
    for node in ast.walk(tree_of(MODULES[name])):
        if isinstance(node, ast.Import):
            found += [Import(node.lineno, alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno} is a relative import"
            found += [Import(node.lineno, node.module, a.name) for a in node.names]
    return found


def target_of(found):
    """The module of imsminer that an import loads, or None for other packages."""
    if found.module.split(".")[0] != "imsminer":
        return None
    if found.name is not None and f"{found.module}.{found.name}" in MODULES:
        return f"{found.module}.{found.name}"
    if found.module == "imsminer" and found.name in imsminer._HOME:
        return imsminer._HOME[found.name]
    return found.module


def layer_of(name):
    return name.split(".")[1]


def estimators_of(name):
    """Classes of a module that have parameters of scikit-learn's kind."""
    return {
        node.name
        for node in tree_of(MODULES[name]).body
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(item, ast.FunctionDef) and item.name == "fit"
            for item in node.body
        )
    }


def is_kernel(name):
    return "._kernels." in name


def test_every_module_has_a_layer():
    layers = {layer_of(name) for name in MODULES if name != "imsminer"}
    assert layers <= set(RANK)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "imsminer"])
def test_imports_point_up(name):
    below = [
        f"{name}:{found.line} imports {target}"
        for found in imports_of(name)
        if (target := target_of(found)) not in (None, "imsminer")
        and RANK[layer_of(target)] > RANK[layer_of(name)]
    ]
    assert not below


def test_the_package_itself_imports_nothing_of_its_own():
    own = {target_of(found) for found in imports_of("imsminer")} - {None}
    assert own == {"imsminer._lazy"}, (
        "imsminer/__init__.py loads its names on first use"
    )


@pytest.mark.parametrize("name", MODULES)
def test_the_package_is_imported_for_its_version_only(name):
    """``imsminer.PeakPicker`` would be a way around the layers."""
    used = {
        node.attr
        for node in ast.walk(tree_of(MODULES[name]))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "imsminer"
    }
    assert used <= {"__version__"}


@pytest.mark.parametrize("name", [name for name in MODULES if estimators_of(name)])
def test_an_estimator_imports_no_other(name):
    if layer_of(name) == "cli":
        pytest.skip("the command line composes")
    others = [
        f"{name}:{found.line} imports {found.name}"
        for found in imports_of(name)
        if (target := target_of(found)) not in (None, "imsminer", name)
        # Bases that make an estimator are no estimators.
        and target != "imsminer.core.estimator"
        and found.name in estimators_of(target)
        and not found.name.startswith("_")
    ]
    assert not others


@pytest.mark.parametrize("name", [name for name in MODULES if is_kernel(name)])
def test_kernels_are_plain_functions(name):
    """Arrays in, arrays out: no classes, no validation, no I/O of the layers above."""
    files = {"builtins", "importlib", "io", "os", "pathlib", "shutil", "subprocess"}
    allowed = {"numba", "numpy", "scipy"} | (sys.stdlib_module_names - files)
    own = {"imsminer._array"}
    if name.endswith("_cuda"):
        own.add("imsminer._cuda")
    foreign = [
        f"{name}:{found.line} imports {found.module}"
        for found in imports_of(name)
        if found.module.split(".")[0] not in allowed
        and found.module not in own
        and not is_kernel(target_of(found) or "")
    ]
    assert not foreign
    methods = [
        node.name
        for node in ast.walk(tree_of(MODULES[name]))
        if isinstance(node, ast.FunctionDef)
        and node.args.args
        and node.args.args[0].arg == "self"
    ]
    assert not methods


@pytest.mark.parametrize("name", [name for name in MODULES if is_kernel(name)])
def test_the_suffix_of_a_kernel_names_its_engine(name):
    if name.endswith("._kernels"):
        return
    suffix = name.rsplit("_", 1)[-1]
    assert suffix in ("xp", "numba", "cuda")
    # Kernels of CUDA may be made of others.
    compiled = any(
        found.module == "numba" or target.endswith("_cuda")
        for found in imports_of(name)
        if (target := target_of(found) or "") != "imsminer._cuda"
    )
    assert compiled == (suffix != "xp")


def importers(matches):
    """Modules with an import that `matches`, and the lines."""
    return {
        name: [found.line for found in imports_of(name) if matches(found)]
        for name in MODULES
        if any(matches(found) for found in imports_of(name))
    }


def test_private_names_of_scikit_learn_have_one_importer():
    def private(found):
        parts = [*found.module.split("."), *([found.name] if found.name else [])]
        return parts[0] == "sklearn" and any(
            part == "externals" or (part.startswith("_") and part != "__version__")
            for part in parts
        )

    assert set(importers(private)) <= {"imsminer._sklearn_compat"}


@pytest.mark.parametrize("library", ["array_api_compat", "cupy", "torch"])
def test_array_libraries_have_one_importer(library):
    def of_library(found):
        return found.module.split(".")[0] == library

    assert set(importers(of_library)) <= {"imsminer._array"}


def test_only_plots_draw():
    def draws(found):
        return found.module.split(".")[0] in ("matplotlib", "mpl_toolkits")

    found = importers(draws)
    assert {layer_of(name) for name in found} <= {"plots"}
