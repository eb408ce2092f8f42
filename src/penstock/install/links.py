"""Links what `services.yml` says to the settings of an app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.errors import PenstockError
from penstock.install.document import read_document
from penstock.install.fields import Fields
from penstock.registry import Link
from penstock.registry.values import kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.declare import AppDeclaration
    from penstock.stores import Stores

FILE_NAME = "services.yml"
"""What the file is called."""

_OURS = "persistent"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedLink:
    """A service that shall be linked to a setting.

    Args:
        setting: The setting.
        service: The service.
        where: The file and line that say so.
    """

    setting: str
    service: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFile:
    """What the file says.

    Args:
        links: What shall be linked, in the order of the file.
        empty: Settings that are named without a service, and where.
        others: The sections that are for somebody else, and where.
        repeated: Keys that are there twice, each as a sentence.
    """

    links: tuple[RequestedLink, ...] = ()
    empty: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    repeated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """How one of them came out: linked, as it was before, or not at all."""

    link: RequestedLink
    before: Link | None = None
    error: PenstockError | None = None


def read_links(folder: Path) -> LinkFile:
    """Read and check the `services.yml` of a folder; without one, there is nothing to link.

    Raises:
        ConfigProblems: It holds errors; all of them are in the exception's `problems`.
        ConfigError: It can't be read.
        MissingExtra: PyYAML is not installed.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return LinkFile()
    fields = Fields(read_document(path, missing=""))
    others = [key for key in fields.table() if key not in ("version", _OURS) and fields.find(key)]
    section = fields.table(_OURS)
    links = [_link(fields, key) for key, service in section.items() if service is not None]
    fields.check()
    return LinkFile(
        links=tuple(links),
        empty={str(key): fields.where(_OURS, str(key)) for key, value in section.items() if value is None},
        others={str(key): fields.where(str(key)) for key in others},
        repeated=fields.repeated,
    )


def link_all(stores: Stores, app: AppDeclaration, links: tuple[RequestedLink, ...]) -> Iterator[Linked]:
    """Link each, unless something is linked already; one that fails does not stop the others."""
    for link in links:
        before = stores.book.find_link(app.package, link.setting)
        if before is not None:
            yield Linked(link=link, before=before)
            continue
        try:
            stores.links.add(link.service, app, link.setting)
        except PenstockError as error:
            yield Linked(link=link, error=error)
        else:
            yield Linked(link=link)


def _link(fields: Fields, setting: object) -> RequestedLink:
    service = fields.find(_OURS, str(setting))
    if not isinstance(setting, str):
        fields.wrong((_OURS, str(setting)), f"is {kind_of(setting)}, not text.", "Write it in quotes.")
    elif not isinstance(service, str):
        hint = "Write its name; penstock services list shows them."
        fields.wrong((_OURS, setting), f"is {kind_of(service)}, not the name of a service.", hint)
    return RequestedLink(setting=str(setting), service=str(service), where=fields.where(_OURS, str(setting)))
