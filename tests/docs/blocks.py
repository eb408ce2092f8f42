"""Finds the code blocks of a document, each with what to do with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sybil import Region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sybil import Document, Example

PLAYED = ("console", "python", "pycon")
"""Blocks in these languages are executed."""

SHOWN = ("text", "toml", "sql")
"""Blocks in these are for reading; with a file's name as their caption they are written to that file."""

_FENCE = re.compile(
    r"(?:^<!-- not executed: (?P<reason>[^\n]*?) ?-->\n+)?"
    r"^(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_DIRECTIVE = re.compile(r"\{code-block\} *(\w+)")
_CAPTION = re.compile(r":caption: *(\S+)\n+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A code block.

    Args:
        language: What it is written in.
        text: What is in it.
        line: The line of the document on which its text begins.
        file: The file it is the content of; empty if it is none.
        reason: Why it is not executed; empty if it is.
    """

    language: str
    text: str
    line: int
    file: str = ""
    reason: str = ""


def parser(play: Callable[[Block], None]) -> Callable[[Document], Iterable[Region]]:
    """A parser for sybil: every block becomes an example that is handed over when it is evaluated."""

    def parse(document: Document) -> Iterator[Region]:
        def evaluate(example: Example) -> None:
            play(example.parsed)

        for match in _FENCE.finditer(document.text):
            block = _block(match, document.text.count("\n", 0, match.start("body")) + 1)
            if block is not None:
                yield Region(match.start(), match.end(), block, evaluate)

    return parse


def _block(match: re.Match[str], line: int) -> Block | None:
    """What a fence holds; None for a directive that is no code."""
    language, text = match["language"].strip(), match["body"]
    directive = _DIRECTIVE.fullmatch(language)
    if directive is None and language.startswith("{"):
        return None
    caption = _CAPTION.match(text) if directive else None
    if caption is not None:
        line += caption[0].count("\n")
        text = text[caption.end() :]
    return Block(
        language=directive[1] if directive else language,
        text=text,
        line=line,
        file=caption[1] if caption else "",
        reason=match["reason"] or "",
    )
