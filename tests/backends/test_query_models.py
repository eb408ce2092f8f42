"""Whatever a model has, what bulk writing stores is what a session stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import Integer, MetaData, String, Table, delete, func, insert, literal, select
from sqlalchemy.orm import Session, mapped_column, registry

from penstock.query import bulk_insert, bulk_update, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_doors import Door, Doors

Rows = list[dict[str, Any]]
HERE, ORM = "here", "orm"
NAMES = ("a", "b", "c", "d")


def same() -> str:
    return "same"


def looked(context: Any) -> str:
    return f"by {context.get_current_parameters().get('a')}"


DEFAULTS: dict[str, Any] = {
    "none": None,
    "scalar": "s",
    "function": lambda: "f",
    "same": same,
    "context": looked,
}
EXPRESSIONS: dict[str, Callable[[], Any]] = {
    "expression": lambda: func.upper("e%x"),
    "sum": lambda: literal("1") + "2",
    "select": lambda: select(literal("q")).scalar_subquery(),
}
"""Made for each column: through asyncpg, SQLAlchemy can't have the same one for two columns of many rows."""

MADE = sorted({*DEFAULTS, *EXPRESSIONS})
VERSIONS = (None, "default", "steps", "server")
COLUMNS = st.fixed_dictionaries(
    {
        "default": st.sampled_from(MADE),
        "onupdate": st.sampled_from([name for name in MADE if name not in ("context", "sum")]),
        "served": st.booleans(),
        "deferred": st.booleans(),
        "renamed": st.booleans(),
    }
)


@dataclass(frozen=True)
class Features:
    """What a model has.

    Args:
        columns: How each of its columns is.
        version: How its versions are counted.
        inherits: Whether it is a class of several in one table.
    """

    columns: dict[str, dict[str, Any]]
    version: str | None
    inherits: bool


FEATURES = st.builds(
    Features,
    columns=st.fixed_dictionaries(dict.fromkeys(NAMES, COLUMNS)),
    version=st.sampled_from(VERSIONS),
    inherits=st.booleans(),
)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.none() | st.sampled_from(["x", "y", "z"])),
    min_size=1,
    max_size=4,
)


def made_by(name: str) -> Any:
    return EXPRESSIONS[name]() if name in EXPRESSIONS else DEFAULTS[name]


def model_of(features: Features, name: str, metadata: MetaData) -> Any:
    """A class with these features, in a table of this name."""
    base: Any = registry(metadata=metadata).generate_base()
    attributes: dict[str, Any] = {
        "__tablename__": name,
        "id": mapped_column(Integer, primary_key=True, autoincrement=False),
    }
    for column, each in features.columns.items():
        attributes[column] = mapped_column(
            f"{column} %" if each["renamed"] and column != "a" else column,
            String(40),
            default=made_by(each["default"]),
            onupdate=made_by(each["onupdate"]),
            server_default="served" if each["served"] else None,
            deferred=each["deferred"],
        )
    mapping: dict[str, Any] = {}
    if features.version is not None:
        attributes["version"] = mapped_column(Integer, server_default="7")
        mapping["version_id_col"] = attributes["version"]
        made = {"default": None, "steps": lambda old: (old or 0) + 10, "server": False}
        mapping["version_id_generator"] = made[features.version]
    if features.inherits:
        attributes["kind"] = mapped_column(String(40))
        mapping |= {"polymorphic_on": "kind", "polymorphic_identity": "base"}
    model = type(name.title(), (base,), {**attributes, "__mapper_args__": mapping})
    if features.inherits:
        return type(f"Sub{name.title()}", (model,), {"__mapper_args__": {"polymorphic_identity": "sub"}})
    return model


def stored(session: Session, model: Any) -> list[tuple[Any, ...]]:
    table: Table = model.__table__
    return [tuple(row) for row in session.execute(select(table).order_by(table.c.id))]


@dataclass(frozen=True)
class Pair:
    """The same model twice: one is written here, one by the ORM."""

    session: Session
    features: Features
    here: Any
    orm: Any

    def begin(self, rows: Rows) -> None:
        """Rows that are there, with the values that nobody gives."""
        for model in (self.here, self.orm):
            self.session.execute(delete(model.__table__))
            if rows:
                columns = [getattr(model, name) for name in NAMES]
                own = {column.property.columns[0].key: "old" for column in columns}
                own |= {"version": 3} if self.features.version else {}
                own |= {"kind": "sub"} if self.features.inherits else {}
                self.session.execute(insert(model.__table__), [{"id": row["id"], **own} for row in rows])

    def compare(self, verb: str, rows: Rows) -> None:
        self.session.expunge_all()
        found, expected = stored(self.session, self.here), stored(self.session, self.orm)
        assert found == expected, (verb, rows)


def has_default(features: Features, name: str) -> bool:
    return features.columns[name]["default"] != "none" or features.columns[name]["served"]


def without_none(features: Features, rows: Rows) -> Rows:
    """The rows, but for None where the ORM would leave it to a default, and a mapping means NULL."""
    return [
        {name: value for name, value in row.items() if value is not None or not has_default(features, name)}
        for row in rows
    ]


def check(session: Session, features: Features, rows: Rows, as_objects: bool) -> None:
    metadata = MetaData()
    pair = Pair(session, features, *(model_of(features, name, metadata) for name in (HERE, ORM)))
    metadata.create_all(session.connection())
    numbered = [{"id": number, **row} for number, row in enumerate(rows)]
    plain = [
        {"id": row["id"], **rest} for row, rest in zip(numbered, without_none(features, rows), strict=True)
    ]
    try:
        check_inserts(pair, numbered, plain, as_objects)
        check_updates(pair, [row for row in plain if len(row) > 1], as_objects)
    finally:
        session.expunge_all()
        metadata.drop_all(session.connection())


def check_inserts(pair: Pair, numbered: Rows, plain: Rows, as_objects: bool) -> None:
    session, here = pair.session, pair.here
    for verb in (bulk_insert, upsert):
        pair.begin([])
        verb(session, here, [here(**row) for row in numbered] if as_objects else plain)
        session.add_all([pair.orm(**row) for row in (numbered if as_objects else plain)])
        session.flush()
        pair.compare(verb.__name__, numbered)
    for on in (session, session.connection()):
        pair.begin([])
        get_or_create(on, here, {"id": plain[0]["id"]}, {k: v for k, v in plain[0].items() if k != "id"})
        get_or_create_many(on, here, plain)
        session.add_all([pair.orm(**row) for row in plain])
        session.flush()
        pair.compare("get_or_create", plain)


def check_updates(pair: Pair, changes: Rows, as_objects: bool) -> None:
    session, here = pair.session, pair.here
    for verb in (upsert, bulk_update):
        pair.begin(changes)
        verb(session, here, [here(**row) for row in changes] if as_objects else changes)
        for row in changes:
            session.merge(pair.orm(**row))
        session.flush()
        pair.compare(verb.__name__, changes)


@pytest.fixture
def door(door_to: Doors) -> Door:
    return door_to(MetaData())


@settings(max_examples=6)
@given_by(features=FEATURES, rows=ROWS, as_objects=st.booleans())
def test_what_is_stored_is_what_a_session_stores(
    door: Door, features: Features, rows: Rows, as_objects: bool
) -> None:
    door.do(lambda session: check(session, features, rows, as_objects))
