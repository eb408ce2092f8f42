"""Connections that are refused by servers, or by listeners that are none."""

from __future__ import annotations

import asyncio
import socket
import time
import traceback
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import DBAPIError

from penstock import EngineOptions, MemoryRegistry, Stores
from penstock.aio import AsyncStores
from penstock.errors import PenstockError, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock import App, Service

    Answer = Callable[[socket.socket], None]

TIMEOUT = 2.0
PATIENCE = 20.0
"""Seconds after which an answer did not come in time, on however busy a machine."""

SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)


@dataclass(frozen=True)
class Way:
    """One driver, in threads or in an event loop.

    Args:
        name: What it is called.
        kind: What servers it speaks to.
        scheme: What an address begins with that asks for it.
        awaited: Whether it is for event loops.
    """

    name: str
    kind: str
    scheme: str
    awaited: bool = False

    def address(self, port: int, host: str = "127.0.0.1", options: str = "") -> str:
        """An address of a service."""
        return f"{self.scheme}://penstock@{host}:{port}{options}"


WAYS = (
    Way("psycopg", "postgresql", "postgresql"),
    Way("psycopg async", "postgresql", "postgresql", awaited=True),
    Way("asyncpg", "postgresql", "postgresql+asyncpg", awaited=True),
    Way("pymysql", "mariadb", "mariadb"),
    Way("asyncmy", "mariadb", "mariadb", awaited=True),
)


def ways(kind: str = "", *, own: bool = False) -> pytest.MarkDecorator:
    """Parametrise a test by every driver, or by those of a kind of server, or those of Penstock's own."""
    chosen = [way for way in WAYS if kind in ("", way.kind) and not (own and way.awaited)]
    return pytest.mark.parametrize("way", chosen, ids=[way.name for way in chosen])


def told(way: Way, service: Service, lab: type[App], timeout: float = TIMEOUT) -> PenstockError:
    """Why a store can't be opened, as the driver's error says; what it says itself is among the cause."""
    registry = MemoryRegistry()
    url = service.url.replace("postgresql:", f"{way.scheme}:") if way.kind == "postgresql" else service.url
    registry.put_service(replace(service, url=url))
    began = time.monotonic()
    with Stores(registry, apps=[lab], engine_options=EngineOptions(connect_timeout=timeout)) as stores:
        stores.links.add(service.name, lab, "gages")
        with pytest.raises((DBAPIError, PenstockError)) as caught:
            asyncio.run(_connect(stores, lab)) if way.awaited else _connect_here(stores, lab)
        backend = stores.address(lab, "gages").backend
    assert time.monotonic() - began < PATIENCE
    _is_discreet(caught.value, service)
    return backend.translate(caught.value, "Tried.")


def service_told(service: Service) -> ServerError:
    """What `penstock services test` says of it."""
    registry = MemoryRegistry()
    registry.put_service(service)
    began = time.monotonic()
    with Stores(registry, engine_options=EngineOptions(connect_timeout=TIMEOUT)) as stores:
        [health] = stores.services.check()
    assert time.monotonic() - began < PATIENCE
    assert isinstance(health.problem, ServerError)
    assert health.problem.hint
    return health.problem


def sync_told(service: Service, lab: type[App]) -> PenstockError:
    """What `penstock syncstores` says of it."""
    registry = MemoryRegistry()
    registry.put_service(service)
    began = time.monotonic()
    with Stores(registry, apps=[lab], engine_options=EngineOptions(connect_timeout=TIMEOUT)) as stores:
        stores.links.add(service.name, lab, "gages")
        [result] = stores.sync(lab, ["gages"])
    assert time.monotonic() - began < PATIENCE
    assert result.error is not None
    return result.error


def _connect_here(stores: Stores, lab: type[App]) -> None:
    with stores.engine(lab, "gages").connect():
        pass


async def _connect(stores: Stores, lab: type[App]) -> None:
    engine = AsyncStores(stores).engine(lab, "gages")
    try:
        async with engine.connect():
            pass
    finally:
        await engine.dispose()
        await asyncio.sleep(0.1)  # asyncpg closes a line with TLS some turns of the loop later.


def _is_discreet(error: BaseException, service: Service) -> None:
    """Nobody who reads the error reads the password."""
    if service.password is None:
        return
    with open(service.password.locator, encoding="utf-8") as file:
        password = file.read().strip()
    assert password not in "".join(traceback.format_exception(error))


# --- listeners that are no server -----------------------------------------------------------------


@contextmanager
def listening(answer: Answer) -> Iterator[int]:
    """A port of the loopback interface where each connection gets an answer in a thread of its own."""
    with ExitStack() as lines, socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    line, _ = server.accept()
                    lines.enter_context(line)
                    Thread(target=reply, args=[line], daemon=True).start()

        def reply(line: socket.socket) -> None:
            with suppress(OSError):
                answer(line)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def taken() -> Iterator[int]:
    """A port whose queue is full: whoever connects waits for as long as nobody answers."""
    with ExitStack() as lines:
        server = lines.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            line = lines.enter_context(socket.socket())
            line.setblocking(False)
            line.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def says_nothing(line: socket.socket) -> None:
    """Take what comes, for ever."""
    while line.recv(4096):
        pass


def hangs_up(line: socket.socket) -> None:
    """Cut the line at once."""
    line.close()


def speaks_ssh(line: socket.socket) -> None:
    """Speak first, as SSH does."""
    line.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    says_nothing(line)


def speaks_http(line: socket.socket) -> None:
    """Wait for the end of a line, as HTTP does."""
    said = b""
    while not said.endswith(b"\r\n"):
        said += line.recv(4096)
    line.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    line.close()


def starts_as_postgresql(line: socket.socket) -> None:
    """Have no TLS, and say nothing more."""
    _without_tls(line)
    says_nothing(line)


def starts_as_mariadb(line: socket.socket) -> None:
    """Greet, and say nothing more."""
    can = 0x1 | 0x8 | 0x200 | 0x8000 | 0x80000
    body = b"\x0a11.4.2-MariaDB\x00" + bytes(4) + b"saltsalt\x00" + (can & 0xFFFF).to_bytes(2, "little")
    body += b"\x2d\x02\x00" + (can >> 16).to_bytes(2, "little") + b"\x15" + bytes(10)
    body += b"saltsaltsalt\x00mysql_native_password\x00"
    line.sendall(len(body).to_bytes(3, "little") + b"\x00" + body)
    says_nothing(line)


def refuses_as_postgresql(state: str, words: str, routine: str) -> Answer:
    """Refuse as PostgreSQL does in the language of `lc_messages`."""
    fields = {"S": "FATAL", "V": "FATAL", "C": state, "M": words, "F": "x.c", "L": "1", "R": routine}
    body = b"".join(name.encode() + text.encode() + b"\x00" for name, text in fields.items()) + b"\x00"

    def answer(line: socket.socket) -> None:
        _without_tls(line)
        line.sendall(b"E" + (len(body) + 4).to_bytes(4) + body)
        line.shutdown(socket.SHUT_WR)
        says_nothing(line)

    return answer


def refuses_as_mariadb(number: int, state: str, words: str) -> Answer:
    """Refuse as MariaDB does in the language of `lc_messages`."""
    body = b"\xff" + number.to_bytes(2, "little") + b"#" + state.encode() + words.encode()

    def answer(line: socket.socket) -> None:
        line.sendall(len(body).to_bytes(3, "little") + b"\x00" + body)
        line.shutdown(socket.SHUT_WR)
        says_nothing(line)

    return answer


def _without_tls(line: socket.socket) -> None:
    """Answer until a client of PostgreSQL has said who it is."""
    while line.recv(4096) == SSL_REQUEST:
        line.sendall(b"N")


def forwards_all_but(numbers: frozenset[int], port: int) -> Answer:
    """Cut the lines with these numbers, the first being 0; be the way to another port for the others."""
    coming = count()

    def forward(line: socket.socket) -> None:
        if next(coming) in numbers:
            line.close()
            return
        with socket.create_connection(("127.0.0.1", port)) as server:
            back = Thread(target=_copy, args=[server, line], daemon=True)
            back.start()
            _copy(line, server)
            back.join()

    return forward


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while said := source.recv(65536):
            target.sendall(said)
        target.shutdown(socket.SHUT_WR)
