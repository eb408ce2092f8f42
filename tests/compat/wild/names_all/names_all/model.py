"""The tables, and what fills them."""

from sqlalchemy import Column, Integer, String
from sqlalchemy.orm import declarative_base, sessionmaker

Base = declarative_base()


class Dam(Base):
    """A dam."""

    __tablename__ = "dams"

    id = Column(Integer, primary_key=True)
    name = Column(String)


def init_primary_db(engine, first_time):
    """Make the tables, and one dam."""
    Base.metadata.create_all(engine)
    if first_time:
        session = sessionmaker(bind=engine)()
        session.add(Dam(name="Deer Creek"))
        session.commit()
        session.close()
