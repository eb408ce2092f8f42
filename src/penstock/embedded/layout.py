"""Which directories a cluster has: in its home, or where the server's user gets."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import EmbeddedError

if TYPE_CHECKING:
    from penstock.embedded.account import Account
    from penstock.embedded.binaries import Binaries

SHARED = Path("/var/lib/penstock")
DRAFT = ".new-"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPaths:
    """The directory that holds the server's side of a cluster: data, log and copied binaries."""

    root: Path

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """The log file, in a directory the server's user owns."""
        return self.root / "log" / "server.log"

    @property
    def software(self) -> Path:
        """The copied binaries, if there are any."""
        return self.root / "software"

    def drafts(self) -> list[Path]:
        """What was begun here and never finished."""
        return sorted(self.root.glob(f"*{DRAFT}*"))


def paths_of(home: Path, name: str) -> ClusterPaths:
    """The paths remembered under `name`: empty for the home itself."""
    return ClusterPaths(root=SHARED / name if name else home)


def choose_directory(home: Path, account: Account) -> str:
    """Where a new cluster's data go: "" for the home, else a name below /var/lib/penstock."""
    if account.reaches(home / "data"):
        return ""
    readable = re.sub(r"[^A-Za-z0-9_-]", "", home.name)[:40] or "cluster"
    return f"{readable}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"


def make_directory(path: Path, mode: int) -> list[Path]:
    """Make a directory and those above it that are missing; one that exists is left as it is.

    Returns:
        The directories that were made.
    """
    made = [folder for folder in reversed(missing(path)) if _made_now(folder)]
    if path in made:
        path.chmod(mode)  # Just made, so it is ours; mkdir's own mode is subject to the umask.
    return made


def missing(path: Path) -> list[Path]:
    """The directories that have to be made for `path` to exist, itself first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def _made_now(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False  # Another configure was quicker.
    return True


def prepare(paths: ClusterPaths, account: Account, home: Path) -> None:
    """Make the directories of a cluster: passable for the server's user, who owns only the log's."""
    if paths.root != home:
        try:
            _make_shared(paths)
        except FileNotFoundError:
            _make_shared(paths)  # The last other cluster was just removed, and the folder with it.
    make_directory(paths.log.parent, 0o700)
    account.take(paths.log.parent)


def _make_shared(paths: ClusterPaths) -> None:
    make_directory(SHARED, 0o711)
    found = SHARED.stat()
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EmbeddedError(
            f"{SHARED} is not safe to keep a server in.",
            why="it does not belong to root, or others may write to it",
            hint=f"check who made {SHARED}; it should belong to root, with mode 0711",
        )
    make_directory(paths.root, 0o711)


def runnable(paths: ClusterPaths, binaries: Binaries, account: Account) -> Path:
    """The directory to run the binaries from: their own, or where a copy belongs if it can't be reached."""
    if account.runs(binaries.program("postgres")):
        return binaries.directory
    key = hashlib.sha256(os.fsencode(binaries.directory)).hexdigest()[:8]
    return paths.software / f"{binaries.version}-{key}" / _inside(binaries.directory.parent) / "bin"


def copy_binaries(paths: ClusterPaths, source: Path, target: Path) -> None:
    """Make the copy that `runnable` decided on; nothing if it is there or not needed."""
    if source == target or target.exists():
        return
    copy = paths.software / target.relative_to(paths.software).parts[0]
    _copy_installation(source.parent, copy)


def _inside(prefix: Path) -> Path:
    return Path(prefix.parent.name, prefix.name)


def _copy_installation(prefix: Path, target: Path) -> None:
    """Copy bin, lib and share; a wheel's programs also look for a folder two levels up."""
    draft = target.with_name(f"{target.name}{DRAFT}{os.getpid()}")
    copy = draft / _inside(prefix)
    for name in ("bin", "lib", "share"):
        _copy_tree(prefix / name, copy / name)
    _copy_tree(prefix.parent.parent / f"{prefix.parent.name}.libs", draft / f"{prefix.parent.name}.libs")
    make_passable(target.parent)
    draft.rename(target)


def _copy_tree(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("*.a", "doc", "man"))


def make_passable(root: Path) -> None:
    """Let everybody read what lies here, whatever the modes it was copied with."""
    for folder, _, names in os.walk(root):
        Path(folder).chmod(0o755)
        for file in (Path(folder, name) for name in names):
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)


def forget_drafts(paths: ClusterPaths) -> None:
    """Delete what an interrupted `configure` left behind."""
    for path in (*paths.drafts(), *ClusterPaths(root=paths.software).drafts()):
        delete(path)


def forget_copies(paths: ClusterPaths, *, keep: Path) -> None:
    """Delete the copied binaries but those of the directory `keep`."""
    for copy in paths.software.glob("*"):
        if not keep.is_relative_to(copy):
            delete(copy)


def delete(path: Path) -> None:
    """Delete a file or a tree; an orphaned initdb may still be writing to it, so try again."""
    for _ in range(5):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        if not path.exists():
            return
    shutil.rmtree(path)


def delete_cluster(paths: ClusterPaths, home: Path) -> None:
    """Delete everything that was made for a cluster, and its directory itself unless it is the home."""
    if paths.data.exists():
        # In one step, so that a removal cut short leaves no half of a cluster that looks like one.
        paths.data.rename(paths.root / f"data{DRAFT}removed-{os.getpid()}")
    forget_drafts(paths)
    for path in (paths.log.parent, paths.software):
        delete(path)
    if paths.root != home:
        delete(paths.root)
        remove_if_empty(SHARED)


def remove_if_empty(folder: Path) -> None:
    """Remove a directory that nothing is left in."""
    try:
        folder.rmdir()
    except OSError:
        return  # Not empty, or gone already: either way nothing of ours is in it.
