"""Whatever a table of PostgreSQL is, rows and counts are those of a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, NoResultFound

from penstock.errors import NotSupported, RowRefused
from penstock.query import Written, bulk_insert, bulk_update, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from fix_doors import Door, Doors

pytestmark = pytest.mark.parametrize(
    "door_to", ["postgresql", "psycopg-async", "asyncpg-async"], indirect=True
)

COLUMNS = "id integer PRIMARY KEY, n integer, s text"
TABLE = f"CREATE TABLE t ({COLUMNS});"
SKIP = """CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN IF new.n % 3 = 0 THEN RETURN NULL; END IF; RETURN new; END$$;"""
CHANGE = """CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN new.n := new.n + 1000; new.s := upper(new.s); RETURN new; END$$;"""
REDIRECT = """CREATE FUNCTION redirect() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO other VALUES (new.*); RETURN NULL; END$$;"""
COUNT = """CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN UPDATE total SET n = n + (SELECT count(*) FROM given); RETURN NULL; END$$;"""
INSTEAD = """CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN IF new.n % 3 = 0 THEN RETURN NULL; END IF;
    IF tg_op = 'INSERT' THEN INSERT INTO base VALUES (new.*);
    ELSE UPDATE base SET n = new.n, s = new.s WHERE id = old.id; END IF; RETURN new; END$$;"""
BASE = f"CREATE TABLE base ({COLUMNS}); GRANT ALL ON base TO penstock;"
APP = "GRANT ALL ON SCHEMA public TO penstock;"


@dataclass(frozen=True)
class Kind:
    """What a table is.

    Args:
        made: By which statements; as the administrator.
        also: What its writing changes besides.
        begun: What each transaction begins with.
        refused: What is refused, though a loop could do it.
        name: Its name, where that matters.
        schema: The schema that it is said to be in.
        more: Columns that are given besides.
    """

    made: str
    also: str = ""
    begun: str = ""
    refused: tuple[str, ...] = ()
    name: str = "t"
    schema: str | None = None
    more: tuple[str, ...] = ()

    @property
    def behind(self) -> str:
        """Where its rows are."""
        return "base" if self.also == "base" else self.table.fullname

    @property
    def table(self) -> Table:
        """The table, as the app knows it."""
        columns = [Column("id", Integer, primary_key=True, autoincrement=False), Column("n", Integer)]
        more = [Column(name, Integer) for name in self.more]
        return Table(self.name, MetaData(), *columns, Column("s", Text), *more, schema=self.schema)


KINDS = {
    "a plain table": Kind(TABLE),
    "an unlogged table": Kind(f"CREATE UNLOGGED TABLE t ({COLUMNS});"),
    "a temporary table": Kind("", begun=f"CREATE TEMPORARY TABLE t ({COLUMNS}) ON COMMIT DROP"),
    "a table of another schema": Kind(
        f"CREATE SCHEMA far; GRANT USAGE ON SCHEMA far TO penstock; CREATE TABLE far.t ({COLUMNS});"
        "GRANT ALL ON far.t TO penstock;",
        schema="far",
    ),
    "a table that is called as ours": Kind(
        f"CREATE TABLE penstock_rows ({COLUMNS}); GRANT ALL ON penstock_rows TO penstock;",
        name="penstock_rows",
    ),
    "a temporary table that is called as ours": Kind(
        "", begun=f"CREATE TEMPORARY TABLE penstock_rows ({COLUMNS})", name="penstock_rows"
    ),
    "a partitioned table": Kind(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, s text) PARTITION BY RANGE (id);"
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (3);"
        "CREATE TABLE t_2 (s text, gone integer, n integer, id integer NOT NULL);"
        "ALTER TABLE t_2 DROP COLUMN gone; ALTER TABLE t ATTACH PARTITION t_2 FOR VALUES FROM (3) TO (100);"
    ),
    "a partitioned table with a trigger that skips rows": Kind(
        f"CREATE TABLE t ({COLUMNS}) PARTITION BY RANGE (id);"
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (100);"
        f"{SKIP} CREATE TRIGGER a BEFORE INSERT OR UPDATE ON t_1 FOR EACH ROW EXECUTE FUNCTION skip();"
    ),
    "a partition": Kind(
        f"CREATE TABLE whole ({COLUMNS}) PARTITION BY RANGE (id);"
        "CREATE TABLE t PARTITION OF whole FOR VALUES FROM (0) TO (100);"
    ),
    "a parent of others": Kind(
        f"{TABLE} CREATE TABLE child () INHERITS (t); GRANT ALL ON child TO penstock;"
        "INSERT INTO child VALUES (6, 60, 'child');",
    ),
    "a table with row-level security": Kind(
        f"{TABLE} ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (n <> 30);"
    ),
    "a table of which a policy hides a row": Kind(
        f"{TABLE} INSERT INTO t VALUES (4, 30, 'hidden');"
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (n <> 30);"
    ),
    "a partitioned table with row-level security": Kind(
        f"CREATE TABLE t ({COLUMNS}) PARTITION BY RANGE (id);"
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (100);"
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (n <> 30);"
    ),
    "a table with a policy against some rows": Kind(
        f"{TABLE} ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON t USING (TRUE) WITH CHECK (n <> 33);"
    ),
    "a table with a trigger that changes rows": Kind(
        f"{TABLE} {CHANGE} CREATE TRIGGER a BEFORE INSERT OR UPDATE ON t"
        " FOR EACH ROW EXECUTE FUNCTION change();"
    ),
    "a table with a trigger that skips rows": Kind(
        f"{TABLE} {SKIP} CREATE TRIGGER a BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION skip();"
    ),
    "a table with a trigger that stores rows elsewhere": Kind(
        f"{TABLE} CREATE TABLE other (id integer, n integer, s text); GRANT ALL ON other TO penstock;"
        f"{REDIRECT} CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION redirect();",
        also="other",
    ),
    "a table with triggers for statements": Kind(
        f"{TABLE} {COUNT} CREATE TABLE total AS SELECT 0 AS n, 0 AS m; GRANT ALL ON total TO penstock;"
        "CREATE TRIGGER a AFTER INSERT ON t REFERENCING NEW TABLE AS given EXECUTE FUNCTION counted();"
        "CREATE TRIGGER b AFTER UPDATE ON t REFERENCING NEW TABLE AS given EXECUTE FUNCTION counted();",
        also="total",
    ),
    "a table with a rule that does more": Kind(
        f"{TABLE} CREATE TABLE other (id integer, n integer, s text); GRANT ALL ON other TO penstock;"
        "CREATE RULE a AS ON INSERT TO t DO ALSO INSERT INTO other VALUES (new.*);"
        "CREATE RULE b AS ON UPDATE TO t DO ALSO INSERT INTO other VALUES (new.id, new.n, 'new');",
        also="other",
        refused=("get_or_create", "get_or_create_many"),
    ),
    "a table with a rule that does nothing": Kind(
        f"{TABLE} CREATE RULE a AS ON INSERT TO t WHERE new.n % 3 = 0 DO INSTEAD NOTHING;"
        "CREATE RULE b AS ON UPDATE TO t DO INSTEAD NOTHING;",
        refused=("get_or_create", "get_or_create_many"),
    ),
    "a view": Kind(f"{BASE} CREATE VIEW t AS SELECT * FROM base WHERE n <> 30;", also="base"),
    "a view with a check": Kind(
        f"{BASE} CREATE VIEW t AS SELECT * FROM base WHERE n <> 33 WITH CHECK OPTION;", also="base"
    ),
    "a view with triggers": Kind(
        f"{BASE} {INSTEAD} CREATE VIEW t AS SELECT id, max(n) AS n, max(s) AS s FROM base GROUP BY id;"
        "CREATE TRIGGER a INSTEAD OF INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION instead();",
        also="base",
    ),
    "a table of always generated columns": Kind(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, s text,"
        " twice integer GENERATED ALWAYS AS (n * 2) STORED, serial integer GENERATED ALWAYS AS IDENTITY);",
    ),
    "a table whose generated columns are given": Kind(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, s text,"
        " twice integer GENERATED ALWAYS AS (n * 2) STORED);",
        more=("twice",),
    ),
    "a table whose identities are given": Kind(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, s text,"
        " serial integer GENERATED ALWAYS AS IDENTITY);",
        more=("serial",),
    ),
    "a table whose default identities are given": Kind(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, s text,"
        " serial integer GENERATED BY DEFAULT AS IDENTITY);",
        more=("serial",),
    ),
    "a table with an exclusion constraint": Kind(
        "CREATE TABLE t (id integer, n integer, s text, EXCLUDE USING btree (id WITH =));",
        refused=("get_or_create_many",),
    ),
    "a table with a deferred key": Kind(
        "CREATE TABLE t (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, n integer, s text);",
        refused=("get_or_create", "get_or_create_many"),
    ),
    "a table with a deferred reference": Kind(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, s text,"
        " twin integer DEFAULT 1 REFERENCES t DEFERRABLE INITIALLY DEFERRED);"
    ),
}
FRESH = [{"id": 7, "n": 70, "s": "x"}, {"id": 5, "n": 33, "s": "y"}, {"id": 8, "n": 80, "s": "z"}]
MIXED = [*FRESH[:2], {"id": 4, "n": 44, "s": "u"}, {"id": 3, "n": 33, "s": "w"}, {"id": 2, "n": 22, "s": "v"}]

Rows = list[dict[str, Any]]


# --- row by row -----------------------------------------------------------------------------------


def is_there(session: Session, table: Table, row: dict[str, Any]) -> bool:
    return bool(session.scalar(select(func.count()).select_from(table).where(table.c.id == row["id"])))


def loop(session: Session, table: Table, verb: str, rows: Rows) -> Any:
    """What a loop over the rows does, and what it counts."""
    if verb.startswith("get"):
        return [got(session, table, row) for row in rows]
    done = Written()
    for row in rows:
        there = verb != "insert" and is_there(session, table, row)
        statement = statement_of(table, verb, row).execution_options(preserve_rowcount=True)
        changed = int(session.connection().execute(statement, row).rowcount > 0)
        old = changed if there else 0
        done += Written(changed - old, old, 1 - changed)
    return done


def statement_of(table: Table, verb: str, row: dict[str, Any]) -> Any:
    into: Any = insert(table)
    if verb == "nothing":
        return into.on_conflict_do_nothing(index_elements=["id"])
    if verb == "upsert":
        new = {name: into.excluded[name] for name in row if name != "id"}
        return into.on_conflict_do_update(index_elements=["id"], set_=new)
    if verb == "update":
        given = {name: value for name, value in row.items() if name != "id"}
        return update(table).where(table.c.id == row["id"]).values(given)
    return into


def got(session: Session, table: Table, row: dict[str, Any]) -> Any:
    asked = select(table).where(table.c.id == row["id"])
    found = session.execute(asked).one_or_none()
    if found is None:
        session.execute(insert(table), row)
        return tuple(session.execute(asked).one()), True
    return tuple(found), False


# --- by the helpers -------------------------------------------------------------------------------


def helped(session: Session, table: Table, verb: str, rows: Rows) -> Any:
    if verb == "get_or_create":
        results = [get_or_create(session, table, {"id": row["id"]}, row) for row in rows]
        return [(tuple(row), new) for row, new in results]
    if verb == "get_or_create_many":
        return [(tuple(row), new) for row, new in get_or_create_many(session, table, rows)]
    if verb in ("insert", "nothing"):
        return bulk_insert(session, table, rows, on_conflict="error" if verb == "insert" else verb)
    return {"upsert": upsert, "update": bulk_update}[verb](session, table, rows)


def tried(session: Session, kind: Kind, work: Callable[..., Any], verb: str) -> tuple[Any, Any]:
    """What work answers, and what there is then; it is undone."""
    rows = [row | dict.fromkeys(kind.more, 5) for row in (FRESH if verb == "insert" else MIXED)]
    attempt = session.begin_nested()
    try:
        answer = work(session, kind.table, verb, rows)
        left = [session.execute(text(f"SELECT id, n, s FROM {kind.table.fullname} ORDER BY 1, 2")).all()]
        left += [session.execute(text(f"SELECT * FROM {kind.also} ORDER BY 1, 2")).all()] if kind.also else []
        return answer, left
    except (DBAPIError, NoResultFound, NotSupported, RowRefused) as error:
        return error, None
    finally:
        attempt.rollback()


def made(door: Door, kind: Kind) -> Callable[[Session], None]:
    """What each transaction begins with; the table is there then."""
    if kind.made:
        grants = "" if kind.schema else f"GRANT ALL ON {kind.name} TO penstock;"
        door.ground.run_sql(door.database, f"{kind.made} {grants}")

    def begin(session: Session) -> None:
        if kind.begun:
            session.execute(text(kind.begun))
        session.execute(
            text(f"INSERT INTO {kind.behind} (id, n, s) VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 40, 'c')")
        )

    return begin


VERBS = ("insert", "nothing", "upsert", "update", "get_or_create", "get_or_create_many")


@pytest.mark.parametrize("name", KINDS)
def test_rows_and_counts_are_those_of_a_loop(door_to: Doors, name: str) -> None:
    kind = KINDS[name]
    door = door_to(MetaData())
    begin = made(door, kind)

    def work(session: Session) -> None:
        begin(session)
        for verb in VERBS:
            expected, left = tried(session, kind, loop, verb)
            answer, found = tried(session, kind, helped, verb)
            if isinstance(expected, Exception) or verb in kind.refused:
                assert isinstance(answer, DBAPIError | NotSupported | RowRefused)
            else:
                assert (answer, found) == (expected, left), verb
        session.rollback()

    door.do(work)
