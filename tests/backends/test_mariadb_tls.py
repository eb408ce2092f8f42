"""MariaDB is spoken to in secret, once an address says who vouches for the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from fix_mariadb import running_mariadb
from fix_refusals import told, ways
from fix_servers import server_folder
from fix_tls import Authority
from penstock import MemoryRegistry, Service, Stores
from penstock.aio import AsyncStores
from penstock.errors import TlsFailed
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fix_mariadb import MariaDBServer
    from fix_refusals import Way
    from penstock import App

CIPHER = text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the server may look into."""
    made = server_folder()
    made.chmod(0o755)
    yield made
    for file in made.iterdir():
        file.unlink()
    made.rmdir()


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "authority")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[MariaDBServer]:
    """A server with a certificate for its address."""
    certificate, key = authority.vouch("127.0.0.1")
    key.chmod(0o644)
    with running_mariadb(f"--ssl-cert={certificate}", f"--ssl-key={key}") as running:
        yield running


def stores_to(server: MariaDBServer, lab: type[App], options: str) -> Stores:
    registry = MemoryRegistry()
    password = SecretRef("file", str(server.password_file))
    registry.put_service(Service(name="main", url=f"{server.url}/?{options}", password=password))
    stores = Stores(registry, apps=[lab])
    stores.links.add("main", lab, "gages")
    return stores


def test_a_server_that_is_vouched_for_is_spoken_to_in_secret_by_every_driver(
    server: MariaDBServer, authority: Authority, lab: type[App]
) -> None:
    async def cipher(stores: Stores) -> str:
        async_stores = AsyncStores(stores)
        async with async_stores.session(lab, "gages") as session:
            [(_, found)] = (await session.execute(CIPHER)).all()
        await async_stores.engine(lab, "gages").dispose()
        return str(found)

    with stores_to(server, lab, f"ssl_ca={authority.certificate}") as stores:
        assert stores.sync(lab, ["gages"])[0].ok
        with stores.session(lab, "gages") as session:
            [(_, found)] = session.execute(CIPHER).all()
        assert found.startswith("TLS")
        assert asyncio.run(cipher(stores)).startswith("TLS")


@ways("mariadb")
def test_a_server_that_somebody_else_vouches_for_gets_no_password(
    way: Way, server: MariaDBServer, folder: Path, lab: type[App]
) -> None:
    stranger = Authority(folder, "stranger")
    password = SecretRef("file", str(server.password_file))
    service = Service(name="main", url=f"{server.url}/?ssl_ca={stranger.certificate}", password=password)
    error = told(way, service, lab)
    assert type(error) is TlsFailed
    assert "certificate verify failed" in error.why
    with stores_to(server, lab, f"ssl_ca={stranger.certificate}") as stores:
        assert type(stores.sync(lab, ["gages"])[0].error) is TlsFailed
