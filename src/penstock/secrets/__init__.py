"""A reference becomes a password, as late as possible."""

from penstock.secrets.contract import SEALED, URI, SecretRef
from penstock.secrets.keyring import Keyring
from penstock.secrets.keys import Key
from penstock.secrets.resolve import resolve
from penstock.secrets.sealed import Seal

__all__ = ["SEALED", "URI", "Key", "Keyring", "Seal", "SecretRef", "resolve"]
