"""What all tests and examples share."""

import os
import sys
from pathlib import Path

import pytest

# Numba asks for this when it is imported. Where there is a GPU, kernels run on it.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")

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
