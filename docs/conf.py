"""Settings of Sphinx for the site; `make docs` builds it into docs/_build/html."""

import os
import re
import warnings
from pathlib import Path

# One thread, as in the tests: small fits gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import skae

ROOT = Path(__file__).parents[1]

project = "skae"
author = "The skae developers"
copyright = author
version = release = skae.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx-mathjax-offline",  # formulas without a network
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
# README.md of this folder is for readers of the repository.
exclude_patterns = ["_build", "_templates", "README.md", "gallery"]
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_title = "skae"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # the theme reports an error without
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
# The pages without a section of their own have no use for an empty column.
html_sidebars = {page: [] for page in ("index", "which_model", "faq", "glossary")}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3  # as GitHub makes them: links work there and here

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings have them
default_role = "literal"  # as in the docstrings of scikit-learn
numpydoc_show_class_members = False  # the templates list them
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "api/examples",
    "doc_module": ("skae",),
    # The picture of the README takes minutes, and MNIST: it is shown, not run.
    "filename_pattern": r"/(?!plot_reconstruction)\w+\.py$",
    "ignore_pattern": r"/_",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,  # its table is drawn by a script from elsewhere
    "show_signature": False,
    "min_reported_time": 0,
    "abort_on_example_error": False,
    "reset_modules": ("matplotlib",),
    "remove_config_comments": True,
}

# Pages of the repository's root that the site includes.
_INCLUDED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "ship/security.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([\w./-]+)(#[\w-]+)?\)")
_EXAMPLE = re.compile(r"\bgallery/(\w+)\.py$")


def _to_pages_of_the_site(app, docname, source):
    """Links that lead somewhere in the repository, as links of the site.

    Examples have a page; files of the root are included in one, or only named.
    """
    folder = Path(app.srcdir, docname).parent

    def linked(found):
        text, path, anchor = found.groups(default="")
        path = _EXAMPLE.sub(r"auto_examples/\1.rst", path)
        target = (folder / path).resolve()
        if not target.is_relative_to(app.srcdir):
            name = str(target.relative_to(ROOT))
            if name not in _INCLUDED:
                return f"`{name}`"
            path = os.path.relpath(Path(app.srcdir, _INCLUDED[name]), folder)
        return f"[{text}]({path}{anchor})"

    source[0] = _LINK.sub(linked, source[0])


def _join_continued_lines(app, what, name, obj, options, lines):
    """A backslash at the end of a line, which a raw docstring keeps."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    lines[:] = joined.split("\n")


def setup(app):
    # Before numpydoc, whose priority is 500.
    app.connect("autodoc-process-docstring", _join_continued_lines, priority=400)
    app.connect("source-read", _to_pages_of_the_site)
    # A warning in an example is one of the build, which fails.
    warnings.filterwarnings("error", category=UserWarning, module="skae")
