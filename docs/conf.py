"""Sphinx configuration."""

import warnings

import robustreg

project = "robustreg"
author = "The robustreg developers"
version = release = robustreg.__version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # serves MathJax with the site, so that pages read offline
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
highlight_language = "none"  # of blocks that name none: commands, and formulas in docstrings
toc_object_entries_show_parents = "hide"

html_title = f"robustreg {release}"
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "logo": {"text": html_title, "alt_text": "robustreg: home"},
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "footer_end": [],
}
html_logo = html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_sidebars = {"index": [], "start": [], "genindex": [], "search": []}
html_show_sourcelink = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_html_meta = {
    "description lang=en": "Robust linear regression for scikit-learn: least squares, least "
    "absolute deviations, Huber and quantile regression, solved exactly and with a proof."
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_validation_checks = {"all", "GL01", "SA01", "EX01", "ES01", "SA04"}
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"(plot_\w+|flight_delays)\.py$",
    "ignore_pattern": r"^(?!plot_|flight_delays)",
    "abort_on_example_error": True,
    "write_computation_times": False,
    "show_memory": False,
    # Each page of the API shows the examples that use its name, and they link to it.
    "doc_module": ("robustreg",),
    "backreferences_dir": "gallery/uses",
    "reference_url": {"robustreg": None},
}
warnings.filterwarnings(
    "ignore", category=FutureWarning
)  # of the packages that bring the examples' data


def setup(app):
    """Leave out the empty line that doctest needs at the end of a block."""

    def without_last_line(app, page, source):
        source[0] = source[0].replace("\n\n```\n", "\n```\n")

    app.connect("source-read", without_last_line)
