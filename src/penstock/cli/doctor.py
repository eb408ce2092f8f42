"""Checks everything there is, and says what to do about what is wrong."""

from __future__ import annotations

import stat
from dataclasses import asdict, dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

import click

from penstock.cli import output, progress
from penstock.cli.root import FAILED, example, json_option
from penstock.cli.state import FOLDER, State, pass_state
from penstock.errors import ConfigError, ConfigProblems, PenstockError
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from penstock.connect import ServiceAccount
    from penstock.connect.health import ServiceHealth
    from penstock.provision.status import StoreStatus
    from penstock.registry import BoundServices, Service
    from penstock.registry.file import FileConfig


class Verdict(Enum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Args:
        check: What kind of thing.
        subject: Which one.
        result: How it came out.
        message: What was found.
        hint: What to do about it.
    """

    check: str
    subject: str
    result: Verdict
    message: str = ""
    hint: str = ""


@click.command()
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="How many processes use the stores.",
)
@json_option
@pass_state
@example("penstock doctor", "penstock doctor --processes 16", "penstock doctor --json")
def doctor(state: State, processes: int, as_json: bool) -> None:
    """Check the configuration, permissions, secrets, services, apps, settings and stores.

    Exits 1 if something has to be mended.
    """
    findings = []
    for finding in _findings(state, processes):
        findings.append(finding)
        if not as_json:
            output.checked(finding.result.value, finding.check, finding.subject, finding.message)
            if finding.hint and finding.result is not Verdict.OK:
                output.hint(finding.hint)
    failed = any(finding.result is Verdict.FAIL for finding in findings)
    if as_json:
        rows = [asdict(finding) | {"result": finding.result.value} for finding in findings]
        output.document({"ok": not failed, "checks": rows})
    if failed:
        click.get_current_context().exit(FAILED)


def _findings(state: State, processes: int) -> Iterator[Finding]:
    """Everything, in the order in which one thing rests on another."""
    try:
        config = state.stores.config
    except ConfigError as error:
        yield from _config_problems(error)
        return
    yield _config(config)
    if config is not None:
        yield from _permissions(config.path.parent / FOLDER)
    yield from _bindings()
    try:
        yield from _links(state)
        yield from _secrets(state)
        yield from _services(state, processes)
        for check in (_apps, _stray, _settings, _stores):
            yield from check(state)
    except PenstockError as error:
        yield _failure("registry", "registry", error)


# --- configuration --------------------------------------------------------------------------------


def _config_problems(error: ConfigError) -> Iterator[Finding]:
    if not isinstance(error, ConfigProblems):
        yield _failure("configuration", "", error)
        return
    for each in error.problems:
        message = f"{each.key}: {each.message}" if each.key else each.message
        yield Finding("configuration", f"{each.file}:{each.line}", Verdict.FAIL, message, each.hint)


def _config(config: FileConfig | None) -> Finding:
    from penstock.registry.file import no_config_file

    if config is None:
        return Finding(
            "configuration",
            "penstock.toml",
            Verdict.WARN,
            f"{no_config_file()} Only the environment answers.",
            "penstock init",
        )
    return Finding("configuration", str(config.path), Verdict.OK)


def _bindings() -> Iterator[Finding]:
    """What platforms put into the environment, where they did."""
    from penstock.registry import bound_services

    for bound in bound_services():
        if bound.is_set():
            yield _tried("bindings", bound.label, partial(_named, bound))


def _named(bound: BoundServices) -> str:
    return ", ".join(service.name for service in bound.services()) or "No service of a known kind."


def _links(state: State) -> Iterator[Finding]:
    from penstock.registry.file import check_links

    config = state.stores.config
    if config is not None:
        try:
            check_links(config, [service.name for service in state.stores.registry.services()])
        except ConfigError as error:
            yield from _config_problems(error)


def _permissions(folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        yield Finding("permissions", str(folder), Verdict.WARN, "The folder is not there.", "penstock init")
        return
    secrets = [*folder.glob("key"), *(folder / "secrets").rglob("*")]
    private = [folder, *sorted(path for path in secrets if path.is_file())]
    bad = [path for path in private if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    for path in bad:
        mode = stat.filemode(path.stat().st_mode)
        yield Finding(
            "permissions", str(path), Verdict.FAIL, f"Others can reach it: {mode}.", f"chmod go= {path}"
        )
    if not bad:
        yield Finding("permissions", str(folder), Verdict.OK, "Nobody else can reach it.")


# --- services -------------------------------------------------------------------------------------


def _secrets(state: State) -> Iterator[Finding]:
    from penstock.connect import ServiceAccount

    for service in state.stores.registry.services():
        for role in ServiceAccount:
            ref = role.password(service)
            if ref is not None:
                attempt = partial(_read, state, service, role)
                yield _tried("secret", f"{service.name} {ref.shown}", attempt)


def _read(state: State, service: Service, role: ServiceAccount) -> str:
    from penstock.connect import read_password

    read_password(service, role, state.stores.keyring)
    return ""


def _services(state: State, processes: int) -> Iterator[Finding]:
    with progress.waiting("asking the servers"):
        answers = state.stores.services.check()
    for health in answers:
        if health.problem is not None:
            yield _failure("service", health.service, health.problem)
            continue
        service = state.stores.services.get(health.service)
        where = output.address(service.url)
        yield Finding("service", health.service, Verdict.OK, f"{health.version} at {where}")
        yield from _connections(health, processes)
        yield from _roles(health, service.roles.value)


def _connections(health: ServiceHealth, processes: int) -> Iterator[Finding]:
    """Whether the server has room for what all processes may have of it."""
    if health.connection_limit is None or health.connections is None:
        return
    each = health.connections.limit
    fits = processes * each <= health.connection_limit
    many = "1 process" if processes == 1 else f"{processes} processes"
    yield Finding(
        "connections",
        health.service,
        Verdict.OK if fits else Verdict.WARN,
        f"{many} with up to {each} each; the server has room for {health.connection_limit}.",
        "" if fits else "Lower max_connections of the service, raise the server's, or use a pooler.",
    )


def _roles(health: ServiceHealth, wanted: str) -> Iterator[Finding]:
    """Whether stores get roles of their own, where there is such a thing."""
    problem = health.no_roles
    if health.roles:
        yield Finding("roles", health.service, Verdict.OK, "Each store gets its own.")
    elif problem is not None:
        verdict = {"service": Verdict.OK, "store": Verdict.FAIL}.get(wanted, Verdict.WARN)
        message = f"Apps log in with the service's role. {problem.what} {problem.why}".strip()
        yield Finding("roles", health.service, verdict, message, problem.hint)


# --- apps -----------------------------------------------------------------------------------------


def _apps(state: State) -> Iterator[Finding]:
    found = list(state.apps)
    if not found:
        yield Finding(
            "app",
            "none",
            Verdict.WARN,
            "No app was found.",
            "Install one, list it in [apps] of penstock.toml, or name it: --app module:Class",
        )
    for app in found:
        if app.error is None:
            yield Finding("app", app.package, Verdict.OK, f"{app.target} ({output.shorten(app.where)})")
        else:
            yield _failure("app", app.package, app.error)


def _stray(state: State) -> Iterator[Finding]:
    """Links and addresses that nothing takes."""
    from penstock.cli.stray import stray_addresses, stray_links

    for each in stray_links(state):
        verdict = Verdict.FAIL if each.certain else Verdict.WARN
        yield Finding("link", each.where, verdict, each.message, each.hint)
    for each in stray_addresses(state):
        yield Finding("bindings", each.where, Verdict.WARN, each.message, each.hint)


def _settings(state: State) -> Iterator[Finding]:
    stores = state.stores
    services = [service.name for service in stores.registry.services()]
    for app in stores.apps:
        for setting in app.settings:
            subject = f"{app.package}:{setting.name}"
            linked = stores.book.find_link(app.package, setting.name)
            bound = None if linked is not None else stores.book.find(app, setting.name)
            if linked is not None and linked.service not in services:
                message = f"{linked.service} is linked ({linked.source}), and is no service."
                verdict = Verdict.FAIL if setting.required else Verdict.WARN
                hint = did_you_mean(linked.service, services) or "penstock services list"
                yield Finding("setting", subject, verdict, message, hint)
            elif linked is not None:
                yield Finding("setting", subject, Verdict.OK, f"{linked.service} ({linked.source})")
            elif bound is not None:
                yield Finding("setting", subject, Verdict.OK, str(bound.source))
            else:
                verdict = Verdict.FAIL if setting.required else Verdict.WARN
                needed = "It is required" if setting.required else "It is optional"
                message = f"{needed}, and no service is linked."
                yield Finding(
                    "setting", subject, verdict, message, stores.book.not_linked(app, setting.name).hint
                )


def _stores(state: State) -> Iterator[Finding]:
    with progress.waiting("asking the servers"):
        statuses = state.stores.status()
    for status in statuses:
        if status.health.value != "unlinked":
            yield _store(status)


def _store(status: StoreStatus) -> Finding:
    health = status.health.value
    if (health == "dropped" and status.exists) or (health == "ready" and not status.problem):
        verdict = Verdict.OK
    else:
        severe = status.required and health not in ("ready", "orphan", "dropped")
        verdict = Verdict.FAIL if severe else Verdict.WARN
    message = f"{health}. {status.problem}" if status.problem else health
    return Finding("store", f"{status.app}:{status.store}", verdict, message, status.hint)


# --- verdicts -------------------------------------------------------------------------------------


def _tried(check: str, subject: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(check, subject, Verdict.OK, attempt())
    except PenstockError as error:
        return _failure(check, subject, error)


def _failure(check: str, subject: str, error: PenstockError) -> Finding:
    return Finding(check, subject, Verdict.FAIL, f"{error.what} {error.why}".strip(), error.hint)
