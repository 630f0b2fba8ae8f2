"""Examples that need a package which the tests do without are skipped, by name."""

import pytest

#: Packages that the examples of a page, or of a name, need besides imsminer's own.
NEEDED = {
    "export.rst": ("anndata", "tifffile", "zarr"),
    "imsminer.io.export.to_anndata": ("anndata",),
}


@pytest.fixture(autouse=True)
def _optional_packages(request):
    for package in NEEDED.get(request.node.name, ()):
        pytest.importorskip(package, reason=f"the example needs {package}")
