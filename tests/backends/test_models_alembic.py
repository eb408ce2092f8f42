"""Alembic finds no difference between declared tables and those it has made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData

from fix_apps import all_ok
from fix_declared import Dam, Declared
from penstock import App, Database
from penstock.models import render_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

    from fix_servers import TestServer
    from penstock import Stores


@pytest.fixture
def store(ground: TestServer, stores_on: Callable[..., Stores]) -> Iterator[Callable[[MetaData], Engine]]:
    """Makes a store with these tables."""

    def make(tables: MetaData) -> Engine:
        class Lab(App):
            package = "lab"
            rows = Database("Rows.", metadata=tables)

        stores = stores_on(ground, Lab, links=("rows",))
        all_ok(stores, Lab)
        return stores.engine(Lab, "rows")

    return make


def context_of(connection: Connection) -> MigrationContext:
    """As an `env.py` configures it, but for Penstock's own tables."""
    options: dict[str, Any] = {
        "compare_type": True,
        "compare_server_default": True,
        "include_name": lambda name, kind, _: kind != "table" or not name.startswith("penstock"),
        "render_item": render_item,
        "user_module_prefix": None,
        "sqlalchemy_module_prefix": "sa.",
        "alembic_module_prefix": "op.",
        "target_metadata": Declared.metadata,
    }
    return MigrationContext.configure(connection, opts=options)


def test_tables_that_were_made_are_those_that_are_declared(store: Callable[[MetaData], Engine]) -> None:
    with store(Declared.metadata).connect() as connection:
        assert compare_metadata(context_of(connection), Declared.metadata) == []


def test_a_migration_makes_the_tables_and_then_there_is_no_difference(
    store: Callable[[MetaData], Engine],
) -> None:
    with store(MetaData()).begin() as connection:
        context = context_of(connection)
        script = produce_migrations(context, Declared.metadata)
        assert script.upgrade_ops is not None
        code = render_python_code(script.upgrade_ops, migration_context=context, render_item=render_item)
        assert "penstock" not in code
        from sqlalchemy.dialects import mysql

        exec("def upgrade():\n" + code, names := {"sa": sa, "op": Operations(context), "mysql": mysql})  # noqa: S102
        names["upgrade"]()
        assert compare_metadata(context_of(connection), Declared.metadata) == []
        connection.execute(sa.insert(Dam).values(name="Logan"))
        made = connection.execute(sa.select(Dam.created_at, Dam.updated_at)).one()
        assert made.created_at == made.updated_at


def test_only_the_types_of_models_are_written_by_it() -> None:
    assert render_item("type", sa.Integer(), None) is False
    assert render_item("column", sa.Column("x"), None) is False
