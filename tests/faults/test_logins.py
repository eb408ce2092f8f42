"""Passwords change while everything runs: nobody is locked out, nothing is lost."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faults.logins import APP, QUICK, stores_of
from faults.scenes import Workers, until
from fix_apps import count
from fix_roles import WORDS, Words, log_in, logins_on, roles_on
from fix_servers import TestServer
from penstock import Stores, use
from penstock.backends import StoreRole
from penstock.connect import seal_password
from penstock.connect.servers import ServiceAccount, read_password
from penstock.errors import NotSupported, SecretError
from penstock.registry import CredentialState, RoleMode
from penstock.secrets import Keyring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faults.scenes import Ended

CURRENT = [CredentialState.CURRENT] * 2


@dataclass
class Home:
    """A registry file and its key, which processes share, and a server."""

    ground: TestServer
    workers: Workers
    registry: str
    keyring: Keyring

    @property
    def words(self) -> Words:
        """How its server is asked, and told."""
        return WORDS[self.ground.kind]

    @property
    def key(self) -> str:
        """The key file."""
        return str(self.keyring.file)

    def run(self, verb: str, kill_at: int = 0) -> Ended:
        """Change passwords in a process of its own."""
        order = {"registry": self.registry, "key": self.key, "verb": verb, "kill_at": kill_at}
        return self.workers.run("change_passwords", **order)

    def well(self, verb: str) -> int:
        """The same, which must end well; how many moments there were."""
        ended = self.run(verb)
        assert (ended.status, ended.said["problem"]) == (0, ""), ended.err
        moments: int = ended.said["count"]
        return moments


@pytest.fixture(params=["postgresql", "mariadb"])
def home(
    request: pytest.FixtureRequest, workers: Workers, tmp_path: Path, keyring: Keyring
) -> Iterator[Home]:
    """A registry with a service whose password is sealed, linked everywhere; no store yet."""
    ground: TestServer = request.getfixturevalue(f"{request.param}_ground")
    found = Home(ground, workers, str(tmp_path / "registry.sqlite3"), keyring)
    password = read_password(ground.service, ServiceAccount.SERVICE, keyring)
    assert password is not None
    with stores_of(found.registry, found.key) as stores:
        sealed = seal_password(found.ground.service, ServiceAccount.SERVICE, password, keyring)
        stores.services.add(sealed)
        for setting in APP.declaration().settings:
            stores.links.add("main", APP, setting.name)
    yield found
    with stores_of(
        found.registry, found.key
    ) as stores:  # The server goes on; its next test has the old password.
        now = read_password(stores.services.get("main"), ServiceAccount.SERVICE, keyring)
        if now != password:
            found.ground.run_sql(found.words.home, found.words.set_password.format(password))


@pytest.fixture
def running(home: Home) -> Any:
    """`Stores` in use whose store has logins of its own."""
    with stores_of(home.registry, home.key, QUICK) as stores, use(stores):
        assert stores.sync(APP, ["gages"])[0].error is None
        yield stores


# --- one by one -----------------------------------------------------------------------------------


def test_renewed_logins_are_used_at_once_and_the_old_ones_stay_good_until_they_are_retired(
    running: Stores, home: Home
) -> None:
    engine, old = APP.gages.engine, running.url(APP, "gages")
    assert count(APP.gages) == 2
    running.logins.renew(APP, "gages")
    new = running.url(APP, "gages")
    assert (new.username, new.password) != (old.username, old.password)
    assert count(APP.gages) == 2
    assert APP.gages.engine is engine
    assert engine.url.username == new.username
    assert len(logins_on(home.ground)) == 4
    with log_in(running, APP, "gages", StoreRole.READER) as reader:
        assert reader.execute("SELECT count(*) FROM gage").fetchone() == (2,)
    assert running.logins.retire(APP, "gages", grace=60).left != ()
    assert running.logins.retire(APP, "gages", grace=0).left == ()
    assert logins_on(home.ground) == sorted(each.login for each in running.registry.credentials())
    assert [each.state for each in running.registry.credentials()] == CURRENT
    journal = [(each.action, each.subject, each.result) for each in running.registry.journal(3)]
    assert journal[::2] == [("retire logins", "lab:gages", "done"), ("renew logins", "lab:gages", "done")]


def test_a_login_with_which_somebody_is_in_a_transaction_is_left(running: Stores, home: Home) -> None:
    with log_in(running, APP, "gages") as busy, log_in(running, APP, "gages", StoreRole.READER):
        busy.execute("BEGIN")
        busy.execute("SELECT count(*) FROM gage")
        old = running.url(APP, "gages").username
        running.logins.renew(APP, "gages")
        assert running.logins.retire(APP, "gages", grace=0).left == (old,)
        assert busy.execute("SELECT count(*) FROM gage").fetchone() == (2,)
        busy.execute("COMMIT")
        assert running.logins.retire(APP, "gages", grace=0).left == ()
    assert len(logins_on(home.ground)) == 2


def test_a_rotation_renews_waits_and_retires(running: Stores, home: Home) -> None:
    APP.basins.create("logan")
    before = logins_on(home.ground)
    began = time.monotonic()
    results = running.logins.rotate(APP, grace=0.5)
    assert time.monotonic() - began >= 0.5
    assert [(each.store, each.ok) for each in results] == [("gages", True), ("basins.logan", True)]
    assert not set(before) & set(logins_on(home.ground))


def test_a_store_without_logins_is_told_so_and_the_others_are_rotated(running: Stores) -> None:
    [service] = running.registry.services()
    results = running.logins.rotate(APP, ["basins"], grace=0)
    assert results == []
    running.drop(APP, "gages")
    running.services.edit(replace(service, roles=RoleMode.SERVICE))
    APP.basins.create("bear")
    [result] = running.logins.rotate(APP, ["basins"], grace=0)
    assert isinstance(result.error, NotSupported)


def test_a_service_whose_password_is_kept_elsewhere_is_rotated_only_when_it_may_be_sealed(
    running: Stores, home: Home
) -> None:
    service = running.services.get("main")
    running.services.edit(replace(service, password=home.ground.service.password))
    with pytest.raises(SecretError, match="where Penstock can't change it"):
        running.services.rotate("main")
    after = running.services.rotate("main", seal=True)
    assert after.password is not None
    assert after.password.scheme == "sealed"
    assert running.services.version("main")


# --- killed on the way ----------------------------------------------------------------------------


def check_whole(home: Home, point: str) -> None:
    """Everybody who had access has it: by what the registry remembers, on the server."""
    with stores_of(home.registry, home.key) as stores, use(stores):
        assert stores.services.version("main"), point
        assert stores.exists(APP, "gages"), point
        assert count(APP.gages) == 2, point
        with log_in(stores, APP, "gages", StoreRole.READER) as reader:
            assert reader.execute("SELECT count(*) FROM gage").fetchone() == (2,), point


def check_finished(home: Home, point: str) -> None:
    """Nothing is half-way: two logins, both known; one password of the service."""
    with stores_of(home.registry, home.key) as stores:
        known = stores.registry.credentials()
        assert [each.state for each in known] == CURRENT, point
        assert sorted(each.login for each in known) == logins_on(home.ground), point
        service = stores.services.get("main")
        assert service.next_password is None, point


def kill_along(home: Home, verb: str, sample: int) -> None:
    """Kill a verb at some moment, look whether all is whole, finish it; and so on along the way."""
    moments = home.well(verb)
    step = max(1, moments // sample)
    for kill_at in range(1, moments + 1, step):
        ended = home.run(verb, kill_at)
        assert ended.killed, (verb, kill_at, ended.err)
        check_whole(home, f"{verb} killed at {kill_at}")
        home.well(verb)
        check_finished(home, f"{verb} killed at {kill_at} and finished")
    check_whole(home, verb)


def test_a_rotation_of_logins_killed_anywhere_can_be_finished_and_nobody_is_locked_out(home: Home) -> None:
    home.well("sync")
    kill_along(home, "rotate", sample=8)


def test_a_rotation_of_a_services_password_killed_anywhere_can_be_finished(home: Home) -> None:
    home.well("sync")
    kill_along(home, "service", sample=6)


@pytest.mark.soak
@pytest.mark.parametrize("verb", ["rotate", "service"])
def test_a_rotation_killed_at_every_moment_can_be_finished(home: Home, verb: str) -> None:
    home.well("sync")
    kill_along(home, verb, sample=10_000)


def sync_killed(home: Home, kill_ats: range) -> None:
    for kill_at in kill_ats:
        home.ground.clean()
        with stores_of(home.registry, home.key) as stores:
            for entry in stores.registry.stores():
                stores.registry.remove_store(entry)
            known = stores.registry.credentials()
            if known:
                stores.registry.remove_credentials(known)
        ended = home.run("sync", kill_at)
        if not ended.killed:
            return
        home.well("sync")
        check_finished(home, f"sync killed at {kill_at}")
        check_whole(home, f"sync killed at {kill_at}")
        assert len(roles_on(home.ground)) == home.words.each, kill_at


def test_e4_a_sync_that_gives_roles_killed_on_the_way_is_finished_by_the_next(home: Home) -> None:
    moments = home.well("sync")
    sync_killed(home, range(moments // 3, moments, max(1, moments // 10)))


@pytest.mark.soak
def test_e4_a_sync_that_gives_roles_killed_at_every_moment_is_finished_by_the_next(home: Home) -> None:
    sync_killed(home, range(1, 10_000))


# --- under load -----------------------------------------------------------------------------------


def rotate_under_load(home: Home, verb: Callable[[Stores], None], *, processes: int, times: int) -> list[Any]:
    """Rotate again and again while processes of four threads use the store; what they say."""
    with stores_of(home.registry, home.key, QUICK) as stores:
        assert stores.sync(APP, ["gages"])[0].error is None
        seconds = 30.0 + times * 30.0
        order = {"registry": home.registry, "key": home.key, "seconds": seconds, "threads": 4}
        pids = [home.workers.start("hammer", **order) for _ in range(processes)]
        asked = (home.words.home, home.words.sessions)
        until(lambda: home.ground.run_sql(*asked)[0][0] >= processes, "the load begins")
        for _ in range(times):
            verb(stores)
    Path(home.registry).with_name("stop").touch()
    ended = [home.workers.wait(pid, seconds + 60) for pid in pids]
    assert [each.status for each in ended] == [0] * processes, [each.err for each in ended]
    return [each.said for each in ended]


def rotate_logins(stores: Stores) -> None:
    [result] = stores.logins.rotate(APP, ["gages"], grace=2.0)
    assert result.error is None


def rotate_service(stores: Stores) -> None:
    stores.services.rotate("main")
    time.sleep(1.0)


def check_load(said: list[Any], users: int) -> int:
    """No request failed; so many users were seen by somebody; how many requests were served."""
    assert [each["failures"] for each in said] == [[]] * len(said)
    assert len({user for each in said for user in each["users"]}) >= users
    served: int = sum(each["served"] for each in said)
    return served


def test_e9_logins_rotate_under_load_and_no_request_fails(home: Home) -> None:
    assert check_load(rotate_under_load(home, rotate_logins, processes=2, times=2), users=3) > 10


def test_e9_a_services_password_rotates_under_load_and_no_request_fails(home: Home) -> None:
    with stores_of(home.registry, home.key) as stores:
        service = stores.services.get("main")
        stores.services.edit(replace(service, roles=RoleMode.SERVICE))
    assert check_load(rotate_under_load(home, rotate_service, processes=2, times=2), users=1) > 10


@pytest.mark.soak
@pytest.mark.parametrize("roles", [RoleMode.STORE, RoleMode.SERVICE])
def test_e9_five_rotations_under_sixteen_workers_fail_no_request(
    home: Home, roles: RoleMode, capsys: pytest.CaptureFixture[str]
) -> None:
    with stores_of(home.registry, home.key) as stores:
        service = stores.services.get("main")
        stores.services.edit(replace(service, roles=roles))
    verb = rotate_logins if roles is RoleMode.STORE else rotate_service
    said = rotate_under_load(home, verb, processes=4, times=5)
    served = check_load(said, users=6 if roles is RoleMode.STORE else 1)
    with capsys.disabled():
        print(f"\n{roles.value}: 16 workers, 5 rotations: {served} requests, 0 failed")  # noqa: T201
