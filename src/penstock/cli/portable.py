"""Carries services from one registry to another, as TOML without passwords."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli import output
from penstock.cli.names import complete_services
from penstock.cli.root import example
from penstock.cli.state import State, pass_state
from penstock.errors import ConfigProblems, DefinedElsewhere, PenstockError, ServiceExists

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from penstock.connect import ServiceAccount
    from penstock.registry import Service
    from penstock.registry.locate import KeyPath
    from penstock.registry.shape import ServiceTable
    from penstock.secrets import SecretRef
    from penstock.stores import Stores

_STDIN = Path("-")


@click.command("export")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_services)
@pass_state
@example("penstock services export > services.toml", "penstock services export main")
def export(state: State, names: tuple[str, ...]) -> None:
    """Print services, all or those named, as penstock.toml has them.

    Passwords are printed as references only. One that is sealed in the registry stays there; a comment
    says so, and how to give it again. What a platform hands out by the environment is left out.
    """
    chosen = _chosen(state.stores, names)
    for n, service in enumerate(chosen):
        output.raw(("\n" if n else "") + _table(service).rstrip())
    state.say_absent(lacking=not chosen)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--replace", "replacing", is_flag=True, help="Change services that are there already.")
@pass_state
@example(
    "penstock services import services.toml",
    "penstock services export | ssh host penstock services import -",
    "penstock services import ~/.tethys/portal_config.yml",
)
def import_(state: State, file: Path, replacing: bool) -> None:
    """Register the services of a TOML file, or of stdin (-); a whole penstock.toml will do.

    All are checked before the first is registered. With --replace, a sealed password is kept where the
    address stays the same.

    Of a portal_config.yml of Tethys Portal, its servers are registered, its links made, and the values of
    custom settings written to penstock.toml; what is there already stays, so it takes no --replace.
    """
    from penstock.cli.portal_config import SUFFIXES, import_portal

    if file.suffix in SUFFIXES:
        if replacing:
            raise click.UsageError(
                "Of a portal's file, nothing replaces what is there: leave out --replace.",
                click.get_current_context(),
            )
        import_portal(state, file)
        return
    stores = state.writable
    given = _read(file)
    known = {service.name: service for service in stores.registry.services()}
    _check(given, known, replacing=replacing)
    for service in given:
        _say_needs(_put(state, service, known.get(service.name)))


# --- out ------------------------------------------------------------------------------------------


def _chosen(stores: Stores, names: Sequence[str]) -> list[Service]:
    """The services to print; raises for one that is named and can't be carried anywhere."""
    if not names:
        return [each for each in stores.registry.services() if not _is_bound(each)]
    chosen = [stores.services.get(name) for name in dict.fromkeys(names)]
    for service in chosen:
        if _is_bound(service):
            raise DefinedElsewhere(
                f"Service {service.name!r} is handed out by {service.source}, so it can't be exported.",
                hint="Bind it to the other place as well.",
            )
    return chosen


def _is_bound(service: Service) -> bool:
    return service.source.kind == "environment"


def _table(service: Service) -> str:
    """The service as `penstock.toml` has it, comments above."""
    import tomlkit

    lines = [f"# {line}\n" for line in _sealed(service)]
    return "".join(lines) + tomlkit.dumps({"services": {service.name: dict(_keys(service))}})


def _keys(service: Service) -> Iterator[tuple[str, str | int | bool]]:
    from penstock.registry import RoleMode

    yield "url", _written(service.url)
    if _can_go(service.password):
        yield "password", str(service.password)
    if service.admin_url is not None:
        yield "admin_url", _written(service.admin_url)
        if _can_go(service.admin_password):
            yield "admin_password", str(service.admin_password)
    if service.pooled:
        yield "pooled", True
    if service.max_connections is not None:
        yield "max_connections", service.max_connections
    if service.roles is not RoleMode.AUTO:
        yield "roles", service.roles.value


def _written(url: str) -> str:
    """An address without the driver's name, if it is the one that is used anyway."""
    from penstock.registry.registered import checked_url

    short = output.address(url)
    return short if checked_url(short) == url else url


def _can_go(password: SecretRef | None) -> bool:
    return password is not None and not _is_sealed(password)


def _is_sealed(password: SecretRef | None) -> bool:
    from penstock.secrets import SEALED

    return password is not None and password.scheme == SEALED


def _sealed(service: Service) -> Iterator[str]:
    from penstock.connect import ServiceAccount

    for role in ServiceAccount:
        if _is_sealed(role.password(service)):
            yield f"The {role.value}'s password is sealed where this comes from, and stays there."
            yield f"After the import: {_command(service.name, role)}"


def _command(name: str, role: ServiceAccount) -> str:
    """What gives a password of a service."""
    return (
        f"penstock services edit {name} --prompt-{'admin-' if role.value == 'administrator' else ''}password"
    )


# --- in -------------------------------------------------------------------------------------------


def _read(file: Path) -> list[Service]:
    """The services of a file, paths in them made absolute; raises ConfigProblems for all that is wrong."""
    from penstock.registry.document import parsed
    from penstock.registry.problems import Wrong, problem_at
    from penstock.registry.shape import Misshapen, shaped
    from penstock.registry.trust import read_trusted

    is_stdin = file == _STDIN
    label = "<stdin>" if is_stdin else output.shorten(str(file))
    document, lines = parsed(sys.stdin.buffer.read() if is_stdin else read_trusted(file.absolute()), label)
    try:
        tables = shaped(document).services
    except Misshapen as error:
        raise ConfigProblems(problem_at(label, lines, wrong) for wrong in error.wrongs) from None
    if not tables:
        missing = Wrong("is missing.", "Add [services.NAME]", ("services",))
        raise ConfigProblems([problem_at(label, lines, missing, 1)])
    folder = Path.cwd() if is_stdin else file.absolute().parent
    return _services(tables, folder, label, lines)


def _services(
    tables: Mapping[str, ServiceTable], folder: Path, label: str, lines: Mapping[KeyPath, int]
) -> list[Service]:
    from penstock.registry.problems import Wrong, problem_at

    found, problems = [], []
    for name, table in tables.items():
        try:
            found.append(_service(name, table, folder))
        except PenstockError as error:
            problems.append(problem_at(label, lines, Wrong(error.what, error.hint, ("services", name))))
    if problems:
        raise ConfigProblems(problems)
    return found


def _service(name: str, table: ServiceTable, folder: Path) -> Service:
    from penstock.registry import Source
    from penstock.registry.file import service_of
    from penstock.registry.registered import checked_url

    found = service_of(name, table, folder, Source("memory", str(folder)))
    admin = found.admin_url
    return replace(found, url=checked_url(found.url), admin_url=None if admin is None else checked_url(admin))


def _check(given: Sequence[Service], known: Mapping[str, Service], *, replacing: bool) -> None:
    """Raise unless each of them can be registered."""
    from penstock.registry.conflicts import defined_elsewhere

    there = [known[service.name] for service in given if service.name in known]
    if there and not replacing:
        names = ", ".join(service.name for service in there)
        raise ServiceExists(
            f"There are services of these names already: {names}.",
            why="Nothing was imported.",
            hint="Add --replace to change them, or leave them out of the file.",
        )
    for service in there:
        if not service.source.writable:
            raise defined_elsewhere(service)


def _put(state: State, service: Service, old: Service | None) -> Service:
    """Register a service, or change the one that is there; as it is now."""
    services = state.stores.services
    new = service if old is None else _with_kept(old, service)
    if new == old:
        output.say(f"service {new.name} is like that already")
    elif old is None:
        services.add(new)
        output.done(f"service {new.name} is {output.address(new.url)}")
    else:
        services.edit(new)
        output.done(f"service {new.name} is {output.address(new.url)} now")
    return new


def _with_kept(old: Service, new: Service) -> Service:
    """The new one, with the sealed passwords of the old one that are for the same recipient."""
    from penstock.connect import ServiceAccount, same_audience

    new = replace(new, id=old.id, version=old.version)
    for role in ServiceAccount:
        before, after = role.password(old), role.password(new)
        is_kept = after == before or (after is None and _is_sealed(before))
        if is_kept and role.url(old) and role.url(new) and same_audience(old, new, role):
            new = role.with_password(new, before, role.next_password(old))
    return new


def _say_needs(service: Service) -> None:
    """Say where each password is, or that it has to be given."""
    from penstock.connect import ServiceAccount

    for role in ServiceAccount:
        if role.url(service) is not None:
            _say_need(service, role)


def _say_need(service: Service, role: ServiceAccount) -> None:
    from penstock.backends import parse_url
    from penstock.secrets import resolve

    ref, what = role.password(service), f"the {role.value}'s password"
    if ref is None:
        if parse_url(role.url(service) or "").username is not None:
            output.say(f"  needs {what}, if its server wants one: {_command(service.name, role)}")
        return
    if _is_sealed(ref):
        output.say(f"  keeps {what}, {ref.shown}")
        return
    try:
        resolve(ref)
    except PenstockError as error:
        output.say(f"  needs {what} at {ref.shown}: {error.what}")
    else:
        output.say(f"  has {what} at {ref.shown}")
