"""Turns what a platform says about a service into a `Service`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from penstock.backends import backend_for, without_password
from penstock.declare.naming import checked_label
from penstock.errors import ConfigError, NotSupported, PenstockError
from penstock.registry.service import RoleMode, Service, Source
from penstock.registry.values import holds_password
from penstock.secrets import URI, SecretRef

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_CONNECTIONS = 10_000
_PORTS = 65_535
_YES_OR_NO: Mapping[str, bool] = {"true": True, "false": False}


class Entries(Protocol):
    """The entries of one service, such as `host` and `port`, as a platform gives them."""

    @property
    def where(self) -> str:
        """What people call the whole of them."""

    def find(self, entry: str) -> str | None:
        """The text of an entry, without space around it; None if it is missing. Raises ConfigError."""

    def secret(self, entry: str) -> SecretRef | None:
        """Where a secret entry is, to be read when it is used; None if it is missing."""


def is_known(kind: str) -> bool:
    """Whether a backend speaks to services of this kind."""
    try:
        backend_for(URL.create(kind))
    except NotSupported:
        return False
    except PenstockError:
        return True  # It does, once the package that it needs is installed.
    return True


def bound_service(name: str, kind: str, entries: Entries) -> Service:
    """The service; one whose entries are wrong says so when it is used, and not before.

    The names of entries: https://servicebinding.io/spec/core/1.1.0/#well-known-secret-entries; `database`,
    `admin-url`, `admin-password`, `pooled`, `max-connections` and `roles` are additions.

    Args:
        name: What operators call it.
        kind: What a backend calls it, for an address that is given in parts.
        entries: What the platform says of it.
    """
    source = Source("environment", entries.where)
    try:
        return _service(checked_label("service", name), kind, entries, source)
    except PenstockError as error:
        return Service(name=name, url="", source=source, problem=error)


def _service(name: str, kind: str, entries: Entries, source: Source) -> Service:
    url = _address(entries, "uri", entries.find("username"))
    whole = url is not None
    if url is None:
        url = _address_in_parts(entries, kind)
    admin = _address(entries, "admin-url", None)
    return Service(
        name=name,
        url=_kept(entries, "/uri" if whole else "", url),
        password=entries.secret("password") or _inside(entries, "uri", url),
        admin_url=None if admin is None else _kept(entries, "/admin-url", admin),
        admin_password=None if admin is None else _admin_password(entries, admin),
        pooled=_flag(entries, "pooled"),
        max_connections=_number(entries, "max-connections", _MOST_CONNECTIONS),
        roles=_roles(entries),
        source=source,
    )


def _address(entries: Entries, entry: str, user: str | None) -> URL | None:
    text = entries.find(entry)
    if text is None:
        return None
    url = _read(text)
    if url is None:
        raise _wrong(
            entries, f"/{entry}", "is not a database address.", "postgresql://user@host:port/database"
        )
    return url if url.username or not user else url.set(username=user)


def _read(text: str) -> URL | None:
    """An address, or None: an error of the parser could be chained, and repeat it."""
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        return None


def _address_in_parts(entries: Entries, kind: str) -> URL:
    host = entries.find("host")
    if host is None:
        raise ConfigError(f"{entries.where} has neither an entry uri nor an entry host.")
    return URL.create(
        kind,
        username=entries.find("username"),
        host=host,
        port=_number(entries, "port", _PORTS),
        database=entries.find("database"),
    )


def _kept(entries: Entries, at: str, url: URL) -> str:
    """An address in the form in which it is kept, without its password."""
    plain = without_password(url)
    if holds_password(plain):
        raise _wrong(entries, at, "has a password among its options.", "the password in an entry of its own")
    try:
        return backend_for(plain).normalise(plain).render_as_string(hide_password=False)
    except ConfigError as error:
        raise ConfigError(f"{entries.where}{at} is of no use. {error.what}", hint=error.hint) from None


def _admin_password(entries: Entries, admin: URL) -> SecretRef | None:
    return entries.secret("admin-password") or _inside(entries, "admin-url", admin)


def _inside(entries: Entries, entry: str, url: URL) -> SecretRef | None:
    """Where the password is that is part of an address, if one is."""
    address = entries.secret(entry)
    return SecretRef(URI, str(address)) if address is not None and url.password is not None else None


def _flag(entries: Entries, entry: str) -> bool:
    text = entries.find(entry)
    if text is None:
        return False
    if text.lower() not in _YES_OR_NO:
        raise _wrong(entries, f"/{entry}", "is neither true nor false.", "true or false")
    return _YES_OR_NO[text.lower()]


def _roles(entries: Entries) -> RoleMode:
    text = (entries.find("roles") or RoleMode.AUTO.value).lower()
    words = [each.value for each in RoleMode]
    if text not in words:
        raise _wrong(entries, "/roles", "is none of the words there are.", f"one of: {', '.join(words)}")
    return RoleMode(text)


def _number(entries: Entries, entry: str, most: int) -> int | None:
    text = entries.find(entry)
    if text is None:
        return None
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) else 0
    if not 1 <= number <= most:
        raise _wrong(entries, f"/{entry}", "is out of range, or no number.", f"a number from 1 to {most}")
    return number


def _wrong(entries: Entries, at: str, what: str, instead: str) -> ConfigError:
    return ConfigError(f"{entries.where}{at} {what}", hint=f"Let the binding hold {instead}.")
