"""A reference becomes a password, as late as possible."""

from penstock.secrets.contract import SEALED, URI, Credentials, SecretRef, SecretSource
from penstock.secrets.keyring import Keyring
from penstock.secrets.keys import Key
from penstock.secrets.resolve import look_up, resolve
from penstock.secrets.sealed import Seal

__all__ = [
    "SEALED",
    "URI",
    "Credentials",
    "Key",
    "Keyring",
    "Seal",
    "SecretRef",
    "SecretSource",
    "look_up",
    "resolve",
]
