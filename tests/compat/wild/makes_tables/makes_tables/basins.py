"""One store per river basin."""

from sqlalchemy import Column, Integer, String
from sqlalchemy.orm import declarative_base

from .app import MakesTables as app

Base = declarative_base()


class Reach(Base):
    """A reach of a river."""

    __tablename__ = "reaches"

    id = Column(Integer, primary_key=True)
    name = Column(String)


def add_basin(name, reaches):
    """Make a basin's store, its tables, and its reaches."""
    app.create_persistent_store(name, connection_name="servers")
    engine = app.get_persistent_store_database(name)
    Base.metadata.create_all(engine)
    Session = app.get_persistent_store_database(name, as_sessionmaker=True)
    session = Session()
    session.add_all([Reach(name=reach) for reach in reaches])
    session.commit()
    session.close()


def get_reaches(name):
    """The reaches of a basin."""
    session = app.get_persistent_store_database(name, as_sessionmaker=True)()
    names = [reach.name for reach in session.query(Reach).order_by(Reach.id)]
    session.close()
    return names


def remove_basin(name):
    """Drop a basin's store."""
    if app.persistent_store_exists(name):
        app.drop_persistent_store(name)
