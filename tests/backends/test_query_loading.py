"""An object that get_or_create makes of its row is what the ORM would load."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, ForeignKey, MetaData, String, delete, event, inspect, select, update
from sqlalchemy.exc import InvalidRequestError, MultipleResultsFound
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    object_session,
    reconstructor,
    relationship,
    with_loader_criteria,
)
from sqlalchemy.orm.exc import ObjectDeletedError

from fix_apps import all_ok
from fix_tables import VALUES, Sample
from penstock import App, Database
from penstock.query import get_or_create

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer
    from penstock import Stores


class Base(DeclarativeBase):
    metadata = MetaData()
    type_annotation_map = {str: String(40)}  # noqa: RUF012


class River(Base):
    __tablename__ = "river"

    name: Mapped[str] = mapped_column("called", primary_key=True)
    length: Mapped[int | None]
    basin: Mapped[str | None]
    gages: Mapped[list[Gage]] = relationship(back_populates="river", order_by="Gage.number")


class Gage(Base):
    """One that loads something along, and wants to know when it is loaded."""

    __tablename__ = "gage"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    river_name: Mapped[str | None] = mapped_column(ForeignKey("river.called"))
    river: Mapped[River | None] = relationship(back_populates="gages", lazy="selectin")
    seen = 0

    @reconstructor
    def see(self) -> None:
        self.seen += 1


class Survey(App):
    """An app with a store of rivers."""

    package = "survey"
    rivers = Database("Rivers.", metadata=Base.metadata)


@pytest.fixture
def rivers(ground: TestServer, stores_on: Callable[..., Stores]) -> Iterator[Engine]:
    stores = stores_on(ground, Survey, links=("rivers",))
    all_ok(stores, Survey)
    yield stores.engine(Survey, "rivers")
    stores.close()


@contextmanager
def sent_on(engine: Engine) -> Iterator[list[str]]:
    """The statements that are sent in the block."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def in_full(session: Session) -> Session:
    """A session that somebody listens to, so that the ORM does all itself."""
    event.listen(session, "do_orm_execute", lambda _: None)
    return session


def told(found: Any) -> dict[str, Any]:
    """What is to be known of an object."""
    state: Any = inspect(found)
    return {
        "values": dict(state.dict) | {"_sa_instance_state": None},
        "key": state.key,
        "is": (state.persistent, state.modified, state.expired),
        "unloaded": set(state.unloaded),
        "expired": set(state.expired_attributes),
        "committed": dict(state.committed_state),
        "options": tuple(state.load_options),
    }


def test_it_is_told_as_one_that_the_orm_loaded(rivers: Engine) -> None:
    with Session(rivers) as session, session.begin():
        session.add(River(name="Elbe", length=1094))
    with Session(rivers) as session, in_full(Session(rivers)) as other:
        found, new = get_or_create(session, River, {"name": "Elbe"}, {"length": 1})
        same, _ = get_or_create(other, River, {"name": "Elbe"}, {"length": 1})
        assert not new
        assert told(found) == told(same)
        assert object_session(found) is session


def test_a_made_one_is_told_as_one_that_the_orm_made(rivers: Engine) -> None:
    seen = []
    for session in (Session(rivers), in_full(Session(rivers))):
        with session:
            made, new = get_or_create(session, River, {"name": "Elbe"}, {"length": 1094})
            seen.append(told(made))
            assert new
            session.rollback()
            with pytest.raises((ObjectDeletedError, InvalidRequestError)):
                _ = made.length
    assert seen[0] == seen[1]


def test_a_hit_is_one_statement(rivers: Engine) -> None:
    with Session(rivers) as session, session.begin():
        get_or_create(session, River, {"name": "Elbe"})
        session.expunge_all()
        with sent_on(rivers) as sent:
            get_or_create(session, River, {"name": "Elbe"})
    assert len(sent) == 1


def test_what_the_session_has_of_it_stays_so_and_what_is_expired_is_loaded(rivers: Engine) -> None:
    told_of = []
    with Session(rivers) as session, session.begin():
        session.add(River(name="Elbe", length=1, basin="north", gages=[Gage(number=7)]))
    for session in (Session(rivers, autoflush=False), in_full(Session(rivers, autoflush=False))):
        with session:
            elbe = session.get_one(River, "Elbe")
            elbe.length = 2
            session.expire(elbe, ["basin", "gages"])
            session.execute(
                update(River).values(length=3, basin="sea").execution_options(synchronize_session=False)
            )
            with sent_on(rivers) as sent:
                found, new = get_or_create(session, River, {"name": "Elbe"})
                assert found is elbe
                assert not new
                assert (found.length, found.basin) == (2, "sea")
            told_of.append(told(found))
            assert len(sent) == 1
            assert found in session.dirty
            assert [gage.number for gage in found.gages] == [7]
    assert told_of[0] == told_of[1]


def test_an_expired_one_is_loaded_by_the_same_statement(rivers: Engine) -> None:
    with Session(rivers) as session:
        elbe, _ = get_or_create(session, River, {"name": "Elbe"}, {"length": 1094})
        session.commit()
        with sent_on(rivers) as sent:
            found, new = get_or_create(session, River, {"name": "Elbe"})
            assert found.length == 1094
            assert not new
        assert found is elbe
        assert len(sent) == 1
        assert not inspect(found).expired


def test_one_whose_row_others_have_replaced_is_loaded_anew(rivers: Engine) -> None:
    with Session(rivers) as session:
        elbe, _ = get_or_create(session, River, {"name": "Elbe"}, {"length": 1})
        elbe.gages = []
        session.flush()
        session.execute(delete(River).execution_options(synchronize_session=False))
        found, new = get_or_create(session, River, {"name": "Elbe"}, {"length": 2})
        assert new
        assert found is elbe
        assert found.length == 2
        assert "gages" in inspect(found).unloaded


def test_what_is_pending_is_found(rivers: Engine) -> None:
    with Session(rivers) as session:
        pending = River(name="Elbe", length=1)
        session.add(pending)
        assert get_or_create(session, River, {"name": "Elbe"}, {"length": 2}) == (pending, False)
        pending.basin = "north"
        assert get_or_create(session, River, {"basin": "north"}) == (pending, False)
        session.delete(pending)
        made, new = get_or_create(session, River, {"name": "Elbe"}, {"length": 2})
        assert new
        assert made.length == 2


def test_several_are_too_many(rivers: Engine) -> None:
    with Session(rivers) as session:
        session.add_all([River(name="Elbe", length=1), River(name="Oder", length=1)])
        with pytest.raises(MultipleResultsFound):
            get_or_create(session, River, {"length": 1})


@pytest.mark.parametrize(
    "name",
    ["loaded_as_persistent", "before_attach", "after_attach", "do_orm_execute", "detached_to_persistent"],
)
def test_who_listens_to_the_session_hears_what_the_orm_says(rivers: Engine, name: str) -> None:
    heard = []
    for _ in range(2):  # It is made, then found.
        with Session(rivers) as session, session.begin():
            event.listen(session, name, lambda *_: heard.append(name))
            get_or_create(session, River, {"name": "Elbe"})
    assert len(heard) == {"loaded_as_persistent": 2, "do_orm_execute": 3}.get(name, 0)


@pytest.mark.parametrize("name", ["load", "refresh", "expire"])
def test_who_listens_to_the_class_hears_what_the_orm_says(rivers: Engine, name: str) -> None:
    heard: list[str] = []

    def hear(*_: object) -> None:
        heard.append(name)

    with Session(rivers) as session, session.begin():
        get_or_create(session, River, {"name": "Elbe"})
    event.listen(River, name, hear)
    try:
        with Session(rivers) as session:
            found, _ = get_or_create(session, River, {"name": "Elbe"})
            assert len(heard) == (name == "load")
            session.expire(found)
            get_or_create(session, River, {"name": "Elbe"})
            assert len(heard) == 1
    finally:
        event.remove(River, name, hear)


def test_what_a_session_hides_is_not_found(rivers: Engine) -> None:
    with Session(rivers) as session, session.begin():
        get_or_create(session, River, {"name": "Elbe"}, {"length": 1})
    with Session(rivers) as session:

        @event.listens_for(session, "do_orm_execute")
        def hide(state: Any) -> None:
            if state.is_select:
                state.statement = state.statement.options(with_loader_criteria(River, River.length != 1))

        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            get_or_create(session, River, {"name": "Elbe"})


def test_a_class_that_loads_others_along_or_listens_still_does(rivers: Engine) -> None:
    with Session(rivers) as session, session.begin():
        session.add(River(name="Elbe"))
        session.flush()
        get_or_create(session, Gage, {"number": 1}, {"river_name": "Elbe"})
    with Session(rivers) as session:
        found, new = get_or_create(session, Gage, {"number": 1})
        assert not new
        assert found.seen == 1
        assert "river" in inspect(found).dict


def test_a_session_that_sends_elsewhere_is_asked_where(rivers: Engine) -> None:
    asked = []

    class Routed(Session):
        def get_bind(self, mapper: Any = None, *, clause: Any = None, **options: Any) -> Any:
            asked.append(clause is not None)
            return super().get_bind(mapper, clause=clause, **options)

    with Routed(rivers) as session:
        get_or_create(session, River, {"name": "Elbe"})
    assert any(asked)


def test_a_session_with_options_of_its_own_keeps_them(rivers: Engine) -> None:
    try:
        session: Session = Session(rivers, execution_options={"populate_existing": True})  # type: ignore[call-arg,unused-ignore]
    except TypeError:
        pytest.skip("This SQLAlchemy has no options of sessions.")
    with session:
        elbe, _ = get_or_create(session, River, {"name": "Elbe"}, {"length": 1})
        session.execute(update(River).values(length=2).execution_options(synchronize_session=False))
        found, _ = get_or_create(session, River, {"name": "Elbe"})
        assert found is elbe
        assert found.length == 2


NAMES = ("small", "big", "text", "exact", "truth", "data", "day", "moment", "uuid", "kind", "document")


@given(values=st.fixed_dictionaries({}, optional={name: st.none() | VALUES[name] for name in NAMES}))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_are_those_that_the_orm_loads(samples: Engine, values: dict[str, Any]) -> None:
    with Session(samples) as session:
        made, new = get_or_create(session, Sample, {"number": 1}, values)
        assert new
        first = told(made)["values"]
        session.expunge_all()
        found, new = get_or_create(session, Sample, {"number": 1})
        assert not new
        second = told(found)
        session.expunge_all()
        loaded = told(session.scalars(select(Sample)).one())
        assert second == loaded
        assert first == loaded["values"]
        session.rollback()
