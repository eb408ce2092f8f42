"""A line to a server is quiet or not, and a closed one is not."""

from __future__ import annotations

import socket

from penstock.backends.lines import is_quiet


def test_a_line_is_quiet_until_something_arrives_or_either_end_is_closed() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert is_quiet(here.fileno())
        there.send(b"goodbye")
        assert not is_quiet(here.fileno())
        assert here.recv(16) == b"goodbye"
        assert is_quiet(here.fileno())
        there.close()
        assert not is_quiet(here.fileno())
        here.close()
        assert here.fileno() < 0
        assert not is_quiet(here.fileno())
