"""What apps of Tethys say of a portal is kept, and raises only when it is used."""

from __future__ import annotations

import importlib
import json
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from penstock import MemoryRegistry, Stores, use
from penstock.compat.tethys import (
    TethysAppBase,
    TethysAppSettingDoesNotExist,
    TethysAppSettingNotAssigned,
    TethysTestCase,
    exceptions,
    roots,
)
from penstock.compat.tethys.app_settings import CustomSetting, JSONCustomSetting, SecretCustomSetting
from penstock.errors import (
    ConfigError,
    ConfigProblems,
    InvalidName,
    NotSupported,
    PenstockError,
    SecretError,
    StoreNotCreated,
    UnknownApp,
)
from penstock.install import legacy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROOT = "penstock.compat.tethys"

IMPORTS = """
from {0}base import TethysAppBase, url_map_maker
from {0}app_settings import CustomSetting, DatasetServiceSetting, JSONCustomSetting
from {0}app_settings import PersistentStoreConnectionSetting, PersistentStoreDatabaseSetting
from {0}app_settings import SchedulerSetting, SecretCustomSetting, SpatialDatasetServiceSetting
from {0}app_settings import WebProcessingServiceSetting
from {0}permissions import Permission, PermissionGroup, has_permission, login_required, permission_required
from {0}routing import consumer, controller, handler, register_controllers, TethysController
from {0}workspaces import app_workspace, get_app_workspace, get_user_workspace, user_workspace
from {0}paths import get_app_media, get_app_public, get_app_resources, get_user_media, TethysPath
from {0}gizmos import *
from {0}gizmos import Button, DataTableView, MapView, MVDraw, MVLayer, MVView, PlotlyView, SelectInput
from {0}testing import TethysTestCase
from {0}jobs import BasicJob, CondorJobTemplate, CondorWorkflow, JobManager
from {0}compute import get_scheduler, list_schedulers
from {0}services import get_dataset_engine, get_spatial_dataset_engine, get_wps_service_engine
from {0}handoff import HandoffHandler
from {0}layouts import MapLayout
from {0}quotas import enforce_quota
"""
"""What apps import, once their root is put in."""

INNER = """
from {0}apps.models import CustomSetting, TethysApp, TethysAppSettingNotAssigned
from {0}apps.base import Permission, TethysAppBase
from {0}apps.base.app_base import TethysAppBase
from {0}apps.base.controller import controller
from {0}apps.base.testing.testing import TethysTestCase
from {0}apps.base.workspace import TethysWorkspace
from {0}apps.decorators import permission_required
from {0}apps.exceptions import TethysAppSettingDoesNotExist
from {0}apps.utilities import get_active_app
from {0}apps.app_installation import find_resource_files
from {0}compute.models import TethysJob
from {0}compute.job_manager import JobManager
from {0}gizmos.gizmo_options import MapView
from {0}layouts.views.map_layout import MapLayout
from {0}services.backends.hs_restclient_helper import get_oauth_hs
from {0}services.utilities import get_dataset_engine
import {0}apps.base.app_base
"""
"""The same of the packages that are not meant for apps, which apps use all the same."""


class Everything(TethysAppBase):
    """An app that declares one of everything."""

    package = "everything"
    root_url = "everything"

    def custom_settings(self) -> tuple[CustomSetting, ...]:
        return (
            CustomSetting(name="title", type=CustomSetting.TYPE_STRING, description="Shown.", required=False),
            CustomSetting(name="most", type=CustomSetting.TYPE_INTEGER, required=True),
            CustomSetting(name="factor", type=CustomSetting.TYPE_FLOAT, required=False, default=1.5),
            CustomSetting(name="enabled", type=CustomSetting.TYPE_BOOLEAN, required=True),
            CustomSetting(name="id", type=CustomSetting.TYPE_UUID, required=True),
            SecretCustomSetting(name="key", required=True),
            JSONCustomSetting(name="shape", required=True),
        )

    def permissions(self) -> Any:
        from penstock.compat.tethys.permissions import Permission, PermissionGroup

        view = Permission(name="view", description="May look.")
        return (view, PermissionGroup(name="viewers", permissions=(view,)))

    def url_maps(self) -> Any:
        from penstock.compat.tethys.base import url_map_maker

        made = url_map_maker(self.root_url)
        return (made(name="home", url="everything", controller="everything.controllers.home"),)

    def job_templates(self) -> Any:
        from penstock.compat.tethys.compute import list_schedulers

        return list_schedulers()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Stores]]:
    """Makes `Stores` in use, from the text of a `penstock.toml`, which is in the working directory."""
    monkeypatch.chdir(tmp_path)
    opened: list[Any] = []

    def make(text: str) -> Stores:
        (tmp_path / "penstock.toml").write_text(text)
        stores = Stores.from_config()
        opened.append(use(stores))
        return opened[-1].__enter__()

    yield make
    for context in opened:
        context.__exit__(None, None, None)


# --- modules --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [IMPORTS, INNER])
def test_only_the_root_of_an_import_changes(text: str) -> None:
    exec(text.format(f"{ROOT}."), {})  # noqa: S102  (it is written above)


def test_the_packages_of_tethys_can_stand_in_by_their_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    roots.stand_in()
    for line in IMPORTS.format("tethys_sdk.").splitlines():
        exec(line, {})  # noqa: S102
    for line in INNER.format("tethys_").splitlines():
        exec(line, {})  # noqa: S102
    import tethys_apps.base.app_base as found

    assert found.TethysAppBase is TethysAppBase
    assert all(name in sys.modules for name in legacy.PACKAGES)


def test_what_needs_a_portal_raises_when_it_is_used_and_says_what_it_was() -> None:
    jobs, models = importlib.import_module(f"{ROOT}.jobs"), importlib.import_module(f"{ROOT}.apps.models")
    layouts = importlib.import_module(f"{ROOT}.layouts")
    own = type("OwnLayout", (layouts.MapLayout,), {"app": Everything})
    uses: dict[str, Callable[[], Any]] = {
        "JobManager": lambda: jobs.JobManager(Everything),
        r"TethysApp.objects.get": lambda: models.TethysApp.objects.get(package="everything"),
        "OwnLayout.as_controller": own.as_controller,
        "get_job_manager": Everything.get_job_manager,
        "get_spatial_dataset_service": lambda: Everything.get_spatial_dataset_service("maps", as_engine=True),
        "set_custom_setting": lambda: Everything.set_custom_setting("title", "x"),
        r"the test client.get": lambda: TethysTestCase.get_test_client().get("/"),
    }
    for name, use_it in uses.items():
        with pytest.raises(NotSupported, match=rf"^{name} needs a portal"):
            use_it()


def test_a_test_case_makes_a_user_that_can_be_handed_over() -> None:
    user = TethysTestCase.create_test_user(username="ann", password="x", email="ann@example.org")
    assert (user.username, user.email, user.is_superuser) == ("ann", "ann@example.org", False)
    assert TethysTestCase.create_test_superuser("root", "x").is_superuser


def test_gizmos_keep_their_arguments() -> None:
    from penstock.compat.tethys.gizmos import Button, MVLayer

    button = Button(display_text="Add", attributes={"id": "add"})
    button.style = "success"
    assert (button["display_text"], button.style, button.attributes) == ("Add", "success", {"id": "add"})
    assert MVLayer("GeoJSON", legend_title="Dams").arguments == ("GeoJSON",)
    with pytest.raises(AttributeError):
        button.no_such_thing  # noqa: B018


# --- controllers ----------------------------------------------------------------------------------


def test_controllers_stay_functions_and_keep_what_the_decorator_was_told() -> None:
    from penstock.compat.tethys.routing import consumer, controller

    @controller
    def home(request: Any) -> str:
        return "home"

    @controller(name="dams", url="everything/dams", permissions_required=["view"])
    def dams(request: Any) -> str:
        return "dams"

    @consumer(name="live", url="everything/live")
    class Live:
        pass

    assert (home(None), dams(None)) == ("home", "dams")
    assert dams.routing == {
        "kind": "controller",
        "name": "dams",
        "url": "everything/dams",
        "permissions_required": ["view"],
    }
    assert Live.routing["kind"] == "consumer"


def test_a_guard_that_nobody_can_ask_lets_nobody_through() -> None:
    from penstock.compat.tethys.permissions import has_permission, login_required, permission_required

    @permission_required("edit", raise_exception=True)
    def edit(request: Any) -> str:
        return "edited"

    @login_required()
    def look(request: Any) -> str:
        return "seen"

    assert edit.guard == {"permissions": ("edit",), "raise_exception": True}
    for refused in (edit, look, login_required(lambda request: "seen")):
        with pytest.raises(NotSupported):
            refused(None)
    with pytest.raises(NotSupported):
        has_permission(None, "edit")


# --- folders --------------------------------------------------------------------------------------


def test_workspaces_are_folders_beside_the_project(site: Callable[[str], Stores], tmp_path: Path) -> None:
    from penstock.compat.tethys.paths import get_app_media, get_user_workspace
    from penstock.compat.tethys.workspaces import app_workspace, user_workspace

    site("")
    workspace = Everything.get_app_workspace()
    assert workspace.path == str(tmp_path / "workspaces" / "everything" / "app_workspace")
    (tmp_path / "workspaces/everything/app_workspace/dams.csv").write_text("1,2")
    assert (workspace.files(), workspace.get_size()) == (["dams.csv"], 3)
    ann = SimpleNamespace(username="ann")
    users = tmp_path / "workspaces" / "everything" / "user_workspaces"
    assert Everything.get_user_workspace(ann).path == str(users / "ann")
    assert get_user_workspace(Everything, SimpleNamespace(user=ann)).path == users / "ann"
    assert get_app_media(Everything).path == tmp_path / "media" / "everything" / "app"

    def controller(request: Any, **folders: Any) -> Any:
        return folders

    controller.__module__ = "everything.controllers"
    request = SimpleNamespace(user=ann)
    given = app_workspace(user_workspace(controller))(request)
    assert given["app_workspace"].path == workspace.path
    assert given["user_workspace"].path == str(users / "ann")
    controller.__module__ = "nowhere.controllers"
    with pytest.raises(UnknownApp):
        app_workspace(controller)(request)


def test_nothing_outside_of_a_workspace_is_removed_or_made(
    site: Callable[[str], Stores], tmp_path: Path
) -> None:
    site("")
    workspace = Everything.get_app_workspace()
    inside = tmp_path / "workspaces/everything/app_workspace"
    for name in ("a", "b"):
        (inside / name).write_text("")
    (inside / "folder").mkdir()
    (inside / "link").symlink_to(tmp_path)
    for outside in (
        "../../../penstock.toml",
        str(tmp_path / "penstock.toml"),
        "",
        ".",
        "..",
        "link/penstock.toml",
    ):
        with pytest.raises(ValueError, match="not in this folder"):
            workspace.remove(outside)
    workspace.clear(exclude=["a"])
    assert [each.name for each in inside.iterdir()] == ["a"]
    assert (tmp_path / "penstock.toml").exists()
    for name in ("../ann", "..", "a/b", "."):
        with pytest.raises(InvalidName):
            Everything.get_user_workspace(SimpleNamespace(username=name))


# --- custom settings ------------------------------------------------------------------------------

GIVEN = """
[apps.everything.settings]
title = "Dams"
most = 50
enabled = false
id = "12345678-1234-5678-1234-567812345678"
key = "file:key"
shape = {kind = "circle", radii = [1, 2]}
"""


def test_a_custom_setting_is_read_from_the_file_by_its_type(
    site: Callable[[str], Stores], tmp_path: Path
) -> None:
    site(GIVEN)
    (tmp_path / "key").write_text("s3cret\n")
    names = ["title", "most", "factor", "enabled", "id", "key", "shape"]
    assert [Everything.get_custom_setting(name) for name in names] == [
        "Dams",
        50,
        1.5,
        False,
        uuid.UUID("12345678-1234-5678-1234-567812345678"),
        "s3cret",
        {"kind": "circle", "radii": [1, 2]},
    ]


def test_a_variable_wins_over_the_file(
    site: Callable[[str], Stores], monkeypatch: pytest.MonkeyPatch
) -> None:
    site(GIVEN)
    given = {"TITLE": "Gages", "MOST": "7", "FACTOR": "2", "ENABLED": "Yes", "KEY": "other", "SHAPE": "[1]"}
    for name, value in given.items():
        monkeypatch.setenv(f"PENSTOCK_SETTING__EVERYTHING__{name}", value)
    names = ["title", "most", "factor", "enabled", "key", "shape"]
    assert [Everything.get_custom_setting(each) for each in names] == ["Gages", 7, 2.0, True, "other", [1]]


def test_a_setting_without_a_value_is_none_or_an_error_and_an_unknown_one_is_the_old_error(
    site: Callable[[str], Stores],
) -> None:
    site("")
    assert Everything.get_custom_setting("title") is None
    with pytest.raises(TethysAppSettingNotAssigned, match="PENSTOCK_SETTING__EVERYTHING__MOST"):
        Everything.get_custom_setting("most")
    with pytest.raises(TethysAppSettingDoesNotExist, match="has no CustomSetting 'nothing'"):
        Everything.get_custom_setting("nothing")


def test_a_value_of_another_type_is_an_error_that_says_where_it_is_and_not_what_it_is(
    site: Callable[[str], Stores], monkeypatch: pytest.MonkeyPatch
) -> None:
    site('[apps.everything.settings]\ntitle = ["hidden"]\nmost = 1.5\nenabled = "perhaps"\nid = "hidden"')
    monkeypatch.setenv("PENSTOCK_SETTING__EVERYTHING__SHAPE", "{hidden")
    for name, where in {"title": "toml:2", "most": "toml:3", "enabled": "toml:4", "shape": "SHAPE"}.items():
        with pytest.raises(ConfigError, match=where) as caught:
            Everything.get_custom_setting(name)
        assert "hidden" not in str(caught.value)
        assert caught.value.__context__ is None


def test_a_secret_is_not_written_into_the_file(site: Callable[[str], Stores]) -> None:
    site('[apps.everything.settings]\nkey = "hidden"')
    with pytest.raises(SecretError, match=r"penstock.toml:2 does not say where it is") as caught:
        Everything.get_custom_setting("key")
    assert "hidden" not in str(caught.value)


def test_the_table_of_an_app_is_checked_with_the_file(site: Callable[[str], Stores]) -> None:
    with pytest.raises(ConfigProblems) as caught:
        site('[apps.lab]\nclass = 3\nsettings = 4\nsetings = {}\n[apps]\nother = "lab"')
    assert [(each.line, each.key) for each in caught.value.problems] == [
        (2, "apps.lab.class"),
        (3, "apps.lab.settings"),
        (4, "apps.lab.setings"),
        (6, "apps.other"),
    ]


def test_all_that_is_declared_is_plain_data_and_no_value_is_among_it(
    site: Callable[[str], Stores],
) -> None:
    site(GIVEN)
    found = {(each.kind, each.name): each for each in Everything.other_declarations()}
    assert found["custom setting", "most"].source == "penstock.toml:4"
    assert (found["custom setting", "factor"].source, found["custom setting", "factor"].required) == (
        "default of the app",
        False,
    )
    assert found["permission", "viewers"].description == "view"
    assert found["page", "home"].description == "everything -> everything.controllers.home"
    assert "list_schedulers needs a portal" in found["job template", ""].description
    assert "Dams" not in str(found)


# --- old errors -----------------------------------------------------------------------------------


def test_apps_raise_the_old_errors_with_their_old_arguments() -> None:
    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        for arguments in ((), ("Words.",), ("several", "words")):
            with pytest.raises(PenstockError) as caught:
                raise kind(*arguments)
            assert str(caught.value) == ", ".join(arguments)
            assert caught.value.args == arguments
    with pytest.raises(TethysAppSettingDoesNotExist, match=r"^App Dams has no CustomSetting 'key'\.$"):
        raise TethysAppSettingDoesNotExist("CustomSetting", "key", "Dams")
    with pytest.raises(StoreNotCreated):
        raise exceptions.PersistentStoreDoesNotExist


def test_a_getter_of_the_wrong_kind_raises_the_old_error() -> None:
    from penstock.compat.tethys import PersistentStoreConnectionSetting, PersistentStoreDatabaseSetting

    class Lab(TethysAppBase):
        package = "lab"

        def persistent_store_settings(self) -> Any:
            return PersistentStoreDatabaseSetting("db"), PersistentStoreConnectionSetting("servers")

    with use(Stores(MemoryRegistry())):
        with pytest.raises(TethysAppSettingDoesNotExist, match="get_persistent_store_connection"):
            Lab.get_persistent_store_database("servers")
        with pytest.raises(TethysAppSettingDoesNotExist, match="get_persistent_store_database"):
            Lab.get_persistent_store_connection("db")


def test_an_error_survives_being_carried_to_another_process() -> None:
    import pickle

    before = TethysAppSettingDoesNotExist("CustomSetting", "key", "Dams")
    after = pickle.loads(pickle.dumps(before))  # noqa: S301  (it is ours)
    assert (str(after), after.args) == (str(before), before.args)
    assert json.dumps(str(after))
