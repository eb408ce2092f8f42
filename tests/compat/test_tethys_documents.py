"""What the two documents on Tethys show, run with another import root."""

from __future__ import annotations

import importlib
import re
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import URL, Engine, create_engine, func, select
from sqlalchemy.orm import Session

from compat.snippets import directive_blocks, document, marked_blocks, with_new_roots
from fix_apps import all_ok
from fix_servers import require_spatial
from penstock import MemoryRegistry, Stores, use
from penstock.errors import NotSupported, WrongSetting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from fix_servers import TestServer
    from penstock import App

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.MovedIn20Warning")

BASE = "from penstock.compat.tethys import TethysAppBase\n"
SETTINGS = "PersistentStoreDatabaseSetting, PersistentStoreConnectionSetting"
INITIALIZERS = """
def init_spatial_db(engine, first_time):
    pass

def init_temp_db(engine, first_time):
    pass
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Writes the modules of a package; gives its `app`, forgotten after the test."""
    written: set[str] = set()
    folder = tmp_path / "apps"
    monkeypatch.syspath_prepend(str(folder))

    def make(package: str, **modules: str) -> ModuleType:
        place = folder / package
        place.mkdir(parents=True, exist_ok=True)
        (place / "__init__.py").touch()
        for name, code in modules.items():
            (place / f"{name}.py").write_text(with_new_roots(code))
        written.add(package)
        importlib.invalidate_caches()
        return importlib.import_module(f"{package}.app")

    yield make
    for name in [name for name in sys.modules if name.partition(".")[0] in written]:
        del sys.modules[name]


@pytest.fixture
def stores(ground: TestServer) -> Iterator[Stores]:
    """`Stores` in use, with a service on every kind of server."""
    registry = MemoryRegistry()
    registry.put_service(ground.service)
    with Stores(registry) as stores, use(stores):
        yield stores


def python(number: int) -> str:
    """A piece of Python of the first document."""
    return marked_blocks(document("000"), "python")[number]


def link(stores: Stores, app: type[App]) -> type[App]:
    """Link the service to every setting of an app."""
    stores.register(app)
    for setting in app.declaration().settings:
        stores.links.add("main", app, setting.name)
    return app


def run(package: str, code: str) -> dict[str, Any]:
    """Run a piece of code as a module of an app's package; what it names."""
    package_folder = Path(str(importlib.import_module(package).__file__)).parent
    (package_folder / "controllers.py").write_text(code)
    importlib.invalidate_caches()
    return runpy.run_module(f"{package}.controllers")


@pytest.fixture
def my_first_app(write: Callable[..., ModuleType], stores: Stores) -> type[App]:
    """The app of the first document, linked."""
    model = python(1) + "\nfrom .init_stores import init_example_db\n"
    found = write("my_first_app", app=python(0), model=model, init_stores=python(2)).MyFirstApp
    return link(stores, found)


@pytest.fixture
def appsettings(write: Callable[..., ModuleType], stores: Stores, ground: TestServer) -> type[App]:
    """The app of its example of settings, linked."""
    require_spatial(ground)
    return link(stores, write("appsettings", app=BASE + python(5), model=INITIALIZERS).MyFirstApp)


# --- the first document ---------------------------------------------------------------------------


def test_the_document_has_the_pieces_that_are_tested_here() -> None:
    blocks = marked_blocks(document("000"), "python")
    assert [block.splitlines()[0] if block.strip() else "" for block in blocks] == [
        "from tethys_sdk.base import TethysAppBase",
        "from sqlalchemy.ext.declarative import declarative_base",
        "from sqlalchemy.orm import sessionmaker",
        "Base.metadata.create_all(engine)",
        "",  # A command, see below.
        f"from tethys_sdk.app_settings import {SETTINGS}",
        *["from .app import MyFirstApp as app"] * 7,
    ]


def test_importing_the_app_needs_no_registry_and_no_server(write: Callable[..., ModuleType]) -> None:
    with use(Stores(MemoryRegistry())):
        app = write("my_first_app", app=python(0)).MyFirstApp
        assert app.package == "my_first_app"
        [setting] = app.declaration().databases
    assert (setting.name, setting.required, setting.spatial) == ("example_db", True, False)


def test_the_database_is_made_and_filled_once(
    stores: Stores, my_first_app: type[App], ground: TestServer
) -> None:
    for _ in range(2):
        all_ok(stores, my_first_app)
    assert ground.databases() == {"my_first_app_example_db"}
    gage = sys.modules["my_first_app.model"].StreamGage
    with Session(my_first_app.get_persistent_store_database("example_db")) as session:
        assert session.scalars(select(gage.latitude).order_by(gage.id)).all() == pytest.approx(
            [40.23812952992122, 40.238784729316215]
        )


def test_the_databases_of_an_app_are_used_as_shown(stores: Stores, my_first_app: type[App]) -> None:
    all_ok(stores, my_first_app)
    gage = sys.modules["my_first_app.model"].StreamGage
    named = run("my_first_app", python(7))
    assert isinstance(named["db_engine"], Engine)
    assert isinstance(named["db_url"], URL)
    with named["session"] as session:
        assert session.scalar(select(func.count()).select_from(gage)) == 2
    other = create_engine(named["db_url"])
    with other.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(gage)) == 2
    other.dispose()


def test_the_lists_are_as_shown(my_first_app: type[App]) -> None:
    assert run("my_first_app", python(8))["ps_connections"] == []
    assert run("my_first_app", python(9))["ps_databases"] == ["example_db"]


def test_a_store_exists_once_it_is_there_and_its_engine_is_had_as_shown(
    stores: Stores, my_first_app: type[App]
) -> None:
    before = run("my_first_app", python(10))
    assert before["result"] is False
    assert "engine" not in before
    all_ok(stores, my_first_app)
    after = run("my_first_app", python(10))
    assert after["result"] is True
    assert after["engine"] is my_first_app.get_persistent_store_database("example_db")


def test_settings_are_declared_as_shown(appsettings: type[App]) -> None:
    declared = appsettings.declaration()
    assert [(each.name, each.required) for each in declared.connections] == [
        ("primary", True),
        ("creator", False),
    ]
    assert [(each.name, each.required, each.spatial) for each in declared.databases] == [
        ("spatial_db", True, True),
        ("temp_db", False, False),
    ]


def test_the_stores_of_the_example_of_settings_are_made(
    stores: Stores, appsettings: type[App], ground: TestServer
) -> None:
    all_ok(stores, appsettings)
    assert ground.databases() == {"appsettings_spatial_db", "appsettings_temp_db"}


def test_connections_are_used_as_shown_but_for_the_getter_that_is_mixed_up(
    appsettings: type[App], ground: TestServer
) -> None:
    slip = "app.get_persistent_store_database('primary', as_sessionmaker=True)"
    meant = slip.replace("database", "connection")
    assert slip in python(6)
    if ground.kind == "sqlite":
        with pytest.raises(NotSupported, match="get_persistent_store_database"):
            run("appsettings", python(6))
        return
    with pytest.raises(WrongSetting, match=r"get_persistent_store_connection\('primary'\)"):
        run("appsettings", python(6))
    named = run("appsettings", python(6).replace(slip, meant))
    assert isinstance(named["conn_engine"], Engine)
    assert isinstance(named["conn_url"], URL)
    with named["session"] as session:
        assert session.scalar(select(1)) == 1


def test_a_store_is_made_and_dropped_at_run_time_as_shown(appsettings: type[App], ground: TestServer) -> None:
    for _ in range(2):
        named = run("appsettings", python(11))
        assert named["result"] is True
        with named["engine"].connect() as connection:
            assert connection.scalar(select(1)) == 1
    assert ground.databases() == {"appsettings_example_db"}
    assert appsettings.list_persistent_store_databases(dynamic_only=True) == ["example_db"]
    for _ in range(2):
        assert run("appsettings", python(12))["result"] is True
    assert not appsettings.persistent_store_exists("example_db")


def test_the_signatures_of_the_document_are_those_of_the_methods() -> None:
    import inspect

    from penstock.compat.tethys import TethysAppBase

    text = document("000")
    shown = re.findall(r"^classmethod TethysAppBase\.(\w+)\((.*)\)$", text, re.MULTILINE)
    assert len(shown) == 7
    for name, arguments in shown:
        signature = inspect.signature(getattr(TethysAppBase, name))
        found = ", ".join(
            each.name if each.default is each.empty else f"{each.name}={each.default!r}"
            for each in signature.parameters.values()
        )
        assert (name, found) == (name, arguments)


# --- the second document --------------------------------------------------------------------------


def test_the_recipes_setting_is_declared_linked_and_synced(
    write: Callable[..., ModuleType], stores: Stores, ground: TestServer
) -> None:
    [declared] = directive_blocks(document("001"), "python")
    model = python(1) + "\nfrom .init_stores import init_primary_db\n"
    initializer = python(2).replace("init_example_db", "init_primary_db")
    app = link(stores, write("your_app", app=BASE + declared, model=model, init_stores=initializer).App)
    all_ok(stores, app)
    assert ground.databases() == {"your_app_primary_db"}
    with Session(app.get_persistent_store_database("primary_db")) as session:
        assert session.scalar(select(func.count()).select_from(sys.modules["your_app.model"].StreamGage)) == 2
