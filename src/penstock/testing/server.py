"""A server on which test copies are made, and what killed runs left there."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.backends import Backend, DatabaseAddress, Server
from penstock.connect import Address
from penstock.declare import StoreName, run_of_copy
from penstock.declare.naming import TEST_PREFIX
from penstock.errors import PenstockError, StoreBusy
from penstock.provision.context import look
from penstock.registry import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.backends import RoleNames

MADE_HERE = Source("memory", "the test run")
"""Who says where a copy is."""

TEMPLATE = "template"
"""The name of the set of copies from which the others are copied."""

_PATIENCE = 600.0
"""Seconds that a worker waits for another one to make the templates."""


@dataclass(frozen=True, slots=True)
class TestServer:
    """A server on which copies are made."""

    __test__ = False  # pytest shall not look for tests in it.

    server: Server
    backend: Backend

    @contextmanager
    def held_by(self, run: str) -> Iterator[None]:
        """Let others know, for the time of the block, that the run goes on."""
        with self.backend.named_lock(self.server, _lock(run), shared=True, timeout=_PATIENCE):
            yield

    @contextmanager
    def making_templates(self, run: str) -> Iterator[None]:
        """Let no other worker of the run make templates, for the time of the block."""
        with self.backend.named_lock(self.server, _lock(f"{run}_{TEMPLATE}"), timeout=_PATIENCE):
            yield

    def clean_up(self) -> None:
        """Drop the copies of all runs that are over, or were killed: nobody holds their locks."""
        left, roles = self.backend.databases(self.server, TEST_PREFIX), self._roles_left()
        for run in {run_of_copy(name) for name in (*left, *(each.app for each in roles))} - {None}:
            with suppress(StoreBusy), self.backend.named_lock(self.server, _lock(run or ""), timeout=0):
                for database in left:
                    if run_of_copy(database) == run:
                        self._drop(database)
                self._drop_roles(run or "")
                self.backend.forget_lock(self.server, _lock(run or ""))
                self.backend.forget_lock(self.server, _lock(f"{run}_{TEMPLATE}"))

    def _drop(self, database: str) -> None:
        """Drop one copy, unless there is something in it that is none of Penstock's."""
        database_address = DatabaseAddress(server=self.server, database=database, label=f"left:{database}")
        address = Address(
            app="left",
            store=StoreName(database),
            database_address=database_address,
            backend=self.backend,
            source=MADE_HERE,
        )
        seen = look(address)
        if seen.record is None and seen.found.relations:
            return
        roles = self.backend.roles
        if roles is not None and seen.record is not None:
            roles.let_end(database_address, roles.names(database, seen.record.store_id))
        self.backend.drop(database_address)

    def _roles_left(self) -> list[RoleNames]:
        roles = self.backend.roles
        return [] if roles is None else roles.left(self.server, TEST_PREFIX)

    def _drop_roles(self, run: str) -> None:
        """Drop the roles of a run whose copies are gone; they stay where one has been left alone."""
        roles = self.backend.roles
        for names in self._roles_left() if roles is not None else ():
            if roles is not None and run_of_copy(names.app) == run:
                with suppress(PenstockError):
                    roles.drop(self.server, names)


def _lock(run: str) -> str:
    return f"{TEST_PREFIX}{run}"
