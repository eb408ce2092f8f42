"""What a cluster's home remembers between two commands: one small JSON file."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from penstock.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What was settled when the cluster was configured.

    Attributes:
        port: The loopback port, chosen once.
        folder: The folder below /var/lib/penstock that holds the data, empty when `home` does.
        data: The data directory, for whoever reads the file; what counts is `folder`.
        binaries: The directory the server runs from.
        source: The directory the binaries were found in: the same, unless they were copied.
        version: The version of the binaries.
        made: The directories made for this cluster, to be removed with it when they are empty.
    """

    port: int
    folder: str
    data: str
    binaries: str
    source: str
    version: str
    made: tuple[str, ...] = ()


def load_state(home: Path) -> State | None:
    """What the home remembers, or None before the first `configure`.

    Raises:
        EmbeddedError: The file is there but holds something else.
    """
    try:
        found = json.loads((home / FILE).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise not_yours(home) from error
    except ValueError as error:
        raise _damaged(home, str(error)) from error
    return _checked(home, found)


def save_state(home: Path, state: State) -> None:
    """Write the state so that a reader, or a crash, sees either the old or the new one."""
    draft = home / f"{FILE}.new"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(home / FILE)


def not_yours(home: Path) -> EmbeddedError:
    """The error for a cluster that belongs to another user."""
    return EmbeddedError(
        f"The embedded server in {home} belongs to another user.",
        hint="run the command as the user who configured it",
    )


@contextmanager
def explained(home: Path) -> Iterator[None]:
    """Turn what the file system refuses into an error that names the cluster."""
    try:
        yield
    except TimeoutError:
        raise  # Of the lock, which has an explanation of its own.
    except OSError as error:
        raise EmbeddedError(
            f"A file or directory of the embedded server in {home} can't be used.",
            why=str(error),
            hint="check the owner and mode of the directories, and that the disk has room",
        ) from error


def _checked(home: Path, found: object) -> State:
    names = {field.name for field in fields(State)}
    if not isinstance(found, dict) or not names <= found.keys():
        raise _damaged(home, "an entry is missing")
    values = {name: found[name] for name in names}
    values["made"] = tuple(values["made"])
    state = State(**values)
    if "/" in state.folder or state.folder in (".", ".."):
        raise _damaged(home, "an entry has an impossible value")
    return state


def _damaged(home: Path, why: str) -> EmbeddedError:
    return EmbeddedError(
        f"{home / FILE} can't be understood.",
        why=why,
        hint="restore the file, or remove the embedded server and configure it anew",
    )
