"""What the backends of database servers share: addresses, logins, lost sessions."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sqlalchemy.exc import DBAPIError

from penstock.backends.contract import Backend, run_inline
from penstock.errors import ConfigError, PenstockError, StoreNotCreated

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL

    from penstock.backends.address import DatabaseAddress, Login
    from penstock.backends.contract import ConnectionOptions, Offload

_Result = TypeVar("_Result")


class ServerBackend(Backend):
    """A backend whose databases are on a server that a driver connects to.

    Attributes:
        kind: What messages call such servers.
        harmless_options: Of the options that the driver takes, those that neither lead elsewhere nor
            weaken the way there.
    """

    kind: ClassVar[str]
    harmless_options: ClassVar[tuple[str, ...]]

    # --- addresses ---

    def check_address(self, url: URL, *, has_user: bool, example: str) -> None:
        """Raise ConfigError for an address without a user, or one that can't be shown."""
        if not has_user:
            raise ConfigError(
                f"This {self.kind} address names no user.",
                hint=f"Write it as {example}://user@host:port, without the password.",
            )
        for part in (url.username, url.database, url.host):
            if part and not part.isprintable():
                raise ConfigError(f"This {self.kind} address has characters that can't be shown in it.")

    def split(self, url: URL) -> tuple[URL, str]:
        if not url.database:
            raise ConfigError(f"This {self.kind} address names no database.", hint="Add /database to it.")
        return url.set(database=""), url.database

    def password_audience(self, url: URL) -> URL:
        return url.set(database="").difference_update_query(self.harmless_options)

    def store_url(self, address: DatabaseAddress) -> URL:
        return self.sync_url(address.login.url).set(database=address.database)

    # --- databases ---

    # --- connections ---

    def connect(self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions) -> Any:
        return self._connect(dialect, address, options, run_inline)

    @abstractmethod
    def _connect(
        self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions, offload: Offload
    ) -> Any:
        """See `Backend.connect`; `offload` runs what would hold an event loop up."""

    # --- errors ---

    def is_disconnect(self, error: Exception) -> bool:
        if isinstance(error, StoreNotCreated):
            return True
        causes = (error, error.__cause__) if isinstance(error, PenstockError) else (error,)
        return any(isinstance(cause, Exception) and self._was_ended(cause) for cause in causes)

    @abstractmethod
    def _was_ended(self, error: Exception) -> bool:
        """Whether a driver's error says that the session, or its database, was taken away."""

    def _is_there(self, address: DatabaseAddress) -> bool | None:
        """Ask the server about a database that refused us; None if nobody answers."""
        try:
            return self.exists(address)
        except (DBAPIError, PenstockError):
            return None


def with_either(
    may_be_login: Callable[[Exception], bool],
    login: Login,
    attempt: Callable[[URL], _Result],
    offload: Offload = run_inline,
) -> _Result:
    """Connect with a login's password, or with the one that is about to take its place.

    Args:
        may_be_login: Whether an error may say that the password is not the right one.
        login: The login.
        attempt: Connects to an address with a password in it.
        offload: Looks passwords up.
    """
    try:
        return attempt(offload(login.with_password))
    except Exception as error:
        spare = offload(login.with_spare) if may_be_login(error) else None
        if spare is None:
            raise
    return attempt(spare)
