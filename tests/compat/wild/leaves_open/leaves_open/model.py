"""The tables, and functions that forget their sessions."""

from sqlalchemy import Column, Float, Integer
from sqlalchemy.orm import declarative_base, sessionmaker

from .app import LeavesOpen as app

Base = declarative_base()


class Well(Base):
    """A well."""

    __tablename__ = "wells"

    id = Column(Integer, primary_key=True)
    depth = Column(Float)


def init_wells(engine, first_time):
    """Make the tables; the session is left open."""
    Base.metadata.create_all(engine)
    session = sessionmaker(bind=engine)()
    if session.query(Well).count() == 0:
        session.add(Well(depth=10.0))
        session.commit()
    session.query(Well).all()


def count_wells():
    """How many wells there are; the session is left open."""
    session = app.get_persistent_store_database("wells", as_sessionmaker=True)()
    return session.query(Well).count()


def deepest():
    """A well whose session is left open."""
    session = app.get_persistent_store_database("wells", as_sessionmaker=True)()
    return session.query(Well).order_by(Well.depth.desc()).first()


def add_well(depth):
    """Add a well; the session is left open."""
    session = app.get_persistent_store_database("wells", as_sessionmaker=True)()
    session.add(Well(depth=depth))
    session.commit()
    session.query(Well).count()
