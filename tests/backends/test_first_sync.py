"""A sync that failed before anything was made leaves nothing to remember."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url

from fix_apps import all_ok, count, make_lab, seed_with_tables
from fix_roles import WORDS
from penstock import App, Database, Stores, use
from penstock.errors import InitializerError, PenstockError, PermissionRefused, ServerError, StoreNotOurs
from penstock.provision.status import Health
from penstock.registry import Service, StoreState
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer


_POOR = {
    "postgresql": ("CREATE ROLE poor LOGIN PASSWORD 'poor'", "DROP ROLE poor"),
    "mariadb": ("CREATE USER poor@'%' IDENTIFIED BY 'poor'", "DROP USER poor@'%'"),
}
"""Makes and drops a user who may do nothing but log in."""


def refuse(session: object, first_time: bool) -> None:
    """An initializer that fails."""
    raise RuntimeError("no seeds today")


def one_of(initializer: str | Callable[..., object] = seed_with_tables) -> type[App]:
    """An app with one store."""

    class One(App):
        package = "one"
        gages = Database("Every gage.", initializer=initializer)

    return One


def failure(desk: Stores, app: type[App]) -> PenstockError:
    """Why the sync of an app with one store to sync failed."""
    (result,) = desk.sync(app)
    assert result.error is not None
    return result.error


def away(ground: TestServer) -> Service:
    """A service at an address where nothing answers."""
    return replace(ground.service, name="away", url=ground.nowhere, admin_url=None, admin_password=None)


def test_a_server_that_does_not_answer_leaves_no_entry(
    ground: TestServer, desk_on: Callable[..., Stores]
) -> None:
    app = one_of()
    desk = desk_on(replace(ground, service=away(ground)), app)
    assert isinstance(failure(desk, app), ServerError)
    assert desk.registry.stores() == []
    assert desk.status(app)[0].health is Health.UNREACHABLE


@pytest.mark.parametrize("path", ["nowhere.seed", "fix_apps.sow", "fix_apps.Gage"])
def test_an_initializer_that_can_not_be_called_leaves_no_entry(
    ground: TestServer, desk_on: Callable[..., Stores], path: str
) -> None:
    app = one_of(path)
    desk = desk_on(ground, app)
    assert isinstance(failure(desk, app), InitializerError)
    assert desk.registry.stores() == []
    assert ground.databases() == set()


def test_a_database_of_somebody_else_leaves_no_entry(
    ground: TestServer, desk_on: Callable[..., Stores]
) -> None:
    app = one_of()
    ground.make_database("one_gages")
    ground.run_sql("one_gages", "CREATE TABLE theirs (id integer)")
    desk = desk_on(ground, app)
    assert isinstance(failure(desk, app), StoreNotOurs)
    assert desk.registry.stores() == []


def test_a_database_that_the_server_refuses_to_make_leaves_no_entry(
    server_ground: TestServer, desk_on: Callable[..., Stores], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, home = one_of(), WORDS[server_ground.kind].home
    make, drop = _POOR[server_ground.kind]
    server_ground.run_sql(home, make)
    try:
        url = make_url(server_ground.service.url).set(username="poor").render_as_string()
        monkeypatch.setenv("POOR", "poor")
        poor = Service(name="poor", url=url, password=SecretRef("env", "POOR"))
        desk = desk_on(replace(server_ground, service=poor), app)
        assert isinstance(failure(desk, app), PermissionRefused)
        assert desk.registry.stores() == []
    finally:
        server_ground.run_sql(home, drop)


def test_what_was_made_is_remembered_with_the_reason(
    ground: TestServer, desk_on: Callable[..., Stores]
) -> None:
    app = one_of(refuse)
    desk = desk_on(ground, app)
    assert isinstance(failure(desk, app), InitializerError)
    [entry] = desk.registry.stores()
    assert (entry.state, entry.database) == (StoreState.FAILED, "one_gages")
    assert "no seeds today" in entry.problem
    assert ground.databases() == {"one_gages"}


def test_a_store_that_is_known_keeps_its_entry_when_its_server_goes_away(
    ground: TestServer, desk_on: Callable[..., Stores]
) -> None:
    app = one_of()
    desk = desk_on(ground, app)
    all_ok(desk, app)
    nowhere = away(ground)
    desk.operator.edit_service(replace(nowhere, name=ground.service.name))
    assert isinstance(failure(desk, app), ServerError)
    [entry] = desk.registry.stores()
    assert entry.state is StoreState.FAILED
    desk.operator.edit_service(ground.service)
    all_ok(desk, app)
    assert desk.registry.stores()[0].state is StoreState.READY


def test_a_store_that_could_not_move_is_not_left_behind(
    ground: TestServer, desk_on: Callable[..., Stores]
) -> None:
    app = one_of()
    with use(desk_on(ground, app)) as desk:
        all_ok(desk, app)
        desk.registry.put_service(away(ground))
        desk.link("away", app, "gages")
        assert isinstance(failure(desk, app), ServerError)
        [entry] = desk.registry.stores()
        assert (entry.service, entry.state) == (ground.service.name, StoreState.READY)
        desk.link(ground.service.name, app, "gages")
        assert desk.orphans() == []
        assert count(app.gages) == 2


def test_a_store_of_a_kind_that_could_not_be_made_is_not_listed(
    ground: TestServer, desk_on: Callable[..., Stores]
) -> None:
    lab = make_lab()
    desk = desk_on(replace(ground, service=away(ground)), lab)
    with pytest.raises(ServerError):
        desk.create(lab, "basins.logan")
    assert desk.names(lab) == ["gages"]
    assert desk.registry.stores() == []
