"""How Sphinx builds Penstock's documentation."""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
sys.path.append(str(Path(__file__).parents[1] / "tests"))  # A table of theirs is a page.

project = "Penstock"
author = "The Penstock authors"
copyright = f"2026, {author}"
version = release = installed_version("penstock")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]
exclude_patterns = ["_build", "_ext", "_static"]

default_role = "literal"  # `name` in a docstring is code
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False
# Autodoc looks at the columns of mixins, which SQLAlchemy expects of classes with tables only.
warnings.filterwarnings("ignore", message="Unmanaged access of declarative attribute")

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_title = f"Penstock {version}"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}

suppress_warnings = [
    "misc.highlighting_failure"
]  # In a console, a line of a comment looks like root's prompt.
