"""Sphinx configuration."""

import robustreg

project = "robustreg"
author = "The robustreg developers"
version = release = robustreg.__version__
extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_parser", "sphinx.ext.mathjax"]
html_theme = "pydata_sphinx_theme"
html_sidebars = {"**": []}
exclude_patterns = ["_build"]
nitpicky = False
numpydoc_show_class_members = False
numpydoc_validation_checks = {"all", "GL01", "SA01", "EX01", "ES01", "SA04"}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 2
autodoc_typehints = "none"
