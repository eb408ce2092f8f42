"""The registry's tables are its revisions' sum; the last release's upgrade."""

from __future__ import annotations

import json
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
from penstock.errors import RegistryConflict, RegistryError
from penstock.registry import Assignment, DatabaseRegistry, Service, StoreEntry, StoreState, tables
from penstock.schema import Revisions
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_registries import RegistryHome
    from fix_servers import Ground

VERSIONS = Path(penstock.registry.__file__).with_name("versions")
DUMPS = Path(__file__).with_name("dumps")
AT_ONCE = 6

NEW = Service(name="new", url="sqlite:////srv/new")


def dump_of(home: RegistryHome, release: str = "0.1.0") -> str:
    """A registry that a release made, as it was stored."""
    return (DUMPS / f"{release}.{home.kind}.sql").read_text("utf-8")


@pytest.fixture
def old_home(registry_home: RegistryHome) -> RegistryHome:
    """A registry that release 0.1.0 made."""
    registry_home.load(dump_of(registry_home))
    return registry_home


# --- the tables -----------------------------------------------------------------------------------


def test_the_newest_revision_is_the_one_that_this_release_reads() -> None:
    revisions = Revisions(VERSIONS, table=tables.VERSION_TABLE)
    assert (revisions.names[0], revisions.head) == (tables.FIRST, tables.REVISION)


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


def test_an_upgraded_registry_has_the_tables_that_the_code_describes(old_home: RegistryHome) -> None:
    assert differences(old_home) != []
    with old_home.opened() as registry:
        registry.put_service(NEW)
    assert differences(old_home) == []


# --- what was in them -----------------------------------------------------------------------------


def test_an_upgrade_keeps_every_service(old_home: RegistryHome) -> None:
    with old_home.opened() as registry:
        services = {service.name: service for service in registry.services()}
    assert list(services) == ["files", "main", "old one"]
    assert services["main"] == Service(
        name="main",
        url="postgresql+psycopg://provisioner@db.example.org:5432",
        password=SecretRef("env", "MAIN_PW"),
        admin_url="postgresql+psycopg://dba@db.example.org:5432/postgres",
        admin_password=SecretRef("file", "/run/secrets/admin"),
    )
    assert services["files"] == Service(name="files", url="sqlite+pysqlite:////srv/new-stores")
    assert services["old one"].password == SecretRef("file", "/srv/çoğ/'pw'")
    assert len({service.id for service in services.values() if len(service.id) == 32}) == 3
    assert {service.version for service in services.values()} == {1}


def test_an_upgrade_keeps_every_link_and_store(old_home: RegistryHome) -> None:
    with old_home.opened() as registry:
        links, stores = registry.assignments(), registry.stores()
    assert links == [
        Assignment(app="lab", setting="basins", service="main"),
        Assignment(app="lab", setting="gages", service="main"),
        Assignment(app="lab", setting="servers", service="files"),
    ]
    bear = {"state": StoreState.FAILED, "problem": STORED_PROBLEM}
    lab = StoreEntry(app="lab", name="gages", service="main", database="lab_gages", state=StoreState.READY)
    basin = replace(lab, kind="basins", dynamic=True)
    assert stores == [
        replace(basin, name="basins.bear", database="lab_basins_bear", **bear),
        replace(basin, name="basins.logan", database="lab_basins_logan"),
        replace(lab, service="files", state=StoreState.LEFT),
        lab,
        StoreEntry(
            app="lab",
            name="plain",
            service="files",
            database="lab_plain",
            dynamic=True,
            connection="servers",
            initializer="lab.init:seed",
            spatial=True,
        ),
        replace(lab, app="other", name="things", service="old one", database="Odd Näme"),
    ]
    assert {row.version for row in (*links, *stores)} == {1}


STORED_PROBLEM = 'Initializer lab.seed failed. It\'s "dry"; 100%: no water'


def test_an_upgrade_keeps_the_journal(old_home: RegistryHome) -> None:
    with old_home.opened() as registry:
        journal = registry.journal()
    newest, oldest = journal[0], journal[-1]
    assert len(journal) == 11
    assert (newest.who, newest.action, newest.result, newest.seconds) == (
        "grace", "sync store", "server-refused: no", 1.25,
    )  # fmt: skip
    assert newest.at == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert newest.detail == {"service": "main", "database": "lab_gages"}
    assert (oldest.who, oldest.action, oldest.subject) == ("ada", "add service", "main")


def test_an_upgraded_registry_is_written_like_any_other(old_home: RegistryHome) -> None:
    with old_home.opened() as registry:
        registry.put_service(NEW)
        (main,) = (service for service in registry.services() if service.name == "main")
        registry.put_service(replace(main, pooled=True), replace=True)
        with pytest.raises(RegistryConflict):
            registry.put_service(replace(main, pooled=False), replace=True)
        registry.put_assignment(Assignment(app="lab", setting="gages", service="new"))
        assert registry.generation() == 3
        assert len(registry.journal()) == 11


# --- when -----------------------------------------------------------------------------------------


def test_the_first_reader_upgrades_the_registry_of_an_earlier_release(old_home: RegistryHome) -> None:
    with old_home.opened() as registry:
        assert registry.generation() == 0
    assert old_home.run(f"SELECT version_num FROM {tables.VERSION_TABLE}") == [(tables.REVISION,)]


def test_an_earlier_release_sees_that_the_format_is_not_its_own(old_home: RegistryHome) -> None:
    with old_home.opened() as registry:
        registry.services()
    assert old_home.run("SELECT format FROM penstock_registry") == [(tables.FORMAT,)]


def test_reading_makes_nothing(registry_home: RegistryHome, ground: Ground) -> None:
    with registry_home.opened() as registry:
        assert registry.services() == []
        assert registry.generation() == 0
    assert "registry" not in ground.databases()
    assert not Path(registry_home.url.removeprefix("sqlite:///")).parent.exists()


def test_an_up_to_date_registry_is_read_and_written_without_alembic(registry_home: RegistryHome) -> None:
    with registry_home.opened() as registry:
        registry.put_service(NEW)
    result = in_processes(registry_home, 1, "registry.put_assignment(LINK); out = 'alembic' in sys.modules")
    assert result == [False]


@pytest.fixture
def reader(
    postgresql_registry: RegistryHome, postgresql_ground: Ground, tmp_path: Path
) -> Iterator[DatabaseRegistry]:
    """A registry of release 0.1.0, as a role that may only read it."""
    postgresql_registry.load(dump_of(postgresql_registry))
    password = tmp_path / "reader"
    password.write_text("reads")
    password.chmod(0o600)
    url = postgresql_registry.url.replace("penstock@", "registry_reader@")
    registry = DatabaseRegistry(url, password=SecretRef("file", str(password)))
    server = postgresql_ground.server
    assert server is not None
    with server.connect() as connection:
        connection.execute("CREATE ROLE registry_reader LOGIN PASSWORD 'reads' IN ROLE pg_read_all_data")
        yield registry
        registry.close()
        connection.execute("DROP ROLE registry_reader")


def test_a_user_who_may_only_read_is_told_who_can_upgrade(
    reader: DatabaseRegistry, postgresql_registry: RegistryHome
) -> None:
    with pytest.raises(RegistryError, match="earlier release that can't be upgraded") as caught:
        reader.services()
    assert "who may change" in caught.value.hint
    with postgresql_registry.opened() as registry:
        registry.services()
    assert len(reader.services()) == 3


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
from penstock.registry import Assignment, DatabaseRegistry, Service
from penstock.secrets import SecretRef
url, password, number = json.loads(sys.argv[1])
registry = DatabaseRegistry(url, password=SecretRef.parse(password) if password else None)
LINK = Assignment(app="lab", setting=f"s{number}", service="new")
print("ready", flush=True)
sys.stdin.readline()
"""


def in_processes(home: RegistryHome, count: int, code: str) -> list[object]:
    """What a line of code leaves in `out` in each of several processes that begin at once."""
    program = f"{CODE}{code}\nregistry.close()\nprint(json.dumps(out))"
    password = None if home.password is None else str(home.password)
    processes = [
        subprocess.Popen(
            (sys.executable, "-W", "error", "-c", program, json.dumps([home.url, password, number])),
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
    code = "registry.put_assignment(LINK); out = len(registry.assignments()) > 0"
    assert in_processes(registry_home, AT_ONCE, code) == [True] * AT_ONCE
    with registry_home.opened() as registry:
        assert len(registry.assignments()) == registry.generation() == AT_ONCE
    assert differences(registry_home) == []


def test_processes_that_begin_at_once_upgrade_an_old_registry_once(old_home: RegistryHome) -> None:
    code = "out = sorted(service.id for service in registry.services()); registry.put_assignment(LINK)"
    identities = in_processes(old_home, AT_ONCE, code)
    assert len({str(found) for found in identities}) == 1
    with old_home.opened() as registry:
        assert len(registry.assignments()) == 3 + AT_ONCE
    assert differences(old_home) == []


def test_threads_that_begin_at_once_make_and_upgrade_registries(old_home: RegistryHome) -> None:
    begin, errors = Barrier(AT_ONCE), []

    def work(registry: DatabaseRegistry, number: int) -> None:
        begin.wait(60)
        try:
            registry.put_assignment(Assignment(app="new", setting=f"s{number}", service="main"))
        except Exception as error:
            errors.append(error)

    with old_home.opened() as one, old_home.opened() as other:
        threads = [Thread(target=work, args=((one, other)[n % 2], n)) for n in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(one.assignments()) == 3 + AT_ONCE
    assert differences(old_home) == []
