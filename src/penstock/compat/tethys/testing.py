"""Test cases as Tethys has them: copies of stores, made and destroyed by hand."""

from __future__ import annotations

import atexit
import unittest
from contextlib import ExitStack
from typing import TYPE_CHECKING

from penstock.app import App
from penstock.compat.tethys.portal import Kept, Portal
from penstock.current import current_stores, use
from penstock.testing.run import TestRun

if TYPE_CHECKING:
    from penstock.stores import Stores

__all__ = ["TethysTestCase"]


class TestUser(Kept):
    """A user that a test case has made; no portal knows it."""

    __test__ = False  # pytest takes it for none of its own.
    fields = ("username", "password", "email")
    email = None
    is_superuser = False


class TethysTestCase(unittest.TestCase):
    """A test case whose stores are test copies, on the servers that are linked to the app.

    Override `set_up` and `tear_down`. Between `create_…` and `destroy_…`, all that asks for a store of
    the app, in any thread, gets the copy.

    >>> issubclass(TethysTestCase, unittest.TestCase)
    True
    """

    def setUp(self) -> None:
        """Call `set_up`."""
        self.set_up()

    def tearDown(self) -> None:
        """Call `tear_down`."""
        self.tear_down()

    def set_up(self) -> None:
        """What is done before each test."""

    def tear_down(self) -> None:
        """What is done after each test."""

    @staticmethod
    def create_test_persistent_stores_for_app(app_class: type[App]) -> None:
        """Make a copy of every declared store of an app, seeded as if for the first time.

        An optional store to which nothing is linked is left out. Of a store that the app has made at run
        time, `create_persistent_store(name, None)` makes a copy.

        Args:
            app_class: The app.

        Raises:
            TypeError: It is no app's class.
            PenstockError: A copy can't be made; then there is none.
        """
        _check(app_class)
        _copies.destroy(app_class)
        try:
            _copies.create(app_class)
        except BaseException:
            _copies.destroy(app_class)
            raise

    @staticmethod
    def destroy_test_persistent_stores_for_app(app_class: type[App]) -> None:
        """Drop all copies of an app's stores, those made at run time too. Idempotent.

        Args:
            app_class: The app.

        Raises:
            TypeError: It is no app's class.
        """
        _check(app_class)
        _copies.destroy(app_class)

    @staticmethod
    def create_test_user(username: str, password: str, email: str | None = None) -> TestUser:
        """A user to hand over to functions that want one; there is no portal where it could log in."""
        return TestUser(username, password, email)

    @staticmethod
    def create_test_superuser(username: str, password: str, email: str | None = None) -> TestUser:
        """The same, with `is_superuser`."""
        return TestUser(username, password, email, is_superuser=True)

    @staticmethod
    def get_test_client() -> Portal:
        """The client of a portal: it can be kept, and raises NotSupported when it is used."""
        return Portal("the test client")


class _Copies:
    """The copies of this process's test cases; their templates stay until the process ends."""

    def __init__(self) -> None:
        self._own: Stores | None = None
        self._run: TestRun | None = None
        self._in_use = ExitStack()

    def create(self, app: type[App]) -> None:
        """Copy an app's stores; as soon as there are any, all apps use the copies."""
        run = self._run
        if run is None or not run.copies.apps:
            run = self._run_like(current_stores())
            self._in_use.enter_context(use(run.copies, everywhere=True))
        run.add(app)

    def destroy(self, app: type[App]) -> None:
        """Drop the copies of an app's stores; the last one lets apps use their own stores again."""
        copies = None if self._run is None else self._run.copies
        if copies is not None and app.package in [known.package for known in copies.apps]:
            try:
                copies.drop_all(app)
            finally:
                copies.forget(app)
                if not copies.apps:
                    self._in_use.close()

    def _run_like(self, stores: Stores) -> TestRun:
        if self._run is None or self._own is not stores:
            self._close()
            self._own, self._run = stores, TestRun.like(stores)
            atexit.register(self._close)
        return self._run

    def _close(self) -> None:
        atexit.unregister(self._close)
        run, self._run = self._run, None
        if run is not None:
            self._in_use.close()
            run.close()


_copies = _Copies()


def _check(app_class: object) -> None:
    if not (isinstance(app_class, type) and issubclass(app_class, App)):
        raise TypeError(f"{app_class!r} is no app's class.")
