"""From a configuration to an engine, its tables and its sessions."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session

from penstock.backends import DatabaseAddress, Login, Server, backend_for
from penstock.engines import EngineOptions, Fixed, StoreEngine
from penstock.errors import ConfigError, DeclarationError, StoreNotCreated
from penstock.errors import ConfigError as DBConfException
from penstock.models import TableNames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

__all__ = ["Base", "DBConfException", "TableMixin", "connect", "install_tables", "open_session"]

_LABEL = "tent"
_MEMORY = ":memory:"
_IN_MEMORY = "/dev/shm"  # noqa: S108  (the folder that is made in it has a name that nobody can guess)
_SERVERS = ("postgresql", "postgres", "mysql", "mariadb")
_NEEDED = {"sqlite": ("path",), **dict.fromkeys(_SERVERS, ("host", "user", "database"))}
_ALLOWED = {"sqlite": (), **dict.fromkeys(_SERVERS, ("port", "password"))}


class Base(DeclarativeBase):
    """The base of all models, whose tables `install_tables` makes."""


class TableMixin(TableNames):
    """Calls a table after its class; see `penstock.models.TableNames`."""


def connect(config: Mapping[str, Any]) -> Engine:
    """The engine of the database that a configuration names; a file is made if it is not there.

    What is in `:memory:` is seen by every thread, until the engine is gone. The engine's URL has no password.

    Args:
        config: `driver` and, for "sqlite", `path`; for "postgresql" and "mysql" `host`, `user` and
            `database`, and `port` and `password` where they are needed. `echo=True` logs statements.

    Raises:
        ConfigError: Something is missing, unknown or of the wrong kind; all of it is named.
        StorageUnavailable: The file can't be made.
        MissingExtra: The driver is not installed.

    >>> connect({"driver": "sqlite", "path": ":memory:"}).dialect.name
    'sqlite'
    """
    driver = _driver_of(config)
    problems = [*_missing(config, driver), *_unknown(config, driver), *_wrong(config)]
    if problems:
        names = ", ".join(("driver", *_NEEDED[driver], *_ALLOWED[driver]))
        raise ConfigError(
            f"The configuration of the database can't be used: {'; '.join(problems)}.",
            hint=f"A configuration for {driver} has: {names}.",
        )
    options = EngineOptions(echo=bool(config.get("echo")))
    if config.get("path") == _MEMORY:
        return _engine_in_memory(options)
    return StoreEngine(Fixed(_address_of(config, driver)), options, owner=Base).engine


def install_tables(engine: Engine) -> None:
    """Make the tables of all models that are imported, but for those that are there.

    Args:
        engine: What `connect` gave.

    Raises:
        DeclarationError: No models are imported.
        ServerError: The database can't be reached, or refuses.
    """
    if not Base.metadata.tables:
        raise DeclarationError(
            "There are no tables to make: no models are imported.",
            hint="Import them first: from penstock.compat.tent.user import User.",
        )
    for left in range(len(Base.metadata.tables), -1, -1):
        with _opened(engine, "The tables can't be made.") as connection:
            if _is_made(connection, may_fail=left > 0):
                return


def open_session(engine: Engine) -> Session:
    """A new session, once a connection has been made.

    Args:
        engine: What `connect` gave.

    Raises:
        ServerError: The database can't be reached, or refuses.
    """
    with _opened(engine, "The database can't be opened.") as connection:
        backend_for(engine.url).has_table(connection, "users")  # A file is not looked at before it is read.
    return Session(engine)


def _is_made(connection: Connection, *, may_fail: bool) -> bool:
    """Make the tables; False if somebody else was at it, whom nothing here can keep out."""
    backend = backend_for(connection.engine.url)
    if backend.capabilities.transactional_ddl:
        backend.lock_transaction(connection)
        may_fail = False
    try:
        Base.metadata.create_all(connection)
    except DBAPIError:
        if not may_fail:
            raise
        return False
    return True


def _engine_in_memory(options: EngineOptions) -> Engine:
    """The engine of a file in memory: what SQLite itself keeps in memory, it keeps for one connection.

    Of what several can share there, readers would wait for writers.
    """
    folder = tempfile.mkdtemp(prefix="penstock-tent-", dir=_IN_MEMORY if os.path.isdir(_IN_MEMORY) else None)
    address = _address_of({"path": os.path.join(folder, "tent.db")}, "sqlite")
    backend_for(address.server.login.url).prepare(address)
    engine = StoreEngine(Fixed(address), options, owner=Base).engine
    weakref.finalize(engine, _remove, folder, os.getpid())
    return engine


def _remove(folder: str, process: int) -> None:
    if process == os.getpid():  # Else this is a child, and its parent goes on.
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _opened(engine: Any, what: str) -> Iterator[Connection]:
    """A transaction; what goes wrong in it is told in our words."""
    if not isinstance(engine, Engine):
        what = f"This is no engine but {type(engine).__name__}."
        raise ConfigError(what, hint="Give what connect(…) gave.")
    backend = backend_for(engine.url)
    try:
        with engine.begin() as connection:
            yield connection
    except StoreNotCreated as error:
        raise StoreNotCreated(what, why=error.why, hint="Make the database, or mend the name.") from error
    except DBAPIError as error:
        raise backend.translate(error, what) from error


# --- the configuration ----------------------------------------------------------------------------


def _driver_of(config: Any) -> str:
    known = "Use one of: sqlite, postgresql, mysql."
    if not isinstance(config, Mapping):
        raise ConfigError(f"A configuration is a dict, not {type(config).__name__}.", hint=known)
    if "driver" not in config:
        raise ConfigError("The configuration has no 'driver'.", hint=known)
    driver = config["driver"]
    if not isinstance(driver, str) or driver not in _NEEDED:
        raise ConfigError(f"There is no driver {driver!r}.", hint=known)
    return driver


def _missing(config: Mapping[str, Any], driver: str) -> list[str]:
    return [f"{name!r} is missing" for name in _NEEDED[driver] if config.get(name) in (None, "")]


def _unknown(config: Mapping[str, Any], driver: str) -> list[str]:
    known = ("driver", "echo", *_NEEDED[driver], *_ALLOWED[driver])
    return [f"{name!r} is unknown" for name in config if name not in known]


def _wrong(config: Mapping[str, Any]) -> list[str]:
    """What is of another kind; never what it is, which may be a password."""
    texts = [name for name in ("host", "user", "password", "database") if config.get(name) is not None]
    wrong = [f"{name!r} is no text" for name in texts if not isinstance(config[name], str)]
    if not isinstance(config.get("path") or "", str | os.PathLike):
        wrong.append("'path' is no path")
    if config.get("port") is not None and _port_of(config) is None:
        wrong.append("'port' is no number from 1 to 65535")
    return wrong


def _port_of(config: Mapping[str, Any]) -> int | None:
    given = str(config.get("port"))
    return int(given) if given.isascii() and given.isdigit() and 0 < int(given) < 65536 else None


def _address_of(config: Mapping[str, Any], driver: str) -> DatabaseAddress:
    if driver == "sqlite":
        url = URL.create(driver, database=os.path.abspath(config["path"]))
    else:
        url = URL.create(
            driver, config["user"], None, config["host"], _port_of(config), database=config["database"]
        )
    backend = backend_for(url)
    server, database = backend.split(backend.normalise(url))
    password = config.get("password")
    login = Login(url=server, password=lambda: password)
    address = DatabaseAddress(server=Server(service=_LABEL, login=login), database=database, label=_LABEL)
    if driver == "sqlite" and not backend.exists(address):
        backend.create(address)
    return address
