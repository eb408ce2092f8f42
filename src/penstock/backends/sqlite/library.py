"""Which SQLite library opens a file: Python's own, or one that knows SpatiaLite.

Two SQLite libraries must never have one file open in one process: each forgets the other's locks
(https://sqlite.org/howtocorrupt.html, "Multiple copies of SQLite linked into the same application"). So it
depends on the store alone, and everything that opens a store's file asks here.
"""

from __future__ import annotations

import os
import sqlite3
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from penstock.errors import MissingExtra, NotSupported

if TYPE_CHECKING:
    from penstock.errors import PenstockError

VARIABLE = "SPATIALITE_LIBRARY_PATH"
"""The environment variable that names SpatiaLite's module, where it is not found by its usual name."""

_USUAL = "mod_spatialite"
_OTHER = "pysqlite3"


def library(*, spatial: bool) -> Any:
    """The DBAPI module that opens the files of ordinary, or of spatial, stores.

    Raises:
        MissingExtra: Python's own can't load SpatiaLite, and no other one is installed.
    """
    return _spatial_library() if spatial else sqlite3


def errors() -> tuple[type[Exception], ...]:
    """The base classes of what the libraries in use raise."""
    other = _loaded_other()
    return (sqlite3.Error,) if other is None else (sqlite3.Error, other.Error)


def connect(database: str, *, spatial: bool, **options: Any) -> Any:
    """A connection to a file, or to one of a spatial store, which then knows spatial types.

    Args:
        database: The file, as the library takes it.
        spatial: Whether it is a spatial store's.
        options: What else the library's `connect` takes.

    Raises:
        MissingExtra, NotSupported: There is no SpatiaLite here.
    """
    raw = library(spatial=spatial).connect(database, **options)
    if spatial:
        try:
            load_spatialite(raw)
        except BaseException:
            raw.close()
            raise
    return raw


def load_spatialite(raw: Any) -> None:
    """Let a connection know spatial types and functions.

    Raises:
        NotSupported: SpatiaLite can't be loaded.
    """
    name = os.environ.get(VARIABLE) or _USUAL
    raw.enable_load_extension(True)
    try:
        raw.execute("SELECT load_extension(?)", (name,))
    except errors() as error:
        raise NotSupported(
            f"SpatiaLite, which a spatial store needs, can't be loaded as {name!r}.",
            why=str(error),
            hint=f"apt-get install libsqlite3-mod-spatialite, or name its file in {VARIABLE}.",
        ) from error
    finally:
        raw.enable_load_extension(False)


def initialise(raw: Any) -> None:
    """Make SpatiaLite's own tables in a database, unless they are there.

    It is done in one transaction, or it would take minutes. Only the reference systems around WGS 84 are
    put in.

    Raises:
        NotSupported: SpatiaLite does not make them.
    """
    made = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'spatial_ref_sys'"
    if raw.execute(made).fetchone() is not None:
        return
    (done,) = raw.execute("SELECT InitSpatialMetaData(1, 'WGS84')").fetchone()
    if not done:
        raise NotSupported(
            "SpatiaLite can't make its tables in this database.", hint="Look at its other tables."
        )


def spatial_problem() -> PenstockError | None:
    """Why no file can be opened as a spatial store here, or None; tries it in memory."""
    try:
        connect(":memory:", spatial=True).close()
    except (MissingExtra, NotSupported) as error:
        return error
    return None


@cache
def _spatial_library() -> Any:
    if hasattr(sqlite3.Connection, "enable_load_extension"):
        return sqlite3
    if find_spec(_OTHER) is None:
        raise MissingExtra(
            "This Python's sqlite3 can't load SpatiaLite, which a spatial store needs.",
            why="It was built without loadable extensions.",
            hint='pip install "penstock[spatial]"',
        )
    return import_module(f"{_OTHER}.dbapi2")


def _loaded_other() -> Any:
    found = _spatial_library() if _spatial_library.cache_info().currsize else sqlite3
    return None if found is sqlite3 else found
