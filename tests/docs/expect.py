"""What a document says a command prints, compared with what it printed."""

from __future__ import annotations

import re

ELLIPSIS = "…"
"""Stands for anything: within a line for any text, alone on its line for any lines."""

# What differs from run to run, and from machine to machine, and means nothing to a reader.
_VARIES = (
    (re.compile(r"\b\d+\.\d\d s\b"), "N s"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b"), "DATE"),
    (re.compile(r"\b\d+(?:\.\d)? (?:B|kB|MB|GB)\b"), "SIZE"),
    (re.compile(r"\b127\.0\.0\.1:\d+\b"), "127.0.0.1:PORT"),
    (re.compile(r"\b(PostgreSQL|SQLite|DuckDB) \d[\d.]*"), r"\1 N"),
    (re.compile(r" *\([^()\n]*\bDebian\b[^()\n]*\(?[^()\n]*\)?\)"), ""),
    (re.compile(r"'(/[^'\n]*/python)'"), r"\1"),  # A folder's name may have to be quoted.
    (re.compile(r"(?<=\S)[ \t]{2,}(?=\S)"), "  "),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)


def as_said(expected: str, printed: str) -> bool:
    """Whether a program printed what the document says, but for what varies."""
    pattern = re.escape(_steady(expected))
    pattern = re.sub(rf"(?m)^{ELLIPSIS}\n", r"(?:.*\\n)?", pattern.replace("\\\n", "\n"))
    pattern = pattern.replace(ELLIPSIS, ".*?")
    return re.fullmatch(pattern, _steady(printed), re.DOTALL) is not None


def _steady(text: str) -> str:
    for found, instead in _VARIES:
        text = found.sub(instead, text)
    return text.strip("\n") + "\n" if text.strip("\n") else ""
