"""``import imsminer`` is cheap, and every public name leads somewhere."""

import importlib
import subprocess
import sys

import pytest

import imsminer

HEAVY = (
    "array_api_compat",
    "cuml",
    "cupy",
    "joblib",
    "matplotlib",
    "numba",
    "pandas",
    "pyarrow",
    "rich",
    "scipy",
    "sklearn",
    "torch",
)

SUBPACKAGES = [n for n, home in imsminer._HOME.items() if home == f"imsminer.{n}"]


def loaded_after(code):
    """Top-level packages that a fresh interpreter has loaded after `code`."""
    code += "; import sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_loads_nothing_heavy():
    assert not loaded_after("import imsminer") & set(HEAVY)


def test_listing_the_names_loads_nothing_heavy():
    assert not loaded_after("import imsminer; dir(imsminer)") & set(HEAVY)


@pytest.mark.parametrize("name", ["core", "datasets", "io", "plots", "spectra"])
def test_subpackages_load_no_pictures_and_no_cuda(name):
    loaded = loaded_after(f"import imsminer.{name}")
    assert not loaded & {"cuml", "cupy", "matplotlib", "torch"}


def test_estimators_load_no_pictures_and_no_cuda():
    names = ", ".join(sorted(imsminer._HOME))
    loaded = loaded_after(f"from imsminer import {names}")
    assert not loaded & {"cuml", "cupy", "matplotlib", "torch"}


def test_help_of_the_command_line_is_quick():
    code = (
        "import click.testing, imsminer.cli as c; "
        "r = click.testing.CliRunner().invoke(c.main, ['--help']); "
        "assert r.exit_code == 0, r.output"
    )
    assert not loaded_after(code) & {"matplotlib", "numba", "sklearn", "cupy"}


@pytest.mark.parametrize("name", imsminer.__all__)
def test_public_names_resolve(name):
    assert getattr(imsminer, name) is not None
    assert name in dir(imsminer)


@pytest.mark.parametrize("package", SUBPACKAGES)
def test_names_of_subpackages_resolve(package):
    module = importlib.import_module(f"imsminer.{package}")
    missing = [n for n in getattr(module, "__all__", ()) if not hasattr(module, n)]
    assert not missing


@pytest.mark.parametrize("package", ["", *(f".{n}" for n in SUBPACKAGES)])
def test_unknown_names_raise_attribute_errors(package):
    module = importlib.import_module(f"imsminer{package}")
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


def test_version_is_that_of_the_distribution():
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("imsminer")
    except PackageNotFoundError:
        pytest.skip("imsminer is not installed, the source tree is tested")
    assert installed == imsminer.__version__
