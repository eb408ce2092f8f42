"""What `penstock.toml` may hold: tables, types of keys, limits of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import chain
from typing import Any, NewType, TypeAlias

from cattrs import AttributeValidationNote, Converter, ForbiddenExtraKeysError, IterableValidationNote
from sqlalchemy import URL

from penstock.engines import EngineOptions
from penstock.errors import PenstockError
from penstock.registry import values
from penstock.registry.locate import KeyPath, shown
from penstock.registry.problems import Wrong
from penstock.registry.service import RoleMode
from penstock.secrets import SecretRef
from penstock.spelling import did_you_mean

KEEP_DROPPED = 7
"""Days for which a dropped store can be brought back, unless the file says otherwise."""

ClassPath = NewType("ClassPath", str)

_Hook: TypeAlias = Callable[[Any, Any], Any]
_Check: TypeAlias = Callable[[dict[str, Any]], Iterator[Wrong]]


class Misshapen(Exception):
    """Everything wrong with a file, each with its whole key."""

    def __init__(self, wrongs: tuple[Wrong, ...]) -> None:
        super().__init__(f"{len(wrongs)} wrong")
        self.wrongs = wrongs


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTable:
    """`[services.<name>]`."""

    url: URL
    password: SecretRef | None = None
    admin_url: URL | None = None
    admin_password: SecretRef | None = None
    pooled: bool = False
    max_connections: int | None = None
    roles: RoleMode = RoleMode.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One line of `[links]`, in either form, and its whole key."""

    app: str
    setting: str
    service: str
    key: KeyPath


@dataclass(frozen=True, slots=True, kw_only=True)
class AppTable:
    """`[apps.<package>]`, or one line of `[apps]`.

    Args:
        target: The app's class; None if the file does not say.
        settings: The values of settings that are the app's own affair, by name.
    """

    target: ClassPath | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


Services = NewType("Services", dict[str, ServiceTable])
Links = NewType("Links", tuple[Link, ...])
Apps = NewType("Apps", dict[str, AppTable])


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTable:
    """The whole file."""

    registry: URL | None = None
    registry_password: SecretRef | None = None
    keep_dropped: int = KEEP_DROPPED
    services: Services = field(default_factory=lambda: Services({}))
    links: Links = Links(())
    apps: Apps = field(default_factory=lambda: Apps({}))
    engine: EngineOptions = field(default_factory=EngineOptions)


def shaped(document: dict[str, Any]) -> FileTable:
    """A parsed document as typed tables; raises Misshapen with all that is wrong with it.

    >>> shaped({"apps": {"lab": "lab.app:App"}}).apps["lab"].target
    'lab.app:App'
    """
    try:
        return _converter().structure(document, FileTable)
    except ExceptionGroup as error:
        found: dict[KeyPath, Wrong] = {}
        for wrong in _wrongs(error, ()):
            found.setdefault(wrong.key, wrong)
        raise Misshapen(tuple(found.values())) from None


# --- from a tree of exceptions to a list ---------------------------------------------------------


def _wrongs(error: Exception, around: KeyPath) -> Iterator[Wrong]:
    at = (*around, *_step(error))
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _wrongs(inner, at)
    elif isinstance(error, ForbiddenExtraKeysError):
        for key in sorted(error.extra_fields):
            yield _unknown_key((*at, key), error.cl)
    else:
        yield _wrong(error, at)


def _step(error: Exception) -> KeyPath:
    """The key that cattrs noted on the way up, if there is one here."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return (note.name,)
        if isinstance(note, IterableValidationNote):
            return (str(note.index),)
    return ()


def _wrong(error: Exception, at: KeyPath) -> Wrong:
    if isinstance(error, Wrong):
        return Wrong(error.message, error.hint, (*at, *error.key))
    if isinstance(error, PenstockError):
        return Wrong(error.what, error.hint or "Write another one.", at)
    if isinstance(error, KeyError):
        return Wrong("is missing.", f'Add {at[-1]} = "postgresql://user@host:port"', at)
    raise error


def _unknown_key(key: KeyPath, table: type) -> Wrong:
    known = [each.name for each in fields(table)]
    renamed = _RENAMED.get(key[-1])
    if renamed in known:
        return Wrong(f"is now {renamed}.", f"Write {renamed}: {_RENAMED_MEANS}.", key)
    hint = did_you_mean(key[-1], known) or f"Use one of: {', '.join(known)}."
    return Wrong("is not a known key.", hint, key)


# --- how the tables are read ---------------------------------------------------------------------


@cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for type_, hook in _VALUES.items():
        converter.register_structure_hook(type_, hook)
    for type_, check in _TABLES.items():
        inner = converter.get_structure_hook(type_)
        converter.register_structure_hook(type_, _table_hook(inner, check))
    return converter


def _table_hook(inner: _Hook, check: _Check) -> _Hook:
    """Read a table key by key, and check what a single key can't tell; find all that is wrong."""

    def hook(value: Any, type_: Any) -> Any:
        errors: list[Exception] = []
        try:
            result = inner(values.table(value), type_)
        except Exception as error:
            errors.append(error)
        if isinstance(value, dict):
            errors.extend(check(value))
        if errors:
            raise ExceptionGroup("table", errors)
        return result

    return hook


def _names(what: str) -> _Check:
    """Whether every key can name such a thing."""

    def check(value: dict[str, Any]) -> Iterator[Wrong]:
        for key in value:
            try:
                values.name(what, key)
            except (Wrong, PenstockError) as error:
                yield _wrong(error, (key,))

    return check


def _password_without(url: str, password: str) -> _Check:
    """Whether a password stands without the address it is for."""

    def check(value: dict[str, Any]) -> Iterator[Wrong]:
        if password in value and url not in value:
            yield Wrong(f"has no {url} beside it.", f"Add {url}, or remove this.", (password,))

    return check


def _within(limits: Mapping[str, tuple[float, float]]) -> _Check:
    """Whether every number is one that can be meant."""

    def check(value: dict[str, Any]) -> Iterator[Wrong]:
        for key, (least, most) in limits.items():
            given = value.get(key, least)
            if isinstance(given, int | float) and not least <= given <= most:
                yield Wrong("is out of range.", f"Use a number from {least} to {most}.", (key,))

    return check


def _all(*checks: _Check) -> _Check:
    """Several checks of one table."""
    return lambda value: chain.from_iterable(check(value) for check in checks)


# --- links, in both their forms ------------------------------------------------------------------


def _links(value: Any, _: Any) -> tuple[Link, ...]:
    errors: list[Exception] = []
    links: dict[tuple[str, str], Link] = {}
    for key, app, setting, service in _spread(values.table(value)):
        try:
            link = _link(key, app, setting, service)
            first = links.setdefault((link.app, link.setting), link)
            if first is not link:
                raise Wrong("is linked twice in this file.", f"Remove it, or remove {shown(first.key)}.")
        except (Wrong, PenstockError) as error:
            errors.append(_wrong(error, key))
    if errors:
        raise ExceptionGroup("links", errors)
    return tuple(links.values())


def _spread(value: dict[str, Any]) -> Iterator[tuple[KeyPath, str, str | None, Any]]:
    """Every link as its key, app, setting and service; a setting of None was not given."""
    for key, inner in value.items():
        app, colon, setting = key.partition(":")
        if isinstance(inner, dict) and not colon:
            yield from (((key, below), key, below, service) for below, service in inner.items())
        else:
            yield (key,), app, setting if colon else None, inner


def _link(key: KeyPath, app: str, setting: str | None, service: Any) -> Link:
    if setting is None:
        raise Wrong("does not name an app and a setting.", 'Write it as "app:setting" = "service"')
    if "://" in "".join(key):
        raise Wrong("is an address where app and setting belong.", 'Write it as "app:setting" = "service"')
    return Link(
        app=values.name("app", app),
        setting=values.name("setting", setting),
        service=values.name("service", service),
        key=("links", *key),
    )


# --- apps, in both their forms -------------------------------------------------------------------


def _app(value: Any, _: Any) -> AppTable:
    """A class alone, or a table with a class and settings."""
    if not isinstance(value, dict):
        return AppTable(target=ClassPath(values.class_path(value)))
    errors: list[Exception] = [
        Wrong("is not a known key.", "Use one of: class, settings.", (key,))
        for key in sorted(value.keys() - {"class", "settings"})
    ]
    target = _part(value, "class", values.class_path, errors)
    settings = _part(value, "settings", values.table, errors)
    if errors:
        raise ExceptionGroup("app", errors)
    return AppTable(target=None if target is None else ClassPath(target), settings=settings or {})


def _part(value: dict[str, Any], key: str, read: Callable[[Any], Any], errors: list[Exception]) -> Any:
    try:
        return read(value[key]) if key in value else None
    except Wrong as error:
        errors.append(_wrong(error, (key,)))
        return None


_RENAMED: Mapping[str, str] = {"pool_size": "max_connections", "max_overflow": "max_connections"}
_RENAMED_MEANS = "the most connections of a process to one server, over all its stores"
_CONNECTIONS = (1, 10_000)
_DAY = 86_400
_LIMITS: Mapping[str, tuple[float, float]] = {
    "max_connections": _CONNECTIONS,
    "pool_timeout": (0, _DAY),
    "pool_recycle": (-1, 31_536_000),
    "connect_timeout": (1, _DAY),
    "statement_timeout": (0.001, _DAY),
    "refresh_interval": (0, _DAY),
}
_VALUES: Mapping[Any, _Hook] = {
    int: values.whole_number,
    float: values.number,
    bool: values.flag,
    URL: values.address,
    SecretRef: values.reference,
    AppTable: _app,
    Links: _links,
    RoleMode: values.choice(RoleMode),
}
# A table stands after those inside it.
_TABLES: Mapping[Any, _Check] = {
    ServiceTable: _all(
        _password_without("admin_url", "admin_password"), _within({"max_connections": _CONNECTIONS})
    ),
    Services: _names("service"),
    Apps: _names("app"),
    EngineOptions: _within(_LIMITS),
    FileTable: _all(_password_without("registry", "registry_password"), _within({"keep_dropped": (0, 3650)})),
}
