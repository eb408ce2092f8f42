"""What listens to a store's engine hears that store, all of it, and only it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy.ext.asyncio  # OpenTelemetry wraps its engines twice if this comes later.
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError

from fix_aio import KINDS, async_ground_of
from fix_apps import all_ok
from fix_servers import GROUNDS
from penstock.aio import AsyncStores

if TYPE_CHECKING:
    from penstock import App, Stores

EVENTS = [
    *("do_connect", "do_execute", "handle_error"),  # of the dialect
    *("engine_connect", "begin", "before_execute", "before_cursor_execute", "rollback"),
    *("connect", "first_connect", "checkout", "checkin"),  # of the pool
]


@dataclass(frozen=True)
class Pair:
    """The engines of two stores on one server, and how something is done with one of them."""

    first: Engine
    second: Engine
    do: Callable[[Engine, Callable[[Connection], Any]], Any]


@pytest.fixture(params=[*GROUNDS, *(f"{driver}-async" for driver in KINDS)])
def make_pair(
    request: pytest.FixtureRequest, lab: type[App], stores_on: Callable[..., Stores]
) -> Iterator[Callable[[], Pair]]:
    """Makes two stores, and their engines; of every driver, one after the other."""
    kind, _, waiting = request.param.partition("-")
    ground = async_ground_of(request, kind) if waiting else request.getfixturevalue(f"{kind}_ground")
    names = ("gages", "basins.logan")
    with asyncio.Runner() as runner:
        opened: list[Any] = []

        def make() -> Pair:
            stores = stores_on(ground, lab)
            stores.create(lab, "basins.logan")
            all_ok(stores, lab)
            if not waiting:
                return Pair(*(stores.engine(lab, name) for name in names), do=_do)
            opened.extend(AsyncStores(stores).engine(lab, name) for name in names)
            of = {engine.sync_engine: engine for engine in opened}
            return Pair(*of, do=lambda engine, work: runner.run(_do_awaited(of[engine], work)))

        yield make
        for engine in opened:
            runner.run(engine.dispose())


@pytest.fixture
def pair(make_pair: Callable[[], Pair]) -> Pair:
    return make_pair()


def _do(engine: Engine, work: Callable[[Connection], Any]) -> Any:
    with engine.connect() as connection:
        return work(connection)


async def _do_awaited(engine: sqlalchemy.ext.asyncio.AsyncEngine, work: Callable[[Connection], Any]) -> Any:
    async with engine.connect() as connection:
        return await connection.run_sync(work)


def ask(connection: Connection) -> None:
    """A statement that works, and one that does not."""
    connection.execute(text("SELECT 1"))
    with pytest.raises(DBAPIError):
        connection.execute(text("SELECT nothing_of_the_kind"))


@pytest.mark.parametrize("name", EVENTS)
def test_a_listener_hears_its_own_store_and_no_other(pair: Pair, name: str) -> None:
    heard: list[Engine] = []
    event.listen(pair.first, name, lambda *_: heard.append(pair.first))
    event.listen(pair.second, name, lambda *_: heard.append(pair.second))
    pair.do(pair.first, ask)
    assert set(heard) == {pair.first}
    pair.do(pair.second, ask)
    assert set(heard) == {pair.first, pair.second}


def test_a_listener_of_a_connection_about_to_be_made_may_refuse_it(pair: Pair) -> None:
    def refuse(*_: Any) -> None:
        raise LookupError("no token")

    event.listen(pair.first, "do_connect", refuse)
    with pytest.raises(LookupError, match="no token"):
        pair.do(pair.first, ask)
    event.remove(pair.first, "do_connect", refuse)
    pair.do(pair.first, ask)


def test_a_listener_of_a_connection_about_to_be_made_may_change_how(pair: Pair) -> None:
    told: list[str] = []

    def change(dialect: Any, record: Any, args: list[Any], params: dict[str, Any]) -> Any:
        told.append(dialect.name)
        if dialect.name == "sqlite":
            params["cached_statements"] = 7
        elif dialect.driver == "asyncpg":
            params["server_settings"] = {**params["server_settings"], "work_mem": "128kB"}
        elif dialect.name == "postgresql":
            params["options"] = f"{params.get('options', '')} -c work_mem=128kB"
        else:
            params["init_command"] = "SET @changed = 'yes'"

    event.listen(pair.first, "do_connect", change)
    found = {
        "postgresql": lambda c: c.execute(text("SHOW work_mem")).scalar_one() == "128kB",
        "sqlite": lambda c: True,
    }.get(pair.first.dialect.name, lambda c: c.execute(text("SELECT @changed")).scalar_one() == "yes")
    assert pair.do(pair.first, found)
    assert told == [pair.first.dialect.name]


def test_a_connection_that_a_listener_makes_is_the_one_that_is_used(pair: Pair) -> None:
    made: list[Any] = []

    def connect(dialect: Any, record: Any, args: list[Any], params: dict[str, Any]) -> Any:
        made.append(dialect.connect(*args, **params))
        return made[0]

    event.listen(pair.first, "do_connect", connect)
    used = pair.do(pair.first, lambda connection: connection.connection.dbapi_connection)
    assert made == [used]


def test_the_tracing_of_opentelemetry_records_every_store_by_default(
    make_pair: Callable[[], Pair],
) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    SQLAlchemyInstrumentor().instrument(
        tracer_provider=provider,
        skip_dep_check=True,  # It does not say yet that it goes with SQLAlchemy 2.1.
    )
    try:
        pair = make_pair()
        spans.clear()
        for engine in (pair.first, pair.second):
            pair.do(engine, ask)
    finally:
        SQLAlchemyInstrumentor().uninstrument()
    asked = [span for span in spans.get_finished_spans() if (span.name.startswith("SELECT"))]
    where = [(span.attributes or {}).get("db.name") for span in asked]
    assert where == [str(engine.url.database) for engine in (pair.first, pair.second) for _ in range(2)]
    assert [span.status.is_ok for span in asked] == [True, False] * 2
