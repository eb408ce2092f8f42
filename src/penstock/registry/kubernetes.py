"""Services that Kubernetes mounts as folders below `SERVICE_BINDING_ROOT`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import ConfigError
from penstock.registry.bound import bound_service, is_known
from penstock.registry.service import Service, Source
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator

LABEL = "SERVICE_BINDING_ROOT"
_LONGEST = 65_536


@dataclass(frozen=True, slots=True)
class Folder:
    """One binding: a folder with a file per entry.

    The files are links into `..data`, which is exchanged as a whole when the binding changes
    (https://servicebinding.io/spec/core/1.1.0/#workload-projection).

    Args:
        path: The folder; its name is the service's.
    """

    path: Path

    @property
    def where(self) -> str:
        """What people call it."""
        return f"{LABEL}/{self.path.name}"

    def find(self, entry: str) -> str | None:
        """The text of an entry; raises ConfigError."""
        try:
            data = (self.path / entry).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{self.where}/{entry} can't be read.", why=error.strerror or "") from error
        text = data.decode(errors="replace").strip()
        if len(data) > _LONGEST or not text.isprintable() or "\N{REPLACEMENT CHARACTER}" in text:
            raise ConfigError(f"{self.where}/{entry} is not one line of text.")
        return text or None

    def secret(self, entry: str) -> SecretRef | None:
        """Where a secret entry is."""
        path = self.path / entry
        return SecretRef("file", str(path)) if path.exists() else None


def is_set() -> bool:
    """Whether there is a place for bindings."""
    return bool(os.environ.get("SERVICE_BINDING_ROOT"))


def services() -> list[Service]:
    """Every service whose type a backend knows; none if the variable is not set.

    Raises:
        ConfigError: The folder of all bindings can't be read.
    """
    found = (_service(folder) for folder in _folders())
    return [service for service in found if service is not None]


def fingerprint() -> int:
    """A number that changes when a file of a binding does."""
    try:
        return hash(tuple(_facts(path) for folder in _folders() for path in _files(folder.path)))
    except ConfigError:
        return 0


def _service(folder: Folder) -> Service | None:
    name = folder.path.name
    try:
        kind = (folder.find("type") or "").lower()
    except ConfigError as error:
        return Service(name=name, url="", source=Source("environment", folder.where), problem=error)
    return bound_service(name, kind, folder) if is_known(kind) else None


def _folders() -> Iterator[Folder]:
    root = os.environ.get("SERVICE_BINDING_ROOT")
    if not root:
        return
    try:
        paths = sorted(path for path in Path(root).iterdir() if path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return  # Images set the variable whether or not anything is bound.
    except OSError as error:
        raise ConfigError(f"{LABEL} can't be read.", why=error.strerror or "") from error
    yield from (Folder(path) for path in paths if not path.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _facts(path: Path) -> tuple[str, int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size
