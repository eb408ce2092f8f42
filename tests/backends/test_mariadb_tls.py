"""MariaDB is spoken to in secret, once an address says who vouches for the server."""

from __future__ import annotations

import asyncio
import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import text

from fix_mariadb import running_mariadb
from fix_servers import server_folder
from penstock import MemoryRegistry, Service, Stores
from penstock.aio import AsyncStores
from penstock.errors import ServerUnreachable
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fix_mariadb import MariaDBServer
    from penstock import App

CIPHER = text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")


class Authority:
    """Who vouches for servers.

    Args:
        folder: Where its certificate is, and those of servers.
        name: What it is called.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.certificate = folder / f"{name}.pem"
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = generate_private_key(SECP256R1())
        self._sign(self._name, self._key, self.certificate, x509.BasicConstraints(ca=True, path_length=0))

    def vouch(self, address: str) -> tuple[Path, Path]:
        """A certificate for a server at this address, and its key."""
        key, files = (
            generate_private_key(SECP256R1()),
            (self._folder / "server.pem", self._folder / "server.key"),
        )
        name = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        self._sign(x509.Name([]), key, files[0], name)
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def _sign(
        self, name: x509.Name, key: EllipticCurvePrivateKey, file: Path, extension: x509.ExtensionType
    ) -> None:
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
            .not_valid_after(datetime.now(UTC) + timedelta(hours=1))
            .add_extension(extension, critical=True)
        )
        file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))


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


def desk_to(server: MariaDBServer, lab: type[App], options: str) -> Stores:
    registry = MemoryRegistry()
    password = SecretRef("file", str(server.password_file))
    registry.put_service(Service(name="main", url=f"{server.url}/?{options}", password=password))
    desk = Stores(registry, apps=[lab])
    desk.link("main", lab, "gages")
    return desk


def test_a_server_that_is_vouched_for_is_spoken_to_in_secret_by_every_driver(
    server: MariaDBServer, authority: Authority, lab: type[App]
) -> None:
    async def cipher(desk: Stores) -> str:
        stores = AsyncStores(desk)
        async with stores.session(lab, "gages") as session:
            [(_, found)] = (await session.execute(CIPHER)).all()
        await stores.engine(lab, "gages").dispose()
        return str(found)

    with desk_to(server, lab, f"ssl_ca={authority.certificate}") as desk:
        assert desk.sync(lab, ["gages"])[0].ok
        with desk.session(lab, "gages") as session:
            [(_, found)] = session.execute(CIPHER).all()
        assert found.startswith("TLS")
        assert asyncio.run(cipher(desk)).startswith("TLS")


def test_a_server_that_somebody_else_vouches_for_gets_no_password(
    server: MariaDBServer, folder: Path, lab: type[App]
) -> None:
    stranger = Authority(folder, "stranger")
    with desk_to(server, lab, f"ssl_ca={stranger.certificate}") as desk:
        error = desk.sync(lab, ["gages"])[0].error
    assert isinstance(error, ServerUnreachable)
    assert "certificate verify failed" in str(error)
