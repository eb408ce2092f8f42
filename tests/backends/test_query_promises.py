"""What bulk writing does and does not do is what the reference says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import String, create_engine, func, insert, select, type_coerce
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, lazyload
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.pool import StaticPool

from fix_models import (
    HEARD,
    Base,
    Coded,
    Counted,
    Event,
    FlashFlood,
    Flood,
    Hazard,
    Large,
    Made,
    Numbered,
    Odd,
    Owner,
    Part,
    Point,
    Project,
    Served,
    Stamped,
    Stepped,
    Storm,
    Touched,
    Watched,
)
from penstock.errors import PenstockError, RowRefused, RowStale, UnknownColumn
from penstock.query import bulk_insert, bulk_update, get_or_create, upsert
from promises import DOES, NONE, NOT, PROMISES, REFUSES, VERBS, Promise

if TYPE_CHECKING:
    from fix_doors import Doors

Check = Callable[[Session, str], bool]
CHECKS: dict[str, Check] = {}


def promise(feature: str) -> Callable[[Check], Check]:
    """Says of which feature something is the check: whether a verb does it."""

    def register(check: Check) -> Check:
        CHECKS[feature] = check
        return check

    return register


def write(session: Session, verb: str, model: Any, *rows: Any) -> None:
    if verb == "get_or_create":
        for row in rows:
            get_or_create(session, model, {"id": row["id"]}, {k: v for k, v in row.items() if k != "id"})
    else:
        {"bulk_insert": bulk_insert, "bulk_update": bulk_update, "upsert": upsert}[verb](session, model, rows)


def there(session: Session, model: Any, **values: Any) -> None:
    """Rows that are there, as if nobody knew of the class."""
    session.execute(insert(model.__table__), [{"id": number, **values} for number in (1, 2)])


def stored(session: Session, model: Any, name: str = "name") -> list[Any]:
    table = model.__table__
    return list(session.execute(select(table.c[name]).order_by(table.c.id)).scalars())


def made(*names: str) -> Check:
    """Rows that are made have the same as what the ORM makes."""

    def check(session: Session, verb: str) -> bool:
        write(session, verb, Made, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
        session.add_all([Made(id=3, name="a"), Made(id=4, name="b")])
        session.flush()
        assert len(set(stored(session, Made, "drawn"))) == 4, "`random()` differs from row to row"
        for name in names:
            found = stored(session, Made, name)
            moments = name == "at"
            if moments and (None in found or abs(found[0] - found[2]).total_seconds() > 60):
                return False
            if not moments and found[:2] != found[2:]:
                return False
        return True

    return check


promise("`default=` a value or a function")(made("scalar", "called"))
promise("a function that looks at its row: `context.get_current_parameters()`")(made("looked"))
promise("`default=func.now()` and other expressions")(made("at", "sum"))
promise("`default=select(…)`")(made("chosen"))


@promise("`default=Sequence(…)`")
def _(session: Session, verb: str) -> bool:
    write(session, verb, Made, {"id": 1}, {"id": 2})
    first, second = stored(session, Made, "number")
    if session.get_bind().dialect.name == "sqlite":
        return first is second is None
    return bool(second > first)


@promise("`server_default=`, `Identity()`, `Computed()`")
def _(session: Session, verb: str) -> bool:
    write(session, verb, Made, {"id": 1}, {"id": 2})
    if verb == "bulk_insert":
        bulk_insert(session, Numbered, [Numbered(name="a"), {"name": "b"}])
        assert len(set(stored(session, Numbered, "id"))) == 2
    return stored(session, Made, "served") == ["served"] * 2 and stored(session, Made, "double") == [2, 4]


@promise("None in a mapping, for a column with a default: the default")
def _(session: Session, verb: str) -> bool:
    write(session, verb, Touched, {"id": 1, "both": None})
    return stored(session, Touched, "both") == ["same"]


@promise("None in a new object, for a column with a default: the default")
def _(session: Session, verb: str) -> bool:
    write(session, verb, Touched, Touched(id=1, both=None))
    return stored(session, Touched, "both") == ["same"]


# --- what each update sets ------------------------------------------------------------------------


@promise("`onupdate=` a value or a function")
def _(session: Session, verb: str) -> bool:
    there(session, Touched)
    write(session, verb, Touched, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    found = [stored(session, Touched, name) for name in ("name", "scalar", "called", "both")]
    return found == [["a", "b"], ["scalar"] * 2, ["called"] * 2, ["same"] * 2]


@promise("a function that looks at its row")
def _(session: Session, verb: str) -> bool:
    there(session, Watched)
    write(session, verb, Watched, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    return stored(session, Watched, "looked") == ["of a", "of b"]


@promise("`onupdate=func.now()` and other expressions")
def _(session: Session, verb: str) -> bool:
    there(session, Touched)
    write(session, verb, Touched, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    return None not in stored(session, Touched, "at")


@promise("`onupdate=`, but the column is given: what is given")
def _(session: Session, verb: str) -> bool:
    there(session, Touched)
    write(session, verb, Touched, {"id": 1, "scalar": "mine", "called": "mine", "at": None})
    found = [stored(session, Touched, name)[0] for name in ("scalar", "called", "at")]
    return found == ["mine", "mine", None]


# --- version counters -----------------------------------------------------------------------------


@promise("`version_id_col` starts with 1")
def _(session: Session, verb: str) -> bool:
    write(session, verb, Counted, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    return stored(session, Counted, "row version") == [1, 1]


@promise("it is raised, so that a stale object in a session gets `StaleDataError`")
def _(session: Session, verb: str) -> bool:
    session.add_all([Counted(id=1), Counted(id=2)])
    session.flush()
    seen = session.get_one(Counted, 1)
    write(session, verb, Counted, {"id": 1, "name": "a"})
    assert stored(session, Counted, "row version") == [2, 1]
    seen.name = "stale"
    try:
        with session.begin_nested():
            session.flush()
    except StaleDataError:
        return True
    return False


@promise("a version is given, and the row that is there has another one")
def _(session: Session, verb: str) -> bool:
    there(session, Counted, **{"row version": 5})
    try:
        write(session, verb, Counted, *({"id": n, "name": "ab"[n - 1], "version": 5} for n in (1, 2)))
    except RowStale as error:
        raise AssertionError("the right version was refused") from error
    assert stored(session, Counted, "row version") == [6, 6]
    wrong = ({"id": 1, "name": "c", "version": 6}, {"id": 2, "name": "d", "version": 5})
    with session.begin_nested(), pytest.raises(RowStale):
        write(session, verb, Counted, *wrong)
    assert stored(session, Counted) == ["a", "b"]
    write(session, verb, Counted, *wrong)
    return True


@promise("`version_id_generator=` a function of one's own")
def _(session: Session, verb: str) -> bool:
    new = verb != "bulk_update"
    if new:
        for model in (Stamped, Stepped):
            write(session, verb, model, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
        assert stored(session, Stepped, "version") == [10, 10]
        return len(set(stored(session, Stamped, "version"))) == 2
    there(session, Stamped, version="old")
    there(session, Stepped, version=20)
    there(session, Odd, version="3")
    for model in (Stamped, Stepped):
        write(session, verb, model, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    write(session, verb, Odd, {"id": 1, "name": "a", "version": "3"})
    assert stored(session, Odd, "version") == ["4", "3"]
    assert stored(session, Stepped, "version") == [30, 30]
    return len({"old", *stored(session, Stamped, "version")}) == 3


@promise("`version_id_generator=False`: the column is left to the server")
def _(session: Session, verb: str) -> bool:
    if verb == "bulk_update":
        there(session, Served, version=7)
    write(session, verb, Served, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    return stored(session, Served, "version") == [7, 7]


# --- inheritance ----------------------------------------------------------------------------------


@promise("a class of single-table inheritance: its discriminator is set")
def _(session: Session, verb: str) -> bool:
    write(session, verb, FlashFlood, {"id": 1, "level": 1.5}, {"id": 2, "level": 2.5})
    return stored(session, Event, "kind") == ["flash flood"] * 2


@promise("the row with its key is of another class: it stays")
def _(session: Session, verb: str) -> bool:
    there(session, Event, kind="event")
    there_too = {"id": 3, "kind": "flash flood"}
    session.execute(insert(Event.__table__), there_too)
    write(session, verb, Flood, {"id": 2, "name": "a"}, {"id": 3, "name": "a"})
    return stored(session, Event) == [None, None, "a"]


@promise("a class of joined inheritance")
def _(session: Session, verb: str) -> bool:
    write(session, verb, Storm, {"id": 1, "name": "a", "wind": 1.5})
    return (stored(session, Event, "kind"), stored(session, Storm, "wind")) == (["storm"], [1.5])


@promise("a class of concrete inheritance")
def _(session: Session, verb: str) -> bool:
    if verb == "bulk_update":
        there(session, Project)
    write(session, verb, Project, {"id": 1, "name": "a"})
    return stored(session, Project)[0] == "a"


@promise("an abstract class: `polymorphic_abstract=True`")
def _(session: Session, verb: str) -> bool:
    write(session, verb, Hazard, {"id": 1, "name": "a"})
    return True


@promise("`polymorphic_on=` an expression")
def _(session: Session, verb: str) -> bool:
    if verb == "bulk_update":
        session.execute(insert(Large.__table__), {"id": 1001})
    write(session, verb, Large, {"id": 1001, "name": "a"})
    return stored(session, Large) == ["a"]


# --- objects --------------------------------------------------------------------------------------


@contextmanager
def elsewhere() -> Iterator[Session]:
    """A session of another store, which has read two owners; their names are deferred."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine, tables=[Base.metadata.tables[name] for name in ("owner", "part")])
    with Session(engine) as session:
        session.add_all([Owner(id=1, name="a"), Owner(id=2, name="b")])
        session.commit()
        session.scalars(select(Owner).options(lazyload("*"))).all()
        yield session
    engine.dispose()


def copied(session: Session, verb: str, owners: Iterable[Owner]) -> bool:
    if verb != "bulk_insert":
        there(session, Owner, name="old")
    write(session, verb, Owner, *owners)
    return stored(session, Owner) == ["a", "b"]


@promise("attributes that are expired or deferred are loaded")
def _(session: Session, verb: str) -> bool:
    with elsewhere() as other:
        owners = [other.get_one(Owner, number) for number in (1, 2)]
        other.expire(owners[0])
        assert "name" not in owners[1].__dict__
        other.add(Owner(id=3, name="pending"))
        done = copied(session, verb, owners)
        return done and len(other.new) == 1


@promise("they can't be loaded: the object is detached")
def _(session: Session, verb: str) -> bool:
    with elsewhere() as other:
        owners = [other.get_one(Owner, number) for number in (1, 2)]
        other.expunge_all()
    with pytest.raises(RowRefused, match="Row 0 of Owner has not been loaded: name"):
        copied(session, verb, owners)
    with elsewhere() as other:
        gone = other.get_one(Owner, 1)
        other.execute(Owner.__table__.delete())
        other.expire(gone)
        with pytest.raises(RowRefused, match="Row 0"):
            write(session, verb, Owner, gone)
    write(session, verb, Owner, *owners)
    return True


@promise("what was never set on a new object")
def _(session: Session, verb: str) -> bool:
    if verb != "bulk_insert":
        there(session, Coded, x=3)
    write(session, verb, Coded, Coded(id=1, name="a"))
    return stored(session, Coded, "x")[0] == (None if verb == "bulk_insert" else 3)


@promise("an SQL expression in an attribute: `gage.read_at = func.now()`")
def _(session: Session, verb: str) -> bool:
    write(session, verb, Coded, Coded(id=1, name=func.lower("A")))
    return True


@promise("an object of a subclass")
def _(session: Session, verb: str) -> bool:
    write(session, verb, Event, Flood(id=1, name="a"))
    return True


@promise("objects get what the server made, and those in a session the new values")
def _(session: Session, verb: str) -> bool:
    if verb == "get_or_create":
        return get_or_create(session, Made, {"id": 1})[0].served == "served"
    if verb == "bulk_insert":
        new = Made(id=1)
        write(session, verb, Made, new)
        return "served" in new.__dict__
    session.add(Touched(id=1, name="old"))
    session.flush()
    known = session.get_one(Touched, 1)
    write(session, verb, Touched, {"id": 1, "name": "new"})
    return known.name == "new"


# --- code of the model ----------------------------------------------------------------------------


@promise("a synonym, a hybrid, a composite or a relationship by its name")
def _(session: Session, verb: str) -> bool:
    for name in ("called", "loud", "place", "owner"):
        with pytest.raises(UnknownColumn, match=name):
            write(session, verb, Coded, {"id": 1, name: None})
    if verb != "get_or_create":
        there(session, Coded) if verb == "bulk_update" else None
        write(session, verb, Coded, Coded(id=1, place=Point(3, 4), called="a"))
        assert (stored(session, Coded, "y")[0], stored(session, Coded)[0]) == (4, "a")
    write(session, verb, Coded, {"id": 1, "called": None})
    return True


def heard(session: Session, verb: str) -> list[str]:
    if verb == "bulk_update":
        there(session, Coded)
    HEARD.clear()
    write(session, verb, Coded, {"id": 1, "name": "a"})
    return HEARD


@promise("`@validates` and events of attributes")
def _(session: Session, verb: str) -> bool:
    return "validates" in heard(session, verb)


@promise("events of mappers and sessions: `before_insert`, `before_flush`")
def _(session: Session, verb: str) -> bool:
    return bool({"before_insert", "before_update"} & set(heard(session, verb)))


@promise("cascades to related objects")
def _(session: Session, verb: str) -> bool:
    if verb == "bulk_update":
        there(session, Owner)
    write(session, verb, Owner, Owner(id=1, name="a", parts=[Part(id=1)]))
    return stored(session, Part, "id") == [1]


@promise("types of one's own: `TypeDecorator`")
def _(session: Session, verb: str) -> bool:
    if verb == "bulk_update":
        there(session, Coded)
    write(session, verb, Coded, {"id": 1, "shouted": "a"})
    read = select(type_coerce(Coded.__table__.c.shouted, String)).where(Coded.__table__.c.id == 1)
    return session.execute(read).scalar_one() == "A"


# --- the table ------------------------------------------------------------------------------------


def answer(session: Session, each: Promise, verb: str) -> str:
    """What a verb does with a feature; nothing is left of it."""
    attempt = session.begin_nested()
    try:
        return DOES if CHECKS[each.feature](session, verb) else NOT
    except (PenstockError, IntegrityError):
        return REFUSES
    finally:
        attempt.rollback()
        session.expunge_all()


def test_the_table_says_what_each_verb_does(door_to: Doors) -> None:
    door = door_to(Base.metadata)

    def differences(session: Session) -> list[tuple[str, str, str]]:
        return [
            (each.feature, verb, found)
            for each in PROMISES
            for verb, said in zip(VERBS, each.answers, strict=True)
            if said is not NONE and (found := answer(session, each, verb)) != said
        ]

    assert door.do(differences) == []


def test_every_feature_has_a_check() -> None:
    assert set(CHECKS) == {each.feature for each in PROMISES}
    assert {said for each in PROMISES for said in each.answers} == {DOES, NOT, REFUSES, NONE}
