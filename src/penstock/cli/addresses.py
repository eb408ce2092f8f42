"""Tells a store's address in every form; starts a client program with it."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from typing import TYPE_CHECKING

import click

from penstock.cli import output
from penstock.cli.names import Target, store_argument
from penstock.cli.processes import replace_process
from penstock.cli.root import example
from penstock.cli.state import State, pass_state
from penstock.errors import MissingExtra, NotSupported

if TYPE_CHECKING:
    from sqlalchemy import URL

    from penstock.backends.clients import ClientCommand
    from penstock.connect import Address

_ROLES = click.Choice(["app", "reader"])
_FORMATS = click.Choice(["sqlalchemy", "libpq", "jdbc", "env"])


@click.command()
@store_argument
@click.option("--reveal", is_flag=True, help="With the password.")
@click.option(
    "--role", type=_ROLES, default="app", help="Who logs in with it: the app (default), or who only reads."
)
@click.option("--format", "form", type=_FORMATS, default="sqlalchemy", help="For whom; see above.")
@pass_state
@example(
    "penstock stores url my_first_app:example_db",
    "penstock stores url lab:main --role reader --reveal",
    'eval "$(penstock stores url lab:main --format env --reveal)"',
)
def url(state: State, store: Target, reveal: bool, role: str, form: str) -> None:
    """Print a store's address; its password is shown as *** unless --reveal is given.

    Formats: `sqlalchemy` for Python (default), `libpq` for what PostgreSQL's own library reads, `jdbc` for
    Java, `env` for a shell: one `export` for each variable that the server's own programs read.
    """
    from penstock.backends import StoreRole, portable
    from penstock.registry.values import hidden, masked

    found = state.stores.url(state.app(store.app), store.name, role=StoreRole(role))
    if form == "sqlalchemy":
        output.raw(portable(found) if reveal else masked(found))
    else:
        output.raw(_formatted(found if reveal else hidden(found), form))


@click.command()
@store_argument
@click.option(
    "--role", type=_ROLES, help="Who logs in: by default who only reads, else the app in a session that does."
)
@click.argument("arguments", metavar="[-- ARG...]", nargs=-1, type=click.UNPROCESSED)
@pass_state
@example(
    "penstock stores shell my_first_app:example_db",
    "penstock stores shell lab:main --role app",
    "penstock stores shell lab:main -- -c 'SELECT 1'",
)
def shell(state: State, store: Target, role: str | None, arguments: tuple[str, ...]) -> None:
    """Start psql, mariadb or sqlite3 in a store; what follows -- are arguments for it.

    It only reads: as the store's reader, where it has one, else in a session that refuses to write unless it
    is told to. With --role app it writes. The exit code is that of the program.
    """
    address, read_only = _address(state, store, role)
    found = _with_password(address)
    command = address.backend.clients.command(address.database_address, found, read_only=read_only)
    program = shutil.which(command.program)
    if program is None:
        raise MissingExtra(
            f"The program {command.program} is not installed.",
            why=f"It is what looks into {store}.",
            hint=f"On Debian and Ubuntu: apt-get install {command.package}",
        )
    state.close()
    words = (program, *_file_argument(command), *command.arguments, *arguments)
    try:
        replace_process(words, {**os.environ, **command.environment})
    except OSError as error:
        why = error.strerror or str(error)
        raise MissingExtra(f"The program {program} can't be run.", why=why) from error


def _formatted(found: URL, form: str) -> str:
    from penstock.backends import backend_for

    clients = backend_for(found).clients
    if form == "libpq":
        return clients.keywords(found)
    if form == "jdbc":
        return clients.jdbc(found)
    variables = clients.environment(found).items()
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables)


def _address(state: State, store: Target, role: str | None) -> tuple[Address, bool]:
    """Where the store is for who logs in, and whether his session has to be made to read only."""
    from penstock.backends import StoreRole

    app, book = state.app(store.app), state.stores.book
    if role is not None:
        return book.get(app, store.name, StoreRole(role)), False
    try:
        return book.get(app, store.name, StoreRole.READER), False
    except NotSupported:
        return book.get(app, store.name), True


def _with_password(address: Address) -> URL:
    from penstock.backends import without_password
    from penstock.registry.values import holds_password

    found = address.backend.store_url(address.database_address)
    if holds_password(without_password(found)):
        raise NotSupported(
            "The options of this store's address hold a password, which a program would show to all users.",
            hint="penstock stores url --reveal",
        )
    return address.database_address.login.with_password_in(found)


def _file_argument(command: ClientCommand) -> list[str]:
    """The option that names the program's file: one without a name, which goes with the program."""
    if not command.file_option:
        return []
    with tempfile.TemporaryFile() as file:
        file.write(command.file.encode())
        file.seek(0)
        kept = os.dup(file.fileno())
    os.set_inheritable(kept, True)
    return [f"{command.file_option}/dev/fd/{kept}"]
