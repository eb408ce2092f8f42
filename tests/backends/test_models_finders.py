"""Finders find what they are asked for, and nothing by a wildcard."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, inspect, select
from sqlalchemy.exc import MultipleResultsFound

from fix_declared import Dam, Declared, Gate, Reading, River, Town
from fix_tables import Sample
from penstock import models
from penstock.errors import InvalidValue, NotSupported, UnknownColumn
from penstock.models import Order, showing_deleted, uuid7

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from fix_doors import Door, Doors

NAMES = ["Logan", "logan", "LOGAN CITY", "a%b", "axb", "a_b", "a\\b", "50% \\_", "Bear", None, ""]


@pytest.fixture
def door(door_to: Doors) -> Door:
    """Rivers with such names, by numbers from 1."""
    door = door_to(Declared.metadata)
    door.do(lambda s: s.add_all([River(id=number, name=name) for number, name in enumerate(NAMES, 1)]))
    return door


def ids(found: Any) -> list[int]:
    return [each.id for each in found]


# --- keys -----------------------------------------------------------------------------------------


def test_an_object_is_found_by_its_key_whatever_that_is_called(door: Door) -> None:
    def work(session: Session) -> list[Any]:
        session.add(Gate(dam="a", number=7))
        session.flush()
        found = [
            River.by_id(session, 1),
            Gate.by_id(session, ("a", 7)),
            Gate.by_id(session, ["a", 7]),
            Gate.by_id(session, {"number": 7, "dam": "a"}),
            models.by_id(session, River, 99),
            models.by_id(session, River, None),
        ]
        return [getattr(each, "name", getattr(each, "dam", None)) for each in found]

    assert door.do(work) == ["Logan", "a", "a", "a", None, None]


def test_a_key_of_another_shape_is_refused(door: Door) -> None:
    def work(session: Session) -> None:
        for model, key in [
            (River, [1, 2]),
            (River, ()),
            (River, {"name": "Logan"}),
            (Gate, "a"),
            (Gate, ("a", 7, 8)),
            (Gate, {"dam": "a"}),
        ]:
            with pytest.raises(InvalidValue, match="primary key of"):
                models.by_id(session, model, key)
        with pytest.raises(InvalidValue, match="call by_ids"):
            River.by_id(session, [1, 2])

    door.do(work)


def test_objects_come_in_the_order_of_their_keys_however_many(door: Door) -> None:
    def work(session: Session) -> list[Any]:
        session.add_all([River(id=number) for number in range(100, 1300)])
        session.add_all([Gate(dam=dam, number=n) for dam in "ab" for n in range(3)])
        session.flush()
        wanted = [*range(1299, 99, -1), 5, 9999, 5, None]
        gates = Gate.by_ids(session, [("b", 2), ("x", 1), ("a", 0)])
        return [
            ids(River.by_ids(session, wanted)),
            [(each.dam, each.number) for each in gates],
            River.by_ids(session, []),
            ids(River.by_ids(session, (number for number in (3, 1)))),
        ]

    expected = [[*range(1299, 99, -1), 5, 5], [("b", 2), ("a", 0)], [], [3, 1]]
    assert door.do(work) == expected


def test_texts_that_the_server_has_for_equal_are_found_and_the_exact_one_first(door: Door) -> None:
    def work(session: Session) -> list[Any]:
        session.add_all([Town(name="a", label="X"), Town(name="b", label="x"), Town(name="c", label="x")])
        session.flush()
        session.expunge_all()
        towns = Town.by_ids(session, ["B", "a", "A", "z"])
        exact = [Town.exact_then_insensitive(session, "label", label) for label in ("x", "X")]
        return [[each.name for each in towns], [each and each.name for each in exact]]

    alike = door.ground.kind != "postgresql"
    assert door.do(work) == [["b", "a", "a"] if alike else ["a"], ["b", "a"]]


def test_a_deleted_object_is_not_found_even_if_the_session_has_it(door: Door) -> None:
    def work(session: Session) -> Any:
        found = River.by_id(session, 1)
        assert found is not None
        found.soft_delete()
        session.flush()
        hidden = River.by_id(session, 1), ids(River.by_ids(session, [1, 2]))
        with showing_deleted(session):
            return hidden, River.by_id(session, 1) is found, ids(River.by_ids(session, [1, 2]))

    assert door.do(work) == ((None, [2]), True, [1, 2])


# --- texts ----------------------------------------------------------------------------------------


def test_a_text_is_found_in_whatever_case(door: Door) -> None:
    def work(session: Session) -> list[Any]:
        with pytest.raises(MultipleResultsFound):
            River.by_lower(session, "name", "lOGAN")
        one = River.by_lower(session, "name", "BEAR")
        return [
            ids(River.all_by_lower(session, "name", "LOGAN")),
            ids(River.all_by_lower(session, "name", "LOGAN", offset=1, limit=5)),
            one and one.id,
            River.by_lower(session, "name", "nowhere"),
            River.all_by_lower(session, "name", "nowhere"),
            ids(River.all_by_lower(session, "name", "A%B")),
        ]

    assert door.do(work) == [[1, 2], [2], 9, None, [], [4]]


def test_nothing_in_a_seed_is_a_wildcard(door: Door) -> None:
    def work(session: Session) -> dict[str, list[int]]:
        seeds = ["a%", "a_", "a\\", "A%B", "%", "_", "\\", "50% \\_"]
        begin = {f"^{seed}": ids(River.starting_with(session, "name", seed)) for seed in seeds}
        return begin | {seed: sorted(ids(River.containing(session, "name", seed))) for seed in seeds}

    assert door.do(work) == {
        "^a%": [4],
        "^a_": [6],
        "^a\\": [7],
        "^A%B": [4],
        "^%": [],
        "^_": [],
        "^\\": [],
        "^50% \\_": [8],
        "a%": [4],
        "a_": [6],
        "a\\": [7],
        "A%B": [4],
        "%": [4, 8],
        "_": [6, 8],
        "\\": [7, 8],
        "50% \\_": [8],
    }
    assert sorted(door.do(lambda s: ids(River.starting_with(s, "name", "log")))) == [1, 2, 3]


TEXT = st.text(st.sampled_from("aAbß%_\\/'\"é "), max_size=4)


@settings(max_examples=40)
@given(names=st.lists(TEXT, max_size=6), seed=TEXT)
def test_what_has_the_seed_in_it_is_found(door: Door, names: list[str], seed: str) -> None:
    """All that has it as it is, and nothing that has it by a wildcard only."""

    def work(session: Session) -> tuple[set[int], set[int]]:
        session.execute(delete(River))
        session.add_all([River(id=number, name=name) for number, name in enumerate(names)])
        session.flush()
        found = set(ids(River.containing(session, "name", seed)))
        return found, set(ids(River.starting_with(session, "name", seed)))

    inside, first = door.do(work)
    assert {number for number, name in enumerate(names) if seed in name} <= inside
    assert {number for number, name in enumerate(names) if name.startswith(seed)} <= first <= inside
    plain = {number for number, name in enumerate(names) if folded(seed) in folded(name)}
    assert inside <= plain


def folded(text: str) -> str:
    """As the servers' collations have texts for equal, at most."""
    return text.lower().replace("ß", "s").replace("é", "e").replace(" ", "")


def test_the_exact_text_comes_before_that_in_other_case(door: Door) -> None:
    def work(session: Session) -> list[Any]:
        seeds = ["logan", "Logan", "LOGAN", "logan city", "%", "a_B", "nowhere"]
        found = [River.exact_then_insensitive(session, "name", seed) for seed in seeds]
        return [each and each.id for each in found]

    assert door.do(work) == [2, 1, 1, 3, None, 6, None]


# --- ranges ---------------------------------------------------------------------------------------


def test_a_range_is_taken_of_an_order(door: Door) -> None:
    def work(session: Session) -> list[Any]:
        session.execute(delete(River))
        session.add_all([River(id=n, name=name) for n, name in enumerate(["b", "A", "c", "B"])])
        session.add_all([Gate(dam=dam, number=n) for dam in "ba" for n in (2, 1)])
        session.flush()
        alike = Order(by="name", case_sensitive=False)
        last = Order(by=["name", "id"], descending=True, case_sensitive=False)
        gates = Gate.in_range(session, order=Order(by=("number",), descending=True))
        return [
            ids(River.in_range(session)),
            ids(River.in_range(session, order=alike)),
            ids(River.in_range(session, order=last)),
            ids(River.in_range(session, order=alike, offset=1, limit=2)),
            ids(River.in_range(session, offset=3)),
            ids(River.in_range(session, River.id > 1, River.name != "c")),
            River.in_range(session, limit=0),
            [(each.dam, each.number) for each in gates],
        ]

    assert door.do(work) == [
        *([0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [0, 3], [3], [3], []),
        [("b", 2), ("a", 2), ("b", 1), ("a", 1)],
    ]


BAD: list[tuple[Callable[[Session], Any], type[Exception], str]] = [
    (lambda s: River.by_lower(s, "title", "x"), UnknownColumn, "It has: id, name"),
    (lambda s: River.starting_with(s, "river name", "x"), UnknownColumn, "no column 'river name'"),
    (lambda s: River.containing(s, "dams", "x"), UnknownColumn, "no column 'dams'"),
    (lambda s: River.exact_then_insensitive(s, "", "x"), UnknownColumn, "no column ''"),
    (lambda s: River.in_range(s, order=Order(by="id, name")), UnknownColumn, "no column 'id, name'"),
    (lambda s: River.in_range(s, limit=-1), ValueError, "negative"),
    (lambda s: River.all_by_lower(s, "name", "x", offset=-1), ValueError, "negative"),
    (lambda s: models.by_id(s, River.__table__, 1), NotSupported, "no mapped class"),  # type: ignore[type-var]
]


def test_what_is_not_there_is_named(door: Door) -> None:
    def work(session: Session) -> None:
        for ask, error, said in BAD:
            with pytest.raises(error, match=said):
                ask(session)

    door.do(work)


# --- dicts ----------------------------------------------------------------------------------------


def test_columns_are_told_by_their_names_though_attributes_have_others(door: Door) -> None:
    def work(session: Session) -> list[Any]:
        session.add(Gate(dam="a", number=7, note="x"))
        session.flush()
        session.expunge_all()
        gate = Gate.by_id(session, ("a", 7))
        assert gate is not None
        return [gate.loaded_columns_as_dict(), gate.columns_as_dict(), gate.loaded_columns_as_dict()]

    loaded, whole, later = door.do(work)
    assert loaded == {"dam name": "a", "number": 7, "river_id": None}
    assert whole == later == {"dam name": "a", "number": 7, "note": "x", "river_id": None}


def test_a_new_object_tells_what_it_has() -> None:
    assert models.loaded_columns_as_dict(Gate(dam="a")) == {"dam name": "a"}
    assert models.columns_as_dict(Gate(dam="a"))["number"] is None
    assert models.columns_as_dict(Sample(number=3))["id"] == 3


def test_mixins_tell_their_columns_too(door: Door) -> None:
    key, now = uuid7(), datetime.now(UTC)

    def work(session: Session) -> Any:
        reading = Reading(level=3, taken=now)
        session.add_all([Dam(id=key, name="Logan"), reading])
        session.flush()
        found = session.scalars(select(Dam)).one()
        return found.columns_as_dict(), reading.columns_as_dict(), inspect(found).mapper.columns.keys()

    dam, reading, columns = door.do(work)
    assert list(dam) == columns
    assert (dam["id"], dam["deleted_at"], reading["taken"]) == (key, None, now)
