"""How a driver connects within the time, and why a connection was refused."""

from __future__ import annotations

import re
import socket
import struct
from functools import partial
from ssl import SSLError
from typing import TYPE_CHECKING, Any

from penstock.backends.contract import run_inline
from penstock.backends.mysql.faults import NOT_THERE, number_of, words_of
from penstock.backends.mysql.pymysql_compat import set_time_limits
from penstock.backends.reach import MARIADB, Reached, reach, shown, silent, unlike
from penstock.errors import (
    DatabaseMissing,
    HostRefused,
    LoginRefused,
    NotAllowed,
    PenstockError,
    ServerFull,
    ServerUnreachable,
    TlsFailed,
)

if TYPE_CHECKING:
    from penstock.backends.contract import Offload

PORT = 3306

_CONN_HOST_ERROR = 2003
_OF_CLIENTS = range(2000, 3000)
"""Numbers that drivers give; all others are the server's."""

_FULL = {
    1040: "raise max_connections on the server.",
    1203: "raise max_user_connections on the server.",
    1226: "raise the user's: ALTER USER … WITH MAX_USER_CONNECTIONS …",
}
_RESOURCES = ("max_user_connections", "max_connections_per_hour")
"""What 1226 may be about, among others; these words of the server's are in no language."""

_TLS_DEMANDED = 3159
_TLS_IN_DRIVER = 2026
_ACCOUNT = re.compile(r"'[^']*'@'[^']*'")


def connect(dialect: Any, args: Any, params: dict[str, Any], offload: Offload = run_inline) -> Any:
    """A driver connection; the cause of a refused one's error is one of ours, where more is known.

    Args:
        dialect: SQLAlchemy's dialect of the driver.
        args: What the driver is told.
        params: The same, by name.
        offload: Runs what would hold an event loop up.
    """
    seconds = params["connect_timeout"]
    try:
        if dialect.is_async:
            return dialect.connect(*args, **params, async_creator_fn=partial(_in_time, seconds))
        return _within(seconds, dialect, args, params)
    except dialect.loaded_dbapi.Error as error:
        raise error from offload(partial(_finding, error, params))
    except (IndexError, ValueError, struct.error) as error:  # What answers speaks otherwise.
        made = dialect.loaded_dbapi.OperationalError(_CONN_HOST_ERROR, f"This can't be read: {error}")
        raise made from offload(partial(_finding, made, params))
    except OSError as error:  # Those of the line come as errors of the driver's.
        made = dialect.loaded_dbapi.OperationalError(_TLS_IN_DRIVER, f"{error}")
        raise made from _no_file(error)


def _within(seconds: float, dialect: Any, args: Any, params: dict[str, Any]) -> Any:
    """Connect with PyMySQL, whose timeout is for the line only: a server that says nothing has for ever.

    So what is read while connecting has a limit, too. Later on there is none.
    """
    own = {name: params.get(name) for name in ("read_timeout", "write_timeout")}
    limits = {name: min(seconds, value or seconds) for name, value in own.items()}
    raw = dialect.connect(*args, **(params | limits))
    set_time_limits(raw, read=own["read_timeout"], write=own["write_timeout"])
    return raw


async def _in_time(seconds: float, *args: Any, **params: Any) -> Any:
    """Connect with asyncmy, whose timeout is for the line only, too."""
    import asyncio

    import asyncmy

    try:
        async with asyncio.timeout(seconds):
            return await asyncmy.connect(*args, **params)
    except TimeoutError as error:
        raise asyncmy.errors.OperationalError(_CONN_HOST_ERROR, "The time is over") from error


def _finding(error: Exception, params: dict[str, Any]) -> PenstockError | None:
    """Why a connection was refused; None if nothing more is known than the server's number."""
    number = number_of(error)
    if number is None or number in _OF_CLIENTS:
        return _of_line(error, params)
    user, database = str(params.get("user") or ""), str(params.get("database") or params.get("db") or "")
    said = f"{words_of(error)} (error {number})"
    if number == 1045 and not params.get("ssl"):
        return _no_login(user, said)
    return _by_number(number, said, user, database)


def _no_login(user: str, said: str) -> LoginRefused:
    """The error of a login without TLS: MariaDB says no more of an account, or a server, that demands it."""
    return LoginRefused(
        f"The server does not let {user} in.",
        why=said,
        hint="Check the service's user and its password; where only lines with TLS are taken, "
        "add ?ssl_ca=FILE to the address.",
    )


def _by_number(number: int, said: str, user: str, database: str) -> PenstockError | None:
    if number in _FULL and (number != 1226 or any(name in said for name in _RESOURCES)):
        return ServerFull(
            f"The server has no connection left{'' if number == 1040 else f' for the user {user}'}.",
            why=said,
            hint="Close connections, give processes fewer of them (max_connections of the service), or "
            + _FULL[number],
        )
    if number == 1044:
        account = _ACCOUNT.search(said)
        pattern = pattern_of(database).replace("`", "``")
        whom = account[0] if account else f"'{user}'@'%'"
        return NotAllowed(
            f"The user {user} may not use the database {database}.",
            why=said,
            hint=f"Have an administrator do: GRANT ALL ON `{pattern}`.* TO {whom}",
        )
    if number in NOT_THERE:
        return DatabaseMissing(
            f"The server has no database {database}.",
            why=said,
            hint="Check the name of the database in the address, or make it.",
        )
    return _of_host(number, said, user)


def _of_host(number: int, said: str, user: str) -> PenstockError | None:
    if number == 1129:
        return HostRefused(
            "The server takes no more connections from this host.",
            why=said,
            hint="Mend what broke off so many connections, then have an administrator do: FLUSH HOSTS",
        )
    if number == 1130:
        return HostRefused(
            "No account of the server's is for this host.",
            why=said,
            hint=f"Have an administrator make one: CREATE USER '{user}'@'…', or '{user}'@'%' for all hosts.",
        )
    if number == _TLS_DEMANDED:
        return TlsFailed(
            "The server takes only lines with TLS.",
            why=said,
            hint="Add ?ssl_ca=FILE to the address, with the certificate of who vouches for the server.",
        )
    return None


def _of_line(error: Exception, params: dict[str, Any]) -> PenstockError | None:
    """Find out what is at the other end of a connection that broke or stayed silent."""
    words, host = words_of(error), str(params.get("host") or "localhost")
    port = int(params.get("port") or PORT)
    where = shown(host, port)
    cause: Any = getattr(error, "original_exception", None) or error.__cause__ or error.__context__
    if params.get("unix_socket") or params.get("read_default_file"):
        return None
    final = isinstance(cause, socket.gaierror | ConnectionRefusedError)
    found = Reached(trouble=cause) if final else reach(host, port)
    other = unlike(found, MARIADB, words, where)
    if other is not None:
        return other
    if number_of(error) == _TLS_IN_DRIVER or isinstance(cause, SSLError):
        return _no_tls(words, where, has_tls=found.tls is not False)
    if isinstance(cause, TimeoutError):
        return silent(words, where)
    return ServerUnreachable(
        f"The server at {where} broke off before it let us in.",
        why=words,
        hint="Check that the server runs and can be reached from here; its log says more.",
    )


def pattern_of(database: str) -> str:
    """A database's name as a grant of all that is in it has it, where some characters stand for others.

    >>> pattern_of("lab_gages")
    'lab\\\\_gages'
    """
    return "".join(f"\\{character}" if character in "\\_%" else character for character in database)


def _no_file(error: OSError) -> TlsFailed:
    return TlsFailed(
        "A file that the address names for TLS can't be used.",
        why=str(error),
        hint="Check ssl_ca, ssl_cert and ssl_key of the address.",
    )


def _no_tls(words: str, where: str, *, has_tls: bool) -> TlsFailed:
    if has_tls:
        return TlsFailed(
            f"No TLS could be agreed on with {where}.",
            why=words,
            hint="Check ssl_ca of the address, and the host in the server's certificate.",
        )
    return TlsFailed(
        f"The address asks for TLS, and the server at {where} has none.",
        why=words,
        hint="Turn it on at the server (ssl_cert and ssl_key), or take the ssl options out of the address.",
    )
