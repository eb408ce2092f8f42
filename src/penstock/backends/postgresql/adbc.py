"""Tables are read by ADBC, on a connection of its own: binary COPY becomes Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from penstock.backends.arrow import Plan, load_arrow, missing
from penstock.backends.column_makers import unlike
from penstock.backends.frames import fitted
from penstock.backends.postgresql.asking import Statement, sent_beside, text_of
from penstock.backends.postgresql.refusals import holds_values, said_of
from penstock.backends.streaming import executed
from penstock.sqlalchemy_compat import engine_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import psycopg

    from penstock.backends.frames import Selected

_EARLIEST = {"date32": -2_440_588, "timestamp": -210_866_803_200_000_000}
"""The first day that the server knows, in days and in microseconds; infinity comes out below."""

_PRIMARY = b"PG_DIAG_MESSAGE_PRIMARY"

_BROKEN = "The rows can't be read to their end. What the driver says may hold values: see the cause."

_KEY = token_bytes(32)
"""Without it, what is kept of a login tells nothing of its password."""

_kept: WeakKeyDictionary[Engine, tuple[bytes, Any]] = WeakKeyDictionary()
"""The database of each engine, and what tells its login from others."""

_SET = """
    SELECT pg_catalog.current_setting('role'), EXISTS (
      SELECT 1 FROM pg_catalog.pg_settings
      WHERE source = 'session' AND name NOT IN ('application_name', 'client_encoding'))"""


@contextmanager
def read_beside(
    engine: Engine,
    asked: Asked,
    selected: Selected,
    reserve: Callable[[], AbstractContextManager[None]],
) -> Iterator[Any]:
    """A block with a reader; a refused login is tried again as the engine logs in by then."""
    driver = _driver()
    with ExitStack() as held:
        try:
            connection = _connect(driver, engine, asked.login, reserve, held)
        except driver.Error:
            engine.dispose()
            asked = asked_of(engine, selected, asked.plans) or asked
            with _as_sqlalchemy_says(asked, driver.Error):
                connection = _connect(driver, engine, asked.login, reserve, held)
        yield held.enter_context(_reader(driver, connection, asked, selected.batch))


def _connect(
    driver: Any,
    engine: Engine,
    login: str,
    reserve: Callable[[], AbstractContextManager[None]],
    held: ExitStack,
) -> Any:
    with ExitStack() as opening:
        opening.enter_context(reserve())
        connection = opening.enter_context(driver.AdbcConnection(_database(engine, login)))
        connection.set_autocommit(False)  # A pooler gives each transaction another session.
        held.push(opening.pop_all())
        return connection


@contextmanager
def _reader(driver: Any, connection: Any, asked: Asked, size: int | None) -> Iterator[Any]:
    arrow = load_arrow()
    with driver.AdbcStatement(connection) as statement:
        statement.set_sql_query(asked.text.sent)
        with _as_sqlalchemy_says(asked, driver.Error):
            handle, _ = statement.execute_query()
        with arrow.RecordBatchReader.from_stream(handle) as source:
            schema = _schema(asked.plans, source.schema)
            yield arrow.RecordBatchReader.from_batches(schema, _batches(asked, source, schema, size))


@contextmanager
def _as_sqlalchemy_says(asked: Asked, *kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of the driver's into one of SQLAlchemy's family, which quotes no value."""
    try:
        yield
    except kinds as error:
        driver = _driver()
        told = DBAPIError.instance(asked.text.shown, None, _reworded(driver, error), driver.Error)
        raise cast("DBAPIError", told) from None if asked.hides else error


def _reworded(driver: Any, error: Exception) -> Exception:
    """An error of the driver's without the statement that was sent, in which parameters are."""
    state = getattr(error, "sqlstate", None)
    details = dict(getattr(error, "details", None) or ())
    words = details.get(_PRIMARY, b"").decode(errors="replace")
    if state and (holds_values(state) or not words):
        words = said_of(state)
    kind: Any = type(error) if isinstance(error, driver.Error) else driver.OperationalError
    code = getattr(error, "status_code", driver.AdbcStatusCode.IO)
    made: Exception = kind(words or _BROKEN, status_code=code, sqlstate=state)
    return made


@dataclass(frozen=True, slots=True)
class Asked:
    """What is read.

    Args:
        login: All that libpq is told to connect, the password too.
        text: The statement.
        plans: How its columns become those of a table.
        hides: Whether errors must not show values (`hide_parameters`).
    """

    login: str = field(repr=False)
    text: Statement
    plans: Sequence[Plan]
    hides: bool


def asked_of(engine: Engine, selected: Selected, plans: Sequence[Plan]) -> Asked | None:
    """What is read; None if a session of the engine's is set to what a login alone does not make.

    Raises:
        MissingExtra: The driver is not installed.
    """
    _driver()
    listening = (*engine.pool.dispatch.connect, *engine.pool.dispatch.checkout)
    if any(not each.__module__.startswith("sqlalchemy.") for each in listening):
        return None  # They may set anything, also what the server does not list.
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        role, is_set = connection.exec_driver_sql(_SET).one()
        if is_set or (role != "none" and "role=" not in raw.info.options):
            return None
        text = text_of(connection, selected, [sent_beside(plan) for plan in plans])
        # What listens to the engine hears what is asked; it is answered on the other connection.
        executed(connection, text.shown, lambda *_: None)
        return Asked(_login(raw), text, plans, engine.hide_parameters)


def _login(raw: psycopg.Connection[Any]) -> str:
    """How a connection was made, so that another one is made the same: user, role, path, timeouts.

    What is a default is said, too, since the environment may say otherwise. Arrow takes no text but UTF-8.
    """
    info = raw.info
    said: dict[str, Any] = {"port": info.port, "hostaddr": "", "options": "", **info.get_parameters()}
    password = {"password": info.password} if info.password else {}
    return make_conninfo(**(said | password | {"client_encoding": "UTF8"}))


def _driver() -> Any:
    try:
        import adbc_driver_manager
        import adbc_driver_postgresql  # noqa: F401
    except ImportError as error:
        raise missing("adbc-driver-postgresql", error) from error
    return adbc_driver_manager


def _database(engine: Engine, login: str) -> Any:
    """A database as ADBC knows it: with its catalog of types, which takes long to read; not connected.

    It holds the password, so it is kept no longer than the engine's own connections: a store's engine is
    disposed of when its password has changed.
    """
    import adbc_driver_postgresql

    engine = engine_behind(engine)
    mark = blake2b(login.encode(), key=_KEY).digest()
    found = _kept.get(engine)
    if found is None or found[0] != mark:
        if not event.contains(engine, "engine_disposed", _forget):
            event.listen(engine, "engine_disposed", _forget)
        found = _kept[engine] = mark, adbc_driver_postgresql.connect(login)
    return found[1]


def _forget(engine: Engine) -> None:
    _kept.pop(engine, None)


def _schema(plans: Sequence[Plan], sent: Any) -> Any:
    arrow = load_arrow()
    return arrow.schema(
        (plan.name, plan.type or _plain(plan.name, field.type))
        for plan, field in zip(plans, sent, strict=True)
    )


def _plain(name: str, sent: Any) -> Any:
    """The type of a column whose type SQLAlchemy does not know."""
    arrow = load_arrow()
    if not isinstance(sent, arrow.BaseExtensionType):
        return sent
    if sent.storage_type == arrow.string():
        return sent.storage_type
    raise unlike(name, None, f"The server sends {sent}.")


def _batches(asked: Asked, source: Any, schema: Any, size: int | None) -> Iterator[Any]:
    arrow = load_arrow()
    while True:
        with _as_sqlalchemy_says(asked, OSError, arrow.ArrowException):
            batch = next(source, None)
        if batch is None:
            return
        arrays = [_array(field, array) for field, array in zip(schema, batch.columns, strict=True)]
        made = arrow.record_batch(arrays, schema=schema)
        step = size or max(1, made.num_rows)
        yield from (made.slice(start, step) for start in range(0, made.num_rows, step))


def _array(field: Any, array: Any) -> Any:
    """A column as the table has it."""
    arrow = load_arrow()
    if isinstance(array.type, arrow.BaseExtensionType):
        if array.type.storage_type != arrow.string():
            raise unlike(field.name, field.type, f"The server sends {array.type}.")
        array = array.storage
    made = fitted(field, array)
    _refuse_infinity(field, made)
    return made


def _refuse_infinity(field: Any, array: Any) -> None:
    """Infinity is a day for the server, and none for anybody else."""
    earliest = _EARLIEST.get(str(field.type).partition("[")[0])
    if earliest is None:
        return
    arrow = load_arrow()
    numbers = array.view(arrow.int32() if arrow.types.is_date32(field.type) else arrow.int64())
    least = arrow.compute.min(numbers).as_py()
    if least is not None and least < earliest:
        raise unlike(field.name, field.type, "It is infinity.")
