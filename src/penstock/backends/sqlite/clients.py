"""The addresses of SQLite's files for Java and the environment; its shell."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from penstock.backends.address import missing
from penstock.backends.clients import ClientCommand
from penstock.backends.sqlite import files
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from sqlalchemy import URL

    from penstock.backends.address import DatabaseAddress


class SQLiteClients:
    """How SQLite's files are told of to other programs."""

    def keywords(self, url: URL) -> str:
        raise NotSupported("libpq speaks to PostgreSQL only, and this store is a file.", hint="--format env")

    def jdbc(self, url: URL) -> str:
        path = url.database or ""
        # What follows a question mark would be options; in a URI it can be written otherwise.
        return f"jdbc:sqlite:file:{quote(path)}" if "?" in path else f"jdbc:sqlite:{path}"

    def environment(self, url: URL) -> dict[str, str]:
        return {"SQLITE_DATABASE": url.database or ""}

    def command(self, address: DatabaseAddress, url: URL, *, read_only: bool) -> ClientCommand:
        path = files.path_of(address)
        if not files.is_there(path):
            raise missing(address)
        return ClientCommand(
            program="sqlite3",
            package="sqlite3",
            arguments=(*(["-readonly"] if read_only else []), str(path)),
        )
