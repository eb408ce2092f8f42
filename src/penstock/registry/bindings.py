"""What the environment gives: addresses, services, and at last DATABASE_URL."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.registry import cloudfoundry, kubernetes
from penstock.registry.generation import Generation
from penstock.registry.service import Link, Service, Source
from penstock.secrets import vcap
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_STORE_PREFIX = "PENSTOCK_STORE__"
_SETTING_PREFIX = "PENSTOCK_SETTING__"


def store_variable(app: str, store: str) -> str:
    """The environment variable that holds the address of a store.

    >>> store_variable("stream_gages", "basins.logan")
    'PENSTOCK_STORE__STREAM_GAGES__BASINS_LOGAN'
    """
    return _STORE_PREFIX + _in_capitals(app, store)


def setting_variable(app: str, setting: str) -> str:
    """The environment variable that holds the value of a setting that is an app's own affair.

    >>> setting_variable("stream_gages", "max count")
    'PENSTOCK_SETTING__STREAM_GAGES__MAX_COUNT'
    """
    return _SETTING_PREFIX + _in_capitals(app, setting)


def stray_variables(
    environment: Mapping[str, str], stores: Iterable[tuple[str, str]], kinds: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """The variables that hold the address of no store, each with the one that may have been meant.

    Args:
        environment: The variables.
        stores: The stores there are: package and name.
        kinds: The kinds there are, of which any store may be meant.

    >>> list(stray_variables({"PENSTOCK_STORE__LAB__GAGSE": "sqlite:///x"}, [("lab", "gages")], []))
    [('PENSTOCK_STORE__LAB__GAGSE', 'Did you mean PENSTOCK_STORE__LAB__GAGES?')]
    """
    known = [store_variable(*store) for store in stores]
    beginnings = tuple(f"{store_variable(*kind)}_" for kind in kinds)
    for name in sorted(environment):
        if name.startswith(_STORE_PREFIX) and name not in known and not name.startswith(beginnings):
            yield name, did_you_mean(name, known)


def _in_capitals(*parts: str) -> str:
    return "__".join(re.sub(r"[^A-Z0-9]", "_", part.upper()) for part in parts)


@dataclass(frozen=True, slots=True)
class Binding:
    """A store's address as found in one environment variable, read again at every use.

    Args:
        variable: The variable's name.
    """

    variable: str

    @property
    def source(self) -> Source:
        """Where the address comes from, for people."""
        return Source("environment", f"environment variable {self.variable}")


LAST_RESORT = Binding("DATABASE_URL")
"""Asked when nobody else has answered."""


class Bindings:
    """Finds the addresses that the environment gives.

    Args:
        environment: The variables; the process's own by default.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def find(self, app: str, store: str) -> Binding | None:
        """The store's own variable, if it is set."""
        return self._if_set(Binding(store_variable(app, store)))

    def last_resort(self) -> Binding | None:
        """`DATABASE_URL`, if it is set; for an app with one store and no other answer."""
        return self._if_set(LAST_RESORT)

    def read(self, binding: Binding) -> str:
        """The variable's value now; may hold a password."""
        return self._environment.get(binding.variable, "")

    def _if_set(self, binding: Binding) -> Binding | None:
        return binding if self.read(binding) else None


class BoundServices:
    """The services that a platform hands out by one variable, read anew whenever they are asked for.

    Args:
        label: The variable.
        is_set: Whether it holds anything.
        read: The services in it now.
        ask: A number that changes when what it says does.
    """

    def __init__(
        self,
        label: str,
        is_set: Callable[[], bool],
        read: Callable[[], Sequence[Service]],
        ask: Callable[[], int],
    ) -> None:
        self.label = label
        self.is_set = is_set
        self._read = read
        self._generation = Generation(ask)

    def services(self) -> Sequence[Service]:
        """Every service; one that can't be used says why.

        Raises:
            ConfigError: The variable, or its folder, can't be read at all.
        """
        return self._read()

    def links(self) -> Sequence[Link]:
        """None: a platform hands services out, but does not link them."""
        return ()

    def generation(self, max_age: float = 0.0) -> int:
        """A number that changes when a binding does, looked up no more often than needed."""
        return self._generation.get(max_age)


def bound_services() -> list[BoundServices]:
    """Where platforms put services into the environment, the strongest first."""
    return [
        BoundServices(kubernetes.LABEL, kubernetes.is_set, kubernetes.services, kubernetes.fingerprint),
        BoundServices(cloudfoundry.LABEL, vcap.is_set, cloudfoundry.services, lambda: 0),
    ]
