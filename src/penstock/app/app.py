"""App: the class an app subclasses to declare its stores."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from penstock.app.handles import Connection, Database
from penstock.current import current_stores
from penstock.declare import AppDeclaration, OtherDeclaration, Setting
from penstock.provision.dynamic import NewStore
from penstock.provision.provisioner import SyncOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_OLD_ROOT = "tethysapp"


class App:
    """The base class of an app, which declares its stores.

    Settings are declared in the class body, as `Database(...)` and `Connection(...)`, or returned
    by `persistent_store_settings`; both spellings are one set of objects.

    Attributes:
        package: Identifies the app; by default the top-level package of the class's module (below
            `tethysapp` the second part; the class's name in lower case in a script).
        name: What people call it; by default the class's name.

    >>> class StreamGages(App):
    ...     package = "stream_gages"
    ...     gages = Database("Every gage we know.")
    >>> StreamGages.list_persistent_store_databases()
    ['gages']
    """

    package: ClassVar[str] = ""
    name: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "package" not in cls.__dict__:
            cls.package = _default_package(cls)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__
        for attribute, handle in _handles(cls).items():
            if handle._app is not cls:
                setattr(cls, attribute, handle._bound_to(cls))
        AppDeclaration(cls.package, cls.name, tuple(h.setting for h in _handles(cls).values()))

    @classmethod
    def declaration(cls) -> AppDeclaration:
        """Everything the app declares now, as plain data."""
        settings: dict[str, Setting] = {h.name: h.setting for h in _handles(cls).values()}
        returned = list(cls().persistent_store_settings() or ())
        return AppDeclaration(
            cls.package, cls.name, (*settings.values(), *(s for s in returned if _is_new(s, settings)))
        )

    @classmethod
    def other_declarations(cls) -> Sequence[OtherDeclaration]:
        """What the app declares beside its stores, for `penstock apps show`; nothing, by default."""
        return ()

    def persistent_store_settings(self) -> Iterable[Setting] | None:
        """The settings of the app; override it to return `PersistentStore…Setting` objects."""
        return [handle.setting for handle in _handles(type(self)).values()]

    @classmethod
    def get_persistent_store_connection(
        cls, name: str, as_url: bool = False, as_sessionmaker: bool = False
    ) -> Any:
        """The engine of a connection setting, or its URL, or its session factory.

        Args:
            name: The connection setting.
            as_url: Return a `sqlalchemy.URL` with the password; default False.
            as_sessionmaker: Return the session factory; default False.

        Raises:
            ValueError: Both flags are given.
            NotLinked: No service is linked.
        """
        stores = current_stores()
        _check_flags(as_url=as_url, as_sessionmaker=as_sessionmaker)
        if as_url:
            return stores.connections.url(cls, name)
        if as_sessionmaker:
            return stores.connections.sessionmaker(cls, name)
        return stores.connections.engine(cls, name)

    @classmethod
    def get_persistent_store_database(
        cls, name: str, as_url: bool = False, as_sessionmaker: bool = False
    ) -> Any:
        """The engine of a store, or its URL, or its session factory; see the connection's getter."""
        stores = current_stores()
        _check_flags(as_url=as_url, as_sessionmaker=as_sessionmaker)
        if as_url:
            return stores.url(cls, name)
        if as_sessionmaker:
            return stores.sessionmaker(cls, name)
        return stores.engine(cls, name)

    @classmethod
    def list_persistent_store_connections(cls) -> list[str]:
        """The names of the declared connection settings."""
        return [setting.name for setting in cls.declaration().connections]

    @classmethod
    def list_persistent_store_databases(
        cls, dynamic_only: bool = False, static_only: bool = False
    ) -> list[str]:
        """The names of the app's stores, declared and made at run time, created or not.

        Raises:
            ValueError: Both flags are given.
        """
        if dynamic_only and static_only:
            raise ValueError("dynamic_only and static_only exclude each other.")
        static = [s.name for s in cls.declaration().databases if not s.many]
        if static_only:
            return static
        names = current_stores().names(cls)
        return [name for name in names if name not in static] if dynamic_only else names

    @classmethod
    def persistent_store_exists(cls, name: str) -> bool:
        """Ask the server whether a store is there and complete; False for an unknown one."""
        return current_stores().exists(cls, name)

    @classmethod
    def create_persistent_store(
        cls,
        db_name: str,
        connection_name: str | None,
        spatial: bool = False,
        initializer: str | Callable[..., Any] = "",
        refresh: bool = False,
        force_first_time: bool = False,
    ) -> bool:
        """Make a store at run time through a connection setting. Idempotent.

        Args:
            db_name: The store's name.
            connection_name: The connection setting whose server it is made on.
            spatial: Whether it needs spatial types and functions; default False.
            initializer: A function, or its dotted path; an existing store keeps its own.
            refresh: Drop it first, if it is there; default False.
            force_first_time: Tell the initializer that it is the first time; default False.

        Returns:
            True.

        Raises:
            ValueError: The store is new, and no connection is named.
            NotLinked: No service is linked to the connection setting.
        """
        asked = NewStore(connection=connection_name, initializer=initializer, spatial=spatial)
        options = SyncOptions(refresh=refresh, force_first_time=force_first_time)
        current_stores().create(cls, db_name, asked, options)
        return True

    @classmethod
    def drop_persistent_store(cls, name: str) -> bool:
        """Drop a store's database; a declared store stays declared. Idempotent, returns True."""
        current_stores().drop(cls, name)
        return True


def _handles(app: type[App]) -> dict[str, Connection | Database]:
    """The handles of a class and its bases, by attribute, in the order of declaration."""
    found: dict[str, Connection | Database] = {}
    for owner in reversed(app.__mro__):
        for attribute, value in vars(owner).items():
            if isinstance(value, Connection | Database):
                found[attribute] = value
            else:
                found.pop(attribute, None)
    return found


def _is_new(setting: object, settings: dict[str, Setting]) -> bool:
    name = getattr(setting, "name", None)
    return name not in settings or settings[name] != setting


def _check_flags(*, as_url: bool, as_sessionmaker: bool) -> None:
    if as_url and as_sessionmaker:
        raise ValueError("as_url and as_sessionmaker exclude each other.")


def _default_package(app: type[App]) -> str:
    parts = app.__module__.split(".")
    if parts[0] == "__main__":
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", app.__name__).lower()
    return parts[1] if parts[0] == _OLD_ROOT and len(parts) > 1 else parts[0]
