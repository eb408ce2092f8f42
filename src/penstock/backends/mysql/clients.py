"""MariaDB's addresses for Java and the environment; its client program."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from penstock.backends.clients import ClientCommand
from penstock.backends.mysql.connecting import PORT
from penstock.backends.reach import shown
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from sqlalchemy import URL

    from penstock.backends.address import DatabaseAddress

_SOCKET = "unix_socket"
# As option files escape them (https://mariadb.com/kb/en/configuring-mariadb-with-option-files/).
_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b"}
# What the client calls the options by which an address asks for TLS.
_TLS = {
    "ssl_ca": "--ssl-ca",
    "ssl_capath": "--ssl-capath",
    "ssl_cert": "--ssl-cert",
    "ssl_key": "--ssl-key",
    "ssl_cipher": "--ssl-cipher",
}


class MySQLClients:
    """How the databases of MariaDB and MySQL are told of to other programs."""

    def keywords(self, url: URL) -> str:
        raise NotSupported(
            "libpq speaks to PostgreSQL only, and this store is on another server.", hint="--format env"
        )

    def jdbc(self, url: URL) -> str:
        kind = url.get_backend_name()
        query = {"user": url.username or "", "password": url.password}
        if _SOCKET in url.query:
            query["localSocket"] = _only(url, _SOCKET)
        if said := _tls_of(url):
            if kind != "mariadb" or said.keys() - {"ssl_ca"}:
                raise _unsaid("A Java address", said)
            query |= {"sslMode": "verify-full", "serverSslCert": said["ssl_ca"]}
        written = _as_it_is if kind == "mariadb" else _percent_encoded
        options = "&".join(f"{key}={written(str(value))}" for key, value in query.items() if value)
        server = shown(url.host or "localhost", url.port or PORT)
        return f"jdbc:{kind}://{server}/{written(url.database or '')}?{options}"

    def environment(self, url: URL) -> dict[str, str]:
        if said := _tls_of(url):
            raise _unsaid("The environment", said)
        # By its name, the clients take the local host for a socket, whatever the port.
        host = "127.0.0.1" if url.host in (None, "", "localhost") else url.host
        there = {"MYSQL_HOST": host, "MYSQL_TCP_PORT": str(url.port or PORT)}
        if _SOCKET in url.query:
            there = {"MYSQL_HOST": "localhost", "MYSQL_UNIX_PORT": _only(url, _SOCKET)}
        who = {"MYSQL_USER": url.username or "", "MYSQL_DATABASE": url.database or ""}
        return there | who | ({} if url.password is None else {"MYSQL_PWD": str(url.password)})

    def command(self, address: DatabaseAddress, url: URL, *, read_only: bool) -> ClientCommand:
        where = [f"--host={url.host or 'localhost'}", f"--port={url.port or PORT}", "--protocol=TCP"]
        if _SOCKET in url.query:
            where = [f"--socket={_only(url, _SOCKET)}", "--protocol=SOCKET"]
        who = [f"--user={url.username}", f"--database={url.database}", "--default-character-set=utf8mb4"]
        password = [] if url.password is None else [f"password={_quoted(str(url.password))}\n"]
        return ClientCommand(
            program="mariadb",
            package="mariadb-client",
            arguments=(
                *where,
                *who,
                *_tls_arguments(url),
                *(["--init-command=SET SESSION TRANSACTION READ ONLY"] if read_only else []),
            ),
            # The only file: one of the user's own would have the last word on the password.
            file_option="--defaults-file=",
            file="".join(["[client]\n", *password]),
        )


def _tls_arguments(url: URL) -> list[str]:
    """The client knows no verifying without the name, so it is no less strict than the engines."""
    said = _tls_of(url)
    if not said:
        return []
    named = [f"{_TLS[key]}={value}" for key, value in said.items() if key in _TLS]
    verify = ["--ssl-verify-server-cert"] if "ssl_ca" in said or "ssl_capath" in said else []
    return ["--ssl", *named, *verify]


def _tls_of(url: URL) -> dict[str, str]:
    return {key: _only(url, key) for key in url.query if key.startswith("ssl")}


def _percent_encoded(text: str) -> str:
    """As MySQL's driver for Java reads it."""
    return quote(text, safe="*")


def _as_it_is(text: str) -> str:
    """As MariaDB's driver for Java reads it, which decodes nothing."""
    if any(character in "&?\r\n" for character in text):
        raise NotSupported(
            "MariaDB's driver for Java can't read this store's address.",
            why="There is a character in it that would end a part of the address.",
            hint="Hand over user, password and database by themselves: --format env has them.",
        )
    return text


def _only(url: URL, key: str) -> str:
    value = url.query[key]
    return value if isinstance(value, str) else value[-1]


def _unsaid(where: str, said: dict[str, str]) -> NotSupported:
    return NotSupported(
        f"{where} can't say how this store's address wants TLS: {', '.join(said)}.",
        hint="--format sqlalchemy says it all.",
    )


def _quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(character, character) for character in text) + '"'
