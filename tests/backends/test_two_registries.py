"""Two registries, one server, one app's name: neither touches the other's store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fix_apps import Gage, all_ok, count
from fix_roles import WORDS, logins_on
from penstock import EngineOptions, Health, MemoryRegistry, Stores, SyncOptions, use
from penstock.engines import budgets
from penstock.errors import OtherRegistry
from penstock.registry import Bindings, DatabaseRegistry
from penstock.secrets import Keyring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fix_servers import TestServer
    from penstock import App

OF_ANOTHER = "is lab:gages of another registry, so it is left alone"


@pytest.fixture
def project(tmp_path: Path, lab: type[App]) -> Iterator[Callable[..., Stores]]:
    """Makes the stores of a project of that name, with a registry and a key of its own."""
    made: list[Stores] = []

    def open_project(name: str, ground: TestServer, bindings: Bindings | None = None) -> Stores:
        keyring = Keyring(tmp_path / name / "key")
        if not (tmp_path / name).is_dir():
            (tmp_path / name).mkdir()
            keyring.make_file()
        registry = DatabaseRegistry.at(tmp_path / name / "registry.sqlite3")
        stores = Stores(registry, apps=[lab], keyring=keyring, bindings=bindings)
        made.append(stores)
        if not registry.services():
            registry.put_service(ground.service)
            for setting in ("gages", "basins", "servers"):
                stores.links.add(ground.service.name, lab, setting)
        return stores

    yield open_project
    for stores in made:
        stores.close()


def rows(stores: Stores, app: type[App]) -> int:
    with use(stores):
        return count(app.gages)


def add_row(stores: Stores, app: type[App]) -> None:
    with use(stores), app.gages.begin() as session:
        session.add(Gage(number="mine", altitude=1))


def test_the_second_project_is_refused_and_told_of_both(
    ground: TestServer, project: Callable[..., Stores], lab: type[App], tmp_path: Path
) -> None:
    first, second = project("first", ground), project("second", ground)
    all_ok(first, lab)
    add_row(first, lab)
    for options in (SyncOptions(), SyncOptions(refresh=True)):
        [refused] = [result.error for result in second.sync(lab, options=options) if result.error]
        assert isinstance(refused, OtherRegistry)
        assert OF_ANOTHER in refused.what
        for name in ("first", "second"):
            assert str(tmp_path / name / "registry.sqlite3") in refused.why
        assert "stores adopt lab:gages" in refused.hint
    assert isinstance(second.plan(lab, "gages").refused, OtherRegistry)
    with pytest.raises(OtherRegistry, match=OF_ANOTHER):
        second.drop(lab, "gages", now=True)
    with pytest.raises(OtherRegistry, match=OF_ANOTHER):
        second.drop(lab, "gages")
    status = second.store_status(lab, "gages")
    assert (status.health, "first" in status.problem) == (Health.NOT_OURS, True)
    assert not second.exists(lab, "gages")
    assert (rows(first, lab), first.store_status(lab, "gages").health) == (3, Health.READY)


def test_stores_of_a_kind_are_told_apart_too(
    ground: TestServer, project: Callable[..., Stores], lab: type[App]
) -> None:
    first, second = project("first", ground), project("second", ground)
    first.create(lab, "basins.logan")
    with pytest.raises(OtherRegistry):
        second.create(lab, "basins.logan")
    first.drop(lab, "basins.logan", now=True)
    second.create(lab, "basins.logan")
    assert second.exists(lab, "basins.logan")


def test_adopting_takes_it_over_and_the_other_side_is_told(
    ground: TestServer, project: Callable[..., Stores], lab: type[App]
) -> None:
    first, second = project("first", ground), project("second", ground)
    all_ok(first, lab)
    add_row(first, lab)
    second.adopt(lab, "gages")
    all_ok(second, lab)
    assert (rows(second, lab), second.store_status(lab, "gages").health) == (3, Health.READY)
    told = first.store_status(lab, "gages")
    assert (told.health, "second" in told.problem) == (Health.NOT_OURS, True)
    [refused] = [result.error for result in first.sync(lab) if result.error]
    assert isinstance(refused, OtherRegistry)
    first.adopt(lab, "gages")
    all_ok(first, lab)
    assert (rows(first, lab), second.store_status(lab, "gages").health) == (3, Health.NOT_OURS)


def test_an_address_from_the_environment_may_be_used_but_not_destroyed(
    ground: TestServer, project: Callable[..., Stores], lab: type[App]
) -> None:
    first = project("first", ground)
    all_ok(first, lab)
    add_row(first, lab)
    address = ground.address_of(str(first.address(lab, "gages").database))
    bindings = Bindings({"PENSTOCK_STORE__LAB__GAGES": address})
    with Stores(MemoryRegistry(), apps=[lab], bindings=bindings) as memory:
        for guest in (project("second", ground, bindings), memory):
            assert guest.sync(lab, ["gages"])[0].error is None
            assert (rows(guest, lab), guest.store_status(lab, "gages").health) == (3, Health.READY)
            [result] = guest.sync(lab, ["gages"], SyncOptions(refresh=True))
            assert isinstance(result.error, OtherRegistry)
            with pytest.raises(OtherRegistry):
                guest.drop(lab, "gages", now=True)
    assert rows(first, lab) == 3


def test_a_registry_keeps_its_id(ground: TestServer, project: Callable[..., Stores], lab: type[App]) -> None:
    first = project("first", ground)
    before = first.registry.identity()
    assert len(before.id) == 36
    again = project("first", ground)
    assert again.registry.identity() == before
    assert project("second", ground).registry.identity() != before
    all_ok(first, lab)
    [(kept,)] = ground.run_sql(
        str(first.address(lab, "gages").database), "SELECT registry FROM penstock_store"
    )
    assert kept == before.id


def test_a_registry_that_was_never_written_to_is_nobodys(tmp_path: Path) -> None:
    registry = DatabaseRegistry.at(tmp_path / "new" / "registry.sqlite3")
    assert len(registry.identity().id) < 36
    assert not (tmp_path / "new").exists()
    assert len(registry.identity(make=True).id) == 36
    registry.close()


# --- logins ---------------------------------------------------------------------------------------


def test_status_sees_a_login_that_no_longer_works(
    role_ground: TestServer, role_stores: Stores, lab: type[App]
) -> None:
    assert role_stores.store_status(lab, "gages").health is Health.READY
    login = role_stores.address(lab, "gages").database_address.login.url.username
    assert login in logins_on(role_ground)
    words = WORDS[role_ground.kind]
    change = 'ALTER ROLE "{}" NOLOGIN' if role_ground.kind == "postgresql" else "ALTER USER `{}` ACCOUNT LOCK"
    role_ground.run_sql(words.home, change.format(login))
    status = role_stores.store_status(lab, "gages")
    assert (status.health, "rotate lab:gages" in status.hint) == (Health.NO_LOGIN, True)
    assert status.problem
    assert [each.error for each in role_stores.logins.rotate(lab, ["gages"], grace=0)] == [None]
    assert role_stores.store_status(lab, "gages").health is Health.READY


def test_a_login_that_could_not_be_tried_is_not_called_refused(
    role_ground: TestServer,
    role_stores: Stores,
    role_stores_on: Callable[..., Stores],
    lab: type[App],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(budgets, "_PATIENCE", 0.1)  # Else it waits for minutes.
    stores = role_stores_on(role_ground, lab, EngineOptions(max_connections=1, pool_timeout=0.1))
    with stores.engine(lab, "gages").connect():
        status = stores.store_status(lab, "gages")
    assert (status.health, "rotate" in status.hint) == (Health.UNREACHABLE, False)
    assert "max_connections" in status.hint
