"""From a setting to a session."""

from penstock.connect.address import Address, AddressBook
from penstock.connect.engines import EngineCache
from penstock.connect.explain import Explanation, explain
from penstock.connect.resealing import Resealed, keys_in_use, reseal
from penstock.connect.servers import ServiceAccount, read_password, same_audience, seal_password, server_of
from penstock.connect.sessions import AppLike, Declares, RoleLike, SessionFactory, Sessions

__all__ = [
    "Address",
    "AddressBook",
    "AppLike",
    "Declares",
    "EngineCache",
    "Explanation",
    "Resealed",
    "RoleLike",
    "ServiceAccount",
    "SessionFactory",
    "Sessions",
    "explain",
    "keys_in_use",
    "read_password",
    "reseal",
    "same_audience",
    "seal_password",
    "server_of",
]
