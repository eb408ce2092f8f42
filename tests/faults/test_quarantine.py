"""A drop, undrop or purge killed at any point: the store is here, kept or gone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import pytest

from faults.logins import APP, stores_of
from faults.scenes import Ended, Workers
from fix_apps import Gage, count
from fix_roles import WORDS, log_in, logins_on, roles_on
from fix_servers import TestServer
from penstock import Store, Stores, use
from penstock.backends import StoreRole
from penstock.provision.status import Health
from penstock.registry import CredentialState, StoreState
from penstock.secrets import Keyring

if TYPE_CHECKING:
    from pathlib import Path

STATIC, DYNAMIC = "gages", "basins.logan"
CURRENT = [CredentialState.CURRENT] * 2
SIDE_FILES = (".lock", "-wal", "-shm", "-journal")
_STATEMENTS = r"COMMIT|CREATE DATABASE|RENAME TABLE|DROP DATABASE|ALTER DATABASE \S+ ALLOW"
LASTING = re.compile(rf"commit|os\.re|after_cursor_execute ({_STATEMENTS})")
"""A moment after which something is not as it was before, for others too."""


@dataclass
class Home:
    """A registry file and its key, which processes share, a server, and one store."""

    ground: TestServer
    workers: Workers
    registry: str
    keyring: Keyring
    store: str

    @property
    def database(self) -> str:
        """What the store's database is called, as long as it is not kept."""
        return f"lab_{self.store.replace('.', '_')}"

    @property
    def handle(self) -> Store:
        """The store as its app has it."""
        return APP.gages if self.store == STATIC else APP.basins["logan"]

    @property
    def rows(self) -> int:
        """How many rows it has: its initializer's, and one that is there only if it was not made anew."""
        return 3 if self.store == STATIC else 1

    @contextmanager
    def stores(self) -> Iterator[Stores]:
        """`Stores` of this process's own, in use."""
        with stores_of(self.registry, str(self.keyring.file)) as stores, use(stores):
            yield stores

    def run(self, verb: str, kill_at: int = 0) -> Ended:
        """Drop, undrop or purge in a process of its own."""
        where = {"registry": self.registry, "key": str(self.keyring.file), "store": self.store}
        folder = str(self.ground.directory or "")
        return self.workers.run("take_away", verb=verb, kill_at=kill_at, folder=folder, **where)

    def well(self, verb: str, point: str = "") -> list[str]:
        """The same, which must end well; what happened."""
        ended = self.run(verb)
        assert ended.status == 0, (point, ended.err)
        assert ended.said["problems"] == [], (point, verb)
        moments: list[str] = ended.said["moments"]
        return moments

    def make(self) -> None:
        """Make the store, with a row of its own."""
        with self.stores() as stores:
            sync(stores, self)
            with self.handle.begin() as session:
                session.add(Gage(number="mine", altitude=1.0))

    @property
    def one_by_one(self) -> int:
        """Whether a killed drop may have taken some of the tables."""
        return not self.ground.can.transactional_ddl

    def databases(self) -> set[str]:
        """Every database there is, as the registry would call it."""
        if self.ground.directory is None:
            return self.ground.databases()
        names = {path.name for path in self.ground.directory.iterdir()}
        return {name.removesuffix(".sqlite") for name in names if not name.endswith(SIDE_FILES)}

    def remains(self) -> set[str]:
        """Those in which nothing is, where a store's tables are moved from one to another."""
        if not self.one_by_one:
            return set()
        tables = "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE()"
        return {name for name in self.databases() if not self.ground.run_sql(name, tables)}

    @property
    def has_roles(self) -> bool:
        """Whether there are roles on its server at all."""
        return self.ground.kind in WORDS

    def logins(self) -> list[str]:
        """Who can log in to the store, by the server."""
        found = logins_on(self.ground) if self.has_roles else []
        return [name for name in found if name.startswith(self.database)]


def sync(stores: Stores, home: Home) -> None:
    """Sync the store, or make it if it is made at run time."""
    if home.store == DYNAMIC:
        stores.create(APP, DYNAMIC)
    else:
        assert stores.sync(APP, [STATIC])[0].error is None


@pytest.fixture
def home_on(workers: Workers, tmp_path: Path, keyring: Keyring) -> Callable[[TestServer], Home]:
    """Makes a registry with a service, linked everywhere, and a store on it: `gages`, or another one."""

    def make(ground: TestServer, store: str = STATIC) -> Home:
        found = Home(ground, workers, str(tmp_path / "registry.sqlite3"), keyring, store)
        with found.stores() as stores:
            stores.registry.put_service(ground.service)
            for setting in (store.partition(".")[0], "servers"):
                stores.links.add("main", APP, setting)
        found.make()
        return found

    return make


@pytest.fixture
def home(ground: TestServer, home_on: Callable[..., Home], request: pytest.FixtureRequest) -> Home:
    """A store on every kind of server: `gages`, or the one that is asked for."""
    return home_on(ground, getattr(request, "param", STATIC))


both = pytest.mark.parametrize("home", [STATIC, DYNAMIC], indirect=True)


# --- what must hold -------------------------------------------------------------------------------


def check_honest(home: Home, point: str) -> bool:
    """What is said to be there is there, and nothing else; whether the store is, and lets its app in."""
    with home.stores() as stores:
        found = [each for each in stores.status() if each.health is not Health.UNLINKED]
        said = {each.database for each in found if each.exists is not False}
        assert home.databases() - home.remains() <= said <= home.databases(), point
        here = [each.health for each in found if each.health is not Health.DROPPED]
        # Where tables go one by one, a store may come back without those that were gone already.
        assert here in ([Health.READY], [Health.MISSING], [], [Health.HALF_MADE][: home.one_by_one]), point
        if here == [Health.READY]:
            check_open(stores, home, point)
    return here == [Health.READY]


def check_open(stores: Stores, home: Home, point: str) -> None:
    """The app and a reader find the store's rows."""
    assert stores.exists(APP, home.store), point
    assert count(home.handle) == home.rows, point
    if home.has_roles:
        with log_in(stores, APP, home.store, StoreRole.READER) as reader:
            assert reader.execute("SELECT count(*) FROM gage").fetchone() == (home.rows,), point


def check_back(home: Home, point: str) -> None:
    """The store is as if it had never been dropped, but for tables that a killed purge had taken."""
    whole = check_honest(home, point)
    assert whole or home.one_by_one, point
    assert home.databases() == {home.database}, point
    with home.stores() as stores:
        entries = [(each.database, each.state, each.was) for each in stores.registry.stores()]
        assert entries == [(home.database, StoreState.READY, "")], point
        known = stores.registry.credentials()
        assert sorted(each.login for each in known) == home.logins(), point
        assert not home.has_roles or [each.state for each in known] == CURRENT, point
        [result] = stores.sync(APP, [home.store])
        assert result.error is None, point
        assert count(home.handle) == home.rows or not whole, point


def check_kept(home: Home, point: str) -> None:
    """The store is kept, and nothing else of it is there."""
    assert not check_honest(home, point), point
    with home.stores() as stores:
        assert {each.database for each in stores.kept.entries()} == home.databases(), point
        assert len(stores.kept.entries()) == len(stores.registry.stores()) == 1, point
        known = stores.registry.credentials("main", stores.kept.entries()[0].database)
        assert sorted(each.login for each in known) == home.logins(), point
        assert not home.has_roles or len(known) == 2, point


def check_gone(home: Home, point: str) -> None:
    """Nothing of the store is left, on its server or in the registry."""
    assert not check_honest(home, point), point
    assert home.databases() == set(), point
    if home.has_roles:
        assert roles_on(home.ground) == set(), point
    if home.ground.directory is not None:
        assert {path.suffix for path in home.ground.directory.iterdir()} <= {".lock"}, point
    with home.stores() as stores:
        assert (stores.registry.stores(), stores.registry.credentials()) == ([], []), point


# --- how it goes on after a kill ------------------------------------------------------------------


def drop_again(home: Home, point: str) -> None:
    """Drop once more: then the store is kept, and comes back."""
    home.well("drop", point)
    check_kept(home, f"{point}, dropped")
    undrop(home, point)


def undrop(home: Home, point: str) -> None:
    """Bring the store back, unless it is here, and nothing else is said to be kept."""
    with home.stores() as stores:
        wanted = bool(stores.kept.entries()) or not stores.exists(APP, home.store)
    if wanted:
        home.well("undrop", f"{point}, undropped")
    check_back(home, f"{point}, undropped")


def purge_and_drop(home: Home, point: str) -> None:
    """Purge what is kept, which harms no store that is here; then drop, and purge that."""
    here = check_honest(home, point)
    home.well("purge", f"{point}, purged")
    if here:
        check_back(home, f"{point}, purged")
    home.well("drop", f"{point}, purged, dropped")
    home.well("purge", f"{point}, purged, dropped, purged")
    check_gone(home, f"{point}, purged, dropped, purged")


def make_anew(home: Home, point: str) -> None:
    """Sync, which makes a new store where the old one is kept; let the old one take its place again."""
    with home.stores() as stores:
        here = stores.exists(APP, home.store)
        sync(stores, home)
        assert home.remains() == set(), point
        if not here:
            [old] = stores.kept.entries()
            stores.drop(APP, home.store)
            stores.kept.undrop(APP, home.store, old.database)
            assert [each.error for each in stores.kept.purge(every=True)] == [None], point
    undrop(home, point)


def drop_now(home: Home, point: str) -> None:
    """Drop for good: nothing is left, unless the store is kept already, as it is said to be."""
    with home.stores() as stores:
        stores.drop(APP, home.store, now=True)
        assert {each.database for each in stores.kept.entries()} == home.databases(), point
    purge_again(home, point)


def purge_again(home: Home, point: str) -> None:
    """Purge once more: then nothing is left."""
    home.well("purge", f"{point}, purged")
    check_gone(home, f"{point}, purged")


def undrop_or_purge(home: Home, point: str) -> None:
    """Bring the store back, if it is not gone yet."""
    (undrop if home.databases() else purge_again)(home, point)


Finish: TypeAlias = Callable[[Home, str], None]
FINISHES: dict[str, tuple[Finish, ...]] = {
    "drop": (drop_again, undrop, purge_and_drop, make_anew),
    "undrop": (undrop, drop_again, purge_and_drop, make_anew),
    "purge": (purge_again, undrop_or_purge),
}
"""In what ways it goes on after a kill of each verb."""


# --- killed on the way ----------------------------------------------------------------------------


def begin(home: Home, verb: str) -> None:
    """Let the store be what the verb begins with: here, or kept."""
    with home.stores() as stores:
        kept, here = bool(stores.kept.entries()), stores.exists(APP, home.store)
    if not (kept or here):
        home.make()
    if verb == "drop" and kept:
        home.well("undrop")
    if verb != "drop" and not kept:
        home.well("drop")


def kill(home: Home, verb: str, kill_at: int, finish: Finish) -> None:
    """Kill a verb at some moment, look whether what is said of the store is so, and go on."""
    begin(home, verb)
    point = f"{verb} of {home.store} killed at {kill_at}"
    ended = home.run(verb, kill_at)
    assert ended.killed, (point, ended)
    check_honest(home, point)
    finish(home, f"{point}, then {finish.__name__}")


def kill_along(home: Home, verb: str, points: Iterable[int], shift: int = 0) -> None:
    """Kill a verb at some of its moments, and go on in one way after the other."""
    ways = FINISHES[verb]
    for number, kill_at in enumerate(points, shift):
        kill(home, verb, kill_at, ways[number % len(ways)])


def between_changes(home: Home, verb: str) -> list[int]:
    """Moments of a verb: one between any two lasting changes."""
    begin(home, verb)
    moments = home.well(verb)
    found = [number for number, each in enumerate(moments, 1) if LASTING.match(each)]
    assert len(found) > 3, moments
    return [number + 1 for number in found if number < len(moments)]


@pytest.mark.parametrize("verb", list(FINISHES))
def test_e4_what_is_killed_half_way_can_be_finished_and_taken_back(home: Home, verb: str) -> None:
    points = between_changes(home, verb)
    kill_along(home, verb, points[len(points) // 2 :][:2])


@pytest.mark.long
def test_e4_a_drop_killed_between_two_changes_can_be_finished_and_taken_back(home: Home) -> None:
    points = between_changes(home, "drop")
    kill_along(home, "drop", points)
    kill_along(home, "drop", points, shift=2)


@pytest.mark.long
def test_e4_a_drop_killed_before_or_after_its_tables_are_moved_leaves_no_empty_database(
    mariadb_ground: TestServer, home_on: Callable[..., Home]
) -> None:
    home = home_on(mariadb_ground)
    done = re.compile("after_cursor_execute (CREATE DATABASE|RENAME TABLE)")
    points = [number for number, each in enumerate(home.well("drop"), 1) if done.match(each)]
    assert len(points) == 2
    for finish in (drop_again, drop_now, make_anew):
        for kill_at in points:
            kill(home, "drop", kill_at, finish)


@both
@pytest.mark.long
def test_e4_an_undrop_killed_between_two_changes_can_be_finished_and_taken_back(home: Home) -> None:
    kill_along(home, "undrop", between_changes(home, "undrop"), shift=0 if home.store == STATIC else 2)


@pytest.mark.long
def test_e4_a_purge_killed_between_two_changes_can_be_finished(home: Home) -> None:
    kill_along(home, "purge", between_changes(home, "purge"), shift=1)


@pytest.mark.soak
@both
@pytest.mark.parametrize("verb", list(FINISHES))
def test_e4_a_store_is_here_or_kept_or_gone_wherever_its_way_there_is_killed(home: Home, verb: str) -> None:
    begin(home, verb)
    moments = len(home.well(verb))
    kill_along(home, verb, range(1, moments + 1))
    print(f"{home.ground.kind} {home.store} {verb}: {moments} kill points")  # noqa: T201


# --- a file that others have open -----------------------------------------------------------------


def drop_while_open(home: Home, kill_at: int = 0) -> Ended:
    """Drop a file that somebody reads: it is copied, and emptied."""
    assert home.ground.directory is not None
    with closing(sqlite3.connect(home.ground.directory / f"{home.database}.sqlite")) as other:
        assert other.execute("SELECT count(*) FROM gage").fetchone() == (home.rows,)
        return home.run("drop", kill_at)


def check_rows(home: Home, point: str) -> None:
    """The store's rows are there, or come back."""
    with home.stores() as stores:
        if not stores.exists(APP, home.store):
            stores.kept.undrop(APP, home.store)
        check_open(stores, home, point)
        stores.kept.purge(every=True)
    assert home.databases() == {home.database}, point


def kill_while_open(home: Home, points: Callable[[list[str]], list[int]]) -> None:
    moments = drop_while_open(home).said["moments"]
    check_rows(home, "not killed")
    for kill_at in points(moments):
        ended = drop_while_open(home, kill_at)
        assert ended.killed or len(ended.said["moments"]) < kill_at, (
            kill_at,
            ended,
        )  # Each is a bit different.
        check_rows(home, f"drop of an open file killed at {kill_at}: {moments[kill_at - 1]}")


def test_e4_no_row_is_lost_when_a_drop_of_a_file_that_others_have_open_is_killed(
    sqlite_ground: TestServer, home_on: Callable[..., Home]
) -> None:
    def around_copy(moments: list[str]) -> list[int]:
        return [number for number, each in enumerate(moments, 1) if ".draft" in each][-3:]

    kill_while_open(home_on(sqlite_ground), around_copy)


@pytest.mark.soak
def test_e4_no_row_is_lost_wherever_a_drop_of_a_file_that_others_have_open_is_killed(
    sqlite_ground: TestServer, home_on: Callable[..., Home]
) -> None:
    kill_while_open(home_on(sqlite_ground), lambda moments: list(range(1, len(moments) + 1)))
