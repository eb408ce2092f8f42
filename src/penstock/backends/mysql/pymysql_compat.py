"""What PyMySQL knows and has no public way to ask for, all in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymysql.constants import COMMAND

if TYPE_CHECKING:
    from pymysql.protocol import MysqlPacket

# A release of PyMySQL that has them otherwise fails tests/unit/backends/test_drivers.py.


def descriptor_of(raw: Any) -> int:
    """The file descriptor of an open connection's socket."""
    found: int = raw._sock.fileno()
    return found


def set_time_limits(raw: Any, *, read: float | None, write: float | None) -> None:
    """Let later reads and writes take so many seconds; None for ever."""
    raw._read_timeout, raw._write_timeout = read, write


def send_query(raw: Any, statement: str) -> MysqlPacket:
    """Send a statement, and read no more than the first packet of the answer."""
    raw._execute_command(COMMAND.COM_QUERY, statement)
    return read_packet(raw)


def read_packet(raw: Any) -> MysqlPacket:
    """The next packet of the server's; raises its error if it is one."""
    packet: MysqlPacket = raw._read_packet()
    return packet


def is_streaming(raw: Any) -> bool:
    """Whether rows of a result are still on their way; asyncmy has the same attribute."""
    return bool(getattr(getattr(raw, "_result", None), "unbuffered_active", False))
