"""The connection: an engine, a session, and the tables of a base class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from sqlalchemy.orm import Session as PlainSession
from sqlalchemy.orm import scoped_session, sessionmaker

from penstock.compat.db_plugins import scopes
from penstock.compat.db_plugins.addresses import DatabaseLookup, settings_map
from penstock.compat.db_plugins.base import Base as OwnBase
from penstock.compat.db_plugins.generic import DatabaseConnection, DatabaseCreator
from penstock.compat.db_plugins.query import SQLQuery
from penstock.compat.db_plugins.work import WatchedSession, check_thread, guard_thread
from penstock.current import current_stores
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Engine

    from penstock.app import Store


class Opening(TypedDict, total=False):
    """What `SQLConnection.of` takes besides; see `SQLConnection.connect`."""

    base: Any
    session_options: Mapping[str, Any] | None
    create_session: bool
    use_scoped: bool
    scope_func: Callable[[], Any] | None


class SQLConnection(DatabaseConnection):
    """A way to one database, with at most one session at a time.

    Args:
        config: What `connect` shall be handed; kept as it is.
        engine: An engine to use in place of one for the configuration.
        Base: The class whose tables are meant; by default that of `penstock.compat.db_plugins.models`.
        Session: A session factory to use in place of one for the engine.
        session: A session to begin with.

    Attributes:
        use_scoped: Whether the session is one per thread, or per scope.

    >>> db = SQLConnection()
    >>> db.connect({"SQLALCHEMY_DATABASE_URL": "sqlite://"})
    >>> db.create_db()
    >>> db.query().check_exists(OwnBase.metadata.tables["object"])
    False
    >>> db.end_session()
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        engine: Engine | None = None,
        Base: Any = None,  # noqa: N803  (as clients call it)
        Session: Any = None,  # noqa: N803
        session: Any = None,
    ) -> None:
        self.config = config
        self.Base = Base
        self.Session = Session
        self.use_scoped = isinstance(session, scoped_session)
        self._own_engine, self._own_factory = engine, Session
        self._engine = engine
        self._link: DatabaseLookup | None = None
        self._session = session

    @classmethod
    def of(cls, store: Store | str, **options: Unpack[Opening]) -> Self:
        """A connection to a store of an app, with the store's roles and its server's budget.

        Args:
            store: The store, as `Lab.alerts`; or its name, as `"lab:alerts"`.
            options: What `connect` takes besides a configuration.

        Raises:
            UnknownApp, UnknownStore, UnknownSetting: There is no such store.
            NotLinked: No service is linked to its setting.
        """
        if isinstance(store, str):
            app, _, name = store.partition(":")
            engine = current_stores().engine(app, name)
        else:
            engine = store.engine
        made = cls(engine=engine)
        made._open(**options)
        return made

    def connect(
        self,
        config: Any,
        base: Any = None,
        session_options: Mapping[str, Any] | None = None,
        create_session: bool = True,
        use_scoped: bool = False,
        scope_func: Callable[[], Any] | None = None,
    ) -> None:
        """Lead to the database that a configuration names; nothing is connected yet.

        Args:
            config: The keys ENGINE, HOST, USER, PASSWORD, PORT and DB_NAME, or `SQLALCHEMY_DATABASE_URL`. It
                is not changed.
            base: The class whose tables are meant.
            session_options: What sessions are made with; `expire_on_commit` is False unless said otherwise.
            create_session: Whether to make a session now.
            use_scoped: Whether to make one per thread, or per scope.
            scope_func: What tells scopes apart.

        Raises:
            ConfigError: Keys are missing, or what they hold is no address.
            NotSupported: There is no backend for this kind of server.
        """
        if self._own_engine is None:
            url = settings_map(config)
            if self._link is None or self._link.url != url:
                self.end_session()
                self.dispose()
                self._link = DatabaseLookup(url, owner=self)
                self._engine = self._link.engine
        self.config = config
        self._open(base, session_options, create_session, use_scoped, scope_func)

    def _open(
        self,
        base: Any = None,
        session_options: Mapping[str, Any] | None = None,
        create_session: bool = True,
        use_scoped: bool = False,
        scope_func: Callable[[], Any] | None = None,
    ) -> None:
        self.Base = base or self.Base or OwnBase
        self.Session = self._own_factory or _factory(self._engine, session_options or {})
        if create_session:
            self.create_session(use_scoped, scope_func)

    @property
    def engine(self) -> Engine | None:
        """The engine; None before `connect`."""
        return self._engine

    @property
    def session(self) -> Any:
        """The session; None if there is none.

        Raises:
            NotSupported: It is not scoped, and another thread uses it.
        """
        if isinstance(self._session, PlainSession):
            check_thread(self._session)
        return self._session

    @session.setter
    def session(self, session: Any) -> None:
        self._session = session

    def create_session(self, use_scoped: bool, scope_func: Callable[[], Any] | None = None) -> None:
        """Make a session.

        Args:
            use_scoped: Whether to make one per thread, or per scope; then `Model.query` asks it.
            scope_func: What tells scopes apart.

        Raises:
            NotSupported: Nothing is connected yet.
        """
        if self.Session is None:
            raise NotSupported("There is nothing to make a session for.", hint="Call connect(config) first.")
        scopes.leave(self)
        self.use_scoped = use_scoped
        if use_scoped:
            self._session = scoped_session(self.Session, scopefunc=scope_func)
            scopes.enter(self, self.Base or OwnBase)
        else:
            self._session = self.Session()
            guard_thread(self._session)

    def end_session(self) -> None:
        """End the session, if there is one; what it has not committed is lost."""
        ended, self._session = self._session, None
        scopes.leave(self)
        self.use_scoped = False
        if isinstance(ended, scoped_session):
            ended.remove()
        elif ended is not None:
            ended.close()

    def dispose(self) -> None:
        """Close the idle connections to the server; everything stays usable."""
        if self._engine is not None:
            self._engine.dispose()

    def create_db(self) -> None:
        """Make the tables that are missing; on SQLite, the file, too.

        Raises:
            NotSupported: Nothing is connected yet.
        """
        if self._link is not None:
            self._link.make_file()
        self._on_tables("create_all")

    def drop_db(self) -> None:
        """Drop the tables, and what is in them; the database stays.

        Raises:
            NotSupported: Nothing is connected yet.
        """
        self._on_tables("drop_all")

    def _on_tables(self, verb: str) -> None:
        if self._engine is None:
            raise NotSupported("There is no database yet.", hint="Call connect(config) first.")
        getattr((self.Base or OwnBase).metadata, verb)(bind=self._engine)

    def query(self, *args: Any) -> SQLQuery:
        """A query of models or columns; without any, each call of its methods says of what.

        Args:
            args: What SQLAlchemy's `Session.query` takes.

        Raises:
            NotSupported: There is no session, or another thread uses it.
        """
        session = self.session
        if session is None:
            raise NotSupported(
                "There is no session.", hint="Call connect(config) or create_session(…) first."
            )
        return SQLQuery(list(args), session() if isinstance(session, scoped_session) else session)


class SQLDatabaseCreator(DatabaseCreator):
    """Makes connections to SQL databases."""

    @classmethod
    def create_database(cls) -> SQLConnection:
        """A new connection, which is not connected yet."""
        return SQLConnection()


def _factory(engine: Engine | None, options: Mapping[str, Any]) -> Any:
    wanted = {"class_": WatchedSession, "expire_on_commit": False, "bind": engine, **options}
    if wanted.pop("autocommit", False):
        raise NotSupported(
            "A session has no autocommit.",
            why="SQLAlchemy 2 has none.",
            hint="Leave the option out, and call session.commit().",
        )
    return sessionmaker(**{"query_cls": SQLQuery, **wanted})
