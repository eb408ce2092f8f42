"""The row inside a store that says whose it is and what has been done to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import ClassVar
from uuid import uuid4

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.schema import CreateTable

from penstock.backends import Backend
from penstock.provision.facts import FoundRecord
from penstock.registry import RegistryIdentity

TABLE_NAME = "penstock_store"
"""The record's table, in the store's default schema."""

ADOPTED = "(adopted)"
"""What stands for the initializer in the record of a store that was adopted with its data."""

_STORE, _TEMPLATE, _DROPPING = "store", "template", "dropping"


@cache
def _table(schema: str | None) -> Table:
    return Table(
        TABLE_NAME,
        MetaData(schema=schema),
        Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
        Column("store_id", String(36), nullable=False),
        Column("purpose", String(20), nullable=False),
        Column("app", Text, nullable=False),
        Column("store", Text, nullable=False),
        Column("created", DateTime(timezone=True), nullable=False),
        Column("initialised", DateTime(timezone=True)),
        Column("initializer", Text),
        Column("copied_from", Text),
        Column("copied_by", Text),
        Column("registry", String(36)),
        Column("registry_label", Text),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A store's record as it was read.

    Args:
        store_id: Identifies this very database, for ever.
        purpose: `store`, `template`, or `dropping`.
        app: The app it belongs to.
        store: The store of that app.
        created: When it was made.
        initialised: When a sync completed first; None if none did.
        initializer: The initializer that completed last; None if none did.
        registry: The registry that made it; None where that does not last.
        registry_label: What people call that.
    """

    store_id: str
    purpose: str
    app: str
    store: str
    created: datetime
    initialised: datetime | None
    initializer: str | None
    registry: str | None
    registry_label: str | None

    def facts(self) -> FoundRecord:
        """What a plan needs to know of it."""
        return FoundRecord(
            app=self.app,
            store=self.store,
            initialised=self.initialised is not None,
            first_time=self.initializer is None,
            template=self.purpose == _TEMPLATE,
            dropping=self.purpose == _DROPPING,
            registry=self.registry or "",
            registry_label=self.registry_label or "another registry",
        )


_FIELDS = (
    "store_id", "purpose", "app", "store", "created", "initialised", "initializer",
    "registry", "registry_label",
)  # fmt: skip


def read_record(connection: Connection, backend: Backend) -> Record | None:
    """The record, or None; a view or a foreign table of that name is no record."""
    if not backend.has_table(connection, TABLE_NAME):
        return None
    table = _table(backend.default_schema)
    try:
        row = connection.execute(select(*(table.c[name] for name in _FIELDS))).mappings().first()
    except ProgrammingError:
        if backend.capabilities.transactional_ddl or backend.has_table(connection, TABLE_NAME):
            raise
        row = None  # A drop took it just now.
    if row is None:
        return None
    return Record(**{**row, "created": _aware(row["created"]), "initialised": _aware(row["initialised"])})


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """The record of one store, as it is written.

    Args:
        backend: How the store's server is spoken to.
        app: The app it belongs to.
        store: The store of that app.
        registry: The registry that remembers it.
    """

    backend: Backend
    app: str
    store: str
    registry: RegistryIdentity
    table_name: ClassVar[str] = TABLE_NAME

    @property
    def _table(self) -> Table:
        return _table(self.backend.default_schema)

    def write(self, connection: Connection) -> None:
        """Write a new record, not initialised; nothing happens if there is one."""
        table = self._table
        if not self.backend.has_table(connection, TABLE_NAME):
            # Fails if something else has this name; and tells no listener, whose business it is not.
            connection.execute(CreateTable(table))
        if connection.execute(select(table.c.one)).first() is None:
            new = {"one": 1, "store_id": str(uuid4()), "created": datetime.now(UTC)}
            connection.execute(insert(table).values(**new, **self._owner()))

    def mark_initialised(self, connection: Connection, initializer: str) -> None:
        """Write that a sync completed, and which initializer ran in it."""
        table = self._table
        first = update(table).where(table.c.initialised.is_(None)).values(initialised=datetime.now(UTC))
        connection.execute(first)
        if initializer:
            connection.execute(update(table).values(initializer=initializer))

    def mark_dropping(self, connection: Connection) -> None:
        """Say that it is being dropped, where that may be killed half-way: whoever comes next goes on."""
        if self.backend.has_table(connection, TABLE_NAME):
            gone = {"purpose": _DROPPING, "initialised": None, "initializer": None}
            connection.execute(update(self._table).values(**gone))

    def stamp_copy(self, connection: Connection) -> None:
        """Make the record of a copied template that of a store, under an identity of its own.

        What was done in the template was done in the copy, so it stays as initialised as it is.
        """
        table = self._table
        copied_from = connection.execute(select(table.c.store_id)).scalar()
        mine = {**self._owner(), **_new_identity(copied_from, "template"), "created": datetime.now(UTC)}
        connection.execute(update(table).where(table.c.purpose == _TEMPLATE).values(**mine))

    def stamp(self, connection: Connection) -> None:
        """Make the record that of this store, initialised: an adoption.

        What was another store, or another registry's, is this one's from now on, under an identity of its
        own, so that nothing of the other's, such as its roles, is taken for this one's.
        """
        before = read_record(connection, self.backend)
        self.write(connection)
        adopted = {**self._owner(), "initializer": ADOPTED}
        mine = (self.app, self.store, _STORE, self.registry.id or None)
        if before is not None and (before.app, before.store, before.purpose, before.registry) != mine:
            adopted |= _new_identity(before.store_id, "adopt")
        connection.execute(update(self._table).values(**adopted, initialised=datetime.now(UTC)))

    def _owner(self) -> dict[str, str | None]:
        registry = self.registry
        label = registry.label if registry.id else None
        mine = {"purpose": _STORE, "app": self.app, "store": self.store}
        return {**mine, "registry": registry.id or None, "registry_label": label}


def mark_template(connection: Connection, backend: Backend) -> None:
    """Say that this is a template, from which stores are copied, and no store any more."""
    connection.execute(update(_table(backend.default_schema)).values(purpose=_TEMPLATE))


def _new_identity(copied_from: str | None, copied_by: str) -> dict[str, str | None]:
    return {"store_id": str(uuid4()), "copied_from": copied_from, "copied_by": copied_by}


def _aware(when: datetime | None) -> datetime | None:
    return when if when is None or when.tzinfo else when.replace(tzinfo=UTC)
