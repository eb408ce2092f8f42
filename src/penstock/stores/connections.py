"""Engines and sessions of connection settings, which lead to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.backends import backend_for

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, Engine
    from sqlalchemy.orm import Session

    from penstock.connect import AppLike, EngineCache, SessionFactory, Sessions
    from penstock.engines import StoreEngine


class Connections:
    """The connection settings of apps: `stores.connections`.

    Args:
        stores: Know the apps.
        engines: Their engines.
    """

    def __init__(self, stores: Sessions, engines: EngineCache) -> None:
        self._stores = stores
        self._engines = engines

    def engine(self, app: AppLike, setting: str) -> Engine:
        """The engine of a connection setting: one object per process; nothing is connected yet.

        Args:
            app: The app.
            setting: The connection setting.

        Raises:
            UnknownSetting: There is none of this name.
            NotLinked: No service is linked to it.
        """
        return self.store_engine(app, setting).engine

    def sessionmaker(self, app: AppLike, setting: str) -> SessionFactory:
        """The session factory of a connection setting; see `engine`."""
        return self.store_engine(app, setting).sessionmaker

    def session(self, app: AppLike, setting: str) -> Session:
        """A new session; the end of its `with` block only closes it."""
        return self.sessionmaker(app, setting)()

    def begin(self, app: AppLike, setting: str) -> AbstractContextManager[Session]:
        """A new session in a transaction that is committed at the end of the `with` block."""
        return self.sessionmaker(app, setting).begin()

    def url(self, app: AppLike, setting: str) -> URL:
        """The URL of a connection setting with its password: of the database that its engine opens.

        Raises:
            NotSupported: Its server has no database to connect to, only stores have.
        """
        address = self._stores.book.connection_address(self._stores.declaration(app), setting)
        login = address.login
        return login.with_password_in(backend_for(login.url).store_url(address))

    def store_engine(self, app: AppLike, setting: str) -> StoreEngine:
        """The engine and what goes with it, for other ways to use it, as `penstock.aio`."""
        return self._engines.of_connection(self._stores.declaration(app), setting)
