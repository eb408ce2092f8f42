"""How a dropped database is kept under another name, and restored."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, NoReturn

from penstock.errors import NotSupported

if TYPE_CHECKING:
    from datetime import datetime

    from penstock.backends.address import DatabaseAddress


class Quarantine(ABC):  # noqa: B024  (each has a default: who keeps nothing implements nothing)
    """How one dialect keeps dropped databases; all of it or nothing (see `Capabilities.quarantine`)."""

    def quarantine_name(self, address: DatabaseAddress, when: datetime) -> str:
        """What the database may be called while it is kept after a drop at this time."""
        _refuse(address)

    def quarantine(self, address: DatabaseAddress, name: str) -> None:
        """Rename the database, end its connections and refuse new ones.

        Raises:
            StoreBusy: Somebody uses it who can't be made to let go.
            StoreNotCreated: It is not there.
        """
        _refuse(address)

    def allow_connections(self, address: DatabaseAddress) -> None:
        """Let those who may connect do so again to a database that was set aside; by default nothing."""

    def restore(self, address: DatabaseAddress, name: str) -> None:
        """Give a database that was set aside its name again, and let those in who may connect."""
        _refuse(address)

    def drop_remains(self, address: DatabaseAddress) -> None:
        """Drop what a `quarantine` or `restore` that was killed left under a name, if no store is there.

        What others are at work on is left to them. By default nothing is left.
        """


def _refuse(address: DatabaseAddress) -> NoReturn:
    raise NotSupported(
        f"Service {address.server.service} can't keep a dropped database.",
        hint=f"Drop it for good: penstock stores drop {address.label} --now",
    )
