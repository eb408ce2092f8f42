"""A registry in a database: by default one SQLite file beside `penstock.toml`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from penstock.registry import tables
from penstock.registry.conflicts import check_unchanged, collision, moved, successor
from penstock.registry.generation import Generation
from penstock.registry.journal import actor
from penstock.registry.service import (
    Credential,
    JournalEntry,
    Link,
    RegistryIdentity,
    Service,
    Source,
    StoreEntry,
    StoreState,
)
from penstock.registry.storage import Storage, count_change
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_UNMADE = "unmade"
_PASSWORDS = ("password", "admin_password", "next_password", "next_admin_password")


class DatabaseRegistry:
    """Remembers in tables of its own; made by the first write.

    It may be shared by any number of processes on any number of hosts.

    Args:
        url: The address of the registry's database.
        password: Where its password is.
        label: What to call it in messages; the address without its password by default.

    Raises:
        RegistryError: From any call: the database can't be used, or is of a newer release.
    """

    def __init__(self, url: str, *, password: SecretRef | None = None, label: str = "") -> None:
        self._storage = Storage(url, password, label)
        self._generation = Generation(self._ask_generation)

    @classmethod
    def at(cls, path: Path) -> DatabaseRegistry:
        """A registry in one SQLite file; its directory is made, for this user only, when needed."""
        from sqlalchemy import URL

        return cls(URL.create("sqlite", database=str(path)).render_as_string(), label=str(path))

    lasting = True

    @property
    def source(self) -> Source:
        """What objects of this registry say of where they come from."""
        return Source("registry", f"registry {self._storage.label}")

    @property
    def label(self) -> str:
        """What people call it."""
        return self.source.where

    def generation(self, max_age: float = 0.0) -> int:
        """How often a service, a link, or a known store's place changed."""
        return self._generation.get(max_age)

    def _ask_generation(self) -> int:
        rows = self._storage.rows(select(tables.registry.c.generation))
        return int(rows[0]["generation"]) if rows else 0

    def identity(self, *, make: bool = False) -> RegistryIdentity:
        """Its id, and where it is; one that was never written to has the id of none."""
        if make:
            with self._storage.adding():
                pass
        rows = self._storage.rows(select(tables.registry.c.id))
        return RegistryIdentity(str(rows[0]["id"]) if rows else _UNMADE, self._storage.whereabouts)

    # --- services and links ---

    def services(self) -> Sequence[Service]:
        """Every service, by name."""
        rows = self._storage.rows(select(tables.services).order_by(tables.services.c.name))
        return [_service(row, self.source) for row in rows]

    def put_service(self, service: Service, *, replace: bool = False) -> None:
        """Remember a service; raises ServiceExists, or RegistryConflict if it was changed meanwhile."""
        table = tables.services
        here = table.c.name == service.name
        with self._changing() as connection:
            found = connection.execute(select(table).where(here)).mappings().first()
            before = None if found is None else _service(dict(found), self.source)
            who = "" if found is None else found["written_by"]
            row = _service_row(successor(before, service, replacing=replace, who=who))
            if before is None:
                connection.execute(insert(table), [row])
            else:
                connection.execute(update(table).where(here).values(row))
            count_change(connection)

    def remove_service(self, name: str) -> None:
        """Forget a service; nothing happens if there is none."""
        with self._changing() as connection:
            removed = connection.execute(delete(tables.services).where(tables.services.c.name == name))
            _count_if(connection, removed.rowcount > 0)

    def links(self) -> Sequence[Link]:
        """Every link, by app and setting."""
        table = tables.links
        rows = self._storage.rows(select(table).order_by(table.c.app, table.c.setting))
        return [Link(**row, source=self.source) for row in rows]

    def put_link(self, link: Link) -> None:
        """Link a service to a setting, in place of what was linked before; the last one wins."""
        table = tables.links
        here = _is(table, link.app, link.setting)
        row = {"app": link.app, "setting": link.setting, "service": link.service}
        with self._changing() as connection:
            _put(connection, table, here, row)
            count_change(connection)

    def remove_link(self, app: str, setting: str) -> bool:
        """Unlink; False if nothing was linked."""
        table = tables.links
        with self._changing() as connection:
            removed = connection.execute(delete(table).where(_is(table, app, setting))).rowcount > 0
            _count_if(connection, removed)
        return removed

    # --- stores ---

    def stores(self, app: str | None = None, name: str | None = None) -> Sequence[StoreEntry]:
        """Every remembered store, or those of one app, or of one name, in order; left ones too."""
        columns = tables.stores.c
        query = select(tables.stores).order_by(columns.app, columns.name, columns.service, columns.database)
        if app is not None:
            query = query.where(columns.app == app)
        if name is not None:
            query = query.where(columns.name == name)
        return [_store_entry(row) for row in self._storage.rows(query)]

    def find_store(self, app: str, name: str) -> StoreEntry | None:
        """Where this store is now, or None; never one where it was."""
        rows = self._storage.rows(select(tables.stores).where(_current(app, name)))
        return _store_entry(rows[0]) if rows else None

    def put_store(self, entry: StoreEntry) -> None:
        """Remember where a store is; where it was before is kept as left behind."""
        table = tables.stores
        there = _at(entry)
        with self._changing() as connection:
            other = _first_store(connection, there)
            if other is not None and (other.app, other.name) != (entry.app, entry.name):
                raise collision(other, entry)
            current = _current(entry.app, entry.name)
            before = _first_store(connection, current) if entry.state.is_current else None
            has_moved = entry.state.is_current and moved(before, entry)
            if before is not None and has_moved:
                _put(connection, table, current, {"state": StoreState.LEFT})
            row = asdict(entry)
            del row["version"]
            _put(connection, table, there, row)
            _count_if(connection, has_moved)

    def remove_store(self, entry: StoreEntry) -> None:
        """Forget one place a store is or was; nothing happens if it is not known."""
        with self._changing() as connection:
            removed = connection.execute(delete(tables.stores).where(_at(entry)))
            _count_if(connection, removed.rowcount > 0)

    # --- their logins ---

    def credentials(self, service: str | None = None, database: str | None = None) -> Sequence[Credential]:
        """The logins of one store, or of all stores of a service, or of all; the oldest first."""
        columns = tables.credentials.c
        query = select(tables.credentials).order_by(columns.since, columns.id)
        if service is not None:
            query = query.where(columns.service == service)
        if database is not None:
            query = query.where(columns.database == database)
        return [_credential(row) for row in self._storage.rows(query)]

    def put_credentials(
        self, credentials: Sequence[Credential], *, instead_of: Sequence[Credential] = ()
    ) -> None:
        """Remember logins, in place of those of the same ids; raises RegistryConflict if they changed."""
        rows = [{**asdict(each), "password": str(each.password)} for each in credentials]
        with self._changing() as connection:
            check_unchanged(instead_of, _credentials(connection, instead_of))
            _delete_credentials(connection, credentials)
            connection.execute(insert(tables.credentials), rows)
            count_change(connection)

    def remove_credentials(self, credentials: Sequence[Credential]) -> None:
        """Forget logins; those that are not known don't matter."""
        with self._changing() as connection:
            removed = _delete_credentials(connection, credentials)
            _count_if(connection, removed)

    # --- journal ---

    def write_journal(self, entry: JournalEntry) -> None:
        """Add an entry to the journal."""
        with self._storage.adding() as connection:
            connection.execute(insert(tables.journal), [{**asdict(entry), "detail": dict(entry.detail)}])

    def journal(self, limit: int = 100) -> Sequence[JournalEntry]:
        """The latest entries of the journal, newest first."""
        table = tables.journal
        columns = [c for c in table.c if c.name != "id"]
        rows = self._storage.rows(select(*columns).order_by(table.c.id.desc()).limit(limit))
        return [JournalEntry(**{**row, "at": _aware(row["at"])}) for row in rows]

    def close(self) -> None:
        """Close idle connections; the registry stays usable."""
        self._storage.close()

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """A transaction of one change, after which this process asks for the generation anew."""
        with self._storage.changing() as connection:
            yield connection
        self._generation.forget()


def _is(table: Table, app: str, setting: str) -> Any:
    return (table.c.app == app) & (table.c.setting == setting)


def _at(entry: StoreEntry) -> Any:
    columns = tables.stores.c
    return (columns.service == entry.service) & (columns.database == entry.database)


def _current(app: str, name: str) -> Any:
    columns = tables.stores.c
    was = columns.state.in_([state for state in StoreState if not state.is_current])
    return (columns.app == app) & (columns.name == name) & ~was


def _put(connection: Connection, table: Table, here: Any, row: Mapping[str, Any]) -> None:
    """Write a row whose version counts how often it was written; nobody else writes meanwhile."""
    written = connection.execute(update(table).where(here).values(**row, version=table.c.version + 1))
    if not written.rowcount:
        connection.execute(insert(table), [{**row, "version": 1}])


def _count_if(connection: Connection, changed: bool) -> None:
    if changed:
        count_change(connection)


def _first_store(connection: Connection, where: Any) -> StoreEntry | None:
    found = connection.execute(select(tables.stores).where(where)).mappings().first()
    return None if found is None else _store_entry(dict(found))


def _store_entry(row: Mapping[str, Any]) -> StoreEntry:
    until = row["kept_until"]
    return StoreEntry(**{**row, "kept_until": None if until is None else _aware(until)})


def _credentials(connection: Connection, wanted: Sequence[Credential]) -> dict[str, Credential]:
    """The given logins that exist, by their ids."""
    query = select(tables.credentials).where(tables.credentials.c.id.in_([each.id for each in wanted]))
    return {row["id"]: _credential(dict(row)) for row in connection.execute(query).mappings()}


def _delete_credentials(connection: Connection, credentials: Sequence[Credential]) -> bool:
    where = tables.credentials.c.id.in_([each.id for each in credentials])
    return connection.execute(delete(tables.credentials).where(where)).rowcount > 0


def _credential(row: Mapping[str, Any]) -> Credential:
    known = {**row, "password": SecretRef.parse(row["password"]), "since": _aware(row["since"])}
    return Credential(**known)


def _service_row(service: Service) -> dict[str, Any]:
    names = [column.name for column in tables.services.c if column.name != "written_by"]
    refs = {name: str(ref) if (ref := getattr(service, name)) else None for name in _PASSWORDS}
    return {**{name: getattr(service, name) for name in names}, **refs, "written_by": actor()}


def _service(row: Mapping[str, Any], source: Source) -> Service:
    refs = {key: SecretRef.parse(row[key]) if row[key] else None for key in _PASSWORDS}
    known = {key: value for key, value in row.items() if key != "written_by"}
    return Service(**{**known, **refs}, source=source)


def _aware(when: datetime) -> datetime:
    """A time as it was written; SQLite forgets that it is UTC."""
    return when if when.tzinfo else when.replace(tzinfo=UTC)
