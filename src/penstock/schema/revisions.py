"""Brings one database from one revision of its tables to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


class UnknownRevision(LookupError):
    """A database is at a revision that its folder does not have; its name is the argument."""


class Revisions:
    """A folder of revisions, and the table in which a database says how far it is.

    Alembic's commands and its `alembic.op` keep what they work on in global variables, so two threads
    can't use them at once. Here a revision is given the operations as an argument instead, and nothing
    is shared but the folder, which is read once:

        revision = "0002"
        down_revision = "0001"

        def upgrade(op: Operations) -> None:
            op.create_table(...)

    Every call works inside the transaction that the connection is in, and leaves its end to the
    caller; so do the statements of the revisions, where DDL takes part in transactions.

    Args:
        folder: Where the revisions are: one line of them, without branches.
        table: The table in the database that holds the revision it is at.
        schema: The schema of that table; None for the connection's own.

    >>> from pathlib import Path
    >>> import penstock.registry
    >>> folder = Path(penstock.registry.__file__).with_name("versions")
    >>> Revisions(folder, table="penstock_registry_version").names[0]
    '0001'
    """

    def __init__(self, folder: Path, *, table: str, schema: str | None = None) -> None:
        self._scripts = ScriptDirectory(folder, version_locations=[folder])
        self._options = {"version_table": table, "version_table_schema": schema}
        found = self._scripts.walk_revisions()  # Reads every file now, not later in two threads at once.
        self.names: tuple[str, ...] = tuple(script.revision for script in found)[::-1]

    @property
    def head(self) -> str:
        """The newest revision."""
        return self.names[-1]

    def current(self, connection: Connection) -> str | None:
        """The revision that a database is at; None before the first."""
        return self._context(connection).get_current_revision()

    def missing(self, connection: Connection) -> tuple[str, ...]:
        """The revisions that a database has yet to get, the oldest first.

        Raises:
            UnknownRevision: It is at one that is not in the folder; most likely at a newer one.
        """
        current = self.current(connection)
        if current is None:
            return self.names
        if current not in self.names:
            raise UnknownRevision(current)
        return self.names[self.names.index(current) + 1 :]

    def upgrade(self, connection: Connection) -> tuple[str, ...]:
        """Bring a database to the newest revision, and answer which ones it got.

        Nothing keeps two processes from doing this at once: begin the transaction with a lock. If
        somebody else wrote the version meanwhile all the same, this fails, and so does the transaction.

        Raises:
            UnknownRevision: The database is at a revision that is not in the folder.
            RuntimeError: The table of the version did not have exactly the row that was to be changed.
        """
        missing = self.missing(connection)
        if missing:
            context = self._context(connection)
            try:
                context.run_migrations(op=Operations(context))
            except (CommandError, RevisionError) as error:
                raise RuntimeError(str(error)) from error
        return missing

    def _context(self, connection: Connection) -> MigrationContext:
        options = {**self._options, "fn": self._steps}
        return MigrationContext.configure(connection, opts=options)

    def _steps(self, heads: tuple[str, ...], context: MigrationContext) -> object:
        current = heads[0] if heads else "base"
        return self._scripts._upgrade_revs("head", current)
