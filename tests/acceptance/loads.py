"""An app with tables to load files into, and what is in them afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData, Table, create_engine, select

if TYPE_CHECKING:
    from acceptance.terminal import Terminal

GAGES = """
from datetime import date, datetime
from decimal import Decimal
from penstock import App, Database
from sqlalchemy import JSON, Numeric, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Gage(Base):
    __tablename__ = "gage"
    number: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(20))
    height: Mapped[float]
    price: Mapped[Decimal | None] = mapped_column(Numeric(20, 6))
    gates: Mapped[int | None]
    made: Mapped[date | None]
    seen: Mapped[datetime | None]
    works: Mapped[bool] = mapped_column(default=True)
    extra: Mapped[dict | None] = mapped_column(JSON)

def more(connection, first_time):
    if first_time:
        connection.execute(text(
            "CREATE TABLE flow (site varchar(20) NOT NULL, day date NOT NULL, amount numeric(12, 4) NOT NULL,"
            " works boolean, note varchar(20) DEFAULT 'none', PRIMARY KEY (site, day))"
        ))

class Lab(App):
    package = "lab"
    gages = Database("Every gage.", metadata=Base.metadata, tables="app", initializer=more)
"""
"""An app with a table that it declares, and one that it makes by itself."""

HEAD = "number,name,height,price,gates,made,seen,works,extra\n"


def stored(lab: Terminal, name: str = "gage") -> list[dict[str, Any]]:
    """The rows of a table, as SQLAlchemy reads them."""
    engine = create_engine(lab.ok("stores", "url", "lab:gages", "--reveal").strip())
    try:
        with engine.connect() as connection:
            schema, _, plain = name.rpartition(".")
            table = Table(plain, MetaData(), schema=schema or None, autoload_with=connection)
            found = connection.execute(select(table).order_by(*table.primary_key)).mappings()
            return [dict(row) for row in found]
    finally:
        engine.dispose()


def write(lab: Terminal, name: str, text: str | bytes) -> str:
    (lab.folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name
