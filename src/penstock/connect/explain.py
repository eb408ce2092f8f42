"""Every source that is asked for an address, and which one answered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock.backends import parse_url
from penstock.declare import DatabaseSetting, StoreName
from penstock.errors import ConfigError, PenstockError
from penstock.registry import Binding, BoundServices, LayeredRegistry, store_variable
from penstock.registry.bindings import LAST_RESORT
from penstock.registry.values import masked
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from penstock.backends import Login
    from penstock.connect.address import AddressBook
    from penstock.declare import AppDeclaration
    from penstock.registry import Readable, Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One place that is asked.

    Args:
        place: The place.
        says: A service, or an address without its password; empty if it says nothing.
        why: Why it says nothing.
        service: What the service is called; of an address, the variable.
        answers: Whether it is the one that is heard.
    """

    place: str
    says: str = ""
    why: str = ""
    service: str = ""
    answers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How the address of one setting or store is found.

    Args:
        name: The setting's name, or that of a store made at run time.
        places: Who is asked for its service, or its whole address, in order.
        services: Who is asked for that service, in order; none if nobody named one.
        address: The server's address, without its password.
        password: Where the password is; empty if there is none.
        database: The physical name of the database; empty where there is no single one.
        problem: Why there is no address.
    """

    name: str
    places: tuple[Asked, ...]
    services: tuple[Asked, ...] = ()
    address: str = ""
    password: str = ""
    database: str = ""
    problem: PenstockError | None = None

    @property
    def answer(self) -> Asked | None:
        """The place that is heard, if any."""
        return next((each for each in self.places if each.answers), None)


def explain(registry: Registry, book: AddressBook, app: AppDeclaration, name: str) -> Explanation:
    """How the address of a setting, or of a store made at run time, is found; asks no server.

    Args:
        registry: Services, links and remembered stores.
        book: What looks addresses up.
        app: The app.
        name: A setting of it, or one of its stores.
    """
    layers = registry.layers if isinstance(registry, LayeredRegistry) else (registry,)
    places = _first_answers(_places(layers, registry, book, app, name))
    answer = next((each for each in places if each.answers), None)
    bound = answer is not None and answer.service != answer.says
    services = () if answer is None or bound else _first_answers(_services(layers, answer.service))
    found = Explanation(name=name, places=places, services=services)
    try:
        return _with_address(found, book, app)
    except PenstockError as error:
        return replace(found, problem=error)


def _first_answers(places: Iterable[Asked]) -> tuple[Asked, ...]:
    asked = tuple(places)
    first = next((each for each in asked if each.says), None)
    return tuple(replace(each, answers=each is first) for each in asked)


# --- who is asked for a store or a setting ----------------------------------------------------------


def _places(
    layers: Sequence[Readable], registry: Registry, book: AddressBook, app: AppDeclaration, name: str
) -> Iterator[Asked]:
    store = StoreName(name)
    setting = app.find(store.setting)
    one = isinstance(setting, DatabaseSetting) and setting.many == (store.kind is not None)
    if one:
        variable = Binding(store_variable(app.package, name))
        yield _variable(book, str(variable.source), book.bindings.find(app.package, name))
    if setting is None:
        yield _remembered(registry, app, name)
    else:
        yield from _links(layers, app, setting.name)
    if one:
        yield _last_resort(book, app)


def _variable(book: AddressBook, place: str, found: Binding | None) -> Asked:
    if found is None:
        return Asked(place=place, why="not set")
    try:
        says = masked(parse_url(book.bindings.read(found)))
    except PenstockError as error:
        says = f"can't be used: {error.what}"
    return Asked(place=place, says=says, service=found.variable)


def _links(layers: Sequence[Readable], app: AppDeclaration, setting: str) -> Iterator[Asked]:
    for layer in layers:
        if isinstance(layer, BoundServices):
            continue  # A platform hands services out, but does not link them.
        links = [a for a in layer.links() if (a.app, a.setting) == (app.package, setting)]
        for link in links:
            yield Asked(place=str(link.source), says=link.service, service=link.service)
        if not links:
            yield Asked(place=layer.label, why="nothing is linked there")


def _remembered(registry: Registry, app: AppDeclaration, name: str) -> Asked:
    entry = registry.find_store(app.package, name)
    place = registry.base.label if isinstance(registry, LayeredRegistry) else registry.label
    if entry is None:
        return Asked(place=place, why="no such store is remembered")
    return Asked(place=place, says=entry.service, service=entry.service)


def _last_resort(book: AddressBook, app: AppDeclaration) -> Asked:
    place = str(LAST_RESORT.source)
    if book.serves_one_store(app):
        return _variable(book, place, book.bindings.last_resort())
    count = len(app.databases)
    many = f"{app.package} has {count} database settings" if count > 1 else "it stands for one store only"
    return Asked(place=place, why=f"not asked: {many}")


# --- who is asked for the service -------------------------------------------------------------------


def _services(layers: Sequence[Readable], name: str) -> Iterator[Asked]:
    for layer in layers:
        if isinstance(layer, BoundServices) and not layer.is_set():
            yield Asked(place=layer.label, why="not set")
            continue
        try:
            service = next((each for each in layer.services() if each.name == name), None)
        except ConfigError as error:
            yield Asked(place=layer.label, says=f"can't be used: {error.what}")
            continue
        if service is None:
            yield Asked(place=layer.label, why="no service of this name")
        elif service.problem is not None:
            yield Asked(place=str(service.source), says=f"can't be used: {service.problem.what}")
        else:
            yield Asked(place=str(service.source), says=masked(parse_url(service.url)), service=name)


# --- what comes of it -------------------------------------------------------------------------------


def _with_address(found: Explanation, book: AddressBook, app: AppDeclaration) -> Explanation:
    setting = app.find(found.name)
    if setting is not None and not (isinstance(setting, DatabaseSetting) and not setting.many):
        return _on(found, book.get_server(app, found.name).login)
    address = book.get(app, found.name)
    return replace(_on(found, address.database_address.login), database=address.database)


def _on(found: Explanation, login: Login) -> Explanation:
    reference = login.reference
    password = SecretRef(*reference.split(":", 1)).shown if reference else ""
    return replace(found, address=masked(login.url), password=password)
