"""The desired state of a store, and the state that was found: plain facts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class InitializerForm(Enum):
    """What an initializer asks for, which decides how often its work can be done."""

    ENGINE = "engine"
    CONNECTION = "connection"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """What a store shall be.

    Args:
        app: The app's package.
        store: The store's name within the app.
        database: Its physical name.
        spatial: Whether it is spatial.
        roles: Whether it gets roles of its own.
        tables: Whether the setting declares tables.
        initializer: The initializer's name; empty if there is none.
        form: What the initializer asks for.
        transactional_ddl: Whether the backend can undo the tables of a failed transaction.
        default_privileges: Whether its roles may use tables that are made later.
        template: The complete database that a missing one is copied from; empty to make it from nothing.
        kept_as: What the database is to be called while it is kept, when it is dropped; empty to drop it.
        registry: The id of the registry that remembers it; empty for one that does not last.
        registry_label: What people call that.
        external: Whether its address is given by the environment, which may name a store of others.
        refresh: Whether to drop what is there, if it is ours, and begin anew.
        force_first_time: Whether the initializer is told that it is the first time.
    """

    app: str
    store: str
    database: str
    spatial: bool = False
    roles: bool = False
    tables: bool = False
    initializer: str = ""
    form: InitializerForm = InitializerForm.ENGINE
    transactional_ddl: bool = True
    default_privileges: bool = True
    template: str = ""
    kept_as: str = ""
    registry: str = ""
    registry_label: str = ""
    external: bool = False
    refresh: bool = False
    force_first_time: bool = False

    def is_copied(self, found: Found) -> bool:
        """Whether the store is a copy of its template, to be made or just made."""
        if not self.template:
            return False
        is_copy = found.record is not None and found.record.template
        return is_copy or not (found.exists or self.force_first_time)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecord:
    """What the record inside a database says.

    Args:
        app: The app it belongs to.
        store: The store of that app.
        initialised: Whether a sync ever completed.
        first_time: Whether no initializer ever completed.
        template: Whether it is a template rather than a store.
        dropping: Whether a drop of it began, and was killed.
        registry: The id of the registry that made it; empty for one that does not last.
        registry_label: What people call that.
    """

    app: str
    store: str
    initialised: bool = False
    first_time: bool = True
    template: bool = False
    dropping: bool = False
    registry: str = ""
    registry_label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is there.

    Args:
        exists: Whether the database exists.
        record: Its record, if it has one.
        relations: Whether it has tables or views besides the record.
        prepared: Whether it is set up as a new database is.
        roles: Whether it has roles of its own, and they have all that they shall have.
        any_roles: Whether there are roles of its own on the server.
    """

    exists: bool
    record: FoundRecord | None = None
    relations: bool = False
    prepared: bool = True
    roles: bool = False
    any_roles: bool = False


NOTHING = Found(exists=False)
"""What is found where there is no database."""
