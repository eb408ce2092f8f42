"""Errors of stores, and of the apps they are of."""

from __future__ import annotations

from penstock.errors.base import PenstockError

__all__ = [
    "AppNotImported",
    "ConfirmationNeeded",
    "FromEnvNeeded",
    "InitializerError",
    "InitializerInvalid",
    "InitializerNotFound",
    "InstallFailed",
    "OtherRegistry",
    "RealStoreUnderTest",
    "StoreBusy",
    "StoreExists",
    "StoreNotCreated",
    "StoreNotOurs",
]


class AppNotImported(PenstockError):
    """The app of a store can't be imported, so nobody can tell whether the store is still needed."""

    code = "app-not-imported"


class RealStoreUnderTest(PenstockError):
    """A test opens the real store of an app, though copies stand in for its stores."""

    code = "real-store-under-test"


class StoreNotCreated(PenstockError):
    """The store is declared and linked, but its database does not exist."""

    code = "store-not-created"


class StoreNotOurs(PenstockError):
    """The database exists but carries no record of this app and setting, so it is left alone."""

    code = "store-not-ours"


class OtherRegistry(StoreNotOurs):
    """The store was made by another registry, for an app of the same name."""

    code = "store-of-another-registry"


class StoreExists(PenstockError):
    """A dropped store can't be restored, because a store of its name exists."""

    code = "store-exists"


class StoreBusy(PenstockError):
    """Another process works on the store and did not finish in time."""

    code = "store-busy"


class ConfirmationNeeded(PenstockError):
    """A destroying command was run without a terminal to ask on and without `--yes`."""

    code = "confirmation-needed"


class FromEnvNeeded(PenstockError):
    """A command was to destroy a database that an environment variable names, without `--from-env`."""

    code = "from-env-needed"


class InitializerError(PenstockError):
    """The app's initializer raised; nothing of its transaction is kept."""

    code = "initializer-failed"


class InitializerNotFound(InitializerError):
    """The initializer's path names a module or a function that can't be loaded."""

    code = "initializer-not-found"


class InitializerInvalid(InitializerError):
    """The initializer can't be called with (engine, connection or session; first_time)."""

    code = "initializer-invalid"


class InstallFailed(PenstockError):
    """pip, or a script of an app that is installed, did not end well."""

    code = "install-failed"
