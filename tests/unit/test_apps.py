"""Apps are found wherever they are named; one that is broken hides no other."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock import MemoryRegistry, Stores
from penstock.apps import find_apps, named_packages
from penstock.errors import AppUnsafe, UnknownApp
from penstock.registry import Link
from penstock.registry.file import FileConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APP = """
from penstock import App, Database

class {name}(App):
    package = "{package}"
    main = Database("Its store.")
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Makes modules in the working directory, which is a project, forgotten after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    ours = ("t_", "given_", "tethysapp")
    for name in [name for name in sys.modules if name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, name)  # A namespace package keeps the folders it was found in.

    def write(path: str, text: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    yield write
    for name in [name for name in sys.modules if name.startswith(ours)]:
        del sys.modules[name]
    sys.path_importer_cache.clear()


def stores_of(*linked: str, config: bool = True) -> Stores:
    """`Stores` whose registry remembers settings of these apps, with a `penstock.toml` or without."""
    registry = MemoryRegistry()
    for app in linked:
        registry.put_link(Link(app=app, setting="main", service="local"))
    stores = Stores(registry)
    stores.config = FileConfig(path=Path.cwd() / "penstock.toml") if config else None
    return stores


def test_a_given_class_is_registered_under_its_package(make: Callable[..., Path]) -> None:
    make("given_one.py", APP.format(name="One", package="t_one"))
    stores = stores_of()
    [found] = [app for app in find_apps(stores, ["given_one:One"]) if app.package == "t_one"]
    assert (found.target, found.where, found.error) == ("given_one:One", "--app given_one:One", None)
    assert [app.package for app in stores.apps] == ["t_one"]


@pytest.mark.parametrize("path", ["t_here/__init__.py", "t_here.py"])
def test_a_package_of_a_project_is_found_when_it_is_named(make: Callable[..., Path], path: str) -> None:
    file = make(path, APP.format(name="Here", package="t_here"))
    stores = stores_of()
    apps = find_apps(stores)
    assert not list(apps)
    assert apps.get("t_here").package == "t_here"
    assert [app.where for app in apps] == [str(file)]


@pytest.mark.parametrize("path", ["t_here/app.py", "tethysapp/t_here/app.py"])
def test_a_package_of_a_project_is_found_without_being_named(make: Callable[..., Path], path: str) -> None:
    make(path, APP.format(name="Here", package="t_here"))
    make("t_web/app.py", "raise SystemExit('some other framework, never imported')")
    make("t_broken/app.py", "import penstock, no_such_module")
    apps = find_apps(stores_of())
    assert [app.package for app in apps if app.error is None] == ["t_here"]
    assert [app.package for app in apps.broken] == ["t_broken"]


@pytest.mark.parametrize("path", ["t_here/app.py", "tethysapp/t_here/app.py", "t_here.py"])
def test_a_package_of_a_folder_without_penstock_toml_is_not_imported(
    make: Callable[..., Path], path: str
) -> None:
    make(path, "import penstock; raise SystemExit('imported')")
    stores = stores_of("t_here", config=False)
    apps = find_apps(stores)
    assert not list(apps)
    with pytest.raises(UnknownApp, match="There is no app 't_here'"):
        apps.get("t_here")


def test_a_folder_below_that_of_penstock_toml_is_not_searched(
    make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = stores_of()
    file = make("below/t_here/app.py", "import penstock; raise SystemExit('imported')")
    monkeypatch.chdir(file.parent.parent)
    assert not list(find_apps(stores))


def test_a_given_class_is_found_in_the_working_directory_without_penstock_toml(
    make: Callable[..., Path],
) -> None:
    make("given_one.py", APP.format(name="One", package="t_one"))
    assert [app.package for app in find_apps(stores_of(config=False), ["given_one:One"])] == ["t_one"]


@pytest.mark.parametrize("path", ["t_open/app.py", "t_open/model.py", "t_open/__init__.py"])
def test_an_app_that_every_user_may_change_is_broken_and_says_who_may(
    make: Callable[..., Path], path: str
) -> None:
    make("t_open/__init__.py", "")
    make("t_open/model.py", "")
    make("t_open/app.py", "import t_open.model\n" + APP.format(name="Open", package="t_open"))
    make("t_good/app.py", APP.format(name="Good", package="t_good"))
    file = Path(path).absolute()
    file.chmod(0o666)
    stores = stores_of("t_open")
    apps = find_apps(stores)
    assert [app.package for app in stores.apps] == ["t_good"]
    assert stores.unused.broken_apps.keys() == {"t_open"}
    with pytest.raises(AppUnsafe, match=r"The app t_open\.app is not imported") as raised:
        apps.get("t_open")
    assert raised.value.why == (
        f"{file} can be changed by every user, so it is not trusted. Its mode is -rw-rw-rw-."
    )
    assert raised.value.hint == f"Read it; then: chmod o-w {file}"


def test_a_named_pipe_in_place_of_an_app_holds_nobody_up(make: Callable[..., Path]) -> None:
    make("t_here/app.py", APP.format(name="Here", package="t_here"))
    Path("t_a_pipe").mkdir()
    os.mkfifo("t_a_pipe/app.py")
    assert [app.package for app in find_apps(stores_of())] == ["t_here"]


def test_apps_are_named_without_being_imported(make: Callable[..., Path]) -> None:
    make("t_here/app.py", "import penstock; raise SystemExit('imported')")
    stores = stores_of("t_linked")
    assert stores.config is not None
    stores.config = FileConfig(path=stores.config.path, apps={"t_listed": "t_elsewhere.app:Listed"})
    named = named_packages(stores, ["t_given.app:Given", "tethysapp.t_old.app:Old"])
    assert [name for name in named if name.startswith("t_")] == [
        *("t_given", "t_here", "t_linked", "t_listed", "t_old"),
    ]


def test_what_the_registry_remembers_is_found_without_being_named(make: Callable[..., Path]) -> None:
    make("t_known/__init__.py", APP.format(name="Known", package="t_known"))
    make("t_other/__init__.py", APP.format(name="Other", package="t_other"))
    assert [app.package for app in find_apps(stores_of("t_known", "t_gone", "not-a-name"))] == ["t_known"]


def test_what_the_registry_remembers_is_not_imported_from_anywhere_else(make: Callable[..., Path]) -> None:
    find_apps(stores_of("antigravity", "this"))
    assert not {"antigravity", "this"} & set(sys.modules)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import t_nothing", "No module named 't_nothing'"),
        ("def (", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("Bad = 3", "is no subclass of penstock.App"),
        ("", "has no attribute 'Bad'"),
    ],
)
def test_a_broken_app_is_kept_with_its_cause(make: Callable[..., Path], text: str, cause: str) -> None:
    make("t_bad.py", text)
    make("t_good.py", APP.format(name="Good", package="t_good"))
    stores = stores_of()
    apps = find_apps(stores, ["t_bad:Bad", "t_good:Good"])
    assert "t_good" in [app.package for app in stores.apps]
    [broken] = apps.broken
    assert broken.package == "t_bad"
    with pytest.raises(UnknownApp, match="t_bad:Bad can't be used") as raised:
        apps.get("t_bad")
    assert cause in raised.value.why
    assert raised.value.__cause__ is not None


def test_an_app_of_a_project_that_fails_is_no_unknown_one(make: Callable[..., Path]) -> None:
    make("t_fails/app.py", "import t_nothing_of_the_kind")
    with pytest.raises(UnknownApp) as raised:
        find_apps(stores_of()).get("t_fails")
    assert "t_nothing_of_the_kind" in raised.value.why
    assert "t_fails/app.py:1" in raised.value.why


def test_a_name_that_nobody_has_is_explained(make: Callable[..., Path]) -> None:
    make("t_known.py", APP.format(name="Known", package="t_known"))
    apps = find_apps(stores_of(), ["t_known:Known"])
    with pytest.raises(UnknownApp, match="There is no app 't_know'") as raised:
        apps.get("t_know")
    assert raised.value.hint == "Did you mean t_known?"
    for name in ("json", "not-a-name", "a:b", ""):
        with pytest.raises(UnknownApp):
            apps.get(name)


def test_the_first_one_of_a_package_wins(make: Callable[..., Path]) -> None:
    make("t_a.py", APP.format(name="A", package="t_same"))
    make("t_b.py", APP.format(name="B", package="t_same"))
    [found] = [app for app in find_apps(stores_of(), ["t_b:B", "t_a:A"]) if app.package == "t_same"]
    assert found.target == "t_b:B"
