"""Finds out what answers at an address, where the driver does not say."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass

from penstock.errors import HostUnknown, PenstockError, ServerSilent, ServerUnreachable, WrongProtocol

POSTGRESQL = "PostgreSQL"
MARIADB = "MariaDB or MySQL"
SCHEMES = {POSTGRESQL: "postgresql://", MARIADB: "mariadb://"}

REACH_TIME = 1.0
"""Seconds that a look takes at most."""

_UNASKED, _ASKED = 0.25, 0.4
"""Seconds to wait for who speaks first, and for an answer."""

_SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
"""Whether a server of PostgreSQL has TLS; it answers with one byte, before anything else is said.

https://www.postgresql.org/docs/current/protocol-flow.html, "SSL Session Encryption".
"""

_GREETING, _REFUSAL = b"\x00\x0a", b"\x00\xff"
"""How the first packet of MariaDB goes on after its length: number 0, protocol 10 or an error.

https://mariadb.com/docs/server/reference/clientserver-protocol/1-connecting/connection
"""

_CAN_TLS = 0x800

_OTHERS = {b"SSH-": "SSH", b"HTTP": "HTTP", b"<": "HTTP", b"220": "SMTP or FTP", b"RFB ": "VNC"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What was found at an address.

    Args:
        speaks: The protocol that is spoken there; empty if nothing was said.
        tls: Whether the server has TLS; None where it did not say.
        hung_up: Whether the line was cut at once.
        trouble: Why there was no line at all.
    """

    speaks: str = ""
    tls: bool | None = None
    hung_up: bool = False
    trouble: OSError | None = None


def reach(host: str, port: int, timeout: float = REACH_TIME) -> Reached:
    """Look at what answers at an address; nothing that is secret is sent.

    Args:
        host: A name or an address.
        port: A port.
        timeout: Seconds to wait for a line, and for answers on it.
    """
    end = time.monotonic() + timeout
    try:
        with socket.create_connection((host, port), timeout) as line:
            return _listen(line, end)
    except ConnectionError as error:
        refused = isinstance(error, ConnectionRefusedError)
        return Reached(trouble=error if refused else None, hung_up=not refused)
    except (OSError, UnicodeError) as error:  # A name that IDNA does not know is a ValueError.
        return Reached(trouble=error if isinstance(error, OSError) else socket.gaierror(str(error)))


def unlike(found: Reached, wanted: str, words: str, where: str) -> PenstockError | None:
    """Why nothing can be done with what was found; None if it is what was wanted.

    Args:
        found: What was found.
        wanted: What should be spoken there.
        words: What the driver said.
        where: The address, without user and password.
    """
    if found.trouble is not None:
        return _no_line(found.trouble, words, where)
    if found.speaks and found.speaks != wanted:
        return WrongProtocol(
            f"What answers at {where} is {found.speaks}, not {wanted}.",
            why=words,
            hint=_other_address(found.speaks),
        )
    if found.hung_up:
        return ServerUnreachable(
            f"What listens at {where} hangs up at once.",
            why=words,
            hint="Check the port; a firewall, a tunnel or a proxy may stand there, and no server behind it.",
        )
    if not found.speaks:
        return silent(words, where)
    return None


def shown(host: str, port: int | str) -> str:
    """An address as messages have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def silent(words: str, where: str) -> ServerSilent:
    """The error of an address that does not answer in time."""
    return ServerSilent(
        f"Nothing answers in time at {where}.",
        why=words,
        hint="Check host and port, and that no firewall is in between; the server may be overloaded, too.",
    )


def _no_line(trouble: OSError, words: str, where: str) -> PenstockError:
    if isinstance(trouble, socket.gaierror):
        return HostUnknown(
            f"The host of {where} can't be found.",
            why=words,
            hint="Check how the host is written in the address, and that its name can be resolved here.",
        )
    if isinstance(trouble, TimeoutError):
        return silent(words, where)
    return ServerUnreachable(
        f"Nothing can be reached at {where}.",
        why=words,
        hint="Check that the server runs, and that it listens at this host and port.",
    )


def _other_address(speaks: str) -> str:
    scheme = SCHEMES.get(speaks)
    return "Check the port." if scheme is None else f"Check the port, or write the address as {scheme}…"


def _listen(line: socket.socket, end: float) -> Reached:
    """Let the other side speak first, as MariaDB does; else ask as PostgreSQL's clients do, then as any."""
    said = _read(line, min(_UNASKED, end - time.monotonic()))
    if said is None:
        line.sendall(_SSL_REQUEST)
        said = _read(line, min(_ASKED, end - time.monotonic()))
        if said in (b"S", b"N"):
            return Reached(speaks=POSTGRESQL, tls=said == b"S")
    if said is None:
        line.sendall(b"\r\n\r\n")
        said = _read(line, min(_UNASKED, end - time.monotonic()))
    if said is None:
        return Reached()
    return Reached(speaks=_name_of(said), tls=_has_tls(said), hung_up=not said)


def _read(line: socket.socket, seconds: float) -> bytes | None:
    """What arrives; empty if the line was cut, None if nothing does in time."""
    arrivals = select.poll()
    arrivals.register(line, select.POLLIN)
    return line.recv(256) if arrivals.poll(max(seconds, 0) * 1000) else None


def _name_of(said: bytes) -> str:
    if not said:
        return ""
    if said[3:5] in (_GREETING, _REFUSAL):
        return MARIADB
    return next((name for start, name in _OTHERS.items() if said.startswith(start)), "something else")


def _has_tls(said: bytes) -> bool | None:
    """Whether MariaDB's greeting says so: its version, 13 bytes, then what it can do."""
    if said[3:5] != _GREETING:
        return None
    can = said.find(b"\x00", 5) + 14
    return bool(int.from_bytes(said[can : can + 2], "little") & _CAN_TLS)
