"""Everything that the README and the documentation show is executed, in order."""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg import sql
from sybil import Sybil

from acceptance.terminal import forks
from docs.blocks import parser
from docs.stage import Stage
from fix_mariadb import SERVICE_RIGHTS
from fix_servers import require_program, unavailable
from penstock.embedded import find_binaries
from penstock.errors import BinariesNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_mariadb import MariaDBServer
    from fix_servers import PostgreSQLServer

PROJECT = Path(__file__).parents[2]
DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
EXECUTED = {PROJECT / "README.md", PROJECT / "docs" / "tutorial" / "index.md"}
"""Those whose `penstock` is executed; for the others it is forked, which takes less time."""

SERVER = "db.example.org:5432"
"""In a document, the address of a PostgreSQL server; the one of the test run stands in for it."""

MARIADB = "db.example.org:3306"
"""The same of a MariaDB server, with the user `provisioner`."""

CHECKOUT = "/path/to/penstock"
"""In a document, the folder of the source."""

ROLES = {
    "provisioner": "CREATEDB CREATEROLE",
    "maker": "CREATEDB",
    "guest": "NOCREATEDB",
    "dba": "SUPERUSER",
}
"""The roles on it that documents log in as, with the password `the-password`."""


TABLES = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Gage(Base):
    __tablename__ = "gage"
    number: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
"""

BEGINNINGS = {
    "a module of tables": (f"cat > gages.py <<'END'\n{TABLES}END",),
    "a project": ("penstock init",),
    "a project with an app": ("penstock init", "penstock scaffold my_first_app"),
    "a project with an app, linked": (
        "penstock init",
        "penstock scaffold my_first_app",
        "penstock link local my_first_app:example_db",
    ),
}
"""What a document may begin with, as a comment in it says, instead of an empty directory."""


@pytest.fixture(scope="session")
def beginnings(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the directory of a beginning; each is made once."""

    @cache
    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp("beginning") / "project"
        with Stage(name, {}) as stage:
            for command in BEGINNINGS[name]:
                code, printed = stage.run(command)
                assert code == 0, printed
            shutil.copytree(stage.directory, folder)
        return folder

    return make


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_what_a_document_shows_happens(
    path: Path, beginnings: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    text = path.read_text("utf-8")
    begins_with = re.search(r"^<!-- begins with: (.*) -->$", text, re.MULTILINE)
    stands_for: dict[str, str] = {CHECKOUT: str(PROJECT)} if CHECKOUT in text else {}
    if "penstock db configure" in text:
        require_binaries()
    if "penstock stores shell" in text:
        require_program("sqlite3")
    if SERVER in text:
        server: PostgreSQLServer = request.getfixturevalue("postgresql")
        make_roles(server)
        stands_for[SERVER] = f"127.0.0.1:{server.port}"
    if MARIADB in text:
        mariadb: MariaDBServer = request.getfixturevalue("mariadb")
        mariadb.run("CREATE USER provisioner IDENTIFIED BY 'the-password'")
        mariadb.run(f"GRANT {SERVICE_RIGHTS} ON *.* TO provisioner WITH GRANT OPTION")
        stands_for[MARIADB] = f"127.0.0.1:{mariadb.port}"
    folder = beginnings(begins_with[1]) if begins_with else None
    programs = None if path in EXECUTED else forks().programs
    with Stage(path.relative_to(PROJECT).as_posix(), stands_for, folder, programs) as stage:
        for example in Sybil([parser(stage.play)]).parse(path).examples():
            example.evaluate()


def require_binaries() -> None:
    try:
        find_binaries()
    except BinariesNotFound as error:
        unavailable(str(error))


def make_roles(server: PostgreSQLServer) -> None:
    with server.connect() as connection:
        for name, may in ROLES.items():
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            verb = "CREATE" if known is None else "ALTER"  # A document may have changed the password.
            make = sql.SQL(f"{verb} ROLE {{}} LOGIN {may} PASSWORD 'the-password'")
            connection.execute(make.format(sql.Identifier(name)))
