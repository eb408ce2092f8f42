"""What is written and read does not depend on what others have set."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import Phase, settings
from hypothesis import given as given_by
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from fix_apps import all_ok
from fix_settings import SERVER_SETTINGS, SESSION_SETTINGS, set_on_server
from fix_tables import SAMPLES, Kind, Laboratory, Sample, as_kept, in_order, numbered
from penstock.aio import AsyncStores
from penstock.errors import RowRefused
from penstock.provision.status import Health
from penstock.query import (
    bulk_insert,
    bulk_update,
    find_one,
    get_or_create,
    get_or_create_many,
    paginate_keyset,
    to_arrow,
    upsert,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer
    from penstock import Stores

METADATA = sa.MetaData()
STREET = sa.Table(
    "straße",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("größe", sa.String(20), unique=True),
    sa.Column("text", sa.Text),
    sa.Column("number", sa.Integer),
    sa.Column("real", sa.Double),
    sa.Column("data", sa.LargeBinary),
)
"""With names beyond ASCII, and nothing that a driver has to parse from a text that a setting forms."""

TEXTS = ("", "a\\b'c\"ß\n", "NULL", "\\N", None, "\\.", "%s")


def streets(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "größe": f"k{number:03}'\\ß",
            "text": TEXTS[number % len(TEXTS)],
            "number": number if number % 3 else None,
            "real": number / 3,
            "data": bytes([number % 256, 0, 39, 92, 255]),
        }
        for number in range(count)
    ]


def work_with_streets(session: Session) -> None:
    """The core of what there is for rows, at both sizes between which ways differ."""
    columns = tuple(STREET.c.keys())
    for count in (20, 600):
        rows = streets(count)
        session.execute(STREET.delete().where(STREET.c.id >= 0))
        assert bulk_insert(session, STREET, rows).inserted == count
        assert to_arrow(session, sa.select(STREET).order_by(STREET.c.id).limit(10_000)).to_pylist() == rows
        again = bulk_insert(session, STREET, streets(count + 5), on_conflict="nothing")
        assert (again.inserted, again.skipped) == (5, count)
        new = [tuple(row.values()) for row in rows]
        assert upsert(session, STREET, new, columns=columns).updated == count
        changed = [{**row, "number": 7} for row in rows]
        assert upsert(session, STREET, changed, key=("größe",)).updated == count
        assert (
            bulk_update(session, STREET, [{"id": n, "text": f"ß{n}"} for n in range(count)]).updated == count
        )
        sevens = sa.select(sa.func.count()).select_from(STREET).where(STREET.c.number == 7)
        assert session.scalar(sevens.where(STREET.c.text.like("ß%"))) == count
    find_and_make(session)


def find_and_make(session: Session) -> None:
    more = [{"id": 1000 + number, "größe": f"m{number}"} for number in range(9)]
    assert [new for _, new in get_or_create_many(session, STREET, more)] == [True] * 9
    assert [new for _, new in get_or_create_many(session, STREET, more)] == [False] * 9
    assert get_or_create(session, STREET, {"größe": "x\\'ß"}, {"id": 5000})[1]
    assert not get_or_create(session, STREET, {"größe": "x\\'ß"}, {"id": 5000})[1]
    assert find_one(session, STREET, {"größe": "x\\'ß"}).id == 5000
    seen: list[int] = []
    after = None
    for _ in range(20):
        order = [STREET.c.größe, STREET.c.id]
        page = paginate_keyset(session, sa.select(STREET), order_by=order, per_page=90, after=after)
        seen += [row.id for row in page.items]
        after = page.next_cursor
        if after is None:
            break
    assert sorted(seen) == [*range(605), *range(1000, 1009), 5000]


ROWS: list[dict[str, Any]] = [
    {
        "small": -(2**15),
        "big": 2**63 - 1,
        "text": "straße 𝄞 \\ ' \" \n",
        "real": 0.1 + 0.2,
        "exact": Decimal("12345678.000001"),
        "loose": Decimal("0.10000001"),
        "truth": False,
        "data": b"\0'\\\xff",
        "day": date(1, 1, 1),
        "moment": datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001  (of a type without time zone)
        "zoned": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        "clock": time(23, 59, 59, 999999),
        "span": timedelta(days=-1, seconds=1),
        "uuid": UUID(int=1),
        "kind": Kind.LAKE,
        "document": {"ß": ["\\", None, 1e300]},
    },
    dict.fromkeys(("small", "text", "real", "day", "zoned", "span", "data")),
]
"""A row at the limits of what can be read, and one of NULL."""


def check_samples(session: Session, rows: list[dict[str, Any]], *, zones: bool) -> None:
    """Store samples, and read them as objects and as a table."""
    session.execute(sa.delete(Sample).where(Sample.number >= 0))
    given = numbered(rows)
    bulk_insert(session, Sample, [dict(row) for row in given])
    for row, found in zip(given, session.scalars(in_order()).all(), strict=True):
        for name, value in row.items():
            assert getattr(found, name) == as_stored(value, zones=zones), name
    for row, found in zip(given, to_arrow(session, in_order()).to_pylist(), strict=True):
        kept = as_kept(found)
        for name, value in row.items():
            assert kept[name] == as_told(value, zones=zones), name
    session.expunge_all()


def as_stored(value: Any, *, zones: bool) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) and not zones else value


def as_told(value: Any, *, zones: bool) -> Any:
    if isinstance(value, Kind):
        return value.name
    return str(value) if isinstance(value, UUID) else as_stored(value, zones=zones)


# --- stores ---------------------------------------------------------------------------------------


@contextmanager
def opened(stores: Stores, *, waiting: bool) -> Iterator[Callable[[Callable[[Session], Any]], None]]:
    """Does work with a session of the store's, in a thread or in an event loop."""
    if not waiting:

        def run(work: Callable[[Session], Any]) -> None:
            with stores.session(Laboratory, "samples") as session:
                work(session)
                session.commit()

        yield run
        return
    awaited = AsyncStores(stores)

    async def run_awaited(work: Callable[[Session], Any]) -> None:
        async with awaited.session(Laboratory, "samples") as session:
            await session.run_sync(work)
            await session.commit()

    with asyncio.Runner() as runner:
        yield lambda work: runner.run(run_awaited(work))
        runner.run(awaited.engine(Laboratory, "samples").dispose())


def check_store(ground: TestServer, stores: Stores) -> None:
    """Make a store, use it by both of its drivers, ask how it is, and drop it."""
    all_ok(stores, Laboratory)
    STREET.create(stores.engine(Laboratory, "samples"))
    zones = ground.kind == "postgresql"
    for waiting in (False, True):
        with opened(stores, waiting=waiting) as run:
            run(work_with_streets)
            run(lambda session: check_samples(session, ROWS, zones=zones))
    assert to_arrow(stores.engine(Laboratory, "samples"), in_order()).num_rows == len(ROWS)
    all_ok(stores, Laboratory)
    [status] = stores.status(Laboratory)
    assert status.health is Health.READY
    stores.drop(Laboratory, "samples", now=True)


def test_a_store_is_what_it_is_whatever_an_administrator_has_set(
    async_ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    with set_on_server(async_ground, SERVER_SETTINGS[async_ground.kind]):
        stores = stores_on(async_ground, Laboratory, links=("samples",))
        check_store(async_ground, stores)
        stores.close()


def test_a_store_is_where_its_address_says_whatever_the_environment_does(
    async_server: TestServer, stores_on: Callable[..., Stores], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "PGHOSTADDR": "192.0.2.1",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGDATABASE": "nowhere",
        "PGAPPNAME": "else",
        "PGOPTIONS": "-c search_path=nowhere -c default_transaction_read_only=on",
        "PGCLIENTENCODING": "LATIN1",
        "PGDATESTYLE": "SQL, DMY",
        "PGTZ": "America/New_York",
    }
    stores = stores_on(async_server, Laboratory, links=("samples",))
    with monkeypatch.context() as patched:
        for name, value in variables.items():
            patched.setenv(name, value)
        check_store(async_server, stores)
    stores.close()


# --- engines that somebody else made --------------------------------------------------------------

DRIVERS = {
    "psycopg": "postgresql", "psycopg_async": "postgresql", "asyncpg": "postgresql",
    "pymysql": "mariadb", "asyncmy": "mariadb", "pysqlite": "sqlite", "aiosqlite": "sqlite",
}  # fmt: skip
AWAITED = ("psycopg_async", "asyncpg", "asyncmy", "aiosqlite")


@contextmanager
def plainly(url: sa.URL, statements: tuple[str, ...]) -> Iterator[Callable[[Callable[[Session], Any]], None]]:
    """Does work with a session on a plain engine whose sessions were set by these statements."""

    def set_up(raw: Any, _: object) -> None:
        cursor = raw.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        raw.commit()

    if url.get_driver_name() not in AWAITED:
        engine = sa.create_engine(url)
        sa.event.listen(engine, "connect", set_up)

        def run(work: Callable[[Session], Any]) -> None:
            with Session(engine) as session:
                work(session)
                session.commit()

        yield run
        engine.dispose()
        return
    awaited = create_async_engine(url)
    sa.event.listen(awaited.sync_engine, "connect", set_up)

    async def run_awaited(work: Callable[[Session], Any]) -> None:
        async with AsyncSession(awaited) as session:
            await session.run_sync(work)
            await session.commit()

    with asyncio.Runner() as runner:
        yield lambda work: runner.run(run_awaited(work))
        runner.run(awaited.dispose())


@pytest.fixture(params=DRIVERS)
def plain(request: pytest.FixtureRequest) -> tuple[TestServer, sa.URL]:
    """A database of nobody's, and its address with each driver in turn."""
    ground: TestServer = request.getfixturevalue(f"{DRIVERS[request.param]}_ground")
    ground.make_database("plain")
    url = sa.make_url(ground.address_of("plain"))
    kind = url.get_backend_name()
    query = {"local_infile": "1"} if request.param == "pymysql" else {}
    return ground, url.set(drivername=f"{kind}+{request.param}", query=query)


def is_beyond(url: sa.URL, statement: str) -> bool:
    """Whether SQLAlchemy itself is lost: it reads rounded numbers, or its driver knows UTF-8 only."""
    driver = url.get_driver_name()
    rounded = driver == "psycopg_async" and "extra_float_digits" in statement
    return rounded or (driver == "asyncpg" and "client_encoding" in statement)


def test_a_plain_engine_writes_and_reads_the_same_under_every_setting(
    plain: tuple[TestServer, sa.URL],
) -> None:
    ground, url = plain
    faults = {}
    for statement in SESSION_SETTINGS[ground.kind]:
        with plainly(url, (statement,)) as run:
            run(lambda session: METADATA.create_all(session.connection()))
            try:
                if not is_beyond(url, statement):
                    run(work_with_streets)
            except Exception as error:
                faults[statement] = repr(error)[:300]
            run(lambda session: METADATA.drop_all(session.connection()))
    assert faults == {}


SETTERS = {
    "where names are looked up": "SET search_path = other",
    "a name of somebody's own": "SELECT set_config('lab.tenant', 'two', false)",
    "the clock": "SET TimeZone = 'Asia/Kathmandu'",
    "a role": "SET ROLE pg_monitor",
}
ASKED = sa.text(
    "SELECT current_schemas(true)::text AS path, current_setting('lab.tenant', true) AS tenant,"
    " to_timestamp(0)::text AS clock, current_user::text AS role"
).columns(path=sa.Text, tenant=sa.Text, clock=sa.Text, role=sa.Text)


@pytest.fixture
def plainly_made(postgresql_ground: TestServer) -> Iterator[Callable[..., sa.Engine]]:
    """Makes plain engines for threads, all of one database; they are disposed of."""
    postgresql_ground.make_database("plain")
    url = sa.make_url(postgresql_ground.address_of("plain")).set(drivername="postgresql+psycopg")
    made: list[sa.Engine] = []

    def make(**options: Any) -> sa.Engine:
        made.append(sa.create_engine(url, pool_size=1, **options))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@pytest.mark.parametrize("setter", SETTERS)
def test_what_an_engine_sets_in_its_sessions_holds_for_tables_too(
    postgresql_ground: TestServer, plainly_made: Callable[..., sa.Engine], setter: str
) -> None:
    postgresql_ground.run_sql("postgres", "GRANT pg_monitor TO penstock")
    try:
        engine = plainly_made()
        sa.event.listen(engine, "connect", lambda raw, _: raw.execute(SETTERS[setter]) and raw.commit())
        with engine.connect() as connection:
            [expected] = connection.execute(ASKED).mappings()
        assert to_arrow(engine, ASKED).to_pylist() == [dict(expected)]
    finally:
        postgresql_ground.run_sql("postgres", "REVOKE pg_monitor FROM penstock")


def test_what_was_set_before_a_session_was_put_back_into_its_pool_holds_too(
    plainly_made: Callable[..., sa.Engine],
) -> None:
    engine = plainly_made()
    with engine.begin() as connection:
        connection.exec_driver_sql(SETTERS["the clock"])
    assert to_arrow(engine, ASKED)["clock"].to_pylist() == ["1970-01-01 05:30:00+05:30"]


def test_a_text_that_a_session_can_not_send_is_refused_with_its_row_but_can_be_read(
    plainly_made: Callable[..., sa.Engine],
) -> None:
    whole, narrow = plainly_made(), plainly_made(connect_args={"client_encoding": "LATIN1"})
    METADATA.create_all(whole)
    with pytest.raises(RowRefused, match="Row 1 of straße"):
        bulk_insert(narrow, STREET, [{"id": 1, "text": "ß"}, {"id": 2, "text": "Ω"}])
    bulk_insert(whole, STREET, [{"id": 2, "text": "Ω"}])
    with narrow.connect() as connection:
        assert to_arrow(connection, sa.select(STREET.c.text)).to_pylist() == [{"text": "Ω"}]
    assert to_arrow(narrow, sa.select(STREET.c.text)).to_pylist() == [{"text": "Ω"}]


@settings(max_examples=25, phases=[Phase.generate])
@given_by(data=st.data())
def test_under_any_settings_what_a_plain_engine_stores_is_what_a_store_reads(
    samples: sa.Engine, ground: TestServer, data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(SAMPLES, min_size=1, max_size=3))
    rows = [{**row, "number": row["number"] + 1} for row in numbered(drawn)]  # 0 is no key for all modes.
    chosen = data.draw(st.lists(st.sampled_from(SESSION_SETTINGS[ground.kind]), unique=True, max_size=4))
    if any("LATIN1" in statement for statement in chosen):
        rows = [{**row, "text": None, "document": None} for row in rows]
    with samples.begin() as connection:
        connection.execute(sa.delete(Sample))
    url = sa.make_url(ground.address_of("laboratory_samples"))
    url = url.set(drivername=samples.url.drivername)
    found: list[Any] = []
    with plainly(url, tuple(chosen)) as run:
        run(lambda session: bulk_insert(session, Sample, [dict(row) for row in rows]))
        if ground.kind == "postgresql":  # Elsewhere it reads what SQLAlchemy does.
            run(lambda session: found.append(to_arrow(session, in_order())))
    with Session(samples) as session:
        expected = to_arrow(session, in_order())
        zones = ground.kind == "postgresql"
        for row, told in zip(rows, expected.to_pylist(), strict=True):
            kept = as_kept(told)
            for name, value in row.items():
                assert same(kept[name], as_told(value, zones=zones)), name
    assert [repr(table.to_pylist()) for table in found] == [repr(expected.to_pylist())] * len(found)
    assert repr(to_arrow(samples, in_order()).to_pylist()) == repr(expected.to_pylist())


def same(found: Any, value: Any) -> bool:
    """SQLite keeps decimal numbers as floating ones, and MariaDB whole seconds of a span."""
    if isinstance(value, Decimal):
        return abs(Decimal(found) - value) < Decimal("0.000001")
    if isinstance(value, timedelta):
        return abs(found - value) <= timedelta(seconds=1)
    return bool(found == value)
