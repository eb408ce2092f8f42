"""Templates of stores: made once per run of tests, copied by all of its workers."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from penstock.declare import Copies
from penstock.provision.connection import own_connection
from penstock.provision.context import look
from penstock.provision.record import mark_template
from penstock.testing.copies import CopiedStores
from penstock.testing.server import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from penstock.connect import Address, AppLike
    from penstock.declare import AppDeclaration, DatabaseSetting
    from penstock.registry import Readable
    from penstock.secrets import Keyring
    from penstock.testing.roles import Template
    from penstock.testing.server import TestServer


class Templates:
    """The templates of a run.

    Args:
        layers: Where services and links are looked up.
        run: The run, as in the names of databases.
        keyring: Opens sealed passwords.
    """

    def __init__(self, layers: Sequence[Readable], run: str, keyring: Keyring) -> None:
        self._layers = layers
        self._run = run
        self._keyring = keyring

    def make(
        self, apps: Sequence[AppLike], test_servers: Sequence[TestServer]
    ) -> Mapping[tuple[str, str, str], Template]:
        """Make a template of every store, and of every kind, unless another worker has.

        Args:
            apps: The apps.
            test_servers: The servers they are made on.

        Returns:
            Each of them, by service, app and setting.
        """
        stores = CopiedStores(self._layers, Copies(self._run, TEMPLATE), keyring=self._keyring, apps=apps)
        with ExitStack() as stack, stores:
            for test_server in test_servers:
                stack.enter_context(test_server.making_templates(self._run))
            return {
                (address.service, app.package, address.store.setting): stores.as_template(address)
                for app in stores.apps
                for address in _made(stores, app)
            }


def _made(stores: CopiedStores, app: AppDeclaration) -> Iterator[Address]:
    for setting in app.databases:
        if stores.book.find_link(app.package, setting.name) is None:
            continue
        name = f"{setting.name}.{TEMPLATE}" if setting.many else setting.name
        address = stores.book.get(app, name)
        if not _is_template(address):
            _make(stores, app, setting, name)
            with own_connection(address) as connection, connection.begin():
                mark_template(connection, address.backend)
        yield address


def _is_template(address: Address) -> bool:
    record = look(address).record
    return record is not None and record.facts().template


def _make(stores: CopiedStores, app: AppDeclaration, setting: DatabaseSetting, name: str) -> None:
    if setting.many:
        stores.create(app, name)
        return
    [result] = stores.sync(app, [name])
    if result.error is not None:
        raise result.error
