"""Sphinx configuration."""

import warnings

import robustreg

project = "robustreg"
author = "The robustreg developers"
version = release = robustreg.__version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
html_title = "robustreg"
html_theme = "pydata_sphinx_theme"
html_sidebars = {"**": []}
exclude_patterns = ["_build"]
nitpicky = False
numpydoc_show_class_members = False
numpydoc_validation_checks = {"all", "GL01", "SA01", "EX01", "ES01", "SA04"}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_typehints = "none"
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"(plot_\w+|flight_delays)\.py$",
    "ignore_pattern": r"^(?!plot_|flight_delays)",
    "abort_on_example_error": True,
    "write_computation_times": False,
    "show_memory": False,
}
warnings.filterwarnings(
    "ignore", category=FutureWarning
)  # of the packages that bring the examples' data
