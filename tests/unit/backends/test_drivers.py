"""What drivers are asked past their public names; a release without it fails."""

from __future__ import annotations

from asyncio import selector_events, sslproto

import aiosqlite
import asyncpg
import pymysql
import pytest
from asyncmy.connection import Connection as AsyncmyConnection
from pymysql.connections import MySQLResult
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection

from penstock.backends.mysql import pymysql_compat


@pytest.fixture
def unconnected() -> pymysql.Connection:
    """A connection of PyMySQL's that was never opened."""
    return pymysql.Connection(defer_connect=True, read_timeout=1, write_timeout=2)


def test_pymysql_has_its_time_limits_where_they_are_set(unconnected: pymysql.Connection) -> None:
    assert (unconnected._read_timeout, unconnected._write_timeout) == (1, 2)
    pymysql_compat.set_time_limits(unconnected, read=None, write=3)
    assert (unconnected._read_timeout, unconnected._write_timeout) == (None, 3)


def test_pymysql_sends_and_reads_by_what_is_called(unconnected: pymysql.Connection) -> None:
    with pytest.raises(pymysql.err.InterfaceError):  # It is not open, and says so.
        pymysql_compat.send_query(unconnected, "SELECT 1")
    assert callable(unconnected._read_packet)


def test_pymysql_has_its_socket_where_it_is_looked_for(unconnected: pymysql.Connection) -> None:
    assert unconnected._sock is None
    assert not unconnected.open
    unconnected._sock = "there"
    assert unconnected.open
    unconnected._sock = None


def test_pymysql_knows_whether_a_result_is_streaming(unconnected: pymysql.Connection) -> None:
    assert not pymysql_compat.is_streaming(unconnected)
    unconnected._result = MySQLResult(unconnected)
    assert not pymysql_compat.is_streaming(unconnected)
    unconnected._result.unbuffered_active = True
    assert pymysql_compat.is_streaming(unconnected)
    unconnected._result.unbuffered_active = False


def test_drivers_for_event_loops_have_their_line_and_their_loop_where_they_are_looked_for() -> None:
    assert {"_transport", "_loop"} <= set(asyncpg.Connection.__slots__)
    assert {"_transport", "_loop", "_result"} <= set(dir(AsyncmyConnection))
    assert aiosqlite.Connection(lambda: None, 1)._thread.is_alive() is False


def test_sqlalchemy_gives_errors_of_asyncpg_a_form_where_it_is_looked_for() -> None:
    assert callable(AsyncAdapt_asyncpg_connection._handle_exception)


def test_asyncio_loses_a_line_by_what_is_called_and_knows_what_is_below_tls() -> None:
    assert callable(selector_events._SelectorTransport._call_connection_lost)
    assert "_ssl_protocol" in sslproto._SSLProtocolTransport.__init__.__code__.co_names
    assert "_transport" in sslproto.SSLProtocol.connection_made.__code__.co_names
