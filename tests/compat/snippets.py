"""Takes the pieces of code out of the documents that are kept beside the checkout."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "shared" / "reference"

ROOTS = {
    "tethys_sdk.base": "penstock.compat.tethys",
    "tethys_sdk.app_settings": "penstock.compat.tethys",
    "tethys_sdk.testing": "penstock.compat.tethys",
    "tent.data": "penstock.compat.tent",
    "db_plugins.db.sql": "penstock.compat.db_plugins",
}
"""What is imported of Penstock in place of what the documents import."""

_CODE = re.compile(r"(from|import|class|def|if|for|with|return)\b|[#@\"')\]}]|[A-Za-z_][\w.]*(\(| = )")
"""How an unindented line of Python begins; prose doesn't."""


def document(start: str) -> str:
    """A document's text; skips where the documents are absent."""
    found = sorted(FOLDER.glob(f"{start}_*.txt"))
    if not found:
        pytest.skip("the documents are not beside this checkout")
    return found[0].read_text()


def marked_blocks(text: str, language: str) -> list[str]:
    """The pieces of code below a line that only names their language."""
    lines = text.splitlines()
    starts = [number + 1 for number, line in enumerate(lines) if line == language]
    return [_block(lines[start:]) for start in starts]


def directive_blocks(text: str, language: str) -> list[str]:
    """The pieces of code in the directives of reStructuredText."""
    found = re.findall(rf"^( *)\.\. code-block:: {language}\n((?:\1 +.*\n?|\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(re.sub(r"^ *:[a-z-]+:.*\n", "", body)).strip() + "\n" for _, body in found]


def passage(text: str, first: str, last: str, number: int = 0) -> str:
    """The lines from one that begins so to the next one that begins so.

    Args:
        text: The text.
        first: How the first line begins.
        last: How the last line begins.
        number: Which of the lines that begin as the first one.
    """
    lines = text.splitlines()
    starts = [place for place, line in enumerate(lines) if line.startswith(first)]
    start = starts[number]
    end = next(place for place in range(start, len(lines)) if lines[place].startswith(last))
    return "\n".join(lines[start : end + 1]) + "\n"


def with_new_roots(code: str) -> str:
    """The same code, with Penstock's import roots."""
    for old, new in ROOTS.items():
        code = re.sub(rf"\b{re.escape(old)}\b", new, code)
    return code


def _block(lines: list[str]) -> str:
    kept: list[str] = []
    for line in lines:
        if line.strip() and not line[0].isspace() and not _CODE.match(line):
            break
        kept.append(line)
    return "\n".join(kept).strip() + "\n"
