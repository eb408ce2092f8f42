"""Reads `penstock.toml`: services, links, apps, engine options."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

from sqlalchemy import URL, make_url

from penstock.engines import EngineOptions
from penstock.errors import ConfigError, ConfigNotFound, ConfigProblems, Problem, SecretError
from penstock.registry.document import label_of, parsed
from penstock.registry.locate import KeyPath, locate, shown
from penstock.registry.problems import Wrong, problem_at
from penstock.registry.service import Link, Service, Source
from penstock.registry.shape import KEEP_DROPPED, FileTable, Misshapen, ServiceTable, shaped
from penstock.registry.trust import read_trusted
from penstock.secrets import SecretRef, resolve
from penstock.spelling import did_you_mean

FILE_NAME = "penstock.toml"
"""What the file is called, wherever it is looked for."""

__all__ = [
    "FILE_NAME",
    "ConfigProblems",
    "FileConfig",
    "Problem",
    "check_links",
    "check_secrets",
    "find_config_file",
    "no_config_file",
    "read_config",
    "shown_key",
]

_VARIABLE = "PENSTOCK_CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileConfig:
    """What a configuration file says.

    Args:
        path: The file, absolute.
        services: The services it defines; relative paths in them made absolute.
        links: What it links to what; a service may be one that the registry knows instead.
        apps: The classes of apps by package, as `module:Class`.
        app_settings: The values of settings that are an app's own affair, by package and name.
        engine: How engines pool their connections.
        registry_url: Where the registry is; None if the file does not say.
        registry_password: Where the registry's password is.
        keep_dropped: Days for which a dropped store can be brought back.
        label: What messages call the file.
        lines: The line of every key.
    """

    path: Path
    services: tuple[Service, ...] = ()
    links: tuple[Link, ...] = ()
    apps: Mapping[str, str] = field(default_factory=dict)
    app_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    engine: EngineOptions = field(default_factory=EngineOptions)
    registry_url: str | None = None
    registry_password: SecretRef | None = None
    keep_dropped: int = KEEP_DROPPED
    label: str = field(default=FILE_NAME, repr=False, compare=False)
    lines: Mapping[KeyPath, int] = field(default_factory=dict, repr=False, compare=False)


def find_config_file(start: Path | None = None) -> Path | None:
    """The configuration file: what PENSTOCK_CONFIG names, else the nearest one upward.

    Args:
        start: The directory to begin at; the working directory by default.

    Returns:
        Its absolute path, or None if there is none. What is in it is not looked at.

    Raises:
        ConfigNotFound: PENSTOCK_CONFIG names nothing.

    >>> find_config_file(Path("/nowhere/at/all"))
    """
    if named := os.environ.get(_VARIABLE):
        return _named(Path(named))
    start = _here() if start is None else start.absolute()
    candidates = (folder / FILE_NAME for folder in (start, *start.parents))
    return next((path for path in candidates if os.path.lexists(path)), None)


def no_config_file(start: Path | None = None) -> str:
    """The sentence that says that there is no configuration file, and where it was looked for.

    Args:
        start: The directory that was begun at; the working directory by default.

    >>> no_config_file(Path("/srv/site"))
    'No penstock.toml in /srv/site or its parents.'
    """
    return f"No {FILE_NAME} in {_here() if start is None else start} or its parents."


def read_config(path: Path) -> FileConfig:
    """Read and check a configuration file, as a whole.

    Args:
        path: The file.

    Raises:
        ConfigProblems: It holds errors; all of them are in the exception's `problems`.
        ConfigUnsafe: Somebody else may have written it.
        ConfigNotFound: There is no such file.
        ConfigError: It is no file, too large, or this user may not read it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "penstock.toml")
    ...     _ = path.write_text('[links]\\n"lab:gages" = "main"')
    ...     read_config(path).links[0].service
    'main'
    """
    label = label_of(path)
    path = path.absolute()
    document, lines = parsed(read_trusted(path), label)
    try:
        table = shaped(document)
    except Misshapen as error:
        raise ConfigProblems(problem_at(label, lines, wrong) for wrong in error.wrongs) from None
    return _config(table, path, label, lines)


def check_links(config: FileConfig, known: Collection[str] = ()) -> None:
    """Check that every link of the file names a service.

    Args:
        config: A configuration.
        known: The names of services that are defined elsewhere, such as in the registry.

    Raises:
        ConfigProblems: Some services are neither in the file nor known.

    >>> check_links(FileConfig(path=Path("/srv/penstock.toml")), {"main"})
    """
    own = [service.name for service in config.services]
    wrongs = [
        Wrong(
            f"There is no service {link.service!r}.",
            _other_service(link.service, own, known),
            _key(config, link),
        )
        for link in config.links
        if link.service not in own and link.service not in known
    ]
    _raise(config, wrongs)


def check_secrets(config: FileConfig) -> None:
    """Check that every secret reference of the file points at a password.

    Args:
        config: A configuration.

    Raises:
        ConfigProblems: Some variables are not set, or some files can't be read.

    >>> check_secrets(FileConfig(path=Path("/srv/penstock.toml")))
    """
    wrongs = []
    for key, ref in _references(config):
        try:
            resolve(ref)
        except SecretError as error:
            wrongs.append(Wrong(f"{error.what} {error.why}", error.hint or f"Look at {ref}.", key))
    _raise(config, wrongs)


# --- finding it, and what to call it --------------------------------------------------------------


def _named(path: Path) -> Path:
    if not os.path.exists(path):
        raise ConfigNotFound(
            f"{_VARIABLE} names {path}, and there is no such file.", hint=f"Correct {_VARIABLE}, or unset it."
        )
    return path.absolute()


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError("The working directory is gone.", hint="cd to one that exists.") from error


def _references(config: FileConfig) -> Iterator[tuple[KeyPath, SecretRef | None]]:
    """Every place where the file says where a password is."""
    yield ("registry_password",), config.registry_password
    for service in config.services:
        yield ("services", service.name, "password"), service.password
        yield ("services", service.name, "admin_password"), service.admin_password


# --- from tables to services and links ------------------------------------------------------------


def _config(table: FileTable, path: Path, label: str, lines: Mapping[KeyPath, int]) -> FileConfig:
    def source(*key: str) -> Source:
        return Source("file", f"{label}:{locate(lines, key)}")

    folder = path.parent
    return FileConfig(
        path=path,
        services=tuple(
            service_of(name, each, folder, source("services", name)) for name, each in table.services.items()
        ),
        links=tuple(
            Link(app=link.app, setting=link.setting, service=link.service, source=source(*link.key))
            for link in table.links
        ),
        apps=MappingProxyType({a: str(each.target) for a, each in table.apps.items() if each.target}),
        app_settings=MappingProxyType({a: each.settings for a, each in table.apps.items()}),
        engine=table.engine,
        registry_url=absolute_url(table.registry, folder),
        registry_password=absolute_ref(table.registry_password, folder),
        keep_dropped=table.keep_dropped,
        label=label,
        lines=MappingProxyType(lines),
    )


def service_of(name: str, table: ServiceTable, folder: Path, source: Source) -> Service:
    """The service that a table of a file says; paths in it are relative to a folder."""
    return Service(
        name=name,
        url=absolute_url(table.url, folder),
        password=absolute_ref(table.password, folder),
        admin_url=absolute_url(table.admin_url, folder),
        admin_password=absolute_ref(table.admin_password, folder),
        pooled=table.pooled,
        max_connections=table.max_connections,
        roles=table.roles,
        source=source,
    )


@overload
def absolute_url(url: URL, folder: Path) -> str: ...
@overload
def absolute_url(url: URL | None, folder: Path) -> str | None: ...
def absolute_url(url: URL | None, folder: Path) -> str | None:
    """An address as text; one without a user and a host is a path, relative to a folder."""
    if url is None:
        return None
    if not (url.username or url.host or "user" in url.query):
        url = url.set(database=str(folder / (url.database or "")))
    try:
        text = url.render_as_string(hide_password=False)
        faithful = make_url(text) == url
    except ValueError:
        faithful = False
    if not faithful:
        raise ConfigError(
            f"No address can hold the path of the directory {str(folder)!r}.",
            hint="Rename it, or write absolute paths in the configuration file.",
        )
    return text


@overload
def absolute_ref(ref: SecretRef, folder: Path) -> SecretRef: ...
@overload
def absolute_ref(ref: SecretRef | None, folder: Path) -> SecretRef | None: ...
def absolute_ref(ref: SecretRef | None, folder: Path) -> SecretRef | None:
    """A reference to a secret; one to a file is relative to a folder."""
    if ref is None or ref.scheme != "file":
        return ref
    return SecretRef(ref.scheme, str(folder / ref.locator))


# --- what is wrong, and where ---------------------------------------------------------------------


def _raise(config: FileConfig, wrongs: Sequence[Wrong]) -> None:
    if wrongs:
        raise ConfigProblems(problem_at(config.label, config.lines, wrong) for wrong in wrongs)


def _key(config: FileConfig, link: Link) -> KeyPath:
    """The key of a link, in the form in which the file has it."""
    short = ("links", f"{link.app}:{link.setting}")
    return short if short in config.lines else ("links", link.app, link.setting)


def shown_key(config: FileConfig, link: Link) -> str:
    """The key of a link of the file, as it is written there."""
    return shown(_key(config, link))


def _other_service(name: str, own: Sequence[str], known: Collection[str]) -> str:
    if hint := did_you_mean(name, [*own, *known]):
        return hint
    there = f"This file has: {', '.join(own)}." if own else "This file has none."
    return f"{there} Add it: penstock services add {name}"
