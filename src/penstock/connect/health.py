"""Whether services can be used, as data."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock.backends import DatabaseAddress, Server, backend_for
from penstock.connect.servers import ServiceAccount, server_of
from penstock.engines import BudgetState, budget_of, reserved
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from penstock.connect.engines import EngineCache
    from penstock.registry import Service
    from penstock.secrets import Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceHealth:
    """How a service answers right now.

    Args:
        service: Its name.
        source: Who defines it.
        version: Its server's version; empty if it does not answer.
        seconds: How long it took to answer.
        connection_limit: The most connections the server gives to all its clients together; None if it has no
            limit, or can't be asked.
        connections: What this process has of its server, and may have.
        shares_statements: Whether its stores share a dialect and compiled statements in this process,
            or each engine has its own (`EngineOptions.share_statements`).
        roles: Whether its stores get roles of their own; None where there is no such thing.
        no_roles: Why they get none.
        problem: Why it can't be used; None if it can.
    """

    service: str
    source: str
    version: str = ""
    seconds: float = 0.0
    connection_limit: int | None = None
    connections: BudgetState | None = None
    shares_statements: bool = True
    roles: bool | None = None
    no_roles: PenstockError | None = None
    problem: PenstockError | None = None

    @property
    def ok(self) -> bool:
        """Whether it can be used."""
        return self.problem is None


def server_version(
    service: Service,
    keyring: Keyring,
    role: ServiceAccount = ServiceAccount.SERVICE,
    connect_timeout: float = 10.0,
) -> str:
    """Connect to a service in one of its roles; its server's version.

    Raises:
        ServerError: It can't be used; the server's own words are given.
    """
    server = _in_role(server_of(service, keyring, connect_timeout), role)
    backend = backend_for(server.login.url)
    with reserved(_nowhere(server), backend, own=1):
        return backend.version(server)


def health_of(service: Service, keyring: Keyring, engines: EngineCache) -> ServiceHealth:
    """How a service answers; what is wrong is part of the answer.

    Args:
        service: The service.
        keyring: Opens its password.
        engines: Whose share of the server's connections is told.
    """
    health = ServiceHealth(
        service=service.name,
        source=str(service.source),
        shares_statements=engines.options.share_statements,
    )
    began = time.perf_counter()
    try:
        server = server_of(service, keyring, engines.options.connect_timeout)
        backend = backend_for(server.login.url)
        with reserved(_nowhere(server), backend, own=1):
            version, connection_limit = backend.version(server), backend.connection_limit(server)
        budget = budget_of(server, backend, engines.options, owner=engines)
    except PenstockError as error:
        return replace(health, problem=error, seconds=time.perf_counter() - began)
    seconds = time.perf_counter() - began
    return replace(
        health,
        version=version,
        connection_limit=connection_limit,
        seconds=seconds,
        connections=budget.state(),
    )


def _in_role(server: Server, role: ServiceAccount) -> Server:
    if role is ServiceAccount.ADMINISTRATOR and server.admin is not None:
        return replace(server, login=server.admin, admin=None, pooled=False)
    return server


def _nowhere(server: Server) -> DatabaseAddress:
    """A server without a database of ours, to name who works there."""
    return DatabaseAddress(server=server, database="", label=server.service)
