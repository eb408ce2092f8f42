"""What is marked as deleted is hidden by sessions, unless they are asked."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    ClauseElement,
    Double,
    Executable,
    cast,
    delete,
    exists,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, aliased, joinedload, selectinload, subqueryload

from fix_declared import Dam, Declared, Gate, Login, River, Survey, Work
from penstock import query
from penstock.models import by_id, showing_deleted, with_deleted
from penstock.models.softdelete import _CRITERION

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_doors import Door, Doors

GONE = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def door(door_to: Doors) -> Door:
    """Two rivers, of which one is deleted, with a dam each that is there and one that is deleted."""

    def fill(session: Session) -> None:
        session.add_all([River(id=1, name="Logan"), River(id=2, name="Bear", deleted_at=GONE)])
        session.flush()
        session.add_all([Dam(name="a", river_id=1), Dam(name="b", river_id=1, deleted_at=GONE)])
        session.add_all([Dam(name="c", river_id=2), Dam(name="d", river_id=2, deleted_at=GONE)])
        session.add_all([Gate(dam="a", number=1, river_id=1), Gate(dam="c", number=1, river_id=2)])

    door = door_to(Declared.metadata)
    door.do(fill)
    return door


def names(found: Any) -> list[str]:
    return sorted(each.name for each in found)


def told(session: Session, statement: Any) -> list[str]:
    return sorted(query.to_arrow(session, statement).column(0).to_pylist())


def logan(session: Session) -> Any:
    return session.get(River, 1)


SELECTS: dict[str, tuple[Callable[[Session], Any], Any]] = {
    "a class": (lambda s: names(s.scalars(select(Dam))), ["a", "c"]),
    "columns": (lambda s: sorted(s.scalars(select(Dam.name))), ["a", "c"]),
    "an alias": (lambda s: names(s.scalars(select(aliased(Dam)))), ["a", "c"]),
    "a count": (lambda s: s.scalar(select(func.count()).select_from(Dam)), 2),
    "a subquery": (lambda s: s.scalar(select(func.count()).select_from(select(Dam).subquery())), 2),
    "a CTE": (lambda s: sorted(s.scalars(select(select(Dam.name).cte().c.name))), ["a", "c"]),
    "a union": (lambda s: sorted(s.scalars(select(Dam.name).union(select(River.name)))), ["Logan", "a", "c"]),
    "a join": (lambda s: names(s.scalars(select(Dam).join(Dam.river))), ["a"]),
    "an outer join": (
        lambda s: s.execute(select(Dam.name, River.id).outerjoin(Dam.river).order_by(Dam.name)).all(),
        [("a", 1), ("c", None)],
    ),
    "a list in a condition": (
        lambda s: [each.dam for each in s.scalars(select(Gate).where(Gate.river_id.in_(select(River.id))))],
        ["a"],
    ),
    "exists": (lambda s: s.scalar(select(exists().select_from(Dam).where(Dam.name == "b"))), False),
    "get": (lambda s: s.get(River, 2), None),
    "an old query": (lambda s: (s.query(Dam).count(), s.query(Dam).filter_by(name="b").first()), (2, None)),
    "a lazy collection": (lambda s: names(logan(s).dams), ["a"]),
    "a lazy parent": (lambda s: s.get(Gate, ("c", 1)).river, None),
    "selectinload": (
        lambda s: names(s.scalars(select(River).options(selectinload(River.dams))).one().dams),
        ["a"],
    ),
    "subqueryload": (
        lambda s: names(s.scalars(select(River).options(subqueryload(River.dams))).one().dams),
        ["a"],
    ),
    "joinedload": (
        lambda s: names(s.scalars(select(River).options(joinedload(River.dams))).unique().one().dams),
        ["a"],
    ),
    "find": (lambda s: names(query.find(s, Dam)), ["a", "c"]),
    "find_one": (lambda s: query.find_one(s, Dam, {"name": "b"}), None),
    "query.exists": (lambda s: query.exists(s, Dam, {"name": "b"}), False),
    "paginate": (lambda s: (query.paginate(s, Dam).total, len(query.paginate(s, Dam).items)), (2, 2)),
    "paginate_keyset": (lambda s: names(query.paginate_keyset(s, Dam).items), ["a", "c"]),
    "by_id": (lambda s: by_id(s, River, 2), None),
    "to_arrow": (lambda s: told(s, select(Dam.name)), ["a", "c"]),
    "to_arrow of a union": (
        lambda s: told(s, select(Dam.name).union(select(River.name))),
        ["Logan", "a", "c"],
    ),
    "to_arrow of a CTE": (lambda s: told(s, select(select(Dam.name).cte().c.name)), ["a", "c"]),
}


def test_a_session_hides_what_is_deleted(door: Door) -> None:
    seen = {how: door.do(ask) for how, (ask, _) in SELECTS.items()}
    assert seen == {how: found for how, (_, found) in SELECTS.items()}


def test_where_rows_can_be_hidden_whole_tables_are_still_copied(door: Door) -> None:
    """By COPY, a float comes as it is, whatever the session says of its digits."""

    def work(session: Session) -> Any:
        session.execute(text("SET LOCAL extra_float_digits = -15"))
        return (
            query.to_arrow(session, select(cast(literal(0.1 + 0.2), Double).label("sum")))
            .column(0)[0]
            .as_py()
        )

    if door.dialect.driver == "psycopg" and not door.dialect.is_async:
        assert door.do(work) == 0.1 + 0.2


ASKED: dict[str, tuple[Callable[[Session], Any], Any]] = {
    "to_arrow": (lambda s: told(s, select(Dam.name).options(with_deleted)), ["a", "b", "c", "d"]),
    "a class": (lambda s: names(s.scalars(select(Dam).options(with_deleted))), ["a", "b", "c", "d"]),
    "get": (lambda s: s.get(River, 2, options=[with_deleted]).name, "Bear"),
    "by_id": (lambda s: by_id(s, River, 2, options=[with_deleted]).name, "Bear"),
    "a lazy collection": (lambda s: names(s.get(River, 1, options=[with_deleted]).dams), ["a", "b"]),
    "a lazy parent": (lambda s: s.get(Gate, ("c", 1), options=[with_deleted]).river.name, "Bear"),
    "selectinload": (
        lambda s: names(s.get(River, 1, options=[with_deleted, selectinload(River.dams)]).dams),
        ["a", "b"],
    ),
    "joinedload": (
        lambda s: names(s.get(River, 1, options=[with_deleted, joinedload(River.dams)]).dams),
        ["a", "b"],
    ),
    "an expression": (
        lambda s: names(s.scalars(select(Dam).where(Dam.is_deleted).options(with_deleted))),
        ["b", "d"],
    ),
}


def test_a_statement_that_asks_sees_it_and_so_do_its_objects(door: Door) -> None:
    seen = {how: door.do(ask) for how, (ask, _) in ASKED.items()}
    assert seen == {how: found for how, (_, found) in ASKED.items()}


def test_a_session_that_asks_sees_it_until_the_end_of_the_block(door: Door) -> None:
    def work(session: Session) -> Any:
        river = logan(session)  # It was loaded by a statement that hides.
        with showing_deleted(session):
            with showing_deleted(session):
                assert names(session.scalars(select(Dam))) == ["a", "b", "c", "d"]
            inside = names(river.dams), by_id(session, River, 2) is not None
        session.expire(river)
        return inside, names(river.dams), by_id(session, River, 2)

    assert door.do(work) == ((["a", "b"], True), ["a"], None)


def test_updates_and_deletes_pass_by_what_is_deleted_unless_they_ask(door: Door) -> None:
    def work(session: Session) -> list[int]:
        statements: list[Any] = [
            update(Dam).values(inspected=GONE),
            delete(Dam).where(Dam.name.in_(["a", "b"])),
            update(Dam).values(inspected=GONE).options(with_deleted),
            delete(Dam).options(with_deleted),
        ]
        return [session.execute(each).rowcount for each in statements]

    assert door.do(work) == [2, 1, 3, 3]


def test_rows_are_deleted_and_had_back(door: Door) -> None:
    def mark(session: Session) -> None:
        found = logan(session)
        found.soft_delete()
        first = found.deleted_at
        found.soft_delete()
        assert found.deleted_at is first
        assert abs(datetime.now(UTC) - first).total_seconds() < 60

    def restore(session: Session) -> None:
        with showing_deleted(session):
            logan(session).restore()

    door.do(mark)
    assert door.do(logan) is None
    door.do(restore)
    assert door.do(lambda session: logan(session).is_deleted) is False


def test_what_the_session_has_is_refreshed_though_it_is_deleted(door: Door) -> None:
    def work(session: Session) -> Any:
        found = logan(session)
        found.soft_delete()
        session.flush()
        session.expire(found)
        seen = found.name
        session.refresh(found)
        return seen, session.get(River, 1) is found, by_id(session, River, 1)

    assert door.do(work) == ("Logan", True, None)


def test_a_flush_writes_what_is_deleted(door: Door) -> None:
    def work(session: Session) -> str:
        found = session.get(River, 2, options=[with_deleted])
        assert found is not None
        found.name = "Bear River"
        session.flush()
        session.delete(session.scalars(select(Dam).where(Dam.name == "b").options(with_deleted)).one())
        return found.name

    door.do(work)
    seen = door.do(lambda s: [s.get(River, 2, options=[with_deleted]).name, *SELECTS["a class"][0](s)])
    assert seen == ["Bear River", "a", "c"]
    assert door.do(lambda s: names(s.scalars(select(Dam).options(with_deleted)))) == ["a", "c", "d"]


def test_a_key_that_a_deleted_row_has_is_taken(door: Door) -> None:
    def again(session: Session) -> Any:
        with pytest.raises(IntegrityError):
            query.get_or_create(session, Dam, {"name": "b"})
        with showing_deleted(session):
            return query.get_or_create(session, Dam, {"name": "b"})[1], names(session.scalars(select(Dam)))

    assert door.do(again) == (False, ["a", "b", "c", "d"])


def test_an_upsert_writes_the_row_that_is_deleted_and_has_it_back_if_told(door: Door) -> None:
    def work(session: Session, **values: Any) -> Any:
        query.upsert(session, Dam, [{"name": "b", "river_id": 2, **values}], key=("name",))
        return session.scalars(select(Dam.river_id).where(Dam.name == "b")).all()

    assert door.do(work) == []
    assert door.do(lambda session: work(session, deleted_at=None)) == [2]


def test_a_partial_index_frees_the_key_of_a_deleted_row(door: Door) -> None:
    if door.ground.kind == "mariadb":
        pytest.skip("it has no partial indexes")

    def work(session: Session) -> int | None:
        for _ in range(2):
            made = Login(name="ada")
            session.add(made)
            session.flush()
            made.soft_delete()
            session.flush()
        session.add(Login(name="ada"))
        session.flush()
        return session.scalar(select(func.count()).select_from(Login))

    assert door.do(work) == 1


def test_subclasses_are_hidden_in_their_tables_and_by_their_parent(door: Door) -> None:
    def work(session: Session) -> list[int | None]:
        session.add_all([Survey(length=1), Survey(length=2, deleted_at=GONE), Work()])
        session.flush()
        return [session.scalar(select(func.count()).select_from(each)) for each in (Work, Survey)]

    assert door.do(work) == [2, 1]


def test_what_comes_past_the_orm_sees_all(door: Door) -> None:
    def work(session: Session) -> list[int | None]:
        return [
            session.scalar(select(func.count()).select_from(Dam.__table__)),
            session.scalar(text("SELECT count(*) FROM dams")),
            len(query.find(session.connection(), Dam)),
        ]

    assert door.do(work) == [4, 4, 4]


class Greeting(Executable, ClauseElement):
    """A statement of a program's own."""

    inherit_cache = False


@compiles(Greeting)
def _greet(*_: Any, **__: Any) -> str:
    return "SELECT 'hello'"


def test_statements_that_have_nothing_to_do_with_it_stay_as_they_are(door: Door) -> None:
    def work(session: Session) -> list[Any]:
        session.execute(text("SELECT 1"))
        session.execute(Greeting())
        assert query.count_estimate(session, Dam) is not None
        session.execute(select(func.count()).select_from(Gate))
        with session.begin_nested():
            session.execute(update(Gate), [{"dam": "a", "number": 1, "note": "x"}])
        return list(session.scalars(select(Gate.note).order_by(Gate.dam)))

    assert door.do(work) == ["x", None]


def test_a_condition_is_put_once_on_what_a_relationship_loads(door: Door) -> None:
    from sqlalchemy import event

    def work(session: Session) -> list[int]:
        seen: list[str] = []
        bind = session.connection().engine
        event.listen(bind, "before_cursor_execute", lambda *args: seen.append(args[2]))
        _ = logan(session).dams
        return [each.count("deleted_at IS NULL") for each in seen if each.startswith("SELECT")]

    assert door.do(work) == [1, 1]
    assert _CRITERION.propagate_to_loaders


def test_objects_are_pickled_and_load_what_they_did_not_have(door: Door) -> None:
    kept = door.do(lambda session: pickle.dumps((logan(session), session.get(Gate, ("a", 1)))))

    def work(session: Session) -> Any:
        river, gate = pickle.loads(kept)  # noqa: S301  (of this test's own)
        session.add(river)
        hidden = names(river.dams)
        session.expire(river, ["dams"])
        with showing_deleted(session):
            return hidden, names(river.dams), gate.dam

    assert door.do(work) == (["a"], ["a", "b"], "a")
