"""What a backend says that its servers can do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend's servers can do, beyond what all of them can.

    Whoever asks a backend for what it can't do gets `NotSupported`; the contract suite leaves it out.

    Attributes:
        transactional_ddl: A failed transaction also undoes the tables it made.
        plain_connections: A connection setting can hand out an engine of its own.
        lock_survives_drop: The lock of a store can be held while its database is dropped.
        database_is_schema: The dialect calls a database a schema, so that each store's has another name.
        errors_abort: After an error, a transaction does nothing more until it is rolled back.
        default_privileges: Who may use the tables of a store may use those that are made later.
        databases_are_files: A database is a file, to which one transaction writes at a time.
        quarantine: A dropped database can be kept under another name, and restored.
        clones: A database can be made as a copy of another one.
        transaction_locks: A transaction can keep others out of a database until it ends.
        savepoints: A part of a transaction can be undone.
        asyncio: There is a driver for event loops.
    """

    transactional_ddl: bool = False
    plain_connections: bool = False
    lock_survives_drop: bool = False
    database_is_schema: bool = False
    errors_abort: bool = False
    default_privileges: bool = True
    databases_are_files: bool = False
    quarantine: bool = False
    clones: bool = False
    transaction_locks: bool = False
    savepoints: bool = True
    asyncio: bool = False
