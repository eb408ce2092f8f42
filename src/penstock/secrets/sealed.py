"""Passwords sealed with AES-256-GCM to the place they may be sent to."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.errors import SealBroken, SecretError
from penstock.secrets.contract import SEALED, SecretRef

if TYPE_CHECKING:
    from penstock.secrets.keys import Key

_NONCE = 12
_BLOCK = 32
_FORM = re.compile(r"v1\.[0-9a-f]{8}\.([A-Za-z0-9_-]{80,})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a password is sealed to, and what messages call it.

    Args:
        subject: What the password is: `the password of service main`.
        renew: The command that gives it again.
        facts: What has to be the same when it is opened, as values that JSON has.
    """

    subject: str
    renew: str
    facts: tuple[Any, ...]

    @property
    def data(self) -> bytes:
        """The facts as bytes; different facts are different bytes."""
        return json.dumps(["penstock", "v1", *self.facts], separators=(",", ":")).encode()


def seal(key: Key, password: str, to: Seal) -> SecretRef:
    """Encrypt a password; the reference holds it as `v1.KEY-ID.BASE64URL(NONCE + CIPHERTEXT + TAG)`.

    The nonce is random (NIST SP 800-38D, section 8.2.2), so equal passwords look different; the length is
    hidden by padding to blocks of 32 bytes (RFC 5652, section 6.3).

    Raises:
        SecretError: The password is not text that UTF-8 can hold.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE)
    sealed = nonce + AESGCM(key.secret).encrypt(nonce, _padded(password), to.data)
    return SecretRef(SEALED, f"v1.{key.id}.{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}")


def unseal(key: Key, ref: SecretRef, to: Seal) -> str:
    """Decrypt a password.

    Raises:
        SealBroken: It was not sealed with this key to these facts, or is not whole.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    data = check_form(ref, to)
    try:
        padded = AESGCM(key.secret).decrypt(data[:_NONCE], data[_NONCE:], to.data)
    except InvalidTag:
        raise _broken(
            to, "The address was changed by hand, or the sealed text, or it was copied from another service."
        ) from None
    return padded[: -padded[-1]].decode()


def check_form(ref: SecretRef, to: Seal) -> bytes:
    """What is encoded in a sealed reference; raises SealBroken if the text is not whole."""
    found = _FORM.fullmatch(ref.locator)
    if found is None:
        raise _broken(to, "The sealed text is not whole.")
    try:
        return base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4))
    except binascii.Error:
        raise _broken(to, "The sealed text is not whole.") from None


def _padded(password: str) -> bytes:
    try:
        data = password.encode()
    except UnicodeEncodeError:
        raise SecretError("The password is not text that UTF-8 can hold.") from None
    missing = _BLOCK - len(data) % _BLOCK
    return data + bytes([missing]) * missing


def _broken(to: Seal, why: str) -> SealBroken:
    return SealBroken(
        f"What is sealed as {to.subject} does not belong to this service at this address.",
        why=why,
        hint=f"Check the address, then give the password again: {to.renew}",
    )
