"""The table that several benchmarks write: alerts of a telescope, twelve columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Double, Engine, Integer, MetaData, Table, Text, text
from sqlalchemy.orm import DeclarativeBase

from penstock import App, Database

if TYPE_CHECKING:
    from collections.abc import Iterator

metadata = MetaData()
detection = Table(
    "detection",
    metadata,
    Column("candid", Integer, primary_key=True, autoincrement=False),
    Column("oid", Text, nullable=False),
    Column("fid", Integer, nullable=False),
    *(Column(f"value_{number}", Double) for number in range(8)),
    Column("step", Text),
)


class Base(DeclarativeBase):
    """The tables."""

    metadata = metadata


class Detection(Base):
    """A row of it as an object."""

    __table__ = detection


class Lab(App):
    """An app with one store."""

    package = "lab"
    alerts = Database("Alerts.", metadata=metadata)


def generated(count: int) -> Iterator[dict[str, Any]]:
    """So many rows, made while they are read."""
    for number in range(count):
        yield {
            "candid": number,
            "oid": f"ZTF20{number % 5000:07}",
            "fid": number % 3,
            **{f"value_{n}": number / (n + 1) for n in range(8)},
            "step": None if number % 2 else "correction",
        }


def empty(engine: Engine, tidy: str = "VACUUM detection") -> None:
    """Take all rows out of the table; then tidy up what they leave behind, which is not timed."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM detection"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(tidy))
