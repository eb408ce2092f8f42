"""Roles of a store's own: who owns it, who writes its rows, who only reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from secrets import token_hex
from typing import TYPE_CHECKING, ClassVar, Protocol

from penstock.backends.address import direct_login

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from penstock.backends.address import DatabaseAddress, Login, Server
    from penstock.errors import PenstockError


_ENDING = "_{digits}_reader_{login}".format(digits="0" * 8, login="0" * 6)


class StoreRole(Enum):
    """The roles of a store: what a login of the store may do in it.

    Attributes:
        APP: Read and write rows.
        READER: Read rows.
    """

    APP = "app"
    READER = "reader"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleNames:
    """What the roles of one store are called on its server; nobody logs in as one of them.

    Args:
        owner: Owns the database and all that is made in it; empty where the service's own user does.
        app: Has what `StoreRole.APP` may do.
        reader: Has what `StoreRole.READER` may do.
        app_makes_tables: Whether `app` also has all that the owner has in this store.
    """

    owner: str
    app: str
    reader: str
    app_makes_tables: bool = False

    def of(self, role: StoreRole) -> str:
        """The role that the logins of a kind are members of."""
        return self.app if role is StoreRole.APP else self.reader


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLogin:
    """A login that is to be made.

    Args:
        role: What it may do.
        name: What it is called on the server.
        password: Its password; the server is sent something else to check it with.
    """

    role: StoreRole
    name: str
    password: str

    def __repr__(self) -> str:
        return f"NewLogin({self.role.value}, {self.name!r})"


def stem_of(role: str) -> str:
    """What the names of one store's roles begin with, by one of them; empty for any other role.

    >>> stem_of("lab_gages_1a2b3c4d_reader"), stem_of("postgres")
    ('lab_gages_1a2b3c4d', '')
    """
    found = re.fullmatch("(.*_[0-9a-f]{8})_(owner|app|reader)", role)
    return found[1] if found else ""


class RoleBackend(Protocol):
    """How one dialect gives a store roles of its own.

    What takes a connection does its work in the transaction that this is in. The connection is one of the
    service's role to the store's own database, on which names resolve nowhere that an app can write to.
    """

    def problem(self, server: Server) -> PenstockError | None:
        """Why the service's role can't give its stores roles of their own, or None; asks the server."""

    def owner_problem(self, address: DatabaseAddress) -> PenstockError | None:
        """Why the app of a store can't have what its owner has, or None; asks the server."""

    def names(self, database: str, store_id: str) -> RoleNames:
        """What the roles of a store are called: the same for ever, and no other store's."""

    def new_login(self, names: RoleNames, role: StoreRole) -> str:
        """A name for a login that nobody has had."""

    def state(self, connection: Connection, names: RoleNames, logins: Sequence[str]) -> tuple[bool, bool]:
        """Whether the roles are there; whether they, and these logins, have all that they shall have."""

    def owner_address(self, address: DatabaseAddress, names: RoleNames) -> DatabaseAddress:
        """The same store for work on which all that is made is the owner's; never through a pooler."""

    def grant(self, connection: Connection, names: RoleNames, record: str) -> None:
        """Make the roles, give the owner all that is the service's, the others what they may do.

        Safe to repeat; a database that was copied, or made otherwise, is given its roles so, too.

        Args:
            connection: To the store.
            names: Its roles.
            record: The table of the store's record, which an app may only read.

        Raises:
            StoreNotOurs: A role of one of these names is somebody else's.
        """

    def grant_copy(self, connection: Connection, names: RoleNames, record: str) -> None:
        """Let the roles of a template have in a copy of it what they have there; safe to repeat.

        Args:
            connection: To the copy, which may also have been made anew, without the template.
            names: The roles.
            record: See `grant`.
        """

    def add_logins(
        self,
        connection: Connection,
        names: RoleNames,
        logins: Sequence[NewLogin],
        *,
        everywhere: bool = False,
    ) -> None:
        """Make logins, or give those that are there their passwords; the server sees no password.

        Args:
            connection: To the store.
            names: Its roles.
            logins: The logins.
            everywhere: Whether they are for copies of the store, too; the service's role can end their
                sessions.
        """

    def in_use(self, connection: Connection, login: str) -> bool:
        """Whether a login's session is doing something right now; one that is idle does not count."""

    def drop_login(self, connection: Connection, names: RoleNames, login: str) -> None:
        """Drop a login; nothing happens if it does not exist."""

    def let_end(self, address: DatabaseAddress, names: RoleNames) -> None:
        """Let the service's role end the sessions of the store's logins, before it drops or renames it."""

    def refuse_connections(self, server: Server, names: RoleNames) -> None:
        """Keep the logins of a quarantined store out of the next database of its name."""

    def allow_connections(self, server: Server, names: RoleNames) -> None:
        """Let them in again, before it has its name again."""

    def drop(self, server: Server, names: RoleNames) -> None:
        """Drop the roles and logins of a store that is gone; those that are not there don't matter."""

    def left(self, server: Server, prefix: str) -> list[RoleNames]:
        """The roles of stores that Penstock made there, for databases whose names begin so."""

    def direct_login(self, server: Server) -> Login:
        """How the service's role reaches the server itself, past a pooler."""

    def change_password(self, server: Server, login: Login, password: str) -> None:
        """Change the password of a login's role; the server sees a verifier only."""


class ServerRoles(RoleBackend):
    """What is the same for all servers that give stores roles of their own.

    Attributes:
        longest: How long a role's name may be.
        has_owners: Whether a database is owned by a role.
    """

    longest: ClassVar[int]
    has_owners: ClassVar[bool]

    def names(self, database: str, store_id: str) -> RoleNames:
        plain = re.sub(r"[^a-z0-9_]", "_", database.lower())[: self.longest - len(_ENDING)]
        return self._named(f"{plain}_{store_id.replace('-', '')[:8]}")

    def _named(self, stem: str) -> RoleNames:
        owner = f"{stem}_owner" if self.has_owners else ""
        return RoleNames(owner=owner, app=f"{stem}_app", reader=f"{stem}_reader")

    def _left(self, found: Iterable[str]) -> list[RoleNames]:
        """The roles of stores, by the names of some of them."""
        return [self._named(stem) for stem in sorted(set(filter(None, map(stem_of, found))))]

    def new_login(self, names: RoleNames, role: StoreRole) -> str:
        return f"{names.of(role)}_{token_hex(3)}"

    def owner_address(self, address: DatabaseAddress, names: RoleNames) -> DatabaseAddress:
        server = replace(address.server, login=direct_login(address.server), pooled=False)
        return replace(address, server=server, own_login=None, role=names.owner)

    def direct_login(self, server: Server) -> Login:
        return direct_login(server)
