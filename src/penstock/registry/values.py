"""How each kind of value in `penstock.toml` is read; none is repeated in an error."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, make_url

from penstock.backends import parse_url
from penstock.declare.naming import checked_label
from penstock.registry.problems import Wrong
from penstock.secrets import SEALED, SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable

_Choice = TypeVar("_Choice", bound=Enum)

_UNSHOWN = "Leave out line ends and control characters."
_SECRET_OPTIONS = frozenset(
    {
        *("password", "passwd", "pwd", "sslpassword", "ssl_key_password"),
        *("oauth_client_secret", "scram_client_key", "scram_server_key"),
    }
)
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a decimal number",
    str: "text",
    list: "a list",
    dict: "a table",
    date: "a date",
    datetime: "a date and time",
    time: "a time of day",
    type(None): "empty",
}


def of_kind(value: Any, kind: type, hint: str) -> Any:
    """The value, if it is of a kind that a file can hold; else Wrong, with this hint."""
    if not isinstance(value, kind):
        raise Wrong(f"is {kind_of(value)}, not {_KINDS[kind]}.", hint)
    return value


def kind_of(value: object) -> str:
    """What a value of a file is, in words."""
    return _KINDS.get(type(value), "something else")


def table(value: Any) -> dict[str, Any]:
    """A table, in any of TOML's forms."""
    found: dict[str, Any] = of_kind(value, dict, "Write it under a header of its own: [table.name]")
    return found


def text(value: Any, _: Any = None) -> str:
    """Text, never a number that looks like it."""
    if isinstance(value, dict):
        raise Wrong("is a table, not text.", 'Write "text" in quotes; a key with a dot needs quotes as well.')
    found: str = of_kind(value, str, "Write it in quotes.")
    return found


def whole_number(value: Any, _: Any = None) -> int:
    """An int, never true or text."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(f"is {kind_of(value)}, not a whole number.", "Write digits alone, without quotes.")
    return value


def number(value: Any, _: Any = None) -> float:
    """A float, or an int in its place."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong(f"is {kind_of(value)}, not a number.", "Write digits alone, without quotes.")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def flag(value: Any, _: Any = None) -> bool:
    """A bool, never 0 or "yes"."""
    found: bool = of_kind(value, bool, "Write true or false, without quotes.")
    return found


def choice(kind: type[_Choice]) -> Callable[[Any, Any], _Choice]:
    """One of a few words, as a member of an enumeration."""

    def read(value: Any, _: Any = None) -> _Choice:
        written, words = text(value), [member.value for member in kind]
        if written not in words:
            raise Wrong("is none of the words there are.", f"Write one of: {', '.join(words)}.")
        return kind(written)

    return read


def address(value: Any, _: Any = None) -> URL:
    """A URL of a kind that some backend knows, without a password anywhere in it."""
    written = text(value)
    if not written.isprintable():
        raise Wrong("has characters that can't be shown.", _UNSHOWN)
    parse_url(written)
    url = make_url(written)
    if holds_password(url):
        raise Wrong(
            "holds a password.",
            'Take it out, and say where it is beside the address of a service: password = "env:NAME"',
        )
    return url


def holds_password(url: URL) -> bool:
    """Whether there is a password in an address: in its place, or among its options."""
    return url.password is not None or any(key.lower() in _SECRET_OPTIONS for key in url.query)


def masked(url: URL) -> str:
    """An address as text, with `***` in place of every password in it."""
    return hidden(url).render_as_string(hide_password=True)


def hidden(url: URL) -> URL:
    """An address with `***` for every password in it."""
    query = {key: "***" if key.lower() in _SECRET_OPTIONS else value for key, value in url.query.items()}
    found = url.set(query=query)
    return found if url.password is None else found.set(password="***")  # noqa: S106  (what is shown)


def reference(value: Any, _: Any = None) -> SecretRef:
    """Where a password is."""
    ref = SecretRef.parse(text(value))
    if ref.scheme == SEALED:
        raise Wrong("is sealed for a service of the registry.", "Write env:NAME or file:/path/of/the/file.")
    if not ref.locator.isprintable():
        raise Wrong("has characters that can't be shown.", _UNSHOWN)
    return ref


def class_path(value: Any, _: Any = None) -> str:
    """`package.module:Class`."""
    module, colon, name = text(value).partition(":")
    if not (colon and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))):
        raise Wrong("does not name a class.", 'Write it as "package.module:Class".')
    return f"{module}:{name}"


def name(what: str, value: Any) -> str:
    """A name that can be shown, and is not an address by mistake."""
    written = text(value)
    if "://" in written:
        raise Wrong(f"is an address where the name of this {what} belongs.", f"Write the name of the {what}.")
    return checked_label(what, written)
