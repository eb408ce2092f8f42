"""Refuses the real stores of an app while test copies stand in for them."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from penstock.errors import RealStoreUnderTest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_copied: list[Collection[str]] = []
"""The packages of the apps whose copies are in use, for each `use` block of this process."""

_allowed: ContextVar[bool] = ContextVar("penstock_real_stores", default=False)


@contextmanager
def standing_in(packages: Collection[str]) -> Iterator[None]:
    """In the block, the real stores of these apps can't be opened in this process.

    Args:
        packages: The packages; what is added in the block counts too.
    """
    _copied.append(packages)
    try:
        yield
    finally:
        _copied[:] = [each for each in _copied if each is not packages]


@contextmanager
def real_stores() -> Iterator[None]:
    """In the block, this thread or task may open real stores of apps under test.

    >>> with real_stores():
    ...     pass  # Stores.from_config().engine(App, "name").connect()
    """
    token = _allowed.set(True)
    try:
        yield
    finally:
        _allowed.reset(token)


def check_not_under_test(package: str, name: str) -> None:
    """Raise RealStoreUnderTest if copies stand in for the stores of an app; for whoever has none."""
    if _copied and not _allowed.get() and any(package in each for each in _copied):
        raise RealStoreUnderTest(
            f"The real store {package}:{name} is not opened: test copies stand in for it.",
            why="Its address, or its engine, was not taken from the stores in use.",
            hint="Take the engine inside the test, by the app's class; or ask for the real store: "
            "with penstock.testing.real_stores().",
        )
