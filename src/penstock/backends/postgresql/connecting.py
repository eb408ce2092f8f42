"""Why a connection was refused: libpq hears the SQLSTATE, and is made to tell it."""

from __future__ import annotations

import ctypes
import re
import select
import sys
import time
from ctypes.util import find_library
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.errors import ConnectionTimeout

from penstock.backends.postgresql.faults import NOT_THERE, full
from penstock.backends.reach import POSTGRESQL, REACH_TIME, reach, shown, silent, unlike
from penstock.errors import (
    DatabaseMissing,
    HostRefused,
    LoginRefused,
    NotAllowed,
    PenstockError,
    ServerNotReady,
    ServerUnreachable,
    TlsFailed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_VERBOSE = 2
"""PQERRORS_VERBOSE: messages have the SQLSTATE, and the function of the server's that refused."""

_STATE = re.compile(r":  ([0-9A-Z]{5}): ")
_ROUTINE = re.compile(r":  (\w+), [^\s:]+:\d+$", re.MULTILINE)
_OWN = ("autocommit", "context", "cursor_factory", "prepare_threshold", "row_factory")
"""What psycopg is told, and libpq is not."""

NEEDS_TLS = ("require", "verify-ca", "verify-full")
"""Values of `sslmode` that take no line but one with TLS."""

_BROKEN = ("08000", "08001", "08003", "08006")

# Functions of the server's that tell refusals of one SQLSTATE apart: their names are not translated.
_HOST, _DATABASE = "ClientAuthentication", "CheckMyDatabase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A connection that was refused.

    Args:
        words: What the driver said.
        host: Where it should have led; empty for a socket in a folder, and for several hosts.
        port: The port.
        user: Who wanted in.
        database: Where to.
        state: The server's SQLSTATE; empty if it gave none.
        routine: The function of the server's that refused.
        needs_tls: Whether the address takes no line without TLS.
        needs_password: Whether a password is missing.
        late: Whether the time was over.
        unknown: Whether libpq could not be asked for more.
        passing: Whether it was let in when it was asked.
    """

    words: str
    host: str = ""
    port: int = 5432
    user: str = ""
    database: str = ""
    state: str = ""
    routine: str = ""
    needs_tls: bool = False
    needs_password: bool = False
    late: bool = False
    unknown: bool = False
    passing: bool = False

    @property
    def where(self) -> str:
        """The address, without user and password."""
        return shown(self.host, self.port) if self.host else "this address"

    @property
    def is_answer(self) -> bool:
        """Whether the server said no itself; asyncpg gives some codes to lines that broke."""
        return bool(self.state) and self.state not in _BROKEN


def refusal_of(error: psycopg.Error, params: dict[str, Any], timeout: float) -> Refusal:
    """What libpq heard of a server that refused psycopg.

    libpq forgets the SQLSTATE of a refused connection, and its texts are in the server's language, which
    `lc_messages` says. So it is asked once more, and told before it hears the answer to put the code into
    the text. psycopg has no word for that (PQsetErrorVerbosity), but gives libpq's own handle for such ends.

    Args:
        error: What psycopg raised.
        params: What psycopg was told.
        timeout: Seconds that this may take.
    """
    host = str(params.get("host") or "")
    refusal = Refusal(
        words=" ".join(str(error).split()),
        host="" if host.startswith(("/", "@")) or "," in host else host,
        port=_port_of(params),
        user=str(params.get("user") or ""),
        database=str(params.get("dbname") or ""),
        needs_tls=params.get("sslmode") in NEEDS_TLS,
        late=isinstance(error, ConnectionTimeout),
    )
    set_verbosity = _verbosity()
    if set_verbosity is None:
        return replace(refusal, unknown=True)
    if refusal.late or isinstance(error, psycopg.ProgrammingError):
        return refusal
    return _ask_again(refusal, params, set_verbosity, timeout)


def finding(refusal: Refusal) -> PenstockError | None:
    """Why a connection was refused; None if nothing more is known than the SQLSTATE."""
    if refusal.is_answer:
        return _by_state(refusal)
    if refusal.needs_password:
        return LoginRefused(
            "The server asks for a password, and there is none.",
            why=refusal.words,
            hint="Give the service its password, with --password-env: penstock services edit",
        )
    found = _by_line(refusal) if refusal.host else None
    return found or _broken_off(refusal)


def _by_line(refusal: Refusal) -> PenstockError | None:
    """What is told by who listens at the address."""
    found = reach(refusal.host, refusal.port, REACH_TIME)
    other = unlike(found, POSTGRESQL, refusal.words, refusal.where)
    if other is None and refusal.needs_tls and not (refusal.late or refusal.unknown or refusal.passing):
        return _no_tls(refusal, has_tls=found.tls is not False)
    return other


def _broken_off(refusal: Refusal) -> PenstockError | None:
    """What is told where nothing else is known."""
    if refusal.late:
        return silent(refusal.words, refusal.where)
    if refusal.unknown or refusal.passing:
        return None
    what = f"The server at {refusal.where} broke off before it let us in."
    return ServerUnreachable(
        what if refusal.host else "No server lets us in at this address.",
        why=refusal.words,
        hint="Check that the server runs and can be reached from here; its log says more.",
    )


def _by_state(refusal: Refusal) -> PenstockError | None:
    said = f"{refusal.words} (SQLSTATE {refusal.state})"
    if refusal.state == "53300":
        return full(refusal.routine, said, refusal.user, refusal.database)
    if refusal.state == NOT_THERE:
        return DatabaseMissing(
            f"The server has no database {refusal.database}.",
            why=said,
            hint="Check the name of the database in the address, or make it.",
        )
    if refusal.state.startswith("57P"):
        return ServerNotReady(
            f"The server at {refusal.where} is starting up, or shutting down.",
            why=said,
            hint="Wait until it has started, then try again.",
        )
    if refusal.state == "42501" and refusal.routine == _DATABASE:
        return NotAllowed(
            f"The role {refusal.user} may not connect to the database {refusal.database}.",
            why=said,
            hint=f"Have its owner do: GRANT CONNECT ON DATABASE {quoted(refusal.database)}"
            f" TO {quoted(refusal.user)}",
        )
    if refusal.state == "28000" and refusal.routine == _HOST:
        return HostRefused(
            f"The server lets {refusal.user} not into {refusal.database} from here.",
            why=said,
            hint="Add a line for it to the server's pg_hba.conf, then reload that; "
            "where it takes only lines with TLS, add ?sslmode=require to the address.",
        )
    return None


def quoted(name: str) -> str:
    """A name as a statement has it."""
    return '"' + name.replace('"', '""') + '"'


def _no_tls(refusal: Refusal, *, has_tls: bool) -> TlsFailed:
    if has_tls:
        return TlsFailed(
            f"No TLS could be agreed on with {refusal.where}.",
            why=refusal.words,
            hint="Check sslmode and sslrootcert of the address, and the host in the server's certificate.",
        )
    return TlsFailed(
        f"The address asks for TLS, and the server at {refusal.where} has none.",
        why=refusal.words,
        hint="Turn it on at the server (ssl = on, and a certificate), or take sslmode out of the address.",
    )


def _port_of(params: dict[str, Any]) -> int:
    port = str(params.get("port") or "")
    return int(port) if port.isdecimal() else 5432


def _ask_again(
    refusal: Refusal, params: dict[str, Any], set_verbosity: Callable[[int, int], int], timeout: float
) -> Refusal:
    told = {name: value for name, value in params.items() if name not in _OWN}
    attempt = pq.PGconn.connect_start(make_conninfo("", **told).encode())
    try:
        handle = getattr(attempt, "pgconn_ptr", None)
        if handle:
            set_verbosity(handle, _VERBOSE)
        outcome = _outcome(attempt, time.monotonic() + timeout)
        if outcome != pq.PollingStatus.FAILED:
            return replace(refusal, passing=outcome is not None, late=outcome is None)
        said = attempt.get_error_message()
        state, routine = _STATE.search(said), _ROUTINE.search(said)
        mode = next((option.val for option in attempt.info if option.keyword == b"sslmode"), None)
        return replace(
            refusal,
            state=state[1] if state else "",
            routine=routine[1] if routine else "",
            needs_tls=(mode or b"").decode() in NEEDS_TLS,
            needs_password=attempt.needs_password,
        )
    finally:
        attempt.finish()


def _outcome(attempt: pq.abc.PGconn, end: float) -> pq.PollingStatus | None:
    """Go on with a connection until it is refused, or there; None if the time is over before."""
    events = {pq.PollingStatus.READING: select.POLLIN, pq.PollingStatus.WRITING: select.POLLOUT}
    while attempt.status != pq.ConnStatus.BAD:
        status = pq.PollingStatus(attempt.connect_poll())
        if status not in events:
            return status
        line = select.poll()
        line.register(attempt.socket, events[status])
        if not line.poll(max(0, end - time.monotonic()) * 1000):
            return None
    return pq.PollingStatus.FAILED


@cache
def _verbosity() -> Callable[[int, int], int] | None:
    """PQsetErrorVerbosity of the libpq that psycopg is linked to; None where that can't be found."""
    file = str(sys.modules[pq.PGconn.__module__].__file__)
    library = find_library("pq") if file.endswith(".py") else file  # One in Python finds it the same way.
    try:
        function = ctypes.CDLL(library).PQsetErrorVerbosity
    except (AttributeError, OSError):
        return None
    function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_int), ctypes.c_int
    found: Callable[[int, int], int] = function
    return found
