"""How services answer, and what this process has of their connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from penstock import App, EngineOptions, Service, Stores
from penstock.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer


def test_check_tells_of_every_service_how_it_answers(stores: Stores, ground: TestServer) -> None:
    stores.services.add(Service(name="gone", url="sqlite:////nowhere/at/all"))
    gone, main = stores.services.check()
    assert (gone.service, gone.ok, type(gone.problem)) == ("gone", False, StorageUnavailable)
    assert (main.service, main.ok, main.problem) == ("main", True, None)
    assert main.version.split()[0] in ("SQLite", "PostgreSQL", "MariaDB")
    assert (main.connection_limit is None) == (ground.kind == "sqlite")
    assert main.connections is not None
    assert main.connections.open == main.connections.idle
    assert main.shares_statements


def test_check_and_status_name_who_has_the_connections(
    stores_on: Callable[..., Stores], ground: TestServer, lab: type[App]
) -> None:
    options = EngineOptions(max_connections=7, share_statements=False)
    stores = stores_on(ground, lab, options=options)
    assert stores.sync(lab, ["gages"])[0].ok
    with stores.engine(lab, "gages").connect() as one, stores.engine(lab, "gages").connect() as other:
        for connection in (one, other):
            connection.execution_options(penstock_readonly=True).execute(text("SELECT 1"))
        [health] = stores.services.check()
        status = stores.store_status(lab, "gages")
        for state in (health.connections, status.connections):
            assert state is not None
            assert (state.limit, state.open - state.idle) == (7, 2)
            assert state.holders == {"lab:gages": 2}
            assert str(state) == "lab:gages 2"
        assert "2 of 7 open" in stores.engine(lab, "gages").pool.status()
    assert not health.shares_statements


def test_a_services_own_figure_wins_over_that_of_the_stores_object(
    stores_on: Callable[..., Stores], ground: TestServer, lab: type[App]
) -> None:
    stores = stores_on(ground, lab, options=EngineOptions(max_connections=9))
    service = stores.services.get("main")
    stores.services.edit(Service(name="main", url=service.url, password=service.password, max_connections=5))
    [health] = stores.services.check()
    assert health.connections is not None
    assert health.connections.limit == 5
