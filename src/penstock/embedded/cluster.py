"""One PostgreSQL server and its data: configure, start, look, stop, remove."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from penstock.embedded import layout, passwords, process
from penstock.embedded.account import account_for
from penstock.embedded.binaries import PIP_LINE, Binaries, examine, find_binaries, find_major
from penstock.embedded.data import check_version, data_version, make_data
from penstock.embedded.layout import ClusterPaths, paths_of
from penstock.embedded.ports import check_port, choose_port, require_free
from penstock.embedded.server import look, start_server
from penstock.embedded.state import FILE, State, explained, load_state, not_yours, save_state
from penstock.embedded.status import ADMINISTRATOR, OWNER, Credentials, ServerState, ServerStatus
from penstock.errors import EmbeddedError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = "lock"
LOCK_TIMEOUT = 120.0


class Cluster:
    """A PostgreSQL server of your own, on the loopback address, for this machine only.

    Run by root, the server's processes belong to `postgres` or `nobody`; where these can't reach
    `home`, the data go below /var/lib/penstock and `home` keeps a note of it.

    Args:
        home: The folder of the cluster's state; made when needed.
        secrets: The folder for its two password files, used by no other cluster; made with mode 0700.

    >>> cluster = Cluster(Path(".penstock/postgres"), secrets=Path(".penstock/secrets"))
    >>> cluster.status().state
    <ServerState.NOT_CONFIGURED: 'not configured'>
    """

    def __init__(self, home: Path, *, secrets: Path) -> None:
        self._home = Path(home).resolve()
        self._secrets = Path(secrets).resolve()

    def __repr__(self) -> str:
        return f"Cluster({str(self._home)!r}, secrets={str(self._secrets)!r})"

    def configure(
        self, *, binaries: Path | None = None, port: int | None = None, keep_roles: bool = False
    ) -> Credentials:
        """Make the cluster, start its server and make its roles; what is done already is kept.

        Args:
            binaries: The directory of the server's programs; found by itself when not given.
            port: The loopback port; chosen once and remembered when not given.
            keep_roles: Leave the roles as they are, whose passwords are not those in the files any more.

        Raises:
            BinariesNotFound: There are no usable binaries.
            MissingExtra: psycopg is not installed.
            EmbeddedError: The server can't be made or started; says why.
        """
        require_psycopg()
        if port is not None:
            check_port(port)
        if load_state(self._home) is None:
            find_binaries(binaries)  # Fails before anything is made.
        made = self._make_home()
        with self._locked(LOCK_TIMEOUT):
            state = self._settle(binaries, port, made)
            self._make(state)
            self._start(state, timeout=60.0)
            return self._finish(state, keep_roles=keep_roles)

    def start(self, *, timeout: float = 30.0) -> ServerStatus:
        """Start the server, unless it runs, and wait until it accepts connections.

        Args:
            timeout: Seconds to wait for it.

        Raises:
            EmbeddedError: It is not configured, or does not start; gives the end of its log.
        """
        self._state()
        with self._locked(timeout):
            self._start(self._state(), timeout)
        return self.status()

    def stop(self, *, timeout: float = 30.0) -> ServerStatus:
        """Stop the server, if it runs: open transactions are rolled back, clients disconnected.

        Args:
            timeout: Seconds to wait before the server is stopped less gently.

        Raises:
            EmbeddedError: It does not stop.
        """
        status = self.status()
        if status.state is ServerState.NOT_CONFIGURED:
            return status
        with self._locked(timeout):
            process.end(status.data, timeout)
        return self.status()

    def status(self) -> ServerStatus:
        """Look at the server; changes nothing."""
        state = load_state(self._home)
        paths = paths_of(self._home, state.folder if state else "")
        doing, pid = self._look(paths)
        return ServerStatus(
            state=doing if state else ServerState.NOT_CONFIGURED,
            port=state.port if state else None,
            pid=pid,
            version=state.version if state else "",
            data=paths.data,
            log=paths.log,
            binaries=Path(state.binaries) if state else None,
        )

    def remove(self) -> None:
        """Stop the server and delete everything that was made: data, log, copies, passwords.

        Raises:
            EmbeddedError: The server does not stop; nothing is deleted then.
        """
        if self._home.exists():
            with self._locked(LOCK_TIMEOUT):
                made = self._remove()
                (self._home / LOCK).unlink(missing_ok=True)
            for folder in sorted(made, key=len, reverse=True):
                layout.remove_if_empty(Path(folder))

    # --- deciding -------------------------------------------------------------------------------

    def _settle(self, given: Path | None, port: int | None, made: list[Path]) -> State:
        """Decide on place, binaries and port, and remember them; stop a server that has to change."""
        old = load_state(self._home)
        name = old.folder if old else layout.choose_directory(self._home, account_for(self._home / "data"))
        paths = paths_of(self._home, name)
        found = self._find(given, old, paths)
        check_version(paths.data, found)
        if port and (old is None or port != old.port):
            require_free(port)
        made += layout.missing(self._secrets)
        state = State(
            port=port or (old.port if old else choose_port(self._home)),
            folder=name,
            data=str(paths.data),
            binaries=str(layout.runnable(paths, found, account_for(paths.data))),
            source=str(found.directory),
            version=found.version,
            made=tuple(dict.fromkeys([*(old.made if old else ()), *map(str, made)])),
        )
        if old and replace(state, made=old.made) != old:
            process.end(paths.data, 30.0)
        save_state(self._home, state)
        return state

    def _find(self, given: Path | None, old: State | None, paths: ClusterPaths) -> Binaries:
        """The binaries given, else those used before, else such as fit the data, else the best."""
        if given is not None:
            return find_binaries(given)
        major = data_version(paths.data)
        kept = examine(Path(old.source), "given") if old else None
        if kept and major in ("", kept.major):
            return kept
        return (find_major(major) if major else None) or find_binaries()

    # --- doing ----------------------------------------------------------------------------------

    def _make_home(self) -> list[Path]:
        with explained(self._home):
            made = layout.make_directory(self._home, 0o711 if os.geteuid() == 0 else 0o700)
            return made or self._begun()

    def _begun(self) -> list[Path]:
        """The home, if whoever made it was killed before that could be remembered: there is nothing in it."""
        return [self._home] if {path.name for path in self._home.iterdir()} <= {LOCK} else []

    def _make(self, state: State) -> None:
        """Make what is missing: directories, copied binaries, passwords, the data directory."""
        paths = paths_of(self._home, state.folder)
        layout.prepare(paths, account_for(paths.data), self._home)
        layout.forget_drafts(paths)
        if look(paths)[0] is ServerState.STOPPED:
            layout.forget_copies(paths, keep=Path(state.binaries))
        layout.copy_binaries(paths, Path(state.source), Path(state.binaries))
        layout.make_directory(self._secrets, 0o700)
        passwords.ensure_password(passwords.password_file(self._secrets, OWNER))
        if not data_version(paths.data):
            self._make_data(paths, self._binaries(state))

    def _make_data(self, paths: ClusterPaths, binaries: Binaries) -> None:
        from penstock.embedded.roles import make_verifier

        administrator = passwords.password_file(self._secrets, ADMINISTRATOR)
        passwords.ensure_password(administrator)
        verifier = make_verifier(passwords.read_password(administrator), ADMINISTRATOR)
        make_data(paths, binaries, account_for(paths.data), verifier)

    def _finish(self, state: State, *, keep_roles: bool) -> Credentials:
        from penstock.embedded.roles import make_roles

        credentials = Credentials(
            port=state.port,
            owner_password_file=passwords.password_file(self._secrets, OWNER),
            administrator_password_file=passwords.password_file(self._secrets, ADMINISTRATOR),
        )
        if not keep_roles:
            make_roles(credentials)
        return credentials

    def _binaries(self, state: State) -> Binaries:
        """The binaries to run, whose minor version may have moved on since the last time."""
        found = examine(Path(state.binaries), "given")
        if found is None:
            raise EmbeddedError(
                f"The PostgreSQL binaries in {state.binaries} are gone, or don't run any more.",
                hint="look for others of the same version: penstock db configure",
            )
        if found.version != state.version:
            save_state(self._home, replace(state, version=found.version))
        return found

    def _start(self, state: State, timeout: float) -> None:
        paths = paths_of(self._home, state.folder)
        start_server(paths, self._binaries(state), account_for(paths.data), state.port, timeout)

    def _remove(self) -> tuple[str, ...]:
        """Delete everything but the lock, and give the directories that were made."""
        state = load_state(self._home)
        paths = paths_of(self._home, state.folder if state else "")
        if paths.data.exists():
            process.end(paths.data, 30.0)
            process.clear_stale(paths.data, 30.0)
        layout.delete_cluster(paths, self._home)
        passwords.forget_passwords(self._secrets)
        for name in (FILE, f"{FILE}.new"):
            (self._home / name).unlink(missing_ok=True)
        return state.made if state else ()

    # --- looking --------------------------------------------------------------------------------

    def _state(self) -> State:
        """The state of a cluster that was configured.

        Raises:
            EmbeddedError: It was not, or not to the end.
        """
        state = load_state(self._home)
        if state is None or self.status().state is ServerState.NOT_CONFIGURED:
            raise EmbeddedError(
                f"There is no embedded server in {self._home} yet.", hint="penstock db configure"
            )
        return state

    def _look(self, paths: ClusterPaths) -> tuple[ServerState, int | None]:
        try:
            return look(paths) if data_version(paths.data) else (ServerState.NOT_CONFIGURED, None)
        except PermissionError as error:
            raise not_yours(self._home) from error

    @contextmanager
    def _locked(self, timeout: float) -> Iterator[None]:
        """Hold the cluster's lock: one of configure, start, stop and remove at a time."""
        if self._home.stat().st_uid != os.geteuid():
            raise not_yours(self._home)
        lock = FileLock(self._home / LOCK, timeout=timeout)
        try:
            with explained(self._home):
                lock.acquire()
        except Timeout as error:
            raise EmbeddedError(
                f"Another process works on the embedded server in {self._home}.",
                why=f"it did not finish within {timeout:g} seconds",
                hint="wait for it, then try again",
            ) from error
        try:
            with explained(self._home):
                yield
        finally:
            lock.release()


def require_psycopg() -> None:
    """Say early, and with the pip line, that psycopg is missing.

    Raises:
        MissingExtra: It is not installed, or can't be loaded.
    """
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise MissingExtra("The embedded server needs psycopg.", why=str(error), hint=PIP_LINE) from error
