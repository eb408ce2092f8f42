"""A folder of revisions is run on one connection: in threads, whole or not at all."""

from __future__ import annotations

from threading import Barrier, Thread
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, NullPool, create_engine, event, inspect

from penstock.backends import parse_url
from penstock.schema import Revisions, UnknownRevision

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fix_servers import TestServer

AT_ONCE = 8

REVISION = """
import sqlalchemy as sa

revision = "{number}"
down_revision = {before}


def upgrade(op):
    op.create_table("t{number}", sa.Column("id", sa.Integer, primary_key=True))
    {more}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three revisions."""
    folder = tmp_path / "versions"
    folder.mkdir()
    for number, before in ((1, None), (2, "1"), (3, "2")):
        write(folder, number, before)
    return folder


def write(folder: Path, number: int, before: str | None, more: str = "") -> None:
    text = REVISION.format(number=number, before=repr(before), more=more)
    (folder / f"{number}.py").write_text(text)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A SQLite file, in explicit transactions."""
    engine = make_engine(tmp_path / "one.sqlite")
    yield engine
    engine.dispose()


def engine_on(ground: TestServer, database: str) -> Engine:
    """An engine on a new database of any kind of server."""
    ground.make_database(database)
    if ground.directory is not None:
        return make_engine(ground.directory / f"{database}.sqlite")
    return create_engine(parse_url(ground.address_of(database)), poolclass=NullPool)


def make_engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _explicit(connection: object, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: object) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def tables_of(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(inspect(connection).get_table_names())


def test_a_database_gets_the_revisions_it_has_not(folder: Path, engine: Engine) -> None:
    revisions = Revisions(folder, table="version")
    assert revisions.names == ("1", "2", "3")
    with engine.begin() as connection:
        assert revisions.current(connection) is None
        assert revisions.missing(connection) == ("1", "2", "3")
        assert revisions.upgrade(connection) == ("1", "2", "3")
    with engine.begin() as connection:
        assert revisions.current(connection) == "3"
        assert revisions.upgrade(connection) == ()
    assert tables_of(engine) == {"t1", "t2", "t3", "version"}


def test_looking_at_a_database_makes_nothing_in_it(folder: Path, engine: Engine) -> None:
    with engine.begin() as connection:
        Revisions(folder, table="version").missing(connection)
    assert tables_of(engine) == set()


def test_a_database_between_the_first_revision_and_the_newest_gets_the_rest(
    folder: Path, engine: Engine
) -> None:
    with engine.begin() as connection:
        Revisions(folder, table="version").upgrade(connection)
    write(folder, 4, "3")
    revisions = Revisions(folder, table="version")
    with engine.begin() as connection:
        assert revisions.missing(connection) == ("4",)
        assert revisions.upgrade(connection) == ("4",)
    assert tables_of(engine) == {"t1", "t2", "t3", "t4", "version"}


def test_a_revision_that_fails_leaves_nothing_of_any(folder: Path, engine: Engine) -> None:
    write(folder, 4, "3", "raise RuntimeError('dry')")
    revisions = Revisions(folder, table="version")
    with pytest.raises(RuntimeError, match="dry"), engine.begin() as connection:
        revisions.upgrade(connection)
    assert tables_of(engine) == set()


def test_a_database_at_an_unknown_revision_is_left_alone(folder: Path, engine: Engine) -> None:
    revisions = Revisions(folder, table="version")
    with engine.begin() as connection:
        revisions.upgrade(connection)
        connection.exec_driver_sql("UPDATE version SET version_num = '9'")
    with engine.begin() as connection, pytest.raises(UnknownRevision, match="9"):
        revisions.upgrade(connection)


def test_m1_the_version_that_somebody_else_changed_meanwhile_is_not_overwritten(
    folder: Path, engine: Engine
) -> None:
    write(folder, 4, "3", "op.execute(\"UPDATE version SET version_num = 'other'\")")
    revisions = Revisions(folder, table="version")
    with pytest.raises(RuntimeError, match="expected to match one row"), engine.begin() as connection:
        revisions.upgrade(connection)
    assert tables_of(engine) == set()


def test_m1_many_threads_upgrade_a_database_each(folder: Path, ground: TestServer) -> None:
    revisions, begin, errors = Revisions(folder, table="version"), Barrier(AT_ONCE), []
    engines = [engine_on(ground, f"number_{number}") for number in range(AT_ONCE)]

    def upgrade(engine: Engine) -> None:
        begin.wait(60)
        try:
            with engine.begin() as connection:
                assert revisions.upgrade(connection) == ("1", "2", "3")
        except Exception as error:
            errors.append(error)

    threads = [Thread(target=upgrade, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [tables_of(engine) for engine in engines] == [{"t1", "t2", "t3", "version"}] * AT_ONCE
