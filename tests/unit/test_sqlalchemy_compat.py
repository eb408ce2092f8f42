"""What SQLAlchemy is asked past its public names; a release without it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    ClauseElement,
    DateTime,
    ForeignKey,
    Integer,
    StaticPool,
    TwoPhaseTransaction,
    bindparam,
    create_engine,
    event,
    func,
    literal,
    select,
    text,
    union,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import CompileError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship
from sqlalchemy.pool import Pool

from penstock import sqlalchemy_compat as compat
from penstock.backends.expressions import Explained

try:
    from sqlalchemy.sql import SyntaxExtension
except ImportError:
    SyntaxExtension = None

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


class Base(DeclarativeBase):
    pass


class Site(Base):
    __tablename__ = "site"
    id: Mapped[int] = mapped_column(primary_key=True)
    gages: Mapped[list[Gage]] = relationship()


class Gage(Base):
    __tablename__ = "gage"
    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A database in memory, with two gages at one site."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add(Site(id=1, gages=[Gage(id=1), Gage(id=2)]))
    yield engine
    engine.dispose()


# --- statements -----------------------------------------------------------------------------------


def test_the_cache_key_is_that_of_a_statement_with_other_values() -> None:
    one, other = (select(Site).where(Site.id == number) for number in (1, 2))
    assert compat.cache_key_of(one) == compat.cache_key_of(other) is not None
    assert compat.cache_key_of(one) != compat.cache_key_of(one.limit(1))
    assert compat.cache_key_of(Explained("EXPLAIN", one)) is None


def test_a_query_tells_its_order_and_its_groups() -> None:
    statement = select(Site.id)
    assert compat.order_of(statement) == compat.groups_of(statement) == ()
    assert [str(each) for each in compat.order_of(statement.order_by(Site.id))] == ["site.id"]
    assert [str(each) for each in compat.groups_of(statement.group_by(Site.id))] == ["site.id"]
    assert [str(each) for each in compat.order_of(union(statement, statement).order_by("id"))] == ["id"]


def test_a_query_tells_that_it_is_distinct() -> None:
    statement = select(Site.id)
    assert [compat.is_distinct(each) for each in (statement, statement.distinct())] == [False, True]


def test_a_query_tells_that_it_is_distinct_on() -> None:
    statement = select(Site.id)
    assert not compat.is_distinct_on(statement.distinct())
    if hasattr(postgresql, "distinct_on"):
        assert compat.is_distinct_on(statement.ext(postgresql.distinct_on(Site.id)))
    else:  # SQLAlchemy 2.0 has no words of others; it takes columns here.
        assert compat.is_distinct_on(statement.distinct(Site.id))


@pytest.mark.skipif(SyntaxExtension is None, reason="SQLAlchemy 2.0 has no extensions of its syntax")
@pytest.mark.parametrize("place", ["pre_columns", "post_select", "post_criteria", "post_body"])
def test_a_query_tells_that_it_has_words_of_others(place: str) -> None:
    class Words(SyntaxExtension, ClauseElement):  # type: ignore[misc, valid-type]
        def apply_to_select(self, statement: Any) -> None:
            statement.apply_syntax_extension_point(lambda _: [self], place)

    assert compat.is_distinct_on(select(Site.id).ext(Words()))


def test_a_query_tells_its_limits() -> None:
    statement = select(Site.id)
    assert compat.limits_of(statement) == (None, None, None)
    limit, offset, fetch = compat.limits_of(statement.limit(3).offset(2))
    assert (limit.value, offset.value, fetch) == (3, 2, None)
    assert compat.limits_of(statement.fetch(4))[2].value == 4
    assert compat.limit_and_offset(statement) == (None, None)
    assert compat.limit_and_offset(statement.limit(3).offset(2)) == (3, 2)
    with pytest.raises(CompileError):
        compat.limit_and_offset(statement.limit(func.least(1, 2)))


def test_a_lock_of_rows_is_seen_and_taken_back() -> None:
    plain = select(Site)
    locking = plain.with_for_update()
    assert [compat.locks_rows(each) for each in (plain, locking, text("SELECT 1"))] == [False, True, False]
    made = compat.without_lock(locking)
    assert "FOR UPDATE" not in str(made)
    assert "FOR UPDATE" in str(locking)


def test_options_are_seen_and_taken_back() -> None:
    first, second = joinedload(Site.gages), joinedload(Site.gages)
    statement = select(Site).options(first, second)
    assert compat.options_of(statement) == (first, second)
    assert compat.options_of(compat.with_only_options(statement, lambda each: each is second)) == (second,)
    assert compat.options_of(statement) == (first, second)


def test_a_select_tells_its_columns_as_they_were_given() -> None:
    words = text("1")
    assert words in compat.columns_as_given(select(Site.id, words))


def test_a_column_tells_what_rows_call_it() -> None:
    columns = select(Site.id, literal(1).label("one"), func.length("x") + 1).selected_columns
    assert [compat.name_in_row(column) for column in columns][:2] == ["id", "one"]


def test_a_class_tells_whether_it_is_mapped() -> None:
    assert [compat.is_mapped(kind) for kind in (Site, Base, dict)] == [True, False, False]


# --- compiled, and answered -----------------------------------------------------------------------


def test_the_columns_of_a_result_are_those_that_the_server_says(engine: Engine) -> None:
    explained = Explained("EXPLAIN QUERY PLAN", select(Site.id, Site.id.label("parent")))
    with engine.connect() as connection:
        [row] = connection.execute(explained).mappings()
    assert "detail" in row


def test_what_is_made_of_values_is_known_by_their_parameters(engine: Engine) -> None:
    statement = select(bindparam("at", type_=DateTime()), bindparam("plain", type_=Integer()))
    assert set(compat.bind_processors_of(statement.compile(dialect=engine.dialect))) == {"at"}


def test_a_result_tells_that_a_join_repeated_its_rows(engine: Engine) -> None:
    with Session(engine) as session:
        plain, joined = (session.execute(select(Site).options(*o)) for o in ((), (joinedload(Site.gages),)))
        assert [compat.must_be_unique(each) for each in (plain, joined)] == [False, True]
        assert len(joined.unique().all()) == 1


def test_a_transaction_in_two_phases_has_where_it_says_that_it_is_prepared() -> None:
    assert "_is_prepared" in TwoPhaseTransaction.__slots__  # tests/backends/test_query_transactions.py asks.


# --- engines and dialects -------------------------------------------------------------------------


def test_an_engine_with_options_of_its_own_shows_the_one_behind_it(engine: Engine) -> None:
    once = engine.execution_options(isolation_level="AUTOCOMMIT")
    assert compat.engine_behind(once.execution_options(stream_results=True)) is engine
    assert compat.engine_behind(engine) is engine


def test_a_dialect_tells_whether_somebody_listens(engine: Engine) -> None:
    assert not compat.has_listeners(engine.dialect)
    event.listen(engine, "do_connect", lambda *_: None)
    assert compat.has_listeners(engine.dialect)


def test_listeners_have_a_place_for_one_dialect(engine: Engine) -> None:
    kind: Any = type(engine.dialect)
    one, other = (compat.listeners_for(kind, kind()) for _ in range(2))
    assert one is not other
    assert {"do_connect", "handle_error"} <= set(dir(one))


def test_pools_have_what_ours_extend() -> None:
    assert callable(Pool._close_connection)
    assert StaticPool(lambda: None)._dialect is not None
