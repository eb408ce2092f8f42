"""What a role may do with a table, and tables of other servers."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, select, text
from sqlalchemy.exc import DBAPIError

from fix_servers import unavailable
from penstock.errors import NotSupported, RowRefused
from penstock.query import Written, bulk_insert, bulk_update, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fix_doors import Door, Doors
    from fix_servers import TestServer

POSTGRESQL = pytest.mark.parametrize(
    "door_to", ["postgresql", "psycopg-async", "asyncpg-async"], indirect=True
)
MARIADB = pytest.mark.parametrize("door_to", ["mariadb", "asyncmy-async"], indirect=True)
SQLITE = pytest.mark.parametrize("door_to", ["sqlite", "aiosqlite-async"], indirect=True)
COLUMNS = "id integer PRIMARY KEY, n integer, s varchar(20)"


def table(name: str = "t", *more: str) -> Table:
    columns = [Column("id", Integer, primary_key=True, autoincrement=False), Column("n", Integer)]
    others = (Column(each, Integer) for each in more)
    return Table(name, MetaData(), *columns, Column("s", String(20)), *others)


T = table()


def rows(*numbers: int, n: int = 1) -> list[dict[str, Any]]:
    return [{"id": number, "n": n, "s": "x"} for number in numbers]


def stored(session: Session, into: Table = T) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in session.execute(select(into).order_by(into.c.id))]


def sql(door: Door, *statements: str) -> None:
    for statement in statements:
        door.ground.run_sql(door.database, statement)


# --- what a role may do ---------------------------------------------------------------------------


@POSTGRESQL
def test_who_may_only_insert_inserts(door_to: Doors) -> None:
    door = door_to(MetaData())
    sql(door, f"CREATE TABLE t ({COLUMNS})", "GRANT INSERT ON t TO penstock")
    assert door.do(lambda session: bulk_insert(session, T, rows(1, 2))) == Written(inserted=2)
    assert door.ground.run_sql(door.database, "SELECT count(*) FROM t") == [(2,)]


@POSTGRESQL
def test_who_may_use_some_columns_upserts_these(door_to: Doors) -> None:
    door = door_to(MetaData())
    sql(
        door,
        f"CREATE TABLE t ({COLUMNS}, secret integer DEFAULT 7)",
        "GRANT SELECT (id, n, s), INSERT (id, n, s), UPDATE (n, s) ON t TO penstock",
    )
    assert door.do(lambda session: upsert(session, T, rows(1, 2))) == Written(inserted=2)
    assert door.do(lambda session: upsert(session, T, rows(2, 3, n=5))) == Written(inserted=1, updated=1)
    assert door.do(lambda session: bulk_update(session, T, rows(3, 4, n=6))) == Written(updated=1, skipped=1)
    assert door.do(stored) == [(1, 1, "x"), (2, 5, "x"), (3, 6, "x")]


@POSTGRESQL
def test_who_may_make_no_temporary_table_writes_all_the_same(door_to: Doors) -> None:
    door = door_to(MetaData())
    sql(
        door,
        f"CREATE TABLE t ({COLUMNS}) PARTITION BY RANGE (id)",
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (100)",
        "GRANT ALL ON t TO penstock",
        f"ALTER DATABASE {door.database} OWNER TO penstock_admin",
        f"REVOKE ALL ON DATABASE {door.database} FROM PUBLIC, penstock",
        f"GRANT CONNECT ON DATABASE {door.database} TO penstock",
    )
    assert door.do(lambda session: bulk_insert(session, T, rows(1, 2))) == Written(inserted=2)
    assert door.do(lambda session: upsert(session, T, rows(2, 3, n=5))) == Written(inserted=1, updated=1)
    assert door.do(lambda session: upsert(session, T, rows(3, n=5))) == Written(updated=1)
    nothing = door.do(lambda session: bulk_insert(session, T, rows(3, 4), on_conflict="nothing"))
    assert nothing == Written(inserted=1, skipped=1)
    assert door.do(lambda session: bulk_update(session, T, rows(3, 9, n=6))) == Written(updated=1, skipped=1)
    assert door.do(stored) == [(1, 1, "x"), (2, 5, "x"), (3, 6, "x"), (4, 1, "x")]


@POSTGRESQL
def test_a_table_that_the_search_path_hides_is_not_found(door_to: Doors) -> None:
    door = door_to(MetaData())
    sql(door, "CREATE SCHEMA far", f"CREATE TABLE far.t ({COLUMNS})", "GRANT ALL ON far.t TO penstock")
    with pytest.raises(DBAPIError, match="does not exist"):
        door.do(lambda session: bulk_insert(session, T, rows(1)))
    sql(door, "GRANT USAGE ON SCHEMA far TO penstock")

    def work(session: Session) -> Written:
        session.connection().exec_driver_sql("SET LOCAL search_path = far")
        return bulk_insert(session, T, rows(1)) + upsert(session, T, rows(1, 2))

    assert door.do(work) == Written(inserted=2, updated=1)


@POSTGRESQL
def test_rows_of_a_foreign_table_are_inserted_and_updated(door_to: Doors) -> None:
    door = door_to(MetaData())
    there = "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'"
    if door.ground.run_sql(door.database, there) == [(0,)]:
        unavailable("postgres_fdw")
    server = door.ground.server
    assert server is not None
    password = server.owner_password_file.read_text().strip()
    sql(
        door,
        f"CREATE TABLE behind ({COLUMNS})",
        "GRANT ALL ON behind TO penstock",
        "CREATE EXTENSION postgres_fdw",
        "CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw"
        f" OPTIONS (host '127.0.0.1', port '{server.port}', dbname '{door.database}')",
        f"CREATE USER MAPPING FOR penstock SERVER self OPTIONS (user 'penstock', password '{password}')",
        f"CREATE FOREIGN TABLE t ({COLUMNS.replace(' PRIMARY KEY', '')}) SERVER self"
        " OPTIONS (table_name 'behind')",
        "GRANT ALL ON t TO penstock",
    )
    assert door.do(lambda session: bulk_insert(session, T, rows(1, 2))) == Written(inserted=2)
    assert door.do(lambda session: bulk_update(session, T, rows(2, 3, n=5))) == Written(updated=1, skipped=1)
    for on_conflict in ("nothing", "update"):
        with pytest.raises(NotSupported, match="foreign table"):
            door.do(lambda session, what=on_conflict: bulk_insert(session, T, rows(3), on_conflict=what))
    _, new = door.do(lambda session: get_or_create(session, T, {"id": 3}, {"n": 1, "s": "x"}))
    assert new
    assert door.do(stored) == [(1, 1, "x"), (2, 5, "x"), (3, 1, "x")]


@POSTGRESQL
def test_it_is_logged_by_which_way_rows_go(door_to: Doors, caplog: pytest.LogCaptureFixture) -> None:
    door = door_to(MetaData())
    sql(
        door,
        f"CREATE TABLE t ({COLUMNS})",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON t USING (TRUE)",
        "GRANT ALL ON t TO penstock",
    )
    with caplog.at_level(logging.DEBUG, "penstock"):
        door.do(lambda session: bulk_insert(session, T, rows(1)))
    assert "t is written by INSERT: it has row-level security" in caplog.text


# --- at the same time -----------------------------------------------------------------------------


def test_counts_are_right_while_others_insert_and_delete_the_same_rows(postgresql_ground: TestServer) -> None:
    postgresql_ground.make_database("busy")
    url = postgresql_ground.address_of("busy").replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE t ({COLUMNS}) PARTITION BY RANGE (id)"))
        connection.execute(text("CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (100)"))
        for when, what in (("INSERT", "made"), ("UPDATE", "changed")):
            connection.execute(text(f"CREATE SEQUENCE {what}"))
            connection.execute(
                text(
                    f"CREATE FUNCTION {what}() RETURNS trigger LANGUAGE plpgsql AS"
                    f" $$BEGIN PERFORM nextval('{what}'); RETURN new; END$$"
                )
            )
            made = f"CREATE TRIGGER {what} AFTER {when} ON t FOR EACH ROW EXECUTE FUNCTION {what}()"
            connection.execute(text(made))
    totals: list[Written] = []

    def write() -> None:
        done = Written()
        for turn in range(30):
            done += upsert(engine, T, rows(*range(20), n=turn))
            with engine.begin() as connection:
                connection.execute(T.delete().where(T.c.id == turn % 20))
        totals.append(done)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.connect() as connection:
        made, changed = connection.execute(
            text("SELECT (SELECT last_value FROM made), (SELECT last_value FROM changed)")
        ).one()
    total = sum(totals, Written())
    assert (total.inserted, total.updated, total.skipped) == (made, changed, 0)
    engine.dispose()


# --- generated columns ----------------------------------------------------------------------------


def test_values_for_a_generated_column_are_refused_though_the_app_does_not_say_that_it_is(
    door_to: Doors,
) -> None:
    door = door_to(MetaData())
    sql(door, f"CREATE TABLE t ({COLUMNS}, twice integer GENERATED ALWAYS AS (n * 2) STORED)")
    if door.ground.kind == "postgresql":
        sql(door, "GRANT ALL ON t TO penstock")
    more = table("t", "twice")
    door.do(lambda session: bulk_insert(session, T, rows(1)))
    for write in (bulk_insert, upsert, bulk_update):
        with pytest.raises(RowRefused, match="Row 0 of t"):
            door.do(lambda session, write=write: write(session, more, [{**rows(1)[0], "twice": 9}]))
    assert door.do(lambda session: stored(session, more)) == [(1, 1, "x", 2)]


# --- MariaDB --------------------------------------------------------------------------------------

MARIADB_KINDS: dict[str, tuple[str, ...]] = {
    "partitioned": (f"CREATE TABLE t ({COLUMNS}) PARTITION BY HASH (id) PARTITIONS 3",),
    "system-versioned": (f"CREATE TABLE t ({COLUMNS}) WITH SYSTEM VERSIONING",),
    "a view": (f"CREATE TABLE base ({COLUMNS})", "CREATE VIEW t AS SELECT * FROM base"),
    "with a generated column": (f"CREATE TABLE t ({COLUMNS}, twice integer AS (n * 2) STORED)",),
    "with triggers": (
        f"CREATE TABLE t ({COLUMNS})",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET new.s = upper(new.s)",
        "CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH ROW SET new.s = upper(new.s)",
    ),
}


@pytest.mark.parametrize("kind", MARIADB_KINDS)
@MARIADB
def test_every_kind_of_table_of_mariadb_is_written(door_to: Doors, kind: str) -> None:
    door = door_to(MetaData())
    sql(door, *MARIADB_KINDS[kind])
    s = "X" if kind == "with triggers" else "x"
    assert door.do(lambda session: bulk_insert(session, T, rows(1, 2))) == Written(inserted=2)
    assert door.do(lambda session: upsert(session, T, rows(2, 3, n=5))) == Written(inserted=1, updated=1)
    assert door.do(lambda session: bulk_update(session, T, rows(3, 4, n=6))) == Written(updated=1, skipped=1)
    made = door.do(lambda session: get_or_create_many(session, T, rows(3, 5)))
    assert [new for _, new in made] == [False, True]
    assert door.do(stored) == [(1, 1, s), (2, 5, s), (3, 6, s), (5, 1, s)]


@MARIADB
def test_what_a_trigger_or_a_view_of_mariadb_refuses_is_named(door_to: Doors) -> None:
    door = door_to(MetaData())
    sql(
        door,
        f"CREATE TABLE t ({COLUMNS})",
        "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW"
        " IF new.n = 3 THEN SIGNAL SQLSTATE '45000' SET message_text = 'no three'; END IF",
        "CREATE VIEW v AS SELECT * FROM t WHERE n <> 4 WITH CHECK OPTION",
    )
    with pytest.raises(RowRefused, match=r"(?s)Row 1 of t.*A trigger") as refused:
        door.do(lambda session: bulk_insert(session, T, [*rows(1), *rows(2, n=3)]))
    assert "no three" in str(refused.value.__cause__)
    with pytest.raises(RowRefused, match="Row 1 of v"):
        door.do(lambda session: bulk_insert(session, table("v"), [*rows(1), *rows(2, n=4)]))
    assert door.do(stored) == []


@MARIADB
def test_tables_of_an_app_that_are_called_as_ours_are_left_alone(door_to: Doors) -> None:
    door = door_to(MetaData())
    ours = table("penstock_rows")
    sql(door, f"CREATE TABLE penstock_rows ({COLUMNS})")

    def work(session: Session) -> None:
        bulk_insert(session, ours, rows(1, 2))
        assert bulk_update(session, ours, rows(1, n=5)) == Written(updated=1)
        session.execute(text(f"CREATE TEMPORARY TABLE penstock_rows ({COLUMNS})"))
        bulk_insert(session, ours, rows(7))
        assert bulk_update(session, ours, rows(7, n=8)) == Written(updated=1)
        assert stored(session, ours) == [(7, 8, "x")]
        session.execute(text("DROP TEMPORARY TABLE penstock_rows"))

    door.do(work)
    assert door.do(lambda session: stored(session, ours)) == [(1, 5, "x"), (2, 1, "x")]


# --- SQLite ---------------------------------------------------------------------------------------

LEAVES_OUT = "CREATE TRIGGER at_{0} BEFORE {0} ON t WHEN new.n % 3 = 0 BEGIN SELECT RAISE(IGNORE); END"


@SQLITE
def test_rows_that_a_trigger_of_sqlite_leaves_out_are_counted_as_skipped(door_to: Doors) -> None:
    door = door_to(MetaData())
    sql(door, f"CREATE TABLE t ({COLUMNS})", LEAVES_OUT.format("INSERT"), LEAVES_OUT.format("UPDATE"))
    mixed = [*rows(1, n=3), *rows(2, n=5), *rows(8, n=3), *rows(9, n=7)]
    done = door.do(lambda session: bulk_insert(session, T, [*rows(1, 2), *rows(3, n=3)]))
    assert done == Written(inserted=2, skipped=1)
    assert door.do(lambda session: upsert(session, T, mixed)) == Written(inserted=1, updated=1, skipped=2)
    changed = [*rows(1, n=6), *rows(2, n=8), *rows(77)]
    assert door.do(lambda session: bulk_update(session, T, changed)) == Written(updated=1, skipped=2)
    assert door.do(stored) == [(1, 1, "x"), (2, 8, "x"), (9, 7, "x")]


@SQLITE
def test_a_view_of_sqlite_is_written_by_its_triggers(door_to: Doors) -> None:
    door = door_to(MetaData())
    sql(
        door,
        f"CREATE TABLE base ({COLUMNS})",
        "CREATE VIEW t AS SELECT * FROM base",
        "CREATE TRIGGER a INSTEAD OF INSERT ON t BEGIN INSERT INTO base VALUES (new.id, new.n, new.s); END",
        "CREATE TRIGGER b INSTEAD OF UPDATE ON t BEGIN UPDATE base SET n = new.n WHERE id = old.id; END",
    )
    assert door.do(lambda session: bulk_insert(session, T, rows(1, 2))) == Written(inserted=2)
    assert door.do(lambda session: bulk_update(session, T, rows(2, 3, n=5))) == Written(updated=1, skipped=1)
    assert door.do(stored) == [(1, 1, "x"), (2, 5, "x")]


@SQLITE
def test_strict_tables_of_sqlite_name_the_column_and_tables_without_rowid_are_written(door_to: Doors) -> None:
    door = door_to(MetaData())
    made = "id integer PRIMARY KEY, n integer, s text"
    sql(door, f"CREATE TABLE t ({made}) STRICT, WITHOUT ROWID")
    assert door.do(lambda session: upsert(session, T, rows(1, 2))) == Written(inserted=2)
    assert door.do(lambda session: upsert(session, T, rows(2, 3, n=5))) == Written(inserted=1, updated=1)
    assert door.do(lambda session: bulk_update(session, T, rows(3, 4, n=6))) == Written(updated=1, skipped=1)
    with pytest.raises(RowRefused, match="Row 1 of t can't be stored for its n"):
        door.do(lambda session: bulk_insert(session, T, [*rows(8), {"id": 9, "n": "x"}]))
    assert door.do(stored) == [(1, 1, "x"), (2, 5, "x"), (3, 6, "x")]
