"""Checks the passwords of services, and gives them a new key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from penstock.cli import output
from penstock.cli.root import FAILED, example, json_option, yes_option
from penstock.cli.state import State, pass_state

if TYPE_CHECKING:
    from penstock.connect import ServiceAccount
    from penstock.registry import Credential, Service
    from penstock.stores import Stores


@click.group()
def secrets() -> None:
    """The passwords of services, and the keys they are sealed with."""


@secrets.command()
@json_option
@pass_state
@example("penstock secrets check", "penstock secrets check --json")
def check(state: State, as_json: bool) -> None:
    """Look every password up, and say where it is and whether it can be had. Shows none.

    Exits 1 if one can't be had.
    """
    from penstock.connect import ServiceAccount

    stores = state.stores
    asked = [(service, role) for service in stores.registry.services() for role in ServiceAccount]
    rows = [_row(stores, service, role) for service, role in asked if role.password(service) is not None]
    rows += [_login_row(stores, login) for login in stores.registry.credentials()]
    columns = [
        output.column("service"),
        output.column("role"),
        output.column("password", fold=True),
        output.Column(title="result", value=lambda row: "ok" if row["ok"] else "failed"),
        output.source_column(),
    ]
    well = output.results("secrets", rows, columns, as_json=as_json, empty="No service has a password.")
    state.say_absent(lacking=not rows)
    if not well:
        click.get_current_context().exit(FAILED)


@secrets.command("rotate-key")
@click.option("--drop-old", is_flag=True, help="Then forget the keys that nothing is sealed with any more.")
@yes_option
@pass_state
@example("penstock secrets rotate-key", "penstock secrets rotate-key --drop-old")
def rotate_key(state: State, drop_old: bool, yes: bool) -> None:
    """Seal every password with a new key.

    Makes a key and puts it first, unless there are several keys already: then a rotation has begun, and
    this goes on with it. The passwords stay the same. Keys in PENSTOCK_KEY are yours to change: put
    a new one in front, then run this. Exits 1 if a password could not be sealed again.
    """
    stores = state.writable
    with stores.keyring.held():
        _begin(stores)
        failed = _reseal(stores)
    old = _unused(stores)
    if old and drop_old:
        _drop(stores, old, yes=yes)
    elif old:
        output.say(f"\nNothing is sealed with {_named(old)} any more.")
        output.say(f"Next: {_how_to_drop(stores)}")
    if failed:
        click.get_current_context().exit(FAILED)


# --- check ----------------------------------------------------------------------------------------


def _login_row(stores: Stores, login: Credential) -> dict[str, Any]:
    """A login of a store's own."""
    from penstock.connect.credentials import read_credential
    from penstock.connect.resealing import writable_base

    row = {
        "service": login.service,
        "role": login.login,
        "password": login.password.shown,
        "key": login.password.key_id,
        "source": writable_base(stores.registry).label,
    }
    service = stores.services.get
    return output.tried(row, lambda: read_credential(service(login.service), login, stores.keyring))


def _row(stores: Stores, service: Service, role: ServiceAccount) -> dict[str, Any]:
    from penstock.connect import read_password

    ref = role.password(service)
    row = {
        "service": service.name,
        "role": role.value,
        "password": "" if ref is None else ref.shown,
        "key": None if ref is None else ref.key_id or None,
        "source": str(service.source),
    }
    return output.tried(row, lambda: read_password(service, role, stores.keyring))


# --- rotation -------------------------------------------------------------------------------------


def _begin(stores: Stores) -> None:
    """Make a new key, unless a rotation has begun."""
    from penstock.registry import journalled

    keyring = stores.keyring
    if len(keyring.keys()) == 1:
        with journalled(stores.registry, "make key", keyring.source):
            made = keyring.add_key()
        output.done(output.shorten(f"made key {made.id}  ({keyring.source})"))


def _reseal(stores: Stores) -> bool:
    """Seal again what older keys have sealed; whether something was left."""
    from penstock.connect import reseal

    results = list(reseal(stores.registry, stores.keyring))
    for each in results:
        if each.error is None:
            what = f"service {each.service}"
            what = what if each.stores is None else f"the logins of {each.stores} stores on {what}"
            output.done(f"{what} {'is' if each.stores is None else 'are'} sealed with key {each.key}")
        else:
            output.error(each.error)
    if not results:
        output.say(f"Everything that is sealed is sealed with key {stores.keyring.keys()[0].id}.")
    return any(each.error is not None for each in results)


def _unused(stores: Stores) -> list[str]:
    """The keys behind the first that nothing is sealed with."""
    from penstock.connect import keys_in_use

    used = keys_in_use(stores.registry)
    return [key.id for key in stores.keyring.keys()[1:] if key.id not in used]


def _drop(stores: Stores, old: list[str], *, yes: bool) -> None:
    from penstock.registry import journalled

    stores.keyring.writable_file()
    losses = [f"Forgets {_named(old)} for ever: what a backup has sealed with it can't be opened again."]
    output.confirm(losses, f"Drop {_named(old)}?", yes=yes)
    keyring = stores.keyring
    with keyring.held(), journalled(stores.registry, "drop keys", ", ".join(old)):
        keyring.drop_keys(set(old) & set(_unused(stores)))
    output.done(f"dropped {_named(old)}")


def _named(keys: list[str]) -> str:
    return f"{'key' if len(keys) == 1 else 'keys'} {', '.join(keys)}"


def _how_to_drop(stores: Stores) -> str:
    if stores.keyring.file is None:
        return f"take it out of {stores.keyring.source}"
    return "penstock secrets rotate-key --drop-old"
