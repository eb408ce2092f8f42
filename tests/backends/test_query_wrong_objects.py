"""What is given by mistake is refused at once, with what to give instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, create_engine, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

from penstock import App, Database
from penstock.errors import NotSupported, PenstockError, WrongObject
from penstock.query import (
    bulk_insert,
    bulk_update,
    count_estimate,
    exists,
    find,
    find_one,
    get_or_create,
    get_or_create_many,
    paginate,
    paginate_keyset,
    to_arrow,
    to_arrow_batches,
    to_pandas,
    to_polars,
    update,
    upsert,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine


class Base(DeclarativeBase):
    metadata = MetaData()


class Gage(Base):
    __tablename__ = "gage"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


class Lake(Gage):
    __tablename__ = "lake"

    id: Mapped[int] = mapped_column(ForeignKey(Gage.id), primary_key=True)


class Lab(App):
    package = "lab"
    rows = Database("Rows.")


table = Table("plain", Base.metadata, Column("id", Integer, primary_key=True), Column("name", String))
ROWS = [{"id": 1, "name": "secret"}]


def batches(on: Any) -> None:
    with to_arrow_batches(on, select(Gage)):
        pass


VERBS: dict[str, Callable[[Any], Any]] = {
    "bulk_insert": lambda on: bulk_insert(on, Gage, ROWS),
    "bulk_insert of a generator": lambda on: bulk_insert(on, Gage, iter(ROWS)),
    "bulk_update": lambda on: bulk_update(on, Gage, ROWS),
    "upsert": lambda on: upsert(on, table, ROWS),
    "get_or_create": lambda on: get_or_create(on, Gage, {"id": 1}),
    "get_or_create of several tables": lambda on: get_or_create(on, Lake, {"id": 1}),
    "get_or_create_many": lambda on: get_or_create_many(on, Gage, ROWS),
    "exists": lambda on: exists(on, Gage),
    "find": lambda on: find(on, Gage),
    "find_one": lambda on: find_one(on, Gage, {"id": 1}),
    "paginate": lambda on: paginate(on, Gage),
    "paginate_keyset": lambda on: paginate_keyset(on, select(Gage)),
    "count_estimate": lambda on: count_estimate(on, Gage),
    "to_arrow": lambda on: to_arrow(on, select(Gage)),
    "to_arrow_batches": batches,
    "to_pandas": lambda on: to_pandas(on, select(Gage)),
    "to_polars": lambda on: to_polars(on, select(Gage)),
}

WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "AsyncSession": (lambda engine: AsyncSession(AsyncEngine(engine)), "await session.run_sync"),
    "AsyncEngine": (AsyncEngine, "await connection.run_sync"),
    "AsyncConnection": (lambda engine: AsyncConnection(AsyncEngine(engine)), "await connection.run_sync"),
    "async_sessionmaker": (lambda engine: async_sessionmaker(AsyncEngine(engine)), "session that it makes"),
    "sessionmaker": (sessionmaker, "session that it makes"),
    "Session, the class": (lambda engine: Session, "a session"),
    "a text": (lambda engine: "postgresql://me:secret@host/db", "a session, a connection or an engine"),
    "None": (lambda engine: None, "a session, a connection or an engine"),
    "a store": (lambda engine: Lab.rows, "store.session"),
    "a store, awaited": (lambda engine: Lab.rows.aio, "store.session"),
    "a driver's connection": (lambda engine: engine.raw_connection(), "a session"),
}


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = create_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    yield made
    made.dispose()


@pytest.fixture
def plain() -> Iterator[Engine]:
    made = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(made)
    yield made
    made.dispose()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_asked_is_a_session_a_connection_or_an_engine(
    engine: Engine, plain: Engine, wrong: str, verb: str
) -> None:
    make, instead = WRONG[wrong]
    given = make(engine if "sync" in wrong.lower() else plain)
    with pytest.raises(WrongObject, match=instead) as refused:
        VERBS[verb](given)
    assert isinstance(refused.value, TypeError)
    assert isinstance(refused.value, NotSupported)
    assert "secret" not in str(refused.value)


def test_the_session_that_a_scoped_one_stands_for_is_asked(plain: Engine) -> None:
    scoped = scoped_session(sessionmaker(plain))
    given: Any = scoped
    assert bulk_insert(given, Gage, ROWS).inserted == 1
    found, new = get_or_create(given, Gage, {"id": 1})
    assert (found in scoped(), new) == (True, False)
    assert find(given, Gage) == [found]
    made, new = get_or_create(given, Lake, {"id": 2})
    assert (type(made), new) == (Lake, True)
    assert paginate(given, Gage).items[0] is found
    assert to_arrow(given, select(Gage)).num_rows == 2
    scoped.remove()


@pytest.mark.parametrize(
    "model",
    ["gage", None, 5, Gage(id=1, name="secret"), [Gage], {"id": 1}, Session, dict, Base, sessionmaker()],
    ids=["text", "None", "number", "object", "list", "mapping", "session class", "dict", "base", "maker"],
)
def test_the_model_is_a_mapped_class_or_a_table(plain: Engine, model: Any) -> None:
    with Session(plain) as session:
        for call in (
            lambda: bulk_insert(session, model, ROWS),
            lambda: bulk_insert(model, session, ROWS),  # type: ignore[arg-type]
            lambda: upsert(session, model, ROWS),
            lambda: bulk_update(session, model, ROWS),
            lambda: get_or_create(session, model, {"id": 1}),
            lambda: get_or_create_many(session, model, ROWS),
            lambda: find(session, model),
            lambda: find_one(session, model),
            lambda: exists(session, model),
            lambda: paginate(session, model),
            lambda: paginate_keyset(session, model),
            lambda: count_estimate(session, model),
            lambda: to_arrow(session, model),
        ):
            with pytest.raises(WrongObject) as refused:
                call()
            assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "rows",
    [
        {"id": 1, "name": "secret"},
        Gage(id=1, name="secret"),
        "secret",
        b"secret",
        None,
        5,
        Gage,
        table,
        select(table),
        Session,
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_rows_are_several(plain: Engine, rows: Any) -> None:
    verbs: list[Callable[..., Any]] = [bulk_insert, upsert, bulk_update, get_or_create_many]
    for verb in verbs:
        with pytest.raises(WrongObject, match="is given where rows are") as refused:
            verb(plain, Gage, rows)
        assert "secret" not in str(refused.value)


def test_names_of_columns_are_given_in_a_tuple(plain: Engine) -> None:
    wrong: list[Any] = ["id", Gage.id, [Gage.id], 5, b"id", Gage]
    for names in wrong:
        for call in (
            lambda names=names: upsert(plain, Gage, ROWS, key=names),
            lambda names=names: upsert(plain, Gage, ROWS, update=names),
            lambda names=names: bulk_update(plain, Gage, ROWS, key=names),
            lambda names=names: bulk_insert(plain, Gage, [(1, "secret")], columns=names),
            lambda names=names: get_or_create_many(plain, Gage, ROWS, key=names),
        ):
            with pytest.raises(WrongObject, match=r'(key|update|columns)=\("name", …\)'):
                call()


def test_values_are_given_by_attribute(plain: Engine) -> None:
    wrong: list[Any] = ["secret", ["secret"], 5, None, Gage(id=1, name="secret"), [("id", 1)]]
    with Session(plain) as session:
        for values in wrong:
            calls: list[Callable[..., Any]] = [
                lambda values=values: get_or_create(session, Gage, values),
                lambda values=values: get_or_create_many(session, Gage, [ROWS[0], values]),
                lambda values=values: update(Gage(), values),
            ]
            if isinstance(values, str | int):
                calls += [lambda values=values: find(session, Gage, values)]
            if values is not None:
                calls += [lambda values=values: get_or_create(session, Gage, {"id": 1}, values)]
            for call in calls:
                with pytest.raises(PenstockError, match="is given as") as refused:
                    call()
                assert "secret" not in str(refused.value)
