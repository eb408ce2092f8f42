"""Certificates of the test run's own."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

if TYPE_CHECKING:
    from pathlib import Path


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
