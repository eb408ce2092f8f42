"""The tables, and what fills them."""

from sqlalchemy import Column, Float, Integer, String
from sqlalchemy.orm import declarative_base

from .app import AsksItself as app

Base = declarative_base()


class Dam(Base):
    """A dam."""

    __tablename__ = "dams"

    id = Column(Integer, primary_key=True)
    name = Column(String)
    height = Column(Float)


def add_dam(name, height):
    """Add a dam, by the app's own class."""
    Session = app.get_persistent_store_database("primary_db", as_sessionmaker=True)
    session = Session()
    session.add(Dam(name=name, height=height))
    session.commit()
    session.close()


def get_dams():
    """The names of all dams, by the app's own class."""
    Session = app.get_persistent_store_database("primary_db", as_sessionmaker=True)
    session = Session()
    names = [dam.name for dam in session.query(Dam).order_by(Dam.id)]
    session.close()
    return names


def init_primary_db(engine, first_time):
    """Make the tables; fill them by what all pages use."""
    Base.metadata.create_all(engine)
    if first_time:
        add_dam("Deer Creek", 71.6)
        add_dam("Jordanelle", 91.4)
