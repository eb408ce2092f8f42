"""One worker's part in a run of tests: copies, and templates that all share."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.backends import backend_for
from penstock.connect import server_of
from penstock.declare import AppDeclaration, Copies
from penstock.errors import ConfigUnsafe
from penstock.provision.dynamic import NewStore
from penstock.registry import FixedRegistry, LayeredRegistry, Link, MemoryRegistry, Service
from penstock.secrets import Keyring
from penstock.stores import Stores
from penstock.testing.copies import CopiedStores
from penstock.testing.server import MADE_HERE, TestServer
from penstock.testing.templates import Templates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from penstock.connect import AppLike
    from penstock.registry import Readable


@contextmanager
def stores_for_tests(
    apps: Sequence[AppLike],
    *,
    service: Service | None = None,
    like: Stores | None = None,
    run: str = "",
    worker: str = "main",
) -> Iterator[CopiedStores]:
    """Copies of the stores of apps, for the time of the block: made from templates, and dropped at the end.

    What an earlier run left on the same servers, because it was killed, is dropped first.

    Args:
        apps: The apps.
        service: The service that is linked to every setting; without it and `like`, a directory of SQLite
            files in the folder for temporary files.
        like: `Stores` whose services and links are used where `service` is not given.
        run: Names the run; the workers of one run share its templates. By default a run of its own.
        worker: Names this worker within the run.

    Raises:
        PenstockError: A store can't be made.

    >>> from penstock import App, Database
    >>> class Lab(App):
    ...     samples = Database("Every sample.", initializer=lambda engine, first_time: None)
    >>> with stores_for_tests([Lab]) as stores:
    ...     stores.exists(Lab, "samples")
    True
    """
    if service is None and like is not None:
        layers = _layers_of(like)
    else:
        layers = [_linked_to_all(apps, service or _temporary())]
    with TestRun(layers, like=like, run=run, worker=worker) as made:
        made.add(*apps)
        yield made.copies


class TestRun:
    """Copies of stores, app by app.

    Args:
        layers: Where services and links are looked up.
        like: `Stores` whose key opens sealed passwords, and whose run-time stores are copied by name.
        run: Names the run; the workers of one run share its templates. By default a run of its own.
        worker: Names this worker within the run.
    """

    __test__ = False  # pytest takes it for none of its own.

    def __init__(
        self, layers: Sequence[Readable], *, like: Stores | None = None, run: str = "", worker: str = "main"
    ) -> None:
        self._digest = hashlib.sha256((run or uuid.uuid4().hex).encode()).hexdigest()[:8]
        self._layers = layers
        self._keyring = Keyring() if like is None else like.keyring
        self._test_servers: dict[str, TestServer] = {}
        self._servers = ExitStack()
        self._templates = Templates(layers, self._digest, self._keyring)
        self.copies = CopiedStores(
            layers, Copies(self._digest, worker), keyring=self._keyring, known=_known(like)
        )

    @classmethod
    def like(cls, stores: Stores) -> TestRun:
        """Copies on the servers of the given stores."""
        return cls(_layers_of(stores), like=stores)

    def add(self, *apps: AppLike) -> None:
        """Make a copy of every declared store of apps.

        Raises:
            PenstockError: One can't be made.
        """
        for app in apps:
            self._hold_servers_of(self.copies.register(app))
        self.copies.use_templates(self._templates.make(apps, list(self._test_servers.values())))
        for app in apps:
            self.copies.make(app)

    def close(self) -> None:
        """Drop all copies; who is the last one to do so drops the templates."""
        with self._servers, self.copies:
            self.copies.drop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _hold_servers_of(self, app: AppDeclaration) -> None:
        """Let others know that the run goes on; and clean up what others have left."""
        for name, test_server in _test_servers(app, self._layers, self._keyring).items():
            if name not in self._test_servers:
                self._test_servers[name] = test_server
                test_server.clean_up()
                self._servers.callback(test_server.clean_up)  # By then, this run may be over too.
                self._servers.enter_context(test_server.held_by(self._digest))


# --- what is linked ---------------------------------------------------------------------------


def _layers_of(stores: Stores) -> Sequence[Readable]:
    registry = stores.registry
    return list(registry.layers) if isinstance(registry, LayeredRegistry) else [registry]


def _linked_to_all(apps: Sequence[AppLike], service: Service) -> FixedRegistry:
    links = [
        Link(app=app.package, setting=setting.name, service=service.name, source=MADE_HERE)
        for app in Stores(MemoryRegistry(), apps=apps).apps
        for setting in app.settings
    ]
    return FixedRegistry([service], links, "the test run")


def _temporary() -> Service:
    """A directory of this user's, for the copies of all of his runs."""
    folder = Path(tempfile.gettempdir(), f"penstock-tests-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise ConfigUnsafe(
            f"{folder} is not a folder that only you may write, so no test copies are made in it.",
            hint="Remove it, or name a service on which they are made.",
        )
    return Service(name="tests", url=f"sqlite:///{folder}", source=MADE_HERE)


def _test_servers(app: AppDeclaration, layers: Sequence[Readable], keyring: Keyring) -> dict[str, TestServer]:
    """The servers that are linked to some setting of an app, by what they are called."""
    wanted = {link.service for layer in layers for link in layer.links() if link.app == app.package}
    test_servers: dict[str, TestServer] = {}
    for service in (each for layer in layers for each in layer.services() if each.name in wanted):
        server = server_of(service, keyring)
        backend = backend_for(server.login.url)
        test_servers.setdefault(f"{backend.server_key(server)} {service.url}", TestServer(server, backend))
    return test_servers


def _known(like: Stores | None) -> Callable[[str, str], NewStore | None]:
    def known(app: str, name: str) -> NewStore | None:
        entry = None if like is None else like.registry.find_store(app, name)
        if entry is None or not entry.connection:
            return None
        return NewStore(connection=entry.connection, initializer=entry.initializer, spatial=entry.spatial)

    return known
