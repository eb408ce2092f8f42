"""Lists, adds, changes, removes and tests the servers that stores can be made on."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from penstock.cli import output, progress
from penstock.cli.names import complete_services
from penstock.cli.passwords import Given, password_options
from penstock.cli.portable import export, import_
from penstock.cli.root import FAILED, example, json_option, yes_option
from penstock.cli.state import State, pass_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.connect import ServiceAccount
    from penstock.registry import Service
    from penstock.registry.registered import Users
    from penstock.secrets import SecretRef
    from penstock.stores import Stores

_Command = TypeVar("_Command", bound="Callable[..., Any]")


def limit_options(function: _Command) -> _Command:
    """Give a command the options for what a server gives: connections, and roles."""
    most = "Connections a process may have to it; 0 for the figure of [engine]."
    pooled = "Whether URL leads through a pooler that gives each transaction another session."
    function = click.option("--max-connections", type=click.IntRange(0), metavar="N", help=most)(function)
    own = "Whether its stores get roles of their own: where that can be done (auto), always, never."
    words = click.Choice(["auto", "store", "service"])
    function = click.option("--roles", type=words, help=own)(function)
    return click.option("--pooled/--no-pooled", default=None, help=pooled)(function)


@click.group()
def services() -> None:
    """The servers that stores can be made on."""


@services.command("list")
@json_option
@pass_state
@example("penstock services list", "penstock services list --json")
def list_(state: State, as_json: bool) -> None:
    """List the services: address, where the password is, how many use it, who defines it."""
    found = state.stores.registry.services()
    rows = [_row(state.stores, service) for service in found]
    columns = [
        output.column("service"),
        output.Column(title="address", value=lambda row: output.address(row["url"]), fold=True),
        output.column("password", fold=True),
        output.Column(
            title="used by", value=lambda row: list(dict.fromkeys([*row["settings"], *row["stores"]]))
        ),
        output.source_column(),
    ]
    empty = "There are no services. Add one: penstock services add main postgresql://user@host:5432"
    output.listing("services", rows, columns, as_json=as_json, empty=empty)
    state.say_absent(lacking=not rows)
    for service in [] if as_json else found:
        if service.problem is not None:
            what = f"service {service.name} can't be used"
            output.problem(what, service.problem.what, service.problem.hint)
        for role, following in (("", service.next_password), (" --admin", service.next_admin_password)):
            if following is not None:
                again = f"penstock services rotate {service.name}{role}"
                output.problem(f"service {service.name} is getting a new password", "", again)


@services.command()
@click.argument("name")
@click.argument("url")
@click.option("--admin-url", metavar="URL", help="The administrator's address: direct, not through a pooler.")
@password_options
@limit_options
@pass_state
@example(
    "penstock services add main postgresql://provisioner@db.example.org:5432 --password-env MAIN_PW",
    "penstock services add files sqlite:////srv/stores",
)
def add(state: State, /, name: str, url: str, admin_url: str | None, **options: Any) -> None:
    """Register a server under NAME.

    URL has no password in it: say where the password is by an option. A password that is typed or
    piped in is sealed in the registry with the key of this deployment; on a terminal it is asked for,
    if the address has a user. Give both passwords by stdin as two lines, the service's first.
    """
    from penstock.registry import Service
    from penstock.registry.conflicts import service_exists

    stores = state.writable
    if any(service.name == name for service in stores.registry.services()):
        raise service_exists(name)
    new = Service(name=name, url=_kept_form(url), admin_url=_kept_form(admin_url) if admin_url else None)
    new = _with_limits(new, options)
    passwords = _passwords(options, None, new)
    with stores.keyring.held():
        added = stores.services.add(_with_passwords(stores, new, passwords))
    _said(stores, added)
    output.say(f"\nNext: penstock services test {name}")


@services.command()
@click.argument("name", shell_complete=complete_services)
@click.option("--url", help="Its new address.")
@click.option("--admin-url", metavar="URL", help="The administrator's new address.")
@click.option("--no-admin", is_flag=True, help="Forget the administrator's address and password.")
@password_options
@limit_options
@pass_state
@example(
    "penstock services edit main --url postgresql://provisioner@db2.example.org:5432 --password-env MAIN_PW"
)
def edit(state: State, /, name: str, url: str | None, admin_url: str | None, **options: Any) -> None:
    """Change a registered server; what isn't given stays as it is.

    A service that is to point elsewhere needs its password again, so that no password is ever sent to
    a server it was not meant for. At a prompt, an empty answer keeps the password that there is.
    """
    from penstock.registry.conflicts import defined_elsewhere

    stores = state.writable
    old = stores.services.get(name)
    if not old.source.writable:
        raise defined_elsewhere(old)
    new = _with_limits(replace(old, url=_kept_form(url) if url else old.url), options)
    if admin_url:
        new = replace(new, admin_url=_kept_form(admin_url))
    if options.pop("no_admin"):
        new = replace(new, admin_url=None, admin_password=None)
    passwords = _passwords(options, old, new)
    with stores.keyring.held():
        edited = stores.services.edit(_with_passwords(stores, new, passwords))
    _said(stores, edited)


@services.command()
@click.argument("name", shell_complete=complete_services)
@click.option("--admin", is_flag=True, help="The administrator's password instead of the service's.")
@click.option("--seal", is_flag=True, help="Also one kept in a variable or file: seal the new one here.")
@pass_state
@example("penstock services rotate main", "penstock services rotate main --seal")
def rotate(state: State, name: str, admin: bool, seal: bool) -> None:
    """Give the service's role a new random password, on its server and in the registry.

    Running processes go on: the new password is remembered before the server is told, and whoever is
    refused with one of the two tries the other. Whatever ends this half-way, run it again.
    """
    from penstock.connect import ServiceAccount

    stores = state.writable
    role = ServiceAccount.ADMINISTRATOR if admin else ServiceAccount.SERVICE
    before = role.password(stores.services.get(name))
    with stores.keyring.held(), progress.waiting(progress.LOOKING):
        after = role.password(stores.services.rotate(name, role, seal=seal))
    output.done(f"the {role.value}'s password of service {name} is new: {after.shown if after else '-'}")
    if before is not None and not before.key_id:
        output.note(f"{before.shown} is not used any more, and holds the old password")


@services.command()
@click.argument("name", shell_complete=complete_services)
@click.option("--force", is_flag=True, help="Also while it is used: unlink it, forget its stores.")
@yes_option
@pass_state
@example("penstock services remove main", "penstock services remove main --force --yes")
def remove(state: State, name: str, force: bool, yes: bool) -> None:
    """Forget a server. Databases stay as they are.

    Refused while settings are linked to it or stores live on it, unless --force is given.
    """
    stores = state.writable
    service, users = stores.services.get(name), stores.services.users(name)
    if force or not (users.links or users.stores):
        losses = _losses(service, users)
        output.confirm(losses, f"Remove service {name}?", yes=yes or not service.source.writable)
    stores.services.remove(name, force=force)
    output.done(f"removed service {name}  ({output.shorten(str(service.source))})")


@services.command()
@click.argument("name", required=False, shell_complete=complete_services)
@json_option
@pass_state
@example("penstock services test main", "penstock services test")
def test(state: State, name: str | None, as_json: bool) -> None:
    """Connect to a server, or to all, and print its version. Exits 1 if one can't be used."""
    stores = state.stores
    chosen = [stores.services.get(name)] if name else stores.registry.services()
    with progress.waiting("asking the servers"):
        rows = [row for service in chosen for row in _tests(stores, service)]
    columns = [
        output.column("service"),
        output.column("role"),
        output.Column(title="result", value=lambda row: "ok" if row["ok"] else "failed"),
        output.Column(title="version", value=_version),
        output.Column(title="time", value=lambda row: f"{row['seconds']:.2f} s", right=True),
        output.Column(title="address", value=lambda row: output.address(row["url"]), fold=True),
    ]
    well = output.results("services", rows, columns, as_json=as_json, empty="There are no services.")
    state.say_absent(lacking=not rows)
    if not well:
        click.get_current_context().exit(FAILED)


# --- addresses and passwords ----------------------------------------------------------------------


def _with_limits(service: Service, options: dict[str, Any]) -> Service:
    from penstock.registry import RoleMode

    pooled, most, roles = options.pop("pooled"), options.pop("max_connections"), options.pop("roles")
    if pooled is not None:
        service = replace(service, pooled=pooled)
    if roles is not None:
        service = replace(service, roles=RoleMode(roles))
    return service if most is None else replace(service, max_connections=most or None)


def _passwords(
    options: dict[str, Any], old: Service | None, new: Service
) -> dict[ServiceAccount, SecretRef | str | None]:
    """What each role's password shall be: a reference, none, or a text that is to be sealed."""
    from penstock.connect import ServiceAccount

    given = {
        ServiceAccount.SERVICE: Given.of(options),
        ServiceAccount.ADMINISTRATOR: Given.of(options, "admin_"),
    }
    if new.admin_url is None and given[ServiceAccount.ADMINISTRATOR].anything:
        raise click.UsageError("Say where the administrator's server is: --admin-url URL")
    return {role: _password(role, given[role], old, new) for role in ServiceAccount}


def _password(
    role: ServiceAccount, given: Given, old: Service | None, new: Service
) -> SecretRef | str | None:
    from penstock.connect import same_audience

    url = role.url(new)
    if url is None:
        return None
    keeps = old is not None and role.url(old) is not None and same_audience(old, new, role)
    kept = role.password(new) if keeps else None
    if not given.anything:
        if keeps or not _must_be_asked(role, old, url):
            return kept
        given = Given(prompt=True)
    typed = given.read(_prefix(role), "empty for none" if kept is None else "empty keeps it")
    return typed or (kept if given.prompt else given.reference)


def _must_be_asked(role: ServiceAccount, old: Service | None, url: str) -> bool:
    """Whether to ask for a password that the new address needs; raises UsageError if nobody can be asked."""
    if sys.stdin.isatty() and _has_user(url):
        return True
    if old is not None and role.url(old) is not None and role.password(old) is not None:
        option = f"{_prefix(role)}password"
        raise click.UsageError(
            "The service is to point elsewhere, so its password has to be given again: "
            f"--{option}-env, --{option}-file, --{option}-stdin, --no-{option}."
        )
    return False


def _prefix(role: ServiceAccount) -> str:
    """What the role's options begin with."""
    return "admin-" if role.value == "administrator" else ""


def _with_passwords(
    stores: Stores, service: Service, passwords: dict[ServiceAccount, SecretRef | str | None]
) -> Service:
    from penstock.connect import seal_password

    for role, password in passwords.items():
        if isinstance(password, str):
            service = seal_password(service, role, password, stores.keyring)
        else:
            service = role.with_password(service, password)
    return service


def _kept_form(url: str) -> str:
    """An address as it is kept; a relative path is relative to the working directory."""
    from penstock.backends import parse_url
    from penstock.registry.file import absolute_url
    from penstock.registry.registered import checked_url

    checked_url(url)
    return absolute_url(parse_url(url), Path.cwd())


def _has_user(url: str) -> bool:
    from penstock.backends import parse_url

    return parse_url(url).username is not None


def _said(stores: Stores, service: Service) -> None:
    source = stores.services.get(service.name).source
    line = f"service {service.name} is {output.address(service.url)}, {_where(service.password)}  ({source})"
    output.done(output.shorten(line))


def _where(password: SecretRef | None) -> str:
    if password is None:
        return "without a password"
    return f"password {password.shown}" if password.key_id else f"password from {password.shown}"


# --- rows -----------------------------------------------------------------------------------------


def _row(stores: Stores, service: Service) -> dict[str, Any]:
    users = stores.services.users(service.name)
    settings = [f"{a.app}:{a.setting}" for a in users.links]
    living = [f"{s.app}:{s.name}" for s in users.stores]
    return {
        "service": service.name,
        "url": service.url,
        "password": None if service.password is None else service.password.shown,
        "admin_url": service.admin_url,
        "admin_password": None if service.admin_password is None else service.admin_password.shown,
        "pooled": service.pooled,
        "max_connections": service.max_connections,
        "roles": service.roles.value,
        "rotating": bool(service.next_password or service.next_admin_password),
        "settings": settings,
        "stores": living,
        "source": str(service.source),
        "problem": output.problem_row(service.problem),
    }


def _losses(service: Service, users: Users) -> list[str]:
    lines = [f"Forgets service {service.name}, {output.address(service.url)} ({service.source})."]
    lines += [f"Unlinks it from {a.app}:{a.setting} ({a.source})." for a in users.links]
    lines += [f"Forgets {s.app}:{s.name}; its database {s.database} stays." for s in users.stores]
    return [output.shorten(line) for line in lines]


def _version(row: output.Row) -> str:
    return str(row["version"]).split(" (")[0] if row["ok"] else output.UNKNOWN


def _tests(stores: Stores, service: Service) -> list[dict[str, Any]]:
    """How it answers, for each of its roles."""
    from penstock.connect import ServiceAccount

    roles = [(role, role.url(service)) for role in ServiceAccount]
    return [_test(stores, service, role, url) for role, url in roles if url is not None]


def _test(stores: Stores, service: Service, role: ServiceAccount, url: str) -> dict[str, Any]:
    began = time.perf_counter()
    row = {"service": service.name, "role": role.value, "url": url, "version": ""}
    tried = output.tried(row, lambda: row.update(version=stores.services.version(service, role)))
    return {**tried, "seconds": round(time.perf_counter() - began, 3)}


services.add_command(export)
services.add_command(import_)
