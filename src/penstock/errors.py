"""Every exception, one tree; each says what, why and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class PenstockError(Exception):
    """The base of every error Penstock raises.

    Args:
        what: What went wrong, naming the object, never a secret; apps may give no words, or several.
        why: The cause, in the words of whoever reported it (the server, the file system).
        hint: What to do next: a command, or a change to make.

    Attributes:
        code: A stable identifier, safe to match on; also the anchor of its documentation.

    >>> raise StoreNotCreated("Store lab:main does not exist yet.", hint="penstock syncstores lab")
    Traceback (most recent call last):
    penstock.errors.StoreNotCreated: Store lab:main does not exist yet.
      try: penstock syncstores lab
    """

    code: ClassVar[str] = "penstock-error"

    def __init__(self, *what: object, why: str = "", hint: str = "") -> None:
        super().__init__(*what)
        self.what = ", ".join(map(str, what))
        self.why = why
        self.hint = hint

    @property
    def docs(self) -> str:
        """Where this error is explained, relative to the documentation's root."""
        return f"reference/errors.html#{self.code}"

    def __str__(self) -> str:
        why = f"\n  why: {self.why}" if self.why else ""
        hint = f"\n  try: {self.hint}" if self.hint else ""
        return f"{self.what}{why}{hint}"


# --- what an app says it needs ------------------------------------------------------------------


class DeclarationError(PenstockError):
    """A setting or an app is declared in a way that can't work."""

    code = "declaration-invalid"


class InvalidName(DeclarationError, ValueError):
    """A name can't be used for an app, a setting, a store, a service or a role."""

    code = "name-invalid"


class NameCollision(DeclarationError):
    """Two declarations, or two stores of one service, would share one database."""

    code = "name-collision"


# --- configuration and secrets ------------------------------------------------------------------


class ConfigError(PenstockError):
    """`penstock.toml`, or an environment variable read in its place, holds something wrong."""

    code = "config-invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a configuration file.

    Args:
        file: The file, as people see it from the working directory.
        line: The line, counted from 1.
        key: The key as written in TOML; empty where a whole line or file is meant.
        message: What is wrong; never a value that could be a secret.
        hint: What to do about it.

    >>> print(Problem(file="penstock.toml", line=6, key="links", message="is text.", hint="Write [links]."))
    penstock.toml:6: links: is text -> Write [links].
    """

    file: str
    line: int
    key: str
    message: str
    hint: str

    def __str__(self) -> str:
        subject = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}: {subject}{self.message.rstrip('.')} -> {self.hint}"


class ConfigProblems(ConfigError):
    """`penstock.toml` holds one or several errors; all of them are listed, with file, line and key.

    Args:
        problems: At least one; the attribute of this name has them in the order of their lines.
    """

    code = "config-problems"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.key)))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class ConfigUnsafe(ConfigError):
    """The configuration file can be changed by somebody else, so it is not trusted."""

    code = "config-unsafe"


class ConfigNotFound(ConfigError):
    """No `penstock.toml` was found where one is needed."""

    code = "config-not-found"


class SecretError(PenstockError):
    """A secret reference is malformed, or uses a source that does not exist."""

    code = "secret-invalid"


class SecretMissing(SecretError):
    """A secret reference points at nothing: an unset variable, an absent or unreadable file."""

    code = "secret-missing"


class KeyMissing(SecretError):
    """There is no key to seal with, or not the one that a sealed password was sealed with."""

    code = "key-missing"


class KeyInvalid(SecretError):
    """What `PENSTOCK_KEY` or the key file holds is not a key."""

    code = "key-invalid"


class KeyUnsafe(SecretError):
    """Somebody else can read or change the key file, so it is not used."""

    code = "key-unsafe"


class SealBroken(SecretError):
    """A sealed password was changed, or does not belong to this service at this address."""

    code = "seal-broken"


class MissingExtra(PenstockError):
    """A feature needs a package that is not installed."""

    code = "extra-missing"


# --- looking things up --------------------------------------------------------------------------


class UnknownObject(PenstockError, LookupError):
    """Something is named that nobody declared or registered.

    Args:
        what: What went wrong; or three words: the kind of thing, its name, and the app that should have it.
        why, hint: See `PenstockError`.

    >>> raise UnknownObject("CustomSetting", "max_count", "lab")
    Traceback (most recent call last):
    penstock.errors.UnknownObject: App lab has no CustomSetting 'max_count'.
    """

    code = "object-unknown"

    def __init__(self, *what: object, why: str = "", hint: str = "") -> None:
        super().__init__(*what, why=why, hint=hint)
        if len(what) == 3:
            self.what = f"App {what[2]} has no {what[0]} {str(what[1])!r}."


class UnknownApp(UnknownObject):
    """No app of this name was found, or its class can't be imported."""

    code = "app-unknown"


class UnknownSetting(UnknownObject):
    """The app declares no such setting."""

    code = "setting-unknown"


class UnknownStore(UnknownObject):
    """The app has no such store, neither declared nor made at run time."""

    code = "store-unknown"


class UnknownService(UnknownObject):
    """No service of this name is registered."""

    code = "service-unknown"


class WrongSetting(UnknownObject, TypeError):
    """A database was asked of a connection setting, or the other way round, or one store of a kind.

    There is no setting of this name of the kind that was asked for, so it is an unknown object, too.
    """

    code = "setting-of-other-kind"


class NotAssigned(PenstockError):
    """The setting is declared, but no service is plugged into it."""

    code = "setting-not-assigned"


# --- the registry -------------------------------------------------------------------------------


class ServiceExists(PenstockError):
    """A service of this name is registered already."""

    code = "service-exists"


class ServiceInUse(PenstockError):
    """A service can't be removed while settings are plugged into it or stores live on it."""

    code = "service-in-use"


class DefinedElsewhere(PenstockError):
    """The object comes from a file or an environment variable, so a command can't change it."""

    code = "defined-elsewhere"


class RegistryError(PenstockError):
    """The registry can't be read or written."""

    code = "registry-unusable"


class RegistryConflict(PenstockError):
    """Somebody changed the object between the moment it was read and this change, which was not made."""

    code = "registry-conflict"


# --- stores -------------------------------------------------------------------------------------


class AppNotImported(PenstockError):
    """The app of a store can't be imported, so nobody can tell whether the store is still needed."""

    code = "app-not-imported"


class RealStoreUnderTest(PenstockError):
    """A test opens the real store of an app, though copies stand in for its stores."""

    code = "real-store-under-test"


class StoreNotCreated(PenstockError):
    """The store is declared and assigned, but its database does not exist."""

    code = "store-not-created"


class StoreNotOurs(PenstockError):
    """The database exists but carries no record of this app and setting, so it is left alone."""

    code = "store-not-ours"


class OtherRegistry(StoreNotOurs):
    """The store was made by another registry, for an app of the same name."""

    code = "store-of-another-registry"


class StoreExists(PenstockError):
    """There is a store where a dropped one was to be brought back."""

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


# --- rows ---------------------------------------------------------------------------------------


class UnknownColumn(UnknownObject):
    """A class or a table has no column of this name."""

    code = "column-unknown"


class NoPrimaryKey(PenstockError):
    """A table has no primary key, and it was not said what names a row."""

    code = "primary-key-missing"


class InvalidCursor(PenstockError, ValueError):
    """A cursor does not say where in this order a page ended."""

    code = "cursor-invalid"


class RowRefused(PenstockError, ValueError):
    """A row of many can't be stored; none of them was."""

    code = "row-refused"


class RowStale(RowRefused):
    """A row is given with a version (`version_id_col`) that somebody has replaced since it was read."""

    code = "row-stale"


class InvalidValue(PenstockError, ValueError):
    """A column or a key was given what it can't be: a datetime without a time zone, say."""

    code = "value-invalid"


class NotWritable(PenstockError):
    """Nothing can be written in this transaction: it has failed, is prepared, or only reads."""

    code = "not-writable"


# --- servers ------------------------------------------------------------------------------------


class ServerError(PenstockError):
    """The server refused a statement; its own words and its SQLSTATE are given."""

    code = "server-refused"


class ServerUnreachable(ServerError):
    """Nothing answers at the service's address, or it does not speak the expected protocol."""

    code = "server-unreachable"


class LoginRefused(ServerError):
    """The server does not accept the service's user or password."""

    code = "login-refused"


class PermissionRefused(ServerError):
    """The service's role lacks a privilege (SQLSTATE 42501)."""

    code = "permission-refused"


class StorageUnavailable(ServerError):
    """A directory or file can't be read or written: missing, read-only, full, not a database."""

    code = "storage-unavailable"


class BudgetExhausted(PenstockError, TimeoutError):
    """Every connection that this process may have to a server is in use, and none became free in time."""

    code = "budget-exhausted"


class NotSupported(PenstockError):
    """The backend can't do what was asked of it."""

    code = "not-supported"


class EmbeddedError(PenstockError):
    """The embedded PostgreSQL server can't be made, started or stopped."""

    code = "embedded-failed"


class BinariesNotFound(EmbeddedError):
    """No PostgreSQL server binaries were found for the embedded server."""

    code = "embedded-binaries-not-found"
