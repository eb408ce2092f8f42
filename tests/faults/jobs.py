"""What processes of the fault tests do; each job returns plain data."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg  # noqa: F401  (loaded before a job gives up the right to read it)
from sqlalchemy import Connection, Engine, MetaData, String, event, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import penstock.backends.postgresql.backend
import penstock.backends.sqlite.backend  # noqa: F401
from faults.bulk import write_batches  # noqa: F401  (another job)
from faults.changes import (  # noqa: F401  (more jobs)
    edit_service,
    link_gages,
    make_file_anew,
    move_gages,
    remove_file,
    unlink_gages,
)
from faults.logins import APP, change_passwords, hammer  # noqa: F401  (more jobs)
from faults.logins import stores_of as stores_with_key
from penstock import (
    App,
    Database,
    PenstockError,
    PersistentStoreDatabaseSetting,
    Service,
    Stores,
    SyncOptions,
)
from penstock import Connection as ConnectionSetting
from penstock.registry import DatabaseRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORDS = ("one", "two", "three")
FORMS = ("session", "connection", "engine")
FLEET = tuple(f"s{number:02}" for number in range(20))


# --- the app --------------------------------------------------------------------------------------


class Base(DeclarativeBase):
    """The tables of the app."""

    metadata = MetaData()


class Seed(Base):
    """One row of first-time work; nothing keeps it from being there twice."""

    __tablename__ = "seed"

    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(String(50))


_rows = [{"word": word} for word in WORDS]
_moments: dict[str, Callable[[], None]] = {}


def _moment(name: str) -> None:
    """A named moment inside an initializer, at which a job may do something."""
    _moments.get(name, lambda: None)()


def by_session(session: Session, first_time: bool) -> None:
    """Three rows, the first time, and a commit that stays inside."""
    if first_time:
        _moment("begun")
        session.add_all([Seed(**row) for row in _rows])
        session.flush()
        _moment("half")
        session.commit()
        _moment("committed")


def by_connection(connection: Connection, first_time: bool) -> None:
    """Three rows, the first time."""
    if first_time:
        _moment("begun")
        connection.execute(insert(Seed), _rows[:1])
        _moment("half")
        connection.execute(insert(Seed), _rows[1:])
        _moment("committed")


def by_engine(engine: Engine, first_time: bool) -> None:
    """Three rows, the first time, in a transaction of its own."""
    if first_time:
        _moment("begun")
        with engine.begin() as connection:
            connection.execute(insert(Seed), _rows)
            _moment("half")
        _moment("committed")


INITIALIZERS = {"session": by_session, "connection": by_connection, "engine": by_engine}


def lab(form: str = "session") -> type[App]:
    """An app with one store, whose initializer has this form, a kind, and a connection."""

    class Lab(App):
        package = "lab"
        gages = Database("Every gage.", metadata=Base.metadata, initializer=INITIALIZERS[form])
        basins = Database("By basin.", metadata=Base.metadata, initializer=INITIALIZERS[form], many=True)
        servers = ConnectionSetting("Where new stores are made.", required=False)

    return Lab


class Fleet(App):
    """An app with twenty stores."""

    package = "fleet"

    def persistent_store_settings(self) -> list[PersistentStoreDatabaseSetting]:
        """Twenty of a kind, each declared."""
        return [
            PersistentStoreDatabaseSetting(name, initializer=by_session, metadata=Base.metadata)
            for name in FLEET
        ]


# --- how a job is killed, or held -----------------------------------------------------------------


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


class Counter:
    """Counts what happens, and kills the process when the count is reached."""

    def __init__(self, kill_at: int) -> None:
        self._kill_at = kill_at
        self.count = 0

    def __call__(self, *happened: Any) -> None:
        """One more."""
        self.count += 1
        if self.count == self._kill_at:
            die()


class Diary(Counter):
    """Also remembers what happened, in a line each."""

    def __init__(self, kill_at: int) -> None:
        super().__init__(kill_at)
        self.lines: list[str] = []

    def __call__(self, *happened: Any) -> None:
        """One more."""
        self.lines.append(" ".join(map(str, happened)))
        super().__call__()


def count_statements(counter: Counter) -> None:
    """Count the moments before and after every statement and before every commit, of any engine."""
    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(Engine, name, partial(_happened, counter, name))


def _happened(counter: Counter, name: str, connection: Connection, *of_statements: Any) -> None:
    counter(name, *of_statements[1:2])


_FILE_EVENTS = ("open", "os.remove", "os.rename", "os.mkdir", "sqlite3.connect")


def count_files(counter: Counter, folder: str) -> None:
    """Count the moments before a file below `folder` is made, opened or removed by Python."""

    def hook(name: str, args: tuple[Any, ...]) -> None:
        if name in _FILE_EVENTS and folder in str(args[0]):
            counter(name, args[0])

    sys.addaudithook(hook)


def hold(folder: str) -> Callable[[], None]:
    """Says that it is reached by making the file `held`, and goes on when `go` is there."""

    def wait() -> None:
        Path(folder, f"held-{os.getpid()}").touch()
        end = time.monotonic() + 60
        while not Path(folder, "go").exists() and time.monotonic() < end:
            time.sleep(0.01)

    return wait


# --- jobs -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _stores(registry: str, *apps: type[App]) -> Iterator[Stores]:
    with Stores(DatabaseRegistry.at(Path(registry)), apps=apps) as stores:
        yield stores


def work(
    registry: str,
    verb: str = "sync",
    form: str = "session",
    kill: str = "",
    kill_at: int = 0,
    moment: str = "",
    folder: str = "",
    **options: Any,
) -> dict[str, Any]:
    """Sync, refresh or drop the store `gages`, and be killed on the way.

    Args:
        registry: The registry's file.
        verb: `sync`, `refresh` or `drop`.
        form: What the initializer asks for.
        kill: What is counted: `steps`, `statements` or `files`.
        kill_at: At which count to die; 0 to count only.
        moment: A moment inside the initializer to die at, or to hold at if there is a `folder`.
        folder: For `files`: which files; for `moment`: where to say that it is reached.
        options: More `SyncOptions`.
    """
    counter = Counter(kill_at)
    app = lab(form)
    if moment:
        _moments[moment] = hold(folder) if folder else die
    if kill == "statements":
        count_statements(counter)
    if kill == "files":
        count_files(counter, folder)
    on_event = counter if kill == "steps" else None
    with _stores(registry, app) as stores:
        problems = []
        began = time.monotonic()
        if verb == "drop":
            stores.drop(app, "gages", now=True, on_event=on_event)
        else:
            asked = SyncOptions(refresh=verb == "refresh", **options)
            results = stores.sync(app, ["gages"], asked, on_event=on_event)
            problems = [_told(result.error) for result in results if result.error is not None]
        return {"problems": problems, "count": counter.count, "seconds": time.monotonic() - began}


def take_away(
    registry: str, key: str, store: str, verb: str, kill_at: int = 0, folder: str = ""
) -> dict[str, Any]:
    """Drop, undrop or purge a store of a registry with a key, and be killed on the way.

    Args:
        registry: The registry's file.
        key: The key file.
        store: The store of `logins.APP`; a purge lets all go that are kept.
        verb: `drop`, `undrop` or `purge`.
        kill_at: At which moment to die: before and after each step and statement, before each commit and
            each use of a file; 0 to note them only.
        folder: Which files.
    """
    diary = Diary(kill_at)
    count_statements(diary)
    if folder:
        count_files(diary, folder)
    with stores_with_key(registry, key) as stores:
        try:
            problems = _taken_away(stores, store, verb, diary)
        except PenstockError as error:
            problems = [str(error)]
    return {"problems": problems, "moments": diary.lines}


def _taken_away(stores: Stores, store: str, verb: str, diary: Diary) -> list[str]:
    if verb == "purge":
        return [
            str(each.error)
            for each in stores.kept.purge(every=True, on_event=diary)
            if each.error is not None
        ]
    if verb == "drop":
        stores.drop(APP, store, on_event=diary)
    else:
        stores.kept.undrop(APP, store, on_event=diary)
    return []


def sync_fleet(registry: str, refresh: bool = False) -> dict[str, Any]:
    """Sync the twenty stores; which of them this process created, and what went wrong."""
    made = []

    def note(happened: Any) -> None:
        if type(happened).__name__ == "StepStarted":
            made.append(f"{happened.store}: {happened.step}")

    with _stores(registry, Fleet) as stores:
        results = stores.sync(Fleet, options=SyncOptions(refresh=refresh), on_event=note)
        return {"problems": [_told(r.error) for r in results if r.error is not None], "steps": made}


def repeat(registry: str, verb: str, times: int) -> dict[str, Any]:
    """Sync, refresh or drop the store `gages` so many times; what went wrong."""
    app = lab()
    problems = []
    for _ in range(times):
        with _stores(registry, app) as stores:
            said = _answer(stores, app, verb)
            problems += [said] if isinstance(said, dict) else []
    return {"problems": problems}


def register(registry: str, name: str) -> None:
    """Register a service."""
    with _stores(registry) as stores:
        stores.services.add(Service(name=name, url="sqlite:///stores"))


def as_nobody(registry: str, verbs: list[str], limit: int = 0) -> dict[str, Any]:
    """Without root's rights, and with a limit on the size of files: what each verb says."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    app = lab()
    said = {}
    try:
        with _stores(registry, app) as stores:
            for verb in verbs:
                said[verb] = _answer(stores, app, verb)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return said


def _answer(stores: Stores, app: type[App], verb: str) -> Any:
    """What the verb returns, or its error as plain data."""
    try:
        return _verb(stores, app, verb)
    except PenstockError as error:
        return _told(error)


def _verb(stores: Stores, app: type[App], verb: str) -> Any:
    if verb == "status":
        status = stores.store_status(app, "gages")
        return {"kind": status.health.value, "what": status.problem, "why": "", "hint": status.hint}
    if verb == "exists":
        return stores.exists(app, "gages")
    if verb == "use":
        with stores.engine(app, "gages").connect() as connection:
            return connection.exec_driver_sql("SELECT count(*) FROM seed").scalar()
    if verb == "drop":
        return stores.drop(app, "gages", now=True).existed
    error = stores.sync(app, ["gages"], SyncOptions(refresh=verb == "refresh"))[0].error
    return None if error is None else _told(error)


def _told(error: PenstockError) -> dict[str, str]:
    """An error as plain data."""
    return {"kind": type(error).__name__, "what": error.what, "why": error.why, "hint": error.hint}


def write_and_die(registry: str) -> None:
    """Write rows as the app does, and be killed with the connection open."""
    with _stores(registry, lab()) as stores, stores.engine("lab", "gages").connect() as connection:
        connection.execute(insert(Seed), [{"word": "late"}] * 100)
        connection.commit()
        die()
