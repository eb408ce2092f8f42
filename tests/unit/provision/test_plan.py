"""The table "what sync does is decided by what it finds", as pure data."""

from __future__ import annotations

import pytest

from penstock.errors import StoreNotOurs
from penstock.provision.facts import NOTHING, DesiredState, Found, FoundRecord, InitializerForm
from penstock.provision.plan import plan_drop, plan_sync
from penstock.provision.steps.contents import RunInitializer

OURS = FoundRecord(app="lab", store="main")
DONE = FoundRecord(app="lab", store="main", initialised=True, first_time=False)
FOREIGN = Found(exists=True, relations=True)


def desired(**options: object) -> DesiredState:
    return DesiredState(app="lab", store="main", database="lab_main", **options)


def steps(want: DesiredState, found: Found) -> list[str]:
    plan = plan_sync(want, found)
    assert plan.refused is None
    return [type(step).__name__ for step in plan.steps]


MAKE = ["CreateDatabase", "PrepareDatabase", "WriteRecord"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (NOTHING, [*MAKE, "MarkInitialised"]),
        (Found(exists=True), ["PrepareDatabase", "WriteRecord", "MarkInitialised"]),
        (Found(exists=True, record=OURS), ["MarkInitialised"]),
        (Found(exists=True, record=OURS, relations=True), ["MarkInitialised"]),
        (Found(exists=True, record=DONE, relations=True), []),
    ],
)
def test_e4_what_is_missing_is_done(found: Found, expected: list[str]) -> None:
    assert steps(desired(), found) == expected


@pytest.mark.parametrize(
    "found",
    [
        FOREIGN,
        Found(exists=True, record=FoundRecord(app="other", store="main")),
        Found(exists=True, record=FoundRecord(app="lab", store="other")),
        Found(exists=True, record=FoundRecord(app="lab", store="main", template=True)),
    ],
)
@pytest.mark.parametrize("refresh", [False, True])
def test_e4_what_is_not_ours_is_refused_whatever_is_asked(found: Found, refresh: bool) -> None:
    plan = plan_sync(desired(refresh=refresh, force_first_time=True), found)
    assert isinstance(plan.refused, StoreNotOurs)
    assert plan.steps == ()
    assert isinstance(plan_drop(desired(), found).refused, StoreNotOurs)


def test_a_refresh_drops_only_what_carries_our_record() -> None:
    assert steps(desired(refresh=True), Found(exists=True, record=DONE))[:2] == [
        "DropDatabase",
        "CreateDatabase",
    ]
    assert steps(desired(refresh=True), Found(exists=True)) == [
        "PrepareDatabase",
        "WriteRecord",
        "MarkInitialised",
    ]


def test_a_drop_that_was_killed_is_finished_before_the_store_is_made_anew() -> None:
    half_gone = FoundRecord(app="lab", store="main", dropping=True)
    assert steps(desired(), Found(exists=True, record=half_gone, relations=True)) == [
        "DropDatabase",
        *MAKE,
        "MarkInitialised",
    ]
    foreign = FoundRecord(app="other", store="main", dropping=True)
    assert isinstance(plan_sync(desired(), Found(exists=True, record=foreign)).refused, StoreNotOurs)


def initializer_step(want: DesiredState, found: Found) -> RunInitializer:
    (step,) = (s for s in plan_sync(want, found).steps if isinstance(s, RunInitializer))
    return step


@pytest.mark.parametrize(
    ("record", "force", "first"),
    [
        (None, False, True),
        (OURS, False, True),
        (DONE, False, False),
        (DONE, True, True),
        (FoundRecord(app="lab", store="main", initialised=True), False, True),
    ],
)
def test_t2_the_record_decides_whether_it_is_the_first_time(
    record: FoundRecord | None, force: bool, first: bool
) -> None:
    want = desired(initializer="lab.seed", force_first_time=force)
    assert initializer_step(want, Found(exists=True, record=record)).first_time is first


@pytest.mark.parametrize(
    ("form", "transactional", "once"),
    [
        (InitializerForm.ENGINE, True, False),
        (InitializerForm.SESSION, True, True),
        (InitializerForm.CONNECTION, True, True),
        (InitializerForm.SESSION, False, False),
    ],
)
def test_the_plan_says_how_often_an_initializer_can_run(
    form: InitializerForm, transactional: bool, once: bool
) -> None:
    want = desired(initializer="lab.seed", form=form, transactional_ddl=transactional)
    step = initializer_step(want, NOTHING)
    assert step.exactly_once is once
    assert ("exactly once" in str(step)) is once
    assert ("MarkInitialised" in steps(want, NOTHING)) is not once


def test_contents_come_in_order() -> None:
    want = desired(spatial=True, tables=True, initializer="lab.seed")
    assert steps(want, NOTHING) == [
        *MAKE,
        "EnableSpatial",
        "CreateTables",
        "RunInitializer",
        "MarkInitialised",
    ]


def test_where_later_tables_have_to_be_granted_that_is_done_after_each_step_that_makes_some() -> None:
    want = desired(roles=True, default_privileges=False, tables=True, initializer="lab.seed")
    assert steps(want, NOTHING)[len(MAKE) :] == [
        "GrantRoles",
        "CreateTables",
        "GrantTablesBefore",
        "RunInitializer",
        "GrantTablesAfter",
        "MarkInitialised",
    ]
    found = Found(exists=True, record=DONE, roles=True)
    assert steps(want, found)[:4] == [
        "CreateTables",
        "GrantTablesBefore",
        "RunInitializer",
        "GrantTablesAfter",
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"roles": True, "tables": True},
        {"roles": True, "default_privileges": False},
        {"default_privileges": False, "tables": True},
    ],
)
def test_tables_are_granted_only_where_it_takes_that(options: dict[str, bool]) -> None:
    made = steps(desired(**options), Found(exists=True, record=DONE, roles=True))
    assert not any(step.startswith("GrantTables") for step in made)


def test_nothing_is_dropped_where_nothing_is() -> None:
    assert plan_drop(desired(), NOTHING).steps == ()
