"""Tables and columns may be called anything, and be anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    Column,
    Computed,
    Identity,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, column_property, mapped_column

from fix_tables import Shouted
from penstock.errors import NoPrimaryKey, NotSupported, RowRefused
from penstock.query import (
    OnConflict,
    Written,
    bulk_insert,
    bulk_update,
    find,
    find_one,
    get_or_create,
    get_or_create_many,
    upsert,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from fix_doors import Doors


class Base(DeclarativeBase):
    metadata = MetaData()
    type_annotation_map = {str: String(200)}  # noqa: RUF012


class Gage(Base):
    __tablename__ = "gage"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    readings: Mapped[int | None]
    site: Mapped[str | None]


class Dam(Base):
    __tablename__ = "dam"

    id: Mapped[int] = mapped_column(primary_key=True)
    height: Mapped[int] = mapped_column(server_default="7")
    twice: Mapped[int] = mapped_column(Computed("height * 2", persisted=True))
    thrice: Mapped[int] = column_property(height * 3)


stamp = Table(
    "stamp",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Shouted, unique=True),
    Column("n", Integer),
)
reach = Table(
    "reach",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("basin", String(20)),
    Column("n", Integer),
    UniqueConstraint("basin", "n"),
)
loose = Table("loose", Base.metadata, Column("n", Integer))
numbered = Table(
    "numbered",
    Base.metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("n", Integer),
)

ODD = (
    "excluded",
    "given",
    "old",
    "fresh",
    "order",
    "Upper Case",
    "per cent %",
    "p%(x)s",
    "quo'te",
    'a"b',
    "colon :x",
    "a.b",
    "given_n",
)
odd = Table(
    'Odd "Name", 100% of it',
    Base.metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    *(Column(name, Integer) for name in ODD),
)
NAMES = ("given", "locked", "written", "old", "new", "select", "Order")
named = [
    Table(
        name,
        Base.metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("n", Integer),
    )
    for name in NAMES
]


def count(session: Session, model: Any) -> int:
    return session.scalar(select(func.count()).select_from(model)) or 0


def undone(session: Session, work: Callable[[], Any]) -> Any:
    """What work answers; what it wrote is undone."""
    attempt = session.begin_nested()
    try:
        return work()
    finally:
        attempt.rollback()


def test_a_table_without_a_primary_key_takes_rows_but_can_not_tell_them_apart(door_to: Doors) -> None:
    def work(session: Session) -> None:
        assert bulk_insert(session, loose, [{"n": 1}, {"n": 1}]) == Written(inserted=2)
        for on_conflict in ("nothing", "update"):
            with pytest.raises(NoPrimaryKey):
                bulk_insert(session, loose, [{"n": 1}], on_conflict=on_conflict)
        for call in (upsert, bulk_update, get_or_create_many):
            with pytest.raises(NoPrimaryKey):
                call(session, loose, [{"n": 1}])
        with pytest.raises((DBAPIError, NotSupported)):  # There is no such constraint.
            undone(session, lambda: upsert(session, loose, [{"n": 1}], key=("n",)))
        assert count(session, loose) == 2

    door_to(Base.metadata).do(work)


def test_a_view_is_the_servers_to_refuse_and_a_select_is_no_table(door_to: Doors) -> None:
    seen = Table("seen", MetaData(), Column("number", Integer, primary_key=True), Column("total", Integer))

    def make(connection: Connection, first_time: bool) -> None:
        sums = "SELECT number, sum(readings) AS total FROM gage GROUP BY number"
        connection.execute(text(f"CREATE VIEW seen AS {sums}"))

    def work(session: Session) -> None:
        for on_conflict in OnConflict:
            with pytest.raises(DBAPIError, match="seen"):
                undone(
                    session,
                    lambda on_conflict=on_conflict: bulk_insert(
                        session, seen, [{"number": 1, "total": 1}], on_conflict=on_conflict
                    ),
                )
        for model in (select(Gage), select(Gage).subquery()):
            with pytest.raises(NotSupported, match="neither a mapped class nor a table"):
                bulk_insert(session, model, [{"number": 1}])  # type: ignore[arg-type]

    door_to(Base.metadata, make).do(work)


def test_what_the_server_makes_is_made_and_can_not_be_given(door_to: Doors) -> None:
    def work(session: Session) -> None:
        assert bulk_insert(session, Dam, [{}, {"height": 2}, {}]).inserted == 3
        dams = session.scalars(select(Dam).order_by(Dam.height)).all()
        assert [(dam.height, dam.twice, dam.thrice) for dam in dams] == [(2, 4, 6), (7, 14, 21), (7, 14, 21)]
        assert len({dam.id for dam in dams}) == 3
        for call in (bulk_insert, upsert, bulk_update):
            with pytest.raises((RowRefused, DBAPIError)):
                undone(session, lambda call=call: call(session, Dam, [{"id": 1, "twice": 5}]))
        dams[0].height = 5
        assert upsert(session, Dam, dams, update=("height",)) == Written(updated=3)
        session.expire_all()
        assert session.get_one(Dam, dams[0].id).twice == 10
        assert bulk_insert(session, numbered, [{"n": 1}, {"n": 2}]) == Written(inserted=2)
        if not session.connection().dialect.supports_identity_columns:
            return
        for on_conflict in ("nothing", "update"):
            with pytest.raises(RowRefused, match="no value for id"):
                bulk_insert(session, numbered, [{"n": 1}], on_conflict=on_conflict)

    door_to(Base.metadata).do(work)


def test_names_may_be_anything(door_to: Doors) -> None:
    def work(session: Session) -> None:
        wanted = [{"id": n, **{name: n + place for place, name in enumerate(ODD)}} for n in (1, 2, 3)]
        for on_conflict in OnConflict:
            done = undone(session, lambda on_conflict=on_conflict: stored(session, wanted, on_conflict))
            assert [dict(row) for row in done] == wanted
        with pytest.raises(RowRefused, match="Row 1 of Odd"):
            bulk_insert(session, odd, [{"id": 1}, {"id": 1}])
        for table in named:
            rows = [{"id": 1, "n": 1}, {"id": 2, "n": 2}]
            assert bulk_insert(session, table, rows).inserted == 2
            assert upsert(session, table, rows) == Written(updated=2)
            assert bulk_update(session, table, rows[:1]) == Written(updated=1)
            assert get_or_create(session, table, {"id": 3})[1]
            assert [new for _, new in get_or_create_many(session, table, [{"id": 3}, {"id": 4}])] == [
                False,
                True,
            ]

    def stored(session: Session, wanted: list[dict[str, Any]], on_conflict: OnConflict) -> Any:
        bulk_insert(session, odd, [{"id": row["id"]} for row in wanted[:1]])
        if on_conflict is OnConflict.ERROR:
            assert bulk_update(session, odd, wanted) == Written(0, 1, 2)
            assert get_or_create(session, odd, {"id": 1, "a.b": wanted[0]["a.b"]})[1] is False
            get_or_create_many(session, odd, wanted)
        else:
            bulk_insert(session, odd, wanted, on_conflict=on_conflict)
            upsert(session, odd, wanted)
        return session.execute(select(odd).order_by(odd.c.id)).mappings().all()

    door_to(Base.metadata).do(work)


def test_a_table_in_another_schema_is_written_there(door_to: Doors) -> None:
    metadata = MetaData()
    columns = (Column("id", Integer, primary_key=True, autoincrement=False), Column("n", Integer))
    there = Table("gage", MetaData(), *columns, schema='other "one" %')
    unsaid = there.to_metadata(MetaData(), schema="tenant")

    def make(connection: Connection, first_time: bool) -> None:
        quoted = connection.dialect.identifier_preparer.quote(str(there.schema))
        for statement in (f"CREATE SCHEMA {quoted}", f"GRANT USAGE ON SCHEMA {quoted} TO PUBLIC"):
            connection.exec_driver_sql(statement)
        there.create(connection)
        connection.exec_driver_sql(f"GRANT ALL ON {quoted}.gage TO PUBLIC")

    def check(session: Session, table: Table) -> None:
        given = [{"id": n, "n": n} for n in range(3)]
        assert bulk_insert(session, table, given[:1]) == Written(inserted=1)
        assert bulk_insert(session, table, given, on_conflict="nothing") == Written(2, 0, 1)
        assert upsert(session, table, given) == Written(updated=3)
        assert bulk_update(session, table, [{"id": 1, "n": 5}, {"id": 9, "n": 5}]) == Written(0, 1, 1)
        assert get_or_create(session, table, {"id": 7})[1]
        assert [new for _, new in get_or_create_many(session, table, [{"id": 7}, {"id": 8}])] == [False, True]
        assert find_one(session, table, {"id": 1}).n == 5

    def work(session: Session) -> None:
        undone(session, lambda: check(session, there))
        session.rollback()
        translated = {"schema_translate_map": {"tenant": there.schema}}
        connection = session.connection(execution_options=translated)
        undone(session, lambda: check(session, unsaid))
        assert connection.scalar(select(func.count()).select_from(there)) == 0

    door_to(metadata, make, schemas=True).do(work)


# --- odd keys -------------------------------------------------------------------------------------


def test_keys_that_are_stored_otherwise_than_given_are_found(door_to: Doors) -> None:
    def work(session: Session) -> None:
        given = [{"name": name, "n": n} for n, name in enumerate(("ab", "AB", "cd", "ab"))]
        assert upsert(session, stamp, [{"name": "cd", "n": 9}], key=("name",)) == Written(inserted=1)
        for news in ([True, False, False, False], [False] * 4):
            many = get_or_create_many(session, stamp, given, key=("name",))
            assert [row.name for row, _ in many] == ["AB", "AB", "CD", "AB"]
            assert [new for _, new in many] == news
        assert get_or_create(session, stamp, {"name": "Ab"}, {"n": 1})[1] is False
        assert upsert(session, stamp, given, key=("name",)) == Written(updated=2, skipped=2)
        assert bulk_update(session, stamp, [{"name": "cd", "n": 5}], key=("name",)) == Written(updated=1)
        assert [row.n for row in find(session, stamp, order_by=stamp.c.name)] == [3, 5]

    door_to(Base.metadata).do(work)


def test_null_in_a_key_is_found(door_to: Doors) -> None:
    def work(session: Session) -> None:
        given = [{"id": 1, "basin": None, "n": 1}, {"id": 2, "basin": "logan", "n": 1}]
        for new in (True, False):
            many = get_or_create_many(session, reach, given, key=("basin", "n"))
            assert [(row.id, made) for row, made in many] == [(1, new), (2, new)]

    door_to(Base.metadata).do(work)


def test_an_update_by_what_several_rows_have_counts_what_was_given(door_to: Doors) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Gage, [{"number": number, "readings": number % 2} for number in range(6)])
        given = [{"readings": 1, "site": "odd"}, {"readings": 7, "site": "none"}]
        assert bulk_update(session, Gage, given, key=("readings",)) == Written(updated=1, skipped=1)
        assert [gage.number for gage in find(session, Gage, {"site": "odd"}, order_by=Gage.number)] == [
            1,
            3,
            5,
        ]

    door_to(Base.metadata).do(work)


def test_only_what_is_given_is_updated(door_to: Doors) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Gage, [{"number": 1, "site": "a", "readings": 1}, {"number": 2, "site": "a"}])
        ragged = [{"number": 1, "site": "b"}, {"number": 2, "site": "b", "readings": 2}]
        assert upsert(session, Gage, ragged, update=("readings",)) == Written(updated=1, skipped=1)
        found = find(session, Gage, order_by=Gage.number)
        assert [(gage.site, gage.readings) for gage in found] == [("a", 1), ("a", 2)]

    door_to(Base.metadata).do(work)
