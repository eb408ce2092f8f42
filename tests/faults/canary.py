"""A password that would be noticed anywhere, and the search for it."""

from __future__ import annotations

import base64
import html
import json
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "Kanarie-7f3c:@/%' \"ü"
"""Every character that an address, a shell, a statement or a log format treats as its own."""


def disguises(password: str = PASSWORD) -> set[str]:
    """The password as it is, and as encodings that keep it readable would show it."""
    once = {
        password,
        quote(password),
        quote(password, safe=""),
        quote_plus(password),
        html.escape(password),
        json.dumps(password)[1:-1],
        repr(password)[1:-1],
        ascii(password)[1:-1],
        repr(password.encode())[2:-1],
        password.replace("'", "''"),
        password.replace("\\", "\\\\").replace("'", "\\'"),
        base64.b64encode(password.encode()).decode().rstrip("="),
        password.encode().hex(),
    }
    head = password.partition(":")[0]  # what is left of it where an encoding is not thought of here
    return once | {head}


@dataclass
class Search:
    """Collects where the password was found.

    >>> search = Search()
    >>> search.text("a log", "nothing")
    >>> search.found
    []
    """

    password: str = PASSWORD
    found: list[str] = field(default_factory=list)

    def text(self, where: str, text: str) -> None:
        """Search a text."""
        for disguise in disguises(self.password):
            if disguise in text:
                at = text.index(disguise)
                self.found.append(f"{where}: …{text[max(0, at - 60) : at + 80]!r}")
                return

    def file(self, path: Path) -> None:
        """Search a file, whatever is in it."""
        self.text(str(path), path.read_bytes().decode("utf-8", errors="replace"))

    def folder(self, folder: Path, *, but: tuple[Path, ...] = ()) -> None:
        """Search every file below a folder, except those that are meant to hold it."""
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path not in but:
                self.file(path)

    def thing(self, where: str, thing: object) -> None:
        """Search what an object says of itself, and what its public attributes say."""
        self.text(f"repr of {where}", repr(thing))
        self.text(f"str of {where}", str(thing))
        self.text(f"format of {where}", f"{thing}")
        for name, value in _public(thing):
            self.text(f"repr of {where}.{name}", repr(value))

    def error(self, where: str, error: BaseException) -> None:
        """Search an exception, everything it is chained to, and its tracebacks as they are printed."""
        self.text(f"traceback of {where}", "".join(traceback.format_exception(error)))
        for each in _chain(error):
            self.thing(f"{type(each).__name__} of {where}", each)
            self.text(f"args of {where}", repr(each.args))
            self.text(f"attributes of {where}", repr({k: str(v) for k, v in vars(each).items()}))


def _public(thing: object) -> Iterator[tuple[str, object]]:
    for name in dir(thing):
        if name.startswith("_"):
            continue
        try:
            value = getattr(thing, name)
        except Exception:  # noqa: S112  (an attribute that can't be read shows nothing)
            continue
        if not callable(value):
            yield name, value


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes and its contexts, suppressed ones too."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        todo += [each.__cause__, each.__context__]
