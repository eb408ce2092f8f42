"""Programs of pytentd run with another import, and without its faults."""

from __future__ import annotations

import gc
import json
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from sqlalchemy import Column, ForeignKey, Integer, String, create_engine, func, inspect, select, text

from penstock.compat.tent.dbm import Base, DBConfException, TableMixin, connect, install_tables, open_session
from penstock.compat.tent.user import Profile, User
from penstock.errors import (
    ConfigError,
    LoginRefused,
    PenstockError,
    RowRefused,
    ServerError,
    ServerUnreachable,
    StorageUnavailable,
    StoreNotCreated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from fix_servers import TestServer

Config: TypeAlias = "dict[str, Any]"
Connect: TypeAlias = "Callable[[Any], Engine]"
MEMORY = {"driver": "sqlite", "path": ":memory:"}
SERVER = {"host": "127.0.0.1", "port": 1, "user": "ada", "password": "a-secret", "database": "tent"}


def count(session: Session) -> int:
    with session:
        return session.scalar(select(func.count()).select_from(User)) or 0


def in_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


# --- a database -----------------------------------------------------------------------------------


def test_tables_are_made_once_and_users_stored(connected: Connect, tent_config: dict[str, Any]) -> None:
    engine = connected(tent_config)
    for _ in range(2):
        install_tables(engine)
    with open_session(engine) as session:
        session.add(User("Joe Public", bio="Of the public.", birthdate=date(1970, 1, 2)))
        session.commit()
    with open_session(connected(tent_config)) as session:
        user = session.query(User).filter_by(name="Joe Public").one()
        assert user.profile == Profile(bio="Of the public.", birthdate=date(1970, 1, 2))
    engine.dispose()


def test_tables_are_made_by_many_at_once(connected: Connect, tent_config: dict[str, Any]) -> None:
    engines = [connected(tent_config) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(install_tables, engines)) == [None] * 4
    assert "users" in inspect(engines[0]).get_table_names()


def test_each_call_opens_another_session(connected: Connect, tent_config: dict[str, Any]) -> None:
    engine = connected(tent_config)
    install_tables(engine)
    first, second = open_session(engine), open_session(engine)
    assert first is not second
    first.add(User("Joe Public"))
    first.flush()
    assert count(second) == 0
    first.close()


def test_the_password_is_in_no_address(connected: Connect, tent_config: dict[str, Any]) -> None:
    engine = connected({**tent_config, "echo": False})
    assert engine.url.password is None
    assert str(tent_config.get("password", "no password")) not in f"{engine!r} {engine.url!r} {engine.pool!r}"


def test_a_server_without_the_database_says_so(
    connected: Connect, tent_config: dict[str, Any], ground: TestServer
) -> None:
    if ground.directory is not None:
        pytest.skip("a file is made")
    for ask in (open_session, install_tables):
        with pytest.raises(StoreNotCreated, match="Make the database"):
            ask(connected({**tent_config, "database": "nowhere"}))


def test_a_wrong_password_is_refused_when_a_session_is_opened(
    connected: Connect, tent_config: dict[str, Any], ground: TestServer
) -> None:
    if ground.directory is not None:
        pytest.skip("a file has none")
    with pytest.raises(LoginRefused) as raised:
        open_session(connected({**tent_config, "password": "wrong-guess"}))
    assert "wrong-guess" not in str(raised.value)


@pytest.mark.parametrize("driver", ["postgresql", "mysql", "postgres", "mariadb"])
def test_nobody_there_is_noticed_when_a_session_is_opened(connected: Connect, driver: str) -> None:
    engine = connected({"driver": driver, **SERVER})
    with pytest.raises(ServerUnreachable, match="can't be opened"):
        open_session(engine)
    with pytest.raises(ServerUnreachable, match="can't be made"):
        install_tables(engine)


# --- files and memory -----------------------------------------------------------------------------


def test_what_is_in_memory_is_seen_by_every_thread_and_by_no_other_engine(connected: Connect) -> None:
    engine, other = connected(MEMORY), connected(MEMORY)
    in_thread(lambda: install_tables(engine))
    install_tables(other)
    with open_session(engine) as session:
        session.add(User("Joe Public"))
        session.commit()
    assert in_thread(lambda: count(open_session(engine))) == 1
    assert count(open_session(other)) == 0
    engine.dispose()
    assert count(open_session(engine)) == 1


def test_threads_in_memory_do_not_see_what_others_have_not_committed(connected: Connect) -> None:
    engine = connected(MEMORY)
    install_tables(engine)
    with open_session(engine) as session:
        session.add(User("Joe Public"))
        session.flush()
        assert in_thread(lambda: count(open_session(engine))) == 0
        session.rollback()
    assert count(open_session(engine)) == 0


def test_what_was_in_memory_is_gone_with_its_engine_but_not_with_a_child() -> None:
    engine = connect(MEMORY)
    folder = Path(str(engine.url.database)).parent
    install_tables(engine)
    child = os.fork()
    if child == 0:
        del engine
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert folder.exists()
    engine.dispose()
    del engine
    gc.collect()
    assert not folder.exists()


def test_many_threads_write_to_memory_at_once(connected: Connect) -> None:
    engine = connected(MEMORY)
    install_tables(engine)
    ready = threading.Barrier(6)

    def work(_: int) -> None:
        ready.wait()
        for _ in range(20):
            with open_session(engine) as session:
                session.add(User("Joe Public"))
                session.commit()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert count(open_session(engine)) == 120


def test_a_file_of_an_old_program_is_read_and_written(connected: Connect, tmp_path: Path) -> None:
    path = tmp_path / "tent.db"
    columns = "entity_id VARCHAR NOT NULL, name VARCHAR, avatar_url VARCHAR, birthdate DATE, location VARCHAR"
    with sqlite3.connect(path) as old:
        old.execute(f"CREATE TABLE users ({columns}, gender VARCHAR, bio VARCHAR, PRIMARY KEY (entity_id))")
        old.execute("INSERT INTO users (entity_id, name) VALUES ('http://localhost/joe', 'Joe Public')")
    old.close()
    engine = connected({"driver": "sqlite", "path": path})
    install_tables(engine)
    with open_session(engine) as session:
        session.add(User("Joe Public"))
        session.commit()
        found = session.scalars(select(User).order_by(User.entity_id)).all()
    assert [user.name for user in found] == ["Joe Public"] * 2
    assert found[0].entity_id == "http://localhost/joe"


def test_a_relative_path_stays_where_it_was(
    connected: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = connected({"driver": "sqlite", "path": "data 50%?.db"})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    install_tables(engine)
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["data 50%?.db"]


def test_a_place_that_can_hold_no_database_is_named(connected: Connect, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="nowhere"):
        connected({"driver": "sqlite", "path": str(tmp_path / "nowhere" / "tent.db")})
    (tmp_path / "text").write_text("This is a text and no database, however long one looks at it." * 20)
    with pytest.raises(StorageUnavailable, match="NOTADB"):
        open_session(connected({"driver": "sqlite", "path": str(tmp_path / "text")}))


def test_an_engine_of_anybody_s_is_taken() -> None:
    engine = create_engine("sqlite://")
    install_tables(engine)
    assert count(open_session(engine)) == 0
    engine.dispose()


# --- configurations -------------------------------------------------------------------------------

BAD: list[tuple[Any, tuple[str, ...]]] = [
    (None, ("a dict, not NoneType",)),
    ("sqlite:///tent.db", ("a dict, not str",)),
    ({}, ("no 'driver'", "sqlite, postgresql, mysql")),
    ({"driver": "mongodb"}, ("no driver 'mongodb'", "sqlite, postgresql, mysql")),
    ({"driver": []}, ("no driver",)),
    ({"driver": "sqlite"}, ("'path' is missing",)),
    ({"driver": "sqlite", "path": ""}, ("'path' is missing",)),
    ({"driver": "sqlite", "path": 5}, ("'path' is no path",)),
    ({"driver": "sqlite", "path": "x", "host": "h"}, ("'host' is unknown", "has: driver, path.")),
    ({"driver": "postgresql"}, ("'host' is missing; 'user' is missing; 'database' is missing",)),
    (
        {"driver": "mysql", **SERVER, "database": None, "prot": 1},
        ("'database' is missing", "'prot' is unknown"),
    ),
    ({"driver": "mysql", **SERVER, "port": "abc"}, ("'port' is no number from 1 to 65535",)),
    ({"driver": "mysql", **SERVER, "port": 0}, ("'port' is no number from 1 to 65535",)),
    ({"driver": "postgresql", **SERVER, "password": 12345}, ("'password' is no text",)),
]


@pytest.mark.parametrize(("tent_config", "said"), BAD)
def test_all_that_is_wrong_with_a_configuration_is_named(
    connected: Connect, tent_config: Any, said: tuple[str, ...]
) -> None:
    with pytest.raises(DBConfException) as raised:
        connected(tent_config)
    assert [each for each in said if each not in str(raised.value)] == []
    assert "a-secret" not in str(raised.value)
    assert "12345" not in str(raised.value)
    assert isinstance(raised.value, ConfigError)


def test_a_port_may_be_text_and_a_password_may_be_absent(connected: Connect) -> None:
    engine = connected({"driver": "postgresql", **SERVER, "port": "1", "password": None})
    assert (engine.url.port, engine.url.database) == (1, "tent")


def test_what_is_no_engine_is_refused() -> None:
    for ask in (open_session, install_tables):
        with pytest.raises(PenstockError, match="no engine but str"):
            ask("sqlite://")  # type: ignore[arg-type]


def test_statements_are_logged_only_if_asked_for(connected: Connect) -> None:
    assert [bool(connected({**MEMORY, **more}).echo) for more in ({}, {"echo": False}, {"echo": True})] == [
        *(False, False, True),
    ]


def test_without_models_there_is_nothing_to_install() -> None:
    code = """
import json
from penstock.compat.tent import dbm
engine = dbm.connect({"driver": "sqlite", "path": ":memory:"})
try:
    dbm.install_tables(engine)
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, said = json.loads(done.stdout)
    assert name == "DeclarationError"
    assert "Import them first" in said


# --- models ---------------------------------------------------------------------------------------


def test_users_of_one_name_are_told_apart() -> None:
    users = [User("Joe Public") for _ in range(50)]
    assert len({user.entity_id for user in users}) == 50
    assert all(user.entity_id.startswith("http://localhost/joe.public.") for user in users)
    assert len(User("x" * 255).entity_id) < 255


@pytest.mark.parametrize("name", ["", "  ", None, 5])
def test_a_user_needs_a_name(name: Any) -> None:
    with pytest.raises(RowRefused, match="no name"):
        User(name)


def test_a_profile_is_read_and_written_whole_and_in_parts() -> None:
    user = User("Joe Public", profile=Profile(location="here"))
    user.bio = "Of the public."
    assert user.profile == Profile(location="here", bio="Of the public.")
    user.profile = Profile(gender="any")
    assert (user.location, user.gender, user.bio) == (None, "any", None)


@pytest.mark.usefixtures("models")
@pytest.mark.filterwarnings("ignore:This declarative base already contains a class")
def test_models_are_called_after_their_classes(connected: Connect, tent_config: dict[str, Any]) -> None:
    class UserGroup(Base, TableMixin):
        id = Column(Integer, primary_key=True)
        kind = Column(String(20))
        __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "group"}  # noqa: RUF012

    class Team(UserGroup):
        __mapper_args__ = {"polymorphic_identity": "team"}  # noqa: RUF012

    class Friend(TableMixin, Base):
        __tablename__ = "friends_of_mine"
        follower_id = Column(String(255), ForeignKey("users.entity_id"), primary_key=True)

    engine = connected(tent_config)
    install_tables(engine)
    found = set(inspect(engine).get_table_names())
    assert found == {"users", "usergroups", "friends_of_mine"}
    with open_session(engine) as session:
        session.add(Team())
        session.commit()
        assert session.scalars(select(UserGroup.kind)).all() == ["team"]
    engine.dispose()


def test_a_child_of_fork_connects_anew(connected: Connect, tent_config: dict[str, Any]) -> None:
    engine = connected(tent_config)
    install_tables(engine)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if count(open_session(engine)) == 0 else 1)
        except ServerError:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert count(open_session(engine)) == 0
