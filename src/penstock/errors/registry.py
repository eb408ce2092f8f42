"""Errors of looking things up, and of the registry."""

from __future__ import annotations

from penstock.errors.base import PenstockError

__all__ = [
    "AppUnsafe",
    "DefinedElsewhere",
    "NotLinked",
    "RegistryConflict",
    "RegistryError",
    "ServiceExists",
    "ServiceInUse",
    "UnknownApp",
    "UnknownObject",
    "UnknownService",
    "UnknownSetting",
    "UnknownStore",
    "WrongSetting",
]


class UnknownObject(PenstockError, LookupError):
    """A name stands for nothing that is declared or registered.

    Args:
        what: What went wrong; or three words: the kind of thing, its name, and the app that should have it.
        why: The cause.
        hint: What to do next.

    >>> raise UnknownObject("CustomSetting", "max_count", "lab")
    Traceback (most recent call last):
    penstock.errors.UnknownObject: App lab has no CustomSetting 'max_count'.
    """

    code = "object-unknown"

    def __init__(self, *what: object, why: str = "", hint: str = "") -> None:
        super().__init__(*what, why=why, hint=hint)
        if len(what) == 3:
            kind, name, app = what
            self.what = f"App {app} has no {kind} {str(name)!r}."


class UnknownApp(UnknownObject):
    """No app of this name was found, or its class can't be imported."""

    code = "app-unknown"


class AppUnsafe(UnknownApp):
    """The code of an app can be changed by somebody else, so it is not imported."""

    code = "app-unsafe"


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
    """The setting is of another sort than was asked for: a connection, a database, or a kind of store.

    The app has no setting of this name and sort, so it is an unknown object, too.
    """

    code = "setting-of-other-kind"


class NotLinked(PenstockError):
    """The setting is declared, but no service is linked to it."""

    code = "setting-not-linked"


class ServiceExists(PenstockError):
    """A service of this name is registered already."""

    code = "service-exists"


class ServiceInUse(PenstockError):
    """A service can't be removed while settings are linked to it or stores live on it."""

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
