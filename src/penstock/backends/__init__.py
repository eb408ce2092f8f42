"""How each dialect does it: `backend_for(url)` is the only door."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from penstock.backends.address import DatabaseAddress, Login, Server, portable, without_password
from penstock.backends.contract import (
    PINNED,
    TRACED,
    AsyncDriver,
    Backend,
    Capabilities,
    ConnectionOptions,
    Offload,
    own_timeout,
)
from penstock.backends.kept import keeping, shared
from penstock.backends.roles import NewLogin, RoleBackend, RoleNames, StoreRole
from penstock.errors import ConfigError, NotSupported, PenstockError
from penstock.plugins import Plugins
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HOST_AND_PORT = re.compile(r"[^/:\[\]]+:[^:]*|\[[^\]]*\]:.*")

__all__ = [
    "PINNED",
    "TRACED",
    "AsyncDriver",
    "Backend",
    "Capabilities",
    "ConnectionOptions",
    "DatabaseAddress",
    "Login",
    "NewLogin",
    "Offload",
    "RoleBackend",
    "RoleNames",
    "Server",
    "StoreRole",
    "backend_for",
    "keeping",
    "parse_url",
    "portable",
    "shared",
    "without_password",
]

_MODULES: Mapping[str, str] = {
    "postgresql": "penstock.backends.postgresql",
    "postgres": "penstock.backends.postgresql",
    "sqlite": "penstock.backends.sqlite",
    "mariadb": "penstock.backends.mysql",
    "mysql": "penstock.backends.mysql",
    "mysql2": "penstock.backends.mysql",
}
_PLUGINS = Plugins(group="penstock.backends", what="backend", own=_MODULES)


def backend_for(url: URL) -> Backend:
    """The backend that speaks to this address.

    Raises:
        NotSupported: No backend knows this kind of URL.

    >>> backend_for(make_url("sqlite:///stores")).name
    'sqlite'
    """
    return _backend_of(url.drivername.partition("+")[0])


@cache
def _backend_of(scheme: str) -> Backend:
    module = _MODULES.get(scheme)
    return _from_elsewhere(scheme) if module is None else _load(module)


@cache
def _load(module: str) -> Backend:
    make: Callable[[], Backend] = import_module(module).make_backend
    return make()


def _from_elsewhere(scheme: str) -> Backend:
    """The backend that another package has for a scheme.

    Raises:
        NotSupported: No package has one.
        PluginError: What it has is of no use.
    """
    make = _PLUGINS.load(scheme)
    if make is None:
        known = sorted({*_MODULES, *_PLUGINS.schemes()} - {"postgres", "mysql2"})
        raise NotSupported(
            f"There is no backend for {scheme!r} addresses.",
            hint=did_you_mean(scheme, known)
            or f"Use one of: {', '.join(known)}; or install a package that has a backend for it.",
        )
    try:
        made = make()
    except PenstockError:
        raise
    except Exception as error:  # Such as a class that lacks a method.
        raise _PLUGINS.broken(scheme, error) from error
    if not isinstance(made, Backend):
        raise _PLUGINS.broken(scheme, f"It makes a {type(made).__name__}, which is no Backend.")
    return made


def parse_url(text: str) -> URL:
    """Read an address; raises ConfigError without repeating it, since it may hold a password."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigError(
            "This is not a database address.",
            hint="Write it as postgresql://user@host:port or sqlite:///directory.",
        ) from None
    except ValueError:  # SQLAlchemy makes an int of what stands where the port does, and of nothing else.
        raise _bad_port() from None
    url = backend_for(url).normalise(url)
    own_timeout(url)
    if not all(_is_port(port) for port in _ports(url)):
        raise _bad_port()
    return url


def _ports(url: URL) -> list[str]:
    """Every port of an address: at its host, or among its options, as libpq's and SQLAlchemy's ways are."""
    said = [url.query.get("port", ()), url.query.get("host", ())]
    ports, hosts = ((",".join((each,) if isinstance(each, str) else each)).split(",") for each in said)
    beside = [host.rpartition(":")[2] for host in hosts if _HOST_AND_PORT.fullmatch(host)]
    here = [] if url.port is None else [str(url.port)]
    return [*here, *(port for port in [*ports, *beside] if port)]


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) < 65536


def _bad_port() -> ConfigError:
    return ConfigError(
        "This address has a port that can't be.",
        hint="A port is a number from 1 to 65535, as in host:5432; a / in a password is written as %2F.",
    )
