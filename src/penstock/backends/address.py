"""The address of a database: its server, the login, and its physical name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from sqlalchemy import URL

from penstock.errors import ConfigError, StoreNotCreated


def no_password() -> None:
    """The password of a login that has none."""


def without_password(url: URL) -> URL:
    """The same address, without the password.

    >>> from sqlalchemy import make_url
    >>> without_password(make_url("postgresql://a:b@c/d")).password is None
    True
    """
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)


def portable(url: URL) -> str:
    """The address with its password, as every reader of addresses takes it: without a bare space.

    >>> portable(URL.create("postgresql", "a", "b c", "h"))
    'postgresql://a:b%20c@h'
    """
    return url.render_as_string(hide_password=False).replace(" ", "%20")


class Account(Protocol):
    """A password, and the user that it is of."""

    @property
    def user(self) -> str | None:
        """The user; None for that of the address."""

    @property
    def password(self) -> str:
        """The password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """An address and the way to its password, which is read when a connection is made.

    Args:
        url: Driver, host, port, user and options; never a password.
        password: Looks the password up, perhaps with the user it is of; None means that there is none.
        reference: Where the password is; two logins are the same if they agree in this and the address.
        spare: Looks up the password that is about to take the other one's place; None if none is.
        spare_reference: Where that one is; logins are the same only if they agree in this, too.
    """

    url: URL
    password: Callable[[], str | Account | None] = field(default=no_password, repr=False, compare=False)
    reference: str = field(default="", repr=False)
    spare: Callable[[], str | Account | None] | None = field(default=None, repr=False, compare=False)
    spare_reference: str = field(default="", repr=False)

    def with_password(self) -> URL:
        """The address with its password in it, for a driver; its repr shows `***`."""
        return self.with_password_in(self.url)

    def with_password_in(self, url: URL) -> URL:
        """Another address of the same server, with the password in it.

        Args:
            url: The address. Where the password comes with a user, as a vault's lease does, that user is in
                the answer, too.
        """
        return _with(url, self.password())

    def with_spare(self) -> URL | None:
        """The same with the password that is about to take the other one's place, if one is."""
        return None if self.spare is None else _with(self.url, self.spare())


def _with(url: URL, found: str | Account | None) -> URL:
    if found is None or isinstance(found, str):
        return url.set(password=found) if found else url
    if found.user is not None:
        url = url.difference_update_query(["user"]).set(username=found.user)
    return url.set(password=found.password) if found.password else url


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where databases are made: a service as a backend sees it.

    Args:
        service: The service's name, for messages.
        login: The role that makes and owns databases.
        admin: The role for what only an administrator may do; None where there is none.
        pooled: Whether `login` leads through a pooler of transactions; `admin` never does.
        max_connections: The most connections of this process to it; None for the figure of `Stores`.
        connect_timeout: Seconds in which it has to answer Penstock's own connections.
    """

    service: str
    login: Login
    admin: Login | None = None
    pooled: bool = False
    max_connections: int | None = None
    connect_timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAddress:
    """One database on one server.

    Args:
        server: The server it is on.
        database: Its physical name.
        label: Whose it is, `app:store`; shown by the server in its list of sessions.
        own_login: The store's own login, for its app; None where that uses the service's.
        role: The role that takes the login's place once a session has begun; empty for none.
        spatial: Whether connections to it need spatial types and functions.
        app_makes_tables: Whether its app may do in it all that the owner may.
    """

    server: Server
    database: str
    label: str = ""
    own_login: Login | None = None
    role: str = ""
    spatial: bool = False
    app_makes_tables: bool = False

    @property
    def login(self) -> Login:
        """What the store's app logs in with."""
        return self.own_login or self.server.login

    @property
    def purpose(self) -> str:
        """What a connection to it says of itself."""
        return f"penstock {self.label}".rstrip()

    def not_created(self, why: str) -> StoreNotCreated:
        """The error of a database that does not exist, with the command that makes it."""
        app, _, store = self.label.partition(":")
        return StoreNotCreated(
            f"Store {self.label or self.database} has no database yet.",
            why=why,
            hint=f"penstock syncstores {app} -d {store}" if store else "",
        )


def direct_login(server: Server) -> Login:
    """How the service's role reaches the server itself, past a pooler.

    Raises:
        ConfigError: The service is pooled, and nothing says where the server is.
    """
    login = server.login
    if not server.pooled:
        return login
    if server.admin is None:
        example = f"{login.url.get_backend_name()}://admin@server"
        raise ConfigError(
            f"Service {server.service} leads through a pooler, and nothing says where its server is.",
            why="Databases are made, locked and looked at on the server itself.",
            hint=f"penstock services edit {server.service} --admin-url {example}",
        )
    direct = server.admin.url
    return replace(login, url=login.url.set(host=direct.host, port=direct.port, query=direct.query))


def missing(address: DatabaseAddress) -> StoreNotCreated:
    """The error of a database that its server does not have."""
    return address.not_created(f"Service {address.server.service} has no database {address.database}.")
