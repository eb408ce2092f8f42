"""A data directory: made by initdb in one step that either happened or did not."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.embedded.account import Account, read_unfollowed, run
from penstock.embedded.layout import DRAFT, ClusterPaths, delete
from penstock.embedded.status import ADMINISTRATOR
from penstock.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from penstock.embedded.binaries import Binaries

BUILTIN_SINCE = 17
BUILTIN_LOCALE = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
OPTIONS = ["--auth=scram-sha-256", "--encoding=UTF8", "--data-checksums", f"--username={ADMINISTRATOR}"]


def data_version(data: Path) -> str:
    """The major version that made a data directory, or "" when it is not made yet."""
    try:
        return read_unfollowed(data / "PG_VERSION").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def check_version(data: Path, binaries: Binaries) -> None:
    """Refuse binaries of another major version than the data.

    Raises:
        EmbeddedError: Names both versions.
    """
    made_by = data_version(data)
    if made_by and made_by != binaries.major:
        raise EmbeddedError(
            f"The data in {data} were made by PostgreSQL {made_by}, the binaries are {binaries.version}.",
            why=f"a server of another major version can't read them; looked at {binaries.directory}",
            hint=f"name binaries of version {made_by}, as on Debian: "
            f"penstock db configure --binaries /usr/lib/postgresql/{made_by}/bin",
        )


def make_data(paths: ClusterPaths, binaries: Binaries, account: Account, verifier: str) -> None:
    """Run initdb beside the data directory and move the result there.

    Args:
        verifier: The administrator's password as a SCRAM verifier; the clear text is not needed.

    Raises:
        EmbeddedError: initdb failed; gives its own words.
    """
    draft = paths.root / f"data{DRAFT}{secrets.token_hex(4)}"
    try:
        with _file_for(account, paths.root / f"verifier{DRAFT}{secrets.token_hex(4)}", verifier) as file:
            _initdb(binaries, account, draft, file)
        draft.rename(paths.data)
    finally:
        delete(draft)


@contextmanager
def _file_for(account: Account, path: Path, text: str) -> Iterator[Path]:
    """A file only the account can read, for as long as it is needed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        account.take(path)
        yield path
    finally:
        path.unlink()


def _initdb(binaries: Binaries, account: Account, draft: Path, verifier: Path) -> None:
    """Try the best locale first; the last one exists on every system."""
    failure = ""
    for locale in _locales(int(binaries.major)):
        delete(draft)
        draft.mkdir(0o700)
        account.take(draft)
        files = [f"--pgdata={draft}", f"--pwfile={verifier}"]
        done = run(account, [str(binaries.program("initdb")), *files, *OPTIONS, *locale], timeout=300)
        if done.returncode == 0:
            return
        failure = done.stderr.strip()
    raise EmbeddedError(
        f"A PostgreSQL data directory can't be made in {draft.parent}.",
        why=failure,
        hint="check that the disk has room and that these binaries are complete",
    )


def _locales(major: int) -> list[list[str]]:
    """Every one sorts by code point; all but plain C also know upper and lower case beyond ASCII."""
    if major >= BUILTIN_SINCE:
        return [BUILTIN_LOCALE]
    return [["--locale=C.UTF-8"], ["--locale=C"]]
