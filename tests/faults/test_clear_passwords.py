"""A server that writes down all it is told never hears a password, only verifiers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from faults.books import Book, open_book
from faults.canary import PASSWORD
from faults.scenes import until
from fix_apps import all_ok, count
from fix_roles import log_in
from penstock import App, Stores, use
from penstock.backends import StoreRole
from penstock.connect import ServiceAccount, seal_password
from penstock.connect.credentials import read_credential
from penstock.connect.servers import read_password
from penstock.errors import ServerError
from penstock.provision.dynamic import NewStore
from penstock.secrets import Keyring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module", params=["usual", "other", "mariadb"])
def book(request: pytest.FixtureRequest) -> Iterator[Book]:
    """Every PostgreSQL there is, and MariaDB, that write down all they are told."""
    with open_book(request.param) as book:
        yield book


# --- every password that ever was -----------------------------------------------------------------


@dataclass
class Life:
    """`Stores` whose stores have logins of their own, and every password there ever was."""

    stores: Stores
    app: type[App]
    book: Book
    passwords: set[str] = field(default_factory=set)
    logins: set[str] = field(default_factory=set)

    def note(self) -> None:
        """Remember the passwords that are good now: those of services, of stores, kept ones too."""
        keyring = self.stores.keyring
        services = {service.name: service for service in self.stores.registry.services()}
        for service in services.values():
            self.passwords |= {read_password(service, role, keyring) or "" for role in ServiceAccount} - {""}
        for each in self.stores.registry.credentials():
            self.passwords.add(read_credential(services[each.service], each, keyring))
            self.logins.add(each.login)

    def create(self) -> None:
        """A declared store, two of a kind, and one that is made through a connection; all are used."""
        all_ok(self.stores, self.app)
        for name in ("logan", "bear"):
            self.app.basins.create(name)
        self.stores.create(self.app, "trial", NewStore(connection="servers"))
        self.note()
        for name in self.stores.names(self.app):
            for role in StoreRole:
                assert self.stores.url(self.app, name, role=role).password in self.passwords
        self.use()

    def use(self) -> None:
        """The app reads and writes, and somebody who only reads logs in."""
        assert count(self.app.gages) == 2
        with log_in(self.stores, self.app, "gages", StoreRole.READER) as reader:
            assert reader.execute("SELECT count(*) FROM gage WHERE number = %s", ["1"]).fetchone() == (0,)

    def rotate(self) -> None:
        """Stores get new logins, the service and its administrator new passwords."""
        assert [each.error for each in self.stores.logins.rotate(self.app, grace=0)] == [None] * 4
        self.note()
        self.stores.services.rotate("main", seal=True)
        self.note()
        self.stores.services.rotate("main")
        self.note()
        if self.has_administrator:
            self.rotate_administrator()
        self.use()

    @property
    def has_administrator(self) -> bool:
        """Whether the service has a second login, for an administrator."""
        return bool(self.book.ground.service.admin_url)

    def rotate_administrator(self) -> None:
        """The service's administrator gets a new password."""
        service = self.stores.services.rotate("main", ServiceAccount.ADMINISTRATOR, seal=True)
        self.note()
        assert self.book.ground.server is not None
        new = read_password(service, ServiceAccount.ADMINISTRATOR, self.stores.keyring)
        self.book.ground.server.admin_password_file.write_text(f"{new}\n")

    def edit(self) -> None:
        """The service is given two passwords that its server does not know; then it knows the second one."""
        for password in (f"wrong {PASSWORD}", PASSWORD):
            service = self.stores.services.get("main")
            sealed = seal_password(service, ServiceAccount.SERVICE, password, self.stores.keyring)
            self.stores.services.edit(sealed)
            self.note()
            with pytest.raises(ServerError):
                self.stores.services.version("main")
        self.book.let_in(PASSWORD)
        assert self.stores.services.version("main")
        all_ok(self.stores, self.app)

    def take_away(self) -> None:
        """Stores are dropped, brought back, dropped for good; another database takes the place of one."""
        self.stores.drop(self.app, "gages")
        self.note()
        self.stores.kept.undrop(self.app, "gages")
        self.use()
        self.stores.drop(self.app, "gages")
        self.stores.drop(self.app, "trial", now=True)
        assert [each.error for each in self.stores.kept.purge(every=True)] == [None]
        self.book.ground.make_database("old")
        make = "CREATE TABLE gage (number varchar(60) PRIMARY KEY, altitude float)"
        for statement in (make, "INSERT INTO gage VALUES ('a', 1), ('b', 2)", self.book.words.own):
            if statement:
                self.book.ground.run_sql("old", statement)
        self.stores.adopt(self.app, "gages", "old")
        all_ok(self.stores, self.app)
        self.note()
        self.use()


@pytest.fixture
def life(book: Book, lab: type[App], role_stores_on: Callable[..., Stores]) -> Iterator[Life]:
    """`Stores` in use on that server; afterwards the service's user has the password that it had."""
    service = book.ground.service
    before = read_password(service, ServiceAccount.SERVICE, Keyring())
    with use(role_stores_on(book.ground, lab)) as stores:
        yield Life(stores, lab, book)
    book.ground.clean()
    book.let_in(str(before))


# --- what is heard --------------------------------------------------------------------------------


def test_z3_no_password_that_ever_was_is_in_a_servers_log_statistics_or_sessions(
    life: Life, book: Book
) -> None:
    life.note()
    with book.watched():
        for part in (life.create, life.rotate, life.edit, life.take_away):
            part()
    of_service, of_administrator = 3, 2 * life.has_administrator
    assert len(life.passwords) == of_service + of_administrator + 2 * 4 + 2 * 4 + 2 + 2
    assert [where for password in life.passwords for where in book.search(password)] == []


def test_z3_what_is_written_down_of_a_new_login_is_its_verifier(life: Life, book: Book) -> None:
    life.create()
    life.stores.services.rotate("main", seal=True)
    log, statistics = book.log, book.statistics
    assert len(life.logins) == 8
    for login in life.logins:
        names = {"login": login, "role": login.rpartition("_")[0]}
        assert book.words.new_login.format(**names) in log
        assert book.words.counted_login.format(**names) in statistics
    assert book.words.new_password in log


def test_z3_a_password_that_is_sent_in_clear_would_be_found(book: Book) -> None:
    with book.watched(), book.telling(book.words.in_clear):
        until(lambda: "in-clear-text" in "".join(book.seen), "the session is seen")
    assert book.search("in-clear-text") == ["log", "statistics", "activity"]
