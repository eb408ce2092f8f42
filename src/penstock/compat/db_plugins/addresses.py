"""Turns a configuration into an address, and the address into an engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import URL, Engine, StaticPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from penstock.backends import DatabaseAddress, Login, Server, backend_for, without_password
from penstock.engines import EngineOptions, Fixed, StoreEngine
from penstock.errors import ConfigError

MAP_KEYS = frozenset(("ENGINE", "HOST", "USER", "PASSWORD", "PORT", "DB_NAME"))
"""What a configuration names a database by, unless it has `SQLALCHEMY_DATABASE_URL`."""

ADDRESS = "SQLALCHEMY_DATABASE_URL"


def satisfy_keys(keys: Iterable[str]) -> set[str]:
    """Which of the keys are missing.

    Args:
        keys: Those that are there.

    >>> satisfy_keys(["ENGINE", "HOST", "USER", "PASSWORD", "PORT"])
    {'DB_NAME'}
    """
    return set(MAP_KEYS.difference(keys))


def settings_map(config: Mapping[str, Any]) -> URL:
    """The address that a configuration means; it shows `***` in place of the password.

    Args:
        config: The six keys, of which those that mean nothing to a kind of server may be empty; or
            `SQLALCHEMY_DATABASE_URL`.

    Raises:
        ConfigError: Keys are missing, or what they hold is no address.
        NotSupported: There is no backend for this kind of server.

    >>> settings_map({"ENGINE": "postgresql", "HOST": "db", "USER": "a", "PASSWORD": "p@ss/w:rd",
    ...               "PORT": "5432", "DB_NAME": "alerts"})
    postgresql+psycopg://a:***@db:5432/alerts
    """
    if not isinstance(config, Mapping):
        raise ConfigError("The configuration of a connection is no mapping.", hint=_hint())
    missing = satisfy_keys(config)
    if missing and not config.get(ADDRESS):
        inside = ", ".join(sorted(key for key, value in config.items() if isinstance(value, Mapping)))
        raise ConfigError(
            f"The configuration of a connection lacks {', '.join(sorted(missing))}.",
            hint=f"Hand over what is in {inside}." if inside else _hint(),
        )
    url = _read(config[ADDRESS]) if missing else _put_together(config)
    return backend_for(url).sync_url(url)


def _hint() -> str:
    return f"Give {', '.join(sorted(MAP_KEYS))}; or {ADDRESS}."


def _put_together(config: Mapping[str, Any]) -> URL:
    port = config["PORT"]
    if isinstance(port, str) and port and not (port.isascii() and port.isdecimal()):
        raise ConfigError("The PORT of a connection is no number.")
    return URL.create(
        str(config["ENGINE"]),
        username=config["USER"] or None,
        password=config["PASSWORD"] or None,
        host=config["HOST"] or None,
        port=int(port) if port else None,
        database=config["DB_NAME"] or None,
    )


def _read(address: Any) -> URL:
    try:
        return make_url(address)
    except (ArgumentError, ValueError):  # It may hold a password, which an error would repeat.
        raise ConfigError(f"{ADDRESS} is not a database address.") from None


class DatabaseLookup:
    """An engine for an address, and how to make its database ready.

    Args:
        url: The address.
        owner: For whom it is; its engine counts against the budget of the server while that lives.
    """

    def __init__(self, url: URL, owner: object) -> None:
        self.url = url
        self._backend = backend_for(url)
        self._address: DatabaseAddress | None = None
        if self._backend.capabilities.databases_are_files and url.database in (None, "", ":memory:"):
            self.engine = self._in_memory()
            return
        address, name = self._backend.split(without_password(url))
        password = str(url.password) if url.password is not None else None
        login = Login(url=address, password=lambda: password)
        self._address = DatabaseAddress(
            server=Server(service=url.host or name, login=login), database=name, label=name
        )
        self.engine = StoreEngine(Fixed(self._address), EngineOptions(), owner=owner).engine

    def make_file(self) -> None:
        """Make the file of the database, where it is one and is not there; it is there at other servers."""
        address = self._address
        if address is not None and self._backend.capabilities.databases_are_files:
            self._backend.make_home(address)
            if self._backend.create(address):
                self._backend.prepare(address)

    def _in_memory(self) -> Engine:
        """One connection, which all threads share: another one would see another database."""
        engine = create_engine(self.url, poolclass=StaticPool, connect_args={"check_same_thread": False})
        event.listen(engine, "connect", lambda raw, _: self._backend.set_up(raw))
        self._backend.listen(engine)
        return engine
