"""What listens at an address and is no server is told as what it is, in time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url, text

from fix_refusals import (
    TIMEOUT,
    forwards_all_but,
    hangs_up,
    listening,
    refuses_as_mariadb,
    refuses_as_postgresql,
    says_nothing,
    service_told,
    speaks_http,
    speaks_ssh,
    starts_as_mariadb,
    starts_as_postgresql,
    sync_told,
    taken,
    told,
    ways,
)
from penstock import EngineOptions, MemoryRegistry, Service, Stores
from penstock.backends import DatabaseAddress, Server, backend_for
from penstock.backends.address import Login
from penstock.backends.postgresql.sessions import maintenance
from penstock.errors import (
    HostRefused,
    HostUnknown,
    LoginRefused,
    ServerError,
    ServerFull,
    ServerNotReady,
    ServerSilent,
    ServerUnreachable,
    StoreNotCreated,
    TlsFailed,
    WrongProtocol,
)
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from fix_refusals import Answer, Way
    from fix_servers import TestServer
    from penstock import App

PASSWORD = "Kanarie-11c1"


@pytest.fixture
def at(tmp_path: Path) -> Callable[..., Service]:
    """A service at a port, with a password."""
    (tmp_path / "password").write_text(PASSWORD)

    def make(way: Way, port: int, host: str = "127.0.0.1", options: str = "") -> Service:
        password = SecretRef("file", str(tmp_path / "password"))
        return Service(name="main", url=way.address(port, host, options), password=password)

    return make


@ways()
@pytest.mark.parametrize("begins", [False, True], ids=["from the start", "half-way"])
def test_a_server_that_falls_silent_is_told_in_time(
    way: Way, begins: bool, at: Callable[..., Service], lab: type[App]
) -> None:
    begin = {"postgresql": starts_as_postgresql, "mariadb": starts_as_mariadb}[way.kind]
    with listening(begin if begins else says_nothing) as port:
        error = told(way, at(way, port), lab)
    assert type(error) is ServerSilent
    assert f"127.0.0.1:{port}" in error.why


@ways()
def test_a_line_that_nobody_takes_is_told_in_time(
    way: Way, at: Callable[..., Service], lab: type[App]
) -> None:
    with taken() as port:
        assert type(told(way, at(way, port), lab)) is ServerSilent


@ways()
def test_a_listener_that_hangs_up_is_told(way: Way, at: Callable[..., Service], lab: type[App]) -> None:
    with listening(hangs_up) as port:
        error = told(way, at(way, port), lab)
    assert type(error) is ServerUnreachable
    assert "hangs up at once" in error.why


@ways()
@pytest.mark.parametrize(("answer", "speaks"), [(speaks_ssh, "SSH"), (speaks_http, "HTTP")])
def test_another_protocol_is_named(
    way: Way, answer: Answer, speaks: str, at: Callable[..., Service], lab: type[App]
) -> None:
    with listening(answer) as port:
        error = told(way, at(way, port), lab)
    assert type(error) is WrongProtocol
    assert f"127.0.0.1:{port} is {speaks}, not " in error.why


@ways()
def test_a_name_that_nobody_has_is_told(way: Way, at: Callable[..., Service], lab: type[App]) -> None:
    error = told(way, at(way, 5432, "nowhere.invalid"), lab)
    assert type(error) is HostUnknown
    assert "nowhere.invalid" in error.why


@ways()
def test_a_port_where_nobody_listens_is_told(way: Way, at: Callable[..., Service], lab: type[App]) -> None:
    error = told(way, at(way, 1), lab)
    assert type(error) is ServerUnreachable
    assert "Nothing can be reached at 127.0.0.1:1." in error.why


@ways(own=True)
def test_what_services_test_and_a_sync_say_is_the_same(
    way: Way, at: Callable[..., Service], lab: type[App]
) -> None:
    with listening(says_nothing) as silent, listening(speaks_ssh) as ssh:
        assert type(service_told(at(way, silent))) is ServerSilent
        assert type(service_told(at(way, ssh))) is WrongProtocol
        assert type(sync_told(at(way, silent), lab)) is ServerSilent
    assert type(service_told(at(way, 1))) is ServerUnreachable
    assert type(service_told(at(way, 5432, "nowhere.invalid"))) is HostUnknown


@ways()
def test_the_timeout_of_an_address_wins(way: Way, at: Callable[..., Service], lab: type[App]) -> None:
    with listening(says_nothing) as port:
        service = at(way, port, options=f"/?connect_timeout={TIMEOUT}")
        assert type(told(way, service, lab, timeout=3600)) is ServerSilent


# --- the code decides, in whatever language -------------------------------------------------------

FULL = "tut mir leid, schon zu viele Verbindungen"


@ways("postgresql")
@pytest.mark.parametrize(
    ("state", "routine", "kind", "said"),
    [
        ("53300", "InitProcess", ServerFull, "raise max_connections on the server"),
        ("53300", "InitializeSessionUserId", ServerFull, "for the role penstock"),
        ("53300", "CheckMyDatabase", ServerFull, "for the database lab_gages"),
        ("28P01", "auth_failed", LoginRefused, "SQLSTATE 28P01"),
        ("28000", "InitializeSessionUserId", LoginRefused, "SQLSTATE 28000"),
        ("28000", "ClientAuthentication", HostRefused, "pg_hba.conf"),
        ("57P03", "ProcessStartupPacket", ServerNotReady, "SQLSTATE 57P03"),
        ("3D000", "InitPostgres", StoreNotCreated, "lab_gages"),
    ],
)
def test_the_sqlstate_decides_whatever_the_words(
    way: Way,
    state: str,
    routine: str,
    kind: type[Exception],
    said: str,
    at: Callable[..., Service],
    lab: type[App],
) -> None:
    with listening(refuses_as_postgresql(state, FULL, routine)) as port:
        error = told(way, at(way, port), lab)
    assert type(error) is kind
    assert said in str(error)
    assert FULL in error.why or kind is StoreNotCreated


@ways("mariadb")
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1040, ServerFull),
        (1203, ServerFull),
        (1045, LoginRefused),
        (1130, HostRefused),
        (1129, HostRefused),
        (1053, ServerNotReady),
        (3159, TlsFailed),
    ],
)
def test_the_number_decides_whatever_the_words(
    way: Way, number: int, kind: type[Exception], at: Callable[..., Service], lab: type[App]
) -> None:
    with listening(refuses_as_mariadb(number, "08004", FULL)) as port:
        error = told(way, at(way, port), lab)
    assert type(error) is kind
    assert f"{FULL} (error {number})" in error.why


# --- many stores ----------------------------------------------------------------------------------


@ways(own=True)
def test_a_silent_server_is_waited_for_once_however_many_stores_are_asked_for(
    way: Way, at: Callable[..., Service], lab: type[App]
) -> None:
    called: list[int] = []

    def answer(line: socket.socket) -> None:
        called.append(1)
        says_nothing(line)

    registry = MemoryRegistry()
    options = EngineOptions(connect_timeout=TIMEOUT)
    with listening(answer) as port, Stores(registry, apps=[lab], engine_options=options) as stores:
        registry.put_service(at(way, port))
        for setting in ("gages", "basins"):
            stores.links.add("main", lab, setting)
        first = stores.store_status(lab, "gages")
        asked = len(called)
        assert "Nothing answers in time" in first.problem
        assert stores.store_status(lab, "gages").problem == first.problem
        assert len(called) == asked


def test_who_is_let_in_when_the_reason_is_asked_is_let_in(
    postgresql_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    stores = stores_on(postgresql_ground, lab)
    assert stores.sync(lab, ["gages"])[0].error is None
    port = make_url(postgresql_ground.url).port
    assert port is not None
    with listening(forwards_all_but(frozenset({0, 2, 4}), port)) as other:
        url = postgresql_ground.url.replace(f":{port}", f":{other}")
        ground = replace(postgresql_ground, service=replace(postgresql_ground.service, url=url))
        with stores_on(ground, lab).session(lab, "gages") as session:
            assert session.scalar(text("SELECT 1")) == 1


def test_a_database_that_is_not_there_is_gone(postgresql_ground: TestServer) -> None:
    url = make_url(postgresql_ground.address_of("nothing"))
    backend, login = backend_for(url), Login(url=url)
    address = DatabaseAddress(server=Server(service="main", login=login), database="nothing")
    with pytest.raises(ServerError) as raised, maintenance(replace(address.server, login=login)):
        pass
    assert backend.is_disconnect(raised.value)
