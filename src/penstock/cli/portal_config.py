"""Takes over what a `portal_config.yml` of Tethys Portal says."""

from __future__ import annotations

import os
import shlex
import tempfile
from typing import TYPE_CHECKING, Any

import click

from penstock.cli import output
from penstock.cli.link import say_link
from penstock.cli.root import FAILED
from penstock.errors import PenstockError, UnknownApp, UnknownService

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.cli.state import State
    from penstock.declare import AppDeclaration
    from penstock.install.links import RequestedLink
    from penstock.install.portal import PortalApp, PortalServer

SUFFIXES = (".yml", ".yaml")
"""How the names of such files end."""


def import_portal(state: State, file: Path) -> None:
    """Register its servers, link its services, and write the values of its custom settings.

    What is there already stays as it is. No password, and no value, is printed.
    """
    from penstock.install.portal import read_portal

    found = read_portal(file)
    for server in found.servers:
        _put_server(state, server)
    results = [_take_over(state, package, app) for package, app in found.apps.items()]
    for each in found.repeated:
        output.say(output.shorten(each))
    for each in found.left:
        output.say(f"left out, since it is of no use here: {output.shorten(each)}")
    if not all(results):
        click.get_current_context().exit(FAILED)


def _put_server(state: State, server: PortalServer) -> None:
    from penstock.connect import ServiceAccount, seal_password
    from penstock.registry import Service
    from penstock.registry.registered import checked_url

    stores = state.writable
    if server.name in {service.name for service in stores.registry.services()}:
        output.say(f"service {server.name} is there already, so {server.where} changes nothing")
        return
    url = checked_url(server.url.render_as_string(hide_password=False))
    service = Service(name=server.name, url=url)
    if server.password:
        service = seal_password(service, ServiceAccount.SERVICE, server.password, stores.keyring)
    stores.services.add(service)
    output.done(f"service {server.name} is {output.address(url)}  ({server.where})")


# --- apps -----------------------------------------------------------------------------------------


def _take_over(state: State, package: str, said: PortalApp) -> bool:
    try:
        app = state.app(package)
    except UnknownApp as error:
        output.error(error)
        output.note(f"once {package} is here, import the file again")
        return False
    linked = [_linked(state, app, link) for link in said.links]
    values = {name: value for name, value in said.values.items() if _is_to_be_written(state, package, name)}
    if values:
        _write_values(state, package, values)
    return all(linked)


def _linked(state: State, app: AppDeclaration, link: RequestedLink) -> bool:
    from penstock.install import link_all

    [result] = link_all(state.writable, app, (link,))
    say_link(state.stores, app, result)
    if isinstance(result.error, UnknownService):
        name = shlex.quote(link.service)
        add = f"penstock services add {name} postgresql://user@host:5432"
        output.note(f"the portal keeps addresses in its own database, so say it: {add}")
    return result.error is None


def _is_to_be_written(state: State, package: str, name: str) -> bool:
    """Whether a value goes into `penstock.toml`; says so if it does not."""
    from penstock.registry.bindings import setting_variable

    config, variable = state.writable.config, setting_variable(package, name)
    declared = state.apps.class_of(package).other_declarations()
    kinds = {each.value_kind for each in declared if each.name == name} - {None}
    if not kinds:
        output.say(f"left out, since {package} declares no such setting: {name}")
    elif "secret" in kinds:
        output.say(f"left out, since it is a secret: {name} of {package}; give it as {variable}")
    elif config is not None and name in config.app_settings.get(package, {}):
        output.say(f"{name} of {package} is in {config.label} already")
    else:
        return True
    return False


# --- penstock.toml --------------------------------------------------------------------------------


def _write_values(state: State, package: str, values: Mapping[str, Any]) -> None:
    import tomlkit

    config = state.writable.config
    if config is None:
        return
    document = tomlkit.parse(config.path.read_text("utf-8"))
    apps = document.setdefault("apps", tomlkit.table(is_super_table=True))
    app = apps.get(package)
    if not isinstance(app, dict):
        apps.pop(package, None)
        table = tomlkit.table()
        if app is not None:
            table["class"] = app
        apps[package] = table
    settings = apps[package].setdefault("settings", tomlkit.table())
    written = [name for name, value in values.items() if _has_put(settings, name, value, package)]
    if not written:
        return
    _exchange(config.path, tomlkit.dumps(document))
    names = ", ".join(written)
    output.done(output.shorten(f"{config.label} has, under [apps.{package}.settings]: {names}"))


def _has_put(settings: Any, name: str, value: object, package: str) -> bool:
    """Put a value into a table; says so, without the value, if none can hold it."""
    from tomlkit.exceptions import TOMLKitError

    try:
        settings[name] = value
    except (TOMLKitError, ValueError, TypeError):
        output.say(f"left out, since TOML can't hold it: {name} of {package}")
        return False
    return True


def _exchange(path: Path, text: str) -> None:
    """Replace the text of a file atomically; an invalid text is not written."""
    from penstock.registry.document import parsed
    from penstock.registry.shape import Misshapen, shaped

    try:
        shaped(parsed(text.encode(), str(path))[0])
    except Misshapen as error:
        raise PenstockError(
            f"The values can't be written to {path}.",
            why=error.wrongs[0].message,
            hint="Write them there.",
        ) from None
    real = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=real.parent, prefix=".penstock-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), real.stat().st_mode & 0o7777)
        os.replace(name, real)
    except BaseException:
        os.unlink(name)
        raise
