"""No value of a row is in what Penstock raises or logs about it."""

from __future__ import annotations

import logging
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Date,
    ForeignKey,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    cast,
    literal,
    select,
)
from sqlalchemy.exc import DBAPIError

from penstock import App, Database
from penstock.errors import InitializerError, PenstockError, RowRefused
from penstock.query import (
    OnConflict,
    bulk_insert,
    bulk_update,
    exists,
    find,
    get_or_create,
    get_or_create_many,
    paginate,
    paginate_keyset,
    to_arrow,
    to_pandas,
    to_polars,
    upsert,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from fix_doors import Doors
    from fix_servers import TestServer
    from penstock import Stores

WORD, NUMBER = "Kanarie7f3c", 730730730
MARKERS = (WORD, str(NUMBER), f"{NUMBER:_}", f"{NUMBER:,}")

tables = MetaData()
basin = Table("basin", tables, Column("id", Integer, primary_key=True, autoincrement=False))
gage = Table(
    "gage",
    tables,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(20), nullable=False),
    Column("basin", ForeignKey(basin.c.id)),
    Column("size", Integer),
    Column("small", SmallInteger),
    Column("day", Date),
    UniqueConstraint("name", name="gage_name"),
    CheckConstraint("size < 1000 OR size IS NULL", name="gage_size"),
    CheckConstraint("length(name) <= 20", name="gage_length"),
)

ROWS: dict[str, dict[str, Any]] = {
    "unique": {"name": WORD},
    "unique, as if a column were named": {"name": f"column `{WORD}`"[:20]},
    "not null": {"name": None, "size": NUMBER},
    "missing": {"size": 999, "day": date(2020, 1, 1)},
    "foreign key": {"name": "b", "basin": NUMBER},
    "check": {"name": WORD + "2", "size": NUMBER},
    "too long": {"name": WORD * 3},
    "text for a number": {"name": "b", "size": WORD},
    "text for a day": {"name": "b", "day": WORD},
    "number for a day": {"name": "b", "day": NUMBER},
    "out of range": {"name": "b", "small": NUMBER},
    "far out of range": {"name": "b", "size": NUMBER * 10**20 + NUMBER},
    "object": {"name": "b", "size": [WORD]},
    "NUL": {"name": f"{WORD}\0"},
    "no character": {"name": f"{WORD}\udc80"},
    "trigger": {"name": f"T{WORD}"},
}

TRIGGERS = {
    "postgresql": [
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF left(NEW.name, 1) = 'T' THEN RAISE EXCEPTION USING MESSAGE = NEW.name; END IF;
            RETURN NEW;
        END$$""",
        "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON gage FOR EACH ROW EXECUTE FUNCTION refuse()",
    ],
    "mysql": [
        f"""
        CREATE TRIGGER refuse{when} BEFORE {when} ON gage FOR EACH ROW BEGIN
            IF left(NEW.name, 1) = 'T' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = NEW.name; END IF;
        END"""
        for when in ("INSERT", "UPDATE")
    ],
}


@dataclass
class Log(logging.Handler):
    """What was logged, as text."""

    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {vars(record)!r}")

    def __hash__(self) -> int:
        return id(self)


@pytest.fixture
def log() -> Iterator[Log]:
    """All that Penstock logs."""
    ours, handler = logging.getLogger("penstock"), Log()
    before = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    yield handler
    ours.removeHandler(handler)
    ours.setLevel(before)
    assert [line for line in handler.lines if any(marker in line for marker in MARKERS)] == []


def writers(session: Session, row: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Every verb that could store a row, among others that are fine."""
    given = [{"id": 5, "name": "fine"}, {"id": 7, **row}]
    there = [{"id": 2, **row}]
    made: dict[str, Any] = {}
    with suppress(ValueError, TypeError, OverflowError):  # No frame can hold it.
        made["pandas"] = pd.DataFrame([{**row, "id": 7}])
    with suppress(ValueError, TypeError, OverflowError):
        made["polars"] = pl.DataFrame([{**row, "id": 7}])
    verbs: dict[str, Callable[[], Any]] = {
        f"bulk_insert {on.value}": lambda on=on: bulk_insert(session, gage, given, on_conflict=on)
        for on in OnConflict
    }
    for library, frame in made.items():
        verbs[f"from {library}"] = lambda frame=frame: bulk_insert(session, gage, frame)
    return verbs | {
        "bulk_insert of one": lambda: bulk_insert(session, gage, [{"id": 7, **row}]),
        "bulk_update": lambda: bulk_update(session, gage, there),
        "upsert": lambda: upsert(session, gage, there + given),
        "get_or_create": lambda: get_or_create(session, gage, {"id": 7}, row),
        "get_or_create_many": lambda: get_or_create_many(session, gage, given),
    }


def set_up(session: Session) -> None:
    bulk_insert(session, basin, [{"id": 1}])
    first = [{"id": 1, "name": WORD}, {"id": 2, "name": "two"}, {"id": 3, "name": f"column `{WORD}`"[:20]}]
    bulk_insert(session, gage, first)
    for statement in TRIGGERS.get(session.get_bind().dialect.name.replace("mariadb", "mysql"), ()):
        session.connection().exec_driver_sql(statement)


def raised_by(session: Session, call: Callable[[], Any]) -> Exception | None:
    """What it raises; what it did is undone."""
    attempt = session.begin_nested()
    try:
        call()
    except Exception as error:
        return error
    finally:
        attempt.rollback()
    return None


def shown(error: BaseException) -> str:
    """All that an error of ours says by itself."""
    said = [str(error), repr(error), repr(error.args), repr(getattr(error, "__notes__", []))]
    if isinstance(error, PenstockError):
        said += [error.what, error.why, error.hint]
    return "\n".join(said)


def leaks(said: str) -> bool:
    return any(marker in said for marker in MARKERS)


def test_d2_no_value_is_in_what_is_raised_or_logged_of_a_row_that_is_refused(
    door_to: Doors, log: Log
) -> None:
    refused: list[str] = []

    def work(session: Session) -> None:
        set_up(session)
        for kind, row in ROWS.items():
            for verb, call in writers(session, row).items():
                error = raised_by(session, call)
                if isinstance(error, PenstockError):
                    assert not leaks(shown(error)), (kind, verb, shown(error))
                    refused.append(kind)
                elif error is not None:  # It is as SQLAlchemy, or the driver, raises it for one row.
                    assert verb.startswith("get_or_create"), (kind, verb, error)

    door_to(tables).do(work)
    assert len(set(refused)) >= len(ROWS) - 3  # SQLite takes some, and has no such trigger.
    assert len(refused) > 5 * len(ROWS)


def test_d2_the_trouble_is_named_though_the_value_is_not(door_to: Doors) -> None:
    def why(session: Session, kind: str) -> str:
        attempt = session.begin_nested()
        try:
            with pytest.raises(RowRefused) as refused:
                bulk_insert(session, gage, [{"id": 7, **ROWS[kind]}])
            assert refused.value.__cause__ is not None
            return str(refused.value)
        finally:
            attempt.rollback()

    def work(session: Session) -> None:
        set_up(session)
        assert "have to be unique" in why(session, "unique")
        assert "name" in why(session, "not null")
        assert "NULL is not allowed" in why(session, "not null")
        assert "referred to is not there" in why(session, "foreign key")
        assert "A condition of the table is not met" in why(session, "check")
        assert "gage_size" in why(session, "check") or session.get_bind().dialect.name == "sqlite"

    door_to(tables).do(work)


def test_d2_no_value_is_in_what_is_raised_of_a_question(door_to: Doors, log: Log) -> None:
    def work(session: Session) -> None:
        set_up(session)
        asked = select(gage.c.id).where(gage.c.size == cast(literal(WORD), Integer))
        cut = select(cast(gage.c.name, Integer).label("number"))
        calls: dict[str, Callable[[], Any]] = {
            "to_arrow": lambda: to_arrow(session, asked),
            "to_arrow of a column": lambda: to_arrow(session, cut),
            "to_pandas": lambda: to_pandas(session, asked),
            "to_polars": lambda: to_polars(session, asked),
            "find": lambda: find(session, gage, {"size": WORD}),
            "exists": lambda: exists(session, gage, {"size": NUMBER * 10**20}),
            "paginate": lambda: paginate(session, asked),
            "paginate_keyset": lambda: paginate_keyset(session, gage, after=WORD),
        }
        plain = ("find", "exists", "paginate")
        for verb, call in calls.items():
            error = raised_by(session, call)
            dialect = session.get_bind().dialect
            # Of others, rows are read as SQLAlchemy does it, and it raises what it raises.
            copied = verb not in plain and dialect.driver == "psycopg" and not dialect.is_async
            if isinstance(error, PenstockError) or (error is not None and copied):
                assert not leaks(shown(error)), (verb, shown(error))

    door_to(tables).do(work)


def test_d2_with_hide_parameters_no_value_is_in_the_traceback_either(door_to: Doors, log: Log) -> None:
    def work(session: Session) -> None:
        set_up(session)
        session.get_bind().engine.hide_parameters = True
        for kind, row in ROWS.items():
            error = raised_by(session, lambda row=row: bulk_insert(session, gage, [{"id": 7, **row}]))
            if error is not None:
                assert not leaks("".join(traceback.format_exception(error))), kind
                assert error.__context__ is not None

    door_to(tables).do(work)


def test_d2_no_value_is_in_the_error_of_an_initializer_that_stores_it(
    ground: TestServer, stores_on: Callable[..., Stores], log: Log
) -> None:
    def seed(connection: Connection, first_time: bool) -> None:
        for number in (1, 2):
            connection.execute(gage.insert(), [{"id": number, "name": WORD}])

    class Lab(App):
        package = "lab"
        rows = Database("Rows.", metadata=tables, initializer=seed)

    [result] = stores_on(ground, Lab, links=("rows",)).sync(Lab)
    assert isinstance(result.error, InitializerError)
    assert "have to be unique" in result.error.why
    assert not leaks(shown(result.error))


@pytest.mark.parametrize("hides", [True, False])
def test_d2_no_value_is_in_what_is_raised_beside_an_engine(door_to: Doors, log: Log, *, hides: bool) -> None:
    """ADBC shows the whole statement, in which the parameters are."""

    def work(session: Session) -> None:
        set_up(session)
        session.commit()
        bind = session.get_bind()
        if bind.dialect.name != "postgresql" or bind.dialect.is_async:
            pytest.skip("nothing is read beside its engine")
        engine = bind.engine
        engine.hide_parameters = hides
        asked = [
            select(gage.c.id).where(gage.c.name == literal(WORD).op("~")(cast(literal(WORD), Integer))),
            select(gage.c.id).where(gage.c.id == cast(literal(WORD), Integer)),
            select(cast(gage.c.name, Integer).label("number")),
            select(1 / (gage.c.id - 2)),
        ]
        for statement in asked:
            with pytest.raises(DBAPIError) as raised:
                to_arrow(engine, statement)
            assert not leaks(shown(raised.value)), shown(raised.value)
            assert not leaks(shown(raised.value.orig)), shown(raised.value.orig)
            printed = "".join(traceback.format_exception(raised.value))
            assert not (hides and leaks(printed))

    door_to(tables).do(work)
