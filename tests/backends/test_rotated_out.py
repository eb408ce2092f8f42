"""After a rotation no object of this process holds the password from before."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy import text as sql

from fix_apps import Gage, all_ok
from penstock import App, Service, Stores
from penstock.aio import AsyncStores
from penstock.backends import StoreRole
from penstock.backends.postgresql import adbc
from penstock.connect.credentials import find_current, read_credential
from penstock.query import to_arrow
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_servers import TestServer


def holders_of(password: str) -> list[str]:
    """What on the heap refers to a text, or bytes, with this password in it.

    The password is given the wrong way round, so that the search does not find itself.
    """
    found: list[str] = []
    gc.collect()
    for each in gc.get_objects():
        todo = [each]
        while todo:
            for held in gc.get_referents(todo.pop()):
                if isinstance(held, tuple | dict) and not gc.is_tracked(held):
                    todo.append(held)  # Else nobody shows it.
                text = held.decode("latin-1") if isinstance(held, bytes) else held
                if isinstance(text, str) and text[::-1].find(password) >= 0:
                    found.append(f"{type(each).__module__}.{type(each).__name__}: {str(each)[:200]}")
    return found


def use_it(stores: Stores, app: type[App], *, tables: bool) -> None:
    """Use a store in every way that keeps connections."""
    engine = stores.engine(app, "gages")
    with stores.session(app, "gages") as session:
        session.scalars(select(Gage)).all()
    if tables:
        to_arrow(engine, select(Gage))
        to_arrow(engine.execution_options(logging_token="t"), select(Gage))

    async def awaited() -> None:
        async_stores = AsyncStores(stores)
        async with async_stores.session(app, "gages") as session:
            (await session.execute(sql("SELECT 1"))).scalar_one()
        await async_stores.engine(app, "gages").dispose()

    asyncio.run(awaited())


def backwards(password: str) -> str:
    return password[::-1]


def test_what_holds_a_password_is_found() -> None:
    cache = lru_cache(lambda text: object())
    makers: list[Any] = [lambda text: [text], lambda text: {"key": (text.encode(),)}, cache]
    for number, keep in enumerate(makers):
        kept = [keep(f"user=me password=held-{number}0f1d")]
        assert holders_of(backwards(f"held-{number}0f1d"))
        kept.clear()


def test_d2_no_login_of_before_a_rotation_stays_on_the_heap(role_stores: Stores, lab: type[App]) -> None:
    tables = role_stores.engine(lab, "gages").dialect.name == "postgresql"

    def login_backwards() -> str:
        service = role_stores.registry.services()[0]
        login = find_current(role_stores.registry, service.name, "lab_gages", StoreRole.APP)
        assert login is not None
        return backwards(read_credential(service, login, role_stores.keyring))

    before = login_backwards()
    use_it(role_stores, lab, tables=tables)
    assert len(adbc._kept) == int(tables)
    [rotated] = role_stores.logins.rotate(lab, ["gages"], grace=0)
    assert rotated.error is None
    use_it(role_stores, lab, tables=tables)
    assert login_backwards() != before
    assert len(adbc._kept) == int(tables)
    assert holders_of(before) == []
    role_stores.engine(lab, "gages").dispose()
    assert len(adbc._kept) == 0


def test_d2_no_password_of_a_service_of_before_stays_on_the_heap(
    postgresql_ground: TestServer, stores_on: Callable[..., Stores], lab: type[App], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.touch(mode=0o600)
    server = postgresql_ground.server
    assert server is not None
    service = Service(
        name="main",
        url=server.url.replace("penstock@", "keeper@"),
        password=SecretRef("file", str(file)),
    )
    before, after = (backwards("0f1d-before-2c"), backwards("0f1d-after-2c"))

    def give(password: str) -> None:
        postgresql_ground.run_sql("postgres", f"ALTER ROLE keeper PASSWORD '{backwards(password)}'")
        file.write_text(backwards(password))

    postgresql_ground.run_sql("postgres", "CREATE ROLE keeper LOGIN CREATEDB")
    give(before)
    stores: Any = stores_on(replace(postgresql_ground, service=service), lab, links=("gages",))
    all_ok(stores, lab)
    use_it(stores, lab, tables=True)
    give(after)
    stores.engine(lab, "gages").dispose()
    use_it(stores, lab, tables=True)
    assert holders_of(before) == []
    stores.close()
