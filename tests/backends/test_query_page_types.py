"""What some types need, so that a cursor says all that the server compares."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from fix_apps import engine_of
from fix_pages import walked
from penstock import App, Database
from penstock.errors import InvalidCursor, NotSupported
from penstock.query import bulk_insert, paginate_keyset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_servers import TestServer


class Base(DeclarativeBase):
    metadata = sa.MetaData()


class Note(Base):
    __tablename__ = "note"

    number: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(sa.Text)
    title: Mapped[str] = mapped_column(sa.String(700))
    single: Mapped[float] = mapped_column(sa.REAL().with_variant(sa.Float(24), "mariadb", "mysql"))
    word: Mapped[str] = mapped_column(sa.String(20))


class Notes(App):
    package = "notes"
    notes = Database("Notes.", metadata=Base.metadata)


@pytest.fixture
def session(ground: TestServer) -> Iterator[Session]:
    with engine_of(ground, Notes, "notes") as engine, Session(engine) as session:
        bulk_insert(session, Note, map(note, range(40)))
        session.commit()
        yield session


def note(number: int) -> dict[str, Any]:
    tail = f"{number * 7 % 40:02}"
    return {
        "number": number,
        "text": "x" * 2000 + tail,
        "title": "y" * 600 + tail,
        "single": number % 4 / 10,
        "word": f"Word {tail}",
    }


def numbers(found: list[Any]) -> list[int]:
    return [each.number for each in found]


def test_texts_that_are_alike_for_longer_than_the_server_sorts_by_lose_no_row(session: Session) -> None:
    for column in (Note.text, Note.title, Note.text.desc(), Note.title.desc()):
        found = walked(session, Note, (column,), 7)
        assert sorted(numbers(found)) == list(range(40))
    titles = [each.title for each in walked(session, Note, (Note.title,), 7)]
    assert titles == sorted(titles)


def test_expressions_are_compared_as_the_server_does_it(session: Session) -> None:
    for order in (
        (Note.single + 0.1,),
        (func.abs(Note.single - 0.2),),
        (func.lower(Note.word).desc(),),
        (func.length(Note.text) - Note.number,),
        (func.coalesce(Note.single, 5), Note.word.desc()),
        (Note.number * 1.5,),
        (Note.number / 3,),
        (sa.cast(Note.number, sa.String(20)).desc(),),
        (sa.cast(Note.number, sa.Numeric(20, 6)) / 7,),
        (Note.word + "x",),
        (Note.number % 3 == 1, Note.word),
        (func.nullif(Note.number % 5, 2).nulls_first(),),
        (func.nullif(Note.number % 5, 2).desc().nulls_last(),),
        (select(func.max(Note.word)).scalar_subquery(),),
    ):
        found = numbers(walked(session, select(Note.number), order, 7))
        items = [*order, Note.number] if "NULLS" not in str(order[0]) else []
        if items:
            assert found == list(session.scalars(select(Note.number).order_by(*items))), str(order)
        assert sorted(found) == list(range(40)), str(order)


def test_a_cursor_of_an_expression_is_none_of_one_with_other_values(session: Session) -> None:
    first = paginate_keyset(session, Note, order_by=[func.coalesce(Note.number % 5, 0)])
    with pytest.raises(InvalidCursor, match="another order"):
        paginate_keyset(session, Note, order_by=[func.coalesce(Note.number % 5, 1)], after=first.next_cursor)
    nulls = paginate_keyset(session, Note, order_by=[Note.word.nulls_first()]).next_cursor
    with pytest.raises(InvalidCursor, match="another order"):
        paginate_keyset(session, Note, order_by=[Note.word], after=nulls)


def test_a_type_without_an_order_is_refused(postgresql_ground: TestServer) -> None:
    with engine_of(postgresql_ground, Notes, "notes") as engine:
        table = sa.Table("note", sa.MetaData(), sa.Column("number", sa.Integer, primary_key=True))
        for kind in (sa.JSON(), postgresql.JSON()):
            with pytest.raises(NotSupported, match="order of JSON"):
                paginate_keyset(engine, table, order_by=[sa.cast(table.c.number, kind)])


def test_a_refused_value_leaves_the_transaction_as_it_was_even_in_autocommit(
    postgresql_ground: TestServer,
) -> None:
    table = sa.Table(
        "span",
        sa.MetaData(),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", postgresql.INET),
    )
    with engine_of(postgresql_ground, Notes, "notes") as engine:
        for level in ("READ COMMITTED", "AUTOCOMMIT"):
            with engine.connect().execution_options(isolation_level=level) as connection:
                table.create(connection, checkfirst=True)
                connection.execute(sa.delete(table))
                rows = [{"number": n, "at": f"10.0.0.{n}"} for n in range(4)]
                connection.execute(sa.insert(table), rows)
                found = [row.number for row in walked(connection, table, (table.c.at,))]
                assert found == [0, 1, 2, 3]
                with pytest.raises(InvalidCursor):
                    paginate_keyset(connection, table, order_by=[table.c.at], after=forged(connection, table))
                assert connection.scalar(select(func.count()).select_from(table)) == 4


def forged(connection: sa.Connection, table: sa.Table) -> str:
    cursor = paginate_keyset(connection, table, order_by=[table.c.at], per_page=2).next_cursor
    assert cursor is not None
    said = urlsafe_b64decode(cursor + "==").replace(b"10.0.0.1/32", b"10.0.0.999")
    return urlsafe_b64encode(said).decode().rstrip("=")
