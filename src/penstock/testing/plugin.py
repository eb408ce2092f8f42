"""The pytest plugin: fixtures by which tests use copies of stores."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.connect import AppLike
    from penstock.registry import Service
    from penstock.testing.copies import CopiedStores

_OPTION = "penstock_service"

pytest.register_assert_rewrite("penstock.testing.contract", "penstock.testing.subject")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The service on which copies are made: an option, and a line of the configuration."""
    what = "the service of penstock.toml on which test copies of stores are made (default: SQLite files)"
    parser.getgroup("penstock").addoption("--penstock-service", metavar="NAME", dest=_OPTION, help=what)
    parser.addini(_OPTION, what, default="")


@pytest.fixture(scope="session")
def penstock_apps() -> Sequence[AppLike]:
    """The apps whose stores are copied; by default all that `penstock apps list` would show."""
    from penstock.apps import find_apps
    from penstock.stores import Stores

    with Stores.from_config() as stores:
        found = find_apps(stores)
        for broken in found.broken:
            if broken.error is not None:
                raise broken.error
        if not stores.apps:
            pytest.fail(
                "No app is found whose stores could be copied. "
                "Define a fixture penstock_apps that returns a list of them.",
                pytrace=False,
            )
        return stores.apps


@pytest.fixture(scope="session")
def penstock_service(pytestconfig: pytest.Config) -> Service | None:
    """The service that is linked to every setting: that of the option, else none, for SQLite files."""
    name = pytestconfig.getoption(_OPTION) or pytestconfig.getini(_OPTION)
    if not name:
        return None
    from penstock.stores import Stores

    with Stores.from_config() as stores:
        return stores.book.get_service(name)


@pytest.fixture(scope="session")
def penstock_copies(
    penstock_apps: Sequence[AppLike], penstock_service: Service | None
) -> Iterator[CopiedStores]:
    """This worker's copies of all stores; what is written to them directly, stays until the end."""
    from penstock.stores import Stores
    from penstock.testing.run import stores_for_tests

    run, worker = os.environ.get("PYTEST_XDIST_TESTRUNUID", ""), os.environ.get("PYTEST_XDIST_WORKER", "main")
    with Stores.from_config() as stores:
        like = stores if penstock_service is not None else None
        with stores_for_tests(
            penstock_apps, service=penstock_service, like=like, run=run, worker=worker
        ) as copies:
            yield copies


@pytest.fixture
def penstock_stores(
    penstock_copies: CopiedStores, penstock_apps: Sequence[AppLike]
) -> Iterator[CopiedStores]:
    """The copies, for one test; whatever it does to them is rolled back."""
    from penstock.current import use

    _check_copied(penstock_copies, penstock_apps)
    with penstock_copies.rolled_back(), use(penstock_copies, everywhere=True):
        yield penstock_copies


@pytest.fixture
def penstock_fresh_stores(
    penstock_copies: CopiedStores, penstock_apps: Sequence[AppLike], request: pytest.FixtureRequest
) -> Iterator[CopiedStores]:
    """Copies for one test alone, in which nothing is rolled back; for what needs real commits."""
    from penstock.current import use

    _check_copied(penstock_copies, penstock_apps)
    with penstock_copies.fresh(request.node.nodeid) as copies, use(copies, everywhere=True):
        yield copies


def _check_copied(copies: CopiedStores, apps: Sequence[AppLike]) -> None:
    """A fixture of a session is made once, also where another conftest.py has other words for it."""
    copied = {app.package for app in copies.apps}
    missing = {copies.declaration(app).package for app in apps} - copied
    if missing:
        pytest.fail(
            f"There are no copies of {', '.join(sorted(missing))}: those of this session were made for "
            f"{', '.join(sorted(copied))}, as another conftest.py says. "
            "Define penstock_apps once, above both, or run their tests one after the other.",
            pytrace=False,
        )
