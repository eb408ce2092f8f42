"""Several registries as one: the first that answers wins, the last one remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from penstock.registry.conflicts import defined_elsewhere
from penstock.registry.service import (
    Link,
    Service,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from penstock.registry.contract import Readable, Registry

_Found = TypeVar("_Found", Service, Link)


class FixedRegistry:
    """Services and links that are given once and for all, as by a file.

    Args:
        services: The services.
        links: The links.
        label: What people call the place they are from.
    """

    def __init__(
        self, services: Sequence[Service], links: Sequence[Link], label: str = "penstock.toml"
    ) -> None:
        self._services = tuple(services)
        self._links = tuple(links)
        self.label = label

    def generation(self, max_age: float = 0.0) -> int:
        """Always the same: what a file says is read once."""
        return 0

    def services(self) -> Sequence[Service]:
        """Every service."""
        return self._services

    def links(self) -> Sequence[Link]:
        """Every link."""
        return self._links


class LayeredRegistry:
    """Read-only layers over one that can be written, which alone remembers stores, logins and the journal.

    Args:
        layers: Registries that only answer, the strongest first (bindings, `penstock.toml`).
        base: The registry that remembers, asked last.
        absent: That there is no `penstock.toml`, and where it was looked for; empty if there is one.
    """

    def __init__(self, layers: Sequence[Readable], base: Registry, *, absent: str = "") -> None:
        self._layers = layers
        self._base = base
        self.absent = absent
        self.identity, self.close = base.identity, base.close
        self.stores, self.find_store = base.stores, base.find_store
        self.put_store, self.remove_store = base.put_store, base.remove_store
        self.credentials, self.put_credentials = base.credentials, base.put_credentials
        self.remove_credentials = base.remove_credentials
        self.journal, self.write_journal = base.journal, base.write_journal

    @property
    def base(self) -> Registry:
        """The registry that remembers."""
        return self._base

    @property
    def layers(self) -> tuple[Readable, ...]:
        """Every registry that is asked, the strongest first."""
        return (*self._layers, self._base)

    @property
    def label(self) -> str:
        """What people call all of them."""
        return ", ".join(layer.label for layer in self.layers)

    @property
    def lasting(self) -> bool:
        """Whether the base is."""
        return self._base.lasting

    def services(self) -> Sequence[Service]:
        """Every service, by name."""
        found = (layer.services() for layer in self.layers)
        return _first_wins(found, lambda service: (service.name,))

    def links(self) -> Sequence[Link]:
        """Every link, by app and setting."""
        found = (layer.links() for layer in self.layers)
        return _first_wins(found, lambda a: (a.app, a.setting))

    def generation(self, max_age: float = 0.0) -> int:
        """A number that changes when that of any of them does."""
        return hash(tuple(layer.generation(max_age) for layer in self.layers))

    def put_service(self, service: Service, *, replace: bool = False) -> None:
        """Remember a service, unless a file defines it."""
        self._refuse_service(service.name)
        self._base.put_service(service, replace=replace)

    def remove_service(self, name: str) -> None:
        """Forget a service, unless a file defines it."""
        self._refuse_service(name)
        self._base.remove_service(name)

    def put_link(self, link: Link) -> None:
        """Link a service, unless a file says what is linked."""
        self._refuse_link(link.app, link.setting)
        self._base.put_link(link)

    def remove_link(self, app: str, setting: str) -> bool:
        """Unlink, unless a file says what is linked."""
        self._refuse_link(app, setting)
        return self._base.remove_link(app, setting)

    def _refuse_service(self, name: str) -> None:
        for layer in self._layers:
            for service in layer.services():
                if service.name == name:
                    raise defined_elsewhere(service)

    def _refuse_link(self, app: str, setting: str) -> None:
        for layer in self._layers:
            for link in layer.links():
                if (link.app, link.setting) == (app, setting):
                    raise defined_elsewhere(link)


def absent_config(registry: Registry) -> str:
    """That answers lack a `penstock.toml`, and where it was looked for; empty if they don't."""
    return registry.absent if isinstance(registry, LayeredRegistry) else ""


def _first_wins(
    found: Iterable[Sequence[_Found]], key: Callable[[_Found], tuple[str, ...]]
) -> Sequence[_Found]:
    winners: dict[tuple[str, ...], _Found] = {}
    for objects in found:
        for each in objects:
            winners.setdefault(key(each), each)
    return [winners[k] for k in sorted(winners)]
