"""PostgreSQL's addresses for libpq, Java and the environment; psql."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from penstock.backends.address import without_password
from penstock.backends.clients import ClientCommand
from penstock.backends.postgresql.pins import PORT, as_options, led_by_address
from penstock.backends.postgresql.sessions import DRIVER
from penstock.backends.reach import shown
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from sqlalchemy import URL

    from penstock.backends.address import DatabaseAddress

# What pgJDBC calls the options of libpq (https://jdbc.postgresql.org/documentation/use/).
_JAVA = {
    "user": "user",
    "password": "password",
    "sslmode": "sslmode",
    "sslrootcert": "sslrootcert",
    "sslcert": "sslcert",
    "sslkey": "sslkey",
    "sslpassword": "sslpassword",
    "channel_binding": "channelBinding",
    "connect_timeout": "connectTimeout",
    "application_name": "ApplicationName",
    "options": "options",
}
_JAVA_SERVERS = {
    "read-write": "primary",
    "primary": "primary",
    "read-only": "secondary",
    "standby": "secondary",
    "prefer-standby": "preferSecondary",
}


class PostgreSQLClients:
    """How PostgreSQL's databases are told of to other programs."""

    def keywords(self, url: URL) -> str:
        return make_conninfo(**_parameters(url))

    def jdbc(self, url: URL) -> str:
        said = _parameters(url)
        hosts = str(said.get("host") or "localhost").split(",")
        if any(host.startswith(("/", "@")) for host in hosts):
            raise NotSupported(
                "Java can't connect through the socket in this address.", hint="Name a host in the address."
            )
        ports = str(said.get("port") or PORT).split(",")
        ports *= len(hosts) if len(ports) == 1 else 1
        servers = ",".join(map(shown, hosts, ports))
        query = {_JAVA[key]: str(value) for key, value in said.items() if key in _JAVA}
        if (kind := _JAVA_SERVERS.get(str(said.get("target_session_attrs")))) is not None:
            query["targetServerType"] = kind
        options = "&".join(f"{key}={quote(value, safe='*')}" for key, value in query.items())
        return f"jdbc:postgresql://{servers}/{quote(url.database or '', safe='')}?{options}"

    def environment(self, url: URL) -> dict[str, str]:
        variables = {each.keyword.decode(): each.envvar for each in Conninfo.get_defaults()}
        found = {variables[keyword]: value for keyword, value in _parameters(url).items()}
        return {name.decode(): str(value) for name, value in found.items() if name is not None}

    def command(self, address: DatabaseAddress, url: URL, *, read_only: bool) -> ClientCommand:
        said = led_by_address(_parameters(without_password(url)))
        settings = _settings(address, read_only=read_only)
        if settings:
            said["options"] = f"{said.get('options', '')} {as_options(settings)}".strip()
        return ClientCommand(
            program="psql",
            package="postgresql-client",
            arguments=(f"--dbname={make_conninfo(**said)}",),
            environment={} if url.password is None else {"PGPASSWORD": str(url.password)},
        )


def _settings(address: DatabaseAddress, *, read_only: bool) -> dict[str, str]:
    if address.server.pooled:
        if read_only:
            raise NotSupported(
                f"A session of store {address.label} can't be made to refuse writing.",
                why=f"Service {address.server.service} leads through a pooler, and the store has no reader.",
                hint="Add --role app, if you may write.",
            )
        return {}  # It would refuse options.
    settings = {"role": address.role} if address.role else {}
    return settings | ({"default_transaction_read_only": "on"} if read_only else {})


def _parameters(url: URL) -> dict[str, Any]:
    """What libpq is told of an address: what the engines tell it, but for what only Python knows."""
    known = {each.keyword.decode() for each in Conninfo.get_defaults()}
    dialect = url.set(drivername=DRIVER).get_dialect()()
    _, found = dialect.create_connect_args(url)
    said = dict(found)
    if "port" not in said and said.get("host"):
        said["port"] = PORT
    return {keyword: value for keyword, value in said.items() if keyword in known}
