"""Many processes sync, refresh and drop the same stores at once; all end well."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faults.jobs import FLEET, WORDS
from faults.scenes import Ended, Scene, until
from fix_apps import all_ok
from fix_roles import logged_in
from penstock import App, Stores, SyncOptions
from penstock.errors import StoreBusy
from penstock.registry import DatabaseRegistry

if TYPE_CHECKING:
    from fix_servers import TestServer

AT_ONCE = 8
ROLE = "ALTER ROLE penstock"


def check_all_well(ended: list[Ended]) -> None:
    """Every process ended with status 0 and had no problem."""
    assert [one.err for one in ended if one.status != 0] == []
    assert [problem for one in ended for problem in one.said["problems"]] == []


def seeds(scene: Scene, database: str) -> list[str]:
    """The rows of the initializer."""
    return [word for (word,) in scene.ground.run_sql(database, "SELECT word FROM seed ORDER BY id")]


# --- T18 ------------------------------------------------------------------------------------------


def test_t18_eight_processes_sync_the_same_twenty_stores_and_each_is_made_once(scene: Scene) -> None:
    orders = [{"job": "sync_fleet", "registry": scene.registry} for _ in range(AT_ONCE)]
    ended = scene.workers.run_all(orders)
    check_all_well(ended)
    assert scene.ground.databases() == {f"fleet_{name}" for name in FLEET}
    steps = Counter(step for one in ended for step in one.said["steps"])
    for name in FLEET:
        assert seeds(scene, f"fleet_{name}") == list(WORDS)
        record = scene.ground.run_sql(f"fleet_{name}", "SELECT app, store FROM penstock_store")
        assert record == [("fleet", name)]
        assert steps[f"{name}: write the record of {name}"] == 1
    with scene.stores() as stores:
        assert [status.health.value for status in stores.status("fleet")] == ["ready"] * len(FLEET)
        assert {entry.state.value for entry in stores.registry.stores()} == {"ready"}


def test_t18_a_registry_that_does_not_exist_yet_is_made_once_by_eight_processes(scene: Scene) -> None:
    """The very first command, given eight times at once."""
    Path(scene.registry).unlink()
    orders = [{"job": "register", "registry": scene.registry, "name": f"service {n}"} for n in range(AT_ONCE)]
    ended = scene.workers.run_all(orders)
    assert [one.err for one in ended if one.status != 0] == []
    with scene.stores() as stores:
        assert len(stores.registry.services()) == AT_ONCE
        assert len(stores.registry.journal()) == AT_ONCE


def test_t18_four_processes_refresh_while_four_sync_and_all_end_well(scene: Scene) -> None:
    scene.well()
    orders = [
        {"job": "repeat", "registry": scene.registry, "verb": verb, "times": 3}
        for verb in ("refresh", "sync") * (AT_ONCE // 2)
    ]
    check_all_well(scene.workers.run_all(orders))
    check_ready(scene)


@pytest.mark.soak
def test_t18_refreshes_and_syncs_at_once_end_well_again_and_again(scene: Scene) -> None:
    for _ in range(15):
        scene.reset()
        orders = [
            {"job": "repeat", "registry": scene.registry, "verb": verb, "times": 4}
            for verb in ("refresh", "sync") * (AT_ONCE // 2)
        ]
        check_all_well(scene.workers.run_all(orders))
        check_ready(scene)


def test_t18_a_process_that_drops_while_others_sync_ends_well_and_so_do_they(scene: Scene) -> None:
    orders = [
        {"job": "repeat", "registry": scene.registry, "verb": verb, "times": 3}
        for verb in ("sync", "drop", "sync", "sync")
    ]
    first, dropping, *others = scene.workers.run_all(orders)
    check_all_well([first, *others])
    refused = {problem["kind"] for problem in dropping.said["problems"]}
    assert refused <= {"StoreNotOurs"}  # a database that is just being made has no record yet: left alone
    scene.well()
    check_ready(scene)


def check_ready(scene: Scene) -> None:
    """One store, seeded once, and nothing else."""
    state = scene.state()
    assert state["words"] == list(WORDS)
    assert state["status"] == ("ready", "", True)
    assert state["databases"] == [scene.database]
    assert [entry[3] for entry in state["registry"]] == ["ready"]


# --- E6 -------------------------------------------------------------------------------------------


def held(scene: Scene, folder: Path) -> int:
    """A process that holds the store's lock, in the middle of its initializer; its id."""
    folder.mkdir()
    pid = scene.workers.start("work", registry=scene.registry, moment="half", folder=str(folder))
    until((folder / f"held-{pid}").exists, "the initializer holds")
    return pid


def let_go(scene: Scene, folder: Path, pid: int) -> None:
    """Let that process end its sync."""
    (folder / "go").touch()
    check_all_well([scene.workers.wait(pid)])


def test_e6_a_second_sync_waits_for_the_one_that_holds_the_store(scene: Scene, tmp_path: Path) -> None:
    first = held(scene, tmp_path / "hold")
    second = scene.workers.start("work", registry=scene.registry, kill="steps")
    time.sleep(0.7)
    assert is_running(second)
    let_go(scene, tmp_path / "hold", first)
    ended = scene.workers.wait(second)
    check_all_well([ended])
    assert ended.said["seconds"] > 0.5
    check_ready(scene)


def is_running(pid: int) -> bool:
    """Whether a process has not ended."""
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_e6_a_store_that_is_held_too_long_is_said_to_be_busy_and_is_not_harmed(
    scene: Scene, tmp_path: Path
) -> None:
    first = held(scene, tmp_path / "hold")
    for patience, most in ((0.4, 3), (0, 2), (0.0001, 2)):
        ended = scene.work(lock_timeout=patience)
        assert ended.status == 0, ended.err
        assert [problem["kind"] for problem in ended.said["problems"]] == ["StoreBusy"]
        assert ended.said["problems"][0]["hint"]
        assert patience <= ended.said["seconds"] < most
    let_go(scene, tmp_path / "hold", first)
    check_ready(scene)


@pytest.mark.parametrize("ground", ["postgresql", "mariadb"], indirect=True)
def test_e6_a_sync_over_another_maintenance_database_waits_all_the_same(
    ground: TestServer, scene: Scene, tmp_path: Path
) -> None:
    ground.make_database("elsewhere")
    (tmp_path / "other").mkdir()
    shutil.copy(scene.registry, tmp_path / "other")  # Else it would be another one, whose store this is not.
    registry = DatabaseRegistry.at(tmp_path / "other" / "registry.sqlite3")
    [service] = registry.services()
    with Stores(registry) as stores:
        stores.registry.put_service(replace(service, url=f"{service.url}/elsewhere"), replace=True)
        first = held(scene, tmp_path / "hold")
        result = stores.sync(scene.apps[0], ["gages"], SyncOptions(lock_timeout=0.3))[0]
        assert isinstance(result.error, StoreBusy), str(result.error)
        waiting = scene.workers.start("work", registry=str(tmp_path / "other" / "registry.sqlite3"))
        time.sleep(0.5)
        assert is_running(waiting)
        let_go(scene, tmp_path / "hold", first)
        check_all_well([scene.workers.wait(waiting)])
    ground.drop_database("elsewhere")
    check_ready(scene)


@pytest.mark.parametrize(
    ("ground", "begin", "end"),
    [
        ("postgresql", f"{ROLE} SET idle_session_timeout = 1000", f"{ROLE} RESET idle_session_timeout"),
        ("mariadb", "SET GLOBAL wait_timeout = 1", "SET GLOBAL wait_timeout = DEFAULT"),
    ],
    indirect=["ground"],
)
def test_e6_a_server_that_ends_idle_sessions_leaves_the_holder_its_lock(
    ground: TestServer, stores: Stores, lab: type[App], begin: str, end: str
) -> None:
    all_ok(stores, lab)
    address = stores.address(lab, "gages")
    ground.run_sql("lab_gages", begin)
    try:
        with address.backend.lock(address.database_address, 1):
            before = ground.sessions("lab_gages")
            with logged_in(stores.url(lab, "gages")):
                [idle] = ground.sessions("lab_gages") - before
                until(lambda: idle not in ground.sessions("lab_gages"), "an idle session is ended")
            with pytest.raises(StoreBusy), address.backend.lock(address.database_address, 0):
                pass
    finally:
        ground.run_sql("lab_gages", end)


def test_e6_a_drop_waits_for_the_sync_that_holds_the_store(scene: Scene, tmp_path: Path) -> None:
    first = held(scene, tmp_path / "hold")
    dropping = scene.workers.start("work", registry=scene.registry, verb="drop")
    time.sleep(0.5)
    assert is_running(dropping)
    let_go(scene, tmp_path / "hold", first)
    check_all_well([scene.workers.wait(dropping)])
    assert scene.ground.databases() == set()


def test_e6_a_killed_holder_gives_the_store_up(scene: Scene, tmp_path: Path) -> None:
    first = held(scene, tmp_path / "hold")
    second = scene.workers.start("work", registry=scene.registry)
    time.sleep(0.3)
    os.kill(first, 9)
    check_all_well([scene.workers.wait(second)])
    assert scene.workers.wait(first).killed
    check_ready(scene)
