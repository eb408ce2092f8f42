"""Services that Cloud Foundry describes in `VCAP_SERVICES`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.registry.bound import bound_service, is_known
from penstock.secrets import SecretRef
from penstock.secrets.vcap import Instance, instances

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.registry.service import Service

LABEL = "VCAP_SERVICES"

# What those who offer services call the entries, each in their own way.
_ALSO: Mapping[str, tuple[str, ...]] = {
    "uri": ("uri", "url"),
    "host": ("host", "hostname"),
    "username": ("username", "user"),
    "database": ("database", "dbname", "name"),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The entries of one service.

    Args:
        instance: What Cloud Foundry says of it.
    """

    instance: Instance

    @property
    def where(self) -> str:
        """What people call it."""
        return f"{LABEL}/{self.instance.name}"

    def find(self, entry: str) -> str | None:
        """The text of an entry; a number or a truth value counts as text."""
        key = self._key(entry)
        if key is None:
            return None
        value = self.instance.credentials[key]
        return str(value).strip() or None if isinstance(value, str | int) else None

    def secret(self, entry: str) -> SecretRef | None:
        """Where a secret entry is."""
        key = self._key(entry)
        return None if key is None else SecretRef("vcap", f"{self.instance.name}/{key}")

    def _key(self, entry: str) -> str | None:
        keys = (key for key in _ALSO.get(entry, (entry,)) if self.instance.credentials.get(key))
        return next(keys, None)


def services() -> list[Service]:
    """Every service that a backend knows by its address, its label or its tags.

    Raises:
        ConfigError: The variable can't be read.
    """
    found = []
    for instance in instances().values():
        credentials = Credentials(instance)
        kind = _kind(credentials)
        if kind is not None:
            found.append(bound_service(instance.name, kind, credentials))
    return found


def _kind(credentials: Credentials) -> str | None:
    """What a backend calls it; None if none knows it."""
    instance = credentials.instance
    scheme = (credentials.find("uri") or "").partition("://")[0].lower()
    words = re.findall(r"[a-z0-9]+", " ".join((instance.label, *instance.tags)).lower())
    return next((kind for kind in (scheme, *words) if kind and is_known(kind)), None)
