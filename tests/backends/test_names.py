"""Any text as a name works, or is refused before SQL is sent."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pymysql
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg import sql
from sqlalchemy import URL

from penstock import App, Database, MemoryRegistry, PenstockError, Service, Stores, use
from penstock.aio import AsyncStores
from penstock.declare import AppDeclaration, DatabaseSetting, StoreName, physical_name
from penstock.errors import InvalidName
from penstock.registry.registered import RegisteredServices
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_mariadb import MariaDBServer
    from fix_servers import PostgreSQLServer, TestServer

ANY = st.text(max_size=90)
TRAPS = [
    "'",
    '"',
    "-",
    "%s",
    "%(x)s",
    "a;b",
    "a\\b",
    "x" * 64,
    "é",
    "A b",
    "\0",
    "\ud800",
    ".",
    ":",
    " ",
    "..",
    "/",
]
EVERY_TRAP = [st.sampled_from(TRAPS), ANY]
SERVER_SETTINGS = settings(max_examples=15)


@settings(max_examples=300)
@given(package=st.one_of(*EVERY_TRAP), name=st.one_of(*EVERY_TRAP))
def test_t4_every_physical_name_is_plain_and_fits(package: str, name: str) -> None:
    try:
        declaration = AppDeclaration(package, package, (DatabaseSetting(name),))
    except InvalidName:
        return
    physical = physical_name(declaration.package, StoreName(name))
    assert len(physical.encode()) <= 63
    assert set(physical) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")


@settings(max_examples=300)
@given(st.lists(st.tuples(ANY, ANY), unique=True, min_size=2, max_size=2))
def test_t4_different_long_or_odd_names_stay_different(pairs: list[tuple[str, str]]) -> None:
    try:
        one, other = (physical_name(a, StoreName(b)) for a, b in pairs)
    except InvalidName:
        return
    if one == other:
        plain = [f"{a}_{b}".lower().replace(" ", "_").replace("-", "_").replace(".", "_") for a, b in pairs]
        assert plain[0] == plain[1]


def _round_trip(stores: Stores, app: type[App], name: str) -> None:
    with use(stores):
        (result,) = stores.sync(app)
        assert result.error is None, str(result.error)
        assert app.persistent_store_exists(name)
        with app.get_persistent_store_database(name).connect() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        assert app.drop_persistent_store(name)
        assert not app.persistent_store_exists(name)


@SERVER_SETTINGS
@example(package="o'brien", name='a"b', service="s'1")
@example(package="%s", name="%(x)s", service="%")
@example(package="x" * 64, name="y" * 64, service="long")
@given(package=st.one_of(*EVERY_TRAP), name=st.one_of(*EVERY_TRAP), service=st.one_of(*EVERY_TRAP))
def test_t4_any_text_as_app_store_and_service_works_or_is_refused(
    ground: TestServer, package: str, name: str, service: str
) -> None:
    before = ground.databases()
    registry = MemoryRegistry()
    try:
        app = type("Odd", (App,), {"package": package, name or "one": Database()})
        RegisteredServices(registry).add(
            Service(name=service, url=ground.service.url, password=ground.service.password)
        )
        stores = Stores(registry, apps=[app])
        stores.links.add(service, app, name or "one")
    except PenstockError:
        assert ground.databases() == before
        return
    _round_trip(stores, app, name or "one")
    stores.close()
    assert ground.databases() == before


def _can_be_a_role(name: str) -> bool:
    return (
        bool(name)
        and "\0" not in name
        and not name.startswith("pg_")
        and len(name.encode("utf-8", "replace")) <= 63
    )


@contextmanager
def _role(server: PostgreSQLServer, name: str, password: str) -> Iterator[bool]:
    """A role that may make databases; false if the server itself refuses it."""
    assert _can_be_a_role(name)
    role = sql.Identifier(name)
    make = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(role, sql.Literal(password))
    with server.connect() as connection:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
        try:
            connection.execute(make)
        except psycopg.Error:
            yield False
            return
        try:
            yield True
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


@contextmanager
def _user(server: MariaDBServer, name: str, password: str) -> Iterator[bool]:
    """The same on MariaDB."""
    with server.connect() as connection, connection.cursor() as cursor:
        try:
            cursor.execute("CREATE USER %s IDENTIFIED BY %s", (name, password))
        except pymysql.Error:
            yield False
            return
        cursor.execute("GRANT ALL ON `odd\\_%%`.* TO %s", (name,))
        try:
            yield True
        finally:
            cursor.execute("DROP USER %s", (name,))


USERS = {"postgresql": _role, "mariadb": _user}


@SERVER_SETTINGS
@example(role="lab-dash", password="a:b@c/d%e")
@example(role="o'brien", password="'")
@example(role='d"q', password='"\\ %s ü')
@example(role="per%cent%s", password="%%")
@example(role="x" * 63, password="p" * 500)
@example(role="é", password="☃ \U0001f600")
@given(
    role=st.one_of(st.sampled_from(["lab-dash", "A b", "é", "a@b", "a:b", "a/b", "public "]), ANY),
    password=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60),
)
@pytest.mark.parametrize("kind", USERS)
def test_t4_any_text_as_user_and_password_works_or_is_refused(
    kind: str, request: pytest.FixtureRequest, role: str, password: str
) -> None:
    from penstock.backends import parse_url

    server = request.getfixturevalue(kind)
    url = URL.create(kind, role, host="127.0.0.1", port=server.port)
    try:
        text = url.render_as_string()
        parse_url(text)
    except (PenstockError, UnicodeEncodeError):
        return
    with USERS[kind](server, role, password) as made:
        if made:
            _use_as(text, password)


def _use_as(url: str, password: str) -> None:
    app = type("Odd", (App,), {"package": "odd", "one": Database()})
    registry = MemoryRegistry()
    registry.put_service(Service(name="main", url=url, password=SecretRef("env", "ODD_PW")))
    stores = Stores(registry, apps=[app])
    stores.links.add("main", app, "one")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ODD_PW", password)
        assert stores.sync(app)[0].error is None
        assert asyncio.run(_in_loop(stores, app)) == 1
        _round_trip(stores, app, "one")
        stores.close()


async def _in_loop(stores: Stores, app: type[App]) -> object:
    engine = AsyncStores(stores).engine(app, "one")
    async with engine.connect() as connection:
        found = (await connection.exec_driver_sql("SELECT 1")).scalar()
    await engine.dispose()
    return found
