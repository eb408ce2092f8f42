"""What classes become that are declared with `penstock.models`."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import ForeignKey, MetaData, String, UniqueConstraint, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from fix_declared import Dam, Reading, Repair, Survey, Work
from penstock.models import (
    NAMING_CONVENTION,
    Base,
    SoftDelete,
    TableNames,
    Timestamps,
    UuidKey,
    uuid7,
)


def new_base() -> Any:
    class Fresh(TableNames, DeclarativeBase):
        pass

    return Fresh


def in_fresh_python(code: str) -> Any:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_models_are_imported_without_a_store_a_driver_or_alembic() -> None:
    others = [
        "alembic",
        "psycopg",
        "pymysql",
        "click",
        "penstock.stores",
        "penstock.engines",
        "penstock.query",
    ]
    code = f"import json, sys, penstock.models; print(json.dumps([n for n in {others} if n in sys.modules]))"
    assert in_fresh_python(code) == []


def test_importing_models_changes_no_session() -> None:
    code = """
import json
import penstock.models
from sqlalchemy.orm import Session
print(json.dumps(len(list(Session().dispatch.do_orm_execute))))
"""
    assert in_fresh_python(code) == 0


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("User", "users"),
        ("UserGroup", "usergroups"),
        ("HTTPLog", "httplogs"),
        ("Category", "categorys"),
        ("Über", "übers"),
        ("X", "xs"),
    ],
)
def test_a_table_is_called_after_its_class(name: str, table: str) -> None:
    made = type(name, (new_base(),), {"id": mapped_column(String(4), primary_key=True)})
    assert made.__table__.name == made.__tablename__ == table


@pytest.mark.parametrize("mixin_first", [True, False])
def test_a_name_that_is_given_wins_and_is_not_inherited(mixin_first: bool) -> None:
    class Plain(DeclarativeBase):
        pass

    parents: Any = (TableNames, Plain) if mixin_first else (Plain, TableNames)

    class Person(*parents):
        __tablename__ = "people"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(String(20))
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012

    class Engineer(Person):
        __mapper_args__ = {"polymorphic_identity": "engineer"}  # noqa: RUF012

    class Manager(Person):
        id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)
        __mapper_args__ = {"polymorphic_identity": "manager"}  # noqa: RUF012

    class Chief(Manager):
        __mapper_args__ = {"polymorphic_identity": "chief"}  # noqa: RUF012

    class Owner(Person):
        __tablename__ = "owning"
        id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)
        __mapper_args__ = {"polymorphic_identity": "owner"}  # noqa: RUF012

    classes: list[Any] = [Person, Engineer, Manager, Chief, Owner]
    assert [each.__table__.name for each in classes] == ["people", "people", "managers", "managers", "owning"]
    assert [each.__tablename__ for each in classes] == ["people", None, "managers", None, "owning"]


def test_subclasses_share_the_table_unless_they_have_a_key_of_their_own() -> None:
    assert [each.__table__.name for each in (Work, Repair, Survey)] == ["works", "works", "surveys"]


def test_a_concrete_class_has_a_table_of_its_own() -> None:
    base = new_base()

    class Plan(base):
        id: Mapped[int] = mapped_column(primary_key=True)

    class Project(Plan):
        id: Mapped[int] = mapped_column(primary_key=True)
        __mapper_args__ = {"concrete": True}  # noqa: RUF012

    assert (Plan.__table__.name, Project.__table__.name) == ("plans", "projects")


def test_an_abstract_class_has_no_table_and_its_classes_have() -> None:
    base = new_base()

    class Kept(UuidKey, Timestamps, base):
        __abstract__ = True

    class Note(Kept):
        pass

    class Letter(Kept):
        pass

    assert sorted(base.metadata.tables) == ["letters", "notes"]
    assert list(Note.__table__.c.keys()) == ["id", "created_at", "updated_at"]
    assert Letter.__table__.c.id is not Note.__table__.c.id


def test_a_table_that_is_given_needs_no_name() -> None:
    from sqlalchemy import Column, Table

    base = new_base()

    class Given(base):
        __table__ = Table("given", base.metadata, Column("id", String(4), primary_key=True))

    assert (Given.__table__.name, Given.__tablename__) == ("given", "given")


# --- base -----------------------------------------------------------------------------------------


def test_constraints_and_indexes_are_called_by_the_convention() -> None:
    class Fresh(DeclarativeBase):
        metadata = MetaData(naming_convention=NAMING_CONVENTION)

    class Dams(Fresh):
        __tablename__ = "dams"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(40), index=True)
        above: Mapped[int] = mapped_column(ForeignKey("dams.id"))
        __table_args__ = (UniqueConstraint("name", "above"),)

    table: Any = Dams.__table__
    names = {str(each.name) for each in (*table.constraints, *table.indexes)}
    assert names == {"pk_dams", "fk_dams_above_dams", "uq_dams_name", "ix_dams_name"}
    assert Base.metadata.naming_convention == NAMING_CONVENTION


# --- dataclasses ----------------------------------------------------------------------------------


def test_a_dataclass_takes_its_own_values_and_makes_the_rest() -> None:
    made = Reading(level=3)
    assert (made.level, made.deleted_at, made.is_deleted) == (3, None, False)
    assert isinstance(made.id, UUID)
    with pytest.raises(TypeError, match="created_at"):
        Reading(level=3, created_at=None)  # type: ignore[call-arg]


def test_a_mixin_goes_with_dataclasses_and_with_others_in_any_order() -> None:
    class Plain(DeclarativeBase):
        pass

    class First(MappedAsDataclass, Plain, TableNames, UuidKey, Timestamps, SoftDelete):
        name: Mapped[str] = mapped_column(String(20))

    class Second(TableNames, SoftDelete, Timestamps, UuidKey, Plain):
        name: Mapped[str] = mapped_column(String(20))

    assert First(name="a").name == Second(name="a").name
    assert list(First.__table__.c.keys()) == list(Second.__table__.c.keys())
    assert inspect(First).eager_defaults is inspect(Second).eager_defaults is True


def test_the_columns_stand_where_they_are_looked_for() -> None:
    assert list(Dam.__table__.c.keys()) == [
        *("id", "name", "river_id", "inspected", "created_at", "updated_at", "deleted_at"),
    ]


# --- keys -----------------------------------------------------------------------------------------


def test_keys_are_of_version_7_and_grow_in_every_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: [uuid7() for _ in range(1000)], range(8)))
    assert all(each == sorted(each) for each in made)
    assert len({key for each in made for key in each}) == 8000
    assert {key.version for each in made for key in each} == {7}


def test_processes_that_were_forked_make_other_keys() -> None:
    code = """
import json, os
from penstock.models import uuid7
uuid7()
pipes = []
for _ in range(3):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, json.dumps([str(uuid7()) for _ in range(500)]).encode())
        os._exit(0)
    os.close(writing)
    pipes.append(reading)
made = []
for each in pipes:
    with open(each, "rb") as pipe:
        made += json.load(pipe)
print(json.dumps([len(made), len(set(made))]))
"""
    assert in_fresh_python(code) == [1500, 1500]
