"""The two settings an app can declare: frozen, validated, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from penstock.declare.naming import checked_label
from penstock.declare.sessions import SessionOptions
from penstock.errors import DeclarationError, InvalidName

if TYPE_CHECKING:
    from collections.abc import Callable

Initializer: TypeAlias = "str | Callable[..., Any]"

TableMaker: TypeAlias = Literal["app", "penstock"]
"""Who makes a store's tables."""


class Tables(Protocol):
    """What a setting needs of `sqlalchemy.MetaData`: it can create its missing tables."""

    def create_all(self, bind: Any, /) -> None:
        """Create the tables that do not exist yet, over an engine or a connection."""


@dataclass(frozen=True, slots=True)
class ConnectionSetting:
    """Asks for a connection to a server, without a database of its own.

    Args:
        name: What the app calls it; unique within the app.
        description: One line for the operator who links a service.
        required: Whether the app can't work without it.

    Raises:
        InvalidName: The name is empty, too long, or has characters no server can carry.

    >>> ConnectionSetting("primary", "Where new stores are made.").required
    True
    """

    name: str
    description: str = ""
    required: bool = True

    def __post_init__(self) -> None:
        _check_common(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _DatabaseOptions:
    """The keyword-only part of a database setting."""

    initializer: Initializer = ""
    spatial: bool = False
    metadata: Tables | None = None
    tables: TableMaker | None = None
    many: bool = False
    sessions: SessionOptions = field(default_factory=SessionOptions)

    @property
    def app_makes_tables(self) -> bool:
        """Whether the app makes the store's tables itself, rather than Penstock."""
        return self.metadata is None if self.tables is None else self.tables == "app"


@dataclass(frozen=True, slots=True)
class DatabaseSetting(_DatabaseOptions):
    """Asks for a database of the app's own.

    Args:
        name: What the app calls it; unique within the app.
        description: One line for the operator who links a service.
        required: Whether the app can't work without it.
        initializer: A function, or the dotted path of one, called at every sync with the engine
            (or a connection, or a session) and `first_time`.
        spatial: Whether the database needs spatial types and functions.
        metadata: Tables to create when they are missing, before the initializer runs.
        tables: Who makes tables: `"penstock"`, and the app reads and writes rows; or the `"app"`, which may
            then do all that the store's owner may. By default the app, if there is no `metadata`.
        many: Whether this is a kind: one declaration, any number of stores made at run time.
        sessions: How the store's sessions are made.

    Raises:
        InvalidName: The name is empty, too long, has a dot, or characters no server can carry.
        DeclarationError: The initializer is neither a function nor a dotted path; `tables` is neither word.

    >>> DatabaseSetting("main", "Every gage.", initializer="lab.model.seed").many
    False
    """

    name: str
    description: str = ""
    required: bool = True

    def __post_init__(self) -> None:
        _check_common(self)
        _check_initializer(self)
        if self.tables not in (None, "app", "penstock"):
            raise DeclarationError(
                f"Setting {self.name!r} has tables={self.tables!r}.", hint='Write "app" or "penstock".'
            )


Setting: TypeAlias = ConnectionSetting | DatabaseSetting


def _check_common(setting: Setting) -> None:
    checked_label("setting", setting.name)
    if "." in setting.name:
        raise InvalidName(
            f"Setting name {setting.name!r} has a dot in it.",
            why="A dot joins a kind and a store of that kind, as in 'basins.logan'.",
            hint="Leave the dot out, or use an underscore.",
        )
    if not isinstance(setting.description, str):
        raise DeclarationError(f"The description of setting {setting.name!r} is not text.")


def _check_initializer(setting: DatabaseSetting) -> None:
    given = setting.initializer
    if not callable(given) and not _is_dotted_path(given):
        raise DeclarationError(
            f"The initializer of setting {setting.name!r} is {given!r}.",
            why="It must be a function, or text such as 'my_app.model.seed'.",
            hint="Give the path as module, dot, function.",
        )


def _is_dotted_path(given: object) -> bool:
    if not isinstance(given, str):
        return False
    return given == "" or all(part.isidentifier() for part in given.replace(":", ".").split("."))
