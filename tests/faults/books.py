"""Servers that write down all they are told, and where to read that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from faults.canary import Search
from fix_mariadb import MariaDBServer, mariadb_ground_on, running_mariadb
from fix_servers import PostgreSQLServer, TestServer, ground_on, running_server, unavailable
from penstock.backends.mysql.roles import make_verifier as mariadb_verifier
from penstock.backends.postgresql.roles import make_verifier as postgresql_verifier
from penstock.embedded.binaries import places, usable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock import Service

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
MARIADB_AT_START = (
    "--performance-schema=ON",
    "--log-bin=binary",
    "--server-id=1",
    "--general-log-file=general.log",
    "--slow-query-log-file=slow.log",
)
MARIADB_IS_TOLD = (
    "UPDATE performance_schema.setup_consumers SET enabled = 'YES'",
    "TRUNCATE performance_schema.events_statements_history_long",
    "TRUNCATE performance_schema.events_statements_summary_by_digest",
    "RESET MASTER",
    "SET GLOBAL general_log = ON, GLOBAL slow_query_log = ON, GLOBAL long_query_time = 0",
)


@dataclass(frozen=True)
class Words:
    """How a kind of server is asked what it was told, and what it then says.

    Args:
        statistics: Asks for every statement that it counts or remembers.
        activity: Asks what its sessions do, and did last.
        new_login: What its log has of a new login, whose name and role are put in.
        counted_login: What its statistics have of it.
        new_password: What its log has of a new password of the service's user.
        in_clear: How somebody makes a login who sends its password as it is.
        give: How an administrator gives the service's user a password who knows what is written down.
        own: Lets the service's user have the table `gage`, where tables have owners.
    """

    statistics: str
    activity: str
    new_login: str
    counted_login: str
    new_password: str
    in_clear: str
    give: Callable[[str], str]
    own: str = ""


POSTGRESQL = Words(
    statistics=f"SELECT query FROM {STATISTICS}",
    activity="SELECT concat_ws(' ', usename, application_name, query) FROM pg_stat_activity",
    new_login='CREATE ROLE "{login}" LOGIN PASSWORD \'SCRAM-SHA-256$',
    counted_login='CREATE ROLE "{login}" LOGIN PASSWORD',
    new_password="ALTER ROLE CURRENT_USER PASSWORD 'SCRAM-SHA-256$",
    in_clear="CREATE ROLE loud PASSWORD 'in-clear-text'",
    give=lambda password: f"ALTER ROLE penstock PASSWORD '{postgresql_verifier(password, 'penstock')}'",
    own="ALTER TABLE gage OWNER TO penstock",
)
_GRANT = "GRANT `{role}` TO `{login}`@`%` IDENTIFIED VIA mysql_native_password USING "
MARIADB = Words(
    statistics="""
        SELECT CONCAT_WS(' ', sql_text, digest_text) FROM performance_schema.events_statements_history_long
        UNION ALL SELECT digest_text FROM performance_schema.events_statements_summary_by_digest""",
    activity="""
        SELECT COALESCE(sql_text, '') FROM performance_schema.events_statements_current
        UNION ALL SELECT CONCAT_WS(' ', user, info) FROM information_schema.processlist""",
    new_login=f"{_GRANT}'*",
    counted_login=_GRANT,
    new_password="SET PASSWORD = '*",
    in_clear="CREATE USER loud IDENTIFIED BY 'in-clear-text'",
    give=lambda password: f"SET PASSWORD FOR penstock = '{mariadb_verifier(password)}'",
)


@dataclass
class Book:
    """A server that writes down all it is told, and where to read that.

    Args:
        server: The server.
        ground: The same as a ground to test on.
        words: How it is asked.
        logs: Its log files.
        seen: What was seen of what its sessions were doing.
    """

    server: PostgreSQLServer | MariaDBServer
    ground: TestServer
    words: Words
    logs: Callable[[], list[Path]]
    seen: set[str] = field(default_factory=set)

    @property
    def log(self) -> str:
        """All that is in its log files."""
        return "".join(path.read_text("utf-8", "replace") for path in sorted(self.logs()))

    @property
    def statistics(self) -> str:
        """Every statement that is counted or remembered."""
        with self.telling(self.words.statistics) as tell:
            return "\n".join(tell())

    def let_in(self, password: str) -> None:
        """Give the service's user another password, as an administrator does who knows what is logged."""
        with self.telling(self.words.give(password)):
            pass

    @contextmanager
    def telling(self, statement: str) -> Iterator[Callable[[], list[str]]]:
        """An administrator's session, which has executed a statement; asks what it finds now."""
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)

            def again() -> list[str]:
                cursor.execute(statement)
                return [found for (found,) in cursor.fetchall()]

            yield again

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look again and again at what its sessions are doing, in another thread, while the block lasts."""
        done = threading.Event()

        def watch() -> None:
            with self.telling(self.words.activity) as tell:
                while not done.wait(0.001):
                    self.seen |= set(tell())

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


def _nowhere_else(name: str) -> Service:
    raise NotImplementedError(name)


@contextmanager
def open_book(which: str) -> Iterator[Book]:
    """A server that has begun to write: the `usual` PostgreSQL, an `other` version of it, or `mariadb`."""
    if which == "mariadb":
        with running_mariadb(*MARIADB_AT_START) as server:
            for statement in MARIADB_IS_TOLD:
                server.run(statement)
            yield Book(
                server,
                mariadb_ground_on(server, _nowhere_else),
                MARIADB,
                lambda: [*server.data.glob("*.log"), *server.data.glob("binary.[0-9]*")],
            )
    else:
        with running_server(_binaries_of(which)) as postgresql:
            _let_postgresql_write(postgresql)
            log = postgresql.cluster.status().log
            yield Book(
                postgresql,
                ground_on(postgresql, _nowhere_else),
                POSTGRESQL,
                lambda: list(log.parent.iterdir()),
            )


def _binaries_of(which: str) -> Path:
    """The programs of the usual PostgreSQL, or of one of another major version."""
    first, *others = usable(places(None))
    if which == "usual":
        return first.directory
    other = next((each for each in others if each.major != first.major), None)
    if other is None:
        unavailable(f"there is only PostgreSQL {first.major} here")
    return other.directory


def _let_postgresql_write(server: PostgreSQLServer) -> None:
    with server.connect() as connection:
        there = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = %s", [STATISTICS])
        if there.fetchone() is None:
            unavailable(f"this PostgreSQL comes without {STATISTICS}")
        for name, value in AT_START.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.stop()
    server.start()
    with server.connect() as connection:
        connection.execute(f"CREATE EXTENSION {STATISTICS}")
        for name, value in ALL_IT_IS_TOLD.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        connection.execute("SELECT pg_reload_conf()")
