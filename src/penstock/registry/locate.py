"""Which line of a TOML document defines which key, since no parser tells."""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_right
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KeyPath: TypeAlias = tuple[str, ...]
"""A key after the tables around it, outermost first: `("services", "main", "url")`."""

_LONGEST_SHOWN = 80
_ADDRESS = re.compile(r"://.*", re.DOTALL)
_BARE = re.compile(r"[A-Za-z0-9_-]+")

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_HEADER = re.compile(r"\[{1,2}")
_KEY_PART = re.compile(r"""[ \t]*("(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*(\.?)""")
_VALUE_PART = re.compile(
    r"""
      \"{3}(?:\\.|[^\\])*?\"{3}(?!") | "(?:\\.|[^"\\\n])*"
    | '{3}.*?'{3}(?!')               | '[^'\n]*'
    | \#[^\n]* | (?P<opened>[\[{]) | (?P<closed>[\]}]) | (?P<end>\n) | [^"'\#\[\]{}\n]+ | .
    """,
    re.VERBOSE | re.DOTALL,
)


def lines_of(text: str) -> dict[KeyPath, int]:
    """The line, counted from 1, on which each key of a document is first defined.

    A table's line is that of its header, if it has one, else of the first key below it. What is
    inside an inline table or an array has no lines of its own.

    Args:
        text: A document that `tomllib` has read without complaint.

    >>> lines_of('[services.main]\\nurl = "sqlite:///stores"')["services", "main", "url"]
    2
    """
    headers: dict[KeyPath, int] = {}
    implied: dict[KeyPath, int] = {}
    for key, line, is_header in _statements(text):
        if is_header:
            headers.setdefault(key, line)
        for length in range(1, len(key) + 1):
            implied.setdefault(key[:length], line)
    return implied | headers


def locate(lines: Mapping[KeyPath, int], key: KeyPath) -> int:
    """The line of a key, else of the nearest key around it, else the first.

    Args:
        lines: What `lines_of` found.
        key: The key, which may be missing from the document.

    >>> locate(lines_of("[services.main]"), ("services", "main", "url"))
    1
    """
    for length in range(len(key), 0, -1):
        if (line := lines.get(key[:length])) is not None:
            return line
    return 1


def shown(key: KeyPath) -> str:
    """A key as it is written in TOML, for a message: without line ends, addresses cut off.

    >>> shown(("links", "lab:gages"))
    'links."lab:gages"'
    """
    return ".".join(_shown_part(part) for part in key)


def without_addresses(text: str) -> str:
    """`text` up to what follows the first `://`, where somebody may have left a password.

    >>> without_addresses("postgresql://me:secret@host")
    'postgresql://***'
    """
    return _ADDRESS.sub("://***", text)


def _shown_part(part: str) -> str:
    if _BARE.fullmatch(part) and len(part) <= _LONGEST_SHOWN:
        return part
    part = without_addresses(part)
    if len(part) > _LONGEST_SHOWN:
        part = part[:_LONGEST_SHOWN] + "…"
    return json.dumps(part, ensure_ascii=not part.isprintable())


def _statements(text: str) -> Iterator[tuple[KeyPath, int, bool]]:
    """Every header and every `key =`: the whole key, its line, whether it is a header."""
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    table: KeyPath = ()
    position = _skip_blank(text, 0)
    while position < len(text):
        line = bisect_right(starts, position)
        header = _HEADER.match(text, position)
        key, position = _read_key(text, header.end() if header else position)
        if header:
            table = key
        yield (key if header else table + key), line, header is not None
        position = _skip_blank(text, _skip_value(text, position))


def _skip_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _read_key(text: str, position: int) -> tuple[KeyPath, int]:
    parts: list[str] = []
    while match := _KEY_PART.match(text, position):
        parts.append(_spoken(match[1]))
        position = match.end()
        if not match[2]:
            break
    return tuple(parts), position


def _spoken(part: str) -> str:
    """What a part of a key says: without its quotes, its escapes resolved."""
    if part[0] == '"':
        return str(tomllib.loads(f"key = {part}")["key"])
    return part[1:-1] if part[0] == "'" else part


def _skip_value(text: str, position: int) -> int:
    """Past the line on which the statement ends, however many brackets and lines it spans."""
    depth = 0
    for match in _VALUE_PART.finditer(text, position):
        if match["end"] and depth <= 0:
            return match.end()
        depth += bool(match["opened"]) - bool(match["closed"])
    return len(text)
