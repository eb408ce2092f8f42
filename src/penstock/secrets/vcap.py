"""Passwords in `VCAP_SERVICES`, where Cloud Foundry puts them: `vcap:NAME/ENTRY`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigError, SecretMissing

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One service as Cloud Foundry describes it.

    Format: https://docs.cloudfoundry.org/devguide/deploy-apps/environment-variable.html#VCAP-SERVICES

    Args:
        name: The name of the binding, else of the service instance.
        label: What kind of service it is, in the words of whoever offers it.
        tags: More words of that kind.
        credentials: Address, user, password; never to be shown.
    """

    name: str
    label: str
    tags: tuple[str, ...]
    credentials: Mapping[str, Any] = field(repr=False)


def is_set() -> bool:
    """Whether the variable holds anything."""
    return bool(os.environ.get("VCAP_SERVICES"))


def instances() -> dict[str, Instance]:
    """Every service in the variable, by name; none if it is not set.

    Raises:
        ConfigError: It is not as Cloud Foundry writes it; its content is not repeated.
    """
    found: dict[str, Instance] = {}
    for label, described in _document().items():
        if not isinstance(described, list):
            raise _unreadable("A label stands for something that is no list.")
        for instance in _named(label, described):
            found.setdefault(instance.name, instance)
    return found


def read(locator: str) -> str:
    """One entry of the credentials of a service, `NAME/ENTRY`; raises SecretMissing."""
    name, _, entry = locator.rpartition("/")
    instance = instances().get(name)
    value = None if instance is None else instance.credentials.get(entry)
    if not isinstance(value, str):
        raise SecretMissing(
            f"VCAP_SERVICES has no text {entry!r} in the credentials of service {name!r}.",
            hint="Look at what is bound to this application: cf services",
        )
    return value


def _document() -> Mapping[str, Any]:
    text = os.environ.get("VCAP_SERVICES")
    document, where = _parsed(text) if text else ({}, "")
    if not isinstance(document, dict):
        raise _unreadable(where or "It is JSON, but no object.")
    return document


def _parsed(text: str) -> tuple[Any, str]:
    """The document; or None, and where it stops being JSON. The parser's own error holds all of the text."""
    try:
        return json.loads(text), ""
    except json.JSONDecodeError as error:
        return None, f"It stops being JSON at line {error.lineno}, column {error.colno}."
    except RecursionError:
        return None, "It is nested too deeply."


def _named(label: str, described: list[Any]) -> Iterator[Instance]:
    for each in described:
        if not isinstance(each, dict):
            raise _unreadable("A service in it is no object.")
        names = (each.get("binding_name"), each.get("instance_name"), each.get("name"))
        name = next((found for found in names if isinstance(found, str) and found), None)
        credentials, tags = each.get("credentials"), each.get("tags")
        if name is not None and isinstance(credentials, dict):
            words = tuple(map(str, tags)) if isinstance(tags, list) else ()
            yield Instance(name=name, label=label, tags=words, credentials=credentials)


def _unreadable(why: str) -> ConfigError:
    return ConfigError(
        "The environment variable VCAP_SERVICES can't be read.",
        why=why,
        hint="It is written by Cloud Foundry; unset it where it is not meant.",
    )
