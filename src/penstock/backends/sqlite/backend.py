"""The SQLite backend: files, one writer at a time, explicit transactions."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, text

from penstock.backends.contract import Backend, Capabilities, ConnectionOptions, run_inline
from penstock.backends.faults import cause_of
from penstock.backends.sqlite import files, library, reading, transactions
from penstock.backends.sqlite.asynchronous import aiosqlite_driver
from penstock.backends.sqlite.clients import SQLiteClients
from penstock.backends.sqlite.rows import SQLiteRows
from penstock.errors import (
    ConfigError,
    InvalidName,
    NotSupported,
    PenstockError,
    ServerError,
    StorageUnavailable,
    StoreBusy,
    StoreNotCreated,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from penstock.backends.address import DatabaseAddress, Server
    from penstock.backends.contract import AsyncDriver, Offload

_DRIVER = "sqlite+pysqlite"
_NAME_BYTES = 200
_ASIDE = re.compile(r"\.dropped-\d{14}-[0-9a-f]{4}\Z")
_STORAGE_CODES = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_PERM,
}


class SQLiteBackend(Backend):
    """How SQLite does it."""

    name = "sqlite"
    capabilities = Capabilities(
        transactional_ddl=True,
        databases_are_files=True,
        quarantine=True,
        clones=True,
        transaction_locks=True,
        asyncio=True,
    )
    rows = SQLiteRows()
    clients = SQLiteClients()
    max_connections = 200  # Each has three files open while it is idle.

    def dialect_options(self, address: DatabaseAddress) -> dict[str, Any]:
        return {"module": library.library(spatial=True)} if address.spatial else {}

    def normalise(self, url: URL) -> URL:
        if not url.database or url.database == ":memory:" or url.host:
            raise ConfigError(
                "This SQLite address names no directory.",
                why="A SQLite service is a directory; each store is a file in it.",
                hint="Write sqlite:///relative/directory or sqlite:////absolute/directory.",
            )
        return url.set(drivername=_DRIVER)

    def split(self, url: URL) -> tuple[URL, str]:
        path = Path(url.database or "")
        plain = path.suffix == ".sqlite" and "." not in path.stem
        return url.set(database=str(path.parent)), path.stem if plain else f"./{path.name}"

    def store_url(self, address: DatabaseAddress) -> URL:
        return address.server.login.url.set(database=str(files.path_of(address)))

    def display_name(self, address: DatabaseAddress) -> str:
        return str(files.path_of(address))

    def check_name(self, database: str) -> None:
        if "\0" in database or len(database.encode(errors="replace")) > _NAME_BYTES:
            raise InvalidName(f"{database!r} can't be the name of a file.")

    def make_home(self, address: DatabaseAddress) -> None:
        directory = files.path_of(address).parent
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise files.storage_error(error, directory) from error

    def has_home(self, address: DatabaseAddress) -> bool:
        return files.path_of(address).parent.is_dir()

    def connection_address(self, server: Server, label: str) -> DatabaseAddress:
        raise NotSupported(
            f"Service {server.service} is SQLite: a directory has no engine, only its stores do.",
            hint="get_persistent_store_database(NAME) of a store; this setting still serves to make stores.",
        )

    def exists(self, address: DatabaseAddress) -> bool:
        return files.is_there(files.path_of(address))

    def create(self, address: DatabaseAddress) -> bool:
        return files.create_file(files.path_of(address))

    def clone(self, source: DatabaseAddress, address: DatabaseAddress) -> bool:
        path = files.path_of(address)
        files.check_directory(path.parent)
        if files.is_there(path):
            return False
        try:
            files.copy(files.path_of(source), path, library.library(spatial=source.spatial))
        except library.errors() as error:
            raise self.translate(error, f"{path} can't be made as a copy.") from error
        return True

    def databases(self, server: Server, prefix: str) -> list[str]:
        return files.names_in(files.directory_of(server), prefix)

    def named_lock(
        self, server: Server, name: str, *, shared: bool = False, timeout: float
    ) -> AbstractContextManager[None]:
        return files.named_lock(_lock_file(server, name), shared=shared, timeout=timeout)

    def forget_lock(self, server: Server, name: str) -> None:
        _lock_file(server, name).unlink(missing_ok=True)

    def prepare(self, address: DatabaseAddress) -> None:
        path = files.path_of(address)
        try:
            files.set_journal_mode(path, spatial=address.spatial)
        except library.errors() as error:
            raise self.translate(error, f"{path} can't be set up.") from error

    def is_prepared(self, connection: Connection) -> bool:
        if connection.execute(text("PRAGMA journal_mode")).scalar() == "wal":
            return True
        path = connection.execute(text("SELECT file FROM pragma_database_list WHERE name = 'main'")).scalar()
        return bool(path) and reading.has_log_mode(Path(str(path)))

    def drop(self, address: DatabaseAddress, last: str = "") -> bool:
        path = files.path_of(address)
        if not files.is_there(path) and not files.is_there(files.lock_path(path)):
            return False
        with files.file_lock(path, files.BUSY_TIMEOUT):
            existed = files.is_there(path)
            if existed:
                try:
                    files.remove_database(path, spatial=address.spatial)
                except library.errors() as error:
                    raise self.translate(error, f"{path} can't be dropped.") from error
            files.lock_path(path).unlink(missing_ok=True)
        return existed

    def quarantine_name(self, address: DatabaseAddress, when: datetime) -> str:
        return f"{files.path_of(address).name}.dropped-{when:%Y%m%d%H%M%S}-{token_hex(2)}"

    def quarantine(self, address: DatabaseAddress, name: str) -> None:
        path = files.path_of(address)
        with files.file_lock(path, files.BUSY_TIMEOUT):
            _check_there(address)
            try:
                files.move_database(path, path.with_name(name), spatial=address.spatial)
            except library.errors() as error:
                raise self.translate(error, f"{path} can't be set aside.") from error
            files.lock_path(path).unlink(missing_ok=True)

    def restore(self, address: DatabaseAddress, name: str) -> None:
        back = files.path_of(replace(address, database=name))
        with files.file_lock(back, files.BUSY_TIMEOUT):
            try:
                if files.is_there(back):  # What was left of a file that others had open.
                    files.remove_database(back, spatial=address.spatial)
                files.set_journal_mode(files.path_of(address), spatial=address.spatial)
                files.rename(files.path_of(address), back)
            except library.errors() as error:
                raise self.translate(error, f"{back} can't be brought back.") from error

    def drop_remains(self, address: DatabaseAddress) -> None:
        path = files.path_of(address)
        if files.has_draft(path):
            with suppress(StoreBusy), files.file_lock(_before_aside(path), files.BUSY_TIMEOUT):
                files.remove_draft(path)

    def enable_spatial(self, address: DatabaseAddress) -> None:
        path = files.path_of(address)
        try:
            with closing(library.connect(files.uri_of(path), spatial=True, uri=True)) as raw:
                library.initialise(raw)
        except library.errors() as error:
            raise self.translate(error, f"Spatial types can't be enabled in {path}.") from error

    def spatial_problem(self, address: DatabaseAddress, *, exists: bool) -> PenstockError | None:
        return library.spatial_problem()

    @contextmanager
    def lock(self, address: DatabaseAddress, timeout: float, on: Connection | None = None) -> Iterator[None]:
        path = files.path_of(address)
        with files.file_lock(path, timeout):
            if not files.is_there(path):
                files.lock_path(path).unlink(missing_ok=True)
                raise address.not_created(f"{path} is gone.")
            yield

    def lock_transaction(self, connection: Connection) -> None:
        transactions.take_lock(connection)

    def has_table(self, connection: Connection, table: str) -> bool:
        query = text("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :table")
        return connection.execute(query, {"table": table}).first() is not None

    def has_relations(self, connection: Connection, besides: str) -> bool:
        query = text(
            "SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view')"
            " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> :besides LIMIT 1"
        )
        return connection.execute(query, {"besides": besides}).first() is not None

    def size(self, connection: Connection) -> int:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        return int(pages) * int(connection.execute(text("PRAGMA page_size")).scalar_one())

    def version(self, server: Server) -> str:
        files.check_reachable(files.directory_of(server))
        return f"SQLite {sqlite3.sqlite_version}"

    def server_key(self, server: Server) -> str:
        return "SQLite"  # Files are what is scarce, and a process has one set of them.

    def connect(self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions) -> Any:
        raw = self._connect(dialect, address, run_inline)
        if address.spatial:
            library.load_spatialite(raw)
        return raw

    def _connect(self, dialect: Any, address: DatabaseAddress, offload: Offload) -> Any:
        path = files.path_of(address)
        args, params = dialect.create_connect_args(self.store_url(address))
        params |= {"uri": True, "timeout": files.BUSY_TIMEOUT, "check_same_thread": False}
        offload(partial(_check_there, address))
        try:
            return dialect.connect(reading.usable_uri(path), *args[1:], **params)
        except library.errors():
            offload(partial(_check_there, address))
            raise

    def set_up(self, raw: Any) -> None:
        raw.isolation_level = transactions.LEVEL
        cursor = raw.cursor()
        for pragma in ("foreign_keys=ON", "synchronous=NORMAL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def file_identity(self, address: DatabaseAddress) -> object:
        path = files.path_of(address)
        return os.fspath(path), files.identity_of(path), reading.state_of(path)

    def is_alive(self, raw: Any, address: DatabaseAddress, file_identity: object) -> bool:
        # A file made anew at this path is another one: what is written to the old one would be lost.
        if not isinstance(file_identity, tuple) or files.identity_of(file_identity[0]) != file_identity[1]:
            return False
        return file_identity[2] is None or reading.state_of(Path(file_identity[0])) == file_identity[2]

    def listen(self, engine: Engine | type[Engine]) -> None:
        transactions.listen(engine)

    def translate(self, error: Exception, what: str) -> PenstockError:
        cause = cause_of(error)
        if isinstance(error, PenstockError):
            return error
        code = getattr(cause, "sqlite_errorcode", None)
        words = f"{cause} ({getattr(cause, 'sqlite_errorname', type(cause).__name__)})"
        primary = code & 0xFF if code is not None else None
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreBusy(what, why=words, hint="Wait for the other writer, then try again.")
        if primary in _STORAGE_CODES:
            return StorageUnavailable(
                what, why=words, hint="Look at the file's directory: permissions, free space, the disk."
            )
        return ServerError(what, why=words)

    def is_disconnect(self, error: Exception) -> bool:
        return isinstance(error, StoreNotCreated) or _is_unlinked(error) or _is_unlinked(error.__cause__)

    def async_driver(self, address: DatabaseAddress) -> AsyncDriver:
        return aiosqlite_driver(self._connect, self.is_alive, spatial=address.spatial)


def _lock_file(server: Server, name: str) -> Path:
    return files.directory_of(server) / f".{name}.lock"


def _before_aside(path: Path) -> Path:
    """What a file that was set aside was called before."""
    return path.with_name(_ASIDE.sub("", path.name))


def _check_there(address: DatabaseAddress) -> None:
    """Raise StoreNotCreated if the file is not there, StorageUnavailable if it may not be used."""
    path = files.path_of(address)
    files.check_file(path, os.R_OK)
    if not files.is_there(path):
        raise address.not_created(f"{path} does not exist.")


def _is_unlinked(error: BaseException | None) -> bool:
    """A file, or its journal, went away while it was opened; one that never could be is told by then."""
    cause = cause_of(error)
    code = getattr(cause, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_CANTOPEN or code == sqlite3.SQLITE_IOERR_DELETE_NOENT
