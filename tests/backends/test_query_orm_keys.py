"""What the ORM promises holds for keys that the server stores as something else."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey, Numeric, String, Unicode, cast, delete, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from penstock.errors import RowRefused, RowStale
from penstock.query import Written, bulk_insert, bulk_update, find, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from fix_doors import Door, Doors


class Lowered(TypeDecorator[str]):
    """A text of which the server makes small letters; so it can't be copied."""

    impl = String(20)
    cache_ok = True

    def bind_expression(self, bindparam: Any) -> ColumnElement[str]:
        return func.lower(bindparam)


class ReadLow(TypeDecorator[str]):
    """A text that is read in small letters, however it is stored."""

    impl = String(20)
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return value and value.lower()


class Base(DeclarativeBase):
    type_annotation_map = {str: String(20)}  # noqa: RUF012


class Water(Base):
    """With all that rows get by themselves."""

    __tablename__ = "water"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column()
    depth: Mapped[Decimal | None] = mapped_column(Numeric(4, 2), unique=True)
    code: Mapped[str | None] = mapped_column(Lowered, unique=True)
    number: Mapped[int | None] = mapped_column(unique=True)
    name: Mapped[str | None]
    version: Mapped[int] = mapped_column()
    read_at: Mapped[datetime] = mapped_column(default=func.now())
    sign: Mapped[str] = mapped_column(default=func.upper("made"), onupdate=func.upper("changed"))
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "water", "version_id_col": version}  # noqa: RUF012


class Lake(Water):
    area: Mapped[float | None]
    inlets: Mapped[list[Inlet]] = relationship(lazy="joined")
    __mapper_args__ = {"polymorphic_identity": "lake"}  # noqa: RUF012


class Sea(Water):
    salt: Mapped[float | None]
    __mapper_args__ = {"polymorphic_identity": "sea"}  # noqa: RUF012


class Inlet(Base):
    __tablename__ = "inlet"

    id: Mapped[int] = mapped_column(primary_key=True)
    water_id: Mapped[int] = mapped_column(ForeignKey("water.id"))


class Spring(Base):
    """In two tables."""

    __tablename__ = "spring"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column()
    depth: Mapped[Decimal | None] = mapped_column(Numeric(4, 2), unique=True)
    label: Mapped[str | None] = mapped_column(ReadLow)
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "spring"}  # noqa: RUF012


class Geyser(Spring):
    __tablename__ = "geyser"

    id: Mapped[int] = mapped_column(ForeignKey("spring.id"), primary_key=True)
    height: Mapped[Decimal | None] = mapped_column(Numeric(4, 2))
    __mapper_args__ = {"polymorphic_identity": "geyser"}  # noqa: RUF012


NEAR = Decimal("1.004")
KEYS = [("depth", NEAR, NEAR), ("code", "Utah", "UTAH"), ("number", 1, 1)]
"""Keys by the name of the column, with another that is the same; SQLite does not round."""


@pytest.fixture
def door(door_to: Doors) -> Door:
    return door_to(Base.metadata)


def stored(session: Session, *names: str) -> list[tuple[Any, ...]]:
    table = Water.__table__
    found = session.execute(select(*(table.c[name] for name in names)).order_by(table.c.id))
    return [tuple(row) for row in found]


def with_inlets(session: Session, **values: Any) -> None:
    session.add(Lake(inlets=[Inlet(), Inlet()], **values))
    session.commit()


# --- got, or made ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value", "same"), KEYS, ids=[name for name, *_ in KEYS])
def test_an_object_comes_once_with_what_is_loaded_along(door: Door, name: str, value: Any, same: Any) -> None:
    def work(session: Session) -> None:
        with_inlets(session, **{name: value})
        given = [{name: value}, {name: same, "area": 1.0}]
        [(lake, new), (again, newer)] = get_or_create_many(session, Lake, given, key=(name,))
        assert (lake is again, new, newer, len(lake.inlets)) == (True, False, False, 2)
        assert get_or_create(session, Lake, {name: same}) == (lake, False)
        session.expunge_all()
        assert len(get_or_create(session, Lake, {name: value})[0].__dict__["inlets"]) == 2

    door.do(work)


@pytest.mark.parametrize(("name", "value", "same"), KEYS, ids=[name for name, *_ in KEYS])
def test_a_plain_row_comes_once_with_the_columns_of_its_class(
    door: Door, name: str, value: Any, same: Any
) -> None:
    def work(session: Session) -> None:
        with_inlets(session, **{name: value})
        [expected] = find(session.connection(), Lake)
        given = [{name: value}, {name: same, "area": 1.0}]
        many = get_or_create_many(session.connection(), Lake, given, key=(name,))
        assert many == [(expected, False), (expected, False)]
        assert get_or_create(session.connection(), Lake, {name: same}) == (expected, False)

    door.do(work)


@pytest.mark.parametrize("plain", [False, True], ids=["session", "connection"])
@pytest.mark.parametrize(("name", "value", "same"), KEYS, ids=[name for name, *_ in KEYS])
def test_what_is_made_has_its_class_its_version_and_its_defaults(
    door: Door, name: str, value: Any, same: Any, plain: bool
) -> None:
    def work(session: Session) -> None:
        on = session.connection() if plain else session
        for many in (True, False):
            if many:
                given = [{name: value, "area": 1.5}, {name: same, "area": 2.5}]
                made = get_or_create_many(on, Lake, given, key=(name,))
            else:
                made = [get_or_create(on, Lake, {name: each}, {"area": 1.5}) for each in (value, same)]
            assert [(row.kind, row.area, row.version, row.sign, new) for row, new in made] == [
                ("lake", 1.5, 1, "MADE", True),
                ("lake", 1.5, 1, "MADE", False),
            ]
            assert stored(session, "kind", "version", "sign") == [("lake", 1, "MADE")]
            assert None not in stored(session, "read_at")[0]
            session.execute(delete(Water.__table__))
            session.expunge_all()

    door.do(work)


@pytest.mark.parametrize("there", [(), ("A",), ("A", "a")])
def test_a_class_in_two_tables_is_not_taken_for_another_that_is_read_alike(
    door: Door, there: tuple[str, ...]
) -> None:
    def work(session: Session, *, many: bool) -> list[tuple[str, bool]]:
        session.add_all([Geyser(label=label, height=Decimal(1)) for label in there])
        session.flush()
        given = [{"label": label, "height": Decimal(1)} for label in ("a", "A", "b", "a")]
        if many:
            made = get_or_create_many(session, Geyser, given, key=("label", "height"))
        else:
            made = [get_or_create(session, Geyser, each) for each in given]
        ids = [geyser.id for geyser, _ in made]
        labels = select(Spring.id, cast(Spring.label, Unicode(20)).label("label"))
        held = {row.id: row.label for row in session.execute(labels)}
        result = [(str(held[number]), new) for number, (_, new) in zip(ids, made, strict=True)]
        session.rollback()
        return [*result, (f"{len(held)}", True)]

    assert door.do(lambda session: work(session, many=True)) == door.do(
        lambda session: work(session, many=False)
    )


@pytest.mark.parametrize("get", [get_or_create, get_or_create_many])
def test_a_class_in_two_tables_is_told_by_what_each_of_them_stores(door: Door, get: Any) -> None:
    def got(session: Session, where: dict[str, Any]) -> tuple[Any, bool]:
        if get is get_or_create:
            return get_or_create(session, Geyser, where)
        [one] = get_or_create_many(session, Geyser, [where], key=tuple(where))
        return one

    def work(session: Session) -> None:
        geyser, new = got(session, {"depth": NEAR, "height": Decimal(2)})
        assert (geyser.kind, new) == ("geyser", True)
        assert got(session, {"depth": NEAR}) == (geyser, False)
        assert got(session, {"height": Decimal(2)}) == (geyser, False)
        exact = NEAR if door.dialect.name == "sqlite" else Decimal(1)
        assert got(session, {"depth": exact, "height": Decimal(2)}) == (geyser, False)

    door.do(work)


def test_an_object_that_others_made_meanwhile_comes_with_its_collection(door: Door) -> None:
    def work(session: Session) -> None:
        if door.dialect.name == "sqlite":  # Nobody else can write once this one has begun to.
            return
        isolation = "READ COMMITTED" if door.dialect.name == "postgresql" else "REPEATABLE READ"
        session.connection(execution_options={"isolation_level": isolation})
        assert find(session, Lake) == []
        with session.get_bind().begin() as other:  # type: ignore[union-attr]
            for number, (name, value, _) in enumerate(KEYS, 1):
                get_or_create(other, Lake, {name: value}, {"id": number})
                other.execute(insert(Inlet), [{"water_id": number}] * 2)
        [(one, new)] = get_or_create_many(session, Lake, [{"depth": NEAR}], key=("depth",))
        assert (one.id, new, len(one.__dict__["inlets"])) == (1, False, 2)
        two, new = get_or_create(session, Lake, {"code": "UTAH"})
        assert (two.id, new, len(two.__dict__["inlets"])) == (2, False, 2)

    door.do(work)


# --- many rows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["depth", "code"])
def test_many_rows_get_defaults_versions_and_updates(door: Door, name: str) -> None:
    values = {"depth": (NEAR, Decimal("2.5"), NEAR), "code": ("Utah", "Ohio", "UTAH")}[name]

    def work(session: Session) -> None:
        given = [{name: value, "name": str(n)} for n, value in enumerate(values)]
        assert upsert(session, Lake, given, key=(name,)) == Written(2, 0, 1)
        columns = ("kind", "name", "version", "sign")
        assert sorted(stored(session, *columns)) == [("lake", "1", 1, "MADE"), ("lake", "2", 1, "MADE")]
        assert upsert(session, Lake, given, key=(name,)) == Written(0, 2, 1)
        assert sorted(stored(session, *columns)) == [("lake", "1", 2, "CHANGED"), ("lake", "2", 2, "CHANGED")]
        assert bulk_update(session, Lake, [{name: values[2], "name": "x"}], key=(name,)) == Written(0, 1)
        assert sorted(stored(session, *columns)) == [("lake", "1", 2, "CHANGED"), ("lake", "x", 3, "CHANGED")]
        more = [{name: {"depth": Decimal(7), "code": "Iowa"}[name]}, *given]
        done = bulk_insert(session, Lake, more, key=(name,), on_conflict="nothing")
        assert done == Written(1, 0, 3)
        assert bulk_insert(session, Lake, [{"code": "Maine"}]) == Written(1)
        assert all(row for row in stored(session, "read_at"))

    door.do(work)


@pytest.mark.parametrize(("name", "value", "same"), KEYS, ids=[name for name, *_ in KEYS])
def test_a_stale_row_is_refused_by_whatever_its_key_is_stored_as(
    door: Door, name: str, value: Any, same: Any
) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Lake, [{name: value}, {"name": "other"}])
        stale = [{name: None, "version": 1, "name": "new"}, {name: same, "version": 7, "name": "new"}]
        for write in (upsert, bulk_update):
            with pytest.raises(RowStale, match="Row 1 of Lake is stale"):
                write(session, Lake, stale, key=(name,))
        fresh = [{name: value, "version": 7}, {name: same, "version": 1, "name": "new"}]
        assert upsert(session, Lake, fresh, key=(name,)) == Written(0, 1, 1)  # The last one counts.
        assert stored(session, "name", "version") == [("new", 2), ("other", 1)]

    door.do(work)


@pytest.mark.parametrize(("name", "value", "same"), KEYS, ids=[name for name, *_ in KEYS])
def test_a_row_of_another_class_stays_by_whatever_its_key_is_stored_as(
    door: Door, name: str, value: Any, same: Any
) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Sea, [{name: value, "name": "sea"}])
        given = [{name: None, "name": "new"}, {name: value, "name": "new"}, {name: same, "name": "new"}]
        assert bulk_update(session, Lake, given, key=(name,)) == Written(0, 0, 3)
        with pytest.raises(RowRefused, match=r"Row 2 of Lake .* another class"):
            upsert(session, Lake, given, key=(name,))
        assert stored(session, "kind", "name", "version") == [("sea", "sea", 1)]

    door.do(work)
