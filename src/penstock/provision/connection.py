"""A connection for Penstock's own statements in a store."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.engines import own_engine, reserved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from penstock.connect import Address


@contextmanager
def own_connection(address: Address) -> Iterator[Connection]:
    """A connection on which names resolve nowhere that an app can write to; closed afterwards."""
    place, backend = address.place, address.backend
    with (
        reserved(place, backend, own=1),
        own_engine(place, backend) as engine,
        engine.connect() as connection,
    ):
        yield connection
