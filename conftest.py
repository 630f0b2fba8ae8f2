"""What all tests and examples share."""

import sys

import pytest

#: Packages that the examples of a page, or of a name, need besides imsminer's own.
NEEDED = {
    "export.rst": ("anndata", "tifffile", "zarr"),
    "imsminer.io.export.to_anndata": ("anndata",),
}


@pytest.fixture(autouse=True)
def _optional_packages(request):
    """Skip examples that need a package which the tests do without, by name."""
    for package in NEEDED.get(request.node.name, ()):
        pytest.importorskip(package, reason=f"the example needs {package}")


@pytest.fixture(autouse=True)
def _figures_closed():
    """Examples leave their figures to the reader; here the next would inherit them."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
