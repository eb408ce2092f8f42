"""A sync killed at any point is finished by the next one (`kill -9`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from faults.jobs import FORMS, WORDS

if TYPE_CHECKING:
    from faults.scenes import Scene

EXACTLY_ONCE = ("session", "connection")
MOMENTS = ("begun", "half", "committed")
LONGEST = 1000


def undisturbed(scene: Scene, form: str) -> dict[str, Any]:
    """What a sync that nobody disturbs leaves behind."""
    scene.reset()
    scene.well(form=form)
    state = scene.state(form)
    assert state["words"] == list(WORDS)
    assert state["status"] == ("ready", "", True)
    assert [(entry[0], entry[3]) for entry in state["registry"]] == [("gages", "ready")]
    assert state.get("public", [(False,)]) == [(False,)]
    assert state.get("journal", [("wal",)]) == [("wal",)]
    return state


def check_finished(scene: Scene, form: str, expected: dict[str, Any], point: str) -> None:
    """The next sync ends well, and leaves what an undisturbed one leaves."""
    scene.well(form=form)
    state = scene.state(form)
    if form not in EXACTLY_ONCE:
        assert set(state["words"]) == set(WORDS), point
        assert len(state["words"]) in (3, 6), point
        state["words"] = expected["words"]
    assert state == expected, point


def kill_everywhere(scene: Scene, form: str, verb: str, **how: Any) -> int:
    """Kill the verb at its first counted moment, then at its second, and so on, on a fresh scene.

    After each kill the next sync must finish the store; returns how often something was killed.
    """
    expected = undisturbed(scene, form)
    for kill_at in range(1, LONGEST):
        scene.reset()
        if verb != "sync":
            scene.well(form=form)
        ended = scene.work(form=form, verb=verb, kill_at=kill_at, **how)
        if not ended.killed:
            assert ended.status == 0, ended.err
            return kill_at - 1
        check_finished(scene, form, expected, f"{verb} ({form}) killed at {how} {kill_at}")
    raise AssertionError(f"more than {LONGEST} moments")


# --- a sample: between all steps ------------------------------------------------------------------


def test_e4_a_sync_killed_between_any_two_steps_is_finished_by_the_next(scene: Scene) -> None:
    apart = not scene.ground.can.transactional_ddl
    # Before and after each of 5 steps; the mark is one more where it can't be one with the initializer.
    assert kill_everywhere(scene, "session", "sync", kill="steps") == 10 + 2 * apart


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.turns("ground")
def test_e4_a_sync_killed_inside_the_initializer_is_finished_by_the_next(scene: Scene, form: str) -> None:
    expected = undisturbed(scene, form)
    for moment in MOMENTS:
        scene.reset()
        assert scene.work(form=form, moment=moment).killed
        at_least_once = moment == "committed" and form == "engine"
        assert scene.words() == (list(WORDS) if at_least_once else []), moment
        with scene.stores(form) as stores:
            assert stores.store_status("lab", "gages").health.value == "half-made"
            assert not stores.exists("lab", "gages")
        check_finished(scene, form, expected, f"sync ({form}) killed at {moment}")


@pytest.mark.parametrize("verb", ["refresh", "drop"])
def test_e4_a_refresh_or_a_drop_killed_between_two_steps_is_finished_by_the_next_sync(
    scene: Scene, verb: str
) -> None:
    expected = undisturbed(scene, "session")
    for kill_at in (1, 2, 4):
        scene.reset()
        scene.well()
        ended = scene.work(verb=verb, kill="steps", kill_at=kill_at)
        assert ended.killed == (verb == "refresh" or kill_at < 4), ended
        check_finished(scene, "session", expected, f"{verb} killed at {kill_at}")


def test_e4_a_drop_killed_on_the_way_is_finished_by_the_next_drop(scene: Scene) -> None:
    scene.reset()
    nothing = scene.state()
    for kill_at in (1, 2):
        scene.well()
        assert scene.work(verb="drop", kill="steps", kill_at=kill_at).killed
        scene.well(verb="drop")
        assert scene.state() == nothing, kill_at


# --- everything -----------------------------------------------------------------------------------


STEPS = [(verb, form, "steps") for verb in ("sync", "refresh", "drop") for form in FORMS]
STATEMENTS = [("sync", form, "statements") for form in FORMS]
STATEMENTS += [("refresh", "session", "statements"), ("drop", "session", "statements")]


@pytest.mark.soak
@pytest.mark.parametrize(("verb", "form", "kill"), STEPS + STATEMENTS)
def test_e4_a_kill_before_and_after_every_step_and_statement_is_finished_by_the_next_sync(
    scene: Scene, verb: str, form: str, kill: str, record_property: Any
) -> None:
    points = kill_everywhere(scene, form, verb, kill=kill)
    record_property("kill points", points)
    print(f"{scene.ground.kind} {form} {verb} {kill}: {points} kill points")  # noqa: T201
    assert points >= 2


@pytest.mark.soak
@pytest.mark.parametrize("verb", ["sync", "refresh", "drop"])
def test_e4_a_kill_at_every_use_of_a_file_is_finished_by_the_next_sync(
    scene: Scene, verb: str, record_property: Any
) -> None:
    if scene.ground.directory is None:
        pytest.skip("a server's own files are its own business")
    folder = str(scene.ground.directory)
    points = kill_everywhere(scene, "session", verb, kill="files", folder=folder)
    record_property("kill points", points)
    print(f"sqlite files {verb}: {points} kill points")  # noqa: T201
    assert points >= 4


@pytest.mark.soak
@pytest.mark.parametrize("kill", ["steps", "statements", "files"])
def test_e4_a_drop_killed_anywhere_is_finished_by_the_next_drop(scene: Scene, kill: str) -> None:
    if kill == "files" and scene.ground.directory is None:
        pytest.skip("a server's own files are its own business")
    scene.reset()
    nothing = scene.state()
    for kill_at in range(1, LONGEST):
        scene.reset()
        scene.well()
        ended = scene.work(verb="drop", kill=kill, kill_at=kill_at, folder=str(scene.ground.directory))
        if not ended.killed:
            return
        scene.well(verb="drop")
        left = scene.state()
        if left.get("files") == [f"{scene.database}.sqlite.lock"]:
            left["files"] = []  # killed just before the lock itself goes: it is empty, and serves again
        assert left == nothing, f"drop killed at {kill} {kill_at}"
    raise AssertionError(f"more than {LONGEST} moments")
