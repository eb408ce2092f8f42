"""Makes a configuration file and a registry; existing ones are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli import output
from penstock.cli.root import example
from penstock.cli.state import FOLDER, State, pass_state

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = """\
# Penstock: which servers there are, and which app uses which.
#
# What is written here wins over what commands remember in .penstock/registry.sqlite3, and commands
# don't change it. Relative paths are relative to this file. Passwords don't belong here, only
# references to them: "env:NAME" or "file:/path/of/a/file".

# registry = "sqlite:///.penstock/registry.sqlite3"
# keep_dropped = 7    # days for which a dropped store can be brought back

# A service is a server that stores can be made on. This one is a directory of SQLite files.
[services.local]
url = "sqlite:///.penstock/stores"

# [services.main]
# url = "postgresql://provisioner@db.example.org:5432"
# password = "env:MAIN_PW"
# admin_url = "postgresql://postgres@db.example.org:5432"
# admin_password = "file:/run/secrets/main_admin"

# Which service is linked to which setting; `penstock link` does the same in the registry.
# [links]
# "my_first_app:example_db" = "local"

# Apps that are not installed with an entry point of the group "penstock.apps".
# [apps]
# my_first_app = "my_first_app.app:MyFirstApp"

# [engine]
# max_connections = 20    # of each process to each server, over all stores
"""


@click.command()
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(file_okay=False, path_type=Path))
@pass_state
@example("penstock init", "penstock init deployment")
def init(state: State, directory: Path) -> None:
    """Make penstock.toml and the folder .penstock in DIR (here, by default).

    The folder holds the registry, the key that passwords in it are sealed with, and the stores of the
    service `local`. What is there already is kept as it is.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "penstock.toml"
    made = list(_make_files(config))
    _make_registry(config, made)
    for path in made:
        output.done(f"made {path}")
    if not made:
        output.say(f"{config} is there already, and all that belongs to it; nothing was changed.")
    _warn_of_another(config)


def _make_files(config: Path) -> Iterator[Path]:
    from penstock.secrets import Keyring

    folder = config.parent / FOLDER
    if _write_new(config, _CONFIG, 0o644):
        yield config
    for path in (folder, folder / "stores"):
        if not path.is_dir():
            path.mkdir(mode=0o700)
            yield path
    key = folder / "key"
    if Keyring(key).make_file():
        yield key
    ignore = folder / ".gitignore"
    if _write_new(ignore, "*\n", 0o600):
        yield ignore


def _write_new(path: Path, text: str, mode: int) -> bool:
    """Write a file unless it is there; whatever the umask, never one that others can change."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def _make_registry(config: Path, made: list[Path]) -> None:
    """Write the first line of the journal, which makes the registry's tables."""
    from penstock.registry import journalled
    from penstock.stores import Stores

    with Stores.from_config(config) as stores:
        if made or not stores.registry.journal(1):
            with journalled(stores.registry, "init", str(config.parent.resolve())):
                """Only the line matters."""


def _warn_of_another(config: Path) -> None:
    named = os.environ.get("PENSTOCK_CONFIG")
    if named and Path(named).resolve() != config.resolve():
        output.note(f"PENSTOCK_CONFIG names another file, which is the one that is used: {named}")
