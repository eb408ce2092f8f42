"""What the ORM promises holds by whichever way rows are written."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey, MetaData, String, delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from penstock.errors import RowRefused, RowStale
from penstock.query import Written, bulk_insert, bulk_update, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fix_doors import Doors


class Base(DeclarativeBase):
    type_annotation_map = {str: String(20)}  # noqa: RUF012


class Water(Base):
    """With all that rows get by themselves."""

    __tablename__ = "t"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column()
    name: Mapped[str | None]
    version: Mapped[int] = mapped_column()
    read_at: Mapped[datetime] = mapped_column(default=func.now())
    sign: Mapped[str] = mapped_column(default=func.upper("made%"), onupdate=func.upper("changed%"))
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "water", "version_id_col": version}  # noqa: RUF012


class Lake(Water):
    __mapper_args__ = {"polymorphic_identity": "lake"}  # noqa: RUF012


class Spring(Water):
    """In two tables."""

    __tablename__ = "spring"

    id: Mapped[int] = mapped_column(ForeignKey("t.id"), primary_key=True)
    heat: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "spring"}  # noqa: RUF012


COLUMNS = (
    "id integer{}, kind varchar(20) NOT NULL, name varchar(20), version integer NOT NULL,"
    " read_at timestamp NOT NULL, sign varchar(20) NOT NULL"
)
TABLE = f"CREATE TABLE t ({COLUMNS.format(' PRIMARY KEY')})"
KINDS: dict[str, tuple[str, ...]] = {
    "a plain table": (TABLE,),
    "a partitioned table": (
        f"{TABLE} PARTITION BY RANGE (id)",
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (3)",
        "CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (3) TO (100)",
    ),
    "a table with triggers": (
        TABLE,
        "CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN new; END$$",
        "CREATE TRIGGER same BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION same()",
    ),
    "a table with policies": (
        TABLE,
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY all_rows ON t USING (TRUE)",
    ),
    "a view": (TABLE.replace("TABLE t", "TABLE base"), "CREATE VIEW t AS SELECT * FROM base"),
    "a table for a role that may make no other": (
        TABLE,
        "ALTER DATABASE {database} OWNER TO penstock_admin",
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC, penstock",
        "GRANT CONNECT ON DATABASE {database} TO penstock",
    ),
    "a partitioned table for such a role": (
        f"{TABLE} PARTITION BY RANGE (id)",
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (100)",
        "ALTER DATABASE {database} OWNER TO penstock_admin",
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC, penstock",
        "GRANT CONNECT ON DATABASE {database} TO penstock",
    ),
}


def stored(session: Session) -> list[tuple[Any, ...]]:
    table = Water.__table__
    asked = select(table.c.id, table.c.kind, table.c.name, table.c.version, table.c.sign).order_by(table.c.id)
    return [tuple(row) for row in session.execute(asked)]


def named(name: str, *numbers: int) -> list[dict[str, Any]]:
    return [{"id": number, "name": name} for number in numbers]


def write_all(session: Session) -> None:
    """Write lakes by every verb, and look at what they got."""
    assert bulk_insert(session, Lake, named("a", 1, 2)) == Written(2)
    assert bulk_insert(session, Lake, named("b", 2, 3), on_conflict="nothing") == Written(1, 0, 1)
    assert upsert(session, Lake, named("c", 3, 4)) == Written(1, 1)
    assert stored(session) == [
        (1, "lake", "a", 1, "MADE%"),
        (2, "lake", "a", 1, "MADE%"),
        (3, "lake", "c", 2, "CHANGED%"),
        (4, "lake", "c", 1, "MADE%"),
    ]
    assert bulk_update(session, Lake, named("d", 1, 9)) == Written(0, 1, 1)
    assert upsert(session, Lake, [{"id": 1, "name": "e", "version": 2}]) == Written(0, 1)
    for write in (upsert, bulk_update):
        with pytest.raises(RowStale):
            write(session, Lake, [{"id": 1, "name": "f", "version": 2}])
    session.execute(insert(Water.__table__), [water(5)])
    with pytest.raises(RowRefused, match="another class"):
        upsert(session, Lake, named("g", 5))
    assert bulk_update(session, Lake, named("g", 4, 5)) == Written(0, 1, 1)
    assert stored(session)[0] == (1, "lake", "e", 3, "CHANGED%")
    assert stored(session)[3:] == [(4, "lake", "g", 2, "CHANGED%"), (5, "water", None, 1, "W")]


def water(number: int) -> dict[str, Any]:
    return {"id": number, "kind": "water", "version": 1, "sign": "W"}


@pytest.mark.parametrize("door_to", ["postgresql", "psycopg-async", "asyncpg-async"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_get_all_that_they_get_whatever_the_table_is(door_to: Doors, kind: str) -> None:
    door = door_to(MetaData())
    for statement in (*KINDS[kind], "GRANT ALL ON t TO penstock"):
        door.ground.run_sql(door.database, statement.format(database=door.database))
    door.do(write_all)


@pytest.mark.parametrize("door_to", ["postgresql", "psycopg-async", "asyncpg-async"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_got_or_made_whatever_the_table_is(door_to: Doors, kind: str) -> None:
    door = door_to(MetaData())
    for statement in (*KINDS[kind], "GRANT ALL ON t TO penstock"):
        door.ground.run_sql(door.database, statement.format(database=door.database))

    def work(session: Session) -> None:
        for on in (session, session.connection()):
            made = [get_or_create(on, Lake, {"id": 1}, {"name": "a"}) for _ in range(2)]
            made += get_or_create_many(on, Lake, named("b", 1, 2))
            assert [(row.version, row.kind, row.name, row.sign, new) for row, new in made] == [
                (1, "lake", "a", "MADE%", True),
                *[(1, "lake", "a", "MADE%", False)] * 2,
                (1, "lake", "b", "MADE%", True),
            ]
            session.execute(delete(Water.__table__))
            session.expunge_all()

    door.do(work)


@pytest.mark.parametrize("door_to", ["postgresql", "psycopg-async", "asyncpg-async"], indirect=True)
def test_the_rows_of_a_view_that_can_not_be_locked_have_versions(door_to: Doors) -> None:
    door = door_to(MetaData())
    for statement in (
        TABLE.replace("TABLE t", "TABLE base"),
        "GRANT ALL ON base TO penstock",
        "CREATE VIEW t AS SELECT DISTINCT * FROM base",
        (
            "CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
            " UPDATE base SET name = new.name, version = new.version, sign = new.sign WHERE id = old.id;"
            " RETURN new; END$$"
        ),
        "CREATE TRIGGER instead INSTEAD OF UPDATE ON t FOR EACH ROW EXECUTE FUNCTION instead()",
        "GRANT ALL ON t TO penstock",
        "INSERT INTO base VALUES (1, 'lake', 'a', 1, now(), 'S'), (2, 'water', 'a', 1, now(), 'S')",
    ):
        door.ground.run_sql(door.database, statement)

    def work(session: Session) -> None:
        given = [{"id": number, "name": "b", "version": 1} for number in (1, 2)]
        assert bulk_update(session, Lake, given) == Written(0, 1, 1)
        with pytest.raises(RowStale):
            bulk_update(session, Lake, given)
        assert stored(session) == [(1, "lake", "b", 2, "CHANGED%"), (2, "water", "a", 1, "S")]

    door.do(work)


@pytest.mark.parametrize(
    "door_to", ["postgresql", "psycopg-async", "asyncpg-async", "mariadb", "asyncmy-async"], indirect=True
)
def test_in_autocommit_each_call_is_a_transaction(door_to: Doors) -> None:
    def work(session: Session) -> None:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        write_all(session)
        spring, new = get_or_create(session, Spring, {"id": 6}, {"heat": 90})
        assert (spring.version, spring.kind, new) == (1, "spring", True)
        many = get_or_create_many(session, Spring, [{"id": n, "heat": n} for n in (6, 7)])
        assert [(row.heat, new) for row, new in many] == [(90, False), (7, True)]
        with pytest.raises(IntegrityError):
            get_or_create_many(session, Spring, [{"id": 8, "heat": 1}, {"id": 9, "heat": None}])
        assert not [each for each in session if isinstance(each, Spring) and each.id > 7]
        session.rollback()  # Of what was committed by itself it undoes nothing.
        assert [number for number, *_ in stored(session)] == [1, 2, 3, 4, 5, 6, 7]

    door_to(Base.metadata).do(work)
