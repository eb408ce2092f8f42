"""Queries of every shape have pages with every row once, or are refused."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import String, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    contains_eager,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
    with_polymorphic,
)

from fix_apps import engine_of
from fix_pages import walked
from penstock import App, Database
from penstock.errors import NotSupported
from penstock.query import paginate, paginate_keyset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_servers import TestServer


class Base(DeclarativeBase):
    metadata = sa.MetaData()
    type_annotation_map = {str: String(20)}  # noqa: RUF012


class Gage(Base):
    __tablename__ = "gage"

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str]
    depth: Mapped[int | None]
    readings: Mapped[list[Reading]] = relationship(back_populates="gage")


class Reading(Base):
    __tablename__ = "reading"

    id: Mapped[int] = mapped_column(primary_key=True)
    gage_id: Mapped[int] = mapped_column(sa.ForeignKey("gage.id"))
    value: Mapped[int] = mapped_column(unique=True)
    gage: Mapped[Gage] = relationship(back_populates="readings")


class Eager(Base):
    """The same gages, with their readings always at hand."""

    __table__ = Gage.__table__
    readings: Mapped[list[Reading]] = relationship(lazy="joined", viewonly=True)


class Water(Base):
    __tablename__ = "water"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "water"}  # noqa: RUF012


class Lake(Water):
    __tablename__ = "lake"

    id: Mapped[int] = mapped_column(sa.ForeignKey("water.id"), primary_key=True)
    area: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "lake"}  # noqa: RUF012


class Pond(Water):
    __mapper_args__ = {"polymorphic_identity": "pond"}  # noqa: RUF012


keyless = sa.Table(
    "keyless", Base.metadata, sa.Column("code", sa.Integer, nullable=False), sa.Column("word", String(20))
)
coded = sa.Table(
    "coded",
    Base.metadata,
    sa.Column("code", sa.Integer, nullable=False, unique=True),
    sa.Column("word", String(20)),
)


class Word(Base):
    """A class that says what its table does not: by what rows are told apart."""

    __table__ = sa.Table(
        "word", Base.metadata, sa.Column("code", sa.Integer, nullable=False), sa.Column("word", String(20))
    )
    __mapper_args__ = {"primary_key": [__table__.c.code]}  # noqa: RUF012


class Rivers(App):
    package = "rivers"
    gages = Database("Gages.", metadata=Base.metadata)


def fill(session: Session) -> None:
    number = count(1)
    for n in range(1, 12):
        session.add(Gage(id=n, site=f"site {n % 3}", depth=None if n % 4 == 0 else n % 5))
        for _ in range(n % 4):
            reading = next(number)
            session.add(Reading(id=reading, gage_id=n, value=1000 - reading))
    session.add_all([Lake(id=n, name=f"w{n % 2}", area=n % 3) for n in range(1, 6)])
    session.add_all([Pond(id=n, name=f"w{n % 2}") for n in range(6, 9)])
    session.flush()
    for table in (keyless, coded, Word.__table__):
        session.execute(sa.insert(table), [{"code": n, "word": f"w{n % 2}"} for n in range(5)])
    session.commit()


@pytest.fixture
def session(ground: TestServer) -> Iterator[Session]:
    """A session on a store with gages, some of which have readings, and waters of some kinds."""
    with engine_of(ground, Rivers, "gages") as engine, Session(engine) as session:
        fill(session)
        yield session


OTHER = aliased(Gage)
ROW_NUMBER = func.row_number().over(partition_by=Gage.site, order_by=Gage.id)
MORE = Gage.depth + 1
SITES = select(Gage.site, func.count().label("n")).group_by(Gage.site)
PER_GAGE = select(Reading.gage_id, func.max(Reading.value).label("most")).group_by(Reading.gage_id)
BOTH = sa.union(select(Gage.site.label("word")), select(Water.name))

ROWS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "join": (select(Gage.id, Reading.id.label("reading")).join(Reading), (Gage.site,)),
    "join, not ordered": (select(Gage.id, Reading.id.label("reading")).join(Reading), ()),
    "many to one": (select(Reading.id, Gage.site).join(Gage), (Gage.site.desc(), Reading.value)),
    "outer join": (
        select(Gage.id, Reading.id.label("reading")).outerjoin(Reading),
        (Reading.value.desc(), Gage.depth),
    ),
    "outer join, NULL first": (
        select(Gage.id, Reading.id.label("reading")).outerjoin(Reading),
        (Reading.value.nulls_first(),),
    ),
    "product": (select(Gage.id, Water.id.label("water")).where(Gage.id < Water.id), (Water.name,)),
    "self join": (
        select(Gage.id, OTHER.id.label("other")).join(OTHER, OTHER.site == Gage.site),
        (OTHER.depth,),
    ),
    "two of one name": (select(Gage.id, Reading.id).join(Reading), (Gage.depth.desc(),)),
    "a column twice": (select(Gage.id, Gage.id, Gage.site), (Gage.site,)),
    "distinct": (select(Gage.site).distinct(), (Gage.site.desc(),)),
    "distinct of several": (select(Gage.site, Gage.depth).distinct(), (Gage.depth,)),
    "distinct of an expression": (
        select(func.substr(Gage.site, 6, 1).label("last"), Gage.depth).distinct(),
        (sa.desc("last"),),
    ),
    "distinct over a join": (select(Gage.id, Gage.site).join(Reading).distinct(), (Gage.site,)),
    "group by": (SITES, (Gage.site.desc(),)),
    "group by, not ordered": (SITES, ()),
    "group by, an aggregate": (SITES, (func.count().desc(),)),
    "group by, its label": (SITES, ("n",)),
    "group by, having": (SITES.having(func.count() > 3), (sa.desc("n"),)),
    "group by the key": (
        select(Gage.id, func.count(Reading.id)).outerjoin(Reading).group_by(Gage.id),
        (func.count(Reading.id), Gage.id.desc()),
    ),
    "group by an expression": (
        select(MORE.label("more"), func.count()).group_by(MORE),
        (func.count(), MORE.desc()),
    ),
    "group by the key, ordered by a column": (
        select(Gage.id, func.count(Reading.id)).outerjoin(Reading).group_by(Gage.id),
        (Gage.site.desc(),),
    ),
    "group by, window": (
        select(Gage.site, func.sum(func.count()).over(order_by=Gage.site).label("all")).group_by(Gage.site),
        (sa.desc("all"),),
    ),
    "window": (select(Gage.id, ROW_NUMBER.label("n")), (sa.desc("n"), Gage.site)),
    "ordered by a window": (select(Gage.id), (ROW_NUMBER,)),
    "union": (BOTH, ("word",)),
    "union with an order": (BOTH.order_by(sa.desc("word")), ()),
    "intersect": (sa.intersect(select(Gage.id, Gage.site), select(Gage.id, Gage.site)), ()),
    "subquery": (select(PER_GAGE.subquery()), ("most",)),
    "join with a subquery": (
        select(Gage.id, (sub := PER_GAGE.subquery()).c.most).outerjoin(sub, sub.c.gage_id == Gage.id),
        (sub.c.most.desc(),),
    ),
    "subquery of a union": (select(BOTH.subquery()), ()),
    "subquery with a limit": (select(select(Gage.id).order_by(Gage.id).limit(5).subquery()), ()),
    "cte": (
        select((cte := PER_GAGE.cte()).c.most, Gage.site).join(Gage, Gage.id == cte.c.gage_id),
        (Gage.site,),
    ),
    "in": (select(Gage.id, Gage.site).where(Gage.id.in_(select(Reading.gage_id))), (Gage.site,)),
    "scalar subquery": (
        select(
            Gage.id,
            (select(func.count(Reading.id)).where(Reading.gage_id == Gage.id).scalar_subquery().label("n")),
        ),
        (sa.desc("n"),),
    ),
    "expressions": (
        select(Gage.id),
        (Gage.depth % 2, func.coalesce(Gage.depth, 100).desc(), func.lower(Gage.site), -Gage.id),
    ),
    "a case": (select(Gage.id), (sa.case((Gage.depth > 2, "b"), else_="a"),)),
    "a literal": (select(Gage.id, sa.literal("x").label("x")), ()),
    "text": (select(Gage.id, sa.text("'y' AS y")), (Gage.site,)),
    "names like ours": (select(Gage.id.label("penstock_key_0"), Gage.site.label("_key_0")), (Gage.site,)),
    "an order of its own": (select(Gage.id).order_by(Gage.site.desc()), (Gage.depth,)),
    "an order of its own by label": (
        select(Gage.id, Gage.site.label("place")).order_by(sa.desc("place")),
        (),
    ),
    "a table": (select(Gage.__table__), (Gage.__table__.c.site,)),
    "an alias of a table": (select(Gage.__table__.alias()), ()),
    "columns that are unique": (select(coded), (coded.c.word.desc(),)),
    "locked": (select(Gage.id, Gage.site), (Gage.site,)),
}


def listed(rows: Any) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in rows), key=repr)


def test_a_walk_meets_every_row_of_a_query_once(session: Session) -> None:
    for shape, (query, order) in ROWS.items():
        asked = query.with_for_update() if shape == "locked" and "sqlite" not in str(session.bind) else query
        found = walked(session, asked, order, 3)
        assert listed(found) == listed(session.execute(query.order_by(None))), shape
        assert listed(walked_by_number(session, query)) == listed(found), shape
        on = session.connection()
        assert [tuple(row) for row in walked(on, query, order, 2)] == [tuple(row) for row in found]


def walked_by_number(session: Session, query: Any) -> list[Any]:
    page = paginate(session, query, per_page=2)
    items = list(page.items)
    while (following := page.next()) is not None:
        page = following
        items += page.items
    assert page.total == len(items)
    return items


def test_rows_come_in_the_order_that_is_asked_for(session: Session) -> None:
    joined = select(Gage.site, Reading.value).outerjoin(Reading)
    by_value = (Gage.site.desc(), Reading.value.desc().nulls_last())
    found = [tuple(row) for row in walked(session, joined, by_value)]
    assert found == sorted(found, key=lambda row: (row[0], row[1] is not None, row[1] or 0), reverse=True)
    found = [tuple(row) for row in walked(session, joined, (Reading.value.nulls_first(),))]
    assert [value for _, value in found] == sorted(
        (value for _, value in found), key=lambda value: (value is not None, value)
    )
    by_count = [tuple(row) for row in walked(session, SITES, (sa.desc("n"),))]
    assert by_count == sorted(by_count, key=lambda row: (-row[1], row[0]))
    own = [tuple(row) for row in walked(session, select(Gage.site, Gage.id).order_by(Gage.site.desc()))]
    assert own == sorted(own, key=lambda row: (row[0], -row[1]), reverse=True)
    page = paginate(session, select(Gage).order_by(Gage.depth.desc().nulls_last()), per_page=20)
    depths = [gage.depth for gage in page.items]
    assert depths == sorted(depths, key=lambda depth: (depth is None, -(depth or 0)))


def test_a_window_is_of_all_rows_not_of_a_page(session: Session) -> None:
    query = select(Gage.id, func.count().over().label("n"))
    assert {row.n for row in walked(session, query, (Gage.site,))} == {11}


# --- objects --------------------------------------------------------------------------------------

ALIAS = aliased(Gage)
ANY = with_polymorphic(Water, [Lake])
OBJECTS: dict[str, tuple[Any, tuple[Any, ...], int]] = {
    "a class": (Gage, (Gage.site,), 11),
    "an alias": (select(ALIAS), (ALIAS.depth,), 11),
    "one to many": (select(Gage).join(Gage.readings), (Reading.value,), 18),
    "distinct": (select(Gage).join(Gage.readings).distinct(), (Gage.site,), 9),
    "distinct, loaded along": (
        select(Gage).join(Gage.readings).distinct().options(selectinload(Gage.readings)),
        (Gage.site,),
        9,
    ),
    "window": (select(Gage).order_by(ROW_NUMBER), (), 11),
    "group by": (select(Gage).join(Reading).group_by(Gage), (func.count(Reading.id).desc(),), 9),
    "joined inheritance": (Lake, (Lake.area, Water.name), 5),
    "single-table inheritance": (Pond, (Pond.name,), 3),
    "all of a family": (Water, (Water.name,), 8),
    "polymorphic": (select(ANY), (ANY.Lake.area.desc(), ANY.name), 8),
    "joined": (select(Gage).options(joinedload(Gage.readings)), (Gage.site,), 11),
    "joined, and many": (select(Gage).join(Reading).options(joinedload(Gage.readings)), (Reading.value,), 18),
    "selectin": (select(Gage).options(selectinload(Gage.readings)), (Gage.depth.desc(),), 11),
    "by subquery": (select(Gage).options(subqueryload(Gage.readings)), (Gage.depth,), 11),
    "always joined": (Eager, (Eager.site.desc(),), 11),
    "a key by the class": (Word, (Word.word,), 5),
}


def test_a_walk_meets_every_object_once(session: Session) -> None:
    for shape, (query, order, expected) in OBJECTS.items():
        found = walked(session, query, order, 2)
        assert len(found) == expected, shape
        kept = select(query) if isinstance(query, type) else query
        kind = kept.column_descriptions[0]["entity"]
        assert all(isinstance(each, sa.inspect(kind).mapper.class_) for each in found), shape
        numbered = walked_by_number(session, query)
        assert sorted(sa.inspect(each).identity for each in numbered) == sorted(
            sa.inspect(each).identity for each in found
        ), shape


def test_what_is_loaded_along_is_all_there(session: Session) -> None:
    for option in (joinedload, selectinload, subqueryload):
        session.expire_all()
        query = select(Gage).join(Reading).options(option(Gage.readings)).distinct()
        for gage in walked(session, query if option is selectinload else query.distinct(), (), 2):
            assert "readings" not in sa.inspect(gage).unloaded
            assert len(gage.readings) == gage.id % 4


def test_objects_and_columns_come_together(session: Session) -> None:
    query = select(Gage, Reading.value, func.lower(Gage.site).label("low")).outerjoin(Reading)
    found = walked(session, query, (Reading.value.desc(),), 3)
    assert len(found) == 20
    assert all(row.low == row.Gage.site.lower() for row in found)
    assert sorted(map(repr, walked_by_number(session, query))) == sorted(
        repr((row.Gage, row.value, row.low)) for row in found
    )
    nobody = select(Reading).select_from(Gage).outerjoin(Reading)
    assert sorted(each is None for each in walked(session, nobody, (Reading.value.desc(),), 2)) == [
        *[False] * 18,
        *[True] * 2,
    ]


# --- what is refused ------------------------------------------------------------------------------


def distinct_on(column: Any) -> Any:
    """The first row with each value: by the extension of SQLAlchemy 2.1, or as 2.0 says it."""
    if hasattr(postgresql, "distinct_on"):
        return select(Gage).ext(postgresql.distinct_on(column))
    return select(Gage).distinct(column)


MANY = sa.union_all(select(Gage.site), select(Gage.site))
REFUSED: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "union all": (MANY, (), "no order of their own"),
    "no key": (keyless, (), "no order of their own"),
    "no key, joined": (select(Gage.id).join(keyless, keyless.c.code == Gage.id), (Gage.id,), "no order of"),
    "subquery that hides the key": (select(select(Gage.site).subquery()), (), "no order of their own"),
    "subquery with a limit of no order": (
        select(select(Gage.id).limit(3).subquery()),
        (),
        "no order of their",
    ),
    "one row": (select(func.count(Gage.id)), (), "no order of their own"),
    "distinct on": (distinct_on(Gage.site), (), "no order of their own"),
    "a limit": (select(Gage).limit(3), (), "LIMIT of its own"),
    "an offset": (select(Gage).offset(3), (), "LIMIT of its own"),
    "text": (sa.text("SELECT 1").columns(sa.column("id")), (), "Only a SELECT"),
    "from a statement": (select(Gage).from_statement(sa.text("SELECT * FROM gage")), (), "Only a SELECT"),
    "an insert": (sa.insert(Gage), (), "Only a SELECT"),
    "a text as order": (select(Gage), (sa.text("site DESC"),), "no expression"),
    "chance": (select(Gage), (func.random(),), "by chance"),
    "no such name": (select(Gage), ("nowhere",), "selects nothing that is called 'nowhere'"),
    "a relationship": (select(Gage), (Gage.readings,), "does not select from where"),
    "a table that is not there": (select(Gage), (Reading.value,), "does not select from where"),
    "distinct, ordered by another": (select(Gage.site).distinct(), (Gage.depth,), "DISTINCT"),
    "group by, ordered by another": (SITES, (Gage.depth,), "no one value"),
    "window and options": (
        select(Gage, ROW_NUMBER.label("n")).options(selectinload(Gage.readings)),
        (),
        "Objects can't be made",
    ),
    "window and a class twice": (
        select(Gage, OTHER, ROW_NUMBER.label("n")).join(OTHER, OTHER.id == Gage.id),
        (),
        "Objects can't be made",
    ),
    "collections from its own rows": (
        select(Gage).join(Gage.readings).options(contains_eager(Gage.readings)),
        (),
        "part the collections",
    ),
    "window, locked": (select(Gage.id, ROW_NUMBER.label("n")).with_for_update(), (), "can't be locked"),
}


def test_what_can_not_be_right_is_refused_before_anything_is_sent(session: Session) -> None:
    sent: list[str] = []
    engine = session.get_bind()
    sa.event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    for shape, (query, order, words) in REFUSED.items():
        with pytest.raises(NotSupported, match=words):
            paginate_keyset(session, query, order_by=order)
        assert sent == [], shape
    for shape in ("union all", "text", "collections from its own rows"):
        with pytest.raises(NotSupported, match=REFUSED[shape][2]):
            paginate(session, REFUSED[shape][0])


def test_rows_with_one_place_are_refused_when_they_are_seen(session: Session) -> None:
    lied = sa.Table("keyless", sa.MetaData(), sa.Column("word", String(20), primary_key=True))
    with pytest.raises(NotSupported, match="same place"):
        walked(session, lied, (), 3)


# --- by number ------------------------------------------------------------------------------------


def test_pages_by_number_keep_to_a_limit_of_the_query(session: Session) -> None:
    query = select(Gage.id).order_by(Gage.id).limit(7).offset(2)
    pages = [paginate(session, query, page=number, per_page=3) for number in (1, 2, 3, 4)]
    assert [[row.id for row in page.items] for page in pages] == [[3, 4, 5], [6, 7, 8], [9], []]
    assert [(page.has_next, page.total, page.pages) for page in pages] == [
        (True, 7, 3),
        (True, 7, 3),
        (False, 7, 3),
        (False, 7, 3),
    ]
    page = paginate(session, query, per_page=3, max_count=5)
    assert (page.total, page.capped) == (5, True)
    page = paginate(session, select(Gage.id).offset(9), per_page=3)
    assert ([row.id for row in page.items], page.total, page.has_next) == ([10, 11], 2, False)
    with pytest.raises(NotSupported, match="no number"):
        paginate(session, select(Gage.id).limit(sa.func.abs(3)))


def test_pages_by_number_of_a_lock_count_without_it(ground: TestServer, session: Session) -> None:
    sent: list[str] = []
    sa.event.listen(session.get_bind(), "before_cursor_execute", lambda *args: sent.append(args[2]))
    page = paginate(session, select(Gage).with_for_update(), per_page=3)
    assert (len(page.items), page.total) == (3, 11)
    assert not any("FOR UPDATE" in statement for statement in sent if "count" in statement)
