"""A server that writes down all it is told never hears a password, only verifiers."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from faults.canary import PASSWORD, Search
from faults.scenes import until
from fix_apps import all_ok, count
from fix_roles import log_in
from fix_servers import Ground, PostgreSQLServer, ground_on, running_server, unavailable
from penstock import App, Service, Stores, use
from penstock.backends import StoreRole
from penstock.backends.postgresql.roles import make_verifier
from penstock.connect import Role, seal_password
from penstock.connect.credentials import read_credential
from penstock.connect.servers import read_password
from penstock.embedded.binaries import places, usable
from penstock.errors import ServerError
from penstock.provision.dynamic import NewStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


STATISTICS = "pg_stat_statements"
AT_START = {"shared_preload_libraries": STATISTICS, "track_activity_query_size": "65536"}
ALL_IT_IS_TOLD = {
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_parameter_max_length_on_error": "-1",
    "log_error_verbosity": "verbose",
    "log_connections": "on",
    "pg_stat_statements.track": "all",
}
ACTIVITY = "SELECT concat_ws(' ', usename, application_name, query) FROM pg_stat_activity"
VERIFIER = "PASSWORD 'SCRAM-SHA-256$"


@dataclass
class Book:
    """A server that writes down all it is told, and where to read that.

    Args:
        server: The server.
        seen: What was seen of what its sessions were doing.
    """

    server: PostgreSQLServer
    seen: set[str] = field(default_factory=set)

    @property
    def log(self) -> str:
        """All that is in its log files."""
        folder = self.server.cluster.status().log.parent
        return "".join(path.read_text("utf-8", "replace") for path in sorted(folder.iterdir()))

    @property
    def statistics(self) -> str:
        """Every statement that is counted."""
        with self.server.connect() as connection:
            rows = connection.execute(f"SELECT query FROM {STATISTICS}").fetchall()
        return "\n".join(query for (query,) in rows)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look again and again at what its sessions are doing, in another thread, while the block lasts."""
        done = threading.Event()

        def watch() -> None:
            with self.server.connect() as connection:
                while not done.wait(0.001):
                    self.seen |= {said for (said,) in connection.execute(ACTIVITY).fetchall()}

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield
        finally:
            done.set()
            watching.join()

    def search(self, password: str) -> list[str]:
        """Where a password is written, if it is anywhere."""
        texts = {"log": self.log, "statistics": self.statistics, "activity": "\n".join(self.seen)}
        return [where for where, text in texts.items() if _is_in(password, text)]


def _is_in(password: str, text: str) -> bool:
    search = Search(password)
    search.text("it", text)
    return bool(search.found)


def binaries_of(which: str) -> Path:
    """The programs of the usual PostgreSQL, or of one of another major version."""
    first, *others = usable(places(None))
    if which == "usual":
        return first.directory
    other = next((each for each in others if each.major != first.major), None)
    if other is None:
        unavailable(f"there is only PostgreSQL {first.major} here")
    return other.directory


def write_all_down(server: PostgreSQLServer) -> None:
    """Let a server write down all it is told."""
    with server.connect() as connection:
        there = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = %s", [STATISTICS])
        if there.fetchone() is None:
            unavailable(f"this PostgreSQL comes without {STATISTICS}")
        for name, value in AT_START.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.cluster.stop()
    server.cluster.start()
    with server.connect() as connection:
        connection.execute(f"CREATE EXTENSION {STATISTICS}")
        for name, value in ALL_IT_IS_TOLD.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module", params=["usual", "other"])
def book(request: pytest.FixtureRequest) -> Iterator[Book]:
    """A server of every PostgreSQL there is, which writes down all it is told."""
    with running_server(binaries_of(request.param)) as server:
        write_all_down(server)
        yield Book(server)


@pytest.fixture
def ground(book: Book) -> Iterator[Ground]:
    """That server as a ground to test on; afterwards its owner has the password that it had."""

    def new_service(name: str) -> Service:
        raise NotImplementedError(name)

    yield ground_on(book.server, new_service)
    book.server.clean()
    let_in(book.server, book.server.owner_password_file.read_text().strip())


def let_in(server: PostgreSQLServer, password: str) -> None:
    """Give the owner of stores another password, as an administrator does who knows what is written down."""
    with server.connect() as connection:
        connection.execute(f"ALTER ROLE penstock PASSWORD '{make_verifier(password, 'penstock')}'")


# --- every password that ever was -----------------------------------------------------------------


@dataclass
class Life:
    """A desk whose stores have logins of their own, and every password there ever was."""

    desk: Stores
    app: type[App]
    ground: Ground
    passwords: set[str] = field(default_factory=set)
    logins: set[str] = field(default_factory=set)

    def note(self) -> None:
        """Remember the passwords that are good now: those of services, of stores, kept ones too."""
        keyring = self.desk.keyring
        services = {service.name: service for service in self.desk.registry.services()}
        for service in services.values():
            self.passwords |= {read_password(service, role, keyring) or "" for role in Role}
        for each in self.desk.registry.credentials():
            self.passwords.add(read_credential(services[each.service], each, keyring))
            self.logins.add(each.login)

    def create(self) -> None:
        """A declared store, two of a kind, and one that is made through a connection; all are used."""
        all_ok(self.desk, self.app)
        for name in ("logan", "bear"):
            self.app.basins.create(name)
        self.desk.create(self.app, "trial", NewStore(connection="servers"))
        self.note()
        for name in self.desk.names(self.app):
            for role in StoreRole:
                assert self.desk.url(self.app, name, role=role).password in self.passwords
        self.use()

    def use(self) -> None:
        """The app reads and writes, and somebody who only reads logs in."""
        assert count(self.app.gages) == 2
        with log_in(self.desk, self.app, "gages", StoreRole.READER) as reader:
            assert reader.execute("SELECT count(*) FROM gage WHERE number = %s", ["1"]).fetchone() == (0,)

    def rotate(self) -> None:
        """Stores get new logins, the service and its administrator new passwords."""
        assert [each.error for each in self.desk.rotate(self.app, grace=0)] == [None] * 4
        self.note()
        self.desk.rotate_service("main", seal=True)
        self.note()
        self.desk.rotate_service("main")
        self.note()
        service = self.desk.rotate_service("main", Role.ADMINISTRATOR, seal=True)
        self.note()
        assert self.ground.server is not None
        new = read_password(service, Role.ADMINISTRATOR, self.desk.keyring)
        self.ground.server.admin_password_file.write_text(f"{new}\n")
        self.use()

    def edit(self) -> None:
        """The service is given two passwords that its server does not know; then it knows the second one."""
        for password in (f"wrong {PASSWORD}", PASSWORD):
            service = self.desk.operator.get_service("main")
            sealed = seal_password(service, Role.SERVICE, password, self.desk.keyring)
            self.desk.operator.edit_service(sealed)
            self.note()
            with pytest.raises(ServerError):
                self.desk.server_version("main")
        assert self.ground.server is not None
        let_in(self.ground.server, PASSWORD)
        assert self.desk.server_version("main")
        all_ok(self.desk, self.app)

    def take_away(self) -> None:
        """Stores are dropped, brought back, dropped for good; another database takes the place of one."""
        self.desk.drop(self.app, "gages")
        self.note()
        self.desk.undrop(self.app, "gages")
        self.use()
        self.desk.drop(self.app, "gages")
        self.desk.drop(self.app, "trial", now=True)
        assert [each.error for each in self.desk.purge(every=True)] == [None]
        self.ground.make_database("old")
        self.ground.run_sql("old", "CREATE TABLE gage (number varchar PRIMARY KEY, altitude float)")
        self.ground.run_sql("old", "INSERT INTO gage VALUES ('a', 1), ('b', 2)")
        self.ground.run_sql("old", "ALTER TABLE gage OWNER TO penstock")
        self.desk.adopt(self.app, "gages", "old")
        all_ok(self.desk, self.app)
        self.note()
        self.use()


@pytest.fixture
def life(ground: Ground, lab: type[App], role_desk_on: Callable[..., Stores]) -> Iterator[Life]:
    """A desk in use on that server."""
    with use(role_desk_on(ground, lab)) as desk:
        yield Life(desk, lab, ground)


# --- what is heard --------------------------------------------------------------------------------


def test_z3_no_password_that_ever_was_is_in_a_servers_log_statistics_or_sessions(
    life: Life, book: Book
) -> None:
    life.note()
    with book.watched():
        for part in (life.create, life.rotate, life.edit, life.take_away):
            part()
    assert len(life.passwords) == 2 + 2 * 4 + 2 * 4 + 3 + 2 + 2
    assert [where for password in life.passwords for where in book.search(password)] == []


def test_z3_what_is_written_down_of_a_new_login_is_its_verifier(life: Life, book: Book) -> None:
    life.create()
    life.desk.rotate_service("main", seal=True)
    log, statistics = book.log, book.statistics
    assert len(life.logins) == 8
    for login in life.logins:
        assert f'CREATE ROLE "{login}" LOGIN {VERIFIER}' in log
        assert f'CREATE ROLE "{login}" LOGIN PASSWORD' in statistics
    assert f"ALTER ROLE CURRENT_USER {VERIFIER}" in log


def test_z3_a_password_that_is_sent_in_clear_would_be_found(book: Book) -> None:
    with book.watched(), book.server.connect() as connection:
        connection.execute("CREATE ROLE loud PASSWORD 'in-clear-text'")
        until(lambda: "in-clear-text" in "".join(book.seen), "the session is seen")
    assert book.search("in-clear-text") == ["log", "statistics", "activity"]
