"""Configuration of the documentation. Nothing in it needs the network."""

import os
import sys
import warnings
from pathlib import Path

import matplotlib as mpl

HERE = Path(__file__).parent
# The tree that is documented, not one that happens to be installed.
sys.path.insert(0, str(HERE.parent))
mpl.use("Agg")

import imsminer  # noqa: E402
from imsminer.exceptions import ImzMLWarning  # noqa: E402

# The packaged example has no pixel size, which reading it says each time.
warnings.filterwarnings("ignore", category=ImzMLWarning)
os.environ.setdefault("OMP_NUM_THREADS", "2")
# Real data, where they are beside the source tree; pages do without.
os.environ.setdefault("IMSMINER_DATA", str(HERE.parents[1] / "shared" / "data"))

project = "imsminer"
author = "The imsminer developers"
copyright = "The imsminer developers"
version = release = imsminer.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "matplotlib.sphinxext.plot_directive",
]
root_doc = "index"
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
default_role = None
nitpicky = False

autosummary_generate = True
autodoc_typehints = "none"
# Members are listed by the templates; numpydoc would list them twice.
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

plot_basedir = str(HERE)
plot_include_source = True
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("png", 120)]
plot_pre_code = ""

html_theme = "pydata_sphinx_theme"
html_title = "imsminer"
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 6,
}
html_context = {"default_mode": "light"}
html_sidebars = {"index": [], "getting_started": [], "gallery/index": []}
html_show_sourcelink = False
html_copy_source = False
