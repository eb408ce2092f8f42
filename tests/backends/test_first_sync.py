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


def failure(stores: Stores, app: type[App]) -> PenstockError:
    """Why the sync of an app with one store to sync failed."""
    (result,) = stores.sync(app)
    assert result.error is not None
    return result.error


def away(ground: TestServer) -> Service:
    """A service at an address where nothing answers."""
    return replace(ground.service, name="away", url=ground.nowhere, admin_url=None, admin_password=None)


def test_a_server_that_does_not_answer_leaves_no_entry(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    app = one_of()
    stores = stores_on(replace(ground, service=away(ground)), app)
    assert isinstance(failure(stores, app), ServerError)
    assert stores.registry.stores() == []
    assert stores.status(app)[0].health is Health.UNREACHABLE


@pytest.mark.parametrize("path", ["nowhere.seed", "fix_apps.sow", "fix_apps.Gage"])
def test_an_initializer_that_can_not_be_called_leaves_no_entry(
    ground: TestServer, stores_on: Callable[..., Stores], path: str
) -> None:
    app = one_of(path)
    stores = stores_on(ground, app)
    assert isinstance(failure(stores, app), InitializerError)
    assert stores.registry.stores() == []
    assert ground.databases() == set()


def test_a_database_of_somebody_else_leaves_no_entry(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    app = one_of()
    ground.make_database("one_gages")
    ground.run_sql("one_gages", "CREATE TABLE theirs (id integer)")
    stores = stores_on(ground, app)
    assert isinstance(failure(stores, app), StoreNotOurs)
    assert stores.registry.stores() == []


def test_a_database_that_the_server_refuses_to_make_leaves_no_entry(
    server_ground: TestServer, stores_on: Callable[..., Stores], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, home = one_of(), WORDS[server_ground.kind].home
    make, drop = _POOR[server_ground.kind]
    server_ground.run_sql(home, make)
    try:
        url = make_url(server_ground.service.url).set(username="poor").render_as_string()
        monkeypatch.setenv("POOR", "poor")
        poor = Service(name="poor", url=url, password=SecretRef("env", "POOR"))
        stores = stores_on(replace(server_ground, service=poor), app)
        assert isinstance(failure(stores, app), PermissionRefused)
        assert stores.registry.stores() == []
    finally:
        server_ground.run_sql(home, drop)


def test_what_was_made_is_remembered_with_the_reason(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    app = one_of(refuse)
    stores = stores_on(ground, app)
    assert isinstance(failure(stores, app), InitializerError)
    [entry] = stores.registry.stores()
    assert (entry.state, entry.database) == (StoreState.FAILED, "one_gages")
    assert "no seeds today" in entry.problem
    assert ground.databases() == {"one_gages"}


def test_a_store_that_is_known_keeps_its_entry_when_its_server_goes_away(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    app = one_of()
    stores = stores_on(ground, app)
    all_ok(stores, app)
    nowhere = away(ground)
    stores.services.edit(replace(nowhere, name=ground.service.name))
    assert isinstance(failure(stores, app), ServerError)
    [entry] = stores.registry.stores()
    assert entry.state is StoreState.FAILED
    stores.services.edit(ground.service)
    all_ok(stores, app)
    assert stores.registry.stores()[0].state is StoreState.READY


def test_a_store_that_could_not_move_is_not_left_behind(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    app = one_of()
    with use(stores_on(ground, app)) as stores:
        all_ok(stores, app)
        stores.registry.put_service(away(ground))
        stores.links.add("away", app, "gages")
        assert isinstance(failure(stores, app), ServerError)
        [entry] = stores.registry.stores()
        assert (entry.service, entry.state) == (ground.service.name, StoreState.READY)
        stores.links.add(ground.service.name, app, "gages")
        assert stores.unused.orphans() == []
        assert count(app.gages) == 2


def test_a_store_of_a_kind_that_could_not_be_made_is_not_listed(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    lab = make_lab()
    stores = stores_on(replace(ground, service=away(ground)), lab)
    with pytest.raises(ServerError):
        stores.create(lab, "basins.logan")
    assert stores.names(lab) == ["gages"]
    assert stores.registry.stores() == []
