"""Sessions that nobody closed and nobody has any more hold nobody up."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fix_apps import Base, Gage, all_ok
from penstock import App, Database, EngineOptions
from penstock.engines import forgotten
from penstock.errors import BudgetExhausted
from penstock.testing import stores_for_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer
    from penstock import Stores


@pytest.fixture
def _no_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Python collects no garbage by itself, however busy it is; and nobody waits for an earlier one."""
    monkeypatch.setattr(forgotten._turn, "after", 0.0)
    gc.disable()
    yield
    gc.enable()


def seed(engine: Any, first_time: bool) -> None:
    """Makes a table and a row, reads it, and forgets the session."""
    Base.metadata.create_all(engine)
    session = Session(engine)
    if first_time:
        session.add(Gage(number="1", altitude=1.0))
        session.commit()
    session.scalars(select(Gage)).all()


class Lab(App):
    """An app whose initializer closes nothing."""

    package = "lab"
    gages = Database("Every gage.", initializer=seed)


@pytest.mark.usefixtures("_no_collector")
def test_who_waits_for_a_connection_gets_one_of_a_session_that_was_forgotten(
    server_ground: TestServer, stores_on: Callable[..., Stores], lab: type[App]
) -> None:
    options = EngineOptions(max_connections=4, pool_timeout=15)
    stores = stores_on(server_ground, lab, options=options)
    all_ok(stores, lab)
    for _ in range(14):
        assert stores.session(lab, "gages").scalar(select(func.count()).select_from(Gage)) == 2
    kept = [stores.session(lab, "gages") for _ in range(4)]
    for session in kept:
        session.scalars(select(Gage)).all()
    with pytest.raises(BudgetExhausted, match="lab:gages 4"):
        stores.session(lab, "gages").scalars(select(Gage)).all()
    for session in kept:
        session.close()


@pytest.mark.usefixtures("_no_collector")
def test_a_session_that_an_initializer_forgot_keeps_no_sync_and_no_copy_waiting(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    stores = stores_on(ground, Lab)
    for _ in range(2):
        all_ok(stores, Lab)
    with stores_for_tests([Lab], service=ground.service) as copies, copies.session(Lab, "gages") as session:
        assert session.scalar(select(func.count()).select_from(Gage)) == 1


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("now", [True, False])
def test_a_store_that_a_forgotten_session_has_open_is_dropped_whole(
    now: bool, stores: Stores, lab: type[App], ground: TestServer
) -> None:
    all_ok(stores, lab)
    database = stores.address(lab, "gages").database
    lab.gages.session().scalar(select(func.count()).select_from(Gage))
    stores.drop(lab, "gages", now=now)
    assert database not in ground.databases()
