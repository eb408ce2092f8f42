"""What Penstock asks of a database, answered for DuckDB."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import duckdb
from sqlalchemy import URL, Connection, text

from penstock.backends.contract import Backend, Capabilities
from penstock.errors import (
    ConfigError,
    InvalidName,
    PenstockError,
    ServerError,
    StorageUnavailable,
    StoreBusy,
)
from penstock_duckdb import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from penstock.backends import ConnectionOptions, DatabaseAddress, Server

_TABLE = text("""
    SELECT 1 FROM duckdb_tables()
    WHERE database_name = current_database() AND schema_name = 'main' AND table_name = :table""")
_RELATIONS = text("""
    SELECT 1 FROM (
        SELECT database_name, schema_name, table_name AS name FROM duckdb_tables() WHERE NOT internal
        UNION ALL SELECT database_name, schema_name, view_name FROM duckdb_views() WHERE NOT internal
        UNION ALL SELECT database_name, schema_name, sequence_name FROM duckdb_sequences())
    WHERE database_name = current_database() AND NOT (schema_name = 'main' AND name = :besides) LIMIT 1""")
_SIZE = text("SELECT block_size * total_blocks FROM pragma_database_size()")
_HOLDS_VALUES = (duckdb.ConstraintException, duckdb.ConversionException, duckdb.OutOfRangeException)


class DuckDBBackend(Backend):
    """How DuckDB does it."""

    name = "duckdb"
    capabilities = Capabilities(
        transactional_ddl=True,
        errors_abort=True,
        lock_survives_drop=True,
        databases_are_files=True,
        quarantine=True,
        clones=True,
        savepoints=False,
    )
    max_connections = 50

    # --- addresses ---

    def normalise(self, url: URL) -> URL:
        if not url.database or url.database == ":memory:" or url.host:
            raise ConfigError(
                "This DuckDB address names no directory.",
                why="A DuckDB service is a directory; each store is a file in it.",
                hint="Write duckdb:///relative/directory or duckdb:////absolute/directory.",
            )
        return url.set(drivername="duckdb")

    def split(self, url: URL) -> tuple[URL, str]:
        folder, _, name = (url.database or "").rpartition("/")
        return url.set(database=folder or "."), name.removesuffix(files.SUFFIX)

    def store_url(self, address: DatabaseAddress) -> URL:
        return address.server.login.url.set(database=str(files.path_of(address)))

    def display_name(self, address: DatabaseAddress) -> str:
        return str(files.path_of(address))

    def check_name(self, database: str) -> None:
        if not database or "/" in database or "\0" in database or len(database.encode()) > 200:
            raise InvalidName(f"{database!r} can't be the name of a file.")

    def server_key(self, server: Server) -> str:
        return "DuckDB"

    # --- databases ---

    def exists(self, address: DatabaseAddress) -> bool:
        return files.is_there(files.path_of(address))

    def create(self, address: DatabaseAddress) -> bool:
        return files.create(files.path_of(address))

    def clone(self, source: DatabaseAddress, address: DatabaseAddress) -> bool:
        return files.copy(files.path_of(source), files.path_of(address))

    def drop(self, address: DatabaseAddress, last: str = "") -> bool:
        path = files.path_of(address)
        existed = files.is_there(path)
        if existed:
            files.remove(path)
        return existed

    def databases(self, server: Server, prefix: str) -> list[str]:
        found = files.directory_of(server).glob(f"*{files.SUFFIX}")
        return sorted(path.stem for path in found if path.stem.startswith(prefix))

    # --- a dropped database is kept ---

    def quarantine_name(self, address: DatabaseAddress, when: datetime) -> str:
        return f"{files.path_of(address).name}.dropped-{when:%Y%m%d%H%M%S}-{token_hex(2)}"

    def quarantine(self, address: DatabaseAddress, name: str) -> None:
        _check_there(address)
        files.rename(files.path_of(address), name)

    def restore(self, address: DatabaseAddress, name: str) -> None:
        _check_there(address)
        files.rename(files.path_of(address), files.path_of(replace(address, database=name)).name)

    # --- locks ---

    @contextmanager
    def lock(self, address: DatabaseAddress, timeout: float, on: Connection | None = None) -> Iterator[None]:
        with files.locked(files.path_of(address), timeout):
            _check_there(address)
            yield

    def named_lock(
        self, server: Server, name: str, *, shared: bool = False, timeout: float
    ) -> AbstractContextManager[None]:
        return files.locked(files.directory_of(server) / name, timeout, shared=shared)

    # --- what is there ---

    def has_table(self, connection: Connection, table: str) -> bool:
        return connection.execute(_TABLE, {"table": table}).first() is not None

    def has_relations(self, connection: Connection, besides: str) -> bool:
        return connection.execute(_RELATIONS, {"besides": besides}).first() is not None

    def size(self, connection: Connection) -> int:
        return int(connection.execute(_SIZE).scalar_one())

    def version(self, server: Server) -> str:
        files.is_there(files.directory_of(server) / "any")
        return f"DuckDB {duckdb.__version__}"

    # --- connections ---

    def connect(self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions) -> Any:
        _check_there(address)  # DuckDB would make it.
        args, params = dialect.create_connect_args(self.store_url(address))
        return dialect.connect(*args, **params)

    def file_identity(self, address: DatabaseAddress) -> object:
        path = files.path_of(address)
        return path, files.identity_of(path)

    def is_alive(self, raw: Any, address: DatabaseAddress, file_identity: object) -> bool:
        found: tuple[Path, object] = file_identity  # type: ignore[assignment]  # its own
        return found[1] is not None and files.identity_of(found[0]) == found[1]

    # --- errors ---

    def translate(self, error: Exception, what: str) -> PenstockError:
        cause = getattr(error, "orig", None) or error
        if isinstance(error, PenstockError):
            return error
        # What DuckDB says of a value repeats it.
        why = f"{type(cause).__name__}." if isinstance(cause, _HOLDS_VALUES) else files.said(cause)
        if isinstance(cause, duckdb.IOException) and "lock" in why:
            return StoreBusy(what, why=why, hint="Another process has the file open: DuckDB lets one do so.")
        kind = StorageUnavailable if isinstance(cause, duckdb.IOException) else ServerError
        return kind(what, why=why)


def _check_there(address: DatabaseAddress) -> None:
    path = files.path_of(address)
    if not files.is_there(path):
        raise address.not_created(f"{path} does not exist.")
