"""A password is in nothing that is printed, logged, raised, shown or stored."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from psycopg import sql
from sqlalchemy import text

from faults.canary import PASSWORD, Search, disguises
from fix_apps import Base, Gage, seed
from penstock import App, Connection, Database, NewStore, Service, Stores, SyncOptions, use
from penstock.connect import ServiceAccount, seal_password
from penstock.engines import EngineOptions
from penstock.errors import PenstockError
from penstock.registry import Bindings, DatabaseRegistry
from penstock.secrets import Key, Keyring, SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from fix_servers import PostgreSQLServer

WRONG = "Kanarie-7f3c: but another one"


class Handler(logging.Handler):
    """Keeps every record as text: its message, its arguments and its extras."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()} {vars(record)!r}")


@dataclass
class Watch:
    """Everything that came out while a password was in use."""

    search: Search = field(default_factory=Search)
    log: Handler = field(default_factory=Handler)
    errors: int = 0

    @contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """Do something that must fail, and search how it failed."""
        try:
            yield
        except Exception as error:
            self.errors += 1
            self.search.error(what, error)
        else:
            pytest.fail(f"{what} did not fail")


@pytest.fixture
def watch(capfd: pytest.CaptureFixture[str]) -> Iterator[Watch]:
    """Logs at DEBUG, everything; and looks through it all at the end."""
    watching = Watch()
    root = logging.getLogger()
    before = root.level
    root.addHandler(watching.log)
    root.setLevel(logging.DEBUG)
    try:
        yield watching
    finally:
        root.setLevel(before)
        root.removeHandler(watching.log)
    shown = capfd.readouterr()
    watching.search.text("stdout", shown.out)
    watching.search.text("stderr", shown.err)
    watching.search.text("log", "\n".join(watching.log.lines))
    assert watching.log.lines
    assert watching.search.found == []


@pytest.fixture
def canary(postgresql: PostgreSQLServer) -> Iterator[str]:
    """A role that may make databases, whose password is the canary."""
    with postgresql.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE canary LOGIN CREATEDB PASSWORD {}").format(sql.Literal(PASSWORD))
        )
        connection.execute(f"CREATE ROLE canary_powerless LOGIN PASSWORD {quoted(PASSWORD)}")
    yield f"postgresql://canary@127.0.0.1:{postgresql.port}"
    postgresql.clean()


def quoted(value: str) -> str:
    """A value as SQL."""
    return sql.Literal(value).as_string(None)


@pytest.fixture(params=["env", "file", "sealed"])
def guarded(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives a service the canary as its password, in every way there is to keep one."""

    def guard(service: Service) -> Service:
        if request.param == "sealed":
            monkeypatch.setenv("PENSTOCK_KEY", Key.new().written())
            return seal_password(service, ServiceAccount.SERVICE, PASSWORD, Keyring())
        if request.param == "env":
            monkeypatch.setenv("CANARY_PASSWORD", PASSWORD)
            return replace(service, password=SecretRef("env", "CANARY_PASSWORD"))
        path = tmp_path / "secrets" / "canary"
        path.parent.mkdir(exist_ok=True)
        path.write_text(PASSWORD + "\n", encoding="utf-8")
        return replace(service, password=SecretRef("file", str(path)))

    return guard


def failing(engine: Engine, first_time: bool) -> None:
    """Says where it is, and fails."""
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    raise RuntimeError(f"can't seed {engine.url} ({engine!r}) as {engine.url!r}")


def failing_statement(engine: Engine, first_time: bool) -> None:
    """Sends a statement that the server refuses."""
    with engine.begin() as connection:
        connection.execute(text("SELECT * FROM nowhere WHERE address = :url"), {"url": str(engine.url)})


class Aviary(App):
    """An app whose stores are behind the password."""

    package = "aviary"
    birds = Database("All birds.", metadata=Base.metadata, initializer=seed)
    eggs = Database("Fails.", initializer=failing)
    nests = Database("Is refused.", initializer=failing_statement)
    flocks = Database("By flock.", metadata=Base.metadata, many=True)
    server = Connection("The server.")


SETTINGS = ("birds", "eggs", "nests", "flocks", "server")


def stores_over(registry: Path, service: Service, watch: Watch, bindings: Bindings | None = None) -> Stores:
    """`Stores` that echoes statements, over a registry file, with the service linked everywhere."""
    stores = Stores(
        DatabaseRegistry.at(registry),
        bindings=bindings,
        engine_options=EngineOptions(echo=True),
        apps=[Aviary],
    )
    stores.services.add(service)
    for setting in SETTINGS:
        stores.links.add(service.name, Aviary, setting)
    return stores


def look_at_everything(stores: Stores, watch: Watch) -> None:
    """Search every public object within reach."""
    things = {
        "stores object": stores,
        "registry": stores.registry,
        "services": stores.registry.services(),
        "service": stores.registry.services()[0],
        "links": stores.registry.links(),
        "stores": stores.registry.stores(),
        "journal": stores.registry.journal(1000),
        "status": stores.status(Aviary),
        "plan": str(tuple(stores.plan(Aviary, "birds").steps)),
        "declaration": Aviary.declaration(),
        "handle": Aviary.birds,
        "url": Aviary.birds.url,
        "stores url": stores.url(Aviary, "birds"),
        "connection url": Aviary.server.url,
        "documented url": Aviary.get_persistent_store_database("birds", as_url=True),
        "engine": Aviary.birds.engine,
        "engine url": Aviary.birds.engine.url,
        "engine dialect": Aviary.birds.engine.dialect,
        "pool": Aviary.birds.engine.pool,
        "sessionmaker": Aviary.birds.sessionmaker,
        "session": Aviary.birds.session(),
        "connection engine": Aviary.server.engine,
        "address": stores.address(Aviary, "birds"),
        "place": stores.address(Aviary, "birds").database_address,
        "login": stores.address(Aviary, "birds").database_address.server.login,
    }
    for name, thing in things.items():
        watch.search.text(f"repr of {name}", repr(thing))
        watch.search.text(f"str of {name}", str(thing))
        if name not in ("url", "stores url", "connection url", "documented url"):
            watch.search.thing(name, thing)  # a URL with its password is what was asked for


# --- the search itself ----------------------------------------------------------------------------


def test_the_search_finds_the_password_in_every_disguise(tmp_path: Path) -> None:
    for disguise in disguises():
        search = Search()
        search.text("here", f"before {disguise} after")
        assert len(search.found) == 1, disguise
    search = Search()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\xff\x00" + PASSWORD.encode() + b"\xff")
    (tmp_path / "allowed").write_text(PASSWORD)
    search.folder(tmp_path, but=(tmp_path / "allowed",))
    try:
        try:
            raise ValueError(PASSWORD)
        except ValueError:
            raise PenstockError("harmless") from None
    except PenstockError as error:
        search.error("an error", error)
    assert {found.partition(":")[0] for found in search.found} >= {str(tmp_path / "deep" / "file")}
    assert any("ValueError" in found for found in search.found)


# --- in use ---------------------------------------------------------------------------------------


def test_a_password_is_in_nothing_that_comes_out_while_all_is_well(
    canary: str, guarded: Callable[[Service], Service], tmp_path: Path, watch: Watch
) -> None:
    service = guarded(Service(name="cage", url=canary))
    with stores_over(tmp_path / "registry" / "r.sqlite3", service, watch) as stores, use(stores):
        events: list[object] = []
        results = stores.sync(Aviary, ["birds"], on_event=events.append)
        assert [str(r.error) for r in results if not r.ok] == []
        watch.search.thing("results and events", [results, events])
        assert stores.services.version("cage").startswith("PostgreSQL")
        Aviary.flocks.create("geese")
        stores.create(Aviary, "extra", NewStore(connection="server"))
        with Aviary.birds.begin() as session:
            session.add(Gage(number="1", altitude=2))
        with Aviary.server.engine.connect() as connection:
            assert connection.execute(text("SELECT current_user")).scalar() == "canary"
        look_at_everything(stores, watch)
        assert stores.sync(Aviary, ["birds"], SyncOptions(refresh=True))[0].ok
        Aviary.flocks.drop("geese")
        watch.search.thing("dropped", stores.drop(Aviary, "birds"))
        assert stores.url(Aviary, "birds").password == PASSWORD
    watch.search.folder(tmp_path / "registry")


def test_a_password_is_in_nothing_that_comes_out_of_a_failing_initializer(
    canary: str, guarded: Callable[[Service], Service], tmp_path: Path, watch: Watch
) -> None:
    service = guarded(Service(name="cage", url=canary))
    with stores_over(tmp_path / "registry" / "r.sqlite3", service, watch) as stores, use(stores):
        for name in ("eggs", "nests"):
            with watch.trying(name):
                error = stores.sync(Aviary, [name])[0].error
                assert error is not None
                raise error
        look_at_everything(stores, watch)
    watch.search.folder(tmp_path / "registry")
    assert watch.errors == 2


def unusable(canary: str) -> dict[str, str]:
    """Addresses at which the password is of no use, each for another reason."""
    return {
        "closed port": canary.rpartition(":")[0] + ":1",
        "wrong host": canary.replace("127.0.0.1", "127.0.0.2"),
        "unknown user": canary.replace("canary", "stranger"),
        "missing maintenance database": canary + "/nowhere",
        "no rights": canary.replace("canary", "canary_powerless"),
        "unknown option": canary + "?no_such_option=1",
        "unknown ssl mode": canary + "?sslmode=sometimes",
        "not TLS": canary + "?sslmode=require",
    }


SLOW = "missing maintenance database"  # For it may be that somebody has just taken it away.
WHYS = [why for why in unusable("postgresql://canary@127.0.0.1:5432") if why != SLOW]


@pytest.mark.parametrize("why", [*WHYS, pytest.param(SLOW, marks=pytest.mark.long)])
def test_a_password_is_in_nothing_that_comes_out_of_an_address_that_does_not_work(
    canary: str, tmp_path: Path, watch: Watch, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_PASSWORD", PASSWORD)
    service = Service(name="cage", url=unusable(canary)[why], password=SecretRef("env", "CANARY_PASSWORD"))
    with stores_over(tmp_path / "registry" / "r.sqlite3", service, watch) as stores, use(stores):
        fail_in_every_way(stores, watch)
    watch.search.folder(tmp_path / "registry")


def test_a_wrong_password_is_in_nothing_that_comes_out(
    canary: str, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_PASSWORD", WRONG)
    service = Service(name="cage", url=canary, password=SecretRef("env", "CANARY_PASSWORD"))
    with stores_over(tmp_path / "registry" / "r.sqlite3", service, watch) as stores, use(stores):
        fail_in_every_way(stores, watch)
    watch.search.folder(tmp_path / "registry")


def fail_in_every_way(stores: Stores, watch: Watch) -> None:
    """Every verb and getter, over a service that does not work."""
    with watch.trying("sync"):
        raise_all(stores.sync(Aviary, ["birds"]))
    with watch.trying("refresh"):
        raise_all(stores.sync(Aviary, ["birds"], SyncOptions(refresh=True)))
    with watch.trying("create"):
        stores.create(Aviary, "extra", NewStore(connection="server"))
    with watch.trying("connect"):
        Aviary.birds.engine.connect()
    with watch.trying("session"), Aviary.birds.begin() as session:
        session.execute(text("SELECT 1"))
    watch.search.thing("status", stores.status(Aviary))
    for verb in (stores.exists, stores.plan, stores.drop):
        try:
            watch.search.thing("answer", verb(Aviary, "birds"))
        except PenstockError as error:
            watch.search.error("verb", error)
    try:
        watch.search.thing("version", stores.services.version("cage"))
    except PenstockError as error:
        watch.search.error("check", error)
    watch.search.thing("journal", stores.registry.journal(1000))
    assert watch.errors == 5


def raise_all(results: list[Any]) -> None:
    """Raise the first error."""
    for result in results:
        if result.error is not None:
            raise result.error


# --- in the environment's own addresses -----------------------------------------------------------


def test_a_password_in_an_address_of_the_environment_is_in_nothing_that_comes_out(
    canary: str, tmp_path: Path, watch: Watch
) -> None:
    whole = canary.replace("@", f":{quote(PASSWORD, safe='')}@")
    environment = {
        "PENSTOCK_STORE__AVIARY__BIRDS": f"{whole}/aviary_birds",
        "PENSTOCK_STORE__AVIARY__EGGS": f"{whole.replace(':', ';', 1)}/aviary_eggs",
        "PENSTOCK_STORE__AVIARY__NESTS": f"postgresql://canary:{PASSWORD}@127.0.0.1:1/aviary_nests",
    }
    service = Service(name="cage", url="postgresql://nobody@127.0.0.1:1")
    registry = tmp_path / "registry" / "r.sqlite3"
    with stores_over(registry, service, watch, Bindings(environment)) as stores, use(stores):
        assert [str(r.error) for r in stores.sync(Aviary, ["birds"]) if not r.ok] == []
        look_at_everything(stores, watch)
        for name in ("eggs", "nests"):
            with watch.trying(name):
                raise_all(stores.sync(Aviary, [name]))
            with watch.trying(name):
                stores.engine(Aviary, name).connect()
        watch.search.thing("status", stores.status(Aviary))
        stores.drop(Aviary, "birds")
    watch.search.folder(tmp_path / "registry")


def test_a_password_in_a_services_address_is_refused_without_being_repeated(
    tmp_path: Path, watch: Watch
) -> None:
    stores = Stores(DatabaseRegistry.at(tmp_path / "registry" / "r.sqlite3"))
    addresses = [
        f"postgresql://canary:{quote(PASSWORD, safe='')}@127.0.0.1:5432",
        f"postgresql://canary@127.0.0.1:5432?password={quote(PASSWORD, safe='')}",
        f"postgresql://canary:{PASSWORD}@127.0.0.1:5432",
        f"mysql://canary:{quote(PASSWORD, safe='')}@127.0.0.1",
        f"canary:{PASSWORD}",
    ]
    for address in addresses:
        with watch.trying(address.replace(PASSWORD, "***").partition(":")[0]):
            stores.services.add(Service(name="cage", url=address))
    stores.close()
    logging.getLogger(__name__).info("something was logged")
    if (tmp_path / "registry").exists():
        watch.search.folder(tmp_path / "registry")


def test_a_text_that_is_no_reference_is_refused_without_being_repeated(watch: Watch) -> None:
    for given in (PASSWORD, f"plain:{PASSWORD}"):
        with watch.trying("reference"):
            SecretRef.parse(given)
    logging.getLogger(__name__).info("something was logged")
