"""The registry's tables are its revisions' sum; a later release upgrades them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import penstock.registry
from penstock.backends import StoreRole
from penstock.errors import RegistryConflict, RegistryError
from penstock.registry import (
    Credential,
    CredentialState,
    DatabaseRegistry,
    JournalEntry,
    Link,
    Service,
    StoreEntry,
    storage,
    tables,
)
from penstock.schema import Revisions
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_registries import RegistryHome
    from fix_servers import TestServer
    from penstock.registry import Registry

VERSIONS = Path(penstock.registry.__file__).with_name("versions")
AT_ONCE = 6

NEW = Service(name="new", url="sqlite:////srv/new")
MAIN = Service(name="main", url="sqlite:////srv/çoğ", password=SecretRef("env", "MAIN_PW"))
LINK = Link(app="lab", setting="gages", service="main")
STORE = StoreEntry(app="lab", name="gages", service="main", database="Odd Näme", problem='It\'s "dry"; 100%')
CREDENTIAL = Credential(
    id="c" * 32,
    service="main",
    database="Odd Näme",
    role=StoreRole.APP,
    login="lab_gages_app",
    password=SecretRef("sealed", "kçy"),
    state=CredentialState.CURRENT,
    since=datetime(2026, 1, 2, tzinfo=UTC),
)
DONE = JournalEntry(
    who="ada",
    action="add service",
    subject="main",
    result="server-refused: no",
    seconds=1.25,
    at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    detail={"database": "Odd Näme"},
)

REVISION_OF_NEXT_RELEASE = """
import sqlalchemy as sa

revision = "0002"
down_revision = "0001"


def upgrade(op):
    op.execute(sa.text("UPDATE penstock_registry SET format = 2"))
    with op.batch_alter_table("penstock_service") as table:
        table.add_column(sa.Column("note", sa.Text))
    op.execute(sa.text("UPDATE penstock_service SET note = 'of before'"))
"""


def contents(registry: Registry) -> tuple[object, ...]:
    """All that is in a registry."""
    return (
        registry.identity(),
        list(registry.services()),
        list(registry.links()),
        list(registry.stores()),
        list(registry.credentials()),
        list(registry.journal()),
    )


def fill(home: RegistryHome) -> None:
    with home.opened() as registry:
        registry.put_service(MAIN)
        registry.put_link(LINK)
        registry.put_store(STORE)
        registry.put_credentials([CREDENTIAL])
        registry.write_journal(DONE)


@pytest.fixture
def old_home(registry_home: RegistryHome) -> RegistryHome:
    """A registry that this release made; to the next one, it is of an earlier release."""
    fill(registry_home)
    return registry_home


@pytest.fixture
def next_versions(tmp_path: Path) -> Path:
    """The revisions of the next release."""
    versions = tmp_path / "next_versions"
    versions.mkdir()
    shutil.copy(VERSIONS / "0001.py", versions)
    (versions / "0002.py").write_text(REVISION_OF_NEXT_RELEASE)
    return versions


def be_next_release(monkeypatch: pytest.MonkeyPatch, versions: Path) -> None:
    """Let this process be of the next release."""
    monkeypatch.setattr(storage, "_VERSIONS", versions)
    monkeypatch.setattr(tables, "REVISION", "0002")
    monkeypatch.setattr(tables, "FORMAT", 2)


@pytest.fixture
def upgradable(old_home: RegistryHome, next_versions: Path, monkeypatch: pytest.MonkeyPatch) -> RegistryHome:
    """A registry of an earlier release, seen by the next one."""
    be_next_release(monkeypatch, next_versions)
    return old_home


# --- the tables -----------------------------------------------------------------------------------


def test_the_newest_revision_is_the_one_that_this_release_reads() -> None:
    revisions = Revisions(VERSIONS, table=tables.VERSION_TABLE)
    assert revisions.head == tables.REVISION


def differences(home: RegistryHome) -> Any:
    """What the tables in the database have otherwise than those in the code."""
    options = {
        "version_table": tables.VERSION_TABLE,
        "compare_type": True,
        "compare_server_default": True,
        "include_object": lambda thing, name, kind, reflected, other: not name.startswith("sqlite_"),
    }
    with home.engine() as engine, engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, tables.metadata)


def test_a_new_registry_has_the_tables_that_the_code_describes(registry_home: RegistryHome) -> None:
    with registry_home.opened() as registry:
        registry.put_service(NEW)
    assert differences(registry_home) == []


# --- a later release ------------------------------------------------------------------------------


def test_an_upgrade_keeps_what_was_there(
    old_home: RegistryHome, next_versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with old_home.opened() as registry:
        before = contents(registry)
    be_next_release(monkeypatch, next_versions)
    with old_home.opened() as registry:
        assert contents(registry) == before
        assert registry.generation() == 4
    assert old_home.run("SELECT name, note FROM penstock_service") == [("main", "of before")]


def test_an_upgraded_registry_is_written_like_any_other(upgradable: RegistryHome) -> None:
    with upgradable.opened() as registry:
        registry.put_service(NEW)
        (main,) = (service for service in registry.services() if service.name == "main")
        registry.put_service(replace(main, pooled=True), replace=True)
        with pytest.raises(RegistryConflict):
            registry.put_service(replace(main, pooled=False), replace=True)
        registry.put_link(Link(app="lab", setting="gages", service="new"))
        assert registry.generation() == 7
        assert len(registry.journal()) == 1


# --- when -----------------------------------------------------------------------------------------


def test_the_first_reader_upgrades_the_registry_of_an_earlier_release(upgradable: RegistryHome) -> None:
    with upgradable.opened() as registry:
        registry.services()
    assert upgradable.run(f"SELECT version_num FROM {tables.VERSION_TABLE}") == [("0002",)]


def test_an_earlier_release_leaves_alone_what_a_later_one_has_upgraded(
    old_home: RegistryHome, next_versions: Path
) -> None:
    with old_home.opened() as registry:
        registry.services()
        with pytest.MonkeyPatch.context() as monkeypatch:
            be_next_release(monkeypatch, next_versions)
            with old_home.opened() as later:
                later.services()
        with pytest.raises(RegistryError, match="format 2, which this release does not know"):
            registry.put_link(Link(app="lab", setting="other", service="main"))
    with old_home.opened() as registry, pytest.raises(RegistryError, match="format 2"):
        registry.services()
    assert old_home.run("SELECT setting FROM penstock_link") == [("gages",)]


def test_reading_makes_nothing(registry_home: RegistryHome, ground: TestServer) -> None:
    with registry_home.opened() as registry:
        assert registry.services() == []
        assert registry.generation() == 0
    assert "registry" not in ground.databases()
    assert not Path(registry_home.url.removeprefix("sqlite:///")).parent.exists()


def test_an_up_to_date_registry_is_read_and_written_without_alembic(registry_home: RegistryHome) -> None:
    with registry_home.opened() as registry:
        registry.put_service(NEW)
    result = in_processes(registry_home, 1, "registry.put_link(LINK); out = 'alembic' in sys.modules")
    assert result == [False]


@pytest.fixture
def reader(
    postgresql_registry: RegistryHome,
    postgresql_ground: TestServer,
    tmp_path: Path,
    next_versions: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[DatabaseRegistry]:
    """A registry of an earlier release, as a role that may only read it."""
    fill(postgresql_registry)
    be_next_release(monkeypatch, next_versions)
    password = tmp_path / "reader"
    password.write_text("reads")
    password.chmod(0o600)
    url = postgresql_registry.url.replace("penstock@", "registry_reader@")
    registry = DatabaseRegistry(url, password=SecretRef("file", str(password)))
    server = postgresql_ground.server
    assert server is not None
    with server.connect() as connection:
        connection.execute("CREATE ROLE registry_reader LOGIN PASSWORD 'reads' IN ROLE pg_read_all_data")
        connection.execute("GRANT CONNECT ON DATABASE registry TO registry_reader")
        yield registry
        registry.close()
        connection.execute("DROP OWNED BY registry_reader")
        connection.execute("DROP ROLE registry_reader")


def test_a_user_who_may_only_read_is_told_who_can_upgrade(
    reader: DatabaseRegistry, postgresql_registry: RegistryHome
) -> None:
    with pytest.raises(RegistryError, match="earlier release that can't be upgraded") as caught:
        reader.services()
    assert "who may change" in caught.value.hint
    with postgresql_registry.opened() as registry:
        registry.services()
    assert len(reader.services()) == 1


# --- a newer one ----------------------------------------------------------------------------------


NEWER = {
    "revision": (f"UPDATE {tables.VERSION_TABLE} SET version_num = '9999'", "revision 9999"),
    "format": ("UPDATE penstock_registry SET format = 99", "format 99"),
}


@pytest.mark.parametrize(("statement", "said"), NEWER.values(), ids=NEWER)
def test_a_registry_of_a_newer_release_is_left_alone(
    registry_home: RegistryHome, statement: str, said: str
) -> None:
    with registry_home.opened() as registry:
        registry.put_service(NEW)
    registry_home.run(statement)
    with registry_home.opened() as registry:
        for call in (registry.services, registry.generation, lambda: registry.remove_service("new")):
            with pytest.raises(RegistryError, match=said):
                call()


def test_a_running_process_does_not_write_what_a_newer_release_has_upgraded(
    registry_home: RegistryHome,
) -> None:
    with registry_home.opened() as registry:
        registry.put_service(NEW)
        registry_home.run("UPDATE penstock_registry SET format = 99")
        with pytest.raises(RegistryError, match="format 99"):
            registry.remove_service("new")
    assert registry_home.run("SELECT name FROM penstock_service") == [("new",)]


# --- at once --------------------------------------------------------------------------------------

CODE = """
import json, sys
from pathlib import Path
from penstock.registry import DatabaseRegistry, Link, Service, storage, tables
from penstock.secrets import SecretRef
url, password, number, versions = json.loads(sys.argv[1])
if versions:
    storage._VERSIONS, tables.REVISION, tables.FORMAT = Path(versions), "0002", 2
registry = DatabaseRegistry(url, password=SecretRef.parse(password) if password else None)
LINK = Link(app="lab", setting=f"s{number}", service="new")
print("ready", flush=True)
sys.stdin.readline()
"""


def in_processes(home: RegistryHome, count: int, code: str, versions: Path | None = None) -> list[object]:
    """What a line of code leaves in `out` in each of several processes that begin at once.

    With `versions`, they are of the next release.
    """
    program = f"{CODE}{code}\nregistry.close()\nprint(json.dumps(out))"
    password = None if home.password is None else str(home.password)
    folder = None if versions is None else str(versions)
    processes = [
        subprocess.Popen(
            (sys.executable, "-W", "error", "-c", program, json.dumps([home.url, password, number, folder])),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [json.loads(process.communicate(timeout=120)[0]) for process in processes]


def test_processes_that_begin_at_once_make_one_registry(registry_home: RegistryHome) -> None:
    code = "registry.put_link(LINK); out = len(registry.links()) > 0"
    assert in_processes(registry_home, AT_ONCE, code) == [True] * AT_ONCE
    with registry_home.opened() as registry:
        assert len(registry.links()) == registry.generation() == AT_ONCE
    assert differences(registry_home) == []


def test_processes_that_begin_at_once_upgrade_an_old_registry_once(
    old_home: RegistryHome, next_versions: Path
) -> None:
    code = "registry.put_link(LINK); out = registry.identity().id"
    identities = in_processes(old_home, AT_ONCE, code, next_versions)
    assert len({str(found) for found in identities}) == 1
    assert old_home.run("SELECT format FROM penstock_registry") == [(2,)]
    assert old_home.run("SELECT count(*) FROM penstock_link") == [(1 + AT_ONCE,)]
    assert old_home.run("SELECT note FROM penstock_service") == [("of before",)]


def test_threads_that_begin_at_once_upgrade_a_registry(upgradable: RegistryHome) -> None:
    errors = put_at_once(upgradable)
    assert errors == []
    assert upgradable.run("SELECT format FROM penstock_registry") == [(2,)]
    assert upgradable.run("SELECT count(*) FROM penstock_link") == [(1 + AT_ONCE,)]


def test_threads_that_begin_at_once_make_one_registry(registry_home: RegistryHome) -> None:
    assert put_at_once(registry_home) == []
    assert registry_home.run("SELECT count(*) FROM penstock_link") == [(AT_ONCE,)]
    assert differences(registry_home) == []


def put_at_once(home: RegistryHome) -> list[Exception]:
    """What goes wrong when threads with two registry objects write at once, before any has read."""
    begin, errors = Barrier(AT_ONCE), []

    def work(registry: DatabaseRegistry, number: int) -> None:
        begin.wait(60)
        try:
            registry.put_link(Link(app="new", setting=f"s{number}", service="main"))
        except Exception as error:
            errors.append(error)

    with home.opened() as one, home.opened() as other:
        threads = [Thread(target=work, args=((one, other)[n % 2], n)) for n in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return errors
