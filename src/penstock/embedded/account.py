"""The user that the server runs as: an unprivileged account when root starts it."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.errors import EmbeddedError

if TYPE_CHECKING:
    from pathlib import Path

PREFERRED = ("postgres", "nobody")
# Nothing of the caller's environment reaches the server: no PG* variable, no preload, no locale.
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user and group a server runs as.

    Attributes:
        switch: True when the processes must change to this account, because the caller is root.
    """

    uid: int
    gid: int
    switch: bool

    def take(self, path: Path) -> None:
        """Give a file or directory just made to this account."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def reaches(self, path: Path) -> bool:
        """Whether this account may pass through every directory above `path`, by their mode bits."""
        return not self.switch or all(self._may_enter(parent.stat()) for parent in path.resolve().parents)

    def runs(self, program: Path) -> bool:
        """Whether this account may execute `program`."""
        return self.reaches(program) and (not self.switch or self._may_enter(program.stat()))

    def _may_enter(self, found: os.stat_result) -> bool:
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def account_for(data: Path) -> Account:
    """The account for a data directory: its owner; for a new one the caller, or who stands in for root."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid(), switch=False)
    try:
        found = data.stat()
    except FileNotFoundError:
        return _stand_in()
    return Account(uid=found.st_uid, gid=found.st_gid, switch=True)


def _stand_in() -> Account:
    for name in PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(uid=entry.pw_uid, gid=entry.pw_gid, switch=True)
    raise EmbeddedError(
        "There is no account to run a PostgreSQL server as.",
        why="PostgreSQL refuses to run as root, and neither 'postgres' nor 'nobody' exists here.",
        hint="run the command as an ordinary user",
    )


def run(account: Account, args: list[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a program as the account, in an environment and a session of its own, and wait for it.

    Raises:
        EmbeddedError: It can't be executed, or is not done after `timeout` seconds.
    """
    try:
        return subprocess.run(
            args,
            user=account.uid if account.switch else None,
            group=account.gid if account.switch else None,
            extra_groups=[] if account.switch else None,
            env=ENVIRONMENT,
            cwd="/",
            umask=0o077,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(
            f"{args[0]} can't be run as user {account.uid}.",
            why=str(error),
            hint="check that this user may execute it, or name other binaries with --binaries",
        ) from error


def read_unfollowed(path: Path, offset: int = 0) -> str:
    """Read a small file in a directory of the account: not through a link, never waiting for a writer."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        file.seek(offset)
        return file.read(65_536).decode("utf-8", "replace")
