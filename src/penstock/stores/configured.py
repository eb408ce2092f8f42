"""Makes the registries that a `penstock.toml` describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from penstock.registry import (
    DatabaseRegistry,
    FixedRegistry,
    LayeredRegistry,
    MemoryRegistry,
    Registry,
    bound_services,
)
from penstock.registry.file import find_config_file, no_config_file, read_config
from penstock.secrets import Keyring

if TYPE_CHECKING:
    from penstock.registry.file import FileConfig


def config_at(path: Path | str | None) -> FileConfig | None:
    """The configuration file at this path, else the one that is found, else None."""
    found = Path(path) if path is not None else find_config_file()
    return None if found is None else read_config(found)


def registry_of(config: FileConfig | None) -> Registry:
    """A registry of layers: the environment, then the file, then the registry that is written."""
    if config is None:
        return LayeredRegistry(bound_services(), MemoryRegistry(), absent=no_config_file())
    file = FixedRegistry(config.services, config.links, config.label)
    return LayeredRegistry([*bound_services(), file], _written(config))


def keyring_of(config: FileConfig | None) -> Keyring | None:
    """The keyring beside the file; None for keys from the environment only."""
    return None if config is None else Keyring(config.path.parent / ".penstock" / "key")


def _written(config: FileConfig) -> Registry:
    if config.registry_url is not None:
        return DatabaseRegistry(config.registry_url, password=config.registry_password)
    return DatabaseRegistry.at(config.path.parent / ".penstock" / "registry.sqlite3")
