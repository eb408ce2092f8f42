"""Fills the generated part of reference pages when Sphinx reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import api_page
import bulk_page
import commands_page
import errors_page

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGES = {
    "reference/api": ("<!-- generated: api -->", api_page.text),
    "reference/bulk-writing": ("<!-- generated: bulk writing -->", bulk_page.text),
    "reference/commands": ("<!-- generated: commands -->", commands_page.text),
    "reference/errors": ("<!-- generated: errors -->", errors_page.text),
}


def fill(_app: Sphinx, docname: str, content: list[str]) -> None:
    """Put the generated text where the page's marker is."""
    if docname in PAGES:
        marker, text = PAGES[docname]
        before, after = content[0].split(marker)
        content[0] = before + text() + after


def always_outdated(*_: object) -> list[str]:
    """Read generated pages in every build: what they show may have changed though they did not."""
    return list(PAGES)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", fill)
    app.connect("env-get-outdated", always_outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
