"""What `portal_config.yml` of Tethys Portal says that is of use without a portal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL

from penstock.install.document import read_document
from penstock.install.fields import Fields
from penstock.install.links import RequestedLink
from penstock.registry.values import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OURS = ("persistent", "custom_settings")
_MISSING = "Name the file; Tethys has it in its home, mostly ~/.tethys/portal_config.yml"
_DEFAULT, _NAME = "default", "portal"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalServer:
    """A server of PostgreSQL that the portal uses itself.

    Args:
        name: What the service is to be called.
        url: Its address, without the password.
        password: The password in the file; empty for none.
        where: The file and line.
    """

    name: str
    url: URL
    password: str = field(default="", repr=False)
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalApp:
    """What the file says of one app.

    Args:
        links: What is linked to its settings.
        values: Its custom settings, by name.
    """

    links: tuple[RequestedLink, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalConfig:
    """What is in the file.

    Args:
        servers: The portal's servers.
        apps: The apps, by package.
        left: What is of no use here, each with its file and line.
        repeated: Keys that are there twice, each with its line; the last one counts.
    """

    servers: tuple[PortalServer, ...]
    apps: Mapping[str, PortalApp]
    left: tuple[str, ...]
    repeated: tuple[str, ...] = ()


def read_portal(path: Path) -> PortalConfig:
    """Read and check such a file.

    Raises:
        ConfigNotFound: There is none.
        ConfigProblems: It holds errors; all of them are in the exception's `problems`.
        ConfigError: It can't be read.
        MissingExtra: PyYAML is not installed.
    """
    fields = Fields(read_document(path, missing=_MISSING))
    left: list[str] = []
    if fields.find("apps") is None and fields.find("settings") is None:
        fields.wrong(
            (), "There is neither apps nor settings in it.", "Name the portal_config.yml of a portal."
        )
    servers = tuple(_servers(fields, left))
    apps = {str(app): _app(fields, str(app), left) for app in fields.table("apps")}
    fields.check()
    left += [
        f"{fields.where('settings', str(key))}: settings.{key}"
        for key in fields.table("settings")
        if key != "DATABASES"
    ]
    known = ("apps", "settings", "version", "name")
    left += [f"{fields.where(str(key))}: {key}" for key in fields.table() if key not in known]
    return PortalConfig(servers=servers, apps=apps, left=tuple(left), repeated=tuple(fields.repeated))


def _servers(fields: Fields, left: list[str]) -> Iterator[PortalServer]:
    for alias in fields.table("settings", "DATABASES"):
        key = ("settings", "DATABASES", str(alias))
        if "postgresql" not in fields.text(*key, "ENGINE") and "postgis" not in fields.text(*key, "ENGINE"):
            left.append(
                f"{fields.where(*key)}: the portal's database {alias}, which is no server of PostgreSQL"
            )
            continue
        url = URL.create(
            "postgresql",
            username=fields.text(*key, "USER") or None,
            host=fields.text(*key, "HOST") or "localhost",
            port=_port(fields, *key, "PORT"),
        )
        yield PortalServer(
            name=_NAME if alias == _DEFAULT else str(alias),
            url=url,
            password=_plain(fields, *key, "PASSWORD"),
            where=fields.where(*key),
        )


def _port(fields: Fields, *key: str) -> int:
    found = fields.find(*key)
    try:
        port = int(5432 if found is None else found)
    except (TypeError, ValueError):
        port = 0
    if not 0 < port < 65_536:
        fields.wrong(key, "is not a port.", "Write a whole number.")
        return 5432
    return port


def _plain(fields: Fields, *key: str) -> str:
    """Text, or a number in its place; never repeated."""
    found = fields.find(*key)
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else fields.text(*key)


def _app(fields: Fields, app: str, left: list[str]) -> PortalApp:
    services = ("apps", app, "services")
    values = {**fields.table(*services, "custom_settings"), **fields.table("apps", app, "custom_settings")}
    left += [
        f"{fields.where(*services, str(kind))}: services.{kind} of {app}"
        for kind in fields.table(*services)
        if kind not in _OURS
    ]
    return PortalApp(
        links=tuple(_links(fields, *services, "persistent")),
        values={str(name): value for name, value in values.items() if value is not None},
    )


def _links(fields: Fields, *key: str) -> Iterator[RequestedLink]:
    for setting, service in fields.table(*key).items():
        where = fields.where(*key, str(setting))
        if isinstance(service, str):
            yield RequestedLink(setting=str(setting), service=service, where=where)
        elif service is not None:
            fields.wrong(
                (*key, str(setting)), f"is {kind_of(service)}, not the name of a service.", "Write it."
            )
