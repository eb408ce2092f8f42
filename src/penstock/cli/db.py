"""A private PostgreSQL server of your own, registered as a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.cli import output, progress
from penstock.cli.root import example, json_option, yes_option
from penstock.cli.state import State, pass_state
from penstock.errors import ServiceExists, ServiceInUse

if TYPE_CHECKING:
    from penstock.embedded import Cluster, Credentials, ServerStatus
    from penstock.registry import Service
    from penstock.secrets import SecretRef
    from penstock.stores import Stores


@click.group()
def db() -> None:
    """A private PostgreSQL server of your own.

    It listens on the loopback address only, and its passwords are generated. Its data are in
    .penstock/postgres; made by root, they are below /var/lib/penstock, where the server's own user gets.
    """


@db.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Its port; chosen by itself, and kept.")
@click.option(
    "--binaries",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where postgres and initdb are; found by itself.",
)
@click.option("--service", "name", default="postgres", show_default=True, help="The service's name.")
@pass_state
@example("penstock db configure", "penstock db configure --port 5433 --service mine")
def configure(state: State, port: int | None, binaries: Path | None, name: str) -> None:
    """Make the server, start it, and register it as a service. What is done already is kept."""
    stores = state.writable
    old = _check_name(stores, name, state)
    with progress.waiting("making and starting the server"):
        changed = old is not None and not _has_our_passwords(old, state)
        made = _cluster(state).configure(port=port, binaries=binaries, keep_roles=changed)
    verb = _register(stores, name, made, old)
    version = stores.services.version(name)
    output.done(f"{version} runs on {made.host}:{made.port}")
    output.done(f"service {name} is {verb}  ({output.shorten(str(stores.services.get(name).source))})")


@db.command()
@pass_state
@example("penstock db start")
def start(state: State) -> None:
    """Start the server, unless it runs."""
    with progress.waiting("starting the server"):
        status = _cluster(state).start()
    output.done(f"PostgreSQL {status.version} runs on {status.host}:{status.port}")


@db.command()
@pass_state
@example("penstock db stop")
def stop(state: State) -> None:
    """Stop the server, if it runs."""
    with progress.waiting("stopping the server"):
        status = _cluster(state).stop()
    output.done(f"the server is {status.state.value}")


@db.command()
@json_option
@pass_state
@example("penstock db status", "penstock db status --json")
def status(state: State, as_json: bool) -> None:
    """Show what the server is doing, and where everything of it is."""
    row = _row(_cluster(state).status())
    if as_json:
        output.document(row)
    else:
        output.pairs({key: row[key] for key in ("state", "version", "address", "pid", "data", "log")})


@db.command()
@click.option("--force", is_flag=True, help="Also while its service is used.")
@yes_option
@pass_state
@example("penstock db remove", "penstock db remove --force --yes")
def remove(state: State, force: bool, yes: bool) -> None:
    """Stop the server and delete it with all its databases and passwords.

    Refused while its service is linked or stores live on it, unless --force is given.
    """
    stores = state.writable
    cluster = _cluster(state)
    services = [s for s in stores.registry.services() if _is_ours(s, state)]
    _refuse_if_used(stores, services, force=force)
    losses = [f"Deletes {cluster.status().data}", *_losses(stores, services)]
    output.confirm([output.shorten(line) for line in losses], "Delete the server with all its data?", yes=yes)
    for service in services:
        stores.services.remove(service.name, force=force)
    with progress.waiting("removing the server"):
        cluster.remove()
    output.done("the server is removed")


# --- the server -----------------------------------------------------------------------------------


def _secrets(state: State) -> Path:
    return (state.folder / "secrets" / "postgres").resolve()


def _cluster(state: State) -> Cluster:
    from penstock.embedded import Cluster

    return Cluster(state.folder / "postgres", secrets=_secrets(state))


def _row(status: ServerStatus) -> dict[str, Any]:
    return {
        "state": status.state.value,
        "version": status.version,
        "address": "" if status.port is None else f"{status.host}:{status.port}",
        "host": status.host,
        "port": status.port,
        "pid": status.pid,
        "data": str(status.data),
        "log": str(status.log),
        "binaries": None if status.binaries is None else str(status.binaries),
    }


# --- its service ----------------------------------------------------------------------------------


def _check_name(stores: Stores, name: str, state: State) -> Service | None:
    """The service of this name, if it is that of our server; raises ServiceExists for another's."""
    found = next((s for s in stores.registry.services() if s.name == name), None)
    if found is not None and not _is_ours(found, state):
        raise ServiceExists(
            f"There is a service named {name!r} already, for another server.",
            why=f"It is defined at {found.source}.",
            hint=f"penstock db configure --service {name}-2, or another name",
        )
    return found


def _is_ours(service: Service, state: State) -> bool:
    """Whether it takes a password from the folder that only our server uses, or leads there all the same."""
    from penstock.embedded import OWNER

    if any(_is_in(ref, _secrets(state)) for ref in (service.password, service.admin_password)):
        return True

    status = _cluster(state).status()
    return status.port is not None and _leads_to(service.url, OWNER, status.host, status.port)


def _has_our_passwords(service: Service, state: State) -> bool:
    """Whether both of its passwords are those that were made with the server."""
    return all(_is_in(ref, _secrets(state)) for ref in (service.password, service.admin_password))


def _is_in(ref: SecretRef | None, folder: Path) -> bool:
    return ref is not None and ref.scheme == "file" and Path(ref.locator).parent == folder


def _leads_to(url: str | None, user: str, host: str, port: int) -> bool:
    from penstock.backends import parse_url

    if url is None:
        return False
    parts = parse_url(url)
    return (parts.username, parts.host, parts.port) == (user, host, port)


def _register(stores: Stores, name: str, made: Credentials, old: Service | None) -> str:
    from penstock.registry import Service
    from penstock.secrets import SecretRef

    where = f"{made.host}:{made.port}"
    new = Service(
        name=name,
        url=f"postgresql://{made.owner}@{where}",
        password=SecretRef("file", str(made.owner_password_file)),
        admin_url=f"postgresql://{made.administrator}@{where}",
        admin_password=SecretRef("file", str(made.administrator_password_file)),
    )
    if old is None:
        stores.services.add(new)
        return "registered"
    ends = [(old.url, made.owner), (old.admin_url, made.administrator)]
    if all(_leads_to(url, user, made.host, made.port) for url, user in ends):
        return "registered already"  # Also with another password: `services rotate --seal` gave it.
    stores.services.edit(new)
    return "changed"


def _refuse_if_used(stores: Stores, services: list[Service], *, force: bool) -> None:
    for service in services:
        users = stores.services.users(service.name)
        if (users.links or users.stores) and not force:
            raise ServiceInUse(
                f"Service {service.name!r}, which is this server, is in use.",
                why=f"By {users}.",
                hint="penstock db remove --force deletes the server all the same, and its databases with it.",
            )


def _losses(stores: Stores, services: list[Service]) -> list[str]:
    """The stores that go with the server."""
    return [
        f"Drops {store.app}:{store.name}: database {store.database} on {service.name}"
        for service in services
        for store in stores.services.users(service.name).stores
    ]
