"""How the documentation is built: `make docs`."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django  # noqa: E402

django.setup()

import continuations  # noqa: E402

project = "django-continuations"
author = "The django-continuations contributors"
release = version = continuations.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "django-continuations"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Docstrings are Markdown-like prose; single backticks are code.
default_role = "code"
# The builder's own pages link to the repository's root.
suppress_warnings = ["myst.xref_missing"]
