"""The server is stopped, killed and started again under a running app."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, make_url, select
from sqlalchemy.exc import OperationalError

from faults.scenes import until
from fix_apps import Base, Gage
from penstock import App, Database, Stores, SyncOptions, use
from penstock.errors import InitializerError, ServerError, ServerUnreachable
from penstock.provision.status import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from fix_servers import TestServer

HOW = pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])


@pytest.fixture
def stores(server_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]) -> Iterator[Stores]:
    """`Stores` whose store is synced and has been used, so that it has idle connections."""
    with use(stores_on(server_ground, lab)) as stores:
        assert stores.sync(lab, ["gages"])[0].ok
        assert count(lab) == 2
        yield stores


def count(app: type[App]) -> int:
    """The gages in the store, read through a session."""
    with app.gages.session() as session:
        return session.scalar(select(func.count()).select_from(Gage)) or 0


def stop(ground: TestServer, *, kill: bool = False) -> None:
    """Stop the server; it is gone when nothing listens any more, which the kernel sees to a little late."""
    assert ground.running is not None
    ground.running.stop(kill=kill)

    def refused() -> bool:
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", make_url(ground.url).port)) == errno.ECONNREFUSED

    until(refused, "the port is closed")


def start(ground: TestServer) -> None:
    """Start it again."""
    assert ground.running is not None
    ground.running.start()


@HOW
def test_after_a_restart_of_the_server_the_next_call_works_on_the_same_objects(
    stores: Stores, lab: type[App], server_ground: TestServer, kill: bool
) -> None:
    engine, factory = lab.gages.engine, lab.gages.sessionmaker
    connections = [engine.connect() for _ in range(4)]
    for connection in connections:
        connection.close()
    stop(server_ground, kill=kill)
    start(server_ground)
    assert count(lab) == 2
    with factory.begin() as session:
        session.add(Gage(number="after", altitude=1))
    for connection in [engine.connect() for _ in range(4)]:
        assert connection.execute(select(func.count()).select_from(Gage)).scalar() == 3
        connection.close()
    assert lab.gages.engine is engine
    assert stores.sync(lab, ["gages"])[0].ok
    assert stores.exists(lab, "gages")


@HOW
def test_while_the_server_is_down_every_verb_says_so(
    stores: Stores, lab: type[App], server_ground: TestServer, kill: bool
) -> None:
    stop(server_ground, kill=kill)
    status = stores.store_status(lab, "gages")
    assert status.health is Health.UNREACHABLE
    assert status.exists is None
    assert status.problem
    assert status.hint
    with pytest.raises(ServerUnreachable):
        stores.exists(lab, "gages")
    with pytest.raises(ServerUnreachable):
        stores.drop(lab, "gages")
    with pytest.raises(ServerUnreachable):
        stores.plan(lab, "gages")
    with pytest.raises(ServerUnreachable):
        stores.services.version("main")
    error = stores.sync(lab, ["gages"], SyncOptions(refresh=True))[0].error
    assert isinstance(error, ServerUnreachable)
    with pytest.raises(OperationalError):
        count(lab)
    start(server_ground)
    assert count(lab) == 2
    assert stores.store_status(lab, "gages").health is Health.READY


def test_a_transaction_in_progress_fails_once_and_the_session_serves_again(
    stores: Stores, lab: type[App], server_ground: TestServer
) -> None:
    with lab.gages.session() as session:
        session.add(Gage(number="lost", altitude=1))
        session.flush()
        stop(server_ground)
        start(server_ground)
        with pytest.raises(OperationalError):
            session.scalar(select(func.count()).select_from(Gage))
        session.rollback()
        assert session.scalar(select(func.count()).select_from(Gage)) == 2


def test_a_server_stopped_during_a_sync_fails_it_and_the_next_one_finishes_it(
    server_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    def stopping(engine: Engine, first_time: bool) -> None:
        stop(server_ground)
        engine.connect()

    class Fragile(App):
        package = "lab"
        gages = Database("Every gage.", metadata=Base.metadata, initializer=stopping)

    with use(stores_on(server_ground, Fragile)) as stores:
        error = stores.sync(Fragile, ["gages"])[0].error
        assert isinstance(error, (InitializerError, ServerError))
        assert "refused" in error.why
        start(server_ground)
        assert stores.store_status(Fragile, "gages").health is Health.HALF_MADE
    with use(stores_on(server_ground, lab)) as stores:
        assert stores.sync(lab, ["gages"])[0].ok
        assert count(lab) == 2
